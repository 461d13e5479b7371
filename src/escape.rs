//! Escapes untrusted bytes for display: names, emails and paths in messages, tables, JSON and CSV.
//!
//! Every format uses the same definition of characters that must be escaped, [`is_misleading`]. Markup is not escaped
//! here: maud escapes it for the page.

use std::borrow::Cow;
use std::fmt::{self, Display, Formatter};
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use serde_json::ser::{self, Serializer};
use wide::u8x16;

use crate::lanes;

/// Whether a character is invisible or changes how other text is displayed: control characters (C0, DEL, C1), line and
/// paragraph separators, direction marks, overrides and isolates, zero-width characters, the byte-order mark, the soft
/// hyphen, interlinear annotations and tags.
pub fn is_misleading(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(char, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Whether a character cannot be seen: white space, and what [`is_misleading`] and fonts leave blank, but no control
/// character that is not white space.
pub fn is_invisible(char: char) -> bool {
    // Joiners, variation selectors and fillers.
    let is_blank = matches!(
        char,
        '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
    ) || matches!(char, '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{e0100}'..='\u{e01ef}');
    char.is_whitespace() || is_blank || (is_misleading(char) && !char.is_control())
}

/// Whether text contains a control character or an [invisible](is_invisible) one. Bytes that are not UTF-8 are those of
/// Latin-1.
pub fn has_unprintable(text: &[u8]) -> bool {
    if text.is_ascii() {
        return !text.iter().all(u8::is_ascii_graphic);
    }
    let is_unprintable = |char: char| char.is_control() || is_invisible(char);
    let latin1 = |bytes: &[u8]| bytes.iter().any(|&byte| is_unprintable(char::from(byte)));
    text.utf8_chunks().any(|chunk| chunk.valid().chars().any(is_unprintable) || latin1(chunk.invalid()))
}

/// Appends a field of CSV, with quotes if it needs them.
#[inline]
pub fn push_csv_field(field: &[u8], out: &mut Vec<u8>) {
    if lanes::any(field, lanes::one_of(*b",\"\r\n")) { push_quoted(field, out) } else { lanes::push(field, out) }
}

#[cold]
fn push_quoted(field: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in field {
        out.extend(std::iter::repeat_n(byte, if byte == b'"' { 2 } else { 1 }));
    }
    out.push(b'"');
}

/// Appends a JSON string. Misleading characters become `\uXXXX`; U+FFFD replaces each maximal invalid sequence.
#[inline]
pub fn push_json_string(text: &[u8], out: &mut Vec<u8>) {
    let is_odd = |lanes: u8x16| lanes::one_of(*b"\"\\")(lanes) | not_printable(lanes);
    if lanes::any(text, is_odd) {
        push_escaped_json(text, out);
    } else {
        out.push(b'"');
        lanes::push(text, out);
        out.push(b'"');
    }
}

#[cold]
fn push_escaped_json(text: &[u8], out: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(text);
    text.serialize(&mut Serializer::with_formatter(out, SafeFormatter))
        .expect("writing strings to memory does not fail");
}

/// The bytes that are not printable ASCII.
#[inline(always)]
fn not_printable(lanes: u8x16) -> u8x16 {
    lanes.simd_lt(u8x16::splat(b' ')) | lanes.simd_gt(u8x16::splat(b'~'))
}

/// Displays bytes on one line, without quotes. Bytes that are not UTF-8 become `\xNN`.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(pub &'a [u8]);

impl Display for Escaped<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write_escaped(self.0, usize::MAX, true, out).map(drop)
    }
}

/// The maximum number of characters that [`Quoted`] displays.
const QUOTED_CHARS: usize = 60;

/// Displays bytes on one line, in quotes, truncated after 60 characters.
#[derive(Debug, Clone, Copy)]
pub struct Quoted<'a>(pub &'a [u8]);

impl Display for Quoted<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str("\"")?;
        let is_complete = write_escaped(self.0, QUOTED_CHARS, true, out)?;
        out.write_str(if is_complete { "\"" } else { "…\"" })
    }
}

/// Writes at most `limit` characters. Quotes, backslashes and combining characters are escaped only in `quoted` text.
/// Returns whether that was all.
fn write_escaped(bytes: &[u8], limit: usize, quoted: bool, out: &mut impl fmt::Write) -> Result<bool, fmt::Error> {
    let mut chars =
        bytes.utf8_chunks().flat_map(|chunk| chunk.valid().chars().map(Ok).chain(chunk.invalid().iter().map(Err)));
    for char in chars.by_ref().take(limit) {
        match char {
            Ok(char @ ('\t' | '\r' | '\n')) => write!(out, "{}", char.escape_debug())?,
            Ok(char) if is_misleading(char) => write!(out, "{}", char.escape_unicode())?,
            Ok(char) if quoted && char != '\'' => write!(out, "{}", char.escape_debug())?,
            Ok(char) => out.write_char(char)?,
            Err(byte) => write!(out, "\\x{byte:02x}")?,
        }
    }
    Ok(chars.next().is_none())
}

