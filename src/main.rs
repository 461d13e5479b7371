//! The program: executes the command and ends with its exit code.

use std::io::{self, Write};
use std::panic;
use std::process::ExitCode;

fn main() -> ExitCode {
    // A panic in any thread ends the program with the exit code that Rust gives panics, 101.
    panic::set_hook(Box::new(|panic| {
        drop(writeln!(io::stderr(), "adseg: internal error, please report it: {panic}"));
    }));
    adseg::cli::execute()
}
