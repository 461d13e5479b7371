//! The computation that loads suppression lists.

use crate::campaign::{EmailHash, EmailHasher, SuppressedEmails, suppression_key};
use crate::engine::{Computation, Decided, EventBatch};

/// Collects the emails and digests of suppression lists.
#[derive(Debug, Clone, Copy)]
pub struct LoadSuppression;

impl Computation for LoadSuppression {
    type State = SuppressedEmails;

    fn new_state(&self, hasher: &EmailHasher) -> SuppressedEmails {
        SuppressedEmails::new(hasher.clone())
    }

    fn needs_fields(&self) -> bool {
        false
    }

    fn hash(&self, hasher: &EmailHasher, email: &[u8]) -> EmailHash {
        hasher.hash(&suppression_key(email))
    }

    fn apply(&self, state: &mut SuppressedEmails, events: EventBatch<'_>, _decided: &mut Decided) {
        for (_, hash, event) in events.events() {
            state.add_file(events.input());
            state.add(hash, event.email);
        }
    }
}
