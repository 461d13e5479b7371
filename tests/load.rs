//! Hostile and heavy load: memory and time stay what they should be, whatever is thrown at a run.
//!
//! Time is that of the processor, so that a machine which is busy with something else fails no test.

#![cfg(target_os = "linux")]

mod common;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command};
use std::thread;

use common::{SMALL_ANSWERS, SMALL_CONVERSIONS, Scratch};

/// What a run cost up to the last of its answers.
#[derive(Debug, Clone, Copy)]
struct Cost {
    peak_kib: u64,
    /// Ticks of the clock that the kernel counts processor time in.
    ticks: u64,
}

fn cost(run: &Child) -> Cost {
    let status = fs::read_to_string(format!("/proc/{}/status", run.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/stat", run.id())).unwrap();
    let behind_the_name = stat.rsplit(')').next().unwrap().split_whitespace();
    let ticks = behind_the_name.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Cost { peak_kib: peak.trim().strip_suffix(" kB").unwrap().parse().unwrap(), ticks }
}

/// Feeds a run these conversions so many times, and looks at it when it has answered them all.
fn feed(args: &str, conversions: &str, times: usize) -> Cost {
    let scratch = Scratch::small_campaign();
    let mut run = scratch.piped(&format!("run --loyalty loyalty.txt --conversions - {args}")).spawn().unwrap();
    let (mut stdin, stdout) = (run.stdin.take().unwrap(), BufReader::new(run.stdout.take().unwrap()));
    let lines = conversions.lines().count() * times;
    thread::scope(|scope| {
        let feeder = scope.spawn(|| {
            (0..times).for_each(|_| stdin.write_all(conversions.as_bytes()).unwrap());
        });
        assert_eq!(stdout.split(b'\n').take(lines).count(), lines);
        feeder.join().unwrap();
    });
    let cost = cost(&run);
    drop(stdin);
    assert!(run.wait().unwrap().success());
    cost
}

fn purchases(customers: std::ops::Range<usize>) -> String {
    customers.map(|customer| format!("P, PurchaseConversion, c{customer}@x, [6], 9\n")).collect()
}

#[test]
fn memory_does_not_grow_with_the_number_of_events() {
    let conversions = SMALL_CONVERSIONS.repeat(10_000);
    let [few, many] = [2, 40].map(|times| feed("--threads 2", &conversions, times).peak_kib);
    assert!(many < few + (16 << 10), "{few} KiB, {many} KiB");
    assert!(many < 64 << 10, "{many} KiB");
}

#[test]
fn time_is_linear_in_the_events_of_one_customer_and_in_new_customers() {
    for (what, events) in [
        ("one customer", &(|_: usize| purchases(0..1).repeat(40_000)) as &dyn Fn(usize) -> String),
        ("new customers", &|share| purchases(0..40_000 * share)),
    ] {
        let few = feed("--threads 2", &events(1), 1);
        let many = if what == "one customer" {
            feed("--threads 2", &events(1), 6)
        } else {
            feed("--threads 2", &events(6), 1)
        };
        // Six times as many; thirty-six times as long would be quadratic.
        assert!(many.ticks < 14 * few.ticks.max(3), "{what}: {few:?}, {many:?}");
    }
}

#[test]
fn as_many_partitions_as_there_can_be_cost_little_and_change_nothing() {
    let cost = feed("--partitions 10000 --threads 2", &SMALL_CONVERSIONS.repeat(20_000), 2);
    assert!(cost.peak_kib < 128 << 10, "{cost:?}");
    let scratch = Scratch::small_campaign();
    let args = "run --loyalty loyalty.txt --conversions conversions.txt --partitions 10000";
    scratch.adseg(args).assert().success().stdout(SMALL_ANSWERS);
}

#[test]
fn a_thousand_files_need_no_more_open_files_than_one() {
    let scratch = Scratch::small_campaign();
    let names: Vec<_> = (0..1_000).map(|number| format!("{number}.txt")).collect();
    names.iter().for_each(|name| drop(scratch.write(name, SMALL_CONVERSIONS)));
    let adseg = env!("CARGO_BIN_EXE_adseg");
    let script = format!("ulimit -n 32; {adseg} run --loyalty loyalty.txt --conversions {}", names.join(" "));
    let output = Command::new("sh").arg("-c").arg(script).current_dir(scratch.path()).output().unwrap();
    assert!(output.stdout == SMALL_ANSWERS.repeat(1_000).as_bytes(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn records_at_the_limit_are_taken_whole_and_let_go() {
    let scratch = Scratch::small_campaign();
    let limit = 1 << 20;
    let head = "P, ClickConversion, kim@example.com, ";
    let record = format!("{head}{}\n", "w".repeat(limit - head.len()));
    let mut file = File::create(scratch.file("conversions.txt")).unwrap();
    (0..50).for_each(|_| file.write_all(record.as_bytes()).unwrap());
    let answers = "Send additional promo code to: kim@example.com, True\n".repeat(50);
    scratch.adseg(common::RUN).assert().success().stdout(answers);
    let cost = feed("", &record, 30);
    assert!(cost.peak_kib < 64 << 10, "{cost:?}");
}
