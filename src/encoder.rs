//! The encoder: how a decision is written.
//!
//! An encoder turns one decided conversion into bytes at the end of a buffer. Where the buffer goes is the sink's
//! matter.

use crate::campaign::{Decision, Event};

/// Writes the answer to one conversion.
pub trait Encoder<Answer>: Sync {
    /// Appends what is to be told of `event`, a conversion, to `out`.
    fn encode(&self, event: &Event<'_>, answer: Answer, out: &mut Vec<u8>);
}

/// `Send additional promo code to: EMAIL, True`, one line a conversion.
#[derive(Debug, Clone, Copy)]
pub struct TextEncoder {
    /// Write only the conversions that are answered with a code.
    pub send_only: bool,
}

impl Encoder<Decision> for TextEncoder {
    #[inline]
    fn encode(&self, event: &Event<'_>, decision: Decision, out: &mut Vec<u8>) {
        if self.send_only && !decision.send {
            return;
        }
        out.extend_from_slice(b"Send additional promo code to: ");
        out.extend_from_slice(event.email);
        out.extend_from_slice(if decision.send { b", True\n" } else { b", False\n" });
    }
}
