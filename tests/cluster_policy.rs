//! A campaign with a policy has the same decisions, reasons, ledger and messages in several processes as in one.

#![cfg(all(unix, feature = "cluster"))]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use common::cluster::{Hosts, assert_agrees, command, files};
use common::{Scratch, assert_same, cases};
use proptest::prelude::*;
use proptest::sample::select;

const POLICY_RUN: &str = "run --loyalty list --conversions log --campaign campaign.toml";

const LIMIT: Duration = Duration::from_secs(30);

fn email() -> impl Strategy<Value = &'static str> {
    select(vec![
        "a@x",
        "A@x",
        "b@x",
        "B@X",
        "c@x",
        "c.d+e@gmail.com",
        "CD@googlemail.com",
        "f\u{e9}@x",
        "g@x",
        "h@x",
        "i@x",
    ])
}

/// A promo, which a ledger quotes if it must.
fn promo() -> impl Strategy<Value = &'static str> {
    select(vec!["P", "P", "Q", "R", "\"S\"", "T"])
}

fn event() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (promo(), email()).prop_map(|(promo, email)| format!("{promo}, ClickConversion, {email}, w")),
        1 => (promo(), email()).prop_map(|(promo, email)| format!("{promo}, PurchaseConversion, {email}, [6], 2.5")),
        1 => email().prop_map(|email| format!("P, BasketConversion, {email}, [6]")),
    ]
}

fn campaign() -> impl Strategy<Value = String> {
    let promos = select(vec!["", "promos = [\"P\", \"Q\"]\n"]);
    let once = select(vec!["", "once = \"promo\"\n", "once = \"customer\"\n", "once = \"never\"\n"]);
    let case = select(vec!["", "[match]\nignore_case = true\n"]);
    let holdout = select(vec!["", "[holdout]\npercent = \"30\"\nkey = \"k\"\n"]);
    (promos, once, case, holdout).prop_map(|(promos, once, case, holdout)| format!("{promos}{once}{case}{holdout}"))
}

/// Rows of this run and of another one.
fn ledger() -> impl Strategy<Value = String> {
    let outcome = select(vec!["sent,", "sent,C-1", "sent,\"C,2\"", "held-out,"]);
    let row = (select(vec!["night-0", "night-1"]), select(vec!["P", "Q", "R"]), email(), outcome)
        .prop_map(|(run, promo, email, outcome)| format!("{run},{promo},{email},{outcome}\n"));
    let rows = prop::collection::vec(row, 0..12);
    rows.prop_map(|rows| format!("run,promo,email,outcome,code\n{}", rows.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(60)))]

    #[test]
    fn random_policies_agree_with_one_process(
        (list, log) in (prop::collection::vec(email(), 1..12), prop::collection::vec(event(), 1..80)),
        campaign in campaign(),
        suppressed in prop::option::of(prop::collection::vec(email(), 0..4)),
        ledger in prop::option::weighted(0.7, prop::option::weighted(0.8, ledger())),
        format in select(vec!["text", "jsonl", "csv", "csv", "emails"]),
        options in select(vec!["", "", "-o out", "--send-only -o out", "-i", "--save-loyalty saved"]),
        shape in (1..=4_usize, 1..=2_usize, prop_oneof![1..300_usize, Just(1 << 20)]),
    ) {
        let list = list.iter().map(|email| format!("{email}, , , F\n")).collect::<String>();
        let mut inputs: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
        inputs.insert("list".into(), list.into_bytes());
        inputs.insert("log".into(), (log.join("\n") + "\n").into_bytes());
        inputs.insert("campaign.toml".into(), campaign.into_bytes());
        let mut args = format!("{POLICY_RUN} --output-format {format} {options}");
        if let Some(suppressed) = suppressed {
            inputs.insert("suppressed".into(), suppressed.join("\n").into_bytes());
            args += " --suppress suppressed";
        }
        if let Some(content) = ledger {
            args += " --ledger ledger --run-id night-1";
            // A new ledger does not exist.
            inputs.extend(content.map(|content| ("ledger".into(), content.into_bytes())));
        }
        assert_agrees(&inputs, &args, shape, &args);
    }
}

/// A campaign with all gates whose conversions have many blocks.
fn policy_campaign() -> Scratch {
    let scratch = Scratch::new();
    let members = (0..200).map(|number| format!("member{number}@example.com, , , F\n"));
    scratch.write("list", members.collect::<String>());
    let click =
        |number: usize| format!("P{}, ClickConversion, member{}@example.com, Web\n", number % 7, number * 11 % 250);
    scratch.write("log", (0..3_000).map(click).collect::<String>());
    scratch.write("campaign.toml", "once = \"promo\"\n[holdout]\npercent = \"20\"\nkey = \"k\"\n");
    scratch.write("suppressed", "member3@example.com\nmember7@example.com\n");
    scratch.write("old", "run,promo,email,outcome,code\nnight-0,P1,member1@example.com,sent,\n");
    scratch
}

