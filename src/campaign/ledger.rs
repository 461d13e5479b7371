//! The ledger in memory: whom earlier runs sent a code, and the rows that a run with the same id has written before.

use std::collections::HashMap;
use std::ops::Range;

use foldhash::quality::RandomState;

use super::email_index::{EmailHash, EmailHasher, EmailIndex};
use super::ledger_groups::{LedgerGroup, LedgerGroups};
use super::policy::Once;

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

/// The promos of ledger rows or eligible clicks, each with a number.
#[derive(Debug, Default)]
pub struct PromoNumbers {
    numbers: HashMap<Vec<u8>, u32, RandomState>,
    /// The number of the first promo.
    first: usize,
}

impl PromoNumbers {
    /// The number of a promo, which gets one if it has none.
    pub fn number(&mut self, promo: &[u8]) -> u32 {
        if let Some(number) = self.get(promo) {
            return number;
        }
        let number = u32::try_from(self.end()).expect("there are fewer than 2^32 promos in memory");
        self.numbers.insert(promo.to_owned(), number);
        number
    }

    fn get(&self, promo: &[u8]) -> Option<u32> {
        self.numbers.get(promo).copied()
    }

    fn end(&self) -> usize {
        self.first + self.numbers.len()
    }
}

/// The customer, or the customer and the promo, of a click or a row, as bytes with their hash.
#[derive(Debug, Default)]
pub struct SendKey {
    bytes: Vec<u8>,
    hash: EmailHash,
}

impl SendKey {
    /// Sets the key of a customer and a promo, or of the customer alone.
    pub fn set(&mut self, hasher: &EmailHasher, email: &[u8], promo: Option<u32>) {
        self.bytes.clear();
        self.bytes.extend_from_slice(email);
        self.bytes.make_ascii_lowercase();
        if let Some(promo) = promo {
            // An email contains no control bytes, so this byte ends it.
            self.bytes.push(0);
            let number = promo.to_le_bytes();
            let used = number.len() - promo.leading_zeros() as usize / 8;
            self.bytes.extend_from_slice(&number[..used]);
        }
        self.hash = hasher.hash(&self.bytes);
    }

