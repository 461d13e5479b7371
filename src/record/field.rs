//! The fields of a record: splitting text at commas, and tests for ASCII white space and control bytes.
//!
//! There is no quoting in the text format: a comma always ends a field. CSV rows are split in `input::csv`.

use std::borrow::Cow;
use std::ops::Range;

use crate::lanes;

/// Whether `byte` is ASCII white space: space, `\t`, `\n`, `\v`, `\f` or `\r`.
///
/// These are the bytes that Python's `bytes.strip()` removes; `u8::is_ascii_whitespace` lacks `\v`.
#[inline]
pub const fn is_space(byte: u8) -> bool {
    // Most bytes are above the space and need only the first comparison.
    byte <= b' ' && matches!(byte, b' ' | b'\t'..=b'\r')
}

/// The first ASCII control byte (0x00-0x1F or 0x7F) of `bytes`, if there is one.
#[inline(always)]
pub fn first_control(bytes: &[u8]) -> Option<u8> {
    if lanes::any(bytes, lanes::controls) { bytes.iter().copied().find(u8::is_ascii_control) } else { None }
}

/// `bytes` without the ASCII white space at both ends.
#[inline]
pub const fn trim(bytes: &[u8]) -> &[u8] {
    trim_end(trim_start(bytes))
}

#[inline(always)]
const fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_space(*first)
    {
        bytes = rest;
    }
    bytes
}

#[inline(always)]
const fn trim_end(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., last] = bytes
        && is_space(*last)
    {
        bytes = rest;
    }
    bytes
}

/// The fields of one text record in a block. A record has at least one field; an empty record has one empty field.
#[derive(Debug, Clone, Copy)]
pub struct TextFields<'a, 'c> {
    pub block: &'a [u8],
    /// The start of the record in the block.
    pub start: usize,
    /// The end of the record, without a line feed.
    pub end: usize,
    /// The positions of its commas in the block.
    pub commas: &'c [u32],
}

impl<'a> TextFields<'a, '_> {
    #[inline]
    pub fn record(&self) -> &'a [u8] {
        &self.block[self.start..self.end]
    }

    pub const fn count(&self) -> usize {
        self.commas.len() + 1
    }

    /// The bytes that spans of the record refer to.
    pub const fn bytes(&self) -> Bytes<'a> {
        Bytes::of_block(self.block)
    }

    /// The field with this index, stripped; `None` when the record has fewer.
    #[inline(always)]
    pub fn get(&self, index: usize) -> Option<Span> {
        let start = if index == 0 { self.start } else { *self.commas.get(index - 1)? as usize + 1 };
        let end = self.commas.get(index).map_or(self.end, |&comma| comma as usize);
        Some(self.bytes().trim(Span::in_block(start, end)))
    }

    /// The field with this index, which the record has, not stripped.
    #[inline(always)]
    pub fn unstripped(&self, index: usize) -> Range<usize> {
        let start = if index == 0 { self.start } else { self.commas[index - 1] as usize + 1 };
        start..self.commas.get(index).map_or(self.end, |&comma| comma as usize)
    }

    /// The field with this index if it is not empty and has no white space around it except one space after the comma.
    #[inline(always)]
    pub fn usual(&self, index: usize) -> Option<Span> {
        let start = if index == 0 { self.start } else { *self.commas.get(index - 1)? as usize + 1 };
        let end = self.commas.get(index).map_or(self.end, |&comma| comma as usize);
        let start = start + usize::from(self.block.get(start) == Some(&b' '));
        let field = self.block.get(start..end)?;
        let is_stripped = *field.first()? > b' ' && *field.last()? > b' ';
        is_stripped.then_some(Span::in_block(start, end))
    }

    /// Everything after the first `count` fields, unsplit; [`Span::ABSENT`] when there are no more.
    #[inline(always)]
    pub fn after(&self, count: usize) -> Span {
        self.commas.get(count - 1).map_or(Span::ABSENT, |&comma| Span::in_block(comma as usize + 1, self.end))
    }
}

/// A range of bytes in one of the two buffers of [`Bytes`]. Blocks are far below 2 GiB: a record is at most 1 GiB long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
}

/// Set in the start of a span of the scratch buffer.
const SCRATCH: u32 = 1 << 31;

impl Span {
    /// A field that the record does not have.
    pub const ABSENT: Self = Self { start: u32::MAX, end: u32::MAX };

