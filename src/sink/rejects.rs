//! The rejects: bad records kept verbatim, so that they can be mended and fed in again.
//!
//! There is one file for each source and framing that had a bad record, in input order, and `errors.jsonl`, which
//! tells of each where it stood and what is wrong with it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::{Rank, Staging};
use crate::record::{Expected, RecordError};
use crate::source::{Framing, Position};

/// Tells of every bad record, one JSON object a line. It is there, empty, when there was none.
const ERRORS: &str = "errors.jsonl";

/// Keeps bad records in a folder.
#[derive(Debug)]
pub struct Rejects {
    folder: PathBuf,
    staging: Arc<Staging>,
    errors: BufWriter<File>,
    records: BTreeMap<&'static str, Kept>,
    /// The file that the last record went to.
    last: Option<&'static str>,
}

/// One file of bad records.
#[derive(Debug)]
struct Kept {
    out: BufWriter<File>,
    framing: Framing,
    ends_a_line: bool,
}

/// A line of `errors.jsonl`.
#[derive(Debug, Serialize)]
struct ErrorLine<'a> {
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frame: Option<u64>,
    byte: u64,
    reason: String,
}

/// The names that a source's bad records can have.
const fn file_name(source: Expected, framing: Framing) -> &'static str {
    match (source, framing) {
        (Expected::Customers, Framing::Text) => "loyalty.txt",
        (Expected::Customers, Framing::Framed) => "loyalty.frames",
        (Expected::Conversions, Framing::Text) => "conversions.txt",
        (Expected::Conversions, Framing::Framed) => "conversions.frames",
        (Expected::Either, Framing::Text) => "interleaved.txt",
        (Expected::Either, Framing::Framed) => "interleaved.frames",
    }
}

impl Rejects {
    /// Every name that a file of rejects can have.
    pub fn file_names() -> impl Iterator<Item = &'static str> {
        let sources = [Expected::Customers, Expected::Conversions, Expected::Either];
        let names = |source| [Framing::Text, Framing::Framed].map(|framing| file_name(source, framing));
        sources.into_iter().flat_map(names).chain([ERRORS])
    }

    /// Whether `folder` may hold rejects: it does not exist, is empty, or holds those of an earlier run.
    ///
    /// # Errors
    /// When the folder cannot be looked into.
    pub fn may_use(folder: &Path) -> io::Result<bool> {
        match fs::read_dir(folder) {
            Ok(mut entries) => Ok(entries.next().is_none() || folder.join(ERRORS).is_file()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Keeps bad records in `folder`, which is made if need be. What an earlier run kept there is replaced when the
    /// staged files are put in place.
    ///
    /// # Errors
    /// When nothing can be written there.
    pub fn keep_in(folder: &Path, staging: Arc<Staging>) -> io::Result<Self> {
        let folder = staging.make_folder(folder)?;
        for name in Self::file_names() {
            staging.mark_stale(folder.join(name));
        }
        let errors = BufWriter::new(staging.create(&folder.join(ERRORS), Rank::Rejects)?);
        Ok(Self { folder, staging, errors, records: BTreeMap::new(), last: None })
    }

    /// Keeps a bad record of a source that holds `source`, or the first piece of one that is too long.
    ///
    /// # Errors
    /// When a write fails.
    pub fn keep(
        &mut self,
        source: Expected,
        position: &Position,
        reason: &RecordError<'_>,
        raw: &[u8],
    ) -> io::Result<()> {
        let place = position.place;
        let number = |framing| (place.framing == framing).then_some(place.record);
        let line = ErrorLine {
            file: &position.input,
            line: number(Framing::Text),
            frame: number(Framing::Framed),
            byte: place.byte,
            reason: reason.to_string(),
        };
        serde_json::to_writer(&mut self.errors, &line)?;
        self.errors.write_all(b"\n")?;

        let name = file_name(source, place.framing);
        self.last = Some(name);
        if !self.records.contains_key(name) {
            let out = BufWriter::new(self.staging.create(&self.folder.join(name), Rank::Rejects)?);
            self.records.insert(name, Kept { out, framing: place.framing, ends_a_line: true });
        }
        self.records.get_mut(name).map_or(Ok(()), |kept| kept.begin(raw))
    }

    /// Keeps the next piece of the record that was kept last.
    ///
    /// # Errors
    /// When a write fails.
    pub fn keep_more(&mut self, raw: &[u8]) -> io::Result<()> {
        let last = self.last.and_then(|name| self.records.get_mut(name));
        last.map_or(Ok(()), |kept| kept.write(raw))
    }

    /// Writes what is still held back.
    ///
    /// # Errors
    /// When a write fails.
    pub fn finish(self) -> io::Result<()> {
        for mut kept in self.records.into_values() {
            kept.end_line()?;
            kept.out.flush()?;
        }
        let mut errors = self.errors;
        errors.flush()
    }
}

impl Kept {
    fn begin(&mut self, raw: &[u8]) -> io::Result<()> {
        self.end_line()?;
        self.write(raw)
    }

    fn write(&mut self, raw: &[u8]) -> io::Result<()> {
        self.ends_a_line = raw.ends_with(b"\n");
        self.out.write_all(raw)
    }

    /// The last line of an input may lack its line feed; in the middle of a file it needs one.
    fn end_line(&mut self) -> io::Result<()> {
        if self.framing == Framing::Text && !self.ends_a_line {
            self.out.write_all(b"\n")?;
            self.ends_a_line = true;
        }
        Ok(())
    }
}
