//! How often an item was taken.

use std::ops::AddAssign;

use super::money::{Amount, Sum};
use super::names::{ByName, Label};
use crate::record::Items;

/// How often one item was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ItemTally {
    /// Baskets that hold it.
    pub baskets: u64,
    /// Purchases that hold it.
    pub orders: u64,
    /// How often purchases hold it, each time that it is in one.
    pub units: u64,
    /// What the purchases that hold it cost, with everything else in them.
    pub revenue: Sum,
    /// The number of the last record that held it, so that one which holds it twice counts once.
    last_record: u64,
}

impl AddAssign for ItemTally {
    fn add_assign(&mut self, other: Self) {
        self.baskets += other.baskets;
        self.orders += other.orders;
        self.units += other.units;
        self.revenue += other.revenue;
    }
}

/// How often items were taken.
#[derive(Debug, Default)]
pub struct Catalogue {
    items: ByName<ItemTally>,
    /// How many baskets and purchases there were.
    records: u64,
}

impl Catalogue {
    /// Counts what a basket holds.
    pub fn basket(&mut self, items: Items<'_>) {
        self.each(items, |item, first| item.baskets += u64::from(first));
    }

    /// Counts what a purchase holds, and what it cost together.
    pub fn purchase(&mut self, items: Items<'_>, amount: Option<Amount>) {
        self.each(items, |item, first| {
            item.units += 1;
            if first {
                item.orders += 1;
                if let Some(amount) = amount {
                    item.revenue += amount;
                }
            }
        });
    }

    /// Counts every item of a record; the flag says whether this is the first time that the record holds it.
    fn each(&mut self, items: Items<'_>, count: impl Fn(&mut ItemTally, bool)) {
        self.records += 1;
        for id in items.iter() {
            let number = self.items.number(id);
            if let Some(item) = self.items.get_mut(number) {
                let first = item.last_record != self.records;
                item.last_record = self.records;
                count(item, first);
            }
        }
    }

    /// The items and what was counted of them. `None` when there were too many.
    pub fn told(self) -> Option<Vec<(Label, ItemTally)>> {
        self.items.told()
    }
}
