//! The computation of `adseg check`: counts and warnings, without decisions.
//!
//! Customers are assigned to partitions by their emails in lower case, so emails that differ only by case are in one
//! partition.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::mem;
use std::num::NonZeroU32;
use std::ops::AddAssign;

use crate::campaign::{Decision, EmailHash, EmailHasher, Event};
use crate::engine::{Computation, EventBatch};
use crate::record::Action;

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
    pub count: u64,
    /// The number of the first line or frame, counted over all inputs.
    pub first: u64,
}

/// The maximum number of names of a kind that are counted separately, and their maximum length. They limit the memory.
const MAX_NAMES: usize = 10_000;
const MAX_NAME_BYTES: usize = 100;

/// The maximum number of partitions. Each may count [`MAX_NAMES`] promos and channels, so memory does not grow with
/// `--partitions`.
const MAX_PARTITIONS: NonZeroU32 = NonZeroU32::new(16).expect("16 is not 0");

/// Names with the number of their occurrences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// In a partition at most one more than [`MAX_NAMES`], which means that there are too many.
    pub by_name: BTreeMap<Vec<u8>, Occurrences>,
    /// The occurrences of names that are not counted separately.
    pub others: u64,
}

/// The findings of a check.
#[derive(Debug, Default)]
pub struct Findings {
    /// The emails of the members in lower case, each with whether the list has this spelling.
    members: HashMap<Vec<u8>, bool>,
    /// The other spellings of these emails in the list.
    spellings: HashSet<Vec<u8>>,
    /// The number of loyalty rows for an email that has an earlier row.
    pub duplicates: u64,
    pub promos: Names,
    pub channels: Names,
    pub warnings: BTreeMap<WarningKind, Occurrences>,
}

impl Computation for Check {
    type State = Findings;

    const MAX_PARTITIONS: NonZeroU32 = MAX_PARTITIONS;

    fn new_state(&self, _hasher: &EmailHasher) -> Findings {
        Findings::default()
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

impl Default for Occurrences {
    fn default() -> Self {
        Self { count: 0, first: u64::MAX }
    }
}

impl AddAssign for Occurrences {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        self.first = self.first.min(other.first);
    }
}

impl Names {
    fn count(&mut self, name: &[u8], seen: Occurrences) {
        if let Some(occurrences) = self.by_name.get_mut(name) {
            *occurrences += seen;
        } else if name.len() <= MAX_NAME_BYTES && self.by_name.len() <= MAX_NAMES {
            self.by_name.insert(name.to_owned(), seen);
        } else {
            self.others += seen.count;
        }
    }

    /// Merges the names of the partitions. If there are too many, the names that a partition counted depend on the
    /// partitions, so none is listed.
    fn merge(partitions: impl Iterator<Item = Self>) -> Self {
        let mut all = Self::default();
        for partition in partitions {
            all.others += partition.others;
            for (name, seen) in partition.by_name {
                *all.by_name.entry(name).or_default() += seen;
            }
        }
        if all.by_name.len() > MAX_NAMES {
            all.others += mem::take(&mut all.by_name).values().map(|occurrences| occurrences.count).sum::<u64>();
        }
        all
    }
}

impl Findings {
    /// Merges the findings of the partitions.
    pub fn merge(mut partitions: Vec<Self>) -> Self {
        let mut all = Self {
            promos: Names::merge(partitions.iter_mut().map(|partition| mem::take(&mut partition.promos))),
            channels: Names::merge(partitions.iter_mut().map(|partition| mem::take(&mut partition.channels))),
            ..Self::default()
        };
        for partition in partitions {
            all.duplicates += partition.duplicates;
            for (kind, occurrences) in partition.warnings {
                *all.warnings.entry(kind).or_default() += occurrences;
            }
        }
        all
    }

    fn count(&mut self, event: &Event<'_>, has_quoting: bool) {
        let once = Occurrences { count: 1, first: event.number };
        if event.has_extra_fields() {
            self.warn(WarningKind::ExtraFields, once);
        }
        if !has_quoting && event.email.starts_with(b"\"") {
            self.warn(WarningKind::QuotedEmail, once);
        }
        if !event.email.contains(&b'@') {
            self.warn(WarningKind::NoAtSign, once);
        }
        match event.conversion() {
            None => self.count_member(event.email, once),
            Some(conversion) => {
                self.promos.count(conversion.promo, once);
                if let Action::Click { channel } = conversion.action {
                    self.channels.count(channel, once);
                }
                if self.is_listed(event.email) == Some(false) {
                    self.warn(WarningKind::OtherCase, once);
                }
            }
        }
    }

    /// Whether the list has this spelling of the email. `None` if it has no spelling of it.
    fn is_listed(&self, email: &[u8]) -> Option<bool> {
        let lower_case = lower_case(email);
        let is_listed = *self.members.get(&*lower_case)?;
        Some(if email == &*lower_case { is_listed } else { self.spellings.contains(email) })
    }

    fn count_member(&mut self, email: &[u8], once: Occurrences) {
        match self.is_listed(email) {
            Some(true) => {
                self.duplicates += 1;
                return;
            }
            Some(false) => self.warn(WarningKind::OtherCase, once),
            None => {}
        }
        let lower_case = lower_case(email);
        let is_lower_case = email == &*lower_case;
        *self.members.entry(lower_case.into_owned()).or_default() |= is_lower_case;
        if !is_lower_case {
            self.spellings.insert(email.to_owned());
        }
    }

    fn warn(&mut self, kind: WarningKind, once: Occurrences) {
        *self.warnings.entry(kind).or_default() += once;
    }
}
