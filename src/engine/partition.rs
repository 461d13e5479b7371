//! Partitions: which one an email belongs to, the events of a slice that go there, and what is computed over them.
//!
//! The invariant that everything rests on: one email, one partition, for the whole run. Partition numbers and hashes
//! are internal; nothing a user sees depends on them.

use std::hint::black_box;
use std::num::NonZeroU32;

use super::slice::Entry;
use crate::campaign::{Decision, EmailHash, EmailHasher, Event};
use crate::record::{Bytes, FieldSpans, RecordKind, Span};

/// The default of `--partitions`, as in the Wallaroo application that this one follows.
pub const DEFAULT_PARTITIONS: NonZeroU32 = NonZeroU32::new(10).expect("10 is not 0");

/// How many look-ups are started before the first one is finished: enough for their cache misses to overlap.
pub const PREFETCH: usize = 32;

/// What a command computes: one state a partition, and a step that its events go through in the order of their records.
pub trait Computation: Sync {
    /// One partition's state.
    type State: Send;

    /// A state for a partition without any events. The events' hashes come from `hasher`.
    fn new_state(&self, hasher: &EmailHasher) -> Self::State;

    /// Whether [`Self::apply`] looks at more of an event than its kind, email and number.
    fn needs_fields(&self) -> bool;

    /// Whether events of this kind have to reach their partition.
    fn needs_kind(&self, kind: RecordKind) -> bool;

    /// The hash that decides which partition an email belongs to. Emails that have to meet in one partition have the
    /// same.
    #[inline]
    fn hash(&self, hasher: &EmailHasher, email: &[u8]) -> EmailHash {
        hasher.hash(email)
    }

    /// Applies a partition's events of one slice, in order. Pushes the decisions that are not the default, each with
    /// the number of its entry; a computation whose decisions nobody writes pushes none.
    fn apply(&self, state: &mut Self::State, events: EventBatch<'_>, decisions: &mut Vec<(u32, Decision)>);
}

/// Shards emails over a number of partitions.
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

    /// The partition of the email with this hash. It uses the upper half of the hash; the tables use the lower half.
    #[inline]
    pub const fn partition(&self, hash: EmailHash) -> usize {
        (((hash.0 >> 32) * self.partitions.get() as u64) >> 32) as usize
    }
}

/// That an entry of a slice goes to a partition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    /// The hash of the entry's email.
    pub hash: EmailHash,
    /// The number of the entry in its slice.
    pub entry: u32,
}

/// The events of one slice that go to one partition, in the order of their records.
#[derive(Debug, Clone, Copy)]
pub struct EventBatch<'a> {
    pub(super) input: usize,
    pub(super) has_quoting: bool,
    pub(super) bytes: Bytes<'a>,
    pub(super) entries: &'a [Entry],
    /// Of every entry, or of none.
    pub(super) fields: &'a [FieldSpans],
    pub(super) routes: &'a [Route],
    pub(super) first_line: u64,
}

impl<'a> EventBatch<'a> {
    /// Which input the events come from, in the order in which inputs were given, counted from 0.
    pub const fn input(self) -> usize {
        self.input
    }

    /// Whether their format has quotes, so that none is left around a field.
    pub const fn has_quoting(self) -> bool {
        self.has_quoting
    }

    /// The batch in chunks of at most `size` events, in order.
    pub fn chunks(self, size: usize) -> impl Iterator<Item = Self> {
        self.routes.chunks(size).map(move |routes| Self { routes, ..self })
    }

    /// Prefetches the records, which have left the nearest cache since they were decoded.
    #[inline]
    pub fn prefetch(self) {
        let first_byte = |span: Span| self.bytes.get(span).first().copied().unwrap_or(0);
        let touch = |route: &Route| {
            let entry = route.entry as usize;
            let fields = self.fields.get(entry).map_or(0, |fields| first_byte(fields.first));
            first_byte(self.entries[entry].email) ^ fields
        };
        black_box(self.routes.iter().fold(0, |touched, route| touched ^ touch(route)));
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
