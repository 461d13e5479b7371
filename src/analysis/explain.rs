//! The computation of `adseg explain`: the histories of the requested emails.
//!
//! A decision depends only on the records of the same email, and with a policy on those of its spellings that differ in
//! ASCII case. So only the records of the requested emails and their near matches, which include these spellings, are
//! applied, and memory depends only on their records.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use foldhash::quality::RandomState;
use serde::Serialize;

use crate::campaign::{CustomerTable, Decision, EmailHasher, Event, Gate, Policy, PolicyState, Step, Tracked};
use crate::engine::{Computation, Decided, EventBatch};
use crate::escape::is_invisible;
use crate::record::field::{ascii_lower_case, is_space};
use crate::record::{Action, Conversion, ConversionKind, Items, RecordKind};

/// Applies the rule and the policy of the campaign to some emails, and records their histories.
#[derive(Debug, Clone)]
pub struct Explain<'p> {
    /// The requested emails, normalized.
    requested: HashSet<Vec<u8>, RandomState>,
    policy: &'p Policy,
}

impl<'p> Explain<'p> {
    /// Records the histories of `emails` and of their near matches.
    pub fn new<'a>(emails: impl IntoIterator<Item = &'a [u8]>, policy: &'p Policy) -> Self {
        Self { requested: emails.into_iter().map(|email| normalized_email(email).into_owned()).collect(), policy }
    }
}

/// The state of one partition.
#[derive(Debug)]
pub struct ExplainState<'p> {
    customers: CustomerTable,
    policy: PolicyState<'p>,
    ignores_case: bool,
    /// By [`customer_key`].
    histories: HashMap<Vec<u8>, History>,
}

/// All records of one customer, in order: of one email, or of all its spellings if the campaign ignores case.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The records. There is at least one.
    pub entries: Vec<Entry>,
    /// The number of the record that made the customer a member.
    pub member_since: Option<u64>,
}

/// One record of a customer.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The number of its line or frame, counted over all inputs.
    pub number: u64,
    /// Whether the customer was a member before it.
    pub was_member: bool,
    /// The email as the record spells it, if the campaign ignores case.
    pub spelling: Option<Box<[u8]>>,
    /// The conversion; `None` for a loyalty row.
    pub conversion: Option<ConversionEntry>,
}

/// A conversion and its decision.
#[derive(Debug, Clone)]
pub struct ConversionEntry {
    pub kind: ConversionKind,
    /// Whether it is before the part of the log that is replayed, so it has no decision.
    pub is_earlier: bool,
    pub promo: Box<[u8]>,
    /// The channel, for a click.
    pub channel: Option<Box<[u8]>>,
    /// The item ids, for a basket or a purchase.
    pub items: Option<Vec<Box<[u8]>>>,
    /// The total cost, for a purchase.
    pub total_cost: Option<Box<[u8]>>,
    /// As it was written, if a column has the times.
    pub time: Option<Box<[u8]>>,
    pub decision: Decision,
}

/// The counts of a customer's records and codes.
#[derive(Debug, Default, Serialize)]
pub struct Totals {
    pub loyalty_rows: u64,
    pub clicks: u64,
    pub baskets: u64,
    pub purchases: u64,
    /// Decisions to send a code.
    pub codes: u64,
}

