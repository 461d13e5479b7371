//! CSV as RFC 4180 defines it, with any delimiter: row ends and the fields of a row.
//!
//! A quote opens a quoted field only at the beginning of a field. A quote anywhere else makes only its row
//! bad: the row ends where it would end without the quote. A line feed, a carriage return, or both together end a row
//! outside quotes.

use std::ops::Range;

use memchr::{memchr, memchr_iter, memchr3, memrchr2};

use super::quotes::QuoteParity;
use super::separators::CHUNK;
use crate::lanes;
use crate::record::Span;

/// The number of lines of a row. A row without a line feed at its end is also a line.
pub(super) fn count_lines(raw: &[u8]) -> u64 {
    memchr_iter(b'\n', raw).count() as u64 + u64::from(!raw.ends_with(b"\n"))
}

/// Finds the ends of rows in bytes that arrive in pieces. The value is the state between two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum RowScanner {
    /// At the beginning of a field, where a quote opens a quoted one.
    #[default]
    FieldStart,
    Unquoted,
    Quoted,
    /// After a quote in a quoted field, which closes it unless another quote follows.
    QuoteInQuoted,
}

/// The result of [`RowScanner::scan_row`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scanned {
    /// The number of bytes consumed. A carriage return at the end is not consumed, because its line feed may still
    /// arrive.
    pub bytes: usize,
    /// Whether a row ended there.
    pub row_ended: bool,
}

impl RowScanner {
    /// Consumes `bytes` up to the end of the row. `is_last` means that no more bytes follow.
    pub(super) fn scan_row(&mut self, bytes: &[u8], delimiter: u8, is_last: bool) -> Scanned {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match (*self, byte) {
                (Self::Quoted, _) => match memchr(b'"', &bytes[at..]) {
                    Some(len) => {
                        at += len + 1;
                        *self = Self::QuoteInQuoted;
                    }
                    None => at = bytes.len(),
                },
                (_, b'\r') if at + 1 == bytes.len() && !is_last => return Scanned { bytes: at, row_ended: false },
                (_, b'\n' | b'\r') => {
                    *self = Self::FieldStart;
                    return Scanned { bytes: at + line_ending_len(&bytes[at..]), row_ended: true };
                }
                (Self::FieldStart | Self::QuoteInQuoted, b'"') => {
                    *self = Self::Quoted;
                    at += 1;
                }
                _ if byte == delimiter => {
                    *self = Self::FieldStart;
                    at += 1;
                }
                _ => {
                    *self = Self::Unquoted;
                    at += unquoted_len(&bytes[at..], delimiter);
                }
            }
        }
        Scanned { bytes: bytes.len(), row_ended: false }
    }

    /// Consumes rows in the usual form, a chunk at a time, and calls `mark` for the ends of some rows and of the last one.
    /// Returns the number of bytes consumed.
    pub(super) fn skip_usual(&mut self, bytes: &[u8], delimiter: u8, mut mark: impl FnMut(usize)) -> usize {
        let (is_quoted, can_open) = (*self == Self::Quoted, matches!(self, Self::FieldStart | Self::QuoteInQuoted));
        let mut parity = QuoteParity { delimiter, is_quoted, can_open };
        let mut consumed = 0;
        while let Some((chunk, [next, ..])) = bytes[consumed..].split_first_chunk::<CHUNK>() {
            let Some(found) = parity.separators(chunk, *next) else { break };
            if let Some(last) = found.line_feeds.checked_ilog2() {
                mark(consumed + last as usize + 1);
            }
            consumed += CHUNK;
        }
        // The line feed after a carriage return must be consumed with it.
        consumed -= usize::from(!parity.is_quoted && bytes[..consumed].ends_with(b"\r"));
        *self = match bytes[..consumed].last() {
            None => *self,
            Some(_) if parity.is_quoted => Self::Quoted,
            Some(b'"') => Self::QuoteInQuoted,
            Some(b'\n') => Self::FieldStart,
            Some(&last) if last == delimiter => Self::FieldStart,
            Some(_) => Self::Unquoted,
        };
        consumed
    }

    /// Consumes all of `bytes` without scanning every field if there is no quote and no open quoted field. Returns the
    /// number of bytes consumed, and the end of the last row in them.
    pub(super) fn skip_unquoted(
        &mut self,
        bytes: &[u8],
        delimiter: u8,
        is_last: bool,
    ) -> Option<(usize, Option<usize>)> {
        if *self == Self::Quoted || memchr(b'"', bytes).is_some() {
            return None;
        }
        let consumed = bytes.len() - usize::from(bytes.ends_with(b"\r") && !is_last);
        let row_end = memrchr2(b'\n', b'\r', &bytes[..consumed]).map(|at| at + 1);
        *self = match bytes[..consumed].last() {
            None => *self,
            Some(b'\n' | b'\r') => Self::FieldStart,
            Some(&last) if last == delimiter => Self::FieldStart,
            Some(_) => Self::Unquoted,
        };
        Some((consumed, row_end))
    }
}

