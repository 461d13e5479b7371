//! Splits JSON objects in the usual form: flat, with the keys of the object before in the same order, without escapes,
//! and in ASCII. serde_json reads every other object; the tests compare both.

use wide::u8x16;

use super::json::Meaning;
use crate::lanes;
use crate::record::{Bytes, Column, Span, TableFields};

/// An object in `bytes`, up to `at`.
struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// The fields of the object that `bytes` from `start` on consist of, stripped; `None` if it has not the usual form, or if
/// its values are not those of its columns. `keys` are the keys of the object before, with their meaning. Converted items
/// are appended to `scratch`.
pub(super) fn usual_fields(
    bytes: &[u8],
    start: usize,
    keys: &[(String, Meaning)],
    scratch: &mut Vec<u8>,
) -> Option<TableFields> {
    let mut scanner = Scanner { bytes, at: start };
    let mut fields = TableFields::default();
    let mut has_key = [false; Column::ALL.len()];
    scanner.consume(b'{')?;
    for (key, meaning) in keys {
        let start = scanner.at + 1;
        scanner.consume(b'"')?;
        scanner.at += key.len();
        if !lanes::equal(bytes.get(start..scanner.at)?, key.as_bytes()) {
            return None;
        }
        scanner.consume(b'"')?;
        scanner.consume(b':')?;
        scanner.skip_space();
        match *meaning {
            Meaning::Column(column) => {
                if std::mem::replace(&mut has_key[column as usize], true) {
                    return None;
                }
                if let Some(value) = scanner.value(column, scratch)? {
                    fields.set(column, Bytes { block: bytes, scratch }.trim(value));
                }
            }
            Meaning::Nothing => scanner.skip_value()?,
            Meaning::Parent => return None,
        }
        if scanner.consume(b'}').is_some() {
            return (scanner.at == bytes.len()).then_some(fields);
        }
        scanner.consume(b',')?;
        scanner.skip_space();
    }
    None
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline(always)]
    fn consume(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Skips the space that may be after a colon or a comma.
    #[inline(always)]
    fn skip_space(&mut self) {
        self.at += usize::from(self.peek() == Some(b' '));
    }

    /// Consumes the value of a column. The inner `None` is `null`.
    #[inline(always)]
    fn value(&mut self, column: Column, scratch: &mut Vec<u8>) -> Option<Option<Span>> {
        match self.peek()? {
            b'"' => self.string().map(Some),
            b'n' => self.word(b"null").map(|()| None),
            b'[' if column == Column::Items => self.items(scratch).map(Some),
            _ => self.number().map(Some),
        }
    }

    /// Consumes a value that no column has.
    fn skip_value(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'n' => self.word(b"null"),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            _ => self.number().map(drop),
        }
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.bytes[self.at..].starts_with(word).then(|| self.at += word.len())
    }

    /// Consumes a string of printable ASCII characters without escapes.
    #[inline(always)]
    fn string(&mut self) -> Option<Span> {
        self.consume(b'"')?;
        let start = self.at;
        let is_other = |byte: u8| !(b' '..0x80).contains(&byte) || matches!(byte, b'"' | b'\\');
        self.at += loop {
            let rest = &self.bytes[self.at..];
            let Some(lanes) = rest.first_chunk() else { break rest.iter().position(|&byte| is_other(byte))? };
            let lanes = u8x16::from(*lanes);
            let not_printable = lanes.simd_lt(u8x16::splat(b' ')) | lanes.simd_gt(u8x16::splat(0x7f));
            let others = (not_printable | lanes::one_of(*b"\"\\")(lanes)).to_bitmask();
            if others != 0 {
                break others.trailing_zeros() as usize;
            }
            self.at += rest.len().min(size_of_val(&lanes));
        };
        let end = self.at;
        self.consume(b'"')?;
        Some(Span::in_block(start, end))
    }

    /// Consumes a number without an exponent.
    fn number(&mut self) -> Option<Span> {
        let start = self.at;
        let _ = self.consume(b'-');
        self.digits().filter(|&digits| digits == 1 || self.bytes[self.at - digits] != b'0')?;
        if self.consume(b'.').is_some() {
            self.digits()?;
        }
        // An exponent or a second number is not followed by one of these.
        matches!(self.peek()?, b',' | b'}' | b']').then_some(Span::in_block(start, self.at))
    }

    /// Consumes at least one digit.
    fn digits(&mut self) -> Option<usize> {
        let digits = self.bytes[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        (digits > 0).then_some(digits)
    }

    /// Consumes an array of ids, and appends it in the form of the text format.
    #[inline(always)]
    fn items(&mut self, scratch: &mut Vec<u8>) -> Option<Span> {
        let start = scratch.len();
        self.consume(b'[')?;
        scratch.push(b'[');
        if self.consume(b']').is_none() {
            loop {
                let id = if self.peek()? == b'"' { self.string()? } else { self.number()? };
                let id = Bytes::of_block(self.bytes).get(id);
                if id.is_empty() || !id.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')) {
                    return None;
                }
                lanes::push(id, scratch);
                if self.consume(b']').is_some() {
                    break;
                }
                self.consume(b',')?;
                self.skip_space();
                scratch.push(b';');
            }
        }
        scratch.push(b']');
        Some(Span::in_scratch(start, scratch.len()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::input::ReadOptions;
    use crate::input::json::{JsonKeys, ObjectFields};
    use crate::record::{Bytes, Column, SourceKind, TableRules, complete_fields};

    /// The fields of `line` in a slice, after `before`; or what is wrong with it.
    fn fields(before: &str, line: &str, only_known: bool) -> Result<Vec<Option<Vec<u8>>>, String> {
        let options = ReadOptions { only_known, ..ReadOptions::default() };
        let keys = JsonKeys::new(SourceKind::Interleaved, &options);
        let (mut objects, mut scratch) = (ObjectFields::default(), Vec::new());
        let text = [before, line].concat();
        let _ = objects.split(before.as_bytes(), 0, &keys, &mut scratch);
        let found = objects.split(text.as_bytes(), before.len(), &keys, &mut scratch);
        let mut fields = found.map_err(|error| error.to_string())?;
        complete_fields(&mut fields, &TableRules::default(), text.as_bytes(), &mut scratch);
        let bytes = Bytes { block: text.as_bytes(), scratch: &scratch };
        let mut found: Vec<_> =
            Column::ALL.iter().map(|&column| fields.get(column).map(|span| bytes.get(span).to_vec())).collect();
        found.push(fields.has_valid_items.then(Vec::new));
        Ok(found)
    }

    fn object() -> impl Strategy<Value = String> {
        let key = prop_oneof![
            8 => Just("items"), 4 => Just("email"), 2 => Just("total_cost"), 1 => Just("x"), 1 => Just("E-Mail"),
            1 => Just("\\u0065mail"), 1 => Just("\\u0078"),
        ];
        let value = prop_oneof![
            4 => "\"[a-z@. \\u{7f}é;,\\[\\]]{0,40}\"",
            1 => "\"[a\"\\\\n\u{1}]{0,3}\"",
            3 => "-?[0-9]{0,3}[.]?[0-9]{0,2}(e1)?",
            1 => "null|true|false|nulls|\\{\\}|\\[",
            4 => "\\[(\"[0-9a-z ;]{0,3}\"|-?[0-9]{1,3}|null)?(, ?(\"[0-9]{1,3}\"|[0-9]{1,3}|\"\")){0,3} ?\\]",
        ];
        (prop::collection::vec((key, " ?", value), 0..4), " ?", prop::option::weighted(0.1, "[ }]")).prop_map(
            |(members, space, end)| {
                let members: Vec<_> =
                    members.into_iter().map(|(key, space, value)| format!("\"{key}\":{space}{value}")).collect();
                format!("{{{}}}{}", members.join(&format!(",{space}")), end.unwrap_or_default())
            },
        )
    }

    #[test]
    fn an_unknown_key_is_refused_if_only_known_keys_are_kept() {
        for line in [r#"{"email":"a@x","x":1}"#, r#"{"email":"a@x","\u0078":1}"#] {
            assert!(fields("{}", line, false).is_ok());
            assert!(fields("{}", line, true).unwrap_err().contains("would be lost"), "{line}");
            assert!(fields(line, line, true).is_err(), "{line}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn usual_objects_are_split_like_all_others(line in object(), only_known: bool) {
            // Without keys of an object before, no object is usual.
            prop_assert_eq!(fields(&line, &line, only_known), fields("{}", &line, only_known));
        }
    }
}
