//! Files that appear whole or not at all.
//!
//! A file is written beside its final place, synced to the disk, and renamed at the end of a run. Everything that a run
//! writes to files goes through one [`Staging`], so that a failure or an interrupt has one place to take it all back.
//! Where a name stands for something that is not a regular file (a device, a FIFO), it is written straight through and
//! never replaced.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tempfile::TempPath;
use thiserror::Error;

use super::claim::{Claim, Taken, changed, hold_folder};
use super::durable::{sync_file, sync_folder};
use crate::messages::shown;

/// When a file is put in place. Later ones may rely on earlier ones: the saved list, which changes what the same
/// command would answer, comes last, so that a run that dies in between can simply be run again. What is earlier is on
/// the disk before what is later gets its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// The bad records.
    Rejects,
    /// The answers.
    Output,
    /// The loyalty list.
    List,
}

/// Why a file could not be opened for writing.
#[derive(Debug, Error)]
pub enum StageError {
    /// Another output goes there.
    #[error("another output goes there")]
    NamedTwice,
    /// The run was interrupted; nothing is opened any more.
    #[error("the run was given up")]
    GivenUp,
    /// The system does not let it be opened.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What one run writes to files, before it is in place.
#[derive(Debug, Default)]
pub struct Staging(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    staged: Vec<Staged>,
    stale: Vec<PathBuf>,
    made_folders: Vec<PathBuf>,
    list: Option<Claim>,
    held_folders: Vec<File>,
    closed: bool,
}

#[derive(Debug)]
struct Staged {
    rank: Rank,
    written: TempPath,
    /// The handle that everything was written through: what could not be written later is told to it alone.
    file: Arc<File>,
    target: PathBuf,
}

/// What could not be put in place, and why.
pub type Misplaced = (PathBuf, io::Error);

/// What the name of a file begins and ends with that is not in place yet. A run that is killed leaves it.
const UNFINISHED: [&str; 2] = [".adseg-", ".tmp"];

/// Whether a file of this name was left by a run that was killed.
pub(super) fn is_unfinished(name: &str) -> bool {
    name.strip_prefix(UNFINISHED[0]).is_some_and(|rest| rest.ends_with(UNFINISHED[1]))
}

/// How many symbolic links are followed before they are taken for a circle.
const MAX_LINKS: usize = 40;

impl Staging {
    /// Opens `path` for writing: a file beside it that takes its place in [`Self::put_in_place`], or `path` itself
    /// where it is not a regular file.
    ///
    /// # Errors
    /// When nothing can be written there, the same file was opened before, or the run was given up.
    pub fn create(&self, path: &Path, rank: Rank) -> Result<Arc<File>, StageError> {
        let existing = match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => return Err(io::Error::from(io::ErrorKind::IsADirectory).into()),
            Ok(metadata) if !metadata.is_file() => return Ok(Arc::new(OpenOptions::new().write(true).open(path)?)),
            Ok(metadata) => {
                // What may not be written may not be replaced either.
                OpenOptions::new().write(true).open(path)?;
                Some(metadata)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let target = follow_links(path)?;
        let mut state = self.lock();
        if state.closed {
            return Err(StageError::GivenUp);
        }
        if state.staged.iter().any(|staged| staged.target == target) {
            return Err(StageError::NamedTwice);
        }
        let (file, written) = beside(&target)?.into_parts();
        if let Some(metadata) = existing {
            take_over(&file, &metadata)?;
        }
        let file = Arc::new(file);
        state.staged.push(Staged { rank, written, file: Arc::clone(&file), target });
        Ok(file)
    }

    /// Claims the list that `path` names, so that no other run can replace it until this one has ended.
    ///
    /// # Errors
    /// When another run has claimed it.
    pub fn claim_list(&self, path: &Path) -> Result<(), Taken> {
        self.lock().list = Claim::take(path)?;
        Ok(())
    }

    /// Makes a folder, which goes again with [`Self::abandon`], and keeps other runs away from it. One that is there is
    /// taken as it is. Gives its full path.
    ///
    /// # Errors
    /// When it is not there and cannot be made, or another run uses it.
    pub fn make_folder(&self, path: &Path) -> io::Result<PathBuf> {
        let mut state = self.lock();
        let is_new = match fs::create_dir(path) {
            Ok(()) => true,
            Err(_) if path.is_dir() => false,
            Err(error) => return Err(error),
        };
        let path = path.canonicalize()?;
        if is_new {
            state.made_folders.push(path.clone());
        }
        state.held_folders.extend(hold_folder(&path).map_err(io::Error::other)?);
        Ok(path)
    }

    /// Has [`Self::put_in_place`] remove a file that an earlier run left, if no new one takes its place. `path` is a
    /// full path.
    pub fn mark_stale(&self, path: PathBuf) {
        self.lock().stale.push(path);
    }

    /// Waits until everything that was written is on the disk.
    ///
    /// # Errors
    /// The first file that the disk did not take.
    pub fn sync(&self) -> Result<(), Misplaced> {
        let written = |staged: &Staged| (staged.target.clone(), Arc::clone(&staged.file));
        // An interrupt shall not have to wait for the disk.
        let written: Vec<_> = self.lock().staged.iter().map(written).collect();
        written.into_iter().try_for_each(|(target, file)| sync_file(&file).map_err(|error| (target, error)))
    }

    /// Puts every file in its place, by rank. [`Self::sync`] comes before.
    ///
    /// # Errors
    /// The first file that could not be put in place. Those behind it are not, either.
    pub fn put_in_place(&self) -> Result<(), Misplaced> {
        let mut state = self.lock();
        state.closed = true;
        if let Some(claim) = &state.list {
            let list = state.staged.iter().find(|staged| staged.rank == Rank::List);
            list.map_or(Ok(()), |list| claim.check().map_err(|error| (list.target.clone(), error)))?;
        }
        let mut staged = std::mem::take(&mut state.staged);
        staged.sort_by_key(|staged| staged.rank);
        for stale in std::mem::take(&mut state.stale) {
            if !staged.iter().any(|staged| staged.target == stale) {
                remove(stale)?;
            }
        }
        let mut unsynced: BTreeSet<PathBuf> =
            state.made_folders.iter().filter_map(|made| made.parent()).map(Path::to_owned).collect();
        let mut rank = Rank::Rejects;
        for file in staged {
            if file.rank != rank {
                sync_folders(&mut unsynced)?;
                rank = file.rank;
            }
            unsynced.extend(file.target.parent().map(Path::to_owned));
            let must_be_new = rank == Rank::List && state.list.as_ref().is_some_and(Claim::is_of_a_new_file);
            file.put_in_place(must_be_new)?;
        }
        sync_folders(&mut unsynced)
    }

    /// Whether nothing was opened that has yet to be put in place.
    pub fn is_empty(&self) -> bool {
        self.lock().staged.is_empty()
    }

    /// Removes everything that is not in place. Nothing can be opened any more. What is claimed stays claimed: the run
    /// may not have noticed yet.
    pub fn abandon(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.staged.clear();
        for folder in std::mem::take(&mut state.made_folders) {
            // Somebody else may have put something there; then it stays.
            let _ = fs::remove_dir(folder);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Staged {
    fn put_in_place(self, must_be_new: bool) -> Result<(), Misplaced> {
        let Self { written, target, .. } = self;
        let written = if must_be_new {
            match written.persist_noclobber(&target) {
                Ok(()) => return Ok(()),
                Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => return Err((target, changed())),
                // Not every file system can tell in the same breath.
                Err(failed) => failed.path,
            }
        } else {
            written
        };
        written.persist(&target).map_err(|failed| (target, failed.error))
    }
}

/// Removes a file, which may be gone already.
fn remove(path: PathBuf) -> Result<(), Misplaced> {
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err((path, error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn sync_folders(folders: &mut BTreeSet<PathBuf>) -> Result<(), Misplaced> {
    std::mem::take(folders).into_iter().try_for_each(|folder| sync_folder(&folder).map_err(|error| (folder, error)))
}

/// A run that ends in a panic leaves nothing, either.
impl Drop for Staging {
    fn drop(&mut self) {
        self.abandon();
    }
}

/// Where `path` leads, as a redirect would go: a link is written through, not replaced.
fn follow_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "this names a folder"));
        }
        let folder = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let folder = folder.canonicalize().map_err(|error| named(folder, &error))?;
        match fs::read_link(&path) {
            Ok(_) if folder.starts_with("/proc") => {
                // An open file of this or another process: its name may be gone, and others write to it as well.
                return Err(io::Error::other("it stands for a file that is open already; name the file itself"));
            }
            Ok(link) => path = folder.join(link),
            Err(_) => return Ok(folder.join(path.file_name().ok_or(io::ErrorKind::InvalidInput)?)),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// An error that says which file it is about.
fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", shown(path)))
}

/// A new file in the folder of `target`, with the permissions that a redirect would give.
fn beside(target: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(UNFINISHED[0]).suffix(UNFINISHED[1]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The system takes the umask off.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let folder = target.parent().unwrap_or(Path::new("."));
    // The error's own words would name a file that nobody has heard of.
    let cause = |error: io::Error| error.raw_os_error().map_or(error.kind().into(), io::Error::from_raw_os_error);
    builder.tempfile_in(folder).map_err(|error| named(folder, &cause(error)))
}

/// Gives a file the owner and the permissions of the one that it will replace.
fn take_over(file: &File, existing: &fs::Metadata) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, fchown};
        // Only a privileged user may give files away; for others the new file is theirs, as with a redirect to it.
        if fchown(file, Some(existing.uid()), Some(existing.gid())).is_err() {
            let _ = fchown(file, None, Some(existing.gid()));
        }
    }
    file.set_permissions(existing.permissions())
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
    fn a_file_appears_only_when_it_is_put_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let (staging, path) = (Staging::default(), folder.path().join("out"));
        staging.create(&path, Rank::Output).unwrap().write_all(b"new").unwrap();
        assert!(!path.exists());
        staging.put_in_place().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["out"]);
    }

