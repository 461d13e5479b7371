//! A slice: records of a block that one thread decodes and later encodes, and the partitions that their events go to.
//!
//! Invariant: all records of one email are in one partition. Partition numbers and hashes are internal; nothing that a
//! user sees depends on them.

#[cfg(feature = "cluster")]
pub(super) mod digest;
#[cfg(feature = "cluster")]
pub(super) mod packet;

use std::ops::{ControlFlow, Range};

use super::Counts;
use super::computation::{Computation, Entry, EventBatch, Route};
use super::sends::{Grant, Sends};
use crate::campaign::{Decision, Event, Gate, Partitioner, ReasonCounts};
use crate::input::{Block, Decoded, RawRecord, RecordSplitter, RecordVisitor, is_blank};
use crate::output::{DecidedConversion, DecisionEncoder};
use crate::record::{Bytes, DecodedRecord, Decoder, FieldSpans, RecordError, RecordKind, Time};
use crate::system::panic_point;

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
    /// The codes and ledger rows that [`Sends`] grants, each with the number of its entry, in order.
    pub grants: Vec<(u32, Grant)>,
    /// The encoded ledger rows.
    pub ledger_rows: Vec<u8>,
    /// The number of decisions by reason; all 0 without a policy.
    pub reasons: ReasonCounts,
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
        self.grants.clear();
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

    /// The times of the conversions that get a decision.
    pub fn decided_times(&self) -> impl Iterator<Item = Time> {
        let is_decided = |&&(entry, _): &&(u32, Time)| self.entries[entry as usize].kind != RecordKind::EarlierPurchase;
        self.times.iter().filter(is_decided).map(|&(_, time)| time)
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

    /// The event of an entry.
    pub fn event<'a>(&'a self, block: &'a Block, entry: u32) -> Event<'a> {
        let index = entry as usize;
        self.entries[index].event(self.fields.get(index), self.bytes(block), self.first_line)
    }

    /// Sorts the decisions of the partitions into record order, and encodes the conversions and the ledger rows.
    pub fn encode<'a>(
        &mut self,
        block: &Block,
        decisions: impl Iterator<Item = &'a [(u32, Decision)]>,
        encoder: &DecisionEncoder,
        sends: Option<&Sends<'_>>,
    ) {
        panic_point("encode");
        self.decisions.clear();
        self.decisions.resize(self.entries.len(), Decision::default());
        for &(entry, decision) in decisions.flatten() {
            self.decisions[entry as usize] = decision;
        }
        if let Some(sends) = sends {
            self.apply_grants(block, sends);
        }
        if encoder.with_policy {
            self.count_reasons();
        }
        let mut output = std::mem::take(&mut self.output);
        let bytes = self.bytes(block);
        let conversions = self.entries.iter().zip(&self.decisions).enumerate();
        let mut grants = self.grants.iter().peekable();
        let decided = conversions.filter(|(_, (entry, _))| matches!(entry.kind, RecordKind::Conversion(_))).map(
            |(index, (entry, &decision))| {
                let grant = grants.next_if(|(of, _)| *of as usize == index);
                let code = grant.zip(sends).map_or(&[][..], |((_, grant), sends)| sends.code(*grant));
                let event = entry.event(self.fields.get(index), bytes, self.first_line);
                DecidedConversion { event, decision, code }
            },
        );
        encoder.encode(decided, &mut output);
        self.output = output;
    }

    /// Withholds the sends without a code, and encodes the ledger rows.
    fn apply_grants(&mut self, block: &Block, sends: &Sends<'_>) {
        let mut rows = std::mem::take(&mut self.ledger_rows);
        rows.clear();
        for &(entry, grant) in &self.grants {
            if grant == Grant::Withheld {
                self.decisions[entry as usize] = Decision::stopped(Gate::Codes);
            }
        }
        sends.encode_rows(self.grants.iter().map(|&(entry, grant)| (self.event(block, entry), grant)), &mut rows);
        self.ledger_rows = rows;
    }

    fn count_reasons(&mut self) {
        self.reasons = ReasonCounts::default();
        for (entry, decision) in self.entries.iter().zip(&self.decisions) {
            if let RecordKind::Conversion(kind) = entry.kind {
                self.reasons.add(decision.reason(kind));
            }
        }
    }

    fn bytes<'a>(&'a self, block: &'a Block) -> Bytes<'a> {
        Bytes { block: block.bytes(), scratch: self.splitter.scratch() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::EmailHasher;

    #[test]
    fn emails_are_spread_evenly_over_the_partitions() {
        let hasher = EmailHasher::default();
        let partitioner = Partitioner { hasher, partitions: crate::engine::DEFAULT_PARTITIONS };
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
