//! Reads the ledger and the codes, which are small formats of their own. Every error names the line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use csv::{ByteRecord, ReaderBuilder};
use thiserror::Error;

use crate::campaign::{CodeError, Codes, Ledger, LedgerOutcome, LedgerRow, MAX_CODE_BYTES};
use crate::escape::{self, Quoted};
use crate::record::check_table_email;
use crate::record::column::normalized;
use crate::record::field::{first_control, trim};
use crate::system::os_error;

/// The columns of a ledger.
pub const LEDGER_COLUMNS: [&str; 5] = ["run", "promo", "email", "outcome", "code"];

/// The maximum length of a line with a code.
const MAX_CODE_LINE: usize = 1 << 16;

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

/// Reads errors with the name of the file.
struct Context<'a>(&'a Path);

impl Context<'_> {
    fn at(&self, line: u64, reason: impl Into<String>) -> PolicyFileError {
        PolicyFileError::Line { path: self.0.to_owned(), line, reason: reason.into() }
    }

    fn read(&self, cause: io::Error) -> PolicyFileError {
        PolicyFileError::Read { path: self.0.to_owned(), cause }
    }

    fn csv(&self, error: csv::Error) -> PolicyFileError {
        match error.into_kind() {
            csv::ErrorKind::Io(cause) => self.read(cause),
            other => panic!("bytes are read, with any number of fields: {other:?}"),
        }
    }
}

/// Adds the rows of a ledger to `ledger`, and marks their codes as used. A file without rows may have no header row;
/// returns whether it has one. `codes` are those that this run hands out, with its run id.
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
    mut codes: Option<(&mut Codes, &[u8])>,
) -> Result<bool, PolicyFileError> {
    let context = Context(path);
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(LastByte { file, last: b'\n' });
    let mut record = ByteRecord::new();
    let has_header = reader.read_byte_record(&mut record).map_err(|error| context.csv(error))?;
    if !has_header {
        return match reader.get_ref().last {
            b'\n' => Ok(false),
            _ => Err(context.at(1, INCOMPLETE_LEDGER)),
        };
    }
    if !record.iter().eq(LEDGER_COLUMNS.map(str::as_bytes)) {
        let header = LEDGER_COLUMNS.join(",");
        return Err(context.at(1, format!("this is not a ledger: its first line is not {header}")));
    }
    let mut line = 1;
    while reader.read_byte_record(&mut record).map_err(|error| context.csv(error))? {
        line = record.position().expect("a record that was read has a position").line();
        let row = ledger_row(&record).map_err(|reason| context.at(line, reason))?;
        if let (Some((codes, run_id)), LedgerOutcome::Sent { code }) = (&mut codes, row.outcome) {
            if code.is_empty() && row.run == *run_id {
                let id = Quoted(row.run);
                return Err(context.at(
                    line,
                    format!("the run {id} sent without codes before; use another --run-id, or leave out --codes"),
                ));
            }
            if !code.is_empty() && !codes.mark_used(code) {
                return Err(context.at(line, format!("the code {} occurs in more than one row", Quoted(code))));
            }
        }
        ledger.add(&row);
    }
    ledger.seal();
    match reader.get_ref().last {
        b'\n' => Ok(true),
        _ => Err(context.at(line, INCOMPLETE_LEDGER)),
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
fn check_code(code: &[u8]) -> Result<&[u8], String> {
    let error = |what: &str| Err(format!("the code {} {what}", Quoted(code)));
    if code.is_empty() {
        return Err("the code is empty".to_owned());
    }
    if first_control(code).is_some() {
        return error("contains a control byte");
    }
    if code.iter().any(|byte| matches!(byte, b',' | b'"')) {
        return error("contains a comma or a quote; if this is CSV, its header row needs the columns promo,code");
    }
    if str::from_utf8(code).is_err() {
        return error("is not UTF-8");
    }
    Ok(code)
}

/// Reads a file of single-use codes: one code per line, or CSV with the columns `promo` and `code`.
///
/// # Errors
/// When it cannot be read, or a code is invalid or occurs twice.
pub fn read_codes(path: &Path) -> Result<Codes, PolicyFileError> {
    let context = Context(path);
    let mut file = File::open(path).map_err(|error| context.read(error))?;
    let metadata = file.metadata().map_err(|error| context.read(error))?;
    // Memory for the codes is allocated once.
    let (bytes, lines) = if metadata.is_file() {
        let lines = count_lines(&file).and_then(|lines| file.rewind().map(|()| lines));
        (metadata.len() as usize, lines.map_err(|error| context.read(error))?)
    } else {
        (0, 0)
    };
    let mut codes = Codes::with_capacity(bytes.min(MAX_CODE_BYTES), lines);
    for_each_code(file, &context, |line, promo, code| match codes.add(promo, code) {
        Ok(()) => Ok(()),
        Err(CodeError::TooMany) => {
            Err(context.at(line, format!("there are more than {MAX_CODE_BYTES} bytes of codes")))
        }
        Err(CodeError::Duplicate) => {
            // A pipe cannot be read again.
            let first = if metadata.is_file() { first_line(path, &context, code)? } else { None };
            let first = first.map_or(String::new(), |first| format!(", first in line {first}"));
            Err(context.at(line, format!("the code {} occurs twice{first}", Quoted(code))))
        }
    })?;
    Ok(codes)
}

fn count_lines(file: &File) -> io::Result<usize> {
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut lines = 1;
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(lines);
        }
        lines += memchr::memchr_iter(b'\n', bytes).count();
        let read = bytes.len();
        reader.consume(read);
    }
}

