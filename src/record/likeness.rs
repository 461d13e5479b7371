//! Likeness: which emails a person would take for one and the same, although they are not.

use std::borrow::Cow;

use super::field::is_space;

/// What is left of an email when case and white space do not count. Two emails that have it in common are easily
/// mistaken for one another: `Kim@example.com` and `kim@example.com`.
pub fn likeness(email: &[u8]) -> Cow<'_, [u8]> {
    let is_plain = |byte: u8| byte.is_ascii() && !byte.is_ascii_uppercase() && !is_space(byte);
    if email.iter().fold(true, |plain, &byte| plain & is_plain(byte)) {
        return email.into();
    }
    let mut likeness = Vec::with_capacity(email.len());
    for chunk in email.utf8_chunks() {
        let seen = chunk.valid().chars().filter(|&char| !is_unseen(char));
        for char in seen.flat_map(char::to_lowercase) {
            likeness.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
        }
        likeness.extend_from_slice(chunk.invalid());
    }
    likeness.into()
}

/// White space, and what takes no space at all: soft hyphens, joiners, direction marks, byte-order marks.
fn is_unseen(char: char) -> bool {
    char.is_whitespace() || matches!(char, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_white_space_do_not_count() {
        for email in ["Kim@Example.com", "kim @example.com", "kim@example.com\u{a0}", "\u{feff}kim@exa\u{ad}mple.com"] {
            assert_eq!(*likeness(email.as_bytes()), *b"kim@example.com", "{email}");
        }
        assert_eq!(*likeness("É@x".as_bytes()), *"é@x".as_bytes());
    }

    #[test]
    fn everything_else_counts() {
        for (one, other) in [("kim@x", "kirn@x"), ("kim@x", "kim.@x"), ("e@x", "é@x"), ("\u{1}kim@x", "kim@x")] {
            assert_ne!(likeness(one.as_bytes()), likeness(other.as_bytes()));
        }
        assert_eq!(*likeness(b"K\xff\xfe@x"), *b"k\xff\xfe@x");
    }
}
