//! The figures of a report agree with a serial model, which computes each figure independently, for an interleaved stream
//! and any number of partitions and threads and any sizes of blocks.

mod common;

use std::collections::BTreeSet;

use common::cases;
use common::model::policy::{ModelOnce, ModelPolicy, ModelRow};
use common::model::report::ReportModel;
use common::model::report_events::COSTS;
use common::model::report_events::ModelEvent::{self, Basket, Click, LoyaltyRow, Purchase};
use common::model::report_policy;
use common::replay::{self, RunSettings};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

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

fn report_of_model(model: &ReportModel<'_>) -> Value {
    let groups = [
        model.group("all", |_| true),
        model.group("members", |event| model.early_members.contains(event.email())),
        model.group("non-members", |event| !model.early_members.contains(event.email())),
    ];
    let (mut promos, mut channels, mut pairs) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut items: BTreeSet<&str> = BTreeSet::new();
    for event in model.events {
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
    let channel = |name: &&String| model.clicks_of(&[("channel", name)], |_, channel| channel == *name);
    let pair = |(promo, channel): &(&String, &String)| {
        model.clicks_of(&[("promo", promo), ("channel", channel)], |one, other| one == *promo && other == *channel)
    };
    let (membership, genders) = model.members();
    let conversions = model.numbered().count();
    let mut report = json!({
        "report": [{"title": replay::TITLE, "list_members": membership[0]["with_a_row"]}],
        "inputs": [{
            "input": replay::INPUT, "source": replay::SOURCE, "records": model.events.len(),
            "first_time": null, "last_time": null,
        }],
        "totals": groups.each_ref().map(|[totals, _]| totals),
        "funnel": groups.each_ref().map(|[_, funnel]| funnel),
        "promos": promos.iter().map(|name| model.promo(name)).collect::<Vec<_>>(),
        "channels": channels.iter().map(channel).collect::<Vec<_>>(),
        "promo_channels": pairs.iter().map(pair).collect::<Vec<_>>(),
        "items": items.iter().map(|id| model.item(id)).collect::<Vec<_>>(),
        "membership": membership,
        "genders": genders,
        "timeline": model.timeline(),
        "records": [{
            "records": model.events.len(), "conversions": conversions,
            "loyalty_rows": model.events.len() - conversions, "rejects": 0, "blanks": 0, "ignored": 0,
        }],
    });
    if model.policy.is_some_and(ModelPolicy::has_gates) {
        [report["reasons"], report["promo_reasons"]] = report_policy::reasons(model);
    }
    if let Some(tables) = report_policy::lift(model) {
        [report["lift"], report["lift_difference"]] = tables;
    }
    report
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
        let expected = by_name(report_of_model(&ReportModel::of(&events, policy)));
        prop_assert_eq!(actual, expected);
    }
}
