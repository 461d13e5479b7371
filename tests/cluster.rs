//! A run in several processes has the same output, rejects, saved list, messages and exit code as one process: for every
//! golden case, and for random inputs, numbers of processes and workers, and sizes of blocks.

#![cfg(all(unix, feature = "cluster"))]

mod common;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use common::cluster::{Hosts, Shape, assert_agrees, assert_all_agree, files, wait_for_parts};
use common::{RUN, Scratch, assert_same, cases, frame};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use proptest::sample::select;

const SHAPES: [Shape; 8] =
    [(2, 1, 7), (3, 2, 40), (4, 1, 300), (1, 1, 1 << 20), (2, 2, 1), (1, 2, 90), (3, 1, 1 << 21), (4, 2, 1000)];

#[test]
fn every_fixture_agrees_with_one_process() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut folders: Vec<_> = fs::read_dir(fixtures).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    let mut compared = 0;
    for folder in folders {
        let args = fs::read_to_string(folder.join("args.txt")).unwrap_or_else(|_| RUN.to_owned());
        let reads_stdin = args.split_whitespace().any(|arg| arg == "-");
        if !args.starts_with("run") || reads_stdin || args.contains("--codes") {
            continue;
        }
        let mut inputs = files(&folder);
        inputs.retain(|path, _| path.components().count() == 1);
        // A long record in blocks of a few bytes would take long.
        let min_block_bytes = inputs.values().map(Vec::len).sum::<usize>() / 300;
        let shapes = [compared, compared + 1].map(|index| {
            let (processes, threads, block_bytes) = SHAPES[index % SHAPES.len()];
            (processes, threads, block_bytes.max(min_block_bytes))
        });
        assert_all_agree(&inputs, args.trim(), &shapes, &folder.display().to_string());
        compared += 1;
    }
    assert!(compared > 100, "the fixtures are missing");
}

#[test]
fn an_input_that_is_not_a_file_is_refused() {
    let scratch = Scratch::small_campaign();
    let output = scratch.run_with(&format!("{} --processes 2", common::RUN_STDIN), common::SMALL_CONVERSIONS);
    assert_eq!((output.code, &*output.stdout), (Some(2), ""));
    assert!(
        output.stderr.starts_with("adseg: stdin is not a regular file; a run in several processes"),
        "{}",
        output.stderr
    );
}

/// The longest record in these tests, in bytes.
const MAX_RECORD_BYTES: usize = 90;

fn record() -> impl Strategy<Value = String> {
    let email = || select(vec!["a@x", "b@x", "A@x", "c.d@example.com", "e@x ", "f\u{e9}@x", "\tg@x", "h@x", "i@x"]);
    let valid = prop_oneof![
        4 => email().prop_map(|email| format!("P, ClickConversion, {email}, w")),
        1 => email().prop_map(|email| format!("P,BasketConversion,{email},[6;14]")),
        2 => email().prop_map(|email| format!(" P , PurchaseConversion , {email} , [ ] , -18.64 , more")),
        2 => (email(), "[ a-z]{0,9}").prop_map(|(email, name)| format!("{email}, {name}, , F")),
    ];
    let unusual =
        select(vec!["", "  \t", "nothing", "P, ClikConversion, a@x, w", "P, BasketConversion, a@x, [;]", "\r"]);
    let long = (MAX_RECORD_BYTES - 2..4 * MAX_RECORD_BYTES).prop_map(|len| format!("a@x, , , {}", "x".repeat(len - 9)));
    prop_oneof![30 => valid, 2 => unusual.prop_map(str::to_owned), 1 => long]
}

fn table_row() -> impl Strategy<Value = [String; 6]> {
    let kind = select(vec!["ClickConversion", "ClickConversion", "BasketConversion", "PurchaseConversion", "Clik"]);
    let email = select(vec!["a@x", "b@x", "\"quoted\", c@x", "two\nlines@x", "d@x", "e@x", ""]);
    let time =
        prop_oneof![12 => Just("2024-05-02"), 1 => Just("2024-05-01"), 1 => Just("2024-05-03"), 1 => Just("never")];
    (kind, email, time, 0..40_usize).prop_map(|(kind, email, time, len)| {
        ["P".repeat(len + 1), kind.to_owned(), email.to_owned(), "[6]".to_owned(), "1.5".to_owned(), time.to_owned()]
    })
}

