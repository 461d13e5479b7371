//! The commit: removes and replaces files in order. When a step fails, all steps before it are undone. A file that
//! another program has replaced since is left as it is.
//!
//! A hard link keeps each old file until the commit is complete. On a file system without links, the commit goes on
//! without it, and an error lists the files that could not be restored.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempPath;
use thiserror::Error;

use super::lock::{FileLock, Inode, inode, lock_folder};
use super::staged_file::{CommitOrder, StagedFile, parent, sync_folder, temporary_names};
use crate::escape;
use crate::system::os_error;

/// The files of a run could not be committed.
#[derive(Debug, Error)]
#[error("{failure}; {}{}", Consequence(.not_restored), .failure.remedy())]
pub struct CommitError {
    /// The step that failed.
    pub(super) failure: CommitFailure,
    /// The files that could not be restored.
    pub(super) not_restored: Vec<NotRestored>,
}

/// The step of a commit that failed.
#[derive(Debug, Error)]
pub(super) enum CommitFailure {
    /// The list or the ledger is not the file that was locked.
    #[error("{}: the {what} changed during this run", escape::path(.path))]
    Changed {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// There was no list or ledger, and one appeared while the other files were renamed.
    #[error("{}: another program created the {what} during this run", escape::path(.path))]
    Created {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The run was interrupted and its files were discarded.
    #[error("the run was interrupted")]
    Discarded,
    /// An I/O error.
    #[error("{}: cannot {action}: {}", escape::path(.path), os_error(.cause))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operation that failed.
        action: &'static str,
        /// The error.
        cause: io::Error,
    },
}

impl CommitFailure {
    /// For `map_err`.
    pub(super) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Io { path: path.to_owned(), action, cause }
    }

    const fn remedy(&self) -> &'static str {
        match self {
            Self::Changed { .. } | Self::Created { .. } | Self::Discarded => ", run again",
            Self::Io { .. } => "",
        }
    }
}

/// A file whose old content could not be restored.
#[derive(Debug)]
pub(super) struct NotRestored {
    path: PathBuf,
    cause: RestoreFailure,
}

#[derive(Debug)]
enum RestoreFailure {
    /// The old file is lost.
    Lost,
    /// The old file has this temporary name.
    Kept(PathBuf),
    /// Another program has put a file there since, which must not be lost.
    ReplacedAgain,
}

impl fmt::Display for NotRestored {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", escape::path(&self.path))?;
        match &self.cause {
            RestoreFailure::Lost => Ok(()),
            RestoreFailure::Kept(old) => write!(out, " (the old file is {})", escape::path(old)),
            RestoreFailure::ReplacedAgain => write!(out, " (another program has replaced it since)"),
        }
    }
}

/// The state of the files after a failed commit.
struct Consequence<'a>(&'a [NotRestored]);

impl fmt::Display for Consequence<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return out.write_str("nothing was replaced");
        }
        let names: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        write!(out, "these files were replaced or removed and could not be restored: {}", names.join(", "))
    }
}

/// Fails if the list or ledger at `path` changed since it was locked.
pub(super) fn check_unchanged(lock: &FileLock, path: &Path) -> Result<(), CommitFailure> {
    match lock.is_unchanged() {
        Ok(true) => Ok(()),
        Ok(false) => Err(CommitFailure::Changed { path: path.to_owned(), what: lock.order.name() }),
        Err(error) => Err(CommitFailure::io(path, "read")(error)),
    }
}

/// The steps of a commit. Dropping it keeps them and removes the links to the old files.
#[derive(Debug, Default)]
pub(super) struct Commit {
    steps: Vec<Step>,
    /// The folders that were locked, and their locks.
    locked_folders: BTreeSet<PathBuf>,
    locks: Vec<File>,
    /// The folders that were changed since they were last synced.
    unsynced: BTreeSet<PathBuf>,
}

#[derive(Debug)]
struct Step {
    path: PathBuf,
    before: Before,
    /// The file that the step put there. `None` if it removed the file.
    after: Option<Inode>,
}

/// What was at a path before the commit.
#[derive(Debug)]
enum Before {
    Nothing,
    /// A file, which has this link.
    Linked(TempPath),
    /// A file that could not be linked.
    Lost,
}

impl Commit {
    /// Makes other runs that create the same list or ledger wait until this commit is complete or undone.
    pub(super) fn lock_folder_of_new_file(&mut self, lock: &FileLock, path: &Path) -> Result<(), CommitFailure> {
        let folder = parent(path);
        if lock.is_of_new_file() && self.locked_folders.insert(folder.to_owned()) {
            self.locks.extend(lock_folder(folder).map_err(CommitFailure::io(folder, "lock"))?);
        }
        Ok(())
    }

