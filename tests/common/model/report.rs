//! The model of a report: it computes each figure independently, from all records. It shares no code with the crate.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::policy::{ModelPolicy, PolicyRun};
use super::report_events::ModelEvent::{self, Basket, Click, LoyaltyRow, Purchase};
use super::report_events::{COSTS, cents, decimal, mean, percent, rounded};

/// The events, and the effect of each by the rule and the policy.
pub struct ReportModel<'a> {
    pub events: &'a [ModelEvent],
    pub policy: Option<&'a ModelPolicy>,
    /// For each event: whether its customer was a member before.
    was_member: Vec<bool>,
    /// For each event: the reason for its decision; empty for a loyalty row.
    pub reasons: Vec<&'static str>,
    /// Customers who were members at their first conversion.
    pub early_members: BTreeSet<&'static str>,
    decimals: usize,
}

impl<'a> ReportModel<'a> {
    pub fn of(events: &'a [ModelEvent], policy: Option<&'a ModelPolicy>) -> Self {
        let (mut members, mut seen, mut early_members) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let (mut was_member, mut reasons) = (Vec::new(), Vec::new());
        let mut run = PolicyRun::new(policy.unwrap_or(&ModelPolicy::default()));
        for event in events {
            let email = event.email();
            was_member.push(members.contains(email));
            reasons.push(match event {
                Click { promo, .. } if members.contains(email) => run.gates(email.as_bytes(), promo.as_bytes()).0,
                Click { .. } => "not-a-member",
                Basket { .. } => "basket",
                Purchase { .. } => "purchase",
                LoyaltyRow { .. } => "",
            });
            if !event.is_loyalty_row() && seen.insert(email) && members.contains(email) {
                early_members.insert(email);
            }
            if matches!(event, LoyaltyRow { .. } | Purchase { .. }) {
                members.insert(email);
            }
        }
        let written = events.iter().filter_map(|event| match event {
            Purchase { cost, .. } => COSTS.iter().find(|(text, cents, _)| text == cost && cents.is_some()),
            _ => None,
        });
        let decimals = written.map(|&(_, _, decimals)| usize::from(decimals)).max().unwrap_or(0);
        Self { events, policy, was_member, reasons, early_members, decimals }
    }

    pub fn numbered(&self) -> impl Iterator<Item = (usize, &'a ModelEvent)> {
        self.events.iter().enumerate().filter(|(_, event)| !event.is_loyalty_row())
    }

    pub fn count(&self, wanted: impl Fn(usize, &ModelEvent) -> bool) -> usize {
        self.numbered().filter(|&(number, event)| wanted(number, event)).count()
    }

    pub fn customers(&self, wanted: impl Fn(usize, &ModelEvent) -> bool) -> usize {
        let wanted = self.numbered().filter(|&(number, event)| wanted(number, event));
        wanted.map(|(_, event)| event.email()).collect::<BTreeSet<_>>().len()
    }

    pub fn sends(&self, number: usize, event: &ModelEvent) -> bool {
        matches!(event, Click { .. }) && self.reasons[number] == "member-click"
    }

    pub fn enrols(&self, number: usize, event: &ModelEvent) -> bool {
        matches!(event, Purchase { .. }) && !self.was_member[number]
    }

    pub fn cents(&self, wanted: impl Fn(&ModelEvent) -> bool) -> i128 {
        let costs = self.events.iter().filter(|event| wanted(event)).filter_map(|event| match event {
            Purchase { cost, .. } => cents(cost),
            _ => None,
        });
        costs.sum()
    }

    pub fn money(&self, cents: i128) -> String {
        let text = decimal(cents);
        let short = text.len() - (2 - self.decimals);
        text[..short].trim_end_matches('.').to_owned()
    }

    pub fn group(&self, name: &str, in_group: impl Fn(&ModelEvent) -> bool + Copy) -> [Value; 2] {
        let click = |event: &ModelEvent| matches!(event, Click { .. }) && in_group(event);
        let basket = |event: &ModelEvent| matches!(event, Basket { .. }) && in_group(event);
        let purchase = |event: &ModelEvent| matches!(event, Purchase { .. }) && in_group(event);
        let unsummed = |event: &ModelEvent| match event {
            Purchase { cost, .. } => cents(cost).is_none() && in_group(event),
            _ => false,
        };
        let cents = self.cents(in_group);
        let summed = (self.count(|_, event| purchase(event)) - self.count(|_, event| unsummed(event))) as i128;
        // A customer reached a step if such records of the customer are in this order.
        let clicked_before = |number: usize, email: &str| {
            self.numbered().any(|(earlier, event)| earlier < number && click(event) && event.email() == email)
        };
        let basket_before = |number: usize, email: &str| {
            let earlier =
                self.numbered().filter(|(earlier, event)| *earlier < number && basket(event) && event.email() == email);
            earlier.map(|(earlier, _)| earlier).any(|earlier| clicked_before(earlier, email))
        };
        let customers = self.customers(|_, event| in_group(event));
        let clicked = self.customers(|_, event| click(event));
        let with_basket = self.customers(|_, event| basket(event));
        let bought = self.customers(|_, event| purchase(event));
        let clicks = self.count(|_, event| click(event));
        let codes = self.count(|number, event| in_group(event) && self.sends(number, event));
        let then_basket = self.customers(|number, event| basket(event) && clicked_before(number, event.email()));
        let then_purchase = self.customers(|number, event| purchase(event) && basket_before(number, event.email()));
        let after_click = self.customers(|number, event| purchase(event) && clicked_before(number, event.email()));
        let totals = json!({
            "group": name,
            "customers": customers,
            "share_of_customers": percent(customers, self.customers(|_, _| true)),
            "customers_who_clicked": clicked,
            "customers_with_a_basket": with_basket,
            "customers_who_bought": bought,
            "bought_after_click": percent(after_click, clicked),
            "clicks": clicks,
            "clicks_per_customer": (customers > 0).then(|| rounded(clicks * 100, customers) / 100.0),
            "codes": codes,
            "codes_per_click": percent(codes, clicks),
            "baskets": self.count(|_, event| basket(event)),
            "purchases": self.count(|_, event| purchase(event)),
            "revenue": self.money(cents),
            "revenue_per_buyer": mean(cents, bought as i128),
            "average_purchase": mean(cents, summed),
            "not_in_revenue": self.count(|_, event| unsummed(event)),
            "new_members": self.count(|number, event| in_group(event) && self.enrols(number, event)),
        });
        let funnel = json!({
            "group": name,
            "clicked": clicked,
            "clicked_share": percent(clicked, customers),
            "then_basket": then_basket,
            "then_basket_share": percent(then_basket, customers),
            "then_purchase": then_purchase,
            "then_purchase_share": percent(then_purchase, customers),
            "bought_otherwise": bought - then_purchase,
            "bought_otherwise_share": percent(bought - then_purchase, customers),
            "basket_otherwise": with_basket - then_basket,
        });
        [totals, funnel]
    }

