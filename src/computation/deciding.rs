//! Deciding who gets a code: the computation of `adseg run`.

use super::{Computation, EventBatch};
use crate::campaign::{Decision, EventKind, Keep, LoyaltyCustomers};
use crate::partition::EmailHasher;

/// Applies the campaign's rule and answers with its decisions.
#[derive(Debug, Clone, Copy)]
pub struct Deciding {
    /// What is kept of the members.
    pub keep: Keep,
}

/// How many look-ups are started before the first one is finished: enough for their cache misses to overlap.
pub(super) const GROUP: usize = 32;

impl Computation for Deciding {
    type State = LoyaltyCustomers;
    type Answer = Decision;

    fn new_state(&self, hasher: &EmailHasher) -> LoyaltyCustomers {
        LoyaltyCustomers::new(hasher.clone(), self.keep)
    }

    fn concerns(&self, kind: EventKind) -> bool {
        LoyaltyCustomers::is_concerned(kind)
    }

    fn apply(&self, state: &mut LoyaltyCustomers, events: EventBatch<'_>, answers: &mut Vec<(u32, Decision)>) {
        for group in events.groups(GROUP) {
            state.warm(group.hashes());
            for (entry, hash, event) in group.events() {
                let decision = state.apply(hash, &event);
                if decision != Decision::default() {
                    answers.push((entry, decision));
                }
            }
        }
    }
}
