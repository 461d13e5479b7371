//! `adseg explain`: the history of an email agrees with the decisions of a run.

mod common;

use common::campaigns::{DecidedClick, PolicyCampaign, campaign};
use common::model::{ModelFormat, ModelInput, ModelSource, run};
use common::replay::{RunSettings, explain};
use common::{RUN, Scratch, cases, frame, text};
use predicates::prelude::*;
use predicates::str::{contains, ends_with, starts_with};
use proptest::prelude::*;
use proptest::sample::select;

const EXPLAIN: &str = "explain --loyalty loyalty.txt --conversions conversions.txt";
const SOURCES: &str = "--loyalty loyalty.txt --conversions conversions.txt";

/// Explains these emails, which may contain white space.
fn explain_emails(scratch: &Scratch, emails: &[&str]) -> assert_cmd::Command {
    let mut command = scratch.adseg("explain");
    command.args(emails).args(EXPLAIN.split_whitespace().skip(1));
    command
}

const EMAILS: [&str; 8] = ["a@x", "A@x", "a @x", "b@x", "B@X", "c@x", "f\u{e9}@x", "F\u{c9}@x"];
/// One spelling of each email. A watched email includes all its spellings.
const WATCHED: [&str; 4] = ["A@X", "b@x", "c@x", "f\u{e9}@x"];

fn record() -> impl Strategy<Value = String> {
    (select(&EMAILS[..]), select(vec!["", " ", "\t"]), 0..9).prop_map(|(email, space, kind)| match kind {
        0..=2 => format!("P, ClickConversion, {email}{space}, w"),
        3 => format!("P, BasketConversion, {email}{space}, [6]"),
        4 | 5 => format!("P, PurchaseConversion, {email}{space}, [6], 1.50"),
        6 | 7 => format!("{email}{space}, , , F"),
        _ => format!("{email}{space} is not a record"),
    })
}

fn input(source: ModelSource) -> impl Strategy<Value = ModelInput> {
    (prop::collection::vec(record(), 0..25), any::<bool>()).prop_map(move |(records, framed)| {
        if framed {
            ModelInput::new(source, ModelFormat::Framed, records.iter().flat_map(frame).collect::<Vec<_>>())
        } else {
            ModelInput::new(source, ModelFormat::Text, records.join("\n"))
        }
    })
}

fn inputs() -> impl Strategy<Value = Vec<ModelInput>> {
    let files = |source| prop::collection::vec(input(source), 1..3);
    prop_oneof![
        2 => (files(ModelSource::Loyalty), files(ModelSource::Conversions))
            .prop_map(|(loyalty, conversions)| [loyalty, conversions].concat()),
        1 => input(ModelSource::Interleaved).prop_map(|stream| vec![stream]),
    ]
}

fn settings() -> impl Strategy<Value = RunSettings> {
    (1_u32..20, 1_usize..4, 1_usize..300, 1_usize..100).prop_map(|(partitions, threads, block_bytes, slice_bytes)| {
        let max_rejects = u64::MAX;
        RunSettings { partitions, threads, block_bytes, slice_bytes, max_rejects, ..RunSettings::default() }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(300)))]

    #[test]
    fn histories_agree_with_the_model(inputs in inputs(), settings in settings()) {
        let (mut decisions, mut members) = (Vec::new(), Vec::new());
        for history in explain(&inputs, &settings, &WATCHED, &EMAILS) {
            let email = history.email;
            prop_assert!(history.entries.is_sorted_by_key(|entry| entry.number));
            members.extend(history.member_since.map(|_| email));
            for entry in &history.entries {
                prop_assert_eq!(entry.was_member, history.member_since.is_some_and(|since| since < entry.number));
                let record = record_at(&inputs[entry.input], entry.record);
                let fields: Vec<_> = record.split(',').map(str::trim).collect();
                match &entry.decision {
                    None => prop_assert_eq!(fields[0], email),
                    Some((kind, send)) => {
                        prop_assert_eq!(&fields[1..3], &[kind.as_str(), email]);
                        let decision = if *send { "True" } else { "False" };
                        decisions.push((entry.number, format!("Send additional promo code to: {email}, {decision}\n")));
                    }
                }
            }
        }
        decisions.sort();
        let expected = run(&inputs, 1 << 20, u64::MAX);
        let decisions: String = decisions.into_iter().map(|(_, decision)| decision).collect();
        prop_assert_eq!(decisions, text(expected.output));
        let saved = text(expected.saved);
        let mut saved: Vec<_> = saved.lines().map(|row| row.split(',').next().unwrap()).collect();
        members.sort_unstable();
        saved.sort_unstable();
        prop_assert_eq!(members, saved);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(100)))]

    #[test]
    fn reasons_agree_with_a_run_for_one_spelling(campaign in campaign(), email in requested()) {
        let scratch = campaign.scratch();
        let rules = &campaign.rules[0];
        let jsonl = campaign.read_only(&scratch, &format!("explain {email} --campaign old.toml --format jsonl"));
        let mut explained = Vec::new();
        for line in jsonl.stdout.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            prop_assert_eq!(line["email"].as_str(), Some(email));
            if line["conversion"].is_string() {
                let kind = line["conversion"].as_str().unwrap();
                let send = line["send"].as_bool().unwrap();
                let without = DecidedClick::reason_without_policy(kind, send);
                let reason = line.get("reason").map_or(without, |reason| reason.as_str().unwrap()).to_owned();
                explained.push((line["line"].as_u64().unwrap() as usize, reason, send));
            }
        }
        let ignores_case = rules.ignore_case || campaign.ignore_case;
        let is_requested = |decided: &&DecidedClick| match ignores_case {
            true => decided.email.eq_ignore_ascii_case(email),
            false => decided.email == email,
        };
        let decisions = campaign.run(&scratch, "old.toml");
        let expected: Vec<_> = decisions
            .iter()
            .filter(is_requested)
            .map(|decided| (decided.line, decided.reason.clone(), decided.send))
            .collect();
        prop_assert_eq!(explained, expected);
    }
}

