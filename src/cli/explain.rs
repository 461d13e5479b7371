//! `adseg explain`: prints every record of the requested emails, with its decision and the reason.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::Args;
use serde::Serialize;

use super::args::{EXIT_CODES, ReplayArgs, ReportFormat, ReportOutputArgs, usage_error};
use super::file_id::is_dash;
use super::files::{Inputs, Output};
use super::input_args::InputArgs;
use super::policy_args::PolicyArgs;
use super::replay::{analyze, commit_report, plural, write_report};
use super::session::Session;
use crate::analysis::{ConversionEntry, Entry, Explain, Histories, History, Totals, customer_key, normalized_email};
use crate::escape::{self, Escaped, json_line, shorten};
use crate::input::BYTE_ORDER_MARK;
use crate::location::{LineIndex, Location};
use crate::output::CommitOrder;
use crate::record::field::trim;
use crate::record::{RecordError, check_table_email};
use crate::system::{Blocking, stdin_file};

pub(super) const LONG_ABOUT: &str = "\
Explain why a customer got a code or not: print every record of an email, in order.

explain prints each record with file and line, its fields, its decision and the reason, followed by the customer's \
number of clicks, baskets, purchases and codes. It reads the inputs in the same order as adseg run and applies the \
same rule and policy. A click that the policy stopped is shown with the reason. explain hands out no codes and \
changes no ledger: a click for which run had no code left is shown as sent.

Two emails are the same customer only if every byte is the same, or with --ignore-case if they differ only in ASCII \
case. Other emails that differ only in case or white space are different customers; up to ten of them are listed as near \
matches. An email that is not found is not an error: the exit code is 0.";

const EXAMPLES: &str = "\
Examples:
  Compare two customers:
    adseg explain kim@example.com lee@example.com --loyalty loyalty.txt --conversions mon.txt tue.txt

  Print the decisions to send a code for a list of customers, as JSON:
    adseg explain --emails complaints.txt --format jsonl \\
      --loyalty loyalty.txt --conversions conversions.txt.gz | jq 'select(.kind == \"record\" and .send)'

  Explain a decision of a run with a policy:
    adseg explain kim@example.com --loyalty loyalty.txt --conversions conversions.txt \\
      --campaign spring.toml --suppress unsubscribed.txt --ledger ledger.csv --run-id night-7

  Explain every customer with a record in these lines of a log:
    sed -n '100,110p' conversions.txt | cut -d , -f 3 |
      adseg explain --emails - --loyalty loyalty.txt --conversions conversions.txt";

/// The maximum number of near matches that are listed for an email, and of emails that are near matches of each other
/// for which any are listed. Otherwise the report could be much longer than the input.
const LISTED_NEAR_MATCHES: usize = 10;

/// The maximum width of a promo, and of channel, items and total cost, in characters.
const MAX_COLUMN_CHARS: usize = 24;

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct ExplainArgs {
    /// The emails to explain, in the order given; put them before the options
    #[arg(value_name = "EMAIL")]
    first_emails: Vec<OsString>,

    /// Explain this email; can be repeated, and can follow other options
    #[arg(long, value_name = "EMAIL")]
    email: Vec<OsString>,

    /// Explain the emails in FILE, one per line; `-` is standard input
    #[arg(long, value_name = "FILE")]
    emails: Option<PathBuf>,

    #[command(flatten)]
    pub inputs: InputArgs,

    #[command(flatten)]
    report: ReportOutputArgs,

    #[command(flatten)]
    policy: PolicyArgs,

    #[command(flatten)]
    replay: ReplayArgs,
}