    pub const fn hash(&self) -> EmailHash {
        self.hash
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// No further row.
const NONE: u32 = u32::MAX;

/// The rows of this run for one customer and promo.
#[derive(Debug, Clone, Copy)]
struct RunRows {
    is_held_out: bool,
    /// The first and the last `sent` row, or [`NONE`].
    first: u32,
    last: u32,
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

/// What a ledger says about earlier clicks. A row of another run needs about 40 bytes.
#[derive(Debug)]
pub struct Ledger {
    run_id: Option<Vec<u8>>,
    once: Once,
    hasher: EmailHasher,
    promos: PromoNumbers,
    /// The keys that other runs sent a code.
    earlier: EmailIndex,
    /// The keys with rows of this run, whose rows are in `run_rows`.
    this_run: EmailIndex,
    run_rows: Vec<RunRows>,
    /// The customers whom this run sent a code, if a customer is sent only one.
    customers_of_run: EmailIndex,
    sent: Vec<SentRow>,
    codes: Vec<u8>,
    key: SendKey,
    /// The keys of other runs that are not yet in `earlier`, in one buffer, with their hashes.
    pending: Vec<(EmailHash, Range<usize>)>,
    pending_keys: Vec<u8>,
    groups: Option<LedgerGroups>,
}

/// The number of keys that are inserted together.
const PENDING: usize = 32;

impl Ledger {
    /// An empty ledger for a run with this id. Without an id, all rows are those of other runs.
    pub fn new(run_id: Option<&[u8]>, once: Once) -> Self {
        let hasher = EmailHasher::default();
        Self {
            run_id: run_id.map(<[u8]>::to_owned),
            once,
            promos: PromoNumbers::default(),
            earlier: EmailIndex::new(hasher.clone()),
            this_run: EmailIndex::new(hasher.clone()),
            customers_of_run: EmailIndex::new(hasher.clone()),
            hasher,
            run_rows: Vec::new(),
            sent: Vec::new(),
            codes: Vec::new(),
            key: SendKey::default(),
            pending: Vec::new(),
            pending_keys: Vec::new(),
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
            return self.add_to_run(row);
        }
        let is_sent = matches!(row.outcome, LedgerOutcome::Sent { .. });
        if let Some(groups) = &mut self.groups {
            groups.add(row.promo, row.email, if is_sent { LedgerGroup::Sent } else { LedgerGroup::HeldOut });
        }
        if is_sent {
            let promo = match self.once {
                Once::Promo => Some(self.promos.number(row.promo)),
                Once::Customer => None,
                Once::Never => return,
            };
            self.key.set(&self.hasher, row.email, promo);
            let start = self.pending_keys.len();
            self.pending_keys.extend_from_slice(self.key.bytes());
            self.pending.push((self.key.hash(), start..self.pending_keys.len()));
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

    /// Inserts the keys that wait. Several at a time, so their cache misses overlap.
    fn add_pending(&mut self) {
        self.earlier.prefetch(self.pending.iter().map(|(hash, _)| *hash));
        for (hash, key) in self.pending.drain(..) {
            self.earlier.insert(hash, &self.pending_keys[key]);
        }
        self.pending_keys.clear();
    }

    fn add_to_run(&mut self, row: &LedgerRow<'_>) {
        self.key.set(&self.hasher, row.email, Some(self.promos.number(row.promo)));
        let (number, is_new) = self.this_run.insert(self.key.hash(), self.key.bytes());
        if is_new {
            self.run_rows.push(RunRows { is_held_out: false, first: NONE, last: NONE });
        }
        let rows = &mut self.run_rows[number as usize];
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
        if self.once == Once::Customer {
            self.key.set(&self.hasher, row.email, None);
            self.customers_of_run.insert(self.key.hash(), self.key.bytes());
        }
    }

    /// The id of the run.
    pub fn run_id(&self) -> Option<&[u8]> {
        self.run_id.as_deref()
    }

    /// How often a customer is sent a code, for which the rows were added.
    pub(super) const fn once(&self) -> Once {
        self.once
    }

    /// The hasher of keys.
    pub(super) fn hasher(&self) -> EmailHasher {
        self.hasher.clone()
    }

    /// The numbers for promos that no row has.
    pub(super) fn further_promos(&self) -> PromoNumbers {
        PromoNumbers { first: self.promos.end(), ..PromoNumbers::default() }
    }

    /// The number of a promo if a row has it.
    pub(super) fn promo(&self, promo: &[u8]) -> Option<u32> {
        self.promos.get(promo)
    }

    /// Prefetches the memory that look-ups of keys with these hashes read.
    pub(super) fn prefetch(&self, hashes: impl Iterator<Item = EmailHash> + Clone) {
        self.earlier.prefetch(hashes);
    }

    /// Whether another run sent the customer of this key a code.
    pub(super) fn was_sent(&self, key: &SendKey) -> bool {
        self.earlier.find(key.hash, &key.bytes).is_some()
    }

    /// Whether a row of this run sent the customer of this key a code, if a customer is sent only one.
    pub(super) fn run_sent(&self, key: &SendKey) -> bool {
        self.customers_of_run.find(key.hash, &key.bytes).is_some()
    }

    /// Whether rows of this run hold out the customer and promo of this key, and their first `sent` row.
    pub(super) fn rows_of_run(&self, key: &SendKey) -> (bool, Option<SentRowNumber>) {
        match self.this_run.find(key.hash, &key.bytes) {
            Some(number) => {
                let RunRows { is_held_out, first, .. } = self.run_rows[number as usize];
                (is_held_out, row_number(first))
            }
            None => (false, None),
        }
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
