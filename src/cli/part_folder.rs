//! The directory of the parts of a run with `--hosts`.
//!
//! The names of the parts contain the number of the run, so the parts of an earlier run stay complete until the new
//! manifest replaces theirs.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::args::usage_error;
use super::file_id::is_dash;
use crate::engine::cluster::MANIFEST;
use crate::escape;
use crate::output::OutputFormat;

/// The directory, which the first process locks.
pub struct PartFolder {
    path: PathBuf,
    /// The parts of earlier runs.
    earlier: Vec<String>,
    _lock: Option<File>,
}

impl PartFolder {
    /// Opens the directory, and creates it if it does not exist. It must be new, be empty, or contain only the parts of
    /// earlier runs. The first process locks it.
    pub fn open(path: &Path, is_first: bool) -> anyhow::Result<Self> {
        let name = escape::path(path);
        if is_dash(path) {
            return usage_error("--hosts needs --output DIR, the directory for the parts of the decisions");
        }
        if path.exists() && !path.is_dir() {
            return usage_error(format!("{name} is not a directory; with --hosts, --output names a directory"));
        }
        fs::create_dir_all(path).with_context(|| format!("{name}: cannot create the directory"))?;
        let entries = file_names(path).with_context(|| format!("{name}: cannot read the directory"))?;
        if let Some(other) = entries.iter().find(|entry| !is_own(entry)) {
            let other = escape::text(other);
            return usage_error(format!(
                "{name} contains {other}, which is not a part of a run; name a new or empty directory"
            ));
        }
        let lock = if is_first && cfg!(unix) {
            let folder = File::open(path).with_context(|| format!("{name}: cannot read the directory"))?;
            if let Err(fs::TryLockError::WouldBlock) = folder.try_lock() {
                bail!("{name}: another run is writing to this directory; wait for it to finish");
            }
            Some(folder)
        } else {
            None
        };
        // After the lock: no earlier run can add parts now.
        let mut earlier = file_names(path).with_context(|| format!("{name}: cannot read the directory"))?;
        earlier.retain(|name| is_part(name));
        Ok(Self { path: path.to_owned(), earlier, _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the parts of earlier runs after a run has ended: they belong to no manifest. The parts of a later run,
    /// which may have begun since, are kept.
    pub fn remove_earlier_parts(&self) {
        for name in &self.earlier {
            // Another process may have removed it.
            let _ = fs::remove_file(self.path.join(name));
        }
    }
}

fn file_names(folder: &Path) -> io::Result<Vec<String>> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.collect()
}

fn is_part(name: &str) -> bool {
    name.starts_with("part-")
}

fn is_own(name: &str) -> bool {
    is_part(name) || name == MANIFEST || name.starts_with(".adseg-")
}

/// The number of a run in the names of its parts.
pub fn run_name(run: u64) -> String {
    format!("{run:016x}")
}

/// The name of a part.
pub fn part_name(run: u64, process: usize, worker: usize, format: OutputFormat) -> String {
    let extension = match format {
        OutputFormat::Text | OutputFormat::Emails => "txt",
        OutputFormat::Framed => "frames",
        OutputFormat::Jsonl => "jsonl",
        OutputFormat::Csv => "csv",
    };
    format!("part-{}-{process:03}-{worker:03}.{extension}", run_name(run))
}
