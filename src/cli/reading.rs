//! The arguments of subcommands that go through the inputs as `adseg run` does and report on them instead of answering.

use clap::{Args, ValueEnum};

use super::run::OnError;
use super::shared::{InputArgs, ProgressWhen, SpeedArgs};

/// What such a subcommand takes beside what it is for.
#[derive(Debug, Args)]
pub struct ReadingArgs {
    /// What is read.
    #[command(flatten)]
    pub inputs: InputArgs,

    /// What a bad record does
    #[arg(long, value_enum, value_name = "WHAT", default_value_t, help_heading = "Bad records")]
    pub on_error: OnError,

    /// Fail when more than N records have to be skipped
    #[arg(long, value_name = "N", help_heading = "Bad records")]
    pub max_rejects: Option<u64>,

    /// When to show a progress bar on the standard error
    #[arg(long, value_enum, value_name = "WHEN", default_value_t, help_heading = "Messages")]
    pub progress: ProgressWhen,

    /// Say nothing but errors and how many records were bad
    #[arg(short, long, help_heading = "Messages")]
    pub quiet: bool,

    /// What only changes the speed.
    #[command(flatten)]
    pub speed: SpeedArgs,
}

/// How such a subcommand reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ReadingFormat {
    /// Lines for people
    #[default]
    Text,
    /// One JSON object a line
    Jsonl,
}
