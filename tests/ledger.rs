//! The ledger of `adseg run`: repeated runs, concurrent runs, closed pipes, and records that try to forge rows.

#![cfg(unix)]

mod common;

use std::collections::HashSet;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use common::live::LiveRun;
use common::{CommandOutput, Scratch, runs};
use predicates::str::contains;
use serde_json::{Value, json};

const RUN: &str = "run --loyalty loyalty.txt --conversions conversions.txt --output-format csv -o out.csv";
const RUN_STDIN: &str = "run --loyalty loyalty.txt --conversions - --output-format csv";
const HEADER: &str = "run,promo,email,outcome,code\n";

fn campaign() -> Scratch {
    let scratch = Scratch::new();
    let rows = (0..60).map(|number| format!("c{number}@x, , , F\n")).collect::<String>();
    scratch.write("loyalty.txt", rows);
    scratch.write("conversions.txt", click("c0@x"));
    scratch.write("codes.txt", (0..200).map(|number| format!("CODE{number}\n")).collect::<String>());
    scratch
}

fn click(email: &str) -> String {
    format!("P, ClickConversion, {email}, w\n")
}

/// The rows of a ledger, as another program reads them.
fn rows(scratch: &Scratch) -> Vec<[String; 5]> {
    let mut reader = csv::Reader::from_path(scratch.file("ledger.csv")).unwrap();
    assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>().join(",") + "\n", HEADER);
    let row = |row: csv::StringRecord| row.iter().map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
    reader.records().map(|record| row(record.unwrap())).collect()
}

/// Starts a run that waits for its conversions on standard input, and waits until it has locked its files.
fn waiting_run(scratch: &Scratch, args: &str) -> LiveRun {
    let run = LiveRun::start(scratch, &format!("{RUN_STDIN} {args}"));
    let start = Instant::now();
    while !scratch.names().iter().any(|name| name.ends_with(".tmp")) {
        assert!(start.elapsed() < Duration::from_secs(60), "the run does not start");
        thread::sleep(Duration::from_millis(2));
    }
    run
}

#[test]
fn second_run_with_the_same_ledger_is_rejected() {
    let scratch = campaign();
    scratch.write("ledger.csv", HEADER);
    let mut first = waiting_run(&scratch, "--ledger ledger.csv --run-id first -o first.csv");
    let second = format!("{RUN} --ledger ./ledger.csv --run-id second");
    let message = "adseg: ./ledger.csv: another run is saving to this ledger; wait for it to finish\n";
    scratch.adseg(&second).assert().code(1).stderr(message);
    assert_eq!(scratch.read("ledger.csv"), HEADER);
    first.send(click("c0@x"));
    assert_eq!(first.finish(), (Some(0), String::new()));
    scratch.adseg(&second).assert().success();
    assert_eq!(scratch.read("ledger.csv"), format!("{HEADER}first,P,c0@x,sent,\n"));
    assert!(scratch.read("out.csv").contains("already-sent"));
}

/// Neither run can lock a ledger that does not exist.
#[test]
fn of_two_runs_that_create_a_ledger_one_sends_the_code() {
    let scratch = campaign();
    for _ in 0..runs(40) {
        let run = |id: &str| {
            let args = RUN.replace("out.csv", &format!("{id}.csv"));
            format!("adseg {args} --ledger ledger.csv --run-id {id} --codes codes.txt")
        };
        let script = format!("{} & pid=$!; {}; second=$?; wait $pid; test $? = 0 -o $second = 0", run("a"), run("b"));
        let output: CommandOutput = scratch.sh(&script).output().unwrap().into();
        assert_eq!(output.code, Some(0), "{}", output.stderr);
        let rows = rows(&scratch);
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_eq!(rows[0][4], "CODE0");
        let outputs = ["a.csv", "b.csv"].map(|name| fs::read_to_string(scratch.file(name)).unwrap_or_default());
        assert_eq!(outputs.concat().matches("CODE0").count(), 1, "{outputs:?}\n{}", output.stderr);
        ["a.csv", "b.csv", "ledger.csv"].iter().for_each(|name| drop(fs::remove_file(scratch.file(name))));
    }
}

