//! `adseg explain`: prints every record of some emails, what was decided on it, and why.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::Args;
use serde::Serialize;

use super::args::{BadRecordArgs, InputArgs, MessageArgs, ReportFormat, SpeedArgs};
use super::inputs::{Inputs, is_dash};
use super::outputs::Output;
use super::replay::{analyze, print_skipped};
use super::session::Session;
use super::{EXIT_CODES, usage_error};
use crate::analysis::{ConversionEntry, Entry, EntryKind, Explain, Histories, History};
use crate::escape::{self, Escaped, json_line, shorten};
use crate::input::BYTE_ORDER_MARK;
use crate::location::{LineIndex, Location};
use crate::output::CommitOrder;
use crate::record::field::trim;
use crate::record::{ConversionKind, RecordError, check_table_email};
use crate::system::stdin_file;

pub(super) const LONG_ABOUT: &str = "\
Explain why customers got a code or not: print every record of an email, in order.

Each record is printed with file and line, its fields, the decision on it, and the reason; then how often the customer \
clicked, put items into a basket and bought, and how many codes that gave. The inputs and their order mean the same as for \
adseg run, and the same code decides.

Two emails are the same customer only when every byte is the same. Emails that differ only by case or white space are other \
customers, and are listed as near matches. An email that occurs nowhere is no error: the exit code is 0.";

const EXAMPLES: &str = "\
Examples:
  Why did this customer get a code, and that one none?
    adseg explain kim@example.com lee@example.com --loyalty loyalty.txt --conversions mon.txt tue.txt

  The decisions to send a code, for a list of customers and a program:
    adseg explain --emails complaints.txt --format jsonl \\
      --loyalty loyalty.txt --conversions conversions.txt.gz | jq 'select(.kind == \"record\" and .send)'

  Everyone who has a record in these lines of a log:
    sed -n '100,110p' conversions.txt | cut -d , -f 3 |
      adseg explain --emails - --loyalty loyalty.txt --conversions conversions.txt";

/// How many near matches the text report lists.
const LISTED_NEAR_MATCHES: usize = 10;

/// How many characters of a promo, or of channel, items and total cost, the text report shows.
const SHOWN_CHARS: usize = 24;

/// The arguments of `adseg explain`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct ExplainArgs {
    /// The emails to explain, in this order; they come before the options
    #[arg(value_name = "EMAIL")]
    first_emails: Vec<OsString>,

    /// Explain this email; can be given several times, also after the files
    #[arg(long, value_name = "EMAIL")]
    email: Vec<OsString>,

    /// Explain the emails in FILE, one a line; `-` is standard input
    #[arg(long, value_name = "FILE")]
    emails: Option<PathBuf>,

    #[command(flatten)]
    inputs: InputArgs,

    /// The format of the report
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t, help_heading = "Report")]
    format: ReportFormat,

    #[command(flatten)]
    bad_records: BadRecordArgs,

    #[command(flatten)]
    messages: MessageArgs,

    #[command(flatten)]
    speed: SpeedArgs,
}

/// Executes `adseg explain`.
pub fn explain(args: &ExplainArgs, session: &Session) -> anyhow::Result<ExitCode> {
    let emails = emails(args)?;
    let inputs = Inputs::new(&args.inputs).map_err(|error| hint_at_email(error, &args.inputs))?;
    let output = Output::open(Path::new("-"), &inputs, session, CommitOrder::Output)?;
    let computation = Explain::new(emails.iter().map(Vec::as_slice));
    let arguments = (&args.inputs, &args.bad_records, &args.messages, &args.speed);
    let outcome = analyze(&computation, inputs, arguments, &output, session)?;
    let skipped = outcome.counts.rejects;
    let histories = Histories::merge(outcome.states);
    let printer = Printer { histories: &histories, line_index: &outcome.line_index, skipped };
    let mut out = BufWriter::new(output.writer());
    let mut print_all = || -> io::Result<()> {
        for (index, email) in emails.iter().enumerate() {
            match args.format {
                ReportFormat::Text => {
                    out.write_all(if index == 0 { b"" } else { b"\n" })?;
                    printer.write_text(email, &mut out)?;
                }
                ReportFormat::Jsonl => printer.write_jsonl(email, &mut out)?,
            }
        }
        out.flush()
    };
    print_all().map_err(|error| output.cannot_write(error))?;
    print_skipped(session, &args.messages, skipped);
    Ok(ExitCode::SUCCESS)
}

/// The emails that are asked for, in order, each once.
fn emails(args: &ExplainArgs) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut emails = Vec::new();
    for typed in args.first_emails.iter().chain(&args.email) {
        match parse_email(typed.as_encoded_bytes()) {
            Ok(email) => emails.push(email.to_vec()),
            Err(error) => return usage_error(error.to_string()),
        }
    }
    if let Some(path) = &args.emails {
        emails.extend(read_emails(path, &args.inputs)?);
    } else if emails.is_empty() {
        let hint = match file_like_email(&args.inputs) {
            Some(path) => format!("{} comes before the options, or after --email", escape::path(path)),
            None => "name one before the options, or a file of them with --emails FILE".to_owned(),
        };
        return usage_error(format!("no email is given; {hint}"));
    }
    let mut seen = HashSet::new();
    emails.retain(|email| seen.insert(email.clone()));
    Ok(emails)
}

