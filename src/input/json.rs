//! JSON Lines: the fields of an object by their keys.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::format::ReadOptions;
use super::header::SavedColumn;
use super::json_usual::usual_fields;
use crate::record::column::normalized;
use crate::record::field::Bytes;
use crate::record::{Column, ColumnNames, RecordError, SourceKind, Span, TableFields, TableRules};

/// The keys that a record needs. A name with dots is a path into nested objects: `user.email`.
#[derive(Debug, PartialEq, Eq)]
pub struct JsonKeys {
    names: ColumnNames,
    /// The names of loyalty columns that options give.
    given_names: Vec<(Column, String)>,
    pub(super) rules: Arc<TableRules>,
    only_known: bool,
}

/// What a key means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Column(Column),
    /// An object that may have a field.
    Parent,
    Nothing,
}

impl JsonKeys {
    pub(super) fn new(source: SourceKind, options: &ReadOptions) -> Self {
        let names = ColumnNames::new(source, &options.column_names);
        // A conversion in a loyalty list is detected by this key.
        let names = if source == SourceKind::Loyalty {
            names.with(Column::Conversion, options.conversion_name.as_deref())
        } else {
            names
        };
        Self {
            names,
            given_names: options.column_names.clone(),
            rules: Arc::clone(&options.rules),
            only_known: options.only_known,
        }
    }

    /// The keys of a list that is saved in this format.
    pub fn saved_keys(&self) -> Vec<SavedColumn> {
        let name = |column: Column| {
            let given = self.given_names.iter().find(|(of, _)| *of == column);
            given.map_or(column.name(), |(_, name)| name).as_bytes().to_vec()
        };
        Column::LOYALTY.map(|column| SavedColumn { column: Some(column), name: name(column) }).into()
    }

    /// The meaning of a key at this normalized path.
    fn meaning(&self, path: &[u8]) -> Meaning {
        let is_parent = |name: &[u8]| name.strip_prefix(path).is_some_and(|rest| rest.starts_with(b"."));
        let names = || self.names.iter();
        match names().find(|(_, name)| *name == path) {
            Some((column, _)) => Meaning::Column(column),
            None if names().any(|(_, name)| is_parent(name)) => Meaning::Parent,
            None => Meaning::Nothing,
        }
    }
}

/// Splits objects. Its buffers are reused for every object.
#[derive(Debug, Default)]
pub(super) struct ObjectFields {
    /// The keys of earlier objects of the slice in order, with their meaning. Most objects have the same keys in the
    /// same order. Keys that must not occur, or have escapes, are not among them.
    keys: Vec<(String, Meaning)>,
}

impl ObjectFields {
    /// Begins a slice. Its input may give keys another meaning than the input of the slice before.
    pub fn begin_slice(&mut self) {
        self.keys.clear();
    }

    /// The fields of the object in `bytes` from `start` on, stripped. Values that need it are copied to `scratch`, and
    /// unescaped there.
    ///
    /// # Errors
    /// When the line is not an object, a key occurs twice, or a value has the wrong type.
    #[inline(always)]
    pub fn split<'a>(
        &mut self,
        bytes: &'a [u8],
        start: usize,
        keys: &JsonKeys,
        scratch: &mut Vec<u8>,
    ) -> Result<TableFields, RecordError<'a>> {
        let scratch_len = scratch.len();
        match usual_fields(bytes, start, &self.keys, scratch) {
            Some(fields) => Ok(fields),
            None => {
                scratch.truncate(scratch_len);
                self.split_unusual(&bytes[start..], keys, scratch)
            }
        }
    }

    #[inline(never)]
    fn split_unusual<'a>(
        &mut self,
        line: &'a [u8],
        keys: &JsonKeys,
        scratch: &mut Vec<u8>,
    ) -> Result<TableFields, RecordError<'a>> {
        let mut object = Object { of: self, keys, scratch, found: Found::default(), prefix: &[], key_number: 0 };
        let mut deserializer = serde_json::Deserializer::from_slice(line);
        let parsed = deserializer.deserialize_map(&mut object).and_then(|()| deserializer.end());
        match (parsed, object.found.fault) {
            (Err(error), _) => Err(RecordError::InvalidJson { at: error.column() }),
            (Ok(()), Some(fault)) => Err(fault),
            (Ok(()), None) => Ok(object.found.fields),
        }
    }

    /// The meaning of a key of the outermost object, which is the key with this number.
    fn meaning(&mut self, number: usize, key: &str, keys: &JsonKeys) -> Meaning {
        if let Some((known, meaning)) = self.keys.get(number)
            && known == key
        {
            return *meaning;
        }
        let meaning = keys.meaning(&normalized(key.as_bytes()));
        let is_allowed = !keys.only_known || meaning != Meaning::Nothing;
        let has_escapes = key.chars().any(|char| char.is_ascii_control() || matches!(char, '"' | '\\'));
        if number < MAX_KEYS && is_allowed && !has_escapes {
            self.keys.truncate(number);
            // No key that is written without escapes contains a line feed.
            self.keys.resize(number, ("\n".to_owned(), keys.meaning(b"\n")));
            self.keys.push((key.to_owned(), meaning));
        }
        meaning
    }
}

