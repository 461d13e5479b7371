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
use std::fs::{self, DirEntry, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::staged_file::{CommitOrder, is_temporary, is_temporary_of_rejects};
use super::staging::{StageError, Staging};
use crate::escape;
use crate::input::{BYTE_ORDER_MARK, Format, is_ambiguous_as_text};
use crate::location::{Location, RecordNumber};
use crate::record::{RecordError, SourceKind};
use crate::system::os_error;

/// Describes every rejected record, one JSON object per line. In a folder that existed, it is empty if there is none.
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
    /// The index of the file of the last record, and its writer. The other files are closed, because there can be more
    /// header rows than files that a process may open.
    open: Option<(usize, BufWriter<Arc<File>>)>,
}

/// The rejected records of one source and format.
#[derive(Debug)]
struct RejectFile {
    name: String,
    source: SourceKind,
    format: Format,
    ends_with_line_feed: bool,
}

impl Rejects {
    /// Creates the folder and its parents unless they exist. The commit replaces the rejects of an earlier run in it.
    ///
    /// # Errors
    /// When the folder is not writable, or another run writes to it.
    pub fn create(folder: &Path, staging: Arc<Staging>) -> io::Result<Self> {
        let name = escape::path(folder);
        let folder = staging
            .create_folder(folder)
            .map_err(|error| io::Error::other(format!("{name}: cannot write rejects: {error}")))?;
        let errors = earlier_rejects(&folder).and_then(|earlier| {
            earlier.into_iter().for_each(|path| staging.remove_on_commit(path));
            create_file(&staging, &folder.join(ERRORS))
        });
        let errors = BufWriter::new(errors.map_err(|error| with_folder(&name, &error))?);
        Ok(Self { folder, name, staging, errors, files: Vec::new(), open: None })
    }

    /// Writes a rejected record, or the first piece of an oversized one.
    pub fn write(&mut self, rejection: &Rejection<'_>) -> io::Result<()> {
        self.write_record(rejection).map_err(|error| with_folder(&self.name, &error))
    }

    fn write_record(&mut self, rejection: &Rejection<'_>) -> io::Result<()> {
        self.open_file(rejection)?;
        let (index, out) = self.open.as_mut().expect("the file was opened");
        let file = &mut self.files[*index];
        file.begin_record(rejection.raw, out)?;
        let kept_in = Some(Cow::Borrowed(&*file.name));
        escape::json_line(&ErrorLine { kept_in, ..ErrorLine::of(rejection) }, &mut self.errors)
    }

    /// Writes the next piece of the oversized record that was written last.
    ///
    /// # Panics
    /// When no record has been written.
    pub fn write_more(&mut self, raw: &[u8]) -> io::Result<()> {
        let (index, out) = self.open.as_mut().expect("the first piece of the record was written");
        self.files[*index].write(raw, out).map_err(|error| with_folder(&self.name, &error))
    }

    /// Opens the file for a record, and closes another one. Creates the file for the first record.
    fn open_file(&mut self, rejection: &Rejection<'_>) -> io::Result<()> {
        let (source, format) = (rejection.source, rejection.format);
        let is_same = |file: &RejectFile| file.source == source && have_same_header(&file.format, format);
        let existing = self.files.iter().position(is_same);
        if existing.is_some() && existing == self.open.as_ref().map(|(index, _)| *index) {
            return Ok(());
        }
        self.close_file()?;
        self.open = Some(match existing {
            Some(index) => (index, self.reopen(index)?),
            None => self.create_file(rejection)?,
        });
        Ok(())
    }

