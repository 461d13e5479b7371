//! Exit codes, and how errors are printed.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use thiserror::Error;

use super::session::{CommandFailure, print_line};
use crate::escape;
use crate::system::os_error;

/// Bad data, or a failed read or write.
pub const FAILED: u8 = 1;
/// Wrong usage.
const WRONG_USAGE: u8 = 2;
/// Interrupted by a signal: 128 + SIGINT, as in a shell.
pub const INTERRUPTED: u8 = 130;

pub const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    bad data, or a failed read or write
  2    wrong usage
  101  internal error (a bug); please report it
  130  interrupted by SIGINT, SIGTERM or SIGHUP; no file was changed

A closed pipe (adseg run ... | head) ends a command quietly: with 0, or with 1 if it had files to
write, which are discarded.";

/// Arguments that clap accepts but that are invalid together. The exit code is that of wrong usage.
#[derive(Debug, Error)]
#[error("{0}\n\nFor more information, try '--help'.")]
struct UsageError(String);

/// A usage error, as the `Err` of a check.
pub fn usage_error<T>(message: impl Into<String>) -> anyhow::Result<T> {
    Err(UsageError(message.into()).into())
}

/// Prints why a command failed, with all causes, and returns its exit code.
pub fn print_error(error: &anyhow::Error) -> ExitCode {
    let text = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().map_or_else(|| cause.to_string(), os_error)
    };
    print_line(&format!("adseg: {}", error.chain().map(text).collect::<Vec<_>>().join(": ")));
    ExitCode::from(if error.is::<UsageError>() { WRONG_USAGE } else { FAILED })
}

/// Prints the messages of clap: help and version on standard output, errors on standard error in the format of adseg.
///
/// # Errors
/// When standard output cannot be written.
pub fn print_usage(mut error: clap::Error, command: &Command) -> Result<ExitCode, CommandFailure> {
    if !error.use_stderr() {
        error.print().and_then(|()| io::stdout().flush()).map_err(|cause| CommandFailure {
            error: anyhow::Error::new(cause).context("stdout: cannot write"),
            files_discarded: false,
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    if error.kind() == ErrorKind::InvalidSubcommand
        && error.get(ContextKind::SuggestedSubcommand).is_none()
        && let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand)
        && let Some(similar) = similar_subcommand(typed, command)
    {
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(vec![similar]));
    }
    let rendered = error.render().to_string();
    let message = rendered.strip_prefix("error: ").map_or(rendered.clone(), |message| format!("adseg: {message}"));
    // Arguments are untrusted.
    for line in message.trim_end().lines() {
        print_line(&escape::text(line));
    }
    Ok(ExitCode::from(WRONG_USAGE))
}

/// The subcommand with the smallest edit distance, if it is at most 2.
fn similar_subcommand(typed: &str, command: &Command) -> Option<String> {
    const MAX_EDITS: usize = 2;
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
    fn a_misspelled_subcommand_is_recognized() {
        let command = Command::new("adseg").subcommands(["run", "check", "explain"].map(Command::new));
        for (typed, meant) in [("rnu", Some("run")), ("chek", Some("check")), ("explian", Some("explain")), ("x", None)]
        {
            assert_eq!(similar_subcommand(typed, &command).as_deref(), meant, "{typed}");
        }
    }
}
