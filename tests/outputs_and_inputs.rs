//! No output of any subcommand may overwrite a file that the same command reads, under any name of that file.

#![cfg(unix)]

mod common;

use std::fs;
use std::os::unix::fs::symlink;

use common::{CommandOutput, SMALL_CONVERSIONS, SMALL_LIST, Scratch, frame, subcommands};

/// A command, the file on its standard input, the files that it reads, and its options that write to a file.
struct Case {
    args: &'static str,
    stdin: Option<&'static str>,
    inputs: &'static [&'static str],
    outputs: &'static [&'static str],
}

const fn case(
    args: &'static str,
    stdin: Option<&'static str>,
    inputs: &'static [&'static str],
    outputs: &'static [&'static str],
) -> Case {
    Case { args, stdin, inputs, outputs }
}

const FILES: &str = "--loyalty loyalty.txt --conversions conversions.txt";
const BOTH: &[&str] = &["loyalty.txt", "conversions.txt"];
const FRAMED: &str = "--loyalty loyalty.frames --conversions conversions.frames";
const BOTH_FRAMED: &[&str] = &["loyalty.frames", "conversions.frames"];
const CAMPAIGN: &str = "--loyalty loyalty.txt --conversions conversions.txt --campaign campaign.toml";
const SUPPRESS: &str = "--loyalty loyalty.txt --conversions conversions.txt --suppress suppressed.txt";
const SUPPRESS_STDIN: &str = "--loyalty loyalty.txt --conversions conversions.txt --suppress -";
const CODES: &str = "--loyalty loyalty.txt --conversions conversions.txt --ledger ledger.csv --run-id now \
                     --codes unused.txt --output-format csv";
const STDIN: &str = "--loyalty loyalty.txt --conversions -";
const INTERLEAVED: &str = "--loyalty - --conversions -";

