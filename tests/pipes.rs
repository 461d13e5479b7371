//! Pipes: conversions are decided as they arrive, a closed pipe ends a run quietly, and signals end a run cleanly.

#![cfg(unix)]

mod common;

use std::io::{self, Read, Write};
use std::process::Command;
use std::time::Duration;
use std::{fs, thread};

use common::live::LiveRun;
use common::{CommandOutput, RUN, RUN_STDIN, SMALL_CONVERSIONS, SMALL_DECISIONS, Scratch, frame, text};
use rustix::io::ioctl_fionbio;

fn decision(email: &str, send: &str) -> String {
    format!("Send additional promo code to: {email}, {send}\n")
}

#[test]
fn line_on_a_pipe_is_decided_before_the_next_arrives() {
    let scratch = Scratch::small_campaign();
    let mut run = LiveRun::start(&scratch, RUN_STDIN);
    for (kind, send) in [("Click", "False"), ("Purchase", "False"), ("Click", "True"), ("Basket", "False")] {
        run.send(format!("P, {kind}Conversion, new@example.com, [6], 9.45\n"));
        assert_eq!(run.read_line(), decision("new@example.com", send));
    }
    // A partial line is not decided before its rest arrives.
    run.send("P, ClickConversion, kim@exam");
    run.send("ple.com, w\nP, Click");
    assert_eq!(run.read_line(), decision("kim@example.com", "True"));
    run.send("Conversion, new@example.com, w");
    assert_eq!(run.finish(), (Some(0), String::new()));
}

#[test]
fn frame_on_a_pipe_is_decided_before_the_next_arrives() {
    let scratch = Scratch::small_campaign();
    let mut run = LiveRun::start(&scratch, "run --loyalty - --conversions -");
    run.send(frame("P, ClickConversion, new@example.com, w"));
    assert_eq!(run.read_line(), decision("new@example.com", "False"));
    run.send(frame("new@example.com, , , F"));
    run.send(frame("P, ClickConversion, new@example.com, w"));
    assert_eq!(run.read_line(), decision("new@example.com", "True"));
    assert_eq!(run.finish(), (Some(0), String::new()));
}

#[test]
fn detection_does_not_delay_a_row_on_a_pipe() {
    let object = |kind: &str| {
        format!("{{\"email\":\"new@example.com\",\"conversion\":\"{kind}\",\"items\":[],\"total_cost\":1}}\n")
    };
    let row = |kind: &str| format!("new@example.com;{kind};[];1\n");
    let header = "email;conversion;items;total_cost\n".to_owned();
    for (options, first, records) in [
        ("", header.clone() + &row("purchase"), [row("click"), row("basket")]),
        ("--input-format csv --loyalty-format text", header + &row("purchase"), [row("click"), row("basket")]),
        ("", object("purchase"), [object("click"), object("basket")]),
        ("--conversions-columns email,conversion,items,total_cost", row("purchase"), [row("click"), row("basket")]),
    ] {
        let scratch = Scratch::small_campaign();
        let mut run = LiveRun::start(&scratch, &format!("{RUN_STDIN} {options}"));
        for (record, send) in [&first, &records[0], &records[1]].into_iter().zip(["False", "True", "False"]) {
            run.send(record);
            assert_eq!(run.read_line(), decision("new@example.com", send), "{record}");
        }
        assert_eq!(run.finish(), (Some(0), String::new()));
    }
}

#[test]
fn single_byte_writes_get_the_same_decisions() {
    let scratch = Scratch::small_campaign();
    let mut run = LiveRun::start(&scratch, RUN_STDIN);
    for byte in SMALL_CONVERSIONS.bytes() {
        run.send([byte]);
    }
    assert_eq!(run.read_line() + &run.read_line(), SMALL_DECISIONS);
    assert_eq!(run.finish().0, Some(0));
}

#[test]
fn bad_record_stops_the_run_while_the_pipe_is_open() {
    let scratch = Scratch::small_campaign();
    let mut run = LiveRun::start(&scratch, RUN_STDIN);
    run.send(format!("{SMALL_CONVERSIONS}nonsense\nP, ClickConversion, kim@example.com, w\n"));
    assert_eq!(run.read_to_end(), SMALL_DECISIONS, "the decisions before the bad record and none after it");
    let (code, stderr) = run.wait();
    assert_eq!(code, Some(1));
    assert!(stderr.starts_with("adseg: stdin:3: expected a conversion"), "{stderr}");
}

/// A campaign with more decisions than a pipe can buffer.
fn large_campaign() -> Scratch {
    let scratch = Scratch::small_campaign();
    scratch.write("conversions.txt", SMALL_CONVERSIONS.repeat(100_000));
    scratch
}

#[test]
fn closed_stdout_ends_the_run_quietly() {
    let scratch = large_campaign();
    let mut run = LiveRun::start(&scratch, RUN);
    run.read_line();
    run.close_stdout();
    assert_eq!(run.wait(), (Some(0), String::new()));
}

