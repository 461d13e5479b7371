//! Properties of arbitrary bytes.
//!
//! Random bytes rarely form a record. So most cases consist of words of records, or are mutations of a seed. Every
//! seed is also tried unchanged. `CONTRIBUTING.md` describes longer searches. Add failing inputs to the seeds.

mod common;

use std::fmt::Debug;

use common::cases;
use common::model::decode::{ModelRecord, decode_record};
use common::model::{ModelFormat, ModelInput, ModelSource, RunResult, run};
use common::replay::{
    Chunk, DecodedRecord, ReadSchedule, RunSettings, decode, is_compressed_or_utf16, is_damaged_compressed_data,
    run_engine,
};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestRunner;

/// Words of records, frames, CSV and JSON Lines, valid and invalid.
const WORDS: [&[u8]; 41] = [
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
    b"|",
    b"\n{\"email\":\"a@x\",\"conversion\":\"click\"}\n",
    b"{\"user\":{\"email\":\"b@x\"},\"conversion\":\"Purchase\",\"items\":[6,\"14\"],\"total_cost\":1.50}\n",
    b"\"email\":",
    b"\"items\":[\"6\",",
    b"\\ud800",
    b"\\u0061",
    b"null",
    b"\n{",
];

/// The longest record in these tests, in bytes.
const MAX_RECORD_BYTES: usize = 60;

const LOYALTY_ROW_SEEDS: &[&[u8]] =
    &[b"a\x01@x,,,", b"P,ClickConversion,a@x,w", b"\x0ba@x\x0c,\t,\r,", b" a@x , fb, , F ,extra", b"a@x,,"];
