//! `adseg check`: reads all inputs and reports bad and suspicious records, without deciding conversions.

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::args::{
    CHECK_EXIT_CODES, FINDINGS, MessageArgs, NOT_CHECKED, ReportFormat, ReportOutputArgs, SpeedArgs, count,
};
use super::campaign_print::campaign_file;
use super::check_summary::{CheckSummary, FoundCounts};
use super::files::{Inputs, Output, OutputFile};
use super::input_args::InputArgs;
use super::policy_args::unused_codes;
use super::replay::{settings, write_report};
use super::session::{Progress, Session};
use crate::analysis::{Check, Findings, Names, Occurrences, WarningKind};
use crate::campaign::Codes;
use crate::engine::{Counts, Observer, Outcome, ReplayError, replay};
use crate::escape::{self, Quoted};
use crate::input::InputError;
use crate::location::LineIndex;
use crate::output::{CommitOrder, ErrorLine, Rejection};

pub(super) const LONG_ABOUT: &str = "\
Check the inputs before a run: report bad records and suspicious ones.

check reads the inputs by the same rules as adseg run, but decides nothing. If check has no findings, run accepts the \
inputs. The findings are bad records, each with file, line and reason, and times that go back. Then check warns of \
valid but suspicious records, and prints the number of each kind and the location of the first: more fields than \
needed, a decimal comma, total costs that are zero or negative, emails without an @, emails in quotes, emails that \
differ from a member's only in case, exact copies of earlier records, promos and channels that occur once. The report \
ends with the number of records of each kind, and the promos and channels.

The exit code is 0 if there are no findings, 1 if there are findings, and 2 if an input is missing, damaged or cannot \
be read. With --strict, warnings are findings. Invalid codes or an invalid ledger give 2.";

const EXAMPLES: &str = "\
Examples:
  Check the inputs of a run:
    adseg check --loyalty loyalty.txt --conversions conversions.txt

  Print the counts of an export as JSON, for a script:
    adseg check --loyalty list.csv --conversions log.txt.gz --format jsonl | tail -n 1

  Report how many codes are unused:
    adseg check --loyalty list.csv --conversions log.txt.gz --codes codes.txt --ledger ledger.csv | tail -n 1";

/// The maximum number of separate warnings about promos that occur once, and about such channels.
const LISTED_ONCE: usize = 20;

#[derive(Debug, Args)]
#[command(after_help = CHECK_EXIT_CODES, after_long_help = format!("{EXAMPLES}\n\n{CHECK_EXIT_CODES}"))]
pub struct CheckArgs {
    #[command(flatten)]
    pub inputs: InputArgs,

    #[command(flatten)]
    report: ReportOutputArgs,

    /// Treat warnings as findings: exit with 1 if there is a warning
    #[arg(long, help_heading = "Report")]
    strict: bool,

    /// Print a campaign file: how the inputs are read, according to the options and the start of each input
    ///
    /// The rules of the policy of a --campaign file are kept. The inputs are not checked. A run with this file
    /// (--campaign) and without those options gives the same results.
    #[arg(long, conflicts_with_all = ["format", "max_listed"], help_heading = "Report")]
    print_campaign: bool,

    /// Print at most N bad records; all are counted
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true, help_heading = "Report")]
    max_listed: Option<u64>,

    /// Check the single-use codes in FILE, and report how many are unused: one code per line, or CSV with the columns
    /// promo,code
    #[arg(long, value_name = "FILE", conflicts_with = "print_campaign", help_heading = "Policy")]
    codes: Option<PathBuf>,

    /// Check the ledger in FILE; codes in it are used
    #[arg(long, value_name = "FILE", requires = "codes", help_heading = "Policy")]
    ledger: Option<PathBuf>,

    #[command(flatten)]
    messages: MessageArgs,

    #[command(flatten)]
    speed: SpeedArgs,
}

