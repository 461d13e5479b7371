//! A run with a ledger and codes is killed, interrupted or disturbed at each of its system calls. Afterwards every file is
//! old or new, and to run again gives the files of a run that was not disturbed.

#![cfg(target_os = "linux")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use common::inject::{library, run_with_library};
use common::{CommandOutput, Scratch};

const RUN: &str = "run -q --loyalty loyalty.txt --conversions conversions.txt --ledger ledger.csv --run-id night-1 \
                   --codes codes.txt --output-format csv -o out.csv --save-loyalty loyalty.txt --campaign campaign.toml \
                   --on-error skip --rejects rejects";

/// The files that the run replaces, in this order.
const OUTPUTS: [&str; 4] = ["rejects/errors.jsonl", "ledger.csv", "out.csv", "loyalty.txt"];

/// The calls that can change a file, or come before a change.
const CALLS: [&str; 7] = ["open", "read", "write", "sync", "link", "rename", "mkdir"];

type Files = BTreeMap<&'static str, Vec<u8>>;

struct Campaign {
    scratch: Scratch,
    old: Files,
    new: Files,
}

impl Campaign {
    fn new() -> Self {
        let scratch = Scratch::new();
        scratch.write("loyalty.txt", "kim@example.com, , , F\nsam@example.com, , , F\nc16@example.com, , , F\n");
        let clicks = ["kim", "sam", "c16", "new"].map(|name| format!("P, ClickConversion, {name}@example.com, w\n"));
        let buys = "P, PurchaseConversion, new@example.com, [6], 9\nbad\n".to_owned();
        scratch.write("conversions.txt", clicks.concat() + &buys + &clicks.concat());
        scratch.write("codes.txt", "A\nB\nC\nD\n");
        scratch.write("campaign.toml", "[holdout]\npercent = \"10\"\nkey = \"spring-2026\"\n");
        scratch.write("ledger.csv", "run,promo,email,outcome,code\nnight-0,P,sam@example.com,sent,B\n");
        scratch.write("out.csv", "old\n");
        fs::create_dir(scratch.file("rejects")).unwrap();
        let old = files(&scratch);
        scratch.adseg(RUN).assert().success();
        let new = files(&scratch);
        let ledger = "run,promo,email,outcome,code\nnight-0,P,sam@example.com,sent,B\nnight-1,P,kim@example.com,sent,A\n\
                      night-1,P,c16@example.com,held-out,\nnight-1,P,new@example.com,sent,C\n";
        assert_eq!(scratch.read("ledger.csv"), ledger);
        assert!(OUTPUTS.iter().all(|name| old.get(name) != new.get(name)), "every file changes");
        let campaign = Self { scratch, old, new };
        campaign.restore();
        campaign
    }

    fn restore(&self) {
        for name in OUTPUTS.iter().chain(&["rejects/conversions.txt"]) {
            match self.old.get(name) {
                Some(content) => drop(self.scratch.write(name, content)),
                None => drop(fs::remove_file(self.scratch.file(name))),
            }
        }
        assert_eq!(files(&self.scratch), self.old);
    }

    /// Runs a shell command at each call of the run, in one run after another.
    fn at_each_call(&self, library: &Path, command: &str, check: impl FnMut(CommandOutput, &str)) -> usize {
        self.at_each_of(&CALLS, library, command, check)
    }

    fn at_each_of(
        &self,
        calls: &[&str],
        library: &Path,
        command: &str,
        mut check: impl FnMut(CommandOutput, &str),
    ) -> usize {
        let mut runs = 0;
        for &call in calls {
            for at in 1.. {
                let at = at.to_string();
                let variables = [("INJECT_CALL", call), ("INJECT_AT", &at), ("INJECT_RUN", command)];
                let (output, has_run) = run_with_library(&self.scratch, (RUN, ""), library, &variables);
                if !has_run {
                    self.restore();
                    break;
                }
                check(output, &format!("{call} {at}"));
                for folder in [".", "rejects"] {
                    let names = self.scratch.names_in(folder).into_iter().filter(|name| name.ends_with(".tmp"));
                    names.for_each(|name| fs::remove_file(self.scratch.file(folder).join(name)).unwrap());
                }
                self.restore();
                runs += 1;
            }
        }
        runs
    }

