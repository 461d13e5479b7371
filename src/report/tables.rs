//! The tables of a report, and what each figure counts. This is where the figures are defined; the README says the same.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::table::{Figure, Listing, Name, Row, Table, Value};
use crate::engine::Counts;
use crate::tally::{Clicks, Deeds, GenderTally, Label, Stretch, Totals};

const fn figure(key: &'static str, heading: &'static str, about: &'static str) -> Figure {
    Figure { key, heading, about, always: true }
}

const CLICKS: Figure = figure("clicks", "clicks", "click records");
const CUSTOMERS: Figure = figure("customers", "customers", "different customers among those who clicked");
const CODES: Figure = figure("codes", "codes", "clicks that run answers with True");
const NEW_MEMBERS: Figure = figure("new_members", "new members", "purchases that made a member");

const TOTALS: &[Figure] = &[
    figure("customers", "customers", "different emails with a conversion"),
    figure("customers_who_clicked", "  who clicked", "of those, the ones with a click"),
    figure("customers_with_a_basket", "  with a basket", "of those, the ones with a basket, in whatever order"),
    figure("customers_who_bought", "  who bought", "of those, the ones with a purchase, in whatever order"),
    CLICKS,
    CODES,
    figure("baskets", "baskets", "basket records"),
    figure("purchases", "purchases", "purchase records"),
    figure("revenue", "revenue", "what the purchases cost together, exact"),
    figure("average_order", "average order", "the revenue by its purchases, rounded, halves away from zero"),
    Figure {
        always: false,
        ..figure("not_in_revenue", "not in revenue", "purchases whose total cost has too many digits to be added up")
    },
    NEW_MEMBERS,
];

const FUNNEL: &[Figure] = &[
    figure("clicked", "clicked", "different customers who clicked"),
    figure("then_basket", "then a basket", "of those, the ones who filled a basket after a click"),
    figure("then_basket_share", "  of the clicked", "their share of those who clicked"),
    figure("then_purchase", "then a purchase", "of those, the ones who bought after such a basket"),
    figure("then_purchase_share", "  of the clicked", "their share of those who clicked"),
];

const PROMOS: &[Figure] = &[
    CLICKS,
    CUSTOMERS,
    CODES,
    figure("baskets", "baskets", "baskets under the promo"),
    figure("purchases", "purchases", "purchases under the promo"),
    figure("revenue", "revenue", "what these purchases cost together, exact"),
    NEW_MEMBERS,
];

const REACH: &[Figure] = &[CLICKS, CUSTOMERS, CODES];

const ITEMS: &[Figure] = &[
    figure(
        "revenue",
        "revenue of orders",
        "what the purchases that hold the item cost with all that is in them, exact",
    ),
    figure("orders", "orders", "purchases that hold the item, be it once or more"),
    figure("units", "units", "how often purchases hold it, each time counted"),
    figure("baskets", "baskets", "baskets that hold it, be it once or more"),
];

const MEMBERSHIP: &[Figure] = &[
    figure("members", "members at the end", "different emails that are members when the log ends"),
    figure("with_a_row", "  with a loyalty row", "of those, the ones with a loyalty row"),
    figure("without_a_row", "  joined by a purchase alone", "of those, the ones that only a purchase made a member"),
];

const GENDERS: &[Figure] = &[
    figure("members", "members", "members whose latest loyalty row says so"),
    figure("facebook", "Facebook only", "of those, the ones with a user name there alone"),
    figure("instagram", "Instagram only", "of those, the ones with a user name there alone"),
    figure("both", "both", "of those, the ones with a user name on both"),
    figure("neither", "neither", "of those, the ones with none"),
];

const COURSE: &[Figure] = &[
    figure("conversions", "conversions so far", "conversions from the beginning of the log to here"),
    figure("new_members", "new members so far", "of those, the purchases that made a member"),
];

const RECORDS: &[Figure] = &[
    figure("records", "records in", "lines and frames that came in"),
    figure("conversions", "  conversions", "conversions among them"),
    figure("loyalty_rows", "  loyalty rows", "loyalty rows among them"),
    figure("rejects", "  rejects", "bad records that were skipped"),
    figure("blanks", "  blank lines", "blank lines"),
];

/// The tables of a report, in their order.
pub fn tables(totals: &Totals, counts: &Counts) -> Vec<Table> {
    let money = Money { decimals: totals.decimals };
    let (by_group, funnel) = (by_group(totals, |deeds| money.totals(deeds)), by_group(totals, funnel));
    vec![
        Table::of("totals", "Campaign", TOTALS, Listing::Sideways, Some(by_group)).by(&["group"]),
        Table::of("funnel", "Funnel", FUNNEL, Listing::Sideways, Some(funnel)).by(&["group"]),
        Table::of("promos", "Promo", PROMOS, Listing::Top, money.promos(totals)).by(&["promo"]),
        Table::of("channels", "Channel", REACH, Listing::Top, channels(totals)).by(&["channel"]),
        Table::of("promo_channels", "Promo by channel", REACH, Listing::Top, pairs(totals)).by(&["promo", "channel"]),
        Table::of("items", "Item", ITEMS, Listing::Top, money.items(totals)).by(&["item"]),
        Table::of("membership", "Members", MEMBERSHIP, Listing::Sideways, Some(membership(totals))),
        Table::of("genders", "Members by gender", GENDERS, Listing::Top, genders(totals)).by(&["gender"]),
        Table::of("course", "Course of the log", COURSE, Listing::Sample, Some(course(&totals.course))),
        Table::of("records", "Input", RECORDS, Listing::Sideways, Some(records(counts))),
    ]
}

