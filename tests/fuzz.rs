//! Bytes of any kind, and what must hold for all of them: the fuzz targets.
//!
//! Each target takes raw bytes. Under `cargo test` it is given the seeds in `tests/__fuzz__/`, and then random bytes for a
//! moment; `CONTRIBUTING.md` says how to hunt on for longer, and what was found. Random bytes alone rarely make a record,
//! so every target sees its bytes twice: as they are, and spelled with
//! the words that records are made of.

mod common;

use std::num::{NonZeroU32, NonZeroUsize};

use adseg::engine::Settings;
use adseg::record::{Decoder, Expected, Layout, Record};
use adseg::source::{BYTE_ORDER_MARK, Framing, ReaderSettings, looks_packed};
use bolero::check;
use common::model::{Meaning, ModelInput, Told, decode_record, run};
use common::replay::{engine, visible};

/// What a byte from 0x80 to 0x9f stands for in bytes that are spelled.
const WORDS: [&[u8]; 32] = [
    b"a@x",
    b"b@x",
    b"a@x, a, a, F\n",
    b"\nP,ClickConversion,a@x,w\n",
    b"\nP,BasketConversion,b@x,[6;14]\n",
    b"\nP,PurchaseConversion,b@x,[6],18.64\n",
    b"ClickConversion",
    b"BasketConversion",
    b"PurchaseConversion",
    b"[6;14]",
    b"[]",
    b"18.64",
    b"-.5",
    b"1e3",
    b"\r\n",
    b"\r",
    b"\n\n",
    b",",
    b", ,",
    b" \t\x0b\x0c",
    b"\"",
    b"\"\"",
    b"\",\"",
    b"\0\0\0\x05a,b,c",
    b"\0\0\0\x00",
    b"\0\0\0\x09a@x,,,F,G",
    b"\0\0\0\x16P,ClickConversion,a@x,",
    b"\xff\xff\xff\xff",
    b"\xef\xbb\xbf",
    b"0123456789012345678901234567890123456789",
    b"\x7f",
    b"True\n",
];

/// `bytes` with a word in the place of some of them.
fn spelled(bytes: &[u8]) -> Vec<u8> {
    let spell = |&byte: &u8| match byte {
        0x80..=0x9f => WORDS[usize::from(byte) - 0x80].to_vec(),
        _ => vec![byte],
    };
    bytes.iter().flat_map(spell).collect()
}

/// Holds `property` to bytes as they come and to what they spell.
fn for_any_bytes(bytes: &[u8], property: impl Fn(&[u8])) {
    property(bytes);
    property(&spelled(bytes));
}

/// The longest record in these targets, in bytes.
const LIMIT: usize = 60;

/// Settings and turns that the first bytes choose, and the bytes that are left.
fn settings(bytes: &[u8]) -> (Settings, Vec<(usize, bool)>, &[u8]) {
    let (chosen, rest) = bytes.split_at(bytes.len().min(5));
    let choose = |index: usize, from: &[usize]| from[usize::from(chosen.get(index).copied().unwrap_or(0)) % from.len()];
    let settings = Settings {
        partitions: NonZeroU32::new(choose(0, &[10, 1, 3, 100]) as u32).unwrap(),
        threads: NonZeroUsize::new(choose(0, &[2, 1]).max(1)).unwrap(),
        reader: ReaderSettings {
            block_bytes: choose(1, &[1, 5, 16, 64, 300, 4096]),
            max_record_bytes: LIMIT,
            reads_on_after_damage: false,
        },
        slice_bytes: choose(2, &[1, 7, 50, 400]),
        max_rejects: choose(3, &[usize::MAX, 0, 2]) as u64,
    };
    let turns = vec![(choose(4, &[1, 3, 17, 1000]), true), (choose(4, &[2, 5, 100]), false)];
    (settings, turns, rest)
}

/// Whether an input that begins like this is taken for something else than text and frames.
fn is_something_else(bytes: &[u8]) -> bool {
    looks_packed(bytes) || bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff")
}

/// The engine tells of these inputs what the model tells of them.
fn agree(inputs: &[ModelInput], settings: &Settings, turns: &[(usize, bool)]) {
    if inputs.iter().any(|input| is_something_else(&input.bytes)) {
        return;
    }
    let expected = visible(run(inputs, settings.reader.max_record_bytes, settings.max_rejects));
    let told = visible(engine(inputs, settings, turns));
    assert!(told == expected, "{settings:?}\n{inputs:?}\ntold: {told:?}\nexpected: {expected:?}");
}

