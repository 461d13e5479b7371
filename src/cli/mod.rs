//! The command line: one file for each subcommand, with its arguments, its work and its output.
//!
//! | file | shared by several subcommands |
//! |---|---|
//! | `args` | groups of arguments, usage errors, exit codes |
//! | `input_args` | the arguments that name the inputs and say how they are read |
//! | `campaign_file`, `toml_section` | the campaign file: the same values from TOML |
//! | `campaign_print` | printing a campaign file |
//! | `files` | opening the input and output files, and checking them against each other |
//! | `replay` | replaying the inputs: settings, bad records, errors |
//! | `cluster`, `cluster_start`, `part_folder` | `adseg run` on several processes: its course, its start, its parts |
//! | `session` | signals, progress, committing files, printing errors |
//!
//! Only this module uses `anyhow`; the library's own errors are typed.

mod args;
mod campaign_file;
mod campaign_policy;
mod campaign_print;
mod check;
mod check_summary;
#[cfg(feature = "cluster")]
mod cluster;
#[cfg(feature = "cluster")]
mod cluster_args;
#[cfg(feature = "cluster")]
mod cluster_start;
mod completions;
mod diff;
mod explain;
mod file_id;
mod files;
mod frame;
mod generate;
mod input_args;
#[cfg(feature = "cluster")]
mod merge;
mod order_check;
#[cfg(feature = "cluster")]
mod part_folder;
mod policy_args;
mod replay;
mod report;
mod run;
mod run_outputs;
mod session;
mod summary;
mod toml_section;

use std::process::ExitCode;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand};

use crate::escape;
use crate::input::InputFormat;
use args::{EXIT_CODES, FAILED, NOT_CHECKED, USAGE_ERROR, near_match};
use session::{print_failure, print_line};

/// Decide who gets an additional promo code: replay an ad campaign's conversions against its loyalty list.
///
/// A loyalty member who clicks the ad gets a code. A purchase by a non-member makes the customer a member, so their next
/// click gets a code. adseg run writes one decision for each conversion, in input order.
#[derive(Debug, Parser)]
#[command(name = "adseg", bin_name = "adseg", version, after_help = format!("{EXIT_CODES}\n\n{OF_CHECKS}"))]
#[command(after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}\n\n{OF_CHECKS}"), max_term_width = 100)]
#[command(arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  adseg check --loyalty loyalty.txt --conversions conversions.txt
  adseg run --loyalty loyalty.txt --conversions conversions.txt
  adseg help run";

const OF_CHECKS: &str = "\
check and order-check exit with 0 if they have no findings, 1 if they have findings, and 2 if they could not check \
everything. diff exits with 0 if no decision differs, 1 if decisions differ, and 2 if it could not compare.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Decide each conversion: send an additional promo code or not
    #[command(long_about = run::LONG_ABOUT)]
    Run(run::RunArgs),

    /// Check the inputs before a run: report bad records and suspicious ones
    #[command(long_about = check::LONG_ABOUT)]
    Check(check::CheckArgs),

    /// Report the clicks whose decision depends on the order of the conversions files
    #[command(long_about = order_check::LONG_ABOUT)]
    OrderCheck(order_check::OrderCheckArgs),

    /// Explain why a customer got a code or not: print every record of an email
    #[command(long_about = explain::LONG_ABOUT)]
    Explain(explain::ExplainArgs),

    /// Compare the decisions under two campaign files
    #[command(long_about = diff::LONG_ABOUT)]
    Diff(diff::DiffArgs),

    /// Report campaign figures: clicks, customers, codes, purchases, revenue, new members
    #[command(long_about = report::LONG_ABOUT)]
    Report(report::ReportArgs),

    /// Merge the parts of a run on several machines into one file
    #[cfg(feature = "cluster")]
    #[command(long_about = merge::LONG_ABOUT)]
    Merge(merge::MergeArgs),

    /// Convert lines to length-prefixed frames
    #[command(long_about = frame::FRAME_LONG_ABOUT)]
    Frame(frame::FrameArgs),

    /// Convert length-prefixed frames to lines
    #[command(long_about = frame::UNFRAME_LONG_ABOUT)]
    Unframe(frame::FrameArgs),

    /// Generate sample data: a loyalty list and conversions
    #[command(long_about = generate::LONG_ABOUT)]
    Generate(generate::GenerateArgs),

    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),

    /// Print a man page, or write all of them to a directory
    Man(completions::ManArgs),
}

