//! One staged file: its target path, its temporary file, and the rename.
//!
//! A staged file behaves like a shell redirect: symbolic links are followed, and permissions and owner are kept. They
//! are set at the commit, so the new content of a private file is never readable by other users.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempPath;

use super::lock::{Inode, inode};
use crate::escape;
use crate::system::os_error;

/// The order in which files are renamed into place. If a run is killed between two of them, it can be repeated with the
/// same result: the ledger is before the output, so each code in an output is in the ledger, and the saved list is last,
/// because it changes the decisions of the same command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CommitOrder {
    /// The rejected records.
    Rejects,
    /// The ledger.
    Ledger,
    /// The decisions, or the output of another subcommand.
    Output,
    /// The loyalty list.
    List,
}

impl CommitOrder {
    /// What a file that is locked is called in messages.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Rejects => "rejects",
            Self::Ledger => "ledger",
            Self::Output => "output",
            Self::List => "list",
        }
    }
}

/// A temporary file that will replace `target`.
#[derive(Debug)]
pub(super) struct StagedFile {
    pub(super) order: CommitOrder,
    temporary: TempPath,
    /// The handle for all writes. Only this handle reports a delayed write error. `None` after it was synced and closed.
    file: Option<Arc<File>>,
    pub(super) target: PathBuf,
    /// The metadata of the existing file when this file was created.
    existing: Option<fs::Metadata>,
}

/// The prefix and the suffix of the name of a temporary file. A killed run can leave such files.
const TEMPORARY: (&str, &str) = (".adseg-", ".tmp");

/// The prefix for rejects. It differs from the others because only one run at a time writes rejects to a folder.
const TEMPORARY_REJECTS: &str = ".adseg-rejects-";

/// Whether a killed run can have left a file of this name.
pub fn is_temporary(name: &str) -> bool {
    name.strip_prefix(TEMPORARY.0).is_some_and(|rest| rest.ends_with(TEMPORARY.1))
}

/// The same for a file of rejects.
pub(super) fn is_temporary_of_rejects(name: &str) -> bool {
    is_temporary(name) && name.starts_with(TEMPORARY_REJECTS)
}

/// The maximum number of symbolic links that are followed, as in Linux.
const MAX_LINKS: usize = 40;

impl StagedFile {
    /// Creates the temporary file. Only its owner can read it if it replaces a file, which may be private. A new file has
    /// the permissions of a shell redirect.
    pub(super) fn create(target: PathBuf, existing: Option<fs::Metadata>, order: CommitOrder) -> io::Result<Self> {
        let (file, temporary) = create_beside(&target, order, existing.is_some())?.into_parts();
        Ok(Self { order, temporary, file: Some(Arc::new(file)), target, existing })
    }

    /// The name of the temporary file.
    pub(super) fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// The handle for writing. Opens the file again if it was closed.
    pub(super) fn open(&mut self) -> io::Result<Arc<File>> {
        if let Some(file) = &self.file {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(open_to_append(&self.temporary)?);
        self.file = Some(Arc::clone(&file));
        Ok(file)
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.file.is_none()
    }

    /// Drops the handle, which the caller must sync. Returns `None` if the file is closed already.
    pub(super) fn close(&mut self) -> Option<Arc<File>> {
        self.file.take()
    }

    /// The file whose owner and permissions the new file gets.
    pub(super) fn existing(&self) -> io::Result<Option<fs::Metadata>> {
        match fs::metadata(&self.target) {
            Ok(metadata) if metadata.is_file() => Ok(Some(metadata)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(_) | Err(_) => Ok(self.existing.clone()),
        }
    }

    /// Renames the file into place, and returns its identity. Fails with [`io::ErrorKind::AlreadyExists`] if it `must_be_new` but exists.
    pub(super) fn rename(self, must_be_new: bool) -> io::Result<Inode> {
        let inode = inode(&fs::symlink_metadata(&self.temporary)?);
        if must_be_new {
            match fs::hard_link(&self.temporary, &self.target) {
                // Dropping the temporary file removes its other name.
                Ok(()) => return Ok(inode),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
                // The file system has no links.
                Err(_) => {}
            }
        }
        let temporary = self.temporary.keep().map_err(|failed| failed.error)?;
        fs::rename(&temporary, &self.target).inspect_err(|_| drop(fs::remove_file(&temporary)))?;
        Ok(inode)
    }
}

/// Creates a folder, and its parents first. Adds the canonical path of each new folder to `created`.
pub(super) fn create_folders(path: &Path, created: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut result = fs::create_dir(path);
    if let (Err(error), Some(parent)) = (&result, path.parent())
        && error.kind() == io::ErrorKind::NotFound
        && !parent.as_os_str().is_empty()
    {
        create_folders(parent, created)?;
        result = fs::create_dir(path);
    }
    match result {
        Ok(()) => {
            created.push(path.canonicalize()?);
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
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

/// Fsyncs a folder, so that renames in it are durable. On Windows, folders cannot be opened as files.
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
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "this is the name of a directory"));
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

/// The names of temporary files for files of this kind.
pub(super) fn temporary_names(order: CommitOrder) -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    let is_rejects = order == CommitOrder::Rejects;
    builder.prefix(if is_rejects { TEMPORARY_REJECTS } else { TEMPORARY.0 }).suffix(TEMPORARY.1);
    builder
}

/// A temporary file in the folder of `target`, with the permissions of a shell redirect unless it is private.
#[cfg_attr(not(unix), expect(unused_variables, reason = "permissions are inherited from the folder"))]
fn create_beside(target: &Path, order: CommitOrder, is_private: bool) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = temporary_names(order);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The system applies the umask.
        builder.permissions(fs::Permissions::from_mode(if is_private { 0o600 } else { 0o666 }));
    }
    let folder = parent(target);
    builder.tempfile_in(folder).map_err(|error| {
        // Removes the name of the temporary file, which tempfile appends.
        let text = error.to_string();
        let words = text.split_once(" at path ").map_or(&*text, |(words, _)| words);
        with_path(folder, &io::Error::new(error.kind(), words))
    })
}

/// Opens a temporary file. The umask can make a new file read-only, which must not keep its owner from opening it again.
fn open_to_append(path: &Path) -> io::Result<File> {
    let open = || OpenOptions::new().append(true).open(path);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let permissions = fs::metadata(path)?.permissions();
        if permissions.mode() & 0o200 == 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(permissions.mode() | 0o200))?;
            let file = open()?;
            file.set_permissions(permissions)?;
            return Ok(file);
        }
    }
    open()
}

/// Gives a new file the owner and the permissions of the file that it will replace.
pub(super) fn copy_permissions(existing: &fs::Metadata, file: &File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
        // Only root may change the owner. Other users own the new file, as with a redirect.
        let has_group = fchown(file, Some(existing.uid()), Some(existing.gid())).is_ok()
            || fchown(file, None, Some(existing.gid())).is_ok();
        let mode = existing.mode();
        // Members of another group get no more access than all users.
        let mode = if has_group { mode } else { mode & !0o070 | (mode & 0o007) << 3 };
        file.set_permissions(fs::Permissions::from_mode(mode))
    }
    #[cfg(not(unix))]
    {
        file.set_permissions(existing.permissions())
    }
}
