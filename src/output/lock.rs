//! Locks: one run at a time may replace a list or a ledger, or write to a folder of rejects.
//!
//! A run reads a list and replaces it much later. Two concurrent runs would undo each other's changes, so a run locks
//! the list before it reads anything. The lock is on the list itself and ends with the process. Before the list is
//! replaced, its stamp is checked, to detect changes by programs that do not lock the list, such as editors. On a file
//! system without locks, only this check remains. The same is true for a ledger.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use thiserror::Error;

use super::staged_file::CommitOrder;
use crate::system::os_error;

/// The file could not be locked.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another run has locked it.
    #[error("another run is saving to this {0}; wait for it to finish")]
    Locked(&'static str),
    /// It cannot be opened for writing.
    #[error("cannot write: {}", os_error(.0))]
    Io(io::Error),
}

/// The lock on a list or a ledger that this run replaces.
#[derive(Debug)]
pub(super) struct FileLock {
    path: PathBuf,
    /// Which output replaces it.
    pub(super) order: CommitOrder,
    /// The stamp of the file when it was locked, and the handle with the lock. `None` if there was no file.
    locked: Option<(FileStamp, File)>,
}

/// The identity and state of a file. It differs after the file was replaced or written to.
#[derive(Debug, PartialEq, Eq)]
struct FileStamp {
    inode: Inode,
    len: u64,
    modified: Option<SystemTime>,
}

/// The identity of a file.
#[cfg(unix)]
pub(super) type Inode = (u64, u64);
#[cfg(not(unix))]
pub(super) type Inode = ();

/// The maximum number of tries when the file is replaced between opening and locking it.
const MAX_TRIES: usize = 100;

/// The maximum time that a commit waits for the commit of another run.
const MAX_WAIT: Duration = Duration::from_secs(3);

impl FileLock {
    /// Locks the file at `path`, or records that it does not exist. Returns `None` for a file that is not regular, which
    /// is never replaced.
    pub(super) fn acquire(path: &Path, order: CommitOrder) -> Result<Option<Self>, LockError> {
        for _ in 0..MAX_TRIES {
            match fs::metadata(path) {
                Ok(metadata) if metadata.is_file() => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(Some(Self { path: path.to_owned(), order, locked: None }));
                }
                Ok(_) => return Ok(None),
                Err(error) => return Err(LockError::Io(error)),
            }
            let file = match OpenOptions::new().write(true).open(path) {
                Ok(file) => file,
                // It was removed since the check.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(LockError::Io(error)),
            };
            if let Some(lock) = Self::of_open_file(path, order, file)? {
                return Ok(Some(lock));
            }
        }
        Err(LockError::Locked(order.name()))
    }

    /// Locks a file that was opened at `path`. Returns `None` if another file is at `path` now.
    fn of_open_file(path: &Path, order: CommitOrder, file: File) -> Result<Option<Self>, LockError> {
        if !try_lock(&file) {
            return Err(LockError::Locked(order.name()));
        }
        // The previous owner of the lock may have replaced the file. A lock on the old file has no effect.
        let (Ok(locked), Ok(current)) = (file.metadata(), fs::metadata(path)) else { return Ok(None) };
        let is_current = inode(&locked) == inode(&current);
        Ok(is_current.then(|| Self { path: path.to_owned(), order, locked: Some((FileStamp::of(&current), file)) }))
    }

    /// Whether there was no file when the lock was acquired.
    pub(super) const fn is_of_new_file(&self) -> bool {
        self.locked.is_none()
    }

    /// Whether the locked file is still at the path, with unchanged metadata.
    pub(super) fn is_unchanged(&self) -> io::Result<bool> {
        let current = match fs::metadata(&self.path) {
            Ok(metadata) => Some(FileStamp::of(&metadata)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(current.as_ref() == self.locked.as_ref().map(|(stamp, _)| stamp))
    }
}

/// Locks the folder of a new list or ledger during the commit. A file that does not exist cannot be locked, so of two
/// runs that create it, the second waits, and detects the file before it replaces any other.
///
/// Returns `None` if this is not possible in time. The commit then detects the file later, and is undone.
pub(super) fn lock_folder(folder: &Path) -> io::Result<Option<File>> {
    let folder = match File::open(folder) {
        // On Windows, folders cannot be opened as files.
        _ if cfg!(not(unix)) => return Ok(None),
        Ok(folder) => folder,
        // A folder can be writable without being readable.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(None),
        Err(error) => return Err(error),
    };
    let start = Instant::now();
    while !try_lock(&folder) {
        if start.elapsed() > MAX_WAIT {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(Some(folder))
}

/// Locks a file or folder until it is closed. Returns false if another process has locked it, and true if the file
/// system has no locks.
pub(super) fn try_lock(file: &File) -> bool {
    // On Windows, a lock blocks every other handle from reading the file, including those of this run.
    cfg!(not(unix)) || !matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

impl FileStamp {
    fn of(metadata: &Metadata) -> Self {
        Self { inode: inode(metadata), len: metadata.len(), modified: metadata.modified().ok() }
    }
}

#[cfg(unix)]
pub(super) fn inode(metadata: &Metadata) -> Inode {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
pub(super) fn inode(_metadata: &Metadata) -> Inode {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_or_rewritten_list_is_detected() {
        let folder = tempfile::tempdir().unwrap();
        let [path, other] = ["list", "other"].map(|name| folder.path().join(name));
        let lock = FileLock::acquire(&path, CommitOrder::List).unwrap().unwrap();
        assert!(lock.is_unchanged().unwrap());
        fs::write(&path, "old").unwrap();
        assert!(!lock.is_unchanged().unwrap(), "there was no file");
        let lock = FileLock::acquire(&path, CommitOrder::List).unwrap().unwrap();
        assert!(lock.is_unchanged().unwrap());
        fs::write(&other, "old").unwrap();
        fs::rename(&other, &path).unwrap();
        assert!(!lock.is_unchanged().unwrap(), "it is another file");
        let lock = FileLock::acquire(&path, CommitOrder::List).unwrap().unwrap();
        fs::write(&path, "longer").unwrap();
        assert!(!lock.is_unchanged().unwrap(), "it was written to");
    }

    #[cfg(unix)]
    #[test]
    fn a_list_replaced_before_it_was_locked_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let [path, other] = ["list", "other"].map(|name| folder.path().join(name));
        let open = || OpenOptions::new().read(true).write(true).open(&path).unwrap();
        fs::write(&path, "old").unwrap();
        let file = open();
        fs::write(&other, "new").unwrap();
        fs::rename(&other, &path).unwrap();
        assert!(FileLock::of_open_file(&path, CommitOrder::List, file).unwrap().is_none());
        let file = open();
        fs::remove_file(&path).unwrap();
        assert!(FileLock::of_open_file(&path, CommitOrder::List, file).unwrap().is_none());
        fs::write(&path, "newest").unwrap();
        assert!(FileLock::of_open_file(&path, CommitOrder::List, open()).unwrap().is_some());
    }
}
