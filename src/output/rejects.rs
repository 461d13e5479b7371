//! Rejects: bad records, kept verbatim in a folder, so they can be fixed and read again.
//!
//! There is one file for each source and format with a bad record. Records are in input order. `errors.jsonl` contains
//! the location of each and the reason. CSV rows follow their header row; a source with several header rows has a file
//! for each.
//!
//! A run replaces only the rejects of an earlier run: each file in the folder must be listed in `errors.jsonl`. This is
//! also true after a run was killed, because `errors.jsonl` is renamed before the files that it lists, and files that
//! it does not list are removed first.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::staged_file::{CommitOrder, is_temporary};
use super::staging::Staging;
use crate::escape;
use crate::input::{BYTE_ORDER_MARK, Format, is_ambiguous_as_text};
use crate::location::{Location, RecordNumber};
use crate::record::{RecordError, SourceKind};
use crate::system::os_error;

/// Describes every rejected record, one JSON object per line. It is empty if there is none.
const ERRORS: &str = "errors.jsonl";

const STEMS: [&str; 3] = ["loyalty", "conversions", "interleaved"];
const EXTENSIONS: [&str; 4] = ["txt", "frames", "csv", "jsonl"];

/// A rejected record.
#[derive(Debug)]
pub struct Rejection<'a> {
    /// The kind of records in its source.
    pub source: SourceKind,
    /// The format of its input.
    pub format: &'a Format,
    /// The location of the record.
    pub location: Location,
    /// The reason why it is bad.
    pub reason: RecordError<'a>,
    /// The bytes of the record, with its line feed or frame header if it has one. Only the first piece of an oversized
    /// record.
    pub raw: &'a [u8],
}

/// A line of `errors.jsonl`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorLine<'a> {
    /// The input, as the user named it.
    file: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frame: Option<u64>,
    byte: u64,
    reason: String,
    /// The file in the folder that contains the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept_in: Option<Cow<'a, str>>,
}

impl<'a> ErrorLine<'a> {
    /// Describes a rejected record. [`Rejects`] adds the file that it is kept in.
    pub fn of(rejection: &'a Rejection<'_>) -> Self {
        let Location { input, record, byte } = &rejection.location;
        let (line, frame) = match *record {
            RecordNumber::Line(line) => (Some(line), None),
            RecordNumber::Frame(frame) => (None, Some(frame)),
        };
        Self {
            file: input.to_string_lossy(),
            line,
            frame,
            byte: byte.expect("the byte of a record is known while it is read"),
            reason: rejection.reason.to_string(),
            kept_in: None,
        }
    }
}

/// Writes rejected records to a folder.
#[derive(Debug)]
pub struct Rejects {
    folder: PathBuf,
    /// The folder as the user named it.
    name: String,
    staging: Arc<Staging>,
    errors: BufWriter<Arc<File>>,
    files: Vec<RejectFile>,
    /// The index of the file that the last record was written to.
    last: usize,
}

/// The rejected records of one source and format.
#[derive(Debug)]
struct RejectFile {
    name: String,
    source: SourceKind,
    format: Format,
    out: BufWriter<Arc<File>>,
    ends_with_line_feed: bool,
}

impl Rejects {
    /// Creates the folder unless it exists. The commit replaces the rejects of an earlier run in it.
    ///
    /// # Errors
    /// When the folder is not writable, or another run writes to it.
    pub fn create(folder: &Path, staging: Arc<Staging>) -> io::Result<Self> {
        let name = escape::path(folder);
        let folder = staging
            .create_folder(folder)
            .map_err(|error| io::Error::other(format!("{name}: cannot write rejects: {error}")))?;
        earlier_rejects(&folder).into_iter().for_each(|path| staging.remove_on_commit(path));
        let errors = create_file(&staging, &folder.join(ERRORS)).map_err(|error| with_folder(&name, &error))?;
        Ok(Self { folder, name, staging, errors: BufWriter::new(errors), files: Vec::new(), last: 0 })
    }

    /// Writes a rejected record, or the first piece of an oversized one.
    pub fn write(&mut self, rejection: &Rejection<'_>) -> io::Result<()> {
        self.write_record(rejection).map_err(|error| with_folder(&self.name, &error))
    }

    fn write_record(&mut self, rejection: &Rejection<'_>) -> io::Result<()> {
        self.last = self.file_index(rejection)?;
        let file = &mut self.files[self.last];
        let line = ErrorLine { kept_in: Some(Cow::Borrowed(&file.name)), ..ErrorLine::of(rejection) };
        escape::json_line(&line, &mut self.errors)?;
        file.begin_record(rejection.raw)
    }

    /// Writes the next piece of the oversized record that was written last.
    ///
    /// # Panics
    /// When no record was written before.
    pub fn write_more(&mut self, raw: &[u8]) -> io::Result<()> {
        let file = self.files.get_mut(self.last).expect("the first piece of the record was written");
        file.write(raw).map_err(|error| with_folder(&self.name, &error))
    }

