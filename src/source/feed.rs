//! Something that bytes can be read from, and that knows whether a read would have to wait.

use std::fs::File;
use std::io::{self, Read};

/// A reader that can tell whether more is waiting.
pub trait Feed: Read + Send {
    /// Whether a read would return at once, with bytes or with the end.
    ///
    /// A live pipe answers `false` between two events; what was read so far is then handed over. An answer that is
    /// wrongly `false` costs speed, one that is wrongly `true` lets an event wait for the next one.
    fn more_is_waiting(&self) -> bool;
}

/// Memory never makes anybody wait.
impl<T: AsRef<[u8]> + Send> Feed for io::Cursor<T> {
    fn more_is_waiting(&self) -> bool {
        true
    }
}

/// A file, a pipe, a terminal or a socket.
#[derive(Debug)]
pub struct FileFeed {
    file: File,
    /// A regular file never makes a reader wait, so it need not be asked.
    regular: bool,
}

impl FileFeed {
    /// Reads from `file`.
    ///
    /// # Errors
    /// When the file cannot be looked at.
    pub fn new(file: File) -> io::Result<Self> {
        let regular = file.metadata()?.is_file();
        Ok(Self { file, regular })
    }
}

impl Read for FileFeed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Feed for FileFeed {
    fn more_is_waiting(&self) -> bool {
        self.regular || readable_now(&self.file)
    }
}

#[cfg(unix)]
fn readable_now(file: &File) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(file, PollFlags::IN)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&at_once)).is_ok_and(|ready| ready > 0)
}

/// Without a way to ask, every read is handed over on its own: never late, a little slower.
#[cfg(not(unix))]
fn readable_now(_file: &File) -> bool {
    false
}
