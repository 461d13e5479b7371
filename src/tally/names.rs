//! Names from the data, each with what is counted under it.
//!
//! Promos, channels and items are whatever the data says, and a hostile log says millions. So only so many names of a
//! kind are told apart. Where there are more, which ones came first would depend on the partitions, and none of them is
//! told.

use std::collections::{BTreeMap, HashMap};
use std::ops::AddAssign;

use foldhash::fast::RandomState;

/// How many different names of a kind are told apart.
pub const MAX_NAMES: usize = 10_000;

/// How long a name may be, in bytes. All longer ones are counted together.
pub const MAX_NAME_BYTES: usize = 200;

/// The number of a name in its partition.
pub type NameNumber = u32;

/// The number of all names beyond the limit.
pub const BEYOND: NameNumber = 0;

/// What counts are shown under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Label {
    /// A name, byte for byte.
    Name(Box<[u8]>),
    /// All names that are longer than [`MAX_NAME_BYTES`].
    TooLong,
}

/// Names with a `T` for each. A label has its number from the first time that it is seen.
#[derive(Debug)]
pub struct ByName<T> {
    /// By packed name; most names are short.
    short: HashMap<u128, NameNumber, RandomState>,
    /// The names that are no short ones.
    longer: HashMap<Box<[u8]>, NameNumber, RandomState>,
    too_long: Option<NameNumber>,
    /// By number; the first one is what lies beyond the limit.
    tallies: Vec<T>,
    too_many: bool,
}

impl<T: Default> Default for ByName<T> {
    fn default() -> Self {
        Self {
            short: HashMap::default(),
            longer: HashMap::default(),
            too_long: None,
            tallies: vec![T::default()],
            too_many: false,
        }
    }
}

impl<T: Default> ByName<T> {
    /// The number of `name`.
    #[inline]
    pub fn number(&mut self, name: &[u8]) -> NameNumber {
        let known = match packed(name) {
            Some(packed) => self.short.get(&packed),
            None => self.longer.get(name),
        };
        known.copied().unwrap_or_else(|| self.add(name))
    }

    #[cold]
    fn add(&mut self, name: &[u8]) -> NameNumber {
        let is_long = name.len() > MAX_NAME_BYTES;
        if let Some(too_long) = self.too_long.filter(|_| is_long) {
            return too_long;
        }
        if self.tallies.len() > MAX_NAMES {
            self.too_many = true;
            return BEYOND;
        }
        let number = self.tallies.len() as NameNumber;
        match packed(name) {
            Some(packed) => drop(self.short.insert(packed, number)),
            None if is_long => self.too_long = Some(number),
            None => drop(self.longer.insert(name.into(), number)),
        }
        self.tallies.push(T::default());
        number
    }

    /// What is counted under the label with this number.
    #[inline]
    pub fn get_mut(&mut self, number: NameNumber) -> Option<&mut T> {
        self.tallies.get_mut(number as usize)
    }

    /// The label of every number but [`BEYOND`].
    pub fn labels(&self) -> HashMap<NameNumber, Label> {
        let short = self.short.iter().map(|(&packed, &number)| (number, Label::Name(unpacked(packed))));
        let longer = self.longer.iter().map(|(name, &number)| (number, Label::Name(name.clone())));
        short.chain(longer).chain(self.too_long.map(|number| (number, Label::TooLong))).collect()
    }

    /// The labels and what is counted under them. `None` when there were too many.
    pub fn told(self) -> Option<Vec<(Label, T)>> {
        let mut labels = self.labels();
        let numbered = (0..).zip(self.tallies);
        let told = numbered.filter_map(|(number, tally)| Some((labels.remove(&number)?, tally))).collect();
        (!self.too_many).then_some(told)
    }
}

/// How long a name may be to be packed into one number.
const PACKED_BYTES: usize = 15;

