//! Input formats: detection from the first bytes, and how each format delimits records.

use std::ops::Range;
use std::sync::Arc;

use clap::ValueEnum;

use super::header::Header;
use super::json::JsonKeys;
use crate::record::field::trim;
use crate::record::{Column, SourceKind, TableRules, TypeNames};

/// The format of an input as an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum InputFormat {
    /// Detect the format; a file that looks like a table but cannot be detected as one is an error
    #[default]
    Auto,
    /// One record per line, fields separated by commas, no quoting; every line is read literally
    Text,
    /// Each record is preceded by its length, a 4-byte big-endian integer
    Framed,
    /// CSV or TSV with a header row, columns in any order. Required: email; for conversions email and conversion.
    /// Other columns are ignored
    Csv,
    /// JSON Lines: one object per line, with the same names as keys
    Jsonl,
}

/// How to read the inputs of one source.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// The format.
    pub format: InputFormat,
    /// The delimiter of CSV; detected if `None`.
    pub delimiter: Option<u8>,
    /// The names of columns and keys that differ from the defaults.
    pub column_names: Vec<(Column, String)>,
    /// The columns of CSV without a header row, in order; `None` for a column that is ignored.
    pub columns: Option<Vec<Option<Column>>>,
    /// The names of conversion types, and the times.
    pub rules: Arc<TableRules>,
    /// The name that the type of a conversion has in the conversions, to detect them in a loyalty list.
    pub conversion_name: Option<String>,
    /// Whether other columns and keys are an error, because a list that replaces the input would lose them.
    pub only_known: bool,
}

impl ReadOptions {
    /// The options for a format, with the default names.
    pub fn of_format(format: InputFormat) -> Self {
        Self { format, ..Self::default() }
    }

    /// Fails if an option is set that only CSV and JSON Lines have, because it must not be ignored.
    pub(super) fn check_not_table(&self, format: &str, source: SourceKind) -> Result<(), String> {
        let is_time = |column: Column| column == Column::Time;
        let option = if self.columns.is_some() {
            "a list of columns applies"
        } else if self.column_names.iter().any(|(column, _)| is_time(*column)) {
            "--time-column applies"
        } else if self.column_names.iter().any(|(column, _)| !is_time(*column)) {
            "--column (for one source: --column loyalty.FIELD=NAME or conversions.FIELD=NAME) applies"
        } else if source != SourceKind::Loyalty && self.rules.types != TypeNames::default() {
            "--type applies"
        } else if self.rules.promo.is_some() {
            "the promo of the campaign file applies"
        } else {
            return Ok(());
        };
        Err(format!("{option} only to CSV and JSON Lines, but this is {format}"))
    }
}

/// The format of an input: how records are delimited and split into fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// One record per line, fields separated by commas. The final line feed may be missing.
    Text,
    /// A 4-byte big-endian length, then a record of that many bytes with the fields of a line of text.
    Framed,
    /// CSV with this header row.
    Csv(Arc<Header>),
    /// One JSON object per line, with these keys.
    JsonLines(Arc<JsonKeys>),
}

impl Format {
    /// Whether records are frames. Frames are numbered as frames, not as lines.
    pub const fn is_framed(&self) -> bool {
        matches!(self, Self::Framed)
    }

    /// Whether fields have names: in CSV and JSON Lines. There, quotes around a field are not part of it.
    pub const fn is_table(&self) -> bool {
        matches!(self, Self::Csv(_) | Self::JsonLines(_))
    }
}

/// The size of a frame header: the length of the payload, big-endian.
pub(super) const FRAME_HEADER_BYTES: usize = 4;

/// The UTF-8 byte-order mark. It may precede text and is not part of it.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Whether a record of text or CSV is skipped: a line that contains only white space.
#[inline]
pub fn is_blank(record: &[u8]) -> bool {
    trim(record).is_empty()
}

/// The payload of the frame that begins at `start` in `bytes`, which contain complete frames.
#[inline]
pub fn payload_at(bytes: &[u8], start: usize) -> Range<usize> {
    let length = announced_length(&bytes[start..]).expect("a block contains complete frames");
    let payload = start + FRAME_HEADER_BYTES;
    payload..payload + length
}

