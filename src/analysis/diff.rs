//! The computation of `adseg diff`: the decisions that differ under two policies.
//!
//! Each partition has two sides, each with its own members and its own policy state, and applies every event to both.
//! Only differences are counted and kept.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::{iter, mem};

use super::names::{MAX_NAME_BYTES, MAX_NAMES};
use crate::campaign::{CustomerTable, EmailHash, EmailHasher, Event, Policy, PolicyState, Reason, Step, Tracked};
use crate::engine::{Computation, Decided, EventBatch, MAX_PARTITIONS_WITH_NAMES, PREFETCH};
use crate::record::{ConversionKind, RecordKind};

/// Applies the rule of the campaign with two policies, the old one and the new one.
#[derive(Debug, Clone, Copy)]
pub struct Diff<'a> {
    /// The policies.
    pub policies: [&'a Policy; 2],
    /// Keep every changed decision, not only counts.
    pub keeps_changes: bool,
}

/// The number of changed decisions by the old and the new reason.
pub type PairCounts = BTreeMap<[Reason; 2], u64>;

/// The state of one partition.
#[derive(Debug)]
pub struct DiffState<'a> {
    sides: [Side<'a>; 2],
    /// The number of codes under each policy.
    codes: [u64; 2],
    reasons: PairCounts,
    promos: Promos,
    /// The customers with a decision that sends a code under one policy only.
    customers: CustomerTable,
    /// By customer number: the new codes less the old ones, and the number of the first such record.
    balances: Vec<(i64, u64)>,
    /// In order.
    changes: Vec<Change>,
}

#[derive(Debug)]
struct Side<'a> {
    members: CustomerTable,
    policy: PolicyState<'a>,
}

/// The changed decisions by promo, for a limited number of promos.
#[derive(Debug, Default)]
struct Promos {
    /// In a partition at most one more than [`MAX_NAMES`], which means that there are too many.
    by_promo: BTreeMap<Vec<u8>, PairCounts>,
    /// The changed decisions of promos that are not counted separately.
    others: u64,
}

/// A decision that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The number of its line or frame, counted over all inputs.
    pub number: u64,
    /// The old and the new reason.
    pub reasons: [Reason; 2],
    /// The email, then the promo.
    text: Box<[u8]>,
    email_len: u32,
}

impl Change {
    fn new(event: &Event<'_>, reasons: [Reason; 2]) -> Self {
        let email_len = u32::try_from(event.email.len()).expect("a record is shorter than 4 GiB");
        Self { number: event.number, reasons, text: [event.email, event.promo()].concat().into(), email_len }
    }

    /// The email.
    pub fn email(&self) -> &[u8] {
        &self.text[..self.email_len as usize]
    }

    /// The promo.
    pub fn promo(&self) -> &[u8] {
        &self.text[self.email_len as usize..]
    }
}

impl<'a> Side<'a> {
    fn new(policy: &'a Policy, hasher: &EmailHasher) -> Self {
        let members = CustomerTable::with_case(hasher.clone(), Tracked::Members, policy.ignores_case());
        Self { members, policy: PolicyState::new(policy) }
    }

    fn apply(&mut self, hash: EmailHash, event: &Event<'_>) -> Step {
        let mut step = self.members.apply(hash, event.email, event.kind);
        self.policy.apply(&self.members, hash, event, &mut step);
        step
    }
}

impl Diff<'_> {
    /// Whether one of the policies treats spellings that differ in ASCII case as one customer.
    fn joins_spellings(&self) -> bool {
        self.policies.iter().any(|policy| policy.joins_spellings())
    }
}

impl<'a> Computation for Diff<'a> {
    type State = DiffState<'a>;

    const MAX_PARTITIONS: NonZeroU32 = MAX_PARTITIONS_WITH_NAMES;

    fn new_state(&self, hasher: &EmailHasher) -> DiffState<'a> {
        DiffState {
            sides: self.policies.map(|policy| Side::new(policy, hasher)),
            codes: [0; 2],
            reasons: PairCounts::new(),
            promos: Promos::default(),
            customers: CustomerTable::with_case(hasher.clone(), Tracked::AllCustomers, self.joins_spellings()),
            balances: Vec::new(),
            changes: Vec::new(),
        }
    }

    fn hasher(&self) -> EmailHasher {
        EmailHasher::new(self.joins_spellings())
    }

    /// A basket gets no code under any policy.
    fn needs_kind(&self, kind: RecordKind) -> bool {
        kind != RecordKind::Conversion(ConversionKind::Basket)
    }

    fn apply(&self, state: &mut DiffState<'a>, events: EventBatch<'_>, _decided: &mut Decided) {
        for chunk in events.chunks(PREFETCH) {
            state.sides.iter().for_each(|side| side.members.prefetch(chunk.hashes()));
            for (_, hash, event) in chunk.events() {
                let [old, new] = &mut state.sides;
                let decisions = [old, new].map(|side| side.apply(hash, &event).decision);
                let RecordKind::Conversion(kind) = event.kind else { continue };
                let reasons = decisions.map(|decision| decision.reason(kind));
                let sends = decisions.map(|decision| decision.send);
                iter::zip(&mut state.codes, sends).for_each(|(codes, send)| *codes += u64::from(send));
                if reasons[0] != reasons[1] {
                    state.count(&event, reasons);
                    if sends[0] != sends[1] {
                        state.count_customer(hash, &event, sends);
                    }
                    if self.keeps_changes {
                        state.changes.push(Change::new(&event, reasons));
                    }
                }
            }
        }
    }
}

