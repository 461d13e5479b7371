//! The first things that a reader sees: sentences made from the figures, and cards with a figure and its rate.

use std::cmp::Reverse;
use std::iter;

use super::counts::Activity;
use super::definitions::{
    BUYERS, CLICKS, CLICKS_PER_CUSTOMER, CODES, CODES_PER_CLICK, CUSTOMERS, NEW_MEMBER_SHARE, NEW_MEMBERS, REVENUE,
    REVENUE_PER_BUYER, SHARE_OF_BUYERS, SHARE_OF_CUSTOMERS,
};
use super::figure::Figure;
use super::lift::Lift;
use super::reasons::ReasonCounts;
use super::table::{Column, Value};
use super::totals::{ByName, Totals};
use crate::campaign::Reason;
use crate::escape::shorten;

/// The maximum number of characters of a name in a sentence.
const MAX_NAME_CHARS: usize = 30;

#[derive(Debug)]
pub struct Summary {
    /// What the campaign did, the effect of the codes, and the clicks that the policy stopped.
    pub paragraphs: Vec<String>,
    pub cards: Vec<Card>,
}

/// A figure with its rate.
#[derive(Debug)]
pub struct Card {
    pub label: &'static str,
    pub value: Value,
    pub rate: Value,
    /// The words after the rate.
    pub unit: &'static str,
    /// The figures, for their definitions.
    pub columns: [Column; 2],
}

impl Summary {
    pub fn new(totals: &Totals, members: &Activity, all: &Activity) -> Self {
        let decimals = totals.decimals;
        let card = |label, figure: &Figure<Activity>, rate: Value, unit, rate_column| Card {
            label,
            value: figure.value(all, decimals),
            rate,
            unit,
            columns: [figure.column, rate_column],
        };
        let of_all = |label, figure, rate: &Figure<Activity>, unit| {
            card(label, figure, rate.value(all, decimals), unit, rate.column)
        };
        let cards = vec![
            card(
                "Customers",
                &CUSTOMERS,
                SHARE_OF_CUSTOMERS.value(members, 0),
                "were members before",
                SHARE_OF_CUSTOMERS.column,
            ),
            of_all("Clicks", &CLICKS, &CLICKS_PER_CUSTOMER, "per customer"),
            of_all("Codes", &CODES, &CODES_PER_CLICK, "of clicks"),
            of_all("Buyers", &BUYERS, &SHARE_OF_BUYERS, "of customers"),
            of_all("Revenue", &REVENUE, &REVENUE_PER_BUYER, "per buyer"),
            card(
                "New members",
                &NEW_MEMBERS,
                NEW_MEMBER_SHARE.value(&totals.membership(), 0),
                "of members at the end",
                NEW_MEMBER_SHARE.column,
            ),
        ];
        let policy = totals.reasons.as_ref().and_then(stopped_clicks);
        let lift = totals.lift.as_ref().map(Lift::sentence);
        let paragraphs = iter::once(sentences(all, &totals.channels)).chain(lift).chain(policy);
        Self { paragraphs: paragraphs.collect(), cards }
    }
}

fn sentences(all: &Activity, channels: &ByName<Activity>) -> String {
    if all.customers == 0 {
        return "There are no conversions.".to_owned();
    }
    let mut sentences = Vec::new();
    match (all.clicks, all.codes) {
        (0, _) => sentences.push("There were no clicks.".to_owned()),
        (clicks, 0) => sentences.push(format!("None of {} earned a code.", many(clicks, "click"))),
        (clicks, codes) => {
            let share = Value::Share { part: codes, whole: clicks }.display();
            sentences.push(format!("{share} of {} earned a code.", many(clicks, "click")));
            sentences.extend(best_channel(codes, channels));
        }
    }
    sentences.push(match all.new_members {
        0 => "No customer became a member by a purchase.".to_owned(),
        1 => "1 customer became a member by a purchase.".to_owned(),
        number => format!("{} became members by a purchase.", many(number, "customer")),
    });
    sentences.join(" ")
}