pub fn explain(args: &ExplainArgs, session: &Session) -> anyhow::Result<ExitCode> {
    let mut emails = emails(args)?;
    if let Some(path) = email_among_files(&args.inputs) {
        let email = escape::path(path);
        return usage_error(format!(
            "{email}: no such file; if it is an email, put it before the options, or use --email {email}"
        ));
    }
    let mut inputs = Inputs::new(&args.inputs)?;
    args.emails.iter().chain(&args.policy.ledger).for_each(|path| inputs.add_other(path));
    inputs.add_suppressions(&args.policy.suppress)?;
    let output = Output::open(&args.report.output, &inputs, session, CommitOrder::Output)?;
    let policy = args.policy.load(false, &args.inputs, &mut inputs, &args.replay, session)?;
    let mut seen = HashSet::new();
    emails.retain(|email| seen.insert(customer_key(email, policy.ignores_case()).into_owned()));
    let computation = Explain::new(emails.iter().map(Vec::as_slice), &policy);
    let outcome = analyze(&computation, inputs, &args.inputs, &args.replay, &output, session)?;
    let skipped = outcome.counts.rejects;
    let histories = Histories::merge(outcome.states);
    let printer =
        Printer { histories: &histories, line_index: &outcome.line_index, skipped, with_policy: policy.has_gates() };
    write_report(&output, |out| {
        let mut requested = HashMap::<_, usize>::new();
        for (index, email) in emails.iter().enumerate() {
            let spellings = requested.entry(normalized_email(email)).or_default();
            *spellings += 1;
            let listed = if *spellings > LISTED_NEAR_MATCHES { 0 } else { LISTED_NEAR_MATCHES };
            match args.report.format {
                ReportFormat::Text => {
                    out.write_all(if index == 0 { b"" } else { b"\n" })?;
                    printer.write_text(email, listed, out)?;
                }
                ReportFormat::Jsonl => printer.write_jsonl(email, listed, out)?,
            }
        }
        Ok(())
    })?;
    commit_report(0, session, &args.replay, skipped)
}

/// The requested emails in order.
fn emails(args: &ExplainArgs) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut emails = Vec::new();
    for typed in args.first_emails.iter().chain(&args.email) {
        match parse_email(typed.as_encoded_bytes()) {
            Ok(email) => emails.push(email.to_vec()),
            Err(error) => return usage_error(error.to_string()),
        }
    }
    if let Some(path) = &args.emails {
        emails.extend(read_emails(path, args)?);
    } else if emails.is_empty() {
        let hint = match email_among_files(&args.inputs) {
            Some(path) => format!("put {} before the options, or use --email", escape::path(path)),
            None => "name emails before the options, or name a file of emails with --emails FILE".to_owned(),
        };
        return usage_error(format!("no email is given; {hint}"));
    }
    Ok(emails)
}

fn read_emails(path: &Path, ExplainArgs { inputs, policy, .. }: &ExplainArgs) -> anyhow::Result<Vec<Vec<u8>>> {
    let (name, bytes) = if is_dash(path) {
        if inputs.loyalty.iter().chain(&inputs.conversions).any(|path| is_dash(path)) {
            return usage_error(
                "standard input ('-') is named for the emails and for a source, but can be read only once",
            );
        }
        if policy.suppress.iter().any(|path| is_dash(path)) {
            return usage_error(
                "standard input ('-') is named for the emails and for --suppress, but can be read only once",
            );
        }
        let mut bytes = Vec::new();
        let read = stdin_file().and_then(|stdin| Blocking(stdin).read_to_end(&mut bytes));
        ("stdin".to_owned(), read.map(|_| bytes))
    } else {
        (escape::path(path), fs::read(path))
    };
    let bytes = bytes.with_context(|| format!("{name}: cannot read"))?;
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes);
    let lines = text.split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !trim(line).is_empty());
    let emails = lines.map(|(index, line)| match parse_email(line) {
        Ok(email) => Ok(email.to_vec()),
        Err(error) => Err(anyhow!("{name}:{}: {error}", index + 1)),
    });
    emails.collect()
}

/// Parses an email. A comma is an error, because no email in the data contains one.
fn parse_email(typed: &[u8]) -> Result<&[u8], RecordError<'_>> {
    let email = trim(typed);
    check_table_email(email).map(|()| email)
}

/// An input that does not exist and whose name looks like an email.
fn email_among_files(inputs: &InputArgs) -> Option<&PathBuf> {
    let mut files = inputs.loyalty.iter().chain(&inputs.conversions);
    files.find(|path| path.as_os_str().as_encoded_bytes().contains(&b'@') && !path.exists())
}

