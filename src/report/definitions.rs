//! The tables of a report, and the definition of each figure. docs/report.md has the same definitions, which a test
//! compares.

use super::counting::Membership;
use super::counts::{Activity, GenderCounts, ItemCounts};
use super::figure::{Definition, Figure, Formula, Words, count, figure, money, share};
use super::table::Layout;
use super::timeline::Bucket;
use crate::engine::{Counts, InputCounts};
use crate::record::Time;

/// The customers of a group, and the number of customers of all groups.
#[derive(Debug, Clone, Copy, Default)]
pub struct GroupRow {
    pub group: Activity,
    pub all_customers: u64,
}

pub const CLICKS: Words = ["clicks", "clicks", "how often customers clicked the ad"];
pub const CODES: Words =
    ["codes", "codes", "clicks by customers who were members at that time; each earns a promo code"];
const CODES_PER_CLICK: Words = ["codes_per_click", "codes per click", "the share of the clicks that earned a code"];
const BASKETS: Words = ["baskets", "baskets", "how often customers put items into a basket"];
const PURCHASES: Words = ["purchases", "purchases", "how often customers bought a basket"];
const REVENUE: Words = ["revenue", "revenue", "the exact sum of the total costs of the purchases"];
const NEW_MEMBERS: Words =
    ["new_members", "new members", "customers who were not members and became members by a purchase"];
/// The customers of a promo, a channel, or a pair of the two.
const CLICKED: Words = ["customers", "customers", "customers who clicked at least once; each counts once in a row"];

pub const CLICKS_PER_CUSTOMER: Figure<GroupRow> = figure(
    ["clicks_per_customer", "  per customer", "clicks divided by the number of customers, also those without a click"],
    Formula::Mean(|row| (row.group.clicks, row.group.customers)),
);
pub const CODES_PER_CLICK_OF_GROUP: Figure<GroupRow> =
    share(["codes_per_click", "  per click", "the share of the clicks that earned a code"], |row| {
        (row.group.codes, row.group.clicks)
    });
pub const BUYERS: Figure<GroupRow> =
    count(["customers_who_bought", "  who bought", "customers with a purchase, before or after a click"], |row| {
        row.group.with_purchase
    });
pub const CONVERSION: Figure<GroupRow> = share(
    ["conversion", "  conversion", "of the customers who clicked, the share that bought after the click"],
    |row| (row.group.bought_after_click, row.group.clicked),
);
pub const GROUP_REVENUE: Figure<GroupRow> = money(REVENUE, |row| row.group.revenue);
pub const REVENUE_PER_BUYER: Figure<GroupRow> = figure(
    ["revenue_per_buyer", "  per buyer", "revenue divided by the number of customers who bought"],
    Formula::MoneyPer(|row| (row.group.revenue, row.group.with_purchase)),
);
pub const SHARE_OF_CUSTOMERS: Figure<GroupRow> =
    share(["share_of_customers", "  share of all", "the customers of the group as a share of all customers"], |row| {
        (row.group.customers, row.all_customers)
    });
pub const NEW_MEMBERS_OF_GROUP: Figure<GroupRow> = count(NEW_MEMBERS, |row| row.group.new_members);
pub const CLICKS_OF_GROUP: Figure<GroupRow> = count(CLICKS, |row| row.group.clicks);
pub const CODES_OF_GROUP: Figure<GroupRow> = count(CODES, |row| row.group.codes);
pub const CUSTOMERS: Figure<GroupRow> =
    count(["customers", "customers", "distinct emails with at least one conversion"], |row| row.group.customers);

pub const TOTALS: Definition<GroupRow> = Definition {
    key: "totals",
    title: "Campaign",
    names: &["group"],
    layout: Layout::Transposed,
    figures: &[
        CUSTOMERS,
        SHARE_OF_CUSTOMERS,
        count(["customers_who_clicked", "  who clicked", "customers with at least one click"], |row| row.group.clicked),
        count(
            ["customers_with_a_basket", "  with a basket", "customers with a basket, before or after a click"],
            |row| row.group.with_basket,
        ),
        BUYERS,
        CONVERSION,
        CLICKS_OF_GROUP,
        CLICKS_PER_CUSTOMER,
        CODES_OF_GROUP,
        CODES_PER_CLICK_OF_GROUP,
        count(BASKETS, |row| row.group.baskets),
        count(PURCHASES, |row| row.group.purchases),
        GROUP_REVENUE,
        REVENUE_PER_BUYER,
        figure(
            ["average_purchase", "  per purchase", "revenue divided by the number of purchases in it"],
            Formula::MoneyPer(|row| (row.group.revenue, row.group.purchases - row.group.not_in_revenue)),
        ),
        count(
            [
                "not_in_revenue",
                "  not in revenue",
                "purchases that are missing in the revenue: without a total cost, or with too many digits",
            ],
            |row: &GroupRow| row.group.not_in_revenue,
        )
        .optional(),
        NEW_MEMBERS_OF_GROUP,
    ],
};

