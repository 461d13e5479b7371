//! The manifest of a run: proves that the part files are complete, and says how to merge them.
//!
//! Segment `k` of an input is in the part of the worker that owns it, so the order of the segments gives the order of
//! the output. `merge` checks the length and the checksum of every part before its result is final.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::part::{Checksum, PartReport};
use super::source::owner;
use crate::engine::Counts;
use crate::escape;
use crate::system::os_error;

/// The name of the manifest in the folder of the parts.
pub const MANIFEST: &str = "manifest.json";

/// The version of the format.
const VERSION: u32 = 1;

/// The manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of its format.
    manifest: u32,
    /// A number that identifies the run. The names of its parts contain it.
    pub run: String,
    /// The bytes before the first decision: the header row of CSV.
    pub header: String,
    /// The totals of the run.
    pub records: u64,
    /// Conversions, each with a decision.
    pub decisions: u64,
    /// Bad records.
    pub rejects: u64,
    /// The length of the merged output.
    pub bytes: u64,
    /// The inputs with conversions, in order.
    pub inputs: Vec<ManifestInput>,
    /// The parts of the workers, in order.
    pub parts: Vec<PartReport>,
}

/// An input with conversions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestInput {
    /// Its name.
    pub name: String,
    /// Its number among all inputs.
    pub number: usize,
    /// The number of its segments.
    pub segments: u64,
}

/// Why parts cannot be merged.
#[derive(Debug, Error)]
pub enum MergeError {
    /// There is no manifest, or it or a part is not the one of a complete run.
    #[error("{file}: {what}")]
    Incomplete {
        /// The directory, the manifest or the part.
        file: String,
        /// What is wrong.
        what: String,
    },
    /// A part or the manifest cannot be read.
    #[error("{file}: cannot read: {}", os_error(.cause))]
    Read {
        /// The file.
        file: String,
        /// Why.
        cause: io::Error,
    },
    /// The merged output cannot be written.
    #[error("cannot write: {}", os_error(.0))]
    Write(io::Error),
}

impl Manifest {
    /// The manifest of a run.
    pub fn new(
        run: String,
        header: Vec<u8>,
        counts: &Counts,
        inputs: Vec<ManifestInput>,
        parts: Vec<PartReport>,
    ) -> Self {
        let bytes = header.len() as u64 + parts.iter().map(|part| part.bytes).sum::<u64>();
        let header = String::from_utf8(header).expect("the header row contains names of columns");
        let (records, decisions, rejects) = (counts.records, counts.conversions(), counts.rejects);
        Self { manifest: VERSION, run, header, records, decisions, rejects, bytes, inputs, parts }
    }

