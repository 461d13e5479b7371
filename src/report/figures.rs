//! The tables of a report, and the definition of each figure. docs/report.md has the same definitions, which a test
//! compares.

use std::cmp::Reverse;

use super::counting::{ByName, Totals};
use super::counts::{Activity, Bucket, GenderCounts, ItemCounts};
use super::money::Sum;
use super::names::{Name, RowNames};
use super::table::{Column, Layout, Row, Table, Value};
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
    /// A sum divided by the number of purchases in it.
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

const CLICKS: Figure<Activity> = count("clicks", "clicks", "click records", |counts| counts.clicks);
const CODES: Figure<Activity> =
    count("codes", "codes", "clicks that get an additional promo code", |counts| counts.codes);
const BASKETS: Figure<Activity> = count("baskets", "baskets", "basket records", |counts| counts.baskets);
const PURCHASES: Figure<Activity> = count("purchases", "purchases", "purchase records", |counts| counts.purchases);
const REVENUE: Figure<Activity> =
    money("revenue", "revenue", "exact sum of the purchases' total costs", |counts| counts.revenue);
const NEW_MEMBERS: Figure<Activity> =
    count("new_members", "new members", "purchases that made the customer a member", |counts| counts.new_members);
/// The customers of a promo, a channel, or a pair of the two.
const CLICKED: Figure<Activity> =
    count("customers", "customers", "distinct customers who clicked", |counts| counts.clicked);

const TOTALS: Definition<Activity> = Definition {
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
        CLICKS,
        CODES,
        BASKETS,
        PURCHASES,
        REVENUE,
        figure(
            "average_purchase",
            "average purchase",
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
        NEW_MEMBERS,
    ],
};

const FUNNEL: Definition<Activity> = Definition {
    key: "funnel",
    title: "Funnel",
    names: &["group"],
    layout: Layout::Transposed,
    figures: &[
        count("clicked", "clicked", "customers with a click", |group| group.clicked),
        count("then_basket", "then a basket", "customers who added a basket after a click", |group| group.then_basket),
        share_of_clicked("then_basket_share", |group| (group.then_basket, group.clicked)),
        count("then_purchase", "then a purchase", "customers who bought after such a basket", |group| {
            group.then_purchase
        }),
        share_of_clicked("then_purchase_share", |group| (group.then_purchase, group.clicked)),
    ],
};

const fn share_of_clicked(key: &'static str, share: fn(&Activity) -> (u64, u64)) -> Figure<Activity> {
    let about = "these customers as a share of those who clicked";
    figure(key, "  share of clicked", about, Formula::Share(share))
}

const PROMOS: Definition<Activity> = Definition {
    key: "promos",
    title: "Promo",
    names: &["promo"],
    layout: Layout::Top,
    figures: &[CLICKS, CLICKED, CODES, BASKETS, PURCHASES, REVENUE, NEW_MEMBERS],
};

const CHANNELS: Definition<Activity> = Definition {
    key: "channels",
    title: "Channel",
    names: &["channel"],
    layout: Layout::Top,
    figures: &[CLICKS, CLICKED, CODES],
};

const PROMO_CHANNELS: Definition<Activity> = Definition {
    key: "promo_channels",
    title: "Promo by channel",
    names: &["promo", "channel"],
    layout: Layout::Top,
    figures: &[CLICKS, CLICKED, CODES],
};

const ITEMS: Definition<ItemCounts> = Definition {
    key: "items",
    title: "Item",
    names: &["item"],
    layout: Layout::Top,
    figures: &[
        money(
            "revenue",
            "revenue of purchases",
            "exact sum of these purchases' total costs, other items included",
            |item| item.revenue,
        ),
        count("purchases", "purchases", "purchases that contain the item", |item| item.purchases),
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
        count("without_a_row", "  without a loyalty row", "members without a loyalty row", |totals| {
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
        count("conversions", "conversions so far", "conversions from the first conversion to this point", |so_far| {
            so_far.conversions
        }),
        count("new_members", "new members so far", "these conversions that made the customer a member", |so_far| {
            so_far.new_members
        }),
    ],
};

/// The timeline if the conversions have times.
const PERIODS: Definition<Bucket> = Definition {
    key: "timeline",
    title: "Timeline",
    names: &["time"],
    layout: Layout::Sample,
    figures: &[
        count("conversions", "conversions", "conversions in the period that begins at this time (UTC)", |period| {
            period.conversions
        }),
        count("new_members", "new members", "these conversions that made the customer a member", |period| {
            period.new_members
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
        count(
            "ignored",
            "  ignored",
            "conversions of a type that --type ignores, or outside --since and --until",
            |counts| counts.ignored,
        ),
    ],
};

impl<T> Definition<T> {
    fn table(&self, decimals: u8, rows: Option<Vec<(RowNames, &T)>>) -> Table {
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
        let rows = counts.as_ref().map(|counts| {
            let mut rows: Vec<_> = counts.iter().map(|(names, counts)| (names.clone(), counts)).collect();
            rows.sort_by_key(|(_, counts)| sort_key(counts));
            rows
        });
        self.table(decimals, rows)
    }
}

/// The tables of a report in order.
pub fn tables(totals: &Totals, counts: &Counts) -> Vec<Table> {
    let decimals = totals.decimals;
    let [members, non_members] = totals.groups;
    let mut all = members;
    all += non_members;
    let groups = [("all", all), ("members", members), ("non-members", non_members)];
    let groups = || Some(groups.iter().map(|(name, group)| (vec![Name::of(name.as_bytes())], group)).collect());
    // A gender that only replaced rows have has no members.
    let mut genders = totals.genders.clone();
    genders.iter_mut().for_each(|genders| genders.retain(|_, gender| gender.members() > 0));
    let mut so_far = totals.timeline.buckets().to_vec();
    for index in 1..so_far.len() {
        let before = so_far[index - 1];
        so_far[index] += before;
    }
    let periods = totals.periods.timeline();
    let timeline = if periods.is_empty() {
        TIMELINE.table(decimals, Some(so_far.iter().map(|bucket| (vec![], bucket)).collect()))
    } else {
        let row = |(start, bucket)| (vec![Name::of(str::as_bytes(start))], bucket);
        PERIODS.table(decimals, Some(periods.iter().map(|(start, bucket)| row((start, bucket))).collect()))
    };
    vec![
        TOTALS.table(decimals, groups()),
        FUNNEL.table(decimals, groups()),
        PROMOS.named(decimals, &totals.promos, |promo| Reverse((promo.clicks, promo.purchases))),
        CHANNELS.named(decimals, &totals.channels, |channel| Reverse(channel.clicks)),
        PROMO_CHANNELS.named(decimals, &totals.pairs, |pair| Reverse(pair.clicks)),
        ITEMS.named(decimals, &totals.items, |item| Reverse((item.revenue.sort_key(), item.purchases))),
        MEMBERSHIP.table(decimals, Some(vec![(vec![], totals)])),
        GENDERS.named(decimals, &genders, |gender| Reverse(gender.members())),
        timeline,
        RECORDS.table(decimals, Some(vec![(vec![], counts)])),
    ]
}
