//! The computation of `adseg report`: the counts of a campaign.

use crate::campaign::{CustomerNumber, CustomerTable, Decision, EmailHasher, Tracked};
use crate::engine::{Computation, EventBatch, PREFETCH};
use crate::record::RecordKind;
use crate::report::CampaignCounts;

/// Applies the rule of the campaign, and counts events and decisions.
#[derive(Debug, Clone, Copy)]
pub struct CountCampaign;

/// The state of one partition.
#[derive(Debug)]
pub struct CountState {
    table: CustomerTable,
    /// The counts.
    pub counts: CampaignCounts,
    /// The customers of one chunk. The buffer is reused.
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
            // Each pass over the chunk prefetches the data of the next pass.
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
