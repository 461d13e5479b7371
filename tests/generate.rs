//! `adseg generate`: the same bytes for the same seed, and data that `check` and `run` take.

mod common;

use common::Scratch;
use predicates::str::{contains, is_empty};

const SMALL: &str = "--members 200 --events 5000 --customers 2000";

fn stdout(args: &str) -> Vec<u8> {
    Scratch::new().adseg(args).assert().success().stderr(is_empty()).get_output().stdout.clone()
}

#[test]
fn what_is_generated_is_clean_and_can_be_run() {
    let scratch = Scratch::new();
    let generate = format!("generate --loyalty loyalty.txt --conversions conversions.txt {SMALL}");
    scratch.adseg(&generate).assert().success().stdout("").stderr("");
    scratch.adseg("check --loyalty loyalty.txt --conversions conversions.txt").assert().success();
    let json = "run --loyalty loyalty.txt --conversions conversions.txt -o codes.txt --summary=json";
    let told = scratch.adseg(json).output().unwrap().stderr;
    let summary: serde_json::Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(summary["loyalty_rows"], 200);
    assert_eq!(summary["decisions"], 5000);
    for name in ["clicks", "baskets", "purchases", "codes_to_send", "newly_enrolled"] {
        assert!(summary[name].as_u64().unwrap() > 0, "{name}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let generate = |seed: u32| stdout(&format!("generate --conversions - {SMALL} --seed {seed}"));
    assert_eq!(generate(1), generate(1));
    assert_ne!(generate(1), generate(2));
}

#[test]
fn one_stream_holds_what_two_files_hold() {
    let stream = stdout(&format!("generate --loyalty - --conversions - {SMALL}"));
    let apart =
        [stdout(&format!("generate --loyalty - {SMALL}")), stdout(&format!("generate --conversions - {SMALL}"))];
    let sorted = |text: Vec<u8>| {
        let mut lines: Vec<_> = text.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(stream), sorted(apart.concat()));
}

#[test]
fn frames_hold_the_same_records_as_lines() {
    let frames = stdout(&format!("generate --conversions - {SMALL} --format framed"));
    let unframed = Scratch::new().adseg("unframe").write_stdin(frames).output().unwrap().stdout;
    assert_eq!(unframed, stdout(&format!("generate --conversions - {SMALL}")));
}

#[test]
fn the_wanted_share_is_bad_and_nothing_else() {
    let scratch = Scratch::new();
    for outputs in ["--loyalty loyalty.txt --conversions conversions.txt", "--loyalty - --conversions -"] {
        let generate = format!("generate {outputs} {SMALL} --bad 0.1 --force");
        let stream = scratch.adseg(&generate).output().unwrap().stdout;
        let check =
            scratch.adseg(&format!("check {outputs} --format jsonl --max-errors 0")).write_stdin(stream).output();
        let told = String::from_utf8(check.unwrap().stdout).unwrap();
        let summary: serde_json::Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
        assert!((400..600).contains(&summary["errors"].as_u64().unwrap()), "{summary}");
        assert_eq!(summary["records"], 5200);
    }
}

#[test]
fn a_file_that_is_there_already_is_left_alone_unless_forced() {
    let scratch = Scratch::new();
    scratch.write("loyalty.txt", "precious\n");
    let generate = "generate --loyalty loyalty.txt --members 3";
    scratch.adseg(generate).assert().code(2).stderr(contains("loyalty.txt is there already; --force replaces it"));
    assert_eq!(scratch.read("loyalty.txt"), "precious\n");
    scratch.adseg(&format!("{generate} --force")).assert().success();
    assert_eq!(scratch.read("loyalty.txt").lines().count(), 3);
}

#[test]
fn nothing_at_all_can_be_generated_too() {
    let nothing = "generate --loyalty - --conversions - --members 0 --events 0 --customers 0";
    assert_eq!(stdout(nothing), b"");
}
