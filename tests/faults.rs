//! Faults: damaged input, files that change or disappear, full disks. A run reports each of them and leaves nothing
//! that looks complete and is not.

#![cfg(target_os = "linux")]

mod common;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use common::live::LiveRun;
use common::{CommandOutput, RUN, RUN_STDIN, SMALL_CONVERSIONS, SMALL_DECISIONS, Scratch, assert_same, frame, text};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).unwrap()
}

/// Runs with every truncated form of this standard input. None may write a file or succeed.
fn assert_rejects_truncated(whole: &[u8], lens: impl Iterator<Item = usize>, message: &str) {
    let scratch = Scratch::small_campaign();
    let before = scratch.names();
    for len in lens {
        let CommandOutput { code, stderr, .. } = scratch.run_with(&format!("{RUN_STDIN} -o codes.txt"), &whole[..len]);
        assert_eq!(code, Some(1), "{len}: {stderr}");
        assert!(stderr.contains(message), "{len}: {stderr}");
        assert_eq!(scratch.names(), before, "{len}");
    }
}

#[test]
fn truncated_compressed_file_is_never_accepted() {
    for whole in [gzip(SMALL_CONVERSIONS.as_bytes()), zstd(SMALL_CONVERSIONS.as_bytes())] {
        // Nothing distinguishes a compressed file of length 0 from an empty file.
        assert_rejects_truncated(&whole, 1..whole.len(), "");
        assert_eq!(Scratch::small_campaign().run_with(RUN_STDIN, whole).stdout, SMALL_DECISIONS);
    }
}

#[test]
fn truncated_frame_is_never_accepted_as_complete() {
    let frames: Vec<_> = SMALL_CONVERSIONS.lines().map(frame).collect();
    let (first, whole) = (frames[0].len(), frames.concat());
    let lens = (1..whole.len()).filter(|&len| len != first);
    assert_rejects_truncated(&whole, lens, "the input ends inside this frame");
}

#[test]
fn garbage_is_reported_and_kept_byte_for_byte() {
    let noise = |len: u32| (0..len).map(|at| (at.wrapping_mul(at).wrapping_mul(2_654_435_761) >> 13) as u8);
    for garbage in [b"\n\0\0\0\0\0\0\0".repeat(1_000), std::iter::once(b'P').chain(noise(300_000)).collect()] {
        let scratch = Scratch::small_campaign();
        let args = format!("{RUN_STDIN} --input-format text");
        assert_eq!(scratch.run_with(&args, garbage.clone()).code, Some(1));
        let args = format!("{args} --on-error skip --rejects rejects --summary=json --quiet");
        let output = scratch.run_with(&args, garbage.clone());
        assert_eq!((output.code, &*output.stdout), (Some(0), ""), "{}", output.stderr);
        let mut expected = garbage.split_inclusive(|&byte| byte == b'\n').collect::<Vec<_>>();
        expected.retain(|line| !line.iter().all(|byte| b" \t\n\x0b\x0c\r".contains(byte)));
        let mut expected = expected.concat();
        if expected.starts_with(b"\0") {
            // Without a byte-order mark, the file would be read as framed.
            expected.splice(..0, *b"\xef\xbb\xbf");
        }
        if !expected.ends_with(b"\n") {
            expected.push(b'\n');
        }
        assert_same(fs::read(scratch.file("rejects/conversions.txt")).unwrap(), expected, "kept rejects");
    }
}

#[test]
fn half_a_million_consecutive_bad_records_are_kept() {
    let scratch = Scratch::small_campaign();
    let bad = (0..500_000).map(|number| format!("nonsense {number}\n")).collect::<String>();
    let args = format!("{RUN_STDIN} --on-error skip --rejects rejects");
    let output = scratch.run_with(&args, format!("{bad}{SMALL_CONVERSIONS}"));
    assert_eq!(output.stdout, SMALL_DECISIONS);
    assert!(output.stderr.ends_with("adseg: 500000 bad records kept in rejects, the first 5 printed above\n"));
    assert_same(scratch.read("rejects/conversions.txt"), bad, "kept rejects");
    assert!(scratch.read("rejects/errors.jsonl").lines().last().unwrap().contains("\"line\":500000,"));
}

