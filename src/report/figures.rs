//! The tables of a report, and the definition of each figure. docs/report.md has the same definitions, which a test
//! compares.

use std::cmp::Reverse;

use super::counting::{ByName, Totals};
use super::counts::{ClickCounts, GenderCounts, GroupActivity, ItemCounts, PromoCounts};
use super::money::Sum;
use super::names::Name;
use super::table::{Column, Layout, Row, Table, Value};
use super::timeline::Bucket;
use crate::engine::Counts;

/// A figure of a row that is counted in a `T`.
struct Figure<T> {
    column: Column,
    value: Formula<T>,
}

/// How a figure is computed.
enum Formula<T> {
    Count(fn(&T) -> u64),
    Money(fn(&T) -> Sum),
    /// The mean of a sum of so many purchases.
    Mean(fn(&T) -> (Sum, u64)),
    /// A part of a whole.
    Share(fn(&T) -> (u64, u64)),
}

/// A mean has at least this many digits after the point.
const MIN_MEAN_DECIMALS: u8 = 2;

impl<T> Formula<T> {
    /// The value for a row. Sums have `decimals` digits after the point.
    fn value(&self, counts: &T, decimals: u8) -> Value {
        match self {
            Self::Count(count) => Value::Count(count(counts)),
            Self::Money(sum) => Value::Money(sum(counts).decimal(decimals)),
            Self::Mean(sum) => {
                let (sum, count) = sum(counts);
                sum.mean(count, decimals.max(MIN_MEAN_DECIMALS)).map_or(Value::Nothing, Value::Money)
            }
            Self::Share(share) => {
                let (part, whole) = share(counts);
                Value::Share { part, whole }
            }
        }
    }
}

/// A table of rows that are counted in a `T`.
struct Definition<T: 'static> {
    key: &'static str,
    title: &'static str,
    names: &'static [&'static str],
    layout: Layout,
    figures: &'static [Figure<T>],
}

const fn figure<T>(key: &'static str, heading: &'static str, about: &'static str, value: Formula<T>) -> Figure<T> {
    Figure { column: Column { key, heading, about, is_hidden_when_zero: false }, value }
}

const fn count<T>(key: &'static str, heading: &'static str, about: &'static str, of: fn(&T) -> u64) -> Figure<T> {
    figure(key, heading, about, Formula::Count(of))
}

const fn money<T>(key: &'static str, heading: &'static str, about: &'static str, of: fn(&T) -> Sum) -> Figure<T> {
    figure(key, heading, about, Formula::Money(of))
}

const TOTALS: Definition<GroupActivity> = Definition {
    key: "totals",
    title: "Campaign",
    names: &["group"],
    layout: Layout::Transposed,
    figures: &[
        count("customers", "customers", "distinct emails with a conversion", |group| group.customers),
        count("customers_who_clicked", "  who clicked", "customers with a click", |group| group.clicked),
        count(
            "customers_with_a_basket",
            "  with a basket",
            "customers with a basket, before or after a click",
            |group| group.with_basket,
        ),
        count("customers_who_bought", "  who bought", "customers with a purchase, before or after a click", |group| {
            group.with_purchase
        }),
        count("clicks", "clicks", "click records", |group| group.clicks),
        count("codes", "codes", "clicks that get an additional promo code", |group| group.codes),
        count("baskets", "baskets", "basket records", |group| group.baskets),
        count("purchases", "purchases", "purchase records", |group| group.purchases),
        money("revenue", "revenue", "exact sum of the purchases' total costs", |group| group.revenue),
        figure(
            "average_order",
            "average order",
            "revenue divided by the number of purchases in it, rounded half away from zero",
            Formula::Mean(|group| (group.revenue, group.purchases - group.not_in_revenue)),
        ),
        Figure {
            column: Column {
                key: "not_in_revenue",
                heading: "not in revenue",
                about: "purchases whose total cost has too many digits to be summed",
                is_hidden_when_zero: true,
            },
            value: Formula::Count(|group| group.not_in_revenue),
        },
        count("new_members", "new members", "purchases that made the customer a member", |group| group.new_members),
    ],
};

