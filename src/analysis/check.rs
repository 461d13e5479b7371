//! The computation of `adseg check`: counts and warnings, without decisions.
//!
//! Customers are assigned to partitions by their emails in lower case, so emails that differ only in case are in one
//! partition.

use std::collections::{BTreeMap, HashSet};
use std::mem;
use std::num::NonZeroU32;

use foldhash::quality::RandomState;

use super::copies::{Copies, LevelCounts};
use super::names::{Names, Occurrences};
use crate::campaign::{EmailHash, EmailHasher, EmailIndex, Event};
use crate::engine::{Computation, Decided, EventBatch, MAX_PARTITIONS_WITH_NAMES, PREFETCH};
use crate::lanes;
use crate::record::{Action, TotalCost};

/// Counts records, and collects warnings.
#[derive(Debug, Default)]
pub struct Check {
    distinct_records: LevelCounts,
}

/// The kinds of warnings about valid but suspicious records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WarningKind {
    /// A record with more fields than its kind needs.
    ExtraFields,
    /// A purchase in text whose total cost is probably split at a decimal comma.
    DecimalComma,
    /// A purchase whose total cost is zero or negative.
    CostNotPositive,
    /// An email in quotes, in a format without quoting.
    QuotedEmail,
    /// An email without an `@`.
    NoAtSign,
    /// No `@` in the first [`FIRST_EMAILS`] emails of the loyalty rows, or of the conversions.
    NoAtSignInList,
    NoAtSignInConversions,
    /// An email that differs from a member's only in case.
    OtherCase,
    /// A record that is an exact copy of an earlier one.
    Copy,
}

/// If none of this number of emails has an `@`, there is one warning, instead of one for each.
const FIRST_EMAILS: usize = 1_000;

/// The findings of a check.
#[derive(Debug, Default)]
pub struct Findings {
    members: ListedEmails,
    /// The number of loyalty rows for an email that has an earlier row.
    pub duplicates: u64,
    pub promos: Names,
    pub channels: Names,
    pub warnings: BTreeMap<WarningKind, Occurrences>,
    /// Whether copies were counted only in a sample of the records.
    pub samples_copies: bool,
    copies: Copies,
    /// Of the loyalty rows.
    list_emails: AtSigns,
    /// Of the conversions.
    conversion_emails: AtSigns,
}

/// The emails of the loyalty rows.
#[derive(Debug)]
struct ListedEmails {
    /// One spelling of each email.
    emails: EmailIndex,
    /// Whether the list has the spelling in lower case, by the number of the email.
    has_lower_case: Vec<bool>,
    /// The spellings that are not in lower case.
    spellings: HashSet<Vec<u8>, RandomState>,
}

impl ListedEmails {
    /// No emails. The hasher must ignore case.
    fn new(hasher: EmailHasher) -> Self {
        let emails = EmailIndex::with_case(hasher, true);
        Self { emails, has_lower_case: Vec::new(), spellings: HashSet::default() }
    }

    /// Whether the list has this spelling of the email. `None` if it has no spelling of it.
    #[inline]
    fn has_spelling(&self, hash: EmailHash, email: &[u8]) -> Option<bool> {
        let number = self.emails.find(hash, email)?;
        let is_lower_case = !lanes::any(email, lanes::upper_case);
        Some(if is_lower_case { self.has_lower_case[number as usize] } else { self.spellings.contains(email) })
    }

    fn insert(&mut self, hash: EmailHash, email: &[u8]) {
        let (number, is_new) = self.emails.insert(hash, email);
        if is_new {
            self.has_lower_case.push(false);
        }
        if lanes::any(email, lanes::upper_case) {
            self.spellings.insert(email.to_owned());
        } else {
            self.has_lower_case[number as usize] = true;
        }
    }
}

impl Default for ListedEmails {
    fn default() -> Self {
        Self::new(EmailHasher::new(true))
    }
}

/// The emails with and without an `@`.
#[derive(Debug, Default)]
struct AtSigns {
    without: Occurrences,
    /// The numbers of the first [`FIRST_EMAILS`] emails without an `@`.
    first_without: Vec<u64>,
    /// The number of the first email with an `@`.
    first_with: Option<u64>,
}

impl AtSigns {
    #[inline]
    fn count(&mut self, email: &[u8], once: Occurrences) {
        if lanes::any(email, lanes::one_of(*b"@")) {
            self.first_with.get_or_insert(once.first);
        } else {
            self.without += once;
            if self.first_without.len() < FIRST_EMAILS {
                self.first_without.push(once.first);
            }
        }
    }

    /// The emails without an `@` in all partitions, and whether they are all of the first emails.
    fn merge<'a>(partitions: impl Iterator<Item = &'a Self> + Clone) -> (Occurrences, bool) {
        let mut without = Occurrences::default();
        partitions.clone().for_each(|partition| without += partition.without);
        let first_with = partitions.clone().filter_map(|partition| partition.first_with).min().unwrap_or(u64::MAX);
        let before = |partition: &Self| partition.first_without.iter().filter(|number| **number < first_with).count();
        (without, partitions.map(before).sum::<usize>() >= FIRST_EMAILS)
    }
}

