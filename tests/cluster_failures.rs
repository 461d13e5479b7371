//! What makes a run on several machines fail: a process that is killed, stopped, missing or different, another program
//! that connects, bad records, a full disk. All processes end with an error in time, no result appears, and an earlier result stays.

#![cfg(all(target_os = "linux", feature = "cluster"))]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::cluster::{Hosts, command, wait_for_parts};
use common::{CommandOutput, RUN, Scratch, assert_same};

/// All processes end within this time after a failure.
const LIMIT: Duration = Duration::from_secs(5);

/// A run of many small blocks, which takes some seconds.
const LONG_RUN: &str =
    "run --loyalty loyalty.txt --conversions conversions.txt --block-bytes 40 --threads 1 -o answers";

/// A campaign that takes some seconds in blocks of a few bytes.
fn long_campaign() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("loyalty.txt", "kim@example.com, kim, kim, F\n");
    scratch.write("conversions.txt", "P, ClickConversion, kim@example.com, Web\n".repeat(40_000));
    scratch
}

#[track_caller]
fn assert_no_result(scratch: &Scratch) {
    let names = scratch.names_in("answers");
    assert!(!names.iter().any(|name| name == "manifest.json" || name.starts_with("part-")), "{names:?}");
}

/// Fails unless the process ended with an error of one line that contains `message`.
#[track_caller]
fn assert_failed(output: &CommandOutput, message: &str) {
    assert_eq!(output.code, Some(1), "{output:?}");
    assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    assert!(output.stderr.starts_with("adseg: ") && output.stderr.contains(message), "{message}: {output:?}");
}

#[test]
fn a_killed_process_ends_all_others() {
    for killed in [0, 1] {
        let scratch = long_campaign();
        let mut hosts = Hosts::start(&scratch, 3, LONG_RUN);
        wait_for_parts(&scratch, "answers", 3);
        hosts.signal(killed, "-KILL");
        let outputs = hosts.wait_all(LIMIT);
        let name = format!("process {killed} ({})", hosts.addresses[killed]);
        for (process, output) in outputs.iter().enumerate().filter(|(process, _)| *process != killed) {
            assert_failed(output, &format!("{name} ended the run: the connection to it ended (was it killed?)"));
            assert!(!output.stderr.contains("internal error"), "{process}");
        }
        assert_no_result(&scratch);
    }
}

#[test]
fn an_interrupted_process_ends_all_others() {
    let scratch = long_campaign();
    let mut hosts = Hosts::start(&scratch, 2, LONG_RUN);
    wait_for_parts(&scratch, "answers", 2);
    hosts.signal(1, "-TERM");
    let outputs = hosts.wait_all(LIMIT);
    assert_failed(&outputs[0], "ended the run");
    assert_eq!((outputs[1].code, &*outputs[1].stderr), (Some(130), ""));
    assert_eq!(scratch.names_in("answers"), [""; 0]);
}

#[test]
fn a_stopped_process_ends_the_run_after_the_stall_timeout() {
    for stopped in [0, 1] {
        let scratch = long_campaign();
        let mut hosts = Hosts::start(&scratch, 3, &format!("{LONG_RUN} --stall-timeout 2"));
        wait_for_parts(&scratch, "answers", 3);
        hosts.signal(stopped, "-STOP");
        let began = Instant::now();
        let name = format!("process {stopped} ({})", hosts.addresses[stopped]);
        for process in (0..3).filter(|process| *process != stopped) {
            let output = hosts.wait(process, LIMIT + Duration::from_secs(2));
            assert_failed(&output, &format!("{name} did not answer for 2 s (--stall-timeout)"));
        }
        assert!(began.elapsed() > Duration::from_millis(1500), "the others waited");
        hosts.signal(stopped, "-CONT");
        assert_eq!(hosts.wait(stopped, LIMIT).code, Some(1));
        assert_no_result(&scratch);
    }
}

#[test]
fn a_host_that_never_comes_is_named() {
    for missing in [0, 2] {
        let scratch = Scratch::small_campaign();
        let mut hosts = Hosts::new(&scratch, 3);
        for process in (0..3).filter(|process| *process != missing) {
            hosts.spawn(process, command(&scratch, process, &format!("{RUN} -o answers --connect-timeout 1")));
        }
        let name = format!("process {missing} ({})", hosts.addresses[missing]);
        for output in hosts.wait_all(LIMIT) {
            assert_failed(&output, &name);
            assert!(output.stderr.contains("within 1 s"), "{output:?}");
        }
        assert_no_result(&scratch);
    }
}

