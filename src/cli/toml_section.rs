//! Reads a TOML file table by table. Every error names the file, the line and what is expected. A key that no reader
//! asks for is an error, so nothing in the file is ignored.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::args::{UsageError, near_match};
use crate::escape::{self, Quoted};
use crate::input::BYTE_ORDER_MARK;

/// The maximum size of a file. A device or a wrong file must not exhaust memory.
const MAX_BYTES: usize = 1 << 20;

/// A TOML file that was read.
#[derive(Debug)]
pub struct TomlFile {
    /// Its name in messages.
    name: String,
    text: String,
}

impl TomlFile {
    /// Reads the file. Fails if it is not UTF-8 text.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let name = escape::path(path);
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes));
        read.with_context(|| format!("{name}: cannot read"))?;
        if bytes.len() > MAX_BYTES {
            return Err(UsageError(format!("{name}: it is longer than {MAX_BYTES} bytes")).into());
        }
        let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes);
        match str::from_utf8(bytes) {
            Ok(text) => Ok(Self { name, text: text.to_owned() }),
            Err(error) => {
                let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned();
                let file = Self { name, text: valid };
                Err(file.error(file.text.len(), "the text is not UTF-8"))
            }
        }
    }

    /// The top level of the file. Fails if it is not TOML.
    pub fn root(&self) -> anyhow::Result<Section<'_>> {
        let (table, errors) = DeTable::parse_recoverable(&self.text);
        let start = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
        match errors.iter().min_by_key(|error| start(error)) {
            None => Ok(Section::new(self, String::new(), 0, table.into_inner())),
            Some(first) => Err(self.error(start(first), &format!("invalid TOML: {}", escape::text(first.message())))),
        }
    }

    /// An error at a byte of the text.
    fn error(&self, at: usize, reason: &str) -> anyhow::Error {
        let line = self.text.bytes().take(at).filter(|&byte| byte == b'\n').count() + 1;
        UsageError(format!("{}:{line}: {reason}", self.name)).into()
    }
}

/// A table of a TOML file. A method that reads a key removes it.
#[derive(Debug)]
pub struct Section<'a> {
    file: &'a TomlFile,
    /// Its name with a dot at the end; empty for the top level.
    prefix: String,
    entries: Vec<(Spanned<DeString<'a>>, Spanned<DeValue<'a>>)>,
    /// The keys that were asked for.
    known: Vec<&'static str>,
    /// The keys of the enclosing table that were asked for before this table.
    outer: Vec<&'static str>,
    /// The byte at which the table begins.
    start: usize,
}

impl<'a> Section<'a> {
    fn new(file: &'a TomlFile, prefix: String, start: usize, table: DeTable<'a>) -> Self {
        let mut entries: Vec<_> = table.into_iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        Self { file, prefix, entries, known: Vec::new(), outer: Vec::new(), start }
    }

    fn take(&mut self, key: &'static str) -> Option<Spanned<DeValue<'a>>> {
        self.known.push(key);
        let index = self.entries.iter().position(|(of, _)| of.get_ref() == key)?;
        Some(self.entries.remove(index).1)
    }

    /// Whether the value of a key is an array.
    pub fn is_array(&self, key: &str) -> bool {
        self.entries.iter().any(|(of, value)| of.get_ref() == key && value.get_ref().is_array())
    }

    /// The table of a key.
    pub fn section(&mut self, key: &'static str) -> anyhow::Result<Option<Self>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let at = value.span().start;
        match value.into_inner() {
            DeValue::Table(table) => {
                let section = Self::new(self.file, format!("{}{key}.", self.prefix), at, table);
                Ok(Some(Self { outer: self.known.clone(), ..section }))
            }
            other => Err(self.wrong_type(at, key, "a table", &other)),
        }
    }

    /// The string of a key, parsed.
    pub fn parsed<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> anyhow::Result<Option<T>> {
        self.take(key).map(|value| self.parse(key, "a string", value, parse)).transpose()
    }

    /// The boolean of a key.
    pub fn boolean(&mut self, key: &'static str) -> anyhow::Result<Option<bool>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        match value.get_ref() {
            DeValue::Boolean(value) => Ok(Some(*value)),
            other => Err(self.wrong_type(value.span().start, key, "true or false", other)),
        }
    }

