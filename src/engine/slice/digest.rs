//! What the sequencer needs of a slice, as bytes: its counts, its times and its bad records.
//!
//! The slice is divided into parts that end before a bad record, so that the sequencer can process each part as a small
//! slice whose block contains only that record.

use super::{BadRecord, Entry, Slice};
use crate::engine::Counts;
use crate::engine::wire::{Reader, push_number, push_optional};
use crate::input::Block;
use crate::record::{RecordKind, Span, Time};

/// A part of a slice: records up to a bad one.
#[derive(Debug)]
pub(in crate::engine) struct Part<'a> {
    pub slice: Slice,
    /// The bad record after them, and its offset in the input; `None` in the last part.
    pub reject: Option<(u64, &'a [u8])>,
}

impl Slice {
    /// Appends the digest of this slice of `block`.
    pub(in crate::engine) fn digest(&self, block: &Block, out: &mut Vec<u8>) {
        push_number(self.rejects.len() as u64, out);
        let (mut times, mut line) = (self.times.as_slice(), 0);
        for BadRecord { line: at, entries_before, raw } in &self.rejects {
            let (before, after) = times.split_at(times.partition_point(|(entry, _)| entry < entries_before));
            self.push_times(before, line, out);
            push_number(u64::from(at - line), out);
            push_number(block.offset + raw.start as u64, out);
            push_optional(Some(&block.bytes()[raw.clone()]), out);
            (times, line) = (after, *at);
        }
        self.push_times(times, line, out);
        push_number(u64::from(self.lines - line), out);
        let Counts { bytes, records, blanks, rejects, loyalty_rows, clicks, baskets, purchases, ignored } = self.counts;
        for count in [bytes, records, blanks, rejects, loyalty_rows, clicks, baskets, purchases, ignored] {
            push_number(count, out);
        }
    }

    /// Appends the first time, the last one, and the first two that go back. The sequencer needs no others.
    fn push_times(&self, times: &[(u32, Time)], first_line: u32, out: &mut Vec<u8>) {
        let back = times.windows(2).position(|pair| pair[1].1 < pair[0].1);
        let mut kept: Vec<usize> = [Some(0), back, back.map(|at| at + 1), times.len().checked_sub(1)]
            .into_iter()
            .flatten()
            .filter(|&index| index < times.len())
            .collect();
        kept.dedup();
        push_number(kept.len() as u64, out);
        for (entry, time) in kept.into_iter().map(|index| times[index]) {
            push_number(u64::from(self.lines_before(entry) - first_line), out);
            out.extend_from_slice(&time.0.to_le_bytes());
        }
    }
}

/// The parts of a digest, in order.
pub(in crate::engine) fn parts<'a>(reader: &mut Reader<'a>) -> impl Iterator<Item = Part<'a>> {
    let rejects = reader.number();
    (0..=rejects).map(move |index| {
        let mut slice = Slice::default();
        for entry in 0..reader.number() as u32 {
            let line = reader.number() as u32;
            slice.entries.push(Entry { kind: RecordKind::EarlierPurchase, line, email: Span::ABSENT });
            let bytes = [0; 8].map(|_: u8| reader.byte());
            slice.times.push((entry, Time(i64::from_le_bytes(bytes))));
        }
        slice.lines = reader.number() as u32;
        let reject = (index < rejects).then(|| {
            let offset = reader.number();
            let raw = reader.optional().expect("a bad record has bytes");
            let entries_before = slice.entries.len() as u32;
            slice.rejects.push(BadRecord { line: slice.lines, entries_before, raw: 0..raw.len() });
            (offset, raw)
        });
        if reject.is_none() {
            slice.counts = Counts {
                bytes: reader.number(),
                records: reader.number(),
                blanks: reader.number(),
                rejects: reader.number(),
                loyalty_rows: reader.number(),
                clicks: reader.number(),
                baskets: reader.number(),
                purchases: reader.number(),
                ignored: reader.number(),
            };
        }
        Part { slice, reject }
    })
}
