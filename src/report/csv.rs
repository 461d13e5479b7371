//! Tables for a spreadsheet: CSV with one figure a row, so that tables of any width fit into one file.

use csv::{Terminator, WriterBuilder};

use super::shown::as_cell;
use super::table::{Table, Value};

const HEADER: [&str; 5] = ["table", "name", "channel", "figure", "value"];

/// The tables as CSV. Names are written as people read them, and behind an apostrophe where a spreadsheet would take
/// them for a formula. A table whose rows could not be told apart has none.
pub fn csv(tables: &[Table]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = WriterBuilder::new().terminator(Terminator::Any(b'\n')).from_writer(&mut out);
    // Memory cannot fail, and every row has the same width.
    let _ = writer.write_record(HEADER);
    for table in tables {
        for row in table.rows.iter().flatten() {
            let mut names = row.names.iter().map(|name| as_cell(&name.shown()).into_owned());
            let (name, channel) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
            for (figure, value) in table.values(row) {
                if !matches!(value, Value::Share { .. }) {
                    let _ = writer.write_record([table.key, &name, &channel, figure.key, &value.plain()]);
                }
            }
        }
    }
    drop(writer);
    out
}