    /// Creates the file for a record, and writes the header row if it has one.
    fn create_file(&mut self, rejection: &Rejection<'_>) -> io::Result<(usize, BufWriter<Arc<File>>)> {
        let (source, format) = (rejection.source, rejection.format);
        let (stem, extension) = (stem(source), extension(format));
        let of_same_kind = |file: &&RejectFile| file.source == source && self::extension(&file.format) == extension;
        let name = file_name(stem, extension, self.files.iter().filter(of_same_kind).count() + 1);
        let mut out = BufWriter::new(create_file(&self.staging, &self.folder.join(&name))?);
        let mut file = RejectFile { name, source, format: format.clone(), ends_with_line_feed: true };
        let first = if let Format::Csv(header) = format { &header.raw } else { rejection.raw };
        if !format.is_framed() && is_ambiguous_as_text(first) {
            // At the beginning of a file it would be mistaken for another format.
            out.write_all(BYTE_ORDER_MARK)?;
        }
        if let Format::Csv(header) = format {
            file.begin_record(&header.raw, &mut out)?;
        }
        self.files.push(file);
        Ok((self.files.len() - 1, out))
    }

    fn reopen(&self, index: usize) -> io::Result<BufWriter<Arc<File>>> {
        let path = self.folder.join(&self.files[index].name);
        Ok(BufWriter::new(self.staging.reopen(&path).map_err(with_file(&path))?))
    }

    /// Flushes, fsyncs and closes the open file.
    fn close_file(&mut self) -> io::Result<()> {
        let Some((index, mut out)) = self.open.take() else { return Ok(()) };
        let file = &mut self.files[index];
        file.end_line(&mut out)?;
        out.flush()?;
        drop(out);
        self.staging.close(&self.folder.join(&file.name))
    }

    /// Flushes all files. If there are no rejects, removes the folder that was created for them.
    pub fn finish(mut self) -> io::Result<()> {
        self.close_file().and_then(|()| self.errors.flush()).map_err(|error| with_folder(&self.name, &error))?;
        if self.files.is_empty() {
            drop(self.errors);
            self.staging.remove_if_created(&self.folder);
        }
        Ok(())
    }
}

fn with_folder(name: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{name}: cannot write rejects: {}", os_error(error)))
}

fn create_file(staging: &Staging, path: &Path) -> io::Result<Arc<File>> {
    staging.create(path, CommitOrder::Rejects).map_err(with_file(path))
}

fn with_file(path: &Path) -> impl FnOnce(StageError) -> io::Error {
    move |error| io::Error::other(format!("{}: {error}", escape::path(path)))
}

impl RejectFile {
    fn begin_record(&mut self, raw: &[u8], out: &mut impl Write) -> io::Result<()> {
        self.end_line(out)?;
        self.write(raw, out)
    }

    fn write(&mut self, raw: &[u8], out: &mut impl Write) -> io::Result<()> {
        if let Some(&last) = raw.last() {
            self.ends_with_line_feed = last == b'\n';
        }
        out.write_all(raw)
    }

    /// The last line of an input may lack its line feed, but not when another record follows.
    fn end_line(&mut self, out: &mut impl Write) -> io::Result<()> {
        if !self.format.is_framed() && !self.ends_with_line_feed {
            out.write_all(b"\n")?;
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
        SourceKind::Suppression => panic!("a bad record of a suppression list ends the run"),
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
    of_records || name == ERRORS || is_temporary_of_rejects(name)
}

/// The files in `folder` that new rejects would replace.
///
/// # Errors
/// When the folder cannot be read.
pub fn earlier_rejects(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = entries(folder)?.into_iter();
    let rejects = entries.filter(|entry| entry.file_name().to_str().is_some_and(is_reject_file_name));
    Ok(rejects.map(|entry| entry.path()).collect())
}

/// The files in a folder. There are none if it does not exist.
fn entries(folder: &Path) -> io::Result<Vec<DirEntry>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Whether rejects may be written to `folder`: it does not exist, is empty, or contains only the rejects of an earlier
/// run.
///
/// # Errors
/// When the folder or its `errors.jsonl` cannot be read.
pub fn can_contain_rejects(folder: &Path) -> io::Result<bool> {
    let entries = entries(folder)?;
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
