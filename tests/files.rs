//! What a run writes to files: whole or not at all, and never over something that is being read.

mod common;

use std::fs;

use common::{RUN, SMALL_ANSWERS, SMALL_CONVERSIONS, Scratch, frame};
use predicates::prelude::*;
use predicates::str::{contains, starts_with};

const BAD: &str = "nonsense\n";

#[test]
fn an_output_file_is_untouched_after_a_failure_and_nothing_is_left_beside_it() {
    let scratch = Scratch::small_campaign();
    scratch.write("conversions.txt", format!("{SMALL_CONVERSIONS}{BAD}"));
    scratch.write("old.txt", "old\n");
    let before = scratch.names();
    for output in ["old.txt", "new.txt"] {
        scratch.adseg(&format!("{RUN} -o {output} --save-loyalty loyalty.txt")).assert().code(1).stdout("");
        assert_eq!(scratch.names(), before);
    }
    assert_eq!(scratch.read("old.txt"), "old\n");
    assert_eq!(scratch.read("loyalty.txt"), "kim@example.com, kim, kim, F\n");
}

#[test]
fn a_failed_run_leaves_no_rejects_and_no_folder_for_them() {
    let scratch = Scratch::small_campaign();
    scratch.write("conversions.txt", BAD.repeat(3));
    let before = scratch.names();
    scratch.adseg(&format!("{RUN} --on-error skip --rejects rejects --max-rejects 2")).assert().code(1);
    assert_eq!(scratch.names(), before);
}

#[test]
fn rejects_that_were_mended_can_be_fed_in_again() {
    let scratch = Scratch::small_campaign();
    scratch.write("conversions.txt", format!("{SMALL_CONVERSIONS}Hoodie, ClikConversion, kim@example.com, Web"));
    scratch.adseg(&format!("{RUN} --on-error skip --rejects rejects")).assert().success().stdout(SMALL_ANSWERS);
    let kept = scratch.read("rejects/conversions.txt");
    assert_eq!(kept, "Hoodie, ClikConversion, kim@example.com, Web\n");
    let mended = kept.replace("Clik", "Click");
    scratch.write("rejects/conversions.txt", mended);
    let again = "run --loyalty loyalty.txt --conversions rejects/conversions.txt";
    scratch.adseg(again).assert().success().stdout("Send additional promo code to: kim@example.com, True\n");
    // The same folder cannot take new rejects while it is being read …
    scratch
        .adseg(&format!("{again} --on-error skip --rejects rejects"))
        .assert()
        .code(2)
        .stderr(contains("rejects/conversions.txt is being read and would be replaced by new rejects"));
    // … and loses the old ones once a run has none.
    scratch.write("conversions.txt", SMALL_CONVERSIONS);
    scratch.adseg(&format!("{RUN} --on-error skip --rejects rejects")).assert().success().stderr("");
    let left: Vec<_> = fs::read_dir(scratch.file("rejects")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["errors.jsonl"]);
    assert_eq!(scratch.read("rejects/errors.jsonl"), "");
}

#[test]
fn rejects_that_begin_like_no_text_can_be_fed_in_again() {
    let scratch = Scratch::small_campaign();
    let marks = [&b"\xef\xbb\xbf"[..], b"\x28\xb5\x2f\xfd", b"\x1f\x8b", b"\0", b"\xff\xfea\0", b"\xfe\xff\0"];
    for first in marks {
        let event = [first, b", ClikConversion, kim@example.com, Web\n"].concat();
        scratch.write("conversions.txt", [SMALL_CONVERSIONS.as_bytes(), &event].concat());
        scratch.adseg(&format!("{RUN} --on-error skip --rejects rejects")).assert().success();
        let table =
            [b"\xef\xbb\xbf", first, b",promo,conversion,email\n,Hoodie,ClikConversion,kim@example.com\n"].concat();
        scratch.write("conversions.csv", table);
        let csv = "run --loyalty loyalty.txt --conversions conversions.csv --conversions-format csv";
        scratch.adseg(&format!("{csv} --on-error skip --rejects csv")).assert().success();
        for (again, place) in [
            ("run --loyalty loyalty.txt --conversions rejects/conversions.txt", "rejects/conversions.txt:1: unknown"),
            (&csv.replace("conversions.csv", "csv/conversions.csv"), "csv/conversions.csv:2: unknown"),
        ] {
            scratch.adseg(again).assert().code(1).stderr(contains(place));
        }
    }
}

