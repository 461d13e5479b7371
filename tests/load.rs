//! Heavy and hostile load: memory and time stay within the bounds of docs/internals.md.
//!
//! Time is processor time, so other work on the machine does not fail a test.

#![cfg(target_os = "linux")]

mod common;

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use common::usage::{Usage, usage_of_command};
use common::{RUN, RUN_STDIN, SMALL_CONVERSIONS, SMALL_DECISIONS, Scratch, runs, text};

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
    let usage = Usage::of(&run).unwrap();
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
    let usage = Usage::of(&run).unwrap();
    drop(stdin);
    let stderr = text(run.wait_with_output().unwrap().stderr);
    assert!(stderr.contains(message), "{stderr}");
    usage
}

#[test]
fn unterminated_line_is_not_buffered() {
    // 1 GiB takes too long in a debug build.
    let mib = runs(128).min(1024);
    usage_of_long_record("--rejects rejects", b"", mib, "1 bad record kept in rejects").assert_peak_below(64);
}

#[test]
fn frame_of_4_gib_is_not_buffered() {
    let args = "--input-format framed --loyalty-format text";
    usage_of_long_record(args, b"\xff\xff\xff\xff", 96, "after 100663").assert_peak_below(64);
}

/// The size of a campaign. The customers click in turn, then buy in turn, and so on.
#[derive(Debug, Clone, Copy)]
struct Load {
    rows: usize,
    events: usize,
    /// The number of files that the events are divided into.
    files: usize,
    customers: usize,
    /// The number of promos and of channels.
    names: usize,
}

impl Load {
    const SMALL: Self = Self { rows: 0, events: 24_000, files: 2, customers: 1_000, names: 10 };
    const MANY_FILES: Self = Self { files: 100, ..Self::SMALL };
    const MANY_EVENTS: Self = Self { events: 240_000, ..Self::SMALL };
    const MANY_NAMES: Self = Self { events: 200_000, customers: 200_000, names: 200_000, ..Self::SMALL };
    /// With one purchase by each customer.
    const MANY_CUSTOMERS: Self = Self { customers: 120_000, ..Self::MANY_EVENTS };

    /// Writes the files. Returns their names.
    fn write(self, scratch: &Scratch) -> String {
        let listed = (0..self.rows).map(|row| format!("c{}@x, , , F\n", row % self.customers));
        scratch.write("loyalty.txt", listed.collect::<String>());
        let events: Vec<_> = (0..self.events).collect();
        let names = events.chunks(self.events / self.files).enumerate().map(|(file, events)| {
            let name = format!("{file}.txt");
            scratch.write(&name, events.iter().map(|&event| self.event(event)).collect::<String>());
            name
        });
        names.collect::<Vec<_>>().join(" ")
    }

    fn event(self, number: usize) -> String {
        let (customer, name) = (number % self.customers, number % self.names);
        if (number / self.customers).is_multiple_of(2) {
            format!("P{name}, ClickConversion, c{customer}@x, w{name}\n")
        } else {
            format!("P{name}, PurchaseConversion, c{customer}@x, [6], 9\n")
        }
    }

    /// The peak of a command, where `{files}` are the files with the events, in KiB.
    fn peak_of(self, command: &str) -> u64 {
        let scratch = Scratch::new();
        let files = self.write(&scratch);
        usage_of_command(&scratch, &command.replace("{files}", &files)).peak_kib
    }
}

/// Asserts that the memory of a command does not grow with events and files, and grows by at most this number of bytes
/// for each customer.
fn assert_memory_grows_only_with_customers(command: &str, rows: usize, bytes_for_each: u64) {
    let peak = |load: Load| Load { rows, ..load }.peak_of(command);
    let (small, many_files, many_events) = (peak(Load::SMALL), peak(Load::MANY_FILES), peak(Load::MANY_EVENTS));
    assert!(many_files < small + FILES_KIB, "{command}: {small} KiB, {many_files} KiB with many files");
    assert!(many_events < small + BUFFERS_KIB, "{command}: {small} KiB, {many_events} KiB with many events");
    let many_customers = peak(Load::MANY_CUSTOMERS);
    let allowed = bytes_for_each * Load::MANY_CUSTOMERS.customers as u64 / 1024 + BUFFERS_KIB / 2;
    assert!(
        many_customers < many_events + allowed,
        "{command}: {many_events} KiB, {many_customers} KiB with many customers"
    );
}

