//! CSV with a header row, quoted as RFC 4180 has it. Bytes that are not UTF-8 stay as they are.

use csv::{Terminator, Writer, WriterBuilder};
use serde::Serialize;

use crate::campaign::{Decision, Event};
use crate::record::{Action, CONVERSION_COLUMNS, Conversion, Items};

/// The columns behind those of the conversion itself.
const DECISION_COLUMNS: [&str; 2] = ["send", "enrolled"];

/// A row: the columns by which conversions can be read as CSV, and the decision. What a type of conversion does not have
/// is empty.
#[derive(Default, Serialize)]
struct Row<'a> {
    #[serde(with = "serde_bytes")]
    promo: &'a [u8],
    conversion: &'static str,
    #[serde(with = "serde_bytes")]
    email: &'a [u8],
    #[serde(with = "serde_bytes", rename = "where")]
    channel: &'a [u8],
    #[serde(with = "serde_bytes")]
    items: &'a [u8],
    #[serde(with = "serde_bytes")]
    total_cost: &'a [u8],
    send: bool,
    enrolled: bool,
}

impl<'a> Row<'a> {
    /// The row of a conversion. Its items are written into `written`.
    fn new(conversion: &Conversion<'a>, decision: Decision, written: &'a mut Vec<u8>) -> Self {
        let row = Self {
            promo: conversion.promo,
            conversion: conversion.action.kind().name(),
            email: conversion.email.as_bytes(),
            send: decision.send,
            enrolled: decision.enrolled,
            ..Self::default()
        };
        match conversion.action {
            Action::Click { channel } => Self { channel, ..row },
            Action::Basket { items } => Self { items: write_items(items, written), ..row },
            Action::Purchase { items, total_cost } => {
                Self { items: write_items(items, written), total_cost: total_cost.as_bytes(), ..row }
            }
        }
    }
}

fn writer(out: &mut Vec<u8>) -> Writer<&mut Vec<u8>> {
    WriterBuilder::new().has_headers(false).terminator(Terminator::Any(b'\n')).from_writer(out)
}

/// The header row.
pub(super) fn header() -> Vec<u8> {
    let mut out = Vec::new();
    // Memory cannot fail.
    let _ = writer(&mut out).write_record(CONVERSION_COLUMNS.iter().chain(&DECISION_COLUMNS));
    out
}

/// Appends a row for each conversion.
pub(super) fn rows<'a>(conversions: impl Iterator<Item = (Event<'a>, Decision)>, out: &mut Vec<u8>) {
    let mut writer = writer(out);
    let mut items = Vec::new();
    for (event, decision) in conversions {
        if let Some(conversion) = event.conversion() {
            // Memory cannot fail, and every row has the same width.
            let _ = writer.serialize(Row::new(&conversion, decision, &mut items));
        }
    }
    let _ = writer.flush();
}

/// Writes `[6;14]`, the way in which items are read.
fn write_items<'a>(items: Items<'_>, written: &'a mut Vec<u8>) -> &'a [u8] {
    written.clear();
    written.push(b'[');
    for (index, id) in items.iter().enumerate() {
        if index > 0 {
            written.push(b';');
        }
        written.extend_from_slice(id);
    }
    written.push(b']');
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_row_names_the_columns_of_a_row() {
        let mut out = Vec::new();
        let mut writer = WriterBuilder::new().from_writer(&mut out);
        writer.serialize(Row::default()).unwrap();
        drop(writer);
        assert!(out.starts_with(&header()), "{}", String::from_utf8_lossy(&out));
    }
}
