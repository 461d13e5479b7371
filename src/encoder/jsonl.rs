//! One JSON object a line.
//!
//! Every object has the same keys; what a type of conversion does not have is `null`. The total cost is a string, so
//! that no reader can make a binary float of it. JSON is UTF-8: bytes that are not become U+FFFD, the replacement
//! character, and never cost a record.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;

use crate::campaign::{Decision, Event};
use crate::record::{Action, Conversion, Items, TotalCost};

#[derive(Serialize)]
struct Line<'a> {
    promo: Cow<'a, str>,
    conversion: &'static str,
    email: Cow<'a, str>,
    #[serde(rename = "where")]
    channel: Option<Cow<'a, str>>,
    items: Option<Vec<Cow<'a, str>>>,
    total_cost: Option<Cow<'a, str>>,
    send: bool,
    enrolled: bool,
}

impl<'a> Line<'a> {
    fn new(conversion: &Conversion<'a>, decision: Decision) -> Self {
        let (channel, items, total_cost) = match conversion.action {
            Action::Click { channel } => (Some(text(channel)), None, None),
            Action::Basket { items } => (None, Some(ids(items)), None),
            Action::Purchase { items, total_cost } => (None, Some(ids(items)), Some(digits(total_cost))),
        };
        Self {
            promo: text(conversion.promo),
            conversion: conversion.action.kind().name(),
            email: text(conversion.email.as_bytes()),
            channel,
            items,
            total_cost,
            send: decision.send,
            enrolled: decision.enrolled,
        }
    }
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn ids(items: Items<'_>) -> Vec<Cow<'_, str>> {
    items.iter().map(text).collect()
}

fn digits(total_cost: TotalCost<'_>) -> Cow<'_, str> {
    text(total_cost.as_bytes())
}

/// Writes `value` as a line of its own.
///
/// # Errors
/// When a write fails.
pub fn write_json_line(value: &impl Serialize, mut out: impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut out, value)?;
    out.write_all(b"\n")
}

/// Appends a line for each conversion.
pub(super) fn lines<'a>(conversions: impl Iterator<Item = (Event<'a>, Decision)>, out: &mut Vec<u8>) {
    for (event, decision) in conversions {
        if let Some(conversion) = event.conversion() {
            let start = out.len();
            if write_json_line(&Line::new(&conversion, decision), &mut *out).is_err() {
                // Neither strings nor memory can fail.
                out.truncate(start);
            }
        }
    }
}
