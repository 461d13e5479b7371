//! Names from the data as they are shown: nothing in them can steer a terminal, turn the direction of a line, or be
//! taken for a formula. That they are no markup is seen to where markup is written.

use std::borrow::Cow;
use std::fmt::Write;

use crate::tally::{Label, MAX_NAME_BYTES};

/// A label as a person reads it. A name that is plain text stands as it is; any other in quotes, with escapes for what
/// cannot be shown.
pub fn shown(label: &Label) -> String {
    match label {
        Label::TooLong => format!("(longer than {MAX_NAME_BYTES} bytes)"),
        Label::Name(name) => match std::str::from_utf8(name) {
            Ok(text) if !text.is_empty() && !text.starts_with('"') && !text.chars().any(misleads) => text.to_owned(),
            _ => quoted(name),
        },
    }
}

/// Whether a character is no visible sign: controls, and what changes the direction or the lines of a text.
pub fn misleads(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(char, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

fn quoted(name: &[u8]) -> String {
    let mut text = String::from("\"");
    for chunk in name.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '"' | '\\' => text.extend(['\\', char]),
                _ if misleads(char) => text.extend(char.escape_unicode()),
                _ => text.push(char),
            }
        }
        for byte in chunk.invalid() {
            // Memory cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text.push('"');
    text
}

/// A shown name as a cell of a spreadsheet, behind an apostrophe where it would be taken for a formula.
pub fn as_cell(shown: &str) -> Cow<'_, str> {
    // The wide forms count as well where people write in wide forms.
    if shown.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) {
        format!("'{shown}").into()
    } else {
        shown.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &[u8]) -> String {
        shown(&Label::Name(name.into()))
    }

    #[test]
    fn plain_names_stand_as_they_are() {
        for name in ["SpringHoodie", "say \"hi\"", "50 % off", "café ☕", "a\\b"] {
            assert_eq!(of(name.as_bytes()), name);
        }
    }

    #[test]
    fn what_cannot_be_seen_is_told_in_quotes() {
        assert_eq!(of(b""), r#""""#);
        assert_eq!(of(b"\x1b[31mred\x7f"), r#""\u{1b}[31mred\u{7f}""#);
        assert_eq!(of("a\u{202e}b\u{9b}31m".as_bytes()), r#""a\u{202e}b\u{9b}31m""#);
        assert_eq!(of(b"caf\xe9 \"\\"), r#""caf\xe9 \"\\""#);
        assert_eq!(of(br#""caf\xe9""#), r#""\"caf\\xe9\"""#, "a name that looks quoted is not mistaken for another");
    }

    #[test]
    fn no_cell_is_a_formula() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "＝1"] {
            assert_eq!(as_cell(formula), format!("'{formula}"));
        }
        assert_eq!(as_cell("a=1"), "a=1");
    }
}
