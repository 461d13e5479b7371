//! Killed runs, interrupted runs and concurrent runs: every output and every saved list is complete, either the old one
//! or the new one.
//!
//! `ADSEG_RUNS=300 cargo test --test crashes` makes 300 runs in each loop.

#![cfg(unix)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::live::LiveRun;
use common::{CommandOutput, RUN, RUN_STDIN, SMALL_CONVERSIONS, SMALL_DECISIONS, Scratch, runs};

/// A run that replaces every kind of file that a run can write.
const WRITE_ALL: &str = "run --loyalty loyalty.txt --conversions conversions.txt -o codes.txt \
                         --save-loyalty loyalty.txt --on-error skip --rejects rejects --quiet";

/// The files that such a run writes, in the order in which it renames them into place.
const OUTPUTS: [&str; 4] = ["rejects/errors.jsonl", "rejects/conversions.txt", "codes.txt", "loyalty.txt"];

/// The content of every file that a run may replace.
type Files = BTreeMap<&'static str, Option<Vec<u8>>>;

fn files(scratch: &Scratch) -> Files {
    OUTPUTS.iter().chain(&["rejects/loyalty.txt"]).map(|name| (*name, fs::read(scratch.file(name)).ok())).collect()
}

fn restore(scratch: &Scratch, files: &Files) {
    for (name, content) in files {
        match content {
            Some(content) => fs::write(scratch.file(name), content).unwrap(),
            None => drop(fs::remove_file(scratch.file(name))),
        }
    }
}

/// The files before and after a run, and how long the run takes.
struct Campaign {
    scratch: Scratch,
    old: Files,
    new: Files,
    duration: Duration,
}

impl Campaign {
    fn new() -> Self {
        let scratch = Scratch::new();
        let members = (0..2_000).map(|number| format!("member{number}@example.com, , , F\n")).collect::<String>();
        scratch.write("loyalty.txt", format!("{members}short, row\n"));
        scratch.write("conversions.txt", "nonsense\n");
        scratch.adseg(WRITE_ALL).assert().success();
        let old = files(&scratch);
        let events = (0..4_000).map(|number| match number % 3 {
            0 => format!("P, PurchaseConversion, new{number}@example.com, [6], 9.45\n"),
            1 => format!("P, ClickConversion, member{number}@example.com, Web\n"),
            _ => format!("bad {number}\n"),
        });
        scratch.write("conversions.txt", events.collect::<String>());
        let start = Instant::now();
        scratch.adseg(WRITE_ALL).assert().success();
        let duration = start.elapsed();
        let new = files(&scratch);
        assert!(old.iter().all(|(name, content)| new[name] != *content), "every file changes");
        restore(&scratch, &old);
        Self { scratch, old, new, duration }
    }

    /// Starts a run and ends it with a signal. Half of the runs end late, when files are renamed.
    fn end_with(&self, signal: &str, run: usize, runs: usize) -> ExitStatus {
        let share = run as f64 / runs as f64;
        let share = if run.is_multiple_of(2) { share * 1.1 } else { 0.6 + share * 0.5 };
        let mut child = self.scratch.piped(WRITE_ALL).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(self.duration.mul_f64(share));
        // The child was not waited for, so the process id is still its own.
        let _ = Command::new("kill").args([signal, &child.id().to_string()]).stderr(Stdio::null()).status();
        child.wait().unwrap()
    }

    /// Every file is the old or the new one, and none is new before those that are renamed earlier. Returns the number
    /// of new files.
    fn assert_complete(&self) -> usize {
        let now = files(&self.scratch);
        for (name, content) in &now {
            assert!(*content == self.old[name] || *content == self.new[name], "{name} is neither old nor new");
        }
        let is_new = OUTPUTS.map(|name| now[name] == self.new[name]);
        assert!(is_new.is_sorted_by(|earlier, later| earlier >= later), "{is_new:?}");
        is_new.into_iter().filter(|is_new| *is_new).count()
    }

    fn temporary_files(&self) -> Vec<String> {
        let names = [self.scratch.names(), self.scratch.names_in("rejects")].concat();
        names.into_iter().filter(|name| name.ends_with(".tmp")).collect()
    }
}

#[test]
fn killed_run_leaves_old_or_new_files_complete() {
    let campaign = Campaign::new();
    let Campaign { scratch, old, new, .. } = &campaign;
    let runs = runs(30);
    let mut runs_by_new_files = [0; OUTPUTS.len() + 1];
    for run in 0..runs {
        let status = campaign.end_with("-KILL", run, runs);
        let count = campaign.assert_complete();
        assert!(!status.success() || count == OUTPUTS.len());
        runs_by_new_files[count] += 1;
        // Remaining temporary files do not affect the next run, which makes the same decisions for the same list.
        let list = fs::read(scratch.file("loyalty.txt")).unwrap();
        scratch.adseg(WRITE_ALL).assert().success();
        if Some(&list) == old["loyalty.txt"].as_ref() {
            assert!(files(scratch) == *new);
        }
        restore(scratch, old);
    }
    let temporary = campaign.temporary_files();
    eprintln!("{runs} killed runs by number of new files: {runs_by_new_files:?}; {} left", temporary.len());
    assert!(temporary.iter().all(|name| name.starts_with(".adseg-")));
}

