//! The saved list: its format, its columns, and that the next run reads the same members from it.

mod common;

use std::fs;

use common::{RUN, SMALL_CONVERSIONS, SMALL_DECISIONS, SMALL_LIST, Scratch, frame};
use predicates::str::contains;

#[test]
fn replacing_a_list_keeps_its_bad_rows() {
    let scratch = Scratch::small_campaign();
    let list = scratch.read("loyalty.txt") + "short, row\n";
    scratch.write("loyalty.txt", &list);
    let save = format!("{RUN} --on-error skip --save-loyalty loyalty.txt");
    scratch.adseg(&save).assert().code(2).stderr(contains("keep them with --rejects DIR"));
    assert_eq!(scratch.read("loyalty.txt"), list);
    scratch.adseg(&format!("{save} --rejects rejects")).assert().success();
    assert_eq!(scratch.read("loyalty.txt") + &scratch.read("rejects/loyalty.txt"), list);
}

#[test]
fn saved_list_has_the_format_of_the_list_that_it_replaces() {
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let buyer = "Hoodie, PurchaseConversion, lee@example.com, [6], 9\n";
    for (name, list, saved) in [
        (
            "list.csv",
            b"Gender;E-Mail\nF;kim@example.com\n".to_vec(),
            "Gender;E-Mail\nF;kim@example.com\n;lee@example.com\n",
        ),
        ("list.tsv", b"email\nkim@example.com\n".to_vec(), "email\nkim@example.com\nlee@example.com\n"),
        (
            "list.jsonl",
            b"{\"email\":\"kim@example.com\",\"gender\":\"F\"}\n".to_vec(),
            "{\"email\":\"kim@example.com\",\"fb_user\":\"\",\"insta_user\":\"\",\"gender\":\"F\"}\n\
             {\"email\":\"lee@example.com\",\"fb_user\":\"\",\"insta_user\":\"\",\"gender\":\"\"}\n",
        ),
        ("list.frames", frame("kim@example.com, , , F"), "\0\0\0\x13kim@example.com,,,F\0\0\0\x12lee@example.com,,,"),
        ("list.gz", gzip(SMALL_LIST), "kim@example.com, kim, kim, F\nlee@example.com, , , \n"),
    ] {
        let scratch = Scratch::small_campaign();
        scratch.write(name, list);
        scratch.write("conversions.txt", buyer);
        let args = format!("run -q --loyalty {name} --conversions conversions.txt --save-loyalty ./{name}");
        for _ in 0..2 {
            scratch.adseg(&args).assert().success().stderr("");
            let bytes = fs::read(scratch.file(name)).unwrap();
            let mut text = String::new();
            if name.ends_with(".gz") {
                std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*bytes), &mut text).unwrap();
            } else {
                text = String::from_utf8(bytes).unwrap();
            }
            assert_eq!(text, saved, "{name}");
        }
    }
}

#[test]
fn saved_list_has_the_columns_of_the_list_that_it_replaces() {
    let scratch = Scratch::small_campaign();
    scratch.write("a.csv", "email;gender\nlee@example.com;M\n");
    scratch.write("b.csv", "email,fb_user,gender\nkim@example.com,kim.fb,F\n");
    let run = "run --loyalty a.csv b.csv --conversions conversions.txt --save-loyalty";
    scratch.adseg(&format!("{run} b.csv")).assert().success();
    assert_eq!(scratch.read("b.csv"), "email,fb_user,gender\nlee@example.com,,M\nkim@example.com,kim.fb,F\n");
    let other_format = scratch.adseg(&format!("{run} b.csv --save-format jsonl")).assert().code(2);
    other_format.stderr(contains("a list that is replaced keeps its format"));
}

#[test]
fn list_with_other_columns_is_not_replaced() {
    for (list, message) in [
        ("email,city\nkim@example.com,Bern\n", "list:1: invalid header row: the column \"city\" would be lost"),
        ("{\"email\":\"kim@example.com\",\"city\":\"Bern\"}\n", "list:1: the key \"city\" would be lost"),
    ] {
        let scratch = Scratch::small_campaign();
        scratch.write("list", list);
        let run = "run --loyalty list --conversions conversions.txt --save-loyalty";
        scratch.adseg(&format!("{run} list")).assert().code(1).stderr(contains(message));
        assert_eq!(scratch.read("list"), list);
        scratch.adseg(&format!("{run} other")).assert().success();
        assert!(scratch.read("other").contains("kim@example.com"));
    }
}

#[test]
fn saved_list_can_be_read_under_the_same_limit() {
    let scratch = Scratch::new();
    scratch.write("loyalty.txt", "a@x,b,c,F\n");
    scratch.write("conversions.txt", "");
    for _ in 0..2 {
        scratch.adseg(&format!("{RUN} --max-record-bytes 9 --save-loyalty loyalty.txt")).assert().success();
        assert_eq!(scratch.read("loyalty.txt"), "a@x,b,c,F\n");
    }
}

#[test]
fn saving_a_list_twice_changes_nothing() {
    let scratch = Scratch::new();
    scratch.write("conversions.txt", "");
    scratch.write("loyalty.csv", "email,fb_user,insta_user,gender\nb@x,\"Kim,\",\", the\n\",F\n");
    scratch.write("loyalty.frames", frame(b"\x28\xb5\x2f\xfd@x, a\nb, , F"));
    scratch.write("marked.txt", "\u{feff}\u{feff}kim@example.com, , , F\n");
    for (list, saved) in [
        ("loyalty.csv --loyalty-format csv", &b"b@x, Kim, the, F\n"[..]),
        ("loyalty.frames", b"\xef\xbb\xbf\x28\xb5\x2f\xfd@x, a b, , F\n"),
        // The second byte-order mark is part of the email.
        ("marked.txt", "\u{feff}\u{feff}kim@example.com, , , F\n".as_bytes()),
    ] {
        for list in [list, "saved.txt"] {
            let inputs = format!("--loyalty {list} --conversions conversions.txt");
            // A list that is replaced keeps its format.
            let format = if list == "saved.txt" { "" } else { "--save-format text" };
            let args = format!("run {inputs} {format} --save-loyalty saved.txt");
            scratch.adseg(&args).assert().success();
            assert_eq!(fs::read(scratch.file("saved.txt")).unwrap(), saved);
        }
        fs::remove_file(scratch.file("saved.txt")).unwrap();
    }
}

#[test]
fn saved_list_is_the_input_of_the_next_run() {
    let scratch = Scratch::small_campaign();
    scratch.write("conversions.txt", format!("{SMALL_CONVERSIONS}Hoodie, PurchaseConversion, lee@example.com, [6], 9"));
    let save = format!("{RUN} --save-loyalty loyalty.txt");
    scratch.adseg(&save).assert().success();
    let list = format!("{SMALL_LIST}lee@example.com, , , \n");
    assert_eq!(scratch.read("loyalty.txt"), list);
    scratch.write("conversions.txt", SMALL_CONVERSIONS);
    scratch.adseg(&save).assert().success().stdout(SMALL_DECISIONS.replace("False", "True"));
    assert_eq!(scratch.read("loyalty.txt"), list, "a list without new members stays the same");
}