const COLUMNS: [&str; 6] = ["promo", "conversion", "email", "items", "total_cost", "ts"];

fn csv(rows: &[[String; 6]]) -> Vec<u8> {
    let quoted = |field: &String| format!("\"{}\"", field.replace('"', "\"\""));
    let row = |row: &[String; 6]| row.iter().map(quoted).collect::<Vec<_>>().join(",");
    let lines: Vec<_> = std::iter::once(COLUMNS.join(",")).chain(rows.iter().map(row)).collect();
    (lines.join("\n") + "\n").into_bytes()
}

fn json_lines(rows: &[[String; 6]]) -> Vec<u8> {
    let object = |row: &[String; 6]| {
        let map: serde_json::Map<_, _> =
            COLUMNS.iter().zip(row).map(|(key, value)| ((*key).to_owned(), value.clone().into())).collect();
        serde_json::Value::from(map).to_string() + "\n"
    };
    rows.iter().map(object).collect::<String>().into_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A file with records in any format.
fn file(is_list: bool) -> impl Strategy<Value = Vec<u8>> {
    let records = prop::collection::vec(record(), 0..60).prop_map(move |mut records| {
        // A guard refuses a list that begins with conversions.
        records.insert(0, if is_list { "z@x, , , F" } else { "P, ClickConversion, z@x, w" }.to_owned());
        records
    });
    let text = (records, 0..6_u8).prop_map(|(records, form)| match form {
        0 => records.iter().flat_map(frame).collect(),
        1 => gzip((records.join("\n") + "\n").as_bytes()),
        2 => [b"\xef\xbb\xbf", records.join("\r\n").as_bytes()].concat(),
        3 => records.join("\n").into_bytes(),
        _ => (records.join("\n") + "\n").into_bytes(),
    });
    let table = (prop::collection::vec(table_row(), 0..40), 0..4_u8).prop_map(|(rows, form)| match form {
        0 => gzip(&csv(&rows)),
        1 => csv(&rows),
        _ => json_lines(&rows),
    });
    if is_list { text.boxed() } else { prop_oneof![2 => text, 1 => table].boxed() }
}

fn options() -> impl Strategy<Value = String> {
    let errors = select(vec![
        "",
        "--on-error skip --rejects rejects",
        "--on-error skip --rejects rejects",
        "--on-error skip --max-rejects 2",
        "--on-error skip --max-rejects 2 --rejects rejects",
    ]);
    let format = select(vec!["text", "framed", "jsonl", "csv", "emails"]);
    let list = select(vec!["", "--save-loyalty saved.txt", "--save-loyalty saved.csv --save-format csv"]);
    let members = select(vec!["", "", "--min-members 3"]);
    let output = select(vec!["", "-o codes.txt", "--send-only -o codes.txt"]);
    (errors, format, list, members, output).prop_map(|(errors, format, list, members, output)| {
        format!("{errors} --output-format {format} {list} {members} {output}")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(70)))]

    #[test]
    fn random_inputs_agree_with_one_process(
        lists in prop::collection::vec(file(true), 1..3),
        logs in prop::collection::vec(file(false), 1..4),
        options in options(),
        shape in (1..=4_usize, 1..=2_usize, prop_oneof![1..300_usize, Just(1 << 20)]),
    ) {
        let mut inputs = BTreeMap::new();
        let mut args = format!("run --max-record-bytes {MAX_RECORD_BYTES} --loyalty");
        for (number, list) in lists.into_iter().enumerate() {
            args += &format!(" list{number}");
            inputs.insert(PathBuf::from(format!("list{number}")), list);
        }
        args += " --conversions";
        for (number, log) in logs.into_iter().enumerate() {
            args += &format!(" log{number}");
            inputs.insert(PathBuf::from(format!("log{number}")), log);
        }
        assert_agrees(&inputs, &format!("{args} {options}"), shape, &args);
    }

    #[test]
    fn random_times_agree_with_one_process(
        log in prop::collection::vec(table_row(), 0..60),
        is_csv in any::<bool>(),
        options in select(vec!["", "--allow-disorder", "--on-error skip", "--on-error skip --allow-disorder --since 2024-05-02"]),
        shape in (2..=3_usize, 1..=2_usize, 20..3000_usize),
    ) {
        let log = if is_csv { csv(&log) } else { json_lines(&log) };
        let inputs = BTreeMap::from([("list".into(), b"a@x, , , F\nd@x, , , M\n".to_vec()), ("log".into(), log)]);
        let args = format!("run --loyalty list --conversions log --time-column ts --output-format csv {options}");
        assert_agrees(&inputs, &args, shape, &args);
    }
}

