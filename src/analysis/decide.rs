//! Deciding who gets a code: what `adseg run` computes.

use crate::campaign::{CustomerTable, Decision, EmailHasher, SavedRows, Tracked, members_in_order};
use crate::engine::{Computation, EventBatch, PREFETCH};
use crate::record::{ConversionKind, RecordKind};

/// Applies the rule of the campaign.
#[derive(Debug, Clone, Copy)]
pub struct Decide {
    /// Keep the whole rows of the members, so that the list can be saved.
    pub keeps_rows: bool,
}

/// One partition's state.
#[derive(Debug)]
pub struct DecideState {
    customers: CustomerTable,
    rows: Option<SavedRows>,
    /// How many decisions were to send a code.
    pub sent: u64,
    /// How many customers became members by a purchase.
    pub enrolled: u64,
}

impl DecideState {
    /// How many members there are.
    pub const fn members(&self) -> usize {
        self.customers.len()
    }
}

impl Computation for Decide {
    type State = DecideState;

    fn new_state(&self, hasher: &EmailHasher) -> DecideState {
        let customers = CustomerTable::new(hasher.clone(), Tracked::Members);
        DecideState { customers, rows: self.keeps_rows.then(SavedRows::default), sent: 0, enrolled: 0 }
    }

    fn needs_fields(&self) -> bool {
        self.keeps_rows
    }

    /// A basket neither reads nor changes the membership.
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

/// The members of all partitions in the order of the saved list: each one's email, and the other fields of the row with
/// a comma before each.
///
/// # Panics
/// When the rows were not kept.
pub fn saved_list(partitions: &[DecideState]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let lists: Vec<_> = partitions
        .iter()
        .map(|state| (&state.customers, state.rows.as_ref().expect("the rows of a saved list are kept")))
        .collect();
    members_in_order(&lists)
}
