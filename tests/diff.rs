//! `adseg diff` reports exactly the decisions in which two runs differ.

mod common;

use std::collections::BTreeMap;

use common::campaigns::{DecidedClick, campaign};
use common::{CommandOutput, Scratch, cases};
use predicates::prelude::*;
use predicates::str::{contains, starts_with};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

const SOURCES: &str = "--loyalty loyalty.txt --conversions conversions.txt";

/// Changed decisions by old and new reason.
type Pairs = BTreeMap<(String, String), u64>;

/// The decisions that differ.
fn changes(old: &[DecidedClick], new: &[DecidedClick]) -> Vec<(DecidedClick, DecidedClick)> {
    assert_eq!(old.len(), new.len());
    old.iter().cloned().zip(new.iter().cloned()).filter(|(old, new)| old.reason != new.reason).collect()
}

/// How many customers get more codes, and how many fewer.
fn customers(changes: &[(DecidedClick, DecidedClick)], joins_spellings: bool) -> [usize; 2] {
    let mut balances = BTreeMap::<String, i64>::new();
    for (old, new) in changes {
        let customer = if joins_spellings { old.email.to_ascii_lowercase() } else { old.email.clone() };
        *balances.entry(customer).or_default() += i64::from(new.send) - i64::from(old.send);
    }
    [1, -1].map(|sign| balances.values().filter(|balance| balance.signum() == sign).count())
}

/// The lines that `diff --format jsonl` must print for these decisions.
fn expected_lines(old: &[DecidedClick], new: &[DecidedClick], joins_spellings: bool) -> Vec<Value> {
    let changes = changes(old, new);
    let (mut pairs, mut promos) = (Pairs::new(), BTreeMap::<String, Pairs>::new());
    let mut lines = Vec::new();
    for (old, new) in &changes {
        let outcome = |decided: &DecidedClick| json!({"reason": decided.reason, "send": decided.send});
        lines.push(json!({
            "kind": "change", "file": "conversions.txt", "line": old.line, "email": old.email, "promo": old.promo,
            "old": outcome(old), "new": outcome(new),
        }));
        let pair = (old.reason.clone(), new.reason.clone());
        *pairs.entry(pair.clone()).or_default() += 1;
        *promos.entry(old.promo.clone()).or_default().entry(pair).or_default() += 1;
    }
    for ((old, new), decisions) in pairs {
        lines.push(json!({"kind": "reasons", "old": old, "new": new, "decisions": decisions}));
    }
    for (promo, pairs) in promos {
        for ((old, new), decisions) in pairs {
            lines.push(json!({"kind": "promo", "promo": promo, "old": old, "new": new, "decisions": decisions}));
        }
    }
    let codes = [old, new].map(|decisions| decisions.iter().filter(|decided| decided.send).count());
    let [gain, lose] = customers(&changes, joins_spellings);
    lines.push(json!({
        "kind": "summary", "decisions": old.len(), "changed": changes.len(), "other_promos": 0,
        "codes": {"old": codes[0], "new": codes[1]}, "customers": {"gain": gain, "lose": lose},
    }));
    lines
}

/// Sorts the lines with counts by their reasons, whose names sort differently from the reasons.
fn sorted(mut lines: Vec<Value>) -> Vec<Value> {
    let changes = lines.iter().take_while(|line| line["kind"] == "change").count();
    lines[changes..].sort_by_key(Value::to_string);
    lines
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(100)))]

    #[test]
    fn diff_is_the_comparison_of_two_runs(
        campaign in campaign(),
        files in select(&[["old.toml", "new.toml"], ["none", "new.toml"], ["old.toml", "none"], ["old.toml", "old.toml"]][..]),
    ) {
        let scratch = campaign.scratch();
        let [old, new] = files.map(|file| campaign.run(&scratch, file));
        let joins = |(file, rules)| file != "none" && campaign.joins_spellings(rules);
        let rules = files.map(|file| &campaign.rules[usize::from(file == "new.toml")]);
        let expected = expected_lines(&old, &new, files.into_iter().zip(rules).any(joins));
        let jsonl = campaign.read_only(&scratch, &format!("diff {} {} --format jsonl", files[0], files[1]));
        let lines: Vec<Value> = jsonl.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let changed = changes(&old, &new).len();
        prop_assert_eq!((jsonl.code, jsonl.stderr.as_str()), (Some(i32::from(changed > 0)), ""));
        prop_assert_eq!(sorted(lines), sorted(expected));
        prop_assert!(files != ["old.toml", "old.toml"] || changed == 0);
        let text = campaign.read_only(&scratch, &format!("diff {} {}", files[0], files[1]));
        prop_assert_eq!(text.code, jsonl.code);
        let start = if changed == 0 { "no decision differs: ".to_owned() } else { format!("{changed} of ") };
        prop_assert!(text.stdout.starts_with(&start), "{}", text.stdout);
    }
}

/// A campaign whose policies differ in one rule.
fn two_policies() -> Scratch {
    let scratch = Scratch::small_campaign();
    scratch.write("old.toml", "");
    scratch.write("new.toml", "promos = ['Other']\n");
    scratch
}

