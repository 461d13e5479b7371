//! The figures of a report agree with a serial model, which computes each figure independently, for an interleaved stream
//! and any number of partitions and threads and any sizes of blocks.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::cases;
use common::model::policy::{ModelOnce, ModelPolicy, ModelRow, PolicyRun};
use common::replay::{self, RunSettings};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// A record of the stream.
#[derive(Debug, Clone)]
enum ModelEvent {
    LoyaltyRow { email: &'static str, fb: bool, insta: bool, gender: &'static str },
    Click { email: &'static str, promo: String, channel: String },
    Basket { email: &'static str, promo: String, items: Vec<&'static str> },
    Purchase { email: &'static str, promo: String, items: Vec<&'static str>, cost: &'static str },
}

use ModelEvent::{Basket, Click, LoyaltyRow, Purchase};

/// Costs as text, in cents, and their number of decimals. Some cannot be summed.
const COSTS: [(&str, Option<i128>, u8); 6] = [
    ("18.64", Some(1864), 2),
    ("-3.5", Some(-350), 1),
    ("+007", Some(700), 0),
    ("0.01", Some(1), 2),
    ("1234567890123456789", None, 0),
    ("999999999999.99", Some(99_999_999_999_999), 2),
];

fn cents(cost: &str) -> Option<i128> {
    COSTS.iter().find(|(text, ..)| *text == cost).unwrap().1
}

impl ModelEvent {
    fn line(&self) -> String {
        match self {
            LoyaltyRow { email, fb, insta, gender } => {
                format!("{email}, {}, {}, {gender}", if *fb { "fb" } else { "" }, if *insta { "insta" } else { "" })
            }
            Click { email, promo, channel } => format!("{promo}, ClickConversion, {email}, {channel}"),
            Basket { email, promo, items } => format!("{promo}, BasketConversion, {email}, [{}]", items.join(";")),
            Purchase { email, promo, items, cost } => {
                format!("{promo}, PurchaseConversion, {email}, [{}], {cost}", items.join(";"))
            }
        }
    }

    fn email(&self) -> &'static str {
        match self {
            LoyaltyRow { email, .. } | Click { email, .. } | Basket { email, .. } | Purchase { email, .. } => email,
        }
    }

    /// The same event with the email in lower case.
    fn lower_case(mut self) -> Self {
        let (LoyaltyRow { email, .. } | Click { email, .. } | Basket { email, .. } | Purchase { email, .. }) =
            &mut self;
        *email = if *email == "A@x" { "a@x" } else { *email };
        self
    }

    fn promo(&self) -> Option<&String> {
        match self {
            LoyaltyRow { .. } => None,
            Click { promo, .. } | Basket { promo, .. } | Purchase { promo, .. } => Some(promo),
        }
    }

    fn is_loyalty_row(&self) -> bool {
        matches!(self, LoyaltyRow { .. })
    }
}

const EMAILS: [&str; 10] = ["a@x", "b@x", "c@x", "d@x", "e@x", "f@x", "g@x", "h@x", "i@x", "A@x"];

fn event() -> impl Strategy<Value = ModelEvent> {
    let email = || select(EMAILS.to_vec());
    // More pairs of promo and channel than a bit set can contain.
    let promo = || (0_u32..10).prop_map(|number| format!("promo{number}"));
    let channel = (0_u32..10).prop_map(|number| if number == 0 { String::new() } else { format!("<b>{number}") });
    let items = || prop::collection::vec(select(vec!["6", "14", "=9", "6"]), 0..5);
    let cost = select(&COSTS[..]).prop_map(|(cost, ..)| cost);
    prop_oneof![
        2 => (email(), any::<bool>(), any::<bool>(), select(vec!["F", "M", ""]))
            .prop_map(|(email, fb, insta, gender)| LoyaltyRow { email, fb, insta, gender }),
        6 => (email(), promo(), channel).prop_map(|(email, promo, channel)| Click { email, promo, channel }),
        3 => (email(), promo(), items()).prop_map(|(email, promo, items)| Basket { email, promo, items }),
        2 => (email(), promo(), items(), cost)
            .prop_map(|(email, promo, items, cost)| Purchase { email, promo, items, cost }),
    ]
}

/// Often with many customers in the ledger, of whom most have no record.
fn policy() -> impl Strategy<Value = ModelPolicy> {
    let promo = || (0_u32..10).prop_map(|number| format!("promo{number}"));
    let promos = option::weighted(0.2, prop::collection::vec(promo(), 3..6));
    let once = option::of(select(vec![ModelOnce::Promo, ModelOnce::Customer, ModelOnce::Never]));
    let holdout = select(vec!["20", "50", "0.5"]).prop_map(|percent| (percent.to_owned(), "spring".to_owned()));
    let suppressed = prop::collection::vec(select(vec!["b@x", "C@X"]), 0..2);
    let suppressed = suppressed.prop_map(|emails| emails.into_iter().map(str::to_owned).collect());
    let email = prop_oneof![select(EMAILS.to_vec()).prop_map(str::to_owned), (0..60).prop_map(|n| format!("l{n}@x"))];
    let row = (select(vec!["now", "old", "older"]), promo(), email, any::<bool>()).prop_map(
        |(run, promo, email, is_sent)| ModelRow {
            run: run.to_owned(),
            promo: promo.into_bytes(),
            email: email.into_bytes(),
            is_sent,
            code: String::new(),
        },
    );
    let ledger = option::weighted(0.7, prop::collection::vec(row, 0..60));
    (promos, once, any::<bool>(), option::of(holdout), option::of(suppressed), ledger).prop_map(
        |(promos, once, ignores_case, holdout, suppressed, ledger)| {
            let run_id = "now".to_owned();
            ModelPolicy { promos, once, ignores_case, holdout, suppressed, ledger, run_id, ..ModelPolicy::default() }
        },
    )
}

/// The events, and the effect of each by the rule and the policy.
struct Model<'a> {
    events: &'a [ModelEvent],
    policy: Option<&'a ModelPolicy>,
    /// For each event: whether its customer was a member before.
    was_member: Vec<bool>,
    /// For each event: the reason for its decision; empty for a loyalty row.
    reasons: Vec<&'static str>,
    /// Customers who were members at their first conversion.
    early_members: BTreeSet<&'static str>,
    decimals: usize,
}

