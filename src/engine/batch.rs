//! A batch: one block on its way through the three steps that threads share.
//!
//! Each step is a list of tasks that touch nothing of each other: slices are decoded in parallel, partitions apply
//! their events in parallel (each its own events of all slices, in order), slices are encoded in parallel. The tasks of
//! different batches are independent, too, as long as only one batch is being applied.

use rayon::prelude::*;

use super::partition::Computation;
use super::slice::{DecodeContext, Slice};
use crate::campaign::Decision;
use crate::input::Block;
use crate::output::DecisionEncoder;
use crate::system::panic_point;

/// A block, its slices, and the partitions' decisions on them.
#[derive(Debug)]
pub(super) struct Batch {
    block: Block,
    buffers: BatchBuffers,
}

/// The lists of a batch, which are recycled from block to block.
#[derive(Debug)]
pub(super) struct BatchBuffers {
    slices: Vec<Slice>,
    /// How many of the slices the present block has.
    used: usize,
    /// By partition and slice, the decisions that are not the default.
    decisions: Vec<Vec<Vec<(u32, Decision)>>>,
}

impl BatchBuffers {
    pub fn new(partitions: usize) -> Self {
        Self { slices: Vec::new(), used: 0, decisions: vec![Vec::new(); partitions] }
    }
}

impl Batch {
    pub const fn new(block: Block, buffers: BatchBuffers) -> Self {
        Self { block, buffers }
    }

    /// The block, and its slices in the order of their records.
    pub fn block_and_slices(&mut self) -> (&Block, &mut [Slice]) {
        (&self.block, &mut self.buffers.slices[..self.buffers.used])
    }

    /// Whether it has more than one slice, and so something to share.
    pub const fn is_large(&self) -> bool {
        self.buffers.used > 1
    }

    /// What can be used again.
    pub fn into_parts(self) -> (Block, BatchBuffers) {
        (self.block, self.buffers)
    }

    /// Decodes the block in at most `count` slices.
    pub fn decode<'a, C: Computation>(
        &'a mut self,
        count: usize,
        context: &'a DecodeContext<'_, C>,
    ) -> impl Iterator<Item = Task<'a>> {
        let (block, buffers) = (&self.block, &mut self.buffers);
        let ranges = block.slices(count);
        buffers.used = ranges.len();
        while buffers.slices.len() < ranges.len() {
            buffers.slices.push(Slice::new(context.partitioner.partitions()));
        }
        buffers.slices.iter_mut().zip(ranges).map(move |(slice, range)| {
            let task: Task<'_> = Box::new(move || slice.decode(block, range, context));
            task
        })
    }

    /// Lets every partition apply its events.
    pub fn apply<'a, C: Computation>(
        &'a mut self,
        states: &'a mut [C::State],
        computation: &'a C,
    ) -> impl Iterator<Item = Task<'a>> {
        let (block, buffers) = (&self.block, &mut self.buffers);
        let slices = &buffers.slices[..buffers.used];
        states.iter_mut().zip(&mut buffers.decisions).enumerate().map(move |(partition, (state, decisions))| {
            let task: Task<'_> = Box::new(move || {
                panic_point("apply");
                decisions.resize_with(slices.len().max(decisions.len()), Vec::new);
                for (slice, decisions) in slices.iter().zip(decisions) {
                    decisions.clear();
                    computation.apply(state, slice.events(block, partition), decisions);
                }
            });
            task
        })
    }

    /// Encodes what the partitions decided.
    pub fn encode<'a>(&'a mut self, encoder: &'a DecisionEncoder) -> impl Iterator<Item = Task<'a>> {
        let (block, buffers) = (&self.block, &mut self.buffers);
        let (slices, decisions) = (&mut buffers.slices[..buffers.used], &buffers.decisions);
        slices.iter_mut().enumerate().map(move |(index, slice)| {
            let task: Task<'_> = Box::new(move || {
                slice.encode(block, decisions.iter().map(|slices| slices[index].as_slice()), encoder);
            });
            task
        })
    }
}

/// A piece of work that touches nothing another one touches.
pub(super) type Task<'a> = Box<dyn FnOnce() + Send + 'a>;

/// Runs all tasks, on the threads of the pool if `in_parallel`: a few lines of a live pipe are not worth waking a
/// thread.
///
/// The tasks come in the same order every round, and rayon splits them in halves: round after round the same thread is
/// likely to get the same partitions, which are in its caches.
pub(super) fn run_tasks(in_parallel: bool, tasks: Vec<Task<'_>>) {
    if in_parallel {
        tasks.into_par_iter().with_max_len(1).for_each(|task| task());
    } else {
        tasks.into_iter().for_each(|task| task());
    }
}