    pub fn clicks_of(&self, names: &[(&str, &str)], wanted: impl Fn(&str, &str) -> bool) -> Value {
        let click = |event: &ModelEvent| match event {
            Click { promo, channel, .. } => wanted(promo, channel),
            _ => false,
        };
        let clicks = self.count(|_, event| click(event));
        let codes = self.count(|number, event| click(event) && self.sends(number, event));
        let mut row = json!({
            "clicks": clicks,
            "customers": self.customers(|_, event| click(event)),
            "codes": codes,
            "codes_per_click": percent(codes, clicks),
        });
        names.iter().for_each(|(key, name)| row[key] = json!(name));
        row
    }

    pub fn promo(&self, name: &str) -> Value {
        let mut row = self.clicks_of(&[("promo", name)], |promo, _| promo == name);
        let is = |event: &ModelEvent| match event {
            Purchase { promo, .. } => promo == name,
            _ => false,
        };
        row.as_object_mut().unwrap().remove("codes_per_click");
        row["baskets"] = json!(self.count(|_, event| matches!(event, Basket { promo, .. } if promo == name)));
        row["purchases"] = json!(self.count(|_, event| is(event)));
        row["revenue"] = json!(self.money(self.cents(is)));
        row["new_members"] = json!(self.count(|number, event| is(event) && self.enrols(number, event)));
        row
    }

    pub fn item(&self, id: &str) -> Value {
        let holds = |event: &ModelEvent| match event {
            Purchase { items, .. } => items.iter().filter(|item| **item == id).count(),
            _ => 0,
        };
        json!({
            "item": id,
            "revenue": self.money(self.cents(|event| holds(event) > 0)),
            "purchases": self.count(|_, event| holds(event) > 0),
            "units": self.events.iter().map(holds).sum::<usize>(),
            "baskets": self.count(|_, event| matches!(event, Basket { items, .. } if items.contains(&id))),
        })
    }

    pub fn members(&self) -> (Value, Vec<Value>) {
        let mut latest = BTreeMap::new();
        let mut genders: BTreeMap<&str, [u64; 5]> = BTreeMap::new();
        for event in self.events {
            if let LoyaltyRow { email, fb, insta, gender } = event {
                latest.insert(*email, (*fb, *insta, *gender));
            }
        }
        for (fb, insta, gender) in latest.values() {
            let counts = genders.entry(gender).or_default();
            counts[0] += 1;
            counts[match (fb, insta) {
                (true, false) => 1,
                (false, true) => 2,
                (true, true) => 3,
                (false, false) => 4,
            }] += 1;
        }
        let new_members = self.count(|number, event| self.enrols(number, event));
        let joined = self.customers(|number, event| self.enrols(number, event) && !latest.contains_key(event.email()));
        let membership = json!([{
            "members": latest.len() + joined, "with_a_row": latest.len(), "without_a_row": joined,
            "new_members": new_members, "new_member_share": percent(new_members, latest.len() + joined),
        }]);
        let gender = |(gender, [members, facebook, instagram, both, neither]): (&&str, &[u64; 5])| {
            json!({
                "gender": gender, "members": members, "facebook": facebook, "instagram": instagram, "both": both,
                "neither": neither,
            })
        };
        (membership, genders.iter().map(gender).collect())
    }

    /// Twentieths of the conversions, or single conversions if there are fewer than twenty. There are too few for
    /// buckets.
    pub fn timeline(&self) -> Vec<Value> {
        let events: Vec<_> = self.numbered().collect();
        let ends = (1..=events.len()).filter(|end| end * 20 / events.len() > (end - 1) * 20 / events.len());
        let mut start = 0;
        let part = |end: usize| {
            let part = &events[std::mem::replace(&mut start, end)..end];
            let count =
                |is: &dyn Fn(usize, &ModelEvent) -> bool| part.iter().filter(|&&(n, event)| is(n, event)).count();
            json!({
                "conversions_so_far": end,
                "clicks": count(&|_, event| matches!(event, Click { .. })),
                "codes": count(&|number, event| self.sends(number, event)),
                "purchases": count(&|_, event| matches!(event, Purchase { .. })),
                "new_members": count(&|number, event| self.enrols(number, event)),
            })
        };
        ends.map(part).collect()
    }
}
