//! Finding rows in CSV bytes, and unquoting their fields.
//!
//! The core of the `csv` crate does the parsing. Its reader above that core would be less to write, but it gives up at
//! the first read that would have to wait, and takes a row of any length into memory.

use std::io;

use csv_core::{ReadRecordResult, Reader};
use memchr::memchr;

use super::framing::BYTE_ORDER_MARK;
use super::{Feed, Patience};
use crate::record::field::trim;

/// How many bytes are read at once.
const READ_BYTES: usize = 256 << 10;

/// A row's fields beyond this number are counted but not kept.
const MAX_COLUMNS: usize = 1 << 12;

/// What was found next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// A row. One whose quotes are not as they should be is no CSV, whatever a lenient parser makes of it: most of the
    /// time a quoted field is never closed, and the next quote closes it lines later.
    Row { well_quoted: bool },
    /// A line with nothing but white space.
    Blank,
    /// The bytes are used up, within a row or between two.
    NeedsMore,
    /// There is nothing more.
    End,
}

/// The raw bytes, and the row in them that is being parsed.
pub(super) struct Rows {
    parser: Reader,
    raw: Vec<u8>,
    /// Where the row begins.
    start: usize,
    /// How far the parser is.
    parsed: usize,
    /// The unquoted fields behind each other, and where each ends.
    text: Vec<u8>,
    text_len: usize,
    ends: Vec<usize>,
    ends_len: usize,
    /// Takes the ends of the fields that are not kept.
    unkept: [usize; 64],
    /// How many fields the row has, beside those in `ends`.
    passed_fields: usize,
    /// Whether the row is complete but for the line feed behind its carriage return.
    awaits_line_feed: bool,
    /// Whether the beginning of the row was let go of.
    is_broken: bool,
    /// Whether the very beginning was looked at, and how many bytes of it are no part of a row.
    begun: bool,
    passed_over: u64,
}

impl Default for Rows {
    fn default() -> Self {
        Self {
            parser: Reader::new(),
            raw: Vec::new(),
            start: 0,
            parsed: 0,
            text: vec![0; 1 << 10],
            text_len: 0,
            ends: vec![0; MAX_COLUMNS],
            ends_len: 0,
            unkept: [0; 64],
            passed_fields: 0,
            awaits_line_feed: false,
            is_broken: false,
            begun: false,
            passed_over: 0,
        }
    }
}

impl Rows {
    /// The row so far, verbatim, with its line end.
    pub(super) fn raw(&self) -> &[u8] {
        self.raw.get(self.start..self.parsed).unwrap_or_default()
    }

    /// The row so far, verbatim, without its line feed.
    pub(super) fn raw_without_line_feed(&self) -> &[u8] {
        let raw = self.raw();
        raw.strip_suffix(b"\n").unwrap_or(raw)
    }

    /// How many bytes at the very beginning are no part of a row: a byte-order mark.
    pub(super) const fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// How many fields the row has.
    pub(super) const fn width(&self) -> usize {
        self.passed_fields + self.ends_len
    }

    /// A field of the row.
    pub(super) fn field(&self, index: usize) -> &[u8] {
        let end = |index: usize| self.ends.get(..self.ends_len).and_then(|ends| ends.get(index)).copied();
        let start = index.checked_sub(1).map_or(Some(0), end);
        start.zip(end(index)).and_then(|(start, end)| self.text.get(start..end)).unwrap_or_default()
    }

