//! The parallel engine against the serial model: the same bytes, the same bad records, the same counts and the same
//! saved list, whatever the numbers of partitions and threads, the sizes of blocks and slices, and the pieces in which
//! the input arrives.

mod common;

use std::num::{NonZeroU32, NonZeroUsize};

use adseg::engine::Settings;
use adseg::record::Expected;
use adseg::source::{Framing, ReaderSettings};
use common::frame;
use common::model::{ModelInput, run};
use common::replay::{engine, visible};
use proptest::prelude::*;
use proptest::sample::select;

/// The longest record in these tests, in bytes.
const LIMIT: usize = 90;

/// Rows beyond the limit, one of them with carriage returns in it, and one whose quote is never closed.
const LONG_ROW: &str =
    "a@x,0123456789\r0123456789\r0123456789,0123456789,0123456789,0123456789,0123456789,0123456789,0123456789\rb";
const LONG_OPEN_ROW: &str =
    "a@x,\"0123456789,0123456789,0123456789,0123456789,0123456789,0123456789,0123456789,0123456789,0123456789";

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let email = || select(vec!["a@x", "b@x", "A@x", "c.d@example.com", "e@x ", "f\u{e9}@x", "\tg@x"]);
    let good = prop_oneof![
        3 => email().prop_map(|email| format!("P, ClickConversion, {email}, w")),
        1 => email().prop_map(|email| format!("P,BasketConversion,{email},[6;14]")),
        2 => email().prop_map(|email| format!(" P , PurchaseConversion , {email} , [ ] , -18.64 , more")),
        2 => (email(), "[ a-z]{0,9}").prop_map(|(email, name)| format!("{email}, {name}, , F")),
        1 => email().prop_map(|email| format!("{email}, , , M, {}", "extra".repeat(5))),
    ];
    let odd = select(vec![
        "",
        "  \t\u{b}",
        "nothing",
        "a,b",
        "P, ClickConversion, , w",
        "P, ClikConversion, a@x, w",
        "P, ClickConversion, a\u{1}@x, w",
        "P, BasketConversion, a@x, [;]",
        "P, PurchaseConversion, a@x, [6], 1e3",
        "P, PurchaseConversion, a@x, [6]",
        ", , , ",
        "\r",
    ])
    .prop_map(str::to_owned);
    let long = (LIMIT - 2..3 * LIMIT).prop_map(|len| format!("a@x, , , {}", "x".repeat(len - 9)));
    let blank_and_long = (LIMIT - 2..LIMIT + 3).prop_map(|len| " ".repeat(len));
    let text = prop_oneof![20 => good, 3 => odd, 1 => long, 1 => blank_and_long].prop_map(String::into_bytes);
    let bytes = prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![30 => text, 1 => bytes]
}

fn input(expected: Expected) -> impl Strategy<Value = ModelInput> {
    let records = prop::collection::vec(payload(), 0..40);
    let plain = (records, any::<bool>(), any::<bool>()).prop_map(move |(records, framed, last_line_feed)| {
        let framing = if framed { Framing::Framed } else { Framing::Text };
        let mut bytes: Vec<u8> = if framed { records.iter().flat_map(frame).collect() } else { records.join(&b'\n') };
        if framing == Framing::Text && last_line_feed && !bytes.is_empty() {
            bytes.push(b'\n');
        }
        // A byte-order mark belongs to the text around the records, and has tests of its own.
        if bytes.starts_with(b"\xef\xbb\xbf") {
            bytes.clear();
        }
        ModelInput { expected, framing, bytes }
    });
    if expected == Expected::Either { plain.boxed() } else { prop_oneof![2 => plain, 1 => table(expected)].boxed() }
}

/// A field of CSV, quoted or not.
fn csv_field() -> impl Strategy<Value = String> {
    let field = prop_oneof![
        4 => select(vec!["a@x", "b@x", "A@x", "c.d@example.com", "ClickConversion", "PurchaseConversion", "[6]", "1.5", ""]),
        1 => select(vec!["Kim, the Wombat", "a \"quoted\" name", "two\nlines", "crlf\r\n", "  spaced ", "[6;14]", "e@x, True"]),
    ];
    (field, any::<bool>()).prop_map(|(field, quoted)| {
        if quoted || field.contains(['"', ',', '\n']) {
            format!("\"{}\"", field.replace('"', "\"\""))
        } else {
            field.to_owned()
        }
    })
}