#[test]
fn a_folder_with_somebody_elses_files_takes_no_rejects() {
    let scratch = Scratch::small_campaign();
    for folder in [".", "data"] {
        let _ = fs::create_dir(scratch.file("data"));
        scratch.write("data/loyalty.txt", "precious\n");
        scratch.adseg(&format!("{RUN} --on-error skip --rejects {folder}")).assert().code(2);
    }
    assert_eq!(scratch.read("data/loyalty.txt"), "precious\n");
}

#[test]
fn rejects_never_replace_what_an_earlier_run_did_not_keep_there() {
    let ours = r#"{"file":"a","line":1,"byte":0,"reason":"r","kept_in":"conversions.txt"}"#;
    for (errors, others) in [
        ("{\"other\":1}\n".to_owned(), vec!["loyalty.txt"]),
        (String::new(), vec!["conversions.txt"]),
        (format!("{ours}\n"), vec!["conversions.txt", "notes.md"]),
        (format!("{ours}\n"), vec!["conversions.txt", "loyalty.txt"]),
        (format!("{ours}\n"), vec!["loyalty.txt"]),
    ] {
        let scratch = Scratch::small_campaign();
        fs::create_dir(scratch.file("rejects")).unwrap();
        scratch.write("rejects/errors.jsonl", errors);
        for other in &others {
            scratch.write(&format!("rejects/{other}"), "precious\n");
        }
        let assert = scratch.adseg(&format!("{RUN} --on-error skip --rejects rejects")).assert().code(2);
        assert.stderr(contains("holds files that are no rejects of an earlier run"));
        assert!(others.iter().all(|other| scratch.read(&format!("rejects/{other}")) == "precious\n"), "{others:?}");
    }
}

#[test]
fn nothing_else_is_written_into_the_folder_of_the_rejects() {
    let scratch = Scratch::small_campaign();
    for args in ["-o rejects/codes.txt", "--save-loyalty ./rejects/loyalty.txt", "-o rejects/../rejects/codes.txt"] {
        let assert = scratch.adseg(&format!("{RUN} --on-error skip --rejects rejects {args}")).assert().code(2);
        assert.stdout("").stderr(contains("in the folder of the rejects"));
        assert_eq!(scratch.names(), ["conversions.txt", "loyalty.txt"]);
    }
}

#[test]
fn bad_rows_of_a_list_never_vanish_with_it() {
    let scratch = Scratch::small_campaign();
    let list = scratch.read("loyalty.txt") + "short, row\n";
    scratch.write("loyalty.txt", &list);
    let save = format!("{RUN} --on-error skip --save-loyalty loyalty.txt");
    scratch.adseg(&save).assert().code(2).stderr(contains("keep them with --rejects DIR"));
    assert_eq!(scratch.read("loyalty.txt"), list);
    scratch.adseg(&format!("{save} --rejects rejects")).assert().success();
    assert_eq!(scratch.read("loyalty.txt") + &scratch.read("rejects/loyalty.txt"), list);
}