/// The length of the line ending at the beginning of `bytes`: a line feed, a carriage return, or both.
pub(super) fn line_ending_len(bytes: &[u8]) -> usize {
    if bytes.starts_with(b"\r\n") { 2 } else { 1 }
}

/// The bytes before the next delimiter or line ending.
fn unquoted_len(bytes: &[u8], delimiter: u8) -> usize {
    memchr3(delimiter, b'\n', b'\r', bytes).unwrap_or(bytes.len())
}

/// The fields of one row. The buffer is reused for every row.
#[derive(Debug, Default)]
pub(super) struct RowFields {
    /// The first fields.
    pub fields: Vec<Span>,
    /// The number of fields.
    pub width: usize,
    /// Whether quotes are only around complete fields, and doubled inside them.
    pub well_quoted: bool,
}

impl RowFields {
    /// Splits the row that begins at `start` in `bytes` and keeps its first `keep` fields. Fields with doubled quotes
    /// are unescaped in `scratch`. Returns the end of the row, including its line ending.
    pub(super) fn split(
        &mut self,
        bytes: &[u8],
        start: usize,
        keep: usize,
        delimiter: u8,
        scratch: &mut Vec<u8>,
    ) -> usize {
        self.fields.clear();
        self.width = 0;
        self.well_quoted = true;
        let mut at = start;
        loop {
            let (field, end) = if bytes.get(at) == Some(&b'"') {
                self.quoted_field(bytes, at + 1, delimiter, scratch)
            } else {
                let end = at + unquoted_len(&bytes[at..], delimiter);
                self.well_quoted &= memchr(b'"', &bytes[at..end]).is_none();
                (Span::in_block(at, end), end)
            };
            if self.width < keep {
                self.fields.push(field);
            }
            self.width += 1;
            match bytes.get(end) {
                Some(&byte) if byte == delimiter => at = end + 1,
                Some(_) => return end + line_ending_len(&bytes[end..]),
                None => return end,
            }
        }
    }

    /// The field whose opening quote is before `start`, and the position of the separator after it.
    fn quoted_field(&mut self, bytes: &[u8], start: usize, delimiter: u8, scratch: &mut Vec<u8>) -> (Span, usize) {
        let (mut at, mut is_escaped) = (start, false);
        let close = loop {
            let Some(quote) = memchr(b'"', &bytes[at..]) else {
                self.well_quoted = false;
                return (Span::in_block(start, bytes.len()), bytes.len());
            };
            let quote = at + quote;
            if bytes.get(quote + 1) != Some(&b'"') {
                break quote;
            }
            is_escaped = true;
            at = quote + 2;
        };
        let end = close + 1 + unquoted_len(&bytes[close + 1..], delimiter);
        self.well_quoted &= end == close + 1;
        let field = if is_escaped { unescape(&bytes[start..close], scratch) } else { Span::in_block(start, close) };
        (field, end)
    }
}

/// A field of a well-quoted row, without the quotes around it. Quotes in it are unescaped in `scratch`.
#[inline(always)]
pub(super) fn unquoted(bytes: &[u8], Range { start, end }: Range<usize>, scratch: &mut Vec<u8>) -> Span {
    let Some((b'"', rest)) = bytes[start..end].split_first() else { return Span::in_block(start, end) };
    // A row may end with a carriage return.
    let len = rest.len() - 1 - usize::from(rest.ends_with(b"\r"));
    if lanes::any(&rest[..len], lanes::one_of(*b"\"")) {
        unescape(&rest[..len], scratch)
    } else {
        Span::in_block(start + 1, start + 1 + len)
    }
}