/// An email, mostly one that has several spellings.
fn requested() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => select(&PolicyCampaign::EMAILS[..3]), 1 => select(&PolicyCampaign::EMAILS[..])]
}

/// The record with this number, counted from 1.
fn record_at(input: &ModelInput, number: u64) -> String {
    let is_framed = input.format == ModelFormat::Framed;
    let mut rest = input.bytes.as_slice();
    let mut record = rest;
    for _ in 0..number {
        let (start, len) = if is_framed {
            (4, u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize)
        } else {
            (0, rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len()))
        };
        record = &rest[start..start + len];
        rest = &rest[(start + len + usize::from(!is_framed)).min(rest.len())..];
    }
    text(record)
}

#[test]
fn emails_before_options_or_by_flag_are_trimmed() {
    let scratch = Scratch::small_campaign();
    let first = explain_emails(&scratch, &[" kim@example.com\t"]).assert().success();
    let history = text(first.get_output().stdout.clone());
    assert!(history.starts_with("kim@example.com\n  loyalty.txt:1 "), "{history}");
    for args in [format!("{EXPLAIN} --email kim@example.com"), format!("explain --email=kim@example.com {SOURCES}")] {
        scratch.adseg(&args).assert().success().stdout(history.clone());
    }
}

#[test]
fn name_after_the_files_is_a_file() {
    let scratch = Scratch::small_campaign();
    scratch.write("log@night.txt", "P, ClickConversion, kim@example.com, w\n");
    let named = scratch.adseg(&format!("explain kim@example.com {SOURCES} log@night.txt")).assert().success();
    named.stdout(contains("  log@night.txt:1  ").and(contains("2 clicks")));
    for (args, message) in [
        (
            "lee@example.com",
            "adseg: gone@store.txt: no such file; if it is an email, put it before the options, or use --email",
        ),
        ("--email lee@example.com", "adseg: gone@store.txt: no such file"),
    ] {
        let missing = scratch.adseg(&format!("explain {args} {SOURCES} gone@store.txt")).assert().code(2);
        missing.stdout("").stderr(starts_with(message));
    }
    let no_email = scratch.adseg(&format!("explain {SOURCES} kim@example.com")).assert().code(2);
    no_email.stderr(starts_with("adseg: no email is given; put kim@example.com before the options"));
}

#[test]
fn unknown_email_is_reported_with_near_matches() {
    let scratch = Scratch::small_campaign();
    let assert = explain_emails(&scratch, &["nobody@example.com", "KIM @example.com"]).assert().success().stderr("");
    assert.stdout(
        "nobody@example.com\n  occurs in no record\n\nKIM @example.com\n  occurs in no record\n  did you mean \
         \"kim@example.com\"? (2 records, the first at loyalty.txt:1)\n",
    );
}

#[test]
fn invalid_email_is_a_usage_error() {
    let scratch = Scratch::small_campaign();
    for (email, reason) in [
        ("", "the email is empty"),
        (" \t", "the email is empty"),
        ("kim@x,lee@x", "the email \"kim@x,lee@x\" contains a comma"),
        ("kim\n@x", "the email \"kim\\n@x\" contains a control byte (0x0a)"),
    ] {
        explain_emails(&scratch, &[email]).assert().code(2).stderr(contains(reason));
    }
    scratch.adseg(EXPLAIN).assert().code(2).stderr(starts_with("adseg: no email is given"));
}

