//! The ledger in memory: whom earlier runs sent a code, and the rows that a run with the same id has written before.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use foldhash::quality::RandomState;

use super::email_index::{CustomerNumber, EmailHash, EmailHasher, EmailIndex};
use super::ledger_groups::{LedgerGroup, LedgerGroups};
use super::policy::Once;
use super::promos::{PromoNumber, PromoNumbers, PromoSets};

/// A row of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerRow<'a> {
    /// The id of the run.
    pub run: &'a [u8],
    /// The promo of the click.
    pub promo: &'a [u8],
    /// In the spelling of the click. Compared without regard to ASCII case.
    pub email: &'a [u8],
    /// What happened.
    pub outcome: LedgerOutcome<'a>,
}

/// What happened to a click.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerOutcome<'a> {
    /// The customer was sent this code, which is empty if the campaign has no codes.
    Sent {
        /// The code, or nothing.
        code: &'a [u8],
    },
    /// The customer was in the control group.
    HeldOut,
}

/// Stands for all promos if a customer is sent only one code.
pub(super) const ANY_PROMO: PromoNumber = 0;

/// No further row.
const NONE: u32 = u32::MAX;

/// The rows of this run for one customer and promo.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunRows {
    /// Whether a row holds out the customer.
    pub is_held_out: bool,
    /// The first and the last `sent` row, or [`NONE`].
    first: u32,
    last: u32,
}

impl RunRows {
    /// The first `sent` row.
    pub fn first_sent(self) -> Option<SentRowNumber> {
        row_number(self.first)
    }
}

/// A `sent` row of this run: the place of its code, and the next row of the same customer and promo.
#[derive(Debug)]
struct SentRow {
    start: u64,
    len: u32,
    next: u32,
}

/// The number of a `sent` row of this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentRowNumber(pub(crate) u32);

/// What a ledger says about earlier clicks. A customer needs the length of the email and about 25 bytes, however many
/// rows of other runs there are.
#[derive(Debug)]
pub struct Ledger {
    run_id: Option<Vec<u8>>,
    once: Once,
    hasher: EmailHasher,
    /// Emails that differ only in ASCII case are one customer.
    customers: EmailIndex,
    promos: PromoNumbers,
    /// The promos for which other runs sent each customer a code, or [`ANY_PROMO`].
    earlier: PromoSets,
    run_rows: HashMap<(CustomerNumber, PromoNumber), RunRows, RandomState>,
    /// The customers whom this run sent a code.
    sent_by_run: HashSet<CustomerNumber, RandomState>,
    sent: Vec<SentRow>,
    codes: Vec<u8>,
    /// The customers whom other runs sent a code, and who are not yet in `earlier`; their emails are in one buffer.
    pending: Vec<(EmailHash, Range<usize>, PromoNumber)>,
    pending_emails: Vec<u8>,
    groups: Option<LedgerGroups>,
}

/// The number of customers who are added together.
const PENDING: usize = 32;

impl Ledger {
    /// An empty ledger for a run with this id. Without an id, all rows are those of other runs.
    pub fn new(run_id: Option<&[u8]>, once: Once) -> Self {
        let hasher = EmailHasher::new(true);
        Self {
            run_id: run_id.map(<[u8]>::to_owned),
            once,
            customers: EmailIndex::with_case(hasher.clone(), true),
            hasher,
            promos: PromoNumbers::default(),
            earlier: PromoSets::default(),
            run_rows: HashMap::default(),
            sent_by_run: HashSet::default(),
            sent: Vec::new(),
            codes: Vec::new(),
            pending: Vec::new(),
            pending_emails: Vec::new(),
            groups: None,
        }
    }

    /// The same ledger, which also keeps the groups of the customers of other runs.
    pub fn with_groups(self, groups: LedgerGroups) -> Self {
        Self { groups: Some(groups), ..self }
    }

    /// The groups of the customers of other runs, if they are kept.
    pub const fn groups(&self) -> Option<&LedgerGroups> {
        self.groups.as_ref()
    }