const FUNNEL: Definition<GroupActivity> = Definition {
    key: "funnel",
    title: "Funnel",
    names: &["group"],
    layout: Layout::Transposed,
    figures: &[
        count("clicked", "clicked", "customers with a click", |group| group.clicked),
        count("then_basket", "then a basket", "customers who added a basket after a click", |group| group.then_basket),
        figure(
            "then_basket_share",
            "  share of clicked",
            "these customers as a share of those who clicked",
            Formula::Share(|group| (group.then_basket, group.clicked)),
        ),
        count("then_purchase", "then a purchase", "customers who bought after such a basket", |group| {
            group.then_purchase
        }),
        figure(
            "then_purchase_share",
            "  share of clicked",
            "these customers as a share of those who clicked",
            Formula::Share(|group| (group.then_purchase, group.clicked)),
        ),
    ],
};

const PROMOS: Definition<PromoCounts> = Definition {
    key: "promos",
    title: "Promo",
    names: &["promo"],
    layout: Layout::Top,
    figures: &[
        count("clicks", "clicks", "click records", |promo| promo.clicks.clicks),
        count("customers", "customers", "distinct customers who clicked", |promo| promo.clicks.customers),
        count("codes", "codes", "clicks that get an additional promo code", |promo| promo.clicks.codes),
        count("baskets", "baskets", "basket records", |promo| promo.baskets),
        count("purchases", "purchases", "purchase records", |promo| promo.purchases),
        money("revenue", "revenue", "exact sum of the purchases' total costs", |promo| promo.revenue),
        count("new_members", "new members", "purchases that made the customer a member", |promo| promo.new_members),
    ],
};

const CLICKS: &[Figure<ClickCounts>] = &[
    count("clicks", "clicks", "click records", |clicks| clicks.clicks),
    count("customers", "customers", "distinct customers who clicked", |clicks| clicks.customers),
    count("codes", "codes", "clicks that get an additional promo code", |clicks| clicks.codes),
];

const CHANNELS: Definition<ClickCounts> =
    Definition { key: "channels", title: "Channel", names: &["channel"], layout: Layout::Top, figures: CLICKS };

const PROMO_CHANNELS: Definition<ClickCounts> = Definition {
    key: "promo_channels",
    title: "Promo by channel",
    names: &["promo", "channel"],
    layout: Layout::Top,
    figures: CLICKS,
};

const ITEMS: Definition<ItemCounts> = Definition {
    key: "items",
    title: "Item",
    names: &["item"],
    layout: Layout::Top,
    figures: &[
        money("revenue", "revenue of orders", "exact sum of these orders' total costs, other items included", |item| {
            item.revenue
        }),
        count("orders", "orders", "purchases that contain the item", |item| item.orders),
        count("units", "units", "occurrences of the item in purchases, repeats included", |item| item.units),
        count("baskets", "baskets", "baskets that contain the item", |item| item.baskets),
    ],
};

const MEMBERSHIP: Definition<Totals> = Definition {
    key: "membership",
    title: "Members",
    names: &[],
    layout: Layout::Transposed,
    figures: &[
        count("members", "members at the end", "members after the last record", |totals| totals.member_count),
        count("with_a_row", "  with a loyalty row", "members with a loyalty row", |totals| totals.with_row),
        count("without_a_row", "  enrolled by a purchase only", "members without a loyalty row", |totals| {
            totals.member_count - totals.with_row
        }),
    ],
};

const GENDERS: Definition<GenderCounts> = Definition {
    key: "genders",
    title: "Members by gender",
    names: &["gender"],
    layout: Layout::Top,
    figures: &[
        count("members", "members", "members with the gender in their latest loyalty row", GenderCounts::members),
        count("facebook", "Facebook only", "members with a Facebook user name only", |gender| gender.facebook),
        count("instagram", "Instagram only", "members with an Instagram user name only", |gender| gender.instagram),
        count("both", "both", "members with both user names", |gender| gender.both),
        count("neither", "neither", "members with neither user name", |gender| gender.neither),
    ],
};

