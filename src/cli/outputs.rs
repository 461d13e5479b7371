//! The outputs of a command. They are opened before anything is read, so an unwritable folder is reported immediately.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};

use super::inputs::{FileId, Inputs, is_dash};
use super::session::Session;
use super::usage_error;
use crate::escape;
use crate::output::{CommitOrder, StageError};
use crate::system::{stderr_file, stdout_file};

/// An open output.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its name in messages.
    pub name: String,
    file: Arc<File>,
    /// Whether it is standard output.
    pub is_stdout: bool,
}

impl Output {
    /// Opens the output at `path`. `-` and other names of standard output or standard error are written directly; a
    /// file is staged.
    ///
    /// # Errors
    /// When it cannot be written, is one of `inputs`, or is named for two outputs.
    pub fn open(path: &Path, inputs: &Inputs, session: &Session, order: CommitOrder) -> anyhow::Result<Self> {
        if let Some(input) = FileId::of_output(path).and_then(|id| inputs.find(&id)) {
            return usage_error(format!("the output would overwrite {input}, which is an input"));
        }
        Self::open_unchecked(path, session, order)
    }

    /// The same without a check against the inputs.
    pub fn open_unchecked(path: &Path, session: &Session, order: CommitOrder) -> anyhow::Result<Self> {
        let name = if is_dash(path) { "stdout".to_owned() } else { escape::path(path) };
        if let Some((file, is_stdout)) = standard_stream(path)? {
            return Ok(Self { name, file, is_stdout });
        }
        match session.staging.create(path, order) {
            Ok(file) => Ok(Self { name, file, is_stdout: false }),
            Err(StageError::DuplicatePath) => usage_error(format!("{name} is named for two outputs")),
            Err(error) => Err(anyhow!("{name}: cannot write: {error}")),
        }
    }

    /// Whether it is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.is_stdout && io::stdout().is_terminal()
    }

    /// The file to write to.
    pub fn writer(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// The error for a failed write.
    pub fn cannot_write(&self, error: io::Error) -> anyhow::Error {
        anyhow::Error::new(error).context(format!("{}: cannot write", self.name))
    }

    /// Writes all of `bytes`.
    pub fn write_all(&self, bytes: &[u8]) -> anyhow::Result<()> {
        (&*self.file).write_all(bytes).map_err(|error| self.cannot_write(error))
    }
}

/// Standard output or standard error if `path` is one of them, and whether it is standard output.
pub fn standard_stream(path: &Path) -> anyhow::Result<Option<(Arc<File>, bool)>> {
    let id = FileId::of_path(path);
    let is = |file: &File| id.is_some() && FileId::of_open(file) == id;
    let stdout = stdout_file().context("stdout")?;
    if is_dash(path) || is(&stdout) {
        return Ok(Some((Arc::new(stdout), true)));
    }
    let stderr = stderr_file().context("stderr")?;
    Ok(is(&stderr).then(|| (Arc::new(stderr), false)))
}
