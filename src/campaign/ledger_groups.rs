//! The customers whom earlier runs sent a code, and those whom they held out, to compare their purchases.
//!
//! The first row of a customer decides the group, because only that row depends on nothing but chance: later rows
//! depend on the earlier ones. Rows after the first one of this run are those of later runs and decide nothing.

use super::email_index::{CustomerNumber, EmailHasher, EmailIndex};
use crate::escape::display_name;

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
    /// A row of this run was added.
    has_own_row: bool,
    earlier_runs: RunNames,
    later_runs: RunNames,
}

/// The maximum number of runs that are named.
const MAX_RUNS: usize = 3;

/// The names of the first runs, and whether there are more.
#[derive(Debug, Default)]
pub struct RunNames {
    names: Vec<Vec<u8>>,
    has_more: bool,
}

impl RunNames {
    fn add(&mut self, run: &[u8]) {
        if self.has_more || self.names.iter().any(|name| name == run) {
            return;
        }
        self.has_more = self.names.len() == MAX_RUNS;
        if !self.has_more {
            self.names.push(run.to_owned());
        }
    }

    /// The names for a message. `None` without a run.
    pub fn display(&self) -> Option<String> {
        let names: Vec<_> = self.names.iter().map(|name| display_name(name)).collect();
        let more = if self.has_more { " and others" } else { "" };
        (!names.is_empty()).then(|| names.join(", ") + more)
    }
}

impl LedgerGroups {
    /// No customers. Only rows of these promos will count; `None` for all.
    pub fn new(promos: Option<Vec<String>>) -> Self {
        let hasher = EmailHasher::new(true);
        let emails = EmailIndex::with_case(hasher.clone(), true);
        let (earlier_runs, later_runs) = Default::default();
        Self { promos, hasher, emails, groups: Vec::new(), has_own_row: false, earlier_runs, later_runs }
    }

    /// Adds a row of another run. It does not count if a row of this run precedes it, because the conversions of this
    /// run are older than the codes of later ones.
    pub(super) fn add(&mut self, run: &[u8], promo: &[u8], email: &[u8], group: LedgerGroup) {
        if self.promos.as_ref().is_some_and(|promos| promos.iter().all(|named| named.as_bytes() != promo)) {
            return;
        }
        if self.has_own_row {
            return self.later_runs.add(run);
        }
        self.earlier_runs.add(run);
        let (_, is_new) = self.emails.insert(self.hasher.hash(email), email);
        if is_new {
            self.groups.push(group);
        }
    }

    /// Takes note of a row of this run.
    pub(super) const fn add_own_row(&mut self) {
        self.has_own_row = true;
    }

    /// The runs whose rows count.
    pub const fn earlier_runs(&self) -> &RunNames {
        &self.earlier_runs
    }

    /// The runs whose rows do not count, because they follow the first row of this run.
    pub const fn later_runs(&self) -> &RunNames {
        &self.later_runs
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
