//! A block: a few MiB of one input that begin and end at a record's boundary.

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

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Whole records.
    Records,
    /// The beginning of a record that is too long to be taken. It is never held whole: it comes in pieces, so that it
    /// can be kept verbatim among the rejects at no cost in memory.
    OversizedStart,
    /// The next piece of such a record.
    OversizedRest,
}

/// Bytes of one input on their way through the engine.
#[derive(Debug)]
pub struct Block {
    /// Which input it comes from.
    pub input: Arc<InputLabel>,
    /// Where its first byte stands in that input, counted from 0.
    pub offset: u64,
    /// How its records are marked.
    pub framing: Framing,
    /// What it holds.
    pub content: Content,
    /// The header row of a table, verbatim.
    pub header: Option<Arc<[u8]>>,
    buffer: Vec<u8>,
    len: usize,
}

impl Block {
    /// A block of the first `len` bytes of `buffer`, which may be longer: it is reused as it is.
    pub fn new(
        buffer: Vec<u8>,
        len: usize,
        input: Arc<InputLabel>,
        offset: u64,
        framing: Framing,
        content: Content,
    ) -> Self {
        let len = len.min(buffer.len());
        Self { input, offset, framing, content, header: None, buffer, len }
    }

    /// The same block with the header row of its table.
    pub fn with_header(self, header: Arc<[u8]>) -> Self {
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
