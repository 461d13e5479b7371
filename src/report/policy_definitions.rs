//! The tables of a report that only a campaign with a policy has, and the definition of each figure.

use super::figure::{Definition, Figure, Formula, count, figure, money, money_per, share};
use super::lift::{Lift, LiftGroup};
use super::reasons::ReasonCounts;
use super::table::Layout;
use crate::campaign::Reason;

/// The decisions with a reason, and all decisions.
pub type ReasonRow = (u64, u64);

pub const REASONS: Definition<ReasonRow> = Definition {
    key: "reasons",
    title: "Decisions by reason",
    names: &["reason"],
    layout: Layout::All,
    figures: &[
        count(["decisions", "decisions", "conversions that were decided for this reason"], |(decisions, _)| *decisions),
        share(["share", "share", "these decisions as a share of all decisions"], |&(decisions, all)| (decisions, all)),
    ],
};

/// The decisions of a promo for a reason, whose name is the heading.
const fn reason(reason: Reason, about: &'static str, of: fn(&ReasonCounts) -> u64) -> Figure<ReasonCounts> {
    count([reason.name(), reason.name(), about], of)
}

pub const PROMO_REASONS: Definition<ReasonCounts> = Definition {
    key: "promo_reasons",
    title: "Clicks by reason",
    names: &["promo"],
    layout: Layout::Top,
    figures: &[
        reason(Reason::MemberClick, "clicks that get a code", |row| row.of(Reason::MemberClick)),
        reason(Reason::OtherPromo, "clicks by members on a promo that gets no codes", |row| row.of(Reason::OtherPromo))
            .optional(),
        reason(Reason::Suppressed, "clicks by members on a suppression list", |row| row.of(Reason::Suppressed))
            .optional(),
        reason(Reason::AlreadySent, "clicks by members who were sent a code before", |row| row.of(Reason::AlreadySent))
            .optional(),
        reason(Reason::HeldOut, "clicks by members in the control group", |row| row.of(Reason::HeldOut)).optional(),
        reason(Reason::NotAMember, "clicks by customers who were not members", |row| row.of(Reason::NotAMember)),
    ],
};

pub const LIFT: Definition<LiftGroup> = Definition {
    key: "lift",
    title: "Lift",
    names: &["group"],
    layout: Layout::All,
    figures: &[
        count(["customers", "customers", "customers of the group, with or without a conversion"], |group| {
            group.customers
        }),
        count(["customers_who_bought", "who bought", "customers of the group with a purchase"], |group| group.buyers),
        share(["conversion_rate", "conversion rate", "the share of the customers of the group who bought"], |group| {
            (group.buyers, group.customers)
        }),
        count(["purchases", "purchases", "purchases by customers of the group"], |group| group.purchases),
        money(["revenue", "revenue", "the exact sum of the total costs of these purchases"], |group| group.revenue),
        money_per(["revenue_per_customer", "per customer", "revenue divided by the customers of the group"], |group| {
            (group.revenue, group.customers)
        }),
        count(
            [
                "not_in_revenue",
                "not in revenue",
                "purchases without a total cost, or with one that has too many digits",
            ],
            |group: &LiftGroup| group.not_in_revenue,
        )
        .optional(),
    ],
};

pub const LIFT_DIFFERENCE: Definition<Lift> = Definition {
    key: "lift_difference",
    title: "Difference in conversion rates",
    names: &[],
    layout: Layout::Transposed,
    figures: &[
        figure(
            [
                "difference",
                "percentage points",
                "the conversion rate of the customers who were sent a code minus that of those held out",
            ],
            Formula::Points(Lift::difference),
        ),
        figure(
            ["interval_from", "  95% interval from", "the lower end of Newcombe's 95% interval of the difference"],
            Formula::Points(|lift: &Lift| lift.interval().map(|[from, _]| from)),
        ),
        figure(
            ["interval_to", "  95% interval to", "the upper end of Newcombe's 95% interval of the difference"],
            Formula::Points(|lift: &Lift| lift.interval().map(|[_, to]| to)),
        ),
        figure(
            [
                "result",
                "result",
                "more buyers or fewer buyers if zero is outside the interval, otherwise too few to tell; not comparable \
                 if a group is empty or the group sizes contradict the percentage",
            ],
            Formula::Text(|lift: &Lift| Some(lift.result().name().to_owned())),
        ),
    ],
};
