//! Why a record is bad, in words a person can act on.
//!
//! Where the record is (file, line, byte) is not known here; see [`crate::location`].

use thiserror::Error;

use super::ConversionKind;
use crate::escape::Quoted;

/// What is wrong with one record.
///
/// An error borrows the offending bytes, so that refusing a record allocates nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RecordError<'a> {
    /// A frame of length 0. A blank line of text never gets this far.
    #[error("the frame is empty")]
    Empty,
    /// Longer than `--max-record-bytes`.
    #[error("the record is longer than {limit} bytes (--max-record-bytes sets the limit)")]
    TooLong {
        /// The longest record that is accepted, in bytes.
        limit: usize,
    },
    /// A frame whose length consists of letters.
    #[error("the frame's length reads {} (is this plain text? drop --input-format framed)", Quoted(length))]
    TextAsFrameLength {
        /// The bytes that should be its length.
        length: &'a [u8],
    },
    /// Fewer fields than the record's kind needs.
    #[error(
        "expected {what} with {} fields ({}), found {found}{}",
        fields.len(),
        fields.join(", "),
        separator_hint(*found, record)
    )]
    TooFewFields {
        /// The kind of the record, with its article.
        what: &'static str,
        /// The names of the fields that the kind needs.
        fields: &'static [&'static str],
        /// How many fields the record has.
        found: usize,
        /// The record.
        record: &'a [u8],
    },
    /// The second field of a conversion is none of the three types.
    #[error(
        "unknown conversion type {} (expected ClickConversion, BasketConversion or PurchaseConversion){}",
        Quoted(name),
        hint(promo, name)
    )]
    UnknownConversion {
        /// The promo, stripped.
        promo: &'a [u8],
        /// What is in the place of the type.
        name: &'a [u8],
    },
    /// A conversion where a loyalty row should be. Read as a row, it would make its promo a member.
    #[error("this is a {}, not a loyalty row (are --loyalty and --conversions swapped?)", kind.name())]
    ConversionInList {
        /// Its type.
        kind: ConversionKind,
    },
    /// No email.
    #[error("the email is empty")]
    EmptyEmail,
    /// A byte that could forge output, or that no mailer accepts.
    #[error("the email {} contains a control byte (0x{byte:02x})", Quoted(email))]
    ControlInEmail {
        /// The email, stripped.
        email: &'a [u8],
        /// The first control byte in it.
        byte: u8,
    },
    /// A comma in an email, possible only in CSV: what follows it could be mistaken for the answer.
    #[error("the email {} contains a comma", Quoted(email))]
    CommaInEmail {
        /// The email, stripped.
        email: &'a [u8],
    },
    /// A CSV row that is not as wide as its header.
    #[error("expected {header} fields as in the header row, found {row}")]
    WrongWidth {
        /// How many columns the header has.
        header: u32,
        /// How many fields the row has.
        row: u32,
    },
    /// A CSV row with quotes where RFC 4180 has none.
    #[error("a quoted field is not closed, or there is text before or after its quotes")]
    Misquoted,
    /// A CSV row that needs a column which the header does not have.
    #[error("{what} needs a column \"{column}\", and the header row has none")]
    MissingColumn {
        /// The kind of the record, with its article.
        what: &'static str,
        /// The name of the column.
        column: &'static str,
    },
    /// Items that are not `[…]`.
    #[error("the items {} are not in brackets (expected something like [6;14])", Quoted(items))]
    ItemsWithoutBrackets {
        /// The whole field.
        items: &'a [u8],
    },
    /// Items with nothing between two separators.
    #[error("the items {} contain an empty id (expected something like [6;14])", Quoted(items))]
    EmptyItem {
        /// The whole field.
        items: &'a [u8],
    },
    /// An id with a bracket or a control byte in it.
    #[error("the item id {} contains a bracket or a control byte", Quoted(id))]
    BadItem {
        /// The id, stripped.
        id: &'a [u8],
    },
    /// A total cost that is not a decimal number.
    #[error("the total cost {} is not a decimal number (expected something like 18.64)", Quoted(cost))]
    BadTotalCost {
        /// The whole field.
        cost: &'a [u8],
    },
}

impl RecordError<'_> {
    /// Whether the record is beyond the limit, so that its content was not looked at.
    pub const fn is_too_long(&self) -> bool {
        matches!(self, Self::TooLong { .. } | Self::TextAsFrameLength { .. })
    }
}

/// A hint what a record with an unknown conversion type may be.
fn hint(promo: &[u8], name: &[u8]) -> &'static str {
    if name.strip_prefix(b"\"").unwrap_or(name).starts_with(b"conversion") {
        "; if this is CSV with a header row, add --conversions-format csv"
    } else if promo.contains(&b'@') {
        "; are --loyalty and --conversions swapped?"
    } else {
        ""
    }
}

/// A hint for a record of one field that contains other separators.
fn separator_hint(found: usize, record: &[u8]) -> &'static str {
    if found == 1 && record.iter().any(|byte| matches!(byte, b';' | b'\t')) {
        "; fields are separated by commas only"
    } else {
        ""
    }
}
