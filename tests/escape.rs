//! The exact escapes of untrusted names in messages and JSON. `hostile_text.rs` tests every output of every subcommand.

mod common;

use common::{RUN, Scratch};
use predicates::prelude::*;
use predicates::str::contains;

const CLICK: &str = "P\u{202e}\u{9b}31m, ClickConversion, kim@example.com, Web\u{200b}\u{e0041}\n";

fn scratch() -> Scratch {
    let scratch = Scratch::small_campaign();
    scratch.write("conversions.txt", CLICK);
    scratch
}

#[cfg(unix)]
#[test]
fn a_path_cannot_reverse_an_error_message() {
    let message = r"adseg: \u{202e}txt.evil\n: ";
    let args = ["run", "--loyalty", "loyalty.txt", "--conversions", "\u{202e}txt.evil\n"];
    scratch().adseg("").args(args).assert().code(1).stderr(contains(message));
}

#[cfg(unix)]
#[test]
fn json_names_a_file_as_a_program_can_open_it() {
    let scratch = Scratch::small_campaign();
    scratch.write("c\u{202e}.txt", "bad\n");
    let args = ["--conversions", "c\u{202e}.txt"];
    let skip = "run --loyalty loyalty.txt --on-error skip --rejects rejects";
    scratch.adseg(skip).args(args).assert().success();
    assert!(scratch.read("rejects/errors.jsonl").starts_with(r#"{"file":"c\u202e.txt","line":1,"#));
    let check = scratch.adseg("check --loyalty loyalty.txt --format jsonl").args(args).assert().code(1);
    check.stdout(contains(r#"{"kind":"bad_record","file":"c\u202e.txt","line":1,"#));
}

#[cfg(unix)]
#[test]
fn order_check_json_lines_name_files_alike() {
    let scratch = Scratch::small_campaign();
    scratch.write("c\u{202e}.txt", "P, PurchaseConversion, new@example.com, [6], 9\n");
    scratch.write("conversions.txt", "P, ClickConversion, new@example.com, w\n");
    let check = "order-check --loyalty loyalty.txt --format jsonl";
    let check = scratch.adseg(check).args(["--conversions", "conversions.txt", "c\u{202e}.txt"]).assert().code(1);
    check.stdout(contains(r#""bought":{"file":"c\u202e.txt""#).and(contains(r#""bought_in":"c\u202e.txt""#)));
}

#[test]
fn json_lines_of_run_escape_misleading_characters() {
    let json = r#"{"promo":"P\u202e\u009b31m","#.to_owned();
    let channel = r#""where":"Web\u200b\udb40\udc41""#;
    scratch()
        .adseg(&format!("{RUN} --output-format jsonl"))
        .assert()
        .success()
        .stdout(contains(json).and(contains(channel)));
}