impl<'a> Model<'a> {
    fn of(events: &'a [ModelEvent], policy: Option<&'a ModelPolicy>) -> Self {
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

    fn numbered(&self) -> impl Iterator<Item = (usize, &'a ModelEvent)> {
        self.events.iter().enumerate().filter(|(_, event)| !event.is_loyalty_row())
    }

    fn count(&self, wanted: impl Fn(usize, &ModelEvent) -> bool) -> usize {
        self.numbered().filter(|&(number, event)| wanted(number, event)).count()
    }

    fn customers(&self, wanted: impl Fn(usize, &ModelEvent) -> bool) -> usize {
        let wanted = self.numbered().filter(|&(number, event)| wanted(number, event));
        wanted.map(|(_, event)| event.email()).collect::<BTreeSet<_>>().len()
    }

    fn sends(&self, number: usize, event: &ModelEvent) -> bool {
        matches!(event, Click { .. }) && self.reasons[number] == "member-click"
    }

    fn enrols(&self, number: usize, event: &ModelEvent) -> bool {
        matches!(event, Purchase { .. }) && !self.was_member[number]
    }

    fn cents(&self, wanted: impl Fn(&ModelEvent) -> bool) -> i128 {
        let costs = self.events.iter().filter(|event| wanted(event)).filter_map(|event| match event {
            Purchase { cost, .. } => cents(cost),
            _ => None,
        });
        costs.sum()
    }

    fn money(&self, cents: i128) -> String {
        let text = decimal(cents);
        let short = text.len() - (2 - self.decimals);
        text[..short].trim_end_matches('.').to_owned()
    }

    fn group(&self, name: &str, in_group: impl Fn(&ModelEvent) -> bool + Copy) -> [Value; 2] {
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
            "conversion": percent(after_click, clicked),
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

    fn clicks_of(&self, names: &[(&str, &str)], wanted: impl Fn(&str, &str) -> bool) -> Value {
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

    fn promo(&self, name: &str) -> Value {
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

    fn item(&self, id: &str) -> Value {
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

    fn members(&self) -> (Value, Vec<Value>) {
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
    fn timeline(&self) -> Vec<Value> {
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

    /// The tables of a policy with gates.
    fn reasons(&self) -> [Value; 2] {
        let all = self.numbered().count();
        let row = |reason: &str| {
            let decisions = self.count(|number, _| self.reasons[number] == reason);
            json!({"reason": reason, "decisions": decisions, "share": percent(decisions, all)})
        };
        let promos: BTreeSet<_> = self.events.iter().filter_map(ModelEvent::promo).collect();
        let of_promo = |promo: &String| {
            let mut row = json!({"promo": promo});
            let reasons = ["member-click", "other-promo", "suppressed", "already-sent", "held-out", "not-a-member"];
            for reason in reasons {
                let is =
                    |number: usize, event: &ModelEvent| self.reasons[number] == reason && event.promo() == Some(promo);
                row[reason] = json!(self.count(is));
            }
            row
        };
        [REASONS.map(row).into(), promos.into_iter().map(of_promo).collect()]
    }

    /// The tables of the lift, if an earlier run held out a customer.
    fn lift(&self) -> Option<[Value; 2]> {
        let policy = self.policy?;
        let mut is_sent = BTreeMap::new();
        for row in policy.ledger.iter().flatten().filter(|row| row.run != policy.run_id) {
            let is_named = |promo: &String| promo.as_bytes() == row.promo;
            if policy.promos.as_ref().is_none_or(|promos| promos.iter().any(is_named)) {
                is_sent.entry(row.email.to_ascii_lowercase()).or_insert(row.is_sent);
            }
        }
        let counts = |sent: bool| {
            let customers = is_sent.values().filter(|is_sent| **is_sent == sent).count();
            let is_of_group = |event: &ModelEvent| {
                let email = event.email().to_ascii_lowercase().into_bytes();
                matches!(event, Purchase { .. }) && is_sent.get(&email) == Some(&sent)
            };
            let of_group = self.events.iter().filter(|event| is_of_group(event));
            let buyers: BTreeSet<_> = of_group.clone().map(|event| event.email().to_ascii_lowercase()).collect();
            let unsummed = |event: &&ModelEvent| matches!(event, Purchase { cost, .. } if cents(cost).is_none());
            let revenue = self.cents(is_of_group);
            let row = json!({
                "group": if sent { "sent a code" } else { "held out" },
                "customers": customers,
                "customers_who_bought": buyers.len(),
                "conversion_rate": percent(buyers.len(), customers),
                "purchases": of_group.clone().count(),
                "revenue": self.money(revenue),
                "revenue_per_customer": mean(revenue, customers as i128),
                "not_in_revenue": of_group.filter(unsummed).count(),
            });
            (row, buyers.len() as f64, customers as f64)
        };
        let ((sent, bought, all), (held_out, other_bought, others)) = (counts(true), counts(false));
        let points = |share: f64| (all > 0.0).then(|| (share * 10_000.0).round() / 100.0);
        // The roots of the equation for a score interval.
        let ends = |part: f64, whole: f64| {
            let z = 1.959_963_984_540_054_f64;
            let root = z * (z * z + 4.0 * part * (1.0 - part / whole)).sqrt();
            [-root, root].map(|root| (2.0 * part + z * z + root) / (2.0 * (whole + z * z)))
        };
        let (rate, other_rate) = (bought / all, other_bought / others);
        let ([low, high], [other_low, other_high]) = (ends(bought, all), ends(other_bought, others));
        let from = rate - other_rate - ((rate - low).powi(2) + (other_high - other_rate).powi(2)).sqrt();
        let to = rate - other_rate + ((high - rate).powi(2) + (other_rate - other_low).powi(2)).sqrt();
        let contradicts = policy.holdout.as_ref().is_some_and(|(percent, _)| {
            let share = percent.parse::<f64>().unwrap() / 100.0;
            let expected = [(1.0 - share) * (all + others), share * (all + others)];
            let sum: f64 = [all, others].iter().zip(expected).map(|(found, of)| (found - of).powi(2) / of).sum();
            expected.iter().all(|expected| *expected >= 5.0 - 1e-9) && sum > 10.8276
        });
        let result = match (contradicts, from > 0.0, to < 0.0) {
            (true, ..) => "not comparable",
            (_, true, _) => "more buyers",
            (_, _, true) => "fewer buyers",
            _ => "too few to tell",
        };
        let difference = json!([{
            "difference": points(rate - other_rate), "interval_from": points(from), "interval_to": points(to),
            "result": result,
        }]);
        (others > 0.0).then(|| [json!([sent, held_out]), difference])
    }

    fn report(&self) -> Value {
        let groups = [
            self.group("all", |_| true),
            self.group("members", |event| self.early_members.contains(event.email())),
            self.group("non-members", |event| !self.early_members.contains(event.email())),
        ];
        let (mut promos, mut channels, mut pairs) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut items: BTreeSet<&str> = BTreeSet::new();
        for event in self.events {
            match event {
                LoyaltyRow { .. } => {}
                Click { promo, channel, .. } => {
                    promos.insert(promo);
                    channels.insert(channel);
                    pairs.insert((promo, channel));
                }
                Basket { promo, items: ids, .. } | Purchase { promo, items: ids, .. } => {
                    promos.insert(promo);
                    items.extend(ids.iter().copied());
                }
            }
        }
        let channel = |name: &&String| self.clicks_of(&[("channel", name)], |_, channel| channel == *name);
        let pair = |(promo, channel): &(&String, &String)| {
            self.clicks_of(&[("promo", promo), ("channel", channel)], |one, other| one == *promo && other == *channel)
        };
        let (membership, genders) = self.members();
        let conversions = self.numbered().count();
        let mut report = json!({
            "report": [{"title": replay::TITLE, "list_members": membership[0]["with_a_row"]}],
            "inputs": [{
                "input": replay::INPUT, "source": replay::SOURCE, "records": self.events.len(),
                "first_time": null, "last_time": null,
            }],
            "totals": groups.each_ref().map(|[totals, _]| totals),
            "funnel": groups.each_ref().map(|[_, funnel]| funnel),
            "promos": promos.iter().map(|name| self.promo(name)).collect::<Vec<_>>(),
            "channels": channels.iter().map(channel).collect::<Vec<_>>(),
            "promo_channels": pairs.iter().map(pair).collect::<Vec<_>>(),
            "items": items.iter().map(|id| self.item(id)).collect::<Vec<_>>(),
            "membership": membership,
            "genders": genders,
            "timeline": self.timeline(),
            "records": [{
                "records": self.events.len(), "conversions": conversions,
                "loyalty_rows": self.events.len() - conversions, "rejects": 0, "blanks": 0, "ignored": 0,
            }],
        });
        if self.policy.is_some_and(ModelPolicy::has_gates) {
            [report["reasons"], report["promo_reasons"]] = self.reasons();
        }
        if let Some(tables) = self.lift() {
            [report["lift"], report["lift_difference"]] = tables;
        }
        report
    }
}

const REASONS: [&str; 9] = [
    "member-click",
    "other-promo",
    "suppressed",
    "already-sent",
    "held-out",
    "no-code-left",
    "not-a-member",
    "basket",
    "purchase",
];

/// A part of a whole in percent, with one digit after the point.
fn percent(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| rounded(part * 1_000, whole) / 10.0)
}

/// A quotient rounded half up.
fn rounded(part: usize, whole: usize) -> f64 {
    ((2 * part + whole) / (2 * whole)) as f64
}

/// A mean of cents, rounded half away from zero.
fn mean(cents: i128, count: i128) -> Option<String> {
    let sign = if cents < 0 { -1 } else { 1 };
    (count > 0).then(|| decimal(sign * ((2 * cents.abs() + count) / (2 * count))))
}

/// Cents with two digits after the point.
fn decimal(cents: i128) -> String {
    format!("{}{}.{:02}", if cents < 0 { "-" } else { "" }, cents.abs() / 100, cents.abs() % 100)
}

/// A report sorts its lists by count, the model by name. Both are compared by name.
fn by_name(mut report: Value) -> Value {
    for list in ["promos", "channels", "promo_channels", "items", "genders", "promo_reasons"] {
        let names = |row: &Value| ["promo", "channel", "item", "gender"].map(|key| row[key].to_string());
        report[list].as_array_mut().into_iter().for_each(|rows| rows.sort_by_key(names));
    }
    report
}

fn report_of_engine(events: &[ModelEvent], policy: Option<&ModelPolicy>, settings: &RunSettings) -> Value {
    let lines: String = events.iter().map(|event| event.line() + "\n").collect();
    replay::report(lines, policy, settings)
}

fn settings() -> impl Strategy<Value = RunSettings> {
    (select(vec![1_u32, 3, 10, 1000]), select(vec![1_usize, 2, 8]), 1_usize..3_000, 1_usize..300).prop_map(
        |(partitions, threads, block_bytes, slice_bytes)| RunSettings {
            partitions,
            threads,
            block_bytes,
            slice_bytes,
            ..RunSettings::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(150)))]

    #[test]
    fn report_agrees_with_the_model(
        events in prop::collection::vec(event(), 0..250),
        policy in option::weighted(0.7, policy()),
        settings in settings(),
    ) {
        let policy = policy.as_ref();
        let actual = by_name(report_of_engine(&events, policy, &settings));
        let ignores_case = policy.is_some_and(|policy| policy.ignores_case);
        let events = events.into_iter().map(|event| if ignores_case { event.lower_case() } else { event });
        let events: Vec<_> = events.collect();
        let expected = by_name(Model::of(&events, policy).report());
        prop_assert_eq!(actual, expected);
    }
}
