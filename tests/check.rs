//! `adseg check` reports every bad record, and `run` accepts what `check` passes.

mod common;

use common::{CommandOutput, RUN, Scratch};
use predicates::str::contains;

const CHECK: &str = "check --loyalty loyalty.txt --conversions conversions.txt";

#[test]
fn thousand_planted_faults_are_found_exactly() {
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
        // The faults are unevenly spread, and sometimes consecutive.
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
        let CommandOutput { code, stdout, .. } = scratch.run(&format!("{CHECK} --format jsonl {numbers}"));
        assert_eq!(code, Some(1));
        let lines: Vec<serde_json::Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let errors: Vec<usize> = lines
            .iter()
            .filter(|line| line["kind"] == "bad_record")
            .map(|line| usize::try_from(line["line"].as_u64().unwrap()).unwrap())
            .collect();
        assert_eq!(errors, planted);
        assert_eq!(lines.last().unwrap()["bad_records"], 1_000);
    }
}

#[test]
fn check_and_run_give_the_same_reason() {
    let scratch = Scratch::small_campaign();
    scratch.adseg(CHECK).assert().success();
    scratch.adseg(RUN).assert().success();
    scratch.write("conversions.txt", "P, ClickConversion, a@x, w\nP, ClickConversion\n");
    let reason = "conversions.txt:2: expected a click with 4 fields (promo, ClickConversion, email, where), found 2";
    scratch.adseg(CHECK).assert().code(1).stdout(contains(reason));
    scratch.adseg(RUN).assert().code(1).stderr(contains(reason));
}

#[test]
fn printed_errors_are_limited_and_all_are_counted() {
    let scratch = Scratch::small_campaign();
    scratch.write("conversions.txt", "bad\n".repeat(9));
    let CommandOutput { code, stdout, .. } = scratch.run(&format!("{CHECK} --max-listed 2"));
    assert_eq!(code, Some(1));
    assert_eq!(stdout.lines().filter(|line| line.starts_with("conversions.txt:")).count(), 2);
    assert_eq!(count_of(&stdout, "bad records"), 9);
}

/// The number after a name in the table of a report.
fn count_of(report: &str, name: &str) -> u64 {
    let row = report.lines().find_map(|line| line.trim_start().strip_prefix(name));
    row.unwrap().trim().parse().unwrap()
}

#[test]
fn interleaved_stream_is_checked_in_arrival_order() {
    let stream = "P, ClickConversion, Kim@x, w\nkim@x, , , F\nP, ClickConversion, KIM@x, w\n";
    let assert = Scratch::new().adseg("check --loyalty - --conversions -").write_stdin(stream).assert().success();
    assert.stdout(contains("warning: stdin:3: the email differs from a member's only in case"));
}

#[test]
fn surplus_names_are_counted_for_any_number_of_partitions() {
    let scratch = Scratch::small_campaign();
    let promo = |number: u32| format!("promo{number}, BasketConversion, customer{number}@example.com, []\n");
    scratch.write("conversions.txt", (0..20_000).map(promo).collect::<String>());
    let report = scratch.run(CHECK).stdout;
    assert_eq!(count_of(&report, "(too many or too long)"), 20_000);
    common::assert_same(scratch.run(&format!("{CHECK} --partitions 1")).stdout, report, "one partition");
}

#[test]
fn thousands_of_spellings_of_one_email_are_distinguished() {
    let scratch = Scratch::small_campaign();
    let spelling = |number: usize| -> String {
        let case = |(bit, char): (usize, char)| if number >> bit & 1 == 1 { char.to_ascii_uppercase() } else { char };
        "abcdefghijklmnop@example.com".chars().enumerate().map(case).collect()
    };
    let row = |number: usize| format!("{}, , , F\n", spelling(number % 20_000));
    scratch.write("loyalty.txt", (0..40_000).map(row).collect::<String>());
    let report = scratch.run(CHECK).stdout;
    assert_eq!(count_of(&report, "duplicate rows"), 20_000);
    assert!(report.contains("only in case, so it is a different customer (19999 times, first here)"), "{report}");
}

#[test]
fn emails_without_at_sign_give_one_warning() {
    let scratch = Scratch::small_campaign();
    let click = |email: String| format!("P, ClickConversion, {email}, Web\n");
    for (ids, warning) in
        [(1_000, "none of the first 1,000 emails of the conversions has an @"), (999, "the email has no @ (1099")]
    {
        let ids = (0..ids).map(|number| click(format!("customer{number}")));
        let others = (0..100).flat_map(|number| [click(format!("c{number}@x")), click(format!("id{number}"))]);
        scratch.write("conversions.txt", ids.chain(others).collect::<String>());
        let report = scratch.run(CHECK).stdout;
        assert!(report.starts_with(&format!("warning: conversions.txt:1: {warning}")), "{report}");
        assert_eq!(count_of(&report, "warnings"), if report.contains("none of") { 1 } else { 1_099 });
        common::assert_same(scratch.run(&format!("{CHECK} --partitions 1")).stdout, report, "one partition");
    }
}

