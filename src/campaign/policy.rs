//! The policy of the campaign: the gates that a click by a member passes before a code is sent.
//!
//! [`Policy`] is the rules and the data of all partitions, [`PolicyState`] what one partition remembers. Codes are
//! handed out in input order, so that gate is where output is put in order; see [`crate::engine`].

use std::sync::Arc;

use super::email_index::{CustomerNumber, EmailHasher, EmailIndex};
use super::holdout::Holdout;
use super::ledger::{Ledger, PromoNumbers, SendKey, SentRowNumber};
use super::rule::{Decision, Gate};
use super::suppression::SuppressionList;
use super::{Event, Step};

/// How often a customer is sent a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Once {
    /// Once for each promo.
    Promo,
    /// Once.
    Customer,
    /// At each eligible click.
    Never,
}

/// The rules of the policy, as the campaign file states them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyRules {
    /// The promos that get codes; `None` for all.
    pub promos: Option<Vec<String>>,
    /// `None` for the default: [`Once::Promo`] with a ledger, [`Once::Never`] without one.
    pub once: Option<Once>,
    /// Whether emails that differ only in ASCII case are one customer.
    pub ignores_case: bool,
    /// The control group.
    pub holdout: Option<Holdout>,
    /// Whether a click for which no code is left gets none, instead of ending the run with an error.
    pub withholds: bool,
}

/// The policy of one replay.
#[derive(Debug, Default)]
pub struct Policy {
    rules: PolicyRules,
    suppression: Option<Arc<SuppressionList>>,
    ledger: Option<Ledger>,
    uses_codes: bool,
}

/// What a decision needs when decisions are put in input order: a code, or a new row of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// A code is sent for the first time: it needs an unused code and a row.
    Send,
    /// The code was sent before under this run id, by this row.
    Resend(SentRowNumber),
    /// The customer is held out, which needs a row.
    HoldOut,
    /// A click was stopped because of an earlier send of this run, for which no code may have been left.
    Repeat,
}

impl Policy {
    /// The policy with these rules and data. `uses_codes` is whether codes are handed out.
    pub fn new(
        rules: PolicyRules,
        suppression: Option<SuppressionList>,
        ledger: Option<Ledger>,
        uses_codes: bool,
    ) -> Self {
        Self { rules, suppression: suppression.map(Arc::new), ledger, uses_codes }
    }

    /// The policy with this suppression list, which several policies may share.
    pub fn with_suppression(self, suppression: Option<Arc<SuppressionList>>) -> Self {
        Self { suppression, ..self }
    }

    /// How often a customer is sent a code.
    pub fn once(&self) -> Once {
        self.rules.once(self.ledger.is_some())
    }

    /// Whether any gate may stop a click. If not, decisions are those of the rule alone.
    pub fn has_gates(&self) -> bool {
        let Self { rules, suppression, ledger, uses_codes } = self;
        let has_data = suppression.is_some() || ledger.is_some() || *uses_codes;
        has_data || rules.promos.is_some() || rules.holdout.is_some() || self.once() != Once::Never
    }

    /// Whether emails that differ only in ASCII case are one customer.
    pub const fn ignores_case(&self) -> bool {
        self.rules.ignores_case
    }

    /// The control group.
    pub const fn holdout(&self) -> Option<&Holdout> {
        self.rules.holdout.as_ref()
    }

    /// The suppression list.
    pub fn suppression(&self) -> Option<&SuppressionList> {
        self.suppression.as_deref()
    }

    /// The ledger.
    pub const fn ledger(&self) -> Option<&Ledger> {
        self.ledger.as_ref()
    }

    /// Whether a click for which no code is left is only withheld.
    pub const fn withholds(&self) -> bool {
        self.rules.withholds
    }

    /// Whether the gates need the promo of a click.
    pub fn needs_promo(&self) -> bool {
        self.rules.promos.is_some() || self.once() == Once::Promo || self.ledger.is_some() || self.uses_codes
    }

    /// A hasher for the emails of events. Spellings that differ in case are in one partition if a gate treats them as
    /// one customer.
    pub fn event_hasher(&self) -> EmailHasher {
        EmailHasher::new(self.joins_spellings())
    }

    /// Whether the membership or a gate treats spellings of an email that differ only in ASCII case as one customer.
    pub fn joins_spellings(&self) -> bool {
        self.rules.ignores_case || self.remembers_sends()
    }