/// The first line with a code that occurs twice.
fn first_line(path: &Path, context: &Context<'_>, code: &[u8]) -> Result<Option<u64>, PolicyFileError> {
    let mut first = None;
    let file = File::open(path).map_err(|error| context.read(error))?;
    // A line after the duplicate may be invalid.
    let _ = for_each_code(file, context, |line, _, found| {
        if found == code {
            first.get_or_insert(line);
        }
        Ok(())
    });
    Ok(first)
}

/// Calls `add` with the line, the promo and the code of each code.
fn for_each_code(
    file: impl Read,
    context: &Context<'_>,
    mut add: impl FnMut(u64, Option<&[u8]>, &[u8]) -> Result<(), PolicyFileError>,
) -> Result<(), PolicyFileError> {
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let (mut line, mut number) = (Vec::new(), 0);
    let mut is_first = true;
    while next_line(&mut reader, &mut line).map_err(|error| context.read(error))? {
        number += 1;
        if line.len() > MAX_CODE_LINE {
            return Err(context.at(number, format!("the line is longer than {MAX_CODE_LINE} bytes")));
        }
        let text = line.strip_prefix(super::BYTE_ORDER_MARK).filter(|_| number == 1).unwrap_or(&line);
        let code = trim(text);
        if code.is_empty() {
            continue;
        }
        let names: Vec<_> = code.split(|&byte| byte == b',').map(|name| normalized(trim(name))).collect();
        let place = |wanted: &[u8]| names.iter().position(|name| name == wanted);
        match (place(b"promo"), place(b"code")) {
            (Some(promo), Some(code)) if is_first => {
                return for_each_row(reader, context, number, [promo, code, names.len()], add);
            }
            // The header row of a file with one column.
            (None, Some(0)) if is_first && names.len() == 1 => {}
            _ if is_first && looks_like_header(code) => {
                let line = Quoted(code);
                return Err(context.at(
                    number,
                    format!(
                        "the line {line} looks like a header row; name the columns promo,code or code, or put it on \
                         another line if it is a code"
                    ),
                ));
            }
            _ => add(number, None, check_code(code).map_err(|reason| context.at(number, reason))?)?,
        }
        is_first = false;
    }
    Ok(())
}

/// Whether a line contains the name of a column with codes, with another delimiter, quotes or another name.
fn looks_like_header(line: &[u8]) -> bool {
    let names = line.split(|byte| matches!(byte, b',' | b';' | b'\t')).map(|name| {
        let name = trim(name);
        normalized(name.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\"")).unwrap_or(name))
    });
    names.into_iter().any(|name| name.ends_with(b"code") || name.ends_with(b"codes"))
}

