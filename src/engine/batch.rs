//! A batch: one block on its way through the three steps that threads share.
//!
//! Each step is a parallel loop over things that do not touch each other: slices are decoded side by side, partitions
//! are applied side by side (each over its own events of all slices, in order), slices are encoded side by side.

use rayon::prelude::*;

use super::slice::{Decoding, Slice};
use crate::computation::Computation;
use crate::encoder::Encoder;
use crate::partition::Partitioner;
use crate::source::Block;

/// The slices of one block, and the partitions' answers to them.
#[derive(Debug)]
pub(super) struct Batch<Answer> {
    slices: Vec<Slice<Answer>>,
    /// How many of the slices the present block has; the others wait for a larger one.
    used: usize,
    /// By partition and slice, the answers that are not the default.
    answers: Vec<Vec<Vec<(u32, Answer)>>>,
}

impl<Answer: Copy + Default + Send + Sync> Batch<Answer> {
    pub(super) fn new(partitioner: &Partitioner) -> Self {
        Self { slices: Vec::new(), used: 0, answers: vec![Vec::new(); partitioner.partitions()] }
    }

    /// The slices in the order of their records.
    pub(super) fn slices_mut(&mut self) -> &mut [Slice<Answer>] {
        self.slices.get_mut(..self.used).unwrap_or_default()
    }

    /// Decodes a block in at most `parts` slices.
    pub(super) fn decode<C>(&mut self, block: &Block, parts: usize, with: &Decoding<'_, C>)
    where
        C: Computation<Answer = Answer>,
    {
        let ranges = block.parts(parts);
        self.used = ranges.len();
        while self.slices.len() < ranges.len() {
            self.slices.push(Slice::new(with.partitioner.partitions()));
        }
        let work = self.slices.iter_mut().zip(ranges);
        side_by_side(self.used > 1, work, |(slice, range)| slice.decode(block, range, with));
    }

    /// Lets every partition apply its events.
    pub(super) fn apply<C>(&mut self, block: &Block, states: &mut [C::State], computation: &C)
    where
        C: Computation<Answer = Answer>,
    {
        let slices = self.slices.get(..self.used).unwrap_or_default();
        let work = states.iter_mut().zip(&mut self.answers).enumerate();
        side_by_side(slices.len() > 1, work, |(partition, (state, answers))| {
            answers.resize_with(slices.len().max(answers.len()), Vec::new);
            for (slice, answers) in slices.iter().zip(answers) {
                answers.clear();
                computation.apply(state, slice.events(block, partition), answers);
            }
        });
    }

    /// Encodes what the partitions answered.
    pub(super) fn encode(&mut self, block: &Block, encoder: &impl Encoder<Answer>) {
        let answers = &self.answers;
        let slices = self.slices.get_mut(..self.used).unwrap_or_default();
        side_by_side(self.used > 1, slices.iter_mut().enumerate(), |(index, slice)| {
            let answers = answers.iter().map(|slices| slices.get(index).map(Vec::as_slice).unwrap_or_default());
            slice.encode(block, answers, encoder);
        });
    }
}

/// Does all of `work`: on the threads of the pool where that is `worthwhile`, and otherwise here. A block of a single
/// slice is not worth waking another thread for.
fn side_by_side<T: Send>(worthwhile: bool, work: impl Iterator<Item = T>, each: impl Fn(T) + Sync + Send) {
    if worthwhile {
        work.collect::<Vec<_>>().into_par_iter().with_max_len(1).for_each(each);
    } else {
        work.for_each(each);
    }
}
