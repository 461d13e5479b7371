//! Faults: inputs that are damaged, hostile or vanish, and disks that are full. Each is told, nothing is left behind that
//! looks complete and is not, and memory stays what it was.

#![cfg(target_os = "linux")]

mod common;

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output};

use common::{RUN, SMALL_ANSWERS, SMALL_CONVERSIONS, Scratch, frame, runs};

const LIVE: &str = "run --loyalty loyalty.txt --conversions -";

/// Runs `adseg` with this on its standard input.
fn fed(scratch: &Scratch, args: &str, stdin: &[u8]) -> Output {
    scratch.adseg(args).write_stdin(stdin).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn sh(scratch: &Scratch, script: &str) -> Output {
    let script = script.replace("adseg ", concat!(env!("CARGO_BIN_EXE_adseg"), " "));
    Command::new("sh").arg("-c").arg(script).current_dir(scratch.path()).output().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).unwrap()
}

#[test]
fn an_archive_that_is_cut_at_any_byte_is_never_taken_for_a_whole_one() {
    let scratch = Scratch::small_campaign();
    let before = scratch.names();
    for whole in [gzip(SMALL_CONVERSIONS.as_bytes()), zstd(SMALL_CONVERSIONS.as_bytes())] {
        // Of nothing at all, nobody can say what it was to be.
        for len in 1..whole.len() {
            let output = fed(&scratch, &format!("{LIVE} -o codes.txt"), &whole[..len]);
            assert_eq!(output.status.code(), Some(1), "{len}: {}", text(&output.stderr));
            assert_eq!(scratch.names(), before, "{len}");
        }
        assert_eq!(text(&fed(&scratch, LIVE, &whole).stdout), SMALL_ANSWERS);
    }
}

