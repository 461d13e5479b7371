//! The local engine: the loop that takes blocks from the reader, has them worked on by the threads of this process, and
//! gives what was encoded to the writer.
//!
//! Everything that must happen in input order happens here, on one thread: the [`Ledger`]'s entries, and the writing.

use std::io::{self, Write};

use super::batch::{Batch, Lists};
use super::ledger::Ledger;
use super::slice::Decoding;
use super::tasks::side_by_side;
use super::{Counts, Failure, Observer, Settings};
use crate::computation::Computation;
use crate::encoder::Encoder;
use crate::partition::Partitioner;
use crate::sink::{Closed, Writer};
use crate::source::{Block, Blocks, Content, Input, Numbering, SourceError};

/// What a replay computes, and how the answers are written.
#[derive(Debug, Clone, Copy)]
pub struct Job<C, E> {
    /// What the partitions do with their events.
    pub computation: C,
    /// How the answers are written.
    pub encoder: E,
}

/// What a replay leaves behind when it reached the end.
#[derive(Debug)]
pub struct Outcome<State> {
    /// The states of the partitions.
    pub states: Vec<State>,
    /// What came in.
    pub counts: Counts,
    /// Where a line or frame stands, by its number.
    pub numbering: Numbering,
}

/// Replays `inputs`, in their order, through `job`, and writes the answers to `out`.
///
/// # Errors
/// When an input is damaged, a record is bad beyond what the settings allow, or a write fails. Everything before the
/// bad place in input order has been written then, and nothing behind it.
pub fn replay<C: Computation, E: Encoder<C::Answer>>(
    job: &Job<C, E>,
    settings: &Settings,
    inputs: Vec<Input>,
    out: Box<dyn Write + Send>,
    observer: &mut dyn Observer,
) -> Result<Outcome<C::State>, Failure> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(settings.threads.get().min(busy_threads(settings)))
        .build()
        .map_err(|error| Failure::Threads(io::Error::other(error)))?;
    let blocks = Blocks::read(inputs, settings.reader).map_err(Failure::Threads)?;
    let mut writer = Writer::start(out, parts(settings)).map_err(Failure::Threads)?;
    let replayed = pool.install(|| Replay::new(job, settings, &mut writer, observer).run(blocks));
    let written = writer.finish();
    match (replayed, written) {
        (Ok(outcome), Ok(())) => Ok(outcome),
        // What could not be written came before whatever else went wrong.
        (_, Err(error)) => Err(Failure::Output(error)),
        (Err(Stopped::Failed(failure)), Ok(())) => Err(failure),
        // A writer that closed without an error does not exist.
        (Err(Stopped::WriterClosed), Ok(())) => Err(Failure::Output(io::ErrorKind::BrokenPipe.into())),
    }
}

/// More threads than this would never find a slice to work on, and looking for one is not free.
fn busy_threads(settings: &Settings) -> usize {
    settings.reader.block_bytes.div_ceil(settings.slice_bytes.max(1)).max(1)
}

/// How many slices a block is cut into at most: a few for each thread, so that they finish together.
fn parts(settings: &Settings) -> usize {
    settings.threads.get().saturating_mul(2)
}

/// Why the loop ended early.
enum Stopped {
    Failed(Failure),
    /// A write failed; the writer knows how.
    WriterClosed,
}

impl<F: Into<Failure>> From<F> for Stopped {
    fn from(failure: F) -> Self {
        Self::Failed(failure.into())
    }
}

impl From<Closed> for Stopped {
    fn from(Closed: Closed) -> Self {
        Self::WriterClosed
    }
}

/// A replay under way: a pipeline of three batches, each a step behind the next. While one is decoded, the one before it
/// is applied and the one before that is encoded, so that no thread waits for the slowest slice or the fullest partition
/// of a step.
struct Replay<'a, C: Computation, E> {
    job: &'a Job<C, E>,
    settings: &'a Settings,
    partitioner: Partitioner,
    states: Vec<C::State>,
    ledger: Ledger<'a>,
    writer: &'a mut Writer,
    /// The batch that is decoded.
    decoded: Option<Batch<C::Answer>>,
    /// The batch that is applied.
    applied: Option<Batch<C::Answer>>,
    spare: Vec<Lists<C::Answer>>,
}

impl<'a, C: Computation, E: Encoder<C::Answer>> Replay<'a, C, E> {
    fn new(job: &'a Job<C, E>, settings: &'a Settings, writer: &'a mut Writer, observer: &'a mut dyn Observer) -> Self {
        let partitioner = Partitioner::new(settings.partitions);
        let new_state = || job.computation.new_state(partitioner.hasher());
        Self {
            job,
            settings,
            states: std::iter::repeat_with(new_state).take(partitioner.partitions()).collect(),
            partitioner,
            ledger: Ledger::new(settings, observer),
            writer,
            decoded: None,
            applied: None,
            spare: Vec::new(),
        }
    }