/// How money is written in a report.
#[derive(Clone, Copy)]
struct Money {
    /// How many digits it has behind the point: the most that a total cost had.
    decimals: u8,
}

/// The average is rounded to at least as many digits as this.
const LEAST_AVERAGE_DECIMALS: u8 = 2;

impl Money {
    fn promos(self, totals: &Totals) -> Option<Vec<Row>> {
        rows(
            &totals.promos,
            |promo| Reverse((promo.clicks.clicks, promo.purchases)),
            |promo| {
                let mut values = reach(promo.clicks);
                values.extend([promo.baskets, promo.purchases].map(Value::Count));
                values.push(Value::Money(promo.revenue.decimal(self.decimals)));
                values.push(Value::Count(promo.new_members));
                values
            },
        )
    }

    fn items(self, totals: &Totals) -> Option<Vec<Row>> {
        rows(
            &totals.items,
            |item| Reverse((item.revenue.order(), item.orders)),
            |item| {
                let revenue = Value::Money(item.revenue.decimal(self.decimals));
                vec![revenue, Value::Count(item.orders), Value::Count(item.units), Value::Count(item.baskets)]
            },
        )
    }

    fn totals(self, deeds: &Deeds) -> Vec<Value> {
        let summed = deeds.purchases.saturating_sub(deeds.unsummed);
        let average = deeds.revenue.mean(summed, self.decimals.max(LEAST_AVERAGE_DECIMALS));
        let mut values: Vec<Value> =
            [deeds.customers, deeds.clicked, deeds.basket_fillers, deeds.buyers].map(Value::Count).into();
        values.extend([deeds.clicks, deeds.codes, deeds.baskets, deeds.purchases].map(Value::Count));
        values.push(Value::Money(deeds.revenue.decimal(self.decimals)));
        values.push(average.map_or(Value::Nothing, Value::Money));
        values.extend([deeds.unsummed, deeds.new_members].map(Value::Count));
        values
    }
}

fn funnel(deeds: &Deeds) -> Vec<Value> {
    let share = |part| Value::Share { part, whole: deeds.clicked };
    let (basket, purchase) = (deeds.then_basket, deeds.then_purchase);
    vec![Value::Count(deeds.clicked), Value::Count(basket), share(basket), Value::Count(purchase), share(purchase)]
}

/// All customers, those who were members at their first conversion, and the others.
fn by_group(totals: &Totals, values: impl Fn(&Deeds) -> Vec<Value>) -> Vec<Row> {
    let groups = [("all", totals.everybody()), ("members", totals.members), ("others", totals.others)];
    let row = |(name, deeds)| Row { names: vec![Name::Ours(name)], values: values(&deeds) };
    groups.into_iter().map(row).collect()
}

fn reach(Clicks { clicks, customers, codes }: Clicks) -> Vec<Value> {
    [clicks, customers, codes].map(Value::Count).into()
}

fn channels(totals: &Totals) -> Option<Vec<Row>> {
    rows(&totals.channels, |channel| Reverse(channel.clicks.clicks), |channel| reach(channel.clicks))
}

fn pairs(totals: &Totals) -> Option<Vec<Row>> {
    let mut pairs: Vec<_> = totals.pairs.as_ref()?.iter().collect();
    pairs.sort_by_key(|(_, clicks)| Reverse(clicks.clicks));
    let row = |((promo, channel), &clicks): (&(Label, Label), &Clicks)| Row {
        names: [promo, channel].map(|label| Name::Data(label.clone())).into(),
        values: reach(clicks),
    };
    Some(pairs.into_iter().map(row).collect())
}

/// The genders that somebody has; a row that was replaced may have been the last of its gender.
fn genders(totals: &Totals) -> Option<Vec<Row>> {
    let values = |gender: &GenderTally| {
        let counts = [gender.members(), gender.facebook, gender.instagram, gender.both, gender.neither];
        counts.map(Value::Count).into()
    };
    let mut rows = rows(&totals.genders, |gender| Reverse(gender.members()), values)?;
    rows.retain(|row| !matches!(row.values.first(), Some(Value::Count(0))));
    Some(rows)
}

/// A row for every label, in the order of what `order` gives; among equals, by name.
fn rows<T, K: Ord>(
    by_label: &Option<BTreeMap<Label, T>>,
    order: impl Fn(&T) -> K,
    values: impl Fn(&T) -> Vec<Value>,
) -> Option<Vec<Row>> {
    let mut tallies: Vec<_> = by_label.as_ref()?.iter().collect();
    tallies.sort_by_key(|(_, tally)| order(tally));
    let row = |(label, tally): (&Label, &T)| Row { names: vec![Name::Data(label.clone())], values: values(tally) };
    Some(tallies.into_iter().map(row).collect())
}

fn membership(totals: &Totals) -> Vec<Row> {
    let (members, listed) = (totals.member_count, totals.listed);
    vec![Row { names: vec![], values: [members, listed, members.saturating_sub(listed)].map(Value::Count).into() }]
}

fn course(stretches: &[Stretch]) -> Vec<Row> {
    let so_far = stretches.iter().scan(Stretch::default(), |so_far, &stretch| {
        *so_far += stretch;
        Some(*so_far)
    });
    so_far
        .map(|so_far| Row { names: vec![], values: [so_far.conversions, so_far.new_members].map(Value::Count).into() })
        .collect()
}

fn records(counts: &Counts) -> Vec<Row> {
    let values = [counts.records, counts.conversions(), counts.customers, counts.rejects, counts.blanks];
    vec![Row { names: vec![], values: values.map(Value::Count).into() }]
}
