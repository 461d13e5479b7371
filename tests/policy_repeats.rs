//! A run with a ledger that is killed between two renames, or is repeated, gives the same bytes, and never gives a code
//! that was sent to another customer.

mod common;

use std::collections::{HashMap, HashSet};
use std::fs;

use common::{Scratch, assert_same};

/// The files of a run in the order in which they are renamed.
const RENAMED: [&str; 4] = ["rejects/conversions.txt", "ledger.csv", "codes.csv", "saved.txt"];

const RUN: &str = "run --campaign campaign.toml --loyalty loyalty.txt --conversions log.txt --on-error skip \
    --rejects rejects --ledger ledger.csv --run-id night-1 --codes codes.txt --output-format csv -o codes.csv \
    --save-loyalty saved.txt --quiet";

fn campaign() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("campaign.toml", "[holdout]\npercent = '30'\nkey = 'k'\n");
    let sizes = "--members 60 --customers 120 --events 900 --mix 80,0,20";
    let generate = format!("generate --loyalty loyalty.txt --conversions log.txt --codes codes.txt {sizes} --bad 0.01");
    scratch.adseg(&generate).assert().success();
    let code = scratch.read("codes.txt").lines().next().unwrap().to_owned();
    let earlier = format!("run,promo,email,outcome,code\nnight-0,KoalaMug,zed@example.com,sent,{code}\n");
    scratch.write("ledger.csv", earlier);
    scratch
}

fn contents(scratch: &Scratch) -> [Option<Vec<u8>>; 4] {
    RENAMED.map(|name| fs::read(scratch.file(name)).ok())
}

fn run(scratch: &Scratch) {
    let output = scratch.run(RUN);
    assert_eq!(output.code, Some(0), "{output:?}");
}

/// The customer of each code in the ledger. No code is sent twice, and no customer gets two for one promo.
fn owners(scratch: &Scratch) -> HashMap<String, String> {
    let (mut owners, mut sends) = (HashMap::new(), HashSet::new());
    for row in scratch.read("ledger.csv").lines().skip(1) {
        let fields: Vec<_> = row.split(',').map(str::to_owned).collect();
        if fields[3] == "sent" {
            assert_eq!(owners.insert(fields[4].clone(), fields[2].clone()), None, "{row}");
            assert!(sends.insert([fields[1].clone(), fields[2].clone()]), "{row}");
        }
    }
    owners
}

#[test]
fn run_killed_between_renames_is_repeated_with_the_same_bytes() {
    let scratch = campaign();
    let old = contents(&scratch);
    run(&scratch);
    let new = contents(&scratch);
    assert!(new.iter().all(Option::is_some));
    let ledger = String::from_utf8(new[1].clone().unwrap()).unwrap();
    assert!(ledger.contains(",sent,") && ledger.contains(",held-out,"), "{ledger}");
    for renamed in 0..=RENAMED.len() {
        for (index, name) in RENAMED.iter().enumerate() {
            match if index < renamed { &new[index] } else { &old[index] } {
                Some(content) => drop(scratch.write(name, content)),
                None => fs::remove_file(scratch.file(name)).unwrap(),
            }
        }
        run(&scratch);
        for ((name, expected), given) in RENAMED.iter().zip(&new).zip(contents(&scratch)) {
            assert_same(given.unwrap(), expected.as_ref().unwrap(), &format!("{name}, {renamed} files were renamed"));
        }
    }
}

#[test]
fn repeated_run_with_other_inputs_keeps_every_code() {
    let scratch = campaign();
    run(&scratch);
    let (before, ledger) = (owners(&scratch), scratch.read("ledger.csv"));
    let log = scratch.read("log.txt");
    let reversed: Vec<_> = log.lines().rev().collect();
    for changed in [reversed.join("\n"), reversed[..500].join("\n"), format!("{log}{log}")] {
        scratch.write("log.txt", changed);
        scratch.write("loyalty.txt", scratch.read("loyalty.txt") + "zoe@example.com, , , \n");
        run(&scratch);
        assert!(scratch.read("ledger.csv").starts_with(&ledger));
        let after = owners(&scratch);
        assert!(before.iter().all(|(code, email)| after[code] == *email));
        for row in scratch.read("codes.csv").lines().skip(1).filter(|row| row.contains(",member-click,")) {
            let (fields, code) = (row.split(',').collect::<Vec<_>>(), row.rsplit(',').next().unwrap());
            assert_eq!(after[code], fields[2], "{row}");
        }
    }
}
