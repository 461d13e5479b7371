//! The timeline by position: what happened in each of up to 20 parts of the conversions, in input order. It is shown if
//! the conversions have no times.

use crate::campaign::Decision;
use crate::record::Action;

/// The number of parts of a timeline, unless there are fewer conversions.
const PARTS: u64 = 20;

/// The maximum number of buckets. A long timeline has at least half as many.
const MAX_BUCKETS: u64 = 1024;

/// The conversions in a part of the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bucket {
    pub conversions: u64,
    pub clicks: u64,
    /// Clicks that get a code.
    pub codes: u64,
    pub purchases: u64,
    /// Conversions that made the customer a member.
    pub new_members: u64,
}

add_fields!(Bucket { conversions, clicks, codes, purchases, new_members });

impl Bucket {
    /// One conversion.
    #[inline]
    pub fn of(action: Action<'_>, decision: Decision) -> Self {
        Self {
            conversions: 1,
            clicks: u64::from(matches!(action, Action::Click { .. })),
            codes: u64::from(decision.send),
            purchases: u64::from(matches!(action, Action::Purchase { .. })),
            new_members: u64::from(decision.enrolled),
        }
    }
}

/// Conversions by record number, in buckets of equal size, a power of two.
///
/// If there are too many buckets, pairs of them are merged. A bucket starts at a multiple of its size, so the buckets
/// of all partitions align, and the final size depends only on the first and the last conversion.
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
    pub fn count(&mut self, number: u64, conversion: Bucket) {
        if self.buckets.is_empty() {
            self.first = number >> self.power;
        }
        while (number >> self.power) - self.first >= MAX_BUCKETS {
            self.coarsen();
        }
        self.add(number >> self.power, conversion);
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

    /// Consecutive parts of about equal size, each with the number of conversions up to its end. A part ends with the
    /// first bucket that reaches a further twentieth of the conversions.
    pub fn parts(&self) -> Vec<(u64, Bucket)> {
        let total = self.buckets.iter().map(|bucket| bucket.conversions).sum::<u64>();
        let twentieths = |so_far: u64| u128::from(so_far) * u128::from(PARTS) / u128::from(total.max(1));
        let (mut parts, mut part, mut so_far) = (Vec::new(), Bucket::default(), 0);
        for &bucket in &self.buckets {
            let before = so_far;
            so_far += bucket.conversions;
            part += bucket;
            if twentieths(so_far) > twentieths(before) {
                parts.push((so_far, std::mem::take(&mut part)));
            }
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn timeline<'a>(numbers: impl IntoIterator<Item = &'a (u64, bool)>) -> Timeline {
        let mut timeline = Timeline::default();
        let bucket = |joins| Bucket { conversions: 1, new_members: u64::from(joins), ..Bucket::default() };
        numbers.into_iter().for_each(|&(number, joins)| timeline.count(number, bucket(joins)));
        timeline
    }

    #[test]
    fn parts_are_about_equal_and_contain_every_conversion() {
        for (len, parts) in [(0, 0), (1, 1), (7, 7), (20, 20), (21, 20), (100_000, 20), (1_000_001, 20)] {
            let numbers: Vec<_> = (1_000..1_000 + len).map(|number| (number, false)).collect();
            let found = timeline(&numbers).parts();
            assert_eq!(found.len(), parts, "{len}");
            assert_eq!(found.iter().map(|(_, part)| part.conversions).sum::<u64>(), len);
            assert_eq!(found.last().map_or(0, |(so_far, _)| *so_far), len);
            let limit = len / 20 + len / 500 + 1;
            assert!(found.iter().all(|(_, part)| part.conversions <= limit), "{len}: {found:?}");
        }
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
            for (step, joins, partition) in steps {
                number += step;
                partitions[partition].push((number, joins));
                all.push((number, joins));
            }
            let mut merged = Timeline::default();
            order.iter().for_each(|&partition: &usize| merged.merge(timeline(&partitions[partition])));
            prop_assert_eq!(merged, timeline(&all));
        }
    }
}
