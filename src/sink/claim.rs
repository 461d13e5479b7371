//! Claims: what one run at a time may replace.
//!
//! A run reads a list, and a good while later it puts another one in its place. Two runs that did so side by side would
//! each undo what the other one did. So a run claims the list before it reads anything, with a lock on the file itself
//! that goes when the process does, however it ends. And whatever else changes the list meanwhile, an editor or a copy, is
//! noticed before the list is replaced. On a file system without locks only this second check is left.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use thiserror::Error;

/// Somebody else holds what was to be claimed.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("another run is at work on it and will replace it; run this one when that one has ended")]
pub struct Taken;

/// A file that this run alone may replace.
#[derive(Debug)]
pub(super) struct Claim {
    path: PathBuf,
    /// The file that was there, and the handle whose lock keeps others away.
    found: Option<(Stamp, File)>,
}

/// What changes when a file does.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    inode: Inode,
    len: u64,
    modified: Option<SystemTime>,
}

#[cfg(unix)]
type Inode = (u64, u64);
#[cfg(not(unix))]
type Inode = ();

/// How often a file is looked at anew that was replaced while it was being claimed.
const TRIES: usize = 100;

impl Claim {
    /// Claims `path`, be there a file or none. `None` where there is nothing to claim: what is no regular file is never
    /// replaced, and what cannot be opened is told when it is opened for writing.
    ///
    /// # Errors
    /// When another run has claimed it.
    pub(super) fn take(path: &Path) -> Result<Option<Self>, Taken> {
        for _ in 0..TRIES {
            match fs::metadata(path) {
                Ok(metadata) if metadata.is_file() => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(Some(Self { path: path.to_owned(), found: None }));
                }
                Ok(_) | Err(_) => return Ok(None),
            }
            let file = match OpenOptions::new().read(true).write(true).open(path) {
                Ok(file) => file,
                // It was there a moment ago.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(_) => return Ok(None),
            };
            if let Some(claim) = Self::hold(path, file)? {
                return Ok(Some(claim));
            }
        }
        Err(Taken)
    }

    /// Claims the file that was found at `path`. `None` when another one has taken the name since.
    fn hold(path: &Path, file: File) -> Result<Option<Self>, Taken> {
        lock(&file)?;
        // Whoever had the lock may have put another file in this one's place, and a lock on the old one is worth nothing.
        let (Ok(held), Ok(there)) = (file.metadata(), fs::metadata(path)) else { return Ok(None) };
        let is_there = inode(&held) == inode(&there);
        Ok(is_there.then(|| Self { path: path.to_owned(), found: Some((Stamp::of(&there), file)) }))
    }

    /// Whether there was no file when it was claimed.
    pub(super) const fn is_of_a_new_file(&self) -> bool {
        self.found.is_none()
    }

    /// Looks whether the file is still as it was when it was claimed.
    ///
    /// # Errors
    /// When it is not, or cannot be looked at.
    pub(super) fn check(&self) -> io::Result<()> {
        let now = match fs::metadata(&self.path) {
            Ok(metadata) => Some(Stamp::of(&metadata)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if now.as_ref() == self.found.as_ref().map(|(stamp, _)| stamp) { Ok(()) } else { Err(changed()) }
    }
}

/// What is told when a file is not what it was.
pub(super) fn changed() -> io::Error {
    io::Error::other("somebody else changed it while this run was under way, and that would be lost; run again")
}

/// A handle to `folder` that keeps other runs from using it until it is dropped. `None` where folders cannot be locked.
///
/// # Errors
/// When another run uses it.
pub(super) fn hold_folder(folder: &Path) -> Result<Option<File>, Taken> {
    let Ok(handle) = File::open(folder) else { return Ok(None) };
    lock(&handle)?;
    Ok(Some(handle))
}

/// Locks a file until it is closed, where the file system can.
fn lock(file: &File) -> Result<(), Taken> {
    // Elsewhere a lock keeps everybody from reading as well, this run included.
    if cfg!(not(unix)) {
        return Ok(());
    }
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(Taken),
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self { inode: inode(metadata), len: metadata.len(), modified: metadata.modified().ok() }
    }
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> Inode {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn inode(_metadata: &Metadata) -> Inode {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_replaced_or_written_to_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let [path, other] = ["list", "other"].map(|name| folder.path().join(name));
        let absent = Claim::take(&path).unwrap().unwrap();
        absent.check().unwrap();
        fs::write(&path, "old").unwrap();
        assert!(absent.check().is_err(), "there was none");
        let claim = Claim::take(&path).unwrap().unwrap();
        claim.check().unwrap();
        fs::write(&other, "old").unwrap();
        fs::rename(&other, &path).unwrap();
        assert!(claim.check().is_err(), "it is another file");
        let claim = Claim::take(&path).unwrap().unwrap();
        fs::write(&path, "longer").unwrap();
        assert!(claim.check().is_err(), "it was written to");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_was_replaced_before_it_could_be_locked_is_not_the_one_to_claim() {
        let folder = tempfile::tempdir().unwrap();
        let [path, other] = ["list", "other"].map(|name| folder.path().join(name));
        let open = || OpenOptions::new().read(true).write(true).open(&path).unwrap();
        fs::write(&path, "old").unwrap();
        let found = open();
        fs::write(&other, "new").unwrap();
        fs::rename(&other, &path).unwrap();
        assert!(Claim::hold(&path, found).unwrap().is_none());
        let found = open();
        fs::remove_file(&path).unwrap();
        assert!(Claim::hold(&path, found).unwrap().is_none());
        fs::write(&path, "newest").unwrap();
        assert!(Claim::hold(&path, open()).unwrap().is_some());
    }

    #[cfg(unix)]
    #[test]
    fn what_is_claimed_is_free_again_when_the_claim_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        fs::write(&path, "old").unwrap();
        let first = Claim::take(&path).unwrap();
        assert_eq!(Claim::take(&path).unwrap_err(), Taken);
        drop(first);
        Claim::take(&path).unwrap().unwrap();
        let first = hold_folder(folder.path()).unwrap();
        assert_eq!(hold_folder(folder.path()).unwrap_err(), Taken);
        drop(first);
        hold_folder(folder.path()).unwrap().unwrap();
    }
}
