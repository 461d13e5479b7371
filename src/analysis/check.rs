//! The computation of `adseg check`: counts and warnings, without decisions.
//!
//! Customers are assigned to partitions by their emails in lower case, so emails that differ only by case are in one
//! partition.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use crate::campaign::{Decision, EmailHash, EmailHasher, Event};
use crate::engine::{Computation, EventBatch};
use crate::record::{Action, RecordKind};

/// Counts records, and collects warnings.
#[derive(Debug, Clone, Copy)]
pub struct Check;

/// The kinds of warnings about valid but suspicious records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WarningKind {
    /// A record with more fields than its kind needs.
    ExtraFields,
    /// An email in quotes, in a format without quoting.
    QuotedEmail,
    /// An email without an `@`.
    NoAtSign,
    /// An email that differs from a member's only by case.
    OtherCase,
}

/// A number of occurrences, and the first of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occurrences {
    /// The number of occurrences.
    pub count: u64,
    /// The number of the first line or frame, counted over all inputs.
    pub first: u64,
}

/// The maximum number of names of a kind that are counted separately, and their maximum length. They limit the memory.
const MAX_NAMES: usize = 10_000;
const MAX_NAME_BYTES: usize = 100;

/// Names with the number of their occurrences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// By name.
    pub by_name: BTreeMap<Vec<u8>, Occurrences>,
    /// The occurrences of names that are not counted separately.
    pub others: u64,
    has_too_many: bool,
}

/// The findings of a check.
#[derive(Debug, Default)]
pub struct Findings {
    /// Members by their emails in lower case.
    members: HashMap<Vec<u8>, Spellings>,
    /// Loyalty rows for an email that has an earlier row.
    pub duplicates: Option<Occurrences>,
    /// The promos of the conversions.
    pub promos: Names,
    /// The channels of the clicks.
    pub channels: Names,
    /// The warnings.
    pub warnings: BTreeMap<WarningKind, Occurrences>,
}

/// The spellings of an email in the loyalty list, which differ only by case.
#[derive(Debug)]
enum Spellings {
    /// Lower case only, which is nearly always the case.
    LowerCase,
    /// These spellings.
    Several(HashSet<Vec<u8>>),
}

impl Spellings {
    fn of(email: &[u8], lower_case: &[u8]) -> Self {
        if email == lower_case { Self::LowerCase } else { Self::Several(HashSet::from([email.to_owned()])) }
    }

    fn contains(&self, email: &[u8], lower_case: &[u8]) -> bool {
        match self {
            Self::LowerCase => email == lower_case,
            Self::Several(spellings) => spellings.contains(email),
        }
    }

    fn add(&mut self, email: &[u8], lower_case: &[u8]) {
        match self {
            Self::LowerCase => *self = Self::Several(HashSet::from([lower_case.to_owned(), email.to_owned()])),
            Self::Several(spellings) => drop(spellings.insert(email.to_owned())),
        }
    }
}

impl Computation for Check {
    type State = Findings;

    fn new_state(&self, _hasher: &EmailHasher) -> Findings {
        Findings::default()
    }

    fn needs_fields(&self) -> bool {
        true
    }

    fn needs_kind(&self, _kind: RecordKind) -> bool {
        true
    }

    fn hash(&self, hasher: &EmailHasher, email: &[u8]) -> EmailHash {
        hasher.hash(&lower_case(email))
    }

    fn apply(&self, state: &mut Findings, events: EventBatch<'_>, _decisions: &mut Vec<(u32, Decision)>) {
        let has_quoting = events.has_quoting();
        for (_, _, event) in events.events() {
            state.count(&event, has_quoting);
        }
    }
}

fn lower_case(email: &[u8]) -> Cow<'_, [u8]> {
    if email.iter().any(u8::is_ascii_uppercase) { email.to_ascii_lowercase().into() } else { email.into() }
}

impl Occurrences {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.first = self.first.min(other.first);
    }
}

fn add_occurrences(to: &mut Option<Occurrences>, seen: Occurrences) {
    match to {
        Some(occurrences) => occurrences.add(seen),
        None => *to = Some(seen),
    }
}

impl Names {
    fn count(&mut self, name: &[u8], seen: Occurrences) {
        if let Some(occurrences) = self.by_name.get_mut(name) {
            occurrences.add(seen);
        } else if name.len() <= MAX_NAME_BYTES && self.by_name.len() < MAX_NAMES {
            self.by_name.insert(name.to_owned(), seen);
        } else {
            self.has_too_many |= name.len() <= MAX_NAME_BYTES;
            self.others += seen.count;
        }
    }

    fn merge(&mut self, other: Self) {
        for (name, seen) in other.by_name {
            self.by_name.entry(name).and_modify(|occurrences| occurrences.add(seen)).or_insert(seen);
        }
        self.others += other.others;
        self.has_too_many |= other.has_too_many;
    }

    /// If there are too many names, the names that were counted depend on the partitions. Then none is listed.
    fn finish(&mut self) {
        if self.has_too_many || self.by_name.len() > MAX_NAMES {
            self.others += self.by_name.values().map(|occurrences| occurrences.count).sum::<u64>();
            self.by_name.clear();
        }
    }
}

impl Findings {
    /// Merges the findings of the partitions.
    pub fn merge(partitions: Vec<Self>) -> Self {
        let mut all = Self::default();
        for partition in partitions {
            all.promos.merge(partition.promos);
            all.channels.merge(partition.channels);
            if let Some(duplicates) = partition.duplicates {
                add_occurrences(&mut all.duplicates, duplicates);
            }
            for (kind, occurrences) in partition.warnings {
                all.add_warning(kind, occurrences);
            }
        }
        all.promos.finish();
        all.channels.finish();
        all
    }

    fn count(&mut self, event: &Event<'_>, has_quoting: bool) {
        let once = Occurrences { count: 1, first: event.number };
        if event.has_extra_fields() {
            self.add_warning(WarningKind::ExtraFields, once);
        }
        if !has_quoting && event.email.starts_with(b"\"") {
            self.add_warning(WarningKind::QuotedEmail, once);
        }
        if !event.email.contains(&b'@') {
            self.add_warning(WarningKind::NoAtSign, once);
        }
        match event.conversion() {
            None => self.count_member(event.email, once),
            Some(conversion) => {
                self.promos.count(conversion.promo, once);
                if let Action::Click { channel } = conversion.action {
                    self.channels.count(channel, once);
                }
                let lower_case = lower_case(event.email);
                let known = self.members.get(lower_case.as_ref());
                if known.is_some_and(|known| !known.contains(event.email, &lower_case)) {
                    self.add_warning(WarningKind::OtherCase, once);
                }
            }
        }
    }

    fn count_member(&mut self, email: &[u8], once: Occurrences) {
        let lower_case = lower_case(email);
        match self.members.get_mut(lower_case.as_ref()) {
            None => drop(self.members.insert(lower_case.to_vec(), Spellings::of(email, &lower_case))),
            Some(known) if known.contains(email, &lower_case) => add_occurrences(&mut self.duplicates, once),
            Some(known) => {
                known.add(email, &lower_case);
                self.add_warning(WarningKind::OtherCase, once);
            }
        }
    }

    fn add_warning(&mut self, kind: WarningKind, seen: Occurrences) {
        self.warnings.entry(kind).and_modify(|occurrences| occurrences.add(seen)).or_insert(seen);
    }
}