#[test]
fn interrupted_run_leaves_complete_files_and_no_temporary_ones() {
    let campaign = Campaign::new();
    let runs = runs(30);
    let mut runs_by_end = BTreeMap::<_, usize>::new();
    for run in 0..runs {
        let signal = if run % 3 == 0 { "-INT" } else { "-TERM" };
        let status = campaign.end_with(signal, run, runs);
        let count = campaign.assert_complete();
        match (status.code(), status.signal()) {
            (Some(0), _) => assert_eq!(count, OUTPUTS.len()),
            // A signal kills a run that has not installed its handlers yet.
            (Some(130), _) | (None, Some(2 | 15)) => assert_eq!(count, 0),
            end => panic!("{end:?}"),
        }
        assert_eq!(campaign.temporary_files(), [""; 0]);
        *runs_by_end.entry((status.code(), status.signal())).or_default() += 1;
        restore(&campaign.scratch, &campaign.old);
    }
    eprintln!("{runs} interrupted runs by exit code and signal: {runs_by_end:?}");
}

/// A run that waits for its conversions on standard input, after it has created its temporary files.
struct WaitingRun<'a> {
    scratch: &'a Scratch,
    run: LiveRun,
}

impl<'a> WaitingRun<'a> {
    fn start(scratch: &'a Scratch, args: &str) -> Self {
        let run = LiveRun::start(scratch, &format!("{RUN_STDIN} {args}"));
        let start = Instant::now();
        while temporary_files(scratch) == 0 {
            assert!(start.elapsed() < Duration::from_secs(60), "the run does not start");
            thread::sleep(Duration::from_millis(2));
        }
        Self { scratch, run }
    }

    /// Sends these conversions and ends the input; returns the exit code and standard error.
    fn finish(mut self, conversions: &str) -> (Option<i32>, String) {
        self.run.send(conversions);
        let end = self.run.finish();
        assert_eq!(temporary_files(self.scratch), 0);
        end
    }
}

fn temporary_files(scratch: &Scratch) -> usize {
    scratch.names().iter().filter(|name| name.ends_with(".tmp")).count()
}

fn purchase(email: &str) -> String {
    format!("P, PurchaseConversion, {email}, [6], 9.45\n")
}

#[test]
fn second_run_saving_to_the_same_list_is_rejected() {
    let scratch = Scratch::small_campaign();
    let first = WaitingRun::start(&scratch, "--save-loyalty loyalty.txt");
    let list = scratch.read("loyalty.txt");
    let message = "adseg: ./loyalty.txt: another run is saving to this list; wait for it to finish\n";
    scratch.adseg(&format!("{RUN} --save-loyalty ./loyalty.txt")).assert().code(1).stdout("").stderr(message);
    // A run may read the list and save to another one.
    scratch.adseg(&format!("{RUN} --save-loyalty other.txt")).assert().success();
    assert_eq!(scratch.read("loyalty.txt"), list);
    assert_eq!(first.finish(&purchase("new@example.com")), (Some(0), String::new()));
    assert_eq!(scratch.read("loyalty.txt"), format!("{list}new@example.com, , , \n"));
    scratch.adseg(&format!("{RUN} --save-loyalty ./loyalty.txt")).assert().success();
    assert_eq!(scratch.names(), ["conversions.txt", "loyalty.txt", "other.txt"], "no lock is left");
}

/// Neither run can lock a list that does not exist.
#[test]
fn one_of_two_runs_that_create_a_list_replaces_no_file() {
    let scratch = Scratch::small_campaign();
    let run = format!("adseg {RUN} -o codes.txt --save-loyalty new.txt");
    for _ in 0..60 {
        let script = format!("{run} & pid=$!; {run}; second=$?; wait $pid; test $? = 0 -o $second = 0");
        let output: CommandOutput = scratch.sh(&script).output().unwrap().into();
        assert_eq!(output.code, Some(0), "{}", output.stderr);
        assert!(!output.stderr.contains("replaced it since"), "{}", output.stderr);
        assert_eq!(scratch.read("codes.txt"), SMALL_DECISIONS);
        fs::remove_file(scratch.file("codes.txt")).unwrap();
        fs::remove_file(scratch.file("new.txt")).unwrap();
    }
}

#[test]
fn list_changed_during_the_run_is_not_replaced() {
    for list_exists in [true, false] {
        let scratch = Scratch::small_campaign();
        let list = if list_exists { "loyalty.txt" } else { "new.txt" };
        scratch.write("codes.txt", "old\n");
        let run = WaitingRun::start(&scratch, &format!("--save-loyalty {list} -o codes.txt"));
        // An editor saves by renaming another file.
        fs::rename(scratch.write("draft.txt", "by@hand, , , F\n"), scratch.file(list)).unwrap();
        let (code, stderr) = run.finish(SMALL_CONVERSIONS);
        assert_eq!(code, Some(1));
        assert!(stderr.contains("the list changed during this run; nothing was replaced, run again"), "{stderr}");
        assert_eq!(scratch.read(list), "by@hand, , , F\n");
        assert_eq!(scratch.read("codes.txt"), "old\n");
    }
}

