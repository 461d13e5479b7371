//! CSV with a header row, quoted as RFC 4180 has it. Bytes that are not UTF-8 stay as they are.

use csv::{ByteRecord, Terminator, Writer, WriterBuilder};

use crate::campaign::{Decision, Event};
use crate::record::{Action, CONVERSION_COLUMNS, Conversion, Items};

/// The columns behind those of the conversion itself.
const DECISION_COLUMNS: [&str; 2] = ["send", "enrolled"];

fn writer(out: &mut Vec<u8>) -> Writer<&mut Vec<u8>> {
    WriterBuilder::new().has_headers(false).terminator(Terminator::Any(b'\n')).from_writer(out)
}

/// The header row: the columns by which conversions can be read as CSV, and the decision.
pub(super) fn header() -> Vec<u8> {
    let mut out = Vec::new();
    // Memory cannot fail.
    let _ = writer(&mut out).write_record(CONVERSION_COLUMNS.iter().chain(&DECISION_COLUMNS));
    out
}

/// Appends a row for each conversion.
pub(super) fn rows<'a>(conversions: impl Iterator<Item = (Event<'a>, Decision)>, out: &mut Vec<u8>) {
    let mut writer = writer(out);
    let mut row = ByteRecord::new();
    let mut scratch = Vec::new();
    for (event, decision) in conversions {
        if let Some(conversion) = event.conversion() {
            fill(&mut row, &conversion, decision, &mut scratch);
            // Memory cannot fail, and every row has the same width.
            let _ = writer.write_byte_record(&row);
        }
    }
    let _ = writer.flush();
}

fn fill(row: &mut ByteRecord, conversion: &Conversion<'_>, decision: Decision, scratch: &mut Vec<u8>) {
    let (channel, items, total_cost) = match conversion.action {
        Action::Click { channel } => (channel, None, &b""[..]),
        Action::Basket { items } => (&b""[..], Some(items), &b""[..]),
        Action::Purchase { items, total_cost } => (&b""[..], Some(items), total_cost.as_bytes()),
    };
    scratch.clear();
    if let Some(items) = items {
        write_items(items, scratch);
    }
    let truth = |truth: bool| if truth { &b"true"[..] } else { b"false" };
    row.clear();
    row.push_field(conversion.promo);
    row.push_field(conversion.action.kind().name().as_bytes());
    row.push_field(conversion.email.as_bytes());
    row.push_field(channel);
    row.push_field(scratch);
    row.push_field(total_cost);
    row.push_field(truth(decision.send));
    row.push_field(truth(decision.enrolled));
}

/// Writes `[6;14]`, the way in which items are read.
fn write_items(items: Items<'_>, out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, id) in items.iter().enumerate() {
        if index > 0 {
            out.push(b';');
        }
        out.extend_from_slice(id);
    }
    out.push(b']');
}
