//! Counts of occurrences, and of the names of promos and channels, with bounded memory.

use std::collections::BTreeMap;
use std::mem;
use std::ops::AddAssign;

/// A number of occurrences, and the first of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occurrences {
    pub count: u64,
    /// The number of the first line or frame, counted over all inputs.
    pub first: u64,
}

/// The minimum number of occurrences of a frequent name.
const FREQUENT_NAME: u64 = 10;

/// The maximum number of names of a kind that are counted separately, and their maximum length. They limit the memory.
pub(super) const MAX_NAMES: usize = 10_000;
pub(super) const MAX_NAME_BYTES: usize = 100;

/// Names with the number of their occurrences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// In a partition at most one more than [`MAX_NAMES`], which means that there are too many.
    pub by_name: BTreeMap<Vec<u8>, Occurrences>,
    /// The occurrences of names that are not counted separately.
    pub others: u64,
}

impl Default for Occurrences {
    fn default() -> Self {
        Self { count: 0, first: u64::MAX }
    }
}

impl AddAssign for Occurrences {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        self.first = self.first.min(other.first);
    }
}

impl Names {
    pub fn count(&mut self, name: &[u8], seen: Occurrences) {
        if let Some(occurrences) = self.by_name.get_mut(name) {
            *occurrences += seen;
        } else if name.len() <= MAX_NAME_BYTES && self.by_name.len() <= MAX_NAMES {
            self.by_name.insert(name.to_owned(), seen);
        } else {
            self.others += seen.count;
        }
    }

    /// Merges the names of the partitions. If there are too many, the names that a partition counted depend on the
    /// partitions, so none is listed.
    pub fn merge(partitions: impl Iterator<Item = Self>) -> Self {
        let mut all = Self::default();
        for partition in partitions {
            all.others += partition.others;
            for (name, seen) in partition.by_name {
                *all.by_name.entry(name).or_default() += seen;
            }
        }
        if all.by_name.len() > MAX_NAMES {
            all.others += mem::take(&mut all.by_name).values().map(|occurrences| occurrences.count).sum::<u64>();
        }
        all
    }

    /// The names that occur once.
    pub fn once(&self) -> impl Iterator<Item = (&[u8], &Occurrences)> {
        self.by_name
            .iter()
            .filter(|(_, occurrences)| occurrences.count == 1)
            .map(|(name, once)| (name.as_slice(), once))
    }

    /// Whether a name is frequent.
    pub fn has_frequent(&self) -> bool {
        self.by_name.values().any(|occurrences| occurrences.count >= FREQUENT_NAME)
    }
}
