//! The policy: the parallel engine and the serial model have the same decisions, codes and ledger rows, for any
//! policy, ledger, partitions, threads, sizes of blocks and slices, and chunks of arrival.

mod common;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;

use common::model::policy::{DecisionFormat, ModelOnce, ModelPolicy, ModelRow, PolicyRun, ledger_bytes};
use common::model::{ModelFormat, ModelInput, ModelSource, run_with_policy};
use common::replay::policy::{PolicyResult, ledger_has_header, run_engine_with_policy};
use common::replay::{Chunk, ReadSchedule, RunSettings};
use common::{cases, frame, text};
use md5::Md5;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use sha2::{Digest, Sha256};

const EMAILS: [&str; 12] = [
    "a@x",
    "A@x",
    "b@x",
    "B@X",
    "c.d@example.com",
    "k.im@gmail.com",
    "Kim+ad@googlemail.com",
    "kim@gmail.com",
    "f\u{e9}@x",
    "=1+2@x",
    "\"q\"@x",
    "d@x",
];

/// The promos of conversions. Only CSV has the last two.
const PROMOS: [&str; 6] = ["P", "Q", "p", "", "R, \"S\"", "two\nlines,sent"];

/// The run that is tested, and runs before it.
const RUNS: [&str; 3] = ["now", "old", "older, \"1\""];

/// One conversion or loyalty row, as fields.
type Record = [&'static str; 3];

/// Often one of few, so customers have several clicks and rows for a promo.
fn email() -> impl Strategy<Value = &'static str> {
    prop_oneof![1 => select(EMAILS[..2].to_vec()), 1 => select(EMAILS.to_vec())]
}

fn promo() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => select(PROMOS[..2].to_vec()), 1 => select(PROMOS.to_vec())]
}

fn record() -> impl Strategy<Value = Record> {
    let kind = select(vec!["click", "click", "click", "click", "purchase", "basket", "row"]);
    (kind, email(), promo()).prop_map(|(kind, email, promo)| [kind, email, promo])
}

fn text_record([kind, email, promo]: &Record) -> String {
    let promo = if promo.contains('\n') || promo.contains(',') { "P" } else { promo };
    match *kind {
        "click" => format!("{promo}, ClickConversion, {email}, w"),
        "basket" => format!("{promo},BasketConversion,{email},[6;14]"),
        "purchase" => format!(" {promo} , PurchaseConversion , {email} , [6] , -18.64"),
        _ => format!("{email}, fb, , F"),
    }
}

fn csv_record([kind, email, promo]: &Record) -> String {
    let quoted = |field: &str| format!("\"{}\"", field.replace('"', "\"\""));
    match *kind {
        "row" => String::new(),
        "purchase" => format!("{},{},purchase,,[6],18.64", quoted(email), quoted(promo)),
        "basket" => format!("{},{},basket,,[],", quoted(email), quoted(promo)),
        _ => format!("{},{},click,\"w,w\",,", quoted(email), quoted(promo)),
    }
}

/// A loyalty list and conversions, or one interleaved stream.
fn inputs() -> impl Strategy<Value = Vec<ModelInput>> {
    let records = prop::collection::vec(record(), 0..60);
    let list = prop::collection::vec(email(), 0..12);
    (records, list, 0..4).prop_map(|(records, list, form)| {
        let lines: Vec<_> = records.iter().map(text_record).collect();
        let rows = list.iter().map(|email| format!("{email}, , , F\n")).collect::<String>();
        let conversions: Vec<_> = records.iter().filter(|[kind, ..]| *kind != "row").collect();
        let (format, bytes) = match form {
            0 => return vec![ModelInput::new(ModelSource::Interleaved, ModelFormat::Text, lines.join("\n"))],
            1 => {
                let frames: Vec<u8> = conversions.iter().flat_map(|record| frame(text_record(record))).collect();
                (ModelFormat::Framed, frames)
            }
            2 => {
                let lines: Vec<_> = conversions.iter().map(|record| text_record(record)).collect();
                (ModelFormat::Text, lines.join("\n").into_bytes())
            }
            _ => {
                let lines: Vec<_> = conversions.iter().map(|record| csv_record(record)).collect();
                let header = "email,promo,conversion,where,items,total_cost\n";
                (ModelFormat::Csv, (header.to_owned() + &lines.join("\n")).into_bytes())
            }
        };
        vec![
            ModelInput::new(ModelSource::Loyalty, ModelFormat::Text, rows),
            ModelInput::new(ModelSource::Conversions, format, bytes),
        ]
    })
}

