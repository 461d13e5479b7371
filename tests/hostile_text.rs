//! Hostile bytes in names, arguments and records: no output controls a terminal, forges a line, runs a script or is a
//! formula. This file defines hostile characters itself, and shares no code with `src/escape.rs`.

#![cfg(unix)]

mod common;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use common::{SMALL_LIST, Scratch, frame, subcommands};

/// Text for a name, a value or a field. A forged line would begin with `FORGED`.
const HOSTILE: [&[u8]; 12] = [
    b"a\nFORGED",
    b"a\rFORGED",
    b"a\x1b[2J\x1b]0;title\x07z",
    "a\u{9b}31mz".as_bytes(),
    "a\u{202e}gpj\u{2066}z".as_bytes(),
    "a\u{2028}\u{2029}\u{85}z".as_bytes(),
    "\u{feff}a\u{200b}\u{ad}\u{feff}z".as_bytes(),
    "a\u{e0041}\u{e007f}z".as_bytes(),
    b"a\xff\xfe\x80\xe2\x82z",
    b"=cmd()",
    b"<script>\"&'",
    b"-x",
];

/// A policy that stops every click.
const POLICY: &str = "promos = ['Other']\n";

fn is_hostile(char: char) -> bool {
    char.is_control()
        || matches!(char as u32, 0xad | 0x61c | 0x180e | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f)
        || matches!(char as u32, 0xfeff | 0xfff9..=0xfffb | 0xe0000..=0xe007f)
}

/// Fails if a terminal that shows `bytes` would do anything but print the lines that adseg wrote.
#[track_caller]
fn assert_plain(bytes: &[u8], context: &str) {
    let text = std::str::from_utf8(bytes).unwrap_or_else(|error| panic!("{context}: {error}: {bytes:?}"));
    let hostile = text.chars().find(|&char| char != '\n' && is_hostile(char));
    assert_eq!(hostile, None, "{context}: {text:?}");
    assert!(!text.lines().any(|line| line.trim_start().starts_with("FORGED")), "{context}: {text}");
}

#[track_caller]
fn assert_json(bytes: &[u8], context: &str) {
    assert_plain(bytes, context);
    for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        serde_json::from_slice::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{context}: {error}"));
    }
}

#[track_caller]
fn assert_html(bytes: &[u8], context: &str) {
    assert_plain(bytes, context);
    assert!(!String::from_utf8_lossy(bytes).to_lowercase().contains("<script"), "{context}");
}

#[track_caller]
fn assert_spreadsheet(bytes: &[u8], context: &str) {
    assert_plain(bytes, context);
    for row in csv::Reader::from_reader(bytes).records() {
        let row = row.unwrap();
        assert!(!row.iter().any(|cell| cell.starts_with(['=', '+', '-', '@'])), "{context}: {row:?}");
    }
}

/// Checks one line for each decision in text, whatever the names contain.
#[track_caller]
fn assert_decisions(bytes: &[u8], context: &str) {
    let is_decision = |line: &[u8]| {
        line.starts_with(b"Send additional promo code to: ")
            && (line.ends_with(b", True") || line.ends_with(b", False"))
    };
    let all =
        bytes.split_inclusive(|&byte| byte == b'\n').all(|line| line.strip_suffix(b"\n").is_some_and(is_decision));
    assert!(all, "{context}: {:?}", String::from_utf8_lossy(bytes));
}

struct Ran {
    code: Option<i32>,
    stdout: Vec<u8>,
}

/// Runs adseg with these arguments and an empty standard input. Checks standard error.
#[track_caller]
fn run(scratch: &Scratch, args: &str, hostile_args: &[&OsStr]) -> Ran {
    let output = scratch.adseg(args).args(hostile_args).write_stdin("").output().unwrap();
    assert_plain(&output.stderr, &format!("stderr of {args} {hostile_args:?}"));
    let code = output.status.code();
    assert!(code.is_some_and(|code| code <= 2), "{args} {hostile_args:?}: {code:?}");
    Ran { code, stdout: output.stdout }
}