/// The stages of the funnel, as customers and as a share of the customers of the group.
pub const CLICKED_SHARE: Figure<GroupRow> =
    share(["clicked_share", "  of the group", "these customers as a share of all customers of their group"], |row| {
        (row.group.clicked, row.group.customers)
    });
pub const BASKET_SHARE: Figure<GroupRow> =
    share(["then_basket_share", CLICKED_SHARE.column.heading, CLICKED_SHARE.column.about], |row| {
        (row.group.then_basket, row.group.customers)
    });
pub const PURCHASE_SHARE: Figure<GroupRow> =
    share(["then_purchase_share", CLICKED_SHARE.column.heading, CLICKED_SHARE.column.about], |row| {
        (row.group.then_purchase, row.group.customers)
    });
pub const OTHER_BUYERS_SHARE: Figure<GroupRow> =
    share(["bought_otherwise_share", CLICKED_SHARE.column.heading, CLICKED_SHARE.column.about], |row| {
        (row.group.with_purchase - row.group.then_purchase, row.group.customers)
    });

pub const FUNNEL: Definition<GroupRow> = Definition {
    key: "funnel",
    title: "Funnel",
    names: &["group"],
    layout: Layout::Transposed,
    figures: &[
        count(["clicked", "clicked", "customers with at least one click"], |row| row.group.clicked),
        CLICKED_SHARE,
        count(["then_basket", "then a basket", "customers who filled a basket after a click"], |row| {
            row.group.then_basket
        }),
        BASKET_SHARE,
        count(["then_purchase", "then bought", "customers who clicked, then filled a basket, then bought"], |row| {
            row.group.then_purchase
        }),
        PURCHASE_SHARE,
        count(
            [
                "bought_otherwise",
                "bought otherwise",
                "customers who bought without these steps in this order; with “then bought”, all who bought",
            ],
            |row| row.group.with_purchase - row.group.then_purchase,
        ),
        OTHER_BUYERS_SHARE,
        count(
            [
                "basket_otherwise",
                "basket otherwise",
                "customers who filled a basket, but none after a click; with “then a basket”, all with a basket",
            ],
            |row| row.group.with_basket - row.group.then_basket,
        ),
    ],
};

pub const PROMOS: Definition<Activity> = Definition {
    key: "promos",
    title: "Promos",
    names: &["promo"],
    layout: Layout::Top,
    figures: &[
        count(CLICKS, |promo| promo.clicks),
        count(CLICKED, |promo| promo.clicked),
        count(CODES, |promo| promo.codes),
        count(BASKETS, |promo| promo.baskets),
        count(PURCHASES, |promo| promo.purchases),
        money(REVENUE, |promo| promo.revenue),
        count(NEW_MEMBERS, |promo| promo.new_members),
    ],
};

/// The figures of a channel, and of a pair of promo and channel.
const CLICK_FIGURES: &[Figure<Activity>] = &[
    count(CLICKS, |row| row.clicks),
    count(CLICKED, |row| row.clicked),
    count(CODES, |row| row.codes),
    share(CODES_PER_CLICK, |row| (row.codes, row.clicks)),
];

pub const CHANNELS: Definition<Activity> =
    Definition { key: "channels", title: "Channels", names: &["channel"], layout: Layout::Top, figures: CLICK_FIGURES };

pub const PROMO_CHANNELS: Definition<Activity> = Definition {
    key: "promo_channels",
    title: "Promos by channel",
    names: &["promo", "channel"],
    layout: Layout::Top,
    figures: CLICK_FIGURES,
};

pub const ITEMS: Definition<ItemCounts> = Definition {
    key: "items",
    title: "Items",
    names: &["item"],
    layout: Layout::Top,
    figures: &[
        money(
            [
                "revenue",
                "revenue of purchases",
                "the sum of the total costs of these purchases, also of their other items",
            ],
            |item| item.revenue,
        ),
        count(["purchases", "purchases", "purchases that contain the item"], |item| item.purchases),
        count(["units", "units", "how often the item occurs in purchases, repeats included"], |item| item.units),
        count(["baskets", "baskets", "baskets that contain the item"], |item| item.baskets),
    ],
};

pub const NEW_MEMBER_SHARE: Figure<Membership> =
    share(["new_member_share", "  share of members", "new members as a share of the members at the end"], |all| {
        (all.new_members, all.members)
    });

pub const MEMBERSHIP: Definition<Membership> = Definition {
    key: "membership",
    title: "Members",
    names: &[],
    layout: Layout::Transposed,
    figures: &[
        count(["members", "members at the end", "members after the last record"], |all| all.members),
        count(["with_a_row", "  in the loyalty list", "members with a row in the loyalty list"], |all| all.with_row),
        count(["without_a_row", "  not in the list", "members by a purchase who are not in the loyalty list"], |all| {
            all.members - all.with_row
        }),
        count(NEW_MEMBERS, |all| all.new_members),
        NEW_MEMBER_SHARE,
    ],
};

