//! A computation: what a command does with the events of a partition, and the batches in which it receives them.

use std::hint::black_box;
use std::num::NonZeroU32;

use crate::campaign::{Claim, Decision, EmailHash, EmailHasher, Event};
use crate::record::{Bytes, FieldSpans, RecordKind, Span};

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

    /// The hasher of the emails of events.
    fn hasher(&self) -> EmailHasher {
        EmailHasher::default()
    }

    /// The hash that determines the partition of an email. Emails that must be in the same partition have the same
    /// hash.
    #[inline]
    fn hash(&self, hasher: &EmailHasher, email: &[u8]) -> EmailHash {
        hasher.hash(email)
    }

    /// Applies the events of one slice for a partition, in order. A computation without output decides nothing.
    fn apply(&self, state: &mut Self::State, events: EventBatch<'_>, decided: &mut Decided);
}

/// What a partition decides for the events of one slice, each with the number of its entry.
#[derive(Debug, Default)]
pub struct Decided {
    /// The decisions that are not the default.
    pub decisions: Vec<(u32, Decision)>,
    /// What these decisions need when they are put in input order.
    pub claims: Vec<(u32, Claim)>,
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

/// An entry of a slice that belongs to a partition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
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
