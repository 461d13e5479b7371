//! `adseg frame` and `adseg unframe` change no record and lose none.

mod common;

use common::{RUN, SMALL_CONVERSIONS, SMALL_DECISIONS, Scratch, cases, frame};
use predicates::str::{contains, is_empty};
use proptest::prelude::*;

fn reframed(args: &str, stdin: impl Into<Vec<u8>>) -> Vec<u8> {
    let assert = Scratch::new().adseg(args).write_stdin(stdin).assert().success().stderr(is_empty());
    assert.get_output().stdout.clone()
}

/// A line that is not blank, without its line feed.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop::collection::vec(any::<u8>().prop_filter("one line", |byte| *byte != b'\n'), 1..60);
    bytes.prop_filter("not blank", |line| !line.iter().all(|byte| b" \t\x0b\x0c\r".contains(byte)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(40)))]

    #[test]
    fn unframe_reverses_frame(lines in prop::collection::vec(line(), 0..30)) {
        let mut text = lines.join(&b'\n');
        prop_assume!(!text.starts_with(b"\xef\xbb\xbf"));
        if !lines.is_empty() {
            text.push(b'\n');
        }
        // This would be read as compressed.
        prop_assume!(!text.starts_with(b"\x1f\x8b") && !text.starts_with(b"\x28\xb5\x2f\xfd"));
        prop_assume!(text.get(1..4) != Some(b"\x2a\x4d\x18"));
        // And this would be read as frames or UTF-16, so `unframe` adds a byte-order mark.
        prop_assume!(!text.starts_with(b"\0") && !text.starts_with(b"\xff\xfe") && !text.starts_with(b"\xfe\xff"));
        let frames = reframed("frame", text.clone());
        prop_assert_eq!(&frames, &lines.iter().flat_map(frame).collect::<Vec<u8>>());
        prop_assert_eq!(reframed("unframe", frames), text);
    }
}

#[test]
fn blank_lines_and_byte_order_mark_are_not_records() {
    assert_eq!(reframed("frame", "\u{feff}a\n\n \t\nb"), [frame("a"), frame("b")].concat());
}

#[test]
fn binary_first_frame_survives_a_round_trip() {
    for first in
        [&b"\xef\xbb\xbfabc"[..], b"\x1f\x8babc", b"\x28\xb5\x2f\xfdabc", b"\0abc", b"\xff\xfea\0bc", b"\xfe\xff\0abc"]
    {
        let frames = [frame(first), frame("next")].concat();
        assert_eq!(reframed("frame", reframed("unframe", frames.clone())), frames, "{first:?}");
    }
}

#[test]
fn binary_first_frame_is_decided_as_a_line() {
    let scratch = Scratch::small_campaign();
    for first in [&b"\xef\xbb\xbf"[..], b"\x28\xb5\x2f\xfd", b"\0", b"\xff\xfea\0", b"\xfe\xff\0"] {
        let event = [first, b", ClickConversion, kim@example.com, Web"].concat();
        scratch.write("conversions.txt", reframed("unframe", frame(&event)));
        let assert = scratch.adseg(RUN).assert().success();
        assert.stdout("Send additional promo code to: kim@example.com, True\n");
    }
}

#[test]
fn framed_conversions_get_the_same_decisions() {
    let scratch = Scratch::small_campaign();
    scratch.adseg("frame conversions.txt -o conversions.frames").assert().success().stdout("");
    let run = "run --loyalty loyalty.txt --conversions conversions.frames";
    scratch.adseg(run).assert().success().stdout(SMALL_DECISIONS);
    let framed = scratch.adseg(&format!("{run} --output-format framed")).output().unwrap().stdout;
    assert_eq!(reframed("unframe", framed), SMALL_DECISIONS.as_bytes());
    scratch.adseg("unframe conversions.frames").assert().success().stdout(SMALL_CONVERSIONS);
}

#[test]
fn invalid_frame_is_an_error_after_the_valid_ones() {
    let whole = |payload: &str| [frame("ok"), frame(payload), frame("later")].concat();
    for (stream, message) in [
        (whole("two\nlines"), "the frame contains a line feed, so it cannot be a line\n"),
        (whole(""), "the frame contains only white space"),
        (whole("1234567890"), "the record is longer than 9 bytes"),
        ([frame("ok"), frame("cut")].concat()[..10].to_vec(), "the input ends inside this frame"),
    ] {
        let assert = Scratch::new().adseg("unframe --max-record-bytes 9").write_stdin(stream).assert().code(1);
        assert.stdout("ok\n").stderr(contains(format!("adseg: stdin: record 2 at byte 6: {message}")));
    }
}

#[test]
fn oversized_line_is_an_error_and_leaves_no_file() {
    let scratch = Scratch::new();
    scratch.write("a.txt", "ok\n");
    scratch.write("b.txt", format!("ok\n\n{}\n", "x".repeat(5_000_000)));
    let assert = scratch.adseg("frame a.txt b.txt -o out").assert().code(1);
    assert.stderr("adseg: b.txt:3: the record is longer than 1048576 bytes (--max-record-bytes sets the limit)\n");
    assert_eq!(scratch.names(), ["a.txt", "b.txt"]);
    scratch.adseg("frame a.txt -o a.txt").assert().code(2).stderr(contains("overwrite a.txt"));
}

#[test]
fn framing_a_framed_stream_again_is_an_error() {
    let scratch = Scratch::small_campaign();
    let frames = scratch.adseg("frame conversions.txt").output().unwrap().stdout;
    let assert = scratch.adseg("frame").write_stdin(frames).assert().code(1).stdout("");
    assert.stderr("adseg: stdin:1: the input is already framed (adseg unframe converts it to lines)\n");
}
