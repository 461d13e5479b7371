//! The rejects: bad records kept verbatim, so that they can be mended and fed in again.
//!
//! There is one file for each source and framing that had a bad record, in input order, and `errors.jsonl`, which
//! tells of each where it stood and what is wrong with it. Rows of CSV stand behind their header row; where a source had
//! several headers, there is a file for each.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::rejects_folder::{ERRORS, earlier_rejects, file_name};
use super::{Rank, Staging};
use crate::encoder::write_json_line;
use crate::messages::shown;
use crate::record::{Expected, RecordError};
use crate::source::{BYTE_ORDER_MARK, Framing, Position, TableHeader, looks_like_no_text};

/// A bad record that is put aside.
#[derive(Debug)]
pub struct Rejection<'a> {
    /// What its source holds.
    pub expected: Expected,
    /// The header row of the table that it came in.
    pub header: Option<&'a Arc<TableHeader>>,
    /// Where it stood.
    pub position: Position,
    /// What is wrong with it.
    pub reason: RecordError<'a>,
    /// The record verbatim, with its line feed or header as far as it has one. Of an oversized record only the first
    /// piece.
    pub raw: &'a [u8],
}

/// Keeps bad records in a folder.
#[derive(Debug)]
pub struct Rejects {
    folder: PathBuf,
    staging: Arc<Staging>,
    errors: BufWriter<Arc<File>>,
    kept: Vec<Kept>,
    /// Which of these files the last record went to.
    last: usize,
}

/// One file of bad records.
#[derive(Debug)]
struct Kept {
    name: String,
    source: Expected,
    framing: Framing,
    header: Option<Arc<TableHeader>>,
    out: BufWriter<Arc<File>>,
    ends_a_line: bool,
}

/// What is told of a bad record to programs: a line of `errors.jsonl`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorLine<'a> {
    /// The input, as the user named it.
    file: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    frame: Option<u64>,
    byte: u64,
    reason: String,
    /// The file of the rejects' folder that the record is kept in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) kept_in: Option<Cow<'a, str>>,
}

impl<'a> ErrorLine<'a> {
    /// What is told of this bad record.
    pub fn of(rejection: &'a Rejection<'_>) -> Self {
        let place = rejection.position.place;
        let frame = (place.framing == Framing::Framed).then_some(place.record);
        Self {
            file: Cow::Borrowed(&rejection.position.input),
            line: frame.is_none().then_some(place.record),
            frame,
            byte: place.byte,
            reason: rejection.reason.to_string(),
            kept_in: None,
        }
    }
}

impl Rejects {
    /// Keeps bad records in `folder`, which is made if need be. What an earlier run kept there is replaced when the
    /// staged files are put in place.
    ///
    /// # Errors
    /// When nothing can be written there.
    pub fn keep_in(folder: &Path, staging: Arc<Staging>) -> io::Result<Self> {
        let folder = staging.make_folder(folder)?;
        earlier_rejects(&folder).into_iter().for_each(|path| staging.mark_stale(path));
        let errors = BufWriter::new(create(&staging, &folder.join(ERRORS))?);
        Ok(Self { folder, staging, errors, kept: Vec::new(), last: 0 })
    }

    /// Keeps a bad record, or the first piece of one that is too long.
    ///
    /// # Errors
    /// When a write fails.
    pub fn keep(&mut self, rejection: &Rejection<'_>) -> io::Result<()> {
        self.last = self.place_of(rejection)?;
        let Some(kept) = self.kept.get_mut(self.last) else { return Ok(()) };
        let line = ErrorLine { kept_in: Some(Cow::Borrowed(&kept.name)), ..ErrorLine::of(rejection) };
        write_json_line(&line, &mut self.errors)?;
        kept.begin(rejection.raw)
    }

    /// Keeps the next piece of the record that was kept last.
    ///
    /// # Errors
    /// When a write fails.
    pub fn keep_more(&mut self, raw: &[u8]) -> io::Result<()> {
        self.kept.get_mut(self.last).map_or(Ok(()), |kept| kept.write(raw))
    }

    /// Which file a record goes to; opens it for the first one.
    fn place_of(&mut self, rejection: &Rejection<'_>) -> io::Result<usize> {
        let (source, framing, header) = (rejection.expected, rejection.position.place.framing, rejection.header);
        let same_kind = |kept: &&Kept| kept.source == source && kept.framing == framing;
        let fits = |kept: &Kept| {
            same_kind(&kept) && kept.header.as_ref().map(|header| &header.raw) == header.map(|header| &header.raw)
        };
        if let Some(place) = self.kept.iter().position(fits) {
            return Ok(place);
        }
        let name = file_name(source, framing, self.kept.iter().filter(same_kind).count() + 1);
        let path = self.folder.join(&name);
        let out = BufWriter::new(create(&self.staging, &path)?);
        let mut kept = Kept { name, source, framing, header: header.cloned(), out, ends_a_line: true };
        let first = header.map_or(rejection.raw, |header| &header.raw);
        if framing != Framing::Framed && looks_like_no_text(first) {
            // As the first line of a file it would be taken for something else.
            kept.out.write_all(BYTE_ORDER_MARK)?;
        }
        if let Some(header) = header {
            kept.begin(&header.raw)?;
        }
        self.kept.push(kept);
        Ok(self.kept.len() - 1)
    }

    /// Writes what is still held back.
    ///
    /// # Errors
    /// When a write fails.
    pub fn finish(self) -> io::Result<()> {
        for mut kept in self.kept {
            kept.end_line()?;
            kept.out.flush()?;
        }
        let mut errors = self.errors;
        errors.flush()
    }
}

fn create(staging: &Staging, path: &Path) -> io::Result<Arc<File>> {
    staging.create(path, Rank::Rejects).map_err(|error| io::Error::other(format!("{}: {error}", shown(path))))
}

impl Kept {
    fn begin(&mut self, raw: &[u8]) -> io::Result<()> {
        self.end_line()?;
        self.write(raw)
    }

    fn write(&mut self, raw: &[u8]) -> io::Result<()> {
        if let Some(&last) = raw.last() {
            self.ends_a_line = last == b'\n';
        }
        self.out.write_all(raw)
    }

    /// The last line of an input may lack its line feed; in the middle of a file it needs one.
    fn end_line(&mut self) -> io::Result<()> {
        if self.framing != Framing::Framed && !self.ends_a_line {
            self.out.write_all(b"\n")?;
            self.ends_a_line = true;
        }
        Ok(())
    }
}
