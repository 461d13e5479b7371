//! One input: what the user named, how it is opened, and how bytes are read from it with or without waiting for them.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use thiserror::Error;

use super::InputFormat;
use super::decompress::decompressed;
use super::format::refuse_utf16;
use crate::location::Location;
use crate::record::SourceKind;
use crate::system::os_error;
use crate::system::stdin_file;

/// An input that has not been opened yet. Inputs are opened one at a time, each after the one before it was read.
#[derive(Debug)]
pub struct Input {
    /// What messages call it.
    pub name: Arc<str>,
    /// What its records are.
    pub source: SourceKind,
    /// Its format, as far as the user says.
    pub format: InputFormat,
    /// Where its bytes come from.
    pub origin: Origin,
    /// Counts the bytes read from a file, before decompression, for whoever shows progress.
    pub bytes_read: Arc<AtomicU64>,
}

/// Where the bytes of an input come from.
pub enum Origin {
    /// A file, a FIFO or a device.
    Path(PathBuf),
    /// Standard input.
    Stdin,
    /// Anything else that bytes can be read from.
    Source(Box<dyn ByteSource>),
}

impl fmt::Debug for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => out.debug_tuple("Path").field(path).finish(),
            Self::Stdin => out.write_str("Stdin"),
            Self::Source(_) => out.write_str("Source(..)"),
        }
    }
}

impl Input {
    /// Opens the input, and decompresses it if it is compressed.
    pub(super) fn open(self) -> Result<Box<dyn ByteSource>, InputError> {
        let boxed =
            |file| -> io::Result<Box<dyn ByteSource>> { Ok(Box::new(FileSource::new(file, self.bytes_read.clone())?)) };
        let opened = match self.origin {
            Origin::Source(source) => Ok(source),
            Origin::Path(path) => File::open(path).and_then(boxed),
            Origin::Stdin => stdin_file().and_then(boxed),
        };
        opened
            .and_then(decompressed)
            .and_then(refuse_utf16)
            .map_err(|cause| InputError::Open { input: self.name, cause })
    }
}

/// What went wrong with an input itself. Nothing after it in that input is read.
#[derive(Debug, Error)]
pub enum InputError {
    /// The input could not be opened.
    #[error("{input}: cannot open: {}", os_error(cause))]
    Open {
        /// The input, as messages call it.
        input: Arc<str>,
        /// What the system says.
        cause: io::Error,
    },
    /// A read failed.
    #[error("{input}: cannot read at byte {byte}: {}", os_error(cause))]
    Read {
        /// The input, as messages call it.
        input: Arc<str>,
        /// How many bytes were read before.
        byte: u64,
        /// What the system says.
        cause: io::Error,
    },
    /// The header row of a table is invalid.
    #[error("{at}: invalid header row: {reason}")]
    Header {
        /// Where the header row is.
        at: Location,
        /// What is wrong with it.
        reason: String,
    },
    /// The input ends inside a frame.
    #[error("{at}: the input ends inside this frame, after {present} of its {size} bytes (is the input truncated?)")]
    TruncatedFrame {
        /// Where the frame begins.
        at: Location,
        /// How many bytes of the frame are there, header included.
        present: u64,
        /// How many bytes the frame should have, header included.
        size: u64,
    },
}

/// Whether a read may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadMode {
    /// Wait until there is something to read.
    Wait,
    /// Read only what is available; otherwise fail with [`io::ErrorKind::WouldBlock`].
    NoWait,
}

/// A reader that can be asked not to wait.
///
/// A live pipe has nothing to read between two events; what was read before is then handed over.
pub trait ByteSource: Send {
    /// Reads into `buffer`. As with [`Read::read`], 0 bytes are the end.
    ///
    /// # Errors
    /// When the read fails, or would have to wait and must not.
    fn read(&mut self, buffer: &mut [u8], mode: ReadMode) -> io::Result<usize>;
}

/// Memory never has to wait.
impl<T: AsRef<[u8]> + Send> ByteSource for io::Cursor<T> {
    fn read(&mut self, buffer: &mut [u8], _mode: ReadMode) -> io::Result<usize> {
        Read::read(self, buffer)
    }
}

/// A source whose first bytes have been peeked at.
pub(super) struct PeekedSource {
    head: io::Cursor<Vec<u8>>,
    source: Box<dyn ByteSource>,
}

impl PeekedSource {
    /// Reads the first bytes of `source`, as long as they are `too_short` for a decision.
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

    /// The bytes that were peeked at.
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
struct FileSource {
    file: File,
    /// The length of a regular file when it was opened, in bytes. Reading from such a file never waits.
    regular: Option<u64>,
    bytes_read: Arc<AtomicU64>,
}

impl FileSource {
    fn new(file: File, bytes_read: Arc<AtomicU64>) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let regular = metadata.is_file().then_some(metadata.len());
        Ok(Self { file, regular, bytes_read })
    }

    /// Checks that the end of a file is where it should be: a file that is truncated while it is read, as some programs
    /// rotate logs, must not be mistaken for a shorter one.
    fn check_end(&self) -> io::Result<()> {
        let Some(before) = self.regular else { return Ok(()) };
        let now = self.file.metadata()?.len();
        if now >= before {
            return Ok(());
        }
        Err(io::Error::other(format!("the file had {before} bytes when it was opened and was then cut to {now}")))
    }
}

impl ByteSource for FileSource {
    fn read(&mut self, buffer: &mut [u8], mode: ReadMode) -> io::Result<usize> {
        if mode == ReadMode::NoWait && self.regular.is_none() && !readable_now(&self.file) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = self.file.read(buffer)?;
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

/// Without a way to ask, every read is handed over on its own: never late, a little slower.
#[cfg(not(unix))]
fn readable_now(_file: &File) -> bool {
    false
}