#[test]
fn frames_that_are_cut_inside_a_frame_are_never_taken_for_whole_ones() {
    let scratch = Scratch::small_campaign();
    let before = scratch.names();
    let frames: Vec<_> = SMALL_CONVERSIONS.lines().map(frame).collect();
    let (first, whole) = (frames[0].len(), frames.concat());
    for len in (1..whole.len()).filter(|&len| len != first) {
        let output = fed(&scratch, &format!("{LIVE} -o codes.txt"), &whole[..len]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{len}: {told}");
        assert!(told.contains("the input ends inside this frame"), "{len}: {told}");
        assert_eq!(scratch.names(), before, "{len}");
    }
}

/// The most memory that a run had so far, in KiB.
fn peak_kib(run: &Child) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", run.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

/// What is fed to a run, a MiB of it so many times, and what it has to tell of it; the peak of its memory in KiB.
fn peak_of_feeding(args: &str, head: &[u8], piece: u8, mib: usize, told: &str) -> usize {
    let scratch = Scratch::small_campaign();
    let mut run = scratch.piped(args).spawn().unwrap();
    let mut stdin = run.stdin.take().unwrap();
    stdin.write_all(head).unwrap();
    for _ in 0..mib {
        stdin.write_all(&vec![piece; 1 << 20]).unwrap();
    }
    stdin.write_all(format!("\n{SMALL_CONVERSIONS}").as_bytes()).unwrap();
    let peak = peak_kib(&run);
    drop(stdin);
    let output = run.wait_with_output().unwrap();
    assert!(text(&output.stderr).contains(told), "{}", text(&output.stderr));
    peak
}

#[test]
fn a_line_without_an_end_costs_no_memory() {
    // 1 GiB takes a while where nothing is optimized.
    let mib = runs(128).min(1024);
    let args = format!("{LIVE} --on-error skip --rejects rejects");
    let peak = peak_of_feeding(&args, b"", b'x', mib, "1 bad record kept in rejects");
    assert!(peak < 64 << 10, "{peak} KiB");
}

#[test]
fn a_header_that_announces_4_gib_costs_no_memory() {
    let args = format!("{LIVE} --input-format framed --loyalty-format text --on-error skip");
    let peak = peak_of_feeding(&args, b"\xff\xff\xff\xff", b'x', 96, "after 100663");
    assert!(peak < 64 << 10, "{peak} KiB");
}

#[test]
fn rubbish_is_told_and_kept_byte_for_byte() {
    let noise = |len: u32| (0..len).map(|at| (at.wrapping_mul(at).wrapping_mul(2_654_435_761) >> 13) as u8);
    for rubbish in
        [b"\n\0\0\0\0\0\0\0".repeat(1_000), [b"P"].into_iter().flatten().copied().chain(noise(300_000)).collect()]
    {
        let scratch = Scratch::small_campaign();
        assert_eq!(fed(&scratch, LIVE, &rubbish).status.code(), Some(1));
        let args = format!("{LIVE} --on-error skip --rejects rejects --summary=json --quiet");
        let output = fed(&scratch, &args, &rubbish);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(output.stdout.is_empty());
        let mut kept = rubbish.split_inclusive(|&byte| byte == b'\n').collect::<Vec<_>>();
        kept.retain(|line| !line.iter().all(|byte| b" \t\n\x0b\x0c\r".contains(byte)));
        let mut kept = kept.concat();
        if kept.starts_with(b"\0") {
            // At the beginning of a file it would be taken for a frame.
            kept.splice(..0, *b"\xef\xbb\xbf");
        }
        if !kept.ends_with(b"\n") {
            kept.push(b'\n');
        }
        assert!(fs::read(scratch.file("rejects/conversions.txt")).unwrap() == kept);
    }
}

#[test]
fn half_a_million_bad_records_in_a_row_are_kept_one_by_one() {
    let scratch = Scratch::small_campaign();
    let bad = (0..500_000).map(|number| format!("nonsense {number}\n")).collect::<String>();
    let conversions = format!("{bad}{SMALL_CONVERSIONS}");
    let args = format!("{LIVE} --on-error skip --rejects rejects");
    let output = fed(&scratch, &args, conversions.as_bytes());
    assert_eq!(text(&output.stdout), SMALL_ANSWERS);
    assert!(text(&output.stderr).ends_with("adseg: 500000 bad records kept in rejects, the first 5 told above\n"));
    assert!(scratch.read("rejects/conversions.txt") == bad);
    let last = "\"line\":500000,";
    assert!(scratch.read("rejects/errors.jsonl").lines().last().unwrap().contains(last));
}

#[test]
fn an_empty_file_for_either_source_is_an_answer_to_nothing() {
    let scratch = Scratch::small_campaign();
    let nobody = SMALL_ANSWERS.replace("True", "False");
    for (loyalty, conversions, answers) in
        [("/dev/null", "conversions.txt", &*nobody), ("loyalty.txt", "empty.txt", ""), ("empty.txt", "empty2.txt", "")]
    {
        scratch.write("empty.txt", "");
        scratch.write("empty2.txt", "");
        let args = format!("run --loyalty {loyalty} --conversions {conversions} --save-loyalty saved.txt");
        scratch.adseg(&args).assert().success().stdout(answers.to_owned()).stderr("");
        let saved = if loyalty == "loyalty.txt" { scratch.read("loyalty.txt") } else { String::new() };
        assert_eq!(scratch.read("saved.txt"), saved);
    }
}

#[test]
fn what_cannot_be_read_or_written_is_told_by_its_name() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::small_campaign();
    let locked = scratch.write("locked.txt", SMALL_CONVERSIONS);
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    fs::create_dir(scratch.file("sealed")).unwrap();
    fs::set_permissions(scratch.file("sealed"), fs::Permissions::from_mode(0o555)).unwrap();
    // Nobody may make a file there, root included.
    let mut faults = vec![(format!("{RUN} -o /proc/codes.txt"), "adseg: /proc/codes.txt: cannot write: ")];
    if File::open(&locked).is_err() {
        let args = "run --loyalty loyalty.txt --conversions locked.txt".to_owned();
        faults.push((args, "adseg: locked.txt: cannot read: Permission denied"));
        faults.push((format!("{RUN} -o sealed/codes.txt"), "adseg: sealed/codes.txt: cannot write: "));
        faults.push((format!("{RUN} --save-loyalty locked.txt"), "adseg: locked.txt: cannot write: Permission denied"));
    } else {
        eprintln!("skipped in part: this user may read and write everything");
    }
    let before = scratch.names();
    for (args, told) in faults {
        let output = scratch.adseg(&args).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args}");
        assert!(text(&output.stderr).starts_with(told), "{args}: {}", text(&output.stderr));
        assert_eq!(scratch.names(), before);
    }
    fs::set_permissions(scratch.file("sealed"), fs::Permissions::from_mode(0o755)).unwrap();
}

/// More conversions than the run reads before somebody takes its answers.
fn long_campaign() -> (Scratch, usize) {
    let scratch = Scratch::small_campaign();
    let conversions = SMALL_CONVERSIONS.repeat(250_000);
    scratch.write("conversions.txt", &conversions);
    (scratch, conversions.len())
}