fn joined(parts: &[&[u8]]) -> OsString {
    OsString::from_vec(parts.concat())
}

/// The options of a subcommand that have a value, from its help.
fn options_with_value(scratch: &Scratch, subcommand: &str) -> Vec<String> {
    let help = scratch.run(&format!("{subcommand} --help")).stdout;
    let words =
        help.lines().filter_map(|line| line.trim_start().split_once("--").filter(|(_, rest)| rest.contains('<')));
    let options = words.filter(|(before, _)| before.is_empty() || before.ends_with(", "));
    options.map(|(_, rest)| format!("--{}", rest.split([' ', '[']).next().unwrap())).collect()
}

/// The exit code of a command that fails.
fn failure_code(command: &str) -> i32 {
    if command.contains("check") || command.starts_with("diff") { 2 } else { 1 }
}

#[test]
fn rejected_arguments_are_escaped() {
    let scratch = Scratch::small_campaign();
    for hostile in HOSTILE {
        let name = OsStr::from_bytes(hostile);
        for args in ["", "help", "man", "completions", "man --dir /dev/null/"] {
            assert_ne!(run(&scratch, args, &[name]).code, Some(0), "{args} {name:?}");
        }
        assert_eq!(run(&scratch, "", &[&joined(&[b"--", hostile])]).code, Some(2));
    }
    for subcommand in subcommands() {
        let inputs = match &*subcommand {
            "run" | "check" | "order-check" | "report" => "--loyalty loyalty.txt --conversions conversions.txt",
            "explain" => "kim@example.com --loyalty loyalty.txt --conversions conversions.txt",
            "diff" => "none none --loyalty loyalty.txt --conversions conversions.txt",
            "frame" | "unframe" => "conversions.txt",
            "merge" => "answers",
            "completions" => "bash",
            "generate" | "man" => "",
            other => panic!("no arguments for adseg {other}"),
        };
        let options = options_with_value(&scratch, &subcommand);
        assert_eq!(options.is_empty(), subcommand == "completions", "{subcommand}");
        let args = format!("{subcommand} {inputs}");
        for hostile in HOSTILE {
            let scratch = Scratch::small_campaign();
            run(&scratch, &args, &[OsStr::from_bytes(hostile)]);
            assert_eq!(run(&scratch, &args, &[&joined(&[b"--", hostile])]).code, Some(2), "{args}");
            assert_eq!(run(&scratch, &args, &[&joined(&[b"--quie=", hostile])]).code, Some(2), "{args}");
            for option in &options {
                let value = joined(&[option.as_bytes(), b"=", hostile]);
                let ran = run(&scratch, &args, &[&value]);
                if subcommand != "frame" {
                    assert_plain(&ran.stdout, &format!("{args} {value:?}"));
                }
            }
        }
    }
}

