//! The local engine: the loop that takes blocks from the reader, has them worked on by the threads of this process, and
//! gives what was encoded to the writer.
//!
//! Everything that must happen in input order happens here, on one thread: record numbers, bad records, and writing.

use std::io::{self, Write};

use super::batch::Batch;
use super::slice::{Decoding, Reject};
use super::{Counts, Failure, Observer, Rejection, Settings};
use crate::computation::Computation;
use crate::encoder::Encoder;
use crate::partition::Partitioner;
use crate::record::{Decoder, RecordError};
use crate::sink::{Closed, Writer};
use crate::source::{Block, Blocks, Content, Input, Place, Position, ReaderSettings};

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
        .num_threads(settings.threads.get())
        .build()
        .map_err(|error| Failure::Threads(io::Error::other(error)))?;
    let reader = ReaderSettings { block_bytes: settings.block_bytes, max_record_bytes: settings.max_record_bytes };
    let blocks = Blocks::read(inputs, reader).map_err(Failure::Threads)?;
    let mut writer = Writer::start(out, parts(settings)).map_err(Failure::Threads)?;
    let replayed = pool.install(|| Replay::new(job, settings, &mut writer, observer).run(blocks));
    let written = writer.finish();
    match (replayed, written) {
        (Ok(outcome), Ok(())) => Ok(outcome),
        (Err(Stopped::Failed(failure)), _) => Err(failure),
        (Err(Stopped::WriterClosed) | Ok(_), Err(error)) => Err(Failure::Output(error)),
        // A writer that closed without an error does not exist.
        (Err(Stopped::WriterClosed), Ok(())) => Err(Failure::Output(io::ErrorKind::BrokenPipe.into())),
    }
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
    counts: Counts,
    /// The input that is being read, and how many records it had so far.
    input: usize,
    records_in_input: u64,
    writer: &'a mut Writer,
    observer: &'a mut dyn Observer,
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
            counts: Counts::default(),
            input: 0,
            records_in_input: 0,
            writer,
            observer,
        }
    }

    fn run(mut self, mut blocks: Blocks) -> Result<Outcome<C::State>, Stopped> {
        while let Some(block) = blocks.next() {
            let block = block.map_err(Failure::Source)?;
            if block.input.index != self.input {
                (self.input, self.records_in_input) = (block.input.index, 0);
            }
            match block.content {
                Content::Records => self.records(&block)?,
                Content::OversizedStart => self.oversized(&block)?,
                Content::OversizedRest => self.oversized_rest(&block)?,
            }
            blocks.recycle(block);
            self.observer.advanced(&self.counts);
        }
        Ok(Outcome { states: self.states, counts: self.counts })
    }

    /// Takes a block of whole records through all steps.
    fn records(&mut self, block: &Block) -> Result<(), Stopped> {
        let decoding = Decoding {
            decoder: self.decoder(block),
            partitioner: &self.partitioner,
            computation: &self.job.computation,
            allowed_rejects: self.settings.max_rejects.saturating_sub(self.counts.rejects),
        };
        let worthwhile = block.bytes().len().div_ceil(self.settings.slice_bytes.max(1));
        self.batch.decode(block, worthwhile.min(parts(self.settings)), &decoding);
        let failure = self.take_stock(block)?;
        self.batch.apply(block, &mut self.states, &self.job.computation);
        self.batch.encode(block, &self.job.encoder);
        for slice in self.batch.slices_mut() {
            if !slice.output.is_empty() {
                slice.output = self.writer.write(std::mem::take(&mut slice.output))?;
            }
        }
        failure.map_or(Ok(()), |failure| Err(failure.into()))
    }

    fn decoder(&self, block: &Block) -> Decoder {
        Decoder { expected: block.input.expected, max_record_bytes: self.settings.max_record_bytes }
    }

    /// Numbers the records of the decoded slices and puts the bad ones aside. When one of them is one too many,
    /// everything from it on is forgotten and it is returned.
    fn take_stock(&mut self, block: &Block) -> Result<Option<Failure>, Stopped> {
        let decoder = self.decoder(block);
        let mut failure = None;
        for slice in self.batch.slices_mut() {
            if failure.is_some() {
                slice.forget();
                continue;
            }
            slice.first_number = self.counts.records;
            for reject in &slice.rejects {
                let position = position(block, self.records_in_input, reject);
                let reason = match decoder.decode(reject.payload(block)) {
                    Err(reason) => reason,
                    Ok(_) => continue,
                };
                if self.counts.rejects >= self.settings.max_rejects {
                    failure = Some((reject.clone(), Failure::BadRecord { position, reason: reason.to_string() }));
                    break;
                }
                self.counts.rejects += 1;
                let rejection = Rejection { expected: block.input.expected, position, reason, raw: reject.raw(block) };
                self.observer.rejected(&rejection).map_err(Failure::Rejects)?;
            }
            if let Some((reject, _)) = &failure {
                slice.truncate(reject);
            }
            self.records_in_input += slice.counts.records;
            self.counts += Counts { rejects: 0, ..slice.counts };
        }
        Ok(failure.map(|(_, failure)| failure))
    }

    /// Puts aside a record that is too long to be taken, or stops at it.
    fn oversized(&mut self, block: &Block) -> Result<(), Stopped> {
        let place = Place { framing: block.framing, record: self.records_in_input + 1, byte: block.offset };
        let position = Position { input: block.input.name.clone(), place };
        let reason = RecordError::TooLong { limit: self.settings.max_record_bytes };
        if self.counts.rejects >= self.settings.max_rejects {
            return Err(Failure::BadRecord { position, reason: reason.to_string() }.into());
        }
        self.records_in_input += 1;
        self.counts += Counts { records: 1, rejects: 1, bytes: block.bytes().len() as u64, ..Counts::default() };
        let rejection = Rejection { expected: block.input.expected, position, reason, raw: block.bytes() };
        self.observer.rejected(&rejection).map_err(Failure::Rejects)?;
        Ok(())
    }

    fn oversized_rest(&mut self, block: &Block) -> Result<(), Stopped> {
        self.counts.bytes += block.bytes().len() as u64;
        self.observer.rejected_more(block.bytes()).map_err(Failure::Rejects)?;
        Ok(())
    }
}

/// Where a bad record of a slice stands, when its input had `records_before` records before the slice.
fn position(block: &Block, records_before: u64, reject: &Reject) -> Position {
    let byte = block.offset.saturating_add(reject.start() as u64);
    let record = records_before + u64::from(reject.ordinal) + 1;
    Position { input: block.input.name.clone(), place: Place { framing: block.framing, record, byte } }
}