/// Starts a run, changes something once its first answers are there, and gives its end.
fn meanwhile(scratch: &Scratch, args: &str, change: impl FnOnce()) -> (Option<i32>, Vec<u8>, String) {
    let mut run = scratch.piped(args).spawn().unwrap();
    let mut stdout = run.stdout.take().unwrap();
    let mut answers = vec![0; 1000];
    stdout.read_exact(&mut answers).unwrap();
    change();
    stdout.read_to_end(&mut answers).unwrap();
    let output = run.wait_with_output().unwrap();
    (output.status.code(), answers, text(&output.stderr))
}

#[test]
fn a_file_that_is_cut_short_while_it_is_read_is_no_shorter_file() {
    let (scratch, len) = long_campaign();
    let args = format!("{RUN} --save-loyalty saved.txt");
    let cut = || OpenOptions::new().write(true).open(scratch.file("conversions.txt")).unwrap().set_len(100).unwrap();
    let (code, answers, told) = meanwhile(&scratch, &args, cut);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains(&format!("the file had {len} bytes when it was opened and was then cut to 100")), "{told}");
    assert!(SMALL_ANSWERS.repeat(250_000).as_bytes().starts_with(&answers));
    assert_eq!(scratch.names(), ["conversions.txt", "loyalty.txt"]);
}

#[test]
fn a_file_that_is_deleted_while_it_is_read_is_read_to_its_end() {
    let (scratch, _) = long_campaign();
    let delete = || fs::remove_file(scratch.file("conversions.txt")).unwrap();
    let (code, answers, told) = meanwhile(&scratch, RUN, delete);
    assert_eq!((code, told), (Some(0), String::new()));
    assert!(answers == SMALL_ANSWERS.repeat(250_000).as_bytes());
}

#[test]
fn a_file_that_is_gone_when_its_turn_comes_ends_the_run() {
    let (scratch, _) = long_campaign();
    scratch.write("tue.txt", SMALL_CONVERSIONS);
    let args = format!("{RUN} tue.txt --save-loyalty saved.txt");
    let (code, _, told) = meanwhile(&scratch, &args, || fs::remove_file(scratch.file("tue.txt")).unwrap());
    assert_eq!((code, &*told), (Some(1), "adseg: tue.txt: cannot open: No such file or directory (os error 2)\n"));
    assert_eq!(scratch.names(), ["conversions.txt", "loyalty.txt"]);
}

#[test]
fn a_writer_that_dies_inside_a_frame_is_noticed() {
    let scratch = Scratch::small_campaign();
    assert!(Command::new("mkfifo").arg(scratch.file("fifo")).status().unwrap().success());
    let before = scratch.names();
    let run = scratch.piped("run --loyalty loyalty.txt --conversions fifo -o codes.txt").spawn().unwrap();
    let mut writer = OpenOptions::new().write(true).open(scratch.file("fifo")).unwrap();
    let frame = frame("P, ClickConversion, kim@example.com, w");
    writer.write_all(&[&frame[..], &frame[..20]].concat()).unwrap();
    drop(writer);
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = "adseg: fifo: record 2 at byte 42: the input ends inside this frame, after 20 of its 42 bytes (was it cut short?)\n";
    assert_eq!(text(&output.stderr), told);
    assert_eq!(scratch.names(), before);
}

#[test]
fn a_reader_that_is_gone_from_the_start_ends_every_subcommand_quietly() {
    let scratch = Scratch::small_campaign();
    scratch.write("frames", SMALL_CONVERSIONS.lines().flat_map(frame).collect::<Vec<u8>>());
    for args in [
        RUN,
        &format!("{RUN} --output-format framed"),
        &format!("{RUN} --output-format jsonl --send-only"),
        &format!("{RUN} --output-format csv"),
        &format!("{RUN} -o /dev/null --save-loyalty -"),
        "run --loyalty loyalty.txt --conversions empty.txt --output-format csv",
        "check --loyalty loyalty.txt --conversions conversions.txt",
        "check --loyalty loyalty.txt --conversions conversions.txt --format jsonl",
        "frame conversions.txt",
        "unframe frames",
        "generate --conversions -",
        "generate --loyalty - --conversions -",
        "completions bash",
        "man",
        "--help",
    ] {
        scratch.write("empty.txt", "");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = scratch.piped(args).stdout(writer).output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "{args}");
    }
}

#[test]
fn a_limit_on_file_sizes_leaves_no_list_and_no_rejects() {
    let scratch = Scratch::small_campaign();
    let members = (0..2_000).map(|number| format!("customer{number}@example.com, , , F\n")).collect::<String>();
    scratch.write("loyalty.txt", &members);
    scratch.write("conversions.txt", format!("{SMALL_CONVERSIONS}{}", "nonsense\n".repeat(2_000)));
    let before = scratch.names();
    let codes = scratch.write("codes.txt", "old\n");
    for outputs in ["-o codes.txt --save-loyalty loyalty.txt --max-rejects 9999", "-o codes.txt"] {
        let output = sh(&scratch, &format!("ulimit -f 2; adseg {RUN} --on-error skip --rejects rejects {outputs}"));
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("File too large"), "{}", text(&output.stderr));
        assert_eq!(fs::read(&codes).unwrap(), b"old\n");
        assert_eq!(scratch.read("loyalty.txt"), members);
    }
    fs::remove_file(codes).unwrap();
    assert_eq!(scratch.names(), before);
}

