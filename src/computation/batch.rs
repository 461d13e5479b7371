//! The packets that go from a slice of a block to one partition: which entries, under which hashes.
//!
//! Entries are plain numbers that point into the block's bytes, so they can be kept in recycled lists.

use std::hint::black_box;
use std::ops::Range;

use crate::campaign::{Event, EventKind};
use crate::partition::EmailHash;
use crate::record::Layout;

/// A run of bytes in a block. A block is far below 4 GiB: a record's limit is 1 GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// The span of this range.
    #[inline]
    pub const fn new(range: Range<usize>) -> Self {
        Self { start: range.start as u32, end: range.end as u32 }
    }

    /// Where `part`, which was borrowed from `bytes`, lies in them.
    #[inline]
    pub fn of(part: &[u8], bytes: &[u8]) -> Self {
        let start = (part.as_ptr() as usize).wrapping_sub(bytes.as_ptr() as usize);
        Self::new(start..start.wrapping_add(part.len()))
    }

    /// The bytes of the span.
    #[inline]
    pub fn bytes(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// A decoded record of a slice, as far as a computation and an encoder need it.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// What it is.
    pub kind: EventKind,
    /// How many lines of its slice stand before it.
    pub line: u32,
    /// Its email.
    pub email: Span,
    /// All of it.
    pub record: Span,
}

impl Entry {
    /// The event that this entry is, in the block with these bytes, of a slice whose first line has this number.
    #[inline]
    pub fn event<'a>(&self, bytes: &'a [u8], layout: Layout, first_line: u64) -> Event<'a> {
        Event {
            kind: self.kind,
            email: self.email.bytes(bytes),
            record: self.record.bytes(bytes),
            layout,
            number: first_line.wrapping_add(u64::from(self.line)),
        }
    }
}

/// That an entry goes to a partition.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// The hash of the entry's email.
    pub hash: EmailHash,
    /// The number of the entry in its slice.
    pub entry: u32,
}

/// The events of one slice that go to one partition, in the order of their records.
#[derive(Debug, Clone, Copy)]
pub struct EventBatch<'a> {
    input: usize,
    bytes: &'a [u8],
    layout: Layout,
    entries: &'a [Entry],
    routes: &'a [Route],
    first_line: u64,
}

impl<'a> EventBatch<'a> {
    /// The events that `routes` send, among the `entries` of a slice of `bytes` of the input with this index.
    pub const fn new(
        input: usize,
        bytes: &'a [u8],
        layout: Layout,
        entries: &'a [Entry],
        routes: &'a [Route],
        first_line: u64,
    ) -> Self {
        Self { input, bytes, layout, entries, routes, first_line }
    }

    /// Which input the events come from, in the order in which inputs were given, counted from 0.
    pub const fn input(self) -> usize {
        self.input
    }

    /// The batch in groups of at most `size` events, in order.
    pub fn groups(self, size: usize) -> impl Iterator<Item = Self> {
        self.routes.chunks(size.max(1)).map(move |routes| Self { routes, ..self })
    }

    /// Fetches the records, which have left the nearest cache since they were decoded, so that the waits for them overlap.
    #[inline]
    pub fn warm(self) {
        let entries = self.routes.iter().filter_map(|route| self.entries.get(route.entry as usize));
        let first = |span: Span| self.bytes.get(span.start as usize).copied().unwrap_or_default();
        black_box(entries.fold(0, |touched, entry| touched ^ first(entry.record) ^ first(entry.email)));
    }

    /// The hashes of the events.
    pub fn hashes(self) -> impl Iterator<Item = EmailHash> + Clone {
        self.routes.iter().map(|route| route.hash)
    }

    /// The events, each with the number of its entry and the hash of its email.
    pub fn events(self) -> impl Iterator<Item = (u32, EmailHash, Event<'a>)> {
        self.routes.iter().filter_map(move |route| {
            let event = self.entries.get(route.entry as usize)?.event(self.bytes, self.layout, self.first_line);
            Some((route.entry, route.hash, event))
        })
    }
}