impl History {
    /// The reason for the decision on an entry of this history, in words. The decision itself comes from the campaign.
    pub fn why(&self, entry: &Entry) -> &'static str {
        let Some(conversion) = &entry.conversion else {
            return if entry.was_member {
                "already a member: replaces the earlier row"
            } else {
                "on the loyalty list: a member from here on"
            };
        };
        match conversion.decision.stopped_by {
            Some(Gate::Promos) => return "a member clicked, but this promo gets no codes",
            Some(Gate::Suppression) => return "a member clicked, but the email is suppressed",
            Some(Gate::Once) => return "a member clicked, but was sent a code before",
            Some(Gate::Holdout) => return "a member clicked, but is held out",
            Some(Gate::Codes) => return "a member clicked, but no code is left",
            None => {}
        }
        match conversion.kind {
            ConversionKind::Purchase if conversion.is_earlier && entry.was_member => "bought before --since",
            ConversionKind::Purchase if conversion.is_earlier => "bought before --since: a member from here on",
            ConversionKind::Click if conversion.decision.send => "a member clicked",
            ConversionKind::Click if self.member_since.is_some_and(|since| since > entry.number) => "not a member yet",
            ConversionKind::Click => "not a member",
            ConversionKind::Basket => "a basket gets no code",
            ConversionKind::Purchase if conversion.decision.enrolled => "bought: a member from here on",
            ConversionKind::Purchase if entry.was_member => "a member bought: only clicks get a code",
            ConversionKind::Purchase => "a purchase gets no code",
        }
    }

    /// The numbers of records and codes.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for entry in &self.entries {
            totals.codes += u64::from(entry.conversion.as_ref().is_some_and(|conversion| conversion.decision.send));
            *match entry.conversion.as_ref().map(|conversion| conversion.kind) {
                None => &mut totals.loyalty_rows,
                Some(ConversionKind::Click) => &mut totals.clicks,
                Some(ConversionKind::Basket) => &mut totals.baskets,
                Some(ConversionKind::Purchase) => &mut totals.purchases,
            } += 1;
        }
        totals
    }
}

impl ConversionEntry {
    fn new(conversion: &Conversion<'_>, is_earlier: bool, decision: Decision) -> Self {
        let ids = |items: Items<'_>| Some(items.iter().map(Into::into).collect());
        let (channel, items, total_cost) = match conversion.action {
            Action::Click { channel } => (Some(channel.into()), None, None),
            Action::Basket { items } => (None, ids(items), None),
            Action::Purchase { items, total_cost } => (None, ids(items), total_cost.map(|cost| cost.as_bytes().into())),
        };
        let time = conversion.time.map(Into::into);
        let (kind, promo) = (conversion.kind(), conversion.promo.into());
        Self { kind, is_earlier, promo, channel, items, total_cost, time, decision }
    }
}

impl<'p> Computation for Explain<'p> {
    type State = ExplainState<'p>;

    fn new_state(&self, hasher: &EmailHasher) -> ExplainState<'p> {
        let ignores_case = self.policy.ignores_case();
        let customers = CustomerTable::with_case(hasher.clone(), Tracked::Members, ignores_case);
        ExplainState { customers, policy: PolicyState::new(self.policy), ignores_case, histories: HashMap::new() }
    }

    fn hasher(&self) -> EmailHasher {
        self.policy.event_hasher()
    }

    fn apply(&self, state: &mut ExplainState<'p>, events: EventBatch<'_>, _decided: &mut Decided) {
        for (_, hash, event) in events.events() {
            if self.requested.contains(normalized_email(event.email).as_ref()) {
                let mut step = state.customers.apply(hash, event.email, event.kind);
                state.policy.apply(&state.customers, hash, &event, &mut step);
                state.push(&event, step);
            }
        }
    }
}

impl ExplainState<'_> {
    fn push(&mut self, event: &Event<'_>, step: Step) {
        let is_earlier = event.kind == RecordKind::EarlierPurchase;
        let conversion =
            event.conversion().map(|conversion| ConversionEntry::new(&conversion, is_earlier, step.decision));
        let key = customer_key(event.email, self.ignores_case);
        let history = match self.histories.get_mut(key.as_ref()) {
            Some(history) => history,
            None => self.histories.entry(key.into_owned()).or_default(),
        };
        if step.joins {
            history.member_since = Some(event.number);
        }
        let spelling = self.ignores_case.then(|| event.email.into());
        history.entries.push(Entry { number: event.number, was_member: step.was_member, spelling, conversion });
    }
}

