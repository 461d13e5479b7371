//! What is told on the standard error, and the exit codes.

mod common;

use std::io::Write;
use std::thread;
use std::time::Duration;

use common::{RUN, SMALL_ANSWERS, SMALL_CONVERSIONS, Scratch};
use predicates::prelude::*;
use predicates::str::{contains, is_empty, starts_with};

const SKIP: &str = "run --loyalty loyalty.txt --conversions conversions.txt --on-error skip";

/// Six bad records, two blank lines, two clicks, a purchase that enrols.
fn mixed_campaign() -> Scratch {
    let scratch = Scratch::small_campaign();
    let bad = "nonsense\n".repeat(6);
    let purchase = "Hoodie, PurchaseConversion, lee@example.com, [6;9], 18.64";
    scratch.write("conversions.txt", format!("{SMALL_CONVERSIONS}\n{bad} \t\n{purchase}"));
    scratch
}

#[test]
fn a_run_that_went_well_says_nothing() {
    Scratch::small_campaign().adseg(RUN).assert().success().stdout(SMALL_ANSWERS).stderr(is_empty());
}

#[test]
fn the_first_bad_record_is_the_same_one_on_every_run() {
    let scratch = Scratch::small_campaign();
    let mut conversions = SMALL_CONVERSIONS.repeat(50_000);
    let first = conversions.len() / 2;
    let first = conversions[..first].rfind('\n').unwrap() + 1;
    conversions.insert_str(first, "first bad one\nnext bad one\n");
    conversions.push_str(&"later bad one\n".repeat(50));
    let line = conversions[..first].lines().count() + 1;
    scratch.write("conversions.txt", conversions);
    for numbers in ["", "--threads 8", "--threads 2 --partitions 1", "--threads 1", "--threads 3 --partitions 100"] {
        let output = scratch.adseg(&format!("{RUN} {numbers}")).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.starts_with(&format!("adseg: conversions.txt:{line}: ")), "{told}");
        assert_eq!(output.stdout.iter().filter(|&&byte| byte == b'\n').count(), line - 1);
    }
}

#[test]
fn the_summary_accounts_for_every_record() {
    let json = mixed_campaign().adseg(&format!("{SKIP} --summary=json --quiet")).output().unwrap().stderr;
    let told = String::from_utf8(json).unwrap();
    let (count, json) = told.split_once('\n').unwrap();
    assert_eq!(count, "adseg: 6 bad records skipped (--rejects DIR would keep them)");
    let summary: serde_json::Value = serde_json::from_str(json).unwrap();
    for (name, count) in [
        ("records", 12),
        ("decisions", 3),
        ("loyalty_rows", 1),
        ("rejects", 6),
        ("blanks", 2),
        ("clicks", 2),
        ("baskets", 0),
        ("purchases", 1),
        ("codes_to_send", 1),
        ("newly_enrolled", 1),
        ("members", 2),
    ] {
        assert_eq!(summary[name], count, "{name}");
    }
    let sum = |names: &[&str]| names.iter().map(|name| summary[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!(sum(&["records"]), sum(&["decisions", "loyalty_rows", "rejects", "blanks"]));
    assert_eq!(sum(&["decisions"]), sum(&["clicks", "baskets", "purchases"]));
}

#[test]
fn the_summary_for_people_is_a_table_behind_everything_else() {
    let scratch = mixed_campaign();
    let assert = scratch.adseg(&format!("{SKIP} --summary")).assert().success();
    assert
        .stderr(contains("\nrecords in                      12\n  decisions                      3\n"))
        .stderr(contains("\n  rejects                        6\n  blank lines                    2\n"))
        .stderr(contains(" records/s, "));
}

#[test]
fn the_first_few_skipped_records_are_told_and_all_are_counted() {
    let scratch = mixed_campaign();
    let assert = scratch.adseg(SKIP).assert().success();
    let told = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    assert_eq!(told.lines().filter(|line| line.contains(": expected a conversion")).count(), 5);
    assert!(told.starts_with("adseg: conversions.txt:4: expected a conversion"), "{told}");
    let count = "adseg: 6 bad records skipped, the first 5 told above (--rejects DIR would keep them)\n";
    assert!(told.ends_with(count), "{told}");
    scratch.adseg(&format!("{SKIP} --quiet")).assert().success().stderr(starts_with("adseg: 6 bad records skipped"));
}

#[test]
fn progress_is_shown_when_asked_for_and_otherwise_only_on_a_terminal() {
    let scratch = Scratch::small_campaign();
    for (progress, shown) in [("always", true), ("auto", false), ("never", false)] {
        let args = format!("run --loyalty loyalty.txt --conversions - --progress {progress}");
        let mut run = scratch.piped(&args).spawn().unwrap();
        let mut stdin = run.stdin.take().unwrap();
        for _ in 0..4 {
            stdin.write_all(SMALL_CONVERSIONS.as_bytes()).unwrap();
            // Longer than a run has to take for a bar to appear, even one that is slow to start.
            thread::sleep(Duration::from_millis(400));
        }
        drop(stdin);
        let output = run.wait_with_output().unwrap();
        assert_eq!(output.stdout, SMALL_ANSWERS.repeat(4).as_bytes());
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(told.contains("9 records"), shown, "{progress}: {told}");
        assert_eq!(told.is_empty(), !shown, "{progress}: {told}");
    }
}

#[test]
fn wrong_usage_ends_with_exit_code_2_and_a_remedy() {
    let scratch = Scratch::small_campaign();
    for (args, told) in [
        ("", "Usage: adseg"),
        ("run", "--loyalty <FILE>"),
        ("run --loyalty loyalty.txt", "--conversions <FILE>"),
        ("walk", "unrecognized subcommand 'walk'"),
        (&format!("{RUN} --partitions 0"), "--partitions"),
        (&format!("{RUN} --partitions 1000000"), "expected a number from 1 to 10000"),
        (&format!("{RUN} --threads 0"), "--threads"),
        (&format!("{RUN} --max-record-bytes 0"), "--max-record-bytes"),
        (&format!("{RUN} --max-rejects 3"), "need --on-error skip"),
    ] {
        scratch.adseg(args).assert().code(2).stdout(is_empty()).stderr(contains(told));
    }
}

#[test]
fn help_teaches_with_examples_and_exit_codes() {
    let scratch = Scratch::new();
    for args in ["--help", "run --help", "help run"] {
        scratch.adseg(args).assert().success().stdout(contains("Examples:").and(contains("130  interrupted by")));
    }
    scratch.adseg("--version").assert().success().stdout(starts_with("adseg "));
}
