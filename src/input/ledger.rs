//! Reads the ledger. An invalid row is an error with its line.

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::format::BYTE_ORDER_MARK;
use super::row::split_row;
use crate::campaign::{Codes, Ledger, LedgerOutcome, LedgerRow, unescape_promo};
use crate::escape::{self, Quoted, has_unprintable};
use crate::record::check_table_email;
use crate::record::field::trim;
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
}

/// Adds the rows of a ledger to `ledger`, and marks their codes as used. An empty file has no header row; returns
/// whether it has one. `codes` are those that this run hands out.
///
/// # Errors
/// When it cannot be read, a row is invalid or not in the form in which it was written, the last row may be incomplete,
/// or a row of this run has no code.
pub fn read_ledger(
    file: impl Read,
    path: &Path,
    ledger: &mut Ledger,
    mut codes: Option<&mut Codes>,
) -> Result<bool, PolicyFileError> {
    let errors = FileErrors(path);
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let (mut line, mut number, mut encoded, mut run) = (Vec::new(), 0, Vec::new(), Vec::new());
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(|error| errors.read(error))? == 0 {
            break;
        }
        number += 1;
        let Some(text) = line.strip_suffix(b"\n") else { return Err(errors.at(number, INCOMPLETE_LEDGER)) };
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if number == 1 {
            let header = LEDGER_COLUMNS.join(",");
            if text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text) != header.as_bytes() {
                return Err(errors.at(1, format!("this is not a ledger: its first line is not {header}")));
            }
            continue;
        }
        let invalid = |reason: String| errors.at(number, reason);
        let (fields, promo);
        let row = if let Some(fields) = plain_fields(text) {
            ledger_row(fields).map_err(invalid)?
        } else {
            fields = split_row(text).ok_or_else(|| invalid(MISQUOTED.to_owned()))?;
            let [run, escaped, email, outcome, code] = fields.as_slice() else {
                let (expected, found) = (LEDGER_COLUMNS.len(), fields.len());
                return Err(invalid(format!("expected {expected} fields, found {found}")));
            };
            promo = unescape_promo(escaped).ok_or_else(|| invalid(OTHER_FORM.to_owned()))?;
            let row = ledger_row([run, &promo, email, outcome, code]).map_err(invalid)?;
            encoded.clear();
            row.encode(&mut encoded);
            if encoded.strip_suffix(b"\n") != Some(text) {
                return Err(invalid(OTHER_FORM.to_owned()));
            }
            row
        };
        if run != row.run {
            check_run_id(row.run).map_err(invalid)?;
            run = row.run.to_owned();
        }
        if let (Some(codes), LedgerOutcome::Sent { code }) = (&mut codes, row.outcome) {
            if code.is_empty() && ledger.run_id() == Some(row.run) {
                let id = Quoted(row.run);
                return Err(invalid(format!(
                    "the run {id} sent without codes before; use another --run-id, or leave out --codes"
                )));
            }
            if !code.is_empty() && !codes.mark_used(code) {
                return Err(invalid(format!("the code {} occurs in more than one row", Quoted(code))));
            }
        }
        ledger.add(&row);
    }
    ledger.seal();
    Ok(number > 0)
}

const INCOMPLETE_LEDGER: &str = "the last line has no line feed, so it may be incomplete; restore the ledger, or check \
                                 the line and add a line feed";
const MISQUOTED: &str = "a quoted field is not closed, or there is text before or after its quotes; restore the ledger";
const OTHER_FORM: &str = "the row is not in the form in which adseg writes it, with the same quotes and escapes; restore \
                          the ledger";

/// The fields of a line that needs no quotes and no escapes, and so has no other form. `None` for any other line.
fn plain_fields(line: &[u8]) -> Option<[&[u8]; LEDGER_COLUMNS.len()]> {
    let is_plain = |&byte: &u8| matches!(byte, b' '..=b'~') & (byte != b'"') & (byte != b'\\');
    // Without a branch for each byte.
    if !line.iter().fold(true, |plain, byte| plain & is_plain(byte)) {
        return None;
    }
    let mut rest = line.split(|&byte| byte == b',');
    let fields = [rest.next()?, rest.next()?, rest.next()?, rest.next()?, rest.next()?];
    rest.next().is_none().then_some(fields)
}