fn hex(digest: &[u8], is_upper: bool) -> String {
    digest.iter().map(|byte| if is_upper { format!("{byte:02X}") } else { format!("{byte:02x}") }).collect()
}

fn suppressed() -> impl Strategy<Value = Vec<String>> {
    let emails = EMAILS.iter().copied().filter(|email| !email.contains(['"', '=']));
    let emails: Vec<_> = emails.chain(["KIM@GoogleMail.com", "k.i.m+x@gmail.com", "other@x"]).collect();
    let line = (select(emails), 0..5, any::<bool>()).prop_map(|(email, form, is_upper)| {
        let lower = email.to_ascii_lowercase();
        match form {
            0 => hex(&Md5::digest(lower), is_upper),
            1 => hex(&Sha256::digest(lower), is_upper),
            2 => format!("  {} ", email.to_ascii_uppercase()),
            3 => format!("{email}, since yesterday"),
            _ => email.to_owned(),
        }
    });
    prop::collection::vec(line, 0..4)
}

/// Rows of this run and of other runs, often several for a customer and promo.
fn ledger() -> impl Strategy<Value = Vec<ModelRow>> {
    let row = (select(RUNS.to_vec()), email(), promo(), 0..4, 0..30);
    prop::collection::vec(row, 0..14).prop_map(|rows| {
        let mut ledger: Vec<ModelRow> = Vec::new();
        for (run, email, promo, outcome, code) in rows {
            let is_sent = outcome > 0;
            let code = if is_sent { format!("C{code}") } else { String::new() };
            let has_new_code = code.is_empty() || ledger.iter().all(|row| row.code != code);
            let row = ModelRow { run: run.into(), promo: promo.into(), email: email.into(), is_sent, code };
            ledger.extend(has_new_code.then_some(row));
        }
        ledger
    })
}

fn codes() -> impl Strategy<Value = Vec<(Option<String>, String)>> {
    let promos = prop::collection::vec(select(vec!["P", "P", "Q", "p", "R, \"S\"", "two\nlines,sent"]), 60);
    (0_usize..60, promos, any::<bool>()).prop_map(|(count, promos, has_promos)| {
        let codes = (0..count).map(|number| format!("C{}", (number * 7) % 60));
        codes.zip(promos).map(|(code, promo)| (has_promos.then(|| promo.to_owned()), code)).collect()
    })
}

fn policy() -> impl Strategy<Value = ModelPolicy> {
    let promos = option::weighted(0.2, Just(vec!["P".to_owned(), "p".to_owned(), "R, \"S\"".to_owned()]));
    let once = option::of(select(vec![ModelOnce::Promo, ModelOnce::Customer, ModelOnce::Never]));
    let holdout = (select(vec!["20", "50", "0.5"]), select(vec!["k", "spring: 1"]));
    let rules = (promos, once, any::<bool>(), option::of(holdout), any::<bool>());
    let data = (option::weighted(0.3, suppressed()), option::weighted(0.8, ledger()), option::weighted(0.6, codes()));
    let format = select(vec![DecisionFormat::Csv, DecisionFormat::JsonLines, DecisionFormat::Text]);
    (rules, data, format, any::<bool>()).prop_map(
        |((promos, once, ignores_case, holdout, withholds), (suppressed, ledger, codes), format, send_only)| {
            // A run hands out codes only with a ledger.
            let codes = codes.filter(|_| ledger.is_some());
            let holdout = holdout.map(|(percent, key)| (percent.to_owned(), key.to_owned()));
            let run_id = RUNS[0].to_owned();
            ModelPolicy {
                promos,
                once,
                ignores_case,
                holdout,
                withholds,
                suppressed,
                run_id,
                ledger,
                codes,
                format,
                send_only,
            }
        },
    )
}