/// Larger inputs fill more of the buffers, and two runs fill them differently.
const BUFFERS_KIB: u64 = 16 << 10;

/// For each file the path and the number of its first line, and for `order-check` the customers who are in the file.
const FILES_KIB: u64 = 6 << 10;

/// The maximum length of the emails of a [`Load`].
const EMAIL: u64 = 9;

#[test]
fn memory_of_run_grows_only_with_members() {
    assert_memory_grows_only_with_customers("run -q --loyalty loyalty.txt --conversions {files}", 0, EMAIL + 30);
}

#[test]
fn memory_of_check_grows_only_with_listed_members() {
    let rows = Load::MANY_CUSTOMERS.customers;
    // With the hashes of their records; of these check keeps a limited number.
    let bytes = EMAIL + 80 + 60;
    assert_memory_grows_only_with_customers("check --loyalty loyalty.txt --conversions {files}", rows, bytes);
}

#[test]
fn memory_of_explain_grows_only_with_the_requested_customers() {
    let command = "explain --email c7@y --loyalty loyalty.txt --conversions {files}";
    assert_memory_grows_only_with_customers(command, 0, 0);
}

#[test]
fn memory_of_explain_does_not_contain_the_text_of_its_report() {
    let peak = |records: usize| {
        let scratch = Scratch::small_campaign();
        scratch.write("conversions.txt", "P, ClickConversion, kim@example.com, w\n".repeat(records));
        let command = "explain kim@example.com --loyalty loyalty.txt --conversions conversions.txt -o report";
        usage_of_command(&scratch, command).peak_kib
    };
    // A record needs 200 bytes.
    let growth = (peak(400_000) - peak(100_000)) * 1024 / 300_000;
    assert!(growth < 270, "{growth} bytes for a record");
}

#[test]
fn order_check_memory_grows_only_with_customers_and_files() {
    let command = "order-check --loyalty loyalty.txt --conversions {files}";
    assert_memory_grows_only_with_customers(command, 0, 2 * EMAIL + 240);
}

#[test]
fn memory_of_report_grows_only_with_customers() {
    assert_memory_grows_only_with_customers("report --loyalty loyalty.txt --conversions {files}", 0, EMAIL + 70);
}

#[test]
fn memory_of_frame_and_unframe_does_not_grow() {
    let peaks = |load: Load| {
        let scratch = Scratch::new();
        let files = load.write(&scratch);
        let frame = usage_of_command(&scratch, &format!("frame {files} -o frames"));
        let frames = ["frames"; 10].join(" ");
        [frame.peak_kib, usage_of_command(&scratch, &format!("unframe {frames}")).peak_kib]
    };
    let small = peaks(Load::SMALL);
    for (many, allowed) in [(peaks(Load::MANY_EVENTS), BUFFERS_KIB), (peaks(Load::MANY_FILES), FILES_KIB)] {
        assert!(many.iter().zip(&small).all(|(many, small)| *many < small + allowed), "{small:?} KiB, {many:?} KiB");
    }
}

#[test]
fn name_memory_does_not_depend_on_partition_count() {
    for command in ["check", "report"] {
        let command = format!("{command} --partitions 1000 --loyalty loyalty.txt --conversions {{files}}");
        let peak = Load::MANY_NAMES.peak_of(&command);
        assert!(peak < 190 << 10, "{command}: {peak} KiB");
    }
}

/// Asserts that time and output of a command are linear: `few` and `many` are its usage and its bytes of output for
/// tenfold input.
fn assert_linear(few: (Usage, u64), many: (Usage, u64)) {
    // Quadratic time and output would be a hundred times as much.
    assert!(many.0.ticks < 25 * few.0.ticks.max(3), "{few:?}, {many:?}");
    assert!(many.1 < 12 * few.1, "{few:?}, {many:?}");
}

