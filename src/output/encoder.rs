//! Renders decisions as text, frames, JSON lines or CSV, and the saved list as text.
//!
//! The encoder appends to a buffer and has no state, so several threads can encode slices in parallel.

use std::borrow::Cow;
use std::io::{self, Write};

use clap::ValueEnum;
use csv::{ByteRecord, Terminator, WriterBuilder};
use serde::{Serialize, Serializer};

use crate::campaign::{Decision, Event};
use crate::escape::json_line;
use crate::input::{BYTE_ORDER_MARK, is_ambiguous_as_text, push_frame};
use crate::record::field::trim;
use crate::record::{Action, CONVERSION_COLUMNS, Conversion, Items};

/// The format of the decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum OutputFormat {
    /// The line `Send additional promo code to: EMAIL, True`
    #[default]
    Text,
    /// The same line after its length, a 4-byte big-endian number, as a Wallaroo receiver reads it
    Framed,
    /// One JSON object per line, with every field of the conversion
    Jsonl,
    /// CSV with a header row, with every field of the conversion
    Csv,
}

/// Renders decisions.
#[derive(Debug, Clone, Copy, Default)]
pub struct DecisionEncoder {
    /// The format.
    pub format: OutputFormat,
    /// Write only the decisions to send a code.
    pub send_only: bool,
}

const TEXT_PREFIX: &[u8] = b"Send additional promo code to: ";

impl DecisionEncoder {
    /// Whether decisions are written with more fields of the conversion than the email.
    pub const fn needs_fields(&self) -> bool {
        matches!(self.format, OutputFormat::Jsonl | OutputFormat::Csv)
    }

    /// The bytes before the first decision.
    pub fn header(&self) -> Vec<u8> {
        let mut header = Vec::new();
        if self.format == OutputFormat::Csv {
            write_csv_header(&mut header);
        }
        header
    }

    /// Appends the decisions for `conversions` to `out`, in order.
    ///
    /// # Panics
    /// When one of them is not a conversion.
    #[inline]
    pub fn encode<'a>(&self, conversions: impl Iterator<Item = (Event<'a>, Decision)>, out: &mut Vec<u8>) {
        let conversions = conversions.filter(|(_, decision)| decision.send || !self.send_only);
        match self.format {
            // `for_each` compiles to one loop, where `for` calls the filters of the iterator for every event.
            OutputFormat::Text => conversions.for_each(|(event, decision)| {
                push_text(&event, decision, out);
                out.push(b'\n');
            }),
            OutputFormat::Framed => conversions.for_each(|(event, decision)| {
                push_frame(out, |out| push_text(&event, decision, out));
            }),
            OutputFormat::Jsonl => write_json_lines(conversions, out),
            OutputFormat::Csv => write_csv_rows(conversions, out),
        }
    }
}

#[inline]
fn push_text(event: &Event<'_>, decision: Decision, out: &mut Vec<u8>) {
    out.extend_from_slice(TEXT_PREFIX);
    out.extend_from_slice(event.email);
    out.extend_from_slice(if decision.send { b", True" } else { b", False" });
}

/// The columns after those of the conversion.
const DECISION_COLUMNS: [&str; 2] = ["send", "enrolled"];

const IN_MEMORY: &str = "writing to memory does not fail, and all rows have the same number of fields";

fn write_csv_header(out: &mut Vec<u8>) {
    let mut writer = csv_writer(out);
    writer.write_record(CONVERSION_COLUMNS.iter().chain(&DECISION_COLUMNS)).expect(IN_MEMORY);
    writer.flush().expect(IN_MEMORY);
}

fn csv_writer(out: &mut Vec<u8>) -> csv::Writer<&mut Vec<u8>> {
    WriterBuilder::new().terminator(Terminator::Any(b'\n')).from_writer(out)
}

/// Appends a CSV row for each conversion. Fields that the type of conversion does not have are empty. Bytes that are not
/// UTF-8 are written unchanged.
fn write_csv_rows<'a>(conversions: impl Iterator<Item = (Event<'a>, Decision)>, out: &mut Vec<u8>) {
    let mut writer = csv_writer(out);
    let (mut row, mut list) = (ByteRecord::new(), Vec::new());
    for (event, decision) in conversions {
        let conversion = event.conversion().expect("only conversions that were decoded are encoded");
        let (channel, items, total_cost) = optional_fields(&conversion);
        list.clear();
        items.into_iter().for_each(|items| push_items(items, &mut list));
        row.clear();
        for field in [
            conversion.promo,
            conversion.kind().name().as_bytes(),
            conversion.email,
            channel.unwrap_or_default(),
            &list,
            total_cost.unwrap_or_default(),
            bool_text(decision.send),
            bool_text(decision.enrolled),
        ] {
            row.push_field(field);
        }
        writer.write_byte_record(&row).expect(IN_MEMORY);
    }
    writer.flush().expect(IN_MEMORY);
}

