//! Tables of figures, and their output as text for a terminal, and with all rows as JSON and CSV.

use std::iter;

use console::{Alignment, measure_text_width, pad_str, truncate_str};
use csv::{Terminator, WriterBuilder};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::names::{MAX_NAMES, Name, RowNames};
use crate::escape::{csv_cell, json_string};

#[derive(Debug, Clone)]
pub struct Table {
    /// Its name in JSON and CSV.
    pub key: &'static str,
    /// Its human-readable title.
    pub title: &'static str,
    /// The kinds of names of a row, such as `promo` and `channel`.
    pub names: &'static [&'static str],
    pub columns: Vec<Column>,
    /// `None` if there are too many.
    pub rows: Option<Vec<Row>>,
    pub layout: Layout,
}

/// A column: a figure and its definition.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name in JSON and CSV.
    pub key: &'static str,
    /// Its human-readable heading. Leading spaces mean that it is a part of the figure before it.
    pub heading: &'static str,
    /// Its definition.
    pub about: &'static str,
    /// Whether text and the page omit it if all values are 0.
    pub is_hidden_when_zero: bool,
}

/// The human-readable layout, and the rows that are visible. JSON and CSV contain all rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// All rows side by side, with a line for each figure.
    Transposed,
    /// The first rows.
    Top,
    /// A few rows from the first to the last.
    Sample,
}

#[derive(Debug, Clone)]
pub struct Row {
    /// One for each of the table's names.
    pub names: RowNames,
    /// One for each of the table's columns.
    pub values: Vec<Value>,
}

#[derive(Debug, Clone)]
pub enum Value {
    /// A number of records or customers.
    Count(u64),
    /// An exact or rounded decimal number.
    Money(String),
    /// A share. JSON and CSV do not contain it, because they contain both numbers.
    Share { part: u64, whole: u64 },
    /// No value, such as the mean of no purchases.
    Nothing,
}

impl Row {
    /// The first name, human-readable; empty if the row has no name.
    pub fn name(&self) -> String {
        self.names.first().map_or(String::new(), Name::display)
    }
}

impl Value {
    /// The human-readable value.
    pub fn display(&self) -> String {
        match self {
            Self::Count(count) => count.to_string(),
            Self::Money(money) => money.clone(),
            Self::Share { part, whole } => percent(*part, *whole),
            Self::Nothing => String::new(),
        }
    }

    /// The value for a chart, which is not exact.
    pub fn to_f64(&self) -> f64 {
        match self {
            Self::Count(count) => *count as f64,
            Self::Money(money) => money.parse().expect("money is a decimal number"),
            Self::Share { .. } | Self::Nothing => 0.0,
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => serializer.serialize_u64(*count),
            Self::Money(money) => serializer.serialize_str(money),
            Self::Share { .. } | Self::Nothing => serializer.serialize_none(),
        }
    }
}

/// A share in percent, rounded to one digit after the point. Empty if the whole is 0.
fn percent(part: u64, whole: u64) -> String {
    let (part, whole) = (u128::from(part), u128::from(whole));
    match (2_000 * part + whole).checked_div(2 * whole) {
        Some(per_mille) => format!("{}.{} %", per_mille / 10, per_mille % 10),
        None => String::new(),
    }
}

/// The maximum number of rows of a sample.
const SAMPLE_ROWS: usize = 10;

impl Table {
    /// The values of a row with their columns.
    pub fn cells<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = (&'a Column, &'a Value)> {
        self.columns.iter().zip(&row.values)
    }

    /// The values that JSON and CSV contain.
    fn exported_cells<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = (&'a Column, &'a Value)> {
        self.cells(row).filter(|(_, value)| !matches!(value, Value::Share { .. }))
    }

    /// The value of the figure with this key in a row.
    pub fn value<'a>(&'a self, row: &'a Row, key: &str) -> &'a Value {
        let (_, value) = self.cells(row).find(|(column, _)| column.key == key).expect("the table has this figure");
        value
    }