pub const GENDERS: Definition<GenderCounts> = Definition {
    key: "genders",
    title: "Members by gender",
    names: &["gender"],
    layout: Layout::Top,
    figures: &[
        count(
            ["members", "members", "members with this gender in their latest row of the loyalty list"],
            GenderCounts::members,
        ),
        count(
            ["facebook", "Facebook only", "members with a Facebook user name and no Instagram user name"],
            |gender| gender.facebook,
        ),
        count(
            ["instagram", "Instagram only", "members with an Instagram user name and no Facebook user name"],
            |gender| gender.instagram,
        ),
        count(["both", "both", "members with both user names"], |gender| gender.both),
        count(["neither", "neither", "members with neither user name"], |gender| gender.neither),
    ],
};

/// A part of the timeline, and the number of conversions up to its end.
pub type TimelineRow = (u64, Bucket);

const IN_CLICKS: Figure<TimelineRow> =
    count(["clicks", "clicks", "clicks in this part of the timeline"], |(_, part)| part.clicks);
const IN_CODES: Figure<TimelineRow> =
    count(["codes", "codes", "clicks in this part of the timeline that earned a code"], |(_, part)| part.codes);
const IN_PURCHASES: Figure<TimelineRow> =
    count(["purchases", "purchases", "purchases in this part of the timeline"], |(_, part)| part.purchases);
const IN_NEW_MEMBERS: Figure<TimelineRow> =
    count(["new_members", "new members", "customers who became members in this part of the timeline"], |(_, part)| {
        part.new_members
    });

/// The timeline by position.
pub const TIMELINE: Definition<TimelineRow> = Definition {
    key: "timeline",
    title: "Timeline",
    names: &[],
    layout: Layout::All,
    figures: &[
        count(
            ["conversions_so_far", "conversions so far", "conversions from the first one to the end of this part"],
            |(so_far, _)| *so_far,
        ),
        IN_CLICKS,
        IN_CODES,
        IN_PURCHASES,
        IN_NEW_MEMBERS,
    ],
};

/// The timeline if the conversions have times.
pub const PERIODS: Definition<TimelineRow> = Definition {
    names: &["time"],
    figures: &[
        count(
            ["conversions", "conversions", "conversions in the period that begins at this time (UTC)"],
            |(_, period)| period.conversions,
        ),
        IN_CLICKS,
        IN_CODES,
        IN_PURCHASES,
        IN_NEW_MEMBERS,
    ],
    ..TIMELINE
};

/// The source of an input, and its counts.
pub type InputRow = (&'static str, InputCounts);

pub const INPUTS: Definition<InputRow> = Definition {
    key: "inputs",
    title: "Inputs",
    names: &["input"],
    layout: Layout::Top,
    figures: &[
        figure(
            ["source", "source", "whether the input is the loyalty list or the conversions"],
            Formula::Text(|(source, _)| Some((*source).to_owned())),
        ),
        count(["records", "records", "lines, rows and frames of this input"], |(_, counts)| counts.records),
        figure(
            ["first_time", "first time", "the earliest time of a conversion in this input (UTC)"],
            Formula::Text(|(_, counts): &InputRow| counts.times.map(|(first, _)| seconds(first))),
        )
        .optional(),
        figure(
            ["last_time", "last time", "the latest time of a conversion in this input (UTC)"],
            Formula::Text(|(_, counts): &InputRow| counts.times.map(|(_, last)| seconds(last))),
        )
        .optional(),
    ],
};

/// A time without the fraction of its second, such as `2026-03-01T10:00:00Z`.
fn seconds(time: Time) -> String {
    Time(time.0.div_euclid(1_000_000) * 1_000_000).to_string()
}

/// The title of a report, and the number of distinct emails in the loyalty list.
pub type ReportRow = (String, u64);

pub const REPORT: Definition<ReportRow> = Definition {
    key: "report",
    title: "Report",
    names: &[],
    layout: Layout::Transposed,
    figures: &[
        figure(
            ["title", "title", "the title of the report: --title, or else the names of its promos"],
            Formula::Text(|(title, _)| Some(title.clone())),
        ),
        count(
            ["list_members", "members in the loyalty list", "distinct emails in the loyalty list"],
            |(_, members)| *members,
        ),
    ],
};

pub const RECORDS: Definition<Counts> = Definition {
    key: "records",
    title: "Records",
    names: &[],
    layout: Layout::Transposed,
    figures: &[
        count(["records", "records in", "lines, rows and frames of all inputs"], |counts| counts.records),
        count(["conversions", "  conversions", "clicks, baskets and purchases that were decided"], Counts::conversions),
        count(["loyalty_rows", "  loyalty rows", "rows of the loyalty list"], |counts| counts.loyalty_rows),
        count(["rejects", "  rejects", "bad records that were skipped, and are in no other figure"], |counts| {
            counts.rejects
        }),
        count(["blanks", "  blank lines", "lines without text"], |counts| counts.blanks),
        count(
            ["ignored", "  ignored", "conversions of a type that --type ignores, or outside --since and --until"],
            |counts| counts.ignored,
        ),
    ],
};
