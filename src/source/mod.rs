//! The source: where bytes come from, up to blocks that end at a record's end.
//!
//! A thread of its own reads the inputs one after the other ([`Blocks`]), so that reading overlaps with the work. It
//! finds out how an input marks its records ([`Framing`]), cuts the bytes into blocks of whole records, and hands a
//! block over when it is full or when nothing more is waiting: that is what makes a live pipe answer at once. What the
//! bytes of a record mean is not known here, but for the columns that CSV is taken apart into.

mod block;
mod csv;
mod csv_rows;
mod cut;
mod cutter;
mod feed;
mod framing;
mod gzip;
mod input;
mod position;
mod reader;
mod records;
mod separators;
mod unpack;
mod utf16;

pub use block::{Block, Content, InputLabel, TableHeader};
pub use cut::ReaderSettings;
pub use feed::{Feed, Patience};
pub use framing::{BYTE_ORDER_MARK, Framing, InputFormat, RawRecord, push_frame, text_for_a_length};
pub use input::{Input, Origin};
pub use position::{Numbering, Place, Position, SourceError, Spot};
pub use reader::Blocks;
pub use records::Records;
pub use unpack::{looks_like_no_text, looks_packed};