/// CSV with its columns in some order, among others, and rows that are mostly well formed.
fn table(expected: Expected) -> impl Strategy<Value = ModelInput> {
    let columns: &[&str] = match expected {
        Expected::Conversions => &["promo", "conversion", "email", "where", "items", "total_cost"],
        _ => &["email", "fb_user", "insta_user", "gender"],
    };
    let columns: Vec<&str> = [columns, &["other", "\"quoted, other\""]].concat();
    let row = |columns: &[&str]| {
        let fields: Vec<BoxedStrategy<String>> = columns
            .iter()
            .map(|column| match *column {
                "conversion" => select(vec!["ClickConversion", "BasketConversion", "\"PurchaseConversion\"", "Clik"])
                    .prop_map(str::to_owned)
                    .boxed(),
                "items" => select(vec!["[6]", "\"[6;14]\"", "[]", "6"]).prop_map(str::to_owned).boxed(),
                "total_cost" => select(vec!["18.64", "\" 9.45 \"", "", "1e3"]).prop_map(str::to_owned).boxed(),
                _ => csv_field().boxed(),
            })
            .collect();
        fields.prop_map(|fields| fields.join(","))
    };
    Just(columns).prop_shuffle().prop_flat_map(move |columns| {
        let odd = select(vec![
            "",
            "  ",
            "a,b",
            "\"",
            ",,,,,,,,,,",
            "x\"y\"z,1",
            "a\rb",
            LONG_ROW,
            LONG_OPEN_ROW,
            "\"a\"b,c",
            "\r",
        ])
        .prop_map(str::to_owned);
        let rows = prop::collection::vec(prop_oneof![12 => row(&columns), 1 => odd], 0..25);
        let ends = prop::collection::vec(select(vec!["\n", "\n", "\r\n", "\r"]), 26);
        (rows, ends, any::<bool>()).prop_map(move |(rows, ends, last_line_end)| {
            let mut text = String::new();
            let lines = std::iter::once(columns.join(",")).chain(rows);
            for (line, end) in lines.zip(&ends) {
                text += &line;
                text += end;
            }
            if !last_line_end {
                text.truncate(text.trim_end_matches(['\r', '\n']).len());
            }
            ModelInput { expected, framing: Framing::Csv, bytes: text.into_bytes() }
        })
    })
}

fn inputs() -> impl Strategy<Value = Vec<ModelInput>> {
    let files = (
        prop::collection::vec(input(Expected::Customers), 0..3),
        prop::collection::vec(input(Expected::Conversions), 0..3),
    );
    prop_oneof![
        files.prop_map(|(loyalty, conversions)| [loyalty, conversions].concat()),
        input(Expected::Either).prop_map(|stream| vec![stream]),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    let sizes = (1_usize..300, 1_usize..100);
    let max_rejects = select(vec![0, 1, 3, u64::MAX, u64::MAX]);
    (select(vec![1_u32, 3, 10, 1000]), select(vec![1_usize, 2, 8]), sizes, max_rejects).prop_map(
        |(partitions, threads, (block_bytes, slice_bytes), max_rejects)| Settings {
            partitions: NonZeroU32::new(partitions).unwrap(),
            threads: NonZeroUsize::new(threads).unwrap(),
            reader: ReaderSettings { block_bytes, max_record_bytes: LIMIT, reads_on_after_damage: false },
            slice_bytes,
            max_rejects,
        },
    )
}

/// How many cases are tried; `ADSEG_CASES` says how many for a closer look.
fn cases() -> u32 {
    std::env::var("ADSEG_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(600)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn the_engine_tells_what_the_serial_model_tells(
        inputs in inputs(),
        settings in settings(),
        turns in prop::collection::vec((1_usize..60, any::<bool>()), 1..20),
    ) {
        let expected = visible(run(&inputs, settings.reader.max_record_bytes, settings.max_rejects));
        prop_assert_eq!(engine(&inputs, &settings, &turns), expected);
    }
}

#[test]
fn large_blocks_on_many_threads_agree_with_the_model() {
    let mut conversions = Vec::new();
    for number in 0_u32..60_000 {
        let customer = number.wrapping_mul(2_654_435_761) % 5_000;
        let line = match number % 7 {
            0..=3 => format!("P, ClickConversion, customer{customer}@example.com, Instagram\n"),
            4 => format!("P, BasketConversion, customer{customer}@example.com, [6]\n"),
            _ => format!("P, PurchaseConversion, customer{customer}@example.com, [6;9], 18.64\n"),
        };
        conversions.extend(line.bytes());
    }
    let loyalty = (0..1_000).map(|number| format!("customer{}@example.com, , , F\n", number * 5)).collect::<String>();
    let inputs = [(Expected::Customers, loyalty.into_bytes()), (Expected::Conversions, conversions)]
        .map(|(expected, bytes)| ModelInput { expected, framing: Framing::Text, bytes });
    let expected = run(&inputs, 1 << 20, 0);
    for (partitions, threads) in [(1, 1), (10, 2), (10, 8), (1000, 3)] {
        let settings = Settings {
            partitions: NonZeroU32::new(partitions).unwrap(),
            threads: NonZeroUsize::new(threads).unwrap(),
            ..Settings::default()
        };
        let told = engine(&inputs, &settings, &[(usize::MAX, true)]);
        assert!(told == expected, "{partitions} partitions on {threads} threads");
    }
}
