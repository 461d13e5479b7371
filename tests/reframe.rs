//! `adseg frame` and `adseg unframe`: nothing changes on the way there and back, and nothing is lost.

mod common;

use common::{RUN, SMALL_ANSWERS, SMALL_CONVERSIONS, Scratch, frame};
use predicates::str::{contains, is_empty};
use proptest::prelude::*;

fn given(args: &str, stdin: impl Into<Vec<u8>>) -> Vec<u8> {
    let assert = Scratch::new().adseg(args).write_stdin(stdin).assert().success().stderr(is_empty());
    assert.get_output().stdout.clone()
}

/// A line that is not blank, without its line feed.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop::collection::vec(any::<u8>().prop_filter("one line", |byte| *byte != b'\n'), 1..60);
    bytes.prop_filter("not blank", |line| !line.iter().all(|byte| b" \t\x0b\x0c\r".contains(byte)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn frame_then_unframe_is_the_identity_on_any_text_with_non_blank_lines(lines in prop::collection::vec(line(), 0..30)) {
        let mut text = lines.join(&b'\n');
        prop_assume!(!text.starts_with(b"\xef\xbb\xbf"));
        if !lines.is_empty() {
            text.push(b'\n');
        }
        // What looks packed is unpacked.
        prop_assume!(!text.starts_with(b"\x1f\x8b") && !text.starts_with(b"\x28\xb5\x2f\xfd"));
        prop_assume!(text.get(1..4) != Some(b"\x2a\x4d\x18"));
        // And what looks like frames or UTF-16 comes back with a mark that says that it is text.
        prop_assume!(!text.starts_with(b"\0") && !text.starts_with(b"\xff\xfe") && !text.starts_with(b"\xfe\xff"));
        let frames = given("frame", text.clone());
        prop_assert_eq!(&frames, &lines.iter().flat_map(frame).collect::<Vec<u8>>());
        prop_assert_eq!(given("unframe", frames), text);
    }
}

#[test]
fn blank_lines_and_a_byte_order_mark_are_no_records() {
    assert_eq!(given("frame", "\u{feff}a\n\n \t\nb"), [frame("a"), frame("b")].concat());
}

#[test]
fn a_first_frame_that_would_be_taken_for_no_text_comes_back_as_it_was() {
    for first in
        [&b"\xef\xbb\xbfabc"[..], b"\x1f\x8babc", b"\x28\xb5\x2f\xfdabc", b"\0abc", b"\xff\xfea\0bc", b"\xfe\xff\0abc"]
    {
        let frames = [frame(first), frame("next")].concat();
        assert_eq!(given("frame", given("unframe", frames.clone())), frames, "{first:?}");
    }
}

#[test]
fn a_first_frame_that_would_be_taken_for_no_text_is_answered_as_a_line_too() {
    let scratch = Scratch::small_campaign();
    for first in [&b"\xef\xbb\xbf"[..], b"\x28\xb5\x2f\xfd", b"\0", b"\xff\xfea\0", b"\xfe\xff\0"] {
        let event = [first, b", ClickConversion, kim@example.com, Web"].concat();
        scratch.write("conversions.txt", given("unframe", frame(&event)));
        let assert = scratch.adseg(RUN).assert().success();
        assert.stdout("Send additional promo code to: kim@example.com, True\n");
    }
}

#[test]
fn framed_conversions_are_answered_like_their_lines() {
    let scratch = Scratch::small_campaign();
    scratch.adseg("frame conversions.txt -o conversions.frames").assert().success().stdout("");
    let run = "run --loyalty loyalty.txt --conversions conversions.frames";
    scratch.adseg(run).assert().success().stdout(SMALL_ANSWERS);
    let framed = scratch.adseg(&format!("{run} --output-format framed")).output().unwrap().stdout;
    assert_eq!(given("unframe", framed), SMALL_ANSWERS.as_bytes());
    scratch.adseg("unframe conversions.frames").assert().success().stdout(SMALL_CONVERSIONS);
}

#[test]
fn a_frame_that_cannot_be_a_line_is_an_error_behind_everything_before_it() {
    for (payload, told) in [
        ("two\nlines", "adseg: stdin: record 2 at byte 6: the frame holds a line feed, so it cannot be one line\n"),
        ("", "adseg: stdin: record 2 at byte 6: the frame holds nothing but white space"),
        ("1234567890", "adseg: stdin: record 2 at byte 6: the record is longer than 9 bytes"),
    ] {
        let frames = [frame("ok"), frame(payload), frame("later")].concat();
        let assert = Scratch::new().adseg("unframe --max-record-bytes 9").write_stdin(frames).assert();
        assert.code(1).stdout("ok\n").stderr(contains(told));
    }
}

#[test]
fn a_line_beyond_the_limit_is_an_error_that_leaves_no_file() {
    let scratch = Scratch::new();
    scratch.write("a.txt", "ok\n");
    scratch.write("b.txt", format!("ok\n\n{}\n", "x".repeat(5_000_000)));
    let assert = scratch.adseg("frame a.txt b.txt -o out").assert().code(1);
    assert.stderr("adseg: b.txt:3: the record is longer than 1048576 bytes (--max-record-bytes sets the limit)\n");
    assert_eq!(scratch.names(), ["a.txt", "b.txt"]);
    scratch.adseg("frame a.txt -o a.txt").assert().code(2).stderr(contains("written over a.txt"));
}

#[test]
fn a_stream_that_is_cut_short_is_an_error() {
    let cut = &[frame("ok"), frame("cut")].concat()[..10];
    let assert = Scratch::new().adseg("unframe").write_stdin(cut).assert().code(1).stdout("ok\n");
    assert.stderr(contains("stdin: record 2 at byte 6: the input ends inside this frame"));
}
