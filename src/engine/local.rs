//! The local engine: the loop that takes blocks from the reader, has them worked on by the threads of this process, and
//! gives what was encoded to the writer.
//!
//! Everything that must happen in input order happens here, on one thread: record numbers, bad records, and writing.

use std::io::{self, Write};
use std::sync::Arc;

use memchr::memchr_iter;

use super::batch::Batch;
use super::slice::Decoding;
use super::{Counts, Failure, Observer, Settings};
use crate::computation::Computation;
use crate::encoder::Encoder;
use crate::partition::Partitioner;
use crate::record::{Decoder, RecordError};
use crate::sink::{Closed, Rejection, Writer};
use crate::source::{Block, Blocks, Content, Framing, Input, Numbering, Place, Position, ReaderSettings};

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
    let reader = ReaderSettings {
        block_bytes: settings.block_bytes,
        max_record_bytes: settings.max_record_bytes,
        reads_on_after_damage: settings.reads_on_after_damage,
    };
    let blocks = Blocks::read(inputs, reader).map_err(Failure::Threads)?;
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
    settings.block_bytes.div_ceil(settings.slice_bytes.max(1)).max(1)
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
    numbering: Numbering,
    /// The input that is being read, and how many lines or frames it had so far.
    input: Option<usize>,
    lines_in_input: u64,
    /// How many lines all inputs had so far.
    lines: u64,
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
            numbering: Numbering::default(),
            input: None,
            lines_in_input: 0,
            lines: 0,
            writer,
            observer,
        }
    }

    fn run(mut self, mut blocks: Blocks) -> Result<Outcome<C::State>, Stopped> {
        let preamble = self.job.encoder.preamble();
        if !preamble.is_empty() {
            self.writer.write(preamble)?;
        }
        while let Some(block) = blocks.next() {
            let block = match block {
                Ok(block) => block,
                Err(damage) if self.settings.reads_on_after_damage => {
                    self.observer.damaged(&damage).map_err(Failure::Observer)?;
                    continue;
                }
                Err(damage) => return Err(Failure::Source(damage).into()),
            };
            self.enter(&block);
            match block.content {
                Content::Records => self.records(&block)?,
                Content::OversizedStart => self.oversized(&block)?,
                Content::OversizedRest => self.oversized_rest(&block)?,
            }
            blocks.recycle(block);
            self.observer.advanced(&self.counts);
        }
        Ok(Outcome { states: self.states, counts: self.counts, numbering: self.numbering })
    }

    /// Begins to count anew where another input begins.
    fn enter(&mut self, block: &Block) {
        if self.input != Some(block.input.index) {
            self.input = Some(block.input.index);
            self.lines_in_input = 0;
            self.numbering.begin(Arc::clone(&block.input), block.framing, self.lines);
            if let Some(header) = &block.header {
                self.pass_lines(header.lines);
            }
        }
    }

    const fn pass_lines(&mut self, lines: u64) {
        self.lines_in_input += lines;
        self.lines += lines;
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
        Decoder {
            expected: block.input.expected,
            layout: block.framing.layout(),
            max_record_bytes: self.settings.max_record_bytes,
        }
    }

    /// Numbers the records of the decoded slices and puts the bad ones aside. When one of them is one too many,
    /// everything from it on is forgotten and it is returned.
    fn take_stock(&mut self, block: &Block) -> Result<Option<Failure>, Stopped> {
        let decoder = self.decoder(block);
        let mut failure = None;
        let (mut lines, mut byte) = (0, block.offset);
        for slice in self.batch.slices_mut() {
            if failure.is_some() {
                slice.forget();
                continue;
            }
            slice.first_line = self.lines + lines;
            for reject in &slice.rejects {
                let place = Place {
                    framing: block.framing,
                    record: self.lines_in_input + lines + u64::from(reject.line) + 1,
                    byte: byte.saturating_add(u64::from(reject.byte)),
                };
                let position = Position { input: block.input.name.clone(), place };
                let reason = match decoder.decode(reject.payload(block)) {
                    Err(reason) => reason,
                    Ok(_) => {
                        debug_assert!(false, "a record that was bad a moment ago is good");
                        continue;
                    }
                };
                if self.counts.rejects >= self.settings.max_rejects {
                    failure = Some((reject.clone(), Failure::BadRecord { position, reason: reason.to_string() }));
                    break;
                }
                self.counts.rejects += 1;
                let rejection = rejection(block, position, reason, reject.raw(block));
                self.observer.rejected(&rejection).map_err(Failure::Observer)?;
            }
            if let Some((reject, _)) = &failure {
                slice.truncate(reject);
            }
            lines += u64::from(slice.lines);
            byte = byte.saturating_add(slice.counts.bytes);
            self.counts += Counts { rejects: 0, ..slice.counts };
        }
        self.pass_lines(lines);
        Ok(failure.map(|(_, failure)| failure))
    }

    /// Puts aside a record that is too long to be taken, or stops at it.
    fn oversized(&mut self, block: &Block) -> Result<(), Stopped> {
        let place = Place { framing: block.framing, record: self.lines_in_input + 1, byte: block.offset };
        let position = Position { input: block.input.name.clone(), place };
        let reason = RecordError::TooLong { limit: self.settings.max_record_bytes };
        if self.counts.rejects >= self.settings.max_rejects {
            return Err(Failure::BadRecord { position, reason: reason.to_string() }.into());
        }
        if block.framing == Framing::Framed {
            self.pass_lines(1);
        }
        self.pass_lines_of_piece(block);
        self.counts += Counts { records: 1, rejects: 1, bytes: block.bytes().len() as u64, ..Counts::default() };
        let rejection = rejection(block, position, reason, block.bytes());
        self.observer.rejected(&rejection).map_err(Failure::Observer)?;
        Ok(())
    }

    fn oversized_rest(&mut self, block: &Block) -> Result<(), Stopped> {
        self.pass_lines_of_piece(block);
        self.counts.bytes += block.bytes().len() as u64;
        self.observer.rejected_more(block.bytes()).map_err(Failure::Observer)?;
        Ok(())
    }

    /// Counts the lines of a piece of an oversized record by their ends: text has one, a row of CSV may have more.
    fn pass_lines_of_piece(&mut self, block: &Block) {
        match block.framing {
            Framing::Text | Framing::Csv => self.pass_lines(memchr_iter(b'\n', block.bytes()).count() as u64),
            Framing::Framed => {}
        }
    }
}

/// A bad record of `block`.
fn rejection<'a>(block: &'a Block, position: Position, reason: RecordError<'a>, raw: &'a [u8]) -> Rejection<'a> {
    Rejection { expected: block.input.expected, header: block.header.as_ref(), position, reason, raw }
}
