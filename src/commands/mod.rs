//! What the subcommands do: check what was typed, open things, call the library, report.
//!
//! One file a subcommand; what they share stands beside them. [`dispatch`] is the way in.

mod check;
mod emails;
mod explain;
mod files;
mod generate;
mod inputs;
mod order_check;
mod order_report;
mod outputs;
mod places;
mod reading;
mod reframe;
mod report;
mod run;
mod session;
mod shell;
mod stories;
mod usage;

use std::process::ExitCode;

use crate::cli::{Cli, Command, SpeedArgs};
use crate::engine::Settings;
use crate::messages::tell;
use usage::UsageError;

/// Bad data, or a read or a write that failed.
const FAILED: u8 = 1;
/// Wrong usage; clap's own errors end like this too.
const WRONG_USAGE: u8 = 2;
/// As a shell tells that a program was interrupted.
const INTERRUPTED: u8 = 130;

/// Does what was typed, tells what went wrong on the standard error, and gives the exit code.
pub fn dispatch(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::check(args),
        Command::OrderCheck(args) => order_check::order_check(args),
        Command::Explain(args) => explain::explain(args),
        Command::Report(args) => report::report(args),
        Command::Frame(args) => reframe::frame(args),
        Command::Unframe(args) => reframe::unframe(args),
        Command::Generate(args) => generate::generate(args),
        Command::Completions(args) => shell::completions(&args),
        Command::Man(args) => shell::man(&args),
    };
    done.unwrap_or_else(|error| {
        tell(&format!("adseg: {error:#}"));
        ExitCode::from(if error.is::<UsageError>() { WRONG_USAGE } else { FAILED })
    })
}

/// The settings with the numbers of partitions and threads that the user asks for.
fn with_speed(settings: Settings, args: &SpeedArgs) -> Settings {
    Settings { partitions: args.partitions, threads: args.threads.unwrap_or(settings.threads), ..settings }
}
