//! The parts of the counts of a report: activity, items, genders, distinct customers, and the timeline. The counts of
//! several partitions can be added.

use std::collections::HashSet;
use std::ops::AddAssign;

use foldhash::fast::RandomState;

use super::money::{Amount, Sum};
use crate::campaign::CustomerNumber;

/// Whether a customer was a member at their first conversion. It never changes, so customers who are enrolled by a
/// purchase remain non-members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    Members,
    NonMembers,
}

/// The stage of a customer in the funnel. A basket counts only after a click, a purchase only after such a basket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FunnelStage {
    /// No click yet.
    #[default]
    NoClick,
    Clicked,
    /// Clicked, then added a basket.
    ThenBasket,
    /// Clicked, then added a basket, then bought.
    ThenPurchase,
}

impl FunnelStage {
    /// Advances to `next` if this is the stage before it. Returns whether it was.
    pub const fn advance_to(&mut self, next: Self) -> bool {
        let advances = *self as u8 + 1 == next as u8;
        if advances {
            *self = next;
        }
        advances
    }
}

/// The activity of the customers of a group, or the conversions of a promo, a channel or a pair of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Activity {
    /// Customers with a conversion. Of the counts of customers, a promo, channel or pair has only `clicked`.
    pub customers: u64,
    pub with_basket: u64,
    pub with_purchase: u64,
    /// Customers with a click.
    pub clicked: u64,
    /// Customers who reached [`FunnelStage::ThenBasket`].
    pub then_basket: u64,
    /// Customers who reached [`FunnelStage::ThenPurchase`].
    pub then_purchase: u64,
    pub clicks: u64,
    /// Clicks that get a code.
    pub codes: u64,
    pub baskets: u64,
    pub purchases: u64,
    /// Purchases whose total cost has too many digits to be summed.
    pub not_in_revenue: u64,
    /// The sum of the other purchases.
    pub revenue: Sum,
    /// Purchases that made the customer a member.
    pub new_members: u64,
}

impl Activity {
    #[inline]
    pub const fn count_click(&mut self, gets_code: bool, is_new_customer: bool) {
        self.clicks += 1;
        self.clicked += is_new_customer as u64;
        self.codes += gets_code as u64;
    }

    pub fn count_purchase(&mut self, amount: Option<Amount>, is_new_member: bool) {
        self.purchases += 1;
        self.new_members += u64::from(is_new_member);
        match amount {
            Some(amount) => self.revenue += amount,
            None => self.not_in_revenue += 1,
        }
    }
}

add_fields!(Activity {
    customers,
    with_basket,
    with_purchase,
    clicked,
    then_basket,
    then_purchase,
    clicks,
    codes,
    baskets,
    purchases,
    not_in_revenue,
    revenue,
    new_members,
});

/// Baskets and purchases that contain one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ItemCounts {
    /// Baskets that contain it.
    pub baskets: u64,
    /// Purchases that contain it.
    pub purchases: u64,
    /// Its occurrences in purchases, repeats included.
    pub units: u64,
    /// The sum of the purchases that contain it.
    pub revenue: Sum,
    /// The last record that contains it. A record with a repeated item counts once.
    last_record: Option<u64>,
}

impl ItemCounts {
    /// Counts an item of the basket with this number.
    pub fn count_in_basket(&mut self, record: u64) {
        if self.last_record.replace(record) != Some(record) {
            self.baskets += 1;
        }
    }

    /// Counts an item of the purchase with this number and amount.
    pub fn count_in_purchase(&mut self, record: u64, amount: Option<Amount>) {
        self.units += 1;
        if self.last_record.replace(record) != Some(record) {
            self.purchases += 1;
            if let Some(amount) = amount {
                self.revenue += amount;
            }
        }
    }
}

impl AddAssign for ItemCounts {
    fn add_assign(&mut self, other: Self) {
        self.baskets += other.baskets;
        self.purchases += other.purchases;
        self.units += other.units;
        self.revenue += other.revenue;
    }
}

/// Members of one gender, by the networks where they have a user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GenderCounts {
    pub facebook: u64,
    pub instagram: u64,
    pub both: u64,
    pub neither: u64,
}

impl GenderCounts {
    /// The count of members with these user names.
    pub const fn of(&mut self, has_facebook: bool, has_instagram: bool) -> &mut u64 {
        match (has_facebook, has_instagram) {
            (true, false) => &mut self.facebook,
            (false, true) => &mut self.instagram,
            (true, true) => &mut self.both,
            (false, false) => &mut self.neither,
        }
    }

    /// All members of the gender.
    pub const fn members(&self) -> u64 {
        self.facebook + self.instagram + self.both + self.neither
    }
}

add_fields!(GenderCounts { facebook, instagram, both, neither });

/// The kinds of keys for which each customer is counted once. A pair of promo and channel has a number as its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    Promo,
    Channel,
    Pair,
}

/// The set of counted customers for each key: promos, channels, and pairs of the two.
///
/// Most campaigns have few promos and channels, so each of the first 128 keys is a bit in 16 bytes per customer. Pairs
/// of a customer and a later key are in a set, at about 40 bytes each.
#[derive(Debug, Default)]
pub struct DistinctCounter {
    /// The bits of each customer's keys.
    seen: Vec<u128>,
    /// The bit of each key, by kind and id: `None` before the first customer, [`BITS`] if all bits are used.
    bits: [Vec<Option<u8>>; 3],
    bits_taken: u8,
    beyond_bits: HashSet<(CustomerNumber, KeyKind, u32), RandomState>,
}

/// The number of keys that have a bit.
const BITS: u8 = 128;

impl DistinctCounter {
    /// Adds a customer for a key. Returns whether the pair is new.
    #[inline]
    pub fn insert(&mut self, customer: CustomerNumber, kind: KeyKind, id: u32) -> bool {
        let bit = match self.bits[kind as usize].get(id as usize) {
            Some(&Some(bit)) => bit,
            _ => self.add_bit(kind, id),
        };
        if bit == BITS {
            return self.beyond_bits.insert((customer, kind, id));
        }
        let bit = 1_u128 << bit;
        let index = customer as usize;
        if index >= self.seen.len() {
            self.seen.resize(index + 1, 0);
        }
        let is_new = self.seen[index] & bit == 0;
        self.seen[index] |= bit;
        is_new
    }

    #[cold]
    fn add_bit(&mut self, kind: KeyKind, id: u32) -> u8 {
        let bit = self.bits_taken;
        self.bits_taken = BITS.min(bit + 1);
        let (bits, id) = (&mut self.bits[kind as usize], id as usize);
        bits.resize(bits.len().max(id + 1), None);
        bits[id] = Some(bit);
        bit
    }

    /// Reads the memory that [`Self::insert`] needs for this customer. The result has no meaning.
    #[inline]
    pub fn prefetch(&self, customer: CustomerNumber) -> u64 {
        self.seen.get(customer as usize).map_or(0, |&seen| seen as u64)
    }
}

/// The maximum number of buckets. A long timeline has at least half as many.
const MAX_BUCKETS: u64 = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bucket {
    pub conversions: u64,
    /// Conversions that made the customer a member.
    pub new_members: u64,
}

add_fields!(Bucket { conversions, new_members });

/// Conversions and new members from the first conversion to the last.
///
/// Conversions have no time, so the timeline is by record number, in at most 100 buckets of equal size, a power of two.
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

    /// The buckets from the first conversion to the last.
    pub fn buckets(&self) -> &[Bucket] {
        &self.buckets
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
