//! The reasons and the ledger rows of a block: bytes that its owner sends to the first process, which adds them in input
//! order.

use std::io::{self, Write};

use crate::campaign::{Policy, Reason, ReasonCounts};
use crate::engine::slice::Slice;
use crate::engine::wire::{Reader, push_number, push_optional};
use crate::engine::{ReplayError, Sends};

/// What grants rows to the claims of a block. Without codes it remembers nothing between blocks.
pub fn sends_of_block(policy: &Policy) -> Sends<'_> {
    Sends::new(policy, None, Box::new(io::sink()))
}

/// The reasons and the ledger rows of an encoded slice as bytes.
pub fn pack_sends(slice: &Slice, out: &mut Vec<u8>) {
    Reason::ALL.into_iter().for_each(|reason| push_number(slice.reasons.get(reason), out));
    push_optional(Some(&slice.ledger_rows), out);
}

/// The same for a block without decisions.
pub fn pack_no_sends(out: &mut Vec<u8>) {
    pack_sends(&Slice::default(), out);
}

/// The sum of the reasons, and the ledger to which the rows are written. Only a run with a policy has any.
pub struct GatheredSends {
    pub reasons: ReasonCounts,
    /// The number of blocks so far.
    blocks: u64,
    with_policy: bool,
    rows: Option<Box<dyn Write + Send>>,
}

impl GatheredSends {
    pub fn new(rows: Option<Box<dyn Write + Send>>, with_policy: bool) -> Self {
        Self { reasons: ReasonCounts::default(), blocks: 0, with_policy, rows }
    }

    /// Adds those of the next block.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), ReplayError> {
        let mut reader = Reader::new(bytes);
        self.blocks += 1;
        Reason::ALL.into_iter().for_each(|reason| self.reasons.add_many(reason, reader.number()));
        let encoded = reader.optional().expect("a block has rows, or an empty list of them");
        assert!(reader.is_at_end(), "the rows are the end of the message");
        match &mut self.rows {
            Some(rows) => rows.write_all(encoded).map_err(ReplayError::Ledger),
            None => {
                assert!(encoded.is_empty(), "only a run with a ledger has rows");
                Ok(())
            }
        }
    }

    /// Ends the ledger of a run with this number of blocks.
    pub fn finish(&mut self, blocks: u64) -> Result<(), ReplayError> {
        assert_eq!(self.blocks, if self.with_policy { blocks } else { 0 }, "the rows of no block are missing");
        self.rows.as_mut().map_or(Ok(()), |rows| rows.flush()).map_err(ReplayError::Ledger)
    }
}