    #[test]
    fn what_is_abandoned_leaves_everything_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (staging, path) = (Staging::default(), folder.path().join("out"));
        fs::write(&path, "old").unwrap();
        staging.create(&path, Rank::Output).unwrap().write_all(b"new").unwrap();
        staging.make_folder(&folder.path().join("rejects")).unwrap();
        staging.abandon();
        assert_eq!(names(folder.path()), ["out"]);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert!(staging.create(&path, Rank::Output).is_err(), "nothing is opened behind the end");
        assert_eq!(names(folder.path()), ["out"]);
    }

    #[test]
    fn two_outputs_cannot_have_one_name() {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::default();
        staging.create(&folder.path().join("out"), Rank::Output).unwrap();
        let error = staging.create(&folder.path().join("./out"), Rank::List).unwrap_err();
        assert!(matches!(error, StageError::NamedTwice));
    }

    #[cfg(unix)]
    #[test]
    fn an_existing_file_keeps_its_permissions_and_a_link_stays_a_link() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (staging, path) = (Staging::default(), folder.path().join("out"));
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("out", folder.path().join("link")).unwrap();
        symlink("fresh", folder.path().join("dangling")).unwrap();
        staging.create(&folder.path().join("link"), Rank::Output).unwrap().write_all(b"new").unwrap();
        staging.create(&folder.path().join("dangling"), Rank::List).unwrap().write_all(b"list").unwrap();
        staging.put_in_place().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read(folder.path().join("fresh")).unwrap(), b"list");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(names(folder.path()), ["dangling", "fresh", "link", "out"]);
    }
}
