//! A temporary folder of a run, for the parts of several processes. It is removed when the run ends.

use std::io;
use std::path::{Path, PathBuf};

use super::{Staging, follow_links, parent};

impl Staging {
    /// Creates a temporary folder with any content, beside the file at `beside`. It is removed when the run ends.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create_scratch(&self, beside: Option<&Path>) -> io::Result<PathBuf> {
        let beside = beside.filter(|path| !path.exists() || path.is_file()).map(follow_links).transpose()?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".adseg-").suffix(".tmp");
        let folder = match &beside {
            Some(path) => builder.tempdir_in(parent(path))?,
            None => builder.tempdir()?,
        };
        Ok(self.lock().scratch.insert(folder).path().to_owned())
    }

    /// Removes the folder of [`Self::create_scratch`].
    pub fn remove_scratch(&self) {
        self.lock().scratch = None;
    }
}
