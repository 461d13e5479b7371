//! Exact copies of earlier records, with bounded memory.
//!
//! Each distinct record has a hash. The level of a hash is the number of its leading zeros. All partitions together
//! keep at most [`CAPACITY`] distinct hashes: if there are more, they keep only those of the lowest level that has few
//! enough, and higher levels. So the copies are counted in all records, or in a sample that depends only on the
//! records.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::FixedState;

use super::names::Occurrences;
use crate::campaign::Event;

/// The maximum number of distinct records that are kept, in all partitions.
const CAPACITY: u64 = 1 << 18;

/// The number of levels of a 64-bit hash.
const LEVELS: usize = 65;

/// The number of distinct records of each level, in all partitions. Levels that are no longer kept are no longer
/// counted.
#[derive(Debug)]
pub struct LevelCounts([AtomicU64; LEVELS]);

impl Default for LevelCounts {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; LEVELS])
    }
}

impl LevelCounts {
    /// The lowest level that can be kept.
    pub fn lowest(&self) -> u32 {
        lowest_level(self.0.each_ref().map(|count| count.load(Ordering::Relaxed)))
    }
}

/// The lowest level that has at most [`CAPACITY`] hashes together with all higher levels.
fn lowest_level(counts: [u64; LEVELS]) -> u32 {
    let mut sum = 0;
    let kept = counts.iter().rev().take_while(|count| {
        sum += **count;
        sum <= CAPACITY
    });
    (LEVELS - kept.count()) as u32
}

/// The distinct records of one partition, and the copies of each.
#[derive(Debug, Default)]
pub struct Copies {
    /// The lowest level that is kept.
    level: u32,
    records: HashSet<u64, BuildHasherDefault<OfHash>>,
    /// By the hash of the record.
    copies: HashMap<u64, Occurrences, BuildHasherDefault<OfHash>>,
}

impl Copies {
    /// Removes the hashes below a level.
    pub fn keep_from(&mut self, level: u32) {
        if level > self.level {
            self.level = level;
            self.records.retain(|hash| hash.leading_zeros() >= level);
            self.copies.retain(|hash, _| hash.leading_zeros() >= level);
        }
    }

    /// Adds a record.
    #[inline]
    pub fn add(&mut self, event: &Event<'_>, counts: &LevelCounts) {
        // The same hash in every run, so the sample is the same.
        let mut hasher = FixedState::default().build_hasher();
        event.hash_record(&mut hasher);
        self.add_hash(hasher.finish(), event.number, counts);
    }

    #[inline]
    fn add_hash(&mut self, hash: u64, number: u64, counts: &LevelCounts) {
        let level = hash.leading_zeros();
        if level < self.level {
            return;
        }
        if self.records.insert(hash) {
            counts.0[level as usize].fetch_add(1, Ordering::Relaxed);
        } else {
            *self.copies.entry(hash).or_default() += Occurrences { count: 1, first: number };
        }
    }

    /// The copies in all partitions, and whether they are from a sample.
    pub fn merge(partitions: &[Self]) -> (Occurrences, bool) {
        let known = partitions.iter().map(|partition| partition.level).max().unwrap_or(0);
        let mut counts = [0; LEVELS];
        for hash in partitions.iter().flat_map(|partition| &partition.records) {
            counts[hash.leading_zeros() as usize] += 1;
        }
        let level = lowest_level(counts).max(known);
        let mut all = Occurrences::default();
        for (hash, copies) in partitions.iter().flat_map(|partition| &partition.copies) {
            if hash.leading_zeros() >= level {
                all += *copies;
            }
        }
        (all, level > 0)
    }
}

/// Hashes a hash. The tables of the standard library use its highest bits, which are zeros in a sample.
#[derive(Debug, Default)]
struct OfHash(u64);

impl Hasher for OfHash {
    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("only hashes are hashed");
    }

    #[inline]
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hash of a record with this number.
    fn hash(number: u64) -> u64 {
        FixedState::default().hash_one(number)
    }

    /// Adds each hash of `hashes` to its partition, in batches, and merges the partitions.
    fn copies_in(partitions: usize, batch: usize, hashes: &[u64]) -> (Occurrences, bool) {
        let counts = LevelCounts::default();
        let mut states: Vec<_> = (0..partitions).map(|_| Copies::default()).collect();
        for (index, hashes) in hashes.chunks(batch).enumerate() {
            for (at, &hash) in hashes.iter().enumerate() {
                states[hash as usize % partitions].add_hash(hash, (index * batch + at) as u64, &counts);
            }
            // Some partitions have no records for a long time.
            states.iter_mut().skip(index % 2).for_each(|state| state.keep_from(counts.lowest()));
        }
        let kept: usize = states.iter().map(|state| state.records.len()).sum();
        assert!(kept < 2 * CAPACITY as usize, "{kept}");
        Copies::merge(&states)
    }

    #[test]
    fn few_records_are_counted_exactly() {
        let hashes: Vec<_> = [1, 2, 1, 3, 1, 2].map(hash).to_vec();
        assert_eq!(copies_in(3, 2, &hashes), (Occurrences { count: 3, first: 2 }, false));
        assert_eq!(copies_in(1, 6, &hashes[..2]).0.count, 0);
    }

    #[test]
    fn a_sample_is_the_same_for_any_partitions_and_batches() {
        // Every tenth record occurs twice.
        let numbers = (0..3 * CAPACITY).flat_map(|number| [Some(number), (number % 10 == 0).then_some(number)]);
        let hashes: Vec<_> = numbers.flatten().map(hash).collect();
        let one = copies_in(1, 100_000, &hashes);
        assert_eq!(one, copies_in(10, 7_777, &hashes));
        assert_eq!(one, copies_in(16, hashes.len(), &hashes[..]));
        let (Occurrences { count, .. }, is_sample) = one;
        assert!(is_sample);
        // A quarter of the copies: two levels are dropped.
        assert!((18_000..22_000).contains(&count), "{count}");
    }
}
