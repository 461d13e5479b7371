//! Looking at the data before the campaign: the computation of `adseg check`.
//!
//! It decides nothing. Each partition counts what it sees, and notes what is legal but suspicious, each kind with how
//! often and where first. Customers are sharded by their emails in lower case, so that two which differ only by case
//! meet in one partition.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Computation, EventBatch};
use crate::campaign::{Event, EventKind};
use crate::partition::{EmailHash, EmailHasher};
use crate::record::field::Fields;
use crate::record::{Action, Customer, Layout};

/// Looks and counts.
#[derive(Debug, Clone, Copy)]
pub struct Checking;

/// What is legal but suspicious.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suspicion {
    /// A record with more fields than its kind needs.
    ExtraFields,
    /// An email in quotes, in a format that has none.
    Quoted,
    /// An email without an `@`.
    NoAtSign,
    /// An email that differs from a member's only by case.
    OtherCase,
}

/// How often something was seen, and the number of the first line or frame with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sightings {
    /// How often.
    pub count: u64,
    /// The first one's number, counted over the whole run.
    pub first: u64,
}

/// How many different names of a kind are told apart, and how long a name may be, in bytes. Whoever has more or longer
/// ones has something else in that field, and memory must not pay for it.
const MAX_NAMES: usize = 10_000;
const MAX_NAME_BYTES: usize = 100;

/// Names, and how often each was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// By name.
    pub seen: BTreeMap<Vec<u8>, Sightings>,
    /// How often names were seen that are not told apart, because there are too many or they are too long.
    pub others: u64,
    /// Whether there were too many.
    too_many: bool,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Members by their emails in lower case; for each the emails as they were written.
    members: HashMap<Vec<u8>, Spellings>,
    /// Loyalty rows for an email that had one before.
    pub duplicates: Option<Sightings>,
    /// The promos of the conversions.
    pub promos: Names,
    /// The channels of the clicks.
    pub channels: Names,
    /// What is suspicious.
    pub suspicions: BTreeMap<Suspicion, Sightings>,
}

/// How members write one email that is the same but for case.
#[derive(Debug)]
enum Spellings {
    /// In lower case, as nearly everybody does.
    LowerCase,
    /// In these ways.
    These(HashSet<Vec<u8>>),
}

impl Spellings {
    fn of(email: &[u8], lower_case: &[u8]) -> Self {
        if email == lower_case { Self::LowerCase } else { Self::These(HashSet::from([email.to_owned()])) }
    }

    fn contains(&self, email: &[u8], lower_case: &[u8]) -> bool {
        match self {
            Self::LowerCase => email == lower_case,
            Self::These(spellings) => spellings.contains(email),
        }
    }

    fn add(&mut self, email: &[u8], lower_case: &[u8]) {
        match self {
            Self::LowerCase => *self = Self::These(HashSet::from([lower_case.to_owned(), email.to_owned()])),
            Self::These(spellings) => drop(spellings.insert(email.to_owned())),
        }
    }
}

impl Computation for Checking {
    type State = Seen;
    type Answer = ();

    fn new_state(&self, _hasher: &EmailHasher) -> Seen {
        Seen::default()
    }

    fn concerns(&self, _kind: EventKind) -> bool {
        true
    }

    fn hash(&self, hasher: &EmailHasher, email: &[u8]) -> EmailHash {
        hasher.hash(&lower_case(email))
    }

    fn apply(&self, state: &mut Seen, events: EventBatch<'_>, _answers: &mut Vec<(u32, ())>) {
        for (_, _, event) in events.events() {
            state.see(&event);
        }
    }
}

fn lower_case(email: &[u8]) -> Cow<'_, [u8]> {
    if email.iter().any(u8::is_ascii_uppercase) { email.to_ascii_lowercase().into() } else { email.into() }
}

impl Sightings {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.first = self.first.min(other.first);
    }
}

