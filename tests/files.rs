//! The files that a run writes: each is complete or untouched. `outputs_and_inputs.rs` tests that none replaces an input.

mod common;

use std::fs;

use common::{CommandOutput, RUN, SMALL_CONVERSIONS, SMALL_DECISIONS, SMALL_LIST, Scratch};
use predicates::str::{contains, starts_with};

const BAD: &str = "nonsense\n";
const SKIP: &str = "run --loyalty loyalty.txt --conversions conversions.txt --on-error skip --rejects rejects";

#[test]
fn failed_run_changes_no_file() {
    let scratch = Scratch::small_campaign();
    scratch.write("conversions.txt", format!("{SMALL_CONVERSIONS}{BAD}"));
    scratch.write("old.txt", "old\n");
    let before = scratch.names();
    for output in ["old.txt", "new.txt"] {
        scratch.adseg(&format!("{RUN} -o {output} --save-loyalty loyalty.txt")).assert().code(1).stdout("");
        assert_eq!(scratch.names(), before);
    }
    assert_eq!(scratch.read("old.txt"), "old\n");
    assert_eq!(scratch.read("loyalty.txt"), SMALL_LIST);
}

#[test]
fn failed_run_leaves_no_rejects() {
    let scratch = Scratch::small_campaign();
    scratch.write("conversions.txt", BAD.repeat(3));
    let before = scratch.names();
    scratch.adseg(&format!("{SKIP} --max-rejects 2")).assert().code(1);
    assert_eq!(scratch.names(), before);
}

#[test]
fn fixed_rejects_can_be_replayed() {
    let scratch = Scratch::small_campaign();
    scratch.write("conversions.txt", format!("{SMALL_CONVERSIONS}Hoodie, ClikConversion, kim@example.com, Web"));
    scratch.adseg(SKIP).assert().success().stdout(SMALL_DECISIONS);
    let rejects = scratch.read("rejects/conversions.txt");
    assert_eq!(rejects, "Hoodie, ClikConversion, kim@example.com, Web\n");
    scratch.write("rejects/conversions.txt", rejects.replace("Clik", "Click"));
    let replay = "run --loyalty loyalty.txt --conversions rejects/conversions.txt";
    scratch.adseg(replay).assert().success().stdout("Send additional promo code to: kim@example.com, True\n");
    // The folder does not accept new rejects while it is read …
    scratch
        .adseg(&format!("{replay} --on-error skip --rejects rejects"))
        .assert()
        .code(2)
        .stderr(contains("rejects/conversions.txt is an input and would be replaced by new rejects"));
    // … and a run without rejects removes the old ones.
    scratch.write("conversions.txt", SMALL_CONVERSIONS);
    scratch.adseg(SKIP).assert().success().stderr("");
    assert_eq!(scratch.names_in("rejects"), ["errors.jsonl"]);
    assert_eq!(scratch.read("rejects/errors.jsonl"), "");
}

#[test]
fn rejects_that_look_binary_can_be_replayed() {
    let scratch = Scratch::small_campaign();
    for first in [&b"\xef\xbb\xbf"[..], b"\x28\xb5\x2f\xfd", b"\x1f\x8b", b"\0", b"\xff\xfea\0", b"\xfe\xff\0"] {
        let event = [first, b", ClikConversion, kim@example.com, Web\n"].concat();
        scratch.write("conversions.txt", [SMALL_CONVERSIONS.as_bytes(), &event].concat());
        scratch.adseg(SKIP).assert().success();
        let table =
            [b"\xef\xbb\xbf", first, b",promo,conversion,email\n,Hoodie,ClikConversion,kim@example.com\n"].concat();
        scratch.write("conversions.csv", table);
        let csv = "run --loyalty loyalty.txt --conversions conversions.csv --conversions-format csv";
        scratch.adseg(&format!("{csv} --on-error skip --rejects csv")).assert().success();
        for (replay, location) in [
            ("run --loyalty loyalty.txt --conversions rejects/conversions.txt", "rejects/conversions.txt:1: unknown"),
            (&csv.replace("conversions.csv", "csv/conversions.csv"), "csv/conversions.csv:2: unknown"),
        ] {
            scratch.adseg(replay).assert().code(1).stderr(contains(location));
        }
    }
}