/// A name from the data for a table: unchanged if it is plain text, otherwise quoted and escaped. Two different names
/// never look the same.
pub fn display_name(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(text) if !text.is_empty() && !text.starts_with('"') && !text.chars().any(is_misleading) => text.to_owned(),
        _ => format!("\"{}\"", Escaped(name)),
    }
}

/// `text`, truncated to `max_chars` characters with an ellipsis.
pub fn shorten(text: String, max_chars: usize) -> String {
    if text.chars().count() <= max_chars {
        return text;
    }
    text.chars().take(max_chars.saturating_sub(1)).chain(['…']).collect()
}

/// A path for a message, without quotes. Quotes and backslashes are not escaped, so an ordinary path can be copied.
pub fn path(path: &Path) -> String {
    unquoted(path.as_os_str().as_encoded_bytes())
}

/// A line of a message that contains arguments. Quotes and backslashes are not escaped.
pub fn text(line: &str) -> String {
    unquoted(line.as_bytes())
}

fn unquoted(bytes: &[u8]) -> String {
    let mut text = String::new();
    write_escaped(bytes, usize::MAX, false, &mut text).expect("writing to memory cannot fail");
    text
}

/// Writes `value` as one line of JSON. Misleading characters in strings become `\uXXXX`.
pub fn json_line(value: &(impl Serialize + ?Sized), mut out: impl Write) -> io::Result<()> {
    value.serialize(&mut Serializer::with_formatter(&mut out, SafeFormatter))?;
    out.write_all(b"\n")
}

/// `value` as JSON on one line, without a line feed. Misleading characters in strings become `\uXXXX`. The keys of its
/// maps must be strings.
pub fn json_string(value: &(impl Serialize + ?Sized)) -> String {
    let mut json = Vec::new();
    let serialized = value.serialize(&mut Serializer::with_formatter(&mut json, SafeFormatter));
    serialized.expect("writing to memory cannot fail, and every key is a string");
    String::from_utf8(json).expect("JSON is UTF-8")
}

/// Compact JSON without misleading characters.
struct SafeFormatter;

impl ser::Formatter for SafeFormatter {
    /// A fragment contains no characters that JSON itself escapes, so it contains no C0 controls.
    #[inline]
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        if lanes::any(fragment.as_bytes(), not_printable) {
            write_json_fragment(out, fragment)
        } else {
            out.write_all(fragment.as_bytes())
        }
    }
}

#[cold]
fn write_json_fragment<W: ?Sized + Write>(out: &mut W, mut fragment: &str) -> io::Result<()> {
    while let Some((start, char)) = fragment.char_indices().find(|&(_, char)| is_misleading(char)) {
        out.write_all(&fragment.as_bytes()[..start])?;
        for unit in char.encode_utf16(&mut [0; 2]) {
            write!(out, "\\u{unit:04x}")?;
        }
        fragment = &fragment[start + char.len_utf8()..];
    }
    out.write_all(fragment.as_bytes())
}

