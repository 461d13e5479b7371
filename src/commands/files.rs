//! Which names stand for the same file, so that nothing is read and written at once.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::source::looks_packed;
use crate::stdio::stdout_file;

/// A file that could be harmed by being used twice: a regular file or a FIFO, but not a device or a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileId(Id);

#[cfg(unix)]
type Id = (u64, u64);
#[cfg(not(unix))]
type Id = PathBuf;

impl FileId {
    /// The file behind `path`; `None` when there is none or it cannot be harmed.
    pub fn of_path(path: &Path) -> Option<Self> {
        Self::of(&path.metadata().ok()?, || path.canonicalize())
    }

    /// The file behind an open one, such as the standard input.
    pub fn of_open(file: &File) -> Option<Self> {
        Self::of(&file.metadata().ok()?, || Err(io::ErrorKind::NotFound.into()))
    }

    #[cfg(unix)]
    fn of(metadata: &Metadata, _path: impl FnOnce() -> io::Result<PathBuf>) -> Option<Self> {
        use std::os::unix::fs::{FileTypeExt, MetadataExt};
        let harmed = metadata.is_file() || metadata.file_type().is_fifo();
        harmed.then(|| Self((metadata.dev(), metadata.ino())))
    }

    #[cfg(not(unix))]
    fn of(metadata: &Metadata, path: impl FnOnce() -> io::Result<PathBuf>) -> Option<Self> {
        metadata.is_file().then(path)?.ok().map(Self)
    }
}

/// Whether a regular file is a gzip or zstd archive, as far as its first bytes say.
pub fn is_packed(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(4).read_to_end(&mut head));
    read.is_ok() && looks_packed(&head)
}

/// Whether `path` stands for the standard input or output.
pub fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// The file that an output would go to, if there is one already.
pub fn output_id(path: &Path) -> Option<FileId> {
    if is_dash(path) { FileId::of_open(&stdout_file().ok()?) } else { FileId::of_path(path) }
}
