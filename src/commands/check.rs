//! `adseg check`: reads everything, decides nothing, and reports what is bad and what is suspicious.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;

use serde::Serialize;

use super::FAILED;
use super::inputs::Inputs;
use super::session::{Ended, Session, reader_left_or, session};
use super::with_speed;
use crate::cli::{CheckArgs, CheckFormat};
use crate::computation::{Checking, Names, Seen, Sightings, Suspicion};
use crate::encoder::{Silent, write_json_line};
use crate::engine::{Counts, Failure, Job, Observer, Outcome, Settings, replay};
use crate::progress::Progress;
use crate::record::Quoted;
use crate::sink::{ErrorLine, Rejection};
use crate::source::{Numbering, ReaderSettings, SourceError};
use crate::stdio::stdout_file;

/// How many promos and channels a report for people lists.
const LISTED_NAMES: usize = 20;

/// How many suspicious channels are told one by one.
const TOLD_CHANNELS: usize = 20;

/// Carries out `adseg check`.
pub fn check(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let finish = session(move |session| carry_out(&args, session))?;
    finish.exit_code(|clean| Ok(if clean { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }))
}

/// Says whether everything can be read.
fn carry_out(args: &CheckArgs, session: &Session) -> anyhow::Result<Ended<bool>> {
    let inputs = Inputs::new(&args.inputs)?;
    session.show_progress(args.progress, false, io::stdout().is_terminal(), inputs.total_bytes());
    let reader = ReaderSettings {
        max_record_bytes: args.inputs.max_record_bytes as usize,
        reads_on_after_damage: true,
        ..ReaderSettings::default()
    };
    let settings = with_speed(Settings { reader, max_rejects: u64::MAX, ..Settings::default() }, &args.speed);
    let mut reporter = Reporter {
        out: BufWriter::new(Box::new(stdout_file()?)),
        format: args.format,
        untold: args.max_errors.unwrap_or(u64::MAX),
        damaged: 0,
        progress: session.progress.clone(),
    };
    let inputs = inputs.into_inputs(session.progress.meter());
    let job = Job { computation: Checking, encoder: Silent };
    let written = match replay(&job, &settings, inputs, Box::new(io::sink()), &mut reporter) {
        Ok(outcome) => reporter.report(outcome),
        Err(Failure::Observer(error)) => Err(error),
        Err(failure) => return Err(failure.into()),
    };
    match written {
        Ok(clean) => Ok(Ended::Done(clean)),
        Err(error) => reader_left_or("stdout", error),
    }
}

/// Writes the report: bad records as they are found, the rest at the end.
struct Reporter {
    out: BufWriter<Box<dyn Write + Send>>,
    format: CheckFormat,
    /// How many more bad records are told.
    untold: u64,
    /// How many inputs could not be read to their end.
    damaged: u64,
    progress: Progress,
}

impl Observer for Reporter {
    fn advanced(&mut self, counts: &Counts) {
        self.progress.advanced(counts.records);
    }

    fn rejected(&mut self, rejection: &Rejection<'_>) -> io::Result<()> {
        if self.untold == 0 {
            return Ok(());
        }
        self.untold -= 1;
        match self.format {
            CheckFormat::Text => writeln!(self.out, "{}: {}", rejection.position, rejection.reason),
            CheckFormat::Jsonl => self.line(&Line::Error(ErrorLine::of(rejection))),
        }
    }

    fn rejected_more(&mut self, _raw: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn damaged(&mut self, error: &SourceError) -> io::Result<()> {
        self.damaged += 1;
        match self.format {
            CheckFormat::Text => writeln!(self.out, "{error}"),
            CheckFormat::Jsonl => self.line(&Line::Damage { reason: error.to_string() }),
        }
    }
}

impl Reporter {
    /// Closes the report. Says whether everything can be read.
    fn report(&mut self, outcome: Outcome<Seen>) -> io::Result<bool> {
        let Outcome { states, counts, numbering } = outcome;
        let seen = Seen::merge(states);
        let warnings = warnings(&seen, &numbering);
        let summary = CheckSummary::new(&counts, &seen, self.damaged, &warnings);
        match self.format {
            CheckFormat::Text => {
                for warning in &warnings {
                    writeln!(self.out, "warning: {warning}")?;
                }
                write!(self.out, "{summary}")?;
            }
            CheckFormat::Jsonl => {
                for warning in warnings {
                    self.line(&Line::Warning(warning))?;
                }
                self.line(&Line::Summary(&summary))?;
            }
        }
        self.out.flush()?;
        Ok(counts.rejects == 0 && self.damaged == 0)
    }

    fn line(&mut self, line: &Line<'_>) -> io::Result<()> {
        write_json_line(line, &mut self.out)
    }
}

/// A line of the report for programs.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line<'a> {
    /// A bad record.
    Error(ErrorLine<'a>),
    /// An input that could not be read to its end.
    Damage {
        /// What happened, and where.
        reason: String,
    },
    Warning(Warning),
    Summary(&'a CheckSummary),
}

/// Something legal but suspicious.
#[derive(Serialize)]
struct Warning {
    what: String,
    count: u64,
    /// Where it was seen first.
    first: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            1 => write!(out, "{}: {}", self.first, self.what),
            count => write!(out, "{}: {} ({count} times, here first)", self.first, self.what),
        }
    }
}