/// The channel with the most codes. `None` if there is only one, or two have the same number.
fn best_channel(codes: u64, channels: &ByName<Activity>) -> Option<String> {
    let mut by_codes: Vec<_> = channels.iter().flatten().filter(|(name, _)| !name[0].is_empty()).collect();
    by_codes.sort_by_key(|(_, channel)| Reverse(channel.codes));
    let [(name, best), (_, second), ..] = by_codes[..] else { return None };
    let share = Value::Share { part: best.codes, whole: codes }.display();
    let share = match 2 * best.codes {
        double if double == 2 * codes => "all of the codes".to_owned(),
        double if double == codes => "half of the codes".to_owned(),
        double if double < codes => format!("{share} of the codes, more than any other channel"),
        _ => format!("{share} of the codes"),
    };
    let name = shorten(name[0].display(), MAX_NAME_CHARS);
    (best.codes > second.codes).then(|| format!("{name} brought {share}."))
}

/// The clicks that the policy stopped, by reason. `None` if there are none.
fn stopped_clicks(reasons: &ReasonCounts) -> Option<String> {
    let mut stopped = [
        (reasons.of(Reason::OtherPromo), "on other promos"),
        (reasons.of(Reason::Suppressed), "by suppressed customers"),
        (reasons.of(Reason::AlreadySent), "by customers who were sent a code before"),
        (reasons.of(Reason::HeldOut), "by the control group"),
        (reasons.of(Reason::NoCodeLeft), "without a code left"),
    ];
    stopped.sort_by_key(|&(clicks, _)| Reverse(clicks));
    let parts = stopped.iter().filter(|(clicks, _)| *clicks > 0);
    let mut parts: Vec<_> = parts.map(|&(clicks, what)| format!("{} {what}", grouped(clicks))).collect();
    if let ([_], (_, what)) = (&parts[..], stopped[0]) {
        what.clone_into(&mut parts[0]);
    }
    let all = many(stopped.iter().map(|(clicks, _)| clicks).sum(), "click");
    (!parts.is_empty()).then(|| format!("The policy stopped {all} by members: {}.", parts.join(", ")))
}

/// `1,234`.
pub fn grouped(count: u64) -> String {
    Value::Count(count).digit_groups().join(",")
}

/// `1 click`, `1,234 clicks`.
fn many(count: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(count), if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::report::names::Name;

    fn activity(clicks: u64, codes: u64, new_members: u64) -> Activity {
        Activity { customers: clicks + new_members, clicks, codes, new_members, ..Activity::default() }
    }

    #[test]
    fn sentences_are_made_from_the_figures() {
        let channel = |name: &str, codes| (vec![Name::of(name.as_bytes())], activity(codes, codes, 0));
        let channels = |codes: [u64; 3]| {
            Some(BTreeMap::from([channel("", codes[0]), channel("Facebook", codes[1]), channel("Instagram", codes[2])]))
        };
        for (all, channels, expected) in [
            (activity(0, 0, 0), None, "There are no conversions."),
            (activity(0, 0, 1), None, "There were no clicks. 1 customer became a member by a purchase."),
            (activity(1, 0, 0), None, "None of 1 click earned a code. No customer became a member by a purchase."),
            (
                activity(4_000, 1_104, 811_252),
                channels([9, 300, 552]),
                "27.6% of 4,000 clicks earned a code. Instagram brought half of the codes. \
                 811,252 customers became members by a purchase.",
            ),
            (
                activity(30, 10, 0),
                channels([3, 4, 3]),
                "33.3% of 30 clicks earned a code. Facebook brought 40.0% of the codes, more than any other \
                 channel. \
                 No customer became a member by a purchase.",
            ),
            (
                activity(30, 20, 2),
                channels([0, 10, 10]),
                "66.7% of 30 clicks earned a code. 2 customers became members by a purchase.",
            ),
        ] {
            assert_eq!(sentences(&all, &channels), expected);
        }
    }
}
