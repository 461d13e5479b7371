//! The tables of a report, and the definition of each figure. docs/report.md has the same definitions, which a test
//! compares.

use super::counts::{Activity, GenderCounts, ItemCounts};
use super::figure::{Definition, Figure, Formula, Words, count, figure, mean, money, money_per, share};
use super::table::Layout;
use super::timeline::Bucket;
use super::totals::Membership;
use crate::engine::{Counts, InputCounts};
use crate::record::Time;

pub const CUSTOMERS: Figure<Activity> =
    count(["customers", "customers", "distinct emails with at least one conversion"], |group| group.customers);
pub const SHARE_OF_CUSTOMERS: Figure<Activity> = share(
    ["share_of_customers", "  share of all", "the customers of the group as a share of all customers"],
    |group| (group.customers, group.customers_of_all),
);
pub const BUYERS: Figure<Activity> =
    count(["customers_who_bought", "  who bought", "customers with a purchase, before or after a click"], |group| {
        group.with_purchase
    });
/// Only for the first screen of the page.
pub const SHARE_OF_BUYERS: Figure<Activity> =
    share(["share_of_buyers", "share of customers", "the customers who bought as a share of all customers"], |group| {
        (group.with_purchase, group.customers)
    });
const BOUGHT_AFTER_CLICK: Figure<Activity> = share(
    ["bought_after_click", "  bought after click", "of the customers who clicked, the share that bought after a click"],
    |group| (group.bought_after_click, group.clicked),
);
pub const CLICKS: Figure<Activity> =
    count(["clicks", "clicks", "how often customers clicked the ad"], |row| row.clicks);
pub const CLICKS_PER_CUSTOMER: Figure<Activity> = mean(
    ["clicks_per_customer", "  per customer", "clicks divided by customers, also those without a click"],
    |group| (group.clicks, group.customers),
);
pub const CODES: Figure<Activity> =
    count(["codes", "codes", "clicks by customers who were members at that time; each earns a promo code"], |row| {
        row.codes
    });
/// What [`CODES`] are if the campaign has a policy.
pub const CODES_WITH_POLICY: &str = "clicks by members that the policy does not stop; each earns a promo code";
pub const CODES_PER_CLICK: Figure<Activity> =
    share(["codes_per_click", "  codes per click", "the share of the clicks that earned a code"], |row| {
        (row.codes, row.clicks)
    });
const BASKETS: Figure<Activity> =
    count(["baskets", "baskets", "how often customers put items into a basket"], |row| row.baskets);
const PURCHASES: Figure<Activity> =
    count(["purchases", "purchases", "how often customers bought a basket"], |row| row.purchases);
pub const REVENUE: Figure<Activity> =
    money(["revenue", "revenue", "the exact sum of the total costs of the purchases"], |row| row.revenue);
pub const REVENUE_PER_BUYER: Figure<Activity> =
    money_per(["revenue_per_buyer", "  per buyer", "revenue divided by customers who bought"], |group| {
        (group.revenue, group.with_purchase)
    });
pub const NEW_MEMBERS: Figure<Activity> = count(ABOUT_NEW_MEMBERS, |row| row.new_members);
const ABOUT_NEW_MEMBERS: Words =
    ["new_members", "new members", "customers who were not members and became members by a purchase"];
const ABOUT_CLICKED: &str = "customers with at least one click";

