//! The content of a report in order: its head, its summary, and its sections. Each section is made by one function from
//! the totals, with its tables and charts. To add a section, add such a function and call it in [`Report::new`].

use std::cmp::Reverse;

use super::chart::{Bar, Chart, HeatCell, bars};
use super::counts::{Activity, GenderCounts, ItemCounts};
use super::definitions::{
    BASKET_SHARE, CHANNELS, CLICKED_SHARE, CODES, CODES_WITH_POLICY, FUNNEL, GENDERS, INPUTS, ITEMS, InputRow,
    MEMBERSHIP, OTHER_BUYERS_SHARE, PERIODS, PROMO_CHANNELS, PROMOS, PURCHASE_SHARE, RECORDS, REPORT, TIMELINE, TOTALS,
};
use super::lift::{Lift, LiftGroup};
use super::names::{Name, RowNames};
use super::policy_definitions::{LIFT, LIFT_DIFFERENCE, PROMO_REASONS, REASONS};
use super::reasons::ReasonCounts;
use super::summary::Summary;
use super::table::{Table, Value};
use super::timeline::Bucket;
use super::totals::{ByName, Totals};
use crate::campaign::Reason;
use crate::engine::{Counts, InputCounts};
use crate::escape::shorten;

/// What the options and the engine say about a report.
#[derive(Debug, Default)]
pub struct Head {
    /// `None` for the names of the promos.
    pub title: Option<String>,
    /// Who made the report, and when.
    pub made: Option<String>,
    /// The name and the source of each input, and its counts.
    pub inputs: Vec<(Vec<u8>, &'static str, InputCounts)>,
}

/// The content of a report, for every format.
#[derive(Debug)]
pub struct Report {
    /// The number of rows of a long list that text and the page show.
    pub(super) top: usize,
    pub(super) title: String,
    pub(super) made: Option<String>,
    /// The title and the size of the list, for JSON and CSV.
    about: Table,
    pub(super) list_members: u64,
    pub(super) inputs: Vec<(RowNames, InputRow)>,
    pub(super) input_table: Table,
    pub(super) summary: Summary,
    sections: Vec<Section>,
    /// There are no conversions.
    pub(super) is_empty: bool,
}

#[derive(Debug)]
pub struct Section {
    pub title: &'static str,
    /// A sentence above the tables; may be empty.
    pub note: String,
    pub parts: Vec<Part>,
}

/// A table, and the chart beside it.
#[derive(Debug)]
pub struct Part {
    pub table: Table,
    pub chart: Option<Chart>,
}

impl Report {
    /// The report of these totals. Text, the page and charts show the first `top` rows of long lists.
    pub fn new(head: Head, totals: &Totals, counts: &Counts, top: usize) -> Self {
        let title = head.title.unwrap_or_else(|| promo_names(&totals.promos));
        let [members, non_members] = totals.groups;
        let groups = [("all", totals.all()), ("members", members), ("non-members", non_members)];
        let groups = groups.map(|(name, group)| {
            (vec![Name::of(name.as_bytes())], Activity { customers_of_all: totals.all().customers, ..group })
        });
        let mut sections = vec![campaign(totals, &groups)];
        sections.extend(totals.lift.as_ref().map(|of| lift(totals, of)));
        sections.extend(totals.reasons.map(|reasons| decisions(totals, reasons)));
        sections.extend([
            funnel(totals, &groups),
            timeline(totals),
            promos(totals, top),
            channels(totals, top),
            promo_channels(totals, top),
            items(totals, top),
            membership(totals),
            records(counts),
        ]);
        let mut summary = Summary::new(totals, &groups[1].1, &groups[0].1);
        if totals.reasons.is_some() {
            let tables = sections.iter_mut().flat_map(|section| &mut section.parts).map(|part| &mut part.table);
            let columns = tables.flat_map(|table| &mut table.columns);
            let columns = columns.chain(summary.cards.iter_mut().flat_map(|card| &mut card.columns));
            columns
                .filter(|column| column.about == CODES.column.about)
                .for_each(|column| column.about = CODES_WITH_POLICY);
        }
        let input = |(name, source, counts): (Vec<u8>, _, _)| (vec![Name::Bytes(name.into())], (source, counts));
        let inputs: Vec<(RowNames, InputRow)> = head.inputs.into_iter().map(input).collect();
        Self {
            about: REPORT.table(0, Some(&[(vec![], (title.clone(), totals.with_row))])),
            top,
            title,
            made: head.made,
            list_members: totals.with_row,
            input_table: INPUTS.table(0, Some(&inputs)),
            inputs,
            summary,
            sections,
            is_empty: totals.all().customers == 0,
        }
    }