const CONVERSION_SEEDS: &[&[u8]] = &[
    b"P,BasketConversion,a@x,[6;14]",
    b"P,ClickConversion,a@x,w",
    b"+.5",
    b"[6;;[",
    b"P , PurchaseConversion , a@x , [ 6 ; 9 ] , -18.64 , more",
    b"P,ClikConversion,a@x,w",
];
const RECORD_SEEDS: &[&[u8]] = &[b"P,ClickConversion,a@x,w", b"a@x,PurchaseConversion", b"a@x", b"a@x,fb,,F"];
/// Rows of CSV with the columns of the list or of the conversions, see
/// [`csv_of_any_bytes_agrees_with_the_model`].
const CSV_SEEDS: &[&[u8]] = &[
    b"P,,ClickConversion,x,w,\n\"a@x, True\",,ClickConversion,P,w,\n",
    b"\"a@x, True\",,,F\nb@x,,,F\nP,[6],ClickConversion,\"b@x, True\",w,1\n\"b@x, True\",[6],ClickConversion,P\
      ,w,\n",
    b"a@x,[6],ClickConversion,P,w,\nb@x,\"[6;14]\",PurchaseConversion,P,,18.64\n",
    b"a@x,\"Kim, the \"\"W\"\"\",,F\r\n\n\"b@x\n\",,,\rc@x,\"a\"b,,",
    b"a@x,\"0123456789\"0123456789\"0123456789\"0123456789\"0123456789\"0123456789\"0123456789\"0123456789\"01\
      23456789\"0123456789\"0123456789\"0123456789",
    b"\"a@x,,,\n,,,\n",
];
const STREAM_SEEDS: &[&[u8]] = &[
    b"\0\0\0\x07a@x,,,F\0\0\0\x17P,ClickConversion,a@x,w\0\0\0\x1eP,PurchaseConversion,b@x,[6],9\0\0\0\x17P,Cl\
      ickConversion,b@",
    b"\0\0\0\x07a@x,,,F\0\0\0\x17P,ClickConversion,a@x,w\0\0\0\x1eP,PurchaseConversion,b@x,[6],9\0\0\0\x17P,Cl\
      ickConversion,b@x,w",
    b"a@x,,,F\nP,ClickConversion,a@x,w\nP,PurchaseConversion,b@x,[6],9\nP,ClickConversion,b@x,w\n",
    b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
      xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\na@x,,,\
      F\nP,ClickConversion,a@x,w\nP,PurchaseConversion,b@x,[6],9\nP,ClickConversion,b@x,w\n",
    b"\0\0\0Pxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\0\0\0\x07a@x,,,F",
    b"x\n\xef\xbb\xbfa@x,,,F\n",
    b" a, a, F\n\xef\xbb\xbf,a@x, a, a, F\n",
];
/// Files that `|` separates.
const FILES_SEEDS: &[&[u8]] = &[
    b"a@x,,,F\n|\0\0\0\x06b@x,,,|P,ClickConversion,a@x,w\n|\0\0\0\x1dP,PurchaseConversion,c@x,[],1",
    b"\xef\xbb\xbfa@x,,,|\xef\xbb\xbfP,ClickConversion,a@x,w",
    b"a@x,,,F\n|P,ClickConversion,a@x,w\n",
];
/// CSV and JSON Lines, see [`tables_of_any_bytes_are_independent_of_sizes`].
const TABLE_SEEDS: &[&[u8]] = &[
    b"{\"email\":\"a@x\",\"conversion\":\"click\"}\n\n{\"user\":{\"email\":\"a@x\"},\"conversion\":\"buy\"}\n{\"email\":\"a@x\"}",
    b"{\"user\":{\"\\ud800\":1,\"email\":\"a@x\"}}\n{\"email\":\"a\\u0040x\",\"conversion\":\"basket\",\"items\":[\"6\",14]}\n",
    b"{\"email\":\"a@x\",\"time\":5,\"conversion\":\"CLICK\"}\n{\"email\":\"a@x\",\"time\":4,\"conversion\":\"click\"}\n",
    b"{\"email\":\"a@x\",\"email\":null}\n{\"other\":\"\xff\\ud800\",\"email\":\"a@x\",\"conversion\":\"click\"}\n[1]\n{}",
    b"\n \nE-Mail;Conversion;Items\r\na@x;click;\r\n\"b@x\";basket;{6,\"1\"\n4}\r\n",
    b"\xef\xbb\xbfemail|conversion\na@x|purchase\n",
    b"\"email\"\ta\tb\ra@x\tb\tc\rb@x\ta",
    b"id,customer_email\n1,a@x\n",
    // The first line is too long, and only what is beyond the limit looks like a table.
    b"0123456789012345678901234567890123456789012345678901234567890123456789;1\na@x\n",
];
/// A loyalty row and three conversions, compressed, with zeros after them.
const PADDED_GZIP: &[u8] =
    b"\x1f\x8b\x08\0\0\0\0\0\x02\x03Kt\xa8\xd0\xd1\xd1q\xe3\n\xd0q\xce\xc9L\xcev\xce\xcf+K-*\xce\xcc\xcf\xd3I\
    \x04\xca\x94\x03\xc5\x03J\x8b\x923\x12\x8bS\x91\xa4\x92\x80R\xd1f\xb1:\x96X\xb4%\x81\xb5\x01\0\xf3\n\x85\
    \x97W\0\0\0\0\0\0\0\0\0\0\0\0";
const GZIP: &[u8] = PADDED_GZIP.split_at(75).0;
const NON_TEXT_SEEDS: &[&[u8]] = &[
    GZIP,
    // One of the heads has the first two bytes.
    GZIP.split_at(2).1,
    PADDED_GZIP,
    b"promo,conversion,email,where\nP,ClickConversion,a@x,w\n",
    b"\"promo,conv",
    b"\xff\xfeP\0",
    b"\x28\xb5\x2f\xfd",
];

/// Words of records, mutated seeds, and random bytes.
fn bytes(seeds: &'static [&'static [u8]]) -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![3 => select(&WORDS[..]).prop_map(<[u8]>::to_vec), 1 => any::<[u8; 1]>().prop_map(Vec::from)];
    let mutation = (any::<Index>(), 0_usize..12, prop::collection::vec(word.clone(), 0..2));
    let mutated = (select(seeds), prop::collection::vec(mutation, 1..5)).prop_map(|(seed, mutations)| {
        let mut bytes = seed.to_vec();
        for (start, removed, inserted) in mutations {
            let start = start.index(bytes.len() + 1);
            let end = bytes.len().min(start + removed);
            bytes.splice(start..end, inserted.concat());
        }
        bytes
    });
    prop_oneof![
        2 => prop::collection::vec(word, 0..30).prop_map(|words| words.concat()),
        2 => mutated,
        1 => any::<Vec<u8>>(),
    ]
}

