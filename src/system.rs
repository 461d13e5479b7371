//! The standard streams as files, reads and writes that wait, and the text of I/O errors.

use std::fs::File;
use std::io::{self, Read, Write};
#[cfg(unix)]
use std::os::fd::AsFd;
#[cfg(windows)]
use std::os::windows::io::AsHandle as AsFd;

/// Standard input without the buffer of the standard library.
pub fn stdin_file() -> io::Result<File> {
    duplicate(io::stdin())
}

/// Standard output without the line buffer of the standard library, which would write each line separately.
pub fn stdout_file() -> io::Result<File> {
    duplicate(io::stdout())
}

pub fn stderr_file() -> io::Result<File> {
    duplicate(io::stderr())
}

#[cfg(unix)]
fn duplicate(stream: impl AsFd) -> io::Result<File> {
    Ok(File::from(stream.as_fd().try_clone_to_owned()?))
}

#[cfg(windows)]
fn duplicate(stream: impl AsFd) -> io::Result<File> {
    Ok(File::from(stream.as_handle().try_clone_to_owned()?))
}

/// Writes some of `bytes` at this offset of a regular file that is not open for appending. Returns how many.
#[cfg(all(unix, feature = "cluster"))]
pub fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::write_at(file, bytes, offset)
}

#[cfg(all(windows, feature = "cluster"))]
pub fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_write(file, bytes, offset)
}

/// A stream whose reads and writes always wait.
///
/// `O_NONBLOCK` is shared by all processes that have the same terminal or pipe, so another process can set it. A read
/// or a write then fails when it would have to wait.
#[derive(Debug, Clone)]
pub struct Blocking<S>(pub S);

impl<S: Read + AsFd> Read for Blocking<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait(&self.0, error, Readiness::Readable)?,
                result => return result,
            }
        }
    }
}

impl<S: Write + AsFd> Write for Blocking<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait(&self.0, error, Readiness::Writable)?,
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        loop {
            match self.0.flush() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait(&self.0, error, Readiness::Writable)?,
                result => return result,
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Readiness {
    Readable,
    Writable,
}

/// Waits until `stream` is ready, or has failed or ended, which the next read or write then reports.
#[cfg(unix)]
fn wait(stream: &impl AsFd, _would_block: io::Error, readiness: Readiness) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};
    let flags = match readiness {
        Readiness::Readable => PollFlags::IN,
        Readiness::Writable => PollFlags::OUT,
    };
    match poll(&mut [PollFd::new(stream, flags)], None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Waiting is not supported.
#[cfg(not(unix))]
fn wait(_stream: &impl AsFd, would_block: io::Error, _readiness: Readiness) -> io::Result<()> {
    Err(would_block)
}

/// The text of an I/O error without the "(os error 2)" that the standard library appends.
pub fn os_error(error: &io::Error) -> String {
    let text = error.to_string();
    match text.strip_suffix(')').and_then(|text| text.rsplit_once(" (os error ")) {
        Some((words, code)) if code.parse::<i32>().is_ok() => words.to_owned(),
        _ => text,
    }
}

/// Panics if `ADSEG_PANIC_IN` names this step. Only in debug builds, for tests.
#[inline]
pub fn panic_point(step: &str) {
    if cfg!(debug_assertions) && std::env::var_os("ADSEG_PANIC_IN").is_some_and(|wanted| wanted == step) {
        panic!("ADSEG_PANIC_IN={step}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_number_is_left_out() {
        for (error, words) in [
            (io::Error::from_raw_os_error(2), io::Error::from_raw_os_error(2).to_string().replace(" (os error 2)", "")),
            (io::Error::other(io::Error::other("a/b: busy (os error 16)")), "a/b: busy".to_owned()),
            (io::Error::other("damaged (os error unknown)"), "damaged (os error unknown)".to_owned()),
            (io::ErrorKind::NotFound.into(), "entity not found".to_owned()),
        ] {
            assert_eq!(os_error(&error), words);
        }
    }
}
