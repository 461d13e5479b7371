//! One staged file: its target path, its temporary file, and the rename.
//!
//! A staged file behaves like a shell redirect: symbolic links are followed, and permissions and owner are kept.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempPath;

use crate::escape;
use crate::system::os_error;

/// The order in which files are renamed into place. The saved list is last, because it changes the decisions of the
/// same command. If a run is killed before that, it can be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CommitOrder {
    /// The rejected records.
    Rejects,
    /// The decisions, or the output of another subcommand.
    Output,
    /// The loyalty list.
    List,
}

/// A temporary file that will replace `target`.
#[derive(Debug)]
pub(super) struct StagedFile {
    pub(super) order: CommitOrder,
    temporary: TempPath,
    /// The handle for all writes. Only this handle reports a delayed write error.
    pub(super) file: Arc<File>,
    pub(super) target: PathBuf,
}

/// The prefix and the suffix of the name of a temporary file. A killed run can leave such files.
const TEMPORARY: (&str, &str) = (".adseg-", ".tmp");

/// Whether a killed run can have left a file of this name.
pub(super) fn is_temporary(name: &str) -> bool {
    name.strip_prefix(TEMPORARY.0).is_some_and(|rest| rest.ends_with(TEMPORARY.1))
}

/// The maximum number of symbolic links that are followed, as in Linux.
const MAX_LINKS: usize = 40;

impl StagedFile {
    /// Creates the temporary file, with the permissions of the existing file or those of a shell redirect.
    pub(super) fn create(target: PathBuf, existing: Option<&fs::Metadata>, order: CommitOrder) -> io::Result<Self> {
        let (file, temporary) = create_beside(&target)?.into_parts();
        if let Some(metadata) = existing {
            copy_permissions(metadata, &file)?;
        }
        Ok(Self { order, temporary, file: Arc::new(file), target })
    }

    /// Renames the file into place. Fails with [`io::ErrorKind::AlreadyExists`] if it `must_be_new` but exists.
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

pub(super) fn sync(file: &File) -> io::Result<()> {
    match file.sync_all() {
        // Some file systems cannot sync folders, or cannot sync at all.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        result => result,
    }
}

/// Fsyncs a folder, so renames in it are on the disk. On Windows, folders cannot be opened as files.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder) {
        _ if cfg!(not(unix)) => Ok(()),
        Ok(folder) => sync(&folder),
        // A folder can be writable without being readable.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error),
    }
}

/// The path that a shell redirect to `path` would write to: the target of a symbolic link.
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
                // An open file of a process: it may have no name, and other processes may write to it.
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

/// A temporary file in the folder of `target`, with the permissions of a shell redirect.
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
        // Removes the name of the temporary file, which tempfile appends.
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
            // Only root may change the owner. Other users own the new file, as with a redirect.
            let _ = fchown(file, None, Some(existing.gid()));
        }
    }
    file.set_permissions(existing.permissions())
}
