//! `adseg report` of a campaign with a policy: reasons agree with those of a run, and the lift with the ledger.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::Scratch;
use serde_json::Value;

/// A campaign with a policy, and the options of its third night, whose first two nights are in the ledger.
fn policy_campaign() -> (Scratch, &'static str) {
    let scratch = Scratch::new();
    let generate = "generate --loyalty loyalty.txt --conversions conversions.txt --members 300 --events 9000 \
                    --suppress unsubscribed.txt";
    scratch.adseg(generate).assert().success();
    let conversions = scratch.read("conversions.txt");
    let nights: Vec<_> = conversions.split_inclusive('\n').collect();
    for (night, lines) in nights.chunks(3_000).enumerate() {
        scratch.write(&format!("{night}.txt"), lines.concat());
    }
    scratch.write("campaign.toml", "[holdout]\npercent = \"30\"\nkey = \"k\"\n");
    for night in 0..2 {
        let run = "run --loyalty loyalty.txt --campaign campaign.toml --ledger ledger.csv -o out.txt --quiet";
        scratch.adseg(&format!("{run} --conversions {night}.txt --run-id {night}")).assert().success();
    }
    let options = "--loyalty loyalty.txt --conversions 2.txt --campaign campaign.toml --suppress unsubscribed.txt \
                   --ledger ledger.csv --run-id 2";
    (scratch, options)
}

#[test]
fn reasons_equal_the_summary_of_a_run() {
    let (scratch, options) = policy_campaign();
    let report = scratch.run(&format!("report {options} --format json")).stdout;
    let report: Value = serde_json::from_str(&report).unwrap();
    let summary = scratch.run(&format!("run {options} -o codes.txt --summary=json")).stderr;
    let summary: Value = serde_json::from_str(summary.lines().last().unwrap()).unwrap();
    let reasons = &summary["policy"]["reasons"];
    for row in report["reasons"].as_array().unwrap() {
        assert_eq!(row["decisions"], reasons[row["reason"].as_str().unwrap()], "{row}");
    }
    let count = |reason: &str| reasons[reason].as_u64().unwrap();
    for reason in ["member-click", "suppressed", "already-sent", "held-out"] {
        assert!(count(reason) > 0, "{reason}: {reasons}");
    }
    assert_eq!(report["totals"][0]["codes"], count("member-click"));
    let ledger = scratch.read("ledger.csv");
    let has = |outcome: &str| ledger.lines().filter(|row| row.contains(outcome) && !row.starts_with("2,")).count();
    assert!(has(",held-out,") > 0 && has(",sent,") > 0);
    let clicks = |row: &Value| row.as_object().unwrap().values().filter_map(Value::as_u64).sum::<u64>();
    let of_promos: u64 = report["promo_reasons"].as_array().unwrap().iter().map(clicks).sum();
    assert_eq!(of_promos, report["totals"][0]["clicks"]);
}

#[test]
fn groups_of_the_lift_are_those_of_the_first_rows() {
    let (scratch, options) = policy_campaign();
    let report: Value = serde_json::from_str(&scratch.run(&format!("report {options} --format json")).stdout).unwrap();
    let mut first = BTreeMap::new();
    for row in scratch.read("ledger.csv").lines().skip(1) {
        let [_, _, email, outcome, _] = row.split(',').collect::<Vec<_>>().try_into().unwrap();
        first.entry(email.to_ascii_lowercase()).or_insert(outcome.to_owned());
    }
    for (group, outcome) in [(0, "sent"), (1, "held-out")] {
        let customers: BTreeSet<_> = first.iter().filter(|(_, of)| *of == outcome).map(|(email, _)| email).collect();
        let log = scratch.read("2.txt");
        let purchases = log.lines().filter(|line| line.contains("PurchaseConversion"));
        let emails = purchases.map(|line| line.split(',').nth(2).unwrap().trim().to_ascii_lowercase());
        let buyers: BTreeSet<_> = emails.filter(|email| customers.contains(email)).collect();
        let row = &report["lift"][group];
        assert_eq!((&row["customers"], &row["customers_who_bought"]), (&customers.len().into(), &buyers.len().into()));
    }
}

#[test]
fn report_without_rows_of_other_runs_has_no_lift() {
    let (scratch, options) = policy_campaign();
    let ledger: Vec<String> = scratch.read("ledger.csv").lines().map(str::to_owned).collect();
    let own = |row: &String| row.starts_with("run,") || row.starts_with("0,");
    scratch.write("ledger.csv", ledger.iter().filter(|row| own(row)).map(|row| format!("{row}\n")).collect::<String>());
    let lift = |run_id: &str| {
        let options = options.replace("--run-id 2", run_id);
        let report = scratch.run(&format!("report {options} --format json")).stdout;
        serde_json::from_str::<Value>(&report).unwrap()["lift"].is_array()
    };
    assert_eq!([lift("--run-id 0"), lift("--run-id 1"), lift("")], [false, true, true]);
}

#[test]
fn runs_after_this_one_do_not_count_in_the_lift() {
    let (scratch, options) = policy_campaign();
    let lift = |options: &str| {
        let output = scratch.run(&format!("report {options} --format json"));
        let report: Value = serde_json::from_str(&output.stdout).unwrap();
        (report["lift"].clone(), output.stderr)
    };
    let (before, stderr) = lift(options);
    assert!(!stderr.contains("do not count") && !stderr.contains("without --run-id"), "{stderr}");
    let ledger = scratch.read("ledger.csv");
    scratch.write("ledger.csv", format!("{ledger}2,P,own@example.com,sent,\n3,P,a@example.com,held-out,\n"));
    let (after, stderr) = lift(options);
    assert_eq!(after, before);
    let warning = "warning: ledger.csv: runs after 2 are in the ledger and do not count in the lift: 3";
    assert!(stderr.contains(warning), "{stderr}");
    let text = scratch.run(&format!("report {options}")).stdout.replace('\n', " ");
    assert!(text.contains("Runs that follow this run in the ledger do not count: 3."), "{text}");
    let (all, stderr) = lift(&options.replace("--run-id 2", ""));
    assert_eq!(all[1]["customers"].as_u64(), before[1]["customers"].as_u64().map(|customers| customers + 1));
    assert!(stderr.contains("all runs in the ledger count as earlier ones than the conversions: 0, 1, 2 and others"));
}

#[test]
fn promos_of_the_campaign_file_that_do_not_occur_are_named() {
    let scratch = Scratch::small_campaign();
    scratch.write("campaign.toml", "promos = [\"Hoodie\", \"Hoody\"]\n");
    let report = "report --loyalty loyalty.txt --conversions conversions.txt --campaign campaign.toml";
    let warning = "warning: campaign.toml: promos that occur in no conversion: Hoody; is a name misspelled?";
    assert!(scratch.run(report).stderr.contains(warning));
    scratch.write("campaign.toml", "promos = [\"Hoodie\"]\n");
    assert!(!scratch.run(report).stderr.contains("occur in no conversion"));
}