#[test]
fn names_of_files_are_escaped() {
    for hostile in HOSTILE {
        let scratch = Scratch::small_campaign();
        scratch.write("policy.toml", POLICY);
        // A path that begins with a hyphen is an option otherwise.
        let file = &*joined(&[b"./", hostile]);
        let [missing, inside] = &[joined(&[b"./no", hostile]), joined(&[b"./", hostile, b"/out.txt"])];
        let folder = &*joined(&[b"./folder", hostile]);
        fs::create_dir(scratch.path().join(folder)).unwrap();
        fs::write(scratch.path().join(folder).join("mine"), "").unwrap();
        fs::write(scratch.path().join(file), "P, ClickConversion, new@example.com, w\nbad\n").unwrap();
        let buyers = scratch.write("buyers.txt", "P, PurchaseConversion, new@example.com, [1], 2\n");
        let (list, skip) = ("--loyalty loyalty.txt", "--on-error skip");
        for subcommand in subcommands() {
            let inputs = &*match &*subcommand {
                "completions" => continue,
                "merge" => {
                    for path in [file, folder, inside] {
                        assert_eq!(run(&scratch, "merge", &[path]).code, Some(1), "{path:?}");
                    }
                    continue;
                }
                "man" => {
                    for path in [file, inside] {
                        assert_eq!(run(&scratch, "man --dir", &[path]).code, Some(1));
                    }
                    continue;
                }
                "generate" => {
                    for (path, code) in [(file, 2), (folder, 1), (inside, 1)] {
                        assert_eq!(run(&scratch, "generate --loyalty", &[path]).code, Some(code), "{path:?}");
                    }
                    continue;
                }
                "frame" | "unframe" => {
                    for (args, path) in [("", &**missing), ("", folder), ("conversions.txt -o", inside)] {
                        assert_eq!(run(&scratch, &format!("{subcommand} {args}"), &[path]).code, Some(1));
                    }
                    assert_eq!(run(&scratch, &subcommand, &[file, "-o".as_ref(), file]).code, Some(2));
                    continue;
                }
                "run" | "check" | "order-check" | "report" => format!("{subcommand} {list}"),
                "explain" => format!("explain new@example.com {list}"),
                "diff" => format!("diff none policy.toml {list}"),
                other => panic!("no files for adseg {other}"),
            };
            let good = format!("{inputs} --conversions conversions.txt");
            let conversions = OsStr::new("--conversions");
            for path in [&**missing, folder, file] {
                // order-check does not check a single file, so it reads two.
                let ran = run(&scratch, inputs, &[conversions, path, buyers.as_os_str()]);
                // A bad record in the file is a finding of check.
                let code = if path == file && inputs.starts_with("check") { 1 } else { failure_code(inputs) };
                assert_eq!(ran.code, Some(code), "{inputs} {path:?}");
                assert_plain(&ran.stdout, &good);
            }
            let failed = failure_code(inputs);
            for (path, code) in [(folder, failed), (&**inside, failed), (file, 2)] {
                let ran = run(&scratch, inputs, &[conversions, file, "-o".as_ref(), path]);
                assert_eq!(ran.code, Some(code), "{inputs} -o {path:?}");
            }
            assert_eq!(
                run(&scratch, &good, &["--loyalty".as_ref(), file, "--conversions".as_ref(), file]).code,
                Some(2)
            );
            let formats: &[&str] = match &*subcommand {
                "check" => &["--format text", "--format jsonl"],
                "order-check" | "explain" | "diff" => {
                    &["--on-error skip --format text", "--on-error skip --format jsonl"]
                }
                _ => &[skip],
            };
            for format in formats {
                let ran = run(&scratch, &format!("{inputs} {format} --conversions"), &[file, buyers.as_os_str()]);
                let check = if format.contains("jsonl") { assert_json } else { assert_plain };
                check(&ran.stdout, &format!("{inputs} {format} {file:?}"));
            }
        }
        let explain = format!("explain {list} --conversions conversions.txt --emails");
        for (path, code) in [(&**missing, 1), (folder, 1)] {
            assert_eq!(run(&scratch, &explain, &[path]).code, Some(code));
        }
        let html = format!("report {list} --conversions conversions.txt --html");
        assert_eq!(run(&scratch, &html, &[inside]).code, Some(1));
        let save = format!("run {list} --conversions conversions.txt --save-loyalty");
        assert_eq!(run(&scratch, &save, &[inside]).code, Some(1));
        let rejects = &*joined(&[b"./rejects", hostile]);
        for (path, code) in [(rejects, 0), (folder, 2), (&**inside, 1), (file, 1)] {
            let ran = run(&scratch, &format!("run {list} {skip} --conversions"), &[file, "--rejects".as_ref(), path]);
            assert_eq!(ran.code, Some(code), "{path:?}");
        }
        let errors = fs::read(scratch.path().join(rejects).join("errors.jsonl")).unwrap();
        assert_json(&errors, "errors.jsonl");
        assert!(!errors.is_empty());
    }
}