/// Text for a spreadsheet cell, with an apostrophe before it if a spreadsheet would evaluate it as a formula.
/// Full-width forms are included, because spreadsheets in some locales accept them.
pub fn csv_cell(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) {
        format!("'{text}").into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A misleading character of every kind, with its escape in text and in JSON.
    const MISLEADING: [(char, &str, &str); 22] = [
        ('\0', r"\u{0}", r"\u0000"),
        ('\n', r"\n", r"\n"),
        ('\r', r"\r", r"\r"),
        ('\t', r"\t", r"\t"),
        ('\u{8}', r"\u{8}", r"\b"),
        ('\u{1b}', r"\u{1b}", r"\u001b"),
        ('\u{7f}', r"\u{7f}", r"\u007f"),
        ('\u{85}', r"\u{85}", r"\u0085"),
        ('\u{9b}', r"\u{9b}", r"\u009b"),
        ('\u{ad}', r"\u{ad}", r"\u00ad"),
        ('\u{61c}', r"\u{61c}", r"\u061c"),
        ('\u{180e}', r"\u{180e}", r"\u180e"),
        ('\u{200b}', r"\u{200b}", r"\u200b"),
        ('\u{200f}', r"\u{200f}", r"\u200f"),
        ('\u{2028}', r"\u{2028}", r"\u2028"),
        ('\u{202e}', r"\u{202e}", r"\u202e"),
        ('\u{2060}', r"\u{2060}", r"\u2060"),
        ('\u{2069}', r"\u{2069}", r"\u2069"),
        ('\u{feff}', r"\u{feff}", r"\ufeff"),
        ('\u{fff9}', r"\u{fff9}", r"\ufff9"),
        ('\u{e0001}', r"\u{e0001}", r"\udb40\udc01"),
        ('\u{e007f}', r"\u{e007f}", r"\udb40\udc7f"),
    ];

    #[test]
    fn every_format_escapes_every_misleading_character() {
        for (char, escape, json) in MISLEADING {
            assert!(is_misleading(char), "{escape}");
            let (text, escaped) = (format!("a{char}é"), format!("a{escape}é"));
            assert_eq!(Escaped(text.as_bytes()).to_string(), escaped);
            assert_eq!(Quoted(text.as_bytes()).to_string(), format!("\"{escaped}\""));
            assert_eq!(display_name(text.as_bytes()), format!("\"{escaped}\""));
            assert_eq!(path(Path::new(&text)), escaped);
            assert_eq!(json_string(&text), format!("\"a{json}é\""));
            assert_eq!(serde_json::from_str::<String>(&json_string(&text)).unwrap(), text);
        }
    }

    #[test]
    fn printable_characters_are_not_misleading() {
        for char in "aZ0 ~\u{a0}é中😀'\"\\\u{fe0f}".chars() {
            assert!(!is_misleading(char), "{char:?}");
        }
    }

    #[test]
    fn different_names_never_look_the_same() {
        for name in ["SpringHoodie", "say \"hi\"", "50 % off", "café ☕", "a\\b"] {
            assert_eq!(display_name(name.as_bytes()), name);
        }
        assert_eq!(display_name(b""), r#""""#);
        assert_eq!(display_name(b"caf\xe9 \"\\"), r#""caf\xe9 \"\\""#);
        assert_eq!(display_name(br#""caf\xe9""#), r#""\"caf\\xe9\"""#);
    }

    #[test]
    fn bytes_are_quoted_and_truncated_after_60_characters() {
        let text = Quoted(b"cafe\xcc\x81 \x1b[2J\n\"it's\" \xff").to_string();
        assert_eq!(text, r#""cafe\u{301} \u{1b}[2J\n\"it's\" \xff""#);
        assert_eq!(Escaped(b"caf\xe9\xed\xa0\x80").to_string(), r"caf\xe9\xed\xa0\x80");
        assert_eq!(Quoted(&[b'x'; 60]).to_string(), format!("\"{}\"", "x".repeat(60)));
        assert_eq!(Quoted(&[b'x'; 61]).to_string(), format!("\"{}…\"", "x".repeat(60)));
        assert_eq!(Quoted(&[0xff; 61]).to_string(), format!("\"{}…\"", "\\xff".repeat(60)));
    }

    #[test]
    fn a_path_keeps_its_quotes_and_backslashes() {
        let name = "käse e\u{301} \"a\"\\b\nadseg: fine\x1b[31m";
        assert_eq!(path(Path::new(name)), "käse e\u{301} \"a\"\\b\\nadseg: fine\\u{1b}[31m");
        assert_eq!(unquoted(b"caf\xe9.txt"), r"caf\xe9.txt");
    }

    #[test]
    fn long_text_is_shortened_with_an_ellipsis() {
        assert_eq!(shorten("äöü".to_owned(), 3), "äöü");
        assert_eq!(shorten("äöüß".to_owned(), 3), "äö…");
    }

    proptest! {
        #[test]
        fn csv_fields_are_those_of_the_csv_crate(field in "[a ,;\"\r\n\t']{1,40}") {
            let mut out = Vec::new();
            push_csv_field(field.as_bytes(), &mut out);
            let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(Vec::new());
            writer.write_record([&field]).unwrap();
            out.push(b'\n');
            prop_assert_eq!(out, writer.into_inner().unwrap());
        }

        #[test]
        fn json_strings_are_those_of_serde(text in prop_oneof![
            ".{0,40}".prop_map(String::into_bytes),
            "[ a\"\\\\\u{7f}~é\u{202e}\n]{0,40}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..40),
        ]) {
            let mut out = Vec::new();
            push_json_string(&text, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), json_string(&String::from_utf8_lossy(&text)));
        }
    }

    #[test]
    fn a_json_line_ends_with_its_only_line_feed() {
        let mut out = Vec::new();
        json_line(&["a\nb", "\u{202e}\u{9b}"], &mut out).unwrap();
        assert_eq!(out, b"[\"a\\nb\",\"\\u202e\\u009b\"]\n");
    }

    #[test]
    fn no_csv_cell_is_a_formula() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "＝1"] {
            assert_eq!(csv_cell(formula), format!("'{formula}"));
        }
        assert_eq!(csv_cell("a=1"), "a=1");
    }
}
