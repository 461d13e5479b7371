//! Counts each customer once for a promo, a channel, and a pair of the two.
//!
//! Most campaigns have few promos and channels, so each of the first 128 keys is a bit in 16 bytes per customer. Pairs
//! of a customer and a later key are in a set, at about 40 bytes each.

use std::collections::HashSet;

use foldhash::fast::RandomState;

use super::names::NameId;
use crate::campaign::CustomerNumber;

/// A key for which each customer is counted once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// A promo.
    Promo(NameId),
    /// A channel.
    Channel(NameId),
    /// A pair of promo and channel, by its number.
    Pair(u32),
}

/// The set of counted customers for each key.
#[derive(Debug, Default)]
pub struct DistinctCounter {
    /// The bits of each customer's keys.
    seen: Vec<u128>,
    /// The bit of each promo, channel and pair, by id: `None` before the first customer, 0 if all bits are used.
    bits: [Vec<Option<u128>>; 3],
    bits_taken: u32,
    beyond_bits: HashSet<(CustomerNumber, Key), RandomState>,
}

impl DistinctCounter {
    /// Adds a customer for a key. Returns whether the pair is new.
    #[inline]
    pub fn insert(&mut self, customer: CustomerNumber, key: Key) -> bool {
        let bit = self.bit(key);
        if bit == 0 {
            return self.beyond_bits.insert((customer, key));
        }
        let index = customer as usize;
        if index >= self.seen.len() {
            self.seen.resize(index + 1, 0);
        }
        let is_new = self.seen[index] & bit == 0;
        self.seen[index] |= bit;
        is_new
    }

    #[inline]
    fn bit(&mut self, key: Key) -> u128 {
        let (kind, id) = match key {
            Key::Promo(id) => (0, id as usize),
            Key::Channel(id) => (1, id as usize),
            Key::Pair(id) => (2, id as usize),
        };
        match self.bits[kind].get(id) {
            Some(&Some(bit)) => bit,
            _ => self.add_bit(kind, id),
        }
    }

    #[cold]
    fn add_bit(&mut self, kind: usize, id: usize) -> u128 {
        let bit = 1_u128.checked_shl(self.bits_taken).unwrap_or(0);
        self.bits_taken += 1;
        let bits = &mut self.bits[kind];
        bits.resize(bits.len().max(id + 1), None);
        bits[id] = Some(bit);
        bit
    }

    /// Reads the memory that [`Self::insert`] needs for this customer, as a prefetch. The result has no meaning.
    #[inline]
    pub fn touch(&self, customer: CustomerNumber) -> u64 {
        self.seen.get(customer as usize).map_or(0, |&seen| seen as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn key() -> impl Strategy<Value = Key> {
        // More keys than there are bits.
        prop_oneof![
            (0..80_u32).prop_map(Key::Promo),
            (0..80_u32).prop_map(Key::Channel),
            (0..80_u32).prop_map(Key::Pair)
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn each_customer_and_key_is_new_once(inserts in prop::collection::vec((0_u32..8, key()), 0..1_000)) {
            let (mut counter, mut set) = (DistinctCounter::default(), HashSet::new());
            for (customer, key) in inserts {
                prop_assert_eq!(counter.insert(customer, key), set.insert((customer, key)));
            }
        }
    }
}
