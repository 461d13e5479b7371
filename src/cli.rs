//! The command line: what a user can type, and the help that teaches it.
//!
//! No work is done here and nothing of the crate is imported, so that the man pages can be made from these types alone.
//! What the arguments mean together is checked in [`crate::commands`].

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

const ABOUT: &str = "Decide who gets an additional promo code: replay an ad campaign's conversions against its \
                     loyalty list";

const LONG_ABOUT: &str = "Decide who gets an additional promo code: replay an ad campaign's conversions against its \
                          loyalty list.\n\nWhen a loyalty member clicks the ad, adseg says to send them a code. When \
                          somebody who is not a member buys, they become one, and their next click gets a code. There \
                          is one line of answer for every conversion, in the order of the input.";

/// What was typed.
#[derive(Debug, Parser)]
#[command(name = "adseg", version, about = ABOUT, long_about = LONG_ABOUT, after_help = EXIT_CODES)]
#[command(after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"), max_term_width = 100)]
#[command(arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  adseg check --loyalty loyalty.txt --conversions conversions.txt
  adseg run --loyalty loyalty.txt --conversions conversions.txt
  adseg help run";

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    bad data, or a read or a write that failed
  2    wrong usage
  130  interrupted by SIGINT, SIGTERM or SIGHUP; no half-written file is left

A reader that goes away (adseg run … | head) ends a run quietly, with 0; with 1 if files were
still to be put in place.";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Answer every conversion: send an additional promo code, or not
    #[command(long_about = RUN_LONG_ABOUT)]
    Run(RunArgs),

    /// Look at the data before the campaign: tell every bad record, and what was seen
    #[command(long_about = CHECK_LONG_ABOUT)]
    Check(CheckArgs),
}

const RUN_LONG_ABOUT: &str = "\
Answer every conversion: send an additional promo code, or not.

The loyalty list is loaded first, then the conversions are replayed. For each of them one line is written:

  Send additional promo code to: playfulwally@fakeemail.com, True

True for a member's click; False for everything else. A purchase by somebody who is not a member makes them one, from \
the next record on.

A loyalty row is `email, Facebook user, Instagram user, gender`. A conversion is one of these:

  promo, ClickConversion, email, where

  promo, BasketConversion, email, [item;item]

  promo, PurchaseConversion, email, [item;item], total cost

Records stand one on a line, or each behind its length in 4 bytes, big-endian.

A file named `-` is the standard input. When both sources are `-`, the standard input is one stream of loyalty rows \
and conversions in the order in which they happened.";

const RUN_EXAMPLES: &str = "\
Examples:
  Answer a log of conversions:
    adseg run --loyalty loyalty.txt --conversions conversions.txt

  Several files, in this order; write only who gets a code, to a file that is whole or not there:
    adseg run --loyalty loyalty.txt --conversions mon.txt tue.txt --send-only -o codes.txt

  Answer events as they arrive:
    tail -n +1 -f conversions.txt | adseg run --loyalty loyalty.txt --conversions -

  Put bad records aside, and keep tonight's list for tomorrow:
    adseg run --loyalty loyalty.txt --conversions conversions.txt \\
      --on-error skip --rejects rejects --save-loyalty loyalty.txt -o codes.txt --summary";

/// The arguments of `adseg run`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
#[command(after_long_help = format!("{RUN_EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct RunArgs {
    /// What is read.
    #[command(flatten)]
    pub inputs: InputArgs,

    /// Write to FILE, which is left alone until the run is done; `-` is the standard output
    #[arg(short, long, value_name = "FILE", help_heading = "Outputs")]
    pub output: Option<PathBuf>,

    /// How the answers are written
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t, help_heading = "Outputs")]
    pub output_format: OutputFormatArg,

    /// Write only the conversions that get a code
    #[arg(long, help_heading = "Outputs")]
    pub send_only: bool,

    /// Write the loyalty list as it stands at the end; FILE may be the list that was read
    #[arg(long, value_name = "FILE", help_heading = "Outputs")]
    pub save_loyalty: Option<PathBuf>,

    /// What a bad record does
    #[arg(long, value_enum, value_name = "WHAT", default_value_t, help_heading = "Bad records")]
    pub on_error: OnError,

    /// Keep skipped records and what is wrong with them in this folder
    ///
    /// Every bad record is kept verbatim and in input order, in one file for each source and framing (`loyalty.txt`,
    /// `conversions.frames` and so on), so that it can be mended and fed in again. Beside them `errors.jsonl` tells file,
    /// line or frame, byte and reason of each. The folder must be new, empty, or an earlier run's, whose files are
    /// replaced. A run that fails keeps nothing there.
    #[arg(long, value_name = "DIR", help_heading = "Bad records")]
    pub rejects: Option<PathBuf>,

    /// Fail when more than N records have to be skipped
    #[arg(long, value_name = "N", help_heading = "Bad records")]
    pub max_rejects: Option<u64>,

    /// When to show a progress bar on the standard error
    #[arg(long, value_enum, value_name = "WHEN", default_value_t, help_heading = "Messages")]
    pub progress: ProgressWhen,

    /// Say nothing but errors and how many records were bad
    #[arg(short, long, help_heading = "Messages")]
    pub quiet: bool,

    /// Tell on the standard error what was read, decided and enrolled
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = "Messages")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "text")]
    pub summary: Option<SummaryFormat>,

    /// What only changes the speed.
    #[command(flatten)]
    pub speed: SpeedArgs,
}