#[test]
fn a_list_that_is_no_plain_text_is_never_saved_over() {
    let scratch = Scratch::small_campaign();
    let csv = "email,fb_user,insta_user,gender\nkim@example.com,,,F\n";
    scratch.write("loyalty.csv", csv);
    scratch.write("loyalty.gz", b"\x1f\x8b anything");
    scratch.write("loyalty.frames", frame("kim@example.com, , , F"));
    for list in ["loyalty.csv --loyalty-format csv", "loyalty.gz", "loyalty.frames --loyalty-format framed"] {
        let file = list.split(' ').next().unwrap();
        let args = format!("run --loyalty {list} --conversions conversions.txt --save-loyalty ./{file}");
        scratch.adseg(&args).assert().code(2).stderr(contains("is CSV, framed or packed")).stdout("");
    }
    assert_eq!(scratch.read("loyalty.csv"), csv);
}

#[test]
fn a_saved_list_can_be_read_again_under_the_same_limit() {
    let scratch = Scratch::new();
    scratch.write("loyalty.txt", "a@x,b,c,F\n");
    scratch.write("conversions.txt", "");
    for _ in 0..2 {
        let args = format!("{RUN} --max-record-bytes 9 --save-loyalty loyalty.txt");
        scratch.adseg(&args).assert().success();
        assert_eq!(scratch.read("loyalty.txt"), "a@x,b,c,F\n");
    }
}

#[test]
fn saving_twice_gives_the_same_list_whatever_csv_and_frames_bring() {
    let scratch = Scratch::new();
    scratch.write("conversions.txt", "");
    scratch.write("loyalty.csv", "email,fb_user,insta_user,gender\nb@x,\"Kim,\",\", the\n\",F\n");
    scratch.write("loyalty.frames", frame(b"\x28\xb5\x2f\xfd@x, a\nb, , F"));
    for (from, saved) in [
        ("loyalty.csv --loyalty-format csv", &b"b@x, Kim, the, F\n"[..]),
        ("loyalty.frames", b"\xef\xbb\xbf\x28\xb5\x2f\xfd@x, a b, , F\n"),
    ] {
        let save = |from| format!("run --loyalty {from} --conversions conversions.txt --save-loyalty saved.txt");
        scratch.adseg(&save(from)).assert().success();
        assert_eq!(fs::read(scratch.file("saved.txt")).unwrap(), saved);
        scratch.adseg(&save("saved.txt")).assert().success();
        assert_eq!(fs::read(scratch.file("saved.txt")).unwrap(), saved);
    }
}

#[test]
fn tonights_list_is_tomorrows() {
    let scratch = Scratch::small_campaign();
    scratch.write("conversions.txt", format!("{SMALL_CONVERSIONS}Hoodie, PurchaseConversion, lee@example.com, [6], 9"));
    scratch.adseg(&format!("{RUN} --save-loyalty loyalty.txt")).assert().success();
    let list = "kim@example.com, kim, kim, F\nlee@example.com, , , \n";
    assert_eq!(scratch.read("loyalty.txt"), list);
    scratch.write("conversions.txt", SMALL_CONVERSIONS);
    let both = SMALL_ANSWERS.replace("False", "True");
    scratch.adseg(&format!("{RUN} --save-loyalty loyalty.txt")).assert().success().stdout(both);
    assert_eq!(scratch.read("loyalty.txt"), list, "a list that nobody joined stays the same");
}

#[test]
fn an_email_that_begins_with_a_byte_order_mark_survives_saving() {
    let scratch = Scratch::small_campaign();
    scratch.write("loyalty.txt", "\u{feff}\u{feff}kim@example.com, , , F\n");
    scratch.adseg(&format!("{RUN} --save-loyalty saved.txt")).assert().success();
    assert_eq!(scratch.read("saved.txt"), scratch.read("loyalty.txt"));
}