    /// Removes a file of rejects if it exists.
    pub(super) fn remove(&mut self, path: PathBuf) -> Result<(), CommitFailure> {
        let before = Before::of(&path, CommitOrder::Rejects).map_err(CommitFailure::io(&path, "remove"))?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(CommitFailure::io(&path, "remove")(error)),
            Ok(()) => {
                self.done(path, before, None);
                Ok(())
            }
        }
    }

    /// Renames a staged file into place. Fails with [`CommitFailure::Created`] if the lock is of a new file but the file
    /// exists.
    pub(super) fn replace(&mut self, staged: StagedFile, lock: Option<&FileLock>) -> Result<(), CommitFailure> {
        let new_file = lock.filter(|lock| lock.is_of_new_file());
        let must_be_new = new_file.is_some();
        let path = staged.target.clone();
        let before = if must_be_new { Ok(Before::Nothing) } else { Before::of(&path, staged.order) };
        let renamed = before.and_then(|before| staged.rename(must_be_new).map(|inode| (before, inode)));
        let (before, inode) = renamed.map_err(|cause| match new_file {
            Some(lock) if cause.kind() == io::ErrorKind::AlreadyExists => {
                CommitFailure::Created { path: path.clone(), what: lock.order.name() }
            }
            _ => CommitFailure::io(&path, "rename into place")(cause),
        })?;
        self.done(path, before, Some(inode));
        Ok(())
    }

    fn done(&mut self, path: PathBuf, before: Before, after: Option<Inode>) {
        self.changed_folder(parent(&path));
        self.steps.push(Step { path, before, after });
    }

    /// Makes [`Self::sync_folders`] sync this folder.
    pub(super) fn changed_folder(&mut self, folder: &Path) {
        self.unsynced.insert(folder.to_owned());
    }

    /// Syncs the changed folders.
    pub(super) fn sync_folders(&mut self) -> Result<(), CommitFailure> {
        for path in std::mem::take(&mut self.unsynced) {
            sync_folder(&path).map_err(CommitFailure::io(&path, "sync"))?;
        }
        Ok(())
    }

    /// Undoes all steps in reverse order. Returns the files for which this failed.
    pub(super) fn undo(self) -> Vec<NotRestored> {
        let mut not_restored = Vec::new();
        for Step { path, before, after } in self.steps.into_iter().rev() {
            match before.restore(&path, after) {
                // Also after a crash, the list must not be newer than the other files. The commit has failed already.
                Ok(()) => drop(sync_folder(parent(&path))),
                Err(cause) => not_restored.push(NotRestored { path, cause }),
            }
        }
        not_restored.reverse();
        not_restored
    }
}

impl Before {
    /// Links the file at `path`.
    fn of(path: &Path, order: CommitOrder) -> io::Result<Self> {
        let link = |link: &Path| {
            if is_protected(path) { Err(io::ErrorKind::PermissionDenied.into()) } else { fs::hard_link(path, link) }
        };
        match temporary_names(order).make_in(parent(path), link) {
            Ok(link) => Ok(Self::Linked(link.into_temp_path())),
            // A link is not possible on every file system, nor to every file.
            Err(_) => match fs::symlink_metadata(path) {
                Ok(_) => Ok(Self::Lost),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::Nothing),
                Err(error) => Err(error),
            },
        }
    }

    /// Restores the file at `path`, where the commit put the file `after`.
    fn restore(self, path: &Path, after: Option<Inode>) -> Result<(), RestoreFailure> {
        let current = fs::symlink_metadata(path).ok().map(|metadata| inode(&metadata));
        if current.is_some() && current != after {
            return Err(RestoreFailure::ReplacedAgain);
        }
        match self {
            Self::Nothing if current.is_none() => Ok(()),
            Self::Nothing => fs::remove_file(path).map_err(|_| RestoreFailure::Lost),
            Self::Linked(mut link) => {
                link.disable_cleanup(true);
                fs::rename(&link, path).map_err(|_| RestoreFailure::Kept(link.to_path_buf()))
            }
            Self::Lost => Err(RestoreFailure::Lost),
        }
    }
}

/// Whether a sticky folder protects the file of another user. A link to it could not be removed again.
#[cfg(unix)]
fn is_protected(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    const STICKY: u32 = 0o1000;
    let user = rustix::process::geteuid();
    let (Ok(folder), Ok(file)) = (fs::metadata(parent(path)), fs::symlink_metadata(path)) else { return false };
    let is_owner = user.is_root() || [folder.uid(), file.uid()].contains(&user.as_raw());
    folder.mode() & STICKY != 0 && !is_owner
}

#[cfg(not(unix))]
fn is_protected(_path: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn steps_are_undone_in_reverse_order() {
        let folder = tempfile::tempdir().unwrap();
        let [path, removed, new] = ["path", "removed", "new"].map(|name| folder.path().join(name));
        [&path, &removed].iter().for_each(|path| fs::write(path, "old").unwrap());
        let mut commit = Commit::default();
        commit.remove(removed.clone()).unwrap();
        for target in [&path, &path, &new] {
            let mut staged = StagedFile::create(target.clone(), None, CommitOrder::Output).unwrap();
            staged.open().unwrap().write_all(b"new").unwrap();
            commit.replace(staged, None).unwrap();
        }
        assert!(!removed.exists());
        assert!(commit.undo().is_empty());
        assert_eq!([&path, &removed].map(|path| fs::read(path).unwrap()), [b"old", b"old"]);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
    }

    #[cfg(unix)]
    #[test]
    fn undo_leaves_files_that_were_replaced_since() {
        let folder = tempfile::tempdir().unwrap();
        let [path, removed, new, other] = ["path", "removed", "new", "other"].map(|name| folder.path().join(name));
        [&path, &removed].iter().for_each(|path| fs::write(path, "old").unwrap());
        let mut commit = Commit::default();
        commit.remove(removed.clone()).unwrap();
        for target in [&path, &new] {
            let staged = StagedFile::create(target.clone(), None, CommitOrder::Output).unwrap();
            commit.replace(staged, None).unwrap();
        }
        for replaced in [&path, &removed, &new] {
            fs::write(&other, "other").unwrap();
            fs::rename(&other, replaced).unwrap();
        }
        let not_restored = commit.undo();
        assert!(not_restored.iter().all(|file| matches!(file.cause, RestoreFailure::ReplacedAgain)));
        assert_eq!(not_restored.len(), 3);
        assert_eq!([&path, &removed, &new].map(|path| fs::read(path).unwrap()), [b"other", b"other", b"other"]);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 3, "links to old files are removed");
    }
}
