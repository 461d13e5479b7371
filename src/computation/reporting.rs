//! Counting for a report what a campaign did: the computation of `adseg report`.

use super::deciding::GROUP;
use super::{Computation, EventBatch};
use crate::campaign::{EventKind, Everyone, Step};
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
    /// The steps of one group, kept for their memory.
    steps: Vec<Step>,
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
        Reported { everyone: Everyone::new(hasher.clone()), tallies: Tallies::default(), steps: Vec::new() }
    }

    fn concerns(&self, _kind: EventKind) -> bool {
        true
    }

    fn apply(&self, state: &mut Reported, events: EventBatch<'_>, _answers: &mut Vec<(u32, ())>) {
        let Reported { everyone, tallies, steps } = state;
        for group in events.groups(GROUP) {
            everyone.warm(group.hashes());
            steps.clear();
            steps.extend(group.events().map(|(_, hash, event)| everyone.apply(hash, &event)));
            tallies.warm(steps.iter().map(|step| step.customer));
            for ((_, _, event), &step) in group.events().zip(&*steps) {
                tallies.see(&event, step);
            }
        }
    }
}
