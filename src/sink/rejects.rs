//! The rejects: bad records kept verbatim, so that they can be mended and fed in again.
//!
//! There is one file for each source and framing that had a bad record, in input order, and `errors.jsonl`, which
//! tells of each where it stood and what is wrong with it. Rows of CSV stand behind their header row; where a source had
//! several headers, there is a file for each.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Rank, Staging};
use crate::messages::shown;
use crate::record::{Expected, RecordError};
use crate::source::{Framing, Position};

/// Tells of every bad record, one JSON object a line. It is there, empty, when there was none.
const ERRORS: &str = "errors.jsonl";

/// No line of it is longer than this, in bytes.
const LONGEST_ERROR: u64 = 1 << 16;

/// A bad record that is put aside.
#[derive(Debug)]
pub struct Rejection<'a> {
    /// What its source holds.
    pub expected: Expected,
    /// The header row of the table that it came in, verbatim.
    pub header: Option<&'a Arc<[u8]>>,
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
    errors: BufWriter<File>,
    kept: Vec<Kept>,
    /// Which of these files the last record went to.
    last: usize,
}

/// One file of bad records.
#[derive(Debug)]
struct Kept {
    source: Expected,
    framing: Framing,
    header: Option<Arc<[u8]>>,
    out: BufWriter<File>,
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
        }
    }
}

const STEMS: [(Expected, &str); 3] =
    [(Expected::Customers, "loyalty"), (Expected::Conversions, "conversions"), (Expected::Either, "interleaved")];
const ENDINGS: [(Framing, &str); 3] = [(Framing::Text, "txt"), (Framing::Framed, "frames"), (Framing::Csv, "csv")];

/// The name of the file for a source's bad records. `number` counts the headers of a source's tables from 1.
fn file_name(source: Expected, framing: Framing, number: usize) -> String {
    let stem = STEMS.iter().find(|(of, _)| *of == source).map_or("", |(_, stem)| stem);
    let ending = ENDINGS.iter().find(|(of, _)| *of == framing).map_or("", |(_, ending)| ending);
    if number > 1 { format!("{stem}-{number}.{ending}") } else { format!("{stem}.{ending}") }
}

/// Whether a file of this name is one that [`file_name`] names, or the list of errors.
fn is_ours(name: &str) -> bool {
    let numbered = |rest: &str| rest.strip_prefix('-').is_some_and(|number| number.parse::<usize>().is_ok());
    let is_stem = |of: &str| {
        let rests = STEMS.iter().filter_map(|(_, stem)| of.strip_prefix(stem));
        rests.into_iter().any(|rest| rest.is_empty() || numbered(rest))
    };
    let of_records = name
        .rsplit_once('.')
        .is_some_and(|(stem, ending)| is_stem(stem) && ENDINGS.iter().any(|(_, known)| *known == ending));
    of_records || name == ERRORS
}

/// Whether the list of errors in `folder` is one of ours, and agrees with there being so many files.
fn tells_errors(folder: &Path, files: usize) -> io::Result<bool> {
    let mut first = String::new();
    match File::open(folder.join(ERRORS)) {
        Ok(file) => BufReader::new(file.take(LONGEST_ERROR)).read_line(&mut first)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    Ok(if first.is_empty() { files == 1 } else { serde_json::from_str::<ErrorLine<'_>>(&first).is_ok() })
}

impl Rejects {
    /// The files in `folder` that new rejects would replace.
    pub fn earlier(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.filter(|entry| entry.file_name().to_str().is_some_and(is_ours)).map(|entry| entry.path()).collect()
    }

    /// Whether `folder` may hold rejects: it does not exist, is empty, or holds those of an earlier run.
    ///
    /// # Errors
    /// When the folder cannot be looked into.
    pub fn may_use(folder: &Path) -> io::Result<bool> {
        match fs::read_dir(folder) {
            Ok(entries) => {
                let entries = entries.collect::<io::Result<Vec<_>>>()?;
                let ours = |entry: &fs::DirEntry| {
                    entry.file_name().to_str().is_some_and(is_ours) && entry.file_type().is_ok_and(|it| it.is_file())
                };
                Ok(entries.is_empty() || (entries.iter().all(ours) && tells_errors(folder, entries.len())?))
            }
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
        Self::earlier(&folder).into_iter().for_each(|path| staging.mark_stale(path));
        let errors = BufWriter::new(staging.create(&folder.join(ERRORS), Rank::Rejects)?);
        Ok(Self { folder, staging, errors, kept: Vec::new(), last: 0 })
    }

    /// Keeps a bad record, or the first piece of one that is too long.
    ///
    /// # Errors
    /// When a write fails.
    pub fn keep(&mut self, rejection: &Rejection<'_>) -> io::Result<()> {
        serde_json::to_writer(&mut self.errors, &ErrorLine::of(rejection))?;
        self.errors.write_all(b"\n")?;
        self.last = self.place_of(rejection)?;
        self.kept.get_mut(self.last).map_or(Ok(()), |kept| kept.begin(rejection.raw))
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
        let fits = |kept: &Kept| same_kind(&kept) && kept.header.as_ref() == header;
        if let Some(place) = self.kept.iter().position(fits) {
            return Ok(place);
        }
        let name = file_name(source, framing, self.kept.iter().filter(same_kind).count() + 1);
        let path = self.folder.join(name);
        let file = self.staging.create(&path, Rank::Rejects);
        let out =
            BufWriter::new(file.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", shown(&path))))?);
        let mut kept = Kept { source, framing, header: header.cloned(), out, ends_a_line: true };
        if let Some(header) = header {
            kept.begin(header)?;
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
        if self.framing != Framing::Framed && !self.ends_a_line {
            self.out.write_all(b"\n")?;
            self.ends_a_line = true;
        }
        Ok(())
    }
}
