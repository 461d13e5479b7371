//! The line that says whether to send a code, and the same in a frame.

use crate::campaign::{Decision, Event};
use crate::source::push_frame;

const PREFIX: &[u8] = b"Send additional promo code to: ";

#[inline]
fn push_line(event: &Event<'_>, decision: Decision, out: &mut Vec<u8>) {
    out.extend_from_slice(PREFIX);
    out.extend_from_slice(event.email);
    out.extend_from_slice(if decision.send { b", True" } else { b", False" });
}

/// Appends a line for each conversion.
#[inline]
pub(super) fn lines<'a>(conversions: impl Iterator<Item = (Event<'a>, Decision)>, out: &mut Vec<u8>) {
    for (event, decision) in conversions {
        push_line(&event, decision, out);
        out.push(b'\n');
    }
}

/// Appends a frame for each conversion: the line without its line feed.
pub(super) fn frames<'a>(conversions: impl Iterator<Item = (Event<'a>, Decision)>, out: &mut Vec<u8>) {
    for (event, decision) in conversions {
        push_frame(out, |out| push_line(&event, decision, out));
    }
}
