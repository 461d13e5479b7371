//! Arguments that several subcommands take.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// The two sources.
#[derive(Debug, Args)]
pub struct InputArgs {
    /// The loyalty list; `-` is the standard input
    #[arg(long, value_name = "FILE", num_args = 1.., required = true, help_heading = "Inputs")]
    pub loyalty: Vec<PathBuf>,

    /// The conversions, read in this order as if they were one file; `-` is the standard input
    #[arg(long, value_name = "FILE", num_args = 1.., required = true, help_heading = "Inputs")]
    pub conversions: Vec<PathBuf>,

    /// How the inputs mark their records; gzip and zstd are unpacked in any case
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
    /// CSV with a header row: the columns email, fb_user, insta_user and gender for a list; promo, conversion and email,
    /// and where, items and total_cost as far as rows need them, for conversions; in any order, among others
    Csv,
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

/// What only changes the speed.
#[derive(Debug, Args)]
pub struct SpeedArgs {
    /// How many partitions the customers are sharded into; the answers do not depend on it
    ///
    /// More than a few for each thread buy nothing. Ten thousand, which is the most that is taken, cost three to four times
    /// the time, and some thirty megabytes, or a hundred with hundreds of threads.
    #[arg(long, value_name = "N", default_value = "10", help_heading = "Speed")]
    #[arg(value_parser = parse_partitions)]
    pub partitions: NonZeroU32,

    /// How many threads work side by side [default: one for each core]
    #[arg(long, value_name = "N", help_heading = "Speed")]
    #[arg(value_parser = parse_threads)]
    pub threads: Option<NonZeroUsize>,
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
