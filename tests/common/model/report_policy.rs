//! The model of the tables of a report that only a campaign with a policy has.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::report::ReportModel;
use super::report_events::ModelEvent::{self, Purchase};
use super::report_events::{cents, mean, percent};

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

/// The tables of a policy with gates.
pub fn reasons(model: &ReportModel<'_>) -> [Value; 2] {
    let all = model.numbered().count();
    let row = |reason: &str| {
        let decisions = model.count(|number, _| model.reasons[number] == reason);
        json!({"reason": reason, "decisions": decisions, "share": percent(decisions, all)})
    };
    let promos: BTreeSet<_> = model.events.iter().filter_map(ModelEvent::promo).collect();
    let of_promo = |promo: &String| {
        let mut row = json!({"promo": promo});
        let reasons = ["member-click", "other-promo", "suppressed", "already-sent", "held-out", "not-a-member"];
        for reason in reasons {
            let is =
                |number: usize, event: &ModelEvent| model.reasons[number] == reason && event.promo() == Some(promo);
            row[reason] = json!(model.count(is));
        }
        row
    };
    [REASONS.map(row).into(), promos.into_iter().map(of_promo).collect()]
}

/// The tables of the lift, if an earlier run held out a customer.
pub fn lift(model: &ReportModel<'_>) -> Option<[Value; 2]> {
    let policy = model.policy?;
    let mut is_sent = BTreeMap::new();
    for row in policy.ledger.iter().flatten().take_while(|row| row.run != policy.run_id) {
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
        let of_group = model.events.iter().filter(|event| is_of_group(event));
        let buyers: BTreeSet<_> = of_group.clone().map(|event| event.email().to_ascii_lowercase()).collect();
        let unsummed = |event: &&ModelEvent| matches!(event, Purchase { cost, .. } if cents(cost).is_none());
        let revenue = model.cents(is_of_group);
        let row = json!({
            "group": if sent { "sent a code" } else { "held out" },
            "customers": customers,
            "customers_who_bought": buyers.len(),
            "conversion_rate": percent(buyers.len(), customers),
            "purchases": of_group.clone().count(),
            "revenue": model.money(revenue),
            "revenue_per_customer": mean(revenue, customers as i128),
            "not_in_revenue": of_group.filter(unsummed).count(),
        });
        (row, buyers.len() as f64, customers as f64)
    };
    let ((sent, bought, all), (held_out, other_bought, others)) = (counts(true), counts(false));
    let points = |share: f64| (all > 0.0 && others > 0.0).then(|| (share * 10_000.0).round() / 100.0);
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
    let result = match (contradicts || all == 0.0 || others == 0.0, from > 0.0, to < 0.0) {
        (true, ..) => "not comparable",
        (_, true, _) => "more buyers",
        (_, _, true) => "fewer buyers",
        _ => "too few to tell",
    };
    let difference = json!([{
        "difference": points(rate - other_rate), "interval_from": points(from), "interval_to": points(to),
        "result": result,
    }]);
    (others > 0.0 || all > 0.0 && policy.holdout.is_some()).then(|| [json!([sent, held_out]), difference])
}
