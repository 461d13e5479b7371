//! The parts of the counts of a report: activity, items, genders, and distinct customers. The counts of several
//! partitions can be added.

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
    /// The customers of all groups. Only the total of a group has it.
    pub customers_of_all: u64,
    pub with_basket: u64,
    pub with_purchase: u64,
    /// Customers with a click.
    pub clicked: u64,
    /// Customers who reached [`FunnelStage::ThenBasket`].
    pub then_basket: u64,
    /// Customers who reached [`FunnelStage::ThenPurchase`].
    pub then_purchase: u64,
    /// Customers with a purchase after a click, with or without a basket.
    pub bought_after_click: u64,
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
    customers_of_all,
    with_basket,
    with_purchase,
    clicked,
    then_basket,
    then_purchase,
    bought_after_click,
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

/// A promo, a channel, or a pair of the two, for which each customer is counted once.
pub type Key = u32;

/// Counts each customer once for each [`Key`].
///
/// Most campaigns have few promos and channels, so each of the first 128 keys is a bit in 16 bytes per customer. Pairs
/// of a customer and a later key are in a set, at about 40 bytes each.
#[derive(Debug, Default)]
pub struct DistinctCounter {
    /// The bits of each customer's keys.
    seen: Vec<u128>,
    beyond_bits: HashSet<(CustomerNumber, Key), RandomState>,
    keys: Key,
}

impl DistinctCounter {
    /// A key that was not used before.
    pub const fn new_key(&mut self) -> Key {
        self.keys += 1;
        self.keys - 1
    }

    /// Adds a customer for a key. Returns whether the customer is new to the key.
    #[inline]
    pub fn insert(&mut self, customer: CustomerNumber, key: Key) -> bool {
        let Some(bit) = 1_u128.checked_shl(key) else { return self.beyond_bits.insert((customer, key)) };
        let index = customer as usize;
        if index >= self.seen.len() {
            self.seen.resize(index + 1, 0);
        }
        let is_new = self.seen[index] & bit == 0;
        self.seen[index] |= bit;
        is_new
    }

    /// Reads the memory that [`Self::insert`] needs for this customer. The result has no meaning.
    #[inline]
    pub fn prefetch(&self, customer: CustomerNumber) -> u64 {
        self.seen.get(customer as usize).map_or(0, |&seen| seen as u64)
    }
}

/// The clicks of a promo, a channel, or a pair of the two, and the key of its customers.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClickCounts {
    pub activity: Activity,
    key: Option<Key>,
}

impl ClickCounts {
    /// Counts a click. Returns whether it is the customer's first one here.
    #[inline]
    pub fn count(&mut self, customer: CustomerNumber, gets_code: bool, distinct: &mut DistinctCounter) -> bool {
        let key = *self.key.get_or_insert_with(|| distinct.new_key());
        let is_new = distinct.insert(customer, key);
        self.activity.count_click(gets_code, is_new);
        is_new
    }

    /// Counts a click of a customer who was counted before.
    #[inline]
    pub const fn count_again(&mut self, gets_code: bool) {
        self.activity.count_click(gets_code, false);
    }
}