/// The cases of a subcommand. A saved list may replace a list that was read, so `--save-loyalty` is tested separately.
fn cases(subcommand: &str) -> Vec<Case> {
    const LIST: &[&str] = &["loyalty.txt"];
    const EVENTS: &[&str] = &["conversions.txt"];
    let with_all_inputs = |outputs| {
        vec![
            case(CAMPAIGN, None, &["campaign.toml"], outputs),
            case(FILES, None, BOTH, outputs),
            case(FRAMED, None, BOTH_FRAMED, outputs),
            case(STDIN, Some("conversions.txt"), BOTH, outputs),
            case("--loyalty - --conversions conversions.txt", Some("loyalty.txt"), BOTH, outputs),
            case(INTERLEAVED, Some("interleaved.frames"), &["interleaved.frames"], outputs),
        ]
    };
    match subcommand {
        "run" => {
            let mut cases = with_all_inputs(&["-o"]);
            let save: &[&str] = &["-o codes.txt --save-loyalty"];
            cases.extend([
                case(FILES, None, EVENTS, save),
                case(CAMPAIGN, None, &["campaign.toml"], save),
                case(STDIN, Some("conversions.txt"), EVENTS, save),
                case(INTERLEAVED, Some("interleaved.frames"), &["interleaved.frames"], save),
                case(FRAMED, None, &["conversions.frames"], save),
                case("--loyalty compressed.txt --conversions conversions.txt", None, &["compressed.txt"], save),
                case("--loyalty - --conversions conversions.txt", Some("compressed.txt"), &["compressed.txt"], save),
                case(SUPPRESS, None, &["suppressed.txt"], &["-o", "-o codes.txt --save-loyalty"]),
                case(SUPPRESS_STDIN, Some("suppressed.txt"), &["suppressed.txt"], &["-o"]),
                case(CODES, None, &["unused.txt", "ledger.csv"], &["-o"]),
                case(CODES, None, &["unused.txt", "ledger.csv"], &["-o codes.txt --save-loyalty"]),
            ]);
            cases
        }
        "report" => {
            let outputs: &[&str] = &["-o", "-o report.txt --html"];
            let mut cases = with_all_inputs(outputs);
            let policy = "--loyalty loyalty.txt --conversions conversions.txt --suppress suppressed.txt \
                          --ledger ledger.csv";
            cases.push(case(policy, None, &["suppressed.txt", "ledger.csv"], outputs));
            cases
        }
        "check" => {
            let mut cases = with_all_inputs(&["-o"]);
            let codes = "--loyalty loyalty.txt --conversions conversions.txt --codes single.txt --ledger ledger.csv";
            cases.push(case(codes, None, &["single.txt", "ledger.csv"], &["-o"]));
            cases
        }
        "order-check" => with_all_inputs(&["-o"]),
        "explain" => {
            let emails = "--emails emails.txt --loyalty loyalty.txt --conversions conversions.txt";
            let stdin = "--emails - --loyalty loyalty.txt --conversions conversions.txt";
            let first = "kim@example.com --loyalty loyalty.txt --conversions -";
            let campaign =
                "kim@example.com --loyalty loyalty.txt --conversions conversions.txt --campaign campaign.toml";
            let interleaved = "kim@example.com --loyalty - --conversions -";
            let policy = "kim@example.com --loyalty loyalty.txt --conversions conversions.txt --suppress emails.txt \
                          --ledger ledger.csv";
            vec![
                case(policy, None, &["emails.txt", "ledger.csv"], &["-o"]),
                case(emails, None, &["emails.txt", "loyalty.txt", "conversions.txt"], &["-o"]),
                case(stdin, Some("emails.txt"), &["emails.txt", "loyalty.txt"], &["-o"]),
                case(first, Some("conversions.txt"), BOTH, &["-o"]),
                case(campaign, None, &["campaign.toml"], &["-o"]),
                case(interleaved, Some("interleaved.frames"), &["interleaved.frames"], &["-o"]),
            ]
        }
        "diff" => {
            let files = "none campaign.toml --loyalty loyalty.txt --conversions conversions.txt \
                         --suppress emails.txt --ledger ledger.csv";
            let stdin = "campaign.toml none --loyalty loyalty.txt --conversions - --suppress emails.txt";
            let suppress = "none none --loyalty loyalty.txt --conversions conversions.txt --suppress -";
            let inputs = &["campaign.toml", "loyalty.txt", "conversions.txt", "emails.txt", "ledger.csv"];
            vec![
                case(files, None, inputs, &["-o"]),
                case(stdin, Some("conversions.txt"), &["campaign.toml", "conversions.txt"], &["-o"]),
                case(suppress, Some("emails.txt"), &["emails.txt"], &["-o"]),
            ]
        }
        "frame" => vec![
            case("loyalty.txt conversions.txt", None, BOTH, &["-o"]),
            case("", Some("conversions.txt"), EVENTS, &["-o"]),
            case("loyalty.txt -", Some("conversions.txt"), BOTH, &["-o"]),
        ],
        "unframe" => vec![
            case("conversions.frames", None, &["conversions.frames"], &["-o"]),
            case("-", Some("conversions.frames"), &["conversions.frames"], &["-o"]),
        ],
        // An output among the parts is refused, see tests/cluster.rs.
        "merge" => Vec::new(),
        // These read no file. `generate` does not replace a file without --force.
        "generate" => vec![
            case("", None, LIST, &["--loyalty", "--conversions events.txt --loyalty", "--suppress", "--codes"]),
            case("", None, EVENTS, &["--conversions", "--loyalty list.txt --conversions"]),
        ],
        "completions" | "man" => Vec::new(),
        other => panic!("no cases for the inputs and outputs of adseg {other}"),
    }
}

