//! The seed's own line, and the same in a frame.

use crate::campaign::{Decision, Event};

const PREFIX: &[u8] = b"Send additional promo code to: ";

const fn answer(decision: Decision) -> &'static [u8] {
    if decision.send { b", True" } else { b", False" }
}

/// Appends a line for each conversion.
#[inline]
pub(super) fn lines<'a>(conversions: impl Iterator<Item = (Event<'a>, Decision)>, out: &mut Vec<u8>) {
    for (event, decision) in conversions {
        out.extend_from_slice(PREFIX);
        out.extend_from_slice(event.email);
        out.extend_from_slice(if decision.send { b", True\n" } else { b", False\n" });
    }
}

/// Appends a frame for each conversion: the line without its line feed.
pub(super) fn frames<'a>(conversions: impl Iterator<Item = (Event<'a>, Decision)>, out: &mut Vec<u8>) {
    for (event, decision) in conversions {
        let parts = [PREFIX, event.email, answer(decision)];
        // A record is at most 1 GiB long, and so is what is said about it.
        let len = parts.iter().map(|part| part.len()).sum::<usize>() as u32;
        out.extend_from_slice(&len.to_be_bytes());
        parts.iter().for_each(|part| out.extend_from_slice(part));
    }
}