#[test]
fn closed_stdout_before_the_list_is_saved_exits_1() {
    let scratch = large_campaign();
    let before = scratch.names();
    let mut run = LiveRun::start(&scratch, &format!("{RUN} --save-loyalty saved.txt"));
    run.read_line();
    run.close_stdout();
    assert_eq!(run.wait(), (Some(1), String::new()));
    assert_eq!(scratch.names(), before);
}

#[test]
fn closed_reader_of_the_saved_list_ends_the_run_quietly() {
    let scratch = Scratch::small_campaign();
    let members = (0..100_000).map(|number| format!("customer{number}@example.com, , , F\n")).collect::<String>();
    scratch.write("loyalty.txt", members);
    let mut run = LiveRun::start(&scratch, &format!("{RUN} -o /dev/null --save-loyalty -"));
    run.read_line();
    run.close_stdout();
    assert_eq!(run.wait(), (Some(0), String::new()));
}

fn wait_for_names(scratch: &Scratch, count: usize) {
    while scratch.names().len() < count {
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn signal_ends_a_waiting_run_without_leaving_files() {
    for signal in ["-INT", "-TERM", "-HUP"] {
        let scratch = Scratch::small_campaign();
        scratch.write("codes.txt", "old\n");
        let before = scratch.names();
        let outputs = "-o codes.txt --save-loyalty loyalty.txt --on-error skip --rejects rejects";
        let mut run = LiveRun::start(&scratch, &format!("{RUN_STDIN} {outputs}"));
        run.send(SMALL_CONVERSIONS);
        wait_for_names(&scratch, before.len() + 3);
        run.signal(signal);
        assert_eq!(run.wait(), (Some(130), String::new()), "{signal}");
        assert_eq!(scratch.names(), before, "{signal}");
        assert_eq!(scratch.read("codes.txt"), "old\n");
    }
}

#[test]
fn signal_ends_a_run_that_opens_a_fifo() {
    let scratch = Scratch::small_campaign();
    assert!(Command::new("mkfifo").arg(scratch.file("fifo")).status().unwrap().success());
    let before = scratch.names();
    let run = LiveRun::start(&scratch, &format!("{RUN} -o codes.txt --save-loyalty fifo"));
    wait_for_names(&scratch, before.len() + 1);
    run.signal("-TERM");
    assert_eq!(run.wait(), (Some(130), String::new()));
    assert_eq!(scratch.names(), before);
}

#[test]
fn signal_ends_a_run_blocked_on_its_output() {
    let scratch = large_campaign();
    let mut run = LiveRun::start(&scratch, RUN);
    run.read_line();
    thread::sleep(Duration::from_millis(50));
    run.signal("-INT");
    assert_eq!(run.wait(), (Some(130), String::new()));
}

#[test]
fn signal_ends_a_committed_run_blocked_on_its_messages() {
    let scratch = Scratch::small_campaign();
    let script =
        format!("mkfifo full; exec 9<>full; head -c 65536 /dev/zero >&9; exec adseg {RUN} -o codes.txt --summary 2>&9");
    let run = LiveRun::spawn(scratch.sh(&script));
    while !scratch.names().contains(&"codes.txt".to_owned()) {
        thread::sleep(Duration::from_millis(5));
    }
    // The rename is seen a moment before the run knows that it is committed.
    thread::sleep(Duration::from_millis(200));
    run.signal("-INT");
    assert_eq!(run.wait(), (Some(0), String::new()));
    assert_eq!(scratch.read("codes.txt"), SMALL_DECISIONS);
}

/// Starts a command whose standard error is a full pipe that nobody reads.
fn with_blocked_stderr(scratch: &Scratch, args: &str) -> LiveRun {
    let script =
        format!("mkfifo full; exec 9<>full; head -c 65536 /dev/zero >&9; echo >started; exec adseg {args} 2>&9");
    let run = LiveRun::spawn(scratch.sh(&script));
    while !scratch.names().contains(&"started".to_owned()) {
        thread::sleep(Duration::from_millis(5));
    }
    run
}

#[test]
fn signal_ends_a_failed_run_blocked_on_its_message() {
    for signal in ["-INT", "-TERM"] {
        let scratch = Scratch::small_campaign();
        let run = with_blocked_stderr(&scratch, "run --loyalty missing.txt --conversions conversions.txt -o codes.txt");
        thread::sleep(Duration::from_millis(500));
        run.signal(signal);
        assert_eq!(run.wait(), (Some(130), String::new()));
        assert!(!scratch.names().iter().any(|name| name.starts_with(".adseg-")));
    }
}

#[test]
fn signal_ends_a_run_blocked_on_its_progress_bar() {
    let scratch = Scratch::small_campaign();
    let mut run = with_blocked_stderr(&scratch, &format!("{RUN_STDIN} --progress always"));
    for _ in 0..5 {
        run.send("P, ClickConversion, kim@example.com, w\n");
        thread::sleep(Duration::from_millis(200));
    }
    run.signal("-INT");
    assert_eq!(run.wait(), (Some(130), String::new()));
}

#[test]
fn signal_ignored_at_start_stays_ignored() {
    let scratch = Scratch::small_campaign();
    let mut run = LiveRun::spawn(scratch.sh(&format!("trap '' HUP; exec adseg {RUN_STDIN}")));
    run.send("P, ClickConversion, kim@example.com, w\n");
    assert_eq!(run.read_line(), decision("kim@example.com", "True"));
    if fs::metadata("/proc/self/status").is_ok() {
        run.signal("-HUP");
        run.send("P, ClickConversion, kim@example.com, w\n");
        assert_eq!(run.read_line(), decision("kim@example.com", "True"));
        assert_eq!(run.finish(), (Some(0), String::new()));
    }
}

#[test]
fn nonblocking_stdin_is_read_completely() {
    let scratch = Scratch::small_campaign();
    let explain = "explain --loyalty loyalty.txt --conversions conversions.txt --emails -";
    for (args, stdin) in [(RUN_STDIN, SMALL_CONVERSIONS), ("frame", "a\nb\n"), (explain, "kim@example.com\n")] {
        let expected = scratch.run_with(args, stdin);
        let (reader, mut writer) = io::pipe().unwrap();
        ioctl_fionbio(&reader, true).unwrap();
        let run = scratch.piped(args).stdin(reader).spawn().unwrap();
        for part in [&stdin[..1], &stdin[1..]] {
            thread::sleep(Duration::from_millis(100));
            writer.write_all(part.as_bytes()).unwrap();
        }
        drop(writer);
        assert_eq!(CommandOutput::from(run.wait_with_output().unwrap()), expected, "{args}");
    }
}

/// A pipe whose writing end is full and nonblocking, and the number of bytes in it.
fn full_pipe() -> (io::PipeReader, io::PipeWriter, usize) {
    let (reader, mut writer) = io::pipe().unwrap();
    ioctl_fionbio(&writer, true).unwrap();
    let mut len = 0;
    while let Ok(written) = writer.write(&[0; 512]) {
        len += written;
    }
    (reader, writer, len)
}

/// All bytes of a full pipe after the first `len`, read after a delay.
fn read_late(mut reader: io::PipeReader, len: usize) -> String {
    thread::sleep(Duration::from_millis(100));
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    text(bytes.split_off(len))
}

#[test]
fn nonblocking_stdout_gets_the_complete_output() {
    let scratch = large_campaign();
    let analyses =
        ["check", "order-check", "report"].map(|name| format!("{name} {}", RUN.strip_prefix("run ").unwrap()));
    let others =
        [RUN, "frame conversions.txt", "generate --conversions -", "--help", "help run", "man run", "completions zsh"];
    for args in analyses.iter().map(String::as_str).chain(others) {
        let expected = scratch.run(args);
        let (reader, stdout, len) = full_pipe();
        let run = scratch.piped(args).stdout(stdout).spawn().unwrap();
        let stdout = read_late(reader, len);
        let output = CommandOutput { stdout, ..run.wait_with_output().unwrap().into() };
        assert!(output == expected, "{args}: {:?} {}", output.code, output.stderr);
    }
}

#[test]
fn nonblocking_stderr_gets_every_message() {
    let scratch = Scratch::small_campaign();
    for args in
        [&format!("{RUN} --summary json"), "run --loyalty missing.txt --conversions conversions.txt", "nonsense"]
    {
        let expected = scratch.run(args).stderr;
        let (reader, stderr, len) = full_pipe();
        let mut run = scratch.piped(args).stderr(stderr).spawn().unwrap();
        let message = read_late(reader, len);
        run.wait().unwrap();
        // The summary contains the time.
        let common = expected.split("\"seconds\"").next().unwrap();
        assert!(message.starts_with(common) && message.ends_with('\n'), "{args}: {message}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn help_that_cannot_be_written_is_an_error() {
    let scratch = Scratch::new();
    let help = scratch.run("--help").stdout;
    let commands = help.split("Commands:\n").nth(1).unwrap().lines().take_while(|line| !line.is_empty());
    let names: Vec<&str> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"run") && names.contains(&"help"), "{names:?}");
    let of_commands = names.iter().filter(|&&name| name != "help").flat_map(|name| {
        [format!("{name} --help"), format!("{name} -h"), format!("help {name}"), format!("man {name}")]
    });
    let others = ["--help", "-h", "--version", "-V", "help", "man", "completions bash"].map(str::to_owned);
    for args in of_commands.chain(others) {
        assert_eq!(scratch.run(&args).code, Some(0), "{args}");
        let output: CommandOutput = scratch.piped(&args).stdout(common::full_disk()).output().unwrap().into();
        let message = "adseg: stdout: cannot write: No space left on device\n";
        assert_eq!((output.code, &*output.stderr), (Some(1), message), "{args}");
    }
}