    fn remembers_sends(&self) -> bool {
        self.ledger.is_some() || self.once() != Once::Never
    }
}

impl PolicyRules {
    /// How often a customer is sent a code.
    pub fn once(&self, has_ledger: bool) -> Once {
        self.once.unwrap_or(if has_ledger { Once::Promo } else { Once::Never })
    }
}

/// What is known of a member, as bits of one byte.
mod known {
    pub const SUPPRESSION: u8 = 1;
    pub const SUPPRESSED: u8 = 2;
    pub const HOLDOUT: u8 = 4;
    pub const HELD_OUT: u8 = 8;
}

/// What this run did for a customer and a promo, or for a customer.
#[derive(Debug, Clone, Copy)]
struct Sends {
    is_sent: bool,
    /// Whether the ledger has a row of this run that holds out the customer, or gets one.
    is_held_out: bool,
    /// The row of this run that the next send repeats.
    next_row: Option<SentRowNumber>,
}

/// What one partition remembers of the clicks that passed gates.
#[derive(Debug)]
pub struct PolicyState {
    has_gates: bool,
    /// By customer number: bits of [`known`].
    known: Vec<u8>,
    /// The promos that no row of the ledger has.
    promos: PromoNumbers,
    hasher: EmailHasher,
    /// The keys of `sends`.
    keys: EmailIndex,
    sends: Vec<Sends>,
    /// The keys of a chunk of clicks.
    chunk: Vec<SendKey>,
}

impl PolicyState {
    /// The state before the first click.
    pub fn new(policy: &Policy) -> Self {
        let (hasher, promos) = policy.ledger.as_ref().map_or_else(Default::default, Ledger::keys);
        let keys = EmailIndex::new(hasher.clone());
        let has_gates = policy.has_gates();
        Self { has_gates, known: Vec::new(), promos, hasher, keys, sends: Vec::new(), chunk: Vec::new() }
    }

