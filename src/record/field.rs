//! Fields of a record: splitting at commas and stripping white space.
//!
//! There is no quoting in this format: a comma always ends a field. What the fields mean lives in the files beside
//! this one; quoted CSV does not live here.

use memchr::memchr;

/// Whether `byte` is ASCII white space: space, `\t`, `\n`, `\v`, `\f` or `\r`.
///
/// These are the bytes that Python's `bytes.strip()` takes off; `u8::is_ascii_whitespace` leaves out `\v`.
pub const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Whether `byte` is an ASCII control byte: 0x00-0x1F or 0x7F.
pub const fn is_control(byte: u8) -> bool {
    byte < b' ' || byte == 0x7f
}

/// The first control byte of `bytes`, if there is one.
///
/// The common answer is "none", and finding that out must not branch on every byte.
pub fn first_control(bytes: &[u8]) -> Option<u8> {
    let any = bytes.iter().fold(false, |any, &byte| any | is_control(byte));
    if any { bytes.iter().copied().find(|&byte| is_control(byte)) } else { None }
}

/// `bytes` without the ASCII white space at both ends.
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

/// The fields of one record, in order, each stripped.
///
/// A record always has at least one field; an empty record has one empty field.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    /// The fields of `record`.
    pub const fn of(record: &'a [u8]) -> Self {
        Self { rest: Some(record) }
    }

    /// What has not been split yet: the bytes behind the last comma passed, or `None` when every field was taken.
    pub const fn rest(&self) -> Option<&'a [u8]> {
        self.rest
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let (field, rest) = match memchr(b',', rest).and_then(|comma| rest.split_at_checked(comma)) {
            Some((field, tail)) => (field, tail.get(1..)),
            None => (rest, None),
        };
        self.rest = rest;
        Some(trim(field))
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
