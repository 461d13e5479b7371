//! Partitions: the partition of an email, the events of a slice for a partition, and the computation over them.
//!
//! Invariant: all records of one email are in one partition. Partition numbers and hashes are internal; nothing that a
//! user sees depends on them.

use std::hint::black_box;
use std::num::NonZeroU32;

use crate::campaign::{Decision, EmailHash, EmailHasher, Event};
use crate::record::{Bytes, FieldSpans, RecordKind, Span};

/// The default of `--partitions`, as in the original Wallaroo application.
pub const DEFAULT_PARTITIONS: NonZeroU32 = NonZeroU32::new(10).expect("10 is not 0");

/// The number of look-ups that are prefetched together, so their cache misses overlap.
pub const PREFETCH: usize = 32;

/// The computation of a command: one state for each partition, to which its events are applied in order.
pub trait Computation: Sync {
    /// The state of one partition.
    type State: Send;

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
pub(super) struct Entry {
    pub kind: RecordKind,
    /// The number of lines before it in its slice.
    pub line: u32,
    pub email: Span,
}

impl Entry {
    /// The event of the entry, in a slice whose first line has this number.
    #[inline]
    pub fn event<'a>(&self, fields: Option<&'a FieldSpans>, bytes: Bytes<'a>, first_line: u64) -> Event<'a> {
        Event::new(self.kind, self.email, fields, bytes, first_line + u64::from(self.line))
    }
}

/// Assigns emails to partitions.
#[derive(Debug, Clone)]
pub(super) struct Partitioner {
    pub hasher: EmailHasher,
    partitions: NonZeroU32,
}

impl Partitioner {
    pub fn new(partitions: NonZeroU32) -> Self {
        Self { hasher: EmailHasher::default(), partitions }
    }

    pub const fn partitions(&self) -> usize {
        self.partitions.get() as usize
    }

    /// The partition of the email with this hash. It depends on the upper half of the hash; the tables use the lower
    /// half.
    #[inline]
    pub const fn partition(&self, hash: EmailHash) -> usize {
        (((hash.0 >> 32) * self.partitions.get() as u64) >> 32) as usize
    }
}

/// An entry of a slice that belongs to a partition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    /// The hash of the entry's email.
    pub hash: EmailHash,
    /// The number of the entry in its slice.
    pub entry: u32,
}

/// The events of one slice for one partition, in the order of their records.
#[derive(Debug, Clone, Copy)]
pub struct EventBatch<'a> {
    pub(super) input: usize,
    pub(super) has_quoting: bool,
    pub(super) bytes: Bytes<'a>,
    pub(super) entries: &'a [Entry],
    /// The fields of every entry, or empty.
    pub(super) fields: &'a [FieldSpans],
    pub(super) routes: &'a [Route],
    pub(super) first_line: u64,
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

    /// The hashes of the events.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emails_are_spread_evenly_over_the_partitions() {
        let partitioner = Partitioner::new(DEFAULT_PARTITIONS);
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
