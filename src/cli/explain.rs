//! The arguments of `adseg explain`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::EXIT_CODES;
use super::reading::{ReadingArgs, ReadingFormat};

pub(super) const EXPLAIN_LONG_ABOUT: &str = "\
Tell why customers got a code or not: everything that the data says of each email, in order.

Every record of the email is told with file and line, what was decided on it, and why; then how often the customer \
clicked, put something into a basket and bought, and how many codes that gave. The inputs and the order in which they are \
named mean the same as for adseg run, and it is the same code that decides.

An email is the same customer only when every byte is the same. Emails that differ only by case or white space are \
other customers, and are told as near misses. That an email occurs nowhere is an answer like any other: the exit code \
is 0.";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  Why did this customer get a code, and that one none?
    adseg explain kim@example.com lee@example.com --loyalty loyalty.txt --conversions mon.txt tue.txt

  The records of a list of customers, for a program:
    adseg explain --emails complaints.txt --format jsonl \\
      --loyalty loyalty.txt --conversions conversions.txt.gz | jq 'select(.kind == \"record\" and .send)'

  Whoever did something between two lines of a log:
    sed -n '100,110p' conversions.txt | cut -d , -f 3 |
      adseg explain --emails - --loyalty loyalty.txt --conversions conversions.txt";

/// The arguments of `adseg explain`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, after_long_help = format!("{EXPLAIN_EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct ExplainArgs {
    /// The emails to explain, in this order
    ///
    /// They may also stand last: where no email is named elsewhere, names behind the conversions that hold an @ and are
    /// no files are emails.
    #[arg(value_name = "EMAIL")]
    pub named: Vec<OsString>,

    /// Explain the emails in FILE as well, one a line; `-` is the standard input, if no source is
    #[arg(long, value_name = "FILE")]
    pub emails: Option<PathBuf>,

    /// How the stories are told
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t, help_heading = "Report")]
    pub format: ReadingFormat,

    /// What is read, and how.
    #[command(flatten)]
    pub reading: ReadingArgs,
}