#[test]
fn empty_file_for_either_source_is_valid() {
    let scratch = Scratch::small_campaign();
    scratch.write("empty.txt", "");
    scratch.write("empty2.txt", "");
    let without_members = SMALL_DECISIONS.replace("True", "False");
    for (loyalty, conversions, decisions) in [
        ("/dev/null", "conversions.txt", &*without_members),
        ("loyalty.txt", "empty.txt", ""),
        ("empty.txt", "empty2.txt", ""),
    ] {
        let args = format!("run --loyalty {loyalty} --conversions {conversions} --save-loyalty saved.txt");
        let warning = match loyalty {
            "loyalty.txt" => "",
            _ => "adseg: warning: the loyalty list is empty (--min-members N makes this an error)\n",
        };
        scratch.adseg(&args).assert().success().stdout(decisions.to_owned()).stderr(warning);
        let saved = if loyalty == "loyalty.txt" { scratch.read("loyalty.txt") } else { String::new() };
        assert_eq!(scratch.read("saved.txt"), saved);
    }
}

#[test]
fn unreadable_or_unwritable_file_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::small_campaign();
    let set_mode =
        |name: &str, mode| fs::set_permissions(scratch.file(name), fs::Permissions::from_mode(mode)).unwrap();
    let locked = scratch.write("locked.txt", SMALL_CONVERSIONS);
    set_mode("locked.txt", 0o000);
    fs::create_dir(scratch.file("read-only")).unwrap();
    set_mode("read-only", 0o555);
    // Not even root may create a file in /proc.
    let mut faults = vec![(format!("{RUN} -o /proc/codes.txt"), "adseg: /proc/codes.txt: cannot write: ")];
    if File::open(&locked).is_err() {
        let args = "run --loyalty loyalty.txt --conversions locked.txt".to_owned();
        faults.push((args, "adseg: locked.txt: cannot read: Permission denied"));
        faults.push((format!("{RUN} -o read-only/codes.txt"), "adseg: read-only/codes.txt: cannot write: "));
        faults.push((format!("{RUN} --save-loyalty locked.txt"), "adseg: locked.txt: cannot write: Permission denied"));
    } else {
        eprintln!("skipped in part: this user may read and write everything");
    }
    let before = scratch.names();
    for (args, message) in faults {
        let CommandOutput { code, stderr, .. } = scratch.run(&args);
        assert_eq!(code, Some(1), "{args}");
        assert!(stderr.starts_with(message), "{args}: {stderr}");
        assert_eq!(scratch.names(), before);
    }
    set_mode("read-only", 0o755);
}

/// More conversions than a run reads before its first decisions are read.
fn large_campaign() -> (Scratch, usize) {
    let scratch = Scratch::small_campaign();
    let conversions = SMALL_CONVERSIONS.repeat(250_000);
    scratch.write("conversions.txt", &conversions);
    (scratch, conversions.len())
}

/// Starts a run and makes a change after its first decision.
fn run_with_change(scratch: &Scratch, args: &str, change: impl FnOnce()) -> CommandOutput {
    let mut run = LiveRun::start(scratch, args);
    let first = run.read_line();
    change();
    let stdout = first + &run.read_to_end();
    let (code, stderr) = run.wait();
    CommandOutput { code, stdout, stderr }
}

#[test]
fn file_truncated_while_it_is_read_is_an_error() {
    let (scratch, len) = large_campaign();
    let file = OpenOptions::new().write(true).open(scratch.file("conversions.txt")).unwrap();
    let args = format!("{RUN} --save-loyalty saved.txt");
    let CommandOutput { code, stdout, stderr } = run_with_change(&scratch, &args, || file.set_len(100).unwrap());
    assert_eq!(code, Some(1), "{stderr}");
    let message = format!("the file had {len} bytes when it was opened and was then truncated to 100");
    assert!(stderr.contains(&message), "{stderr}");
    assert!(SMALL_DECISIONS.repeat(250_000).starts_with(&stdout));
    assert_eq!(scratch.names(), ["conversions.txt", "loyalty.txt"]);
}

#[test]
fn deleted_file_is_read_to_the_end() {
    let (scratch, _) = large_campaign();
    let delete = || fs::remove_file(scratch.file("conversions.txt")).unwrap();
    let CommandOutput { code, stdout, stderr } = run_with_change(&scratch, RUN, delete);
    assert_eq!((code, &*stderr), (Some(0), ""));
    assert_same(stdout, SMALL_DECISIONS.repeat(250_000), "decisions");
}

#[test]
fn file_missing_when_it_is_opened_stops_the_run() {
    let (scratch, _) = large_campaign();
    scratch.write("tue.txt", SMALL_CONVERSIONS);
    let args = format!("{RUN} tue.txt --save-loyalty saved.txt");
    let delete = || fs::remove_file(scratch.file("tue.txt")).unwrap();
    let CommandOutput { code, stderr, .. } = run_with_change(&scratch, &args, delete);
    assert_eq!((code, &*stderr), (Some(1), "adseg: tue.txt: cannot open: No such file or directory\n"));
    assert_eq!(scratch.names(), ["conversions.txt", "loyalty.txt"]);
}

