//! CSV with any delimiter and header, and JSON Lines: the parallel engine and the serial model have the same results
//! for any partitions, threads, sizes of blocks and slices, and chunks of arrival.

mod common;

use common::cases;
use common::model::table::TableOptions;
use common::model::{ModelFormat, ModelInput, ModelSource, run};
use common::replay::{Chunk, ReadSchedule, RunSettings, run_engine};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// The longest record in these tests, in bytes.
const MAX_RECORD_BYTES: usize = 250;

/// One record: some of its fields, by name.
type Record = Vec<(&'static str, String)>;

/// The spellings of the names of columns; the first is the name of an option.
const SPELLINGS: [(&str, [&str; 4]); 9] = [
    ("email", ["User Mail", "email", "E-Mail", "EMAIL"]),
    ("fb_user", ["facebook", "fb_user", "FB User", "fb-user"]),
    ("insta_user", ["instagram", "insta_user", "InstaUser", "insta user"]),
    ("gender", ["sex", "gender", "Gender", "GENDER"]),
    ("promo", ["campaign", "promo", "Promo", "PROMO"]),
    ("conversion", ["event_type", "conversion", "Conversion", "CONVERSION"]),
    ("where", ["channel", "where", "Where", "WHERE"]),
    ("items", ["basket", "items", "Items", "ITEMS"]),
    ("total_cost", ["revenue", "total_cost", "Total Cost", "total-cost"]),
];

fn value(field: &'static str) -> BoxedStrategy<String> {
    let values = match field {
        "email" => vec!["a@x", "b@x", "A@x", "c.d@example.com", " e@x ", "f\u{e9}@x", "a@x", "b@x"],
        "conversion" => vec![
            "ClickConversion",
            "click",
            "CLICK",
            "Basket",
            "PurchaseConversion",
            "purchase",
            "PURCHASE",
            "ad_click",
            "page_view",
            "Clik",
        ],
        "items" => vec![
            "[6]",
            "[6;14]",
            "6;14",
            "[6, 14]",
            "[\"6\",\"14\"]",
            "[6,\"14\"]",
            "{6,14}",
            "{\"6\", 14}",
            "[]",
            "{}",
            "[6]",
            "[6;9]",
        ],
        "total_cost" => vec!["18.64", " -9.45 ", "+1", "007.50"],
        "time" => vec![
            "1714557600",
            "1714557600000",
            "2024-05-01T10:00:00Z",
            "2024-05-01 10:00",
            "2024-05-01T12:00:00+02:00",
            "1714557601",
            "2024-05-01 10:00:01.5",
            "2024-05-02T00:00:00Z",
            "1714557500",
        ],
        _ => vec!["", "P", "Kim, the Wombat", "a \"quoted\" name", "  spaced ", "two\nlines", "Web;Shop", "a|b\tc"],
    };
    let invalid = match field {
        "email" => vec!["", "a,b@x", "a\u{1}@x", "a@x, True"],
        "items" => vec!["", "6,14", "[;]", "[6;14,3]", "[\"\"]", "{6,NULL}", "[[6]]", "[\"6\"", "{\"\"}", "[\"6;7\"]"],
        "total_cost" => vec!["", "1e3", "1,5", "$5"],
        "time" => vec!["", "now", "10:00", "01.05.2024"],
        "fb_user" => vec!["ClickConversion", ",ClickConversion"],
        _ => vec!["plain"],
    };
    prop_oneof![25 => select(values), 1 => select(invalid)].prop_map(str::to_owned).boxed()
}

fn fields_of(source: ModelSource, has_times: bool) -> Vec<&'static str> {
    let loyalty = ["fb_user", "insta_user", "gender"];
    let conversion = ["promo", "conversion", "where", "items", "total_cost"];
    let fields: Vec<_> = match source {
        ModelSource::Loyalty => loyalty.to_vec(),
        ModelSource::Conversions => conversion.to_vec(),
        ModelSource::Interleaved => [&loyalty[..], &conversion].concat(),
    };
    let time = (has_times && source != ModelSource::Loyalty).then_some("time");
    std::iter::once("email").chain(fields).chain(time).collect()
}

