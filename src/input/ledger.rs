//! Reads the ledger. An invalid row is an error with its line.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use csv::{ByteRecord, ReaderBuilder};
use thiserror::Error;

use crate::campaign::{Codes, Ledger, LedgerOutcome, LedgerRow};
use crate::escape::{self, Quoted};
use crate::record::check_table_email;
use crate::record::field::first_control;
use crate::system::os_error;

/// The columns of a ledger.
pub const LEDGER_COLUMNS: [&str; 5] = ["run", "promo", "email", "outcome", "code"];

/// A ledger or a file of codes cannot be read, or is invalid.
#[derive(Debug, Error)]
pub enum PolicyFileError {
    /// A line is invalid.
    #[error("{}:{line}: {reason}", escape::path(.path))]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong, with a remedy.
        reason: String,
    },
    /// A read failed.
    #[error("{}: cannot read: {}", escape::path(.path), os_error(.cause))]
    Read {
        /// The file.
        path: PathBuf,
        /// The error.
        cause: io::Error,
    },
}

/// Makes errors with the path of the file.
pub(super) struct FileErrors<'a>(pub &'a Path);

impl FileErrors<'_> {
    pub fn at(&self, line: u64, reason: impl Into<String>) -> PolicyFileError {
        PolicyFileError::Line { path: self.0.to_owned(), line, reason: reason.into() }
    }

    pub fn read(&self, cause: io::Error) -> PolicyFileError {
        PolicyFileError::Read { path: self.0.to_owned(), cause }
    }

    pub fn csv(&self, error: csv::Error) -> PolicyFileError {
        match error.into_kind() {
            csv::ErrorKind::Io(cause) => self.read(cause),
            other => panic!("bytes are read, with any number of fields: {other:?}"),
        }
    }
}

/// Adds the rows of a ledger to `ledger`, and marks their codes as used. A file without rows may have no header row;
/// returns whether it has one. `codes` are those that this run hands out.
///
/// # Errors
/// When it cannot be read, a row is invalid, the last row may be incomplete, or a row of this run has no code.
///
/// # Panics
/// When the CSV reader breaks its contract.
pub fn read_ledger(
    file: impl Read,
    path: &Path,
    ledger: &mut Ledger,
    mut codes: Option<&mut Codes>,
) -> Result<bool, PolicyFileError> {
    let errors = FileErrors(path);
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(LastByte { file, last: b'\n' });
    let mut record = ByteRecord::new();
    let has_header = reader.read_byte_record(&mut record).map_err(|error| errors.csv(error))?;
    if !has_header {
        return match reader.get_ref().last {
            b'\n' => Ok(false),
            _ => Err(errors.at(1, INCOMPLETE_LEDGER)),
        };
    }
    if !record.iter().eq(LEDGER_COLUMNS.map(str::as_bytes)) {
        let header = LEDGER_COLUMNS.join(",");
        return Err(errors.at(1, format!("this is not a ledger: its first line is not {header}")));
    }
    let mut line = 1;
    while reader.read_byte_record(&mut record).map_err(|error| errors.csv(error))? {
        line = record.position().expect("a record that was read has a position").line();
        let row = ledger_row(&record).map_err(|reason| errors.at(line, reason))?;
        if let (Some(codes), LedgerOutcome::Sent { code }) = (&mut codes, row.outcome) {
            if code.is_empty() && ledger.run_id() == Some(row.run) {
                let id = Quoted(row.run);
                return Err(errors.at(
                    line,
                    format!("the run {id} sent without codes before; use another --run-id, or leave out --codes"),
                ));
            }
            if !code.is_empty() && !codes.mark_used(code) {
                return Err(errors.at(line, format!("the code {} occurs in more than one row", Quoted(code))));
            }
        }
        ledger.add(&row);
    }
    ledger.seal();
    match reader.get_ref().last {
        b'\n' => Ok(true),
        _ => Err(errors.at(line, INCOMPLETE_LEDGER)),
    }
}

const INCOMPLETE_LEDGER: &str = "the last line has no line feed, so it may be incomplete; restore the ledger, or check \
                                 the line and add a line feed";

/// A reader that remembers the last byte.
struct LastByte<R> {
    file: R,
    last: u8,
}

impl<R: Read> Read for LastByte<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read(buffer)?;
        self.last = buffer[..len].last().copied().unwrap_or(self.last);
        Ok(len)
    }
}

