//! `adseg check`: it tells every bad record, and what it passes, `run` takes.

mod common;

use common::{RUN, Scratch};
use predicates::prelude::*;
use predicates::str::contains;

const CHECK: &str = "check --loyalty loyalty.txt --conversions conversions.txt";

#[test]
fn a_file_with_a_thousand_planted_faults_has_exactly_these() {
    let scratch = Scratch::small_campaign();
    let faults = [
        "P, ClikConversion, a@x, w",
        "P, ClickConversion, , w",
        "P, ClickConversion, a@x",
        "P, BasketConversion, a@x, 6",
        "P, PurchaseConversion, a@x, [6], nine",
    ];
    let (mut conversions, mut planted) = (String::new(), Vec::new());
    for line in 1..=50_000_usize {
        // Spread unevenly, with two in a row now and then.
        if line % 97 < 2 && planted.len() < 1_000 {
            conversions.push_str(faults[line % faults.len()]);
            planted.push(line);
        } else {
            conversions.push_str("P, ClickConversion, kim@example.com, Web");
        }
        conversions.push('\n');
    }
    assert_eq!(planted.len(), 1_000);
    scratch.write("conversions.txt", conversions);
    for numbers in ["", "--threads 1 --partitions 1", "--threads 8"] {
        let output = scratch.adseg(&format!("{CHECK} --format jsonl {numbers}")).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let told = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<serde_json::Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let errors: Vec<usize> = lines
            .iter()
            .filter(|line| line["kind"] == "error")
            .map(|line| usize::try_from(line["line"].as_u64().unwrap()).unwrap())
            .collect();
        assert_eq!(errors, planted);
        assert_eq!(lines.last().unwrap()["errors"], 1_000);
    }
}

#[test]
fn what_check_passes_run_takes_and_what_run_refuses_check_tells() {
    let scratch = Scratch::small_campaign();
    scratch.adseg(CHECK).assert().success();
    scratch.adseg(RUN).assert().success();
    scratch.write("conversions.txt", "P, ClickConversion, a@x, w\nP, ClickConversion\n");
    let reason = "conversions.txt:2: expected a click with 4 fields (promo, ClickConversion, email, where), found 2";
    scratch.adseg(CHECK).assert().code(1).stdout(contains(reason));
    scratch.adseg(RUN).assert().code(1).stderr(contains(reason));
}

#[test]
fn no_more_errors_are_told_than_wanted_and_all_are_counted() {
    let scratch = Scratch::small_campaign();
    scratch.write("conversions.txt", "bad\n".repeat(9));
    let assert = scratch.adseg(&format!("{CHECK} --max-errors 2")).assert().code(1);
    let told = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    assert_eq!(told.lines().filter(|line| line.starts_with("conversions.txt:")).count(), 2);
    assert_eq!(row_of(&told, "bad records"), 9);
}

/// The number behind a name in the table of a report.
fn row_of(report: &str, name: &str) -> u64 {
    let row = report.lines().find_map(|line| line.trim_start().strip_prefix(name));
    row.unwrap().trim().parse().unwrap()
}

#[test]
fn one_stream_of_members_and_conversions_is_checked_in_arrival_order() {
    let stream = "P, ClickConversion, Kim@x, w\nkim@x, , , F\nP, ClickConversion, KIM@x, w\n";
    let assert = Scratch::new().adseg("check --loyalty - --conversions -").write_stdin(stream).assert().success();
    assert.stdout(contains("warning: stdin:3: the email differs from a member's only by case"));
}

#[test]
fn more_names_than_anybody_reads_give_the_same_report_for_any_number_of_partitions() {
    let scratch = Scratch::small_campaign();
    let promo = |number: u32| format!("promo{number}, BasketConversion, customer{number}@example.com, []\n");
    scratch.write("conversions.txt", (0..20_000).map(promo).collect::<String>());
    let report = |numbers: &str| scratch.adseg(&format!("{CHECK} {numbers}")).output().unwrap().stdout;
    let told = String::from_utf8(report("")).unwrap();
    assert_eq!(row_of(&told, "(too many or too long)"), 20_000);
    assert_eq!(report("--partitions 1"), told.as_bytes());
}

#[test]
fn thousands_of_spellings_of_one_email_are_told_apart() {
    let scratch = Scratch::small_campaign();
    let spelling = |number: usize| -> String {
        let case = |(bit, char): (usize, char)| if number >> bit & 1 == 1 { char.to_ascii_uppercase() } else { char };
        "abcdefghijklmnop@example.com".chars().enumerate().map(case).collect()
    };
    let row = |number: usize| format!("{}, , , F\n", spelling(number % 20_000));
    scratch.write("loyalty.txt", (0..40_000).map(row).collect::<String>());
    let told = String::from_utf8(scratch.adseg(CHECK).output().unwrap().stdout).unwrap();
    assert_eq!(row_of(&told, "for an email seen before"), 20_000);
    assert!(told.contains("only by case, so it is somebody else's (19999 times, here first)"), "{told}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_report_that_cannot_be_written_is_an_error() {
    let scratch = Scratch::small_campaign();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = scratch.piped(CHECK).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(contains("stdout: cannot write").eval(&String::from_utf8(output.stderr).unwrap()));
}

#[test]
fn channels_that_were_seen_once_are_all_counted_even_if_not_all_are_told() {
    let scratch = Scratch::small_campaign();
    let click = |number: u32| format!("P, ClickConversion, kim@example.com, channel{number}\n");
    scratch.write("conversions.txt", (0..30).map(click).collect::<String>());
    let told = String::from_utf8(scratch.adseg(CHECK).output().unwrap().stdout).unwrap();
    assert_eq!(told.lines().filter(|line| line.contains("is seen only here")).count(), 20);
    assert!(told.contains("a further channel is seen only once (10 times, here first)"), "{told}");
    assert_eq!((row_of(&told, "warnings"), row_of(&told, "channels")), (30, 30));
}
