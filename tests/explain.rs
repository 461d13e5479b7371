//! `adseg explain`: the story of an email is what a run does with it, told so that a person understands.

mod common;

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;

use adseg::computation::{Explaining, Stories, What};
use adseg::encoder::Silent;
use adseg::engine::{Counts, Job, Observer, Outcome, Settings, replay};
use adseg::record::Expected;
use adseg::sink::Rejection;
use adseg::source::{Framing, Input, InputFormat, Origin, ReaderSettings, SourceError};
use common::model::{ModelInput, run};
use common::{RUN, Scratch, frame};
use predicates::prelude::*;
use predicates::str::{contains, ends_with, starts_with};
use proptest::prelude::*;
use proptest::sample::select;

const EXPLAIN: &str = "explain --loyalty loyalty.txt --conversions conversions.txt";

/// Explains these emails, of which a white space would make two arguments.
fn explain(scratch: &Scratch, emails: &[&str]) -> assert_cmd::Command {
    let mut command = scratch.adseg("explain");
    command.args(emails).args(EXPLAIN.split_whitespace().skip(1));
    command
}

struct Unmoved;

impl Observer for Unmoved {
    fn advanced(&mut self, _counts: &Counts) {}

    fn rejected(&mut self, _rejection: &Rejection<'_>) -> std::io::Result<()> {
        Ok(())
    }

    fn rejected_more(&mut self, _raw: &[u8]) -> std::io::Result<()> {
        Ok(())
    }

    fn damaged(&mut self, error: &SourceError) -> std::io::Result<()> {
        panic!("{error}")
    }
}

fn email() -> impl Strategy<Value = &'static str> {
    select(vec!["a@x", "A@x", "a @x", "b@x", "B@X", "c@x", "f\u{e9}@x", "F\u{c9}@x"])
}

fn record() -> impl Strategy<Value = String> {
    let spaced = (email(), select(vec!["", " ", "\t"])).prop_map(|(email, space)| format!("{email}{space}"));
    (spaced, 0..9).prop_map(|(email, kind)| match kind {
        0..=2 => format!("P, ClickConversion, {email}, w"),
        3 => format!("P, BasketConversion, {email}, [6]"),
        4 | 5 => format!("P, PurchaseConversion, {email}, [6], 1.50"),
        6 | 7 => format!("{email}, , , F"),
        _ => format!("{email} is no record"),
    })
}

fn input(expected: Expected) -> impl Strategy<Value = ModelInput> {
    (prop::collection::vec(record(), 0..25), any::<bool>()).prop_map(move |(records, framed)| {
        let bytes = if framed { records.iter().flat_map(frame).collect() } else { records.join("\n").into_bytes() };
        ModelInput { expected, framing: if framed { Framing::Framed } else { Framing::Text }, bytes }
    })
}

