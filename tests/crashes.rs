//! Runs that are ended at any moment, machines that die, and runs side by side: every output and every saved list is the
//! old one or the new one, whole.
//!
//! `ADSEG_RUNS=300 cargo test --test crashes` makes as many runs in each loop.

#![cfg(unix)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{RUN, SMALL_CONVERSIONS, Scratch, runs};

/// A run that writes everything that a run can write, over what is there already.
const EVERYTHING: &str = "run --loyalty loyalty.txt --conversions conversions.txt -o codes.txt \
                          --save-loyalty loyalty.txt --on-error skip --rejects rejects --quiet";

/// What such a run writes, in the order in which it is put in place.
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

/// A campaign, what an earlier run left of it, what the next one makes of that, and how long it takes to do so.
fn campaign() -> (Scratch, Files, Files, Duration) {
    let scratch = Scratch::new();
    let members = (0..2_000).map(|number| format!("member{number}@example.com, , , F\n")).collect::<String>();
    scratch.write("loyalty.txt", format!("{members}short, row\n"));
    scratch.write("conversions.txt", "nonsense\n");
    scratch.adseg(EVERYTHING).assert().success();
    let old = files(&scratch);
    let events = (0..4_000).map(|number| match number % 3 {
        0 => format!("P, PurchaseConversion, new{number}@example.com, [6], 9.45\n"),
        1 => format!("P, ClickConversion, member{number}@example.com, Web\n"),
        _ => format!("bad {number}\n"),
    });
    scratch.write("conversions.txt", events.collect::<String>());
    let began = Instant::now();
    scratch.adseg(EVERYTHING).assert().success();
    let took = began.elapsed();
    let new = files(&scratch);
    assert!(old.iter().all(|(name, content)| new[name] != *content), "each of the files changes");
    restore(&scratch, &old);
    (scratch, old, new, took)
}

/// Starts a run and ends it with a signal after some time.
fn end_with(scratch: &Scratch, signal: &str, after: Duration) -> ExitStatus {
    let mut run = scratch.piped(EVERYTHING).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    thread::sleep(after);
    let _ = Command::new("kill").args([signal, &run.id().to_string()]).stderr(Stdio::null()).status();
    run.wait().unwrap()
}

/// The moment of one of many runs at which it is ended: spread over the run, and closer at its end, where files are put
/// in place.
fn moment(run: usize, runs: usize, took: Duration) -> Duration {
    let share = run as f64 / runs as f64;
    took.mul_f64(if run.is_multiple_of(2) { share * 1.1 } else { 0.6 + share * 0.5 })
}

/// Every file is the old or the new one, and none is new before those that are put in place earlier.
fn assert_whole(now: &Files, old: &Files, new: &Files) -> usize {
    for (name, content) in now {
        assert!(*content == old[name] || *content == new[name], "{name} is neither the old one nor the new one");
    }
    let places = OUTPUTS.map(|name| now[name] == new[name]);
    assert!(places.is_sorted_by(|earlier, later| earlier >= later), "{places:?}");
    places.into_iter().filter(|is_new| *is_new).count()
}

fn unfinished(scratch: &Scratch) -> Vec<String> {
    let folders = [scratch.path().to_owned(), scratch.file("rejects")];
    let names = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().file_name());
    names.filter_map(|name| name.into_string().ok()).filter(|name| name.ends_with(".tmp")).collect()
}

#[test]
fn a_run_that_is_killed_at_any_moment_leaves_the_old_files_or_the_new_ones_whole() {
    let (scratch, old, new, took) = campaign();
    let runs = runs(30);
    let mut new_files = [0; OUTPUTS.len() + 1];
    for run in 0..runs {
        let status = end_with(&scratch, "-KILL", moment(run, runs, took));
        let count = assert_whole(&files(&scratch), &old, &new);
        assert!(!status.success() || count == OUTPUTS.len());
        new_files[count] += 1;
        // Whatever was left, the next run is not disturbed by it, and gives the same answers to the same list.
        let list = fs::read(scratch.file("loyalty.txt")).unwrap();
        scratch.adseg(EVERYTHING).assert().success();
        if Some(&list) == old["loyalty.txt"].as_ref() {
            assert!(files(&scratch) == new);
        }
        restore(&scratch, &old);
    }
    eprintln!(
        "{runs} runs killed; by number of new files in place: {new_files:?}; left: {}",
        unfinished(&scratch).len()
    );
    assert!(unfinished(&scratch).iter().all(|name| name.starts_with(".adseg-")));
}

#[test]
fn a_run_that_is_interrupted_at_any_moment_leaves_the_old_files_and_nothing_beside_them() {
    let (scratch, old, new, took) = campaign();
    let runs = runs(30);
    let mut ends = BTreeMap::<_, usize>::new();
    for run in 0..runs {
        let signal = if run % 3 == 0 { "-INT" } else { "-TERM" };
        let status = end_with(&scratch, signal, moment(run, runs, took));
        let count = assert_whole(&files(&scratch), &old, &new);
        match (status.code(), status.signal()) {
            (Some(0), _) => assert_eq!(count, OUTPUTS.len()),
            // The second one came before the run could catch anything.
            (Some(130), _) | (None, Some(2 | 15)) => assert_eq!(count, 0),
            end => panic!("{end:?}"),
        }
        assert_eq!(unfinished(&scratch), [""; 0]);
        *ends.entry((status.code(), status.signal())).or_default() += 1;
        restore(&scratch, &old);
    }
    eprintln!("{runs} runs interrupted; by exit code and signal: {ends:?}");
}

