//! The customers whom earlier runs sent a code, and those whom they held out, to compare their purchases.
//!
//! The first row of a customer decides the group, because only that row depends on nothing but chance: later rows
//! depend on the earlier ones.

use super::email_index::{CustomerNumber, EmailHasher, EmailIndex};

/// What the first row of a customer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerGroup {
    /// The customer was sent a code.
    Sent,
    /// The customer was held out.
    HeldOut,
}

/// The customers of a ledger. A customer needs the length of the email and about 25 bytes.
#[derive(Debug)]
pub struct LedgerGroups {
    /// The promos whose rows count; `None` for all.
    promos: Option<Vec<String>>,
    hasher: EmailHasher,
    /// Emails that differ only in ASCII case are one customer.
    emails: EmailIndex,
    /// By customer number.
    groups: Vec<LedgerGroup>,
}

impl LedgerGroups {
    /// No customers. Only rows of these promos will count; `None` for all.
    pub fn new(promos: Option<Vec<String>>) -> Self {
        let hasher = EmailHasher::new(true);
        let emails = EmailIndex::with_case(hasher.clone(), true);
        Self { promos, hasher, emails, groups: Vec::new() }
    }

    /// Adds a row.
    pub(super) fn add(&mut self, promo: &[u8], email: &[u8], group: LedgerGroup) {
        if self.promos.as_ref().is_some_and(|promos| promos.iter().all(|named| named.as_bytes() != promo)) {
            return;
        }
        let (_, is_new) = self.emails.insert(self.hasher.hash(email), email);
        if is_new {
            self.groups.push(group);
        }
    }

    /// The number and the group of the customer with this email, in any spelling.
    pub fn find(&self, email: &[u8]) -> Option<(CustomerNumber, LedgerGroup)> {
        let customer = self.emails.find(self.hasher.hash(email), email)?;
        Some((customer, self.groups[customer as usize]))
    }

    /// The number of customers of a group.
    pub fn size(&self, group: LedgerGroup) -> u64 {
        self.groups.iter().filter(|&&of| of == group).count() as u64
    }
}
