//! `adseg order-check` reports exactly the clicks whose decision a different order of the files would change.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::model::{ModelFormat, ModelInput, ModelSource, run};
use common::{CommandOutput, Scratch, cases, text};
use predicates::prelude::*;
use predicates::str::{contains, ends_with, starts_with};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

const ORDER_CHECK: &str = "order-check --loyalty loyalty.txt --conversions";

/// A record, by its file and its line.
type Location = (usize, usize);

fn lines() -> impl Strategy<Value = Vec<String>> {
    let email = select(vec!["listed@x", "a@x", "b@x", "A@x"]);
    let line = (email, 0..6).prop_map(|(email, kind)| match kind {
        0..=2 => format!("P, ClickConversion, {email}, w"),
        3 => format!("P, BasketConversion, {email}, [6]"),
        _ => format!("P, PurchaseConversion, {email}, [6], 1.50"),
    });
    prop::collection::vec(line, 0..7)
}

fn permutations(items: &[usize]) -> Vec<Vec<usize>> {
    if items.is_empty() {
        return vec![vec![]];
    }
    let starting_with = |&first: &usize| {
        let rest: Vec<_> = items.iter().copied().filter(|&item| item != first).collect();
        permutations(&rest).into_iter().map(move |rest| [vec![first], rest].concat())
    };
    items.iter().flat_map(starting_with).collect()
}

/// The decisions of the serial model if the files are read in this order.
fn decisions(files: &[Vec<String>], order: &[usize]) -> BTreeMap<Location, bool> {
    let input = |source, text: String| ModelInput::new(source, ModelFormat::Text, text);
    let loyalty = input(ModelSource::Loyalty, "listed@x, , , F\n".to_owned());
    let conversions = order.iter().map(|&file| input(ModelSource::Conversions, files[file].join("\n")));
    let inputs: Vec<_> = std::iter::once(loyalty).chain(conversions).collect();
    let output = text(run(&inputs, 1 << 20, 0).output);
    let locations = order.iter().flat_map(|&file| (1..=files[file].len()).map(move |line| (file, line)));
    locations.zip(output.lines().map(|line| line.ends_with("True"))).collect()
}

/// The exit code and the lines of `adseg order-check`.
fn order_check(files: &[Vec<String>], numbers: &str) -> (Option<i32>, Vec<Value>) {
    let scratch = Scratch::new();
    scratch.write("loyalty.txt", "listed@x, , , F\n");
    let names: Vec<_> = (0..files.len()).map(|file| format!("{file}.txt")).collect();
    for (name, lines) in names.iter().zip(files) {
        scratch.write(name, lines.join("\n"));
    }
    let args = format!("{ORDER_CHECK} {} --format jsonl {numbers}", names.join(" "));
    let CommandOutput { code, stdout, .. } = scratch.run(&args);
    (code, stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn file_of(value: &Value) -> usize {
    value.as_str().unwrap().strip_suffix(".txt").unwrap().parse().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(60)))]

    #[test]
    fn reported_clicks_are_exactly_the_order_dependent_ones(
        files in prop::collection::vec(lines(), 2..5),
        numbers in select(vec!["", "--partitions 1 --threads 1", "--partitions 3 --threads 2"]),
    ) {
        let given_order: Vec<usize> = (0..files.len()).collect();
        let given = decisions(&files, &given_order);
        let by_order: Vec<_> = permutations(&given_order).iter().map(|order| decisions(&files, order)).collect();
        let differs = |click: &&Location| by_order.iter().any(|decisions| decisions[*click] != given[*click]);
        let dependent: BTreeSet<Location> = given.keys().filter(differs).copied().collect();
        let codes = |decisions: &BTreeMap<Location, bool>| dependent.iter().filter(|click| decisions[click]).count();

        let (code, lines) = order_check(&files, numbers);
        prop_assert_eq!(code, Some(i32::from(!dependent.is_empty())));
        let clicks: Vec<_> = lines.iter().filter(|line| line["kind"] == "click").collect();
        let reported: BTreeMap<Location, bool> = clicks
            .iter()
            .map(|line| ((file_of(&line["file"]), line["line"].as_u64().unwrap() as usize), line["send"].as_bool().unwrap()))
            .collect();
        prop_assert_eq!(clicks.len(), reported.len());
        let expected: BTreeMap<Location, bool> = dependent.iter().map(|click| (*click, given[click])).collect();
        prop_assert_eq!(reported, expected);

        let summary = lines.last().unwrap();
        prop_assert_eq!(&summary["clicks"], dependent.len());
        prop_assert_eq!(&summary["codes"], codes(&given));

        let mut pairs = BTreeMap::new();
        for click in clicks {
            let (file, email) = (file_of(&click["file"]), click["email"].as_str().unwrap());
            let bought = first_purchases(&files, email).into_iter().filter(|&(bought_in, _)| bought_in != file);
            let bought: Vec<Location> = bought.collect();
            let reported = (file_of(&click["bought"]["file"]), click["bought"]["line"].as_u64().unwrap() as usize);
            prop_assert_eq!(reported, bought[0]);
            prop_assert_eq!(&click["bought_in_files"], bought.len());
            *pairs.entry((file, reported.0)).or_insert(0) += 1;
        }
        let pair = |line: &Value| {
            let files = (file_of(&line["clicked_in"]), file_of(&line["bought_in"]));
            (files, line["clicks"].as_u64().unwrap())
        };
        let reported: Vec<_> = lines.iter().filter(|line| line["kind"] == "pair").map(pair).collect();
        prop_assert_eq!(reported, pairs.into_iter().collect::<Vec<_>>());
    }
}

