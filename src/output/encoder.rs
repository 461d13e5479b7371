//! Renders decisions as text, frames, JSON Lines, CSV or emails.
//!
//! The encoder appends to a buffer and has no state, so several threads can encode slices in parallel.

use std::borrow::Cow;

use clap::ValueEnum;
use csv::{ByteRecord, Terminator, WriterBuilder};
use serde::{Serialize, Serializer};

use crate::campaign::{Decision, Event};
use crate::escape::json_line;
use crate::input::push_frame;
use crate::record::{Action, Column, Conversion, Items, TotalCost};

/// The format of the decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum OutputFormat {
    /// The line `Send additional promo code to: EMAIL, True`
    #[default]
    Text,
    /// The same line, preceded by its length, a 4-byte big-endian integer, as a Wallaroo receiver reads it
    Framed,
    /// One JSON object per line, with every field of the conversion
    Jsonl,
    /// CSV with a header row, with every field of the conversion
    Csv,
    /// One email per line, for the decisions to send a code; an email with several codes occurs several times
    Emails,
}

/// Renders decisions.
#[derive(Debug, Clone, Copy, Default)]
pub struct DecisionEncoder {
    /// The format.
    pub format: OutputFormat,
    /// Write only the decisions to send a code.
    pub send_only: bool,
    /// Write the times of the conversions in JSON Lines and CSV.
    pub with_times: bool,
    /// Write the reasons and the codes in JSON Lines and CSV, because the campaign has a policy.
    pub with_policy: bool,
}

/// A conversion and its decision.
#[derive(Debug, Clone, Copy)]
pub struct DecidedConversion<'a> {
    /// The conversion.
    pub event: Event<'a>,
    /// The decision.
    pub decision: Decision,
    /// The code that is sent; empty if the campaign has no codes.
    pub code: &'a [u8],
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
            self.write_csv_header(&mut header);
        }
        header
    }

    /// Appends the decisions for `conversions` to `out`, in order.
    ///
    /// # Panics
    /// When one of them is not a conversion.
    #[inline]
    pub fn encode<'a>(&self, conversions: impl Iterator<Item = DecidedConversion<'a>>, out: &mut Vec<u8>) {
        let sends_only = self.send_only || self.format == OutputFormat::Emails;
        let conversions = conversions.filter(move |decided| decided.decision.send || !sends_only);
        match self.format {
            // `for_each` compiles to one loop, where `for` calls the filters of the iterator for every event.
            OutputFormat::Text => conversions.for_each(|DecidedConversion { event, decision, .. }| {
                push_text(&event, decision, out);
                out.push(b'\n');
            }),
            OutputFormat::Framed => conversions.for_each(|DecidedConversion { event, decision, .. }| {
                push_frame(out, |out| push_text(&event, decision, out));
            }),
            OutputFormat::Emails => conversions.for_each(|DecidedConversion { event, .. }| {
                out.extend_from_slice(event.email);
                out.push(b'\n');
            }),
            OutputFormat::Jsonl => self.write_json_lines(conversions, out),
            OutputFormat::Csv => self.write_csv_rows(conversions, out),
        }
    }

    fn write_csv_header(&self, out: &mut Vec<u8>) {
        let mut writer = csv_writer(out);
        let time = self.with_times.then_some(Column::Time);
        let policy = self.with_policy.then_some(POLICY_COLUMNS);
        let columns = Column::CONVERSION.into_iter().chain(time).map(Column::name).chain(DECISION_COLUMNS);
        writer.write_record(columns.chain(policy.into_iter().flatten())).expect(IN_MEMORY);
        writer.flush().expect(IN_MEMORY);
    }

    /// Appends a CSV row for each conversion. Fields that the type of conversion does not have are empty. Bytes that are
    /// not UTF-8 are written unchanged.
    fn write_csv_rows<'a>(&self, conversions: impl Iterator<Item = DecidedConversion<'a>>, out: &mut Vec<u8>) {
        let mut writer = csv_writer(out);
        let (mut row, mut list) = (ByteRecord::new(), Vec::new());
        conversions.for_each(|DecidedConversion { event, decision, code }| {
            let conversion = event.conversion().expect(IS_CONVERSION);
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
            ] {
                row.push_field(field);
            }
            if self.with_times {
                row.push_field(conversion.time.unwrap_or_default());
            }
            row.push_field(bool_text(decision.send));
            row.push_field(bool_text(decision.enrolled));
            if self.with_policy {
                row.push_field(decision.reason(conversion.kind()).name().as_bytes());
                row.push_field(code);
            }
            writer.write_byte_record(&row).expect(IN_MEMORY);
        });
        writer.flush().expect(IN_MEMORY);
    }

    fn write_json_lines<'a>(&self, conversions: impl Iterator<Item = DecidedConversion<'a>>, out: &mut Vec<u8>) {
        conversions.for_each(|decided| {
            let conversion = decided.event.conversion().expect(IS_CONVERSION);
            let line = DecisionLine::new(&conversion, &decided, self.with_policy);
            json_line(&line, &mut *out).expect("writing strings to memory does not fail");
        });
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

/// The columns after these, if the campaign has a policy.
const POLICY_COLUMNS: [&str; 2] = ["reason", "code"];

const IS_CONVERSION: &str = "only conversions that were decoded are encoded";

const IN_MEMORY: &str = "writing to memory does not fail, and all rows have the same number of fields";

fn csv_writer(out: &mut Vec<u8>) -> csv::Writer<&mut Vec<u8>> {
    WriterBuilder::new().terminator(Terminator::Any(b'\n')).from_writer(out)
}

const fn bool_text(value: bool) -> &'static [u8] {
    if value { b"true" } else { b"false" }
}

/// The channel, the items and the total cost, if the conversion has them.
fn optional_fields<'a>(conversion: &Conversion<'a>) -> (Option<&'a [u8]>, Option<Items<'a>>, Option<&'a [u8]>) {
    match conversion.action {
        Action::Click { channel } => (Some(channel), None, None),
        Action::Basket { items } => (None, Some(items), None),
        Action::Purchase { items, total_cost } => (None, Some(items), total_cost.map(TotalCost::as_bytes)),
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
    /// Only if a column has the times.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Cow<'a, str>>,
    send: bool,
    enrolled: bool,
    /// Only if the campaign has a policy.
    #[serde(flatten)]
    policy: Option<PolicyFields<'a>>,
}

#[derive(Serialize)]
struct PolicyFields<'a> {
    reason: &'static str,
    code: Option<Cow<'a, str>>,
}

impl<'a> DecisionLine<'a> {
    fn new(conversion: &Conversion<'a>, decided: &DecidedConversion<'a>, with_policy: bool) -> Self {
        let DecidedConversion { decision, code, .. } = *decided;
        let code = Some(code).filter(|code| !code.is_empty()).map(String::from_utf8_lossy);
        let reason = decision.reason(conversion.kind()).name();
        let (channel, items, total_cost) = optional_fields(conversion);
        Self {
            promo: String::from_utf8_lossy(conversion.promo),
            conversion: conversion.kind().name(),
            email: String::from_utf8_lossy(conversion.email),
            channel: channel.map(String::from_utf8_lossy),
            items: items.map(ItemIds),
            total_cost: total_cost.map(String::from_utf8_lossy),
            time: conversion.time.map(String::from_utf8_lossy),
            send: decision.send,
            enrolled: decision.enrolled,
            policy: with_policy.then_some(PolicyFields { reason, code }),
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
