//! A slice: records of a block that one thread decodes and later encodes, and the partitions that their events go to.
//!
//! Invariant: all records of one email are in one partition. Partition numbers and hashes are internal; nothing that a
//! user sees depends on them.

#[cfg(feature = "cluster")]
pub(super) mod digest;
#[cfg(feature = "cluster")]
pub(super) mod packet;

use std::hint::black_box;
use std::num::NonZeroU32;
use std::ops::{ControlFlow, Range};

use super::Counts;
use crate::campaign::{Decision, EmailHash, EmailHasher, Event};
use crate::input::{Block, Decoded, RawRecord, RecordSplitter, RecordVisitor, is_blank};
use crate::output::DecisionEncoder;
use crate::record::{Bytes, DecodedRecord, Decoder, FieldSpans, RecordError, RecordKind, Span, Time};
use crate::system::panic_point;

/// The number of look-ups that are prefetched together, so their cache misses overlap.
pub const PREFETCH: usize = 32;

/// The maximum number of partitions of a computation that counts names. Each partition may count 10,000 names in each
/// table, which need 10 to 20 MB, so memory does not grow with `--partitions`.
pub const MAX_PARTITIONS_WITH_NAMES: NonZeroU32 = NonZeroU32::new(16).expect("16 is not 0");

/// The computation of a command: one state for each partition, to which its events are applied in order.
pub trait Computation: Sync {
    /// The state of one partition.
    type State: Send;

    /// The maximum number of partitions. Lower if each partition may need much memory; the results are the same.
    const MAX_PARTITIONS: NonZeroU32 = NonZeroU32::MAX;

    /// The initial state of a partition. `hasher` is the hasher of the events' hashes.
    fn new_state(&self, hasher: &EmailHasher) -> Self::State;

    /// Whether [`Self::apply`] uses more of an event than its kind, email and number.
    fn needs_fields(&self) -> bool {
        true
    }

    /// Whether [`Self::apply`] needs events of this kind.
    fn needs_kind(&self, _kind: RecordKind) -> bool {
        true
    }

    /// The number of members, if the computation knows it.
    fn members(&self, _states: &[Self::State]) -> Option<u64> {
        None
    }

    /// The hash that determines the partition of an email. Emails that must be in the same partition have the same
    /// hash.
    #[inline]
    fn hash(&self, hasher: &EmailHasher, email: &[u8]) -> EmailHash {
        hasher.hash(email)
    }

    /// Applies the events of one slice for a partition, in order. Pushes the decisions that are not the default, each
    /// with the number of its entry. A computation without output pushes none.
    fn apply(&self, state: &mut Self::State, events: EventBatch<'_>, decisions: &mut Vec<(u32, Decision)>);
}

/// A good record. It is small, because there are millions of them.
#[derive(Debug, Clone, Copy)]
struct Entry {
    kind: RecordKind,
    /// The number of lines before it in its slice.
    line: u32,
    email: Span,
}

impl Entry {
    /// The event of the entry, in a slice whose first line has this number.
    #[inline]
    fn event<'a>(&self, fields: Option<&'a FieldSpans>, bytes: Bytes<'a>, first_line: u64) -> Event<'a> {
        Event::new(self.kind, self.email, fields, bytes, first_line + u64::from(self.line))
    }
}

/// Assigns emails to partitions.
#[derive(Debug, Clone)]
pub(super) struct Partitioner {
    pub hasher: EmailHasher,
    pub partitions: NonZeroU32,
}

impl Partitioner {
    pub fn new(partitions: NonZeroU32) -> Self {
        Self { hasher: EmailHasher::default(), partitions }
    }

    /// The partition of the email with this hash. It depends on the upper half of the hash; the tables use the lower
    /// half.
    #[inline]
    const fn partition(&self, hash: EmailHash) -> usize {
        (((hash.0 >> 32) * self.partitions.get() as u64) >> 32) as usize
    }
}

/// An entry of a slice that belongs to a partition.
#[derive(Debug, Clone, Copy)]
struct Route {
    hash: EmailHash,
    /// The number of the entry in its slice.
    entry: u32,
}

/// The events of one slice for one partition, in the order of their records.
#[derive(Debug, Clone, Copy)]
pub struct EventBatch<'a> {
    input: usize,
    has_quoting: bool,
    bytes: Bytes<'a>,
    entries: &'a [Entry],
    /// The fields of every entry, or empty.
    fields: &'a [FieldSpans],
    routes: &'a [Route],
    first_line: u64,
}

impl<'a> EventBatch<'a> {
    /// The index of the input of the events, in the order of the inputs, counted from 0.
    pub const fn input(self) -> usize {
        self.input
    }

    /// Whether the format has quoting. Then fields have no quotes around them.
    pub const fn has_quoting(self) -> bool {
        self.has_quoting
    }

    /// The batch in chunks of at most `size` events, in order.
    pub fn chunks(self, size: usize) -> impl Iterator<Item = Self> {
        self.routes.chunks(size).map(move |routes| Self { routes, ..self })
    }

    /// Prefetches the records, which may have left the nearest cache since they were decoded.
    #[inline]
    pub fn prefetch(self) {
        let first_byte = |span: Span| self.bytes.get(span).first().copied().unwrap_or(0);
        let prefetch = |route: &Route| {
            let entry = route.entry as usize;
            let fields = self.fields.get(entry).map_or(0, |fields| first_byte(fields.first));
            first_byte(self.entries[entry].email) ^ fields
        };
        black_box(self.routes.iter().fold(0, |read, route| read ^ prefetch(route)));
    }

    pub fn hashes(self) -> impl Iterator<Item = EmailHash> + Clone {
        self.routes.iter().map(|route| route.hash)
    }

