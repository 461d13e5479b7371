//! Writing that survives a crash of the machine: what is put in place is on the disk first.
//!
//! A file is synced before it is renamed, or the name could come to stand for a file without its content, and its
//! folder after it, or the name could be lost. Where a file system cannot sync, there is nothing to wait for.

use std::fs::File;
use std::io;
use std::path::Path;

/// Waits until everything that was written to `file` is on the disk.
///
/// # Errors
/// When the disk did not take it.
pub(super) fn sync_file(file: &File) -> io::Result<()> {
    file.sync_all().or_else(unless_it_cannot)
}

/// Waits until the names in `folder` are on the disk.
///
/// # Errors
/// When the disk did not take them.
#[cfg(unix)]
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder) {
        Ok(folder) => folder.sync_all().or_else(unless_it_cannot),
        // Names can be made in a folder that cannot be read.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error),
    }
}

/// Elsewhere folders cannot be opened; the system sees to them.
#[cfg(not(unix))]
pub(super) fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// Some file systems do not sync folders, or anything.
fn unless_it_cannot(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported => Ok(()),
        _ => Err(error),
    }
}
