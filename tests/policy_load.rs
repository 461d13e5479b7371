//! A policy under heavy and hostile load: time is linear, and memory is that which docs/internals.md states.

#![cfg(target_os = "linux")]

mod common;

use common::Scratch;
use common::usage::{Usage, usage_of_command};

const RUN: &str = "run -q --threads 2 --loyalty loyalty.txt --conversions conversions.txt";
const LEDGER: &str = "--ledger ledger.csv --run-id now";
const HEADER: &str = "run,promo,email,outcome,code\n";

fn scratch() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("loyalty.txt", "kim@example.com, , , F\n");
    scratch.write("conversions.txt", "P, ClickConversion, kim@example.com, w\n");
    scratch
}

/// Clicks of one customer, each for another promo.
fn distinct_promos(count: usize) -> String {
    (0..count).map(|promo| format!("P{promo}, ClickConversion, kim@example.com, w\n")).collect()
}

fn assert_linear(few: Usage, many: Usage, context: &str) {
    // Six times the input. Quadratic time would be 36 times as long.
    assert!(many.ticks < 14 * few.ticks.max(4), "{context}: {few:?}, {many:?}");
}

#[test]
fn distinct_promos_take_linear_time_and_memory() {
    const CLICKS: usize = 20_000;
    // A new run, the same run again, and the next run.
    for (context, earlier_run) in [("new", None), ("again", Some("now")), ("next", Some("earlier"))] {
        let usage = |clicks: usize| {
            let scratch = scratch();
            scratch.write("conversions.txt", distinct_promos(clicks));
            let row = |promo| format!("{},P{promo},kim@example.com,sent,\n", earlier_run.unwrap_or_default());
            let rows = if earlier_run.is_some() { (0..clicks).map(row).collect() } else { String::new() };
            scratch.write("ledger.csv", HEADER.to_owned() + &rows);
            let usage = usage_of_command(&scratch, &format!("{RUN} {LEDGER} -o out.txt"));
            assert_eq!(scratch.read("ledger.csv").lines().count(), clicks + 1, "{context}");
            usage
        };
        let (few, many) = (usage(CLICKS), usage(6 * CLICKS));
        assert_linear(few, many, context);
        // The promo, the customer with the promo, and the state of both, at most twice because of growing tables.
        let allowed = few.peak_kib + ((5 * CLICKS as u64 * 400) >> 10) + (16 << 10);
        assert!(many.peak_kib < allowed, "{context}: {few:?}, {many:?}");
    }
}

#[test]
fn promos_of_a_ledger_are_not_copied_to_each_partition() {
    let peak = |partitions: usize| {
        let scratch = scratch();
        let row = |promo| format!("earlier,a long name of a promo {promo},c{promo}@x,sent,\n");
        scratch.write("ledger.csv", HEADER.to_owned() + &(0..50_000).map(row).collect::<String>());
        usage_of_command(&scratch, &format!("{RUN} {LEDGER} --partitions {partitions} -o out.txt")).peak_kib
    };
    let (one, many) = (peak(1), peak(100));
    assert!(many < one + (16 << 10), "{one} KiB, {many} KiB");
}

#[test]
fn clicks_without_a_code_take_linear_time() {
    const CLICKS: usize = 20_000;
    for once in ["promo", "never"] {
        let usage = |clicks: usize| {
            let scratch = scratch();
            scratch.write("conversions.txt", distinct_promos(clicks / 2).repeat(2));
            let codes = (0..clicks).map(|code| format!("CODE{code}\n")).collect::<String>();
            let row = |code| format!("earlier,P,c{code}@x,sent,CODE{code}\n");
            scratch.write("ledger.csv", HEADER.to_owned() + &(0..clicks).map(row).collect::<String>());
            scratch.write("codes.txt", codes);
            scratch.write("campaign.toml", format!("once = \"{once}\"\n[codes]\nwhen_exhausted = \"withhold\"\n"));
            let codes = "--campaign campaign.toml --codes codes.txt --output-format csv -o out.csv";
            let usage = usage_of_command(&scratch, &format!("{RUN} {LEDGER} {codes}"));
            assert_eq!(scratch.read("out.csv").matches("no-code-left").count(), clicks);
            usage
        };
        assert_linear(usage(CLICKS), usage(6 * CLICKS), once);
    }
}

/// The growth of the peak for each of these lines of a file, in bytes.
fn bytes_for_each(file: &str, args: &str, header: &str, line: impl Fn(usize) -> String) -> u64 {
    const LINES: usize = 300_000;
    let peak = |lines: usize| {
        let scratch = scratch();
        scratch.write("ledger.csv", HEADER);
        scratch.write(file, header.to_owned() + &(0..lines).map(&line).collect::<String>());
        usage_of_command(&scratch, &format!("{RUN} {args}")).peak_kib
    };
    let (few, many) = (peak(LINES / 10), peak(LINES));
    many.saturating_sub(few) * 1024 / (LINES - LINES / 10) as u64
}