/// Reads the next line with its line feed, up to one byte more than the maximum. Returns false at the end.
fn next_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    reader.take(MAX_CODE_LINE as u64 + 1).read_until(b'\n', line)?;
    Ok(!line.is_empty())
}

/// The same for the rows of CSV that follow a header row. `columns` are the places of promo and code, and the number of
/// columns.
fn for_each_row(
    file: impl Read,
    context: &Context<'_>,
    lines_before: u64,
    [promo, code, width]: [usize; 3],
    mut add: impl FnMut(u64, Option<&[u8]>, &[u8]) -> Result<(), PolicyFileError>,
) -> Result<(), PolicyFileError> {
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(file);
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(|error| context.csv(error))? {
        let line = lines_before + record.position().expect("a record that was read has a position").line();
        if record.len() != width {
            return Err(
                context.at(line, format!("expected {width} fields as in the header row, found {}", record.len()))
            );
        }
        let [promo, code] = [promo, code].map(|place| trim(&record[place]));
        if promo.is_empty() {
            return Err(context.at(line, "the promo is empty"));
        }
        add(line, Some(promo), check_code(code).map_err(|reason| context.at(line, reason))?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::campaign::Once;

    fn codes(text: &str) -> Result<Vec<(String, u64)>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, text).unwrap();
        let mut codes = read_codes(file.path()).map_err(|error| {
            let message = error.to_string();
            message[file.path().to_str().unwrap().len()..].to_owned()
        })?;
        codes.seal();
        let name = |promo: Option<&[u8]>| promo.map_or("all".to_owned(), |promo| String::from_utf8_lossy(promo).into());
        Ok(codes.left().into_iter().map(|(promo, left)| (name(promo), left)).collect())
    }

    #[test]
    fn codes_are_lines_or_rows_with_a_promo() {
        let all = |left| Ok(vec![("all".to_owned(), left)]);
        assert_eq!(codes("A1\nB 2\r\n\n  C3"), all(3));
        assert_eq!(codes("\u{feff}Code\nA1\n"), all(1));
        let each = vec![("P, 1".to_owned(), 1), ("Q".to_owned(), 2)];
        assert_eq!(codes("Promo,Code\nQ,A\n\"P, 1\",B\nQ,C\n"), Ok(each.clone()));
        assert_eq!(codes("\ncode,id,promo\nA,1,Q\nB,2,\"P, 1\"\nC,3,Q\n"), Ok(each));
    }

    #[test]
    fn an_invalid_code_is_an_error_with_its_line() {
        for (text, message) in [
            ("A\nB\nA\n", ":3: the code \"A\" occurs twice, first in line 1"),
            ("A\n\nB,C\n", ":3: the code \"B,C\" contains a comma"),
            ("A\n\"B\"\n", ":2: the code \"\\\"B\\\"\" contains a comma or a quote"),
            ("A\tB\n", ":1: the code \"A\\tB\" contains a control byte"),
            ("promo,code\nP,A,x\n", ":2: expected 2 fields"),
            ("promo,code\n,A\n", ":2: the promo is empty"),
            ("promo,code\nP,\n", ":2: the code is empty"),
            ("promo,code\nP,A\nQ,A\n", ":3: the code \"A\" occurs twice, first in line 2"),
            ("promo;code\nP;A\n", ":1: the line \"promo;code\" looks like a header row"),
            ("\"promo\",\"code\"\nP,A\n", ":1: the line \"\\\"promo\\\",\\\"code\\\"\" looks like a header row"),
            ("Promo Code\nA\n", ":1: the line \"Promo Code\" looks like a header row"),
        ] {
            let error = codes(text).unwrap_err();
            assert!(error.starts_with(message), "{text:?}: {error}");
        }
    }

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
            let read = read_ledger(text.as_bytes(), Path::new(""), &mut ledger, Some((&mut codes, b"now")));
            let error = read.unwrap_err().to_string();
            assert!(error.starts_with(message), "{text:?}: {error}");
        }
    }
}
