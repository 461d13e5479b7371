//! The policy of the campaign: the gates that a click by a member passes before a code is sent.
//!
//! [`Policy`] is the rules and the data of all partitions, [`PolicyState`] what one partition remembers. Codes are
//! assigned in input order, so the gate `Codes` is in [`crate::engine`].

use std::collections::HashSet;
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
    /// Once in total.
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
    /// Those of `rules`.
    promos: Option<HashSet<Vec<u8>>>,
}

/// What a decision needs when decisions are put in input order: a code, or a new row of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// A code is sent for the first time: it needs a row, and an unused code if the run hands out codes.
    Send,
    /// The code was sent before under this run id, by this row.
    Resend(SentRowNumber),
    /// The customer is held out, which needs a row.
    HoldOut,
    /// A click was stopped because of an earlier send of this run, for which no code may have been left.
    StoppedByOnce,
}

/// A click by a member.
#[derive(Debug, Clone, Copy)]
pub struct Click<'a> {
    /// The number of its entry in the slice.
    pub entry: u32,
    /// The member.
    pub customer: CustomerNumber,
    /// The click.
    pub event: Event<'a>,
}

impl Policy {
    /// The policy with these rules and data. Several policies may share a suppression list.
    ///
    /// # Panics
    /// When the ledger was read for another `once`, or is not sealed.
    pub fn new(rules: PolicyRules, suppression: Option<Arc<SuppressionList>>, ledger: Option<Ledger>) -> Self {
        if let Some(ledger) = &ledger {
            assert_eq!(ledger.once(), rules.once(true), "the ledger was read for these rules");
            assert!(ledger.is_sealed(), "the ledger was read to its end");
        }
        let promos = rules.promos.as_ref().map(|promos| promos.iter().map(|promo| promo.clone().into()).collect());
        Self { rules, suppression, ledger, promos }
    }

    /// How often a customer is sent a code.
    pub fn once(&self) -> Once {
        self.rules.once(self.ledger.is_some())
    }

    /// Whether any gate may stop a click. If not, decisions are those of the rule alone.
    pub fn has_gates(&self) -> bool {
        let Self { rules, suppression, ledger, promos } = self;
        suppression.is_some()
            || ledger.is_some()
            || promos.is_some()
            || rules.holdout.is_some()
            || self.once() != Once::Never
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
        self.rules.promos.is_some() || self.once() == Once::Promo || self.ledger.is_some()
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

impl Once {
    /// All values.
    pub const ALL: [Self; 3] = [Self::Promo, Self::Customer, Self::Never];

    /// The name in the campaign file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Promo => "promo",
            Self::Customer => "customer",
            Self::Never => "never",
        }
    }
}

impl PolicyRules {
    /// How often a customer is sent a code.
    pub fn once(&self, has_ledger: bool) -> Once {
        self.once.unwrap_or(if has_ledger { Once::Promo } else { Once::Never })
    }
}

/// What is known of a member; `None` before it is computed.
#[derive(Debug, Clone, Copy, Default)]
struct MemberFacts {
    is_suppressed: Option<bool>,
    is_held_out: Option<bool>,
}

/// What this run did for a customer and a promo, or for a customer.
#[derive(Debug, Clone, Copy)]
struct SendState {
    is_sent: bool,
    /// Whether the ledger has a row of this run that holds out the customer, or gets one.
    is_held_out: bool,
    /// The row of this run that the next send repeats.
    next_row: Option<SentRowNumber>,
}

/// Makes the keys of clicks: those of the ledger, and with further numbers for promos that no row of the ledger has.
#[derive(Debug)]
pub struct SendKeys<'a> {
    policy: &'a Policy,
    hasher: EmailHasher,
    /// The promos that no row of the ledger has.
    promos: PromoNumbers,
}

impl<'a> SendKeys<'a> {
    /// No further promos yet.
    pub fn new(policy: &'a Policy) -> Self {
        let ledger = policy.ledger.as_ref();
        let hasher = ledger.map_or_else(EmailHasher::default, Ledger::hasher);
        Self { policy, hasher, promos: ledger.map_or_else(PromoNumbers::default, Ledger::further_promos) }
    }