#[test]
fn new_rejects_folder_exists_only_with_rejects() {
    let scratch = Scratch::small_campaign();
    let before = scratch.names();
    let run = format!("{RUN} --on-error skip --rejects new/night/rejects");
    scratch.adseg(&run).assert().success();
    assert_eq!(scratch.names(), before);
    // The folder of another output is kept.
    scratch.adseg(&format!("{run} -o new/codes.txt")).assert().success();
    assert_eq!(scratch.names_in("new"), ["codes.txt"]);
    fs::remove_dir_all(scratch.file("new")).unwrap();
    scratch.write("conversions.txt", "bad\n");
    scratch.adseg(&format!("{run} --max-rejects 0")).assert().code(1);
    scratch.adseg(&format!("{run} --save-loyalty missing/loyalty.txt")).assert().code(1);
    assert_eq!(scratch.names(), before);
    scratch.adseg(&run).assert().success();
    assert_eq!(scratch.names_in("new/night/rejects"), ["conversions.txt", "errors.jsonl"]);
}

#[cfg(unix)]
#[test]
fn file_named_twice_is_detected_under_any_name() {
    let scratch = Scratch::small_campaign();
    let link = |name: &str, target: &str| std::os::unix::fs::symlink(target, scratch.file(name)).unwrap();
    link("link.txt", "conversions.txt");
    let twice = scratch.adseg("run --loyalty loyalty.txt --conversions conversions.txt link.txt").assert().code(2);
    twice.stderr(contains("conversions.txt and link.txt are the same file; name each file once"));
    let stdin = fs::File::open(scratch.file("loyalty.txt")).unwrap();
    let twice = scratch.piped("run --loyalty loyalty.txt - --conversions conversions.txt").stdin(stdin).output();
    assert_eq!(twice.unwrap().status.code(), Some(2));
    scratch.adseg("run --loyalty /dev/null /dev/null --conversions conversions.txt").assert().success();
}

#[test]
fn rejects_need_a_folder_without_other_files() {
    let scratch = Scratch::small_campaign();
    fs::create_dir(scratch.file("data")).unwrap();
    scratch.write("data/loyalty.txt", "precious\n");
    for folder in [".", "data"] {
        scratch.adseg(&format!("{RUN} --on-error skip --rejects {folder}")).assert().code(2);
    }
    assert_eq!(scratch.read("data/loyalty.txt"), "precious\n");
}

#[test]
fn rejects_never_replace_other_files() {
    let entry = r#"{"file":"a","line":1,"byte":0,"reason":"r","kept_in":"conversions.txt"}"#;
    for (errors, others) in [
        ("{\"other\":1}\n".to_owned(), vec!["loyalty.txt"]),
        (String::new(), vec!["conversions.txt"]),
        (format!("{entry}\n"), vec!["conversions.txt", "notes.md"]),
        (format!("{entry}\n"), vec!["conversions.txt", "loyalty.txt"]),
        (format!("{entry}\n"), vec!["loyalty.txt"]),
    ] {
        let scratch = Scratch::small_campaign();
        fs::create_dir(scratch.file("rejects")).unwrap();
        scratch.write("rejects/errors.jsonl", errors);
        for other in &others {
            scratch.write(&format!("rejects/{other}"), "precious\n");
        }
        scratch.adseg(SKIP).assert().code(2).stderr(contains("contains files that are not rejects of an earlier run"));
        assert!(others.iter().all(|other| scratch.read(&format!("rejects/{other}")) == "precious\n"), "{others:?}");
    }
}