#[test]
fn writer_that_dies_inside_a_frame_is_detected() {
    let scratch = Scratch::small_campaign();
    assert!(Command::new("mkfifo").arg(scratch.file("fifo")).status().unwrap().success());
    let before = scratch.names();
    let run = LiveRun::start(&scratch, "run --loyalty loyalty.txt --conversions fifo -o codes.txt");
    let mut writer = OpenOptions::new().write(true).open(scratch.file("fifo")).unwrap();
    let frame = frame("P, ClickConversion, kim@example.com, w");
    writer.write_all(&[&frame[..], &frame[..20]].concat()).unwrap();
    drop(writer);
    let message = "adseg: fifo: record 2 at byte 42: the input ends inside this frame, after 20 of its 42 bytes (is the input truncated?)\n";
    assert_eq!(run.wait(), (Some(1), message.to_owned()));
    assert_eq!(scratch.names(), before);
}

#[test]
fn closed_stdout_ends_every_subcommand_quietly() {
    let scratch = Scratch::small_campaign();
    scratch.write("frames", SMALL_CONVERSIONS.lines().flat_map(frame).collect::<Vec<u8>>());
    scratch.write("empty.txt", "");
    let inputs = "--loyalty loyalty.txt --conversions conversions.txt";
    for args in [
        RUN,
        &format!("{RUN} --output-format framed"),
        &format!("{RUN} --output-format jsonl --send-only"),
        &format!("{RUN} --output-format csv"),
        &format!("{RUN} -o /dev/null --save-loyalty -"),
        "run --loyalty loyalty.txt --conversions empty.txt --output-format csv",
        &format!("check {inputs}"),
        &format!("check {inputs} --format jsonl"),
        &format!("report {inputs}"),
        &format!("explain kim@example.com {inputs}"),
        &format!("order-check {inputs}"),
        &format!("diff none none {inputs}"),
        "frame conversions.txt",
        "unframe frames",
        "generate --conversions -",
        "generate --loyalty - --conversions -",
        "completions bash",
        "man",
        "--help",
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = CommandOutput::from(scratch.piped(args).stdout(writer).output().unwrap());
        // 0 would mean that there are no findings.
        let code = if args.contains("check ") || args.starts_with("diff") { 2 } else { 0 };
        assert_eq!((output.code, &*output.stderr), (Some(code), ""), "{args}");
    }
}

#[test]
fn file_size_limit_is_an_error_and_leaves_nothing() {
    let scratch = Scratch::small_campaign();
    let members = (0..2_000).map(|number| format!("customer{number}@example.com, , , F\n")).collect::<String>();
    scratch.write("loyalty.txt", &members);
    scratch.write("conversions.txt", format!("{SMALL_CONVERSIONS}{}", "nonsense\n".repeat(2_000)));
    scratch.write("valid.txt", SMALL_CONVERSIONS.repeat(1_000));
    scratch.write("codes.txt", "old\n");
    let before = scratch.names();
    let valid = "run --loyalty loyalty.txt --conversions valid.txt";
    let skip = format!("{RUN} --on-error skip --rejects rejects");
    for (limit, args, message) in [
        (1, format!("{valid} -o new.txt"), "adseg: new.txt: cannot write: File too large\n"),
        (1, format!("{valid} -o codes.txt"), "adseg: codes.txt: cannot write: File too large\n"),
        (2, format!("{skip} -o codes.txt --save-loyalty loyalty.txt --max-rejects 9999"), "File too large"),
        (2, format!("{skip} -o codes.txt"), "File too large"),
    ] {
        let output = scratch.sh(&format!("ulimit -f {limit}; adseg {args}")).output().unwrap();
        let CommandOutput { code, stderr, .. } = output.into();
        assert_eq!(code, Some(1));
        assert!(if message.ends_with('\n') { stderr == message } else { stderr.contains(message) }, "{stderr}");
        assert_eq!(scratch.names(), before);
        assert_eq!(scratch.read("codes.txt"), "old\n");
        assert_eq!(scratch.read("loyalty.txt"), members);
    }
}

/// A file system of 64 KiB, which is unmounted on drop.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(path: &'a Path) -> Option<Self> {
        fs::create_dir(path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(path);
        mount.output().is_ok_and(|output| output.status.success()).then_some(Self(path))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).output();
    }
}

