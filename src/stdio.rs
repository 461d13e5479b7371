//! The standard streams as files, without the buffers that the standard library puts before them.
//!
//! Blocks are buffer enough, and a line buffer would make one write of each line.

use std::fs::File;
use std::io;

/// The standard input.
///
/// # Errors
/// When the system gives no second handle to it.
pub fn stdin_file() -> io::Result<File> {
    duplicate(io::stdin())
}

/// The standard output.
///
/// # Errors
/// When the system gives no second handle to it.
pub fn stdout_file() -> io::Result<File> {
    duplicate(io::stdout())
}

/// The standard error.
///
/// # Errors
/// When the system gives no second handle to it.
pub fn stderr_file() -> io::Result<File> {
    duplicate(io::stderr())
}

#[cfg(unix)]
fn duplicate(stream: impl std::os::fd::AsFd) -> io::Result<File> {
    Ok(File::from(stream.as_fd().try_clone_to_owned()?))
}

#[cfg(windows)]
fn duplicate(stream: impl std::os::windows::io::AsHandle) -> io::Result<File> {
    Ok(File::from(stream.as_handle().try_clone_to_owned()?))
}
