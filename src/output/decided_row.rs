//! Writes a conversion with all its fields and its decision, as a row of CSV or a line of JSON.
//!
//! The rows are those of the csv crate and of serde_json; the tests compare them. Writing them directly takes a third of
//! the time.

use super::encoder::{DecidedConversion, DecisionEncoder};
use crate::campaign::Reason;
use crate::escape::{push_csv_field, push_json_string};
use crate::lanes::{self, ShortText};
use crate::record::{Action, Conversion, ConversionKind, Items, TotalCost};

const IS_CONVERSION: &str = "only conversions that were decoded are encoded";

/// The fields `send` and `enrolled`, each after its comma, by their values.
const SEND_AND_ENROLLED: [[ShortText; 2]; 2] = [
    [ShortText::new(",false,false"), ShortText::new(",false,true")],
    [ShortText::new(",true,false"), ShortText::new(",true,true")],
];

/// The names of the reasons, in the order of [`Reason::ALL`].
const REASONS: [ShortText; Reason::ALL.len()] = {
    let mut names = [ShortText::new(""); Reason::ALL.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = ShortText::new(Reason::ALL[index].name());
        index += 1;
    }
    names
};

/// The channel, the items and the total cost, if the conversion has them.
fn optional_fields<'a>(conversion: &Conversion<'a>) -> (Option<&'a [u8]>, Option<Items<'a>>, Option<&'a [u8]>) {
    match conversion.action {
        Action::Click { channel } => (Some(channel), None, None),
        Action::Basket { items } => (None, Some(items), None),
        Action::Purchase { items, total_cost } => (None, Some(items), total_cost.map(TotalCost::as_bytes)),
    }
}

/// Appends a CSV row. Fields that the type of conversion does not have are empty. Bytes that are not UTF-8 are written
/// unchanged.
#[inline]
pub(super) fn push_csv_row(encoder: &DecisionEncoder, decided: &DecidedConversion<'_>, out: &mut Vec<u8>) {
    let DecidedConversion { event, decision, code } = decided;
    let conversion = event.conversion().expect(IS_CONVERSION);
    let (channel, items, total_cost) = optional_fields(&conversion);
    push_csv_field(conversion.promo, out);
    out.extend_from_slice(match conversion.kind() {
        ConversionKind::Click => b",ClickConversion,",
        ConversionKind::Basket => b",BasketConversion,",
        ConversionKind::Purchase => b",PurchaseConversion,",
    });
    push_csv_field(conversion.email, out);
    out.push(b',');
    push_csv_field(channel.unwrap_or_default(), out);
    out.push(b',');
    if let Some(items) = items {
        push_csv_items(items, out);
    }
    out.push(b',');
    // Digits, a sign and a point need no quotes.
    out.extend_from_slice(total_cost.unwrap_or_default());
    if encoder.with_times {
        out.push(b',');
        push_csv_field(conversion.time.unwrap_or_default(), out);
    }
    SEND_AND_ENROLLED[usize::from(decision.send)][usize::from(decision.enrolled)].push(out);
    if encoder.with_policy {
        out.push(b',');
        REASONS[decision.reason(conversion.kind()) as usize].push(out);
        out.push(b',');
        push_csv_field(code, out);
    }
    out.push(b'\n');
}

/// Appends items in the input format, such as `[6;14]`.
#[inline]
fn push_csv_items(items: Items<'_>, out: &mut Vec<u8>) {
    let text = items.as_bytes();
    if !lanes::any(text, lanes::one_of(*b",\"\r\n\t\x0b\x0c ")) {
        // There are no spaces around ids.
        out.push(b'[');
        out.extend_from_slice(text);
        out.push(b']');
        return;
    }
    let mut list = vec![b'['];
    for (index, id) in items.iter().enumerate() {
        if index > 0 {
            list.push(b';');
        }
        list.extend_from_slice(id);
    }
    list.push(b']');
    push_csv_field(&list, out);
}

