//! A batch: one block in the three parallel steps of the pipeline, as tasks for the threads.

use rayon::prelude::*;

use super::computation::{Computation, Decided};
use super::sends::Sends;
use super::slice::{DecodeContext, Slice};
use crate::input::Block;
use crate::output::DecisionEncoder;
use crate::system::panic_point;

/// A batch: one block in the three parallel steps, with its slices and the decisions of the partitions.
///
/// Each step is a list of independent tasks: one for each slice to decode, one for each partition to apply its events
/// of all slices in order, one for each slice to encode. Tasks of different batches are also independent, if only one
/// batch is being applied.
#[derive(Debug)]
pub(super) struct Batch {
    pub block: Block,
    pub buffers: BatchBuffers,
}

/// The buffers of a batch, which are reused for every block.
#[derive(Debug, Default)]
pub(super) struct BatchBuffers {
    slices: Vec<Slice>,
    /// The number of slices of the current block.
    pub used: usize,
    /// By partition and slice.
    decided: Vec<Vec<Decided>>,
}

impl Batch {
    /// The block, and its slices in the order of their records.
    pub fn block_and_slices(&mut self) -> (&Block, &mut [Slice]) {
        (&self.block, &mut self.buffers.slices[..self.buffers.used])
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
            buffers.slices.push(Slice::new(context.partitioner.partitions.get() as usize));
        }
        buffers
            .slices
            .iter_mut()
            .zip(ranges)
            .map(move |(slice, range)| -> Task<'a> { Box::new(move || slice.decode(block, range, context)) })
    }

    /// Applies the events of all slices to the partitions.
    pub fn apply<'a, C: Computation>(
        &'a mut self,
        states: &'a mut [C::State],
        computation: &'a C,
    ) -> impl Iterator<Item = Task<'a>> {
        let (block, buffers) = (&self.block, &mut self.buffers);
        let slices = &buffers.slices[..buffers.used];
        buffers.decided.resize_with(states.len(), Vec::new);
        states.iter_mut().zip(&mut buffers.decided).enumerate().map(move |(partition, (state, decided))| -> Task<'a> {
            Box::new(move || {
                panic_point("apply");
                decided.resize_with(slices.len().max(decided.len()), Decided::default);
                for (slice, decided) in slices.iter().zip(decided) {
                    decided.decisions.clear();
                    decided.claims.clear();
                    computation.apply(state, slice.events(block, partition), decided);
                }
            })
        })
    }

    /// Grants what the decisions of all slices need, in input order.
    pub fn grant(&mut self, sends: &mut Sends<'_>) {
        let (block, buffers) = (&self.block, &mut self.buffers);
        for (index, slice) in buffers.slices[..buffers.used].iter_mut().enumerate() {
            sends.grant(block, slice, buffers.decided.iter().map(|slices| slices[index].claims.as_slice()));
        }
    }

    /// Encodes the decisions of all slices, with what `sends` granted.
    pub fn encode<'a>(
        &'a mut self,
        encoder: &'a DecisionEncoder,
        sends: Option<&'a Sends<'_>>,
    ) -> impl Iterator<Item = Task<'a>> {
        let (block, buffers) = (&self.block, &mut self.buffers);
        let (slices, decided) = (&mut buffers.slices[..buffers.used], &buffers.decided);
        slices.iter_mut().enumerate().map(move |(index, slice)| -> Task<'a> {
            let decisions = decided.iter().map(move |slices| slices[index].decisions.as_slice());
            Box::new(move || slice.encode(block, decisions, encoder, sends))
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
