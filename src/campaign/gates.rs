//! The gates of the policy, which a click by a member passes before a code is sent.
//!
//! [`PolicyState`] is what one partition remembers. Codes are assigned in input order, so the gate `Codes` is in
//! [`crate::engine`].

use std::collections::HashMap;
use std::hint::black_box;

use foldhash::quality::RandomState;

use super::email_index::{CustomerNumber, EmailHash, EmailHasher, EmailIndex, with_lower_case};
use super::ledger::{ANY_PROMO, Ledger, SentRowNumber};
use super::policy::{Once, Policy};
use super::promos::{ClickPromos, PromoNumber, PromoSets};
use super::rule::{Decision, Gate};
use super::{CustomerTable, Event, Step};
use crate::lanes;

/// A click by a member.
#[derive(Debug, Clone, Copy)]
pub struct Click<'a> {
    /// The number of its entry in the slice.
    pub entry: u32,
    /// The member.
    pub customer: CustomerNumber,
    /// The hash of the email, by [`Policy::event_hasher`].
    pub hash: EmailHash,
    /// The click.
    pub event: Event<'a>,
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

/// What the gates know of a member.
#[derive(Debug, Clone, Copy)]
struct MemberFacts {
    is_suppressed: bool,
    /// `None` before a click gets as far as the gate.
    is_held_out: Option<bool>,
    /// The number under which sends are remembered. Spellings that differ only in ASCII case have the same.
    first_spelling: CustomerNumber,
    in_ledger: Option<CustomerNumber>,
}

/// What one partition remembers of the clicks that passed gates.
#[derive(Debug)]
pub struct PolicyState<'a> {
    policy: &'a Policy,
    has_gates: bool,
    promos: ClickPromos<'a>,
    /// By customer number. `None` before the first click for a promo that gets codes.
    facts: Vec<Option<MemberFacts>>,
    first_spellings: FirstSpellings,
    /// The promos for which each customer was sent a code, or [`ANY_PROMO`]: those of this run, and the first ones of the
    /// ledger.
    sent: PromoSets,
    /// The promos for which this run added a row that holds out the customer.
    held_out: PromoSets,
    /// What follows the last row of this run that was sent again, by customer and promo.
    next_rows: HashMap<(CustomerNumber, PromoNumber), Option<SentRowNumber>, RandomState>,
}

impl<'a> PolicyState<'a> {
    /// The state before the first click.
    pub fn new(policy: &'a Policy) -> Self {
        Self {
            policy,
            has_gates: policy.has_gates(),
            promos: ClickPromos::new(policy.ledger().map(Ledger::promos), policy.promos()),
            facts: Vec::new(),
            first_spellings: FirstSpellings::new(policy.event_hasher()),
            sent: PromoSets::default(),
            held_out: PromoSets::default(),
            next_rows: HashMap::default(),
        }
    }

    /// Whether a gate may stop a code.
    pub const fn has_gates(&self) -> bool {
        self.has_gates
    }

    /// The decisions of the gates for some clicks, each with the number of its entry, and what they need. `customers`
    /// is the table of the partition.
    pub fn decide_all(
        &mut self,
        customers: &CustomerTable,
        clicks: &[Click<'_>],
        mut decided: impl FnMut(u32, Decision, Option<Claim>),
    ) {
        // The cache misses of all clicks overlap.
        black_box(clicks.iter().fold(false, |read, click| read ^ self.facts(click).is_some()));
        let needs_promo = self.policy.needs_promo();
        if needs_promo {
            black_box(clicks.iter().fold(None, |read, click| click.event.promo().first().max(read)));
        }
        let promo = |click: &Click<'_>| {
            if needs_promo { self.promos.number(click.event.promo()) } else { Some(ANY_PROMO) }
        };
        let promos: Vec<_> = clicks.iter().map(promo).collect();
        let passed = || promos.iter().zip(clicks).filter(|(promo, _)| promo.is_some()).map(|(_, click)| click);
        let new: Vec<_> = passed().filter(|click| self.facts(click).is_none()).collect();
        if !new.is_empty() {
            self.find_facts(customers, &new);
        }
        self.sent.prefetch(passed().filter_map(|click| self.facts(click)).map(|facts| facts.first_spelling));
        for (promo, click) in promos.into_iter().zip(clicks) {
            let (decision, claim) = self.decide(click, promo);
            decided(click.entry, decision, claim);
        }
    }

    /// Applies the gates to the decision of the rule on `event`. `hash` is the hash of its email by
    /// [`Policy::event_hasher`], `customers` the table of the partition.
    #[inline]
    pub fn apply(&mut self, customers: &CustomerTable, hash: EmailHash, event: &Event<'_>, step: &mut Step) {
        if self.has_gates && step.decision.send {
            let customer = step.customer.expect("a member is in the table");
            let click = Click { entry: 0, customer, hash, event: *event };
            self.decide_all(customers, &[click], |_, decision, _| step.decision = decision);
        }
    }