const OPTIONS: &str = "--suppress suppressed --ledger ledger --run-id night-1 --output-format csv";

#[test]
fn hosts_append_the_ledger_rows_of_one_process() {
    let scratch = policy_campaign();
    fs::copy(scratch.file("old"), scratch.file("ledger")).unwrap();
    scratch.adseg(&format!("{POLICY_RUN} {OPTIONS} -o alone")).assert().success();
    let rows = scratch.read("ledger");
    assert!(rows.lines().count() > 500, "{rows}");
    fs::copy(scratch.file("old"), scratch.file("ledger")).unwrap();
    // The second run repeats the first one.
    for repeated in [false, true] {
        let mut hosts =
            Hosts::start(&scratch, 3, &format!("{POLICY_RUN} {OPTIONS} --block-bytes 1000 --threads 2 -o answers"));
        for (process, output) in hosts.wait_all(LIMIT).into_iter().enumerate() {
            assert_eq!((output.code, &*output.stderr), (Some(0), ""), "{process} {repeated}");
        }
        scratch.adseg("merge answers -o together").assert().success();
        assert_same(scratch.read("together"), scratch.read("alone"), "decisions");
        assert_same(scratch.read("ledger"), &rows, "ledger");
    }
}

#[test]
fn a_failed_run_of_hosts_keeps_the_ledger() {
    let scratch = policy_campaign();
    fs::copy(scratch.file("old"), scratch.file("ledger")).unwrap();
    scratch.write("log", scratch.read("log") + "not a record\n");
    let mut hosts = Hosts::start(&scratch, 2, &format!("{POLICY_RUN} {OPTIONS} --block-bytes 1000 -o answers"));
    assert!(hosts.wait_all(LIMIT).iter().all(|output| output.code == Some(1)));
    assert_same(scratch.read("ledger"), scratch.read("old"), "ledger");
    assert!(!scratch.names_in("answers").contains(&"manifest.json".to_owned()));
}

#[test]
fn processes_with_another_policy_are_refused_with_the_difference() {
    let row = "night-0,P2,member2@example.com,sent,\n";
    for (from, to, file, content, difference) in [
        ("night-1", "night-2", "notes", "", "--run-id is night-2"),
        ("--ledger ledger", "--ledger ./ledger", "notes", "", "--ledger is ./ledger"),
        ("--suppress suppressed", "", "notes", "", "the number of suppression lists is 0"),
        ("", "", "ledger", row, "the checksum of ledger is"),
        ("", "", "suppressed", "member4@example.com\n", "the checksum of suppressed is"),
        ("", "", "campaign.toml", "[match]\nignore_case = true\n", "the policy (campaign file, --ignore-case) is"),
    ] {
        let (scratch, other) = (policy_campaign(), policy_campaign());
        for folder in [&scratch, &other] {
            fs::copy(folder.file("old"), folder.file("ledger")).unwrap();
            folder.write("notes", "");
        }
        other.write(file, other.read(file) + content);
        let mut hosts = Hosts::new(&scratch, 2);
        other.write("hosts.txt", scratch.read("hosts.txt"));
        let run = format!("{POLICY_RUN} {OPTIONS} -o answers --threads 1 --connect-timeout 5");
        hosts.spawn(0, command(&scratch, 0, &run));
        hosts.spawn(1, command(&other, 1, &run.replace(from, to)));
        for output in hosts.wait_all(LIMIT) {
            assert_eq!(output.code, Some(1), "{difference}");
            assert!(output.stderr.contains(difference), "{difference}: {}", output.stderr);
        }
        assert_same(scratch.read("ledger"), scratch.read("old"), difference);
    }
}

#[test]
fn withholding_without_codes_agrees_with_one_process() {
    let scratch = policy_campaign();
    scratch.write("campaign.toml", scratch.read("campaign.toml") + "[codes]\nwhen_exhausted = \"withhold\"\n");
    fs::copy(scratch.file("old"), scratch.file("ledger")).unwrap();
    let args = format!("{POLICY_RUN} {OPTIONS} -o codes.csv");
    assert_agrees(&files(scratch.path()), &args, (2, 1, 1000), "withhold");
}

#[test]
fn codes_are_refused() {
    let scratch = policy_campaign();
    scratch.write("codes", "C-1\n");
    for cluster in ["--processes 2", "--hosts hosts.txt --process 0"] {
        scratch.write("hosts.txt", "localhost:4001\n");
        let output = scratch.run(&format!("{POLICY_RUN} {OPTIONS} --codes codes -o out {cluster}"));
        assert_eq!(output.code, Some(2));
        assert!(
            output.stderr.starts_with("adseg: --codes cannot be used with --hosts or --processes"),
            "{}",
            output.stderr
        );
        assert_eq!(scratch.run(&format!("{POLICY_RUN} --suppress - {cluster} -o out")).code, Some(2));
    }
    assert!(!scratch.file("ledger").exists());
}
