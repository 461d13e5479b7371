//! A block: about 1 MiB of one input that begins and ends at a record boundary.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::Format;
use super::format::FRAME_HEADER_BYTES;
use crate::record::SourceKind;

/// The default of `--max-record-bytes`.
pub const DEFAULT_MAX_RECORD_BYTES: u32 = 1 << 20;

/// The settings of the reader.
#[derive(Debug, Clone, Copy)]
pub struct ReaderSettings {
    /// The size of a block, in bytes. A longer record makes its block longer.
    pub block_bytes: usize,
    /// The minimum size of a slice, in bytes.
    pub slice_bytes: usize,
    /// The maximum record length, in bytes. A longer record is emitted in pieces.
    pub max_record_bytes: usize,
    /// Whether to read the next input after a damaged one. Otherwise damage ends the reading.
    pub continues_after_damage: bool,
}

impl Default for ReaderSettings {
    /// Blocks that fit into the caches while they are processed, and the default limits of the command line.
    fn default() -> Self {
        Self {
            block_bytes: 1 << 20,
            slice_bytes: 32 << 10,
            max_record_bytes: DEFAULT_MAX_RECORD_BYTES as usize,
            continues_after_damage: false,
        }
    }
}

/// The input that a block comes from.
#[derive(Debug, PartialEq, Eq)]
pub struct InputLabel {
    /// Its index in the order of the inputs, counted from 0.
    pub index: usize,
    /// Its path, or `stdin`.
    pub path: Arc<Path>,
    pub source: SourceKind,
}

/// The content of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Complete records.
    Records,
    /// The first piece of a record that is longer than the limit. Such a record is never buffered completely: it is
    /// emitted in pieces, which rejects keep verbatim.
    OversizedStart {
        /// Whether it is also the last piece.
        last: bool,
    },
    /// The next piece of such a record.
    OversizedRest {
        /// Whether it is the last piece. If the input ends inside the record, no piece is the last.
        last: bool,
    },
}

/// A sequence of bytes of one input. The line number of its first record is known only after the blocks before it are
/// counted.
#[derive(Debug)]
pub struct Block {
    pub input: Arc<InputLabel>,
    /// The offset of its first byte in that input.
    pub offset: u64,
    pub format: Format,
    pub content: Content,
    pub(super) buffer: Vec<u8>,
    /// The number of bytes of the block; a recycled buffer may be longer.
    pub(super) len: usize,
    /// Record boundaries inside the block, ascending, at about equal distances. Slices end at them.
    pub(super) boundaries: Vec<usize>,
}

impl Block {
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[..self.len]
    }

    /// Splits the block into at most `count` slices of complete records, of about the same size and in order.
    pub fn slices(&self, count: usize) -> Vec<Range<usize>> {
        let step = self.len.div_ceil(count.max(1)).max(1);
        let mut slices = Vec::with_capacity(count);
        let mut start = 0;
        for &end in self.boundaries.iter().chain([&self.len]) {
            if end > start && (end - start >= step || end == self.len) {
                slices.push(start..end);
                start = end;
            }
        }
        slices
    }
}

/// A buffer that is being filled.
pub(super) struct LineBuffer {
    pub storage: Vec<u8>,
    pub filled: usize,
    /// The bytes before this offset were scanned for record ends.
    pub scanned: usize,
    /// The bytes before this offset are complete records.
    pub complete: usize,
    /// Record boundaries, with distances of at least `min_distance`.
    pub boundaries: Vec<usize>,
    min_distance: usize,
}

impl LineBuffer {
    /// A buffer of at least `block_bytes` that begins with `carry`.
    pub(super) fn new(mut buffer: Vec<u8>, carry: &[u8], block_bytes: usize, min_distance: usize) -> Self {
        // There is room for a frame header, and for a byte-order mark.
        let len = block_bytes.max(FRAME_HEADER_BYTES).max(carry.len() + 1);
        if buffer.len() < len {
            buffer.resize(len, 0);
        }
        buffer[..carry.len()].copy_from_slice(carry);
        let min_distance = min_distance.max(1);
        Self { storage: buffer, filled: carry.len(), scanned: 0, complete: 0, boundaries: Vec::new(), min_distance }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.storage[..self.filled]
    }

    pub(super) fn unscanned(&self) -> &[u8] {
        &self.storage[self.scanned..self.filled]
    }

    /// The bytes after the complete records.
    pub(super) fn rest(&self) -> &[u8] {
        &self.storage[self.complete..self.filled]
    }

    pub(super) const fn is_full(&self) -> bool {
        self.filled == self.storage.len()
    }

    /// Doubles the buffer, up to `limit` bytes. So memory grows with the bytes that arrive, not with an announced
    /// length.
    pub(super) fn grow(&mut self, limit: usize) {
        let len = self.storage.len();
        self.storage.resize(len.saturating_mul(2).min(limit).max(len + 1), 0);
    }

    /// Removes the first `len` bytes.
    pub(super) fn remove_start(&mut self, len: usize) {
        self.storage.copy_within(len..self.filled, 0);
        self.filled -= len;
        self.scanned = self.scanned.saturating_sub(len);
        self.complete = self.complete.saturating_sub(len);
    }

    pub(super) fn mark_record_end(&mut self, end: usize) {
        self.complete = end;
        if end >= self.next_boundary() {
            self.boundaries.push(end);
        }
    }

    /// Marks the end of a record at every line ending in the unscanned bytes, up to `end`. `line_end` finds the first
    /// line ending.
    pub(super) fn mark_line_ends(&mut self, end: usize, line_end: impl Fn(&[u8]) -> Option<usize>) {
        let from = self.scanned;
        self.complete = end;
        loop {
            // The byte before the boundary may be a line ending.
            let goal = self.next_boundary().max(from + 1) - 1;
            match self.storage.get(goal..end).and_then(&line_end) {
                Some(len) if goal + len < end => self.boundaries.push(goal + len),
                _ => return,
            }
        }
    }

    fn next_boundary(&self) -> usize {
        self.boundaries.last().unwrap_or(&0) + self.min_distance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_end_at_boundaries_and_cover_the_block() {
        let input = Arc::new(InputLabel { index: 0, path: Path::new("in").into(), source: SourceKind::Interleaved });
        let (format, content, buffer) = (Format::Text, Content::Records, vec![b'\n'; 120]);
        let block = Block { input, offset: 0, format, content, buffer, len: 100, boundaries: vec![30, 60, 90] };
        assert_eq!(block.slices(1), vec![0..100; 1]);
        assert_eq!(block.slices(2), [0..60, 60..100]);
        assert_eq!(block.slices(3), [0..60, 60..100]);
        assert_eq!(block.slices(9), [0..30, 30..60, 60..90, 90..100]);
    }
}
