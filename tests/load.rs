//! Heavy and hostile load: memory and time stay bounded.
//!
//! Time is processor time, so other work on the machine does not fail a test.

#![cfg(target_os = "linux")]

mod common;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::process::Child;
use std::thread;

use common::{RUN, RUN_STDIN, SMALL_CONVERSIONS, SMALL_DECISIONS, Scratch, runs, text};

/// What a run has used so far.
#[derive(Debug, Clone, Copy)]
struct Usage {
    peak_kib: u64,
    /// Processor time in ticks of the kernel's clock.
    ticks: u64,
}

impl Usage {
    fn of(run: &Child) -> Self {
        let status = fs::read_to_string(format!("/proc/{}/status", run.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let stat = fs::read_to_string(format!("/proc/{}/stat", run.id())).unwrap();
        let after_the_name = stat.rsplit(')').next().unwrap().split_whitespace();
        let ticks = after_the_name.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        Self { peak_kib: peak.trim().strip_suffix(" kB").unwrap().parse().unwrap(), ticks }
    }

    fn assert_peak_below(self, mib: u64) {
        assert!(self.peak_kib < mib << 10, "{self:?}");
    }
}

/// Sends these conversions several times; returns the usage after the last decision.
fn usage_of_run(args: &str, conversions: &str, times: usize) -> Usage {
    let scratch = Scratch::small_campaign();
    let mut run = scratch.piped(&format!("{RUN_STDIN} {args}")).spawn().unwrap();
    let (mut stdin, stdout) = (run.stdin.take().unwrap(), BufReader::new(run.stdout.take().unwrap()));
    let lines = conversions.lines().count() * times;
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            (0..times).for_each(|_| stdin.write_all(conversions.as_bytes()).unwrap());
        });
        assert_eq!(stdout.split(b'\n').take(lines).count(), lines);
        writer.join().unwrap();
    });
    let usage = Usage::of(&run);
    drop(stdin);
    assert!(run.wait().unwrap().success());
    usage
}

fn purchases(customers: std::ops::Range<usize>) -> String {
    customers.map(|customer| format!("P, PurchaseConversion, c{customer}@x, [6], 9\n")).collect()
}

#[test]
fn memory_does_not_grow_with_the_number_of_conversions() {
    let conversions = SMALL_CONVERSIONS.repeat(10_000);
    let [few, many] = [2, 40].map(|times| usage_of_run("--threads 2", &conversions, times));
    assert!(many.peak_kib < few.peak_kib + (16 << 10), "{few:?}, {many:?}");
    many.assert_peak_below(64);
}

#[test]
fn time_is_linear_for_one_customer_and_for_new_customers() {
    const EVENTS: usize = 40_000;
    let one_customer = purchases(0..1).repeat(EVENTS);
    for (case, few, many) in [
        ("one customer", &one_customer, (&*one_customer, 6)),
        ("new customers", &purchases(0..EVENTS), (&purchases(0..6 * EVENTS), 1)),
    ] {
        let few = usage_of_run("--threads 2", few, 1);
        let many = usage_of_run("--threads 2", many.0, many.1);
        // Six times the events. Quadratic time would be 36 times as long.
        assert!(many.ticks < 14 * few.ticks.max(3), "{case}: {few:?}, {many:?}");
    }
}

#[test]
fn blank_lines_before_a_header_take_linear_time() {
    let scratch = Scratch::small_campaign();
    let header = "promo,conversion,email,where\nP,ClickConversion,kim@example.com,w\n";
    scratch.write("conversions.csv", "\n".repeat(1 << 20) + header);
    let csv = "run --loyalty loyalty.txt --conversions conversions.csv --conversions-format csv";
    // The limit is in seconds of processor time. Quadratic time would be minutes.
    let output = scratch.sh(&format!("ulimit -t 5; adseg {csv}")).output().unwrap();
    common::assert_same(output.stdout, "Send additional promo code to: kim@example.com, True\n", &text(output.stderr));
}

#[test]
fn maximum_partition_count_is_cheap_and_changes_nothing() {
    usage_of_run("--partitions 10000 --threads 2", &SMALL_CONVERSIONS.repeat(20_000), 2).assert_peak_below(128);
    let scratch = Scratch::small_campaign();
    scratch.adseg(&format!("{RUN} --partitions 10000")).assert().success().stdout(SMALL_DECISIONS);
}

#[test]
fn thousand_files_need_few_open_files() {
    let scratch = Scratch::small_campaign();
    let names: Vec<_> = (0..1_000).map(|number| format!("{number}.txt")).collect();
    names.iter().for_each(|name| drop(scratch.write(name, SMALL_CONVERSIONS)));
    let script = format!("ulimit -n 32; adseg run --loyalty loyalty.txt --conversions {}", names.join(" "));
    let output = scratch.sh(&script).output().unwrap();
    common::assert_same(output.stdout, SMALL_DECISIONS.repeat(1_000), &text(output.stderr));
}

#[test]
fn records_at_the_limit_need_little_memory() {
    let scratch = Scratch::small_campaign();
    let limit = 1 << 20;
    let head = "P, ClickConversion, kim@example.com, ";
    let record = format!("{head}{}\n", "w".repeat(limit - head.len()));
    let mut file = File::create(scratch.file("conversions.txt")).unwrap();
    (0..50).for_each(|_| file.write_all(record.as_bytes()).unwrap());
    let decisions = "Send additional promo code to: kim@example.com, True\n".repeat(50);
    scratch.adseg(RUN).assert().success().stdout(decisions);
    usage_of_run("", &record, 30).assert_peak_below(64);
}

/// Sends `head`, `mib` MiB of one byte and two conversions. The run must report `message`.
fn usage_of_long_record(args: &str, head: &[u8], mib: usize, message: &str) -> Usage {
    let scratch = Scratch::small_campaign();
    let mut run = scratch.piped(&format!("{RUN_STDIN} --on-error skip {args}")).spawn().unwrap();
    let mut stdin = run.stdin.take().unwrap();
    stdin.write_all(head).unwrap();
    for _ in 0..mib {
        stdin.write_all(&vec![b'x'; 1 << 20]).unwrap();
    }
    stdin.write_all(format!("\n{SMALL_CONVERSIONS}").as_bytes()).unwrap();
    let usage = Usage::of(&run);
    drop(stdin);
    let stderr = text(run.wait_with_output().unwrap().stderr);
    assert!(stderr.contains(message), "{stderr}");
    usage
}

#[test]
fn line_without_end_is_not_buffered() {
    // 1 GiB takes long in a debug build.
    let mib = runs(128).min(1024);
    usage_of_long_record("--rejects rejects", b"", mib, "1 bad record kept in rejects").assert_peak_below(64);
}

#[test]
fn frame_of_4_gib_is_not_buffered() {
    let args = "--input-format framed --loyalty-format text";
    usage_of_long_record(args, b"\xff\xff\xff\xff", 96, "after 100663").assert_peak_below(64);
}
