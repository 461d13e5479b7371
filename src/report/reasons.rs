//! Decisions by reason, in total and by promo, for a campaign with a policy.

use std::ops::AddAssign;

use super::names::NameId;
use crate::campaign::Reason;

/// The number of decisions by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReasonCounts([u64; Reason::ALL.len()]);

impl ReasonCounts {
    /// The decisions with this reason.
    pub const fn of(&self, reason: Reason) -> u64 {
        self.0[reason as usize]
    }

    /// All decisions.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl AddAssign for ReasonCounts {
    fn add_assign(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, count)| *sum += count);
    }
}

/// The decisions of one partition.
#[derive(Debug, Default)]
pub struct Reasons {
    pub all: ReasonCounts,
    /// By the id of the promo. Incomplete if there are too many promos.
    pub of_promos: Vec<ReasonCounts>,
}

impl Reasons {
    /// Counts a decision.
    pub fn count(&mut self, promo: NameId, reason: Reason) {
        self.all.0[reason as usize] += 1;
        let index = promo as usize;
        if index >= self.of_promos.len() {
            self.of_promos.resize(index + 1, ReasonCounts::default());
        }
        self.of_promos[index].0[reason as usize] += 1;
    }
}