/// What only changes the speed.
#[derive(Debug, Args)]
pub struct SpeedArgs {
    /// How many partitions the customers are sharded into; the answers do not depend on it
    #[arg(long, value_name = "N", default_value = "10", help_heading = "Speed")]
    #[arg(value_parser = parse_partitions)]
    pub partitions: NonZeroU32,

    /// How many threads work side by side [default: one for each core]
    #[arg(long, value_name = "N", help_heading = "Speed")]
    #[arg(value_parser = parse_threads)]
    pub threads: Option<NonZeroUsize>,
}

const CHECK_LONG_ABOUT: &str = "\
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
    /// One JSON object a line: errors, warnings, and a summary last
    Jsonl,
}

/// The two sources.
#[derive(Debug, Args)]
pub struct InputArgs {
    /// The loyalty list; `-` is the standard input
    #[arg(long, value_name = "FILE", num_args = 1.., required = true, help_heading = "Inputs")]
    pub loyalty: Vec<PathBuf>,

    /// The conversions, read in this order as if they were one file; `-` is the standard input
    #[arg(long, value_name = "FILE", num_args = 1.., required = true, help_heading = "Inputs")]
    pub conversions: Vec<PathBuf>,

    /// How the inputs mark their records
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t, help_heading = "Inputs")]
    pub input_format: InputFormatArg,

    /// How the loyalty list marks its records, where the conversions differ [default: as --input-format]
    #[arg(long, value_enum, value_name = "FORMAT", hide_possible_values = true, help_heading = "Inputs")]
    pub loyalty_format: Option<InputFormatArg>,

    /// How the conversions mark their records, where the loyalty list differs [default: as --input-format]
    #[arg(long, value_enum, value_name = "FORMAT", hide_possible_values = true, help_heading = "Inputs")]
    pub conversions_format: Option<InputFormatArg>,

    /// The longest record that is taken, without its line feed; a longer one is a bad record and costs no memory
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20, help_heading = "Inputs")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1 << 30))]
    pub max_record_bytes: u32,
}

/// How inputs mark their records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum InputFormatArg {
    /// Look at the first byte of each input: text does not begin with 0x00, a frame of under 16 MiB does
    #[default]
    Auto,
    /// One record a line
    Text,
    /// Each record behind its length, 4 bytes, big-endian
    Framed,
    /// CSV with a header row: columns by name, in any order, fields quoted where need be
    Csv,
}

/// How answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum OutputFormatArg {
    /// The line `Send additional promo code to: EMAIL, True`
    #[default]
    Text,
    /// The same line behind its length, 4 bytes, big-endian, as a Wallaroo receiver reads it
    Framed,
    /// One JSON object a line, with every field of the conversion
    Jsonl,
    /// CSV with a header row, with every field of the conversion
    Csv,
}

/// What a bad record does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum OnError {
    /// End the run
    #[default]
    Stop,
    /// Put it aside and go on
    Skip,
}

/// When progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ProgressWhen {
    /// When the standard error is a terminal, and the answers do not go to one
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// How the summary is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SummaryFormat {
    /// A table for people
    Text,
    /// One line of JSON
    Json,
}

/// More partitions than this only cost: each of them has a table and lists of its own.
const MAX_PARTITIONS: u32 = 10_000;

/// More threads than this are surely a slip.
const MAX_THREADS: usize = 256;

fn parse_partitions(text: &str) -> Result<NonZeroU32, String> {
    let partitions = text.parse::<NonZeroU32>().ok().filter(|partitions| partitions.get() <= MAX_PARTITIONS);
    partitions.ok_or_else(|| format!("expected a number from 1 to {MAX_PARTITIONS}"))
}

fn parse_threads(text: &str) -> Result<NonZeroUsize, String> {
    let threads = text.parse::<NonZeroUsize>().ok().filter(|threads| threads.get() <= MAX_THREADS);
    threads.ok_or_else(|| format!("expected a number from 1 to {MAX_THREADS}"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
