//! Tables for programs: one JSON object with an array of rows for each table.

use std::fmt::Write;

use serde::{Serialize, Serializer};

use super::shown::misleads;
use super::table::{Name, Row, Table, Value};
use crate::tally::Label;

/// The tables as one line of JSON. Money is a string of exact digits. A table whose rows could not be told apart is null,
/// and so is a name that is too long.
///
/// # Errors
/// When they cannot be serialized.
pub fn json(tables: &[Table]) -> serde_json::Result<String> {
    Ok(harmless(&serde_json::to_string(&Tables(tables))?) + "\n")
}

struct Tables<'a>(&'a [Table]);

impl Serialize for Tables<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|table| (table.key, objects(table))))
    }
}

fn objects(table: &Table) -> Option<Vec<Object<'_>>> {
    table.rows.as_ref().map(|rows| rows.iter().map(|row| Object { table, row }).collect())
}

/// A row: its names and its figures.
struct Object<'a> {
    table: &'a Table,
    row: &'a Row,
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { table, row } = self;
        let names = table.names.iter().copied().zip(row.names.iter().map(Cell::Name));
        let figures = table.values(row).map(|(figure, value)| (figure.key, Cell::Value(value)));
        serializer.collect_map(names.chain(figures.filter(|(_, cell)| !cell.is_for_people())))
    }
}

enum Cell<'a> {
    Name(&'a Name),
    Value(&'a Value),
}

impl Cell<'_> {
    const fn is_for_people(&self) -> bool {
        matches!(self, Self::Value(Value::Share { .. }))
    }
}

impl Serialize for Cell<'_> {
    /// As everywhere in JSON, a run of bytes that are not UTF-8 becomes U+FFFD, the replacement character.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Name(Name::Ours(name)) => serializer.serialize_str(name),
            Self::Name(Name::Data(Label::Name(name))) => serializer.serialize_str(&String::from_utf8_lossy(name)),
            Self::Value(Value::Count(count)) => serializer.serialize_u64(*count),
            Self::Value(value @ Value::Money(_)) => serializer.serialize_str(&value.plain()),
            Self::Name(Name::Data(Label::TooLong)) | Self::Value(Value::Nothing | Value::Share { .. }) => {
                serializer.serialize_none()
            }
        }
    }
}

/// The same JSON with escapes for what JSON lets stand and a terminal does not take for text. Such characters are only
/// ever found in strings.
fn harmless(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for char in json.chars() {
        if misleads(char) {
            // Memory cannot fail, and none of these characters needs two escapes.
            let _ = write!(text, "\\u{:04x}", u32::from(char));
        } else {
            text.push(char);
        }
    }
    text
}