#[test]
fn concurrent_runs_never_lose_a_row_or_share_a_code() {
    let scratch = campaign();
    scratch.write("ledger.csv", HEADER);
    let customers = runs(16).min(60);
    thread::scope(|scope| {
        for worker in 0..4 {
            let scratch = &scratch;
            scope.spawn(move || {
                for customer in (worker..customers).step_by(4) {
                    let args = format!(
                        "{RUN_STDIN} -o {customer}.csv --ledger ledger.csv --run-id r{customer} --codes codes.txt"
                    );
                    let start = Instant::now();
                    // A rejected run tries again.
                    while scratch.run_with(&args, click(&format!("c{customer}@x"))).code != Some(0) {
                        assert!(start.elapsed() < Duration::from_secs(60), "the run is always rejected");
                        thread::sleep(Duration::from_millis(3));
                    }
                }
            });
        }
    });
    let rows = rows(&scratch);
    let distinct = |column: usize| rows.iter().map(|row| &row[column]).collect::<HashSet<_>>().len();
    assert_eq!([rows.len(), distinct(2), distinct(4)], [customers; 3], "{rows:?}");
    for [_, _, email, _, code] in &rows {
        let output = scratch.read(&format!("{}.csv", &email[1..email.len() - 2]));
        assert!(output.contains(&format!("{email},w,,,true,false,member-click,{code}\n")), "{output}");
    }
}

#[test]
fn ledger_changed_during_the_run_is_not_replaced() {
    for ledger_exists in [true, false] {
        let scratch = campaign();
        scratch.write("out.csv", "old\n");
        if ledger_exists {
            scratch.write("ledger.csv", HEADER);
        }
        let mut run = waiting_run(&scratch, "--ledger ledger.csv --run-id now -o out.csv");
        let by_hand = format!("{HEADER}by-hand,P,c0@x,sent,\n");
        fs::rename(scratch.write("draft.csv", &by_hand), scratch.file("ledger.csv")).unwrap();
        run.send(click("c0@x"));
        let (code, stderr) = run.finish();
        assert_eq!(code, Some(1));
        assert!(stderr.contains("the ledger changed during this run; nothing was replaced, run again"), "{stderr}");
        assert_eq!([scratch.read("ledger.csv"), scratch.read("out.csv")], [by_hand, "old\n".to_owned()]);
    }
}

#[test]
fn closed_stdout_before_the_ledger_is_replaced_exits_1() {
    let scratch = campaign();
    scratch.write("conversions.txt", click("c0@x").repeat(200_000));
    scratch.write("ledger.csv", HEADER);
    let before = scratch.names();
    let args = "run --loyalty loyalty.txt --conversions conversions.txt --ledger ledger.csv --run-id now";
    let mut run = LiveRun::start(&scratch, args);
    run.read_line();
    run.close_stdout();
    assert_eq!(run.wait(), (Some(1), String::new()));
    assert_eq!(scratch.names(), before);
    assert_eq!(scratch.read("ledger.csv"), HEADER);
}

#[test]
fn signals_during_the_run_leave_the_ledger_unchanged() {
    for signal in ["-INT", "-TERM", "-KILL"] {
        let scratch = campaign();
        scratch.write("ledger.csv", HEADER);
        let mut run = waiting_run(&scratch, "--ledger ledger.csv --run-id now --codes codes.txt -o out.csv");
        run.send(click("c0@x"));
        run.signal(signal);
        let (code, _) = run.wait();
        assert_eq!(code, (signal != "-KILL").then_some(130), "{signal}");
        assert_eq!(scratch.read("ledger.csv"), HEADER);
        assert!(!scratch.file("out.csv").exists());
        scratch.adseg(&format!("{RUN} --ledger ledger.csv --run-id now --codes codes.txt")).assert().success();
        assert_eq!(scratch.read("ledger.csv"), format!("{HEADER}now,P,c0@x,sent,CODE0\n"));
    }
}

