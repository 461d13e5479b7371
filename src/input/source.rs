//! One input: opening it, and reading from it with or without waiting.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use thiserror::Error;

use super::ReadOptions;
use crate::escape;
use crate::location::Location;
use crate::record::SourceKind;
use crate::system::{Blocking, os_error};

/// An input that is not open yet. Each input is opened after the one before it was read.
pub struct Input {
    /// Its path, or `stdin`.
    pub path: Arc<Path>,
    /// The kind of its source.
    pub source: SourceKind,
    /// Its format and how it is read.
    pub options: Arc<ReadOptions>,
    /// The origin of its bytes.
    pub origin: Origin,
    /// Counts the bytes read from a file, before decompression. It is used to show progress.
    pub bytes_read: Arc<AtomicU64>,
}

/// The origin of the bytes of an input.
pub enum Origin {
    /// A file, a FIFO or a device.
    Path(PathBuf),
    /// Standard input.
    Stdin,
    /// Any other source.
    Source(Box<dyn ByteSource>),
}

/// An error of an input itself. The rest of that input is not read.
#[derive(Debug, Error)]
pub enum InputError {
    /// The input could not be opened.
    #[error("{}: cannot open: {}", escape::path(input), os_error(cause))]
    Open {
        /// The path of the input, or `stdin`.
        input: Arc<Path>,
        /// The error of the system.
        cause: io::Error,
    },
    /// The format is not one of the source, or is probably not the one that it would be read as.
    #[error("{}: {reason}", escape::path(input))]
    Format {
        /// The path of the input, or `stdin`.
        input: Arc<Path>,
        /// What is wrong, with a remedy.
        reason: String,
    },
    /// A read failed.
    #[error("{}: cannot read at byte {byte}: {}", escape::path(input), os_error(cause))]
    Read {
        /// The path of the input, or `stdin`.
        input: Arc<Path>,
        /// The number of bytes that were read before the failure.
        byte: u64,
        /// The error of the system.
        cause: io::Error,
    },
    /// The header row of CSV is invalid.
    #[error("{at}: invalid header row: {reason}")]
    Header {
        /// The location of the header row.
        at: Location,
        /// What is wrong with it.
        reason: String,
    },
    /// The input ends inside a frame.
    #[error("{at}: the input ends inside this frame, after {present} of its {size} bytes (is the input truncated?)")]
    TruncatedFrame {
        /// The location of the frame.
        at: Location,
        /// The number of bytes present, including the frame header.
        present: u64,
        /// The expected number of bytes, including the frame header.
        size: u64,
    },
}

/// Whether a read may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadMode {
    /// Wait until bytes are available.
    Wait,
    /// Read only available bytes; if there are none, fail with [`io::ErrorKind::WouldBlock`].
    NoWait,
}

/// A reader with a mode that does not wait.
///
/// A live pipe has no bytes available between two events. The events that were read before are then processed.
pub trait ByteSource: Send {
    /// Reads into `buffer`. As with [`Read::read`], 0 means the end.
    ///
    /// # Errors
    /// When the read fails, or would have to wait in [`ReadMode::NoWait`].
    fn read(&mut self, buffer: &mut [u8], mode: ReadMode) -> io::Result<usize>;
}

/// A read from memory never waits.
impl<T: AsRef<[u8]> + Send> ByteSource for io::Cursor<T> {
    fn read(&mut self, buffer: &mut [u8], _mode: ReadMode) -> io::Result<usize> {
        Read::read(self, buffer)
    }
}

/// A source whose first bytes have been peeked.
pub(super) struct PeekedSource {
    head: io::Cursor<Vec<u8>>,
    source: Box<dyn ByteSource>,
}

impl PeekedSource {
    /// Reads the first bytes of `source` while they are `too_short` for detection.
    pub(super) fn peek(mut source: Box<dyn ByteSource>, too_short: impl Fn(&[u8]) -> bool) -> io::Result<Self> {
        let mut head = Vec::new();
        while too_short(&head) {
            let mut byte = [0];
            match source.read(&mut byte, ReadMode::Wait) {
                Ok(0) => break,
                Ok(_) => head.extend(byte),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self { head: io::Cursor::new(head), source })
    }

    /// The peeked bytes.
    pub(super) fn head(&self) -> &[u8] {
        self.head.get_ref()
    }
}

impl ByteSource for PeekedSource {
    fn read(&mut self, buffer: &mut [u8], mode: ReadMode) -> io::Result<usize> {
        match Read::read(&mut self.head, buffer)? {
            0 => self.source.read(buffer, mode),
            count => Ok(count),
        }
    }
}

/// A file, a pipe, a terminal or a socket.
#[derive(Debug)]
pub(super) struct FileSource {
    file: Blocking<File>,
    /// The length of a regular file when it was opened, in bytes. Reading from such a file never waits.
    regular: Option<u64>,
    bytes_read: Arc<AtomicU64>,
}

impl FileSource {
    pub(super) fn new(file: File, bytes_read: Arc<AtomicU64>) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let regular = metadata.is_file().then_some(metadata.len());
        Ok(Self { file: Blocking(file), regular, bytes_read })
    }

    /// Checks that a file was not truncated while it was read, as some programs do to rotate logs. It must not be
    /// mistaken for a shorter file.
    fn check_end(&self) -> io::Result<()> {
        let Some(before) = self.regular else { return Ok(()) };
        let now = self.file.0.metadata()?.len();
        if now >= before {
            return Ok(());
        }
        Err(io::Error::other(format!("the file had {before} bytes when it was opened and was then truncated to {now}")))
    }
}

impl ByteSource for FileSource {
    fn read(&mut self, buffer: &mut [u8], mode: ReadMode) -> io::Result<usize> {
        let count = match mode {
            ReadMode::NoWait if self.regular.is_none() && !readable_now(&self.file.0) => {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            ReadMode::NoWait => self.file.0.read(buffer)?,
            ReadMode::Wait => self.file.read(buffer)?,
        };
        if count == 0 && !buffer.is_empty() {
            self.check_end()?;
        }
        self.bytes_read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(unix)]
fn readable_now(file: &File) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(file, PollFlags::IN)];
    let no_wait = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&no_wait)).is_ok_and(|ready| ready > 0)
}

/// Readiness cannot be tested, so every read ends a block. Decisions are not delayed, but throughput is lower.
#[cfg(not(unix))]
fn readable_now(_file: &File) -> bool {
    false
}