impl Command {
    /// The exit code of an error that is not a usage error.
    const fn failure_code(&self) -> u8 {
        match self {
            Self::Check(_) | Self::OrderCheck(_) | Self::Diff(_) => NOT_CHECKED,
            _ => FAILED,
        }
    }
}

/// Parses the arguments, executes the command, and prints why it failed. Returns the exit code.
///
/// # Panics
/// When a thread panics, which is a bug. No file is changed then.
pub fn execute() -> ExitCode {
    let mut cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return print_usage(error),
    };
    session::run(cli.command.failure_code(), move |session| match with_campaign_file(&mut cli.command)? {
        Command::Run(args) => run::run(args, session),
        Command::Check(args) => check::check(args, session),
        Command::OrderCheck(args) => order_check::order_check(args, session),
        Command::Explain(args) => explain::explain(args, session),
        Command::Diff(args) => diff::diff(args, session),
        Command::Report(args) => report::report(args, session),
        #[cfg(feature = "cluster")]
        Command::Merge(args) => merge::merge(args, session),
        Command::Frame(args) => frame::convert(args, InputFormat::Text, session),
        Command::Unframe(args) => frame::convert(args, InputFormat::Framed, session),
        Command::Generate(args) => generate::generate(args, session),
        Command::Completions(args) => completions::completions(args, Cli::command()),
        Command::Man(args) => completions::man(args, Cli::command()),
    })
}

/// The command with the values of its campaign files.
fn with_campaign_file(command: &mut Command) -> anyhow::Result<&Command> {
    match command {
        Command::Run(run::RunArgs { inputs, .. })
        | Command::Check(check::CheckArgs { inputs, .. })
        | Command::OrderCheck(order_check::OrderCheckArgs { inputs, .. })
        | Command::Explain(explain::ExplainArgs { inputs, .. })
        | Command::Report(report::ReportArgs { inputs, .. }) => campaign_file::add_campaign_file(inputs)?,
        Command::Diff(args) => args.add_campaign_files()?,
        #[cfg(feature = "cluster")]
        Command::Merge(_) => {}
        Command::Frame(_) | Command::Unframe(_) | Command::Generate(_) | Command::Completions(_) | Command::Man(_) => {}
    }
    Ok(command)
}

/// Prints the messages of clap: help and version on standard output, errors on standard error in the format of adseg.
fn print_usage(mut error: clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let help = error.render();
        let help = if console::colors_enabled() { help.ansi().to_string() } else { help.to_string() };
        return completions::print(help.as_bytes()).unwrap_or_else(|error| print_failure(&error, false, FAILED));
    }
    if error.kind() == ErrorKind::InvalidSubcommand
        && error.get(ContextKind::SuggestedSubcommand).is_none()
        && let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand)
        && let Some(similar) = similar_subcommand(typed)
    {
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(vec![similar]));
    }
    escape_arguments(&mut error);
    let rendered = error.render().to_string();
    let message = rendered.strip_prefix("error: ").map_or(rendered.clone(), |message| format!("adseg: {message}"));
    message.trim_end().lines().for_each(print_line);
    ExitCode::from(USAGE_ERROR)
}

/// Escapes the arguments in a message of clap before they become lines of it. The other parts of the message contain
/// no arguments.
fn escape_arguments(error: &mut clap::Error) {
    let context: Vec<_> = error.context().map(|(kind, value)| (kind, value.clone())).collect();
    for (kind, value) in context {
        let escaped = match value {
            ContextValue::String(text) => ContextValue::String(escape::text(&text)),
            ContextValue::Strings(texts) => {
                ContextValue::Strings(texts.iter().map(|text| escape::text(text)).collect())
            }
            ContextValue::StyledStrs(texts) => {
                let escaped = |text: &StyledStr| StyledStr::from(escape::text(&text.to_string()));
                ContextValue::StyledStrs(texts.iter().map(escaped).collect())
            }
            _ => continue,
        };
        error.insert(kind, escaped);
    }
}

fn similar_subcommand(typed: &str) -> Option<String> {
    let command = Cli::command();
    near_match(typed, command.get_subcommands().map(clap::Command::get_name)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn lines_of_examples_have_at_most_120_characters() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
            let examples = help.lines().filter(|line| line.starts_with("  "));
            let long: Vec<_> = examples.filter(|line| line.chars().count() > 120).collect();
            assert!(long.is_empty(), "{}: {long:?}", command.get_name());
        }
    }
}
