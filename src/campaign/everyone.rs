//! Everybody whom one partition has heard of, member or not, and the step that an event makes for them.
//!
//! [`super::LoyaltyCustomers`] knows its members and nobody else, which is all that deciding needs. Whoever wants to
//! know more of customers needs a number for each of them; one look-up gives that and the membership.

use std::hint::black_box;

use super::email_index::EmailIndex;
use super::{Decision, Event, EventKind, decide};
use crate::partition::{EmailHash, EmailHasher};

/// The number of a customer in their partition: 0, 1, 2 … in order of first appearance.
pub type CustomerNumber = u32;

/// What an event made of its customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Who it was.
    pub customer: CustomerNumber,
    /// Whether they were a member when it came.
    pub was_member: bool,
    /// What is decided. Nothing on a loyalty row.
    pub decision: Decision,
}

/// Everybody of one partition.
#[derive(Debug)]
pub struct Everyone {
    emails: EmailIndex,
    /// By number.
    is_member: Vec<bool>,
}

impl Everyone {
    /// Nobody yet. `hasher` is the one that the events' hashes come from.
    pub fn new(hasher: EmailHasher) -> Self {
        Self { emails: EmailIndex::new(hasher), is_member: Vec::new() }
    }

    /// The number of the customer with this email, whose hash is `hash`.
    #[inline]
    pub fn customer(&mut self, hash: EmailHash, email: &[u8]) -> CustomerNumber {
        let (customer, new) = self.emails.insert(hash, email);
        if new {
            self.is_member.push(false);
        }
        customer
    }

    /// Applies one event of the customer with this number.
    #[inline]
    pub fn apply(&mut self, customer: CustomerNumber, event: &Event<'_>) -> Step {
        let Some(is_member) = self.is_member.get_mut(customer as usize) else {
            debug_assert!(false, "a number that was never given");
            return Step { customer, was_member: false, decision: Decision::default() };
        };
        let was_member = *is_member;
        let decision = match event.kind {
            EventKind::Customer => Decision::default(),
            EventKind::Conversion(kind) => decide(was_member, kind),
        };
        *is_member |= decision.enrolled || event.kind == EventKind::Customer;
        Step { customer, was_member, decision }
    }

    /// Fetches what is known of these customers, so that the waits for it overlap.
    #[inline]
    pub fn warm_members(&self, customers: impl Iterator<Item = CustomerNumber>) {
        let is_member = |customer| self.is_member.get(customer as usize).copied().unwrap_or_default();
        black_box(customers.fold(false, |touched, customer| touched ^ is_member(customer)));
    }

    /// Fetches what the next look-ups of customers will need; see the index of emails.
    #[inline]
    pub fn warm(&self, hashes: impl Iterator<Item = EmailHash> + Clone) {
        self.emails.warm(hashes);
    }
}
