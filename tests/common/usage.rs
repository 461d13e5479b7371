//! The memory and the processor time of a run.

#![cfg(target_os = "linux")]

use std::fs;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use super::{Scratch, text};

/// The resources that a run has used so far.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    pub peak_kib: u64,
    /// Processor time in ticks of the kernel's clock.
    pub ticks: u64,
}

impl Usage {
    /// The usage of a process that was not waited for. `None` after its end, when its memory is no longer known.
    pub fn of(run: &Child) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{}/status", run.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let peak_kib = peak.trim().strip_suffix(" kB").unwrap().parse().unwrap();
        Some(Self { peak_kib, ticks: ticks(run) })
    }

    pub fn assert_peak_below(self, mib: u64) {
        assert!(self.peak_kib < mib << 10, "{self:?}");
    }
}

/// The processor time of a process that was not waited for. It may have ended.
fn ticks(run: &Child) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", run.id())).unwrap();
    let after_the_name = stat.rsplit(')').next().unwrap().split_whitespace();
    after_the_name.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

/// The usage of a command from its start to its end. Its exit code must be 0 or 1, and it must print no error.
pub fn usage_of_command(scratch: &Scratch, args: &str) -> Usage {
    let run = scratch.piped(args).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let mut usage = Usage::of(&run).unwrap();
    while let Some(now) = Usage::of(&run) {
        usage = now;
        thread::sleep(Duration::from_millis(1));
    }
    usage.ticks = ticks(&run);
    let output = run.wait_with_output().unwrap();
    assert!(output.stderr.is_empty() && output.status.code().unwrap() < 2, "{args}: {}", text(output.stderr));
    usage
}