/// Appends a JSON line. All lines have the same keys; a field that the type of conversion does not have is `null`. The
/// total cost is a string, so no reader rounds it to a binary float.
#[inline]
pub(super) fn push_json_line(encoder: &DecisionEncoder, decided: &DecidedConversion<'_>, out: &mut Vec<u8>) {
    let DecidedConversion { event, decision, code } = decided;
    let conversion = event.conversion().expect(IS_CONVERSION);
    let (channel, items, total_cost) = optional_fields(&conversion);
    out.extend_from_slice(br#"{"promo":"#);
    push_json_string(conversion.promo, out);
    out.extend_from_slice(match conversion.kind() {
        ConversionKind::Click => br#","conversion":"ClickConversion","email":"#,
        ConversionKind::Basket => br#","conversion":"BasketConversion","email":"#,
        ConversionKind::Purchase => br#","conversion":"PurchaseConversion","email":"#,
    });
    push_json_string(conversion.email, out);
    out.extend_from_slice(br#","where":"#);
    push_json_optional(channel, out);
    out.extend_from_slice(br#","items":"#);
    push_json_items(items, out);
    out.extend_from_slice(br#","total_cost":"#);
    push_json_optional(total_cost, out);
    if let Some(time) = conversion.time {
        out.extend_from_slice(br#","time":"#);
        push_json_string(time, out);
    }
    out.extend_from_slice(match (decision.send, decision.enrolled) {
        (false, false) => br#","send":false,"enrolled":false"#,
        (false, true) => br#","send":false,"enrolled":true"#,
        (true, false) => br#","send":true,"enrolled":false"#,
        (true, true) => br#","send":true,"enrolled":true"#,
    });
    if encoder.with_policy {
        out.extend_from_slice(br#","reason":""#);
        out.extend_from_slice(decision.reason(conversion.kind()).name().as_bytes());
        out.extend_from_slice(br#"","code":"#);
        push_json_optional(Some(*code).filter(|code| !code.is_empty()), out);
    }
    out.extend_from_slice(b"}\n");
}

#[inline]
fn push_json_optional(text: Option<&[u8]>, out: &mut Vec<u8>) {
    match text {
        Some(text) => push_json_string(text, out),
        None => out.extend_from_slice(b"null"),
    }
}

/// Appends items as a JSON array.
#[inline]
fn push_json_items(items: Option<Items<'_>>, out: &mut Vec<u8>) {
    let Some(items) = items else { return out.extend_from_slice(b"null") };
    out.push(b'[');
    for (index, id) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_json_string(id, out);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;
    use serde::Serialize;

    use super::*;
    use crate::campaign::{Decision, Event, Gate};
    use crate::escape::json_line;
    use crate::output::OutputFormat;
    use crate::record::{Bytes, FieldSpans, RecordKind, Span};

    /// A line as serde writes it.
    #[derive(Serialize)]
    struct Line<'a> {
        promo: Cow<'a, str>,
        conversion: &'static str,
        email: Cow<'a, str>,
        r#where: Option<Cow<'a, str>>,
        items: Option<Vec<Cow<'a, str>>>,
        total_cost: Option<Cow<'a, str>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        time: Option<Cow<'a, str>>,
        send: bool,
        enrolled: bool,
        #[serde(flatten)]
        policy: Option<PolicyFields<'a>>,
    }

    #[derive(Serialize)]
    struct PolicyFields<'a> {
        reason: &'static str,
        code: Option<Cow<'a, str>>,
    }

    fn serde_line(encoder: &DecisionEncoder, decided: &DecidedConversion<'_>) -> Vec<u8> {
        let DecidedConversion { event, decision, code } = *decided;
        let conversion = event.conversion().unwrap();
        let (channel, items, total_cost) = optional_fields(&conversion);
        let text = String::from_utf8_lossy;
        let reason = decision.reason(conversion.kind()).name();
        let code = (!code.is_empty()).then(|| text(code));
        let line = Line {
            promo: text(conversion.promo),
            conversion: conversion.kind().name(),
            email: text(conversion.email),
            r#where: channel.map(text),
            items: items.map(|items| items.iter().map(text).collect()),
            total_cost: total_cost.map(text),
            time: conversion.time.map(text),
            send: decision.send,
            enrolled: decision.enrolled,
            policy: encoder.with_policy.then_some(PolicyFields { reason, code }),
        };
        let mut out = Vec::new();
        json_line(&line, &mut out).unwrap();
        out
    }

    fn csv_row(encoder: &DecisionEncoder, decided: &DecidedConversion<'_>) -> Vec<u8> {
        let DecidedConversion { event, decision, code } = *decided;
        let conversion = event.conversion().unwrap();
        let (channel, items, total_cost) = optional_fields(&conversion);
        let items = items.map(|items| [b"[", &items.iter().collect::<Vec<_>>().join(&b';')[..], b"]"].concat());
        let (send, enrolled) = (decision.send.to_string(), decision.enrolled.to_string());
        let mut row = vec![conversion.promo, conversion.kind().name().as_bytes(), conversion.email];
        row.extend([channel.unwrap_or_default(), items.as_deref().unwrap_or_default(), total_cost.unwrap_or_default()]);
        row.extend(encoder.with_times.then_some(conversion.time.unwrap_or_default()));
        row.extend([send.as_bytes(), enrolled.as_bytes()]);
        if encoder.with_policy {
            row.extend([decision.reason(conversion.kind()).name().as_bytes(), code]);
        }
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(Vec::new());
        writer.write_record(row).unwrap();
        writer.into_inner().unwrap()
    }

    fn field() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            3 => "[a-z0-9.@_-]{0,40}".prop_map(String::into_bytes),
            1 => "[ a,;\"\\\\\\]\u{7f}é\u{202e}\n\r]{0,12}".prop_map(String::into_bytes),
            1 => prop::collection::vec(any::<u8>(), 0..20),
        ]
    }

    fn items() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            4 => "\\[[0-9]{1,3}(;[0-9]{1,3}){0,9}\\]",
            2 => "\\[ ?[0-9\",]{1,3}( ;[\t ]?[é\"a0-9]{1,3}){0,9} \\]",
            1 => "\\[ {0,2}\\]",
        ]
        .prop_map(String::into_bytes)
    }

    proptest! {
        #[test]
        fn rows_are_those_of_the_csv_crate_and_of_serde(
            (kind, promo, email, channel, items) in (0..3_usize, field(), field(), field(), items()),
            (cost, time) in (prop::option::of("-?[0-9]{1,4}[.][0-9]{2}"), prop::option::of(field())),
            (send, enrolled, stopped_by, code) in any::<(bool, bool, bool, Option<u32>)>(),
            (with_times, with_policy) in any::<(bool, bool)>(),
        ) {
            let kind = [ConversionKind::Click, ConversionKind::Basket, ConversionKind::Purchase][kind];
            let mut block = Vec::new();
            let mut span = |bytes: &[u8]| {
                let start = block.len();
                block.extend_from_slice(bytes);
                Span::in_block(start, block.len())
            };
            let second = if kind == ConversionKind::Click { span(&channel) } else { span(&items) };
            let cost = cost.filter(|_| kind == ConversionKind::Purchase);
            let third = cost.map_or(Span::ABSENT, |cost| span(cost.as_bytes()));
            let time = time.filter(|_| with_times).map_or(Span::ABSENT, |time| span(&time));
            let fields = FieldSpans { first: span(&promo), second, third, extra: Span::ABSENT, time };
            let email = span(&email);
            let event = Event::new(RecordKind::Conversion(kind), email, Some(&fields), Bytes::of_block(&block), 1);
            let decision = Decision { send, enrolled, stopped_by: stopped_by.then_some(Gate::Once) };
            let code = code.map(|code| format!("A,\"{code}")).unwrap_or_default();
            let decided = DecidedConversion { event, decision, code: code.as_bytes() };
            for (format, expected) in [
                (OutputFormat::Csv, csv_row as fn(&DecisionEncoder, &DecidedConversion<'_>) -> Vec<u8>),
                (OutputFormat::Jsonl, serde_line),
            ] {
                let encoder = DecisionEncoder { format, send_only: false, with_times, with_policy };
                let mut out = Vec::new();
                encoder.encode(std::iter::once(decided), &mut out);
                let (out, expected) = (String::from_utf8_lossy(&out), expected(&encoder, &decided));
                prop_assert_eq!(out, String::from_utf8_lossy(&expected));
            }
        }
    }
}