fn settings() -> impl Strategy<Value = RunSettings> {
    let sizes = (1_usize..300, 1_usize..100);
    (select(vec![1_u32, 3, 10, 1000]), select(vec![1_usize, 2, 8]), sizes).prop_map(
        |(partitions, threads, (block_bytes, slice_bytes))| {
            let max_record_bytes = 200;
            RunSettings { partitions, threads, block_bytes, slice_bytes, max_record_bytes, max_rejects: 1000 }
        },
    )
}

fn schedule() -> impl Strategy<Value = ReadSchedule> {
    let chunk = (1_usize..60, any::<bool>()).prop_map(|(max_bytes, is_ready)| Chunk { max_bytes, is_ready });
    prop::collection::vec(chunk, 1..20).prop_map(ReadSchedule)
}

/// The message for missing codes.
fn missing_codes(missing: &BTreeMap<Vec<u8>, u64>) -> String {
    let promos: Vec<_> = missing
        .iter()
        .map(|(promo, count)| {
            let promo = String::from_utf8(promo.clone()).unwrap().replace('"', "\\\"").replace('\n', "\\n");
            format!("{count} for \"{promo}\"")
        })
        .collect();
    format!(
        "the run needs {} more unused codes than there are: {}; add codes to the file, or set when_exhausted = \
         \"withhold\" in the table [codes] of the campaign file",
        missing.values().sum::<u64>(),
        promos.join(", ")
    )
}

/// The ledger after a run.
fn new_ledger(old: &[ModelRow], run: &PolicyRun) -> Vec<ModelRow> {
    [old, &run.rows].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(500)))]

    #[test]
    fn policy_agrees_with_the_model(
        inputs in inputs(), policy in policy(), settings in settings(), schedule in schedule()
    ) {
        let (mut expected, run) = run_with_policy(&inputs, &policy, settings.max_record_bytes, settings.max_rejects);
        let ledger = policy.ledger.as_deref().map(ledger_bytes);
        let actual = run_engine_with_policy(&inputs, &policy, ledger.as_deref(), &settings, &schedule);
        if !run.missing.is_empty() {
            prop_assert_eq!(actual.result.failed, Some(missing_codes(&run.missing)));
            return Ok(());
        }
        expected.rejects.clone_from(&actual.result.rejects);
        prop_assert_eq!(&actual.result, &expected);
        let rows = ledger_bytes(&run.rows).split_off(ledger_bytes(&[]).len());
        prop_assert_eq!(text(actual.rows), text(rows));
        if policy.header().windows(6).any(|name| name == b"reason") {
            prop_assert_eq!(&actual.counts.reasons, &run.reasons);
        }
        for (promo, left) in &actual.counts.codes_left {
            prop_assert_eq!(*left as usize, run.unused.iter().filter(|(of, _)| of == promo).count());
        }
    }

    #[test]
    fn repeated_run_has_the_same_bytes_and_ledger(
        inputs in inputs(), policy in policy(), settings in settings()
    ) {
        let Some(old) = &policy.ledger else { return Ok(()) };
        let (_, run) = run_with_policy(&inputs, &policy, settings.max_record_bytes, settings.max_rejects);
        let ledger = |rows: &[ModelRow]| Some(ledger_bytes(rows));
        let engine = |ledger: Option<Vec<u8>>| {
            run_engine_with_policy(&inputs, &policy, ledger.as_deref(), &settings, &ReadSchedule::whole())
        };
        let first = engine(ledger(old));
        if first.result.failed.is_some() {
            return Ok(());
        }
        let PolicyResult { result, rows, .. } = engine(ledger(&new_ledger(old, &run)));
        prop_assert_eq!(result, first.result);
        prop_assert_eq!(text(rows), "");
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(150)))]

    #[test]
    fn no_code_is_given_twice_and_no_customer_gets_two(
        nights in prop::collection::vec((inputs(), policy(), select(RUNS.to_vec())), 2..5),
        once in select(vec![ModelOnce::Promo, ModelOnce::Customer, ModelOnce::Never]),
        codes in codes(),
    ) {
        let mut rows: Vec<ModelRow> = Vec::new();
        let mut owners: HashMap<String, String> = HashMap::new();
        for (inputs, policy, run_id) in nights {
            let (run_id, format) = (run_id.to_owned(), DecisionFormat::JsonLines);
            let (ledger, codes) = (Some(rows.clone()), Some(codes.clone()));
            let policy = ModelPolicy { run_id, format, once: Some(once), ledger, codes, send_only: true, ..policy };
            let bytes = ledger_bytes(&rows);
            let settings = RunSettings { partitions: 3, threads: 2, ..RunSettings::default() };
            let settings = RunSettings { max_rejects: 1000, ..settings };
            let actual = run_engine_with_policy(&inputs, &policy, Some(&bytes), &settings, &ReadSchedule::whole());
            if actual.result.failed.is_some() {
                // Too few codes: nothing is committed.
                continue;
            }
            for line in text(actual.result.output).lines() {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                let [email, code] = ["email", "code"].map(|key| line[key].as_str().unwrap().to_owned());
                let email = email.to_ascii_lowercase();
                prop_assert_eq!(owners.entry(code).or_insert(email.clone()), &email);
            }
            let (_, run) = run_with_policy(&inputs, &policy, settings.max_record_bytes, settings.max_rejects);
            rows = new_ledger(&rows, &run);
            let sent = || rows.iter().filter(|row| row.is_sent);
            prop_assert!(sent().map(|row| &row.code).all_different(), "a code occurs twice in the ledger");
            let customer = |row: &ModelRow| row.email.to_ascii_lowercase();
            match once {
                ModelOnce::Promo => prop_assert!(sent().map(|row| (customer(row), &row.promo)).all_different()),
                ModelOnce::Customer => prop_assert!(sent().map(customer).all_different()),
                ModelOnce::Never => {}
            }
        }
    }
}