#[test]
fn many_copies_are_counted_in_the_same_sample() {
    let scratch = Scratch::small_campaign();
    let basket = |number: u32| format!("P, BasketConversion, customer{number}@example.com, []\n");
    let records = (0..600_000).flat_map(|number| std::iter::repeat_n(basket(number), 1 + usize::from(number % 6 == 0)));
    scratch.write("conversions.txt", records.collect::<String>());
    let report = scratch.run(CHECK).stdout;
    assert!(report.contains("the record is an exact copy of an earlier record (at least "), "{report}");
    assert!((20_000..30_000).contains(&count_of(&report, "warnings")), "{report}");
    common::assert_same(scratch.run(&format!("{CHECK} --partitions 1 --threads 1")).stdout, report, "one partition");
}

#[test]
fn rare_channels_are_counted_even_if_not_printed() {
    let scratch = Scratch::small_campaign();
    let click = |number: u32| format!("P, ClickConversion, kim@example.com, channel{number}\n");
    scratch.write("conversions.txt", (0..30).map(click).collect::<String>());
    let report = scratch.run(CHECK).stdout;
    assert_eq!(report.lines().filter(|line| line.contains("occurs only here")).count(), 20);
    assert!(report.contains("another channel occurs only once (10 times, first here)"), "{report}");
    assert_eq!((count_of(&report, "warnings"), count_of(&report, "channels")), (30, 30));
}

#[test]
fn unused_codes_are_counted_and_invalid_ones_not_checked() {
    let scratch = Scratch::small_campaign();
    scratch.write("codes.csv", "promo,code\nP,1\nQ,2\nP,3\n\"Q, \u{1b}\",4\n");
    scratch.write("ledger.csv", "run,promo,email,outcome,code\n1,R,a@x,sent,3\n2,P,a@x,sent,99\n");
    let report = scratch.run(&format!("{CHECK} --codes codes.csv"));
    let rows = [("P", 2), ("Q", 1), ("\"Q, \\u{1b}\"", 1)].map(|(promo, left)| format!("  {promo:<30}{left:>12}\n"));
    assert!(report.stdout.ends_with(&rows.concat()), "{report:?}");
    assert_eq!(count_of(&report.stdout, "codes left"), 4);
    let report = scratch.run(&format!("{CHECK} --codes codes.csv --ledger ledger.csv"));
    assert_eq!((report.code, count_of(&report.stdout, "codes left")), (Some(0), 3));
    for (name, content, message) in [
        ("codes.csv", "promo,code\nP,1\nP\n", "codes.csv:3: expected 2 fields"),
        ("codes.csv", "1\n2\n1\n", "codes.csv:3: the code \"1\" occurs twice, first in line 1"),
        (
            "ledger.csv",
            "run,promo,email,outcome,code\n1,P,a@x,sent,1\n2,P,b@x,sent,1\n",
            "ledger.csv:3: the code \"1\"",
        ),
    ] {
        let before = scratch.read(name);
        scratch.write(name, content);
        let report = scratch.run(&format!("{CHECK} --codes codes.csv --ledger ledger.csv"));
        assert_eq!((report.code, &*report.stdout), (Some(2), ""));
        assert!(report.stderr.starts_with(&format!("adseg: {message}")), "{}", report.stderr);
        scratch.write(name, before);
    }
    scratch.adseg(&format!("{CHECK} --codes codes.csv --ledger missing.csv")).assert().code(2);
    scratch.adseg(&format!("{CHECK} --ledger ledger.csv")).assert().code(2);
}

#[test]
fn report_can_go_to_a_file_and_quiet_hides_progress() {
    let scratch = Scratch::small_campaign();
    let check = "check --loyalty loyalty.txt --conversions conversions.txt";
    let report = scratch.run(check).stdout;
    let quiet = scratch.run(&format!("{check} -q -o report.txt"));
    assert_eq!((quiet.code, &*quiet.stdout, &*quiet.stderr), (Some(0), "", ""));
    assert_eq!(scratch.read("report.txt"), report);
    scratch.adseg(&format!("{check} -o conversions.txt")).assert().code(2);
}