    /// The fields of the row.
    pub(super) fn fields(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends_len).map(|index| self.field(index))
    }

    /// Reads more bytes.
    ///
    /// # Errors
    /// When the read fails, or would have to wait and must not.
    pub(super) fn read(&mut self, feed: &mut dyn Feed, patience: Patience) -> io::Result<usize> {
        self.raw.drain(..self.start);
        self.parsed -= self.start;
        self.start = 0;
        let len = self.raw.len();
        self.raw.resize(len + READ_BYTES, 0);
        let result = feed.read(self.raw.get_mut(len..).unwrap_or_default(), patience);
        self.raw.truncate(len + result.as_ref().map_or(0, |&count| count.min(READ_BYTES)));
        result
    }

    /// Goes on parsing the row. `ended` says that no more bytes will come.
    pub(super) fn parse(&mut self, ended: bool) -> Found {
        if !self.begun && !self.begin(ended) {
            return Found::NeedsMore;
        }
        if self.start == self.parsed && !self.is_broken && !self.awaits_line_feed {
            match self.blank_line(ended) {
                Some(found) => return found,
                None if self.parsed == self.raw.len() => return if ended { Found::End } else { Found::NeedsMore },
                None => {}
            }
        }
        if !self.awaits_line_feed {
            match self.parse_row(ended) {
                ReadRecordResult::Record => {}
                ReadRecordResult::End => return Found::End,
                _ => return Found::NeedsMore,
            }
        }
        self.end_row(ended)
    }

    /// Passes over a byte-order mark. Says whether there was enough to see.
    fn begin(&mut self, ended: bool) -> bool {
        if !ended && self.raw.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(&self.raw) {
            return false;
        }
        if self.raw.starts_with(BYTE_ORDER_MARK) {
            self.raw.drain(..BYTE_ORDER_MARK.len());
            self.passed_over = BYTE_ORDER_MARK.len() as u64;
        }
        self.begun = true;
        true
    }

    /// An empty line, which the parser would pass over without a word.
    fn blank_line(&mut self, ended: bool) -> Option<Found> {
        let len = match self.raw.get(self.parsed..)? {
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            [b'\r'] if !ended => return Some(Found::NeedsMore),
            [b'\r', ..] => 1,
            _ => return None,
        };
        self.parsed += len;
        Some(Found::Blank)
    }

    fn parse_row(&mut self, ended: bool) -> ReadRecordResult {
        loop {
            let input = self.raw.get(self.parsed..).unwrap_or_default();
            if input.is_empty() && !ended {
                return ReadRecordResult::InputEmpty;
            }
            let text = self.text.get_mut(self.text_len..).unwrap_or_default();
            let kept = self.ends_len < self.ends.len();
            let ends = self.ends.get_mut(self.ends_len..).filter(|_| kept).unwrap_or(&mut self.unkept);
            let (result, read, written, fields) = self.parser.read_record(input, text, ends);
            self.parsed += read;
            self.text_len += written;
            *(if kept { &mut self.ends_len } else { &mut self.passed_fields }) += fields;
            match result {
                ReadRecordResult::InputEmpty if ended => {}
                ReadRecordResult::OutputFull => self.text.resize(self.text.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => {}
                result => return result,
            }
        }
    }

    /// The row is parsed; takes the line feed behind its carriage return to it.
    fn end_row(&mut self, ended: bool) -> Found {
        if std::mem::take(&mut self.awaits_line_feed) || self.raw().ends_with(b"\r") {
            match self.raw.get(self.parsed) {
                Some(b'\n') => self.parsed += 1,
                None if !ended => {
                    self.awaits_line_feed = true;
                    return Found::NeedsMore;
                }
                Some(_) | None => {}
            }
        }
        let raw = self.raw();
        if trim(raw).is_empty() && !self.is_broken {
            return Found::Blank;
        }
        Found::Row { well_quoted: self.is_broken || is_well_quoted(self.raw_without_line_feed()) }
    }

    /// Lets go of the row that was found, and begins the next one.
    pub(super) fn finish_row(&mut self) {
        self.pass_over();
        self.is_broken = false;
        self.awaits_line_feed = false;
    }

    /// Lets go of the bytes and fields so far and stays in the row.
    pub(super) fn pass_over(&mut self) {
        self.start = self.parsed;
        self.text_len = 0;
        self.ends_len = 0;
        self.passed_fields = 0;
        self.is_broken = true;
    }
}