/// Cuts `bytes` into records, and looks whether nothing is lost and every boundary is one.
fn is_told_apart(framing: Framing, bytes: &[u8]) -> Vec<&[u8]> {
    let (mut payloads, mut ends, mut at) = (Vec::new(), vec![0], 0);
    while at < bytes.len() {
        let record = framing.record_at(bytes, at);
        assert!(record.raw.start == at && record.end > at && record.end <= bytes.len());
        assert!(record.payload.start >= at && record.payload.end <= record.end);
        payloads.push(&bytes[record.payload]);
        at = record.end;
        ends.push(at);
    }
    assert_eq!(at, bytes.len(), "every byte belongs to a record");
    for goal in [0, 1, bytes.len() / 2, bytes.len(), bytes.len() + 9] {
        let boundary = framing.boundary_after(bytes, 0, goal);
        assert!(ends.contains(&boundary) && boundary >= goal.min(bytes.len()), "{goal}: {boundary}");
    }
    payloads
}

#[test]
fn lines_are_told_apart_without_losing_a_byte() {
    check!().for_each(|bytes: &[u8]| {
        for_any_bytes(bytes, |bytes| {
            let lines = is_told_apart(Framing::Text, bytes);
            let mut expected: Vec<_> = bytes.split(|&byte| byte == b'\n').collect();
            expected.pop_if(|last| last.is_empty());
            assert_eq!(lines, expected);
        });
    });
}

#[test]
fn frames_are_told_apart_without_losing_a_byte() {
    check!().for_each(|bytes: &[u8]| {
        for_any_bytes(bytes, |bytes| {
            for payload in is_told_apart(Framing::Framed, bytes) {
                assert!(payload.len() <= bytes.len());
            }
        });
    });
}

/// The decoder refuses what the model refuses, in words that cannot break a line, and takes no forged email.
fn decodes_like_the_model(expected: Expected, record: &[u8]) {
    let decoder = Decoder { expected, layout: Layout::Commas, max_record_bytes: usize::MAX };
    let email = match (decoder.decode(record), decode_record(expected, record)) {
        (Err(error), None) => {
            let told = error.to_string();
            assert!(!told.chars().any(char::is_control) && told.len() < 1000, "{told:?}");
            return;
        }
        (Ok(Record::Customer(customer)), Some(Meaning::Customer { email, .. }))
            if email == customer.email.as_bytes() =>
        {
            email
        }
        (Ok(Record::Conversion(conversion)), Some(Meaning::Conversion { email, .. }))
            if email == conversion.email.as_bytes() =>
        {
            email
        }
        (decoded, _) => panic!("{decoded:?}"),
    };
    assert!(!email.is_empty() && !email.iter().any(|byte| *byte < 0x20 || *byte == 0x7f || *byte == b','));
}

#[test]
fn a_loyalty_row_is_decoded_as_the_model_does_it() {
    check!().for_each(|bytes: &[u8]| {
        for_any_bytes(bytes, |bytes| decodes_like_the_model(Expected::Customers, bytes));
    });
}

#[test]
fn a_conversion_is_decoded_as_the_model_does_it() {
    check!().for_each(|bytes: &[u8]| {
        for_any_bytes(bytes, |bytes| {
            decodes_like_the_model(Expected::Conversions, bytes);
            for kind in ["Click", "Basket", "Purchase"] {
                let head = format!("P,{kind}Conversion,");
                decodes_like_the_model(Expected::Conversions, &[head.as_bytes(), bytes].concat());
                let head = format!("P,{kind}Conversion,a@x,");
                decodes_like_the_model(Expected::Conversions, &[head.as_bytes(), bytes].concat());
            }
            decodes_like_the_model(Expected::Conversions, &[b"P,PurchaseConversion,a@x,[],", bytes].concat());
        });
    });
}

#[test]
fn a_record_of_either_kind_is_decoded_as_the_model_does_it() {
    check!().for_each(|bytes: &[u8]| {
        for_any_bytes(bytes, |bytes| decodes_like_the_model(Expected::Either, bytes));
    });
}

