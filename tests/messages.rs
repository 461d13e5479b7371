//! Messages on standard error, and exit codes.

mod common;

use std::thread;
use std::time::Duration;

use common::live::LiveRun;
use common::{RUN, RUN_STDIN, SMALL_CONVERSIONS, SMALL_DECISIONS, Scratch};
use predicates::prelude::*;
use predicates::str::{contains, is_empty, starts_with};

const SKIP: &str = "run --loyalty loyalty.txt --conversions conversions.txt --on-error skip";

/// Six bad records, two blank lines, two clicks, and a purchase by a non-member.
fn mixed_campaign() -> Scratch {
    let scratch = Scratch::small_campaign();
    let bad = "nonsense\n".repeat(6);
    let purchase = "Hoodie, PurchaseConversion, lee@example.com, [6;9], 18.64";
    scratch.write("conversions.txt", format!("{SMALL_CONVERSIONS}\n{bad} \t\n{purchase}"));
    scratch
}

#[test]
fn first_bad_record_is_deterministic() {
    let scratch = Scratch::small_campaign();
    let mut conversions = SMALL_CONVERSIONS.repeat(50_000);
    let middle = conversions.len() / 2;
    let first = conversions[..middle].rfind('\n').unwrap() + 1;
    conversions.insert_str(first, "first bad one\nnext bad one\n");
    conversions.push_str(&"later bad one\n".repeat(50));
    let line = conversions[..first].lines().count() + 1;
    scratch.write("conversions.txt", conversions);
    for numbers in ["", "--threads 8", "--threads 2 --partitions 1", "--threads 1", "--threads 3 --partitions 100"] {
        let output = scratch.run(&format!("{RUN} {numbers}"));
        assert!(output.stderr.starts_with(&format!("adseg: conversions.txt:{line}: ")), "{}", output.stderr);
        assert_eq!(output.stdout.matches('\n').count(), line - 1);
    }
}