#[test]
fn processes_that_differ_are_refused_with_the_difference() {
    let other_bytes = common::SMALL_CONVERSIONS.replace("kim", "sam");
    let cases = [
        ("--send-only", None, "--send-only is given"),
        ("--threads 3", None, "--threads is 3"),
        ("--max-record-bytes 1000", None, "--max-record-bytes is 1000"),
        ("--type click=ad_click", None, "how loyalty.txt is read (format, columns, types, times) is"),
        ("", Some(other_bytes.clone()), "the checksum of the first bytes of conversions.txt is"),
        ("", Some(other_bytes + "\n"), "the size of conversions.txt is"),
    ];
    for (args, conversions, difference) in cases {
        let (scratch, other) = (Scratch::small_campaign(), Scratch::small_campaign());
        let mut hosts = Hosts::new(&scratch, 3);
        other.write("hosts.txt", scratch.read("hosts.txt"));
        conversions.map(|conversions| other.write("conversions.txt", conversions));
        let run = format!("{RUN} -o answers --threads 1 --connect-timeout 3");
        hosts.spawn(0, command(&scratch, 0, &run));
        hosts.spawn(1, command(&scratch, 1, &run));
        let with_args =
            if args.starts_with("--threads") { format!("{RUN} -o answers {args}") } else { format!("{run} {args}") };
        hosts.spawn(2, command(&other, 2, &with_args));
        let outputs = hosts.wait_all(LIMIT);
        assert_failed(&outputs[0], difference);
        assert_failed(&outputs[2], difference);
        // It may come when the first process has ended already.
        assert_failed(&outputs[1], &format!("process 0 ({})", hosts.addresses[0]));
        assert_no_result(&scratch);
        assert_no_result(&other);
    }
}

/// A message as processes send it when they connect.
fn message(content: &serde_json::Value) -> Vec<u8> {
    let body = content.to_string();
    [b"adseg/1\n", &(body.len() as u32).to_le_bytes()[..], body.as_bytes()].concat()
}

/// The first message: the token.
fn hello(token: &str) -> Vec<u8> {
    message(&serde_json::json!({"token": token, "process": 1}))
}

/// What a process of another version would send after it.
fn facts(version: &str) -> Vec<u8> {
    message(&serde_json::json!({"Control": {"facts": [["the version of adseg", version]], "port": 1}}))
}

/// Connects to the first process, and returns what it replies until it closes the connection.
fn exchange(address: &str, bytes: &[u8]) -> String {
    let began = Instant::now();
    let mut stream = loop {
        match TcpStream::connect(address) {
            Ok(stream) => break stream,
            Err(error) => assert!(began.elapsed() < LIMIT, "{error}"),
        }
    };
    stream.write_all(bytes).unwrap();
    let mut reply = Vec::new();
    // A connection that is refused may be reset.
    let _ = stream.read_to_end(&mut reply);
    String::from_utf8_lossy(&reply).into_owned()
}

#[test]
fn another_version_is_refused() {
    let scratch = Scratch::small_campaign();
    let mut hosts = Hosts::new(&scratch, 2);
    hosts.spawn(0, command(&scratch, 0, &format!("{RUN} -o answers")));
    let reply = exchange(&hosts.addresses[0], &[hello(""), facts("0.0.9")].concat());
    let version = env!("CARGO_PKG_VERSION");
    assert!(reply.contains(&format!("the version of adseg is 0.0.9 here and {version} there")), "{reply}");
    assert_failed(&hosts.wait(0, LIMIT), &format!("the version of adseg is 0.0.9 there and {version} here"));
    assert_no_result(&scratch);
}