impl Computation for Check {
    type State = Findings;

    const MAX_PARTITIONS: NonZeroU32 = MAX_PARTITIONS_WITH_NAMES;

    fn new_state(&self, hasher: &EmailHasher) -> Findings {
        Findings { members: ListedEmails::new(hasher.clone()), ..Findings::default() }
    }

    /// Emails that differ only in ASCII case are counted together.
    fn hasher(&self) -> EmailHasher {
        EmailHasher::new(true)
    }

    fn apply(&self, state: &mut Findings, events: EventBatch<'_>, _decided: &mut Decided) {
        let has_quoting = events.has_quoting();
        state.copies.keep_from(self.distinct_records.lowest());
        for chunk in events.chunks(PREFETCH) {
            state.members.emails.prefetch(chunk.hashes());
            for (_, hash, event) in chunk.events() {
                state.copies.add(&event, &self.distinct_records);
                state.count(&event, hash, has_quoting);
            }
        }
    }
}

/// Whether a total cost and the text after its comma are probably one number with a decimal comma, such as `12,50`.
fn is_decimal_comma(total_cost: TotalCost<'_>, extra: &[u8]) -> bool {
    let decimals = extra.split(|&byte| byte == b',').next().expect("a split has a first piece").trim_ascii();
    !total_cost.as_bytes().contains(&b'.') && decimals.len() == 2 && decimals.iter().all(u8::is_ascii_digit)
}

impl Findings {
    /// Merges the findings of the partitions.
    pub fn merge(mut partitions: Vec<Self>) -> Self {
        let mut all = Self {
            promos: Names::merge(partitions.iter_mut().map(|partition| mem::take(&mut partition.promos))),
            channels: Names::merge(partitions.iter_mut().map(|partition| mem::take(&mut partition.channels))),
            ..Self::default()
        };
        let mut merge_at_signs = |of: fn(&Self) -> &AtSigns, kind| match AtSigns::merge(partitions.iter().map(of)) {
            (without, true) => all.warn(kind, Occurrences { count: 1, ..without }),
            (Occurrences { count: 0, .. }, false) => {}
            (without, false) => all.warn(WarningKind::NoAtSign, without),
        };
        merge_at_signs(|partition| &partition.list_emails, WarningKind::NoAtSignInList);
        merge_at_signs(|partition| &partition.conversion_emails, WarningKind::NoAtSignInConversions);
        let copies: Vec<_> = partitions.iter_mut().map(|partition| mem::take(&mut partition.copies)).collect();
        let (copies, is_sample) = Copies::merge(&copies);
        all.samples_copies = is_sample;
        if copies.count > 0 {
            all.warn(WarningKind::Copy, copies);
        }
        for partition in partitions {
            all.duplicates += partition.duplicates;
            for (kind, occurrences) in partition.warnings {
                *all.warnings.entry(kind).or_default() += occurrences;
            }
        }
        all
    }

    fn count(&mut self, event: &Event<'_>, hash: EmailHash, has_quoting: bool) {
        let once = Occurrences { count: 1, first: event.number };
        let conversion = event.conversion();
        let total_cost = match conversion.map(|conversion| conversion.action) {
            Some(Action::Purchase { total_cost, .. }) => total_cost,
            _ => None,
        };
        if let Some(extra) = event.extra_fields() {
            let is_decimal_comma = total_cost.is_some_and(|cost| is_decimal_comma(cost, extra));
            self.warn(if is_decimal_comma { WarningKind::DecimalComma } else { WarningKind::ExtraFields }, once);
        }
        if total_cost.is_some_and(|cost| !cost.is_positive()) {
            self.warn(WarningKind::CostNotPositive, once);
        }
        if !has_quoting && event.email.starts_with(b"\"") {
            self.warn(WarningKind::QuotedEmail, once);
        }
        let emails = if conversion.is_none() { &mut self.list_emails } else { &mut self.conversion_emails };
        emails.count(event.email, once);
        match conversion {
            None => self.count_member(event.email, hash, once),
            Some(conversion) => {
                self.promos.count(conversion.promo, once);
                if let Action::Click { channel } = conversion.action {
                    self.channels.count(channel, once);
                }
                if self.members.has_spelling(hash, event.email) == Some(false) {
                    self.warn(WarningKind::OtherCase, once);
                }
            }
        }
    }

    fn count_member(&mut self, email: &[u8], hash: EmailHash, once: Occurrences) {
        match self.members.has_spelling(hash, email) {
            Some(true) => {
                self.duplicates += 1;
                return;
            }
            Some(false) => self.warn(WarningKind::OtherCase, once),
            None => {}
        }
        self.members.insert(hash, email);
    }

    fn warn(&mut self, kind: WarningKind, once: Occurrences) {
        *self.warnings.entry(kind).or_default() += once;
    }
}