    /// The visible rows, at most `top` of a long list, and the number of hidden ones.
    pub fn visible_rows(&self, top: usize) -> (Vec<&Row>, usize) {
        let rows = self.rows.as_deref().unwrap_or_default();
        match self.layout {
            Layout::Transposed => (rows.iter().collect(), 0),
            Layout::Top => (rows.iter().take(top).collect(), rows.len().saturating_sub(top)),
            Layout::Sample => {
                let step = rows.len().div_ceil(SAMPLE_ROWS).max(1);
                // Steps from the end, because the last row is the total.
                let mut sample: Vec<_> = rows.iter().rev().step_by(step).collect();
                sample.reverse();
                (sample, 0)
            }
        }
    }

    /// The visible columns of these rows, with their indexes.
    pub fn visible_columns(&self, rows: &[&Row]) -> Vec<(usize, &Column)> {
        let is_zero = |index: usize| rows.iter().all(|row| matches!(row.values[index], Value::Count(0)));
        let columns = self.columns.iter().enumerate();
        columns.filter(|&(index, column)| !(column.is_hidden_when_zero && is_zero(index))).collect()
    }
}

/// The tables as one JSON object on one line, with an array of rows for each table. A table with too many rows is null,
/// and a name that is too long is null. Money is a string of exact digits.
pub fn json(tables: &[Table]) -> String {
    json_string(&Tables(tables)) + "\n"
}

struct Tables<'a>(&'a [Table]);

impl Serialize for Tables<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|table| {
            let rows = table.rows.as_ref();
            (table.key, rows.map(|rows| rows.iter().map(|row| Object { table, row }).collect::<Vec<_>>()))
        }))
    }
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
        for (column, value) in self.table.exported_cells(self.row) {
            map.serialize_entry(column.key, value)?;
        }
        map.end()
    }
}

impl Serialize for Name {
    /// U+FFFD replaces each maximal invalid sequence.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bytes(name) => serializer.serialize_str(&String::from_utf8_lossy(name)),
            Self::TooLong => serializer.serialize_none(),
        }
    }
}

const HEADER: [&str; 5] = ["table", "name", "channel", "figure", "value"];

/// The tables as CSV with one figure per row, so all tables fit into one file. Names are escaped for display, with an
/// apostrophe before a name that a spreadsheet would evaluate as a formula. A table with too many rows has none.
pub fn csv(tables: &[Table]) -> Vec<u8> {
    let mut writer = WriterBuilder::new().terminator(Terminator::Any(b'\n')).from_writer(Vec::new());
    let mut write = |row: [&str; 5]| writer.write_record(row).expect("writing to memory cannot fail");
    write(HEADER);
    for table in tables {
        for row in table.rows.iter().flatten() {
            let mut names = row.names.iter().map(|name| csv_cell(&name.display()).into_owned());
            let (name, channel) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
            for (column, value) in table.exported_cells(row) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_and_a_share_of_nothing_is_empty() {
        assert_eq!(percent(1, 3), "33.3 %");
        assert_eq!(percent(2, 3), "66.7 %");
        assert_eq!(percent(u64::MAX, u64::MAX), "100.0 %");
        assert_eq!(percent(0, 0), "");
    }

    #[test]
    fn a_sample_is_short_and_ends_with_the_last_row() {
        let row = |count: u64| Row { names: vec![], values: vec![Value::Count(count)] };
        for len in [0, 1, 9, 10, 11, 57, 100] {
            let rows = Some((1..=len).map(row).collect());
            let table = Table { key: "", title: "", names: &[], columns: vec![], rows, layout: Layout::Sample };
            let (sample, more) = table.visible_rows(3);
            assert!(sample.len() <= SAMPLE_ROWS && more == 0);
            assert_eq!(sample.last().map(|row| row.values[0].display()), (len > 0).then(|| len.to_string()));
        }
    }
}