#[test]
fn full_disk_leaves_the_old_files() {
    let scratch = Scratch::small_campaign();
    let path = scratch.file("disk");
    let Some(_disk) = SmallDisk::mount(&path) else {
        eprintln!("skipped: this user may not mount a file system");
        return;
    };
    scratch.write("conversions.txt", SMALL_CONVERSIONS.repeat(5_000));
    let members = (0..2_000).map(|number| format!("customer{number}@example.com, , , F\n")).collect::<String>();
    scratch.write("loyalty.txt", format!("kim@example.com, kim, kim, F\n{members}"));
    for name in ["codes.txt", "list.txt"] {
        scratch.write(&format!("disk/{name}"), "old\n");
    }
    for outputs in [
        "-o disk/codes.txt",
        "-o /dev/null --save-loyalty disk/list.txt",
        "-o disk/codes.txt --save-loyalty disk/list.txt",
    ] {
        let CommandOutput { code, stderr, .. } = scratch.run(&format!("{RUN} {outputs}"));
        assert_eq!(code, Some(1));
        assert!(stderr.ends_with(": cannot write: No space left on device\n"), "{stderr}");
        assert_eq!(scratch.names_in("disk"), ["codes.txt", "list.txt"]);
        assert_eq!(scratch.read("disk/codes.txt") + &scratch.read("disk/list.txt"), "old\nold\n");
    }
}

#[test]
fn gzip_file_padded_with_zeros_is_complete() {
    let scratch = Scratch::small_campaign();
    let padded = [gzip(SMALL_CONVERSIONS.as_bytes()), vec![0; 10_000]].concat();
    assert_eq!(scratch.run_with(RUN_STDIN, padded.clone()).stdout, SMALL_DECISIONS);
    let output = scratch.run_with(RUN_STDIN, [&padded, &b"more"[..]].concat());
    assert_eq!(output.code, Some(1));
    assert!(output.stderr.contains("data after the zeros"), "{}", output.stderr);
}

#[test]
fn wrong_format_is_reported_with_a_remedy() {
    let scratch = Scratch::small_campaign();
    let utf_16: Vec<u8> = format!("\u{feff}{SMALL_CONVERSIONS}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    // A window of 2 GiB is larger than any that is accepted by default.
    let large_window = b"\x28\xb5\x2f\xfd\x00\xa8\x00\x00\x00".to_vec();
    for (args, stdin, message) in [
        (RUN_STDIN, utf_16.clone(), "adseg: stdin: cannot open: this is UTF-16 text; convert it to UTF-8 first"),
        (RUN_STDIN, gzip(&utf_16), "adseg: stdin: cannot open: this is UTF-16 text"),
        (
            "run --loyalty loyalty.txt --loyalty-format text --conversions - --input-format framed",
            SMALL_CONVERSIONS.into(),
            "adseg: stdin: record 1 at byte 0: the frame length is the text \"Hood\" (is this plain text, and not framed?)",
        ),
        ("unframe", SMALL_CONVERSIONS.into(), "adseg: stdin: record 1 at byte 0: the frame length consists of text"),
        (
            RUN_STDIN,
            large_window,
            "adseg: stdin: cannot open: the zstd data needs a window of more than 128 MiB; decompress it first",
        ),
    ] {
        let CommandOutput { code, stderr, .. } = scratch.run_with(args, stdin);
        assert_eq!(code, Some(1), "{message}");
        assert!(stderr.starts_with(message), "{stderr}");
    }
}

/// Checks the system calls of a run, in order.
#[test]
fn files_are_synced_before_they_are_renamed() {
    if !Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: strace is not installed");
        return;
    }
    let scratch = Scratch::small_campaign();
    let strace = "strace -f -qq -e trace=fsync,/rename -o calls";
    let script = format!("{strace} adseg {RUN} -o codes.txt --save-loyalty loyalty.txt; cat calls");
    let calls = text(scratch.sh(&script).output().unwrap().stdout);
    let calls = calls.lines().filter(|line| line.ends_with("= 0")).map(|line| {
        let call = if line.contains("fsync") { "fsync" } else { "rename" };
        if line.contains("codes.txt") {
            format!("{call} codes")
        } else if line.contains("loyalty.txt") {
            format!("{call} list")
        } else {
            call.to_owned()
        }
    });
    assert_eq!(calls.collect::<Vec<_>>(), ["fsync", "fsync", "rename codes", "fsync", "rename list", "fsync"]);
}
