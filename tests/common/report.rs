//! Shared by the tests of `adseg report`: campaigns and their reports.

use serde_json::Value;

use super::{CommandOutput, Scratch};

pub const REPORT: &str = "report --loyalty loyalty.txt --conversions conversions.txt";

pub fn json(scratch: &Scratch, numbers: &str) -> Value {
    let CommandOutput { code, stdout, stderr } = scratch.run(&format!("{REPORT} --format json {numbers}"));
    assert_eq!(code, Some(0), "{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

pub fn generated_campaign() -> Scratch {
    let scratch = Scratch::new();
    let generate = "generate --loyalty loyalty.txt --conversions conversions.txt --members 300 --events 9000";
    scratch.adseg(generate).assert().success();
    scratch
}