    /// The index of the file for a record. Creates it for the first one.
    fn file_index(&mut self, rejection: &Rejection<'_>) -> io::Result<usize> {
        let (source, format) = (rejection.source, rejection.format);
        let is_same = |file: &RejectFile| file.source == source && have_same_header(&file.format, format);
        if let Some(index) = self.files.iter().position(is_same) {
            return Ok(index);
        }
        let (stem, extension) = (stem(source), extension(format));
        let of_same_kind = |file: &&RejectFile| file.source == source && self::extension(&file.format) == extension;
        let name = file_name(stem, extension, self.files.iter().filter(of_same_kind).count() + 1);
        let out = BufWriter::new(create_file(&self.staging, &self.folder.join(&name))?);
        let mut file = RejectFile { name, source, format: format.clone(), out, ends_with_line_feed: true };
        let first = if let Format::Csv(header) = format { &header.raw } else { rejection.raw };
        if !format.is_framed() && is_ambiguous_as_text(first) {
            // At the beginning of a file it would be mistaken for another format.
            file.out.write_all(BYTE_ORDER_MARK)?;
        }
        if let Format::Csv(header) = format {
            file.begin_record(&header.raw)?;
        }
        self.files.push(file);
        Ok(self.files.len() - 1)
    }

    /// Flushes all files.
    pub fn finish(mut self) -> io::Result<()> {
        let files = self.files.iter_mut().try_for_each(|file| file.end_line().and_then(|()| file.out.flush()));
        files.and_then(|()| self.errors.flush()).map_err(|error| with_folder(&self.name, &error))
    }
}

fn with_folder(name: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{name}: cannot write rejects: {}", os_error(error)))
}

fn create_file(staging: &Staging, path: &Path) -> io::Result<Arc<File>> {
    staging
        .create(path, CommitOrder::Rejects)
        .map_err(|error| io::Error::other(format!("{}: {error}", escape::path(path))))
}

impl RejectFile {
    fn begin_record(&mut self, raw: &[u8]) -> io::Result<()> {
        self.end_line()?;
        self.write(raw)
    }

    fn write(&mut self, raw: &[u8]) -> io::Result<()> {
        if let Some(&last) = raw.last() {
            self.ends_with_line_feed = last == b'\n';
        }
        self.out.write_all(raw)
    }

    /// The last line of an input may lack its line feed, but not when another record follows.
    fn end_line(&mut self) -> io::Result<()> {
        if !self.format.is_framed() && !self.ends_with_line_feed {
            self.out.write_all(b"\n")?;
            self.ends_with_line_feed = true;
        }
        Ok(())
    }
}

/// Whether records of both formats can be in one file. For CSV, the header rows must be the same.
fn have_same_header(one: &Format, other: &Format) -> bool {
    match (one, other) {
        (Format::Csv(one), Format::Csv(other)) => one.raw == other.raw,
        _ => extension(one) == extension(other),
    }
}

const fn stem(source: SourceKind) -> &'static str {
    match source {
        SourceKind::Loyalty => STEMS[0],
        SourceKind::Conversions => STEMS[1],
        SourceKind::Interleaved => STEMS[2],
    }
}

const fn extension(format: &Format) -> &'static str {
    match format {
        Format::Text => EXTENSIONS[0],
        Format::Framed => EXTENSIONS[1],
        Format::Csv(_) => EXTENSIONS[2],
        Format::JsonLines(_) => EXTENSIONS[3],
    }
}

/// The name of a rejects file. `number` counts the header rows of a source from 1.
fn file_name(stem: &str, extension: &str, number: usize) -> String {
    if number > 1 { format!("{stem}-{number}.{extension}") } else { format!("{stem}.{extension}") }
}

/// Whether a run can have created a file of this name in a rejects folder.
fn is_reject_file_name(name: &str) -> bool {
    let is_number = |rest: &str| rest.strip_prefix('-').is_some_and(|number| number.parse::<usize>().is_ok());
    let is_stem = |text: &str| {
        let mut rests = STEMS.iter().filter_map(|stem| text.strip_prefix(stem));
        rests.any(|rest| rest.is_empty() || is_number(rest))
    };
    let of_records =
        name.rsplit_once('.').is_some_and(|(stem, extension)| is_stem(stem) && EXTENSIONS.contains(&extension));
    of_records || name == ERRORS || is_temporary(name)
}

/// The files in `folder` that new rejects would replace.
pub fn earlier_rejects(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let rejects = entries.filter(|entry| entry.file_name().to_str().is_some_and(is_reject_file_name));
    rejects.map(|entry| entry.path()).collect()
}

/// Whether rejects may be written to `folder`: it does not exist, is empty, or contains only the rejects of an earlier
/// run.
///
/// # Errors
/// When the folder or its `errors.jsonl` cannot be read.
pub fn can_contain_rejects(folder: &Path) -> io::Result<bool> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries.collect::<io::Result<Vec<_>>>()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    // A symbolic link is not a file of an earlier run, whatever its name.
    if entries.iter().any(|entry| !entry.file_type().is_ok_and(|kind| kind.is_file())) {
        return Ok(false);
    }
    let names = entries.iter().map(|entry| entry.file_name().into_string());
    let Ok(mut names) = names.collect::<Result<BTreeSet<String>, _>>() else { return Ok(false) };
    names.retain(|name| !is_temporary(name));
    if names.is_empty() {
        return Ok(true);
    }
    Ok(names.remove(ERRORS) && listed_files(&folder.join(ERRORS))?.is_some_and(|listed| names.is_subset(&listed)))
}

/// The files that an `errors.jsonl` lists. `None` if another program wrote it.
fn listed_files(errors: &Path) -> io::Result<Option<BTreeSet<String>>> {
    let mut names = BTreeSet::new();
    for line in BufReader::new(File::open(errors)?).split(b'\n') {
        match serde_json::from_slice::<ErrorLine<'_>>(&line?).ok().and_then(|line| line.kept_in) {
            Some(name) => names.insert(name.into_owned()),
            None => return Ok(None),
        };
    }
    Ok(Some(names))
}
