//! The pipeline: the loop that receives blocks from the reader, processes them on the thread pool, and passes encoded
//! output to the writer.
//!
//! A block goes through three parallel steps, as a [`Batch`]. Work in input order happens on one thread: the
//! [`Sequencer`] and the writing.

use std::io::{self, Write};

use super::batch::{Batch, BatchBuffers, run_tasks};
use super::computation::Computation;
use super::sends::Sends;
use super::sequencer::Sequencer;
use super::slice::DecodeContext;
use super::{Counts, InputCounts, Observer, ReplayError, Settings};
use crate::campaign::{Codes, Partitioner, ReasonCounts};
use crate::input::{Block, Blocks, Content, Format, Input, InputError};
use crate::location::LineIndex;
use crate::output::{DecisionEncoder, Writer};
use crate::record::SourceKind;

/// The result of a replay.
#[derive(Debug)]
pub struct Outcome<State> {
    /// The states of the partitions.
    pub states: Vec<State>,
    /// The partition of each email; `None` if the partitions are those of several processes.
    pub partitioner: Option<Partitioner>,
    /// The number of decisions by reason; all 0 without a policy or an output.
    pub reasons: ReasonCounts,
    /// The codes that are left, if codes were handed out.
    pub codes: Option<Codes>,
    /// The counts of the input.
    pub counts: Counts,
    /// The counts of each input, in the order of the inputs. Empty inputs at the end are missing.
    pub inputs: Vec<InputCounts>,
    /// The locations of records by their numbers.
    pub line_index: LineIndex,
    /// The format of the list that the saved list replaces, or else of the first one that is not empty.
    pub list_format: Option<Format>,
    /// How many conversions have a time before the one before them, and the number of the first; `None` if none has.
    pub steps_back: Option<(u64, u64)>,
}

/// The output of decisions.
pub struct DecisionOutput<'a> {
    /// The encoder.
    pub encoder: DecisionEncoder,
    /// The codes and the ledger, if there is one.
    pub sends: Option<Sends<'a>>,
    /// The destination.
    pub out: Box<dyn Write + Send>,
}

/// Replays `inputs` in order through `computation`, and writes the decisions to `output` if there is one.
///
/// # Errors
/// When an input is damaged, there are more bad records than the settings allow, or a write fails. All decisions before
/// the damage or the bad record are written, and none after it.
///
/// # Panics
/// When a thread panics, which is a bug.
pub fn replay<C: Computation>(
    computation: &C,
    settings: &Settings,
    inputs: Vec<Input>,
    output: Option<DecisionOutput<'_>>,
    observer: &mut dyn Observer,
) -> Result<Outcome<C::State>, ReplayError> {
    let pool = rayon::ThreadPoolBuilder::new()
        // Idle threads are not free.
        .num_threads(settings.threads.get().min(useful_slices(settings)))
        .build()
        .map_err(|error| ReplayError::Threads(io::Error::other(error)))?;
    let has_list = inputs.iter().any(|input| input.source == SourceKind::Loyalty);
    let blocks = Blocks::read(inputs, settings.reader).map_err(ReplayError::Threads)?;
    let (encoder, sends, out) = match output {
        Some(DecisionOutput { encoder, sends, out }) => (Some(encoder), sends, out),
        None => (None, None, Box::new(io::sink()) as _),
    };
    let mut writer = Writer::start(out).map_err(ReplayError::Threads)?;
    let replayed = pool
        .install(|| Pipeline::new(computation, encoder, sends, settings, &mut writer, observer, has_list).run(blocks));
    match (replayed, writer.finish()) {
        // A write error takes precedence over other errors.
        (Ok(_) | Err(_), Err(error)) => Err(ReplayError::Output(error)),
        (replayed, Ok(())) => replayed,
    }
}

/// The number of slices of the minimum size in a block.
fn useful_slices(settings: &Settings) -> usize {
    settings.reader.block_bytes.div_ceil(settings.reader.slice_bytes.max(1)).max(1)
}

/// The maximum number of slices of a block: a few for each thread, so the threads finish at about the same time.
fn max_slices(settings: &Settings) -> usize {
    settings.threads.get().saturating_mul(2).min(useful_slices(settings))
}

/// The maximum size of a slice's spare buffer: a few times the size of a slice.
fn spare_bytes(settings: &Settings) -> usize {
    settings.reader.block_bytes.saturating_mul(4) / max_slices(settings)
}