    /// The events, each with the number of its entry and the hash of its email.
    pub fn events(self) -> impl Iterator<Item = (u32, EmailHash, Event<'a>)> {
        self.routes.iter().map(move |route| {
            let entry = route.entry as usize;
            let event = self.entries[entry].event(self.fields.get(entry), self.bytes, self.first_line);
            (route.entry, route.hash, event)
        })
    }
}

/// The decoded records of a slice, and their decisions. Its buffers are reused for every block.
#[derive(Debug, Default)]
pub(super) struct Slice {
    splitter: RecordSplitter,
    /// The good records.
    entries: Vec<Entry>,
    /// The fields of every entry; empty if they are not needed.
    fields: Vec<FieldSpans>,
    /// The entries of each partition, in order.
    routes: Vec<Vec<Route>>,
    pub rejects: Vec<BadRecord>,
    pub counts: Counts,
    pub lines: u32,
    /// The number of the first line, counted over all inputs.
    pub first_line: u64,
    decisions: Vec<Decision>,
    /// The times of the conversions, each with the number of its entry, if a column has them.
    pub times: Vec<(u32, Time)>,
    /// The encoded decisions. The buffer belongs to the writer.
    pub output: Vec<u8>,
}

/// The position of a bad record. The reason is determined when the record is reported, so half a million consecutive
/// bad records do not need half a million messages in memory.
#[derive(Debug)]
pub(super) struct BadRecord {
    /// The number of lines before it in its slice.
    pub line: u32,
    /// The number of good records before it in its slice.
    pub entries_before: u32,
    /// The record verbatim, in the block.
    pub raw: Range<usize>,
}

pub(super) struct DecodeContext<'a, C> {
    pub decoder: Decoder,
    pub partitioner: &'a Partitioner,
    pub computation: &'a C,
    pub keeps_fields: bool,
    /// Decoding of a slice stops after more bad records than this, because one of them ends the run.
    pub allowed_rejects: u64,
    /// The maximum size of a spare buffer.
    pub spare_bytes: usize,
}

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
            Err(RecordError::Ignored) => slice.counts.ignored += 1,
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
        Self { routes: vec![Vec::new(); partitions], ..Self::default() }
    }

    /// Decodes the records in `range` of `block`.
    pub fn decode<C: Computation>(&mut self, block: &Block, range: Range<usize>, context: &DecodeContext<'_, C>) {
        panic_point("decode");
        self.clear();
        let mut splitter = std::mem::take(&mut self.splitter);
        let is_framed = block.format.is_framed();
        // The caller detects a break by the count of bad records.
        let _ = splitter.decode(block, range, &context.decoder, &mut SliceVisitor { slice: self, context, is_framed });
        splitter.shrink_separators(context.spare_bytes);
        self.splitter = splitter;
    }

    pub fn clear(&mut self) {
        self.entries.clear();
        self.fields.clear();
        self.routes.iter_mut().for_each(Vec::clear);
        self.rejects.clear();
        self.times.clear();
        self.counts = Counts::default();
        self.lines = 0;
    }

    /// Frees the memory above `max_bytes` that unescaped fields needed. A long record can be in any slice, so without
    /// this all slices would keep as much. The slice must be encoded.
    pub fn shrink(&mut self, max_bytes: usize) {
        self.splitter.shrink_scratch(max_bytes);
    }

    #[inline(always)]
    fn push<C: Computation>(&mut self, decoded: &DecodedRecord, email: &[u8], context: &DecodeContext<'_, C>) {
        self.counts.count(decoded.kind);
        if context.computation.needs_kind(decoded.kind) {
            let hash = context.computation.hash(&context.partitioner.hasher, email);
            let route = Route { hash, entry: self.entries.len() as u32 };
            self.routes[context.partitioner.partition(hash)].push(route);
        }
        if let Some(time) = decoded.time {
            self.times.push((self.entries.len() as u32, time));
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
        self.rejects.push(BadRecord { line: self.lines, entries_before, raw: record.raw.clone() });
    }

    /// Removes all good records but the first ones.
    pub fn truncate(&mut self, entries: u32) {
        self.entries.truncate(entries as usize);
        for routes in &mut self.routes {
            routes.truncate(routes.partition_point(|route| route.entry < entries));
        }
    }

    /// The number of lines before an entry in the slice.
    pub fn lines_before(&self, entry: u32) -> u32 {
        self.entries[entry as usize].line
    }

    pub fn events<'a>(&'a self, block: &'a Block, partition: usize) -> EventBatch<'a> {
        EventBatch {
            input: block.input.index,
            has_quoting: block.format.is_table(),
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
            .filter(|(_, (entry, _))| matches!(entry.kind, RecordKind::Conversion(_)))
            .map(|(index, (entry, &decision))| (entry.event(self.fields.get(index), bytes, self.first_line), decision));
        encoder.encode(decided, &mut output);
        self.output = output;
    }

    fn bytes<'a>(&'a self, block: &'a Block) -> Bytes<'a> {
        Bytes { block: block.bytes(), scratch: self.splitter.scratch() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emails_are_spread_evenly_over_the_partitions() {
        let partitioner = Partitioner::new(crate::engine::DEFAULT_PARTITIONS);
        let mut shares = [0_u32; 10];
        for number in 0..10_000 {
            let hash = || partitioner.hasher.hash(format!("customer{number}@example.com").as_bytes());
            let partition = partitioner.partition(hash());
            assert_eq!(partition, partitioner.partition(hash()));
            shares[partition] += 1;
        }
        assert!(shares.iter().all(|&share| (800..1200).contains(&share)), "{shares:?}");
    }
}
