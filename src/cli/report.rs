//! The arguments of `adseg report`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::EXIT_CODES;
use super::reading::ReadingArgs;

pub(super) const REPORT_LONG_ABOUT: &str = "\
Tell what the campaign did: clicks, customers, codes, purchases, revenue and new members.

The campaign is replayed as run does it, by the same rule, and nothing is answered but counted: clicks by promo and \
channel with the customers and codes that came of them; the funnel from click to basket to purchase, in the order in \
which it happened; revenue, exact to the last digit; new members; what was bought; and who the members are. Customers \
who were members when their first conversion came stand beside everybody else.

The report goes to the standard output as tables. --html FILE writes it as a page with pictures beside: one file that \
needs no other, to be mailed or printed. What each figure counts is told at the foot of the page and in the README.";

const REPORT_EXAMPLES: &str = "\
Examples:
  What the campaign did:
    adseg report --loyalty loyalty.txt --conversions conversions.txt

  A page for the meeting, and nothing in the terminal:
    adseg report --loyalty loyalty.txt --conversions conversions.txt --html report.html -o /dev/null

  What came of each channel, for a script:
    adseg report --loyalty loyalty.txt --conversions conversions.txt --format json | jq .channels

  For a spreadsheet, one figure a row:
    adseg report --loyalty loyalty.txt --conversions conversions.txt --format csv -o report.csv";

/// The arguments of `adseg report`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, after_long_help = format!("{REPORT_EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct ReportArgs {
    /// What is read, and how.
    #[command(flatten)]
    pub reading: ReadingArgs,

    /// How the report is written
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t, help_heading = "Report")]
    pub format: ReportFormat,

    /// Write the report to FILE, which is left alone until it is done; `-` is the standard output
    #[arg(short, long, value_name = "FILE", help_heading = "Report")]
    pub output: Option<PathBuf>,

    /// Write the report as a page with pictures, too; `-` is the standard output
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub html: Option<PathBuf>,

    /// How many promos, channels and items the tables and the page list; json and csv have all of them
    #[arg(long, value_name = "N", default_value_t = 10, help_heading = "Report")]
    pub top: usize,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ReportFormat {
    /// Tables for people
    #[default]
    Text,
    /// One JSON object
    Json,
    /// CSV with one figure a row: table, name, channel, figure, value
    Csv,
}