/// Whether the block contains a record that is longer than a usual block. It needs much more memory than others.
fn is_long(block: &Block, settings: &Settings) -> bool {
    block.bytes().len() > settings.reader.block_bytes.saturating_mul(2)
}

/// A replay in progress: three batches, each one step behind the next. While one is decoded, the one before it is
/// applied and the one before that is encoded. So no thread waits for the slowest slice or the largest partition of a
/// step.
struct Pipeline<'a, C: Computation> {
    computation: &'a C,
    encoder: Option<DecisionEncoder>,
    sends: Option<Sends<'a>>,
    reasons: ReasonCounts,
    settings: &'a Settings,
    partitioner: Partitioner,
    states: Vec<C::State>,
    sequencer: Sequencer<'a>,
    writer: &'a mut Writer,
    /// The decoded batch, to be applied next.
    decoded: Option<Batch>,
    /// The applied batch, to be encoded next.
    applied: Option<Batch>,
    spare: Vec<BatchBuffers>,
    /// Whether the loyalty list is being loaded.
    is_loading_list: bool,
}

impl<'a, C: Computation> Pipeline<'a, C> {
    fn new(
        computation: &'a C,
        encoder: Option<DecisionEncoder>,
        sends: Option<Sends<'a>>,
        settings: &'a Settings,
        writer: &'a mut Writer,
        observer: &'a mut dyn Observer,
        is_loading_list: bool,
    ) -> Self {
        let partitions = settings.partitions.min(C::MAX_PARTITIONS);
        let partitioner = Partitioner { hasher: computation.hasher(), partitions };
        let new_state = || computation.new_state(&partitioner.hasher);
        Self {
            computation,
            encoder,
            sends,
            reasons: ReasonCounts::default(),
            settings,
            states: std::iter::repeat_with(new_state).take(partitioner.partitions.get() as usize).collect(),
            partitioner,
            sequencer: Sequencer::new(settings, observer),
            writer,
            decoded: None,
            applied: None,
            spare: Vec::new(),
            is_loading_list,
        }
    }

    fn run(mut self, mut blocks: Blocks) -> Result<Outcome<C::State>, ReplayError> {
        let header = self.encoder.map_or(Vec::new(), |encoder| encoder.header());
        if !header.is_empty() {
            self.writer.write(header).map_err(ReplayError::Output)?;
        }
        let read = self.read(&mut blocks);
        if !matches!(read, Err(ReplayError::Output(_))) {
            // The decisions before a bad record or damage are written.
            while self.is_in_progress() {
                self.step(None, &blocks)?;
            }
        }
        read?;
        let Self { states, partitioner, reasons, sends, .. } = self;
        let codes = sends.map(Sends::finish).transpose()?.flatten();
        let Sequencer { counts, inputs, line_index, list_format, steps_back, .. } = self.sequencer;
        let partitioner = Some(partitioner);
        Ok(Outcome { states, partitioner, reasons, codes, counts, inputs, line_index, list_format, steps_back })
    }

    /// Reads all blocks. The last batches may still be in progress at the end, or after an error.
    fn read(&mut self, blocks: &mut Blocks) -> Result<(), ReplayError> {
        while let Some(block) = self.next_block(blocks)? {
            match block {
                Ok(block) => {
                    if block.input.source != SourceKind::Loyalty {
                        self.finish_list(blocks)?;
                    }
                    self.block(block, blocks)?;
                }
                Err(damage) if self.settings.reader.continues_after_damage => {
                    self.sequencer.observer.damaged(&damage).map_err(ReplayError::Observer)?;
                }
                Err(damage) => return Err(ReplayError::Input(damage)),
            }
        }
        self.finish_list(blocks)
    }

    /// Reports and checks the number of members if the loyalty list was being loaded. It is loaded when the first
    /// conversions arrive, or at the end of the inputs.
    fn finish_list(&mut self, blocks: &Blocks) -> Result<(), ReplayError> {
        if !std::mem::take(&mut self.is_loading_list) {
            return Ok(());
        }
        while self.is_in_progress() {
            self.step(None, blocks)?;
        }
        let Some(members) = self.computation.members(&self.states) else { return Ok(()) };
        let minimum = self.settings.min_members;
        if members < minimum {
            return Err(ReplayError::TooFewMembers { members, minimum });
        }
        self.sequencer.observer.list_loaded(members);
        Ok(())
    }

