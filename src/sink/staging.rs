//! Files that appear whole or not at all.
//!
//! A file is written beside its final place and renamed at the end of a run. Everything that a run writes to files goes
//! through one [`Staging`], so that a failure or an interrupt has one place to take it all back. Where a name stands
//! for something that is not a regular file (a device, a FIFO), it is written straight through and never replaced.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::TempPath;
use thiserror::Error;

use crate::messages::shown;

/// When a file is put in place. Later ones may rely on earlier ones: the saved list, which changes what the same
/// command would answer, comes last, so that a run that dies in between can simply be run again.
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
    closed: bool,
}

#[derive(Debug)]
struct Staged {
    rank: Rank,
    written: TempPath,
    target: PathBuf,
}

/// How many symbolic links are followed before they are taken for a circle.
const MAX_LINKS: usize = 40;

impl Staging {
    /// Opens `path` for writing: a file beside it that takes its place in [`Self::put_in_place`], or `path` itself
    /// where it is not a regular file.
    ///
    /// # Errors
    /// When nothing can be written there, the same file was opened before, or the run was given up.
    pub fn create(&self, path: &Path, rank: Rank) -> Result<File, StageError> {
        let existing = match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => return Err(io::Error::from(io::ErrorKind::IsADirectory).into()),
            Ok(metadata) if !metadata.is_file() => return Ok(OpenOptions::new().write(true).open(path)?),
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
        state.staged.push(Staged { rank, written, target });
        Ok(file)
    }

    /// Makes a folder, which goes again with [`Self::abandon`]. One that is there is taken as it is. Gives its full path.
    ///
    /// # Errors
    /// When it is not there and cannot be made.
    pub fn make_folder(&self, path: &Path) -> io::Result<PathBuf> {
        let mut state = self.lock();
        match fs::create_dir(path) {
            Ok(()) => state.made_folders.push(path.to_owned()),
            Err(_) if path.is_dir() => {}
            Err(error) => return Err(error),
        }
        path.canonicalize()
    }

    /// Has [`Self::put_in_place`] remove a file that an earlier run left, if no new one takes its place. `path` is a
    /// full path.
    pub fn mark_stale(&self, path: PathBuf) {
        self.lock().stale.push(path);
    }

    /// Puts every file in its place, by rank.
    ///
    /// # Errors
    /// The first file that could not be put in place. Those behind it are not, either.
    pub fn put_in_place(&self) -> Result<(), (PathBuf, io::Error)> {
        let mut state = self.lock();
        state.closed = true;
        let mut stale = std::mem::take(&mut state.stale);
        let mut staged = std::mem::take(&mut state.staged);
        staged.sort_by_key(|staged| staged.rank);
        for Staged { written, target, .. } in staged {
            stale.retain(|path| *path != target);
            written.persist(&target).map_err(|failed| (target, failed.error))?;
        }
        for path in stale {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err((path, error)),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Whether nothing was opened that has yet to be put in place.
    pub fn is_empty(&self) -> bool {
        self.lock().staged.is_empty()
    }

    /// Removes everything that is not in place. Nothing can be opened any more.
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
    builder.prefix(".adseg-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The system takes the umask off.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let folder = target.parent().unwrap_or(Path::new("."));
    // The error's own words would name a file that nobody has heard of.
    builder.tempfile_in(folder).map_err(|error| named(folder, &error.kind().into()))
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