/// A campaign whose conversions have many blocks.
fn campaign() -> Scratch {
    let scratch = Scratch::new();
    let members = (0..200).map(|number| format!("member{number}@example.com, , , F\n"));
    scratch.write("loyalty.txt", members.collect::<String>());
    let events = (0..3_000).map(|number| match number % 3 {
        0 => format!("P, PurchaseConversion, new{}@example.com, [6], 9.45\n", number % 500),
        1 => format!("P, ClickConversion, member{}@example.com, Web\n", number % 300),
        _ => format!("P, ClickConversion, new{}@example.com, Web\n", number % 700),
    });
    scratch.write("conversions.txt", events.collect::<String>());
    scratch
}

#[test]
fn merged_parts_of_hosts_are_the_output_of_one_process() {
    let scratch = campaign();
    for format in ["text", "csv"] {
        let options = format!("{RUN} --output-format {format} --block-bytes 1000 --threads 2");
        scratch.adseg(&format!("{RUN} --output-format {format} -o alone --save-loyalty alone.list")).assert().success();
        let mut hosts = Hosts::start(&scratch, 3, &format!("{options} -o answers --save-loyalty together.list"));
        for (process, output) in hosts.wait_all(Duration::from_secs(30)).into_iter().enumerate() {
            assert_eq!((output.code, &*output.stderr, &*output.stdout), (Some(0), "", ""), "{process}");
        }
        scratch.adseg("merge answers -o together").assert().success().stdout("").stderr("");
        assert_same(scratch.read("together"), scratch.read("alone"), format);
        assert_same(scratch.read("together.list"), scratch.read("alone.list"), format);
        scratch.adseg("merge answers").assert().success().stdout(scratch.read("alone"));
        let names = scratch.names_in("answers");
        assert_eq!((names.len(), names.first().map(String::as_str)), (7, Some("manifest.json")), "{names:?}");
    }
}

#[test]
fn processes_append_to_standard_output() {
    let scratch = campaign();
    scratch.adseg(&format!("{RUN} --output-format csv -o alone")).assert().success();
    let run = format!("{RUN} --output-format csv --processes 3 --threads 1 --block-bytes 1000");
    for redirect in [">>", "| cat >>"] {
        scratch.write("codes.txt", "old\n");
        assert!(scratch.sh(&format!("adseg {run} {redirect} codes.txt")).status().unwrap().success());
        assert_same(scratch.read("codes.txt"), "old\n".to_owned() + &scratch.read("alone"), redirect);
    }
}

