//! The work in input order, at the first process: it receives the digest of every block and passes it to the sequencer,
//! which numbers, counts and rejects as it does on one machine. It also checks that no block is missing.

use std::sync::Arc;

use super::decode::DAMAGE;
use super::sends::GatheredSends;
use super::source::{Epoch, position};
use super::{ClusterError, Portable};
use crate::engine::sequencer::Sequencer;
use crate::engine::slice::digest::parts;
use crate::engine::wire::Reader;
use crate::engine::{Observer, Outcome, ReplayError, Settings};
use crate::input::{Content, InputPlan};
use crate::record::SourceKind;

/// Processes digests in order.
pub struct Digests<'a> {
    plans: Arc<[InputPlan]>,
    settings: &'a Settings,
    sequencer: Sequencer<'a>,
    pub sends: GatheredSends,
    /// The number of blocks so far.
    blocks: u64,
    /// The position of the next block. After the last block of an input, the next input may have none.
    next: (usize, u64, u64),
    /// The number of segments of each input.
    segments: Vec<u64>,
    is_loading_list: bool,
    /// The sum of the members that the partitions have reported.
    members: u64,
}

impl<'a> Digests<'a> {
    pub fn new(
        plans: Arc<[InputPlan]>,
        settings: &'a Settings,
        observer: &'a mut dyn Observer,
        sends: GatheredSends,
    ) -> Self {
        let segments = vec![0; plans.len()];
        let is_loading_list = plans.iter().any(|plan| plan.label.source == SourceKind::Loyalty);
        let sequencer = Sequencer::new(settings, observer);
        let next = (0, 0, 0);
        Self { plans, settings, sequencer, sends, blocks: 0, next, segments, is_loading_list, members: 0 }
    }

    /// Adds the members of one partition when the list is loaded.
    pub const fn add_members(&mut self, members: u64) {
        self.members += members;
    }

    /// Processes the digest of a block.
    pub fn process(&mut self, epoch: Epoch, digest: &[u8]) -> Result<(), ClusterError> {
        self.blocks += 1;
        let mut reader = Reader::new(digest);
        let flags = reader.byte();
        let code = reader.byte();
        self.check_position(epoch, flags & 1 != 0, flags & 2 != 0);
        let plans = Arc::clone(&self.plans);
        let plan = &plans[position(epoch).0];
        if plan.label.source != SourceKind::Loyalty {
            self.finish_list(self.members)?;
        }
        if code == DAMAGE {
            let damage = reader.optional().expect("damage has a text");
            return Err(ClusterError::Damage(String::from_utf8_lossy(damage).into_owned()));
        }
        let (content, offset) = (Content::of_code(code), reader.number());
        match content {
            Content::Records => {
                self.sequencer.begin(&plan.block(offset, content, Vec::new()));
                for mut part in parts(&mut reader) {
                    plan.add_progress(part.slice.counts.bytes);
                    let (offset, raw) = part.reject.unwrap_or((offset, b""));
                    let block = plan.block(offset, content, raw.to_vec());
                    self.sequencer.finish_slice(&block, &mut part.slice)?;
                }
            }
            Content::OversizedStart { last } | Content::OversizedRest { last } => {
                let piece = reader.optional().expect("a piece has bytes").to_vec();
                let block = plan.block(offset, content, piece);
                self.sequencer.begin(&block);
                if matches!(content, Content::OversizedStart { .. }) {
                    self.sequencer.oversized(&block, last)?;
                } else {
                    self.sequencer.oversized_rest(&block, last)?;
                }
            }
        }
        assert!(reader.is_at_end(), "a digest is read completely");
        self.sequencer.observer.progressed(&self.sequencer.counts);
        Ok(())
    }

    /// Checks that the block follows the one before it. A missing block is a bug and must not go unnoticed.
    fn check_position(&mut self, epoch: Epoch, ends_segment: bool, ends_input: bool) {
        let (input, segment, block) = position(epoch);
        if self.is_between_inputs() && self.next.0 != input {
            let skipped = self.next.0..input;
            assert!(skipped.into_iter().all(|input| self.is_empty(input)), "no input is missing before {input}");
            self.next = (input, 0, 0);
        }
        assert_eq!(self.next, (input, segment, block), "no block is missing");
        self.next = if ends_segment { (input, segment + 1, 0) } else { (input, segment, block + 1) };
        self.segments[input] += u64::from(ends_segment);
        if ends_input {
            self.next = (input + 1, 0, 0);
        }
    }

    const fn is_between_inputs(&self) -> bool {
        matches!(self.next, (_, 0, 0))
    }

    /// Whether an input without blocks is empty. The size of one that cannot be cut is not known.
    fn is_empty(&self, input: usize) -> bool {
        matches!(self.plans[input].segments(), None | Some(0))
    }

    /// Reports and checks the number of members if the loyalty list was being loaded.
    fn finish_list(&mut self, members: u64) -> Result<(), ReplayError> {
        if std::mem::take(&mut self.is_loading_list) {
            let minimum = self.settings.min_members;
            if members < minimum {
                return Err(ReplayError::TooFewMembers { members, minimum });
            }
            self.sequencer.observer.list_loaded(members);
        }
        Ok(())
    }

    /// The outcome, with the states of all partitions, and the number of segments of each input.
    pub fn finish<C: Portable>(
        mut self,
        computation: &C,
        states: Vec<C::State>,
    ) -> Result<(Outcome<C::State>, Vec<u64>), ClusterError> {
        let rest = self.next.0..self.plans.len();
        assert!(
            self.is_between_inputs() && rest.into_iter().all(|input| self.is_empty(input)),
            "no block is missing at the end"
        );
        self.finish_list(computation.members(&states).unwrap_or(0))?;
        self.sends.finish(self.blocks)?;
        let Sequencer { counts, inputs, line_index, list_format, steps_back, .. } = self.sequencer;
        let (partitioner, reasons, codes) = (None, self.sends.reasons, None);
        let outcome =
            Outcome { states, partitioner, reasons, codes, counts, inputs, line_index, list_format, steps_back };
        Ok((outcome, self.segments))
    }
}
