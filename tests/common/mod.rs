//! Shared by all tests: a scratch folder, the command under test, and a comparison that prints a diff.
//!
//! `campaigns` has random campaigns with policies. `model` is the serial model of a run. `replay` is the only file that calls into the crate.

#![allow(dead_code, reason = "each test uses only a part of it")]

pub mod campaigns;
pub mod cluster;
pub mod inject;
pub mod live;
pub mod model;
pub mod replay;
pub mod report;
pub mod usage;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The default command.
pub const RUN: &str = "run --loyalty loyalty.txt --conversions conversions.txt";

/// The same with the conversions on standard input.
pub const RUN_STDIN: &str = "run --loyalty loyalty.txt --conversions -";

/// The loyalty list of [`Scratch::small_campaign`].
pub const SMALL_LIST: &str = "kim@example.com, kim, kim, F\n";

/// The conversions of [`Scratch::small_campaign`].
pub const SMALL_CONVERSIONS: &str = "\
Hoodie, ClickConversion, kim@example.com, Instagram
Hoodie, ClickConversion, lee@example.com, Facebook
";

/// The decisions for [`SMALL_CONVERSIONS`].
pub const SMALL_DECISIONS: &str = "\
Send additional promo code to: kim@example.com, True
Send additional promo code to: lee@example.com, False
";

/// A temporary folder in which one test runs `adseg`.
pub struct Scratch(tempfile::TempDir);

impl Scratch {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A loyalty list with one member, a click by the member, and a click by a non-member.
    pub fn small_campaign() -> Self {
        let scratch = Self::new();
        scratch.write("loyalty.txt", SMALL_LIST);
        scratch.write("conversions.txt", SMALL_CONVERSIONS);
        scratch
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.file(name), content).unwrap();
        self.file(name)
    }

    pub fn read(&self, name: &str) -> String {
        text(fs::read(self.file(name)).unwrap())
    }

    /// The sorted names of everything in the folder.
    pub fn names(&self) -> Vec<String> {
        self.names_in(".")
    }

    /// The sorted names of everything in a folder of the scratch folder.
    pub fn names_in(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.file(folder)).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// `adseg` with these arguments, split at white space, ready for assertions.
    pub fn adseg(&self, args: &str) -> assert_cmd::Command {
        assert_cmd::Command::from_std(self.command(args))
    }

    /// The same with all three streams piped, for tests that replace a stream or write while `adseg` runs.
    pub fn piped(&self, args: &str) -> Command {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn command(&self, args: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_adseg"));
        command.current_dir(self.path()).args(args.split_whitespace());
        command
    }

    /// Runs `adseg` with an empty standard input.
    pub fn run(&self, args: &str) -> CommandOutput {
        self.run_with(args, "")
    }

    /// Runs `adseg` with this standard input.
    pub fn run_with(&self, args: &str, stdin: impl Into<Vec<u8>>) -> CommandOutput {
        self.adseg(args).write_stdin(stdin).output().unwrap().into()
    }

    /// A shell script that finds `adseg` on its path.
    pub fn sh(&self, script: &str) -> Command {
        let folder = Path::new(env!("CARGO_BIN_EXE_adseg")).parent().unwrap();
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).current_dir(self.path()).env("PATH", path);
        command
    }
}

/// The subcommands in the list that `adseg --help` prints, without `help`. A test that has cases for each of them fails
/// for a new one.
pub fn subcommands() -> Vec<String> {
    let help = Scratch::new().run("--help").stdout;
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = list.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// The output and the exit code of a process.
#[derive(Debug, PartialEq, Eq)]
pub struct CommandOutput {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for CommandOutput {
    fn from(output: Output) -> Self {
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

pub fn text(bytes: impl Into<Vec<u8>>) -> String {
    String::from_utf8(bytes.into()).unwrap()
}

/// A standard output, or a file, that fails every write because the disk is full.
#[cfg(target_os = "linux")]
pub fn full_disk() -> fs::File {
    fs::OpenOptions::new().write(true).open("/dev/full").unwrap()
}

/// `payload` preceded by its length, as in a framed stream.
pub fn frame(payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let len = u32::try_from(payload.len()).unwrap();
    [&len.to_be_bytes(), payload].concat()
}

/// How many cases a random test tries: `ADSEG_CASES`, or else this default.
pub fn cases(default: u32) -> u32 {
    from_env("ADSEG_CASES", default)
}

/// How many runs a test makes that repeats a run: `ADSEG_RUNS`, or else this default.
pub fn runs(default: usize) -> usize {
    from_env("ADSEG_RUNS", default)
}

fn from_env<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Fails with a diff unless both are the same bytes.
#[track_caller]
pub fn assert_same(actual: impl AsRef<[u8]>, expected: impl AsRef<[u8]>, context: &str) {
    let (actual, expected) = (actual.as_ref(), expected.as_ref());
    assert!(actual == expected, "{context}\n{}", diff(expected, actual));
}

/// The lines that differ, without the common lines before and after them.
pub fn diff(expected: &[u8], actual: &[u8]) -> String {
    const SHOWN: usize = 20;
    let lines = |bytes: &[u8]| -> Vec<String> {
        let lines = bytes.split_inclusive(|&byte| byte == b'\n');
        lines.map(|line| format!("{:?}", String::from_utf8_lossy(line))).collect()
    };
    let (expected, actual) = (lines(expected), lines(actual));
    let before = expected.iter().zip(&actual).take_while(|(expected, actual)| expected == actual).count();
    let (expected, actual) = (&expected[before..], &actual[before..]);
    let after =
        expected.iter().rev().zip(actual.iter().rev()).take_while(|(expected, actual)| expected == actual).count();
    let mut diff = format!("lines {} and following differ (- expected, + actual):\n", before + 1);
    for (sign, lines) in [('-', &expected[..expected.len() - after]), ('+', &actual[..actual.len() - after])] {
        lines.iter().take(SHOWN).for_each(|line| diff += &format!("{sign} {line}\n"));
        if lines.len() > SHOWN {
            diff += &format!("{sign} and {} more lines\n", lines.len() - SHOWN);
        }
    }
    diff
}