#[test]
fn csv_of_any_bytes_is_answered_as_the_model_does_it() {
    check!().with_iterations(120).for_each(|bytes: &[u8]| {
        for_any_bytes(bytes, |bytes| {
            let (settings, turns, rows) = settings(bytes);
            for (expected, header) in [
                (Expected::Customers, &b"email,fb_user,insta_user,gender\n"[..]),
                (Expected::Conversions, b"email,items,conversion,promo,where,total_cost\n"),
            ] {
                agree(
                    &[ModelInput { expected, framing: Framing::Csv, bytes: [header, rows].concat() }],
                    &settings,
                    &turns,
                );
            }
        });
    });
}

#[test]
fn an_interleaved_stream_of_any_bytes_is_answered_as_the_model_does_it() {
    check!().with_iterations(120).for_each(|bytes: &[u8]| {
        for_any_bytes(bytes, |bytes| {
            let (settings, turns, stream) = settings(bytes);
            for framing in [Framing::Text, Framing::Framed] {
                let stream = ModelInput { expected: Expected::Either, framing, bytes: stream.to_vec() };
                agree(&[stream], &settings, &turns);
            }
        });
    });
}

#[test]
fn files_of_any_bytes_are_answered_as_the_model_does_it() {
    check!().with_iterations(120).for_each(|bytes: &[u8]| {
        for_any_bytes(bytes, |bytes| {
            let (settings, turns, rest) = settings(bytes);
            let framing = |bytes: &[u8]| if bytes.first() == Some(&0) { Framing::Framed } else { Framing::Text };
            let input =
                |expected, bytes: &[u8]| ModelInput { expected, framing: framing(bytes), bytes: bytes.to_vec() };
            let files: Vec<_> = rest.splitn(4, |&byte| byte == b'|').collect();
            let (loyalty, conversions) = files.split_at(files.len() / 2);
            let loyalty = loyalty.iter().map(|bytes| input(Expected::Customers, bytes));
            let conversions = conversions.iter().map(|bytes| input(Expected::Conversions, bytes));
            agree(&loyalty.chain(conversions).collect::<Vec<_>>(), &settings, &turns);
        });
    });
}

/// Whether both tell the same. How much of a damaged archive can be unpacked depends on the sizes, and so does whether a
/// bad record is found before the damage; that something is wrong does not.
fn tells_the_same(told: &Told, expected: &Told) -> bool {
    let both = [told, expected];
    let is_damage = |told: &&Told| told.failed.as_ref().is_some_and(|failed| failed.contains("counted unpacked"));
    let ended_early = |told: &Told| told.stopped.is_some() || told.cut.is_some() || told.failed.is_some();
    let begins_like = |told: &Told, other: &Told| told.output.starts_with(&other.output);
    let same_beginning = begins_like(told, expected) || begins_like(expected, told);
    told == expected || (both.iter().any(is_damage) && both.into_iter().all(ended_early) && same_beginning)
}

/// There is no model of archives, nor of header rows: here the engine is its own yardstick, with all at once in one
/// piece on one thread.
#[test]
fn what_is_no_text_at_all_is_told_in_the_same_way_whatever_the_sizes() {
    let heads: [&[u8]; 8] = [
        b"",
        b"\x1f\x8b",
        b"\x1f\x8b\x08\0\0\0\0\0\0\xff",
        b"\x28\xb5\x2f\xfd",
        b"\x50\x2a\x4d\x18",
        b"\xff\xfe",
        b"\xfe\xff\0",
        BYTE_ORDER_MARK,
    ];
    check!().with_iterations(60).for_each(|bytes: &[u8]| {
        for_any_bytes(bytes, |bytes| {
            let (settings, turns, rest) = settings(bytes);
            let head = heads[rest.len() % heads.len()];
            for (expected, framing) in [
                (Expected::Either, Framing::Text),
                (Expected::Either, Framing::Framed),
                (Expected::Conversions, Framing::Csv),
            ] {
                let inputs = [ModelInput { expected, framing, bytes: [head, rest].concat() }];
                let reader = ReaderSettings { block_bytes: 1 << 16, ..settings.reader };
                let plain = Settings { reader, threads: NonZeroUsize::MIN, slice_bytes: 1 << 16, ..settings };
                let told = visible(engine(&inputs, &settings, &turns));
                let expected = visible(engine(&inputs, &plain, &[(usize::MAX, true)]));
                assert!(tells_the_same(&told, &expected), "{settings:?}\n{inputs:?}\n{told:?}\nexpected: {expected:?}");
            }
        });
    });
}
