//! The program: executes the command and ends with its exit code.

use std::io::{self, Write};
use std::panic;
use std::process::ExitCode;

use adseg::cli::{CommandFailure, execute, print_error};

fn main() -> ExitCode {
    // A panic in any thread ends the program with the exit code that Rust gives panics, 101.
    panic::set_hook(Box::new(|panic| {
        drop(writeln!(io::stderr(), "adseg: internal error, please report it: {panic}"));
    }));
    match execute() {
        Ok(exit_code) => exit_code,
        // The reader closed the pipe, which is not an error. If files were discarded, the exit code must not be 0.
        Err(CommandFailure { error, files_discarded }) if is_closed_pipe(&error) => {
            ExitCode::from(u8::from(files_discarded))
        }
        Err(CommandFailure { error, .. }) => print_error(&error),
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