/// The maximum number of keys that are remembered.
const MAX_KEYS: usize = 64;

/// What was found in an object and in those nested in it.
#[derive(Debug, Clone, Copy, Default)]
struct Found<'a> {
    fields: TableFields,
    /// Whether there is a key for each column, even if its value is `null`.
    has_key: [bool; Column::ALL.len()],
    /// What is wrong with an object that is valid JSON.
    fault: Option<RecordError<'a>>,
}

/// An object that is being read.
struct Object<'o, 'a> {
    of: &'o mut ObjectFields,
    keys: &'o JsonKeys,
    scratch: &'o mut Vec<u8>,
    found: Found<'a>,
    /// The normalized path to this object, with a dot at its end; empty for the outermost object.
    prefix: &'o [u8],
    key_number: usize,
}

impl<'a> Visitor<'a> for &mut Object<'_, 'a> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Key<'a>>()? {
            let path = || [self.prefix, &normalized(key.text().as_bytes())].concat();
            let meaning = if self.prefix.is_empty() {
                self.of.meaning(self.key_number, key.text(), self.keys)
            } else {
                self.keys.meaning(&path())
            };
            self.key_number += 1;
            match meaning {
                Meaning::Column(column) => {
                    let value: &'a RawValue = map.next_value()?;
                    self.set(column, value.get());
                }
                Meaning::Parent => {
                    let value: &'a RawValue = map.next_value()?;
                    let prefix = [&path(), &b"."[..]].concat();
                    self.nested(value.get(), &prefix).map_err(A::Error::custom)?;
                }
                Meaning::Nothing => {
                    map.next_value::<IgnoredAny>()?;
                    if self.keys.only_known {
                        self.found.fault.get_or_insert(match key {
                            Key::Borrowed(key) => RecordError::UnknownKey { key: key.as_bytes() },
                            Key::Unescaped(_) => RecordError::UnknownEscapedKey,
                        });
                    }
                }
            }
        }
        Ok(())
    }
}

impl<'a> Object<'_, 'a> {
    /// Reads the fields of a nested object. Any other value has none. Fails if a key in it is not a valid string, which
    /// has not been checked yet.
    fn nested(&mut self, value: &'a str, prefix: &[u8]) -> serde_json::Result<()> {
        if value.starts_with('{') {
            let Self { of, keys, scratch, found, .. } = self;
            let mut object = Object { of, keys, scratch, found: *found, prefix, key_number: 0 };
            serde_json::Deserializer::from_str(value).deserialize_map(&mut object)?;
            self.found = object.found;
        }
        Ok(())
    }

    /// Sets the field of a column to a value. `null` means that the object does not have the field.
    fn set(&mut self, column: Column, value: &'a str) {
        let key = column.name();
        if std::mem::replace(&mut self.found.has_key[column as usize], true) {
            self.found.fault.get_or_insert(RecordError::DuplicateKey { key });
        }
        let start = self.scratch.len();
        match value.as_bytes()[0] {
            b'n' => return,
            b'"' => match value[1..value.len() - 1].find('\\') {
                None => self.scratch.extend_from_slice(&value.as_bytes()[1..value.len() - 1]),
                Some(_) => match serde_json::from_str::<String>(value) {
                    Ok(text) => self.scratch.extend_from_slice(text.as_bytes()),
                    Err(_) => return self.wrong_type(key),
                },
            },
            b'-' | b'0'..=b'9' => self.scratch.extend_from_slice(value.as_bytes()),
            b'[' if column == Column::Items && is_array_of_ids(value) => {
                self.scratch.extend_from_slice(value.as_bytes());
            }
            b'[' | b'{' if column == Column::Items => {
                self.found.fault.get_or_insert(RecordError::BadItemList { items: value.as_bytes() });
                return;
            }
            _ => return self.wrong_type(key),
        }
        let span = Span::in_scratch(start, self.scratch.len());
        let bytes = Bytes { block: &[], scratch: self.scratch };
        self.found.fields.set(column, bytes.trim(span));
    }

    fn wrong_type(&mut self, key: &'static str) {
        self.found.fault.get_or_insert(RecordError::WrongJsonType { key });
    }
}

