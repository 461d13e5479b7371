//! `adseg order-check`: it names exactly the clicks whose decision another order of the files would change.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use adseg::record::Expected;
use adseg::source::Framing;
use common::Scratch;
use common::model::{ModelInput, run};
use predicates::prelude::*;
use predicates::str::{contains, ends_with, starts_with};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

/// A click, by the file it is in and its line.
type Click = (usize, usize);

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
    let begun = items.iter().flat_map(|&first| {
        let rest: Vec<_> = items.iter().copied().filter(|&item| item != first).collect();
        permutations(&rest).into_iter().map(move |rest| [vec![first], rest].concat())
    });
    begun.collect()
}

/// What the serial model decides on every record when the files are read in this order.
fn decisions(files: &[Vec<String>], order: &[usize]) -> BTreeMap<Click, bool> {
    let input = |expected, bytes: String| ModelInput { expected, framing: Framing::Text, bytes: bytes.into_bytes() };
    let loyalty = input(Expected::Customers, "listed@x, , , F\n".to_owned());
    let conversions = order.iter().map(|&file| input(Expected::Conversions, files[file].join("\n")));
    let inputs: Vec<_> = std::iter::once(loyalty).chain(conversions).collect();
    let output = String::from_utf8(run(&inputs, 1 << 20, 0).output).unwrap();
    let places = order.iter().flat_map(|&file| (1..=files[file].len()).map(move |line| (file, line)));
    places.zip(output.lines().map(|line| line.ends_with("True"))).collect()
}

fn name(file: usize) -> String {
    format!("{file}.txt")
}

fn report(files: &[Vec<String>], order: &[usize], numbers: &str) -> (Option<i32>, Vec<Value>) {
    let scratch = Scratch::new();
    scratch.write("loyalty.txt", "listed@x, , , F\n");
    for (file, lines) in files.iter().enumerate() {
        scratch.write(&name(file), lines.join("\n"));
    }
    let named: Vec<_> = order.iter().map(|&file| name(file)).collect();
    let args = format!("order-check --format jsonl --loyalty loyalty.txt {numbers} --conversions {}", named.join(" "));
    let output = scratch.adseg(&args).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), told.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn file_of(value: &Value) -> usize {
    value.as_str().unwrap().strip_suffix(".txt").unwrap().parse().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn exactly_the_clicks_are_named_whose_decision_differs_in_another_order(
        files in prop::collection::vec(lines(), 2..5),
        numbers in select(vec!["", "--partitions 1 --threads 1", "--partitions 3 --threads 2"]),
    ) {
        let given: Vec<usize> = (0..files.len()).collect();
        let of_given = decisions(&files, &given);
        let of_orders: Vec<_> = permutations(&given).iter().map(|order| decisions(&files, order)).collect();
        let differs = |click: &&Click| of_orders.iter().any(|decisions| decisions[*click] != of_given[*click]);
        let hanging: BTreeSet<Click> = of_given.keys().filter(differs).copied().collect();
        let codes = |decisions: &BTreeMap<Click, bool>| hanging.iter().filter(|click| decisions[click]).count();

        let (code, lines) = report(&files, &given, numbers);
        prop_assert_eq!(code, Some(i32::from(!hanging.is_empty())));
        let clicks: Vec<_> = lines.iter().filter(|line| line["kind"] == "click").collect();
        let named: BTreeMap<Click, bool> = clicks
            .iter()
            .map(|line| ((file_of(&line["file"]), line["line"].as_u64().unwrap() as usize), line["send"].as_bool().unwrap()))
            .collect();
        prop_assert_eq!(clicks.len(), named.len());
        let expected: BTreeMap<Click, bool> = hanging.iter().map(|click| (*click, of_given[click])).collect();
        prop_assert_eq!(named, expected);

        let summary = lines.last().unwrap();
        prop_assert_eq!(&summary["clicks"], hanging.len());
        prop_assert_eq!(&summary["codes"], codes(&of_given));
        for (extreme, codes_of) in [
            ("most", of_orders.iter().map(codes).max().unwrap()),
            ("fewest", of_orders.iter().map(codes).min().unwrap()),
        ] {
            let Some(files_named) = summary[extreme]["files"].as_array() else {
                prop_assert!(hanging.is_empty());
                continue;
            };
            prop_assert_eq!(&summary[extreme]["codes"], codes_of);
            let order: Vec<usize> = files_named.iter().map(file_of).collect();
            prop_assert_eq!(order.iter().copied().collect::<BTreeSet<_>>(), given.iter().copied().collect::<BTreeSet<_>>());
            prop_assert_eq!(codes(&decisions(&files, &order)), codes_of, "{} {:?}", extreme, order);
        }

        // A pair is told for every click and every other file in which its customer bought.
        let pairs: u64 = lines.iter().filter_map(|line| line["clicks"].as_u64().filter(|_| line["kind"] == "pair")).sum();
        let bought: usize = clicks.iter().map(|line| line["bought"].as_array().unwrap().len()).sum();
        prop_assert_eq!(pairs, bought as u64);
        for click in clicks {
            for place in click["bought"].as_array().unwrap() {
                let line = &files[file_of(&place["file"])][place["line"].as_u64().unwrap() as usize - 1];
                let bought = format!("P, PurchaseConversion, {}, ", click["email"].as_str().unwrap());
                prop_assert!(line.starts_with(&bought), "{}", line);
                prop_assert!(place["file"] != click["file"]);
            }
        }
    }
}

