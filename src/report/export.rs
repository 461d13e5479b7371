//! The tables as text for a terminal, and with all rows as JSON and CSV.

use std::iter;

use console::{Alignment, measure_text_width, pad_str, truncate_str};
use csv::{Terminator, WriterBuilder};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::names::{MAX_NAMES, Name};
use super::table::{Layout, Row, Table};
use crate::escape::{csv_cell, json_string};

/// The tables as one JSON object on one line, with an array of rows for each table. A table with too many rows is null,
/// and a name that is too long is null. Money is a string of exact digits.
pub fn json(tables: &[Table]) -> String {
    json_string(&Tables(tables)) + "\n"
}

struct Tables<'a>(&'a [Table]);

impl Serialize for Tables<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for table in self.0 {
            map.serialize_entry(table.key, &table.rows.as_deref().map(|rows| objects(table, rows)))?;
        }
        map.end()
    }
}

fn objects<'a>(table: &'a Table, rows: &'a [Row]) -> Vec<Object<'a>> {
    rows.iter().map(|row| Object { table, row }).collect()
}

struct Object<'a> {
    table: &'a Table,
    row: &'a Row,
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, name) in self.table.names.iter().zip(&self.row.names) {
            map.serialize_entry(key, name)?;
        }
        for (column, value) in self.table.cells(self.row).filter(|(_, value)| value.is_exported()) {
            map.serialize_entry(column.key, value)?;
        }
        map.end()
    }
}

impl Serialize for Name {
    /// Bytes that are not UTF-8 become U+FFFD.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bytes(name) => serializer.serialize_str(&String::from_utf8_lossy(name)),
            Self::TooLong => serializer.serialize_none(),
        }
    }
}

const HEADER: [&str; 5] = ["table", "name", "channel", "figure", "value"];

/// The tables as CSV with one figure a row, so all tables fit into one file. Names are escaped for display, with an
/// apostrophe before a name that a spreadsheet would evaluate as a formula. A table with too many rows has none.
pub fn csv(tables: &[Table]) -> Vec<u8> {
    let mut writer = WriterBuilder::new().terminator(Terminator::Any(b'\n')).from_writer(Vec::new());
    let mut write = |row: [&str; 5]| writer.write_record(row).expect("writing to memory cannot fail");
    write(HEADER);
    for table in tables {
        for row in table.rows.iter().flatten() {
            let mut names = row.names.iter().map(|name| csv_cell(&name.display()).into_owned());
            let (name, channel) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
            for (column, value) in table.cells(row).filter(|(_, value)| value.is_exported()) {
                write([table.key, &name, &channel, column.key, &value.display()]);
            }
        }
    }
    writer.into_inner().expect("writing to memory cannot fail")
}

/// The maximum width of a name, in columns of a terminal.
const NAME_WIDTH: usize = 32;

/// The tables one after the other, with the first `top` rows of long lists.
pub fn text(tables: &[Table], top: usize) -> String {
    let tables: Vec<String> = tables.iter().map(|table| self::table(table, top)).collect();
    tables.join("\n")
}

fn table(table: &Table, top: usize) -> String {
    let (rows, more) = table.visible_rows(top);
    let (left_columns, lines) = match table.layout {
        Layout::Transposed => (1, transposed(table, &rows)),
        Layout::Top | Layout::Sample => (table.names.len().max(1), row_by_row(table, &rows)),
    };
    let mut text = align(&lines, left_columns);
    if table.rows.is_none() {
        text += &format!("  more than {MAX_NAMES}, so none is listed\n");
    } else if rows.is_empty() {
        text += "  none\n";
    } else if more > 0 {
        text += &format!("  and {more} more\n");
    }
    text
}

/// A line for each row. The title is the heading of the first column.
fn row_by_row(table: &Table, rows: &[&Row]) -> Vec<Vec<String>> {
    let other_names = table.names.iter().skip(1).map(|name| (*name).to_owned());
    let headings = table.columns.iter().map(|column| column.heading.trim().to_owned());
    let head = iter::once(table.title.to_owned()).chain(other_names).chain(headings).collect();
    let line = |row: &&Row| {
        let first_name = format!("  {}", truncate(&row.name()));
        let other_names = row.names.iter().skip(1).map(|name| truncate(&name.display()));
        iter::once(first_name).chain(other_names).chain(row.values.iter().map(|value| value.display())).collect()
    };
    iter::once(head).chain(rows.iter().map(line)).collect()
}

/// A line for each figure.
fn transposed(table: &Table, rows: &[&Row]) -> Vec<Vec<String>> {
    let head = iter::once(table.title.to_owned()).chain(rows.iter().map(|row| truncate(&row.name()))).collect();
    let columns = table.visible_columns(rows).into_iter();
    let lines = columns.map(|(index, column)| {
        let values = rows.iter().map(|row| row.values[index].display());
        iter::once(format!("  {}", column.heading)).chain(values).collect()
    });
    iter::once(head).chain(lines).collect()
}

fn truncate(name: &str) -> String {
    truncate_str(name, NAME_WIDTH, "…").into_owned()
}

/// Pads cells to columns: the first `left_columns` are aligned to the left, the others to the right.
fn align(lines: &[Vec<String>], left_columns: usize) -> String {
    let mut widths = Vec::new();
    for line in lines {
        widths.resize(line.len().max(widths.len()), 0);
        widths.iter_mut().zip(line).for_each(|(width, cell)| *width = measure_text_width(cell).max(*width));
    }
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths).enumerate().map(|(index, (cell, &width))| {
            let alignment = if index < left_columns { Alignment::Left } else { Alignment::Right };
            pad_str(cell, width, alignment, None)
        });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}