#[test]
fn memory_of_ledger_codes_and_suppression_is_bounded() {
    let ledger = format!("{LEDGER} -o out.txt");
    let row = |number| format!("earlier,P,customer{number}@example.com,sent,\n");
    let bytes = bytes_for_each("ledger.csv", &ledger, HEADER, row);
    eprintln!("{bytes} bytes for each row of other runs");
    // The email of at most 26 bytes is part of it.
    assert!(bytes < 100, "{bytes} bytes for each row of another run");

    let row = |number| format!("now,P,customer{number}@example.com,sent,\n");
    let bytes = bytes_for_each("ledger.csv", &ledger, HEADER, row);
    eprintln!("{bytes} bytes for each row of this run");
    assert!(bytes < 140, "{bytes} bytes for each row of this run");

    let codes = format!("{LEDGER} --codes codes.txt --output-format csv -o out.csv");
    let bytes = bytes_for_each("codes.txt", &codes, "", |number| format!("SPRING-{number:012}\n"));
    eprintln!("{bytes} bytes for each code");
    // A line has 20 bytes.
    assert!(bytes < 60, "{bytes} bytes for each code");

    let line = |number| format!("customer{number}@example.com\n");
    let bytes = bytes_for_each("suppressed.txt", "--suppress suppressed.txt -o out.txt", "", line);
    eprintln!("{bytes} bytes for each suppressed email");
    assert!(bytes < 100, "{bytes} bytes for each suppressed email");
}

#[test]
fn memory_of_once_grows_only_with_sends() {
    let peak = |clicks: usize| {
        let scratch = scratch();
        scratch.write("conversions.txt", "P, ClickConversion, kim@example.com, w\n".repeat(clicks));
        usage_of_command(&scratch, &format!("{RUN} {LEDGER} -o out.txt")).peak_kib
    };
    let (few, many) = (peak(100_000), peak(600_000));
    assert!(many < few + (16 << 10), "{few} KiB, {many} KiB");
}

#[test]
fn damaged_ledgers_and_codes_fail_without_long_messages() {
    let rows = "r,P,a@x,sent,\n".repeat(100_000);
    let long = "x".repeat(1 << 20);
    for (file, content, message) in [
        ("ledger.csv", format!("{HEADER}r,P,a@x,sent,\"A\n{rows}"), "ledger.csv:2: a quoted field is not closed"),
        ("ledger.csv", format!("{HEADER}r,\"P,a@x,sent,A\n{rows}"), "ledger.csv:2: a quoted field is not closed"),
        ("ledger.csv", format!("{HEADER}{long},P,a@x,sent,A\nr\n"), "ledger.csv:3: expected 5 fields, found 1"),
        ("ledger.csv", format!("{HEADER}r,P,a@x,{long},A\n"), "ledger.csv:2: unknown outcome \"xxx"),
        ("ledger.csv", format!("{long}\n"), "ledger.csv:1: this is not a ledger"),
        ("codes.txt", format!("A\n{long}\n"), "codes.txt:2: the line is longer than 65536 bytes"),
        ("codes.txt", format!("promo,code\nP,\"A\n{rows}"), "codes.txt:2: a quoted field is not closed"),
        ("codes.txt", format!("promo,code\n\"P,A\n{rows}"), "codes.txt:2: a quoted field is not closed"),
    ] {
        let scratch = scratch();
        scratch.write("codes.txt", "A\n");
        scratch.write(file, &content);
        let codes = "--codes codes.txt --output-format csv -o out.csv";
        let output = scratch.run(&format!("{RUN} {LEDGER} {codes}"));
        assert_eq!(output.code, Some(1), "{}", output.stderr);
        assert!(output.stderr.contains(message) && output.stderr.len() < 400, "{}", output.stderr);
        assert!(!scratch.file("out.csv").exists());
    }
}

#[test]
fn many_promos_of_the_campaign_take_linear_time() {
    let usage = |promos: usize| {
        let scratch = scratch();
        let names: String = (0..promos).map(|promo| format!("\"P{promo}\",")).collect();
        scratch.write("campaign.toml", format!("promos = [{names}]\n"));
        scratch.write("conversions.txt", distinct_promos(promos));
        usage_of_command(&scratch, &format!("{RUN} --campaign campaign.toml -o out.txt"))
    };
    assert_linear(usage(10_000), usage(60_000), "promos");
}

#[test]
fn promos_without_codes_need_no_memory() {
    let peak = |clicks: usize| {
        let scratch = scratch();
        scratch.write("campaign.toml", "promos = [\"other\"]\n");
        scratch.write("conversions.txt", distinct_promos(clicks));
        scratch.write("ledger.csv", HEADER);
        usage_of_command(&scratch, &format!("{RUN} --campaign campaign.toml {LEDGER} -o out.txt")).peak_kib
    };
    let (few, many) = (peak(200_000), peak(600_000));
    assert!(many < few + (8 << 10), "{few} KiB, {many} KiB");
}
