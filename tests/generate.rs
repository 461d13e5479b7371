//! `adseg generate` writes the same bytes for the same seed, and data that `check` and `run` accept.

mod common;

use common::{RUN, Scratch, text};
use predicates::str::{contains, is_empty};
use serde_json::Value;

const SMALL: &str = "--members 200 --events 5000 --customers 2000";

fn generate(args: &str) -> Vec<u8> {
    let assert = Scratch::new().adseg(&format!("generate {args}")).assert().success().stderr(is_empty());
    assert.get_output().stdout.clone()
}

#[test]
fn generated_data_is_valid_and_has_every_kind_of_event() {
    let scratch = Scratch::new();
    let generate = format!("generate --loyalty loyalty.txt --conversions conversions.txt {SMALL}");
    scratch.adseg(&generate).assert().success().stdout("").stderr("");
    scratch.adseg("check --loyalty loyalty.txt --conversions conversions.txt").assert().success();
    let json = scratch.run(&format!("{RUN} -o codes.txt --summary=json")).stderr;
    let summary: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(summary["loyalty_rows"], 200);
    assert_eq!(summary["decisions"], 5000);
    for name in ["clicks", "baskets", "purchases", "codes_to_send", "newly_enrolled"] {
        assert!(summary[name].as_u64().unwrap() > 0, "{name}");
    }
}

#[test]
fn suppression_list_and_codes_match_the_campaign() {
    let scratch = Scratch::new();
    let generate = format!(
        "generate --loyalty loyalty.txt --conversions conversions.txt --suppress list --suppressed 90 --codes codes {SMALL}"
    );
    scratch.adseg(&generate).assert().success().stdout("").stderr("");
    let is_hex = |line: &str| line.bytes().all(|byte| byte.is_ascii_hexdigit());
    let list = scratch.read("list");
    assert_eq!(list.lines().count(), 90);
    assert!(list.lines().any(|line| line.ends_with("example.com")) && list.lines().any(|line| line.ends_with("COM")));
    assert!([32, 64].iter().all(|len| list.lines().any(|line| line.len() == *len && is_hex(line))), "{list}");
    let check = "check --loyalty loyalty.txt --conversions conversions.txt --codes codes --format jsonl";
    let report = scratch.run(check).stdout;
    let summary: Value = serde_json::from_str(report.lines().last().unwrap()).unwrap();
    assert_eq!(summary["codes_left"][""], 5_000);
    let policy = "--suppress list --codes codes --ledger ledger --run-id 1 --output-format csv --quiet";
    let json = scratch.run(&format!("{RUN} {policy} -o out.csv --summary=json")).stderr;
    let summary: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(summary["policy"]["suppression_entries"], 90);
    assert!(summary["policy"]["reasons"]["suppressed"].as_u64().unwrap() > 0, "{json}");
    assert!(summary["codes_to_send"].as_u64().unwrap() > 0, "{json}");
}

#[test]
fn other_outputs_do_not_change_the_bytes_of_an_output() {
    let scratch = Scratch::new();
    let outputs = ["--loyalty l", "--conversions c", "--suppress s", "--codes k"];
    scratch.adseg(&format!("generate {} {SMALL} --bad 0.1", outputs.join(" "))).assert().success();
    for (output, name) in outputs.iter().zip(["l", "c", "s", "k"]) {
        let alone = Scratch::new();
        alone.adseg(&format!("generate {output} {SMALL} --bad 0.1")).assert().success();
        common::assert_same(alone.read(name), scratch.read(name), output);
    }
}

#[test]
fn same_seed_generates_the_same_bytes() {
    let with_seed = |seed: u32| generate(&format!("--conversions - {SMALL} --seed {seed}"));
    assert_eq!(with_seed(1), with_seed(1));
    assert_ne!(with_seed(1), with_seed(2));
}

#[test]
fn interleaved_stream_has_the_records_of_both_files() {
    let stream = generate(&format!("--loyalty - --conversions - {SMALL}"));
    let files = [generate(&format!("--loyalty - {SMALL}")), generate(&format!("--conversions - {SMALL}"))];
    let sorted = |bytes: Vec<u8>| {
        let mut lines: Vec<_> = bytes.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(stream), sorted(files.concat()));
}

#[test]
fn frames_have_the_same_records_as_lines() {
    let frames = generate(&format!("--conversions - {SMALL} --format framed"));
    let lines = Scratch::new().run_with("unframe", frames).stdout;
    assert_eq!(lines, text(generate(&format!("--conversions - {SMALL}"))));
}

#[test]
fn requested_share_of_records_is_bad() {
    let scratch = Scratch::new();
    for outputs in ["--loyalty loyalty.txt --conversions conversions.txt", "--loyalty - --conversions -"] {
        let stream = scratch.adseg(&format!("generate {outputs} {SMALL} --bad 0.1 --force")).output().unwrap().stdout;
        let report = scratch.run_with(&format!("check {outputs} --format jsonl --max-listed 0"), stream).stdout;
        let summary: Value = serde_json::from_str(report.lines().last().unwrap()).unwrap();
        assert!((400..600).contains(&summary["bad_records"].as_u64().unwrap()), "{summary}");
        assert_eq!(summary["records"], 5200);
    }
}

#[test]
fn existing_file_is_replaced_only_with_force() {
    let scratch = Scratch::new();
    for generate in ["--loyalty loyalty.txt --members 3", "--codes loyalty.txt --code-count 3"] {
        scratch.write("loyalty.txt", "precious\n");
        let generate = format!("generate {generate}");
        scratch.adseg(&generate).assert().code(2).stderr(contains("loyalty.txt exists already; --force replaces it"));
        assert_eq!(scratch.read("loyalty.txt"), "precious\n");
        scratch.adseg(&format!("{generate} --force")).assert().success();
        assert_eq!(scratch.read("loyalty.txt").lines().count(), 3);
    }
}

#[test]
fn zero_records_can_be_generated() {
    assert_eq!(generate("--loyalty - --conversions - --members 0 --events 0 --customers 0"), b"");
    assert_eq!(generate("--suppress - --members 9"), b"");
    assert_eq!(generate("--codes - --events 0"), b"");
}