fn scratch() -> Scratch {
    let scratch = Scratch::small_campaign();
    let click = |email: &str| format!("P, ClickConversion, {email}@x, w\n");
    let buy = |email: &str| format!("P, PurchaseConversion, {email}@x, [6], 9.45\n");
    let numbers = 1..=12;
    scratch.write("clicks.txt", numbers.clone().map(|n| click(&format!("c{n}")).repeat(2)).collect::<String>());
    scratch.write("purchases.txt", numbers.map(|n| buy(&format!("c{n}"))).collect::<String>());
    scratch
}

const ORDER_CHECK: &str = "order-check --loyalty loyalty.txt --conversions";

#[test]
fn the_first_clicks_are_told_to_people_and_all_of_them_to_who_asks() {
    let scratch = scratch();
    let first = scratch.adseg(&format!("{ORDER_CHECK} clicks.txt purchases.txt")).assert().code(1);
    first.stdout(
        contains("24 clicks hang on the order of the conversions files; in the order given, 0 of them get a code\n")
            .and(contains("  clicks.txt:1   c1@x   False  bought at purchases.txt:1; 1 more click like this\n"))
            .and(contains("  and clicks of 2 more (--all tells every click)\n"))
            .and(contains("in clicks.txt, 24 clicks hang on purchases in purchases.txt\n"))
            .and(contains("most codes:   24, with purchases.txt, then clicks.txt\n"))
            .and(ends_with("fewest codes: 0, with clicks.txt, then purchases.txt (the order given)\n")),
    );
    let all = scratch.adseg(&format!("{ORDER_CHECK} purchases.txt clicks.txt --all")).output().unwrap();
    let told = String::from_utf8(all.stdout).unwrap();
    assert_eq!(told.matches("  True   bought at purchases.txt:").count(), 24, "{told}");
    assert!(!told.contains("more"), "{told}");
}

#[test]
fn nothing_hangs_on_the_order_of_a_single_file_or_stream() {
    let scratch = scratch();
    let nothing = "no click hangs on the order of the conversions files, there is only one\n";
    scratch.adseg(&format!("{ORDER_CHECK} clicks.txt")).assert().success().stdout(nothing);
    scratch.adseg("order-check --loyalty - --conversions -").assert().success().stdout(nothing);
    let jsonl = scratch.adseg(&format!("{ORDER_CHECK} clicks.txt --format jsonl")).assert().success();
    jsonl.stdout(starts_with("{\"kind\":\"summary\",\"clicks\":0,\"codes\":0,"));
    scratch.adseg(&format!("{ORDER_CHECK} nothing.txt")).assert().code(1);
}

#[test]
fn nothing_hangs_on_the_order_of_files_that_only_members_click_in() {
    let scratch = scratch();
    scratch.write("loyalty.txt", (1..=12).map(|number| format!("c{number}@x, , , F\n")).collect::<String>());
    let nothing = "no click hangs on the order of the conversions files\n";
    scratch.adseg(&format!("{ORDER_CHECK} clicks.txt purchases.txt")).assert().success().stdout(nothing);
}

#[test]
fn one_file_named_twice_is_two_files() {
    let scratch = Scratch::small_campaign();
    scratch.write("both.txt", "P, ClickConversion, a@x, w\nP, PurchaseConversion, a@x, [6], 1.50\n");
    let told = scratch.adseg(&format!("{ORDER_CHECK} both.txt both.txt")).assert().code(1);
    told.stdout(contains("2 clicks hang").and(contains("in the order given, 1 of them gets a code")));
}

#[test]
fn a_month_of_daily_files_does_not_make_a_report_of_a_thousand_lines() {
    let scratch = Scratch::small_campaign();
    let names: Vec<_> = (1..=30).map(|day| format!("{day}.txt")).collect();
    for name in &names {
        scratch.write(name, "P, ClickConversion, a@x, w\nP, PurchaseConversion, a@x, [6], 9.45\n");
    }
    let report = |args: &str| {
        let output = scratch.adseg(&format!("{ORDER_CHECK} {} {args}", names.join(" "))).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let told = report("");
    assert!(told.starts_with("30 clicks hang on the order of the conversions files; in the order given, 29 of them"));
    assert_eq!(told.matches("\nin ").count(), 20, "{told}");
    assert!(told.ends_with("and clicks on purchases in 850 more pairs of files (--all tells every one)\n"), "{told}");
    assert_eq!(report("--all").matches("\nin ").count(), 870);
}

#[test]
fn bad_records_end_it_or_are_counted() {
    let scratch = scratch();
    scratch.write("baskets.txt", "bad\n".repeat(7));
    let command = format!("{ORDER_CHECK} clicks.txt baskets.txt purchases.txt");
    scratch.adseg(&command).assert().code(1).stdout("").stderr(contains("baskets.txt:1: expected a conversion"));
    let skipped = scratch.adseg(&format!("{command} --on-error skip")).assert().code(1);
    skipped
        .stdout(contains("24 clicks hang"))
        .stderr(ends_with("adseg: 7 bad records skipped, the first 5 told above\n"));
}

#[test]
fn nothing_in_the_data_can_steer_a_terminal() {
    let scratch = Scratch::small_campaign();
    scratch.write("clicks.txt", b"P, ClickConversion, \xc2\x9b2J\xff@x, w\n");
    scratch.write("purchases.txt", b"P, PurchaseConversion, \xc2\x9b2J\xff@x, [6], 9.45\n");
    let told = scratch.adseg(&format!("{ORDER_CHECK} clicks.txt purchases.txt")).output().unwrap().stdout;
    assert!(String::from_utf8(told).unwrap().contains("  \\u{9b}2J\\xff@x  "));
}