fn records(fields: Vec<&'static str>) -> impl Strategy<Value = Vec<Record>> {
    let values: Vec<_> = fields.iter().map(|field| value(field)).collect();
    let record = values.prop_map(move |values| fields.iter().copied().zip(values).collect());
    prop::collection::vec(record, 0..25)
}

/// How the inputs of a source are read, and how the columns are spelled.
fn options(source: ModelSource, has_times: bool) -> impl Strategy<Value = (TableOptions, Vec<&'static str>)> {
    let spellings = prop::collection::vec(0_usize..4, SPELLINGS.len());
    let delimiter = select(vec![b',', b';', b'\t', b'|', b'^']);
    let times = select(vec![None, None, Some(1_714_557_600_000_000), Some(1_714_557_601_000_000)]);
    let types = (any::<bool>(), any::<bool>(), any::<bool>());
    (spellings, delimiter, (times.clone(), times), types).prop_map(
        move |(spellings, delimiter, (since, until), (has_type, ignores, ignores_others))| {
            let fields = fields_of(source, false);
            let (mut names, mut columns) = (Vec::new(), Vec::new());
            for ((field, spelled), choice) in SPELLINGS.iter().zip(spellings) {
                if fields.contains(field) {
                    names.extend((choice == 0).then_some((*field, spelled[0])));
                    columns.push(spelled[choice]);
                } else {
                    columns.push(field);
                }
            }
            let mut options = TableOptions { delimiter, names, ..TableOptions::default() };
            if source != ModelSource::Loyalty {
                options.types.extend(has_type.then_some(("ad_click", Some("click"))));
                options.types.extend(ignores.then_some(("page_view", None)));
                options.ignores_others = ignores_others;
                options.time = has_times.then_some("At Time");
                options.since = since.filter(|_| has_times);
                options.until = until.filter(|_| has_times);
            }
            (options, columns)
        },
    )
}

