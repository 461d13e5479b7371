//! Groups of arguments that several subcommands share, usage errors, and exit codes. Every subcommand lists its
//! arguments in the same order: inputs, its own, bad records, messages, speed.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use thiserror::Error;

use crate::engine::DEFAULT_PARTITIONS;
use crate::escape;
use crate::input::DEFAULT_MAX_RECORD_BYTES;

/// Bad data, or a failed read or write.
pub const FAILED: u8 = 1;
pub const USAGE_ERROR: u8 = 2;

/// `check` and `order-check` have findings, and `diff` has differences.
pub const FINDINGS: u8 = 1;
/// `check` and `order-check` could not check everything, and `diff` could not compare.
pub const NOT_CHECKED: u8 = 2;

pub const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    bad data, too few codes, or a failed read or write
  2    usage error
  101  internal error (a bug); please report it
  130  interrupted by SIGINT, SIGTERM or SIGHUP; no file was changed

A closed pipe (adseg run ... | head) ends a command quietly: with 0, or with 1 if it had files to
write, which are discarded.";

/// The exit codes of `check` and `order-check`.
pub const CHECK_EXIT_CODES: &str = "\
Exit codes:
  0    no findings
  1    findings
  2    not checked: usage error, an input that is missing, damaged or cannot be read, or a failed write
  101  internal error (a bug); please report it
  130  interrupted by SIGINT, SIGTERM or SIGHUP; no file was changed

A closed pipe (adseg check ... | head) ends the command quietly with 2.";

/// The exit codes of `diff`.
pub const DIFF_EXIT_CODES: &str = "\
Exit codes:
  0    no decision differs
  1    decisions differ
  2    not compared: usage error, an input that is missing, damaged or cannot be read, or a failed write
  101  internal error (a bug); please report it
  130  interrupted by SIGINT, SIGTERM or SIGHUP; no file was changed

A closed pipe (adseg diff ... | head) ends the command quietly with 2.";

/// Arguments that clap accepts but that are invalid together, or an invalid campaign file. The exit code is 2.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// Standard error is the ledger, so the message is printed on standard output, unless that is the ledger too.
#[derive(Debug, Error)]
#[error("standard error is the ledger {}; write it to another file", escape::path(.ledger))]
pub struct StderrIsLedger {
    pub ledger: PathBuf,
    pub is_stdout: bool,
}

/// A usage error, as the `Err` of a check.
pub fn usage_error<T>(message: impl Into<String>) -> anyhow::Result<T> {
    let message = message.into();
    Err(UsageError(format!("{message}\n\nFor more information, try '--help'.")).into())
}

/// The name with the smallest edit distance, if it is at most 2.
pub fn near_match<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const MAX_EDITS: usize = 2;
    let (edits, name) = names.map(|name| (strsim::osa_distance(name, typed), name)).min()?;
    (edits <= MAX_EDITS && edits < name.len()).then_some(name)
}

#[derive(Debug, Args)]
pub struct MaxRecordBytes {
    /// The maximum record length, without the line feed; a longer record is bad and is not buffered
    ///
    /// A run needs memory for up to 8 times the length of one long record, and for up to 20 times if several follow
    /// each other.
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_MAX_RECORD_BYTES, allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1 << 30), help_heading = "Inputs")]
    max_record_bytes: u32,
}

impl MaxRecordBytes {
    pub const fn get(&self) -> usize {
        self.max_record_bytes as usize
    }
}

#[derive(Debug, Args)]
pub struct BadRecordArgs {
    /// The action for a bad record
    #[arg(long, value_enum, value_name = "ACTION", default_value_t, help_heading = "Bad records")]
    pub on_error: OnError,

    /// Fail after more than N bad records
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true, help_heading = "Bad records")]
    pub max_rejects: Option<u64>,
}

impl BadRecordArgs {
    /// The number of bad records that are skipped before the command fails.
    ///
    /// # Errors
    /// When `--max-rejects` is given and bad records are not skipped.
    pub fn allowed(&self) -> anyhow::Result<u64> {
        match (self.on_error, self.max_rejects) {
            (OnError::Skip, limit) => Ok(limit.unwrap_or(u64::MAX)),
            (OnError::Stop, None) => Ok(0),
            (OnError::Stop, Some(_)) => {
                usage_error("--max-rejects needs --on-error skip; without it the first bad record ends the run")
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum OnError {
    /// Stop at the first bad record in input order
    #[default]
    Stop,
    /// Skip bad records; print the first five, count all
    Skip,
}

#[derive(Debug, Args)]
pub struct MessageArgs {
    /// When to show a progress bar on standard error
    #[arg(long, value_enum, value_name = "WHEN", default_value_t, help_heading = "Messages")]
    pub progress: ProgressWhen,

    /// Print only errors and the number of bad records on standard error
    #[arg(short, long, help_heading = "Messages")]
    pub quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ProgressWhen {
    /// If standard error is a terminal and the output is not
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Options that affect only the speed.
#[derive(Debug, Args)]
pub struct SpeedArgs {
    /// The number of partitions that customers are divided into; the output does not depend on it
    ///
    /// A few for each thread are enough. The maximum, 10,000, makes a run three to four times slower and needs about
    /// 30 MB more, or 100 MB with hundreds of threads. check, diff and report use at most 16.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_PARTITIONS, help_heading = "Speed")]
    #[arg(value_parser = up_to::<MAX_PARTITIONS, NonZeroU32>, allow_negative_numbers = true)]
    pub partitions: NonZeroU32,

    /// The number of threads [default: one for each core]
    #[arg(long, value_name = "N", help_heading = "Speed")]
    #[arg(value_parser = up_to::<MAX_THREADS, NonZeroUsize>, allow_negative_numbers = true)]
    pub threads: Option<NonZeroUsize>,
}

/// Each partition has its own table and buffers, so more partitions only add cost.
const MAX_PARTITIONS: u32 = 10_000;

/// A larger number is probably a typo.
const MAX_THREADS: u32 = 256;

/// A whole number from 1 to `MAX`.
fn up_to<const MAX: u32, N: TryFrom<NonZeroU32>>(text: &str) -> Result<N, String> {
    let number = text.parse::<NonZeroU32>().ok().filter(|number| number.get() <= MAX);
    number.and_then(|number| number.try_into().ok()).ok_or_else(|| format!("expected a number from 1 to {MAX}"))
}

/// A whole number, 0 or more.
pub fn count(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "expected a whole number, 0 or more".to_owned())
}

/// The arguments of every command that replays the inputs.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    #[command(flatten)]
    pub bad_records: BadRecordArgs,

    #[command(flatten)]
    pub messages: MessageArgs,

    #[command(flatten)]
    pub speed: SpeedArgs,
}

/// The report of `explain`, `order-check`, `check` and `diff`.
#[derive(Debug, Args)]
pub struct ReportOutputArgs {
    /// The format of the report
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t, help_heading = "Report")]
    pub format: ReportFormat,

    /// Write the report to FILE, which is replaced when the report is complete; `-` is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-", hide_default_value = true, help_heading = "Report")]
    pub output: PathBuf,
}

/// The format of a report that `explain`, `order-check`, `check` and `diff` write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ReportFormat {
    /// Human-readable text
    #[default]
    Text,
    /// JSON Lines: one JSON object per line, which can be read while it is written
    Jsonl,
}