#[test]
fn what_is_read_is_never_written_over() {
    let scratch = Scratch::small_campaign();
    for (args, told) in [
        ("-o loyalty.txt", "the answers would be written over loyalty.txt, which is being read"),
        ("-o ./conversions.txt", "the answers would be written over conversions.txt, which is being read"),
        ("--save-loyalty conversions.txt", "the saved list would be written over conversions.txt"),
        ("-o same.txt --save-loyalty ./same.txt", "same.txt is named for two outputs"),
        ("--save-loyalty -", "cannot both go to the standard output"),
    ] {
        let assert = scratch.adseg(&format!("{RUN} {args}")).assert().code(2).stdout("");
        assert.stderr(contains(told));
    }
    assert_eq!(scratch.read("conversions.txt"), SMALL_CONVERSIONS);
    assert_eq!(scratch.names(), ["conversions.txt", "loyalty.txt"]);
}

#[test]
fn the_standard_input_is_recognized_as_a_file_too() {
    let scratch = Scratch::small_campaign();
    let loyalty = fs::File::open(scratch.file("loyalty.txt")).unwrap();
    let mut command = scratch.piped("run --loyalty loyalty.txt --conversions -");
    let output = command.stdin(loyalty).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(contains("loyalty.txt and stdin are the same file").eval(&String::from_utf8(output.stderr).unwrap()));
}

#[test]
fn an_output_that_is_redirected_into_an_input_is_refused() {
    let scratch = Scratch::small_campaign();
    let append = fs::OpenOptions::new().append(true).open(scratch.file("conversions.txt")).unwrap();
    let output = scratch.piped(RUN).stdout(append).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(scratch.read("conversions.txt"), SMALL_CONVERSIONS);
}

#[test]
fn inputs_that_cannot_be_read_are_told_before_anything_is_written() {
    let scratch = Scratch::small_campaign();
    for (conversions, told) in [
        (".", "adseg: .: cannot read a folder; name the files in it\n"),
        ("nowhere.txt", "adseg: nowhere.txt: cannot read: No such file or directory (os error 2)\n"),
    ] {
        let args = format!("run --loyalty loyalty.txt --conversions {conversions} -o codes.txt");
        scratch.adseg(&args).assert().code(1).stderr(told);
    }
    for (output, told) in [
        ("nowhere/codes.txt", "adseg: nowhere/codes.txt: cannot write: nowhere: No such file or directory"),
        (
            "nowhere/",
            "adseg: nowhere/: cannot write: this names a folder
",
        ),
        (
            ".",
            "adseg: .: cannot write: is a directory
",
        ),
    ] {
        scratch.adseg(&format!("{RUN} -o {output}")).assert().code(1).stderr(starts_with(told));
    }
    assert_eq!(scratch.names(), ["conversions.txt", "loyalty.txt"]);
}

#[test]
fn the_standard_input_can_be_named_for_one_purpose_only() {
    let scratch = Scratch::small_campaign();
    for args in [
        "run --loyalty loyalty.txt --conversions - -",
        "run --loyalty loyalty.txt - --conversions -",
        "run --loyalty - --conversions conversions.txt -",
    ] {
        scratch.adseg(args).assert().code(2).stderr(contains("'-' is named"));
    }
}

#[cfg(target_os = "linux")]
mod on_linux {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_full_disk_is_an_error_even_for_the_last_few_bytes() {
        let scratch = Scratch::small_campaign();
        let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = scratch.piped(RUN).stdout(full()).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let told = "adseg: stdout: cannot write: No space left on device (os error 28)\n";
        assert_eq!(String::from_utf8(output.stderr).unwrap(), told);
        for args in ["-o /dev/full", "-o /dev/null --save-loyalty /dev/full"] {
            let told = "adseg: /dev/full: cannot write: No space left on device (os error 28)\n";
            scratch.adseg(&format!("{RUN} {args}")).assert().code(1).stderr(told);
        }
        assert!(fs::metadata("/dev/full").is_ok_and(|full| !full.is_file()), "a device is never replaced");
    }

