//! Counts by name, for a limited number of names.
//!
//! The data may contain millions of promos, channels, items or genders. A table with more than [`MAX_NAMES`] names is not
//! reported, because the names that were counted would depend on the partitions.

use std::collections::{BTreeMap, HashMap};
use std::ops::AddAssign;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::escape::display_name;

/// The maximum number of names of a table.
pub const MAX_NAMES: usize = 10_000;

/// The maximum length of a name, in bytes. Longer names are counted together.
pub const MAX_NAME_BYTES: usize = 200;

/// The key of all longer names. It is too long to be the key of a name.
const TOO_LONG: &[u8] = &[0; MAX_NAME_BYTES + 1];

/// The number of a name in its partition, in order of first appearance.
pub type NameId = u32;

/// A name of a row of a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// A name, byte for byte.
    Bytes(Box<[u8]>),
    /// All names that are longer than [`MAX_NAME_BYTES`].
    TooLong,
}

/// The names of a row: one, or a promo and a channel.
pub type RowNames = Vec<Name>;

impl Name {
    pub fn of(name: &[u8]) -> Self {
        if name.len() > MAX_NAME_BYTES { Self::TooLong } else { Self::Bytes(name.into()) }
    }

    /// Whether the name is missing in the data.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Bytes(name) if name.is_empty())
    }

    /// Whether [`Self::display`] describes the name instead of showing it.
    pub fn is_described(&self) -> bool {
        matches!(self, Self::TooLong) || self.is_empty()
    }

    /// The name for display, escaped.
    pub fn display(&self) -> String {
        match self {
            Self::Bytes(name) if name.is_empty() => "(not given)".to_owned(),
            Self::Bytes(name) => display_name(name),
            Self::TooLong => format!("(longer than {MAX_NAME_BYTES} bytes)"),
        }
    }
}

/// Names with a `T` for each, in one partition.
#[derive(Debug)]
pub struct NameTable<T> {
    ids: HashMap<Arc<[u8]>, NameId, RandomState>,
    /// The ids of recently used names, by [`slot`]. Most look-ups find the name here, without a hash.
    recent: [NameId; SLOTS],
    /// The keys and their counts by id: at most [`MAX_NAMES`].
    rows: Vec<(Arc<[u8]>, T)>,
    /// There were more names. Then the table is empty.
    has_too_many: bool,
}

impl<T> Default for NameTable<T> {
    fn default() -> Self {
        Self { ids: HashMap::default(), recent: [0; SLOTS], rows: Vec::new(), has_too_many: false }
    }
}

impl<T: Copy + Default> NameTable<T> {
    /// The id of `name`. If there are too many names, it has no meaning.
    #[inline]
    pub fn id(&mut self, name: &[u8]) -> NameId {
        let key = if name.len() > MAX_NAME_BYTES { TOO_LONG } else { name };
        let slot = slot(key);
        let recent = self.recent[slot];
        if self.rows.get(recent as usize).is_some_and(|(name, _)| **name == *key) {
            return recent;
        }
        let id = self.ids.get(key).copied().unwrap_or_else(|| self.add(key));
        self.recent[slot] = id;
        id
    }

    #[cold]
    fn add(&mut self, key: &[u8]) -> NameId {
        if self.has_too_many || self.rows.len() == MAX_NAMES {
            // The table is not reported, so its memory is freed.
            *self = Self { has_too_many: true, ..Self::default() };
            return 0;
        }
        let (id, key) = (self.rows.len() as NameId, Arc::from(key));
        self.ids.insert(Arc::clone(&key), id);
        self.rows.push((key, T::default()));
        id
    }

    /// The counts of the name with this id. `None` if there are too many names.
    #[inline]
    pub fn get_mut(&mut self, id: NameId) -> Option<&mut T> {
        self.rows.get_mut(id as usize).map(|(_, counts)| counts)
    }

    /// The names and their counts, by id. `None` if there are too many.
    pub fn counts(&self) -> Option<Vec<(RowNames, T)>> {
        let counts = self.rows.iter().map(|(key, counts)| (vec![Name::of(key)], *counts));
        (!self.has_too_many).then(|| counts.collect())
    }
}

/// The number of slots of [`NameTable::recent`].
const SLOTS: usize = 64;

/// A cheap hash that differs between most names of a campaign.
#[inline]
fn slot(key: &[u8]) -> usize {
    let byte = |byte: Option<&u8>| usize::from(byte.copied().unwrap_or(0));
    (byte(key.first()) ^ byte(key.last()) << 2 ^ key.len() << 4) % SLOTS
}

/// The counts of all partitions by name. `None` if one partition or all of them together have too many names.
pub fn merge<T: AddAssign + Default>(
    partitions: impl IntoIterator<Item = Option<Vec<(RowNames, T)>>>,
) -> Option<BTreeMap<RowNames, T>> {
    let mut all = BTreeMap::new();
    for partition in partitions {
        for (name, counts) in partition? {
            *all.entry(name).or_default() += counts;
        }
    }
    (all.len() <= MAX_NAMES).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(names: impl IntoIterator<Item = String>) -> Option<Vec<(RowNames, u64)>> {
        let mut table = NameTable::default();
        for name in names {
            let id = table.id(name.as_bytes());
            if let Some(count) = table.get_mut(id) {
                *count += 1;
            }
        }
        table.counts()
    }

    #[test]
    fn counts_of_partitions_add_up_by_name() {
        let names = ["a", "b", "a", "c", "a"].map(str::to_owned);
        let merged = merge([count(names[..2].to_vec()), count(names[2..].to_vec())]);
        assert_eq!(merged, merge([count(names), count([])]));
        assert_eq!(merged.unwrap()[&vec![Name::of(b"a")]], 3);
    }

    #[test]
    fn long_names_are_counted_together() {
        let long = |letter: &str| letter.repeat(MAX_NAME_BYTES + 1);
        let counts = count([long("x"), long("y"), long("\0"), "\0".repeat(MAX_NAME_BYTES)]).unwrap();
        assert_eq!(counts[0], (vec![Name::TooLong], 3));
        assert_eq!(counts.len(), 2);
    }

    #[test]
    fn too_many_names_in_one_or_all_partitions_are_dropped() {
        let name = |number: usize| number.to_string();
        assert!(count((0..MAX_NAMES).map(name)).is_some());
        assert!(count((0..=MAX_NAMES).map(name)).is_none());
        assert!(count((0..MAX_NAMES).map(name).chain(["x".repeat(1_000)])).is_none());
        let halves = [(0..MAX_NAMES / 2), (MAX_NAMES / 2..MAX_NAMES + 1)];
        assert!(merge(halves.map(|numbers| count(numbers.map(name)))).is_none());
    }
}