pub const TOTALS: Definition<Activity> = Definition {
    key: "totals",
    title: "Campaign",
    names: &["group"],
    layout: Layout::Transposed,
    figures: &[
        CUSTOMERS,
        SHARE_OF_CUSTOMERS,
        count(["customers_who_clicked", "  who clicked", ABOUT_CLICKED], |group| group.clicked),
        count(
            ["customers_with_a_basket", "  with a basket", "customers with a basket, before or after a click"],
            |group| group.with_basket,
        ),
        BUYERS,
        BOUGHT_AFTER_CLICK,
        CLICKS,
        CLICKS_PER_CUSTOMER,
        CODES,
        CODES_PER_CLICK,
        BASKETS,
        PURCHASES,
        REVENUE,
        REVENUE_PER_BUYER,
        money_per(
            ["average_purchase", "  per purchase", "revenue divided by the number of purchases in it"],
            |group| (group.revenue, group.purchases - group.not_in_revenue),
        ),
        count(
            [
                "not_in_revenue",
                "  not in revenue",
                "purchases without a total cost, or with one that has too many digits",
            ],
            |group: &Activity| group.not_in_revenue,
        )
        .optional(),
        NEW_MEMBERS,
    ],
};

/// These customers as a share of the customers of their group.
const fn share_of_group(key: &'static str, of: fn(&Activity) -> (u64, u64)) -> Figure<Activity> {
    share([key, "  of the group", "these customers as a share of all customers of their group"], of)
}

pub const CLICKED_SHARE: Figure<Activity> = share_of_group("clicked_share", |group| (group.clicked, group.customers));
pub const BASKET_SHARE: Figure<Activity> =
    share_of_group("then_basket_share", |group| (group.then_basket, group.customers));
pub const PURCHASE_SHARE: Figure<Activity> =
    share_of_group("then_purchase_share", |group| (group.then_purchase, group.customers));
pub const OTHER_BUYERS_SHARE: Figure<Activity> =
    share_of_group("bought_otherwise_share", |group| (group.with_purchase - group.then_purchase, group.customers));

pub const FUNNEL: Definition<Activity> = Definition {
    key: "funnel",
    title: "Funnel",
    names: &["group"],
    layout: Layout::Transposed,
    figures: &[
        count(["clicked", "clicked", ABOUT_CLICKED], |group| group.clicked),
        CLICKED_SHARE,
        count(["then_basket", "then a basket", "customers who filled a basket after a click"], |group| {
            group.then_basket
        }),
        BASKET_SHARE,
        count(["then_purchase", "then bought", "customers who clicked, then filled a basket, then bought"], |group| {
            group.then_purchase
        }),
        PURCHASE_SHARE,
        count(
            ["bought_otherwise", "bought otherwise", "customers who bought, but never after these steps in this order"],
            |group| group.with_purchase - group.then_purchase,
        ),
        OTHER_BUYERS_SHARE,
        count(
            ["basket_otherwise", "basket otherwise", "customers who filled a basket, but never after a click"],
            |group| group.with_basket - group.then_basket,
        ),
    ],
};

/// The customers of a promo, a channel, or a pair of the two.
const CLICKED: Figure<Activity> = count(["customers", "customers", ABOUT_CLICKED], |row| row.clicked);

pub const PROMOS: Definition<Activity> = Definition {
    key: "promos",
    title: "Promos",
    names: &["promo"],
    layout: Layout::Top,
    figures: &[CLICKS, CLICKED, CODES, BASKETS, PURCHASES, REVENUE, NEW_MEMBERS],
};

pub const CHANNELS: Definition<Activity> = Definition {
    key: "channels",
    title: "Channels",
    names: &["channel"],
    layout: Layout::Top,
    figures: &[CLICKS, CLICKED, CODES, CODES_PER_CLICK],
};

pub const PROMO_CHANNELS: Definition<Activity> =
    Definition { key: "promo_channels", title: "Promos by channel", names: &["promo", "channel"], ..CHANNELS };

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
        count(ABOUT_NEW_MEMBERS, |all| all.new_members),
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

/// The day of a time in UTC.
pub fn day(time: Time) -> String {
    let time = time.to_string();
    time.split('T').next().unwrap_or_default().to_owned()
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
            ["title", "title", "the title that was given, or else the names of the promos"],
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
        count(["ignored", "  ignored", "conversions of an ignored type, or outside the chosen time"], |counts| {
            counts.ignored
        }),
    ],
};