    /// Adds a row.
    pub fn add(&mut self, row: &LedgerRow<'_>) {
        if self.run_id.as_deref() == Some(row.run) {
            self.groups.iter_mut().for_each(LedgerGroups::add_own_row);
            return self.add_to_run(row);
        }
        let is_sent = matches!(row.outcome, LedgerOutcome::Sent { .. });
        if let Some(groups) = &mut self.groups {
            let group = if is_sent { LedgerGroup::Sent } else { LedgerGroup::HeldOut };
            groups.add(row.run, row.promo, row.email, group);
        }
        if is_sent && self.once != Once::Never {
            let promo = if self.once == Once::Promo { self.promos.number(row.promo) } else { ANY_PROMO };
            let start = self.pending_emails.len();
            self.pending_emails.extend_from_slice(row.email);
            self.pending.push((self.hasher.hash(row.email), start..self.pending_emails.len(), promo));
            if self.pending.len() == PENDING {
                self.add_pending();
            }
        }
    }

    /// Ends the adding of rows.
    pub fn seal(&mut self) {
        self.add_pending();
    }

    /// Whether all rows that were added can be found.
    pub(super) const fn is_sealed(&self) -> bool {
        self.pending.is_empty()
    }

    /// Adds the customers who wait. Several at a time, so their cache misses overlap.
    fn add_pending(&mut self) {
        self.customers.prefetch(self.pending.iter().map(|(hash, ..)| *hash));
        for (hash, email, promo) in self.pending.drain(..) {
            let (customer, _) = self.customers.insert(hash, &self.pending_emails[email]);
            self.earlier.insert(customer, promo);
        }
        self.pending_emails.clear();
    }

    fn add_to_run(&mut self, row: &LedgerRow<'_>) {
        let (customer, _) = self.customers.insert(self.hasher.hash(row.email), row.email);
        let key = (customer, self.promos.number(row.promo));
        let rows = self.run_rows.entry(key).or_insert(RunRows { is_held_out: false, first: NONE, last: NONE });
        let LedgerOutcome::Sent { code } = row.outcome else {
            rows.is_held_out = true;
            return;
        };
        let this = u32::try_from(self.sent.len()).ok().filter(|&row| row != NONE);
        let this = this.expect("2^32 rows of one run do not fit into memory");
        let len = u32::try_from(code.len()).expect("a code is shorter than 4 GiB");
        self.sent.push(SentRow { start: self.codes.len() as u64, len, next: NONE });
        self.codes.extend_from_slice(code);
        match rows.last {
            NONE => rows.first = this,
            last => self.sent[last as usize].next = this,
        }
        rows.last = this;
        self.sent_by_run.insert(customer);
    }

    /// The id of the run.
    pub fn run_id(&self) -> Option<&[u8]> {
        self.run_id.as_deref()
    }

    /// How often a customer is sent a code, for which the rows were added.
    pub(super) const fn once(&self) -> Once {
        self.once
    }

    /// The promos of the rows.
    pub(super) const fn promos(&self) -> &PromoNumbers {
        &self.promos
    }

    /// Prefetches the memory that [`Self::find`] reads for these hashes, so their cache misses overlap.
    pub(super) fn prefetch(&self, hashes: impl Iterator<Item = EmailHash> + Clone) {
        self.customers.prefetch(hashes);
    }

    /// The customer with this email, in any spelling. The hash must be that of a hasher that ignores case.
    pub(super) fn find(&self, hash: EmailHash, email: &[u8]) -> Option<CustomerNumber> {
        self.customers.find(hash, email)
    }

    /// The promos for which other runs sent each customer a code, or [`ANY_PROMO`].
    pub(super) const fn earlier(&self) -> &PromoSets {
        &self.earlier
    }

    /// Whether a row of this run sent a customer a code.
    pub(super) fn run_sent(&self, customer: CustomerNumber) -> bool {
        self.sent_by_run.contains(&customer)
    }

    /// The rows of this run for a customer and a promo.
    pub(super) fn rows_of_run(&self, customer: CustomerNumber, promo: PromoNumber) -> Option<RunRows> {
        self.run_rows.get(&(customer, promo)).copied()
    }

    /// The `sent` row after this one.
    pub(super) fn next_row(&self, row: SentRowNumber) -> Option<SentRowNumber> {
        row_number(self.sent[row.0 as usize].next)
    }

    /// The code of a `sent` row.
    pub fn code(&self, row: SentRowNumber) -> &[u8] {
        let SentRow { start, len, .. } = self.sent[row.0 as usize];
        &self.codes[start as usize..][..len as usize]
    }
}

fn row_number(row: u32) -> Option<SentRowNumber> {
    (row != NONE).then_some(SentRowNumber(row))
}