/// The row with these fields, whose promo is not escaped. The run is checked only for being empty.
fn ledger_row<'a>(
    [run, promo, email, outcome, code]: [&'a [u8]; LEDGER_COLUMNS.len()],
) -> Result<LedgerRow<'a>, String> {
    if run.is_empty() {
        return Err("the run is empty".to_owned());
    }
    check_table_email(email).map_err(|error| error.to_string())?;
    for field in [promo, email] {
        if trim(field) != field {
            return Err(format!("{} has white space at its start or end", Quoted(field)));
        }
    }
    let outcome = match outcome {
        b"sent" if code.is_empty() => LedgerOutcome::Sent { code },
        b"sent" => LedgerOutcome::Sent { code: check_code(code)? },
        b"held-out" if code.is_empty() => LedgerOutcome::HeldOut,
        b"held-out" => return Err("a held-out row has a code".to_owned()),
        other => return Err(format!("unknown outcome {} (expected sent or held-out)", Quoted(other))),
    };
    Ok(LedgerRow { run, promo, email, outcome })
}

/// Checks that a run id has no control characters, invisible characters or outer white space.
///
/// # Errors
/// A message without the run id's line.
pub fn check_run_id(run: &[u8]) -> Result<(), String> {
    let inner: Vec<u8> = run.iter().copied().filter(|&byte| byte != b' ').collect();
    if has_unprintable(&inner) || trim(run) != run {
        return Err(format!(
            "the run {} contains a control character or an invisible character, or has white space at its start or end",
            Quoted(run)
        ));
    }
    Ok(())
}

/// Checks that a code can be written to every output without quotes.
pub(super) fn check_code(code: &[u8]) -> Result<&[u8], String> {
    let error = |what: &str| Err(format!("the code {} {what}", Quoted(code)));
    if code.is_empty() {
        return Err("the code is empty".to_owned());
    }
    if has_unprintable(code) {
        return error("contains white space, a control character or an invisible character");
    }
    if code.starts_with(b"#") {
        return error("begins with #; if it is a comment, remove the line");
    }
    if code.iter().any(|byte| matches!(byte, b',' | b';' | b'"')) {
        return error(
            "contains a comma, a semicolon or a quote; if this is CSV, its header row needs the columns promo,code",
        );
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
            ("run,promo,email,outcome,code\nr,P,a@x,sent,\"AB\n", ":2: a quoted field is not closed"),
            ("run,promo,email,outcome,code\nr,\"P,a@x,sent,\nr,Q\",b@x,sent,\n", ":2: a quoted field is not closed"),
            ("run,promo,email,outcome,code\nr,\"P\" ,a@x,sent,\n", ":2: a quoted field is not closed"),
            ("run,promo,email,outcome,code\nr,P,\"a@x\"x,sent,\n", ":2: a quoted field is not closed"),
            ("run,promo,email,outcome,code\nr,P,a\"@x,sent,\n", ":2: a quoted field is not closed"),
            ("run,promo,email,outcome,code\nr,\"P\",a@x,sent,\n", ":2: the row is not in the form"),
            ("run,promo,email,outcome,code\nr,a\\b,a@x,sent,\n", ":2: the row is not in the form"),
            ("run,promo,email,outcome,code\nr,P\\x0AQ,a@x,sent,\n", ":2: the row is not in the form"),
            ("run,promo,email,outcome,code\nr,P\tQ,a@x,sent,\n", ":2: the row is not in the form"),
            ("run,promo,email,outcome,code\nr,P ,a@x,sent,\n", ":2: \"P \" has white space"),
            ("run,promo,email,outcome,code\nr,P,a@x ,sent,\n", ":2: \"a@x \" has white space"),
            ("run,promo,email,outcome,code\nr,P,a@x,sent ,\n", ":2: unknown outcome \"sent \""),
            ("run,promo,email,outcome,code\nr,P,a@x,sent, C1\n", ":2: the code \" C1\" contains white space"),
            ("run,promo,email,outcome,code\n r,P,a@x,sent,\n", ":2: the run \" r\" contains a control"),
            ("run,promo,email,outcome,code\n\u{feff}r,P,a@x,sent,\n", ":2: the run \"\\u{feff}r\" contains a control"),
            ("run,promo,email,outcome,code\n\nr,P,a@x,sent,\n", ":2: expected 5 fields, found 1"),
            ("\nrun,promo,email,outcome,code\n", ":1: this is not a ledger"),
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
