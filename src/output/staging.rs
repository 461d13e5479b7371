//! Staged files: written to temporary files in the same folder, and renamed into place at the end of the run.
//!
//! Invariant: a path has its old content or the complete new content, even after a system crash. File data is fsynced
//! before any rename, and the folder of a rename before the next rename that depends on it. If a step fails, the steps
//! before it are undone. A path that is not a regular file (a device, a FIFO) is written directly and never replaced.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;

use super::commit::{Commit, CommitError, CommitFailure, check_unchanged};
use super::lock::{FileLock, LockError, try_lock};
use super::staged_file::{CommitOrder, StagedFile, copy_permissions, create_folders, follow_links, parent, sync};
use crate::system::os_error;

/// A file or folder could not be opened for writing.
#[derive(Debug, Error)]
pub enum StageError {
    /// Two outputs have the same path.
    #[error("another output has the same name; give each its own file")]
    DuplicatePath,
    /// Another file in the folder of the rejects could be mistaken for rejects, or keep the next run from using it.
    #[error("it would be in the rejects directory; name another directory")]
    InRejectsFolder,
    /// The run was interrupted, or its files were committed.
    #[error("the run has ended")]
    Closed,
    /// Another run writes rejects to the same folder.
    #[error("another run is writing to this directory; wait for it to finish")]
    FolderLocked,
    /// An I/O error.
    #[error("{}", os_error(.0))]
    Io(io::Error),
}

// Not thiserror's `#[from]`, which would also make it the source and print it twice.
impl From<io::Error> for StageError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The files that one run writes. Dropping it discards uncommitted files.
#[derive(Debug, Default)]
pub struct Staging(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    staged: Vec<StagedFile>,
    /// All temporary files that were created.
    temporary: Vec<PathBuf>,
    remove_on_commit: Vec<PathBuf>,
    created_folders: Vec<PathBuf>,
    /// The locks of the list and the ledger that are replaced.
    file_locks: Vec<FileLock>,
    /// Other locked files and folders.
    locks: Vec<Arc<File>>,
    /// The folder of the rejects, as a canonical path.
    rejects_folder: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    Open,
    Discarded,
    Committed,
}

impl Staging {
    /// Opens `path` for writing: a temporary file beside it until [`Self::commit`], or `path` itself when it is not a
    /// regular file.
    ///
    /// # Errors
    /// When the folder or the existing file is not writable, `path` is already open, or the run has ended.
    pub fn create(&self, path: &Path, order: CommitOrder) -> Result<Arc<File>, StageError> {
        let existing = match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => return Err(io::Error::from(io::ErrorKind::IsADirectory).into()),
            Ok(metadata) if !metadata.is_file() => return Ok(Arc::new(OpenOptions::new().write(true).open(path)?)),
            Ok(metadata) => {
                // A rename would replace a read-only file; opening it for writing fails.
                OpenOptions::new().write(true).open(path)?;
                Some(metadata)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let target = follow_links(path)?;
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return Err(StageError::Closed);
        }
        if order != CommitOrder::Rejects && state.rejects_folder.as_deref() == Some(parent(&target)) {
            return Err(StageError::InRejectsFolder);
        }
        if state.staged.iter().any(|staged| staged.target == target) {
            return Err(StageError::DuplicatePath);
        }
        let mut staged = StagedFile::create(target, existing, order)?;
        let file = staged.open()?;
        state.temporary.push(staged.temporary().to_owned());
        state.staged.push(staged);
        Ok(file)
    }