#[test]
fn merge_refuses_parts_that_are_not_complete() {
    let scratch = campaign();
    let mut hosts = Hosts::start(&scratch, 2, &format!("{RUN} --block-bytes 1000 --threads 1 -o answers"));
    assert!(hosts.wait_all(Duration::from_secs(30)).iter().all(|output| output.code == Some(0)));
    let manifest = scratch.read("answers/manifest.json");
    let part = scratch.names_in("answers").pop().unwrap();
    let content = scratch.read(&format!("answers/{part}"));
    scratch.write("codes.txt", "old");
    let assert_refused = |message: &str| {
        for output in ["-o codes.txt", ""] {
            let refused = scratch.run(&format!("merge answers {output}"));
            assert_eq!((refused.code, &*refused.stdout), (Some(1), ""), "{message}");
            assert!(refused.stderr.contains(message), "{message}: {}", refused.stderr);
            assert_eq!(scratch.read("codes.txt"), "old", "{message}");
        }
    };
    scratch.write(&format!("answers/{part}"), content.replacen("True", "Fals", 1));
    assert_refused("the part is not complete: its checksum differs");
    scratch.write(&format!("answers/{part}"), &content[1..]);
    assert_refused("bytes and not");
    fs::remove_file(scratch.file(&format!("answers/{part}"))).unwrap();
    assert_refused("cannot read: No such file");
    scratch.write(&format!("answers/{part}"), content);
    let decisions = "\"decisions\":3000";
    assert!(manifest.contains(decisions));
    scratch.write("answers/manifest.json", manifest.replace(decisions, "\"decisions\":2999"));
    assert_refused("the decisions of the parts do not add up");
    scratch.write("answers/manifest.json", manifest.replace("\"segments\":", "\"segments\":1"));
    assert_refused("manifest");
    assert!(manifest.contains("\"number\":1,"));
    scratch.write("answers/manifest.json", manifest.replace("\"number\":1,", &format!("\"number\":{},", u64::MAX)));
    assert_refused("the number of an input is too large");
    fs::remove_file(scratch.file("answers/manifest.json")).unwrap();
    assert_refused("answers: the run has no manifest; it failed or has not ended");
    scratch.write("answers/manifest.json", manifest);
    scratch.adseg("merge answers -o codes.txt").assert().success();
    scratch.adseg(RUN).assert().success().stdout(scratch.read("codes.txt"));
}

#[test]
fn merge_does_not_replace_a_part_or_the_manifest() {
    let scratch = Scratch::small_campaign();
    let mut hosts = Hosts::start(&scratch, 2, &format!("{RUN} --threads 1 -o answers"));
    assert!(hosts.wait_all(Duration::from_secs(30)).iter().all(|output| output.code == Some(0)));
    let before = files(&scratch.file("answers"));
    for command in [
        "cd answers && exec adseg merge . -o manifest.json",
        "cd answers && exec adseg merge ../answers -o new",
        "exec adseg merge answers -o ./answers/../answers/new",
        "ln -s answers/manifest.json link && exec adseg merge answers -o link",
    ] {
        let output = scratch.sh(command).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{command}: {output:?}");
        assert_eq!(files(&scratch.file("answers")), before, "{command}");
    }
    for command in ["cd answers && exec adseg merge .", "cd answers && exec adseg merge . -o - | cat"] {
        let output = scratch.sh(command).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), common::SMALL_DECISIONS, "{command}: {output:?}");
    }
}

#[test]
fn a_file_that_one_worker_reads_stalls_no_process() {
    let scratch = campaign();
    let rows = "P,ClickConversion,member1@example.com\n".repeat(2_500);
    scratch.write("conversions.txt", "promo,conversion,email\n".to_owned() + &rows);
    let mut hosts =
        Hosts::start(&scratch, 2, &format!("{RUN} --block-bytes 40 --threads 1 --stall-timeout 1 -o answers"));
    wait_for_parts(&scratch, "answers", 2);
    // Slow, so that the run takes longer than the limit, and never silent for that long.
    for _ in 0..24 {
        hosts.signal(0, "-STOP");
        thread::sleep(Duration::from_millis(120));
        hosts.signal(0, "-CONT");
        thread::sleep(Duration::from_millis(10));
    }
    for output in hosts.wait_all(Duration::from_secs(30)) {
        assert_eq!((output.code, &*output.stderr), (Some(0), ""));
    }
}

#[test]
fn a_run_with_hosts_keeps_other_files_of_its_directory() {
    let scratch = campaign();
    fs::create_dir(scratch.file("answers")).unwrap();
    scratch.write("answers/part-00000.txt", "mine");
    let mut hosts = Hosts::start(&scratch, 2, &format!("{RUN} -o answers --connect-timeout 2"));
    for output in hosts.wait_all(Duration::from_secs(20)) {
        assert_eq!(output.code, Some(2));
        let message =
            "adseg: answers contains part-00000.txt, which is not a part of a run; name a new or empty directory";
        assert!(output.stderr.starts_with(message), "{}", output.stderr);
    }
    assert_eq!(scratch.names_in("answers"), ["part-00000.txt"]);
}