fn read_emails(path: &Path, inputs: &InputArgs) -> anyhow::Result<Vec<Vec<u8>>> {
    let (name, bytes) = if is_dash(path) {
        if inputs.loyalty.iter().chain(&inputs.conversions).any(|path| is_dash(path)) {
            return usage_error(
                "'-' is named for the emails and for a source, and standard input can be read only once",
            );
        }
        ("stdin".to_owned(), read_stdin())
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

fn read_stdin() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stdin_file()?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// An email with a comma would never be found: in the data it ends there.
fn parse_email(typed: &[u8]) -> Result<&[u8], RecordError<'_>> {
    let email = trim(typed);
    check_table_email(email).map(|()| email)
}

/// An email after the files is read as one more file.
fn hint_at_email(error: anyhow::Error, inputs: &InputArgs) -> anyhow::Error {
    match file_like_email(inputs) {
        Some(path) => {
            let email = escape::path(path);
            anyhow!("{email}: no such file (if it is an email, put it before the options, or use --email {email})")
        }
        None => error,
    }
}

/// A file that does not exist and whose name looks like an email.
fn file_like_email(inputs: &InputArgs) -> Option<&PathBuf> {
    let mut files = inputs.loyalty.iter().chain(&inputs.conversions);
    files.find(|path| path.as_os_str().as_encoded_bytes().contains(&b'@') && !path.exists())
}

/// Prints histories.
struct Printer<'a> {
    histories: &'a Histories,
    line_index: &'a LineIndex,
    /// How many bad records were skipped. Whose they are is not known.
    skipped: u64,
}

/// Why a record led to what it led to. The decision is the campaign's; here it is put into words.
fn reason(entry: &Entry, history: &History) -> &'static str {
    let was_member = entry.was_member;
    let EntryKind::Conversion(conversion) = &entry.kind else {
        return if was_member {
            "already a member: replaces the earlier row"
        } else {
            "on the loyalty list: a member from here on"
        };
    };
    match conversion.kind {
        ConversionKind::Click if conversion.decision.send => "a member clicked",
        ConversionKind::Click if history.member_since.is_some_and(|since| since > entry.number) => "not a member yet",
        ConversionKind::Click => "not a member",
        ConversionKind::Basket => "a basket gets no code",
        ConversionKind::Purchase if conversion.decision.enrolled => "bought: a member from here on",
        ConversionKind::Purchase if was_member => "a member bought: only clicks get a code",
        ConversionKind::Purchase => "a purchase gets no code",
    }
}

/// How often a customer did what.
#[derive(Debug, Default, Serialize)]
struct Totals {
    loyalty_rows: u64,
    clicks: u64,
    baskets: u64,
    purchases: u64,
    codes: u64,
}

impl Totals {
    fn of(history: &History) -> Self {
        let mut totals = Self::default();
        for entry in &history.entries {
            let EntryKind::Conversion(conversion) = &entry.kind else {
                totals.loyalty_rows += 1;
                continue;
            };
            totals.codes += u64::from(conversion.decision.send);
            match conversion.kind {
                ConversionKind::Click => totals.clicks += 1,
                ConversionKind::Basket => totals.baskets += 1,
                ConversionKind::Purchase => totals.purchases += 1,
            }
        }
        totals
    }
}

/// `1 click`, `2 clicks`.
fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