fn ledger_row(record: &ByteRecord) -> Result<LedgerRow<'_>, String> {
    let (5, Some(run), Some(promo), Some(email), Some(outcome), Some(code)) =
        (record.len(), record.get(0), record.get(1), record.get(2), record.get(3), record.get(4))
    else {
        return Err(format!("expected {} fields, found {}", LEDGER_COLUMNS.len(), record.len()));
    };
    if run.is_empty() {
        return Err("the run is empty".to_owned());
    }
    if first_control(run).is_some() {
        return Err(format!("the run {} contains a control byte", Quoted(run)));
    }
    check_table_email(email).map_err(|error| error.to_string())?;
    let outcome = match outcome {
        b"sent" if code.is_empty() => LedgerOutcome::Sent { code },
        b"sent" => LedgerOutcome::Sent { code: check_code(code)? },
        b"held-out" if code.is_empty() => LedgerOutcome::HeldOut,
        b"held-out" => return Err("a held-out row has a code".to_owned()),
        other => return Err(format!("unknown outcome {} (expected sent or held-out)", Quoted(other))),
    };
    Ok(LedgerRow { run, promo, email, outcome })
}

/// Checks that a code can be written to every output without quotes.
pub(super) fn check_code(code: &[u8]) -> Result<&[u8], String> {
    let error = |what: &str| Err(format!("the code {} {what}", Quoted(code)));
    if code.is_empty() {
        return Err("the code is empty".to_owned());
    }
    if first_control(code).is_some() {
        return error("contains a control byte");
    }
    if code.starts_with(b"#") {
        return error("begins with #; if it is a comment, remove the line");
    }
    if code.iter().any(|byte| matches!(byte, b',' | b'"')) {
        return error("contains a comma or a quote; if this is CSV, its header row needs the columns promo,code");
    }
    if str::from_utf8(code).is_err() {
        return error("is not UTF-8");
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::{Codes, Once};

    #[test]
    fn an_invalid_ledger_is_an_error_with_its_line() {
        for (text, message) in [
            ("run,email\n", ":1: this is not a ledger"),
            ("r,P,a@x,sent,\n", ":1: this is not a ledger"),
            ("run,promo,email,outcome,code\nr,P,a@x,sent\n", ":2: expected 5 fields, found 4"),
            ("run,promo,email,outcome,code\n,P,a@x,sent,\n", ":2: the run is empty"),
            ("run,promo,email,outcome,code\nr,P,,sent,\n", ":2: the email is empty"),
            ("run,promo,email,outcome,code\nr,P,a@x,sent,A\nr,P,a@x,send,\n", ":3: unknown outcome \"send\""),
            ("run,promo,email,outcome,code\nr,P,a@x,held-out,A\n", ":2: a held-out row has a code"),
            ("run,promo,email,outcome,code\nr,P,a@x,sent,\"A,B\"\n", ":2: the code \"A,B\" contains a comma"),
            ("run,promo,email,outcome,code\nr,P,a@x,sent,A\ns,P,b@x,sent,A\n", ":3: the code \"A\" occurs in more"),
            ("run,promo,email,outcome,code\nnow,P,a@x,sent,\n", ":2: the run \"now\" sent without codes"),
            ("run,promo,email,outcome,code", ":1: the last line has no line feed"),
            ("run,promo,email,outcome,code\nr,P,a@x,sent,AB\nr,P,b@x,sent,C", ":3: the last line has no line feed"),
            ("run,promo,email,outcome,code\nr,P,a@x,sent,\"AB", ":2: the last line has no line feed"),
            ("run,promo,email,outcome,code\nr,P,a@x,sent,\"AB\n", ":2: the code \"AB\\n\" contains a control byte"),
            ("run,promo,email,outcome,code\nr,\"P,a@x,sent,\nr,P,b@x,sent,\n", ":2: expected 5 fields, found 2"),
            ("run,promo,email,outcome,code\n\"r\nr\",P,a@x,sent,\n", ":2: the run \"r\\nr\" contains a control"),
        ] {
            let mut codes = Codes::default();
            codes.add(None, b"A").unwrap();
            let mut ledger = Ledger::new(Some(b"now"), Once::Promo);
            let read = read_ledger(text.as_bytes(), Path::new(""), &mut ledger, Some(&mut codes));
            let error = read.unwrap_err().to_string();
            assert!(error.starts_with(message), "{text:?}: {error}");
        }
    }
}