    /// Sets the key of the customer, or of the customer and the promo, that is sent one code.
    pub fn set_once_key(&mut self, event: &Event<'_>, key: &mut SendKey) {
        match self.policy.once() {
            Once::Promo => self.set_promo_key(event, key),
            Once::Customer | Once::Never => key.set(&self.hasher, event.email, None),
        }
    }

    /// Sets the key of the customer and the promo.
    fn set_promo_key(&mut self, event: &Event<'_>, key: &mut SendKey) {
        let in_ledger = self.policy.ledger.as_ref().and_then(|ledger| ledger.promo(event.promo()));
        let promo = in_ledger.unwrap_or_else(|| self.promos.number(event.promo()));
        key.set(&self.hasher, event.email, Some(promo));
    }
}

/// What one partition remembers of the clicks that passed gates.
#[derive(Debug)]
pub struct PolicyState<'a> {
    policy: &'a Policy,
    has_gates: bool,
    /// By customer number.
    facts: Vec<MemberFacts>,
    keys: SendKeys<'a>,
    /// The keys of `sends`.
    send_keys: EmailIndex,
    sends: Vec<SendState>,
    /// The keys of a chunk of clicks.
    chunk: Vec<SendKey>,
    /// The key of a click and its promo.
    promo_key: SendKey,
}

impl<'a> PolicyState<'a> {
    /// The state before the first click.
    pub fn new(policy: &'a Policy) -> Self {
        let keys = SendKeys::new(policy);
        Self {
            policy,
            has_gates: policy.has_gates(),
            facts: Vec::new(),
            send_keys: EmailIndex::new(keys.hasher.clone()),
            keys,
            sends: Vec::new(),
            chunk: Vec::new(),
            promo_key: SendKey::default(),
        }
    }