    /// The string or the number of a key, parsed from its text.
    pub fn parsed_number<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> anyhow::Result<Option<T>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let text = match value.get_ref() {
            DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
            DeValue::Float(number) => Some(number.as_str().to_owned()),
            _ => None,
        };
        match text {
            None => self.parse(key, "a number", value, parse).map(Some),
            Some(text) => parse(&text).map(Some).map_err(|reason| self.error(value.span().start, key, &reason)),
        }
    }

    /// The error for a key that is missing.
    pub fn missing(&self, key: &str) -> anyhow::Error {
        self.error(self.start, key, "this key is missing")
    }

    /// The array of strings of a key, each parsed with `parse`, which also receives the earlier elements.
    pub fn parsed_list<T>(
        &mut self,
        key: &'static str,
        mut parse: impl FnMut(&str, &[T]) -> Result<T, String>,
    ) -> anyhow::Result<Option<Vec<T>>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let at = value.span().start;
        let array = match value.into_inner() {
            DeValue::Array(array) => array,
            other => return Err(self.wrong_type(at, key, "an array of strings", &other)),
        };
        let mut list = Vec::new();
        for value in array {
            let parsed = self.parse(key, "an array of strings", value, |text| parse(text, &list))?;
            list.push(parsed);
        }
        Ok(Some(list))
    }

    /// Fails with `reason` if the value of a key is an empty array.
    pub fn check_not_empty(&self, key: &str, reason: &str) -> anyhow::Result<()> {
        let is_empty = |value: &DeValue<'_>| value.as_array().is_some_and(|array| array.is_empty());
        match self.entries.iter().find(|(of, value)| of.get_ref() == key && is_empty(value.get_ref())) {
            Some((_, value)) => Err(self.error(value.span().start, key, reason)),
            None => Ok(()),
        }
    }

    /// All keys and their strings, each parsed with `parse`, which also receives the earlier results.
    pub fn into_parsed<T>(mut self, parse: impl Fn(&str, &str, &[T]) -> Result<T, String>) -> anyhow::Result<Vec<T>> {
        let mut all = Vec::new();
        for (key, value) in std::mem::take(&mut self.entries) {
            let key = key.into_inner();
            let parsed = self.parse(&key, "a string", value, |text| parse(&key, text, &all))?;
            all.push(parsed);
        }
        Ok(all)
    }

    fn parse<T>(
        &self,
        key: &str,
        expected: &str,
        value: Spanned<DeValue<'_>>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> anyhow::Result<T> {
        let at = value.span().start;
        match value.into_inner() {
            DeValue::String(text) => parse(&text).map_err(|reason| self.error(at, key, &reason)),
            other => Err(self.wrong_type(at, key, expected, &other)),
        }
    }

    fn wrong_type(&self, at: usize, key: &str, expected: &str, found: &DeValue<'_>) -> anyhow::Error {
        let found = found.type_str();
        let article = if found.starts_with(['a', 'i']) { "an" } else { "a" };
        self.error(at, key, &format!("expected {expected}, found {article} {found}"))
    }

    fn error(&self, at: usize, key: &str, reason: &str) -> anyhow::Error {
        self.file.error(at, &format!("{}{}: {reason}", self.prefix, escape::text(key)))
    }

    /// Fails if the table has a key that was not asked for.
    pub fn finish(self) -> anyhow::Result<()> {
        let Some((key, _)) = self.entries.first() else { return Ok(()) };
        let table = self.prefix.strip_suffix('.').map(|name| format!(" in [{name}]")).unwrap_or_default();
        let known = || format!("the keys are {}", self.known.join(", "));
        let near = near_match(key.get_ref(), self.known.iter().copied());
        // In TOML, a key after the header of a table is in that table.
        let hint = match near {
            _ if self.outer.iter().any(|outer| key.get_ref() == outer) => {
                "it belongs before the first table of the file".to_owned()
            }
            Some(near) => format!("did you mean {near}?"),
            None => known(),
        };
        let name = Quoted(key.get_ref().as_bytes());
        Err(self.file.error(key.span().start, &format!("unknown key {name}{table}; {hint}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> TomlFile {
        TomlFile { name: "c.toml".to_owned(), text: text.to_owned() }
    }

    /// Reads a table with the keys `name` and `list`.
    fn read(text: &str) -> Result<(Option<String>, Option<Vec<String>>), String> {
        let file = file(text);
        let read = || {
            let mut root = file.root()?;
            let Some(mut table) = root.section("table")? else { return root.finish().map(|()| (None, None)) };
            let name = table.parsed("name", |text| Ok(text.to_owned()))?;
            let list = table.parsed_list("list", |text, before| match before.contains(&text.to_owned()) {
                true => Err(format!("{text} occurs twice")),
                false => Ok(text.to_owned()),
            })?;
            table.finish()?;
            root.finish()?;
            anyhow::Ok((name, list))
        };
        read().map_err(|error| error.to_string())
    }

    #[test]
    fn keys_are_read_in_any_order() {
        let list = vec!["b".to_owned(), "a".to_owned()];
        let expected = Ok((Some("n".to_owned()), Some(list)));
        assert_eq!(read("[table]\nlist = [\"b\",\n 'a']\nname = 'n'"), expected);
        assert_eq!(read("table = { name = \"n\", list = [\"b\", \"a\"] }\r\n"), expected);
        assert_eq!(read("table.name = 'n'\ntable.list = ['b', 'a']"), expected);
        assert_eq!(read("# nothing"), Ok((None, None)));
    }

    #[test]
    fn every_error_names_the_line_and_what_is_expected() {
        for (text, message) in [
            ("[table]\nname = 5", "c.toml:2: table.name: expected a string, found an integer"),
            ("[table]\nlist = 'a'", "c.toml:2: table.list: expected an array of strings, found a string"),
            ("[table]\nlist = ['a',\n true]", "c.toml:3: table.list: expected an array of strings, found a boolean"),
            ("[table]\nlist = ['a', 'a']", "c.toml:2: table.list: a occurs twice"),
            ("table = 1979-05-27", "c.toml:1: table: expected a table, found a datetime"),
            ("[[table]]\nname = 'n'", "c.toml:1: table: expected a table, found an array"),
            ("[table]\n\nnmae = 'n'", "c.toml:3: unknown key \"nmae\" in [table]; did you mean name?"),
            ("[table]\nother = 1", "c.toml:2: unknown key \"other\" in [table]; the keys are name, list"),
            ("[tabel]\nother = 1", "c.toml:1: unknown key \"tabel\"; did you mean table?"),
        ] {
            assert_eq!(read(text), Err(message.to_owned()), "{text}");
        }
    }

    #[test]
    fn invalid_toml_is_an_error_with_its_line() {
        for (text, line) in [("a = 1\nb =", 2), ("a = 1\na = 2", 2), ("\n\n[x", 3), ("a = \"x\ny\"", 1)] {
            let message = file(text).root().map(drop).unwrap_err().to_string();
            assert!(message.starts_with(&format!("c.toml:{line}: invalid TOML: ")), "{text:?}: {message}");
            assert!(!message.contains('\n'), "{message:?}");
        }
    }
}
