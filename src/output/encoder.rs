//! Renders decisions as text, frames, JSON Lines, CSV or emails.
//!
//! The encoder appends to a buffer and has no state, so several threads can encode slices in parallel.

use clap::ValueEnum;

use super::decided_row::{push_csv_row, push_json_line};
use crate::campaign::{Decision, Event};
use crate::input::push_frame;
use crate::lanes;
use crate::record::Column;

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
            }),
            OutputFormat::Framed => conversions.for_each(|DecidedConversion { event, decision, .. }| {
                push_frame(out, |out| {
                    push_text(&event, decision, out);
                    out.pop();
                });
            }),
            OutputFormat::Emails => conversions.for_each(|DecidedConversion { event, .. }| {
                out.extend_from_slice(event.email);
                out.push(b'\n');
            }),
            OutputFormat::Jsonl => conversions.for_each(|decided| push_json_line(self, &decided, out)),
            OutputFormat::Csv => conversions.for_each(|decided| push_csv_row(self, &decided, out)),
        }
    }

    fn write_csv_header(&self, out: &mut Vec<u8>) {
        let time = self.with_times.then_some(Column::Time);
        let policy = self.with_policy.then_some(POLICY_COLUMNS);
        let columns = Column::CONVERSION.into_iter().chain(time).map(Column::name).chain(DECISION_COLUMNS);
        let columns: Vec<_> = columns.chain(policy.into_iter().flatten()).collect();
        out.extend_from_slice(columns.join(",").as_bytes());
        out.push(b'\n');
    }
}

/// Appends a line of text. An email of usual length is stored in groups of 16 bytes over a template; what follows the
/// line is cut off.
#[inline]
fn push_text(event: &Event<'_>, decision: Decision, out: &mut Vec<u8>) {
    const TEMPLATE: [u8; LONGEST_LINE] = {
        let mut line = [0; LONGEST_LINE];
        line.split_at_mut(TEXT_PREFIX.len()).0.copy_from_slice(TEXT_PREFIX);
        line
    };
    let (email, end) = (event.email, if decision.send { *b", True\n\0" } else { *b", False\n" });
    let line_feed = TEXT_PREFIX.len() + email.len() + if decision.send { 6 } else { 7 };
    let (Some([first, middle, last]), true) = (lanes::groups(email), email.len() <= lanes::COVERED) else {
        out.extend_from_slice(TEXT_PREFIX);
        out.extend_from_slice(email);
        return out.extend_from_slice(&end[..line_feed + 1 - TEXT_PREFIX.len() - email.len()]);
    };
    let start = out.len();
    out.extend_from_slice(&TEMPLATE);
    let line: &mut [u8; LONGEST_LINE] = out.last_chunk_mut().expect("as many bytes were appended");
    let after_prefix = &mut line[TEXT_PREFIX.len()..];
    after_prefix[..first.len()].copy_from_slice(first);
    after_prefix[email.len() / 2 - middle.len() / 2..][..middle.len()].copy_from_slice(middle);
    after_prefix[email.len() - last.len()..][..last.len()].copy_from_slice(last);
    after_prefix[email.len()..][..end.len()].copy_from_slice(&end);
    out.truncate(start + line_feed + 1);
}

/// The longest line that is written over a template.
const LONGEST_LINE: usize = TEXT_PREFIX.len() + lanes::COVERED + b", False\n".len();

/// The columns after those of the conversion.
const DECISION_COLUMNS: [&str; 2] = ["send", "enrolled"];

/// The columns after these, if the campaign has a policy.
const POLICY_COLUMNS: [&str; 2] = ["reason", "code"];