#[test]
fn connections_without_the_token_are_refused_and_the_run_goes_on() {
    let scratch = Scratch::small_campaign();
    let mut hosts = Hosts::new(&scratch, 2);
    let run = format!("{RUN} -o answers --connect-timeout 20");
    let mut first = command(&scratch, 0, &run);
    first.env("ADSEG_CLUSTER_TOKEN", "the token");
    hosts.spawn(0, first);
    let address = hosts.addresses[0].clone();
    assert_eq!(exchange(&address, b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"), "");
    assert_eq!(exchange(&address, b"adseg/1\n\xff\xff\xff\xff"), "");
    assert!(exchange(&address, &hello("guessed")).contains("the token differs"));
    let mut wrong = command(&scratch, 1, &run);
    wrong.env("ADSEG_CLUSTER_TOKEN", "another token");
    hosts.spawn(1, wrong);
    assert_failed(&hosts.wait(1, LIMIT), "refused this process: the token differs; set ADSEG_CLUSTER_TOKEN");
    // Says nothing, and stays.
    let _silent = TcpStream::connect(&address).unwrap();
    let mut second = command(&scratch, 1, &run);
    second.env("ADSEG_CLUSTER_TOKEN", "the token");
    hosts.spawn(1, second);
    let outputs = hosts.wait_all(Duration::from_secs(20));
    assert_eq!((outputs[0].code, outputs[1].code), (Some(0), Some(0)), "{outputs:?}");
    assert_eq!(outputs[0].stderr.matches("adseg: refused a connection from 127.0.0.1:").count(), 4, "{outputs:?}");
    scratch.adseg("merge answers").assert().success().stdout(common::SMALL_DECISIONS);
}

#[test]
fn bad_records_and_damage_have_the_message_of_one_process() {
    let scratch = long_campaign();
    let conversions = scratch.read("conversions.txt");
    let (half, rest) = conversions.split_at(conversions.len() / 2);
    scratch.write("bad.txt", format!("{half}P, ClikConversion, a@x, w\n{rest}"));
    scratch.write("damaged.gz", &include_bytes!("../fixtures/compressed-and-truncated/conversions.txt.gz")[..]);
    for name in ["bad.txt", "damaged.gz"] {
        let args = LONG_RUN.replace("conversions.txt", name).replace("--block-bytes 40", "--block-bytes 4000");
        let alone = scratch.run(&args.replace("--block-bytes 4000 --threads 1 -o answers", "-o alone"));
        assert_eq!(alone.code, Some(1), "{alone:?}");
        let mut hosts = Hosts::start(&scratch, 2, &args);
        let outputs = hosts.wait_all(Duration::from_secs(20));
        assert_eq!((outputs[0].code, &outputs[0].stderr), (alone.code, &alone.stderr), "{name}");
        let message = alone.stderr.trim_start_matches("adseg: ").trim_end();
        assert_failed(&outputs[1], &format!("process 0 ({}) ended the run: {message}", hosts.addresses[0]));
        assert_no_result(&scratch);
    }
}

#[test]
fn a_part_that_cannot_be_written_ends_all_processes() {
    let scratch = long_campaign();
    let mut hosts = Hosts::new(&scratch, 2);
    let run = LONG_RUN.replace("--block-bytes 40", "--block-bytes 4000");
    hosts.spawn(0, command(&scratch, 0, &run));
    hosts.spawn(1, scratch.sh(&format!("ulimit -f 100; exec adseg {run} --hosts hosts.txt --process 1")));
    let outputs = hosts.wait_all(Duration::from_secs(20));
    assert_failed(&outputs[1], "cannot write a part of the decisions: File too large");
    assert_failed(&outputs[0], "ended the run: cannot write a part of the decisions: File too large");
    assert_no_result(&scratch);
}

#[test]
fn an_output_of_processes_that_cannot_be_written_keeps_the_old_file() {
    let scratch = long_campaign();
    scratch.write("codes.txt", "old");
    let run = LONG_RUN.replace("--block-bytes 40", "--block-bytes 4000").replace("-o answers", "-o codes.txt");
    let output = scratch.sh(&format!("ulimit -f 100; exec adseg {run} --processes 2")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("cannot write a part of the decisions: File too large"), "{stderr}");
    assert_same(scratch.read("codes.txt"), "old", "codes");
    assert_eq!(scratch.names().iter().filter(|name| name.starts_with(".adseg-")).count(), 0);
}

#[cfg(debug_assertions)]
#[test]
fn a_panic_in_one_process_ends_all() {
    for step in ["read", "decode", "apply", "encode", "write"] {
        let scratch = long_campaign();
        let mut hosts = Hosts::new(&scratch, 2);
        let run = LONG_RUN.replace("--block-bytes 40", "--block-bytes 4000");
        hosts.spawn(0, command(&scratch, 0, &run));
        let mut second = command(&scratch, 1, &run);
        second.env("ADSEG_PANIC_IN", step);
        hosts.spawn(1, second);
        let outputs = hosts.wait_all(Duration::from_secs(20));
        assert_eq!(outputs[1].code, Some(101), "{step}: {outputs:?}");
        assert!(outputs[1].stderr.contains("adseg: internal error"), "{step}: {outputs:?}");
        assert_failed(&outputs[0], "ended the run: internal error");
        assert_no_result(&scratch);
    }
}

#[test]
fn a_failed_run_keeps_the_earlier_result() {
    let scratch = Scratch::small_campaign();
    let run = format!("{RUN} -o answers --threads 1");
    let mut hosts = Hosts::start(&scratch, 2, &run);
    assert!(hosts.wait_all(Duration::from_secs(20)).iter().all(|output| output.code == Some(0)));
    let before = scratch.names_in("answers");
    scratch.write("conversions.txt", "nonsense\n");
    let mut hosts = Hosts::start(&scratch, 2, &run);
    assert!(hosts.wait_all(Duration::from_secs(20)).iter().all(|output| output.code == Some(1)));
    assert_eq!(scratch.names_in("answers"), before);
    scratch.adseg("merge answers").assert().success().stdout(common::SMALL_DECISIONS);
    scratch.write("conversions.txt", common::SMALL_CONVERSIONS.repeat(2));
    let mut hosts = Hosts::start(&scratch, 2, &run);
    assert!(hosts.wait_all(Duration::from_secs(20)).iter().all(|output| output.code == Some(0)));
    scratch.adseg("merge answers").assert().success().stdout(common::SMALL_DECISIONS.repeat(2));
    let after = scratch.names_in("answers");
    assert!(after.len() == before.len() && !after.iter().any(|name| before[1..].contains(name)), "{after:?}");
}

/// The processes that a process has started.
fn children(process: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let of_task = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).unwrap_or_default();
    let lists: Vec<_> = tasks.map(|task| of_task(task.unwrap())).collect();
    lists.iter().flat_map(|list| list.split_whitespace()).map(|id| id.parse().unwrap()).collect()
}

/// Whether a process exists and is not a zombie.
fn is_running(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next()).is_some_and(|state| state != "Z")
}