fn campaign() -> Scratch {
    let scratch = Scratch::small_campaign();
    scratch.write("emails.txt", "kim@example.com\n");
    scratch.write("campaign.toml", "[loyalty]\n[conversions]\n");
    scratch.write("single.txt", "A1\nA2\n");
    scratch.write("ledger.csv", "run,promo,email,outcome,code\n1,P,kim@example.com,sent,A1\n");
    scratch.write("suppressed.txt", "lee@example.com\n");
    scratch.write("unused.txt", "A\n");
    let frames = |lines: &str| lines.lines().flat_map(frame).collect::<Vec<u8>>();
    scratch.write("loyalty.frames", frames(SMALL_LIST));
    scratch.write("conversions.frames", frames(SMALL_CONVERSIONS));
    scratch.write("interleaved.frames", frames(&format!("{SMALL_LIST}{SMALL_CONVERSIONS}")));
    assert!(scratch.sh("gzip -c loyalty.txt > compressed.txt").status().unwrap().success());
    for name in scratch.names() {
        symlink(&name, scratch.file(&format!("symbolic-{name}"))).unwrap();
        fs::hard_link(scratch.file(&name), scratch.file(&format!("hard-{name}"))).unwrap();
    }
    scratch
}

/// Every file in the scratch folder and in its folders, with its content.
fn snapshot(scratch: &Scratch) -> Vec<(String, Vec<u8>)> {
    let folders = scratch.names().into_iter().filter(|name| scratch.file(name).is_dir());
    let inside = folders.flat_map(|folder| {
        scratch.names_in(&folder).into_iter().map(move |name| format!("{folder}/{name}")).collect::<Vec<_>>()
    });
    let paths = scratch.names().into_iter().filter(|name| !scratch.file(name).is_dir()).chain(inside);
    paths.map(|path| (path.clone(), fs::read(scratch.file(&path)).unwrap())).collect()
}

/// Runs a shell command that must fail with exit code 2, name `input`, and change no file.
fn assert_rejected(scratch: &Scratch, script: &str, input: &str) {
    let before = snapshot(scratch);
    let output: CommandOutput = scratch.sh(script).output().unwrap().into();
    assert!(snapshot(scratch) == before, "{script}: a file was changed; it printed {output:?}");
    assert!(output.code == Some(2) && output.stderr.contains(input), "{script}: {output:?}");
}

#[test]
fn no_subcommand_overwrites_a_file_that_it_reads() {
    let scratch = campaign();
    let subcommands = subcommands();
    assert!(subcommands.len() > 9, "{subcommands:?}");
    for subcommand in &subcommands {
        for Case { args, stdin, inputs, outputs } in cases(subcommand) {
            let redirect = stdin.map(|file| format!(" < {file}")).unwrap_or_default();
            let command = format!("adseg {subcommand} {args}");
            for input in inputs {
                // If it is read from standard input, the message names that.
                let name = if stdin == Some(input) { "stdin" } else { input };
                for option in outputs {
                    // A saved list is rejected by its own name if it has another format than text.
                    let name = if option.contains("--save-loyalty") { "" } else { name };
                    for alias in ["", "./", "symbolic-", "hard-"] {
                        assert_rejected(&scratch, &format!("{command} {option} {alias}{input}{redirect}"), name);
                    }
                    if subcommand != "generate" {
                        for stream in ["-", "/dev/stdout"] {
                            let script = format!("{command} {option} {stream}{redirect} >> {input}");
                            assert_rejected(&scratch, &script, name);
                        }
                    }
                }
                if subcommand != "generate" {
                    assert_rejected(&scratch, &format!("{command}{redirect} >> {input}"), name);
                }
            }
        }
    }
}

