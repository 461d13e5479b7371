//! `adseg explain`: prints every record of some emails, with its decision and the reason.

mod report;

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::Args;

use self::report::Printer;
use super::args::{BadRecordArgs, InputArgs, MessageArgs, ReportFormat, SpeedArgs};
use super::inputs::{Inputs, is_dash};
use super::outputs::Output;
use super::replay::{analyze, print_skipped};
use super::session::Session;
use super::{EXIT_CODES, usage_error};
use crate::analysis::{Explain, Histories};
use crate::escape;
use crate::input::BYTE_ORDER_MARK;
use crate::output::CommitOrder;
use crate::record::field::trim;
use crate::record::{RecordError, check_table_email};
use crate::system::stdin_file;

pub(super) const LONG_ABOUT: &str = "\
Explain why a customer got a code or not: print every record of an email, in order.

explain prints each record with file and line, its fields, its decision and the reason, followed by the customer's \
number of clicks, baskets, purchases and codes. It reads the inputs in the same order as adseg run and applies the \
same rule.

Two emails are the same customer only if every byte is the same. Emails that differ only by case or white space are \
other customers and are listed as near matches. An email that is not found is not an error: the exit code is 0.";

const EXAMPLES: &str = "\
Examples:
  Compare two customers:
    adseg explain kim@example.com lee@example.com --loyalty loyalty.txt --conversions mon.txt tue.txt

  Print the decisions to send a code for a list of customers, as JSON:
    adseg explain --emails complaints.txt --format jsonl \\
      --loyalty loyalty.txt --conversions conversions.txt.gz | jq 'select(.kind == \"record\" and .send)'

  Explain every customer with a record in these lines of a log:
    sed -n '100,110p' conversions.txt | cut -d , -f 3 |
      adseg explain --emails - --loyalty loyalty.txt --conversions conversions.txt";

/// The arguments of `adseg explain`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct ExplainArgs {
    /// The emails to explain, in this order; they precede the options
    #[arg(value_name = "EMAIL")]
    first_emails: Vec<OsString>,

    /// Explain this email; can be repeated, and can follow other options
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
    let inputs = Inputs::new(&args.inputs).map_err(|error| suggest_email_option(error, &args.inputs))?;
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

/// The requested emails in order, without duplicates.
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
        let hint = match email_among_files(&args.inputs) {
            Some(path) => format!("put {} before the options, or use --email", escape::path(path)),
            None => "name emails before the options, or name a file of emails with --emails FILE".to_owned(),
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
                "standard input ('-') is named for the emails and for a source, but can be read only once",
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

/// Parses an email. A comma is an error, because no email in the data contains one.
fn parse_email(typed: &[u8]) -> Result<&[u8], RecordError<'_>> {
    let email = trim(typed);
    check_table_email(email).map(|()| email)
}

/// Replaces the error for a missing file if its name looks like an email that follows the options.
fn suggest_email_option(error: anyhow::Error, inputs: &InputArgs) -> anyhow::Error {
    match email_among_files(inputs) {
        Some(path) => {
            let email = escape::path(path);
            anyhow!("{email}: no such file (if it is an email, put it before the options, or use --email {email})")
        }
        None => error,
    }
}

/// An input that does not exist and whose name looks like an email.
fn email_among_files(inputs: &InputArgs) -> Option<&PathBuf> {
    let mut files = inputs.loyalty.iter().chain(&inputs.conversions);
    files.find(|path| path.as_os_str().as_encoded_bytes().contains(&b'@') && !path.exists())
}