    /// Fsyncs and closes a staged file, whose handle the caller has dropped. `path` is canonical.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn close(&self, path: &Path) -> io::Result<()> {
        let file = self.lock().staged_at(path).and_then(StagedFile::close);
        file.map_or(Ok(()), |file| sync(&file))
    }

    /// Opens a staged file that was closed, to append to it. `path` is canonical.
    ///
    /// # Errors
    /// When it cannot be opened, or the run has ended.
    pub fn reopen(&self, path: &Path) -> Result<Arc<File>, StageError> {
        Ok(self.lock().staged_at(path).ok_or(StageError::Closed)?.open()?)
    }

    /// Locks the list or the ledger at `path` until the staging is dropped, so no other run can replace it.
    ///
    /// # Errors
    /// When another run has locked it, or it cannot be opened for writing.
    pub fn lock_file(&self, path: &Path, order: CommitOrder) -> Result<(), LockError> {
        let lock = FileLock::acquire(path, order)?;
        self.lock().file_locks.extend(lock);
        Ok(())
    }

    /// Creates a folder and its parents unless they exist, locks it, and returns its canonical path. [`Self::discard`]
    /// removes the folders that were created.
    ///
    /// # Errors
    /// When it cannot be created, another run has locked it, or the run has ended.
    pub fn create_folder(&self, path: &Path) -> Result<PathBuf, StageError> {
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return Err(StageError::Closed);
        }
        create_folders(path, &mut state.created_folders)?;
        let path = path.canonicalize()?;
        // On Windows, folders cannot be opened as files.
        if cfg!(unix) {
            let folder = File::open(&path)?;
            if !try_lock(&folder) {
                return Err(StageError::FolderLocked);
            }
            state.locks.push(Arc::new(folder));
        }
        state.rejects_folder = Some(path.clone());
        Ok(path)
    }

    /// Removes the folder at this canonical path with its staged files, and its parents, if they were created and are
    /// empty otherwise. A folder that existed before is kept, with its staged files.
    pub fn remove_if_created(&self, folder: &Path) {
        let mut state = self.lock();
        if state.created_folders.iter().any(|created| created == folder) {
            state.staged.retain(|staged| parent(&staged.target) != folder);
            state.remove_created_folders();
        }
    }

    /// Makes [`Self::commit`] remove the file at this canonical path, unless a staged file replaces it.
    pub fn remove_on_commit(&self, path: PathBuf) {
        self.lock().remove_on_commit.push(path);
    }

    /// The temporary files that exist. After a failure, these are the ones that could not be removed.
    pub fn temporary_files(&self) -> Vec<PathBuf> {
        self.lock().temporary.iter().filter(|path| path.symlink_metadata().is_ok()).cloned().collect()
    }

    /// Whether there are no staged files.
    pub fn is_empty(&self) -> bool {
        self.lock().staged.is_empty()
    }

    /// Fsyncs all staged files, checks that the list and the ledger did not change, and renames the files into place in
    /// their order.
    ///
    /// # Errors
    /// When one of these steps fails or the run was interrupted. All files are restored then, as far as possible.
    pub fn commit(&self) -> Result<(), CommitError> {
        let nothing_replaced = |failure| CommitError { failure, not_restored: Vec::new() };
        self.sync_files().map_err(nothing_replaced).inspect_err(|_| {
            self.discard();
        })?;
        let mut state = self.lock();
        if state.phase == Phase::Discarded {
            return Err(nothing_replaced(CommitFailure::Discarded));
        }
        state.phase = Phase::Committed;
        let mut commit = Commit::default();
        let result = state.commit(&mut commit);
        result.map_err(|failure| {
            let not_restored = commit.undo();
            state.remove_uncommitted();
            CommitError { failure, not_restored }
        })
    }

    /// Removes all staged files, and rejects new ones. Locks are kept until the drop, because the thread that uses the
    /// files may still be running. Returns false if the files were already committed.
    pub fn discard(&self) -> bool {
        let mut state = self.lock();
        if state.phase == Phase::Committed {
            return false;
        }
        state.phase = Phase::Discarded;
        state.remove_uncommitted();
        true
    }

    /// Sets the permissions of the staged files, and fsyncs them without the lock, so an interrupt does not wait.
    fn sync_files(&self) -> Result<(), CommitFailure> {
        for index in 0.. {
            let mut state = self.lock();
            let Some(staged) = state.staged.get_mut(index) else { break };
            let (path, was_closed) = (staged.target.clone(), staged.is_closed());
            let opened = staged.open().and_then(|file| Ok((file, staged.existing()?)));
            if was_closed {
                staged.close();
            }
            drop(state);
            let synced = opened.and_then(|(file, existing)| {
                existing.map_or(Ok(()), |existing| copy_permissions(&existing, &file))?;
                sync(&file)
            });
            synced.map_err(CommitFailure::io(&path, "write"))?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic during the commit must not keep the other threads from cleaning up.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        self.discard();
    }
}

impl State {
    fn staged_at(&mut self, path: &Path) -> Option<&mut StagedFile> {
        self.staged.iter_mut().find(|staged| staged.target == path)
    }