#[test]
fn emails_from_a_file_or_pipe_are_reported_once() {
    let scratch = Scratch::small_campaign();
    let list = "\u{feff}lee@example.com\r\n\n  kim@example.com  \nlee@example.com";
    scratch.write("emails.txt", list);
    let from_file = explain_emails(&scratch, &["--emails", "emails.txt"]).assert().success();
    let report = text(from_file.get_output().stdout.clone());
    let heads: Vec<_> = report.lines().filter(|line| !line.starts_with(' ') && !line.is_empty()).collect();
    assert_eq!(heads, ["lee@example.com", "kim@example.com"]);
    explain_emails(&scratch, &["--emails", "-"]).write_stdin(list).assert().success().stdout(report);

    scratch.write("emails.txt", "kim@example.com\na,b\n");
    let bad = explain_emails(&scratch, &["--emails", "emails.txt"]).assert().code(1);
    bad.stderr("adseg: emails.txt:2: the email \"a,b\" contains a comma\n");
    let twice = scratch.adseg("explain --emails - --loyalty loyalty.txt --conversions -").assert().code(2);
    twice.stderr(contains("standard input ('-') is named for the emails and for a source"));
}

#[test]
fn bad_record_stops_explain_like_a_run_or_is_counted() {
    let scratch = Scratch::small_campaign();
    scratch.write("conversions.txt", "P, ClickConversion, kim@example.com, w\nP, Clik, kim@example.com, w\n");
    let stopped = explain_emails(&scratch, &["kim@example.com"]).assert().code(1).stdout("");
    stopped.stderr(scratch.run(RUN).stderr);
    let skipped =
        explain_emails(&scratch, &["kim@example.com", "lee@example.com", "--on-error", "skip"]).assert().success();
    skipped
        .stdout(
            contains("1 click, ")
                .and(ends_with("no good record\n  skipped 1 bad record, which may include this email\n")),
        )
        .stderr(starts_with("adseg: conversions.txt:2: ").and(ends_with("adseg: 1 bad record skipped\n")));
    let limit = ["kim@example.com", "--on-error", "skip", "--max-rejects", "0"];
    explain_emails(&scratch, &limit)
        .assert()
        .code(1)
        .stderr(contains("there are more bad records than --max-rejects 0"));
    let without = ["kim@example.com", "--max-rejects", "1"];
    explain_emails(&scratch, &without).assert().code(2).stderr(contains("--max-rejects needs --on-error skip"));
}

#[test]
fn data_cannot_control_the_terminal_or_break_json() {
    let scratch = Scratch::small_campaign();
    let hostile: &[u8] = b"\x1b[2J\"\xff, ClickConversion, K\xc2\x9bi\xe2\x80\xaem\xff\"@x, w\n";
    scratch.write("conversions.txt", [hostile, b"\x1b]0;owned\x07, ClickConversion, k\xc2\x9bim@x, w\n"].concat());
    scratch.write("emails.txt", b"K\xc2\x9bi\xe2\x80\xaem\xff\"@x\nk\xc2\x9bIM@x\n");
    for format in ["text", "jsonl"] {
        let output = explain_emails(&scratch, &["--emails", "emails.txt", "--format", format]).output().unwrap();
        assert!(output.status.success());
        let report = text(output.stdout);
        assert!(format == "jsonl" || !report.contains('\u{202e}'), "{report}");
        for line in report.lines() {
            assert!(format == "jsonl" || !line.chars().any(char::is_control), "{line:?}");
            assert!(!line.bytes().any(|byte| byte < b' ' || byte == 0x7f), "{line:?}");
            if format == "jsonl" {
                serde_json::from_str::<serde_json::Value>(line).unwrap();
            }
        }
    }
}

#[test]
fn report_limits_near_matches_and_counts_all() {
    let scratch = Scratch::small_campaign();
    let spelling = |number: usize| format!("{}kim@example.com, , , F\n", "\u{a0}".repeat(number));
    scratch.write("loyalty.txt", (0..=100).map(spelling).collect::<String>());
    let report = scratch.run(&format!("explain kim@example.com {SOURCES}")).stdout;
    assert_eq!(report.matches("another customer is \"\\u{a0}").count(), 10, "{report}");
    assert!(report.ends_with("  and 90 more that differ only in case or white space\n"), "{report}");

    for (email, count) in [("kim@example.com", 100), ("KIM@example.com", 101), ("lee@example.com", 0)] {
        let jsonl = scratch.run(&format!("explain {email} {SOURCES} --format jsonl")).stdout;
        let customer: serde_json::Value = serde_json::from_str(jsonl.lines().last().unwrap()).unwrap();
        assert_eq!(customer["near_match_count"], count, "{jsonl}");
        assert_eq!(customer["near_matches"].as_array().unwrap().len(), count.min(10), "{jsonl}");
    }
}
