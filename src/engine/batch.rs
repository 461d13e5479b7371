//! A batch: one block on its way through the three steps that threads share.
//!
//! Each step is a list of tasks that do not touch each other: slices are decoded side by side, partitions are applied
//! side by side (each over its own events of all slices, in order), slices are encoded side by side. The tasks of
//! different batches do not touch each other either, as long as only one batch is being applied.

use super::slice::{Decoding, Slice};
use super::tasks::Task;
use crate::computation::Computation;
use crate::encoder::Encoder;
use crate::source::Block;

/// A block, its slices, and the partitions' answers to them.
#[derive(Debug)]
pub(super) struct Batch<Answer> {
    block: Block,
    lists: Lists<Answer>,
}

/// What a batch is worked on in. It is recycled from block to block.
#[derive(Debug)]
pub(super) struct Lists<Answer> {
    slices: Vec<Slice<Answer>>,
    /// How many of the slices the present block has; the others wait for a larger one.
    used: usize,
    /// By partition and slice, the answers that are not the default.
    answers: Vec<Vec<Vec<(u32, Answer)>>>,
}

impl<Answer: Copy + Default + Send + Sync> Lists<Answer> {
    /// Lists for this many partitions.
    pub(super) fn new(partitions: usize) -> Self {
        Self { slices: Vec::new(), used: 0, answers: vec![Vec::new(); partitions] }
    }
}

impl<Answer: Copy + Default + Send + Sync> Batch<Answer> {
    /// A batch of `block`, to be decoded.
    pub(super) const fn new(block: Block, lists: Lists<Answer>) -> Self {
        Self { block, lists }
    }

    /// The block, and its slices in the order of their records.
    pub(super) fn block_and_slices(&mut self) -> (&Block, &mut [Slice<Answer>]) {
        (&self.block, self.lists.slices.get_mut(..self.lists.used).unwrap_or_default())
    }

    /// Whether it has more than one slice, and so something to share.
    pub(super) const fn is_large(&self) -> bool {
        self.lists.used > 1
    }

    /// What can be used again.
    pub(super) fn into_parts(self) -> (Block, Lists<Answer>) {
        (self.block, self.lists)
    }

    /// Decodes the block in at most `parts` slices.
    pub(super) fn decode<'a, C>(&'a mut self, parts: usize, with: &'a Decoding<'_, C>) -> impl Iterator<Item = Task<'a>>
    where
        C: Computation<Answer = Answer>,
    {
        let (block, lists) = (&self.block, &mut self.lists);
        let ranges = block.parts(parts);
        lists.used = ranges.len();
        while lists.slices.len() < ranges.len() {
            lists.slices.push(Slice::new(with.partitioner.partitions()));
        }
        lists.slices.iter_mut().zip(ranges).map(move |(slice, range)| {
            let task: Task<'_> = Box::new(move || slice.decode(block, range, with));
            task
        })
    }

    /// Lets every partition apply its events.
    pub(super) fn apply<'a, C>(
        &'a mut self,
        states: &'a mut [C::State],
        computation: &'a C,
    ) -> impl Iterator<Item = Task<'a>>
    where
        C: Computation<Answer = Answer>,
    {
        let (block, lists) = (&self.block, &mut self.lists);
        let slices = lists.slices.get(..lists.used).unwrap_or_default();
        states.iter_mut().zip(&mut lists.answers).enumerate().map(move |(partition, (state, answers))| {
            let task: Task<'_> = Box::new(move || {
                answers.resize_with(slices.len().max(answers.len()), Vec::new);
                for (slice, answers) in slices.iter().zip(answers) {
                    answers.clear();
                    computation.apply(state, slice.events(block, partition), answers);
                }
            });
            task
        })
    }

    /// Encodes what the partitions answered.
    pub(super) fn encode<'a>(&'a mut self, encoder: &'a impl Encoder<Answer>) -> impl Iterator<Item = Task<'a>> {
        let (block, lists) = (&self.block, &mut self.lists);
        let (slices, answers) = (lists.slices.get_mut(..lists.used).unwrap_or_default(), &lists.answers);
        slices.iter_mut().enumerate().map(move |(index, slice)| {
            let task: Task<'_> = Box::new(move || {
                let answers = answers.iter().map(|slices| slices.get(index).map(Vec::as_slice).unwrap_or_default());
                slice.encode(block, answers, encoder);
            });
            task
        })
    }
}
