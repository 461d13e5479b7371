//! The identity of files, to detect that two names mean the same file.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use crate::output::is_temporary;
use crate::system::stdout_file;

/// The identity of a file that must not be used twice: a regular file or a FIFO, not a device or a terminal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileId(Id);

#[cfg(unix)]
type Id = (u64, u64);
#[cfg(not(unix))]
type Id = PathBuf;

impl FileId {
    /// The file at `path`; `None` if it does not exist or may be used twice.
    pub fn of_path(path: &Path) -> Option<Self> {
        Self::of(&path.metadata().ok()?, || path.canonicalize())
    }

    pub fn of_open(file: &File) -> Option<Self> {
        Self::of(&file.metadata().ok()?, || Err(io::ErrorKind::NotFound.into()))
    }

    /// The existing file that an output to `path` would write to.
    pub fn of_output(path: &Path) -> Option<Self> {
        if is_dash(path) { Self::of_open(&stdout_file().ok()?) } else { Self::of_path(path) }
    }

    #[cfg(unix)]
    fn of(metadata: &Metadata, _path: impl FnOnce() -> io::Result<PathBuf>) -> Option<Self> {
        use std::os::unix::fs::{FileTypeExt, MetadataExt};
        let can_be_damaged = metadata.is_file() || metadata.file_type().is_fifo();
        can_be_damaged.then(|| Self((metadata.dev(), metadata.ino())))
    }

    /// Whether a rename could replace this file by the other one.
    #[cfg(unix)]
    pub fn is_on_device_of(&self, other: &Self) -> bool {
        self.0.0 == other.0.0
    }

    #[cfg(not(unix))]
    pub fn is_on_device_of(&self, other: &Self) -> bool {
        self == other
    }

    #[cfg(not(unix))]
    fn of(metadata: &Metadata, path: impl FnOnce() -> io::Result<PathBuf>) -> Option<Self> {
        metadata.is_file().then(path)?.ok().map(Self)
    }
}

/// Whether `path` is an open file that was deleted or replaced at the name under which it was opened. Another hard link
/// to it may remain.
#[cfg(unix)]
pub fn is_replaced(path: &Path, file: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    let Some(name) = name_of_open_file(path) else { return file.nlink() == 0 };
    match name.metadata() {
        Ok(current) => (current.dev(), current.ino()) != (file.dev(), file.ino()),
        Err(_) => file.nlink() == 0 || name.as_os_str().as_encoded_bytes().ends_with(b" (deleted)"),
    }
}

/// The name of an open file that `path` denotes, such as `/dev/stdin`. Only Linux reports it, and appends " (deleted)"
/// if the file no longer has it.
#[cfg(unix)]
fn name_of_open_file(path: &Path) -> Option<PathBuf> {
    const MAX_LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let folder = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
        let folder = folder.canonicalize().ok()?;
        let link = path.read_link().ok()?;
        if folder.starts_with("/proc") && link.is_absolute() {
            return Some(link);
        }
        path = folder.join(link);
    }
    None
}

#[cfg(not(unix))]
pub fn is_replaced(_path: &Path, _file: &Metadata) -> bool {
    false
}

/// Whether the file at `path` has another name, a hard link. Temporary names that a killed run left do not count.
#[cfg(unix)]
pub fn has_hard_links(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let Ok((file, path)) = path.metadata().and_then(|file| Ok((file, path.canonicalize()?))) else { return false };
    if file.nlink() == 1 {
        return false;
    }
    let entries = path.parent().and_then(|folder| folder.read_dir().ok()).into_iter().flatten().flatten();
    let temporary = entries.filter(|entry| {
        let is_same = entry.metadata().is_ok_and(|other| (other.dev(), other.ino()) == (file.dev(), file.ino()));
        is_same && entry.file_name().to_str().is_some_and(is_temporary)
    });
    file.nlink() > 1 + temporary.count() as u64
}

#[cfg(not(unix))]
pub fn has_hard_links(_path: &Path) -> bool {
    false
}

/// Whether `path` is `-`, standard input or output.
pub fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}
