//! What one record means: a row of the loyalty list or a conversion.
//!
//! A record is a run of bytes: one line of text, the payload of one frame, or one CSV row. [`Decoder`] checks it and
//! finds its fields; everything after that uses the fields it found. Nothing here reads, counts or remembers.

mod decoder;
mod error;
pub mod field;
mod items;
mod types;

#[cfg(test)]
pub use decoder::tests::decode;
pub use decoder::{CONVERSION_COLUMNS, Columns, Decoder, LOYALTY_COLUMNS, SourceKind, check_table_email};
pub use error::RecordError;
pub use field::{Bytes, Span};
pub use items::{Items, TotalCost};
pub use types::{Action, Conversion, ConversionKind, DecodedRecord, FieldSpans, LoyaltyRow, RecordKind};