fn column_name(field: &str, columns: &[&'static str]) -> &'static str {
    let place = SPELLINGS.iter().position(|(of, _)| *of == field);
    place.map_or("at_time", |place| columns[place])
}

/// CSV with some of the columns in any order among others, with or without a header row.
fn csv(source: ModelSource, has_times: bool) -> impl Strategy<Value = ModelInput> {
    let fields = fields_of(source, has_times);
    let is_needed = |field: &&str| ["email", "conversion", "time"].contains(field);
    let (needed, other): (Vec<_>, Vec<_>) = fields.into_iter().partition(is_needed);
    let all = [&other[..], &["", ""]].concat();
    let len = all.len();
    let chosen = prop_oneof![3 => Just(all.clone()), 1 => subsequence(all, 0..=len)];
    let columns = chosen.prop_map(move |chosen| [&needed[..], &chosen].concat()).prop_shuffle();
    let layout = (any::<bool>(), any::<bool>(), select(vec!["\n", "\n", "\r\n", "\r"]), any::<[bool; 3]>());
    (columns.prop_flat_map(|columns| (Just(columns.clone()), records(columns))), options(source, has_times), layout)
        .prop_map(move |((columns, records), (options, spelled), (quotes_all, final_line_end, line_end, others))| {
            let [is_headerless, has_mark, has_unusual] = others;
            let delimiter = char::from(options.delimiter);
            let quoted = |field: &str| {
                if quotes_all || field.contains([delimiter, '"', '\n', '\r']) {
                    format!("\"{}\"", field.replace('"', "\"\""))
                } else {
                    field.to_owned()
                }
            };
            let row = |fields: Vec<&str>| {
                let fields: Vec<_> = fields.into_iter().map(quoted).collect();
                fields.join(&delimiter.to_string())
            };
            let name = |field: &&'static str| if field.is_empty() { "other" } else { column_name(field, &spelled) };
            let header = (!is_headerless).then(|| row(columns.iter().map(name).collect()));
            let rows = records.iter().map(|record| row(record.iter().map(|(_, field)| field.as_str()).collect()));
            let unusual = ["", " ", "x\"y", "a", "\"open"].map(str::to_owned);
            let rows: Vec<_> =
                header.into_iter().chain(rows).chain(unusual.into_iter().filter(|_| has_unusual)).collect();
            let mut text = rows.join(line_end);
            text += if final_line_end && !text.is_empty() { line_end } else { "" };
            let mark = if has_mark { "\u{feff}" } else { "" };
            let named = |field: &&'static str| Some(*field).filter(|field| !field.is_empty());
            let mut options = options;
            options.names.retain(|(field, _)| columns.contains(field));
            if is_headerless {
                options.names.clear();
                options.columns = Some(columns.iter().map(named).collect());
            }
            ModelInput { options, ..ModelInput::new(source, ModelFormat::Csv, format!("{mark}{text}")) }
        })
}

/// A string of JSON, with or without escapes.
fn json_string(text: &str, is_escaped: bool) -> String {
    if !is_escaped {
        return serde_json::to_string(text).unwrap();
    }
    let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
    format!("\"{}\"", units.collect::<String>())
}

/// One object: flat or nested, with other keys, and values as strings, numbers, arrays or `null`.
fn object(record: &Record, columns: &[&'static str], is_nested: bool, variants: &[u8]) -> String {
    let mut members = vec![String::from("\"other\": {\"email\": [1, \"\\ud800\"]}")];
    for ((field, value), variant) in record.iter().zip(variants) {
        let is_escaped = variant % 5 == 4;
        let key = json_string(column_name(field, columns), is_escaped);
        let is_number = serde_json::from_str::<serde_json::Number>(value.trim()).is_ok();
        let value = match variant % 16 {
            0 if *field != "conversion" => continue,
            1 => "null".to_owned(),
            2 => "true".to_owned(),
            3 if *field == "items" => "[\"6\", 14, \"a\\u0062\"]".to_owned(),
            4 if *field == "items" => "[\"6;7\"]".to_owned(),
            _ if is_number && variant % 2 == 0 => value.clone(),
            _ => json_string(value, is_escaped),
        };
        members.push(if is_nested && *field == "email" {
            format!("\"User\": {{\"id\": 7, \"contact\": {{{key} : {value}}}}}")
        } else {
            format!("{key}:{value}")
        });
        if variant % 64 == 63 {
            members.push(format!("{key}: \"twice\""));
        }
    }
    let place = usize::from(variants[0]) % members.len();
    members.rotate_left(place);
    format!("{{{}}}", members.join(", "))
}

fn json_lines(source: ModelSource, has_times: bool) -> impl Strategy<Value = ModelInput> {
    let fields = fields_of(source, has_times);
    let variants = prop::collection::vec(prop::collection::vec(any::<u8>(), fields.len()), 25);
    let unusual =
        select(vec!["", " \t", "{}", "[1]", "{\"email\":1", "{\"email\":\"\\ud800\"}", "\"a\"", "{} x", "{,}", "\r"]);
    let layout =
        (any::<bool>(), any::<bool>(), prop::collection::vec((0_usize..40, unusual), 0..4), any::<[bool; 2]>());
    (records(fields), variants, options(source, has_times), layout).prop_map(
        move |(
            records,
            variants,
            (mut options, columns),
            (is_nested, final_line_end, unusual, [is_crlf, has_mark]),
        )| {
            if is_nested {
                options.names.retain(|(field, _)| *field != "email");
                let path = format!("user.contact.{}", columns[0]);
                options.names.push(("email", path.leak()));
            }
            let lines = records.into_iter().zip(&variants).map(|(mut record, variants)| {
                if source == ModelSource::Interleaved && variants[1] % 3 == 0 {
                    record.retain(|(field, _)| *field != "conversion");
                }
                object(&record, &columns, is_nested, variants)
            });
            let mut lines: Vec<_> = lines.collect();
            for (place, line) in unusual {
                lines.insert(place % (lines.len() + 1), line.to_owned());
            }
            let line_end = if is_crlf { "\r\n" } else { "\n" };
            let mut text = lines.join(line_end);
            text += if final_line_end && !text.is_empty() { line_end } else { "" };
            let mark = if has_mark { "\u{feff}" } else { "" };
            ModelInput { options, ..ModelInput::new(source, ModelFormat::JsonLines, format!("{mark}{text}")) }
        },
    )
}

fn inputs() -> impl Strategy<Value = Vec<ModelInput>> {
    let inputs = any::<bool>().prop_flat_map(|has_times| {
        let file = move |source| prop_oneof![csv(source, has_times), json_lines(source, has_times)];
        let files = move |source| prop::collection::vec(file(source), 0..3);
        let separate = (files(ModelSource::Loyalty), files(ModelSource::Conversions));
        prop_oneof![
            3 => separate.prop_map(|(loyalty, conversions)| [loyalty, conversions].concat()),
            1 => json_lines(ModelSource::Interleaved, has_times).prop_map(|stream| vec![stream]),
        ]
    });
    (inputs, any::<bool>()).prop_map(|(mut inputs, allows_disorder)| {
        inputs.iter_mut().for_each(|input| input.options.allows_disorder = allows_disorder);
        inputs
    })
}

fn settings() -> impl Strategy<Value = (RunSettings, ReadSchedule)> {
    let chunk = (1_usize..60, any::<bool>()).prop_map(|(max_bytes, is_ready)| Chunk { max_bytes, is_ready });
    let counts = (select(vec![1_u32, 3, 10, 1000]), select(vec![1_usize, 2, 8]));
    let limits = (select(vec![0, 1, 3, u64::MAX, u64::MAX, u64::MAX]), select(vec![MAX_RECORD_BYTES, 1 << 20]));
    (counts, (1_usize..700, 1_usize..200), limits, prop::collection::vec(chunk, 1..20)).prop_map(
        |((partitions, threads), (block_bytes, slice_bytes), (max_rejects, max_record_bytes), chunks)| {
            let settings = RunSettings { partitions, threads, block_bytes, slice_bytes, max_record_bytes, max_rejects };
            (settings, ReadSchedule(chunks))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(600)))]

    #[test]
    fn tables_agree_with_the_model(inputs in inputs(), (settings, schedule) in settings()) {
        let expected = run(&inputs, settings.max_record_bytes, settings.max_rejects);
        prop_assert_eq!(run_engine(&inputs, &settings, &schedule), expected);
    }
}

/// A key with another meaning in each source, at the same position in their objects.
#[test]
fn key_may_mean_something_else_in_each_source() {
    let options = |name| TableOptions { names: vec![("email", name)], ..TableOptions::default() };
    let list = "{\"mail\":\"a@x\",\"id\":\"b@x\"}\n";
    let conversions = "{\"mail\":\"b@x\",\"id\":\"a@x\",\"conversion\":\"click\"}\n";
    let inputs = [(ModelSource::Loyalty, list, "mail"), (ModelSource::Conversions, conversions, "id")].map(
        |(source, bytes, name)| ModelInput {
            options: options(name),
            ..ModelInput::new(source, ModelFormat::JsonLines, bytes)
        },
    );
    let settings = RunSettings { threads: 1, ..RunSettings::default() };
    let result = run_engine(&inputs, &settings, &ReadSchedule::whole());
    assert_eq!(String::from_utf8_lossy(&result.output), "Send additional promo code to: a@x, True\n", "{result:?}");
    assert_eq!(result, run(&inputs, settings.max_record_bytes, 0));
}
