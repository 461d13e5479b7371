//! A bug that makes a thread panic ends the run with a message and a non-zero exit code, and no file is changed.
//!
//! Debug builds have a hook for it: `ADSEG_PANIC_IN=decode` makes the threads that decode panic.

#![cfg(debug_assertions)]

mod common;

use std::time::{Duration, Instant};

use common::{RUN, Scratch};
use predicates::prelude::*;
use predicates::str::contains;

/// Every thread: the reader, the pool in its three steps, the writer.
const STEPS: [&str; 5] = ["read", "decode", "apply", "encode", "write"];

fn assert_panics(scratch: &Scratch, args: &str, step: &str) {
    let before = scratch.names();
    let began = Instant::now();
    let assert = scratch.adseg(args).env("ADSEG_PANIC_IN", step).assert().failure();
    assert.stderr(contains("adseg: internal error").and(contains(format!("ADSEG_PANIC_IN={step}"))));
    assert!(began.elapsed() < Duration::from_secs(30), "{step}: the run hung");
    assert_eq!(scratch.names(), before, "{step}");
}

#[test]
fn panic_in_any_thread_fails_and_changes_no_file() {
    for step in STEPS {
        for threads in [1, 4] {
            let scratch = Scratch::small_campaign();
            scratch.write("codes.txt", "old\n");
            let list = scratch.read("loyalty.txt");
            // Several blocks, so every queue fills.
            scratch.write("conversions.txt", common::SMALL_CONVERSIONS.repeat(60_000));
            let args = format!(
                "{RUN} --threads {threads} -o codes.txt --save-loyalty loyalty.txt --on-error skip --rejects rejects"
            );
            assert_panics(&scratch, &args, step);
            assert_eq!((scratch.read("codes.txt"), scratch.read("loyalty.txt")), ("old\n".to_owned(), list), "{step}");
        }
    }
}

#[test]
fn a_panic_fails_the_other_commands() {
    let scratch = Scratch::small_campaign();
    let sources = "--loyalty loyalty.txt --conversions conversions.txt";
    for command in ["check", "report", "explain kim@example.com", "diff none none"] {
        for step in ["read", "decode", "apply"] {
            assert_panics(&scratch, &format!("{command} {sources}"), step);
        }
    }
    assert_panics(&scratch, "frame conversions.txt -o conversions.frames", "write");
}