/// A campaign with `hostile` in every field of a frame.
fn campaign(hostile: &[u8]) -> Scratch {
    let scratch = Scratch::new();
    let with = |record: &str| frame(record.as_bytes().split(|&byte| byte == b'%').collect::<Vec<_>>().join(hostile));
    let frames = |records: &[&str]| records.iter().flat_map(|record| with(record)).collect::<Vec<u8>>();
    scratch.write(
        "loyalty.frames",
        frames(&[SMALL_LIST.trim_end(), "m%@example.com, u%, i%, g%", "lee@example.com, %, %, %"]),
    );
    let clicks =
        ["%, ClickConversion, kim@example.com, %", "p%, ClickConversion, c%@example.com, w%", "%, %, %, %", "%"];
    let buys = ["%, PurchaseConversion, c%@example.com, [%;i%], 5", "%, BasketConversion, new@example.com, [%]"];
    let bad = ["p%, PurchaseConversion, new@example.com, [1], %", "p, BasketConversion, new@example.com, i%"];
    scratch.write("clicks.frames", frames(&[&clicks[..], &["%, ClickConversion, new@example.com, %"]].concat()));
    scratch
        .write("buys.frames", frames(&[&buys[..], &bad, &["%, PurchaseConversion, new@example.com, [1], 9"]].concat()));
    // A control byte in an email is an error, which is tested with the emails on the command line.
    let email: Vec<u8> = hostile.iter().map(|&byte| if byte < b' ' { b'_' } else { byte }).collect();
    scratch.write("policy.toml", POLICY);
    scratch.write("emails.txt", [b"kim@example.com\nc", &email[..], b"@example.com\nnew@example.com\n"].concat());
    scratch
}

#[test]
fn fields_of_records_are_escaped() {
    let inputs = "--loyalty loyalty.frames --conversions clicks.frames buys.frames";
    let skip = format!("{inputs} --on-error skip");
    type Check = fn(&[u8], &str);
    for hostile in HOSTILE.into_iter().chain([&b"a\0z"[..]]) {
        let scratch = campaign(hostile);
        for subcommand in subcommands() {
            let outputs: Vec<(String, Check)> = match &*subcommand {
                "run" => vec![
                    (skip.clone(), assert_decisions),
                    (format!("{skip} --rejects rejects --save-loyalty saved.txt"), assert_decisions),
                    (format!("{skip} --output-format jsonl --summary=json"), assert_json),
                    (inputs.to_owned(), assert_decisions),
                ],
                "check" => vec![(inputs.to_owned(), assert_plain), (format!("{inputs} --format jsonl"), assert_json)],
                "order-check" => vec![(skip.clone(), assert_plain), (format!("{skip} --format jsonl"), assert_json)],
                "diff" => {
                    let skip = format!("none policy.toml {skip}");
                    vec![(skip.clone(), assert_plain), (format!("{skip} --format jsonl"), assert_json)]
                }
                "explain" => {
                    let skip = format!("{skip} --emails emails.txt");
                    vec![(skip.clone(), assert_plain), (format!("{skip} --format jsonl"), assert_json)]
                }
                "report" => vec![
                    (skip.clone(), assert_plain),
                    (format!("{skip} --format json"), |json, context| {
                        assert_plain(json, context);
                        serde_json::from_slice::<serde_json::Value>(json).unwrap();
                    }),
                    (format!("{skip} --format csv"), assert_spreadsheet),
                    (format!("{skip} -o report.txt --html -"), assert_html),
                ],
                // These convert records unchanged, or read none.
                "frame" | "unframe" | "merge" | "generate" | "completions" | "man" => continue,
                other => panic!("no outputs for adseg {other}"),
            };
            for (args, check) in outputs {
                let args = format!("{subcommand} {args}");
                let ran = run(&scratch, &args, &[]);
                assert!(!ran.stdout.is_empty() || !args.contains("skip"), "{args}");
                check(&ran.stdout, &format!("{args} {:?}", OsStr::from_bytes(hostile)));
            }
            let errors = fs::read(scratch.file("rejects/errors.jsonl")).unwrap();
            assert_json(&errors, "errors.jsonl");
            assert!(errors.len() > 100);
        }
        for args in ["unframe clicks.frames", "frame clicks.frames"] {
            run(&scratch, args, &[]);
        }
    }
}