pub fn check(args: &CheckArgs, session: &Session) -> anyhow::Result<ExitCode> {
    let mut inputs = Inputs::new(&args.inputs)?;
    args.codes.iter().chain(&args.ledger).for_each(|path| inputs.add_other(path));
    let output = Output::open(&args.report.output, &inputs, session, CommitOrder::Output)?;
    session.show_progress(&args.messages, output.is_terminal(), inputs.total_bytes());
    let mut settings = settings(&args.inputs, &args.speed, u64::MAX);
    if args.print_campaign {
        let policy = &args.inputs.policy;
        let file = campaign_file(inputs.into_inputs(&session.progress), settings.reader, policy)?;
        write_report(&output, |out| out.write_all(file.as_bytes()))?;
        return session.commit(ExitCode::SUCCESS);
    }
    settings.reader.continues_after_damage = true;
    // Every step back is counted.
    settings.allows_disorder = true;
    let codes = args.codes.as_deref().map(|codes| unused_codes(codes, args.ledger.as_deref())).transpose()?;
    let mut report = Report {
        out: BufWriter::new(output.writer()),
        format: args.report.format,
        to_list: args.max_listed.unwrap_or(u64::MAX),
        damaged: 0,
        is_strict: args.strict,
        allows_disorder: args.inputs.tables.allow_disorder,
        codes,
        progress: session.progress.clone(),
    };
    let inputs = inputs.into_inputs(&session.progress);
    let outcome = match replay(&Check::default(), &settings, inputs, None, &mut report) {
        Ok(outcome) => outcome,
        Err(ReplayError::Observer(error)) => return Err(output.cannot_write(error)),
        Err(failure) => return Err(failure.into()),
    };
    let exit_code = report.finish(outcome).map_err(|error| output.cannot_write(error))?;
    session.commit(ExitCode::from(exit_code))
}

/// Writes the report: bad records as they are found, the rest at the end.
struct Report {
    out: BufWriter<OutputFile>,
    format: ReportFormat,
    /// The number of bad records that may still be listed.
    to_list: u64,
    /// The number of inputs that could not be read to the end.
    damaged: u64,
    /// Whether warnings are findings.
    is_strict: bool,
    /// Whether times that go back are not findings.
    allows_disorder: bool,
    /// The unused codes.
    codes: Option<Codes>,
    progress: Progress,
}

impl Observer for Report {
    fn progressed(&mut self, counts: &Counts) {
        self.progress.update(counts.records);
    }

    fn rejected(&mut self, rejection: &Rejection<'_>) -> io::Result<()> {
        if self.to_list == 0 {
            return Ok(());
        }
        self.to_list -= 1;
        match self.format {
            ReportFormat::Text => writeln!(self.out, "{}: {}", rejection.location, rejection.reason),
            ReportFormat::Jsonl => self.line(&Line::BadRecord(ErrorLine::of(rejection))),
        }
    }

    fn rejected_more(&mut self, _raw: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn damaged(&mut self, error: &InputError) -> io::Result<()> {
        self.damaged += 1;
        match self.format {
            ReportFormat::Text => writeln!(self.out, "{error}"),
            ReportFormat::Jsonl => self.line(&Line::Damage { reason: error.to_string() }),
        }
    }
}

impl Report {
    /// Writes the rest of the report. Returns the exit code.
    fn finish(&mut self, outcome: Outcome<Findings>) -> io::Result<u8> {
        let Outcome { states, counts, line_index, steps_back, .. } = outcome;
        let (steps_back, first_step_back) = steps_back.unwrap_or_default();
        let findings = Findings::merge(states);
        let warnings = warnings(&findings, &line_index);
        let warned = warnings.iter().map(|warning| warning.count).sum();
        let found = FoundCounts { damaged_inputs: self.damaged, steps_back, warnings: warned };
        let summary = CheckSummary::new(&counts, &findings, self.codes.as_ref(), found);
        let disorder = (steps_back > 0 && !self.allows_disorder).then(|| Warning {
            what: "the time goes back; sort the conversions by time, or add --allow-disorder".to_owned(),
            count: steps_back,
            first: line_index.location(first_step_back).to_string(),
            at_least: false,
        });
        let has_findings = counts.rejects > 0 || disorder.is_some() || (self.is_strict && !warnings.is_empty());
        match self.format {
            ReportFormat::Text => {
                disorder.iter().try_for_each(|disorder| writeln!(self.out, "{disorder}"))?;
                for warning in &warnings {
                    writeln!(self.out, "warning: {warning}")?;
                }
                write!(self.out, "{summary}")?;
            }
            ReportFormat::Jsonl => {
                disorder.into_iter().try_for_each(|disorder| self.line(&Line::StepsBack(disorder)))?;
                for warning in warnings {
                    self.line(&Line::Warning(warning))?;
                }
                self.line(&Line::Summary(&summary))?;
            }
        }
        self.out.flush()?;
        Ok(match (self.damaged, has_findings) {
            (1.., _) => NOT_CHECKED,
            (0, true) => FINDINGS,
            (0, false) => 0,
        })
    }