#[test]
fn rejects_folder_accepts_one_run_at_a_time() {
    let scratch = Scratch::small_campaign();
    let skip = "--on-error skip --rejects rejects";
    let first = WaitingRun::start(&scratch, &format!("{skip} -o codes.txt"));
    let second = scratch.run(&format!("{RUN} {skip}"));
    assert_eq!(second.code, Some(1));
    let message = "adseg: rejects: cannot write rejects: another run is writing to this directory";
    assert!(second.stderr.starts_with(message), "{}", second.stderr);
    assert_eq!(first.finish("nonsense\n").0, Some(0));
    assert_eq!(scratch.read("rejects/conversions.txt"), "nonsense\n");
}

#[test]
fn concurrent_runs_never_undo_each_other() {
    let scratch = Scratch::small_campaign();
    let list = scratch.read("loyalty.txt");
    let customers = runs(12).min(100);
    thread::scope(|scope| {
        for worker in 0..4 {
            let scratch = &scratch;
            scope.spawn(move || {
                for customer in (worker..customers).step_by(4) {
                    let conversions = purchase(&format!("customer{customer}@example.com"));
                    let start = Instant::now();
                    // A rejected run tries again.
                    let save = format!("{RUN_STDIN} --save-loyalty loyalty.txt");
                    while scratch.run_with(&save, conversions.clone()).code != Some(0) {
                        assert!(start.elapsed() < Duration::from_secs(60), "the run is always rejected");
                        thread::sleep(Duration::from_millis(3));
                    }
                }
            });
        }
    });
    let saved = scratch.read("loyalty.txt");
    let mut enrolled: Vec<_> = saved.strip_prefix(&list).unwrap().lines().collect();
    enrolled.sort_unstable();
    let mut expected: Vec<_> = (0..customers).map(|customer| format!("customer{customer}@example.com, , , ")).collect();
    expected.sort_unstable();
    assert_eq!(enrolled, expected);
}

#[cfg(target_os = "linux")]
/// Starts a small run under strace, which delays some system calls, and sends it SIGTERM when `is_time`. Returns its
/// exit code and how long its temporary files stayed after the signal.
#[cfg(target_os = "linux")]
fn interrupt_with_delay(scratch: &Scratch, delay: &str, is_time: impl Fn() -> bool) -> (Option<i32>, Duration) {
    let adseg = env!("CARGO_BIN_EXE_adseg");
    let script = format!(
        "exec strace -f -qq -o calls -e trace=fsync -e inject={delay} \\
         sh -c 'echo $$ > pid; exec {adseg} {RUN} -o codes.txt --save-loyalty loyalty.txt'"
    );
    let mut run = Command::new("sh").arg("-c").arg(script).current_dir(scratch.path()).spawn().unwrap();
    let began = Instant::now();
    while !is_time() {
        assert!(began.elapsed() < Duration::from_secs(60), "the run does not reach the delayed call");
        thread::sleep(Duration::from_millis(2));
    }
    Command::new("kill").args(["-TERM", scratch.read("pid").trim()]).status().unwrap();
    let signalled = Instant::now();
    while temporary_files(scratch) > 0 {
        assert!(signalled.elapsed() < Duration::from_secs(60), "temporary files stay");
        thread::sleep(Duration::from_millis(2));
    }
    let took = signalled.elapsed();
    (run.wait().unwrap().code(), took)
}

#[cfg(target_os = "linux")]
#[test]
fn interrupt_discards_all_files_or_none() {
    if !Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no strace here");
        return;
    }
    let list = "kim@example.com, kim, kim, F\nlee@example.com, , , \n";
    let campaign = || {
        let scratch = Scratch::small_campaign();
        scratch.write("conversions.txt", purchase("lee@example.com"));
        scratch
    };
    // While the data of a file is synced, the interrupt does not wait for the disk.
    let (scratch, began) = (campaign(), Instant::now());
    let is_syncing = || scratch.names().iter().any(|name| name == "calls") && temporary_files(&scratch) == 2;
    let before_rename = || is_syncing() && began.elapsed() > Duration::from_millis(500);
    let (code, took) = interrupt_with_delay(&scratch, "fsync:delay_enter=5s:when=1", before_rename);
    assert_eq!(code, Some(130));
    assert!(took < Duration::from_secs(3), "the interrupt waited for the disk: {took:?}");
    assert_eq!(scratch.names(), ["calls", "conversions.txt", "loyalty.txt", "pid"]);
    // After the first rename, the run ends as if there were none. The third sync is that of the renamed file's folder.
    let scratch = campaign();
    let is_renamed = || scratch.file("codes.txt").exists();
    assert_eq!(interrupt_with_delay(&scratch, "fsync:delay_enter=1s:when=3", is_renamed).0, Some(0));
    assert_eq!(scratch.read("loyalty.txt"), list);
}
