//! Tables of figures, and their output with all rows as JSON and CSV. `text` and `page` render them for people.

use csv::{Terminator, WriterBuilder};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::names::{Name, RowNames};
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
    /// Its definition, without a full stop.
    pub about: &'static str,
    /// Whether text and the page omit it if no row has a value other than 0.
    pub is_optional: bool,
}

/// The human-readable layout. JSON and CSV contain all rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// All rows side by side, with a line for each figure.
    Transposed,
    /// The first rows, and the number of the others.
    Top,
    /// A line for each row.
    All,
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
    /// A share, rounded to a tenth of a percent. There is none of a whole of 0.
    Share { part: u64, whole: u64 },
    /// A mean number, rounded to a hundredth. There is none if `count` is 0.
    Mean { sum: u64, count: u64 },
    /// A difference in hundredths of a percentage point.
    Points(i64),
    /// Text that was escaped for display.
    Text(String),
    /// No value, such as the mean of no purchases.
    Nothing,
}

impl Value {
    /// The value without a unit; empty if there is none. A share is in percent.
    pub fn plain(&self) -> String {
        let decimal = |(whole, fraction, decimals)| format!("{whole}.{fraction:0decimals$}");
        match self {
            Self::Count(count) => count.to_string(),
            Self::Money(text) | Self::Text(text) => text.clone(),
            Self::Share { part, whole } => quotient(*part, 100, *whole, 1).map_or(String::new(), decimal),
            Self::Mean { sum, count } => quotient(*sum, 1, *count, 2).map_or(String::new(), decimal),
            Self::Points(points) => {
                let (sign, points) = (if *points < 0 { "-" } else { "" }, points.unsigned_abs());
                format!("{sign}{}.{:02}", points / 100, points % 100)
            }
            Self::Nothing => String::new(),
        }
    }

    /// The human-readable value. A share is rounded to 0 or 100% only if it is exactly that.
    pub fn display(&self) -> String {
        let plain = self.plain();
        match self {
            Self::Share { .. } if plain.is_empty() => plain,
            Self::Share { part: 1.., .. } if plain == "0.0" => "<0.1%".to_owned(),
            Self::Share { part, whole } if part < whole && plain == "100.0" => ">99.9%".to_owned(),
            Self::Share { .. } => plain + "%",
            _ => plain,
        }
    }

    /// The human-readable value, split where digits are grouped by three. A page sets the groups apart without a
    /// character between them, so that a number remains a number when it is copied.
    pub fn digit_groups(&self) -> Vec<String> {
        let text = self.display();
        if matches!(self, Self::Text(_)) {
            return vec![text];
        }
        let digits = text.find('.').unwrap_or(text.len());
        let first = text.find(|char: char| char.is_ascii_digit()).unwrap_or(digits);
        let is_start = |index: usize| (digits - index).is_multiple_of(3) && index > first;
        let mut groups = vec![String::new()];
        for (index, char) in text.char_indices() {
            if char.is_ascii_digit() && index < digits && is_start(index) {
                groups.push(String::new());
            }
            groups.last_mut().expect("there is a first group").push(char);
        }
        groups
    }

    fn is_zero(&self) -> bool {
        matches!(self, Self::Count(0) | Self::Nothing)
    }
}

/// `part * factor / whole`, rounded to this many decimals: its digits before and after the point, and the decimals.
fn quotient(part: u64, factor: u128, whole: u64, decimals: usize) -> Option<(u128, u128, usize)> {
    let one = 10_u128.pow(decimals as u32);
    let (part, whole) = (u128::from(part) * factor * one, u128::from(whole));
    let rounded = (2 * part + whole).checked_div(2 * whole)?;
    Some((rounded / one, rounded % one, decimals))
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => serializer.serialize_u64(*count),
            Self::Money(text) | Self::Text(text) => serializer.serialize_str(text),
            Self::Share { .. } | Self::Mean { .. } | Self::Points(_) => match self.plain().parse::<f64>() {
                Ok(number) => serializer.serialize_f64(number),
                Err(_) => serializer.serialize_none(),
            },
            Self::Nothing => serializer.serialize_none(),
        }
    }
}

impl Table {
    /// The values of a row with their columns.
    fn cells<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = (&'a Column, &'a Value)> {
        self.columns.iter().zip(&row.values)
    }

