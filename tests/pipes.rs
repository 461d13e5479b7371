//! Pipes: events are answered as they arrive, readers may leave, and signals end a run cleanly.

#![cfg(unix)]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command};
use std::time::Duration;
use std::{fs, thread};

use common::{RUN, SMALL_ANSWERS, SMALL_CONVERSIONS, Scratch, frame};

/// A run that is talked to.
struct Live {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Live {
    fn start(scratch: &Scratch, args: &str) -> Self {
        let mut child = scratch.piped(args).spawn().unwrap();
        watch(child.id());
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdin, stdout }
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stdin.write_all(bytes.as_ref()).unwrap();
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    /// Lets the input end; gives the exit code and what was told on the standard error.
    fn end(mut self) -> (Option<i32>, String) {
        drop(self.stdin);
        wait(&mut self.child)
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }
}

/// Ends a run that answers nothing for far too long, so that its test fails instead of hanging.
fn watch(pid: u32) {
    thread::spawn(move || {
        thread::sleep(Duration::from_secs(30));
        let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).output();
    });
}

fn wait(child: &mut Child) -> (Option<i32>, String) {
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    (child.wait().unwrap().code(), told)
}

fn answer(email: &str, send: &str) -> String {
    format!("Send additional promo code to: {email}, {send}\n")
}

const LIVE: &str = "run --loyalty loyalty.txt --conversions -";

#[test]
fn a_line_that_arrives_on_a_pipe_is_answered_before_the_next_one_is_sent() {
    let scratch = Scratch::small_campaign();
    let mut live = Live::start(&scratch, LIVE);
    for (kind, send) in [("Click", "False"), ("Purchase", "False"), ("Click", "True"), ("Basket", "False")] {
        live.send(format!("P, {kind}Conversion, new@example.com, [6], 9.45\n"));
        assert_eq!(live.answer(), answer("new@example.com", send));
    }
    // Half a line is no event; its other half makes it one.
    live.send("P, ClickConversion, kim@exam");
    live.send("ple.com, w\nP, Click");
    assert_eq!(live.answer(), answer("kim@example.com", "True"));
    live.send("Conversion, new@example.com, w");
    assert_eq!(live.end(), (Some(0), String::new()));
}

#[test]
fn a_frame_that_arrives_on_a_pipe_is_answered_before_the_next_one_is_sent() {
    let scratch = Scratch::small_campaign();
    let mut live = Live::start(&scratch, "run --loyalty - --conversions -");
    live.send(frame("P, ClickConversion, new@example.com, w"));
    assert_eq!(live.answer(), answer("new@example.com", "False"));
    live.send(frame("new@example.com, , , F"));
    live.send(frame("P, ClickConversion, new@example.com, w"));
    assert_eq!(live.answer(), answer("new@example.com", "True"));
    assert_eq!(live.end(), (Some(0), String::new()));
}

#[test]
fn a_pipe_that_hands_over_one_byte_a_time_gives_the_same_answers() {
    let scratch = Scratch::small_campaign();
    let mut live = Live::start(&scratch, LIVE);
    for byte in SMALL_CONVERSIONS.bytes() {
        live.send([byte]);
    }
    assert_eq!(live.answer() + &live.answer(), SMALL_ANSWERS);
    assert_eq!(live.end().0, Some(0));
}

#[test]
fn a_bad_record_ends_the_run_at_once_while_the_pipe_stays_open() {
    let scratch = Scratch::small_campaign();
    let mut live = Live::start(&scratch, LIVE);
    live.send(format!("{SMALL_CONVERSIONS}nonsense\nP, ClickConversion, kim@example.com, w\n"));
    let mut answers = String::new();
    live.stdout.read_to_string(&mut answers).unwrap();
    assert_eq!(answers, SMALL_ANSWERS, "everything before the bad record and nothing behind it");
    let (code, told) = wait(&mut live.child);
    assert_eq!(code, Some(1));
    assert!(told.starts_with("adseg: stdin:3: expected a conversion"), "{told}");
}

/// More answers than any pipe holds.
fn long_campaign() -> Scratch {
    let scratch = Scratch::small_campaign();
    scratch.write("conversions.txt", SMALL_CONVERSIONS.repeat(100_000));
    scratch
}