#[test]
fn a_run_with_hosts_never_removes_its_own_files() {
    let scratch = campaign();
    fs::create_dir(scratch.file("answers")).unwrap();
    let names = ["loyalty.txt", "part-00000.txt", "part-0123456789abcdef-000-000.txt"];
    for name in names {
        fs::copy(scratch.file("loyalty.txt"), scratch.file(&format!("answers/{name}"))).unwrap();
        let run = "run --conversions conversions.txt --hosts hosts.txt --process 0 -o answers --loyalty";
        scratch.write("hosts.txt", "localhost:4001\nlocalhost:4002\n");
        let output = scratch.run(&format!("{run} answers/{name}"));
        let message =
            format!("adseg: answers/{name} is in answers, the directory for the parts; name another directory");
        assert_eq!(output.code, Some(2));
        assert!(output.stderr.starts_with(&message), "{}", output.stderr);
        let link = scratch.file(&format!("link-to-{name}"));
        std::os::unix::fs::symlink(scratch.file(&format!("answers/{name}")), &link).unwrap();
        let output = scratch.run(&format!("{run} link-to-{name}"));
        let message = format!("adseg: link-to-{name} is in answers, the directory for the parts");
        assert!(output.stderr.starts_with(&message), "{}", output.stderr);
        let output = scratch.run(&format!("{run} loyalty.txt --on-error skip --rejects answers"));
        assert!(output.stderr.starts_with("adseg: answers is in answers, the directory"), "{}", output.stderr);
        let output = scratch.run(&format!("{run} loyalty.txt --save-loyalty answers/members.txt"));
        assert!(output.stderr.starts_with("adseg: answers/members.txt is in answers"), "{}", output.stderr);
    }
    assert_eq!(scratch.names_in("answers"), names);
}

#[test]
fn wrong_use_of_hosts_exits_with_2() {
    let scratch = campaign();
    scratch.write("hosts.txt", "localhost:4001\nlocalhost:4002\n");
    for (args, message) in [
        ("--hosts hosts.txt -o answers", "--hosts needs --process I, or the environment variable ADSEG_PROCESS"),
        ("--hosts hosts.txt --process 2 -o answers", "there is no process 2: hosts.txt names the processes 0 to 1"),
        ("--hosts hosts.txt --process 0", "--hosts needs --output DIR, the directory for the parts"),
        ("--hosts hosts.txt --process 0 -o loyalty.txt", "loyalty.txt is not a directory; with --hosts"),
        ("--hosts hosts.txt --processes 2", "cannot be used with"),
        ("--processes 65", "65 is not in 1..=64"),
    ] {
        let output = scratch.run(&format!("{RUN} {args}"));
        assert_eq!(output.code, Some(2), "{args}: {}", output.stderr);
        assert!(output.stderr.contains(message), "{args}: {}", output.stderr);
    }
    for (name, value, message) in [
        ("ADSEG_CLUSTER_TOKEN", &b"t\xff"[..], "ADSEG_CLUSTER_TOKEN is not valid UTF-8; set it to letters and digits"),
        ("ADSEG_PROCESS", b"\xff", "ADSEG_PROCESS is not valid UTF-8; set it to the number of a process"),
        ("ADSEG_PROCESS", b"one", "ADSEG_PROCESS is one, not a number; set it to the number of a process"),
    ] {
        let process = if name == "ADSEG_PROCESS" { "" } else { "--process 1" };
        let mut command = scratch.piped(&format!("{RUN} --hosts hosts.txt {process} -o answers --connect-timeout 1"));
        let output = command.env(name, OsStr::from_bytes(value)).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.starts_with(&format!("adseg: {message}")), "{stderr}");
    }
    scratch.write("hosts.txt", "name.invalid:4001\n");
    let output = scratch.run(&format!("{RUN} --hosts hosts.txt --process 0 -o answers --connect-timeout 1"));
    assert_eq!(output.code, Some(1));
    let message = "adseg: cannot listen on name.invalid:4001, the address of process 0: ";
    assert!(output.stderr.starts_with(message), "{}", output.stderr);
    scratch.write("hosts.txt", "localhost\n");
    let output = scratch.run(&format!("{RUN} --hosts hosts.txt --process 0 -o answers"));
    assert_eq!((output.code, &*output.stderr), (Some(1), "adseg: hosts.txt:1: expected HOST:PORT\n"));
}