#[test]
fn rejects_directory_accepts_no_other_output() {
    let scratch = Scratch::small_campaign();
    for args in [
        "-o rejects/codes.txt",
        "-o rejects/errors.jsonl",
        "--save-loyalty ./rejects/loyalty.txt",
        "-o rejects/../rejects/codes.txt",
    ] {
        let assert = scratch.adseg(&format!("{SKIP} {args}")).assert().code(2);
        assert.stdout("").stderr(contains("in the rejects directory"));
        assert_eq!(scratch.names(), ["conversions.txt", "loyalty.txt"]);
    }
}

#[cfg(unix)]
#[test]
fn rejects_directory_accepts_no_other_output_through_a_link() {
    let scratch = Scratch::small_campaign();
    std::os::unix::fs::symlink("rejects/codes.txt", scratch.file("link")).unwrap();
    fs::create_dir(scratch.file("rejects")).unwrap();
    let assert = scratch.adseg(&format!("{SKIP} -o link")).assert().code(2);
    assert.stderr(contains("link is in the rejects directory; name another directory"));
    assert_eq!(scratch.names_in("rejects"), Vec::<String>::new());
}

#[test]
fn input_is_never_overwritten() {
    let scratch = Scratch::small_campaign();
    for (args, message) in [
        ("-o loyalty.txt", "the output would overwrite loyalty.txt, which is an input"),
        ("-o ./conversions.txt", "the output would overwrite conversions.txt, which is an input"),
        ("--save-loyalty conversions.txt", "the saved list would overwrite conversions.txt"),
        ("-o same.txt --save-loyalty ./same.txt", "same.txt is named for two outputs"),
        ("--save-loyalty -", "cannot both be written to standard output"),
    ] {
        scratch.adseg(&format!("{RUN} {args}")).assert().code(2).stdout("").stderr(contains(message));
    }
    assert_eq!(scratch.read("conversions.txt"), SMALL_CONVERSIONS);
    assert_eq!(scratch.names(), ["conversions.txt", "loyalty.txt"]);
}

#[test]
fn stdin_redirected_from_a_named_file_is_detected() {
    let scratch = Scratch::small_campaign();
    let loyalty = fs::File::open(scratch.file("loyalty.txt")).unwrap();
    let output: CommandOutput = scratch.piped(common::RUN_STDIN).stdin(loyalty).output().unwrap().into();
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("loyalty.txt and stdin are the same file"), "{}", output.stderr);
}

#[test]
fn unusable_file_is_reported_before_any_output() {
    let scratch = Scratch::small_campaign();
    for (conversions, message) in [
        (".", "adseg: .: cannot read a directory; name the files in it\n"),
        ("nowhere.txt", "adseg: nowhere.txt: cannot read: No such file or directory\n"),
    ] {
        let args = format!("run --loyalty loyalty.txt --conversions {conversions} -o codes.txt");
        scratch.adseg(&args).assert().code(1).stderr(message);
    }
    for (output, message) in [
        ("nowhere/codes.txt", "adseg: nowhere/codes.txt: cannot write: nowhere: No such file or directory"),
        ("nowhere/", "adseg: nowhere/: cannot write: this is the name of a directory\n"),
        (".", "adseg: .: cannot write: is a directory\n"),
    ] {
        scratch.adseg(&format!("{RUN} -o {output}")).assert().code(1).stderr(starts_with(message));
    }
    assert_eq!(scratch.names(), ["conversions.txt", "loyalty.txt"]);
}

#[test]
fn stdin_cannot_be_named_twice() {
    let scratch = Scratch::small_campaign();
    for args in [
        "run --loyalty loyalty.txt --conversions - -",
        "run --loyalty loyalty.txt - --conversions -",
        "run --loyalty - --conversions conversions.txt -",
    ] {
        scratch.adseg(args).assert().code(2).stderr(contains("standard input ('-') is named"));
    }
}

#[cfg(target_os = "linux")]
mod on_linux {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;
    use crate::common::full_disk;