/// The payload length that the header at the beginning of `bytes` announces, if the header is complete.
#[inline]
pub(super) fn announced_length(bytes: &[u8]) -> Option<usize> {
    bytes.first_chunk::<FRAME_HEADER_BYTES>().map(|header| u32::from_be_bytes(*header) as usize)
}

/// Appends a frame to `out`: a length, then the bytes that `payload` appends.
pub fn push_frame(out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEADER_BYTES]);
    payload(out);
    let length = out.len() - start - FRAME_HEADER_BYTES;
    let length = u32::try_from(length).expect("records and decisions are at most 1 GiB long");
    out[start..start + FRAME_HEADER_BYTES].copy_from_slice(&length.to_be_bytes());
}

/// The length at the beginning of `frame`, if it consists of printable text.
pub fn text_as_length(frame: &[u8]) -> Option<&[u8]> {
    let length = frame.get(..FRAME_HEADER_BYTES)?;
    length.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n')).then_some(length)
}

/// How an input is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Uncompressed,
    Gzip,
    Zstd,
}

/// The compression of an input that begins with `head`, by its magic number. `None` if more bytes are needed.
pub(super) const fn compression(head: &[u8]) -> Option<Compression> {
    match head {
        [0x1f, 0x8b, ..] => Some(Compression::Gzip),
        // A frame or a skippable frame. Parallel compressors begin with a skippable frame.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Compression::Zstd),
        [] | [0x1f | 0x28 | 0x50..=0x5f] | [0x28, 0xb5] | [0x50..=0x5f, 0x2a] => None,
        [0x28, 0xb5, 0x2f] | [0x50..=0x5f, 0x2a, 0x4d] => None,
        _ => Some(Compression::Uncompressed),
    }
}

/// Whether an input that begins with `head` is compressed.
pub fn looks_compressed(head: &[u8]) -> bool {
    matches!(compression(head), Some(Compression::Gzip | Compression::Zstd))
}

/// Whether an input is UTF-16: a byte-order mark and a first character below U+0100. `None` if more bytes are
/// needed.
pub(super) const fn is_utf16(head: &[u8]) -> Option<bool> {
    match head {
        [0xff, 0xfe, _, 0, ..] | [0xfe, 0xff, 0, ..] => Some(true),
        [] | [0xff | 0xfe] | [0xff, 0xfe] | [0xff, 0xfe, _] | [0xfe, 0xff] => None,
        _ => Some(false),
    }
}

/// Whether text that begins like this would be read as another format: as a compressed file, UTF-16, a byte-order mark,
/// or the length of a frame. A byte-order mark before the text prevents that.
pub fn is_ambiguous_as_text(text: &[u8]) -> bool {
    looks_compressed(text)
        || is_utf16(text) == Some(true)
        || text.starts_with(BYTE_ORDER_MARK)
        || text.starts_with(b"\0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_may_be_empty_or_contain_line_feeds() {
        let bytes = b"\0\0\0\x03a\nb\0\0\0\0";
        assert_eq!((payload_at(bytes, 0), payload_at(bytes, 7)), (4..7, 11..11));
        let mut out = Vec::new();
        push_frame(&mut out, |out| out.extend_from_slice(b"a\nb"));
        push_frame(&mut out, |_| ());
        assert_eq!(out, bytes);
    }

    #[test]
    fn only_utf_16_looks_like_utf_16() {
        for utf_16 in [&b"\xff\xfea\0@\0"[..], b"\xfe\xff\0a\0@", b"\xff\xfe\n\0"] {
            assert_eq!(is_utf16(utf_16), Some(true), "{utf_16:?}");
        }
        for short in [&b""[..], b"\xff", b"\xff\xfe", b"\xff\xfea"] {
            assert_eq!(is_utf16(short), None, "{short:?}");
        }
        for other in [&b"\xff\xfeab"[..], b"\xfe\xffa", b"a@x", b"\xef\xbb\xbfa"] {
            assert_eq!(is_utf16(other), Some(false), "{other:?}");
        }
    }
}
