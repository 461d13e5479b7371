//! Codes and ledger rows, which are given to sends in input order.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io::{self, Write};

use super::ReplayError;
use super::slice::Slice;
use crate::campaign::{
    Claim, CodePosition, Codes, Event, Ledger, LedgerOutcome, LedgerRow, Once, Policy, SentRowNumber,
};
use crate::escape::Quoted;
use crate::input::Block;

/// The number of promos whose missing codes are counted separately.
const MAX_COUNTED_PROMOS: usize = 1_000;

/// The number of promos that a message lists.
const LISTED_PROMOS: usize = 10;

/// What a decision was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// A code is sent for the first time; `None` if the campaign has no codes.
    Sent(Option<CodePosition>),
    /// The code of a row of the ledger is sent again.
    SentAgain(SentRowNumber),
    /// The customer is held out.
    HeldOut,
    /// No code is left, so nothing is sent.
    Withheld,
}

/// The codes and the ledger of a run.
pub struct Sends<'a> {
    policy: &'a Policy,
    codes: Option<Codes>,
    missing: MissingCodes,
    /// The customers, or customers and promos, for which no code was left.
    withheld: HashSet<Vec<u8>>,
    rows: Box<dyn Write + Send + Sync>,
    claims: Vec<(u32, Claim)>,
}

impl<'a> Sends<'a> {
    /// Hands out `codes`, if the campaign has any, and appends the rows of the run to `rows`. The policy must have a
    /// ledger with a run id.
    pub fn new(policy: &'a Policy, codes: Option<Codes>, rows: Box<dyn Write + Send + Sync>) -> Self {
        Self { policy, codes, missing: MissingCodes::default(), withheld: HashSet::new(), rows, claims: Vec::new() }
    }

    fn ledger(&self) -> &'a Ledger {
        self.policy.ledger().expect("sends are recorded in a ledger")
    }

    /// Gives the claims of a slice what they need, in the order of its records.
    pub(super) fn grant<'c>(
        &mut self,
        block: &Block,
        slice: &mut Slice,
        claims: impl Iterator<Item = &'c [(u32, Claim)]>,
    ) {
        let mut sorted = std::mem::take(&mut self.claims);
        sorted.clear();
        claims.for_each(|claims| sorted.extend_from_slice(claims));
        // The claims of each partition are in order, which this sort makes use of.
        sorted.sort_by_key(|(entry, _)| *entry);
        let mut grants = std::mem::take(&mut slice.grants);
        grants.clear();
        for &(entry, claim) in &sorted {
            let grant = match claim {
                Claim::Resend(row) => Some(Grant::SentAgain(row)),
                Claim::HoldOut => Some(Grant::HeldOut),
                Claim::Send if self.codes.is_none() => Some(Grant::Sent(None)),
                Claim::Send => Some(self.hand_out(&slice.event(block, entry))),
                Claim::StoppedByOnce if self.withheld.is_empty() => None,
                Claim::StoppedByOnce => {
                    self.withheld.contains(&self.once_key(&slice.event(block, entry))).then_some(Grant::Withheld)
                }
            };
            grants.extend(grant.map(|grant| (entry, grant)));
        }
        slice.grants = grants;
        self.claims = sorted;
    }

    fn hand_out(&mut self, event: &Event<'_>) -> Grant {
        let codes = self.codes.as_mut().expect("the caller checked that there are codes");
        match codes.hand_out(event.promo()) {
            Some(code) => Grant::Sent(Some(code)),
            None if self.policy.withholds() => {
                if self.policy.once() != Once::Never {
                    self.withheld.insert(self.once_key(event));
                }
                Grant::Withheld
            }
            None => {
                self.missing.count(event.promo());
                Grant::Sent(None)
            }
        }
    }

    /// The customer, or the customer and the promo, that is sent one code.
    fn once_key(&self, event: &Event<'_>) -> Vec<u8> {
        let mut key = event.email.to_ascii_lowercase();
        if self.policy.once() == Once::Promo {
            // An email contains no control bytes, so this byte ends it.
            key.push(0);
            key.extend_from_slice(event.promo());
        }
        key
    }

    /// The code of a grant; empty if it has none.
    pub(super) fn code(&self, grant: Grant) -> &[u8] {
        match (grant, &self.codes) {
            (Grant::Sent(Some(code)), Some(codes)) => codes.text(code),
            (Grant::SentAgain(row), _) => self.ledger().code(row),
            _ => &[],
        }
    }

    /// Appends the new ledger rows for these events to `out`.
    pub(super) fn encode_rows<'e>(&self, grants: impl Iterator<Item = (Event<'e>, Grant)>, out: &mut Vec<u8>) {
        let run_id = self.ledger().run_id().expect("a run has a run id");
        for (event, grant) in grants {
            let outcome = match grant {
                Grant::Sent(_) => LedgerOutcome::Sent { code: self.code(grant) },
                Grant::HeldOut => LedgerOutcome::HeldOut,
                Grant::SentAgain(_) | Grant::Withheld => continue,
            };
            LedgerRow { run: run_id, promo: event.promo(), email: event.email, outcome }.encode(out);
        }
    }

    /// Writes encoded rows.
    pub(super) fn write_rows(&mut self, rows: &[u8]) -> io::Result<()> {
        self.rows.write_all(rows)
    }

    /// Ends the ledger, and returns the codes that are left. Fails if there were fewer codes than sends.
    pub(super) fn finish(mut self) -> Result<Option<Codes>, ReplayError> {
        if self.missing.total > 0 {
            return Err(ReplayError::TooFewCodes(self.missing));
        }
        self.rows.flush().map_err(ReplayError::Ledger)?;
        Ok(self.codes)
    }
}

impl fmt::Debug for Sends<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Sends").field("missing", &self.missing).finish_non_exhaustive()
    }
}

/// The number of missing codes by promo.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MissingCodes {
    by_promo: BTreeMap<Vec<u8>, u64>,
    total: u64,
}

impl MissingCodes {
    fn count(&mut self, promo: &[u8]) {
        self.total += 1;
        if let Some(count) = self.by_promo.get_mut(promo) {
            *count += 1;
        } else if self.by_promo.len() < MAX_COUNTED_PROMOS {
            self.by_promo.insert(promo.to_owned(), 1);
        }
    }
}

impl fmt::Display for MissingCodes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = self.by_promo.iter().take(LISTED_PROMOS);
        let mut promos: Vec<_> = listed.map(|(promo, count)| format!("{count} for {}", Quoted(promo))).collect();
        if self.by_promo.len() > LISTED_PROMOS {
            promos.push("and more for other promos".to_owned());
        }
        write!(
            out,
            "the run needs {} more unused codes than there are: {}; add codes to the file, or set when_exhausted = \
             \"withhold\" in the table [codes] of the campaign file",
            self.total,
            promos.join(", ")
        )
    }
}