#[test]
fn fields_of_records_cannot_forge_ledger_rows() {
    let scratch = campaign();
    let emails = [
        "=HYPERLINK(\"http://x\")@x",
        "+1@x",
        "-1@x",
        "@SUM(1)@x",
        "\"a\"@x",
        "\"@x",
        "a\"\"b@x",
        "a;sent;@x",
        "a|b@x",
        "a\u{2028}b@x",
        "a\u{85}b@x",
        "a\u{202e}b@x",
        "\u{feff}a@x",
        "a'b@x",
        "a\\nb@x",
    ];
    let promos = [
        "P",
        "",
        "\"",
        "P\",c1@x,sent,CODE9\nnow,P,c2@x,sent,CODE8\n",
        "P\r\nnow,P,c3@x,sent,CODE7",
        "P\rQ",
        "run,promo,email,outcome,code",
        "a\u{0}b",
        "\n",
        "'",
    ];
    let list: String = emails.iter().map(|email| format!("{}\n", json!({ "email": email }))).collect();
    let pairs: Vec<(&str, &str)> =
        emails.iter().flat_map(|email| promos.iter().map(move |promo| (*email, *promo))).collect();
    let click = |(email, promo): &(&str, &str)| {
        format!("{}\n", json!({ "conversion": "click", "email": email, "promo": promo, "where": "w" }))
    };
    scratch.write("loyalty.jsonl", list);
    scratch.write("conversions.jsonl", pairs.iter().map(click).collect::<String>());
    scratch.write("codes.txt", (0..pairs.len()).map(|number| format!("CODE{number}\n")).collect::<String>());
    let args = "run --loyalty loyalty.jsonl --conversions conversions.jsonl --ledger ledger.csv --run-id now \
                --codes codes.txt --output-format jsonl -o out.jsonl";
    scratch.adseg(args).assert().success();
    let escaped = |promo: &str| promo.replace('\n', r"\x0a").replace('\r', r"\x0d").replace('\0', r"\x00");
    // A promo of white space only is empty after it is trimmed, so it has been sent.
    let mut sent = HashSet::new();
    let expected: Vec<_> = pairs
        .iter()
        .map(|(email, promo)| (email.to_string(), promo.trim().to_owned()))
        .filter(|pair| sent.insert(pair.clone()))
        .zip(0..)
        .map(|((email, promo), number)| (email, escaped(&promo), number))
        .map(|(email, promo, number)| ["now".into(), promo, email, "sent".into(), format!("CODE{number}")])
        .collect();
    assert_eq!(rows(&scratch), expected);
    assert_eq!(scratch.read("ledger.csv").lines().count(), expected.len() + 1);

    let [ledger, output] = ["ledger.csv", "out.jsonl"].map(|name| fs::read(scratch.file(name)).unwrap());
    scratch.adseg(args).assert().success();
    let again = ["ledger.csv", "out.jsonl"].map(|name| fs::read(scratch.file(name)).unwrap());
    assert!(again == [ledger.clone(), output], "a repeated run changes no byte");
    let next = args.replace("--run-id now", "--run-id next");
    scratch.adseg(&next).assert().success();
    assert!(scratch.read("out.jsonl").lines().all(|line| line.contains("already-sent")));
    assert!(fs::read(scratch.file("ledger.csv")).unwrap() == ledger);
    // A run id cannot contain a line feed.
    let mut command = scratch.adseg(&args.replace("--run-id now", ""));
    command.args(["--run-id", "now\nnow,P,c1@x,sent,CODE1"]).assert().code(2).stderr(contains("a control character"));
}

