//! How records are told apart: one a line, one behind each length, or as rows of a table that are taken apart already.
//!
//! Pure functions on bytes. Incomplete, complete and blank are told apart here; what a record means is not.

use std::ops::Range;

use memchr::{memchr, memchr_iter, memrchr};

use crate::record::Layout;
use crate::record::field::trim;

/// Bytes of a frame's header: the length of the payload, big-endian.
pub const HEADER_BYTES: usize = 4;

/// What may stand before text and is no part of it.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What the user says of an input's framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InputFormat {
    /// Look at the first byte: a frame of under 16 MiB begins with 0x00, and no text does.
    #[default]
    Auto,
    /// One record a line.
    Text,
    /// Length-framed records.
    Framed,
    /// CSV with a header row.
    Csv,
}

/// How the records of an input are marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// One record a line; the last line feed may be missing.
    Text,
    /// A 4-byte big-endian length, then that many bytes.
    Framed,
    /// Rows of a table. In a block they are taken apart already; it is the CSV source that does it.
    Csv,
}

/// Where a record stands in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRecord {
    /// The record itself, without line feed or header.
    pub payload: Range<usize>,
    /// The record verbatim.
    pub raw: Range<usize>,
    /// Where the next record begins.
    pub end: usize,
    /// How many lines of the input it takes; a frame counts as one.
    pub lines: u32,
}

impl InputFormat {
    /// The framing of an input that begins with `first`.
    pub const fn framing(self, first: Option<u8>) -> Framing {
        match (self, first) {
            (Self::Framed, _) | (Self::Auto, Some(0)) => Framing::Framed,
            (Self::Csv, _) => Framing::Csv,
            (Self::Text | Self::Auto, _) => Framing::Text,
        }
    }
}

impl Framing {
    /// How the fields of a record are laid out.
    pub const fn layout(self) -> Layout {
        match self {
            Self::Text | Self::Framed => Layout::Commas,
            Self::Csv => Layout::Columns,
        }
    }

    /// The record that begins at `start` in `bytes`, a run of whole records. `start` must lie inside `bytes`.
    #[inline]
    pub fn record_at(self, bytes: &[u8], start: usize) -> RawRecord {
        let rest = bytes.get(start..).unwrap_or_default();
        match self {
            Self::Text => match memchr(b'\n', rest) {
                Some(len) => RawRecord::line(start..start + len, start + len + 1),
                None => RawRecord::line(start..bytes.len(), bytes.len()),
            },
            Self::Framed => {
                let payload = start.saturating_add(HEADER_BYTES).min(bytes.len());
                let len = announced(rest).unwrap_or(0);
                let end = payload.saturating_add(len).min(bytes.len());
                RawRecord { payload: payload..end, raw: start..end, end, lines: 1 }
            }
            Self::Csv => table_row(rest).map_or(RawRecord::line(start..bytes.len(), bytes.len()), |row| {
                let payload = start + ROW_HEADER_BYTES;
                let raw = payload + row.payload_len;
                let end = (raw + row.raw_len).min(bytes.len());
                RawRecord { payload: payload..raw, raw: raw..end, end, lines: row.lines }
            }),
        }
    }

    /// Whether a record is to be passed over: a line with nothing but white space. A frame never is, and blank lines of a
    /// table come as rows without payload.
    #[inline]
    pub fn is_blank(self, payload: &[u8]) -> bool {
        match self {
            Self::Text => trim(payload).is_empty(),
            Self::Framed => false,
            Self::Csv => payload.is_empty(),
        }
    }

    /// The first record boundary at or behind `goal`, for a record that begins at `start`; at most the end of `bytes`,
    /// which are whole records.
    pub fn boundary_after(self, bytes: &[u8], start: usize, goal: usize) -> usize {
        match self {
            Self::Text => {
                // The byte before `goal` may be the line feed that makes it a boundary.
                let from = goal.saturating_sub(1).max(start);
                bytes.get(from..).and_then(|rest| memchr(b'\n', rest)).map_or(bytes.len(), |at| from + at + 1)
            }
            Self::Framed | Self::Csv => {
                let mut at = start;
                while at < goal && at < bytes.len() {
                    at = self.record_at(bytes, at).end;
                }
                at
            }
        }
    }
}

impl RawRecord {
    /// A line of text, which begins where its payload does.
    #[inline]
    pub(super) const fn line(payload: Range<usize>, end: usize) -> Self {
        Self { raw: payload.start..end, payload, end, lines: 1 }
    }
}

/// Bytes before a row in a block of a table: the lengths of payload and raw row, and the number of lines.
const ROW_HEADER_BYTES: usize = 12;

