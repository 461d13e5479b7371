//! The commit of a run: staged files are private, a failure restores all files, and no other run's list is replaced.

#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::{Duration, Instant};

use common::live::LiveRun;
use common::{CommandOutput, RUN, RUN_STDIN, SMALL_CONVERSIONS, SMALL_LIST, Scratch};

/// Starts a run with the conversions on standard input, and waits until it has this many staged files.
fn start(scratch: &Scratch, args: &str, staged: usize) -> LiveRun {
    let run = LiveRun::start(scratch, &format!("{RUN_STDIN} {args}"));
    let start = Instant::now();
    while temporary_files(scratch).len() < staged {
        assert!(start.elapsed() < Duration::from_secs(60), "the run does not start");
        thread::sleep(Duration::from_millis(2));
    }
    run
}

fn temporary_files(scratch: &Scratch) -> Vec<String> {
    scratch.names().into_iter().filter(|name| name.starts_with(".adseg-")).collect()
}

fn mode(scratch: &Scratch, name: &str) -> u32 {
    fs::metadata(scratch.file(name)).unwrap().permissions().mode() & 0o777
}

fn set_mode(scratch: &Scratch, name: &str, mode: u32) {
    fs::set_permissions(scratch.file(name), fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn staged_file_is_private_until_it_replaces_a_file() {
    let scratch = Scratch::small_campaign();
    scratch.write("codes.txt", "old\n");
    for target in [0o600, 0o640, 0o666] {
        ["loyalty.txt", "codes.txt"].iter().for_each(|name| set_mode(&scratch, name, target));
        let run = start(&scratch, "-o codes.txt --save-loyalty loyalty.txt", 2);
        for name in temporary_files(&scratch) {
            assert_eq!(mode(&scratch, &name), 0o600, "{name}");
        }
        // The permissions at the end of the run count.
        set_mode(&scratch, "codes.txt", target & 0o604);
        assert_eq!(run.finish(), (Some(0), String::new()));
        assert_eq!([mode(&scratch, "loyalty.txt"), mode(&scratch, "codes.txt")], [target, target & 0o604]);
    }
}

#[test]
fn failed_commit_restores_all_files() {
    let scratch = Scratch::small_campaign();
    let skip = "--on-error skip --rejects rejects";
    let first = format!("run --loyalty loyalty.txt --conversions - {skip}");
    assert_eq!(scratch.run_with(&first, "first\n").code, Some(0));
    let files = || [scratch.read("rejects/errors.jsonl"), scratch.read("rejects/conversions.txt")];
    let before = files();
    let names = scratch.names_in("rejects");
    for new in ["", "-new"] {
        let skip = format!("{skip}{new}");
        let mut run = start(&scratch, &format!("{skip} -o codes.txt --save-loyalty loyalty.txt"), 2);
        // A folder cannot be replaced by a file.
        fs::create_dir(scratch.file("codes.txt")).unwrap();
        run.send(format!("second\n{SMALL_CONVERSIONS}P, PurchaseConversion, new@example.com, [6], 9\n"));
        let (code, stderr) = run.finish();
        assert_eq!(code, Some(1));
        let message = "codes.txt: cannot rename into place: Is a directory; nothing was replaced\n";
        assert!(stderr.ends_with(message), "{stderr}");
        fs::remove_dir(scratch.file("codes.txt")).unwrap();
        assert_eq!((files(), scratch.names_in("rejects")), (before.clone(), names.clone()));
        assert_eq!(scratch.names(), ["conversions.txt", "loyalty.txt", "rejects"]);
        assert_eq!(scratch.read("loyalty.txt"), SMALL_LIST);
    }
}

/// Runs `adseg` as a user without privileges.
const NOBODY: &str = "setpriv --reuid=65534 --regid=65534 --clear-groups adseg";

fn can_run_as_nobody(scratch: &Scratch) -> bool {
    set_mode(scratch, ".", 0o777);
    let can_run = scratch.sh(&format!("{NOBODY} --version")).output().unwrap().status.success();
    if !can_run {
        eprintln!("skipped: this user may not run adseg as another user");
    }
    can_run
}

/// In a sticky folder, the file of another user can be written and linked, but neither replaced nor removed.
#[test]
fn commit_in_a_sticky_folder_leaves_nothing() {
    let scratch = Scratch::small_campaign();
    fs::create_dir(scratch.file("sticky")).unwrap();
    set_mode(&scratch, "sticky", 0o1777);
    scratch.write("sticky/codes.txt", "old\n");
    set_mode(&scratch, "sticky/codes.txt", 0o666);
    if !can_run_as_nobody(&scratch) {
        return;
    }
    let output: CommandOutput = scratch.sh(&format!("{NOBODY} {RUN} -o sticky/codes.txt")).output().unwrap().into();
    assert_eq!(output.code, Some(1));
    assert!(output.stderr.ends_with("Operation not permitted; nothing was replaced\n"), "{}", output.stderr);
    assert_eq!(scratch.names_in("sticky"), ["codes.txt"]);
    assert_eq!(scratch.read("sticky/codes.txt"), "old\n");
}

#[test]
fn compressed_list_under_a_plain_name_is_not_replaced() {
    let scratch = Scratch::small_campaign();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(SMALL_LIST.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    scratch.write("list", &gzip);
    for list in ["-", "list", "/dev/fd/0"] {
        let script = format!("adseg run --loyalty {list} --conversions conversions.txt --save-loyalty list <list");
        let output: CommandOutput = scratch.sh(&script).output().unwrap().into();
        assert_eq!(output.code, Some(2), "{script}: {}", output.stderr);
        assert!(output.stderr.contains("list is compressed, and the saved list would not be"), "{}", output.stderr);
        assert_eq!(fs::read(scratch.file("list")).unwrap(), gzip);
    }
}

#[test]
fn list_replaced_before_it_is_read_is_not_saved() {
    let scratch = Scratch::small_campaign();
    let purchase = "echo 'P, PurchaseConversion, new@example.com, [6], 9'";
    let update = format!("{purchase} | adseg run --loyalty list.txt --conversions - --save-loyalty list.txt");
    for (list, link) in [("-", false), ("/dev/fd/5", false), ("-", true), ("/dev/fd/5", true), ("/dev/stdin", true)] {
        for name in ["list.txt", "link"] {
            drop(fs::remove_file(scratch.file(name)));
        }
        scratch.write("list.txt", SMALL_LIST);
        if link {
            // The old file keeps this name.
            fs::hard_link(scratch.file("list.txt"), scratch.file("link")).unwrap();
        }
        let outdated = format!("adseg run --loyalty {list} --conversions conversions.txt");
        let script = format!("exec 5<list.txt; {update}; {outdated} --save-loyalty list.txt <&5");
        let output: CommandOutput = scratch.sh(&script).output().unwrap().into();
        assert_eq!(output.code, Some(1), "{}", output.stderr);
        assert!(output.stderr.ends_with("the changes of another run; open the list again\n"), "{}", output.stderr);
        assert_eq!(scratch.read("list.txt"), format!("{SMALL_LIST}new@example.com, , , \n"));
        // A list that did not exist has no changes.
        let script = format!("exec 5<list.txt; rm list.txt; {outdated} --save-loyalty list.txt <&5");
        assert!(scratch.sh(&script).status().unwrap().success());
        assert_eq!(scratch.read("list.txt"), format!("{SMALL_LIST}new@example.com, , , \n"));
    }
}

#[test]
fn list_whose_first_rows_were_read_is_not_replaced() {
    let scratch = Scratch::small_campaign();
    let run = "adseg run --loyalty - --conversions conversions.txt";
    let script = format!("(read row; {run} --save-loyalty loyalty.txt) <loyalty.txt");
    let output: CommandOutput = scratch.sh(&script).output().unwrap().into();
    assert_eq!(output.code, Some(2), "{}", output.stderr);
    assert!(output.stderr.contains("before it; use --loyalty loyalty.txt"), "{}", output.stderr);
    assert_eq!(scratch.read("loyalty.txt"), SMALL_LIST);
    let script = format!("(read row; {run} --save-loyalty new.txt) <loyalty.txt");
    assert!(scratch.sh(&script).status().unwrap().success());
}

#[test]
fn open_list_with_two_names_is_saved_unless_it_was_replaced() {
    let scratch = Scratch::small_campaign();
    let run = "adseg run --loyalty - --conversions conversions.txt --save-loyalty loyalty.txt";
    for before in ["ln loyalty.txt other.txt", "cp loyalty.txt 'l (deleted)'; exec <'l (deleted)'", "mv loyalty.txt l"]
    {
        let script = format!("exec <loyalty.txt; {before}; {run}");
        let output: CommandOutput = scratch.sh(&script).output().unwrap().into();
        assert_eq!((output.code, &*output.stderr), (Some(0), ""), "{before}");
        assert_eq!(scratch.read("loyalty.txt"), SMALL_LIST);
    }
}

#[test]
fn rejects_of_many_header_rows_need_few_open_files() {
    let scratch = Scratch::small_campaign();
    let mut names = String::new();
    for number in 0..100 {
        let name = format!("c{number}.csv");
        // The first header row comes back.
        let column = if number == 99 { 0 } else { number };
        scratch.write(&name, format!("promo,conversion,email,column{column}\nH,nonsense{number},a@x,1"));
        names += &format!(" {name}");
    }
    let args = format!("run --loyalty loyalty.txt --conversions {names} --conversions-format csv");
    let args = format!("{args} --on-error skip --rejects rejects --quiet");
    let output: CommandOutput = scratch.sh(&format!("ulimit -n 40; adseg {args}")).output().unwrap().into();
    assert_eq!((output.code, &*output.stderr), (Some(0), "adseg: 100 bad records kept in rejects\n"));
    assert_eq!(scratch.names_in("rejects").len(), 100);
    let first = "promo,conversion,email,column0\nH,nonsense0,a@x,1\nH,nonsense99,a@x,1\n";
    assert_eq!(scratch.read("rejects/conversions.csv"), first);
    assert!(scratch.read("rejects/conversions-99.csv").ends_with("H,nonsense98,a@x,1\n"));
}

#[test]
fn rejects_leave_the_staged_output_of_another_run() {
    let scratch = Scratch::small_campaign();
    fs::create_dir(scratch.file("rejects")).unwrap();
    scratch.write("rejects/.adseg-rejects-killed.tmp", "left by a killed run");
    let mut run = LiveRun::start(&scratch, &format!("{RUN_STDIN} -o rejects/codes.txt"));
    while scratch.names_in("rejects").len() < 2 {
        thread::sleep(Duration::from_millis(2));
    }
    let args = format!("{RUN_STDIN} --on-error skip --rejects rejects");
    assert_eq!(scratch.run_with(&args, "bad\n").code, Some(0));
    run.send(SMALL_CONVERSIONS);
    assert_eq!(run.finish(), (Some(0), String::new()));
    assert_eq!(scratch.names_in("rejects"), ["codes.txt", "conversions.txt", "errors.jsonl"]);
}

#[test]
fn rejects_are_written_under_any_umask() {
    let scratch = Scratch::small_campaign();
    fs::create_dir(scratch.file("rejects")).unwrap();
    set_mode(&scratch, "rejects", 0o777);
    if !can_run_as_nobody(&scratch) {
        return;
    }
    scratch.write("loyalty.txt", "bad\n");
    scratch.write("conversions.txt", "bad\n");
    for (umask, expected) in [("0222", 0o444), ("0777", 0)] {
        let script = format!("umask {umask}; {NOBODY} {RUN} --on-error skip --rejects rejects --quiet");
        let output: CommandOutput = scratch.sh(&script).output().unwrap().into();
        assert_eq!((output.code, &*output.stderr), (Some(0), "adseg: 2 bad records kept in rejects\n"));
        assert_eq!(scratch.names_in("rejects"), ["conversions.txt", "errors.jsonl", "loyalty.txt"]);
        for name in ["conversions.txt", "loyalty.txt"] {
            assert_eq!(scratch.read(&format!("rejects/{name}")), "bad\n");
            assert_eq!(mode(&scratch, &format!("rejects/{name}")), expected);
            fs::remove_file(scratch.file(&format!("rejects/{name}"))).unwrap();
        }
        fs::remove_file(scratch.file("rejects/errors.jsonl")).unwrap();
    }
}

#[test]
fn temporary_file_that_cannot_be_removed_is_named() {
    let scratch = Scratch::small_campaign();
    if !can_run_as_nobody(&scratch) {
        return;
    }
    for (signal, expected) in [(None, 1), (Some("-INT"), 130)] {
        set_mode(&scratch, ".", 0o777);
        let run = LiveRun::spawn(scratch.sh(&format!("exec {NOBODY} {RUN_STDIN} -o codes.txt")));
        while temporary_files(&scratch).is_empty() {
            thread::sleep(Duration::from_millis(2));
        }
        set_mode(&scratch, ".", 0o555);
        let (code, stderr) = match signal {
            Some(signal) => {
                run.signal(signal);
                run.wait()
            }
            None => run.finish(),
        };
        assert_eq!(code, Some(expected), "{stderr}");
        let files = temporary_files(&scratch);
        assert_eq!(files.len(), 1);
        let message = stderr.lines().next_back().unwrap();
        assert!(message.contains("could not be removed") && message.ends_with(&files[0]), "{stderr}");
        set_mode(&scratch, ".", 0o777);
        fs::remove_file(scratch.file(&files[0])).unwrap();
    }
}

#[test]
fn missing_descriptor_is_reported_with_the_file() {
    let scratch = Scratch::small_campaign();
    let mut failures = 0;
    for limit in 4..20 {
        let args = format!("{RUN} -o codes.txt --save-loyalty loyalty.txt --on-error skip --rejects rejects");
        let output: CommandOutput = scratch.sh(&format!("ulimit -n {limit}; adseg {args}")).output().unwrap().into();
        if output.code == Some(0) {
            break;
        }
        assert_eq!(output.code, Some(1), "{}", output.stderr);
        assert!(output.stderr.ends_with(": Too many open files\n"), "{}", output.stderr);
        let names = ["std", ".txt", "rejects", "cannot catch signals", scratch.path().to_str().unwrap()];
        assert!(names.iter().any(|name| output.stderr.contains(name)), "{}", output.stderr);
        assert_eq!(scratch.names(), ["conversions.txt", "loyalty.txt"]);
        failures += 1;
    }
    assert!(failures > 3);
}

#[test]
fn full_disk_under_rejects_is_reported_with_the_folder() {
    let scratch = Scratch::small_campaign();
    for records in [20, 5_000] {
        scratch.write("conversions.txt", "nonsense\n".repeat(records));
        let args = format!("{RUN} --on-error skip --rejects rejects --quiet");
        let output: CommandOutput = scratch.sh(&format!("ulimit -f 1; adseg {args}")).output().unwrap().into();
        let message = "adseg: rejects: cannot write rejects: File too large\n";
        assert_eq!((output.code, &*output.stderr), (Some(1), message));
        assert_eq!(scratch.names(), ["conversions.txt", "loyalty.txt"]);
    }
}
