//! Counting what a campaign did: what `adseg report` computes.

use crate::campaign::{CustomerNumber, CustomerTable, Decision, EmailHasher, Tracked};
use crate::engine::{Computation, EventBatch, PREFETCH};
use crate::record::RecordKind;
use crate::report::CampaignCounts;

/// Applies the rule of the campaign and counts what it makes of every event.
#[derive(Debug, Clone, Copy)]
pub struct CountCampaign;

/// One partition's state.
#[derive(Debug)]
pub struct CountState {
    table: CustomerTable,
    /// What was counted.
    pub counts: CampaignCounts,
    /// The customers of one chunk; a buffer that is reused.
    customers: Vec<CustomerNumber>,
}

impl Computation for CountCampaign {
    type State = CountState;

    fn new_state(&self, hasher: &EmailHasher) -> CountState {
        let table = CustomerTable::new(hasher.clone(), Tracked::AllCustomers);
        CountState { table, counts: CampaignCounts::default(), customers: Vec::new() }
    }

    fn needs_fields(&self) -> bool {
        true
    }

    fn needs_kind(&self, _kind: RecordKind) -> bool {
        true
    }

    fn apply(&self, state: &mut CountState, events: EventBatch<'_>, _decisions: &mut Vec<(u32, Decision)>) {
        let CountState { table, counts, customers } = state;
        for chunk in events.chunks(PREFETCH) {
            // Each pass prefetches for the whole chunk what the next one needs.
            chunk.prefetch();
            table.prefetch(chunk.hashes());
            customers.clear();
            customers.extend(chunk.events().map(|(_, hash, event)| table.add(hash, event.email)));
            table.prefetch_memberships(customers.iter().copied());
            counts.prefetch(customers.iter().copied());
            for ((_, _, event), &customer) in chunk.events().zip(&*customers) {
                let step = table.apply_to(customer, event.kind);
                counts.count(&event, customer, step);
            }
        }
    }
}
