//! Counting for a report what a campaign did: the computation of `adseg report`.

use super::deciding::GROUP;
use super::{Computation, EventBatch};
use crate::campaign::{CustomerNumber, EventKind, Everyone};
use crate::partition::EmailHasher;
use crate::tally::Tallies;

/// Applies the campaign's rule and counts what it makes of every event. Nothing is answered.
#[derive(Debug, Clone, Copy)]
pub struct Reporting;

/// One partition: who is there, and what is counted.
#[derive(Debug)]
pub struct Reported {
    everyone: Everyone,
    tallies: Tallies,
    /// The customers of one group, kept for their memory.
    customers: Vec<CustomerNumber>,
}

impl Reported {
    /// What was counted.
    pub fn into_tallies(self) -> Tallies {
        self.tallies
    }
}

impl Computation for Reporting {
    type State = Reported;
    type Answer = ();

    fn new_state(&self, hasher: &EmailHasher) -> Reported {
        Reported { everyone: Everyone::new(hasher.clone()), tallies: Tallies::default(), customers: Vec::new() }
    }

    fn concerns(&self, _kind: EventKind) -> bool {
        true
    }

    fn apply(&self, state: &mut Reported, events: EventBatch<'_>, _answers: &mut Vec<(u32, ())>) {
        let Reported { everyone, tallies, customers } = state;
        for group in events.groups(GROUP) {
            // Each pass fetches for the whole group what the next one needs.
            group.warm();
            everyone.warm(group.hashes());
            customers.clear();
            customers.extend(group.events().map(|(_, hash, event)| everyone.customer(hash, event.email)));
            everyone.warm_members(customers.iter().copied());
            tallies.warm(customers.iter().copied());
            for ((_, _, event), &customer) in group.events().zip(&*customers) {
                let step = everyone.apply(customer, &event);
                tallies.see(&event, step);
            }
        }
    }
}