    /// The decisions of the gates for a chunk of clicks by members, each with a number that `decided` receives.
    pub fn decide_all(
        &mut self,
        policy: &Policy,
        clicks: &[(u32, CustomerNumber, Event<'_>)],
        mut decided: impl FnMut(u32, Decision, Option<Claim>),
    ) {
        let mut keys = std::mem::take(&mut self.chunk);
        keys.resize_with(keys.len().max(clicks.len()), SendKey::default);
        if policy.once() != Once::Never {
            for (key, (_, _, event)) in keys.iter_mut().zip(clicks) {
                self.set_once_key(policy, event, key);
            }
            // The cache misses of a chunk overlap.
            let hashes = keys[..clicks.len()].iter().map(SendKey::hash);
            if let Some(ledger) = &policy.ledger {
                ledger.prefetch(hashes.clone());
            }
            self.keys.prefetch(hashes);
        }
        for (key, (number, customer, event)) in keys.iter().zip(clicks) {
            let (decision, claim) = self.decide(policy, event, *customer, key);
            decided(*number, decision, claim);
        }
        self.chunk = keys;
    }

    /// Applies the gates to the decision of the rule on `event`, and returns what a send or a stop needs.
    #[inline]
    pub fn apply(&mut self, policy: &Policy, event: &Event<'_>, step: &mut Step) -> Option<Claim> {
        if !self.has_gates || !step.decision.send {
            return None;
        }
        let mut key = SendKey::default();
        self.set_once_key(policy, event, &mut key);
        let (decision, claim) = self.decide(policy, event, step.customer.expect("a member is in the table"), &key);
        step.decision = decision;
        claim
    }

    /// Whether a gate may stop a code.
    pub const fn has_gates(&self) -> bool {
        self.has_gates
    }

    /// The decision of the gates before the codes for a click by a member, and what it needs. `once_key` is the key of
    /// [`Self::set_once_key`]. This is the only definition of the order of the gates.
    fn decide(
        &mut self,
        policy: &Policy,
        event: &Event<'_>,
        customer: CustomerNumber,
        once_key: &SendKey,
    ) -> (Decision, Option<Claim>) {
        let promo = if policy.needs_promo() { event.promo() } else { b"" };
        let stopped = |gate| (Decision::stopped(gate), None);
        if let Some(promos) = &policy.rules.promos
            && !promos.iter().any(|named| named.as_bytes() == promo)
        {
            return stopped(Gate::Promos);
        }
        if let Some(list) = &policy.suppression
            && self.knows(customer, known::SUPPRESSION, known::SUPPRESSED, || list.contains(event.email))
        {
            return stopped(Gate::Suppression);
        }
        if !policy.remembers_sends() {
            return match &policy.rules.holdout {
                Some(holdout) if self.is_held_out(holdout, customer, event.email) => stopped(Gate::Holdout),
                _ => (Decision::SEND, None),
            };
        }
        let once = policy.once();
        let mut of_customer = None;
        if once != Once::Never {
            if policy.ledger.as_ref().is_some_and(|ledger| ledger.was_sent(once_key)) {
                return stopped(Gate::Once);
            }
            let sends = self.sends(policy, once_key);
            if self.sends[sends].is_sent {
                let claim = (policy.uses_codes && policy.rules.withholds).then_some(Claim::Repeat);
                return (Decision::stopped(Gate::Once), claim);
            }
            of_customer = Some(sends);
        }
        let of_promo = match of_customer {
            Some(sends) if once == Once::Promo => sends,
            _ => {
                let (number, mut key) = (self.promo_number(policy, promo), SendKey::default());
                key.set(&self.hasher, event.email, Some(number));
                self.sends(policy, &key)
            }
        };
        let Sends { is_held_out, next_row, .. } = self.sends[of_promo];
        let claim = match (&policy.ledger, next_row) {
            // What was sent before under this run id is not taken back.
            (Some(ledger), Some(row)) => {
                self.sends[of_promo].next_row = ledger.next_row(row);
                Claim::Resend(row)
            }
            _ if is_held_out => return stopped(Gate::Holdout),
            // This run sent the only code of the customer before, at a click for another promo.
            (Some(ledger), None) if once == Once::Customer && ledger.run_sent(once_key) => {
                return stopped(Gate::Once);
            }
            _ => match &policy.rules.holdout {
                Some(holdout) if self.is_held_out(holdout, customer, event.email) => {
                    self.sends[of_promo].is_held_out = true;
                    return (Decision::stopped(Gate::Holdout), policy.ledger.as_ref().map(|_| Claim::HoldOut));
                }
                _ => Claim::Send,
            },
        };
        if let Some(sends) = of_customer {
            self.sends[sends].is_sent = true;
        }
        (Decision::SEND, policy.ledger.as_ref().map(|_| claim))
    }

    /// The number of a promo in keys. All partitions share the numbers of the ledger.
    fn promo_number(&mut self, policy: &Policy, promo: &[u8]) -> u32 {
        let in_ledger = policy.ledger.as_ref().and_then(|ledger| ledger.promo(promo));
        in_ledger.unwrap_or_else(|| self.promos.number(promo))
    }

    /// Sets the key of a customer, or of a customer and a promo, that is sent one code.
    fn set_once_key(&mut self, policy: &Policy, event: &Event<'_>, key: &mut SendKey) {
        let promo = (policy.once() == Once::Promo).then(|| self.promo_number(policy, event.promo()));
        key.set(&self.hasher, event.email, promo);
    }

    /// The index of the sends for a key.
    fn sends(&mut self, policy: &Policy, key: &SendKey) -> usize {
        let (number, is_new) = self.keys.insert(key.hash(), key.bytes());
        if is_new {
            let ledger = policy.ledger.as_ref();
            let (is_held_out, next_row) = ledger.map_or((false, None), |ledger| ledger.rows_of_run(key));
            self.sends.push(Sends { is_sent: false, is_held_out, next_row });
        }
        number as usize
    }

    fn is_held_out(&mut self, holdout: &Holdout, customer: CustomerNumber, email: &[u8]) -> bool {
        self.knows(customer, known::HOLDOUT, known::HELD_OUT, || holdout.contains(&email.to_ascii_lowercase()))
    }

    /// Whether the bit `yes` of a customer is set, which is computed once. `is_known` is the bit for that.
    fn knows(&mut self, customer: CustomerNumber, is_known: u8, yes: u8, compute: impl FnOnce() -> bool) -> bool {
        let index = customer as usize;
        if index >= self.known.len() {
            self.known.resize(index + 1, 0);
        }
        let known = &mut self.known[index];
        if *known & is_known == 0 {
            *known |= is_known | if compute() { yes } else { 0 };
        }
        *known & yes != 0
    }
}
