//! The loyalty customers of one partition, and the step that takes an event in and gives a decision out.

use super::email_index::EmailIndex;
use super::rows::{Rows, Turn};
use super::{Decision, decide};
use crate::partition::{EmailHash, EmailHasher};
use crate::record::field::Fields;
use crate::record::{Conversion, ConversionKind, Customer, Layout, RecordError};

/// What an event is: a conversion, or a loyalty row, which decides nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// A row of the loyalty list.
    Customer,
    /// A conversion.
    Conversion(ConversionKind),
}

/// One record, as far as the campaign is concerned.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// What it is.
    pub kind: EventKind,
    /// Whose it is.
    pub email: &'a [u8],
    /// The record's bytes.
    pub record: &'a [u8],
    /// How its fields are laid out.
    pub layout: Layout,
    /// The number of its line or frame, counted over the whole run: the order in which things happened.
    pub number: u64,
}

impl<'a> Event<'a> {
    /// The loyalty row that the event is. `None` when it is a conversion.
    pub fn customer(&self) -> Option<Customer<'a>> {
        let wanted = self.kind == EventKind::Customer;
        wanted.then(|| Customer::decode_as(self.layout, Fields::of(self.record))).and_then(decoded_before)
    }

    /// The conversion that the event is. `None` when it is a loyalty row.
    pub fn conversion(&self) -> Option<Conversion<'a>> {
        let wanted = self.kind != EventKind::Customer;
        wanted.then(|| Conversion::decode_as(self.layout, Fields::of(self.record))).and_then(decoded_before)
    }

    /// The same conversion, for whoever needs that of millions of events: where the record's layout lets its fields be
    /// found without decoding it anew, they are.
    #[inline]
    pub fn conversion_again(&self) -> Option<Conversion<'a>> {
        match (self.kind, self.layout) {
            (EventKind::Conversion(kind), Layout::Commas) => Conversion::find_again(kind, self.email, self.record),
            _ => self.conversion(),
        }
    }
}

/// Only a record that was decoded becomes an event, so decoding it again does not fail.
fn decoded_before<T>(decoded: Result<T, RecordError<'_>>) -> Option<T> {
    debug_assert!(decoded.is_ok(), "an event that is no record");
    decoded.ok()
}

/// What a state keeps of its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Their emails, which is all that deciding needs.
    Emails,
    /// Their whole rows and their order, so that the list can be saved.
    Rows,
}

/// The state of one partition: who is a member.
#[derive(Debug)]
pub struct LoyaltyCustomers {
    emails: EmailIndex,
    rows: Option<Rows>,
    sent: u64,
    enrolled: u64,
}

impl LoyaltyCustomers {
    /// A state without members. `hasher` is the one that the events' hashes come from.
    pub fn new(hasher: EmailHasher, keep: Keep) -> Self {
        let rows = (keep == Keep::Rows).then(Rows::default);
        Self { emails: EmailIndex::new(hasher), rows, sent: 0, enrolled: 0 }
    }

    /// Whether an event of this kind reads or changes the state at all. A basket does neither.
    #[inline]
    pub const fn is_concerned(kind: EventKind) -> bool {
        !matches!(kind, EventKind::Conversion(ConversionKind::Basket))
    }

    /// Applies one event: a loyalty row adds a member or replaces its row; a conversion is decided on, and enrols.
    ///
    /// `hash` is the hash of the event's email.
    #[inline]
    pub fn apply(&mut self, hash: EmailHash, event: &Event<'_>) -> Decision {
        match event.kind {
            EventKind::Customer => {
                self.save(hash, event);
                Decision::default()
            }
            EventKind::Conversion(kind) => {
                let decision = decide(self.emails.find(hash, event.email).is_some(), kind);
                self.sent += u64::from(decision.send);
                if decision.enrolled {
                    self.enrol(hash, event);
                }
                decision
            }
        }
    }

    /// Fetches what the next events' look-ups will need; see the index of emails.
    #[inline]
    pub fn warm(&self, hashes: impl Iterator<Item = EmailHash> + Clone) {
        self.emails.warm(hashes);
    }

    fn save(&mut self, hash: EmailHash, event: &Event<'_>) {
        let (number, new) = self.emails.insert(hash, event.email);
        if let Some(rows) = &mut self.rows
            && let Some(customer) = event.customer()
        {
            if new {
                rows.add(&customer, event.number);
            } else {
                rows.replace(number, &customer);
            }
        }
    }

    fn enrol(&mut self, hash: EmailHash, event: &Event<'_>) {
        self.emails.insert(hash, event.email);
        self.enrolled += 1;
        if let Some(rows) = &mut self.rows {
            rows.enrol(event.number);
        }
    }

    /// How many members there are.
    pub const fn members(&self) -> usize {
        self.emails.len()
    }

    /// How many decisions were to send a code.
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// How many customers became members by a purchase.
    pub const fn enrolled(&self) -> u64 {
        self.enrolled
    }

    /// The members in order of first appearance: turn, email, and the other fields with a comma before each. Empty
    /// when only the emails were kept.
    pub(super) fn rows(&self) -> impl Iterator<Item = (Turn, &[u8], &[u8])> {
        let rows = self.rows.iter().flat_map(Rows::iter);
        rows.zip(self.emails.emails()).map(|((turn, fields), email)| (turn, email, fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(state: &mut LoyaltyCustomers, hasher: &EmailHasher, kind: EventKind, email: &str) -> (bool, bool) {
        let record = format!("{email}, , , F");
        let event =
            Event { kind, email: email.as_bytes(), record: record.as_bytes(), layout: Layout::Commas, number: 0 };
        let decision = state.apply(hasher.hash(email.as_bytes()), &event);
        (decision.send, decision.enrolled)
    }

    #[test]
    fn a_click_before_the_purchase_that_enrols_gets_no_code_and_a_click_after_it_does() {
        let (hasher, click) = (&EmailHasher::default(), EventKind::Conversion(ConversionKind::Click));
        let purchase = EventKind::Conversion(ConversionKind::Purchase);
        let mut state = LoyaltyCustomers::new(hasher.clone(), Keep::Emails);
        assert_eq!(apply(&mut state, hasher, click, "a@x"), (false, false));
        assert_eq!(apply(&mut state, hasher, purchase, "a@x"), (false, true));
        assert_eq!(apply(&mut state, hasher, purchase, "a@x"), (false, false));
        assert_eq!(apply(&mut state, hasher, click, "a@x"), (true, false));
        assert_eq!(apply(&mut state, hasher, click, "A@x"), (false, false), "emails are compared byte for byte");
        assert_eq!((state.members(), state.sent(), state.enrolled()), (1, 1, 1));
    }

    #[test]
    fn a_loyalty_row_makes_a_member_from_then_on() {
        let (hasher, click) = (&EmailHasher::default(), EventKind::Conversion(ConversionKind::Click));
        let mut state = LoyaltyCustomers::new(hasher.clone(), Keep::Rows);
        assert_eq!(apply(&mut state, hasher, EventKind::Customer, "a@x"), (false, false));
        assert_eq!(apply(&mut state, hasher, click, "a@x"), (true, false));
    }
}