#[test]
fn ledger_from_a_spreadsheet_is_read_and_appended_to() {
    let scratch = campaign();
    let old = "\u{feff}run,promo,email,outcome,code\r\nearlier,P,c1@x,sent,\r\n";
    scratch.write("ledger.csv", old);
    scratch.write("conversions.txt", ["c0@x", "C1@X", "c1@x"].map(click).concat());
    let args = format!("{RUN} --ledger ledger.csv --run-id now");
    for _ in 0..2 {
        scratch.adseg(&args).assert().success();
        assert_eq!(scratch.read("ledger.csv"), format!("{old}now,P,c0@x,sent,\n"));
        assert_eq!(scratch.read("out.csv").matches("already-sent").count(), 1);
    }
}

#[test]
fn ledger_without_rows_gets_a_header_row() {
    let scratch = campaign();
    scratch.write("ledger.csv", "\n");
    scratch.adseg(&format!("{RUN} --ledger ledger.csv --run-id now")).assert().code(1).stderr(contains(":1: this is"));
    for old in ["", "\u{feff}run,promo,email,outcome,code\n"] {
        let scratch = campaign();
        scratch.write("ledger.csv", old);
        let header = if old.is_empty() { HEADER } else { "" };
        for _ in 0..2 {
            scratch.adseg(&format!("{RUN} --ledger ledger.csv --run-id now")).assert().success();
            assert_eq!(scratch.read("ledger.csv"), format!("{old}{header}now,P,c0@x,sent,\n"));
        }
    }
}

#[test]
fn truncated_ledger_is_an_error_except_at_the_end_of_a_row() {
    let scratch = campaign();
    let ledger = format!("{HEADER}r,\"a \"\"b\"\",\\x0ac\",c1@x,sent,A1\nr,P,\"\"\"c2\"\"@x\",held-out,\n");
    let ends: Vec<_> = [0, HEADER.len(), ledger.find("r,P").unwrap(), ledger.len()].into();
    for len in 0..=ledger.len() {
        scratch.write("ledger.csv", &ledger[..len]);
        let output = scratch.run(&format!("{RUN} --ledger ledger.csv --run-id now"));
        let expected = if ends.contains(&len) { 0 } else { 1 };
        assert_eq!(output.code, Some(expected), "{:?}: {}", &ledger[..len], output.stderr);
        if expected == 1 {
            assert_eq!(scratch.read("ledger.csv"), ledger[..len]);
        }
    }
}

#[test]
fn summary_counts_reasons_and_codes_left() {
    let scratch = campaign();
    scratch.write("conversions.txt", ["c0@x", "c1@x", "c0@x", "other@x"].map(click).concat());
    scratch.write("codes.csv", "promo,code\nP,A\nP,B\nP,C\nQ,D\n");
    scratch.write("suppressed.txt", "c1@x\nc2@x\nC2@X\n");
    scratch.write("ledger.csv", HEADER);
    let args =
        format!("{RUN} --suppress suppressed.txt --ledger ledger.csv --run-id now --codes codes.csv --summary=json");
    let summary: Value = serde_json::from_str(&scratch.run(&args).stderr).unwrap();
    assert_eq!(summary["codes_to_send"], 1);
    let reasons = &summary["policy"]["reasons"];
    let count = |reason: &str| reasons[reason].as_u64().unwrap();
    assert_eq!(["member-click", "suppressed", "already-sent", "not-a-member", "held-out"].map(count), [1, 1, 1, 1, 0]);
    assert_eq!(summary["policy"]["codes_left"], json!({ "P": 2, "Q": 1 }));
    assert_eq!(summary["policy"]["suppression_entries"], 2);
}

