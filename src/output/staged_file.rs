//! One staged file: where its path leads, its temporary file, and its rename into place.
//!
//! Writing to it looks like a shell redirect: symbolic links are followed, permissions and owner are kept.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempPath;

use crate::escape;
use crate::system::os_error;

/// The order in which files are renamed into place. The saved list changes what the same command would decide, so it is
/// last: when a run dies before that, it can simply be run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CommitOrder {
    /// The rejected records.
    Rejects,
    /// The decisions, or whatever else a subcommand prints.
    Output,
    /// The loyalty list.
    List,
}

/// A temporary file that will replace `target`.
#[derive(Debug)]
pub(super) struct StagedFile {
    pub(super) order: CommitOrder,
    temporary: TempPath,
    /// The handle that everything is written through: only this one reports a write that failed late.
    pub(super) file: Arc<File>,
    pub(super) target: PathBuf,
}

/// The prefix and the suffix of a temporary file's name. A run that is killed leaves such files.
const TEMPORARY: (&str, &str) = (".adseg-", ".tmp");

/// Whether a killed run can have left a file of this name.
pub(super) fn is_temporary(name: &str) -> bool {
    name.strip_prefix(TEMPORARY.0).is_some_and(|rest| rest.ends_with(TEMPORARY.1))
}

/// As many symbolic links are followed as Linux does.
const MAX_LINKS: usize = 40;

impl StagedFile {
    /// Creates the temporary file, with the permissions of the existing one or those that a shell redirect gives.
    pub(super) fn create(target: PathBuf, existing: Option<&fs::Metadata>, order: CommitOrder) -> io::Result<Self> {
        let (file, temporary) = create_beside(&target)?.into_parts();
        if let Some(metadata) = existing {
            copy_permissions(metadata, &file)?;
        }
        Ok(Self { order, temporary, file: Arc::new(file), target })
    }

    /// Renames the file into place. Fails with [`io::ErrorKind::AlreadyExists`] when it `must_be_new` and is not.
    pub(super) fn rename(self, must_be_new: bool) -> io::Result<()> {
        let Self { mut temporary, target, .. } = self;
        if must_be_new {
            temporary = match temporary.persist_noclobber(&target) {
                Ok(()) => return Ok(()),
                Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => return Err(failed.error),
                // The file system has no atomic rename to a new name.
                Err(failed) => failed.path,
            };
        }
        temporary.persist(&target).map_err(|failed| failed.error)
    }
}

/// The folder of a canonical path.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().expect("a canonical path below a folder has a parent")
}

/// Waits until everything that was written to a file is on the disk.
pub(super) fn sync(file: &File) -> io::Result<()> {
    match file.sync_all() {
        // Some file systems do not sync folders, or anything.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        result => result,
    }
}

/// Waits until the names in a folder are on the disk.
#[cfg(unix)]
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder) {
        Ok(folder) => sync(&folder),
        // A folder can be writable without being readable.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error),
    }
}

/// On Windows, folders cannot be opened as files.
#[cfg(not(unix))]
pub(super) fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// The path that a shell redirect to `path` would write to: a symbolic link stays, its target is replaced.
pub(super) fn follow_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "this is the name of a folder"));
        }
        let folder = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let folder = folder.canonicalize().map_err(|error| with_path(folder, &error))?;
        match fs::read_link(&path) {
            Ok(_) if folder.starts_with("/proc") => {
                // An open file of some process: it may have no name any more, and others may write to it.
                return Err(io::Error::other("this is a file that a process has open; use the file's own name"));
            }
            Ok(link) => path = folder.join(link),
            Err(_) => return Ok(folder.join(path.file_name().ok_or(io::ErrorKind::InvalidInput)?)),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

fn with_path(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {}", escape::path(path), os_error(error)))
}

/// A temporary file in the folder of `target`, with the permissions that a shell redirect gives.
fn create_beside(target: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY.0).suffix(TEMPORARY.1);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The system applies the umask.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let folder = parent(target);
    builder.tempfile_in(folder).map_err(|error| {
        // tempfile appends the name of the temporary file, which means nothing to the user.
        let text = error.to_string();
        let words = text.split_once(" at path ").map_or(&*text, |(words, _)| words);
        with_path(folder, &io::Error::new(error.kind(), words))
    })
}

/// Gives a new file the owner and the permissions of the file that it will replace.
fn copy_permissions(existing: &fs::Metadata, file: &File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, fchown};
        if fchown(file, Some(existing.uid()), Some(existing.gid())).is_err() {
            // Only root may change the owner. For other users the new file is their own, as with a redirect.
            let _ = fchown(file, None, Some(existing.gid()));
        }
    }
    file.set_permissions(existing.permissions())
}