/// A short name as one number, which is compared at once: its bytes, and its length behind them.
///
/// It is put together from numbers and not copied into an array: reading what was just written in smaller pieces waits.
#[inline]
fn packed(name: &[u8]) -> Option<u128> {
    if name.len() > PACKED_BYTES {
        return None;
    }
    let bytes = match (name.first_chunk(), name.last_chunk()) {
        // The last eight bytes overlap with the first: what the first hold already is shifted out.
        (Some(first), Some(last)) => {
            let twice = 8 * (16 - name.len() as u32);
            let behind = u64::from_le_bytes(*last).checked_shr(twice).unwrap_or_default();
            u128::from(u64::from_le_bytes(*first)) | u128::from(behind) << 64
        }
        _ => name.iter().rev().fold(0, |bytes, &byte| bytes << 8 | u128::from(byte)),
    };
    Some(bytes | (name.len() as u128) << (8 * PACKED_BYTES))
}

fn unpacked(packed: u128) -> Box<[u8]> {
    let bytes = packed.to_le_bytes();
    let [.., len] = bytes;
    bytes.get(..usize::from(len)).unwrap_or_default().into()
}

/// What several partitions counted, added up. `None` when one of them had too many labels, or they have together.
pub fn merged<K: Ord, T: AddAssign + Default>(
    partitions: impl Iterator<Item = Option<Vec<(K, T)>>>,
    most: usize,
) -> Option<BTreeMap<K, T>> {
    let mut all = BTreeMap::new();
    for partition in partitions {
        for (label, tally) in partition? {
            *all.entry(label).or_default() += tally;
        }
    }
    (all.len() <= most).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_of_every_length_are_packed_and_unpacked() {
        let name = b"abcdefghijklmnop";
        for len in 0..=PACKED_BYTES {
            let packed = packed(&name[..len]).unwrap();
            assert_eq!(*unpacked(packed), name[..len]);
            assert_eq!(packed.to_le_bytes()[..len], name[..len]);
        }
        assert_eq!(packed(name), None);
    }

    fn counted(names: impl IntoIterator<Item = String>) -> Option<Vec<(Label, u64)>> {
        let mut counted = ByName::default();
        for name in names {
            let number = counted.number(name.as_bytes());
            *counted.get_mut(number).unwrap() += 1;
        }
        counted.told()
    }

    fn together(partitions: [Option<Vec<(Label, u64)>>; 2]) -> Option<BTreeMap<Label, u64>> {
        merged(partitions.into_iter(), MAX_NAMES)
    }

    #[test]
    fn names_from_several_partitions_are_added_up() {
        let names = ["a", "b", "a", "c", "a"].map(str::to_owned);
        let apart = together([counted(names[..2].to_vec()), counted(names[2..].to_vec())]);
        assert_eq!(apart, together([counted(names), counted([])]));
        assert_eq!(apart.unwrap()[&Label::Name((*b"a").into())], 3);
    }

    #[test]
    fn names_come_out_of_their_numbers_as_they_went_in() {
        for name in [&b""[..], b"\0", b"\0\0", b"Web", b"MarsupialHoodie"] {
            assert_eq!(unpacked(packed(name).unwrap()).as_ref(), name);
        }
        assert_eq!(packed(b"MarsupialHoodies"), None);
    }

    #[test]
    fn long_names_are_counted_together() {
        let long = |letter: &str| letter.repeat(MAX_NAME_BYTES + 1);
        let told = counted([long("x"), long("y"), "x".repeat(MAX_NAME_BYTES)]).unwrap();
        assert!(told.contains(&(Label::TooLong, 2)));
        assert_eq!(told.len(), 2);
    }

    #[test]
    fn too_many_names_are_not_told_wherever_they_were_seen() {
        let name = |number: usize| number.to_string();
        assert!(counted((0..MAX_NAMES).map(name)).is_some());
        assert!(counted((0..=MAX_NAMES).map(name)).is_none());
        assert!(counted((0..MAX_NAMES).map(name).chain(["x".repeat(1_000)])).is_none());
        let apart = [(0..MAX_NAMES / 2), (MAX_NAMES / 2..MAX_NAMES + 1)].map(|numbers| counted(numbers.map(name)));
        assert!(together(apart).is_none());
    }
}