    /// The rows that text and the page show, at most `top` of a long list, and the rows after them.
    pub fn split_rows(&self, top: usize) -> (&[Row], &[Row]) {
        let rows = self.rows.as_deref().unwrap_or_default();
        let top = if self.layout == Layout::Top { top.min(rows.len()) } else { rows.len() };
        rows.split_at(top)
    }

    /// The columns that text and the page show, with their indexes.
    pub fn visible_columns(&self) -> Vec<(usize, &Column)> {
        let is_empty = |index: usize| self.rows.iter().flatten().all(|row| row.values[index].is_zero());
        let columns = self.columns.iter().enumerate();
        columns.filter(|&(index, column)| !(column.is_optional && is_empty(index))).collect()
    }
}

/// The tables as one JSON object on one line, with an array of rows for each table. A table with too many rows is null,
/// and a name that is too long is null. Money is a string of exact digits.
pub fn json(tables: &[&Table]) -> String {
    json_string(&Tables(tables)) + "\n"
}

struct Tables<'a>(&'a [&'a Table]);

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
        for (column, value) in self.table.cells(self.row) {
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

/// The last name of a row is a channel, if it has two.
const HEADER: [&str; 5] = ["table", "name", "channel", "figure", "value"];

/// The tables as CSV with one figure per row, so all tables fit into one file. Names are escaped for display, with an
/// apostrophe before text that a spreadsheet would evaluate as a formula. A table with too many rows has none.
pub fn csv(tables: &[&Table]) -> Vec<u8> {
    let mut writer = WriterBuilder::new().terminator(Terminator::Any(b'\n')).from_writer(Vec::new());
    let mut write = |row: [&str; 5]| writer.write_record(row).expect("writing to memory cannot fail");
    write(HEADER);
    for table in tables {
        for row in table.rows.iter().flatten() {
            let cell =
                |name: &Name| if name.is_empty() { String::new() } else { csv_cell(&name.display()).into_owned() };
            let mut names = row.names.iter().map(cell);
            let (name, channel) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
            for (column, value) in table.cells(row) {
                let plain = value.plain();
                let value = if matches!(value, Value::Text(_)) { csv_cell(&plain) } else { plain.as_str().into() };
                write([table.key, &name, &channel, column.key, &value]);
            }
        }
    }
    writer.into_inner().expect("writing to memory cannot fail")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_means_are_rounded_and_need_a_whole() {
        let share = |part, whole| Value::Share { part, whole }.display();
        assert_eq!([share(1, 3), share(2, 3), share(0, 7)], ["33.3%", "66.7%", "0.0%"]);
        assert_eq!([share(u64::MAX, u64::MAX), share(0, 0)], ["100.0%", ""]);
        let mean = |sum, count| Value::Mean { sum, count }.display();
        assert_eq!(
            [mean(7, 3), mean(5, 1), mean(u64::MAX, 1), mean(1, 0)],
            ["2.33", "5.00", "18446744073709551615.00", ""]
        );
    }

    #[test]
    fn shares_are_rounded_to_all_or_nothing_only_if_exact() {
        let share = |part, whole| Value::Share { part, whole };
        let shown = [share(1, 30_001), share(3_000, 3_001), share(1, 2_000), share(0, 9), share(9, 9)];
        assert_eq!(shown.map(|share| share.display()), ["<0.1%", ">99.9%", "0.1%", "0.0%", "100.0%"]);
        assert_eq!(share(1, 30_001).plain(), "0.0");
    }

    #[test]
    fn digits_are_grouped_by_three() {
        for (plain, groups) in [("7", "7"), ("123", "123"), ("-123", "-123"), ("-1234567.8901", "-1 234 567.8901")] {
            assert_eq!(Value::Money(plain.to_owned()).digit_groups().join(" "), groups);
        }
        assert_eq!(Value::Share { part: 40, whole: 1 }.digit_groups(), ["4", "000.0%"]);
        assert_eq!(Value::Nothing.digit_groups(), [""]);
        assert_eq!(Value::Text("12345".to_owned()).digit_groups(), ["12345"]);
    }

    #[test]
    fn shares_are_numbers_in_json() {
        let json = |value: &Value| serde_json::to_string(value).unwrap();
        assert_eq!(json(&Value::Share { part: 2, whole: 3 }), "66.7");
        assert_eq!(json(&Value::Share { part: 0, whole: 0 }), "null");
        assert_eq!(json(&Value::Mean { sum: 7, count: 3 }), "2.33");
        assert_eq!([-5, 0, 123].map(|points| json(&Value::Points(points))), ["-0.05", "0.0", "1.23"]);
    }
}
