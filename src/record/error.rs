//! The reasons why a record is bad, as messages with a remedy.
//!
//! The location of the record (file, line, byte) is in [`crate::location`].

use thiserror::Error;

use crate::escape::Quoted;

/// The reason why a record is bad.
///
/// An error borrows the invalid bytes, so rejecting a record does not allocate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RecordError<'a> {
    /// A frame of length 0. Blank lines of text are skipped before.
    #[error("the frame is empty")]
    Empty,
    /// The record is longer than `--max-record-bytes`.
    #[error("the record is longer than {limit} bytes (--max-record-bytes sets the limit)")]
    TooLong {
        /// The maximum record length, in bytes.
        limit: usize,
    },
    /// A frame whose length consists of printable text.
    #[error("the frame length is the text {} (is this plain text, and not framed?)", Quoted(length))]
    TextAsFrameLength {
        /// The bytes of the length.
        length: &'a [u8],
    },
    /// Fewer fields than the kind of the record needs.
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
        /// The number of fields of the record.
        found: usize,
        /// The record.
        record: &'a [u8],
    },
    /// The second field of a conversion is not one of the three types.
    #[error(
        "unknown conversion type {} (expected ClickConversion, BasketConversion or PurchaseConversion){}",
        Quoted(name),
        hint(promo, name)
    )]
    UnknownConversion {
        /// The promo, stripped.
        promo: &'a [u8],
        /// The field in place of the type.
        name: &'a [u8],
    },
    /// A conversion in a loyalty list. Read as a loyalty row, it would make its promo a member.
    #[error("this is a {kind}, not a loyalty row (are --loyalty and --conversions swapped?)")]
    ConversionInList {
        /// Its type.
        kind: &'static str,
    },
    /// No email.
    #[error("the email is empty")]
    EmptyEmail,
    /// A control byte in an email. It could forge output, and no mailer accepts it.
    #[error("the email {} contains a control byte (0x{byte:02x})", Quoted(email))]
    ControlInEmail {
        /// The email, stripped.
        email: &'a [u8],
        /// The first control byte in it.
        byte: u8,
    },
    /// A comma in an email, possible only in CSV. The text after it could be mistaken for the decision.
    #[error("the email {} contains a comma", Quoted(email))]
    CommaInEmail {
        /// The email, stripped.
        email: &'a [u8],
    },
    /// A CSV row with more or fewer fields than its header row.
    #[error("expected {header} fields as in the header row, found {row}")]
    WrongWidth {
        /// The number of columns of the header row.
        header: u32,
        /// The number of fields of the row.
        row: u32,
    },
    /// A CSV row with quotes that RFC 4180 does not allow.
    #[error("a quoted field is not closed, or there is text before or after its quotes")]
    Misquoted,
    /// A CSV row that needs a column that the header row does not have.
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
        /// The field.
        items: &'a [u8],
    },
    /// Items with nothing between two separators.
    #[error("the items {} contain an empty id (expected something like [6;14])", Quoted(items))]
    EmptyItem {
        /// The field.
        items: &'a [u8],
    },
    /// An id that contains a bracket or a control byte.
    #[error("the item id {} contains a bracket or a control byte", Quoted(id))]
    BadItem {
        /// The id, stripped.
        id: &'a [u8],
    },
    /// A total cost that is not a decimal number.
    #[error("the total cost {} is not a decimal number (expected something like 18.64)", Quoted(cost))]
    BadTotalCost {
        /// The field.
        cost: &'a [u8],
    },
}

impl RecordError<'_> {
    /// Whether the record is beyond the limit, so its content was not checked.
    pub const fn is_too_long(&self) -> bool {
        matches!(self, Self::TooLong { .. } | Self::TextAsFrameLength { .. })
    }
}

/// A hint for a record with an unknown conversion type.
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
