//! The arguments of `adseg check`.

use clap::{Args, ValueEnum};

use super::EXIT_CODES;
use super::shared::{InputArgs, ProgressWhen, SpeedArgs};

pub(super) const CHECK_LONG_ABOUT: &str = "\
Look at the data before the campaign: tell every bad record, and what was seen.

Everything is read and nothing is decided. What check passes, run takes: both read by the same rules. Every bad record \
of every input is told with file, line and reason; then what is legal but suspicious, each kind with the place where \
it was seen first: records with more fields than they need, emails without an @, emails that differ from a member's \
only by case, channels that were seen once. At the end it says how many records of which kind there were, and which \
promos and channels.

The report goes to the standard output. The exit code is 0 when there is no bad record, 1 when there is.";

const CHECK_EXAMPLES: &str = "\
Examples:
  Look before the campaign:
    adseg check --loyalty loyalty.txt --conversions conversions.txt

  How many records of tonight's export are bad, for a script:
    adseg check --loyalty list.csv --loyalty-format csv --conversions log.txt.gz --format jsonl | tail -n 1";

/// The arguments of `adseg check`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, after_long_help = format!("{CHECK_EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct CheckArgs {
    /// What is read.
    #[command(flatten)]
    pub inputs: InputArgs,

    /// How the report is written
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t, help_heading = "Report")]
    pub format: CheckFormat,

    /// Tell no more than N bad records; all are counted
    #[arg(long, value_name = "N", help_heading = "Report")]
    pub max_errors: Option<u64>,

    /// When to show a progress bar on the standard error
    #[arg(long, value_enum, value_name = "WHEN", default_value_t, help_heading = "Messages")]
    pub progress: ProgressWhen,

    /// What only changes the speed.
    #[command(flatten)]
    pub speed: SpeedArgs,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum CheckFormat {
    /// Lines and a table for people
    #[default]
    Text,
    /// One JSON object a line: errors, damage, warnings, and a summary last
    Jsonl,
}
