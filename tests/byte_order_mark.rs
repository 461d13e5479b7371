//! A byte-order mark is skipped at the very start of an input and nowhere else, however the bytes arrive.

mod common;

use std::io::Write;
use std::thread;
use std::time::Duration;

use common::{CommandOutput, Scratch, frame};
use flate2::Compression;
use flate2::write::GzEncoder;

const MARK: &str = "\u{feff}";
const CLICK: &str = "Hoodie, ClickConversion, kim@example.com, Web\n";
const TABLE: &str = "promo,conversion,email,where\nHoodie,ClickConversion,kim@example.com,Web\n";

/// The decision for [`CLICK`] with this promo, which is JSON.
fn decision(promo: &str) -> String {
    format!(
        r#"{{"promo":"{promo}","conversion":"ClickConversion","email":"kim@example.com","where":"Web","items":null,"total_cost":null,"send":true,"enrolled":false}}"#
    ) + "\n"
}

/// Runs adseg on a file, and on a pipe that delivers one byte at a time. Both must give the same result.
#[track_caller]
fn run(scratch: &Scratch, input: &[u8], format: &str) -> CommandOutput {
    let args = format!("run --loyalty loyalty.txt --conversions-format {format} --output-format jsonl --conversions");
    scratch.write("in", input);
    let from_file = scratch.run(&format!("{args} in"));
    let mut child = scratch.piped(&format!("{args} -")).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for byte in input {
        // A run that failed has closed the pipe.
        if stdin.write_all(&[*byte]).is_err() {
            break;
        }
        thread::sleep(Duration::from_micros(100));
    }
    drop(stdin);
    let mut from_pipe: CommandOutput = child.wait_with_output().unwrap().into();
    from_pipe.stderr = from_pipe.stderr.replace("adseg: stdin", "adseg: in");
    assert_eq!(from_file, from_pipe, "{format}: {:?}", String::from_utf8_lossy(input));
    from_file
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// `bytes` uncompressed, as gzip, and as zstd.
fn compressions(bytes: &[u8]) -> [Vec<u8>; 3] {
    [bytes.to_vec(), gzip(bytes), zstd::encode_all(bytes, 0).unwrap()]
}

#[test]
fn only_the_first_byte_order_mark_of_text_is_skipped() {
    let scratch = Scratch::small_campaign();
    for (prefix, promo) in [
        (String::new(), "Hoodie"),
        (MARK.to_owned(), "Hoodie"),
        (format!("{MARK}\n \r\n"), "Hoodie"),
        (MARK.repeat(2), r"\ufeffHoodie"),
        (format!("\n{MARK}"), r"\ufeffHoodie"),
        (format!("{MARK}\n{MARK}"), r"\ufeffHoodie"),
        (format!(" {MARK}"), r"\ufeffHoodie"),
    ] {
        for input in compressions(format!("{prefix}{CLICK}{MARK}{CLICK}").as_bytes()) {
            for format in ["auto", "text"] {
                let output = run(&scratch, &input, format);
                assert_eq!(output.stdout, decision(promo) + &decision(r"\ufeffHoodie"), "{prefix:?}: {output:?}");
            }
        }
    }
}

#[test]
fn only_the_first_byte_order_mark_of_csv_is_skipped() {
    let scratch = Scratch::small_campaign();
    for (prefix, is_header) in [
        (String::new(), true),
        (MARK.to_owned(), true),
        (format!("{MARK}\n \r\n"), true),
        (MARK.repeat(2), false),
        (format!("\n{MARK}"), false),
        (format!("\r{MARK}"), false),
        (format!("{MARK}\n{MARK}"), false),
    ] {
        for input in compressions(format!("{prefix}{TABLE}").as_bytes()) {
            let output = run(&scratch, &input, "csv");
            if is_header {
                assert_eq!(output.stdout, decision("Hoodie"), "{prefix:?}: {output:?}");
            } else {
                let error = r#"a byte-order mark is in the name of the column "\u{feff}promo"; remove it"#;
                assert!(output.code == Some(1) && output.stderr.contains(error), "{prefix:?}: {output:?}");
            }
        }
    }
}

#[test]
fn byte_order_mark_inside_a_frame_is_part_of_it() {
    let scratch = Scratch::small_campaign();
    let frames = |prefix: &str| frame(format!("{prefix}{}", CLICK.trim_end()));
    for input in compressions(&[frames(MARK), frames("")].concat()) {
        for format in ["auto", "framed"] {
            let output = run(&scratch, &input, format);
            assert_eq!(output.stdout, decision(r"\ufeffHoodie") + &decision("Hoodie"), "{output:?}");
        }
    }
    // A byte-order mark before frames is the length of a frame, or the beginning of text if the format is detected.
    for input in compressions(&[MARK.as_bytes(), &frames("")].concat()) {
        let output = run(&scratch, &input, "framed");
        assert!(output.code == Some(1) && output.stdout.is_empty(), "{output:?}");
        assert_eq!(run(&scratch, &input, "auto").stdout, decision(r"\u0000\u0000\u0000-Hoodie"));
    }
}

#[test]
fn incomplete_byte_order_mark_is_part_of_the_first_record() {
    let scratch = Scratch::small_campaign();
    for len in [1, 2] {
        for input in compressions(&[&MARK.as_bytes()[..len], CLICK.as_bytes()].concat()) {
            assert_eq!(run(&scratch, &input, "auto").stdout, decision("\u{fffd}Hoodie"));
        }
        for input in compressions(&[&MARK.as_bytes()[..len], TABLE.as_bytes()].concat()) {
            let output = run(&scratch, &input, "csv");
            assert_eq!(output.stdout, decision(""), "the first column has another name: {output:?}");
        }
        assert_eq!(run(&scratch, &MARK.as_bytes()[..len], "auto").code, Some(1));
    }
    for input in compressions(MARK.as_bytes()) {
        for format in ["auto", "text", "csv"] {
            let output = run(&scratch, &input, format);
            assert_eq!((output.code, &*output.stdout), (Some(0), ""), "{format}: {output:?}");
        }
    }
}

#[test]
fn byte_order_mark_is_skipped_once_per_file() {
    let scratch = Scratch::small_campaign();
    let marked = format!("{MARK}{CLICK}");
    scratch.write("first", &marked);
    scratch.write("second", &marked);
    let output = scratch.run("run --loyalty loyalty.txt --output-format jsonl --conversions first second");
    assert_eq!(output.stdout, decision("Hoodie").repeat(2), "{output:?}");
    let members = [gzip(marked.as_bytes()), gzip(marked.as_bytes())].concat();
    assert_eq!(run(&scratch, &members, "auto").stdout, decision("Hoodie") + &decision(r"\ufeffHoodie"));
}
