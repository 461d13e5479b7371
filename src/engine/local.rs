//! The local engine: the loop that takes blocks from the reader, has them worked on by the threads of this process, and
//! gives what was encoded to the writer.
//!
//! Everything that must happen in input order happens here, on one thread: the [`Ledger`]'s entries, and the writing.

use std::io::{self, Write};

use super::batch::Batch;
use super::ledger::Ledger;
use super::slice::Decoding;
use super::{Counts, Failure, Observer, Settings};
use crate::computation::Computation;
use crate::encoder::Encoder;
use crate::partition::Partitioner;
use crate::sink::{Closed, Writer};
use crate::source::{Block, Blocks, Content, Input, Numbering};

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

/// A replay under way.
struct Replay<'a, C: Computation, E> {
    job: &'a Job<C, E>,
    settings: &'a Settings,
    partitioner: Partitioner,
    states: Vec<C::State>,
    batch: Batch<C::Answer>,
    ledger: Ledger<'a>,
    writer: &'a mut Writer,
}

impl<'a, C: Computation, E: Encoder<C::Answer>> Replay<'a, C, E> {
    fn new(job: &'a Job<C, E>, settings: &'a Settings, writer: &'a mut Writer, observer: &'a mut dyn Observer) -> Self {
        let partitioner = Partitioner::new(settings.partitions);
        let new_state = || job.computation.new_state(partitioner.hasher());
        Self {
            job,
            settings,
            states: std::iter::repeat_with(new_state).take(partitioner.partitions()).collect(),
            batch: Batch::new(&partitioner),
            partitioner,
            ledger: Ledger::new(settings, observer),
            writer,
        }
    }

    fn run(mut self, mut blocks: Blocks) -> Result<Outcome<C::State>, Stopped> {
        let preamble = self.job.encoder.preamble();
        if !preamble.is_empty() {
            self.writer.write(preamble)?;
        }
        while let Some(block) = blocks.next() {
            match block {
                Ok(block) => {
                    self.block(&block)?;
                    blocks.recycle(block);
                    self.ledger.advanced();
                }
                Err(damage) if self.settings.reader.reads_on_after_damage => {
                    self.ledger.damaged(&damage).map_err(Failure::Observer)?;
                }
                Err(damage) => return Err(Failure::Source(damage).into()),
            }
        }
        let Ledger { counts, numbering, .. } = self.ledger;
        Ok(Outcome { states: self.states, counts, numbering })
    }

    fn block(&mut self, block: &Block) -> Result<(), Stopped> {
        self.ledger.enter(block);
        let failure = match block.content {
            Content::Records => self.records(block)?,
            Content::OversizedStart { last } => self.ledger.oversized(block, last).map_err(Failure::Observer)?,
            Content::OversizedRest { last } => {
                self.ledger.oversized_rest(block, last).map_err(Failure::Observer)?;
                None
            }
        };
        failure.map_or(Ok(()), |failure| Err(failure.into()))
    }

    /// Takes a block of whole records through all steps. When a bad record in it is one too many, everything before that
    /// record has been written, and nothing behind it.
    fn records(&mut self, block: &Block) -> Result<Option<Failure>, Stopped> {
        let decoding = Decoding {
            decoder: self.ledger.decoder(block),
            partitioner: &self.partitioner,
            computation: &self.job.computation,
            allowed_rejects: self.ledger.allowed_rejects(),
        };
        let worthwhile = block.bytes().len().div_ceil(self.settings.slice_bytes.max(1));
        self.batch.decode(block, worthwhile.min(parts(self.settings)), &decoding);
        let mut failure = None;
        for slice in self.batch.slices_mut() {
            match failure {
                None => failure = self.ledger.take_stock(block, slice).map_err(Failure::Observer)?,
                Some(_) => slice.clear(),
            }
        }
        self.batch.apply(block, &mut self.states, &self.job.computation);
        self.batch.encode(block, &self.job.encoder);
        for slice in self.batch.slices_mut() {
            if !slice.output.is_empty() {
                slice.output = self.writer.write(std::mem::take(&mut slice.output))?;
            }
        }
        Ok(failure)
    }
}