    /// Reads the manifest in a folder, and checks that its numbers agree.
    ///
    /// # Errors
    /// When there is none, or its numbers contradict each other.
    pub fn read(folder: &Path) -> Result<Self, MergeError> {
        let path = folder.join(MANIFEST);
        let file = escape::path(&path);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && folder.is_dir() => {
                let what = "the run has no manifest; it failed or has not ended".to_owned();
                return Err(MergeError::Incomplete { file: escape::path(folder), what });
            }
            Err(cause) => return Err(MergeError::Read { file, cause }),
        };
        let manifest: Option<Self> = serde_json::from_slice(&text).ok();
        let Some(manifest) = manifest.filter(|manifest| manifest.manifest == VERSION) else {
            let what = "this is not a manifest of this version of adseg".to_owned();
            return Err(MergeError::Incomplete { file, what });
        };
        match manifest.check() {
            Ok(()) => Ok(manifest),
            Err(what) => Err(MergeError::Incomplete { file, what: format!("{what}; the result is not complete") }),
        }
    }

    /// Writes the manifest as JSON.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self).map_err(io::Error::from)?;
        out.write_all(b"\n")
    }

    /// Checks that the parts add up to the totals, and that every segment is in one part.
    ///
    /// # Errors
    /// When they do not.
    pub fn check(&self) -> Result<(), String> {
        let total =
            |value: fn(&PartReport) -> u64| self.parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(value(part)));
        if total(|part| part.decisions) != Some(self.decisions) {
            return Err("the decisions of the parts do not add up".to_owned());
        }
        if total(|part| part.bytes).and_then(|sum| sum.checked_add(self.header.len() as u64)) != Some(self.bytes) {
            return Err("the bytes of the parts do not add up".to_owned());
        }
        if self.inputs.iter().any(|input| u32::try_from(input.number).is_err()) {
            return Err("the number of an input is too large".to_owned());
        }
        let mut expected = vec![0_u64; self.parts.len()];
        let recorded = self.parts.iter().map(|part| part.segments.len() as u64).sum::<u64>();
        if self.parts.is_empty()
            || self.inputs.iter().try_fold(0_u64, |sum, input| sum.checked_add(input.segments)) != Some(recorded)
        {
            return Err("the segments of the parts do not add up".to_owned());
        }
        self.owners().for_each(|part| expected[part] += 1);
        for (part, expected) in self.parts.iter().zip(expected) {
            let sum = part.segments.iter().try_fold(0_u64, |sum, len| sum.checked_add(*len));
            let is_name = !part.file.contains(['/', '\\']) && part.file.starts_with("part-");
            if part.segments.len() as u64 != expected || sum != Some(part.bytes) || !is_name {
                return Err(format!("the segments of the part {} do not add up", escape::text(&part.file)));
            }
        }
        Ok(())
    }

    /// The part of every segment, in the order of the output.
    fn owners(&self) -> impl Iterator<Item = usize> {
        let peers = self.parts.len();
        let owners = move |input: &ManifestInput| {
            let number = input.number;
            (0..input.segments).map(move |segment| owner(number, segment, peers))
        };
        self.inputs.iter().flat_map(owners)
    }

    /// Checks the length and the checksum of every part in `folder`.
    ///
    /// # Errors
    /// When one of them differs.
    pub fn verify(&self, folder: &Path) -> Result<(), MergeError> {
        self.merge(folder, &mut io::sink())
    }

    /// Merges the parts in `folder` into `out`. The output is final only if this succeeds.
    ///
    /// # Errors
    /// When a part is missing or differs, or `out` cannot be written.
    pub fn merge(&self, folder: &Path, out: &mut dyn Write) -> Result<(), MergeError> {
        let mut parts = Vec::new();
        for report in &self.parts {
            let path = folder.join(&report.file);
            let name = escape::path(&path);
            let read = |cause| MergeError::Read { file: name.clone(), cause };
            let file = File::open(&path).map_err(read)?;
            let len = file.metadata().map_err(read)?.len();
            if len != report.bytes {
                return Err(incomplete_part(name, &format!("it has {len} bytes and not {}", report.bytes)));
            }
            parts.push(Part { name, file, checksum: Checksum::default(), segments: report.segments.iter() });
        }
        out.write_all(self.header.as_bytes()).map_err(MergeError::Write)?;
        let mut buffer = vec![0; 1 << 18];
        for owner in self.owners() {
            let part = &mut parts[owner];
            let mut remaining = *part.segments.next().expect("the segments of the parts were checked");
            while remaining > 0 {
                let wanted = buffer.len().min(usize::try_from(remaining).unwrap_or(usize::MAX));
                let chunk = &mut buffer[..wanted];
                let read = part.file.read_exact(chunk);
                read.map_err(|cause| MergeError::Read { file: part.name.clone(), cause })?;
                part.checksum.update(chunk);
                out.write_all(chunk).map_err(MergeError::Write)?;
                remaining -= wanted as u64;
            }
        }
        out.flush().map_err(MergeError::Write)?;
        for (part, report) in parts.into_iter().zip(&self.parts) {
            if part.checksum.finish() != report.rapidhash {
                return Err(incomplete_part(part.name, "its checksum differs"));
            }
        }
        Ok(())
    }
}

fn incomplete_part(file: String, what: &str) -> MergeError {
    let what = format!("the part is not complete: {what}; run again, or copy the part again");
    MergeError::Incomplete { file, what }
}

/// A part that is being read.
struct Part<'a> {
    name: String,
    file: File,
    checksum: Checksum,
    segments: std::slice::Iter<'a, u64>,
}
