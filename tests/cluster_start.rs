//! The start and the end of a run on several machines: many other connections, other lists of hosts, parts that cannot be
//! created, and the parts of other runs.

#![cfg(all(target_os = "linux", feature = "cluster"))]

mod common;

use std::fs;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use common::cluster::{Hosts, command};
use common::{RUN, Scratch};

const LIMIT: Duration = Duration::from_secs(20);

/// A connection to a process as soon as it listens.
fn connect(address: &str) -> TcpStream {
    let began = Instant::now();
    loop {
        match TcpStream::connect(address) {
            Ok(stream) => return stream,
            Err(error) => assert!(began.elapsed() < LIMIT, "{error}"),
        }
    }
}

#[test]
fn processes_join_while_many_connections_say_nothing() {
    let scratch = Scratch::small_campaign();
    let mut hosts = Hosts::new(&scratch, 2);
    hosts.spawn(0, command(&scratch, 0, &format!("{RUN} -o answers")));
    let address = hosts.addresses[0].clone();
    let _silent: Vec<_> = (0..70).map(|_| connect(&address)).collect();
    hosts.spawn(1, command(&scratch, 1, &format!("{RUN} -o answers")));
    for output in hosts.wait_all(LIMIT) {
        assert_eq!(output.code, Some(0), "{output:?}");
    }
}

#[test]
fn processes_with_other_hosts_are_refused() {
    let scratch = Scratch::small_campaign();
    let mut hosts = Hosts::new(&scratch, 2);
    hosts.spawn(0, command(&scratch, 0, &format!("{RUN} -o answers")));
    scratch.write("more.txt", scratch.read("hosts.txt") + "\nlocalhost:1\n");
    hosts.spawn(1, scratch.piped(&format!("{RUN} -o answers --hosts more.txt --process 1")));
    for output in hosts.wait_all(LIMIT) {
        assert_eq!(output.code, Some(1), "{output:?}");
        assert!(output.stderr.contains("differ: the list of --hosts is 127.0.0.1:"), "{output:?}");
    }
}

/// A second directory with the same inputs, as on another machine. Returns the command of process 1 there.
fn in_other_folder(scratch: &Scratch) -> Command {
    fs::create_dir(scratch.file("other")).unwrap();
    for name in ["loyalty.txt", "conversions.txt", "hosts.txt"] {
        scratch.write(&format!("other/{name}"), scratch.read(name));
    }
    scratch.sh(&format!("cd other && exec adseg {RUN} -o answers --hosts hosts.txt --process 1"))
}

#[test]
fn a_process_that_cannot_create_its_part_says_why() {
    let scratch = Scratch::small_campaign();
    let mut hosts = Hosts::new(&scratch, 2);
    hosts.spawn(1, in_other_folder(&scratch));
    // The second process waits for the first one when its directory is removed.
    drop(connect(&hosts.addresses[1]));
    fs::remove_dir(scratch.file("other/answers")).unwrap();
    hosts.spawn(0, command(&scratch, 0, &format!("{RUN} -o answers")));
    for output in hosts.wait_all(LIMIT) {
        assert_eq!(output.code, Some(1), "{output:?}");
        assert!(output.stderr.contains("-001-000.txt: cannot write: answers: No such file"), "{output:?}");
    }
}

#[test]
fn only_the_parts_of_earlier_runs_are_removed() {
    let scratch = Scratch::small_campaign();
    let mut hosts = Hosts::new(&scratch, 2);
    fs::create_dir(scratch.file("answers")).unwrap();
    scratch.write("answers/part-0000000000000001-000-000.txt", "");
    hosts.spawn(0, command(&scratch, 0, &format!("{RUN} -o answers")));
    // It listens, so it has opened the directory.
    drop(connect(&hosts.addresses[0]));
    scratch.write("answers/part-0000000000000002-000-000.txt", "");
    hosts.spawn(1, in_other_folder(&scratch));
    assert!(hosts.wait_all(LIMIT).iter().all(|output| output.code == Some(0)));
    assert!(!scratch.file("answers/part-0000000000000001-000-000.txt").exists());
    assert!(scratch.file("answers/part-0000000000000002-000-000.txt").exists());
}
