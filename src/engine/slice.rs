//! A slice: records of a block that one thread decodes and later encodes.

use std::ops::{ControlFlow, Range};

use super::Counts;
use super::partition::{Computation, Entry, EventBatch, Partitioner, Route};
use crate::campaign::Decision;
use crate::input::{Block, Decoded, Format, RawRecord, RecordSplitter, RecordVisitor, is_blank};
use crate::output::DecisionEncoder;
use crate::record::{Bytes, DecodedRecord, Decoder, FieldSpans, RecordKind};
use crate::system::panic_point;

/// The decoded records of a slice, and their decisions. Its buffers are reused for every block.
#[derive(Debug)]
pub(super) struct Slice {
    splitter: RecordSplitter,
    /// The good records.
    entries: Vec<Entry>,
    /// The fields of every entry; empty if they are not needed.
    fields: Vec<FieldSpans>,
    /// The entries of each partition, in order.
    routes: Vec<Vec<Route>>,
    pub rejects: Vec<Reject>,
    pub counts: Counts,
    /// The number of lines of the slice.
    pub lines: u32,
    /// The number of the first line, counted over all inputs.
    pub first_line: u64,
    decisions: Vec<Decision>,
    pub output: Vec<u8>,
}

/// The position of a bad record. The reason is determined when the record is reported, so half a million consecutive
/// bad records do not need half a million messages in memory.
#[derive(Debug)]
pub(super) struct Reject {
    /// The number of lines before it in its slice.
    pub line: u32,
    /// The number of good records before it in its slice.
    entries_before: u32,
    /// The record verbatim, in the block.
    pub raw: Range<usize>,
}

/// The context for decoding a slice.
pub(super) struct DecodeContext<'a, C> {
    pub decoder: Decoder,
    pub partitioner: &'a Partitioner,
    pub computation: &'a C,
    pub keeps_fields: bool,
    /// Decoding of a slice stops after more bad records than this, because one of them ends the run.
    pub allowed_rejects: u64,
}

/// Fills a slice.
struct SliceVisitor<'a, 'w, C> {
    slice: &'a mut Slice,
    context: &'a DecodeContext<'w, C>,
    is_framed: bool,
}

impl<C: Computation> RecordVisitor for SliceVisitor<'_, '_, C> {
    // Inlined into the loop of each format together with the decoder, so decoded values stay in registers.
    #[inline(always)]
    fn visit(&mut self, record: RawRecord, bytes: Bytes<'_>, decoded: Decoded<'_>) -> ControlFlow<()> {
        let Self { slice, context, is_framed } = self;
        match decoded {
            Ok(decoded) => slice.push(&decoded, bytes.get(decoded.email), context),
            // A record that is too long is bad even if it is blank.
            Err(error) if !*is_framed && !error.is_too_long() && is_blank(&bytes.block[record.start..record.end]) => {
                slice.counts.blanks += 1;
            }
            Err(_) => {
                slice.reject(&record);
                if slice.counts.rejects > context.allowed_rejects {
                    return ControlFlow::Break(());
                }
            }
        }
        slice.counts.records += 1;
        slice.counts.bytes += record.raw.len() as u64;
        slice.lines += record.lines;
        ControlFlow::Continue(())
    }
}

impl Slice {
    pub fn new(partitions: usize) -> Self {
        Self {
            splitter: RecordSplitter::default(),
            entries: Vec::new(),
            fields: Vec::new(),
            routes: vec![Vec::new(); partitions],
            rejects: Vec::new(),
            counts: Counts::default(),
            lines: 0,
            first_line: 0,
            decisions: Vec::new(),
            output: Vec::new(),
        }
    }

    /// Decodes the records in `range` of `block`.
    pub fn decode<C: Computation>(&mut self, block: &Block, range: Range<usize>, context: &DecodeContext<'_, C>) {
        panic_point("decode");
        self.clear();
        let mut splitter = std::mem::take(&mut self.splitter);
        let is_framed = block.format.is_framed();
        // The caller detects a break by the count of bad records.
        let _ = splitter.decode(block, range, &context.decoder, &mut SliceVisitor { slice: self, context, is_framed });
        self.splitter = splitter;
    }

    /// Removes the content of the slice.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.fields.clear();
        self.routes.iter_mut().for_each(Vec::clear);
        self.rejects.clear();
        self.counts = Counts::default();
        self.lines = 0;
    }

    #[inline(always)]
    fn push<C: Computation>(&mut self, decoded: &DecodedRecord, email: &[u8], context: &DecodeContext<'_, C>) {
        self.counts.count(decoded.kind);
        if context.computation.needs_kind(decoded.kind) {
            let hash = context.computation.hash(&context.partitioner.hasher, email);
            let route = Route { hash, entry: self.entries.len() as u32 };
            self.routes[context.partitioner.partition(hash)].push(route);
        }
        self.entries.push(Entry { kind: decoded.kind, line: self.lines, email: decoded.email });
        if context.keeps_fields {
            self.fields.push(decoded.fields);
        }
    }

    #[cold]
    fn reject(&mut self, record: &RawRecord) {
        self.counts.rejects += 1;
        let entries_before = self.entries.len() as u32;
        self.rejects.push(Reject { line: self.lines, entries_before, raw: record.raw.clone() });
    }

    /// Removes the bad record with this index and everything after it.
    pub fn truncate(&mut self, reject: usize) {
        let entries = self.rejects[reject].entries_before;
        self.entries.truncate(entries as usize);
        for routes in &mut self.routes {
            routes.truncate(routes.partition_point(|route| route.entry < entries));
        }
    }

    /// The events of this partition.
    pub fn events<'a>(&'a self, block: &'a Block, partition: usize) -> EventBatch<'a> {
        EventBatch {
            input: block.input.index,
            has_quoting: matches!(block.format, Format::Csv(_)),
            bytes: self.bytes(block),
            entries: &self.entries,
            fields: &self.fields,
            routes: &self.routes[partition],
            first_line: self.first_line,
        }
    }

    /// Sorts the decisions of the partitions into record order, and encodes the conversions.
    pub fn encode<'a>(
        &mut self,
        block: &Block,
        decisions: impl Iterator<Item = &'a [(u32, Decision)]>,
        encoder: &DecisionEncoder,
    ) {
        panic_point("encode");
        self.decisions.clear();
        self.decisions.resize(self.entries.len(), Decision::default());
        for &(entry, decision) in decisions.flatten() {
            self.decisions[entry as usize] = decision;
        }
        let mut output = std::mem::take(&mut self.output);
        let bytes = self.bytes(block);
        let conversions = self.entries.iter().zip(&self.decisions).enumerate();
        let decided = conversions
            .filter(|(_, (entry, _))| entry.kind != RecordKind::LoyaltyRow)
            .map(|(index, (entry, &decision))| (entry.event(self.fields.get(index), bytes, self.first_line), decision));
        encoder.encode(decided, &mut output);
        self.output = output;
    }

    fn bytes<'a>(&'a self, block: &'a Block) -> Bytes<'a> {
        Bytes { block: block.bytes(), scratch: self.splitter.scratch() }
    }
}