#[test]
fn csv_headers_and_cells_are_escaped() {
    for hostile in HOSTILE {
        let scratch = Scratch::small_campaign();
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in [
            [&b"promo"[..], b"conversion", b"email", b"where"],
            [hostile, b"ClickConversion", b"kim@example.com", hostile],
        ] {
            writer.write_record(row).unwrap();
        }
        writer.write_record([b"p", hostile, b"kim@example.com", hostile]).unwrap();
        scratch.write("good.csv", writer.into_inner().unwrap());
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record([hostile, b"promo", b"conversion"]).unwrap();
        scratch.write("header.csv", writer.into_inner().unwrap());
        for subcommand in ["run", "check", "report", "explain kim@example.com"] {
            for file in ["header.csv", "good.csv"] {
                let args = format!("{subcommand} --loyalty loyalty.txt --conversions {file} --conversions-format csv");
                let ran = run(&scratch, &args, &[]);
                // A header row that cannot be read is not a finding, and a bad record is one.
                let code = if file == "header.csv" { failure_code(subcommand) } else { 1 };
                assert_eq!(ran.code, Some(code), "{args}");
                let check = if subcommand == "run" && !ran.stdout.is_empty() { assert_decisions } else { assert_plain };
                check(&ran.stdout, &args);
            }
        }
        // CSV decisions have the fields as they are, in one row for each decision.
        let csv = "run --loyalty loyalty.txt --conversions good.csv --conversions-format csv --output-format csv";
        let ran = run(&scratch, &format!("{csv} --on-error skip"), &[]);
        let rows: Vec<_> = csv::Reader::from_reader(&ran.stdout[..]).into_byte_records().map(Result::unwrap).collect();
        assert!(rows.len() == 1 && rows[0][0] == *hostile && rows[0][3] == *hostile, "{rows:?}");
    }
}

#[test]
fn each_invalid_sequence_becomes_one_replacement_character_in_json() {
    // The Unicode Standard, "substitution of maximal subparts": a truncated character is one sequence, and each other
    // byte that is not UTF-8 is one.
    let bytes = b"a\xff\xfe\x80b\xe2\x82c\xed\xa0\x80d";
    let replaced = "a\u{fffd}\u{fffd}\u{fffd}b\u{fffd}c\u{fffd}\u{fffd}\u{fffd}d";
    let scratch = Scratch::small_campaign();
    let file = OsStr::from_bytes(bytes);
    let record = [bytes, &b", ClickConversion, kim@example.com, w\n"[..], bytes, b"\n"].concat();
    fs::write(scratch.path().join(file), record).unwrap();
    let inputs = "--loyalty loyalty.txt --conversions";
    for (args, keys) in [
        ("run --on-error skip --output-format jsonl", &["promo"][..]),
        ("explain kim@example.com --on-error skip --format jsonl", &["promo", "file"]),
        ("report --on-error skip --format json", &["promo"]),
        ("check --format jsonl", &["name", "file"]),
    ] {
        let ran = run(&scratch, &format!("{args} {inputs}"), &[file]);
        let json = String::from_utf8(ran.stdout).unwrap();
        for key in keys {
            assert!(json.contains(&format!("\"{key}\":\"{replaced}\"")), "{key} of {args}: {json}");
        }
    }
    run(&scratch, &format!("run --on-error skip --rejects rejects {inputs}"), &[file]);
    assert!(scratch.read("rejects/errors.jsonl").contains(&format!("\"file\":\"{replaced}\"")));
}
