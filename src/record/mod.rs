//! One record: a loyalty row or a conversion.
//!
//! A record is one line of text, the payload of one frame, or one CSV row. [`Decoder`] checks it and finds its fields,
//! which all later steps use. This module does no I/O and keeps no state.

mod decoder;
mod error;
pub mod field;
mod types;

#[cfg(test)]
pub use decoder::tests::decode;
pub use decoder::{CONVERSION_COLUMNS, Columns, Decoder, LOYALTY_COLUMNS, SourceKind, check_table_email};
pub use error::RecordError;
pub use field::{Bytes, Span};
pub use types::{
    Action, Conversion, ConversionKind, DecodedRecord, FieldSpans, Items, LoyaltyRow, RecordKind, TotalCost,
};
