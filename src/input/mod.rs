//! Inputs: reads files and pipes as blocks of complete records, and decodes the records of a slice.
//!
//! A separate thread reads the inputs one after the other ([`Blocks`]), so reading overlaps with processing. It detects
//! the format of an input ([`Format`]), finds the ends of records, and emits a block when the buffer is full or no more
//! input is available. So records on a live pipe are decided when they arrive. The decoding threads split the records
//! of a slice into fields ([`RecordSplitter`]).
//!
//! | file | content |
//! |---|---|
//! | `source` | an input, and reading it with or without waiting |
//! | `decompress` | opening an input; gzip and zstd |
//! | `format` | the formats and the options for reading them; frames |
//! | `detect` | format detection from the first line, and guards against misreading |
//! | `reader` | the reader thread |
//! | `block_reader` | splitting an input into blocks, in all formats; its start |
//! | `block` | a block of complete records, and the buffer that is being filled |
//! | `csv` | row ends and the fields of a row |
//! | `header` | the columns of CSV |
//! | `json` | the fields of an object of JSON Lines |
//! | `segment` | dividing the inputs among the processes of a cluster |
//! | `separators` | finding commas and line feeds |
//! | `splitter` | decoding the records of a slice |
//! | `ledger`, `codes`, `row` | the ledger, files of codes, and splitting their lines |

mod block;
mod block_reader;
mod codes;
mod csv;
mod decompress;
mod detect;
mod format;
mod header;
mod json;
mod json_usual;
mod ledger;
mod quotes;
mod reader;
mod row;
#[cfg(feature = "cluster")]
mod segment;
mod separators;
mod source;
mod splitter;

pub use block::{Block, Content, DEFAULT_MAX_RECORD_BYTES, InputLabel, ReaderSettings};
pub use codes::read_codes;
pub use format::{
    BYTE_ORDER_MARK, Format, InputFormat, ReadOptions, is_ambiguous_as_text, is_blank, looks_compressed, payload_at,
    push_frame, text_as_length,
};
pub use header::SavedColumn;
pub use ledger::{LEDGER_COLUMNS, check_run_id, read_ledger};
pub use reader::{Blocks, format_of};
#[cfg(feature = "cluster")]
pub use segment::{Buffers, InputPlan};
pub use source::{ByteSource, Input, InputError, Origin, ReadMode};
pub use splitter::{Decoded, RawRecord, RecordSplitter, RecordVisitor};
