//! One record: a loyalty row or a conversion, or the reason why it is neither.
//!
//! A record is one line of text, the payload of one frame, or one CSV row. [`Decoder`] checks it and finds its fields,
//! which all later steps use. This module does no I/O and keeps no state.

pub mod column;
mod decoder;
pub mod field;
mod table;
mod time;
mod types;

use thiserror::Error;

use crate::escape::Quoted;

pub use column::{Column, ColumnNames, TableFields, TableRules, TypeNames};
#[cfg(test)]
pub use decoder::tests::decode;
pub use decoder::{Decoder, MD5_DIGITS, SourceKind, is_digest};
pub use field::{Bytes, Span};
pub use table::{check_table_email, complete_fields, decode_table, decode_usual_table};
pub use time::{Time, TimeWindow};
pub use types::{
    Action, Conversion, ConversionKind, DecodedRecord, FieldSpans, Items, LoyaltyRow, RecordKind, TotalCost,
};

/// The reason why a record is bad, as a message with a remedy. Its location is in [`crate::location`].
///
/// An error borrows the invalid bytes, so rejecting a record does not allocate. Fields and emails in it are stripped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RecordError<'a> {
    /// A frame of length 0. Blank lines of text are skipped before decoding.
    #[error("the frame is empty")]
    Empty,
    #[error("the record is longer than {limit} bytes (--max-record-bytes sets the limit)")]
    TooLong { limit: usize },
    /// A frame whose length consists of printable text.
    #[error("the frame length is the text {} (is this plain text, and not framed?)", Quoted(length))]
    TextAsFrameLength { length: &'a [u8] },
    /// Fewer fields than the kind of the record needs. `what` is that kind with its article, `fields` are the names of
    /// the fields that it needs.
    #[error(
        "expected {what} with {} fields ({}), found {found}{}",
        fields.len(),
        fields.join(", "),
        layout_hint(*found, what, record)
    )]
    TooFewFields { what: &'static str, fields: &'static [&'static str], found: usize, record: &'a [u8] },
    /// The second field of a conversion is not one of the three types.
    #[error(
        "unknown conversion type {} (expected ClickConversion, BasketConversion or PurchaseConversion){}",
        Quoted(name),
        conversion_hint(promo, name)
    )]
    UnknownConversion { promo: &'a [u8], name: &'a [u8] },
    /// An unknown conversion type in CSV or JSON Lines.
    #[error(
        "unknown conversion type {0} (expected click, basket or purchase); map it with --type click={0}, or ignore \
         it with --type ignore={0}",
        Quoted(name)
    )]
    UnknownType { name: &'a [u8] },
    /// A conversion in a loyalty list. Read as a loyalty row, it would make its promo a member.
    #[error("this is a {kind}, not a loyalty row (are --loyalty and --conversions swapped?)")]
    ConversionInList { kind: &'static str },
    #[error("the email is empty")]
    EmptyEmail,
    /// A value of a suppression list.
    #[error(
        "{} is not an email, nor an MD5 or SHA-256 digest of one (32 or 64 hexadecimal digits); a CSV file needs a header \
         row with a column email",
        Quoted(value)
    )]
    NotAnEmail { value: &'a [u8] },
    /// A control byte in an email. It could forge output, and no mailer accepts it.
    #[error("the email {} contains a control byte (0x{byte:02x})", Quoted(email))]
    ControlInEmail { email: &'a [u8], byte: u8 },
    /// A comma in an email, possible only in CSV. The text after it could be mistaken for the decision.
    #[error("the email {} contains a comma", Quoted(email))]
    CommaInEmail { email: &'a [u8] },
    /// A CSV row with more or fewer fields than its header row.
    #[error("expected {header} fields as in the header row, found {row}")]
    WrongWidth { header: u32, row: u32 },
    /// A CSV row with quotes that RFC 4180 does not allow.
    #[error("a quoted field is not closed, or there is text before or after its quotes")]
    Misquoted,
    /// A row of CSV that needs a column, or an object of JSON Lines that needs a key, that it does not have. `what` is
    /// its kind with its article.
    #[error(
        "{what} needs \"{column}\", which this record does not have; if it has another name, add --column {column}=NAME"
    )]
    MissingColumn { what: &'static str, column: &'static str },
    /// An object of JSON Lines that is not valid JSON. `at` is the number of a byte in the line, counted from 1.
    #[error("the line is not a JSON object (byte {at} of the line is unexpected)")]
    InvalidJson { at: usize },
    #[error("the key \"{key}\" occurs twice")]
    DuplicateKey { key: &'static str },
    #[error("\"{key}\" is not a string or a number")]
    WrongJsonType { key: &'static str },
    /// A key that a saved list would lose.
    #[error("the key {} would be lost when the saved list replaces this file; save to another file", Quoted(key))]
    UnknownKey { key: &'a [u8] },
    #[error("a key with an escape would be lost when the saved list replaces this file; save to another file")]
    UnknownEscapedKey,
    #[error(
        "the time {} is not a time (expected something like 2024-05-01T10:00:00Z, or seconds since 1970)",
        Quoted(time)
    )]
    BadTime { time: &'a [u8] },
    #[error(
        "the items {} are not a list of ids (expected something like [6;14]; --column items=- ignores them)",
        Quoted(items)
    )]
    BadItemList { items: &'a [u8] },
    /// Not bad, but not decided: a type that `--type` ignores, or a time outside `--since` and `--until`.
    #[error("the record is ignored")]
    Ignored,
    #[error("the items {} are not in brackets (expected something like [6;14])", Quoted(items))]
    ItemsWithoutBrackets { items: &'a [u8] },
    /// Items with nothing between two separators.
    #[error("the items {} contain an empty id (expected something like [6;14])", Quoted(items))]
    EmptyItem { items: &'a [u8] },
    #[error("the item id {} contains a bracket or a control byte", Quoted(id))]
    BadItem { id: &'a [u8] },
    #[error(
        "the total cost {} is not a decimal number (expected something like 18.64){}",
        Quoted(cost),
        decimal_comma_hint(cost)
    )]
    BadTotalCost { cost: &'a [u8] },
}

impl RecordError<'_> {
    /// Whether the record is beyond the limit, so its content was not checked.
    pub const fn is_too_long(&self) -> bool {
        matches!(self, Self::TooLong { .. } | Self::TextAsFrameLength { .. })
    }
}

/// A hint for a record with an unknown conversion type.
fn conversion_hint(promo: &[u8], name: &[u8]) -> &'static str {
    if name.strip_prefix(b"\"").unwrap_or(name).starts_with(b"conversion") {
        "; if this is CSV with a header row, add --conversions-format csv"
    } else if ConversionKind::from_short_name(name).is_some() {
        "; if this is CSV without a header row, add --conversions-columns with its columns in order"
    } else if promo.contains(&b'@') {
        "; are --loyalty and --conversions swapped?"
    } else {
        ""
    }
}

/// A hint for a total cost with a comma, such as `12,50`.
fn decimal_comma_hint(cost: &[u8]) -> &'static str {
    if cost.contains(&b',') { "; use a decimal point, and no other separators" } else { "" }
}

/// A hint for a record with too few fields that may be a row of CSV.
fn layout_hint(found: usize, what: &str, record: &[u8]) -> &'static str {
    if found == 1 && record.iter().any(|byte| matches!(byte, b';' | b'\t')) {
        "; fields are separated by commas only"
    } else if found == 1 && record.contains(&b'@') {
        "; for a list of emails only, add --loyalty-columns email"
    } else if what == decoder::LOYALTY_ROW && record.contains(&b'@') {
        "; for CSV without a header row, add --loyalty-columns with its columns in order"
    } else {
        ""
    }
}
