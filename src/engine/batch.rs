//! A batch: one block in the three parallel steps.
//!
//! Each step is a list of independent tasks: one for each slice to decode, one for each partition to apply its events
//! of all slices in order, one for each slice to encode. Tasks of different batches are also independent, if only one
//! batch is being applied.

use rayon::prelude::*;

use super::partition::Computation;
use super::slice::{DecodeContext, Slice};
use crate::campaign::Decision;
use crate::input::Block;
use crate::output::DecisionEncoder;
use crate::system::panic_point;

/// A block, its slices, and the decisions of the partitions.
#[derive(Debug)]
pub(super) struct Batch {
    block: Block,
    buffers: BatchBuffers,
}

/// The buffers of a batch, which are reused for every block.
#[derive(Debug)]
pub(super) struct BatchBuffers {
    slices: Vec<Slice>,
    /// The number of slices of the current block.
    used: usize,
    /// By partition and slice: the decisions that are not the default.
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

    /// Whether it has more than one slice.
    pub const fn is_large(&self) -> bool {
        self.buffers.used > 1
    }

    /// The block and the buffers, for reuse.
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

    /// Applies the events of every partition.
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

    /// Encodes the decisions.
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

/// A task that shares no mutable data with other tasks.
pub(super) type Task<'a> = Box<dyn FnOnce() + Send + 'a>;

/// Runs all tasks, on the thread pool if `in_parallel`. For a few lines of a live pipe, waking a thread would cost
/// more.
///
/// The tasks are in the same order every round, and rayon splits them in halves. So a thread is likely to get the same
/// partitions in every round, which are in its caches.
pub(super) fn run_tasks(in_parallel: bool, tasks: Vec<Task<'_>>) {
    if in_parallel {
        tasks.into_par_iter().with_max_len(1).for_each(|task| task());
    } else {
        tasks.into_iter().for_each(|task| task());
    }
}