    #[test]
    fn full_disk_is_an_error_for_every_output() {
        let scratch = Scratch::small_campaign();
        let inputs = "--loyalty loyalty.txt --conversions conversions.txt";
        for args in
            [RUN, &format!("check {inputs}"), &format!("report {inputs}"), &format!("explain kim@example.com {inputs}")]
        {
            let output: CommandOutput = scratch.piped(args).stdout(full_disk()).output().unwrap().into();
            let code = if args.starts_with("check") { 2 } else { 1 };
            assert_eq!(output.code, Some(code), "{args}");
            assert_eq!(output.stderr, "adseg: stdout: cannot write: No space left on device\n", "{args}");
        }
        for args in ["-o /dev/full", "-o /dev/null --save-loyalty /dev/full"] {
            let message = "adseg: /dev/full: cannot write: No space left on device\n";
            scratch.adseg(&format!("{RUN} {args}")).assert().code(1).stderr(message);
        }
        assert!(fs::metadata("/dev/full").is_ok_and(|full| !full.is_file()), "a device is never replaced");
    }

    #[test]
    fn stdout_is_recognized_under_any_name() {
        let scratch = Scratch::small_campaign();
        for name in ["-", "/dev/stdout", "/proc/self/fd/1"] {
            scratch.adseg(&format!("{RUN} -o {name}")).assert().success().stdout(SMALL_DECISIONS);
        }
        let redirected = scratch.write("out.txt", "");
        let file = fs::OpenOptions::new().append(true).open(redirected).unwrap();
        assert!(scratch.piped(&format!("{RUN} -o /dev/stdout")).stdout(file).status().unwrap().success());
        assert_eq!(scratch.read("out.txt"), SMALL_DECISIONS);
    }

    #[test]
    fn open_file_is_appended_to_and_not_replaced() {
        let scratch = Scratch::small_campaign();
        for (args, descriptor, log) in [
            ("-o codes.txt --save-loyalty /dev/stdout", 1, &*format!("header\n{SMALL_LIST}footer\n")),
            ("-o /dev/stderr", 2, &*format!("header\n{SMALL_DECISIONS}footer\n")),
            ("-o /dev/fd/3", 3, "header\nfooter\n"),
        ] {
            let (header, footer) = (format!("echo header >&{descriptor}"), format!("echo footer >&{descriptor}"));
            let script = format!("({header}; adseg {RUN} {args}; {footer}) {descriptor}> log");
            scratch.sh(&script).output().unwrap();
            assert_eq!(scratch.read("log"), log, "{script}");
        }
    }

    #[test]
    fn unwritable_stderr_changes_nothing_else() {
        let scratch = Scratch::small_campaign();
        scratch.write("conversions.txt", format!("{SMALL_CONVERSIONS}{BAD}"));
        let args = format!("{SKIP} -o codes.txt --summary --progress always");
        assert!(scratch.piped(&args).stderr(full_disk()).status().unwrap().success());
        assert_eq!(scratch.read("codes.txt"), SMALL_DECISIONS);
        assert_eq!(scratch.piped(RUN).stderr(full_disk()).status().unwrap().code(), Some(1));
    }

    #[test]
    fn fifo_is_written_and_not_replaced() {
        let scratch = Scratch::small_campaign();
        assert!(Command::new("mkfifo").arg(scratch.file("fifo")).status().unwrap().success());
        let mut run = scratch.piped(&format!("{RUN} -o fifo")).spawn().unwrap();
        assert_eq!(scratch.read("fifo"), SMALL_DECISIONS);
        assert!(run.wait().unwrap().success());
        assert!(!fs::metadata(scratch.file("fifo")).unwrap().is_file());
    }

    #[test]
    fn new_file_has_the_permissions_of_a_redirect() {
        let scratch = Scratch::small_campaign();
        let script = format!("umask 027; : > redirected; adseg {RUN} -o codes.txt");
        assert!(scratch.sh(&script).status().unwrap().success());
        let mode = |name| fs::metadata(scratch.file(name)).unwrap().permissions().mode();
        assert_eq!(mode("codes.txt"), mode("redirected"));
        assert_eq!(mode("codes.txt") & 0o777, 0o640);
    }
}
