//! Reads a file of single-use codes: one code per line, or CSV with the columns `promo` and `code`. An invalid code is
//! an error with its line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::Path;

use super::format::BYTE_ORDER_MARK;
use super::ledger::{FileErrors, PolicyFileError, check_code};
use super::row::split_row;
use crate::campaign::{CodeError, Codes, MAX_CODE_BYTES};
use crate::escape::Quoted;
use crate::record::column::normalized;
use crate::record::field::trim;

/// The maximum length of a line with a code.
const MAX_CODE_LINE: usize = 1 << 16;

/// Reads a file of single-use codes: one code per line, or CSV with the columns `promo` and `code`.
///
/// # Errors
/// When it cannot be read, or a code is invalid or occurs twice.
pub fn read_codes(path: &Path) -> Result<Codes, PolicyFileError> {
    let errors = FileErrors(path);
    let mut file = File::open(path).map_err(|error| errors.read(error))?;
    let metadata = file.metadata().map_err(|error| errors.read(error))?;
    // Memory for the codes is allocated once.
    let (bytes, lines) = if metadata.is_file() {
        let lines = count_lines(&file).and_then(|lines| file.rewind().map(|()| lines));
        (metadata.len() as usize, lines.map_err(|error| errors.read(error))?)
    } else {
        (0, 0)
    };
    // A code has at least one byte and a line feed; other lines are empty.
    let mut codes = Codes::with_capacity(bytes.min(MAX_CODE_BYTES), lines.min(bytes / 2));
    for_each_code(file, &errors, |line, promo, code| match codes.add(promo, code) {
        Ok(()) => Ok(()),
        Err(CodeError::TooMany) => Err(errors.at(line, format!("there are more than {MAX_CODE_BYTES} bytes of codes"))),
        Err(CodeError::Duplicate) => {
            // A pipe cannot be read again.
            let first = if metadata.is_file() { first_line(path, &errors, code)? } else { None };
            let first = first.map_or(String::new(), |first| format!(", first in line {first}"));
            Err(errors.at(line, format!("the code {} occurs twice{first}", Quoted(code))))
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
fn first_line(path: &Path, errors: &FileErrors<'_>, code: &[u8]) -> Result<Option<u64>, PolicyFileError> {
    let mut first = None;
    let file = File::open(path).map_err(|error| errors.read(error))?;
    // A line after the duplicate may be invalid.
    let _ = for_each_code(file, errors, |line, _, found| {
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
    errors: &FileErrors<'_>,
    mut add: impl FnMut(u64, Option<&[u8]>, &[u8]) -> Result<(), PolicyFileError>,
) -> Result<(), PolicyFileError> {
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let (mut line, mut number) = (Vec::new(), 0);
    let mut is_first = true;
    while next_line(&mut reader, &mut line).map_err(|error| errors.read(error))? {
        number += 1;
        check_line_length(&line, number, errors)?;
        let text = line.strip_prefix(BYTE_ORDER_MARK).filter(|_| number == 1).unwrap_or(&line);
        let code = trim(text);
        if code.is_empty() {
            continue;
        }
        if std::mem::take(&mut is_first) {
            match code_header(code) {
                CodeHeader::None => {}
                CodeHeader::Code => continue,
                CodeHeader::Columns(columns) => return for_each_row(reader, errors, number, &columns, add),
                CodeHeader::Twice => {
                    return Err(errors.at(number, "two columns have the name promo or code; rename one"));
                }
                CodeHeader::Unknown => {
                    let line = Quoted(code);
                    return Err(errors.at(
                        number,
                        format!(
                            "the line {line} looks like a header row; name the columns promo,code or code, or put it \
                             on another line if it is a code"
                        ),
                    ));
                }
            }
        }
        add(number, None, check_code(code).map_err(|reason| errors.at(number, reason))?)?;
    }
    Ok(())
}

/// What the first line of the file is.
enum CodeHeader {
    /// A code.
    None,
    /// The header row of a file with one column.
    Code,
    /// A header row.
    Columns(CodeColumns),
    /// A header row in which a column occurs twice.
    Twice,
    /// Probably a header row, but without the columns.
    Unknown,
}

/// The columns of CSV.
struct CodeColumns {
    /// The index of the column with the promos.
    promo: usize,
    /// The index of the column with the codes.
    code: usize,
    /// The number of columns.
    width: usize,
}

fn code_header(line: &[u8]) -> CodeHeader {
    let names: Vec<_> = line.split(|&byte| byte == b',').map(|name| normalized(trim(name))).collect();
    let place = |wanted: &[u8]| names.iter().position(|name| name == wanted);
    let is_twice = |wanted: &[u8]| names.iter().filter(|name| *name == wanted).count() > 1;
    match (place(b"promo"), place(b"code")) {
        (_, Some(_)) if is_twice(b"promo") || is_twice(b"code") => CodeHeader::Twice,
        (Some(promo), Some(code)) => CodeHeader::Columns(CodeColumns { promo, code, width: names.len() }),
        (None, Some(0)) if names.len() == 1 => CodeHeader::Code,
        _ if looks_like_header(line) => CodeHeader::Unknown,
        _ => CodeHeader::None,
    }
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

fn check_line_length(line: &[u8], number: u64, errors: &FileErrors<'_>) -> Result<(), PolicyFileError> {
    if line.len() > MAX_CODE_LINE {
        return Err(errors.at(number, format!("the line is longer than {MAX_CODE_LINE} bytes")));
    }
    Ok(())
}

/// The same for the rows of CSV that follow a header row.
fn for_each_row(
    mut reader: impl BufRead,
    errors: &FileErrors<'_>,
    lines_before: u64,
    &CodeColumns { promo, code, width }: &CodeColumns,
    mut add: impl FnMut(u64, Option<&[u8]>, &[u8]) -> Result<(), PolicyFileError>,
) -> Result<(), PolicyFileError> {
    let (mut line, mut number) = (Vec::new(), lines_before);
    while next_line(&mut reader, &mut line).map_err(|error| errors.read(error))? {
        number += 1;
        check_line_length(&line, number, errors)?;
        let invalid = |reason: String| errors.at(number, reason);
        let text = trim(&line);
        if text.is_empty() {
            continue;
        }
        let fields = split_row(text).ok_or_else(|| {
            invalid("a quoted field is not closed, or there is text before or after its quotes".to_owned())
        })?;
        if fields.len() != width {
            return Err(invalid(format!("expected {width} fields as in the header row, found {}", fields.len())));
        }
        let [promo, code] = [promo, code].map(|place| trim(&fields[place]));
        if promo.is_empty() {
            return Err(invalid("the promo is empty".to_owned()));
        }
        if promo.starts_with(BYTE_ORDER_MARK) {
            return Err(invalid(format!("the promo {} begins with a byte-order mark; remove it", Quoted(promo))));
        }
        add(number, Some(promo), check_code(code).map_err(invalid)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

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
        assert_eq!(codes("A1\nB2\r\n\n  C3"), all(3));
        assert_eq!(codes("A1\nB2"), all(2));
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
            ("A\n\"B\"\n", ":2: the code \"\\\"B\\\"\" contains a comma, a semicolon or a quote"),
            ("A\tB\n", ":1: the code \"A\\tB\" contains white space, a control character"),
            ("A B\n", ":1: the code \"A B\" contains white space"),
            ("A\nB\u{a0}\n", ":2: the code \"B\\u{a0}\" contains white space"),
            ("A\n\u{feff}B\n", ":2: the code \"\\u{feff}B\" contains white space"),
            ("A\nB\u{200b}C\n", ":2: the code \"B\\u{200b}C\" contains white space"),
            ("A\nC1;x\n", ":2: the code \"C1;x\" contains a comma, a semicolon"),
            ("promo,code\nP,\"A", ":2: a quoted field is not closed"),
            ("promo,code\n\"P,A\nQ,B\n", ":2: a quoted field is not closed"),
            ("promo,code\nP,\"A\"B\n", ":2: a quoted field is not closed"),
            ("promo,code\nP,A\n\u{feff}P,B\n", ":3: the promo \"\\u{feff}P\" begins with a byte-order mark"),
            ("promo,code,Code\nP,A,B\n", ":1: two columns have the name promo or code"),
            ("promo,code,promo\nP,A,Q\n", ":1: two columns have the name promo or code"),
            ("code,code\nA,B\n", ":1: two columns have the name promo or code"),
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
}
