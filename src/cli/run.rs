//! The arguments of `adseg run`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::EXIT_CODES;
use super::shared::{InputArgs, ProgressWhen, SpeedArgs};

pub(super) const RUN_LONG_ABOUT: &str = "\
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
    ///
    /// A file is on the disk before it takes its name, and its name is before the saved list takes its own. Only a run that
    /// is killed (`kill -9`, a crash of the machine) may leave files beside it, whose names begin with `.adseg-`; they can be
    /// deleted.
    #[arg(short, long, value_name = "FILE", help_heading = "Outputs")]
    pub output: Option<PathBuf>,

    /// How the answers are written
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t, help_heading = "Outputs")]
    pub output_format: OutputFormatArg,

    /// Write only the conversions that get a code
    #[arg(long, help_heading = "Outputs")]
    pub send_only: bool,

    /// Write the loyalty list as it stands at the end, as text; FILE may be the list that was read, if that is text
    ///
    /// One run at a time may save to a list. While it is at work, another one that would save to the same list is refused
    /// before it reads anything, with exit code 1. When somebody else changes the list meanwhile, the run fails at its end
    /// and leaves all files as they are.
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

    /// Say nothing but errors, how many records were bad, and what --summary asks for
    #[arg(short, long, help_heading = "Messages")]
    pub quiet: bool,

    /// Tell on the standard error what was read, decided and enrolled
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = "Messages")]
    #[arg(num_args = 0..=1, default_missing_value = "text")]
    pub summary: Option<SummaryFormat>,

    /// What only changes the speed.
    #[command(flatten)]
    pub speed: SpeedArgs,
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

/// How the summary is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SummaryFormat {
    /// A table for people
    Text,
    /// One line of JSON
    Json,
}
