//! The computation of `adseg run`: the decisions.

#[cfg(feature = "cluster")]
mod portable;

use crate::campaign::{CustomerTable, Decision, EmailHasher, Member, SavedRows, Tracked, members_in_order};
use crate::engine::{Computation, EventBatch, PREFETCH};
use crate::record::{ConversionKind, RecordKind};

/// Applies the rule of the campaign.
#[derive(Debug, Clone, Copy)]
pub struct Decide {
    /// Keep the rows of the members for the saved list.
    pub keeps_rows: bool,
}

/// The state of one partition.
#[derive(Debug)]
pub struct DecideState {
    customers: CustomerTable,
    rows: Option<SavedRows>,
    /// The number of members whose emails are in another process.
    members_elsewhere: usize,
    /// The number of decisions to send a code.
    pub sent: u64,
    /// The number of customers who became members by a purchase.
    pub enrolled: u64,
}

impl DecideState {
    /// The number of members.
    pub const fn members(&self) -> usize {
        self.customers.len() + self.members_elsewhere
    }
}

impl Computation for Decide {
    type State = DecideState;

    fn new_state(&self, hasher: &EmailHasher) -> DecideState {
        let customers = CustomerTable::new(hasher.clone(), Tracked::Members);
        let rows = self.keeps_rows.then(SavedRows::default);
        DecideState { customers, rows, members_elsewhere: 0, sent: 0, enrolled: 0 }
    }

    fn needs_fields(&self) -> bool {
        self.keeps_rows
    }

    fn members(&self, states: &[DecideState]) -> Option<u64> {
        Some(states.iter().map(|state| state.members() as u64).sum())
    }

    /// A basket does not depend on the membership or change it.
    fn needs_kind(&self, kind: RecordKind) -> bool {
        kind != RecordKind::Conversion(ConversionKind::Basket)
    }

    fn apply(&self, state: &mut DecideState, events: EventBatch<'_>, decisions: &mut Vec<(u32, Decision)>) {
        for chunk in events.chunks(PREFETCH) {
            state.customers.prefetch(chunk.hashes());
            for (entry, hash, event) in chunk.events() {
                let step = state.customers.apply(hash, event.email, event.kind);
                if let Some(rows) = &mut state.rows {
                    rows.apply(&event, step);
                }
                if step.decision != Decision::default() {
                    state.sent += u64::from(step.decision.send);
                    state.enrolled += u64::from(step.decision.enrolled);
                    decisions.push((entry, step.decision));
                }
            }
        }
    }
}

/// The members of all partitions in the order of the saved list.
///
/// # Panics
/// When the rows were not kept.
pub fn saved_list(partitions: &[DecideState]) -> impl Iterator<Item = Member<'_>> {
    let lists: Vec<_> = partitions
        .iter()
        .map(|state| (&state.customers, state.rows.as_ref().expect("rows are kept for a saved list")))
        .collect();
    members_in_order(&lists)
}
