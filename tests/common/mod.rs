//! What the tests share: a scratch folder, the command under test, the serial model, and the engine in a
//! form that can be held against it.

#![allow(dead_code, reason = "not every test uses all of it")]

pub mod model;
pub mod replay;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A folder of its own for one test, with the few words that most tests are written in.
pub struct Scratch(tempfile::TempDir);

impl Scratch {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
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
        String::from_utf8(fs::read(self.file(name)).unwrap()).unwrap()
    }

    /// The names of everything in the folder, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// `adseg`, to be run in this folder with these arguments, which are split at white space.
    pub fn adseg(&self, args: &str) -> assert_cmd::Command {
        let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_adseg"));
        command.current_dir(self.path()).args(args.split_whitespace());
        command
    }

    /// The same with all streams piped, for tests that talk to it while it runs.
    pub fn piped(&self, args: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_adseg"));
        command.current_dir(self.path()).args(args.split_whitespace());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A loyalty list with one member, and conversions with a click of hers and one of a stranger.
    pub fn small_campaign() -> Self {
        let scratch = Self::new();
        scratch.write("loyalty.txt", "kim@example.com, kim, kim, F\n");
        scratch.write("conversions.txt", SMALL_CONVERSIONS);
        scratch
    }
}

/// How many runs a test that loops over faults makes: as many as `ADSEG_RUNS` says, or a `few`.
pub fn runs(few: usize) -> usize {
    std::env::var("ADSEG_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(few)
}

/// The conversions of [`Scratch::small_campaign`].
pub const SMALL_CONVERSIONS: &str = "\
Hoodie, ClickConversion, kim@example.com, Instagram
Hoodie, ClickConversion, lee@example.com, Facebook
";

/// What is answered to [`SMALL_CONVERSIONS`].
pub const SMALL_ANSWERS: &str = "\
Send additional promo code to: kim@example.com, True
Send additional promo code to: lee@example.com, False
";

/// The usual command.
pub const RUN: &str = "run --loyalty loyalty.txt --conversions conversions.txt";

/// `payload` behind the header that a framed stream has.
pub fn frame(payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(payload);
    frame
}