    fn run(mut self, mut blocks: Blocks) -> Result<Outcome<C::State>, Stopped> {
        let preamble = self.job.encoder.preamble();
        if !preamble.is_empty() {
            self.writer.write(preamble)?;
        }
        while let Some(block) = self.next_block(&mut blocks)? {
            let failure = match block {
                Ok(block) => self.block(block, &blocks)?,
                Err(damage) if self.settings.reader.reads_on_after_damage => {
                    self.ledger.damaged(&damage).map_err(Failure::Observer)?;
                    None
                }
                Err(damage) => Some(Failure::Source(damage)),
            };
            if let Some(failure) = failure {
                self.drain(&blocks)?;
                return Err(failure.into());
            }
        }
        self.drain(&blocks)?;
        let Ledger { counts, numbering, .. } = self.ledger;
        Ok(Outcome { states: self.states, counts, numbering })
    }

    /// The next block. While none is there, the batches under way go on: nobody's answer waits for the next event.
    fn next_block(&mut self, blocks: &mut Blocks) -> Result<Option<Result<Block, SourceError>>, Stopped> {
        while self.is_under_way() {
            match blocks.waiting() {
                Some(block) => return Ok(Some(block)),
                None => self.step(None, blocks)?,
            }
        }
        Ok(blocks.next())
    }

    const fn is_under_way(&self) -> bool {
        self.decoded.is_some() || self.applied.is_some()
    }

    /// Takes the batches under way through all steps.
    fn drain(&mut self, blocks: &Blocks) -> Result<(), Stopped> {
        while self.is_under_way() {
            self.step(None, blocks)?;
        }
        Ok(())
    }

    /// Begins with a block. When a bad record in it is one too many, everything from that record on is forgotten.
    fn block(&mut self, block: Block, blocks: &Blocks) -> Result<Option<Failure>, Stopped> {
        self.ledger.enter(&block);
        let failure = match block.content {
            Content::Records => {
                self.step(Some(block), blocks)?;
                self.take_stock()?
            }
            Content::OversizedStart { last } => self.ledger.oversized(&block, last).map_err(Failure::Observer)?,
            Content::OversizedRest { last } => {
                self.ledger.oversized_rest(&block, last).map_err(Failure::Observer)?;
                None
            }
        };
        self.ledger.advanced();
        Ok(failure)
    }

    /// Takes every batch one step on, side by side: `next` is decoded, and what was encoded is written.
    fn step(&mut self, next: Option<Block>, blocks: &Blocks) -> Result<(), Stopped> {
        let new_lists = || Lists::new(self.partitioner.partitions());
        let mut next = next.map(|block| Batch::new(block, self.spare.pop().unwrap_or_else(new_lists)));
        let (mut applied, mut encoded) = (self.decoded.take(), self.applied.take());
        let computation = &self.job.computation;
        let mut tasks = Vec::new();
        let decoding;
        if let Some(batch) = &mut next {
            let (block, _) = batch.block_and_slices();
            let slices = block.bytes().len().div_ceil(self.settings.slice_bytes.max(1));
            decoding = Decoding {
                decoder: self.ledger.decoder(block),
                partitioner: &self.partitioner,
                computation,
                allowed_rejects: self.ledger.allowed_rejects(),
            };
            tasks.extend(batch.decode(slices.min(parts(self.settings)), &decoding));
        }
        let worthwhile = tasks.len() > 1 || [&applied, &encoded].into_iter().flatten().any(Batch::is_large);
        if let Some(batch) = &mut applied {
            tasks.extend(batch.apply(&mut self.states, computation));
        }
        if let Some(batch) = &mut encoded {
            tasks.extend(batch.encode(&self.job.encoder));
        }
        side_by_side(worthwhile, tasks);
        (self.decoded, self.applied) = (next, applied);
        encoded.map_or(Ok(()), |batch| self.write(batch, blocks))
    }

    /// Numbers what was decoded and puts its bad records aside.
    fn take_stock(&mut self) -> Result<Option<Failure>, Stopped> {
        let Some(batch) = &mut self.decoded else { return Ok(None) };
        let (block, slices) = batch.block_and_slices();
        let mut failure = None;
        for slice in slices {
            match failure {
                None => failure = self.ledger.take_stock(block, slice).map_err(Failure::Observer)?,
                Some(_) => slice.clear(),
            }
        }
        Ok(failure)
    }

    /// Writes what was encoded.
    fn write(&mut self, mut batch: Batch<C::Answer>, blocks: &Blocks) -> Result<(), Stopped> {
        let (_, slices) = batch.block_and_slices();
        for slice in slices {
            if !slice.output.is_empty() {
                slice.output = self.writer.write(std::mem::take(&mut slice.output))?;
            }
        }
        let (block, lists) = batch.into_parts();
        self.spare.push(lists);
        blocks.recycle(block);
        Ok(())
    }
}