    /// The decisions of the gates for a chunk of clicks, each with the number of its entry, and what they need.
    pub fn decide_all(&mut self, clicks: &[Click<'_>], mut decided: impl FnMut(u32, Decision, Option<Claim>)) {
        let mut keys = std::mem::take(&mut self.chunk);
        keys.resize_with(keys.len().max(clicks.len()), SendKey::default);
        if self.policy.once() != Once::Never {
            for (key, click) in keys.iter_mut().zip(clicks) {
                // A promo that gets no codes needs no number, and so no memory.
                if self.first_gate(click).is_none() {
                    self.keys.set_once_key(&click.event, key);
                }
            }
            // The cache misses of a chunk overlap.
            let hashes = keys[..clicks.len()].iter().map(SendKey::hash);
            if let Some(ledger) = &self.policy.ledger {
                ledger.prefetch(hashes.clone());
            }
            self.send_keys.prefetch(hashes);
        }
        for (key, click) in keys.iter().zip(clicks) {
            let (decision, claim) = self.decide(click, key);
            decided(click.entry, decision, claim);
        }
        self.chunk = keys;
    }

    /// Applies the gates to the decision of the rule on `event`.
    #[inline]
    pub fn apply(&mut self, event: &Event<'_>, step: &mut Step) {
        if self.has_gates && step.decision.send {
            let customer = step.customer.expect("a member is in the table");
            self.decide_all(&[Click { entry: 0, customer, event: *event }], |_, decision, _| step.decision = decision);
        }
    }

    /// Whether a gate may stop a code.
    pub const fn has_gates(&self) -> bool {
        self.has_gates
    }

    /// The decision of the first four gates for a click, and what it needs. `once_key` is the key of
    /// [`SendKeys::set_once_key`], unless a customer is sent a code at each click or [`Self::first_gate`] stops it. This is the only definition of the
    /// order of the gates.
    fn decide(&mut self, click: &Click<'_>, once_key: &SendKey) -> (Decision, Option<Claim>) {
        let Policy { rules, ledger, .. } = self.policy;
        let stopped = |gate| (Decision::stopped(gate), None);
        if let Some(gate) = self.first_gate(click) {
            return stopped(gate);
        }
        let mut of_once = None;
        if self.policy.once() != Once::Never {
            if ledger.as_ref().is_some_and(|ledger| ledger.was_sent(once_key)) {
                return stopped(Gate::Once);
            }
            let sends = self.sends(once_key);
            if self.sends[sends].is_sent {
                let claims = ledger.is_some() && rules.withholds;
                return (Decision::stopped(Gate::Once), claims.then_some(Claim::StoppedByOnce));
            }
            of_once = Some(sends);
        }
        let (decision, claim) = match ledger {
            Some(ledger) => self.claim(ledger, click, once_key, of_once),
            None if self.is_held_out(click) => stopped(Gate::Holdout),
            None => (Decision::SEND, None),
        };
        if let Some(sends) = of_once {
            self.sends[sends].is_sent = decision.send;
        }
        (decision, claim)
    }

    /// The gate that stops a click before the gate once, which remembers it.
    fn first_gate(&mut self, click: &Click<'_>) -> Option<Gate> {
        let Policy { suppression, promos, .. } = self.policy;
        let Click { customer, event, .. } = click;
        if promos.as_ref().is_some_and(|promos| !promos.contains(event.promo())) {
            return Some(Gate::Promos);
        }
        let list = suppression.as_ref()?;
        let is_suppressed = self.facts(*customer).is_suppressed.get_or_insert_with(|| list.contains(event.email));
        is_suppressed.then_some(Gate::Suppression)
    }

    /// The decision of the gate holdout with a ledger. `of_once` are the sends of `once_key`.
    fn claim(
        &mut self,
        ledger: &Ledger,
        click: &Click<'_>,
        once_key: &SendKey,
        of_once: Option<usize>,
    ) -> (Decision, Option<Claim>) {
        let once = self.policy.once();
        let of_promo = match of_once {
            Some(sends) if once == Once::Promo => sends,
            _ => {
                let mut key = std::mem::take(&mut self.promo_key);
                self.keys.set_promo_key(&click.event, &mut key);
                let sends = self.sends(&key);
                self.promo_key = key;
                sends
            }
        };
        let SendState { is_held_out, next_row, .. } = self.sends[of_promo];
        if let Some(row) = next_row {
            // What was sent before under this run id is not taken back.
            self.sends[of_promo].next_row = ledger.next_row(row);
            (Decision::SEND, Some(Claim::Resend(row)))
        } else if is_held_out {
            (Decision::stopped(Gate::Holdout), None)
        } else if once == Once::Customer && ledger.run_sent(once_key) {
            // This run sent the only code of the customer before, at a click for another promo.
            (Decision::stopped(Gate::Once), None)
        } else if self.is_held_out(click) {
            self.sends[of_promo].is_held_out = true;
            (Decision::stopped(Gate::Holdout), Some(Claim::HoldOut))
        } else {
            (Decision::SEND, Some(Claim::Send))
        }
    }

    /// The index of the sends for a key.
    fn sends(&mut self, key: &SendKey) -> usize {
        let (number, is_new) = self.send_keys.insert(key.hash(), key.bytes());
        if is_new {
            let ledger = self.policy.ledger.as_ref();
            let (is_held_out, next_row) = ledger.map_or((false, None), |ledger| ledger.rows_of_run(key));
            self.sends.push(SendState { is_sent: false, is_held_out, next_row });
        }
        number as usize
    }

    /// Whether the customer is in the control group.
    fn is_held_out(&mut self, Click { customer, event, .. }: &Click<'_>) -> bool {
        let Some(holdout) = &self.policy.rules.holdout else { return false };
        *self.facts(*customer).is_held_out.get_or_insert_with(|| holdout.contains(event.email))
    }

    fn facts(&mut self, customer: CustomerNumber) -> &mut MemberFacts {
        let index = customer as usize;
        if index >= self.facts.len() {
            self.facts.resize(index + 1, MemberFacts::default());
        }
        &mut self.facts[index]
    }
}
