//! The folder of the rejects: the names of the files in it, and whether a folder may be used for new ones.
//!
//! What an earlier run kept is replaced by the next one, so it has to be certain that it is an earlier run's: every file
//! in the folder must be accounted for by its list of errors. The list is put in place before the files that it
//! accounts for, and after those are removed that it does not, so that this holds even when a run is killed in between.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::rejects::ErrorLine;
use super::staging::is_unfinished;
use crate::record::Expected;
use crate::source::Framing;

/// Tells of every bad record, one JSON object a line. It is there, empty, when there was none.
pub(super) const ERRORS: &str = "errors.jsonl";

const SOURCES: [Expected; 3] = [Expected::Customers, Expected::Conversions, Expected::Either];
const FRAMINGS: [Framing; 3] = [Framing::Text, Framing::Framed, Framing::Csv];

const fn stem(source: Expected) -> &'static str {
    match source {
        Expected::Customers => "loyalty",
        Expected::Conversions => "conversions",
        Expected::Either => "interleaved",
    }
}

const fn ending(framing: Framing) -> &'static str {
    match framing {
        Framing::Text => "txt",
        Framing::Framed => "frames",
        Framing::Csv => "csv",
    }
}

/// The name of the file for a source's bad records. `number` counts the headers of a source's tables from 1.
pub(super) fn file_name(source: Expected, framing: Framing, number: usize) -> String {
    let (stem, ending) = (stem(source), ending(framing));
    if number > 1 { format!("{stem}-{number}.{ending}") } else { format!("{stem}.{ending}") }
}

/// Whether a file of this name is one that [`file_name`] names, the list of errors, or what a killed run left of either.
fn is_ours(name: &str) -> bool {
    let numbered = |rest: &str| rest.strip_prefix('-').is_some_and(|number| number.parse::<usize>().is_ok());
    let is_stem = |of: &str| {
        let mut rests = SOURCES.iter().filter_map(|source| of.strip_prefix(stem(*source)));
        rests.any(|rest| rest.is_empty() || numbered(rest))
    };
    let is_ending = |of: &str| FRAMINGS.iter().any(|framing| ending(*framing) == of);
    let of_records = name.rsplit_once('.').is_some_and(|(stem, ending)| is_stem(stem) && is_ending(ending));
    of_records || name == ERRORS || is_unfinished(name)
}

/// The files in `folder` that new rejects would replace.
pub fn earlier_rejects(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_str().is_some_and(is_ours)).map(|entry| entry.path()).collect()
}

/// Whether `folder` may hold rejects: it does not exist, is empty, or holds those of an earlier run and nothing else.
///
/// # Errors
/// When the folder cannot be looked into.
pub fn may_hold_rejects(folder: &Path) -> io::Result<bool> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries.collect::<io::Result<Vec<_>>>()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    // A link leads somewhere else, whatever it is called.
    if entries.iter().any(|entry| !entry.file_type().is_ok_and(|kind| kind.is_file())) {
        return Ok(false);
    }
    let names = entries.iter().map(|entry| entry.file_name().into_string());
    let Ok(mut names) = names.collect::<Result<BTreeSet<String>, _>>() else { return Ok(false) };
    names.retain(|name| !is_unfinished(name));
    if names.is_empty() {
        return Ok(true);
    }
    Ok(names.remove(ERRORS)
        && accounted_for(&folder.join(ERRORS))?.is_some_and(|accounted| names.is_subset(&accounted)))
}

/// The files that a list of errors says it kept records in; `None` when it is no such list.
fn accounted_for(errors: &Path) -> io::Result<Option<BTreeSet<String>>> {
    let mut names = BTreeSet::new();
    for line in BufReader::new(File::open(errors)?).split(b'\n') {
        match serde_json::from_slice::<ErrorLine<'_>>(&line?).ok().and_then(|line| line.kept_in) {
            Some(name) => names.insert(name.into_owned()),
            None => return Ok(None),
        };
    }
    Ok(Some(names))
}