fn settings() -> impl Strategy<Value = (RunSettings, ReadSchedule)> {
    let chunk = (select(&[1, 3, 17, 1000][..]), any::<bool>());
    let chunk = chunk.prop_map(|(max_bytes, is_ready)| Chunk { max_bytes, is_ready });
    let counts = (select(&[1, 3, 10, 100][..]), 1_usize..=2);
    let sizes = (select(&[1, 5, 16, 64, 300, 4096][..]), select(&[1, 7, 50, 400][..]));
    let max_rejects = select(&[0, 2, u64::MAX, u64::MAX][..]);
    (counts, sizes, max_rejects, prop::collection::vec(chunk, 1..4)).prop_map(
        |((partitions, threads), (block_bytes, slice_bytes), max_rejects, chunks)| {
            let max_record_bytes = MAX_RECORD_BYTES;
            let settings = RunSettings { partitions, threads, block_bytes, slice_bytes, max_record_bytes, max_rejects };
            (settings, ReadSchedule(chunks))
        },
    )
}

/// Tests `property` with random values. A failing value is reduced to a small one.
fn try_random<T: Debug>(strategy: impl Strategy<Value = T>, default_cases: u32, property: impl Fn(T)) {
    let config = ProptestConfig { cases: cases(default_cases), failure_persistence: None, ..ProptestConfig::default() };
    let result = TestRunner::new(config).run(&strategy, |value| {
        property(value);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

fn for_any_bytes(seeds: &'static [&'static [u8]], property: impl Fn(&[u8])) {
    seeds.iter().for_each(|seed| property(seed));
    try_random(bytes(seeds), 2_000, |bytes| property(&bytes));
}

fn for_any_bytes_and_settings(
    seeds: &'static [&'static [u8]],
    default_cases: u32,
    property: impl Fn(&[u8], &RunSettings, &ReadSchedule),
) {
    let schedule = ReadSchedule(vec![
        Chunk { max_bytes: 17, is_ready: true },
        Chunk { max_bytes: 9, is_ready: false },
        Chunk { max_bytes: 1, is_ready: true },
    ]);
    for seed in seeds {
        for (block_bytes, slice_bytes, max_rejects) in [(1, 1, u64::MAX), (16, 50, 0), (4096, 7, u64::MAX)] {
            let max_record_bytes = MAX_RECORD_BYTES;
            let settings =
                RunSettings { partitions: 3, threads: 2, block_bytes, slice_bytes, max_record_bytes, max_rejects };
            property(seed, &settings, &schedule);
        }
    }
    try_random((bytes(seeds), settings()), default_cases, |(bytes, (settings, schedule))| {
        property(&bytes, &settings, &schedule);
    });
}

/// The decoder accepts what the model accepts. An error cannot break its line, and an email cannot forge one.
fn assert_decodes_as_in_the_model(source: ModelSource, record: &[u8]) {
    let email = match (decode(source, record), decode_record(source, record)) {
        (DecodedRecord::Bad(message), None) => {
            assert!(!message.chars().any(char::is_control) && message.len() < 1000, "{message:?}");
            return;
        }
        (DecodedRecord::LoyaltyRow(decoded), Some(ModelRecord::LoyaltyRow { email, .. })) if email == decoded => email,
        (DecodedRecord::Conversion(decoded), Some(ModelRecord::Conversion { email, .. })) if email == decoded => email,
        (decoded, _) => panic!("{decoded:?}"),
    };
    assert!(!email.is_empty() && !email.iter().any(|byte| *byte < 0x20 || *byte == 0x7f || *byte == b','));
}

#[test]
fn loyalty_row_decodes_as_in_the_model() {
    for_any_bytes(LOYALTY_ROW_SEEDS, |bytes| assert_decodes_as_in_the_model(ModelSource::Loyalty, bytes));
}

#[test]
fn conversion_decodes_as_in_the_model() {
    for_any_bytes(CONVERSION_SEEDS, |bytes| {
        let after =
            |head: &str| assert_decodes_as_in_the_model(ModelSource::Conversions, &[head.as_bytes(), bytes].concat());
        after("");
        for kind in ["Click", "Basket", "Purchase"] {
            after(&format!("P,{kind}Conversion,"));
            after(&format!("P,{kind}Conversion,a@x,"));
        }
        after("P,PurchaseConversion,a@x,[],");
    });
}

#[test]
fn interleaved_record_decodes_as_in_the_model() {
    for_any_bytes(RECORD_SEEDS, |bytes| assert_decodes_as_in_the_model(ModelSource::Interleaved, bytes));
}

fn assert_agrees_with_the_model(inputs: &[ModelInput], settings: &RunSettings, schedule: &ReadSchedule) {
    if inputs.iter().any(|input| is_compressed_or_utf16(&input.bytes)) {
        return;
    }
    let expected = run(inputs, settings.max_record_bytes, settings.max_rejects);
    let actual = run_engine(inputs, settings, schedule);
    assert!(actual == expected, "{settings:?}\n{inputs:?}\nactual: {actual:?}\nexpected: {expected:?}");
}

#[test]
fn csv_of_any_bytes_agrees_with_the_model() {
    for_any_bytes_and_settings(CSV_SEEDS, 25, |rows, settings, schedule| {
        for (source, header) in [
            (ModelSource::Loyalty, &b"email,fb_user,insta_user,gender\n"[..]),
            (ModelSource::Conversions, b"email,items,conversion,promo,where,total_cost\n"),
        ] {
            let input = ModelInput::new(source, ModelFormat::Csv, [header, rows].concat());
            assert_agrees_with_the_model(&[input], settings, schedule);
        }
    });
}

#[test]
fn interleaved_stream_of_any_bytes_agrees_with_the_model() {
    for_any_bytes_and_settings(STREAM_SEEDS, 300, |bytes, settings, schedule| {
        for format in [ModelFormat::Text, ModelFormat::Framed] {
            let stream = ModelInput::new(ModelSource::Interleaved, format, bytes);
            assert_agrees_with_the_model(&[stream], settings, schedule);
        }
    });
}

#[test]
fn files_of_any_bytes_agree_with_the_model() {
    for_any_bytes_and_settings(FILES_SEEDS, 500, |bytes, settings, schedule| {
        let input = |source, bytes: &[u8]| {
            let format = if bytes.first() == Some(&0) { ModelFormat::Framed } else { ModelFormat::Text };
            ModelInput::new(source, format, bytes)
        };
        let files: Vec<_> = bytes.splitn(4, |&byte| byte == b'|').collect();
        let (loyalty, conversions) = files.split_at(files.len() / 2);
        let loyalty = loyalty.iter().map(|bytes| input(ModelSource::Loyalty, bytes));
        let conversions = conversions.iter().map(|bytes| input(ModelSource::Conversions, bytes));
        assert_agrees_with_the_model(&loyalty.chain(conversions).collect::<Vec<_>>(), settings, schedule);
    });
}

/// The model does not support compressed data and header rows. So the engine is compared with itself on one thread that
/// reads the input as one chunk.
#[test]
fn non_text_result_is_independent_of_sizes() {
    let heads: [&[u8]; 8] = [
        b"",
        b"\x1f\x8b",
        b"\x1f\x8b\x08\0\0\0\0\0\0\xff",
        b"\x28\xb5\x2f\xfd",
        b"\x50\x2a\x4d\x18",
        b"\xff\xfe",
        b"\xfe\xff\0",
        b"\xef\xbb\xbf",
    ];
    for_any_bytes_and_settings(NON_TEXT_SEEDS, 25, |bytes, settings, schedule| {
        for head in [b"", heads[bytes.len() % heads.len()]] {
            for (source, format) in [
                (ModelSource::Interleaved, ModelFormat::Text),
                (ModelSource::Interleaved, ModelFormat::Framed),
                (ModelSource::Conversions, ModelFormat::Csv),
            ] {
                let bytes = [head, bytes].concat();
                let inputs = [ModelInput::new(source, format, bytes)];
                let plain = RunSettings { threads: 1, block_bytes: 1 << 16, slice_bytes: 1 << 16, ..*settings };
                let actual = run_engine(&inputs, settings, schedule);
                let expected = run_engine(&inputs, &plain, &ReadSchedule::whole());
                assert!(
                    is_same_result(&actual, &expected),
                    "{settings:?}\n{inputs:?}\nactual: {actual:?}\nexpected: {expected:?}"
                );
            }
        }
    });
}

/// The model agrees about JSON Lines in UTF-8; the engine accepts other bytes in values that it ignores.
#[test]
fn tables_of_any_bytes_are_independent_of_sizes() {
    use ModelFormat::{Csv, Detected, JsonLines};
    use ModelSource::{Conversions, Interleaved, Loyalty};
    for_any_bytes_and_settings(TABLE_SEEDS, 60, |bytes, settings, schedule| {
        for (source, format) in [Loyalty, Conversions, Interleaved].into_iter().flat_map(|source| {
            [JsonLines, Detected, Csv]
                .map(|format| (source, format))
                .into_iter()
                .filter(|input| *input != (Interleaved, Csv))
        }) {
            let mut input = ModelInput::new(source, format, bytes);
            if bytes.len() % 3 == 1 && format == JsonLines {
                input.options.names.push(("email", "user.email"));
            }
            input.options.time = Some("time").filter(|_| bytes.len() % 3 == 2 && source != Loyalty);
            let inputs = [input];
            if is_compressed_or_utf16(bytes) {
                continue;
            }
            let plain = RunSettings { threads: 1, block_bytes: 1 << 16, slice_bytes: 1 << 16, ..*settings };
            let actual = run_engine(&inputs, settings, schedule);
            let expected = run_engine(&inputs, &plain, &ReadSchedule::whole());
            assert!(actual == expected, "{settings:?}\n{inputs:?}\nactual: {actual:?}\nexpected: {expected:?}");
            if format == JsonLines && str::from_utf8(bytes).is_ok() {
                assert_agrees_with_the_model(&inputs, settings, schedule);
            }
        }
    });
}

#[test]
fn header_byte_order_mark_is_independent_of_sizes() {
    for bytes in ["\r\u{feff}email", "\u{feff}\u{feff}email", "\n\n\u{feff}email"] {
        let (source, format) = (ModelSource::Loyalty, ModelFormat::Csv);
        let inputs = [ModelInput::new(source, format, bytes)];
        let single_bytes = ReadSchedule(vec![Chunk { max_bytes: 1, is_ready: false }]);
        let [actual, expected] = [single_bytes, ReadSchedule::whole()]
            .map(|schedule| run_engine(&inputs, &RunSettings::default(), &schedule));
        assert_eq!(actual, expected, "{bytes:?}");
    }
}

/// Sizes determine how much of damaged compressed data is decompressed, and so whether a bad record is found before
/// the damage. They do not determine whether the run fails.
fn is_same_result(actual: &RunResult, expected: &RunResult) -> bool {
    let both = [actual, expected];
    let same_start = actual.output.starts_with(&expected.output) || expected.output.starts_with(&actual.output);
    let damaged = both.iter().any(|result| is_damaged_compressed_data(result));
    actual == expected || (damaged && both.iter().all(|result| result.ended_early()) && same_start)
}

#[test]
fn truncated_gzip_data_is_damaged() {
    for (len, is_damaged) in [(GZIP.len(), false), (GZIP.len() - 1, true)] {
        let (source, format) = (ModelSource::Interleaved, ModelFormat::Text);
        let input = ModelInput::new(source, format, &GZIP[..len]);
        let result = run_engine(&[input], &RunSettings::default(), &ReadSchedule::whole());
        assert_eq!(is_damaged_compressed_data(&result), is_damaged, "{result:?}");
    }
}