#[test]
fn exit_code_distinguishes_differences_from_failures() {
    let scratch = two_policies();
    let code = |args: &str| scratch.run(&format!("diff {args}")).code;
    assert_eq!(code(&format!("none old.toml {SOURCES}")), Some(0));
    assert_eq!(code(&format!("old.toml new.toml {SOURCES}")), Some(1));
    for args in ["none nothing.toml", "- none", "none none --ledger nothing.csv", "none none --suppress nothing.txt"] {
        assert_eq!(code(&format!("{args} {SOURCES}")), Some(2), "{args}");
    }
    scratch.write("conversions.txt", "P, ClickConversion, kim@example.com, w\nbad\n");
    assert_eq!(code(&format!("none new.toml {SOURCES}")), Some(2));
    let skipped = scratch.adseg(&format!("diff none new.toml {SOURCES} --on-error skip")).assert().code(1);
    skipped.stdout(starts_with("1 of 1 decision differs\n")).stderr(contains("adseg: 1 bad record skipped\n"));
}

#[test]
fn input_tables_of_both_files_must_agree() {
    let scratch = two_policies();
    scratch.write("events.csv", "who;what\nkim@example.com;klick\n");
    let conversions =
        "[conversions]\ncolumns = { email = \"who\", conversion = \"what\" }\ntypes.click = [\"klick\"]\n";
    scratch.write("tables.toml", conversions);
    scratch.write("promos.toml", format!("promos = ['Other']\n{conversions}"));
    scratch.write(
        "sorted.toml",
        conversions.replace("email = \"who\", conversion = \"what\"", "conversion = \"what\", email = \"who\""),
    );
    scratch.write("other.toml", conversions.replace("klick", "click"));
    let diff = |files: &str| scratch.run(&format!("diff {files} --loyalty loyalty.txt --conversions events.csv"));
    for (files, code) in [
        ("none tables.toml", 0),
        ("tables.toml old.toml", 0),
        ("new.toml tables.toml", 1),
        ("tables.toml promos.toml", 1),
        ("sorted.toml tables.toml", 0),
    ] {
        let CommandOutput { code: actual, stderr, .. } = diff(files);
        assert_eq!((actual, stderr.as_str()), (Some(code), ""), "{files}");
    }
    let differ = diff("tables.toml other.toml");
    assert_eq!((differ.code, differ.stdout.as_str()), (Some(2), ""));
    let message = "adseg: tables.toml and other.toml have different tables [conversions], but the inputs are read once";
    assert!(differ.stderr.starts_with(message), "{}", differ.stderr);
}

#[test]
fn campaign_option_and_misplaced_files_are_usage_errors() {
    let scratch = two_policies();
    let with_option = scratch.adseg(&format!("diff none old.toml {SOURCES} --campaign new.toml")).assert().code(2);
    with_option.stderr(starts_with("adseg: diff has no option --campaign; name two campaign files before the options"));
    let misplaced = scratch.adseg(&format!("diff {SOURCES} old.toml new.toml")).assert().code(2);
    misplaced.stderr(contains("<OLD>").and(contains("adseg diff [OPTIONS] <OLD> <NEW> --loyalty")));
}

#[test]
fn first_customers_are_listed_in_input_order() {
    let scratch = two_policies();
    let emails: Vec<_> = (1..=12).map(|number| format!("c{number}@x")).collect();
    scratch.write("loyalty.txt", emails.iter().map(|email| format!("{email}, , , \n")).collect::<String>());
    let click = |email: &String| format!("P, ClickConversion, {email}, w\n");
    let clicks: String = emails.iter().rev().map(click).collect();
    scratch.write("conversions.txt", clicks.repeat(2));
    for partitions in [1, 7] {
        let diff = |files: &str| scratch.run(&format!("diff {files} {SOURCES} --partitions {partitions}")).stdout;
        let (_, lost) = diff("old.toml new.toml")
            .split_once("12 customers get fewer codes\n")
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .unwrap();
        let listed: String = (3..=12)
            .rev()
            .map(|number| {
                let email = format!("c{number}@x");
                format!("  {email:5}  2 fewer, first at conversions.txt:{}\n", 13 - number)
            })
            .collect();
        assert_eq!(lost, format!("{listed}  and 2 more\n"));
        let gained = diff("new.toml old.toml");
        assert!(
            gained.contains("12 customers get more codes\n  c12@x  2 more, first at conversions.txt:1\n"),
            "{gained}"
        );
    }
}

#[test]
fn too_many_promos_are_counted_together() {
    let scratch = two_policies();
    let clicks = |count: usize| -> String {
        (0..count).map(|number| format!("P{number}, ClickConversion, kim@example.com, w\n")).collect()
    };
    let long = format!("{}, ClickConversion, kim@example.com, w\n", "x".repeat(101));
    for (count, others) in [(10_000, 1), (10_001, 10_002)] {
        scratch.write("conversions.txt", clicks(count) + &long);
        for partitions in [1, 5] {
            let args = format!("diff none new.toml {SOURCES} --format jsonl --partitions {partitions}");
            let jsonl = scratch.run(&args).stdout;
            let summary: Value = serde_json::from_str(jsonl.lines().last().unwrap()).unwrap();
            assert_eq!(summary["other_promos"], others);
            let listed = jsonl.lines().filter(|line| line.starts_with("{\"kind\":\"promo\"")).count();
            assert_eq!(listed, count + 1 - others);
        }
    }
}
