//! The face that everything has which cuts an input into blocks.

use super::{Block, SourceError};

/// How the inputs are cut into blocks.
#[derive(Debug, Clone, Copy)]
pub struct ReaderSettings {
    /// How large a block is, in bytes. A longer record makes its block longer.
    pub block_bytes: usize,
    /// The longest record that is taken, in bytes. A longer one is handed over in pieces.
    pub max_record_bytes: usize,
    /// Whether damage to one input leaves the others to be read. Otherwise it ends the reading.
    pub reads_on_after_damage: bool,
}

impl Default for ReaderSettings {
    /// Blocks of a size that stays in the caches while it is in flight, and the limits that the command line has.
    fn default() -> Self {
        Self { block_bytes: 1 << 20, max_record_bytes: 1 << 20, reads_on_after_damage: false }
    }
}

/// What comes next of an input: a block, damage, or nothing more.
pub(super) type NextBlock = Option<Result<Block, SourceError>>;

/// Something that cuts one input into blocks.
pub(super) trait Cut {
    /// The next block, built in `buffer`; `None` at the end of the input, and behind an error.
    fn next_block(&mut self, buffer: Vec<u8>) -> NextBlock;
}
