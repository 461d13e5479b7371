//! The decoders: what one record means.
//!
//! A record is a run of bytes: one line of a text file or the payload of one frame. Decoding gives a borrowed view on
//! these bytes or says in one [`RecordError`] what is wrong with them. Nothing here reads, counts or remembers.

mod again;
mod conversion;
mod customer;
mod decoder;
mod email;
mod error;
pub mod field;
mod items;
mod likeness;
mod row;
mod total_cost;

pub use conversion::{Action, Conversion, ConversionKind};
pub use customer::Customer;
pub use decoder::{Decoder, Expected, Layout, Record};
pub use email::Email;
pub use error::{Escaped, Quoted, RecordError};
pub use items::Items;
pub use likeness::likeness;
pub use row::{CONVERSION_COLUMNS, CUSTOMER_COLUMNS, Width, write_row};
pub use total_cost::TotalCost;
