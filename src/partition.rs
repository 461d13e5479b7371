//! The partition: which of the partitions an email belongs to.
//!
//! The one invariant everything rests on: one email, one partition, for the whole run. Partition numbers and hashes
//! are internal; nothing a user sees depends on them.

use std::hash::{BuildHasher, Hasher};
use std::num::NonZeroU32;

use foldhash::quality::RandomState;

/// How many partitions there are unless the user says otherwise, as in the Wallaroo application that this one follows.
pub const DEFAULT_PARTITIONS: u32 = 10;

/// The hash of an email, for one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmailHash(pub u64);

/// Hashes emails under a key that is drawn anew for each run, so that nobody can prepare a list of emails that all
/// fall into one place without knowing the key.
#[derive(Debug, Clone, Default)]
pub struct EmailHasher(RandomState);

impl EmailHasher {
    /// The hash of `email`.
    #[inline]
    pub fn hash(&self, email: &[u8]) -> EmailHash {
        let mut hasher = self.0.build_hasher();
        hasher.write(email);
        EmailHash(hasher.finish())
    }
}

/// Shards emails over a number of partitions.
#[derive(Debug, Clone)]
pub struct Partitioner {
    hasher: EmailHasher,
    partitions: NonZeroU32,
}

impl Partitioner {
    /// A partitioner over this many partitions.
    pub fn new(partitions: NonZeroU32) -> Self {
        Self { hasher: EmailHasher::default(), partitions }
    }

    /// How many partitions there are.
    pub const fn partitions(&self) -> usize {
        self.partitions.get() as usize
    }

    /// The hasher that the partitions' states share.
    pub const fn hasher(&self) -> &EmailHasher {
        &self.hasher
    }

    /// The partition of the email with this hash. Only the upper half of the hash is looked at; the lower half is the
    /// state's.
    #[inline]
    pub const fn partition(&self, hash: EmailHash) -> usize {
        (((hash.0 >> 32) * self.partitions.get() as u64) >> 32) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_email_has_one_partition_and_all_partitions_get_their_share() {
        let partitioner = Partitioner::new(NonZeroU32::new(10).unwrap());
        let mut shares = [0_u32; 10];
        for number in 0..10_000 {
            let email = format!("customer{number}@example.com");
            let partition = partitioner.partition(partitioner.hasher().hash(email.as_bytes()));
            assert_eq!(partition, partitioner.partition(partitioner.hasher().hash(email.as_bytes())));
            shares[partition] += 1;
        }
        assert!(shares.iter().all(|&share| (800..1200).contains(&share)), "{shares:?}");
    }
}