/// Whether quotes stand only where RFC 4180 has them: around a whole field, and doubled within it.
fn is_well_quoted(row: &[u8]) -> bool {
    let row = row.strip_suffix(b"\r").unwrap_or(row);
    if memchr(b'"', row).is_none() {
        return true;
    }
    let mut rest = row;
    loop {
        if let Some(quoted) = rest.strip_prefix(b"\"") {
            let Some(behind) = behind_closing_quote(quoted) else { return false };
            match behind {
                [] => return true,
                [b',', behind @ ..] => rest = behind,
                _ => return false,
            }
        } else {
            let field = memchr(b',', rest).unwrap_or(rest.len());
            let (field, behind) = rest.split_at_checked(field).unwrap_or((rest, b""));
            if memchr(b'"', field).is_some() {
                return false;
            }
            match behind {
                [b',', behind @ ..] => rest = behind,
                _ => return true,
            }
        }
    }
}

/// What follows the quote that closes a field, of which the bytes behind the opening quote are given.
fn behind_closing_quote(mut quoted: &[u8]) -> Option<&[u8]> {
    loop {
        let behind = quoted.get(memchr(b'"', quoted)? + 1..)?;
        match behind.strip_prefix(b"\"") {
            Some(doubled) => quoted = doubled,
            None => return Some(behind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything found in `bytes` when they come in pieces of this size: fields, raw row.
    fn found(bytes: &[u8], piece: usize) -> Vec<(Found, Vec<String>, usize)> {
        let mut rows = Rows::default();
        let mut pieces = bytes.chunks(piece);
        let (mut all, mut ended) = (Vec::new(), false);
        loop {
            match rows.parse(ended) {
                Found::NeedsMore => match pieces.next() {
                    Some(piece) => drop(rows.read(&mut io::Cursor::new(piece), Patience::Wait)),
                    None => ended = true,
                },
                Found::End => return all,
                found => {
                    let fields = rows.fields().map(|field| String::from_utf8_lossy(field).into_owned()).collect();
                    all.push((found, fields, rows.raw().len()));
                    rows.finish_row();
                }
            }
        }
    }

    #[test]
    fn rows_are_the_same_in_pieces_of_any_size() {
        let bytes = "\u{feff}a,\"b \"\"q\"\", c\"\r\n\n \r\n\"multi\nline\",x\ny,z".as_bytes();
        let row = |fields: [&str; 2], len| (Found::Row { well_quoted: true }, fields.map(str::to_owned).to_vec(), len);
        for piece in 1..=bytes.len() {
            let mut given = found(bytes, piece);
            assert_eq!(given.iter().map(|(.., len)| len).sum::<usize>() + 3, bytes.len(), "nothing is lost");
            given.retain(|(found, ..)| *found != Found::Blank);
            let expected = [row(["a", "b \"q\", c"], 16), row(["multi\nline", "x"], 15), row(["y", "z"], 3)];
            assert_eq!(given, expected, "{piece}");
        }
    }

    #[test]
    fn quotes_that_stand_where_none_can_be_are_told() {
        assert_eq!(found(b"a,\"b\nc,d", 3)[0].0, Found::Row { well_quoted: false });
        assert_eq!(found(b"a,\"b\nc,d\n", 3)[0].0, Found::Row { well_quoted: false });
        for row in ["a,b\"c\n", "\"a\"b,c\n", "a,\"b\" \n", "a,\"\"\"\n", "\"a,b\n\"x,y\n"] {
            assert_eq!(found(row.as_bytes(), 3)[0].0, Found::Row { well_quoted: false }, "{row}");
        }
        for row in ["\"\",b\n", "a,\"b \"\"c\"\"\"\r\n", "\"a\nb\",\n"] {
            assert_eq!(found(row.as_bytes(), 3)[0].0, Found::Row { well_quoted: true }, "{row}");
        }
        assert_eq!(found(b"a,\"b\"", 3)[0].0, Found::Row { well_quoted: true });
    }

    #[test]
    fn fields_beyond_what_is_kept_are_counted() {
        let mut rows = Rows::default();
        let line = format!("first{}", ",".repeat(5_000));
        drop(rows.read(&mut io::Cursor::new(line), Patience::Wait));
        assert_eq!(rows.parse(true), Found::Row { well_quoted: true });
        assert_eq!(rows.width(), 5_001);
        assert_eq!(rows.fields().count(), MAX_COLUMNS);
        assert_eq!(rows.field(0), b"first");
    }
}