/// Appends `field` to `scratch` with one quote for each doubled quote.
fn unescape(field: &[u8], scratch: &mut Vec<u8>) -> Span {
    let start = scratch.len();
    let mut rest = field;
    while let Some(quote) = memchr(b'"', rest) {
        scratch.extend_from_slice(&rest[..=quote]);
        rest = &rest[quote + 2..];
    }
    scratch.extend_from_slice(rest);
    Span::in_scratch(start, scratch.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::Bytes;

    /// Every row of `bytes`: its raw length, its fields, whether it is well quoted.
    fn rows(bytes: &[u8]) -> Vec<(usize, Vec<Vec<u8>>, bool)> {
        let (mut row, mut rows, mut at) = (RowFields::default(), Vec::new(), 0);
        while at < bytes.len() {
            let mut scratch = Vec::new();
            let end = row.split(bytes, at, usize::MAX, b',', &mut scratch);
            let spans = Bytes { block: bytes, scratch: &scratch };
            let fields = row.fields.iter().map(|&field| spans.get(field).to_vec()).collect();
            rows.push((end - at, fields, row.well_quoted));
            at = end;
        }
        rows
    }

    /// The raw lengths of the rows of `bytes`, which arrive in pieces of this size.
    fn scanned(bytes: &[u8], piece: usize) -> Vec<usize> {
        let (mut scanner, mut lengths) = (RowScanner::default(), Vec::new());
        let (mut row, mut at, mut arrived) = (0, 0, 0);
        while at < bytes.len() {
            let is_last = arrived == bytes.len();
            let Scanned { bytes: consumed, row_ended } = scanner.scan_row(&bytes[at..arrived], b',', is_last);
            at += consumed;
            if row_ended {
                lengths.push(at - row);
                row = at;
            } else {
                arrived = bytes.len().min(arrived + piece);
            }
        }
        lengths.extend((row < at).then_some(at - row));
        lengths
    }

    #[test]
    fn a_misplaced_quote_makes_only_its_own_row_bad() {
        for row in ["a,b\"c\n", "\"a\"b,c\n", "a,\"b\" \n", "a,\"\"\"\n", "\"a,b\n\"x,y\n"] {
            assert!(!rows(row.as_bytes())[0].2, "{row}");
        }
        for row in ["\"\",b\n", "a,\"b \"\"c\"\"\"\r\n", "\"a\nb\",\n", "a,\"b\""] {
            assert!(rows(row.as_bytes())[0].2, "{row}");
        }
        let good = |bytes: &[u8]| rows(bytes).iter().map(|(.., good)| *good).collect::<Vec<_>>();
        assert_eq!(good(b"a,b\"c\nd,e\n"), [false, true]);
    }

    #[test]
    fn fields_beyond_those_kept_are_counted() {
        let mut row = RowFields::default();
        row.split(b"first,second,,\n", 0, 1, b',', &mut Vec::new());
        assert_eq!((row.fields.len(), row.width), (1, 4));
    }

    proptest! {
        #[test]
        fn the_scanner_finds_the_rows_that_are_split(bytes in "[a,\"\r\n]{0,40}", piece in 1_usize..9) {
            let bytes = bytes.as_bytes();
            let lengths: Vec<usize> = rows(bytes).iter().map(|(len, ..)| *len).collect();
            prop_assert_eq!(scanned(bytes, piece), lengths);
        }

        #[test]
        fn well_quoted_rows_are_those_of_the_csv_crate(rows in prop::collection::vec(prop::collection::vec("[a ,\"\n]{0,6}", 1..5), 1..6)) {
            let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
            rows.iter().for_each(|row| writer.write_record(row).unwrap());
            let bytes = writer.into_inner().unwrap();
            let split: Vec<_> = self::rows(&bytes).into_iter().map(|(_, fields, good)| (fields, good)).collect();
            let expected: Vec<_> = rows
                .iter()
                .map(|row| (row.iter().map(|field| field.as_bytes().to_vec()).collect::<Vec<_>>(), true))
                .collect();
            prop_assert_eq!(split, expected);
        }

        #[test]
        fn skipping_unquoted_bytes_ends_in_the_state_of_scanning_them(bytes in "[a,\r\n]{0,20}", is_last: bool) {
            let bytes = bytes.as_bytes();
            let (mut scanning, mut at, mut row_end) = (RowScanner::default(), 0, None);
            loop {
                let scanned = scanning.scan_row(&bytes[at..], b',', is_last);
                at += scanned.bytes;
                if !scanned.row_ended {
                    break;
                }
                row_end = Some(at);
            }
            let mut skipping = RowScanner::default();
            prop_assert_eq!(skipping.skip_unquoted(bytes, b',', is_last), Some((at, row_end)));
            prop_assert_eq!(skipping, scanning);
        }

        #[test]
        fn skipping_usual_rows_ends_in_the_state_of_scanning_them(
            rows in prop::collection::vec("(\"[a,\n\r]{0,50}(\"\")?\"|a{0,50})(,a?|,\"a{0,20}\"){0,3}\r?", 0..8),
            damage in "|\"|a\"|\r", skipped in 0..9_usize,
        ) {
            let text = [rows.join("\n"), damage].concat();
            let bytes = text.as_bytes();
            // In the middle of a row, the state is that after scanning its beginning.
            let mut start = RowScanner::default();
            let from = start.scan_row(&bytes[..skipped.min(bytes.len())], b',', false).bytes;
            let (mut skipping, mut marked) = (start, None);
            let consumed = skipping.skip_usual(&bytes[from..], b',', |end| marked = Some(from + end));
            let (mut scanning, mut at, mut row_end) = (start, from, None);
            while at < from + consumed {
                let scanned = scanning.scan_row(&bytes[at..from + consumed], b',', true);
                at += scanned.bytes;
                row_end = if scanned.row_ended { Some(at) } else { row_end };
            }
            prop_assert_eq!((skipping, marked), (scanning, row_end));
        }
    }
}
