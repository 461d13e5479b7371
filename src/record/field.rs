//! Fields of a record: splitting at commas and stripping white space.
//!
//! There is no quoting in this format: a comma always ends a field. What the fields mean lives in the files beside
//! this one; quoted CSV does not live here.

use memchr::memchr;
use wide::u8x16;

/// Whether `byte` is ASCII white space: space, `\t`, `\n`, `\v`, `\f` or `\r`.
///
/// These are the bytes that Python's `bytes.strip()` takes off; `u8::is_ascii_whitespace` leaves out `\v`.
#[inline]
pub const fn is_space(byte: u8) -> bool {
    // Nearly every byte is behind the space, and is done with the first comparison.
    byte <= b' ' && matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Whether `byte` is an ASCII control byte: 0x00-0x1F or 0x7F.
pub const fn is_control(byte: u8) -> bool {
    byte < b' ' || byte == 0x7f
}

/// The first control byte of `bytes`, if there is one.
///
/// The common answer is "none", and finding that out of more than a few bytes must not branch on every one of them.
#[inline]
pub fn first_control(bytes: &[u8]) -> Option<u8> {
    let (lanes, _) = bytes.as_chunks::<LANES>();
    // The last lanes reach back over bytes that were looked at already, which does no harm.
    let clean = bytes.last_chunk().is_some_and(|last| !lanes.iter().chain([last]).any(any_control));
    if clean { None } else { bytes.iter().copied().find(|&byte| is_control(byte)) }
}

/// Bytes that are looked at together.
const LANES: usize = 16;

#[inline]
fn any_control(lanes: &[u8; LANES]) -> bool {
    let lanes = u8x16::from(*lanes);
    (lanes.simd_lt(u8x16::splat(b' ')) | lanes.simd_eq(u8x16::splat(0x7f))).any()
}

/// `bytes` without the ASCII white space at both ends.
#[inline]
pub const fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_space(*first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && is_space(*last)
    {
        bytes = rest;
    }
    bytes
}

/// Where the commas of a record stand, as far as whoever found the record has seen them on the way: the first few,
/// which is more than a conversion needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Commas {
    at: [u32; 4],
    found: u32,
}

impl Commas {
    /// Adds the next comma, which stands behind so many bytes of the record.
    #[inline]
    pub fn push(&mut self, at: usize) {
        if let Some(comma) = self.at.get_mut(self.found as usize) {
            // A record is at most 1 GiB long.
            *comma = at as u32;
        }
        self.found = self.found.saturating_add(1);
    }
}

/// The fields of one record, in order, each stripped.
///
/// A record always has at least one field; an empty record has one empty field.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    record: &'a [u8],
    /// Where the next field begins, or `None` when every field was taken.
    start: Option<usize>,
    /// The commas that are known, if somebody has looked.
    commas: Option<Commas>,
    taken: usize,
}

impl<'a> Fields<'a> {
    /// The fields of `record`.
    pub const fn of(record: &'a [u8]) -> Self {
        Self { record, start: Some(0), commas: None, taken: 0 }
    }

    /// The fields of `record`, whose commas are known.
    pub const fn cut(record: &'a [u8], commas: Commas) -> Self {
        Self { record, start: Some(0), commas: Some(commas), taken: 0 }
    }

    /// The record itself.
    pub const fn record(&self) -> &'a [u8] {
        self.record
    }

    /// What has not been split yet: the bytes behind the last comma passed, or `None` when every field was taken.
    pub fn rest(&self) -> Option<&'a [u8]> {
        self.record.get(self.start?..)
    }

    /// The comma that ends the field which begins at `start`.
    #[inline]
    fn comma(&self, start: usize) -> Option<usize> {
        match self.commas {
            Some(commas) if self.taken >= commas.found as usize => None,
            Some(Commas { at, .. }) if self.taken < at.len() => at.get(self.taken).map(|&at| at as usize),
            _ => self.record.get(start..).and_then(|rest| memchr(b',', rest)).map(|at| start + at),
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.start?;
        let comma = self.comma(start);
        self.taken += 1;
        self.start = comma.map(|comma| comma + 1);
        self.record.get(start..comma.unwrap_or(self.record.len())).map(trim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_split_at_every_comma_and_stripped() {
        let fields: Vec<_> = Fields::of(b" a ,\x0b\x0cb\t,, c d \r\n").collect();
        assert_eq!(fields, [&b"a"[..], b"b", b"", b"c d"]);
    }

    #[test]
    fn an_empty_record_is_one_empty_field() {
        assert_eq!(Fields::of(b"").collect::<Vec<_>>(), [b""]);
    }

    #[test]
    fn a_closing_comma_opens_one_more_empty_field() {
        assert_eq!(Fields::of(b"a,").collect::<Vec<_>>(), [&b"a"[..], b""]);
    }

    #[test]
    fn stripping_leaves_bytes_that_only_unicode_calls_white_space() {
        assert_eq!(trim(b"\xc2\xa0x\xc2\xa0 "), b"\xc2\xa0x\xc2\xa0");
    }

    #[test]
    fn the_first_control_byte_is_found() {
        assert_eq!(first_control(b"plain \xff"), None);
        assert_eq!(first_control(b"a\x7fb\x00"), Some(0x7f));
    }
}