    /// The next block. While no block is available, the batches in progress continue, so no decision waits for the next
    /// event.
    fn next_block(&mut self, blocks: &mut Blocks) -> Result<Option<Result<Block, InputError>>, ReplayError> {
        while self.is_in_progress() {
            match blocks.try_next() {
                Some(block) => return Ok(Some(block)),
                None => self.step(None, blocks)?,
            }
        }
        Ok(blocks.next())
    }

    const fn is_in_progress(&self) -> bool {
        self.decoded.is_some() || self.applied.is_some()
    }

    /// Begins a block. If it contains a bad record beyond the limit, that record and everything after it is dropped.
    fn block(&mut self, block: Block, blocks: &Blocks) -> Result<(), ReplayError> {
        self.sequencer.begin(&block);
        match block.content {
            Content::Records => {
                let is_long = is_long(&block, self.settings);
                self.step(Some(block), blocks)?;
                self.finish_slices()?;
                // So at most one long block is in these steps.
                while is_long && self.is_in_progress() {
                    self.step(None, blocks)?;
                }
            }
            Content::OversizedStart { last } => self.sequencer.oversized(&block, last)?,
            Content::OversizedRest { last } => self.sequencer.oversized_rest(&block, last)?,
        }
        self.sequencer.observer.progressed(&self.sequencer.counts);
        Ok(())
    }

    /// Moves every batch one step forward, in parallel: decodes `next`, and writes the encoded batch.
    fn step(&mut self, next: Option<Block>, blocks: &Blocks) -> Result<(), ReplayError> {
        let mut next = next.map(|block| Batch { block, buffers: self.spare.pop().unwrap_or_default() });
        let (mut applied, mut encoded) = (self.decoded.take(), self.applied.take());
        let computation = self.computation;
        if let (Some(batch), Some(sends)) = (&mut encoded, &mut self.sends) {
            batch.grant(sends);
        }
        let mut tasks = Vec::new();
        let decoding;
        if let Some(batch) = &mut next {
            let block = &batch.block;
            let slices = block.bytes().len().div_ceil(self.settings.reader.slice_bytes.max(1));
            let keeps_fields = computation.needs_fields() || self.encoder.is_some_and(|encoder| encoder.needs_fields());
            decoding = DecodeContext {
                decoder: self.sequencer.decoder(block),
                partitioner: &self.partitioner,
                computation,
                keeps_fields,
                allowed_rejects: self.sequencer.allowed_rejects(),
                spare_bytes: spare_bytes(self.settings),
            };
            tasks.extend(batch.decode(slices.min(max_slices(self.settings)), &decoding));
        }
        let in_parallel =
            tasks.len() > 1 || [&applied, &encoded].into_iter().flatten().any(|batch| batch.buffers.used > 1);
        if let Some(batch) = &mut applied {
            tasks.extend(batch.apply(&mut self.states, computation));
        }
        if let (Some(batch), Some(encoder)) = (&mut encoded, &self.encoder) {
            batch.block_and_slices().1.iter_mut().for_each(|slice| slice.output = self.writer.buffer());
            tasks.extend(batch.encode(encoder, self.sends.as_ref()));
        }
        run_tasks(in_parallel, tasks);
        (self.decoded, self.applied) = (next, applied);
        encoded.map_or(Ok(()), |batch| self.write(batch, blocks))
    }

    /// Numbers the records of the decoded batch and rejects the bad ones. Removes everything after an error.
    fn finish_slices(&mut self) -> Result<(), ReplayError> {
        let batch = self.decoded.as_mut().expect("a block was just decoded");
        let (block, slices) = batch.block_and_slices();
        let mut result = Ok(());
        for slice in slices {
            match result {
                Ok(()) => result = self.sequencer.finish_slice(block, slice),
                Err(_) => slice.clear(),
            }
        }
        result
    }

    fn write(&mut self, mut batch: Batch, blocks: &Blocks) -> Result<(), ReplayError> {
        for slice in batch.block_and_slices().1 {
            if let Some(sends) = &mut self.sends {
                sends.write_rows(&slice.ledger_rows).map_err(ReplayError::Ledger)?;
            }
            self.reasons += slice.reasons;
            self.writer.write(std::mem::take(&mut slice.output)).map_err(ReplayError::Output)?;
            slice.shrink(spare_bytes(self.settings));
        }
        if !is_long(&batch.block, self.settings) {
            self.spare.push(batch.buffers);
        }
        blocks.recycle(batch.block);
        Ok(())
    }
}