/// The first purchase by this customer in each file that has one.
fn first_purchases(files: &[Vec<String>], email: &str) -> Vec<Location> {
    let purchase = format!("P, PurchaseConversion, {email}, ");
    let first = |(file, lines): (usize, &Vec<String>)| {
        Some((file, lines.iter().position(|line| line.starts_with(&purchase))? + 1))
    };
    files.iter().enumerate().filter_map(first).collect()
}

/// Twelve non-members who click twice in one file and buy once in another.
fn order_dependent_campaign() -> Scratch {
    let scratch = Scratch::small_campaign();
    let click = |email: &str| format!("P, ClickConversion, {email}@x, w\n");
    let buy = |email: &str| format!("P, PurchaseConversion, {email}@x, [6], 9.45\n");
    let numbers = 1..=12;
    scratch.write("clicks.txt", numbers.clone().map(|n| click(&format!("c{n}")).repeat(2)).collect::<String>());
    scratch.write("purchases.txt", numbers.map(|n| buy(&format!("c{n}"))).collect::<String>());
    scratch
}

#[test]
fn text_report_is_short_unless_all_is_given() {
    let scratch = order_dependent_campaign();
    let first = scratch.adseg(&format!("{ORDER_CHECK} clicks.txt purchases.txt")).assert().code(1);
    first.stdout(
        contains("24 clicks depend on the order of the conversions files; in the order given, 0 of them get a code\n")
            .and(contains("  clicks.txt:1   c1@x   False  bought at purchases.txt:1; 1 more click like this\n"))
            .and(contains("  and clicks of 2 more (--all lists every click)\n"))
            .and(ends_with("in clicks.txt, 24 clicks depend on purchases in purchases.txt\n")),
    );
    let all = scratch.run(&format!("{ORDER_CHECK} purchases.txt clicks.txt --all")).stdout;
    assert_eq!(all.matches("  True   bought at purchases.txt:").count(), 24, "{all}");
    assert!(!all.contains("more"), "{all}");
}

#[test]
fn single_file_or_stream_does_not_depend_on_order() {
    let scratch = order_dependent_campaign();
    let nothing = "no click depends on the order of the conversions files: there is only one\n";
    scratch.adseg(&format!("{ORDER_CHECK} clicks.txt")).assert().success().stdout(nothing);
    scratch.adseg("order-check --loyalty - --conversions -").assert().success().stdout(nothing);
    let jsonl = scratch.adseg(&format!("{ORDER_CHECK} clicks.txt --format jsonl")).assert().success();
    jsonl.stdout(starts_with("{\"kind\":\"summary\",\"clicks\":0,\"codes\":0}"));
    scratch.adseg(&format!("{ORDER_CHECK} nothing.txt")).assert().code(2);
}

