//! A slice: a run of a block's records that one thread decodes, and later encodes.

use std::ops::Range;

use super::Counts;
use crate::campaign::EventKind;
use crate::computation::{Computation, Entry, EventBatch, Route, Span};
use crate::encoder::Encoder;
use crate::partition::Partitioner;
use crate::record::field::Fields;
use crate::record::{Decoder, Record};
use crate::source::{Block, RawRecord, Records};

/// What was decoded from a slice, and what is answered to it. Its lists are recycled from block to block.
#[derive(Debug)]
pub(super) struct Slice<Answer> {
    entries: Vec<Entry>,
    /// For each partition the entries that go there, in order.
    routes: Vec<Vec<Route>>,
    pub(super) rejects: Vec<Reject>,
    pub(super) counts: Counts,
    /// How many lines of the input the slice takes.
    pub(super) lines: u32,
    /// The number of the slice's first line, counted over the whole run.
    pub(super) first_line: u64,
    answers: Vec<Answer>,
    pub(super) output: Vec<u8>,
}

/// Where a bad record lies. What is wrong with it is found out again when somebody wants to know: half a million of
/// them in a row must not cost half a million messages.
#[derive(Debug)]
pub(super) struct Reject {
    /// How many lines of its slice stand before it.
    pub(super) line: u32,
    /// How many bytes of the input that the slice takes stand before it.
    pub(super) byte: u32,
    /// How many good records the slice has before it.
    entries_before: u32,
    payload: Span,
    raw: Span,
}

impl Reject {
    /// The record without line feed or header.
    pub(super) fn payload<'a>(&self, block: &'a Block) -> &'a [u8] {
        self.payload.bytes(block.bytes())
    }

    /// The record verbatim.
    pub(super) fn raw<'a>(&self, block: &'a Block) -> &'a [u8] {
        self.raw.bytes(block.bytes())
    }
}

/// What a slice is decoded with.
pub(super) struct Decoding<'a, C> {
    pub(super) decoder: Decoder,
    pub(super) partitioner: &'a Partitioner,
    pub(super) computation: &'a C,
    /// A slice with more bad records than this need not be read on: one of them ends the run.
    pub(super) allowed_rejects: u64,
}

impl<Answer: Copy + Default> Slice<Answer> {
    pub(super) fn new(partitions: usize) -> Self {
        Self {
            entries: Vec::new(),
            routes: vec![Vec::new(); partitions],
            rejects: Vec::new(),
            counts: Counts::default(),
            lines: 0,
            first_line: 0,
            answers: Vec::new(),
            output: Vec::new(),
        }
    }

    /// Decodes the records in `range` of `block` in place of what the slice held before.
    pub(super) fn decode<C: Computation>(&mut self, block: &Block, range: Range<usize>, with: &Decoding<'_, C>) {
        self.clear();
        let (bytes, framing) = (block.bytes(), block.framing);
        for (record, commas) in Records::new(framing, bytes, range) {
            let payload = bytes.get(record.payload.clone()).unwrap_or_default();
            match with.decoder.decode_fields(Fields::cut(payload, commas)) {
                Ok(decoded) => self.push(bytes, Span::new(record.payload.clone()), &decoded, with),
                // A line beyond the limit is never looked through, be it blank or not: most of the time it is not there.
                Err(error) if !error.is_too_long() && framing.is_blank(payload) => self.counts.blanks += 1,
                Err(_) => {
                    self.reject(&record);
                    if self.counts.rejects > with.allowed_rejects {
                        break;
                    }
                }
            }
            self.counts.records += 1;
            self.counts.bytes += record.raw.len() as u64;
            self.lines += record.lines;
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.routes.iter_mut().for_each(Vec::clear);
        self.rejects.clear();
        self.counts = Counts::default();
        self.lines = 0;
    }

    #[inline]
    fn push<C: Computation>(&mut self, bytes: &[u8], record: Span, decoded: &Record<'_>, with: &Decoding<'_, C>) {
        let (kind, email) = match decoded {
            Record::Customer(customer) => (EventKind::Customer, customer.email),
            Record::Conversion(conversion) => (EventKind::Conversion(conversion.action.kind()), conversion.email),
        };
        self.counts.count(kind);
        if with.computation.concerns(kind) {
            let hash = with.computation.hash(with.partitioner.hasher(), email.as_bytes());
            if let Some(routes) = self.routes.get_mut(with.partitioner.partition(hash)) {
                routes.push(Route { hash, entry: self.entries.len() as u32 });
            }
        }
        self.entries.push(Entry { kind, line: self.lines, email: Span::of(email.as_bytes(), bytes), record });
    }

    fn reject(&mut self, record: &RawRecord) {
        self.counts.rejects += 1;
        self.rejects.push(Reject {
            line: self.lines,
            byte: self.counts.bytes as u32,
            entries_before: self.entries.len() as u32,
            payload: Span::new(record.payload.clone()),
            raw: Span::new(record.raw.clone()),
        });
    }

    /// Forgets everything from the bad record with this index on.
    pub(super) fn truncate(&mut self, reject: usize) {
        let entries = self.rejects.get(reject).map_or(0, |reject| reject.entries_before);
        self.entries.truncate(entries as usize);
        for routes in &mut self.routes {
            routes.truncate(routes.partition_point(|route| route.entry < entries));
        }
    }

    /// What goes to this partition.
    pub(super) fn events<'a>(&'a self, block: &'a Block, partition: usize) -> EventBatch<'a> {
        let routes = self.routes.get(partition).map(Vec::as_slice).unwrap_or_default();
        let (input, layout) = (block.input.index, block.framing.layout());
        EventBatch::new(input, block.bytes(), layout, &self.entries, routes, self.first_line)
    }

    /// Brings the partitions' answers back into the order of the records, and encodes the conversions.
    pub(super) fn encode<'a>(
        &mut self,
        block: &Block,
        answers: impl Iterator<Item = &'a [(u32, Answer)]>,
        encoder: &impl Encoder<Answer>,
    ) where
        Answer: 'a,
    {
        self.answers.clear();
        self.answers.resize(self.entries.len(), Answer::default());
        for &(entry, answer) in answers.flatten() {
            if let Some(slot) = self.answers.get_mut(entry as usize) {
                *slot = answer;
            }
        }
        let (bytes, layout, first_line) = (block.bytes(), block.framing.layout(), self.first_line);
        let conversions = self.entries.iter().zip(&self.answers).filter(|(entry, _)| entry.kind != EventKind::Customer);
        let answered = conversions.map(|(entry, &answer)| (entry.event(bytes, layout, first_line), answer));
        encoder.encode(answered, &mut self.output);
    }
}
