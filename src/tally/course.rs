//! The course of a log: how many conversions and new members there were, from its beginning to its end.
//!
//! Conversions carry no time, so the course is told by their place in the log. It is cut into stretches of equal
//! length; where there get to be too many, each two become one. A stretch begins at a multiple of its length, so those
//! of all partitions fit onto each other whatever their lengths are, and in the end the length depends only on the
//! first and the last conversion.

use std::ops::AddAssign;

/// The most stretches that a course has; a long log has more than half as many.
const MAX_STRETCHES: u64 = 100;

/// What happened in one stretch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stretch {
    /// How many conversions there were.
    pub conversions: u64,
    /// How many of them made a member.
    pub new_members: u64,
}

impl AddAssign for Stretch {
    fn add_assign(&mut self, other: Self) {
        self.conversions += other.conversions;
        self.new_members += other.new_members;
    }
}

/// Stretches, as far as conversions were seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Course {
    /// A stretch is this power of two of records long.
    power: u32,
    /// Which stretch the first one is, counted from the beginning of the input.
    first: u64,
    stretches: Vec<Stretch>,
}

impl Course {
    /// Counts the conversion with this number. Numbers must not descend.
    #[inline]
    pub fn count(&mut self, number: u64, new_member: bool) {
        if self.stretches.is_empty() {
            self.first = number >> self.power;
        }
        while self.index(number) >= MAX_STRETCHES {
            self.coarsen();
        }
        let index = self.index(number) as usize;
        if index >= self.stretches.len() {
            self.stretches.resize(index + 1, Stretch::default());
        }
        if let Some(stretch) = self.stretches.get_mut(index) {
            *stretch += Stretch { conversions: 1, new_members: u64::from(new_member) };
        }
    }

    const fn index(&self, number: u64) -> u64 {
        (number >> self.power).saturating_sub(self.first)
    }

    /// Makes one stretch of each two.
    #[cold]
    fn coarsen(&mut self) {
        let (first, fine) = (self.first, std::mem::take(&mut self.stretches));
        self.power += 1;
        self.first = first / 2;
        for (number, stretch) in (first..).zip(fine) {
            if number / 2 - self.first >= self.stretches.len() as u64 {
                self.stretches.push(Stretch::default());
            }
            if let Some(coarse) = self.stretches.last_mut() {
                *coarse += stretch;
            }
        }
    }

    const fn end(&self) -> u64 {
        self.first + self.stretches.len() as u64
    }

    /// Adds what another partition counted.
    pub fn merge(&mut self, mut other: Self) {
        if self.stretches.is_empty() {
            *self = other;
            return;
        }
        if other.stretches.is_empty() {
            return;
        }
        while self.power != other.power || self.end().max(other.end()) - self.first.min(other.first) > MAX_STRETCHES {
            let finer = if self.power <= other.power { &mut *self } else { &mut other };
            finer.coarsen();
        }
        let first = self.first.min(other.first);
        let mut all = vec![Stretch::default(); (self.end().max(other.end()) - first) as usize];
        for Self { first: from, stretches, .. } in [&*self, &other] {
            let places = all.iter_mut().skip((from - first) as usize);
            places.zip(stretches).for_each(|(sum, &stretch)| *sum += stretch);
        }
        *self = Self { power: self.power, first, stretches: all };
    }

    /// The stretches in their order, from that of the first conversion to that of the last.
    pub fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn course<'a>(numbers: impl IntoIterator<Item = &'a (u64, bool)>) -> Course {
        let mut course = Course::default();
        numbers.into_iter().for_each(|&(number, new_member)| course.count(number, new_member));
        course
    }

    #[test]
    fn a_short_log_has_a_stretch_for_each_record_and_a_long_one_no_more_than_the_limit() {
        let numbers: Vec<_> = (1_000..1_100).map(|number| (number, number % 2 == 0)).collect();
        assert_eq!(course(&numbers).stretches().len(), 100);
        let numbers: Vec<_> = (1_000..1_000_000).map(|number| (number, false)).collect();
        let stretches = course(&numbers).stretches().len() as u64;
        assert!((MAX_STRETCHES / 2..=MAX_STRETCHES).contains(&stretches), "{stretches}");
    }

    #[test]
    fn the_ends_of_what_can_be_counted_lie_in_one_course() {
        let course = course(&[(0, true), (u64::MAX, false)]);
        assert_eq!(course.stretches().iter().map(|stretch| stretch.conversions).sum::<u64>(), 2);
    }

    proptest! {
        #[test]
        fn the_course_does_not_depend_on_the_partitions(
            steps in prop::collection::vec((1_u64..500, any::<bool>(), 0_usize..5), 1..400),
            start in 0_u64..10_000,
            order in Just([0, 1, 2, 3, 4]).prop_shuffle(),
        ) {
            let mut number = start;
            let mut partitions = vec![Vec::new(); 5];
            let mut all = Vec::new();
            for (step, new_member, partition) in steps {
                number += step;
                partitions[partition].push((number, new_member));
                all.push((number, new_member));
            }
            let mut merged = Course::default();
            order.iter().for_each(|&partition: &usize| merged.merge(course(&partitions[partition])));
            prop_assert_eq!(merged, course(&all));
        }
    }
}