    /// The number of new files. All files are old or new, and none is new before those that are renamed earlier.
    fn new_files(&self, context: &str) -> usize {
        let now = files(&self.scratch);
        let is_new = OUTPUTS.map(|name| now.get(name) == self.new.get(name));
        for (name, is_new) in OUTPUTS.iter().zip(is_new) {
            let content = || String::from_utf8_lossy(now.get(name).map_or(b"none", |content| content));
            assert!(is_new || now.get(name) == self.old.get(name), "{context}: {name} is neither: {}", content());
        }
        assert!(is_new.is_sorted_by(|earlier, later| earlier >= later), "{context}: {is_new:?}");
        is_new.into_iter().filter(|is_new| *is_new).count()
    }

    fn temporary_files(&self) -> usize {
        let names = [self.scratch.names(), self.scratch.names_in("rejects")].concat();
        names.iter().filter(|name| name.ends_with(".tmp")).count()
    }
}

fn files(scratch: &Scratch) -> Files {
    let names = OUTPUTS.iter().chain(&["rejects/conversions.txt"]);
    names.filter_map(|name| Some((*name, fs::read(scratch.file(name)).ok()?))).collect()
}

#[test]
fn run_killed_at_any_call_can_be_repeated() {
    let campaign = Campaign::new();
    let mut runs_by_new_files = [0; OUTPUTS.len() + 1];
    let runs = campaign.at_each_call(&library("ledger-kill.so"), "kill -9 $PPID", |output, context| {
        assert_eq!(output.code, None, "{context}: {}", output.stderr);
        let count = campaign.new_files(context);
        runs_by_new_files[count] += 1;
        if count < OUTPUTS.len() {
            campaign.scratch.adseg(RUN).assert().success();
        }
        assert_eq!(files(&campaign.scratch), campaign.new, "{context}");
    });
    assert!(runs > 40, "{runs}");
    assert!(runs_by_new_files.iter().all(|runs| *runs > 0), "{runs_by_new_files:?}");
}

#[test]
fn run_interrupted_at_any_call_changes_all_files_or_none() {
    let campaign = Campaign::new();
    let mut codes = BTreeMap::<_, usize>::new();
    for signal in ["INT", "TERM"] {
        let command = format!("kill -{signal} $PPID");
        campaign.at_each_call(&library("ledger-signal.so"), &command, |output, context| {
            let expected = match output.code {
                Some(0) => OUTPUTS.len(),
                Some(130) | None => 0,
                code => panic!("{context}: {code:?}: {}", output.stderr),
            };
            assert_eq!(campaign.new_files(context), expected, "{context}: {}", output.stderr);
            assert_eq!(campaign.temporary_files(), 0, "{context}");
            *codes.entry(output.code).or_default() += 1;
        });
    }
    assert!(codes.contains_key(&Some(0)) && codes.contains_key(&Some(130)), "{codes:?}");
}

#[test]
fn ledger_changed_during_the_run_is_not_replaced() {
    const ROW: &str = "by-hand,P,kim@example.com,sent,X\n";
    let campaign = Campaign::new();
    let old = String::from_utf8(campaign.old["ledger.csv"].clone()).unwrap();
    let (mut failed, mut succeeded) = (0, 0);
    let command = format!("printf '{}' >> ledger.csv", ROW.replace('\n', "\\n"));
    // A link and a rename follow the last check, so a change between them is not detected.
    let calls: Vec<_> = CALLS.into_iter().filter(|call| !["link", "rename"].contains(call)).collect();
    campaign.at_each_of(&calls, &library("ledger-edit.so"), &command, |output, context| {
        let ledger = campaign.scratch.read("ledger.csv");
        if output.code == Some(0) {
            // The row was read, or the ledger had been replaced.
            assert!(ledger.contains(ROW), "{context}: {ledger}");
            succeeded += 1;
            return;
        }
        failed += 1;
        assert_eq!(output.code, Some(1), "{context}: {}", output.stderr);
        let message = "ledger.csv: the ledger changed during this run; nothing was replaced, run again\n";
        assert!(output.stderr.ends_with(message), "{context}: {}", output.stderr);
        assert_eq!(ledger, format!("{old}{ROW}"), "{context}");
        campaign.scratch.write("ledger.csv", &old);
        assert_eq!(files(&campaign.scratch), campaign.old, "{context}");
    });
    assert!(failed > 10 && succeeded > 3, "{failed}, {succeeded}");
}