#[test]
fn clicks_of_members_do_not_depend_on_order() {
    let scratch = order_dependent_campaign();
    scratch.write("loyalty.txt", (1..=12).map(|number| format!("c{number}@x, , , F\n")).collect::<String>());
    let nothing = "no click depends on the order of the conversions files\n";
    scratch.adseg(&format!("{ORDER_CHECK} clicks.txt purchases.txt")).assert().success().stdout(nothing);
}

#[test]
fn files_with_the_same_content_are_two_files() {
    let scratch = Scratch::small_campaign();
    for name in ["both.txt", "copy.txt"] {
        scratch.write(name, "P, ClickConversion, a@x, w\nP, PurchaseConversion, a@x, [6], 1.50\n");
    }
    let assert = scratch.adseg(&format!("{ORDER_CHECK} both.txt copy.txt")).assert().code(1);
    assert.stdout(contains("2 clicks depend").and(contains("in the order given, 1 of them gets a code")));
}

#[test]
fn click_is_listed_with_one_purchase_and_file_count() {
    let scratch = Scratch::small_campaign();
    let (click, purchase) = ("P, ClickConversion, a@x, w\n", "P, PurchaseConversion, a@x, [6], 9.45\n");
    scratch.write("both.txt", format!("{click}{click}{purchase}"));
    ["1.txt", "2.txt", "3.txt"].iter().for_each(|name| drop(scratch.write(name, purchase)));
    for (order, bought) in [
        ("both.txt 1.txt", "False  bought at 1.txt:1; 1 more click like this\n"),
        ("both.txt 1.txt 2.txt", "False  bought at 1.txt:1 (and in 1 more file); 1 more click like this\n"),
        ("2.txt 1.txt both.txt 3.txt", "True   bought at 2.txt:1 (and in 2 more files); 1 more click like this\n"),
    ] {
        let report = scratch.adseg(&format!("{ORDER_CHECK} {order}")).assert().code(1);
        report.stdout(contains(format!("  both.txt:1  a@x  {bought}")));
    }
}

#[test]
fn report_on_many_files_is_short() {
    let scratch = Scratch::small_campaign();
    let names: Vec<_> = (1..=30).map(|day| format!("{day}.txt")).collect();
    for name in &names {
        scratch.write(name, "P, ClickConversion, a@x, w\nP, PurchaseConversion, a@x, [6], 9.45\n");
    }
    let report = |args: &str| scratch.run(&format!("{ORDER_CHECK} {} {args}", names.join(" "))).stdout;
    let short = report("");
    assert!(
        short.starts_with("30 clicks depend on the order of the conversions files; in the order given, 29 of them")
    );
    assert_eq!(short.matches("\nin ").count(), 20, "{short}");
    assert!(short.ends_with("and clicks on purchases in 10 more pairs of files (--all lists every pair)\n"), "{short}");
    assert_eq!(report("--all").matches("\nin ").count(), 30);
}

#[test]
fn bad_record_stops_order_check_or_is_counted() {
    let scratch = order_dependent_campaign();
    scratch.write("baskets.txt", "bad\n".repeat(7));
    let command = format!("{ORDER_CHECK} clicks.txt baskets.txt purchases.txt");
    scratch.adseg(&command).assert().code(2).stdout("").stderr(contains("baskets.txt:1: expected a conversion"));
    let skipped = scratch.adseg(&format!("{command} --on-error skip")).assert().code(1);
    skipped
        .stdout(contains("24 clicks depend"))
        .stderr(ends_with("adseg: 7 bad records skipped, the first 5 printed above\n"));
}

#[test]
fn data_cannot_control_the_terminal() {
    let scratch = Scratch::small_campaign();
    scratch.write("clicks.txt", b"P, ClickConversion, \xc2\x9b2J\xff@x, w\n");
    scratch.write("purchases.txt", b"P, PurchaseConversion, \xc2\x9b2J\xff@x, [6], 9.45\n");
    let report = scratch.run(&format!("{ORDER_CHECK} clicks.txt purchases.txt")).stdout;
    assert!(report.contains("  \\u{9b}2J\\xff@x  "));
}