/// Whether the elements of an array are strings or numbers. Strings are checked later.
fn is_array_of_ids(array: &str) -> bool {
    let is_id = |value: &RawValue| matches!(value.get().as_bytes()[0], b'"' | b'-' | b'0'..=b'9');
    serde_json::from_str::<Vec<&RawValue>>(array).is_ok_and(|values| values.into_iter().all(is_id))
}

/// A key, which is borrowed unless it has escapes.
enum Key<'a> {
    Borrowed(&'a str),
    Unescaped(String),
}

impl Key<'_> {
    fn text(&self) -> &str {
        match self {
            Self::Borrowed(key) => key,
            Self::Unescaped(key) => key,
        }
    }
}

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key::Borrowed(key))
            }

            fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key::Unescaped(key.to_owned()))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn email(line: &str, mapped: &[(Column, String)]) -> Result<Option<String>, String> {
        let options = ReadOptions { column_names: mapped.to_vec(), ..ReadOptions::default() };
        let keys = JsonKeys::new(SourceKind::Conversions, &options);
        let (mut objects, mut scratch) = (ObjectFields::default(), Vec::new());
        let fields = objects.split(line.as_bytes(), 0, &keys, &mut scratch).map_err(|error| error.to_string())?;
        let text =
            |span| String::from_utf8(Bytes { block: line.as_bytes(), scratch: &scratch }.get(span).to_vec()).unwrap();
        Ok(fields.get(Column::Email).map(text))
    }

    #[test]
    fn keys_are_compared_like_column_names() {
        for line in [r#"{"email":"a@x"}"#, r#"{"x":{"email":"b"}, "E-Mail" : " a@x "}"#, r#"{"\u0065mail":"a\u0040x"}"#]
        {
            assert_eq!(email(line, &[]), Ok(Some("a@x".to_owned())), "{line}");
        }
        assert_eq!(email(r#"{"email":null}"#, &[]), Ok(None));
    }

    #[test]
    fn a_path_reaches_into_nested_objects() {
        let mapped = [(Column::Email, "user.contact.email".to_owned())];
        let line = r#"{"user":{"id":1,"contact":{"email":"a@x"}},"email":"b@x"}"#;
        assert_eq!(email(line, &mapped), Ok(Some("a@x".to_owned())));
        assert_eq!(email(r#"{"user.contact.email":"a@x"}"#, &mapped), Ok(Some("a@x".to_owned())));
        assert_eq!(email(r#"{"user":"a@x"}"#, &mapped), Ok(None));
    }

    #[test]
    fn an_invalid_key_in_a_nested_object_is_an_error() {
        let mapped = [(Column::Email, "user.email".to_owned())];
        assert!(email(r#"{"user":{"\ud800":1,"email":"a@x"}}"#, &mapped).is_err());
    }

    #[test]
    fn what_is_not_one_object_of_texts_is_rejected() {
        for (line, message) in [
            ("[1]", "the line is not a JSON object (byte 0 of the line is unexpected)"),
            (r#"{"email":"a@x""#, "the line is not a JSON object (byte 14 of the line is unexpected)"),
            (r#"{"email":"a@x"} x"#, "the line is not a JSON object (byte 17 of the line is unexpected)"),
            (r#"{"email":"a","EMAIL":"b"}"#, "the key \"email\" occurs twice"),
            (r#"{"email":true}"#, "\"email\" is not a string or a number"),
            (r#"{"email":["a"]}"#, "\"email\" is not a string or a number"),
            (r#"{"email":"\ud800"}"#, "\"email\" is not a string or a number"),
            (r#"{"email":null,"email":"a"}"#, "the key \"email\" occurs twice"),
            (
                r#"{"items":[6,null]}"#,
                "the items \"[6,null]\" are not a list of ids (expected something like [6;14]; --column items=- ignores them)",
            ),
        ] {
            assert_eq!(email(line, &[]), Err(message.to_owned()), "{line}");
        }
    }
}
