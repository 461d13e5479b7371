//! Inputs: from a file or a pipe to blocks of whole records, and from a part of a block to its decoded records.
//!
//! A thread of its own reads the inputs one after the other ([`Blocks`]), so that reading overlaps with the work. It detects
//! the format of an input ([`Format`]), finds where records end, and hands a block over when it is full or when nothing more
//! is waiting: that is why a live pipe is answered at once. The threads that decode split the records of a part of a block
//! into fields ([`RecordSplitter`]).
//!
//! | file | what is in it |
//! |---|---|
//! | `source` | opening an input; reading from it with or without waiting |
//! | `decompress` | gzip and zstd |
//! | `format` | what the first bytes of an input say about it; frames |
//! | `reader` | the reader thread |
//! | `block_reader` | cutting an input into blocks, the same way for all formats |
//! | `block` | a run of whole records, and the buffer that it is read into |
//! | `csv` | where rows end, the header, the fields of a row |
//! | `splitter` | the records of a part of a block, decoded |

mod block;
mod block_reader;
mod csv;
mod decompress;
mod format;
mod reader;
mod source;
mod splitter;

pub use block::{Block, Content, InputLabel};
pub use format::{
    BYTE_ORDER_MARK, Format, InputFormat, frame_at, is_ambiguous_as_text, is_blank, looks_compressed, push_frame,
    text_as_length,
};
pub use reader::{Blocks, DEFAULT_MAX_RECORD_BYTES, ReaderSettings};
pub use source::{ByteSource, Input, InputError, Origin, ReadMode};
pub use splitter::{Decoded, RawRecord, RecordSplitter, RecordVisitor};