    #[test]
    fn the_standard_output_by_any_name_is_the_standard_output() {
        let scratch = Scratch::small_campaign();
        for name in ["-", "/dev/stdout", "/proc/self/fd/1"] {
            scratch.adseg(&format!("{RUN} -o {name}")).assert().success().stdout(SMALL_ANSWERS);
        }
        let redirected = scratch.write("out.txt", "");
        let file = fs::OpenOptions::new().append(true).open(redirected).unwrap();
        assert!(scratch.piped(&format!("{RUN} -o /dev/stdout")).stdout(file).status().unwrap().success());
        assert_eq!(scratch.read("out.txt"), SMALL_ANSWERS);
    }

    #[test]
    fn a_file_that_is_open_already_is_never_replaced_behind_its_back() {
        let scratch = Scratch::small_campaign();
        let adseg = env!("CARGO_BIN_EXE_adseg");
        for (args, descriptor, log) in [
            ("-o codes.txt --save-loyalty /dev/stdout", 1, "header\nkim@example.com, kim, kim, F\nfooter\n"),
            ("-o /dev/stderr", 2, &*format!("header\n{SMALL_ANSWERS}footer\n")),
            ("-o /dev/fd/3", 3, "header\nfooter\n"),
        ] {
            let (header, footer) = (format!("echo header >&{descriptor}"), format!("echo footer >&{descriptor}"));
            let script = format!("({header}; {adseg} {RUN} {args}; {footer}) {descriptor}> log");
            Command::new("sh").arg("-c").arg(&script).current_dir(scratch.path()).output().unwrap();
            assert_eq!(scratch.read("log"), log, "{script}");
        }
    }

    #[test]
    fn messages_that_nobody_can_read_change_nothing_else() {
        let scratch = Scratch::small_campaign();
        scratch.write("conversions.txt", format!("{SMALL_CONVERSIONS}{BAD}"));
        let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let args = format!("{RUN} --on-error skip --rejects rejects -o codes.txt --summary --progress always");
        assert!(scratch.piped(&args).stderr(full()).status().unwrap().success());
        assert_eq!(scratch.read("codes.txt"), SMALL_ANSWERS);
        assert_eq!(scratch.piped(RUN).stderr(full()).status().unwrap().code(), Some(1));
    }

    #[test]
    fn a_limit_on_file_sizes_is_an_error_that_leaves_nothing() {
        let scratch = Scratch::small_campaign();
        scratch.write("conversions.txt", SMALL_CONVERSIONS.repeat(1_000));
        let before = scratch.names();
        let script = format!("ulimit -f 1; {} {RUN} -o codes.txt", env!("CARGO_BIN_EXE_adseg"));
        let output = Command::new("sh").arg("-c").arg(script).current_dir(scratch.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            "adseg: codes.txt: cannot write: File too large (os error 27)\n"
        );
        assert_eq!(scratch.names(), before);
    }

    #[test]
    fn a_fifo_is_written_through() {
        let scratch = Scratch::small_campaign();
        assert!(Command::new("mkfifo").arg(scratch.file("fifo")).status().unwrap().success());
        let mut run = scratch.piped(&format!("{RUN} -o fifo")).spawn().unwrap();
        assert_eq!(scratch.read("fifo"), SMALL_ANSWERS);
        assert!(run.wait().unwrap().success());
        assert!(!fs::metadata(scratch.file("fifo")).unwrap().is_file());
    }

    #[test]
    fn a_new_file_has_the_permissions_that_a_redirect_gives() {
        let scratch = Scratch::small_campaign();
        let script = format!("umask 027; : > redirected; {} {RUN} -o codes.txt", env!("CARGO_BIN_EXE_adseg"));
        assert!(Command::new("sh").arg("-c").arg(script).current_dir(scratch.path()).status().unwrap().success());
        let mode = |name| fs::metadata(scratch.file(name)).unwrap().permissions().mode();
        assert_eq!(mode("codes.txt"), mode("redirected"));
        assert_eq!(mode("codes.txt") & 0o777, 0o640);
    }
}