impl DiffState<'_> {
    fn count(&mut self, event: &Event<'_>, reasons: [Reason; 2]) {
        *self.reasons.entry(reasons).or_default() += 1;
        self.promos.count(event.promo(), reasons);
    }

    fn count_customer(&mut self, hash: EmailHash, event: &Event<'_>, [_, gains]: [bool; 2]) {
        let customer = self.customers.add(hash, event.email) as usize;
        if customer == self.balances.len() {
            self.balances.push((0, event.number));
        }
        self.balances[customer].0 += if gains { 1 } else { -1 };
    }
}

impl Promos {
    fn count(&mut self, promo: &[u8], reasons: [Reason; 2]) {
        if let Some(counts) = self.by_promo.get_mut(promo) {
            *counts.entry(reasons).or_default() += 1;
        } else if promo.len() <= MAX_NAME_BYTES && self.by_promo.len() <= MAX_NAMES {
            self.by_promo.insert(promo.to_owned(), PairCounts::from([(reasons, 1)]));
        } else {
            self.others += 1;
        }
    }

    /// Adds the counts of another partition.
    fn add(&mut self, other: Self) {
        self.others += other.others;
        for (promo, counts) in other.by_promo {
            add_counts(self.by_promo.entry(promo).or_default(), counts);
        }
    }

    /// If there are too many promos, those that a partition counted depend on the partitions, so none is listed.
    fn limit(&mut self) {
        if self.by_promo.len() > MAX_NAMES {
            self.others += mem::take(&mut self.by_promo).values().flat_map(PairCounts::values).sum::<u64>();
        }
    }
}

fn add_counts(sum: &mut PairCounts, counts: PairCounts) {
    for (reasons, count) in counts {
        *sum.entry(reasons).or_default() += count;
    }
}

/// Customers who get more codes under one policy than under the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangedCustomers {
    /// Their number.
    pub count: u64,
    /// The first of them in input order, by the number of the first record: the email and the difference in codes.
    pub first: BTreeMap<u64, (Box<[u8]>, u64)>,
}

impl ChangedCustomers {
    fn add(&mut self, email: &[u8], codes: u64, number: u64, listed: usize) {
        self.count += 1;
        if self.first.len() < listed || self.first.last_key_value().is_some_and(|(&last, _)| number < last) {
            self.first.insert(number, (email.into(), codes));
            if self.first.len() > listed {
                self.first.pop_last();
            }
        }
    }
}

/// The differences of all partitions.
#[derive(Debug, Default)]
pub struct Differences {
    /// The number of codes under each policy.
    pub codes: [u64; 2],
    /// The changed decisions.
    pub reasons: PairCounts,
    /// The changed decisions by promo. Empty if there are more than 10,000 promos.
    pub promos: BTreeMap<Vec<u8>, PairCounts>,
    /// The changed decisions of promos that are longer than 100 bytes, or too many.
    pub other_promos: u64,
    /// The customers who get more codes under the new policy.
    pub gaining: ChangedCustomers,
    /// The customers who get fewer codes under the new policy.
    pub losing: ChangedCustomers,
    /// The changed decisions in input order, if they were kept.
    pub changes: Vec<Change>,
}

impl Differences {
    /// Merges the partitions. At most `listed` customers of each kind are listed.
    pub fn merge(partitions: Vec<DiffState<'_>>, listed: usize) -> Self {
        let (mut all, mut promos) = (Self::default(), Promos::default());
        for partition in partitions {
            iter::zip(&mut all.codes, partition.codes).for_each(|(sum, codes)| *sum += codes);
            add_counts(&mut all.reasons, partition.reasons);
            promos.add(partition.promos);
            for (email, &(balance, number)) in iter::zip(partition.customers.emails(), &partition.balances) {
                let customers = if balance > 0 { &mut all.gaining } else { &mut all.losing };
                if balance != 0 {
                    customers.add(email, balance.unsigned_abs(), number, listed);
                }
            }
            all.changes.extend(partition.changes);
        }
        promos.limit();
        (all.promos, all.other_promos) = (promos.by_promo, promos.others);
        all.changes.sort_unstable_by_key(|change| change.number);
        all
    }

    /// The number of changed decisions.
    pub fn changed(&self) -> u64 {
        self.reasons.values().sum()
    }
}