/// A ledger with bytes that were removed, replaced or inserted.
fn damaged_ledger() -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<prop::sample::Index>(), 0..3, select(b"\",\n\r a\0\xef".to_vec()));
    (ledger(), prop::collection::vec(edit, 0..4), any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(rows, edits, end, is_truncated)| {
            let mut bytes = ledger_bytes(&rows);
            for (at, kind, byte) in edits {
                let at = at.index(bytes.len());
                bytes.splice(at..(at + usize::from(kind < 2)).min(bytes.len()), (kind > 0).then_some(byte));
            }
            bytes.truncate(if is_truncated { end.index(bytes.len() + 1) } else { bytes.len() });
            bytes
        },
    )
}

fn csv_rows(bytes: &[u8]) -> Vec<csv::ByteRecord> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    reader.byte_records().map(Result::unwrap).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(6_000)))]

    #[test]
    fn row_appended_to_an_accepted_ledger_is_a_row(old in damaged_ledger(), email in email(), promo in promo()) {
        let Some(has_header) = ledger_has_header(&old) else { return Ok(()) };
        let row = ModelRow {
            run: "now".to_owned(),
            promo: promo.into(),
            email: email.into(),
            is_sent: true,
            code: "A1".to_owned(),
        };
        let appended = ledger_bytes(&[row]);
        let appended = if has_header { &appended[ledger_bytes(&[]).len()..] } else { &appended };
        let new = [&old[..], appended].concat();
        prop_assert_eq!(ledger_has_header(&new), Some(true));
        prop_assert_eq!(csv_rows(&new), [csv_rows(&old), csv_rows(appended)].concat());
    }
}

trait AllDifferent {
    fn all_different(self) -> bool;
}

impl<T: Eq + Hash, I: Iterator<Item = T>> AllDifferent for I {
    fn all_different(mut self) -> bool {
        let mut seen = HashSet::new();
        self.all(|item| seen.insert(item))
    }
}