#[test]
fn a_reader_that_leaves_ends_the_run_quietly() {
    let scratch = long_campaign();
    let mut live = Live::start(&scratch, RUN);
    live.answer();
    drop(live.stdout);
    assert_eq!(wait(&mut live.child), (Some(0), String::new()));
}

#[test]
fn a_reader_that_leaves_before_the_list_could_be_saved_is_no_success() {
    let scratch = long_campaign();
    let before = scratch.names();
    let mut live = Live::start(&scratch, &format!("{RUN} --save-loyalty saved.txt"));
    live.answer();
    drop(live.stdout);
    assert_eq!(wait(&mut live.child), (Some(1), String::new()));
    assert_eq!(scratch.names(), before);
}

#[test]
fn a_signal_ends_a_run_that_waits_for_input_and_leaves_no_file() {
    for signal in ["-INT", "-TERM", "-HUP"] {
        let scratch = Scratch::small_campaign();
        scratch.write("codes.txt", "old\n");
        let before = scratch.names();
        let args = format!("{LIVE} -o codes.txt --save-loyalty loyalty.txt --on-error skip --rejects rejects");
        let mut live = Live::start(&scratch, &args);
        live.send(SMALL_CONVERSIONS);
        while scratch.names().len() < before.len() + 3 {
            thread::sleep(Duration::from_millis(5));
        }
        live.signal(signal);
        assert_eq!(wait(&mut live.child), (Some(130), String::new()), "{signal}");
        assert_eq!(scratch.names(), before, "{signal}");
        assert_eq!(scratch.read("codes.txt"), "old\n");
    }
}

#[test]
fn a_signal_ends_a_run_that_waits_for_somebody_to_open_its_output() {
    let scratch = Scratch::small_campaign();
    assert!(Command::new("mkfifo").arg(scratch.file("fifo")).status().unwrap().success());
    let before = scratch.names();
    let mut live = Live::start(&scratch, &format!("{RUN} -o codes.txt --save-loyalty fifo"));
    while scratch.names().len() == before.len() {
        thread::sleep(Duration::from_millis(5));
    }
    live.signal("-TERM");
    assert_eq!(wait(&mut live.child), (Some(130), String::new()));
    assert_eq!(scratch.names(), before);
}

#[test]
fn a_reader_of_the_saved_list_may_leave_as_well() {
    let scratch = Scratch::small_campaign();
    let members = (0..100_000).map(|number| format!("customer{number}@example.com, , , F\n")).collect::<String>();
    scratch.write("loyalty.txt", members);
    let mut live = Live::start(&scratch, &format!("{RUN} -o /dev/null --save-loyalty -"));
    live.answer();
    drop(live.stdout);
    assert_eq!(wait(&mut live.child), (Some(0), String::new()));
}

#[test]
fn a_signal_ends_a_run_whose_reader_does_not_read() {
    let scratch = long_campaign();
    let mut live = Live::start(&scratch, RUN);
    live.answer();
    thread::sleep(Duration::from_millis(50));
    live.signal("-INT");
    assert_eq!(wait(&mut live.child), (Some(130), String::new()));
}

#[test]
fn a_signal_that_was_ignored_from_the_start_stays_ignored() {
    let scratch = Scratch::small_campaign();
    let script = format!("trap '' HUP; exec {} {LIVE}", env!("CARGO_BIN_EXE_adseg"));
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).current_dir(scratch.path());
    let piped = std::process::Stdio::piped;
    let mut child = command.stdin(piped()).stdout(piped()).stderr(piped()).spawn().unwrap();
    let (stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    let mut live = Live { child, stdin, stdout };
    live.send("P, ClickConversion, kim@example.com, w\n");
    assert_eq!(live.answer(), answer("kim@example.com", "True"));
    if fs::metadata("/proc/self/status").is_ok() {
        live.signal("-HUP");
        live.send("P, ClickConversion, kim@example.com, w\n");
        assert_eq!(live.answer(), answer("kim@example.com", "True"));
        assert_eq!(live.end(), (Some(0), String::new()));
    }
}