#[test]
fn ledger_never_replaces_a_file_that_is_read() {
    let scratch = campaign();
    for (args, inputs) in [
        (CAMPAIGN, &["campaign.toml", "loyalty.txt", "conversions.txt"][..]),
        (SUPPRESS, &["suppressed.txt"]),
        ("--loyalty loyalty.txt --conversions conversions.txt --codes unused.txt", &["unused.txt"]),
    ] {
        for input in inputs {
            for alias in ["", "./", "symbolic-", "hard-"] {
                let ledger = format!("--ledger {alias}{input} --run-id now --output-format csv -o new.csv");
                assert_rejected(&scratch, &format!("adseg run {args} {ledger}"), input);
            }
        }
    }
    let stdin = "adseg run --loyalty loyalty.txt --conversions - --run-id now --ledger";
    assert_rejected(&scratch, &format!("{stdin} conversions.txt < conversions.txt"), "stdin");
    // Also not the other outputs.
    let run = "adseg run --loyalty loyalty.txt --conversions conversions.txt --run-id now --ledger ledger.csv";
    for alias in ["", "./", "symbolic-", "hard-"] {
        assert_rejected(&scratch, &format!("{run} -o {alias}ledger.csv"), "ledger.csv is named for two outputs");
        assert_rejected(&scratch, &format!("{run} --save-loyalty {alias}ledger.csv"), "named for two outputs");
        assert_rejected(&scratch, &format!("{run} -o new.txt --save-loyalty {alias}ledger.csv"), "two outputs");
    }
    assert_rejected(&scratch, &format!("{run} >> ledger.csv"), "ledger.csv is named for two outputs");
    assert_rejected(&scratch, &format!("{run} -o new.txt --save-loyalty - >> ledger.csv"), "two outputs");
    // The new ledger does not exist.
    let run = run.replace("ledger.csv", "new.csv");
    for option in ["-o", "-o new.txt --save-loyalty"] {
        assert_rejected(&scratch, &format!("{run} {option} ./new.csv"), "new.csv is named for two outputs");
    }
}

#[test]
fn saved_list_is_not_appended_to_the_input_list() {
    let scratch = campaign();
    for (args, redirect, name) in
        [(FILES, "", "loyalty.txt"), ("--loyalty - --conversions conversions.txt", "< loyalty.txt", "stdin")]
    {
        for list in ["-", "/dev/stdout", "loyalty.txt", "hard-loyalty.txt"] {
            let script = format!("adseg run {args} -o codes.txt --save-loyalty {list} {redirect} >> loyalty.txt");
            assert_rejected(&scratch, &script, name);
        }
    }
}

#[test]
fn rejects_never_replace_a_file_that_is_read() {
    let scratch = campaign();
    fs::create_dir(scratch.file("rejects")).unwrap();
    let entry = r#"{"file":"a","line":1,"byte":0,"reason":"r","kept_in":"conversions.txt"}"#;
    let of_campaign = entry.replace("conversions.txt", "loyalty.txt");
    scratch.write("rejects/errors.jsonl", format!("{entry}\n{of_campaign}\n"));
    scratch.write("rejects/conversions.txt", SMALL_CONVERSIONS);
    scratch.write("campaign.toml", "[loyalty]\n");
    fs::hard_link(scratch.file("campaign.toml"), scratch.file("rejects/loyalty.txt")).unwrap();
    symlink("rejects", scratch.file("link")).unwrap();
    symlink("rejects/conversions.txt", scratch.file("symbolic")).unwrap();
    fs::hard_link(scratch.file("rejects/conversions.txt"), scratch.file("hard")).unwrap();
    for folder in ["rejects", "./rejects", "link", "rejects/../link"] {
        let rejects = format!("--on-error skip --rejects {folder}");
        for input in
            ["rejects/conversions.txt", "./rejects/conversions.txt", "link/conversions.txt", "symbolic", "hard"]
        {
            let script = format!("adseg run --loyalty loyalty.txt --conversions {input} {rejects}");
            assert_rejected(&scratch, &script, input);
            let script = format!("adseg run --loyalty loyalty.txt --conversions - {rejects} < {input}");
            assert_rejected(&scratch, &script, "stdin");
        }
        let script = format!("adseg run {FILES} --campaign rejects/loyalty.txt {rejects}");
        assert_rejected(&scratch, &script, "rejects/loyalty.txt");
        let script = format!("adseg run --loyalty loyalty.txt --conversions rejects/errors.jsonl {rejects}");
        assert_rejected(&scratch, &script, "rejects/errors.jsonl");
    }
}