/// A file system of 64 KiB, for as long as this lives.
struct TinyDisk<'a>(&'a Path);

impl<'a> TinyDisk<'a> {
    fn mount(path: &'a Path) -> Option<Self> {
        fs::create_dir(path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(path);
        mount.output().is_ok_and(|output| output.status.success()).then_some(Self(path))
    }
}

impl Drop for TinyDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).output();
    }
}

#[test]
fn a_disk_that_fills_up_leaves_the_old_files() {
    let scratch = Scratch::small_campaign();
    let path = scratch.file("disk");
    let Some(_disk) = TinyDisk::mount(&path) else {
        eprintln!("skipped: nothing can be mounted here");
        return;
    };
    scratch.write("conversions.txt", SMALL_CONVERSIONS.repeat(5_000));
    let members = "kim@example.com, kim, kim, F\n".to_owned()
        + &(0..2_000).map(|number| format!("customer{number}@example.com, , , F\n")).collect::<String>();
    scratch.write("loyalty.txt", members);
    for name in ["codes.txt", "list.txt"] {
        scratch.write(&format!("disk/{name}"), "old\n");
    }
    for outputs in [
        "-o disk/codes.txt",
        "-o /dev/null --save-loyalty disk/list.txt",
        "-o disk/codes.txt --save-loyalty disk/list.txt",
    ] {
        let output = scratch.adseg(&format!("{RUN} {outputs}")).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let told = text(&output.stderr);
        assert!(told.ends_with(": cannot write: No space left on device (os error 28)\n"), "{told}");
        let mut left: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["codes.txt", "list.txt"]);
        assert_eq!(scratch.read("disk/codes.txt") + &scratch.read("disk/list.txt"), "old\nold\n");
    }
}

#[test]
fn a_gzip_file_that_is_padded_with_zeros_is_whole() {
    let scratch = Scratch::small_campaign();
    let packed = [gzip(SMALL_CONVERSIONS.as_bytes()), vec![0; 10_000]].concat();
    assert_eq!(text(&fed(&scratch, LIVE, &packed).stdout), SMALL_ANSWERS);
    let output = fed(&scratch, LIVE, &[&packed, &b"more"[..]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("something behind the zeros"), "{}", text(&output.stderr));
}

#[test]
fn what_was_exported_or_named_in_the_wrong_way_is_told_with_a_remedy() {
    let scratch = Scratch::small_campaign();
    let utf_16: Vec<u8> = format!("\u{feff}{SMALL_CONVERSIONS}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    // 2 GiB back is further than any window that is taken unasked.
    let far = b"\x28\xb5\x2f\xfd\x00\xa8\x00\x00\x00".to_vec();
    for (args, stdin, told) in [
        (LIVE, utf_16.clone(), "adseg: stdin: cannot open: this is UTF-16 text; make it UTF-8 first"),
        (LIVE, gzip(&utf_16), "adseg: stdin: cannot open: this is UTF-16 text"),
        (
            "run --loyalty loyalty.txt --loyalty-format text --conversions - --input-format framed",
            SMALL_CONVERSIONS.into(),
            "adseg: stdin: record 1 at byte 0: the frame's length reads \"Hood\" (is this plain text? leave --input-format away then)",
        ),
        (
            "unframe",
            SMALL_CONVERSIONS.into(),
            "adseg: stdin: record 1 at byte 0: the frame's length is a piece of text",
        ),
        (LIVE, far, "adseg: stdin: cannot open: the zstd data needs a window of more than 128 MiB; unpack it first"),
    ] {
        let output = fed(&scratch, args, &stdin);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(text(&output.stderr).starts_with(told), "{}", text(&output.stderr));
    }
}

/// What a run asks of the system for its files, in order.
#[test]
fn what_is_put_in_place_is_on_the_disk_first() {
    let scratch = Scratch::small_campaign();
    let script = format!(
        "strace -f -qq -e trace=fsync,/rename -o calls adseg {RUN} -o codes.txt --save-loyalty loyalty.txt; cat calls"
    );
    if !Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no strace here");
        return;
    }
    let calls = text(&sh(&scratch, &script).stdout);
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