    /// All tables in order, for JSON and CSV.
    pub fn tables(&self) -> Vec<&Table> {
        let of_sections = self.sections.iter().flat_map(|section| &section.parts).map(|part| &part.table);
        [&self.about].into_iter().chain(of_sections).chain([&self.input_table]).collect()
    }

    /// The sections that text and the page show. Without conversions, only these two have figures.
    pub(super) fn shown_sections(&self) -> impl Iterator<Item = &Section> {
        self.sections.iter().filter(|section| !self.is_empty || ["Members", "Records"].contains(&section.title))
    }
}

/// The names of up to three promos, or a general title.
fn promo_names(promos: &ByName<Activity>) -> String {
    const MAX_CHARS: usize = 80;
    let names: Vec<_> = promos.iter().flat_map(|promos| promos.keys()).take(4).map(|name| &name[0]).collect();
    if names.is_empty() || names.len() > 3 || names.iter().any(|name| name.is_described()) {
        return "Campaign report".to_owned();
    }
    shorten(names.into_iter().map(Name::display).collect::<Vec<_>>().join(", "), MAX_CHARS)
}

/// The rows in the order of `key`, and by name where that is equal.
fn sorted<T: Copy, K: Ord>(counts: &ByName<T>, key: impl Fn(&T) -> K) -> Option<Vec<(RowNames, T)>> {
    let mut rows: Vec<_> = counts.as_ref()?.iter().map(|(names, counts)| (names.clone(), *counts)).collect();
    rows.sort_by_key(|(_, counts)| key(counts));
    Some(rows)
}

/// A bar for each of the first `top` rows.
fn bars_of<T>(
    caption: &'static str,
    rows: Option<&Vec<(RowNames, T)>>,
    top: usize,
    number: impl Fn(&T) -> (Value, f64),
) -> Option<Chart> {
    let rows = rows?.iter().take(top).map(|(names, counts)| {
        let (value, number) = number(counts);
        (names[0].display(), value, number)
    });
    bars(caption, rows)
}

fn section(title: &'static str, note: &str, parts: Vec<Part>) -> Section {
    Section { title, note: note.to_owned(), parts }
}

fn count(number: u64) -> (Value, f64) {
    (Value::Count(number), number as f64)
}

/// The value, or a dash if there is none.
fn or_dash(value: &Value) -> String {
    Some(value.display()).filter(|text| !text.is_empty()).unwrap_or_else(|| "–".to_owned())
}

const GROUPS: &[&str] = &["members", "non-members"];

fn campaign(totals: &Totals, groups: &[(RowNames, Activity); 3]) -> Section {
    let [all, members, _] = groups.each_ref().map(|(_, group)| *group);
    let share = |name: &str, number: fn(&Activity) -> f64| {
        let (part, whole) = (number(&members), number(&all));
        let share = part / whole;
        let percent = |share: f64| match format!("{:.1}%", share * 100.0).as_str() {
            "0.0%" if share > 0.0 => "<0.1%".to_owned(),
            "100.0%" if share < 1.0 => ">99.9%".to_owned(),
            percent => percent.to_owned(),
        };
        (whole > 0.0 && (0.0..=1.0).contains(&share)).then(|| Bar {
            name: name.to_owned(),
            value: Value::Text(format!("{}, {}", percent(share), percent(1.0 - share))),
            lanes: vec![vec![share, 1.0 - share]],
        })
    };
    let bars = [
        share("customers", |group| group.customers as f64),
        share("clicks", |group| group.clicks as f64),
        share("codes", |group| group.codes as f64),
        share("purchases", |group| group.purchases as f64),
        share("revenue", |group| group.revenue.to_f64()),
    ];
    let bars: Vec<_> = bars.into_iter().flatten().collect();
    let chart = (!bars.is_empty()).then_some(Chart::Bars { caption: "Members and non-members", legend: GROUPS, bars });
    let note = "Members are customers who were members at their first conversion. A customer who becomes a member by a \
                purchase remains a non-member in these figures.";
    section("Campaign", note, vec![Part { table: TOTALS.table(totals.decimals, Some(groups)), chart }])
}

fn funnel(totals: &Totals, groups: &[(RowNames, Activity); 3]) -> Section {
    let [_, members, non_members] = groups.each_ref().map(|(_, group)| group);
    let stages = [
        ("clicked", &CLICKED_SHARE),
        ("then a basket", &BASKET_SHARE),
        ("then bought", &PURCHASE_SHARE),
        ("bought otherwise", &OTHER_BUYERS_SHARE),
    ];
    let bars = stages.map(|(name, figure)| {
        let values = [members, non_members].map(|group| figure.value(group, 0));
        let length = |value: &Value| match value {
            Value::Share { part, whole } => *part as f64 / (*whole).max(1) as f64,
            _ => 0.0,
        };
        Bar {
            name: name.to_owned(),
            value: Value::Text(values.each_ref().map(or_dash).join(", ")),
            // The first part of the second bar has no length, so its second part has the colour of non-members.
            lanes: vec![vec![length(&values[0])], vec![0.0, length(&values[1])]],
        }
    });
    let caption = "Customers at each step, in percent of their group";
    let has_customers = groups[0].1.customers > 0;
    let chart = has_customers.then(|| Chart::Bars { caption, legend: GROUPS, bars: bars.into() });
    section("Funnel", "", vec![Part { table: FUNNEL.table(totals.decimals, Some(groups)), chart }])
}

fn timeline(totals: &Totals) -> Section {
    let periods = totals.periods.timeline();
    let name = |start: &String| vec![Name::of(start.as_bytes())];
    let (definition, rows): (_, Vec<_>) = if periods.is_empty() {
        (&TIMELINE, totals.timeline.parts().into_iter().map(|part| (vec![], part)).collect())
    } else {
        (&PERIODS, periods.iter().map(|(start, bucket)| (name(start), (0, *bucket))).collect())
    };
    let panel = |name, number: fn(&Bucket) -> u64| {
        (name, rows.iter().map(|(_, (_, bucket))| number(bucket)).collect::<Vec<_>>())
    };
    let ends = match (&periods[..], &rows[..]) {
        ([(first, _), .., (last, _)], _) => [first.clone(), last.clone()],
        ([(only, _)], _) => [only.clone(), String::new()],
        ([], _) => ["first conversion".to_owned(), "last conversion".to_owned()],
    };
    let chart = (!rows.is_empty()).then(|| Chart::Columns {
        caption: if periods.is_empty() { "Parts of the campaign of equal size" } else { "By time (UTC)" },
        panels: vec![
            panel("clicks", |bucket| bucket.clicks),
            panel("codes", |bucket| bucket.codes),
            panel("purchases", |bucket| bucket.purchases),
            panel("new members", |bucket| bucket.new_members),
        ],
        ends,
    });
    section("Timeline", "", vec![Part { table: definition.table(0, Some(&rows)), chart }])
}

fn promos(totals: &Totals, top: usize) -> Section {
    let rows = sorted(&totals.promos, |promo| Reverse((promo.clicks, promo.purchases)));
    let chart = bars_of("Clicks by promo", rows.as_ref(), top, |promo| count(promo.clicks));
    section("Promos", "", vec![Part { table: PROMOS.table(totals.decimals, rows.as_deref()), chart }])
}

fn channels(totals: &Totals, top: usize) -> Section {
    let rows = sorted(&totals.channels, |channel| Reverse(channel.clicks));
    let chart = bars_of("Clicks by channel", rows.as_ref(), top, |channel| count(channel.clicks));
    let note = "Only clicks have a channel, so the purchases and the revenue of a channel are unknown.";
    section("Channels", note, vec![Part { table: CHANNELS.table(0, rows.as_deref()), chart }])
}

fn promo_channels(totals: &Totals, top: usize) -> Section {
    let rows = sorted(&totals.pairs, |pair| Reverse(pair.clicks));
    let chart = heat(totals, top);
    section("Promos by channel", "", vec![Part { table: PROMO_CHANNELS.table(0, rows.as_deref()), chart }])
}

/// The clicks of the first promos in the first channels. `None` without clicks.
fn heat(totals: &Totals, top: usize) -> Option<Chart> {
    let names = |counts: &ByName<Activity>| -> Option<RowNames> {
        let rows = sorted(counts, |row| Reverse(row.clicks))?;
        Some(rows.into_iter().filter(|(_, row)| row.clicks > 0).take(top).flat_map(|(names, _)| names).collect())
    };
    let (promos, columns, pairs) = (names(&totals.promos)?, names(&totals.channels)?, totals.pairs.as_ref()?);
    let highest = pairs.values().map(|pair| pair.clicks).max().filter(|&clicks| clicks > 0)?;
    let cell = |pair: &Activity| HeatCell {
        number: pair.clicks,
        heat: pair.clicks as f64 / highest as f64,
        codes: pair.codes,
    };
    let rows = promos.into_iter().map(|promo| {
        let of_channel = |channel: &Name| pairs.get(&[promo.clone(), channel.clone()][..]).map(cell);
        let cells = columns.iter().map(of_channel).collect();
        (vec![promo], cells)
    });
    Some(Chart::Heat { caption: "Clicks by promo and channel", rows: rows.collect(), columns })
}

fn items(totals: &Totals, top: usize) -> Section {
    let decimals = totals.decimals;
    let rows = sorted(&totals.items, |item| Reverse((item.revenue.sort_key(), item.purchases)));
    let revenue = |item: &ItemCounts| (Value::Money(item.revenue.decimal(decimals)), item.revenue.to_f64());
    let chart = bars_of("Revenue of purchases that contain the item", rows.as_ref(), top, revenue);
    section("Items", "", vec![Part { table: ITEMS.table(decimals, rows.as_deref()), chart }])
}

fn membership(totals: &Totals) -> Section {
    // A gender that only replaced rows have has no members.
    let mut genders = totals.genders.clone();
    genders.iter_mut().for_each(|genders| genders.retain(|_, gender| gender.members() > 0));
    let rows = sorted(&genders, |gender| Reverse(gender.members()));
    let most = rows.iter().flatten().map(|(_, gender)| gender.members()).max();
    let bar = |(names, gender): &(RowNames, GenderCounts)| Bar {
        name: names[0].display(),
        value: Value::Count(gender.members()),
        lanes: vec![
            [gender.both, gender.facebook, gender.instagram, gender.neither]
                .map(|number| number as f64 / most.unwrap_or(1).max(1) as f64)
                .into(),
        ],
    };
    let chart = most.map(|_| Chart::Bars {
        caption: "Members in the loyalty list by gender and user names",
        legend: &["both", "Facebook only", "Instagram only", "neither"],
        bars: rows.iter().flatten().take(10).map(bar).collect(),
    });
    let of_all = MEMBERSHIP.table(0, Some(&[(vec![], totals.membership())]));
    let parts = vec![Part { table: of_all, chart: None }, Part { table: GENDERS.table(0, rows.as_deref()), chart }];
    section("Members", "", parts)
}

fn decisions(totals: &Totals, all: ReasonCounts) -> Section {
    let name = |reason: Reason| vec![Name::of(reason.name().as_bytes())];
    let rows: Vec<_> = Reason::ALL.map(|reason| (name(reason), (all.of(reason), all.total()))).into();
    // Baskets and purchases are last.
    let clicks = rows.len() - 2;
    let chart = bars_of("Clicks by reason", Some(&rows), clicks, |&(decisions, _)| count(decisions));
    let of_promos = sorted(&totals.promo_reasons, |reasons| Reverse(reasons.total()));
    let parts = vec![
        Part { table: REASONS.table(0, Some(&rows)), chart },
        Part { table: PROMO_REASONS.table(0, of_promos.as_deref()), chart: None },
    ];
    let note = "The policy stops some clicks by members. Only a decision with the reason member-click sends a code.";
    section("Decisions", note, parts)
}

fn lift(totals: &Totals, lift: &Lift) -> Section {
    let groups = [("sent a code", lift.sent), ("held out", lift.held_out)];
    let rows: Vec<_> = groups.map(|(name, group)| (vec![Name::of(name.as_bytes())], group)).into();
    let bar = |(names, group): &(RowNames, LiftGroup)| Bar {
        name: names[0].display(),
        value: Value::Text(or_dash(&Value::Share { part: group.buyers, whole: group.customers })),
        lanes: vec![vec![group.buyers as f64 / group.customers.max(1) as f64]],
    };
    let caption = "Share of customers who bought";
    let chart = Some(Chart::Bars { caption, legend: &[], bars: rows.iter().map(bar).collect() });
    let parts = vec![
        Part { table: LIFT.table(totals.decimals, Some(&rows)), chart },
        Part { table: LIFT_DIFFERENCE.table(0, Some(&[(vec![], lift.clone())])), chart: None },
    ];
    let about = "Purchases in these conversions by the customers whom earlier runs sent a code, and by those whom they \
                 held out. The first row of a customer in the ledger decides the group.";
    let later = lift
        .later_runs
        .as_ref()
        .map_or(String::new(), |runs| format!(" Runs that follow this run in the ledger do not count: {runs}."));
    section("Lift", &format!("{about}{later}"), parts)
}

fn records(counts: &Counts) -> Section {
    section("Records", "", vec![Part { table: RECORDS.table(0, Some(&[(vec![], *counts)])), chart: None }])
}
