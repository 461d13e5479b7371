//! The parts of the counts of a report. The counts of several partitions can be added.

use std::collections::HashSet;
use std::ops::AddAssign;

use foldhash::fast::RandomState;

use super::money::{Amount, Sum};
use super::names::NameId;
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

/// The activity of the customers of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GroupActivity {
    pub customers: u64,
    /// Customers with a basket.
    pub with_basket: u64,
    /// Customers with a purchase.
    pub with_purchase: u64,
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
    /// Customers who reached [`FunnelStage::Clicked`].
    pub clicked: u64,
    /// Customers who reached [`FunnelStage::ThenBasket`].
    pub then_basket: u64,
    /// Customers who reached [`FunnelStage::ThenPurchase`].
    pub then_purchase: u64,
}

/// Clicks, and the customers and codes of these clicks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClickCounts {
    pub clicks: u64,
    /// Distinct customers who clicked.
    pub customers: u64,
    /// Clicks that get a code.
    pub codes: u64,
}

impl ClickCounts {
    /// Counts a click.
    #[inline]
    pub const fn count(&mut self, gets_code: bool, is_new_customer: bool) {
        self.clicks += 1;
        self.customers += is_new_customer as u64;
        self.codes += gets_code as u64;
    }
}

/// The counts of one promo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PromoCounts {
    pub clicks: ClickCounts,
    pub baskets: u64,
    pub purchases: u64,
    /// The sum of the purchases.
    pub revenue: Sum,
    /// Purchases that made the customer a member.
    pub new_members: u64,
}

/// Baskets and purchases that contain one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ItemCounts {
    /// Baskets that contain it.
    pub baskets: u64,
    /// Purchases that contain it.
    pub orders: u64,
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
            self.orders += 1;
            if let Some(amount) = amount {
                self.revenue += amount;
            }
        }
    }
}

impl AddAssign for ItemCounts {
    fn add_assign(&mut self, other: Self) {
        self.baskets += other.baskets;
        self.orders += other.orders;
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

add_fields!(ClickCounts { clicks, customers, codes });
add_fields!(PromoCounts { clicks, baskets, purchases, revenue, new_members });
add_fields!(GenderCounts { facebook, instagram, both, neither });
add_fields!(GroupActivity {
    customers,
    with_basket,
    with_purchase,
    clicks,
    codes,
    baskets,
    purchases,
    not_in_revenue,
    revenue,
    new_members,
    clicked,
    then_basket,
    then_purchase,
});

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

/// The set of counted customers for each key: promos, channels, and pairs of the two.
///
/// Most campaigns have few promos and channels, so each of the first 128 keys is a bit in 16 bytes per customer. Pairs
/// of a customer and a later key are in a set, at about 40 bytes each.
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