    /// The decision of the first four gates for a click, and what it needs. `promo` is `None` if the campaign names
    /// other promos. This is the only definition of the order of the gates.
    fn decide(&mut self, click: &Click<'_>, promo: Option<PromoNumber>) -> (Decision, Option<Claim>) {
        let stopped = |gate| (Decision::stopped(gate), None);
        let Some(promo) = promo else { return stopped(Gate::Promos) };
        let facts = self.facts(click).expect("the member is known");
        if facts.is_suppressed {
            return stopped(Gate::Suppression);
        }
        let sent_promo = match self.policy.once() {
            Once::Promo => Some(promo),
            Once::Customer => Some(ANY_PROMO),
            Once::Never => None,
        };
        let ledger = self.policy.ledger();
        if let Some(sent_promo) = sent_promo {
            let in_ledger = ledger.zip(facts.in_ledger);
            if in_ledger.is_some_and(|(ledger, customer)| ledger.earlier().contains_further(customer, sent_promo)) {
                return stopped(Gate::Once);
            }
            if self.sent.contains(facts.first_spelling, sent_promo) {
                let claims = ledger.is_some() && self.policy.withholds();
                return (Decision::stopped(Gate::Once), claims.then_some(Claim::StoppedByOnce));
            }
        }
        let (decision, claim) = match ledger {
            Some(ledger) => self.claim(ledger, click, facts, promo),
            None if self.is_held_out(click) => stopped(Gate::Holdout),
            None => (Decision::SEND, None),
        };
        if let Some(sent_promo) = sent_promo.filter(|_| decision.send) {
            self.sent.insert(facts.first_spelling, sent_promo);
        }
        (decision, claim)
    }

    /// The decision of the gate holdout with a ledger.
    fn claim(
        &mut self,
        ledger: &Ledger,
        click: &Click<'_>,
        facts: MemberFacts,
        promo: PromoNumber,
    ) -> (Decision, Option<Claim>) {
        let key = (facts.first_spelling, promo);
        if let Some(rows) = facts.in_ledger.and_then(|customer| ledger.rows_of_run(customer, promo)) {
            if let Some(row) = self.next_rows.get(&key).copied().unwrap_or_else(|| rows.first_sent()) {
                // What was sent before under this run id is not taken back.
                self.next_rows.insert(key, ledger.next_row(row));
                return (Decision::SEND, Some(Claim::Resend(row)));
            }
            if rows.is_held_out {
                return (Decision::stopped(Gate::Holdout), None);
            }
        }
        if self.policy.once() == Once::Customer && facts.in_ledger.is_some_and(|customer| ledger.run_sent(customer)) {
            // This run sent the only code of the customer before, at a click for another promo.
            (Decision::stopped(Gate::Once), None)
        } else if self.is_held_out(click) {
            let is_new = self.held_out.insert(facts.first_spelling, promo);
            (Decision::stopped(Gate::Holdout), is_new.then_some(Claim::HoldOut))
        } else {
            (Decision::SEND, Some(Claim::Send))
        }
    }

    /// Whether the customer is in the control group.
    fn is_held_out(&mut self, click: &Click<'_>) -> bool {
        let Some(holdout) = self.policy.holdout() else { return false };
        let facts = self.facts[click.customer as usize].as_mut().expect("the member is known");
        *facts.is_held_out.get_or_insert_with(|| holdout.contains(click.event.email))
    }

    fn facts(&self, click: &Click<'_>) -> Option<MemberFacts> {
        self.facts.get(click.customer as usize).copied().flatten()
    }

    /// Finds the facts of the members who made these clicks.
    fn find_facts(&mut self, customers: &CustomerTable, clicks: &[&Click<'_>]) {
        let ledger = self.policy.ledger();
        if let Some(ledger) = ledger {
            ledger.prefetch(clicks.iter().map(|click| click.hash));
        }
        let find = |click: &&Click<'_>| ledger.and_then(|ledger| ledger.find(click.hash, click.event.email));
        let in_ledger: Vec<_> = clicks.iter().map(find).collect();
        if let Some(ledger) = ledger {
            ledger.earlier().prefetch(in_ledger.iter().copied().flatten());
        }
        let emails = clicks.iter().map(|click| click.event.email);
        let mut suppressed = self.policy.suppression().map(|list| list.contains_each(emails));
        for (click, in_ledger) in clicks.iter().zip(in_ledger) {
            let is_suppressed = suppressed.as_mut().is_some_and(|list| list.next().expect("there is one for each"));
            // The table distinguishes spellings, but the sends do not.
            let joins_spellings = self.policy.remembers_sends() && !self.policy.ignores_case();
            let first_spelling =
                if joins_spellings { self.first_spellings.of(customers, click) } else { click.customer };
            let index = click.customer as usize;
            if index >= self.facts.len() {
                self.facts.resize(index + 1, None);
            }
            if let Some((ledger, customer)) = ledger.zip(in_ledger) {
                self.sent.insert_first_of(first_spelling, ledger.earlier(), customer);
            }
            self.facts[index] = Some(MemberFacts { is_suppressed, is_held_out: None, first_spelling, in_ledger });
        }
    }
}

/// The first of the spellings that differ only in ASCII case, in a table that distinguishes them.
#[derive(Debug)]
struct FirstSpellings {
    /// The emails with capital letters, each with the first spelling of the same customer.
    emails: EmailIndex,
    customers: Vec<CustomerNumber>,
}

impl FirstSpellings {
    fn new(hasher: EmailHasher) -> Self {
        let ignores_case = hasher.ignores_case();
        Self { emails: EmailIndex::with_case(hasher, ignores_case), customers: Vec::new() }
    }

    /// The first spelling of the member who made a click, which becomes the first if there is none.
    fn of(&mut self, customers: &CustomerTable, click: &Click<'_>) -> CustomerNumber {
        let (hash, email) = (click.hash, click.event.email);
        if let Some(number) = self.emails.find(hash, email) {
            return self.customers[number as usize];
        }
        if !lanes::any(email, lanes::upper_case) {
            return click.customer;
        }
        // An email without capital letters is not in `emails`.
        let first = with_lower_case(email, |lower| customers.find(hash, lower)).unwrap_or(click.customer);
        self.emails.insert(hash, email);
        self.customers.push(first);
        first
    }
}