struct Printer<'a> {
    histories: &'a Histories,
    line_index: &'a LineIndex,
    /// The number of bad records that were skipped. Their emails are not known.
    skipped: u64,
    /// Whether the campaign has a policy.
    with_policy: bool,
}

impl Printer<'_> {
    /// Writes the history, and at most `listed` near matches.
    fn write_text(&self, email: &[u8], listed: usize, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{}", Escaped(email))?;
        let history = self.histories.get(email);
        match history {
            Some(history) => self.write_history(email, history, out)?,
            None if self.skipped == 0 => writeln!(out, "  occurs in no record")?,
            None => writeln!(out, "  occurs in no good record")?,
        }
        if self.skipped > 0 {
            writeln!(out, "  skipped {}, which may include this email", plural(self.skipped, "bad record"))?;
        }
        for (other, of_other) in self.histories.near_matches(email).take(listed) {
            let records = plural(of_other.entries.len() as u64, "record");
            let first = self.line_index.location(of_other.entries[0].number);
            let (before, after) = if history.is_some() { ("another customer is", "") } else { ("did you mean", "?") };
            writeln!(out, "  {before} \"{}\"{after} ({records}, the first at {first})", Escaped(other))?;
        }
        match self.histories.near_match_count(email).saturating_sub(listed) {
            0 => Ok(()),
            all if listed == 0 => writeln!(out, "  near matches, not listed again: {all}"),
            more => writeln!(out, "  and {more} more that differ only in case or white space"),
        }
    }

    fn write_history(&self, email: &[u8], history: &History, out: &mut impl Write) -> io::Result<()> {
        // The rows are computed twice, because their texts need more memory than the records.
        let rows = || history.entries.iter().map(|entry| self.row(email, entry, history));
        let [mut locations, mut promos, mut details] = [0; 3];
        for [location, _, promo, detail, ..] in rows() {
            for (width, text) in [(&mut locations, location), (&mut promos, promo), (&mut details, detail)] {
                *width = text.chars().count().max(*width);
            }
        }
        for [location, kind, promo, detail, decision, reason] in rows() {
            writeln!(
                out,
                "  {location:locations$}  {kind:<18}  {promo:promos$}  {detail:details$}  {decision:<5}  {reason}"
            )?;
        }
        let since = match history.member_since {
            Some(number) => format!("a member since {}", self.line_index.location(number)),
            None => "not a member".to_owned(),
        };
        let Totals { clicks, baskets, purchases, codes, .. } = history.totals();
        let [clicks, baskets] = [plural(clicks, "click"), plural(baskets, "basket")];
        let [purchases, codes] = [plural(purchases, "purchase"), plural(codes, "code")];
        writeln!(out, "  {since}; {clicks}, {baskets}, {purchases}; {codes}")
    }

    fn row(&self, email: &[u8], entry: &Entry, history: &History) -> [String; 6] {
        let location = self.line_index.location(entry.number).to_string();
        let (kind, promo, detail, decision) = match &entry.conversion {
            None => ("loyalty row", String::new(), String::new(), ""),
            Some(conversion) => (
                conversion.kind.name(),
                shorten(Escaped(&conversion.promo).to_string(), MAX_COLUMN_CHARS),
                shorten(detail(conversion), MAX_COLUMN_CHARS),
                match conversion.decision.send {
                    _ if conversion.is_earlier => "",
                    true => "True",
                    false => "False",
                },
            ),
        };
        let spelling = entry.spelling.as_deref().filter(|spelling| *spelling != email);
        let spelling = spelling.map(|spelling| format!(" (as {})", Escaped(spelling)));
        let reason = history.why(entry).to_owned() + &spelling.unwrap_or_default();
        [location, kind.to_owned(), promo, detail, decision.to_owned(), reason]
    }

    /// Writes a line for each record, and one for the customer with at most `listed` near matches.
    fn write_jsonl(&self, email: &[u8], listed: usize, out: &mut impl Write) -> io::Result<()> {
        let history = self.histories.get(email);
        if let Some(history) = history {
            for entry in &history.entries {
                json_line(&self.record(email, history, entry), &mut *out)?;
            }
        }
        let near_matches = self.histories.near_matches(email).map(|(other, history)| NearMatch {
            email: text(other),
            records: history.entries.len(),
            first: self.line_index.location(history.entries[0].number),
        });
        let customer = Line::Customer {
            email: text(email),
            found: history.is_some(),
            member_since: history.and_then(|history| Some(self.line_index.location(history.member_since?))),
            totals: history.map_or_else(Totals::default, History::totals),
            near_matches: near_matches.take(listed).collect(),
            near_match_count: self.histories.near_match_count(email),
        };
        json_line(&customer, out)
    }

    fn record<'b>(&'b self, email: &'b [u8], history: &History, entry: &'b Entry) -> Line<'b> {
        let conversion = entry.conversion.as_ref();
        let decided = conversion.filter(|conversion| !conversion.is_earlier);
        Line::Record {
            email: text(email),
            spelling: entry.spelling.as_deref().map(text),
            at: self.line_index.location(entry.number),
            conversion: conversion.map(|conversion| conversion.kind.name()),
            promo: conversion.map(|conversion| text(&conversion.promo)),
            channel: conversion.and_then(|conversion| conversion.channel.as_deref().map(text)),
            items: conversion
                .and_then(|conversion| Some(conversion.items.as_ref()?.iter().map(|id| text(id)).collect())),
            total_cost: conversion.and_then(|conversion| conversion.total_cost.as_deref().map(text)),
            time: conversion.and_then(|conversion| conversion.time.as_deref().map(text)),
            member: entry.was_member,
            send: decided.map(|conversion| conversion.decision.send),
            enrolled: conversion.map(|conversion| conversion.decision.enrolled),
            reason: self
                .with_policy
                .then(|| decided.map(|conversion| conversion.decision.reason(conversion.kind).name())),
            why: history.why(entry),
        }
    }
}