#[test]
fn codes_are_written_only_to_a_regular_file() {
    let scratch = campaign();
    scratch.write("ledger.csv", HEADER);
    let args = "adseg run --loyalty loyalty.txt --conversions conversions.txt --output-format csv --ledger ledger.csv \
                --run-id now --codes codes.txt";
    for script in [
        format!("{args} | cat"),
        format!("{args} -o /dev/stderr"),
        format!("{args} -o /dev/null"),
        format!("{args} -o /dev/stdout > out.csv"),
        format!("{args} -o out.csv > out.csv"),
        format!("mkfifo pipe; cat pipe & {args} -o pipe; code=$?; : > pipe; wait; exit $code"),
        format!("{{ {args} -o /dev/fd/3; }} 3>&1 | cat"),
    ] {
        let output: CommandOutput = scratch.sh(&script).output().unwrap().into();
        assert!(output.stderr.contains("--codes needs -o FILE, a regular file"), "{script}: {output:?}");
        assert!(!output.stderr.contains("CODE0") && output.stdout.is_empty(), "{script}: {output:?}");
        assert_eq!(scratch.read("ledger.csv"), HEADER, "{script}");
        fs::remove_file(scratch.file("out.csv")).ok();
    }
    scratch.write("target.csv", "");
    std::os::unix::fs::symlink("target.csv", scratch.file("link.csv")).unwrap();
    scratch.sh(&format!("{args} -o link.csv")).status().unwrap();
    assert!(scratch.read("target.csv").contains("CODE0"));
}

#[test]
fn ledger_with_a_hard_link_is_rejected() {
    let scratch = campaign();
    scratch.write("ledger.csv", HEADER);
    fs::hard_link(scratch.file("ledger.csv"), scratch.file("other.csv")).unwrap();
    let args = |ledger| format!("{RUN} --ledger {ledger} --run-id now");
    scratch.adseg(&args("ledger.csv")).assert().code(2).stderr(contains("make it a symbolic link"));
    assert_eq!(scratch.read("other.csv"), HEADER);
    fs::remove_file(scratch.file("other.csv")).unwrap();
    std::os::unix::fs::symlink("ledger.csv", scratch.file("other.csv")).unwrap();
    scratch.adseg(&args("other.csv")).assert().success();
    assert_eq!(scratch.read("ledger.csv"), format!("{HEADER}now,P,c0@x,sent,\n"));
}

#[test]
fn standard_streams_are_not_written_to_the_ledger() {
    let scratch = campaign();
    scratch.write("ledger.csv", HEADER);
    let args = format!("adseg {RUN} --ledger ledger.csv --run-id now");
    for (script, message) in [
        (format!("{args} >> ledger.csv"), "standard output is the ledger ledger.csv"),
        (format!("{args} 2>> ledger.csv"), "standard error is the ledger ledger.csv"),
        (format!("{args} >> ledger.csv 2>&1"), ""),
    ] {
        let output: CommandOutput = scratch.sh(&script).output().unwrap().into();
        assert_eq!(output.code, Some(2), "{script}: {output:?}");
        let printed = output.stderr + &output.stdout;
        assert!(printed.contains(message), "{script}: {printed}");
        assert_eq!(scratch.read("ledger.csv"), HEADER, "{script}");
        assert!(!scratch.file("out.csv").exists());
    }
}

#[test]
fn every_promo_of_a_long_ledger_is_remembered() {
    let scratch = campaign();
    let promos = 0..70;
    let row = |promo| format!("earlier,P{promo},C{}@x,sent,\n", promo % 2);
    scratch.write("ledger.csv", HEADER.to_owned() + &promos.clone().map(row).collect::<String>());
    let clicks = promos.clone().flat_map(|promo| {
        [0, 1, 2].map(|customer| format!("P{promo}, ClickConversion, c{customer}@x, w\n")).into_iter().chain(
            // The second click of a promo.
            [format!("P{promo}, ClickConversion, c2@x, w\n")],
        )
    });
    scratch.write("conversions.txt", clicks.collect::<String>());
    scratch.adseg(&format!("{RUN} --ledger ledger.csv --run-id now")).assert().success();
    let sent: HashSet<_> = rows(&scratch).into_iter().skip(70).map(|[_, promo, email, ..]| (promo, email)).collect();
    let expected = promos.flat_map(|promo| {
        let others = [0, 1, 2].into_iter().filter(move |customer| *customer != promo % 2);
        others.map(move |customer| (format!("P{promo}"), format!("c{customer}@x")))
    });
    assert_eq!(sent, expected.collect());
    assert_eq!(rows(&scratch).len(), 70 + 140);
}