/// What stands before a row in a block of a table.
struct TableRow {
    payload_len: usize,
    raw_len: usize,
    lines: u32,
}

fn table_row(bytes: &[u8]) -> Option<TableRow> {
    let mut numbers = bytes.as_chunks::<4>().0.iter().map(|number| u32::from_le_bytes(*number));
    let (payload_len, raw_len) = (numbers.next()? as usize, numbers.next()? as usize);
    Some(TableRow { payload_len, raw_len, lines: numbers.next()? })
}

/// How many lines a row of a table takes. One that ends without a line feed, be it the last one, still is a line.
pub fn lines_of(raw: &[u8]) -> u64 {
    memchr_iter(b'\n', raw).count() as u64 + u64::from(!raw.ends_with(b"\n"))
}

/// Appends a frame to `out`: what `payload` appends, behind its length.
pub fn push_frame(out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    payload(out);
    // A record is at most 1 GiB long, and so is what is said about it.
    let len = (out.len() - start - HEADER_BYTES) as u32;
    if let Some(header) = out.get_mut(start..start + HEADER_BYTES) {
        header.copy_from_slice(&len.to_be_bytes());
    }
}

/// Appends a row of a table to the bytes of a block: what is written by `payload`, and the row verbatim.
pub fn push_table_row(block: &mut Vec<u8>, raw: &[u8], payload: impl FnOnce(&mut Vec<u8>)) {
    let start = block.len();
    block.extend_from_slice(&[0; ROW_HEADER_BYTES]);
    payload(block);
    let payload_len = block.len() - start - ROW_HEADER_BYTES;
    block.extend_from_slice(raw);
    let numbers = [payload_len, raw.len(), lines_of(raw) as usize].map(|number| (number as u32).to_le_bytes());
    if let Some(header) = block.get_mut(start..start + ROW_HEADER_BYTES) {
        header.copy_from_slice(numbers.as_flattened());
    }
}

/// The end of the last whole line of `bytes`, if a line ends in them.
pub fn last_line_end(bytes: &[u8]) -> Option<usize> {
    memrchr(b'\n', bytes).map(|at| at + 1)
}

/// The payload length that the header at the beginning of `bytes` announces, if the header is there whole.
#[inline]
pub fn announced(bytes: &[u8]) -> Option<usize> {
    let header = bytes.first_chunk::<HEADER_BYTES>()?;
    usize::try_from(u32::from_be_bytes(*header)).ok()
}

/// The length at the beginning of `frame`, if it is a piece of text instead.
pub fn text_for_a_length(frame: &[u8]) -> Option<&[u8]> {
    let length = frame.get(..HEADER_BYTES)?;
    length.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n')).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(framing: Framing, bytes: &[u8]) -> Vec<&[u8]> {
        let mut found = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let raw = framing.record_at(bytes, at);
            found.push(&bytes[raw.payload]);
            at = raw.end;
        }
        found
    }

    #[test]
    fn the_first_byte_tells_frames_from_text() {
        assert_eq!(InputFormat::Auto.framing(Some(0)), Framing::Framed);
        assert_eq!(InputFormat::Auto.framing(Some(b'M')), Framing::Text);
        assert_eq!(InputFormat::Auto.framing(None), Framing::Text);
        assert_eq!(InputFormat::Text.framing(Some(0)), Framing::Text);
        assert_eq!(InputFormat::Framed.framing(Some(b'M')), Framing::Framed);
    }

    #[test]
    fn the_last_line_needs_no_line_feed() {
        assert_eq!(records(Framing::Text, b"a\n\nb"), [&b"a"[..], b"", b"b"]);
    }

    #[test]
    fn frames_may_hold_line_feeds_and_nothing() {
        assert_eq!(records(Framing::Framed, b"\0\0\0\x03a\nb\0\0\0\0\0\0\0\x01c"), [&b"a\nb"[..], b"", b"c"]);
    }

    #[test]
    fn a_boundary_is_never_inside_a_record() {
        let text = b"aa\nbb\ncc";
        let ends = |goal| Framing::Text.boundary_after(text, 0, goal);
        assert_eq!([0, 1, 2, 3, 4, 6, 7, 8, 99].map(ends), [3, 3, 3, 3, 6, 6, 8, 8, 8]);
        let frames = b"\0\0\0\x01a\0\0\0\x01b";
        let ends = |goal| Framing::Framed.boundary_after(frames, 0, goal);
        assert_eq!([1, 5, 6, 10, 99].map(ends), [5, 5, 10, 10, 10]);
    }
}
