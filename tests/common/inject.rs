//! The library of `tests/inject/inject.c`, which makes one system call of a command fail, or runs a shell command at it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{CommandOutput, Scratch};

const TIME_LIMIT: Duration = Duration::from_secs(20);

/// Compiles the library, once for each test, because tests run at the same time.
pub fn library(name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inject/inject.c");
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mut cc = Command::new("cc");
    cc.args(["-Wall", "-Werror", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl");
    assert!(cc.status().unwrap().success());
    library
}

/// Runs a command with these variables for the library. Returns its output, and whether it reached the call.
pub fn run_with_library(
    scratch: &Scratch,
    (args, stdin): (&str, &str),
    library: &Path,
    variables: &[(&str, &str)],
) -> (CommandOutput, bool) {
    let log = tempfile::tempdir().unwrap();
    let log = log.path().join("failed");
    let mut command = scratch.adseg(args);
    command.env("LD_PRELOAD", library).env("INJECT_FOLDER", scratch.path()).env("INJECT_LOG", &log);
    let output = command.envs(variables.iter().copied()).write_stdin(stdin).timeout(TIME_LIMIT).output().unwrap();
    (output.into(), log.exists())
}
