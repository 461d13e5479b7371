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
    /// earlier runs, which are removed at the end: none of the `files` of the run may be in it. The first process locks
    /// it.
    pub fn open<'a>(path: &Path, mut files: impl Iterator<Item = &'a PathBuf>, is_first: bool) -> anyhow::Result<Self> {
        let name = escape::path(path);
        if is_dash(path) {
            return usage_error("--hosts needs --output DIR, the directory for the parts of the decisions");
        }
        if path.exists() && !path.is_dir() {
            return usage_error(format!("{name} is not a directory; with --hosts, --output names a directory"));
        }
        fs::create_dir_all(path).with_context(|| format!("{name}: cannot create the directory"))?;
        let directory = path.canonicalize().with_context(|| format!("{name}: cannot read the directory"))?;
        let is_directory = |file: &Path| file.canonicalize().is_ok_and(|file| file == directory);
        if let Some(file) = files.find(|file| is_inside(file, path) || is_directory(file)) {
            let file = escape::path(file);
            return usage_error(format!("{file} is in {name}, the directory for the parts; name another directory"));
        }
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

/// Whether a file, or the target of a link, is directly in a directory. The file may not exist.
pub fn is_inside(file: &Path, directory: &Path) -> bool {
    let Ok(directory) = directory.canonicalize() else { return false };
    let is_inside = |path: io::Result<PathBuf>| {
        let parent = path.ok().and_then(|path| path.parent()?.canonicalize().ok());
        parent.is_some_and(|parent| parent == directory)
    };
    is_inside(file.canonicalize()) || is_inside(std::path::absolute(file))
}

fn file_names(folder: &Path) -> io::Result<Vec<String>> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.collect()
}

/// Whether a name has the form of [`part_name`].
fn is_part(name: &str) -> bool {
    let Some((name, extension)) = name.strip_prefix("part-").and_then(|name| name.split_once('.')) else {
        return false;
    };
    let numbers: Vec<_> = name.split('-').collect();
    let [run, process, worker] = numbers.as_slice() else { return false };
    let is_decimal = |text: &str| text.len() >= 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    run.len() == 16
        && run.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && is_decimal(process)
        && is_decimal(worker)
        && EXTENSIONS.contains(&extension)
}

fn is_own(name: &str) -> bool {
    is_part(name) || name == MANIFEST || name.starts_with(".adseg-")
}

/// The number of a run in the names of its parts.
pub fn run_name(run: u64) -> String {
    format!("{run:016x}")
}

const EXTENSIONS: [&str; 4] = ["txt", "frames", "jsonl", "csv"];

/// The name of a part.
pub fn part_name(run: u64, process: usize, worker: usize, format: OutputFormat) -> String {
    let [text, frames, json_lines, csv] = EXTENSIONS;
    let extension = match format {
        OutputFormat::Text | OutputFormat::Emails => text,
        OutputFormat::Framed => frames,
        OutputFormat::Jsonl => json_lines,
        OutputFormat::Csv => csv,
    };
    format!("part-{}-{process:03}-{worker:03}.{extension}", run_name(run))
}