/// Time, channel, items and total cost in one column.
fn detail(conversion: &ConversionEntry) -> String {
    let channel = conversion.channel.as_deref().map(|channel| Escaped(channel).to_string());
    let items = conversion.items.as_ref().map(|items| format!("[{}]", Escaped(&items.join(&b";"[..]))));
    let total_cost = conversion.total_cost.as_deref().map(|cost| Escaped(cost).to_string());
    let time = conversion.time.as_deref().map(|time| Escaped(time).to_string());
    [time, channel, items, total_cost].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Bytes as text for JSON. U+FFFD replaces each maximal invalid sequence.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// A line of the JSONL report.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line<'a> {
    /// The fields of a conversion are `None` for a loyalty row.
    Record {
        email: Cow<'a, str>,
        /// The email in the record, if the campaign ignores case.
        #[serde(skip_serializing_if = "Option::is_none")]
        spelling: Option<Cow<'a, str>>,
        #[serde(flatten)]
        at: Location,
        conversion: Option<&'static str>,
        promo: Option<Cow<'a, str>>,
        #[serde(rename = "where")]
        channel: Option<Cow<'a, str>>,
        items: Option<Vec<Cow<'a, str>>>,
        total_cost: Option<Cow<'a, str>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        time: Option<Cow<'a, str>>,
        /// Whether the customer was a member before this record.
        member: bool,
        send: Option<bool>,
        enrolled: Option<bool>,
        /// Only if the campaign has a policy.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Option<&'static str>>,
        why: &'static str,
    },
    Customer {
        email: Cow<'a, str>,
        /// Whether a record has this email.
        found: bool,
        member_since: Option<Location>,
        #[serde(flatten)]
        totals: Totals,
        /// At most [`LISTED_NEAR_MATCHES`].
        near_matches: Vec<NearMatch<'a>>,
        /// The number of all near matches.
        near_match_count: usize,
    },
}

/// An email that differs only in case or white space.
#[derive(Serialize)]
struct NearMatch<'a> {
    email: Cow<'a, str>,
    records: usize,
    first: Location,
}