#[test]
fn killing_any_process_of_one_machine_ends_all() {
    let (soon, later) = (Duration::ZERO, Duration::from_millis(400));
    for (kills_parent, signal, wait) in
        [(true, "-KILL", later), (true, "-KILL", soon), (true, "-TERM", later), (false, "-KILL", later)]
    {
        let scratch = long_campaign();
        scratch.write("codes.txt", "old");
        let args = LONG_RUN.replace("-o answers", "-o codes.txt --processes 3");
        let mut parent = scratch.piped(&args).spawn().unwrap();
        let began = Instant::now();
        let others = loop {
            let others = children(parent.id());
            if others.len() == 2 {
                break others;
            }
            assert!(began.elapsed() < LIMIT, "the processes start");
        };
        // Usually the data flows by now. The others end also if it does not.
        std::thread::sleep(wait);
        let killed = if kills_parent { parent.id() } else { others[0] };
        assert!(std::process::Command::new("kill").args([signal, &killed.to_string()]).status().unwrap().success());
        let began = Instant::now();
        while parent.try_wait().unwrap().is_none() || others.iter().any(|process| is_running(*process)) {
            assert!(began.elapsed() < LIMIT, "{signal} {kills_parent}: all processes end");
            std::thread::sleep(Duration::from_millis(5));
        }
        let output = parent.wait_with_output().unwrap();
        assert!(!output.status.success());
        let stderr = String::from_utf8_lossy(&output.stderr);
        if kills_parent {
            assert_eq!(stderr, "", "{signal}");
        } else {
            assert_eq!(stderr, "adseg: process 1 ended the run: the connection to it ended (was it killed?)\n");
        }
        assert_same(scratch.read("codes.txt"), "old", signal);
        if signal != "-KILL" || !kills_parent {
            let names: Vec<_> = scratch.names().into_iter().filter(|name| name.starts_with(".adseg-")).collect();
            assert_eq!(names, [""; 0], "{signal}");
        }
    }
}

/// The peak memory of both processes of a run, in KiB.
fn peaks(scratch: &Scratch, events: usize) -> Vec<u64> {
    let clicks = (0..events).map(|number| format!("P, ClickConversion, member{}@example.com, Web\n", number % 1_000));
    scratch.write("conversions.txt", clicks.collect::<String>());
    let mut hosts = Hosts::start(scratch, 2, &format!("{RUN} -o answers --threads 1 --block-bytes 65536"));
    let ids: Vec<u32> = hosts.processes.iter().map(|child| child.as_ref().unwrap().id()).collect();
    // The other process must not run ahead of one that is slow.
    wait_for_parts(scratch, "answers", 2);
    hosts.signal(1, "-STOP");
    std::thread::sleep(Duration::from_secs(2));
    hosts.signal(1, "-CONT");
    let mut peaks = vec![0, 0];
    let mut are_running = true;
    while are_running {
        are_running = false;
        for (peak, id) in peaks.iter_mut().zip(&ids) {
            let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
            let now =
                status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
            are_running |= now.is_some();
            *peak = now.unwrap_or(*peak);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(hosts.wait_all(LIMIT).iter().all(|output| output.code == Some(0)));
    peaks
}

#[test]
fn memory_does_not_grow_with_ten_times_the_events() {
    let scratch = Scratch::small_campaign();
    let few = peaks(&scratch, 30_000);
    fs::remove_dir_all(scratch.file("answers")).unwrap();
    let many = peaks(&scratch, 300_000);
    for (few, many) in few.iter().zip(&many) {
        // The events alone are 13 MB more.
        assert!(*many < few + (6 << 10), "{few} KiB, {many} KiB");
    }
}
