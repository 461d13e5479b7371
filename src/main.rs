//! The program: reads the arguments and ends with an exit code. Everything else is in the library.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    adseg::commands::dispatch(adseg::cli::Cli::parse())
}
