//! A block: about 1 MiB of one input that begins and ends at a record's boundary.

use std::ops::Range;
use std::sync::Arc;

use super::Framing;
use crate::record::Expected;

/// The input that a block comes from.
#[derive(Debug, PartialEq, Eq)]
pub struct InputLabel {
    /// Which one it is, in the order in which they were given, counted from 0.
    pub index: usize,
    /// What messages call it.
    pub name: String,
    /// What its records are.
    pub expected: Expected,
}

/// The header row of a table.
#[derive(Debug, PartialEq, Eq)]
pub struct TableHeader {
    /// The row verbatim.
    pub raw: Vec<u8>,
    /// How many lines of the input end with it: its own, and blank ones before it.
    pub lines: u64,
}

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Whole records.
    Records,
    /// The beginning of a record that is too long to be taken. It is never held whole: it comes in pieces, so that it
    /// can be kept verbatim among the rejects at no cost in memory.
    OversizedStart {
        /// Whether it is the end as well.
        last: bool,
    },
    /// The next piece of such a record.
    OversizedRest {
        /// Whether it is the last one. Of a record that the end of its input ends, none may be.
        last: bool,
    },
}

/// Bytes of one input on their way through the engine. It knows where its bytes stand; which line its first record is on
/// is known to whoever has counted the lines of the blocks before it.
#[derive(Debug)]
pub struct Block {
    /// The how-manieth block of all inputs it is, counted from 0.
    pub number: u64,
    /// Which input it comes from.
    pub input: Arc<InputLabel>,
    /// Where its first byte stands in that input, counted from 0.
    pub offset: u64,
    /// How its records are marked.
    pub framing: Framing,
    /// What it holds.
    pub content: Content,
    /// The header row of a table.
    pub header: Option<Arc<TableHeader>>,
    buffer: Vec<u8>,
    len: usize,
}

impl Block {
    /// The first block, of the first `len` bytes of `buffer`, which may be longer: it is reused as it is.
    pub fn new(
        buffer: Vec<u8>,
        len: usize,
        input: Arc<InputLabel>,
        offset: u64,
        framing: Framing,
        content: Content,
    ) -> Self {
        let len = len.min(buffer.len());
        Self { number: 0, input, offset, framing, content, header: None, buffer, len }
    }

    /// The same block with the header row of its table.
    pub fn with_header(self, header: Arc<TableHeader>) -> Self {
        Self { header: Some(header), ..self }
    }

    /// The bytes of the block.
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }

    /// Gives the buffer back for another block.
    pub fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }

    /// Cuts the block into at most `parts` runs of whole records of about the same size, in order.
    pub fn parts(&self, parts: usize) -> Vec<Range<usize>> {
        let bytes = self.bytes();
        let step = bytes.len().div_ceil(parts.max(1)).max(1);
        let mut cuts = Vec::with_capacity(parts);
        let mut start = 0;
        while start < bytes.len() {
            let end = self.framing.boundary_after(bytes, start, start.saturating_add(step));
            cuts.push(start..end);
            start = end;
        }
        cuts
    }
}