fn inputs() -> impl Strategy<Value = Vec<ModelInput>> {
    let of = |expected| prop::collection::vec(input(expected), 1..3);
    let files = (of(Expected::Customers), of(Expected::Conversions));
    prop_oneof![
        2 => files.prop_map(|(loyalty, conversions)| [loyalty, conversions].concat()),
        1 => input(Expected::Either).prop_map(|stream| vec![stream]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_stories_of_all_emails_together_are_what_the_serial_model_answers(
        inputs in inputs(),
        partitions in 1_u32..20,
        threads in 1_usize..4,
        sizes in (1_usize..300, 1_usize..100),
    ) {
        let settings = Settings {
            partitions: NonZeroU32::new(partitions).unwrap(),
            threads: NonZeroUsize::new(threads).unwrap(),
            reader: ReaderSettings { block_bytes: sizes.0, ..ReaderSettings::default() },
            slice_bytes: sizes.1,
            max_rejects: u64::MAX,
        };
        let named = inputs.iter().enumerate().map(|(index, input)| Input {
            name: index.to_string(),
            expected: input.expected,
            format: if input.framing == Framing::Framed { InputFormat::Framed } else { InputFormat::Text },
            origin: Origin::Feed(Box::new(std::io::Cursor::new(input.bytes.clone()))),
            meter: Arc::default(),
        });
        let emails = ["a@x", "A@x", "a @x", "b@x", "B@X", "c@x", "f\u{e9}@x", "F\u{c9}@x"];
        // One spelling of each is enough to have all of them watched.
        let job = Job { computation: Explaining::new(["A@X", "b@x", "c@x", "f\u{e9}@x"].map(str::as_bytes)), encoder: Silent };
        let out = Box::new(std::io::sink());
        let Outcome { states, numbering, .. } = replay(&job, &settings, named.collect(), out, &mut Unmoved).unwrap();
        let stories = Stories::collect(states);
        let (mut answers, mut members) = (Vec::new(), Vec::new());
        for email in emails {
            let Some(story) = stories.of(email.as_bytes()) else { continue };
            prop_assert!(story.moments.is_sorted_by_key(|moment| moment.number));
            members.extend(story.member_since.map(|_| email));
            for moment in &story.moments {
                prop_assert_eq!(moment.member, story.member_since.is_some_and(|since| since < moment.number));
                let spot = numbering.spot(moment.number).unwrap();
                let input = &inputs[spot.input.index];
                let record = record_at(input, spot.record);
                let fields: Vec<_> = record.split(',').map(str::trim).collect();
                match &moment.what {
                    What::Listed => prop_assert_eq!(fields[0], email),
                    What::Decided { kind, decision, .. } => {
                        prop_assert_eq!(&fields[1..3], &[kind.name(), email]);
                        let answer = if decision.send { "True" } else { "False" };
                        answers.push((moment.number, format!("Send additional promo code to: {email}, {answer}\n")));
                    }
                }
            }
        }
        answers.sort();
        let told = run(&inputs, 1 << 20, u64::MAX);
        let answers: String = answers.into_iter().map(|(_, answer)| answer).collect();
        prop_assert_eq!(answers, String::from_utf8(told.output).unwrap());
        let mut saved: Vec<_> = std::str::from_utf8(&told.saved).unwrap().lines().map(|row| row.split(',').next().unwrap()).collect();
        members.sort_unstable();
        saved.sort_unstable();
        prop_assert_eq!(members, saved);
    }
}

/// The record with this number, counted from 1.
fn record_at(input: &ModelInput, number: u64) -> String {
    let mut rest = input.bytes.as_slice();
    for _ in 1..number {
        let len = match input.framing {
            Framing::Framed => 4 + u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize,
            _ => rest.iter().position(|&byte| byte == b'\n').unwrap() + 1,
        };
        rest = &rest[len..];
    }
    let record = match input.framing {
        Framing::Framed => &rest[4..4 + u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize],
        _ => rest.split(|&byte| byte == b'\n').next().unwrap(),
    };
    String::from_utf8(record.to_vec()).unwrap()
}

#[test]
fn emails_may_stand_first_or_last_and_are_stripped() {
    let scratch = Scratch::small_campaign();
    let first = explain(&scratch, &[" kim@example.com\t"]).assert().success();
    let story = String::from_utf8(first.get_output().stdout.clone()).unwrap();
    assert!(story.starts_with("kim@example.com\n  loyalty.txt:1 "), "{story}");
    let last = scratch.adseg(EXPLAIN).args(["kim@example.com"]).assert().success();
    last.stdout(story.clone());
    let swapped = "explain --conversions conversions.txt --loyalty loyalty.txt kim@example.com";
    scratch.adseg(swapped).assert().success().stdout(story);
}

#[test]
fn a_file_that_looks_like_an_email_is_a_file_and_a_missing_file_is_told() {
    let scratch = Scratch::small_campaign();
    scratch.write("log@night.txt", "P, ClickConversion, kim@example.com, w\n");
    let named = scratch.adseg(&format!("{EXPLAIN} log@night.txt kim@example.com")).assert().success();
    named.stdout(contains("  log@night.txt:1  ").and(contains("2 clicks")));
    let missing = "cannot read: No such file";
    scratch.adseg(&format!("{EXPLAIN} nothing.txt kim@example.com")).assert().code(1).stderr(contains(missing));
    let only = "explain kim@example.com --loyalty loyalty.txt --conversions log@day.txt";
    scratch.adseg(only).assert().code(1).stderr(contains(missing));
}

#[test]
fn an_email_that_occurs_nowhere_is_an_answer() {
    let scratch = Scratch::small_campaign();
    let assert = explain(&scratch, &["nobody@example.com", "KIM @example.com"]).assert().success().stderr("");
    assert.stdout(
        "nobody@example.com\n  occurs in no record\n\nKIM @example.com\n  occurs in no record\n  did you mean \
         \"kim@example.com\"? (2 records, the first at loyalty.txt:1)\n",
    );
}

#[test]
fn what_can_be_no_email_is_wrong_usage() {
    let scratch = Scratch::small_campaign();
    for (email, reason) in [
        ("", "the email is empty"),
        (" \t", "the email is empty"),
        ("kim@x,lee@x", "the email \"kim@x,lee@x\" holds a comma"),
        ("kim\n@x", "the email \"kim\\n@x\" holds a control byte (0x0a)"),
    ] {
        explain(&scratch, &[email]).assert().code(2).stderr(contains(reason));
    }
    scratch.adseg(EXPLAIN).assert().code(2).stderr(starts_with("adseg: no email is named"));
}

#[test]
fn emails_come_from_a_file_or_a_pipe_too_and_each_is_told_once() {
    let scratch = Scratch::small_campaign();
    let list = "\u{feff}lee@example.com\r\n\n  kim@example.com  \nlee@example.com";
    scratch.write("emails.txt", list);
    let of_file = explain(&scratch, &["--emails", "emails.txt"]).assert().success();
    let told = String::from_utf8(of_file.get_output().stdout.clone()).unwrap();
    let heads: Vec<_> = told.lines().filter(|line| !line.starts_with(' ') && !line.is_empty()).collect();
    assert_eq!(heads, ["lee@example.com", "kim@example.com"]);
    explain(&scratch, &["--emails", "-"]).write_stdin(list).assert().success().stdout(told);

    scratch.write("emails.txt", "kim@example.com\na,b\n");
    let bad = explain(&scratch, &["--emails", "emails.txt"]).assert().code(1);
    bad.stderr("adseg: emails.txt:2: the email \"a,b\" holds a comma\n");
    let twice = scratch.adseg("explain --emails - --loyalty loyalty.txt --conversions -").assert().code(2);
    twice.stderr(contains("'-' is named for the emails and for a source"));
}

#[test]
fn a_bad_record_ends_it_as_it_ends_a_run_or_is_counted() {
    let scratch = Scratch::small_campaign();
    scratch.write("conversions.txt", "P, ClickConversion, kim@example.com, w\nP, Clik, kim@example.com, w\n");
    let run = scratch.adseg(RUN).output().unwrap();
    let stopped = explain(&scratch, &["kim@example.com"]).assert().code(1).stdout("");
    stopped.stderr(String::from_utf8(run.stderr).unwrap());
    let skipped = explain(&scratch, &["kim@example.com", "lee@example.com", "--on-error", "skip"]).assert().success();
    skipped
        .stdout(contains("1 click, ").and(ends_with("occurs in no good record (1 bad one was skipped)\n")))
        .stderr(starts_with("adseg: conversions.txt:2: ").and(ends_with("adseg: 1 bad record skipped\n")));
    let limit = ["kim@example.com", "--on-error", "skip", "--max-rejects", "0"];
    explain(&scratch, &limit).assert().code(1).stderr(contains("that is one more bad record than --max-rejects 0"));
    let without = ["kim@example.com", "--max-rejects", "1"];
    explain(&scratch, &without).assert().code(2).stderr(contains("--max-rejects needs --on-error skip"));
}

#[test]
fn nothing_in_the_data_can_steer_a_terminal_or_break_the_json() {
    let scratch = Scratch::small_campaign();
    let odd: &[u8] = b"\x1b[2J\"\xff, ClickConversion, K\xc2\x9bi\xe2\x80\xaem\xff\"@x, w\n";
    scratch.write("conversions.txt", [odd, b"\x1b]0;owned\x07, ClickConversion, k\xc2\x9bim@x, w\n"].concat());
    scratch.write("emails.txt", b"K\xc2\x9bi\xe2\x80\xaem\xff\"@x\nk\xc2\x9bIM@x\n");
    for format in ["text", "jsonl"] {
        let output = explain(&scratch, &["--emails", "emails.txt", "--format", format]).output().unwrap();
        assert!(output.status.success());
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(format == "jsonl" || !told.contains('\u{202e}'), "{told}");
        for line in told.lines() {
            assert!(format == "jsonl" || !line.chars().any(char::is_control), "{line:?}");
            assert!(!line.bytes().any(|byte| byte < b' ' || byte == 0x7f), "{line:?}");
            if format == "jsonl" {
                serde_json::from_str::<serde_json::Value>(line).unwrap();
            }
        }
    }
}

#[test]
fn a_hundred_spellings_are_not_all_told_to_people() {
    let scratch = Scratch::small_campaign();
    let spelling = |number: usize| format!("{}kim@example.com, , , F\n", "\u{a0}".repeat(number));
    scratch.write("loyalty.txt", (1..=100).map(spelling).collect::<String>());
    let told = String::from_utf8(explain(&scratch, &["kim@example.com"]).output().unwrap().stdout).unwrap();
    assert_eq!(told.matches("another customer is \"\\u{a0}").count(), 10, "{told}");
    assert!(told.ends_with("  and 90 more that differ only by case or white space\n"), "{told}");
}

#[cfg(target_os = "linux")]
#[test]
fn stories_that_cannot_be_written_are_an_error() {
    let scratch = Scratch::small_campaign();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = scratch.piped(&format!("{EXPLAIN} kim@example.com")).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(contains("stdout: cannot write").eval(&String::from_utf8(output.stderr).unwrap()));
}
