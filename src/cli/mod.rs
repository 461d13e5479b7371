//! The command line: one file for each subcommand, with its arguments, its work and its output.
//!
//! | file | shared by several subcommands |
//! |---|---|
//! | `args` | groups of arguments |
//! | `inputs`, `outputs` | opening the input and output files, and checking them against each other |
//! | `replay` | replaying the inputs: settings, bad records, errors |
//! | `session` | signals, progress, committing files |
//!
//! Only this module uses `anyhow`; the library's own errors are typed.

mod args;
mod check;
mod completions;
mod explain;
mod frame;
mod generate;
mod inputs;
mod order_check;
mod outputs;
mod replay;
mod report;
mod run;
mod session;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand};
use thiserror::Error;

use crate::escape;
use crate::system::os_error;

pub use session::CommandFailure;

const ABOUT: &str = "Decide who gets an additional promo code: replay an ad campaign's conversions against its \
                     loyalty list";

const LONG_ABOUT: &str = "Decide who gets an additional promo code: replay an ad campaign's conversions against its \
                          loyalty list.\n\nA loyalty member who clicks the ad gets a code. A purchase \
                          by a non-member makes the customer a member, so their next click gets a code. adseg run \
                          writes one decision for each conversion, in input order.";

/// The parsed command line.
#[derive(Debug, Parser)]
#[command(name = "adseg", version, about = ABOUT, long_about = LONG_ABOUT, after_help = EXIT_CODES)]
#[command(after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"), max_term_width = 100)]
#[command(arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  adseg check --loyalty loyalty.txt --conversions conversions.txt
  adseg run --loyalty loyalty.txt --conversions conversions.txt
  adseg help run";

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    bad data, or a failed read or write
  2    wrong usage
  101  internal error (a bug); no file was changed
  130  interrupted by SIGINT, SIGTERM or SIGHUP; no file was changed

A closed pipe (adseg run ... | head) ends a command quietly: with 0, or with 1 if it had files to
write, which are discarded.";

/// The subcommands.
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

    /// Report campaign figures: clicks, customers, codes, purchases, revenue, new members
    #[command(long_about = report::LONG_ABOUT)]
    Report(report::ReportArgs),

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

    /// Print a man page, or write all of them to a folder
    Man(completions::ManArgs),
}

/// Bad data, or a failed read or write.
const FAILED: u8 = 1;
/// Wrong usage.
const WRONG_USAGE: u8 = 2;
/// Interrupted by a signal: 128 + SIGINT, as in a shell.
const INTERRUPTED: u8 = 130;

/// Executes the command.
///
/// # Errors
/// When the command fails, or the reader of its output closes the pipe.
///
/// # Panics
/// When a thread panics, which is a bug. No file is changed then.
pub fn execute(cli: Cli) -> Result<ExitCode, CommandFailure> {
    session::run(move |session| match &cli.command {
        Command::Run(args) => run::run(args, session),
        Command::Check(args) => check::check(args, session),
        Command::OrderCheck(args) => order_check::order_check(args, session),
        Command::Explain(args) => explain::explain(args, session),
        Command::Report(args) => report::report(args, session),
        Command::Frame(args) => frame::frame(args, session),
        Command::Unframe(args) => frame::unframe(args, session),
        Command::Generate(args) => generate::generate(args, session),
        Command::Completions(args) => completions::completions(args),
        Command::Man(args) => completions::man(args),
    })
}

/// Arguments that clap accepts but that are invalid together. The exit code is that of wrong usage.
#[derive(Debug, Error)]
#[error("{0}\n\nFor more information, try '--help'.")]
struct UsageError(String);

/// A usage error, as the `Err` of a check.
fn usage_error<T>(message: impl Into<String>) -> anyhow::Result<T> {
    Err(UsageError(message.into()).into())
}

/// Prints why a command failed, with all causes, and returns its exit code.
pub fn print_error(error: &anyhow::Error) -> ExitCode {
    let text = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().map_or_else(|| cause.to_string(), os_error)
    };
    // The text of a typed error includes its cause, which some errors also have as their source.
    let mut message = String::new();
    for cause in error.chain().map(text).filter(|cause| !cause.is_empty()) {
        if message.is_empty() {
            message = cause;
        } else if !message.ends_with(&cause) {
            message = format!("{message}: {cause}");
        }
    }
    session::print_line(&format!("adseg: {message}"));
    ExitCode::from(if error.is::<UsageError>() { WRONG_USAGE } else { FAILED })
}

/// Prints the messages of clap: help and version on standard output, errors on standard error in the format of adseg.
pub fn print_usage_error(mut error: clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let printed = error.print().and_then(|()| io::stdout().flush());
        return match printed {
            Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => {
                print_error(&anyhow::Error::new(cause).context("stdout: cannot write"))
            }
            Ok(()) | Err(_) => ExitCode::SUCCESS,
        };
    }
    if error.kind() == ErrorKind::InvalidSubcommand
        && error.get(ContextKind::SuggestedSubcommand).is_none()
        && let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand)
        && let Some(similar) = similar_subcommand(typed)
    {
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(vec![similar]));
    }
    let rendered = error.render().to_string();
    let message = rendered.strip_prefix("error: ").map_or(rendered.clone(), |message| format!("adseg: {message}"));
    // Arguments are untrusted.
    for line in message.trim_end().lines() {
        session::print_line(&escape::text(line));
    }
    ExitCode::from(WRONG_USAGE)
}

/// The subcommand with the smallest edit distance, if it is at most 2.
fn similar_subcommand(typed: &str) -> Option<String> {
    const MAX_EDITS: usize = 2;
    let command = Cli::command();
    let distances = command.get_subcommands().map(|subcommand| {
        let name = subcommand.get_name();
        (strsim::osa_distance(name, typed), name)
    });
    let (edits, name) = distances.min()?;
    (edits <= MAX_EDITS && edits < name.len()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_misspelled_subcommand_is_recognized() {
        for (typed, meant) in [("rnu", Some("run")), ("chek", Some("check")), ("explian", Some("explain")), ("x", None)]
        {
            assert_eq!(similar_subcommand(typed).as_deref(), meant, "{typed}");
        }
    }
}