fn sighted(sightings: &mut Option<Sightings>, seen: Sightings) {
    match sightings {
        Some(sightings) => sightings.add(seen),
        None => *sightings = Some(seen),
    }
}

impl Names {
    fn see(&mut self, name: &[u8], seen: Sightings) {
        if let Some(sightings) = self.seen.get_mut(name) {
            sightings.add(seen);
        } else if name.len() <= MAX_NAME_BYTES && self.seen.len() < MAX_NAMES {
            self.seen.insert(name.to_owned(), seen);
        } else {
            self.too_many |= name.len() <= MAX_NAME_BYTES;
            self.others += seen.count;
        }
    }

    fn merge(&mut self, other: Self) {
        for (name, seen) in other.seen {
            self.seen.entry(name).and_modify(|sightings| sightings.add(seen)).or_insert(seen);
        }
        self.others += other.others;
        self.too_many |= other.too_many;
    }

    /// When there are too many names, which ones were counted depends on the partitions. Then none of them is told.
    fn settle(&mut self) {
        if self.too_many || self.seen.len() > MAX_NAMES {
            self.others += self.seen.values().map(|sightings| sightings.count).sum::<u64>();
            self.seen.clear();
        }
    }
}

impl Seen {
    /// What several partitions saw together.
    pub fn merge(partitions: Vec<Self>) -> Self {
        let mut all = Self::default();
        for partition in partitions {
            all.promos.merge(partition.promos);
            all.channels.merge(partition.channels);
            if let Some(duplicates) = partition.duplicates {
                sighted(&mut all.duplicates, duplicates);
            }
            for (suspicion, sightings) in partition.suspicions {
                all.suspect(suspicion, sightings);
            }
        }
        all.promos.settle();
        all.channels.settle();
        all
    }

    fn see(&mut self, event: &Event<'_>) {
        let once = Sightings { count: 1, first: event.number };
        if event.layout == Layout::Commas && Fields::of(event.record).count() > needed_fields(event.kind) {
            self.suspect(Suspicion::ExtraFields, once);
        }
        if event.layout == Layout::Commas && event.email.starts_with(b"\"") {
            self.suspect(Suspicion::Quoted, once);
        }
        if !event.email.contains(&b'@') {
            self.suspect(Suspicion::NoAtSign, once);
        }
        match event.kind {
            EventKind::Customer => self.see_customer(event.email, once),
            EventKind::Conversion(_) => self.see_conversion(event, once),
        }
    }

    fn see_customer(&mut self, email: &[u8], once: Sightings) {
        let lower_case = lower_case(email);
        match self.members.get_mut(lower_case.as_ref()) {
            None => drop(self.members.insert(lower_case.to_vec(), Spellings::of(email, &lower_case))),
            Some(known) if known.contains(email, &lower_case) => sighted(&mut self.duplicates, once),
            Some(known) => {
                known.add(email, &lower_case);
                self.suspect(Suspicion::OtherCase, once);
            }
        }
    }

    fn see_conversion(&mut self, event: &Event<'_>, once: Sightings) {
        let Some(conversion) = event.conversion() else { return };
        self.promos.see(conversion.promo, once);
        if let Action::Click { channel } = conversion.action {
            self.channels.see(channel, once);
        }
        let lower_case = lower_case(event.email);
        if self.members.get(lower_case.as_ref()).is_some_and(|known| !known.contains(event.email, &lower_case)) {
            self.suspect(Suspicion::OtherCase, once);
        }
    }

    fn suspect(&mut self, suspicion: Suspicion, seen: Sightings) {
        self.suspicions.entry(suspicion).and_modify(|sightings| sightings.add(seen)).or_insert(seen);
    }
}

const fn needed_fields(kind: EventKind) -> usize {
    match kind {
        EventKind::Customer => Customer::FIELDS.len(),
        EventKind::Conversion(kind) => kind.fields().len(),
    }
}