#[test]
fn summary_accounts_for_every_record() {
    let stderr = mixed_campaign().run(&format!("{SKIP} --summary=json --quiet")).stderr;
    let (count, json) = stderr.split_once('\n').unwrap();
    assert_eq!(count, "adseg: 6 bad records skipped (--rejects DIR keeps them)");
    let summary: serde_json::Value = serde_json::from_str(json).unwrap();
    for (name, count) in [
        ("records", 12),
        ("decisions", 3),
        ("loyalty_rows", 1),
        ("rejects", 6),
        ("blanks", 2),
        ("ignored", 0),
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
    assert_eq!(sum(&["records"]), sum(&["decisions", "loyalty_rows", "rejects", "blanks", "ignored"]));
    assert_eq!(sum(&["decisions"]), sum(&["clicks", "baskets", "purchases"]));
}

#[test]
fn summary_counts_ignored_conversions() {
    let scratch = Scratch::small_campaign();
    let rows =
        "at,email,conversion\n1,kim@example.com,click\n2,,view\n\n3,kim@example.com,click\n4,kim@example.com,buy\n";
    scratch.write("conversions.txt", rows);
    let args = format!("{RUN} --type ignore=view --time-column at --since 2 --on-error skip --summary=json --quiet");
    let output = scratch.run(&args);
    assert_eq!(output.stdout, "Send additional promo code to: kim@example.com, True\n");
    for count in ["\"records\":6", "\"decisions\":1", "\"rejects\":1", "\"blanks\":1", "\"ignored\":2"] {
        assert!(output.stderr.contains(count), "{count}: {}", output.stderr);
    }
}

#[test]
fn text_summary_is_a_table() {
    let assert = mixed_campaign().adseg(&format!("{SKIP} --summary")).assert().success();
    assert
        .stderr(contains("\nrecords in                      12\n  decisions                      3\n"))
        .stderr(contains("\n  rejects                        6\n  blank lines                    2\n"))
        .stderr(contains(" records/s, "));
}

#[test]
fn first_skipped_records_are_printed_and_all_are_counted() {
    let scratch = mixed_campaign();
    let output = scratch.run(SKIP);
    assert_eq!(output.code, Some(0));
    let stderr = output.stderr;
    assert_eq!(stderr.lines().filter(|line| line.contains(": expected a conversion")).count(), 5);
    assert!(stderr.starts_with("adseg: conversions.txt:4: expected a conversion"), "{stderr}");
    let count = "adseg: 6 bad records skipped, the first 5 printed above (--rejects DIR keeps them)\n";
    assert!(stderr.ends_with(count), "{stderr}");
    scratch.adseg(&format!("{SKIP} --quiet")).assert().success().stderr(starts_with("adseg: 6 bad records skipped"));
}

#[test]
fn progress_is_shown_on_request_or_on_a_terminal() {
    let scratch = Scratch::small_campaign();
    for (progress, is_shown) in [("always", true), ("auto", false), ("never", false)] {
        let mut run = LiveRun::start(&scratch, &format!("{RUN_STDIN} --progress {progress}"));
        for _ in 0..4 {
            run.send(SMALL_CONVERSIONS);
            // A bar appears only after some time, even if the run starts slowly.
            thread::sleep(Duration::from_millis(400));
        }
        run.close_stdin();
        assert_eq!(run.read_to_end(), SMALL_DECISIONS.repeat(4));
        let (_, stderr) = run.wait();
        assert_eq!(stderr.contains("9 records"), is_shown, "{progress}: {stderr}");
        assert_eq!(stderr.is_empty(), !is_shown, "{progress}: {stderr}");
    }
}

#[test]
fn usage_error_exits_with_2_and_shows_correct_usage() {
    let scratch = Scratch::small_campaign();
    for (args, message) in [
        ("", "Usage: adseg"),
        ("run", "--loyalty <FILE>"),
        ("run --loyalty loyalty.txt", "--conversions <FILE>"),
        ("walk", "unrecognized subcommand 'walk'"),
        (&format!("{RUN} --partitions 0"), "--partitions"),
        (&format!("{RUN} --partitions 1000000"), "expected a number from 1 to 10000"),
        (&format!("{RUN} --threads 0"), "--threads"),
        (&format!("{RUN} --max-record-bytes 0"), "--max-record-bytes"),
        (&format!("{RUN} --max-rejects 3"), "needs --on-error skip"),
    ] {
        scratch.adseg(args).assert().code(2).stdout(is_empty()).stderr(contains(message));
    }
}

#[test]
fn usage_errors_look_like_all_other_errors() {
    let scratch = Scratch::small_campaign();
    for args in ["run", "walk", &format!("{RUN} --no-such-option"), &format!("{RUN} -o loyalty.txt"), "man walk"] {
        scratch.adseg(args).assert().code(2).stderr(starts_with("adseg: ").and(contains("error: ").not()));
    }
    let mut escapes = scratch.adseg("man");
    escapes
        .arg("\u{1b}]0;x\u{7}\u{202e}")
        .assert()
        .code(2)
        .stderr(predicate::function(|text: &str| !text.contains(['\u{1b}', '\u{7}', '\u{202e}'])));
}

#[test]
fn misspelled_subcommand_is_suggested() {
    for (typed, meant) in [("rnu", "run"), ("chekc", "check"), ("explian", "explain"), ("order-chekc", "order-check")] {
        Scratch::new()
            .adseg(typed)
            .assert()
            .code(2)
            .stderr(contains(format!("a similar subcommand exists: '{meant}'")));
    }
}

#[test]
fn negative_numbers_are_invalid_values() {
    let scratch = Scratch::small_campaign();
    for args in [
        format!("{RUN} --on-error skip --max-rejects -1"),
        format!("{RUN} --threads -1"),
        "check --loyalty loyalty.txt --conversions conversions.txt --max-listed -1".to_owned(),
        "generate --loyalty - --members -1".to_owned(),
    ] {
        let assert = scratch.adseg(&args).assert().code(2);
        assert.stderr(starts_with("adseg: invalid value '-1' for '--").and(contains("expected a ")));
    }
}

#[test]
fn options_are_grouped_in_one_order() {
    const GROUPS: [&str; 7] = ["Inputs:", "Output:", "Report:", "Data:", "Bad records:", "Messages:", "Speed:"];
    for command in ["run", "check", "order-check", "explain", "diff", "report", "frame", "unframe", "generate"] {
        let help = Scratch::new().run(&format!("{command} --help")).stdout;
        let groups: Vec<_> = help.lines().filter_map(|line| GROUPS.iter().position(|group| *group == line)).collect();
        assert!(!groups.is_empty() && groups.is_sorted() && groups.windows(2).all(|pair| pair[0] != pair[1]), "{help}");
    }
}

#[test]
fn help_has_examples_and_exit_codes() {
    let scratch = Scratch::new();
    for args in ["--help", "run --help", "help run"] {
        scratch.adseg(args).assert().success().stdout(contains("Examples:").and(contains("130  interrupted by")));
    }
    scratch.adseg("--version").assert().success().stdout(starts_with("adseg "));
}

#[test]
fn swapped_csv_and_csv_without_header_are_recognized() {
    let scratch = Scratch::small_campaign();
    scratch.write("list.csv", "email,fb_user,insta_user,gender\n");
    scratch.write("log.csv", "promo,conversion,email,where\n");
    let swapped = scratch.adseg("run --loyalty log.csv --conversions list.csv --input-format csv").assert().code(1);
    swapped.stderr(contains("list.csv:1: ").and(contains("(are --loyalty and --conversions swapped?)")));
    let text = scratch.adseg(&format!("{RUN} --loyalty-format csv")).assert().code(1);
    text.stderr(contains("; if the first line is a record, this is text (--loyalty-format text) or CSV without"));
}

#[test]
fn name_from_an_option_is_escaped_in_a_header_error() {
    let scratch = Scratch::small_campaign();
    scratch.write("list.csv", "email\nkim@example.com\n");
    let run = "run --loyalty list.csv --conversions conversions.txt --column";
    let error = scratch.adseg(run).arg("loyalty.gender=\u{1b}]0;x\u{202e}").assert().code(1);
    error.stderr(contains(r#"no column "\u{1b}]0;x\u{202e}" for gender"#).and(contains("\u{1b}").not()));
}