const TIMELINE: Definition<Bucket> = Definition {
    key: "timeline",
    title: "Timeline",
    names: &[],
    layout: Layout::Sample,
    figures: &[
        count("conversions", "conversions so far", "conversions from the start of the log to this point", |so_far| {
            so_far.conversions
        }),
        count("new_members", "new members so far", "these conversions that made the customer a member", |so_far| {
            so_far.new_members
        }),
    ],
};

const RECORDS: Definition<Counts> = Definition {
    key: "records",
    title: "Input",
    names: &[],
    layout: Layout::Transposed,
    figures: &[
        count("records", "records in", "lines, rows and frames read", |counts| counts.records),
        count("conversions", "  conversions", "valid conversions", Counts::conversions),
        count("loyalty_rows", "  loyalty rows", "valid loyalty rows", |counts| counts.loyalty_rows),
        count("rejects", "  rejects", "bad records that were skipped", |counts| counts.rejects),
        count("blanks", "  blank lines", "blank lines", |counts| counts.blanks),
    ],
};

impl<T> Definition<T> {
    fn table<'a>(&self, decimals: u8, rows: Option<impl IntoIterator<Item = (Vec<Name>, &'a T)>>) -> Table {
        let row = |(names, counts)| {
            let values = self.figures.iter().map(|figure| figure.value.value(counts, decimals)).collect();
            Row { names, values }
        };
        Table {
            key: self.key,
            title: self.title,
            names: self.names,
            columns: self.figures.iter().map(|figure| figure.column).collect(),
            rows: rows.map(|rows| rows.into_iter().map(row).collect()),
            layout: self.layout,
        }
    }

    /// A table with a row for each name, sorted by `sort_key`, and by name where that is equal.
    fn named<K: Ord>(&self, decimals: u8, counts: &ByName<T>, sort_key: impl Fn(&T) -> K) -> Table {
        let mut rows: Option<Vec<_>> = counts.as_ref().map(|counts| counts.iter().collect());
        if let Some(rows) = &mut rows {
            rows.sort_by_key(|(_, counts)| sort_key(counts));
        }
        self.table(decimals, rows.map(|rows| rows.into_iter().map(|(name, counts)| (vec![name.clone()], counts))))
    }
}

/// The tables of a report in order.
pub fn tables(totals: &Totals, counts: &Counts) -> Vec<Table> {
    let decimals = totals.decimals;
    let groups = [("all", totals.all()), ("members", totals.members), ("non-members", totals.non_members)];
    let groups = || Some(groups.iter().map(|(name, group)| (vec![Name::Bytes(name.as_bytes().into())], group)));
    let mut pairs: Option<Vec<_>> = totals.pairs.as_ref().map(|pairs| pairs.iter().collect());
    pairs.iter_mut().for_each(|pairs| pairs.sort_by_key(|(_, clicks)| Reverse(clicks.clicks)));
    let pairs = pairs.map(|pairs| {
        pairs.into_iter().map(|((promo, channel), clicks)| (vec![promo.clone(), channel.clone()], clicks))
    });
    // A gender that only replaced rows have has no members.
    let mut genders = totals.genders.clone();
    genders.iter_mut().for_each(|genders| genders.retain(|_, gender| gender.members() > 0));
    let so_far = totals.timeline.iter().scan(Bucket::default(), |so_far, &bucket| {
        *so_far += bucket;
        Some(*so_far)
    });
    let so_far: Vec<Bucket> = so_far.collect();
    vec![
        TOTALS.table(decimals, groups()),
        FUNNEL.table(decimals, groups()),
        PROMOS.named(decimals, &totals.promos, |promo| Reverse((promo.clicks.clicks, promo.purchases))),
        CHANNELS.named(decimals, &totals.channels, |channel| Reverse(channel.clicks)),
        PROMO_CHANNELS.table(decimals, pairs),
        ITEMS.named(decimals, &totals.items, |item| Reverse((item.revenue.sort_key(), item.orders))),
        MEMBERSHIP.table(decimals, Some([(vec![], totals)])),
        GENDERS.named(decimals, &genders, |gender| Reverse(gender.members())),
        TIMELINE.table(decimals, Some(so_far.iter().map(|bucket| (vec![], bucket)))),
        RECORDS.table(decimals, Some([(vec![], counts)])),
    ]
}