const fn bool_text(value: bool) -> &'static [u8] {
    if value { b"true" } else { b"false" }
}

/// The channel, the items and the total cost, if the type of conversion has them.
const fn optional_fields<'a>(conversion: &Conversion<'a>) -> (Option<&'a [u8]>, Option<Items<'a>>, Option<&'a [u8]>) {
    match conversion.action {
        Action::Click { channel } => (Some(channel), None, None),
        Action::Basket { items } => (None, Some(items), None),
        Action::Purchase { items, total_cost } => (None, Some(items), Some(total_cost.as_bytes())),
    }
}

/// Appends items in the input format, such as `[6;14]`.
fn push_items(items: Items<'_>, list: &mut Vec<u8>) {
    list.push(b'[');
    for (index, id) in items.iter().enumerate() {
        if index > 0 {
            list.push(b';');
        }
        list.extend_from_slice(id);
    }
    list.push(b']');
}

/// A JSON line. All lines have the same keys; a field that the type of conversion does not have is `null`. The total
/// cost is a string, so no reader rounds it to a binary float. U+FFFD replaces each maximal invalid sequence.
#[derive(Serialize)]
struct DecisionLine<'a> {
    promo: Cow<'a, str>,
    conversion: &'static str,
    email: Cow<'a, str>,
    #[serde(rename = "where")]
    channel: Option<Cow<'a, str>>,
    items: Option<ItemIds<'a>>,
    total_cost: Option<Cow<'a, str>>,
    send: bool,
    enrolled: bool,
}

impl<'a> DecisionLine<'a> {
    fn new(conversion: &Conversion<'a>, decision: Decision) -> Self {
        let (channel, items, total_cost) = optional_fields(conversion);
        Self {
            promo: String::from_utf8_lossy(conversion.promo),
            conversion: conversion.kind().name(),
            email: String::from_utf8_lossy(conversion.email),
            channel: channel.map(String::from_utf8_lossy),
            items: items.map(ItemIds),
            total_cost: total_cost.map(String::from_utf8_lossy),
            send: decision.send,
            enrolled: decision.enrolled,
        }
    }
}

/// Items as a JSON array, without a list of them in memory.
struct ItemIds<'a>(Items<'a>);

impl Serialize for ItemIds<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(String::from_utf8_lossy))
    }
}

fn write_json_lines<'a>(conversions: impl Iterator<Item = (Event<'a>, Decision)>, out: &mut Vec<u8>) {
    for (event, decision) in conversions {
        let conversion = event.conversion().expect("only conversions that were decoded are encoded");
        json_line(&DecisionLine::new(&conversion, decision), &mut *out)
            .expect("writing strings to memory does not fail");
    }
}

/// Writes the loyalty list at the end of a run, in the text format of the input.
///
/// `members` are pairs of the email, and the other fields with a comma before each.
///
/// A row that would be longer than `max_record_bytes` is written without spaces after its commas. Then it is not longer
/// than the original record, and can be read with the same limit.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_saved_list<'a>(
    members: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    max_record_bytes: usize,
    out: &mut impl Write,
) -> io::Result<()> {
    for (index, (email, fields)) in members.enumerate() {
        if index == 0 && is_ambiguous_as_text(email) {
            out.write_all(BYTE_ORDER_MARK)?;
        }
        out.write_all(email)?;
        if email.len() + fields.len() > max_record_bytes {
            for field in fields.split(|&byte| byte == b',').skip(1) {
                out.write_all(b",")?;
                out.write_all(trim(field))?;
            }
        } else {
            out.write_all(fields)?;
        }
        out.write_all(b"\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_at_the_limit_is_written_without_spaces() {
        let members: [(&[u8], &[u8]); 2] = [(b"a@x", b", fb, in, F"), (b"b@x", b", , , ")];
        for (limit, saved) in [(100, "a@x, fb, in, F\nb@x, , , \n"), (11, "a@x,fb,in,F\nb@x, , , \n")] {
            let mut out = Vec::new();
            write_saved_list(members.into_iter(), limit, &mut out).unwrap();
            assert_eq!(out, saved.as_bytes());
        }
    }
}
