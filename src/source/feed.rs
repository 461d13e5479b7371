//! Something that bytes can be read from, with or without waiting for them.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Whether a read may wait for somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Wait until there is something.
    Wait,
    /// Take only what is there; otherwise fail with [`io::ErrorKind::WouldBlock`].
    TakeWhatIsThere,
}

/// A reader that can be asked not to wait.
///
/// A live pipe has nothing between two events; what was read so far is then handed over.
pub trait Feed: Send {
    /// Reads into `buffer`. As with [`Read::read`], 0 bytes are the end.
    ///
    /// # Errors
    /// When the read fails, or would have to wait and must not.
    fn read(&mut self, buffer: &mut [u8], patience: Patience) -> io::Result<usize>;
}

/// Memory never makes anybody wait.
impl<T: AsRef<[u8]> + Send> Feed for io::Cursor<T> {
    fn read(&mut self, buffer: &mut [u8], _patience: Patience) -> io::Result<usize> {
        Read::read(self, buffer)
    }
}

/// A file, a pipe, a terminal or a socket.
#[derive(Debug)]
pub(super) struct FileFeed {
    file: File,
    /// A regular file never makes a reader wait, so it need not be asked.
    regular: bool,
    /// Counts the bytes read, for whoever shows progress.
    meter: Arc<AtomicU64>,
}

impl FileFeed {
    /// Reads from `file`, and counts the bytes in `meter`.
    ///
    /// # Errors
    /// When the file cannot be looked at.
    pub(super) fn new(file: File, meter: Arc<AtomicU64>) -> io::Result<Self> {
        let regular = file.metadata()?.is_file();
        Ok(Self { file, regular, meter })
    }
}

impl Feed for FileFeed {
    fn read(&mut self, buffer: &mut [u8], patience: Patience) -> io::Result<usize> {
        if patience == Patience::TakeWhatIsThere && !self.regular && !readable_now(&self.file) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = self.file.read(buffer)?;
        self.meter.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
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
