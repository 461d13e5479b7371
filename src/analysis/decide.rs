//! The computation of `adseg run`: the decisions.

#[cfg(feature = "cluster")]
mod portable;

use crate::campaign::{
    Click, CustomerTable, Decision, EmailHasher, Member, Policy, PolicyState, SavedRows, Tracked, members_in_order,
};
use crate::engine::{Computation, Decided, EventBatch, PREFETCH};
use crate::record::{ConversionKind, RecordKind};

/// The number of clicks that the gates decide together, so their cache misses overlap. Few of them are the first of their
/// member, which have the most.
const GATED: usize = 4 * PREFETCH;

/// Applies the rule and the policy of the campaign.
#[derive(Debug, Clone, Copy)]
pub struct Decide<'a> {
    /// Keep the rows of the members for the saved list.
    pub keeps_rows: bool,
    /// The policy.
    pub policy: &'a Policy,
}

/// The state of one partition.
#[derive(Debug)]
pub struct DecideState<'a> {
    customers: CustomerTable,
    policy: PolicyState<'a>,
    rows: Option<SavedRows>,
    /// The number of members whose emails are in another process.
    members_elsewhere: usize,
    /// The number of decisions to send a code.
    pub sent: u64,
    /// The number of customers who became members by a purchase.
    pub enrolled: u64,
}

impl DecideState<'_> {
    /// Applies the gates to clicks by members.
    fn decide_all(&mut self, clicks: &mut Vec<Click<'_>>, decided: &mut Decided) {
        let Self { customers, policy, sent, .. } = self;
        policy.decide_all(customers, clicks, |entry, decision, claim| {
            *sent += u64::from(decision.send);
            decided.decisions.push((entry, decision));
            decided.claims.extend(claim.map(|claim| (entry, claim)));
        });
        clicks.clear();
    }

    /// The number of members.
    pub const fn members(&self) -> usize {
        self.customers.len() + self.members_elsewhere
    }
}

impl<'a> Computation for Decide<'a> {
    type State = DecideState<'a>;

    fn new_state(&self, hasher: &EmailHasher) -> DecideState<'a> {
        let customers = CustomerTable::with_case(hasher.clone(), Tracked::Members, self.policy.ignores_case());
        let rows = self.keeps_rows.then(SavedRows::default);
        DecideState {
            customers,
            policy: PolicyState::new(self.policy),
            rows,
            members_elsewhere: 0,
            sent: 0,
            enrolled: 0,
        }
    }

    fn hasher(&self) -> EmailHasher {
        self.policy.event_hasher()
    }

    fn needs_fields(&self) -> bool {
        self.keeps_rows || self.policy.needs_promo()
    }

    fn members(&self, states: &[DecideState<'a>]) -> Option<u64> {
        Some(states.iter().map(|state| state.members() as u64).sum())
    }

    /// A basket does not depend on the membership or change it.
    fn needs_kind(&self, kind: RecordKind) -> bool {
        kind != RecordKind::Conversion(ConversionKind::Basket)
    }

    fn apply(&self, state: &mut DecideState<'a>, events: EventBatch<'_>, decided: &mut Decided) {
        let has_gates = state.policy.has_gates();
        let mut clicks = Vec::with_capacity(if has_gates { GATED + PREFETCH } else { 0 });
        for chunk in events.chunks(PREFETCH) {
            state.customers.prefetch(chunk.hashes());
            for (entry, hash, event) in chunk.events() {
                let step = state.customers.apply(hash, event.email, event.kind);
                if let Some(rows) = &mut state.rows {
                    rows.apply(&event, step);
                }
                if step.decision.send && has_gates {
                    let customer = step.customer.expect("a member is in the table");
                    clicks.push(Click { entry, customer, hash, event });
                } else if step.decision != Decision::default() {
                    state.sent += u64::from(step.decision.send);
                    state.enrolled += u64::from(step.decision.enrolled);
                    decided.decisions.push((entry, step.decision));
                }
            }
            if clicks.len() >= GATED {
                state.decide_all(&mut clicks, decided);
            }
        }
        state.decide_all(&mut clicks, decided);
    }
}

/// The members of all partitions in the order of the saved list.
///
/// # Panics
/// When the rows were not kept.
pub fn saved_list<'a>(partitions: &'a [DecideState<'_>]) -> impl Iterator<Item = Member<'a>> {
    let lists: Vec<_> = partitions
        .iter()
        .map(|state| (&state.customers, state.rows.as_ref().expect("rows are kept for a saved list")))
        .collect();
    members_in_order(&lists)
}