fn warnings(seen: &Seen, numbering: &Numbering) -> Vec<Warning> {
    let warning = |what: String, sightings: &Sightings| Warning {
        what,
        count: sightings.count,
        first: numbering.place(sightings.first),
    };
    let mut warnings: Vec<Warning> = seen
        .suspicions
        .iter()
        .map(|(suspicion, sightings)| {
            let what = match suspicion {
                Suspicion::ExtraFields => "the record has more fields than it needs",
                Suspicion::Quoted => "the email is in quotes, which this format does not have (is it CSV?)",
                Suspicion::NoAtSign => "the email has no @",
                Suspicion::OtherCase => "the email differs from a member's only by case, so it is somebody else's",
            };
            warning(what.to_owned(), sightings)
        })
        .collect();
    let once: Vec<_> = seen.channels.seen.iter().filter(|(_, sightings)| sightings.count == 1).collect();
    warnings.extend(
        once.iter().take(TOLD_CHANNELS).map(|(channel, sightings)| {
            warning(format!("the channel {} is seen only here", Quoted(channel)), sightings)
        }),
    );
    if let Some((_, sightings)) = once.get(TOLD_CHANNELS) {
        let more = Sightings { count: (once.len() - TOLD_CHANNELS) as u64, first: sightings.first };
        warnings.push(warning("a further channel is seen only once".to_owned(), &more));
    }
    warnings
}

/// What was seen, in numbers. Every record is in exactly one of `loyalty_rows`, the three types, `errors` and `blanks`.
#[derive(Serialize)]
struct CheckSummary {
    records: u64,
    loyalty_rows: u64,
    duplicate_loyalty_rows: u64,
    clicks: u64,
    baskets: u64,
    purchases: u64,
    blanks: u64,
    errors: u64,
    damaged_inputs: u64,
    /// How many records or channels were warned of.
    warnings: u64,
    /// How many different promos there were, as far as they are told apart, and how often each was seen.
    distinct_promos: u64,
    promos: Vec<Named>,
    distinct_channels: u64,
    channels: Vec<Named>,
}

/// A promo or a channel.
#[derive(Serialize)]
struct Named {
    name: String,
    count: u64,
}

impl CheckSummary {
    fn new(counts: &Counts, seen: &Seen, damaged_inputs: u64, warnings: &[Warning]) -> Self {
        Self {
            records: counts.records,
            loyalty_rows: counts.customers,
            duplicate_loyalty_rows: seen.duplicates.map_or(0, |duplicates| duplicates.count),
            clicks: counts.clicks,
            baskets: counts.baskets,
            purchases: counts.purchases,
            blanks: counts.blanks,
            errors: counts.rejects,
            damaged_inputs,
            warnings: warnings.iter().map(|warning| warning.count).sum(),
            distinct_promos: seen.promos.seen.len() as u64,
            promos: by_count(&seen.promos),
            distinct_channels: seen.channels.seen.len() as u64,
            channels: by_count(&seen.channels),
        }
    }
}

/// The names, the most frequent ones first.
fn by_count(names: &Names) -> Vec<Named> {
    let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let mut named: Vec<_> =
        names.seen.iter().map(|(name, seen)| Named { name: text(name), count: seen.count }).collect();
    named.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.name.cmp(&other.name)));
    if names.others > 0 {
        named.push(Named { name: "(too many or too long)".to_owned(), count: names.others });
    }
    named
}

impl fmt::Display for CheckSummary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, count: u64| writeln!(out, "{name:<32}{count:>12}");
        row("records in", self.records)?;
        row("  loyalty rows", self.loyalty_rows)?;
        row("    for an email seen before", self.duplicate_loyalty_rows)?;
        row("  clicks", self.clicks)?;
        row("  baskets", self.baskets)?;
        row("  purchases", self.purchases)?;
        row("  blank lines", self.blanks)?;
        row("  bad records", self.errors)?;
        row("damaged inputs", self.damaged_inputs)?;
        row("warnings", self.warnings)?;
        let of_promos = ("promos", self.distinct_promos, &self.promos);
        let of_channels = ("channels", self.distinct_channels, &self.channels);
        for (kind, distinct, names) in [of_promos, of_channels] {
            row(kind, distinct)?;
            for Named { name, count } in names.iter().take(LISTED_NAMES) {
                row(&format!("  {}", shortened(name)), *count)?;
            }
        }
        Ok(())
    }
}

/// A name as it fits into a table: on one line, and with nothing in it that could steer a terminal.
fn shortened(name: &str) -> Cow<'_, str> {
    const WIDTH: usize = 28;
    if name.chars().count() <= WIDTH && !name.chars().any(char::is_control) && !name.is_empty() {
        return name.into();
    }
    let quoted = Quoted(name.as_bytes()).to_string();
    if quoted.chars().count() <= WIDTH { quoted } else { quoted.chars().take(WIDTH - 1).chain(['…']).collect() }.into()
}