/// A run that has begun and waits for its conversions on the standard input.
struct Waiting<'a> {
    scratch: &'a Scratch,
    child: Child,
}

impl<'a> Waiting<'a> {
    fn start(scratch: &'a Scratch, args: &str) -> Self {
        let child = scratch.piped(&format!("run --loyalty loyalty.txt --conversions - {args}")).spawn().unwrap();
        let began = Instant::now();
        while unfinished_beside(scratch) == 0 {
            assert!(began.elapsed() < Duration::from_secs(60), "it does not begin");
            thread::sleep(Duration::from_millis(2));
        }
        Self { scratch, child }
    }

    /// Lets it end with these conversions; gives its exit code and what it told.
    fn end(mut self, conversions: &str) -> (Option<i32>, String) {
        self.child.stdin.take().unwrap().write_all(conversions.as_bytes()).unwrap();
        let output = self.child.wait_with_output().unwrap();
        assert_eq!(unfinished_beside(self.scratch), 0);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }
}

fn unfinished_beside(scratch: &Scratch) -> usize {
    scratch.names().iter().filter(|name| name.ends_with(".tmp")).count()
}

fn purchase(email: &str) -> String {
    format!("P, PurchaseConversion, {email}, [6], 9.45\n")
}

#[test]
fn a_second_run_that_would_save_to_the_same_list_is_refused() {
    let scratch = Scratch::small_campaign();
    let first = Waiting::start(&scratch, "--save-loyalty loyalty.txt");
    let list = scratch.read("loyalty.txt");
    let told = "adseg: ./loyalty.txt: another run is at work on it and will replace it; run this one when that one has ended\n";
    scratch.adseg(&format!("{RUN} --save-loyalty ./loyalty.txt")).assert().code(1).stdout("").stderr(told);
    // Only reading the list, or saving to another one, is no harm.
    scratch.adseg(&format!("{RUN} --save-loyalty other.txt")).assert().success();
    assert_eq!(scratch.read("loyalty.txt"), list);
    assert_eq!(first.end(&purchase("new@example.com")), (Some(0), String::new()));
    assert_eq!(scratch.read("loyalty.txt"), format!("{list}new@example.com, , , \n"));
    scratch.adseg(&format!("{RUN} --save-loyalty ./loyalty.txt")).assert().success();
    assert_eq!(scratch.names(), ["conversions.txt", "loyalty.txt", "other.txt"], "no lock is left");
}

#[test]
fn a_list_that_somebody_else_changes_meanwhile_is_left_as_it_is_and_so_is_all_else() {
    for is_there in [true, false] {
        let scratch = Scratch::small_campaign();
        let list = if is_there { "loyalty.txt" } else { "new.txt" };
        scratch.write("codes.txt", "old\n");
        let run = Waiting::start(&scratch, &format!("--save-loyalty {list} -o codes.txt"));
        // As editors save: another file takes the name.
        fs::rename(scratch.write("draft.txt", "by@hand, , , F\n"), scratch.file(list)).unwrap();
        let (code, told) = run.end(SMALL_CONVERSIONS);
        assert_eq!(code, Some(1));
        assert!(told.contains("somebody else changed it while this run was under way"), "{told}");
        assert_eq!(scratch.read(list), "by@hand, , , F\n");
        assert_eq!(scratch.read("codes.txt"), "old\n");
    }
}

#[test]
fn a_folder_of_rejects_takes_those_of_one_run_at_a_time() {
    let scratch = Scratch::small_campaign();
    let skip = "--on-error skip --rejects rejects";
    let first = Waiting::start(&scratch, &format!("{skip} -o codes.txt"));
    let told = "adseg: rejects: cannot keep rejects there: another run is at work on it";
    let second = scratch.adseg(&format!("{RUN} {skip}")).assert().code(1);
    assert!(String::from_utf8_lossy(&second.get_output().stderr).starts_with(told));
    assert_eq!(first.end("nonsense\n").0, Some(0));
    assert_eq!(scratch.read("rejects/conversions.txt"), "nonsense\n");
}

#[test]
fn of_many_runs_that_save_to_one_list_at_once_none_undoes_another() {
    let scratch = Scratch::small_campaign();
    let list = scratch.read("loyalty.txt");
    let customers = runs(12).min(100);
    thread::scope(|scope| {
        for worker in 0..4 {
            let scratch = &scratch;
            scope.spawn(move || {
                for customer in (worker..customers).step_by(4) {
                    let args = "run --loyalty loyalty.txt --conversions - --save-loyalty loyalty.txt";
                    let conversions = purchase(&format!("customer{customer}@example.com"));
                    let began = Instant::now();
                    // Whoever is refused tries again.
                    while !scratch.adseg(args).write_stdin(conversions.clone()).output().unwrap().status.success() {
                        assert!(began.elapsed() < Duration::from_secs(60), "never its turn");
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
