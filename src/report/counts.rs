//! The counts of a report. The counts of several partitions can be added.

use std::ops::AddAssign;

use super::money::{Amount, Sum};

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
