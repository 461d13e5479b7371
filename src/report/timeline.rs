//! Conversions and new members from the start of a log to its end.
//!
//! Conversions have no time, so the timeline is by record number, in at most 100 buckets of equal size, a power of two.
//! If there are too many buckets, pairs of them are merged. A bucket starts at a multiple of its size, so the buckets
//! of all partitions align, and the final size depends only on the first and the last conversion.

/// The maximum number of buckets. A long timeline has at least half as many.
const MAX_BUCKETS: u64 = 100;

/// The counts of one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bucket {
    /// Conversions.
    pub conversions: u64,
    /// Conversions that made the customer a member.
    pub new_members: u64,
}

add_fields!(Bucket { conversions, new_members });

/// The buckets from the first conversion to the last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Timeline {
    /// A bucket has 2 to the power of this many records.
    power: u32,
    /// The number of the first bucket, counted from the start of the input.
    first: u64,
    buckets: Vec<Bucket>,
}

impl Timeline {
    /// Counts the conversion with this record number. Numbers must not decrease.
    #[inline]
    pub fn count(&mut self, number: u64, is_new_member: bool) {
        if self.buckets.is_empty() {
            self.first = number >> self.power;
        }
        while (number >> self.power) - self.first >= MAX_BUCKETS {
            self.coarsen();
        }
        self.add(number >> self.power, Bucket { conversions: 1, new_members: u64::from(is_new_member) });
    }

    /// Adds to the bucket with this number.
    #[inline]
    fn add(&mut self, number: u64, bucket: Bucket) {
        let index = (number - self.first) as usize;
        if index >= self.buckets.len() {
            self.buckets.resize(index + 1, Bucket::default());
        }
        self.buckets[index] += bucket;
    }

    /// Doubles the size of the buckets.
    #[cold]
    fn coarsen(&mut self) {
        let (first, fine) = (self.first, std::mem::take(&mut self.buckets));
        self.power += 1;
        self.first = first / 2;
        for (number, bucket) in (first..).zip(fine) {
            self.add(number / 2, bucket);
        }
    }

    /// Adds the timeline of another partition.
    pub fn merge(&mut self, mut other: Self) {
        if self.buckets.is_empty() {
            *self = other;
            return;
        }
        if other.buckets.is_empty() {
            return;
        }
        let end = |timeline: &Self| timeline.first + timeline.buckets.len() as u64;
        while self.power != other.power || end(self).max(end(&other)) - self.first.min(other.first) > MAX_BUCKETS {
            let finer = if self.power <= other.power { &mut *self } else { &mut other };
            finer.coarsen();
        }
        let merged = Self { power: self.power, first: self.first.min(other.first), buckets: Vec::new() };
        let parts = [std::mem::replace(self, merged), other];
        for part in parts {
            (part.first..).zip(part.buckets).for_each(|(number, bucket)| self.add(number, bucket));
        }
    }

    /// The buckets in order.
    pub fn into_buckets(self) -> Vec<Bucket> {
        self.buckets
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn timeline<'a>(numbers: impl IntoIterator<Item = &'a (u64, bool)>) -> Timeline {
        let mut timeline = Timeline::default();
        numbers.into_iter().for_each(|&(number, is_new_member)| timeline.count(number, is_new_member));
        timeline
    }

    #[test]
    fn long_logs_have_between_50_and_100_buckets() {
        let numbers: Vec<_> = (1_000..1_100).map(|number| (number, number % 2 == 0)).collect();
        assert_eq!(timeline(&numbers).buckets.len(), 100);
        let numbers: Vec<_> = (1_000..1_000_000).map(|number| (number, false)).collect();
        let buckets = timeline(&numbers).buckets.len() as u64;
        assert!((MAX_BUCKETS / 2..=MAX_BUCKETS).contains(&buckets), "{buckets}");
    }

    #[test]
    fn the_lowest_and_highest_record_numbers_fit_one_timeline() {
        let timeline = timeline(&[(0, true), (u64::MAX, false)]);
        assert_eq!(timeline.buckets.iter().map(|bucket| bucket.conversions).sum::<u64>(), 2);
    }

    proptest! {
        #[test]
        fn the_timeline_does_not_depend_on_partitions(
            steps in prop::collection::vec((1_u64..500, any::<bool>(), 0_usize..5), 1..400),
            start in 0_u64..10_000,
            order in Just([0, 1, 2, 3, 4]).prop_shuffle(),
        ) {
            let mut number = start;
            let mut partitions = vec![Vec::new(); 5];
            let mut all = Vec::new();
            for (step, is_new_member, partition) in steps {
                number += step;
                partitions[partition].push((number, is_new_member));
                all.push((number, is_new_member));
            }
            let mut merged = Timeline::default();
            order.iter().for_each(|&partition: &usize| merged.merge(timeline(&partitions[partition])));
            prop_assert_eq!(merged, timeline(&all));
        }
    }
}