/// The histories of all partitions.
#[derive(Debug)]
pub struct Histories {
    ignores_case: bool,
    /// By [`customer_key`].
    by_email: HashMap<Vec<u8>, History>,
    /// For each normalized email the keys of its customers, in order of first appearance.
    spellings: HashMap<Vec<u8>, Vec<Vec<u8>>>,
}

impl Histories {
    /// Merges the histories of the partitions.
    pub fn merge(partitions: Vec<ExplainState<'_>>) -> Self {
        let ignores_case = partitions.iter().any(|partition| partition.ignores_case);
        let by_email: HashMap<_, _> = partitions.into_iter().flat_map(|partition| partition.histories).collect();
        let mut spellings: HashMap<_, Vec<_>> = HashMap::new();
        for email in by_email.keys() {
            spellings.entry(normalized_email(email).into_owned()).or_default().push(email.clone());
        }
        for emails in spellings.values_mut() {
            emails.sort_by_key(|email| by_email[email].entries[0].number);
        }
        Self { ignores_case, by_email, spellings }
    }

    /// The history of this email; `None` if no record has it.
    pub fn get(&self, email: &[u8]) -> Option<&History> {
        self.by_email.get(customer_key(email, self.ignores_case).as_ref())
    }

    /// Emails of other customers that differ from this one only in case, white space or invisible characters, in order
    /// of first appearance, with their histories.
    pub fn near_matches<'a>(&'a self, email: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a History)> {
        let key = customer_key(email, self.ignores_case);
        let others = self.spellings(email).iter().filter(move |other| **other != *key);
        others.map(|other| {
            let history = &self.by_email[other];
            (history.entries[0].spelling.as_deref().unwrap_or(other), history)
        })
    }

    /// The number of these emails.
    pub fn near_match_count(&self, email: &[u8]) -> usize {
        self.spellings(email).len() - usize::from(self.get(email).is_some())
    }

    fn spellings(&self, email: &[u8]) -> &[Vec<u8>] {
        self.spellings.get(normalized_email(email).as_ref()).map_or(&[], Vec::as_slice)
    }
}

/// The email that identifies a customer: in lower case, for ASCII, if the campaign `ignores_case`.
pub fn customer_key(email: &[u8], ignores_case: bool) -> Cow<'_, [u8]> {
    if ignores_case { ascii_lower_case(email) } else { email.into() }
}

/// The email in lower case and without white space or invisible characters: `kim@example.com` for `Kim@example.com`.
///
/// It is only used to find near matches. Customers are identified by [`customer_key`].
pub fn normalized_email(email: &[u8]) -> Cow<'_, [u8]> {
    let is_plain = |byte: u8| byte.is_ascii() && !byte.is_ascii_uppercase() && !is_space(byte);
    if email.iter().fold(true, |plain, &byte| plain & is_plain(byte)) {
        return email.into();
    }
    let mut normalized = Vec::with_capacity(email.len());
    for chunk in email.utf8_chunks() {
        let visible = chunk.valid().chars().filter(|&char| !is_invisible(char));
        for char in visible.flat_map(char::to_lowercase) {
            normalized.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
        }
        normalized.extend_from_slice(chunk.invalid());
    }
    normalized.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_case_white_space_and_invisible_characters_are_ignored() {
        let normalized = |email: &[u8]| normalized_email(email).into_owned();
        for email in ["Kim@Example.com", "kim @example.com", "kim@example.com\u{a0}", "\u{feff}kim@exa\u{ad}mple.com"] {
            assert_eq!(normalized(email.as_bytes()), b"kim@example.com", "{email}");
        }
        assert_eq!(normalized("É@x".as_bytes()), "é@x".as_bytes());
        assert_eq!(normalized(b"K\xff\xfe@x"), b"k\xff\xfe@x");
        for (one, other) in [("kim@x", "kirn@x"), ("kim@x", "kim.@x"), ("e@x", "é@x"), ("\u{1}kim@x", "kim@x")] {
            assert_ne!(normalized(one.as_bytes()), normalized(other.as_bytes()));
        }
    }
}