    /// A range of the block.
    #[inline]
    pub const fn in_block(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    /// A range of the scratch buffer.
    pub const fn in_scratch(start: usize, end: usize) -> Self {
        Self { start: start as u32 | SCRATCH, end: end as u32 }
    }

    /// Whether the field is present and empty.
    pub const fn is_empty(self) -> bool {
        self.start & !SCRATCH == self.end
    }
}

/// The bytes that spans refer to.
#[derive(Debug, Clone, Copy)]
pub struct Bytes<'a> {
    /// The block, as it was read.
    pub block: &'a [u8],
    /// The unescaped fields.
    pub scratch: &'a [u8],
}

impl<'a> Bytes<'a> {
    /// A block without unescaped fields.
    pub const fn of_block(block: &'a [u8]) -> Self {
        Self { block, scratch: &[] }
    }

    /// The bytes of `span`, which is not [`Span::ABSENT`].
    #[inline(always)]
    pub fn get(self, span: Span) -> &'a [u8] {
        if span.start & SCRATCH == 0 {
            &self.block[span.start as usize..span.end as usize]
        } else {
            &self.scratch[(span.start & !SCRATCH) as usize..span.end as usize]
        }
    }

    /// The bytes of `span`; `None` for [`Span::ABSENT`].
    #[inline]
    pub fn get_optional(self, span: Span) -> Option<&'a [u8]> {
        (span != Span::ABSENT).then(|| self.get(span))
    }

    /// `span` without the ASCII white space at both ends.
    #[inline(always)]
    pub fn trim(self, span: Span) -> Span {
        let bytes = self.get(span);
        let from_start = trim_start(bytes);
        let start = span.start + (bytes.len() - from_start.len()) as u32;
        let length = trim_end(from_start).len() as u32;
        Span { start, end: (start & !SCRATCH) + length }
    }
}

/// The bytes with ASCII letters in lower case. Other bytes are kept.
pub fn ascii_lower_case(bytes: &[u8]) -> Cow<'_, [u8]> {
    if lanes::any(bytes, lanes::upper_case) { bytes.to_ascii_lowercase().into() } else { bytes.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(record: &[u8]) -> Vec<&[u8]> {
        let commas: Vec<u32> = (0..).zip(record).filter(|(_, byte)| **byte == b',').map(|(at, _)| at).collect();
        let fields = TextFields { block: record, start: 0, end: record.len(), commas: &commas };
        assert_eq!(fields.get(fields.count()), None);
        (0..fields.count()).map(|index| fields.bytes().get(fields.get(index).unwrap())).collect()
    }

    #[test]
    fn fields_are_split_at_every_comma_and_stripped() {
        assert_eq!(fields(b" a ,\x0b\x0cb\t,, c d \r\n"), [&b"a"[..], b"b", b"", b"c d"]);
        assert_eq!(fields(b""), [b""]);
        assert_eq!(fields(b"a,"), [&b"a"[..], b""]);
        // Unicode white space is kept.
        assert_eq!(fields(b"\xc2\xa0x\xc2\xa0 "), [b"\xc2\xa0x\xc2\xa0"]);
    }

    #[test]
    fn the_first_control_byte_is_found() {
        assert_eq!(first_control(b"plain \xff"), None);
        assert_eq!(first_control(b"a\x7fb\x00"), Some(0x7f));
        assert_eq!(first_control(b"0123456789abcdef0123456789\x1babcdef"), Some(0x1b));
    }

    #[test]
    fn spans_of_block_or_scratch_are_trimmed_at_both_ends() {
        let bytes = Bytes { block: b" \t a b\x0b\r\n", scratch: b"  x " };
        assert_eq!(bytes.get(bytes.trim(Span::in_block(0, 9))), b"a b");
        assert_eq!(bytes.get(bytes.trim(Span::in_scratch(0, 4))), b"x");
        assert_eq!(bytes.get(bytes.trim(Span::in_block(0, 3))), b"");
        assert_eq!(bytes.get(bytes.trim(Span::in_block(4, 4))), b"");
        assert!(bytes.trim(Span::in_block(0, 3)).is_empty() && Span::in_scratch(2, 2).is_empty());
        assert!(!Span::in_block(0, 1).is_empty() && !Span::in_scratch(0, 1).is_empty() && !Span::ABSENT.is_empty());
        assert_eq!(bytes.get_optional(Span::ABSENT), None);
    }
}
