//! Why a record is bad, in words a person can act on.
//!
//! Where the record stood (file, line, byte) is not known here: [`crate::source::Position`] tells that.

use std::fmt;

use thiserror::Error;

use super::ConversionKind;

/// What is wrong with one record.
///
/// An error borrows the offending bytes, so refusing a record costs no allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RecordError<'a> {
    /// A frame of length 0. A blank line of text never gets this far.
    #[error("the frame is empty")]
    Empty,
    /// Longer than `--max-record-bytes`.
    #[error("the record is longer than {limit} bytes (--max-record-bytes sets the limit)")]
    TooLong {
        /// The longest record that is taken, in bytes.
        limit: usize,
    },
    /// A frame whose length is made of letters.
    #[error("the frame's length reads {} (is this plain text? leave --input-format away then)", Quoted(length))]
    TextForAFrame {
        /// The bytes that should be its length.
        length: &'a [u8],
    },
    /// Fewer fields than the record's kind needs.
    #[error(
        "expected {what} with {} fields ({}), found {found}{}",
        fields.len(),
        fields.join(", "),
        other_separator(*found, record)
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
        suspicion(promo, name)
    )]
    UnknownConversion {
        /// The promo, stripped.
        promo: &'a [u8],
        /// What stands where the type should.
        name: &'a [u8],
    },
    /// A conversion where a loyalty row should be. Taken for one, it would make its promo a member.
    #[error("this is a {}, not a loyalty row (are --loyalty and --conversions swapped?)", kind.name())]
    ConversionInList {
        /// Its type.
        kind: ConversionKind,
    },
    /// No email.
    #[error("the email is empty")]
    EmptyEmail,
    /// A byte that could forge output, or that no mailer takes.
    #[error("the email {} holds a control byte (0x{byte:02x})", Quoted(email))]
    ControlInEmail {
        /// The email, stripped.
        email: &'a [u8],
        /// The first control byte in it.
        byte: u8,
    },
    /// A comma in an email, which only CSV can bring: what follows it could be taken for the answer.
    #[error("the email {} holds a comma", Quoted(email))]
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
    /// A CSV row with quotes where none can be.
    #[error("the quotes do not pair up (is a quoted field never closed, or is text beside one?)")]
    Misquoted,
    /// A CSV row that needs a column which the header does not have.
    #[error("{what} needs a column \"{column}\", and the header row has none")]
    NoColumn {
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
    #[error("the items {} hold an empty id (expected something like [6;14])", Quoted(items))]
    EmptyItem {
        /// The whole field.
        items: &'a [u8],
    },
    /// An id with a bracket or a control byte in it.
    #[error("the item id {} holds a bracket or a control byte", Quoted(id))]
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
        matches!(self, Self::TooLong { .. } | Self::TextForAFrame { .. })
    }
}

/// What a record that is no conversion may be instead.
fn suspicion(promo: &[u8], name: &[u8]) -> &'static str {
    if name.strip_prefix(b"\"").unwrap_or(name).starts_with(b"conversion") {
        "; if this is CSV with a header row, say --conversions-format csv"
    } else if promo.contains(&b'@') {
        "; are --loyalty and --conversions swapped?"
    } else {
        ""
    }
}

/// What a record of one field may be that has other separators in it.
fn other_separator(found: usize, record: &[u8]) -> &'static str {
    if found == 1 && record.iter().any(|byte| matches!(byte, b';' | b'\t')) {
        "; fields are separated by commas only"
    } else {
        ""
    }
}

/// How many characters of a value an error message shows.
const SHOWN_CHARS: usize = 60;

/// Shows bytes from the input inside a message: in quotes, on one line, nothing that could steer a terminal, and not
/// more than a glance can take in.
#[derive(Debug, Clone, Copy)]
pub struct Quoted<'a>(pub &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("\"")?;
        if write_escaped(self.0, SHOWN_CHARS, out)? { out.write_str("\"") } else { out.write_str("…\"") }
    }
}

/// Shows bytes from the input where they are what it is about: all of them, without quotes, on one line, and nothing
/// that could steer a terminal.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(self.0, usize::MAX, out).map(drop)
    }
}

/// Writes at most so many characters. Says whether that was all.
fn write_escaped(bytes: &[u8], limit: usize, out: &mut fmt::Formatter<'_>) -> Result<bool, fmt::Error> {
    let mut left = limit;
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            if left == 0 {
                return Ok(false);
            }
            left -= 1;
            match char {
                '\'' => out.write_str("'")?,
                _ => write!(out, "{}", char.escape_debug())?,
            }
        }
        for byte in chunk.invalid() {
            if left == 0 {
                return Ok(false);
            }
            left -= 1;
            write!(out, "\\x{byte:02x}")?;
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_bytes_cannot_steer_a_terminal_or_break_a_line() {
        let shown = Quoted(b"caf\xc3\xa9 \x1b[2J\n\"it's\" \xff").to_string();
        assert_eq!(shown, r#""café \u{1b}[2J\n\"it's\" \xff""#);
    }

    #[test]
    fn quoted_bytes_are_cut_to_what_a_line_holds() {
        assert_eq!(Quoted(&[b'x'; 60]).to_string(), format!("\"{}\"", "x".repeat(60)));
        assert_eq!(Quoted(&[b'x'; 61]).to_string(), format!("\"{}…\"", "x".repeat(60)));
        assert_eq!(Quoted(&[0xff; 61]).to_string(), format!("\"{}…\"", "\\xff".repeat(60)));
    }
}