#[test]
fn order_check_is_linear_in_the_number_of_files() {
    const CUSTOMERS: usize = 100;
    for format in ["text", "jsonl"] {
        let [few, many] = [20, 200].map(|files| {
            let scratch = Scratch::new();
            // Every customer clicks and buys in every file.
            let load = Load { rows: 1, events: 2 * files * CUSTOMERS, files, customers: CUSTOMERS, names: 1 };
            let names = load.write(&scratch);
            let command =
                format!("order-check --loyalty loyalty.txt --conversions {names} --format {format} -o report");
            let usage = usage_of_command(&scratch, &command);
            (usage, fs::metadata(scratch.file("report")).unwrap().len())
        });
        assert_linear(few, many);
        // 180 files more for each customer, and the buffers.
        assert!(
            many.0.peak_kib < few.0.peak_kib + 180 * CUSTOMERS as u64 * 180 / 1024 + (6 << 10),
            "{few:?}, {many:?}"
        );
    }
}

#[test]
fn explain_is_linear_in_the_number_of_near_matches() {
    // Upper and lower case are the bits of the number.
    let letter = |number: usize, bit: usize| if number >> bit & 1 == 0 { 'a' } else { 'A' };
    let spelling = |number| (0..12).map(|bit| letter(number, bit)).collect::<String>() + "@x";
    for format in ["text", "jsonl"] {
        let [few, many] = [400, 4_000].map(|count| {
            let scratch = Scratch::small_campaign();
            scratch.write("emails", (0..count).map(|number| spelling(number) + "\n").collect::<String>());
            scratch.write("loyalty.txt", (0..count).map(|number| spelling(number) + ", , , F\n").collect::<String>());
            let inputs = "--loyalty loyalty.txt --conversions conversions.txt";
            let usage =
                usage_of_command(&scratch, &format!("explain --emails emails {inputs} --format {format} -o report"));
            (usage, fs::metadata(scratch.file("report")).unwrap().len())
        });
        assert_linear(few, many);
    }
}

#[test]
fn explain_report_has_linear_length_for_long_near_matches() {
    // The letters of the name are upper or lower case, and the near matches are long.
    let spelling =
        |number: usize| (0..10).map(|bit| if number >> bit & 1 == 0 { 'a' } else { 'A' }).collect::<String>();
    let scratch = Scratch::small_campaign();
    scratch.write("emails", (0..1_000).map(|number| spelling(number) + "@x\n").collect::<String>());
    let long = |number| format!("{}{}@x, , , F\n", spelling(number), "\u{a0}".repeat(20_000));
    scratch.write("loyalty.txt", (0..10).map(long).collect::<String>());
    for format in ["text", "jsonl"] {
        let command = "explain --emails emails --loyalty loyalty.txt --conversions conversions.txt -o report";
        let command = format!("{command} --format {format}");
        assert!(scratch.run(&command).code == Some(0));
        let len = fs::metadata(scratch.file("report")).unwrap().len();
        // Ten emails have ten near matches, whose spaces are escaped by at most eight bytes.
        assert!(len < 10 * 10 * 20_000 * 8 + 1_000 * 500, "{format}: {len}");
    }
}

/// Sends these conversions several times to a run whose output nobody reads until the run is blocked or has processed
/// everything.
fn usage_with_stalled_reader(args: &str, conversions: &[u8], times: usize) -> Usage {
    let scratch = Scratch::small_campaign();
    let mut run = scratch.piped(&format!("{RUN_STDIN} {args}")).stderr(Stdio::null()).spawn().unwrap();
    let (mut stdin, mut stdout) = (run.stdin.take().unwrap(), run.stdout.take().unwrap());
    let usage = thread::scope(|scope| {
        let writer = scope.spawn(move || {
            (0..times).for_each(|_| stdin.write_all(conversions).unwrap());
            stdin
        });
        let mut before = None;
        while before != Some(Usage::of(&run).unwrap().ticks) {
            before = Some(Usage::of(&run).unwrap().ticks);
            thread::sleep(Duration::from_millis(500));
        }
        scope.spawn(move || io::copy(&mut stdout, &mut io::sink()).unwrap());
        let stdin = writer.join().unwrap();
        let usage = Usage::of(&run).unwrap();
        drop(stdin);
        usage
    });
    assert!(run.wait().unwrap().success(), "{args}");
    usage
}

#[test]
fn memory_does_not_depend_on_the_reader_of_the_output() {
    let record = format!("P, ClickConversion, kim@example.com, {}\n", "w".repeat((1 << 20) - 50));
    for format in ["text", "framed", "jsonl", "csv"] {
        let args = format!("--threads 64 --output-format {format}");
        usage_with_stalled_reader(&args, record.as_bytes(), 100).assert_peak_below(64);
    }
}
