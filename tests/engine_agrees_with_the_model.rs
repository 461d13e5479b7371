//! The parallel engine and the serial model have the same output, rejects, counts and saved list, for any number of
//! partitions and threads, any sizes of blocks and slices, and any chunks in which the input arrives.

mod common;

use common::model::{ModelFormat, ModelInput, ModelSource, run};
use common::replay::{Chunk, ReadSchedule, RunSettings, run_engine};
use common::{cases, frame};
use proptest::prelude::*;
use proptest::sample::select;

/// The longest record in these tests, in bytes.
const MAX_RECORD_BYTES: usize = 90;

/// Rows above the limit: one with carriage returns, and one with an unclosed quote.
const LONG_ROW: &str =
    "a@x,0123456789\r0123456789\r0123456789,0123456789,0123456789,0123456789,0123456789,0123456789,0123456789\rb";
const LONG_UNCLOSED_ROW: &str =
    "a@x,\"0123456789,0123456789,0123456789,0123456789,0123456789,0123456789,0123456789,0123456789,0123456789";

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let email = || select(vec!["a@x", "b@x", "A@x", "c.d@example.com", "e@x ", "f\u{e9}@x", "\tg@x"]);
    let valid = prop_oneof![
        3 => email().prop_map(|email| format!("P, ClickConversion, {email}, w")),
        1 => email().prop_map(|email| format!("P,BasketConversion,{email},[6;14]")),
        2 => email().prop_map(|email| format!(" P , PurchaseConversion , {email} , [ ] , -18.64 , more")),
        2 => (email(), "[ a-z]{0,9}").prop_map(|(email, name)| format!("{email}, {name}, , F")),
        1 => email().prop_map(|email| format!("{email}, , , M, {}", "extra".repeat(5))),
    ];
    let unusual = select(vec![
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
    let long = (MAX_RECORD_BYTES - 2..3 * MAX_RECORD_BYTES).prop_map(|len| format!("a@x, , , {}", "x".repeat(len - 9)));
    let long_blank = (MAX_RECORD_BYTES - 2..MAX_RECORD_BYTES + 3).prop_map(|len| " ".repeat(len));
    let text = prop_oneof![20 => valid, 3 => unusual, 1 => long, 1 => long_blank].prop_map(String::into_bytes);
    let bytes = prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![30 => text, 1 => bytes]
}

fn input(source: ModelSource) -> impl Strategy<Value = ModelInput> {
    let records = prop::collection::vec(payload(), 0..40);
    let plain = (records, any::<bool>(), any::<bool>()).prop_map(move |(records, framed, final_line_feed)| {
        let (format, mut bytes): (_, Vec<u8>) = if framed {
            (ModelFormat::Framed, records.iter().flat_map(frame).collect())
        } else {
            (ModelFormat::Text, records.join(&b'\n'))
        };
        if !framed && final_line_feed && !bytes.is_empty() {
            bytes.push(b'\n');
        }
        // A byte-order mark is not part of a record; other tests cover it.
        if bytes.starts_with(b"\xef\xbb\xbf") {
            bytes.clear();
        }
        ModelInput::new(source, format, bytes)
    });
    if source == ModelSource::Interleaved { plain.boxed() } else { prop_oneof![2 => plain, 1 => table(source)].boxed() }
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

/// CSV with its columns in any order among other columns, and rows that are mostly valid.
fn table(source: ModelSource) -> impl Strategy<Value = ModelInput> {
    let columns: &[&str] = match source {
        ModelSource::Conversions => &["promo", "conversion", "email", "where", "items", "total_cost"],
        ModelSource::Loyalty | ModelSource::Interleaved => &["email", "fb_user", "insta_user", "gender"],
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
        let unusual = select(vec![
            "",
            "  ",
            "a,b",
            "\"",
            ",,,,,,,,,,",
            "x\"y\"z,1",
            "a\rb",
            LONG_ROW,
            LONG_UNCLOSED_ROW,
            "\"a\"b,c",
            "\r",
        ])
        .prop_map(str::to_owned);
        let rows = prop::collection::vec(prop_oneof![12 => row(&columns), 1 => unusual], 0..25);
        let line_ends = prop::collection::vec(select(vec!["\n", "\n", "\r\n", "\r"]), 26);
        (rows, line_ends, any::<bool>()).prop_map(move |(rows, line_ends, final_line_end)| {
            let mut text = String::new();
            let lines = std::iter::once(columns.join(",")).chain(rows);
            for (line, line_end) in lines.zip(&line_ends) {
                text += &line;
                text += line_end;
            }
            if !final_line_end {
                text.truncate(text.trim_end_matches(['\r', '\n']).len());
            }
            ModelInput::new(source, ModelFormat::Csv, text)
        })
    })
}

fn inputs() -> impl Strategy<Value = Vec<ModelInput>> {
    let files = |source| prop::collection::vec(input(source), 0..3);
    prop_oneof![
        (files(ModelSource::Loyalty), files(ModelSource::Conversions)).prop_map(|(loyalty, conversions)| [
            loyalty,
            conversions
        ]
        .concat()),
        input(ModelSource::Interleaved).prop_map(|stream| vec![stream]),
    ]
}

fn settings() -> impl Strategy<Value = RunSettings> {
    let sizes = (1_usize..300, 1_usize..100);
    let max_rejects = select(vec![0, 1, 3, u64::MAX, u64::MAX]);
    (select(vec![1_u32, 3, 10, 1000]), select(vec![1_usize, 2, 8]), sizes, max_rejects).prop_map(
        |(partitions, threads, (block_bytes, slice_bytes), max_rejects)| {
            let max_record_bytes = MAX_RECORD_BYTES;
            RunSettings { partitions, threads, block_bytes, slice_bytes, max_record_bytes, max_rejects }
        },
    )
}

fn schedule() -> impl Strategy<Value = ReadSchedule> {
    let chunk = (1_usize..60, any::<bool>()).prop_map(|(max_bytes, is_ready)| Chunk { max_bytes, is_ready });
    prop::collection::vec(chunk, 1..20).prop_map(ReadSchedule)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(600)))]

    #[test]
    fn engine_agrees_with_the_model(inputs in inputs(), settings in settings(), schedule in schedule()) {
        let expected = run(&inputs, settings.max_record_bytes, settings.max_rejects);
        prop_assert_eq!(run_engine(&inputs, &settings, &schedule), expected);
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
    let inputs = [(ModelSource::Loyalty, loyalty.into_bytes()), (ModelSource::Conversions, conversions)]
        .map(|(source, bytes)| ModelInput::new(source, ModelFormat::Text, bytes));
    let expected = run(&inputs, 1 << 20, 0);
    for (partitions, threads) in [(1, 1), (10, 2), (10, 8), (1000, 3)] {
        let settings = RunSettings { partitions, threads, ..RunSettings::default() };
        let actual = run_engine(&inputs, &settings, &ReadSchedule::whole());
        assert!(actual == expected, "{partitions} partitions on {threads} threads");
    }
}
