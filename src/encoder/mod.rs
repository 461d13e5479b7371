//! The encoder: how a decision is written.
//!
//! An encoder turns decided conversions into bytes at the end of a buffer, one run of them at a time. Where the buffer
//! goes is the sink's matter.

mod csv;
mod jsonl;
mod list;
mod text;

pub use jsonl::write_json_line;
pub use list::write_list;

use crate::campaign::{Decision, Event};

/// Writes the answers to conversions.
pub trait Encoder<Answer>: Sync {
    /// What stands before the first answer.
    fn preamble(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Appends what is to be told of `conversions` to `out`, in their order.
    fn encode<'a>(&self, conversions: impl Iterator<Item = (Event<'a>, Answer)>, out: &mut Vec<u8>);
}

/// Writes nothing, for whoever wants no answers but what the states hold at the end.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl<Answer> Encoder<Answer> for Silent {
    fn encode<'a>(&self, _conversions: impl Iterator<Item = (Event<'a>, Answer)>, _out: &mut Vec<u8>) {}
}

/// How decisions are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutputFormat {
    /// `Send additional promo code to: EMAIL, True`, one line a conversion.
    #[default]
    Text,
    /// The same without its line feed, behind its length in 4 bytes, big-endian.
    Framed,
    /// One JSON object a line, with every field of the conversion.
    Jsonl,
    /// CSV with a header row, with every field of the conversion.
    Csv,
}

/// Writes decisions.
#[derive(Debug, Clone, Copy, Default)]
pub struct DecisionEncoder {
    /// How.
    pub format: OutputFormat,
    /// Write only the conversions that are answered with a code.
    pub send_only: bool,
}

impl Encoder<Decision> for DecisionEncoder {
    fn preamble(&self) -> Vec<u8> {
        match self.format {
            OutputFormat::Csv => csv::header(),
            OutputFormat::Text | OutputFormat::Framed | OutputFormat::Jsonl => Vec::new(),
        }
    }

    #[inline]
    fn encode<'a>(&self, conversions: impl Iterator<Item = (Event<'a>, Decision)>, out: &mut Vec<u8>) {
        let wanted = conversions.filter(|(_, decision)| decision.send || !self.send_only);
        match self.format {
            OutputFormat::Text => text::lines(wanted, out),
            OutputFormat::Framed => text::frames(wanted, out),
            OutputFormat::Jsonl => jsonl::lines(wanted, out),
            OutputFormat::Csv => csv::rows(wanted, out),
        }
    }
}
