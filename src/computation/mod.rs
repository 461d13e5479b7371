//! What is computed over the partitions' states.
//!
//! The engine knows how to bring every record to its partition in order, and how to bring the answers back; what a
//! partition does with its events is a [`Computation`]. [`Deciding`] is the one that `adseg run` uses, [`Checking`] that of
//! `adseg check`, [`Explaining`] that of `adseg explain`, [`OrderChecking`] that of `adseg order-check`, [`Reporting`]
//! that of `adseg report`. A computation
//! knows neither threads nor files: it takes a run of events and answers with plain values.

mod batch;
mod checking;
mod deciding;
mod explaining;
mod file_orders;
mod order_checking;
mod reporting;

pub use batch::{Entry, EventBatch, Route, Span};
pub use checking::{Checking, Names, Seen, Sightings, Suspicion};
pub use deciding::Deciding;
pub use explaining::{Explaining, Moment, Stories, Story, Watched, What};
pub use file_orders::FileOrder;
pub use order_checking::{Clicks, Hanging, OrderChecking, Strangers};
pub use reporting::{Reported, Reporting};

use crate::campaign::EventKind;
use crate::partition::{EmailHash, EmailHasher};

/// A state computation: one state a partition, and a step that events go through in the order of their records.
pub trait Computation: Sync {
    /// One partition's state.
    type State: Send;

    /// What a partition answers to an event. The default answer is the one that need not be given: events that do not
    /// concern the state have it.
    type Answer: Copy + Default + Send + Sync;

    /// A state for a partition that has seen nothing yet. Events' hashes come from `hasher`.
    fn new_state(&self, hasher: &EmailHasher) -> Self::State;

    /// Whether events of this kind have to reach their partition.
    fn concerns(&self, kind: EventKind) -> bool;

    /// The hash that says which partition an email belongs to. Emails that have to meet in one partition have one hash.
    #[inline]
    fn hash(&self, hasher: &EmailHasher, email: &[u8]) -> EmailHash {
        hasher.hash(email)
    }

    /// Applies a partition's events of one slice, in order, and puts the answers that are not the default into
    /// `answers`, each with the number of its entry.
    fn apply(&self, state: &mut Self::State, events: EventBatch<'_>, answers: &mut Vec<(u32, Self::Answer)>);
}