    fn line(&mut self, line: &Line<'_>) -> io::Result<()> {
        escape::json_line(line, &mut self.out)
    }
}

/// A line of the JSONL report.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line<'a> {
    BadRecord(ErrorLine<'a>),
    /// An input that could not be read to the end.
    Damage {
        reason: String,
    },
    /// Times that go back.
    StepsBack(Warning),
    Warning(Warning),
    Summary(&'a CheckSummary),
}

/// A warning: records that are valid but suspicious. Or times that go back.
#[derive(Serialize)]
struct Warning {
    what: String,
    count: u64,
    /// The location of the first one.
    first: String,
    /// Whether the count is of a sample, and `first` is the first in the sample.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    at_least: bool,
}

impl fmt::Display for Warning {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            count if self.at_least => write!(out, "{}: {} (at least {count} times)", self.first, self.what),
            1 => write!(out, "{}: {}", self.first, self.what),
            count => write!(out, "{}: {} ({count} times, first here)", self.first, self.what),
        }
    }
}

fn warnings(findings: &Findings, line_index: &LineIndex) -> Vec<Warning> {
    let warning = |what: String, occurrences: &Occurrences| {
        let first = line_index.location(occurrences.first).to_string();
        Warning { what, count: occurrences.count, first, at_least: false }
    };
    let warnings = findings.warnings.iter().map(|(kind, occurrences)| {
        let what = match kind {
            WarningKind::ExtraFields => "the record has more fields than it needs",
            WarningKind::DecimalComma => "the total cost is split at a comma (is it a decimal comma?)",
            WarningKind::CostNotPositive => "the total cost is zero or negative",
            WarningKind::QuotedEmail => "the email is in quotes, but this format has no quoting (is it CSV?)",
            WarningKind::NoAtSign => "the email has no @",
            WarningKind::NoAtSignInList => "none of the first 1,000 emails of the loyalty list has an @",
            WarningKind::NoAtSignInConversions => "none of the first 1,000 emails of the conversions has an @",
            WarningKind::OtherCase => "the email differs from a member's only in case, so it is a different customer",
            WarningKind::Copy => "the record is an exact copy of an earlier record",
        };
        let at_least = *kind == WarningKind::Copy && findings.samples_copies;
        Warning { at_least, ..warning(what.to_owned(), occurrences) }
    });
    let mut warnings: Vec<Warning> = warnings.collect();
    let promos = Some(&findings.promos).filter(|promos| promos.has_frequent());
    for (kind, names) in [("promo", promos), ("channel", Some(&findings.channels))] {
        let once: Vec<_> = names.into_iter().flat_map(Names::once).collect();
        warnings.extend(
            once.iter().take(LISTED_ONCE).map(|(name, occurrences)| {
                warning(format!("the {kind} {} occurs only here", Quoted(name)), occurrences)
            }),
        );
        if let Some((_, occurrences)) = once.get(LISTED_ONCE) {
            let more = Occurrences { count: (once.len() - LISTED_ONCE) as u64, first: occurrences.first };
            warnings.push(warning(format!("another {kind} occurs only once"), &more));
        }
    }
    warnings
}