    fn commit(&mut self, commit: &mut Commit) -> Result<(), CommitFailure> {
        for lock in &self.file_locks {
            let Some(staged) = self.staged.iter_mut().find(|staged| staged.order == lock.order) else { continue };
            commit.lock_folder_of_new_file(lock, &staged.target)?;
            check_unchanged(lock, &staged.target)?;
            // No run may read the new file before this run ends, because the commit may be undone.
            let file = staged.open().map_err(CommitFailure::io(&staged.target, "write"))?;
            try_lock(&file);
            self.locks.push(file);
        }
        let mut staged = std::mem::take(&mut self.staged);
        staged.sort_by_key(|staged| staged.order);
        self.created_folders.iter().for_each(|folder| commit.changed_folder(parent(folder)));
        for path in std::mem::take(&mut self.remove_on_commit) {
            if !staged.iter().any(|staged| staged.target == path) {
                commit.remove(path)?;
            }
        }
        let mut order = CommitOrder::Rejects;
        for staged in staged {
            if staged.order != order {
                commit.sync_folders()?;
                order = staged.order;
            }
            let lock = self.file_locks.iter().find(|lock| lock.order == order);
            // The other files may have taken long to sync.
            lock.map_or(Ok(()), |lock| check_unchanged(lock, &staged.target))?;
            commit.replace(staged, lock)?;
        }
        commit.sync_folders()
    }

    fn remove_uncommitted(&mut self) {
        self.staged.clear();
        self.remove_created_folders();
    }

    /// Removes the created folders that are empty, subfolders first. The others must be kept.
    fn remove_created_folders(&mut self) {
        let created = std::mem::take(&mut self.created_folders);
        self.created_folders = created.into_iter().rev().filter(|folder| fs::remove_dir(folder).is_err()).collect();
        self.created_folders.reverse();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_only_on_commit() {
        let folder = tempfile::tempdir().unwrap();
        let (staging, path) = (Staging::default(), folder.path().join("out"));
        staging.create(&path, CommitOrder::Output).unwrap().write_all(b"new").unwrap();
        assert!(!path.exists());
        staging.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["out"]);
        assert!(!staging.discard(), "committed files stay");
        assert_eq!(names(folder.path()), ["out"]);
    }

    #[test]
    fn discard_leaves_everything_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (staging, path) = (Staging::default(), folder.path().join("out"));
        fs::write(&path, "old").unwrap();
        staging.create(&path, CommitOrder::Output).unwrap().write_all(b"new").unwrap();
        staging.create_folder(&folder.path().join("new/parent/rejects")).unwrap();
        assert!(staging.discard());
        assert!(matches!(staging.create(&path, CommitOrder::Output), Err(StageError::Closed)));
        assert!(matches!(staging.commit(), Err(CommitError { failure: CommitFailure::Discarded, .. })));
        assert_eq!(names(folder.path()), ["out"]);
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }

    #[test]
    fn a_list_that_changed_stops_the_commit_of_all_files() {
        let folder = tempfile::tempdir().unwrap();
        let [list, out] = ["list", "out"].map(|name| folder.path().join(name));
        let staging = Staging::default();
        staging.lock_file(&list, CommitOrder::List).unwrap();
        staging.create(&list, CommitOrder::List).unwrap();
        staging.create(&out, CommitOrder::Output).unwrap();
        staging.create_folder(&folder.path().join("rejects")).unwrap();
        fs::write(&list, "other").unwrap();
        assert!(matches!(staging.commit(), Err(CommitError { failure: CommitFailure::Changed { .. }, .. })));
        assert_eq!(names(folder.path()), ["list"]);
        assert_eq!(fs::read(&list).unwrap(), b"other");
    }

    #[cfg(unix)]
    #[test]
    fn a_replaced_list_is_locked_until_the_run_ends() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("list");
        for _ in 0..2 {
            let staging = Staging::default();
            staging.lock_file(&list, CommitOrder::List).unwrap();
            staging.create(&list, CommitOrder::List).unwrap();
            staging.commit().unwrap();
            assert!(matches!(Staging::default().lock_file(&list, CommitOrder::List), Err(LockError::Locked(_))));
        }
        Staging::default().lock_file(&list, CommitOrder::List).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn an_existing_file_keeps_its_permissions_and_a_link_stays() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (staging, path) = (Staging::default(), folder.path().join("out"));
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("out", folder.path().join("link")).unwrap();
        symlink("fresh", folder.path().join("dangling")).unwrap();
        staging.create(&folder.path().join("link"), CommitOrder::Output).unwrap().write_all(b"new").unwrap();
        staging.create(&folder.path().join("dangling"), CommitOrder::List).unwrap().write_all(b"list").unwrap();
        staging.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read(folder.path().join("fresh")).unwrap(), b"list");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(names(folder.path()), ["dangling", "fresh", "link", "out"]);
    }
}
