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

/// A feed whose first bytes have been looked at.
pub(super) struct Headed {
    head: io::Cursor<Vec<u8>>,
    feed: Box<dyn Feed>,
}

impl Headed {
    /// Reads the first bytes of `feed`, as long as they are `too_short` to tell what they should.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn look(mut feed: Box<dyn Feed>, too_short: impl Fn(&[u8]) -> bool) -> io::Result<Self> {
        let mut head = Vec::new();
        while too_short(&head) {
            let mut byte = [0];
            match feed.read(&mut byte, Patience::Wait) {
                Ok(0) => break,
                Ok(_) => head.extend(byte),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self { head: io::Cursor::new(head), feed })
    }

    /// The bytes that were looked at.
    pub(super) fn head(&self) -> &[u8] {
        self.head.get_ref()
    }
}

impl Feed for Headed {
    fn read(&mut self, buffer: &mut [u8], patience: Patience) -> io::Result<usize> {
        match Read::read(&mut self.head, buffer)? {
            0 => self.feed.read(buffer, patience),
            count => Ok(count),
        }
    }
}

/// A file, a pipe, a terminal or a socket.
#[derive(Debug)]
pub(super) struct FileFeed {
    file: File,
    /// How long a regular file was when it was opened, in bytes. Such a file never makes a reader wait, so it need not be
    /// asked.
    regular: Option<u64>,
    /// Counts the bytes read, for whoever shows progress.
    meter: Arc<AtomicU64>,
}

impl FileFeed {
    /// Reads from `file`, and counts the bytes in `meter`.
    ///
    /// # Errors
    /// When the file cannot be looked at.
    pub(super) fn new(file: File, meter: Arc<AtomicU64>) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let regular = metadata.is_file().then_some(metadata.len());
        Ok(Self { file, regular, meter })
    }

    /// Makes sure that the end of a file is where it should be: one that was cut short while it was being read, as some
    /// rotate their logs, must not pass for a shorter one.
    fn check_end(&self) -> io::Result<()> {
        let Some(before) = self.regular else { return Ok(()) };
        let now = self.file.metadata()?.len();
        if now >= before {
            return Ok(());
        }
        Err(io::Error::other(format!("the file had {before} bytes when it was opened and was then cut to {now}")))
    }
}

impl Feed for FileFeed {
    fn read(&mut self, buffer: &mut [u8], patience: Patience) -> io::Result<usize> {
        if patience == Patience::TakeWhatIsThere && self.regular.is_none() && !readable_now(&self.file) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = self.file.read(buffer)?;
        if count == 0 && !buffer.is_empty() {
            self.check_end()?;
        }
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