impl Printer<'_> {
    fn write_text(&self, email: &[u8], out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{}", Escaped(email))?;
        let history = self.histories.get(email);
        match history {
            Some(history) => self.write_history(history, out)?,
            None if self.skipped == 0 => writeln!(out, "  occurs in no record")?,
            None => {
                let were = if self.skipped == 1 { "was" } else { "were" };
                writeln!(out, "  occurs in no good record ({} {were} skipped)", counted(self.skipped, "bad record"))?;
            }
        }
        let mut near_matches = self.histories.near_matches(email);
        for (other, of_other) in near_matches.by_ref().take(LISTED_NEAR_MATCHES) {
            let records = counted(of_other.entries.len() as u64, "record");
            let first = self.line_index.location(of_other.entries[0].number);
            let (before, after) = if history.is_some() { ("another customer is", "") } else { ("did you mean", "?") };
            writeln!(out, "  {before} \"{}\"{after} ({records}, the first at {first})", Escaped(other))?;
        }
        match near_matches.count() {
            0 => Ok(()),
            more => writeln!(out, "  and {more} more that differ only by case or white space"),
        }
    }

    fn write_history(&self, history: &History, out: &mut impl Write) -> io::Result<()> {
        let rows: Vec<[String; 6]> = history.entries.iter().map(|entry| self.row(entry, history)).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let (places, promos, details) = (width(0), width(2), width(3));
        for [place, kind, promo, detail, decision, reason] in &rows {
            writeln!(
                out,
                "  {place:places$}  {kind:<18}  {promo:promos$}  {detail:details$}  {decision:<5}  {reason}"
            )?;
        }
        let since = match history.member_since {
            Some(number) => format!("a member since {}", self.line_index.location(number)),
            None => "not a member".to_owned(),
        };
        let Totals { clicks, baskets, purchases, codes, .. } = Totals::of(history);
        let [clicks, baskets] = [counted(clicks, "click"), counted(baskets, "basket")];
        let [purchases, codes] = [counted(purchases, "purchase"), counted(codes, "code")];
        writeln!(out, "  {since}; {clicks}, {baskets}, {purchases}; {codes}")
    }

    fn row(&self, entry: &Entry, history: &History) -> [String; 6] {
        let place = self.line_index.location(entry.number).to_string();
        let (kind, promo, detail, decision) = match &entry.kind {
            EntryKind::LoyaltyRow => ("loyalty row", String::new(), String::new(), ""),
            EntryKind::Conversion(conversion) => (
                conversion.kind.name(),
                shorten(Escaped(&conversion.promo).to_string(), SHOWN_CHARS),
                shorten(detail(conversion), SHOWN_CHARS),
                if conversion.decision.send { "True" } else { "False" },
            ),
        };
        [place, kind.to_owned(), promo, detail, decision.to_owned(), reason(entry, history).to_owned()]
    }

    /// Writes a line for each record, and one for the customer.
    fn write_jsonl(&self, email: &[u8], out: &mut impl Write) -> io::Result<()> {
        let history = self.histories.get(email);
        for (history, entry) in
            history.into_iter().flat_map(|history| history.entries.iter().map(move |one| (history, one)))
        {
            json_line(&Line::Record(self.record(email, history, entry)), &mut *out)?;
        }
        let near_matches = self.histories.near_matches(email).map(|(other, history)| NearMatch {
            email: text(other),
            records: history.entries.len(),
            first: self.line_index.location(history.entries[0].number),
        });
        let customer = Customer {
            email: text(email),
            found: history.is_some(),
            member_since: history.and_then(|history| Some(self.line_index.location(history.member_since?))),
            totals: history.map_or_else(Totals::default, Totals::of),
            near_matches: near_matches.collect(),
        };
        json_line(&Line::Customer(customer), out)
    }

    fn record<'b>(&'b self, email: &'b [u8], history: &History, entry: &'b Entry) -> Record<'b> {
        let conversion = match &entry.kind {
            EntryKind::LoyaltyRow => None,
            EntryKind::Conversion(conversion) => Some(conversion),
        };
        Record {
            email: text(email),
            at: self.line_index.location(entry.number),
            conversion: conversion.map(|conversion| conversion.kind.name()),
            promo: conversion.map(|conversion| text(&conversion.promo)),
            channel: conversion.and_then(|conversion| conversion.channel.as_deref().map(text)),
            items: conversion
                .and_then(|conversion| Some(conversion.items.as_ref()?.iter().map(|id| text(id)).collect())),
            total_cost: conversion.and_then(|conversion| conversion.total_cost.as_deref().map(text)),
            member: entry.was_member,
            send: conversion.map(|conversion| conversion.decision.send),
            enrolled: conversion.map(|conversion| conversion.decision.enrolled),
            why: reason(entry, history),
        }
    }
}

/// Channel, items and total cost in one column.
fn detail(conversion: &ConversionEntry) -> String {
    let channel = conversion.channel.as_deref().map(|channel| Escaped(channel).to_string());
    let items = conversion.items.as_ref().map(|items| format!("[{}]", Escaped(&items.join(&b";"[..]))));
    let total_cost = conversion.total_cost.as_deref().map(|cost| Escaped(cost).to_string());
    [channel, items, total_cost].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Bytes in JSON, which is UTF-8: others become U+FFFD.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// A line for programs.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line<'a> {
    Record(Record<'a>),
    Customer(Customer<'a>),
}

/// One record of a customer. A loyalty row is no conversion and decides nothing.
#[derive(Serialize)]
struct Record<'a> {
    email: Cow<'a, str>,
    #[serde(flatten)]
    at: Location,
    conversion: Option<&'static str>,
    promo: Option<Cow<'a, str>>,
    #[serde(rename = "where")]
    channel: Option<Cow<'a, str>>,
    items: Option<Vec<Cow<'a, str>>>,
    total_cost: Option<Cow<'a, str>>,
    /// Whether the customer was a member before this record.
    member: bool,
    send: Option<bool>,
    enrolled: Option<bool>,
    why: &'static str,
}

/// A customer's totals.
#[derive(Serialize)]
struct Customer<'a> {
    email: Cow<'a, str>,
    /// Whether any record has this email.
    found: bool,
    member_since: Option<Location>,
    #[serde(flatten)]
    totals: Totals,
    near_matches: Vec<NearMatch<'a>>,
}

/// An email that differs only by case or white space.
#[derive(Serialize)]
struct NearMatch<'a> {
    email: Cow<'a, str>,
    records: usize,
    first: Location,
}
