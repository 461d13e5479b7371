//! Telling UTF-16 text, which some programs export, from what can be read here.
//!
//! Each of its characters takes two bytes, so its commas and line feeds are none, and every record would be bad in a way
//! that says nothing. It begins with a mark by which it can be known.

use std::io;

use super::feed::{Feed, Headed};

/// `feed` as it is, unless it is UTF-16 text.
///
/// # Errors
/// When it is, or its first bytes cannot be read.
pub(super) fn refuse_utf16(feed: Box<dyn Feed>) -> io::Result<Box<dyn Feed>> {
    let headed = Headed::look(feed, |head| look_at(head).is_none())?;
    if looks_like_utf16(headed.head()) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "this is UTF-16 text; make it UTF-8 first (iconv -f UTF-16 -t UTF-8 does)",
        ));
    }
    Ok(Box::new(headed))
}

/// Whether an input that begins like this is taken for UTF-16.
pub(super) fn looks_like_utf16(bytes: &[u8]) -> bool {
    look_at(bytes) == Some(true)
}

/// Whether an input that begins like this is UTF-16: a mark, and a first character of the Latin alphabet. `None` while
/// that cannot be told.
const fn look_at(head: &[u8]) -> Option<bool> {
    match head {
        [0xff, 0xfe, _, 0, ..] | [0xfe, 0xff, 0, ..] => Some(true),
        [] | [0xff | 0xfe] | [0xff, 0xfe] | [0xff, 0xfe, _] | [0xfe, 0xff] => None,
        _ => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn only_utf_16_is_refused() {
        let refused = |bytes: &'static [u8]| refuse_utf16(Box::new(Cursor::new(bytes))).is_err();
        for utf_16 in [&b"\xff\xfea\0@\0"[..], b"\xfe\xff\0a\0@", b"\xff\xfe\n\0"] {
            assert!(refused(utf_16), "{utf_16:?}");
        }
        for other in
            [&b""[..], b"\xff", b"\xff\xfe", b"\xff\xfea", b"\xff\xfeab", b"\xfe\xffa", b"a@x", b"\xef\xbb\xbfa"]
        {
            assert!(!refused(other), "{other:?}");
        }
    }
}
