//! The speed of a replay in memory, in bytes of input per second: by input and output format, and by computation, each on
//! one thread and on the default number.
//!
//! Every result is compared with that of [`Plain`], a serial implementation on strings. `compare.py` compares the
//! program with other tools.

use std::collections::HashSet;
use std::io::{self, Cursor, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use adseg::{
    CountCampaign, Counts, Decide, DecisionEncoder, DecisionOutput, Explain, Head, Histories, Input, InputError,
    InputFormat, ListFormat, Observer, Origin, OutputFormat, Policy, ReadOptions, Records, Rejection, Report,
    SampleSettings, Settings, SourceKind, Totals, replay, saved_list,
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const SAMPLE: SampleSettings = SampleSettings {
    seed: 1,
    members: 20_000,
    events: 200_000,
    customers: 100_000,
    mix: [60, 25, 15],
    bad_per_million: 0,
};

const LOYALTY_HEADER: &str = "email,fb_user,insta_user,gender";
const CONVERSIONS_HEADER: &str = "promo,conversion,email,where,items,total_cost";

/// A loyalty list and conversions as text, and the expected results.
struct Plain {
    loyalty: String,
    conversions: String,
    /// Whether each conversion gets a code, and whether it enrols its customer.
    decisions: Vec<(bool, bool)>,
    saved_list: String,
    /// The numbers of clicks, baskets, purchases, codes and enrolled customers.
    totals: [u64; 5],
}

impl Plain {
    fn new() -> Self {
        let (loyalty, conversions) = (lines(Records::members(&SAMPLE)), lines(Records::conversions(&SAMPLE)));
        let (mut decisions, mut saved_list) = (Vec::new(), loyalty.clone());
        let mut members: HashSet<&str> = loyalty.lines().map(|row| row.split(", ").next().unwrap()).collect();
        for line in conversions.lines() {
            let [_, kind, email, ..] = columns(line);
            let send = kind == "ClickConversion" && members.contains(email);
            let enrolled = kind == "PurchaseConversion" && members.insert(email);
            if enrolled {
                saved_list += &format!("{email}, , , \n");
            }
            decisions.push((send, enrolled));
        }
        let kinds = [", Click", ", Basket", ", Purchase"].map(|kind| conversions.matches(kind).count());
        let sent = decisions.iter().filter(|(send, _)| *send).count();
        let enrolled = decisions.iter().filter(|(_, enrolled)| *enrolled).count();
        let totals = [kinds[0], kinds[1], kinds[2], sent, enrolled].map(|count| count as u64);
        Self { loyalty, conversions, decisions, saved_list, totals }
    }

    /// The loyalty list and the conversions in this format.
    fn files(&self, format: InputFormat, quote: &str) -> [Arc<[u8]>; 2] {
        let files = [(&self.loyalty, LOYALTY_HEADER), (&self.conversions, CONVERSIONS_HEADER)];
        files.map(|(text, header)| match format {
            InputFormat::Framed => text.lines().flat_map(frame).collect(),
            InputFormat::Csv => csv(text, header, quote).into_bytes().into(),
            InputFormat::Text | InputFormat::Auto | InputFormat::Jsonl => text.as_bytes().into(),
        })
    }

    fn output(&self, format: OutputFormat) -> Arc<[u8]> {
        let is_csv = format == OutputFormat::Csv;
        let mut output = if is_csv { format!("{CONVERSIONS_HEADER},send,enrolled\n").into_bytes() } else { Vec::new() };
        for (line, &(send, enrolled)) in self.conversions.lines().zip(&self.decisions) {
            let fields = columns(line);
            let text = format!("Send additional promo code to: {}, {}", fields[2], if send { "True" } else { "False" });
            output.extend(match format {
                OutputFormat::Text => (text + "\n").into_bytes(),
                OutputFormat::Framed => frame(&text),
                OutputFormat::Csv => format!("{},{send},{enrolled}\n", fields.join(",")).into_bytes(),
                OutputFormat::Emails if send => format!("{}\n", fields[2]).into_bytes(),
                OutputFormat::Emails => Vec::new(),
                OutputFormat::Jsonl => json_line(fields, send, enrolled).into_bytes(),
            });
        }
        output.into()
    }
}

fn lines(mut records: Records) -> String {
    let mut text = Vec::new();
    while records.write_next(&mut text) {
        text.push(b'\n');
    }
    String::from_utf8(text).unwrap()
}

/// The fields of a conversion in the order of [`CONVERSIONS_HEADER`]. Fields that its type does not have are empty.
fn columns(line: &str) -> [&str; 6] {
    let fields: Vec<&str> = line.split(", ").collect();
    match fields[..] {
        [promo, kind @ "ClickConversion", email, channel] => [promo, kind, email, channel, "", ""],
        [promo, kind, email, items] => [promo, kind, email, "", items, ""],
        [promo, kind, email, items, total_cost] => [promo, kind, email, "", items, total_cost],
        _ => panic!("not a conversion: {line}"),
    }
}

fn frame(record: &str) -> Vec<u8> {
    [&u32::try_from(record.len()).unwrap().to_be_bytes(), record.as_bytes()].concat()
}

fn csv(text: &str, header: &str, quote: &str) -> String {
    let row = |line: &str| {
        let fields = if header == CONVERSIONS_HEADER { columns(line).to_vec() } else { line.split(", ").collect() };
        format!("{quote}{}{quote}\n", fields.join(&format!("{quote},{quote}")))
    };
    text.lines().map(row).fold(format!("{header}\n"), |table, row| table + &row)
}

fn json_line(fields: [&str; 6], send: bool, enrolled: bool) -> String {
    let string_or_null = |field: &str| if field.is_empty() { "null".to_owned() } else { format!("\"{field}\"") };
    let [promo, kind, email, channel, items, total_cost] = fields.map(string_or_null);
    let items = items.replace("\"[", "[\"").replace("]\"", "\"]").replace(';', "\",\"");
    format!("{{\"promo\":{promo},\"conversion\":{kind},\"email\":{email},\"where\":{channel},\"items\":{items},")
        + &format!("\"total_cost\":{total_cost},\"send\":{send},\"enrolled\":{enrolled}}}\n")
}

fn open(files: &[Arc<[u8]>; 2], format: InputFormat) -> Vec<Input> {
    let sources = [SourceKind::Loyalty, SourceKind::Conversions].into_iter().zip(files);
    let input = |(source, file): (SourceKind, &Arc<[u8]>)| Input {
        path: PathBuf::from(format!("{source:?}")).into(),
        source,
        options: Arc::new(ReadOptions::of_format(format)),
        origin: Origin::Source(Box::new(Cursor::new(Arc::clone(file)))),
        bytes_read: Arc::default(),
    };
    sources.map(input).collect()
}

/// Compares the output with the expected output.
struct ComparedOutput {
    expected: Arc<[u8]>,
    position: Arc<AtomicUsize>,
}

impl Write for ComparedOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let position = self.position.fetch_add(bytes.len(), Ordering::Relaxed);
        let is_expected = self.expected[position..].starts_with(bytes);
        is_expected.then_some(bytes.len()).ok_or_else(|| io::Error::other("unexpected output"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Panics on bad records and damage, which the sample does not have.
struct NoopObserver;

impl Observer for NoopObserver {
    fn progressed(&mut self, _counts: &Counts) {}

    fn rejected(&mut self, rejection: &Rejection<'_>) -> io::Result<()> {
        panic!("bad record at {}", rejection.location)
    }

    fn rejected_more(&mut self, _raw: &[u8]) -> io::Result<()> {
        panic!("bad record")
    }

    fn damaged(&mut self, error: &InputError) -> io::Result<()> {
        panic!("{error}")
    }
}

/// Measures `run`, which replays `files` and checks the result.
fn measure(criterion: &mut Criterion, [group, name]: [&str; 2], files: &[Arc<[u8]>; 2], run: impl Fn(&Settings)) {
    let mut group = criterion.benchmark_group(group);
    group.throughput(Throughput::Bytes(files.iter().map(|file| file.len() as u64).sum()));
    let default = Settings::default();
    let one_thread = Settings { threads: NonZeroUsize::MIN, ..default };
    for (threads, settings) in [("1 thread", one_thread), ("default threads", default)] {
        group.bench_function(BenchmarkId::new(name, threads), |bencher| bencher.iter(|| run(&settings)));
    }
}

fn formats(criterion: &mut Criterion) {
    let plain = Plain::new();
    for (name, input, quote, format) in [
        ("text to text", InputFormat::Text, "", OutputFormat::Text),
        ("framed to text", InputFormat::Framed, "", OutputFormat::Text),
        ("csv to text", InputFormat::Csv, "", OutputFormat::Text),
        ("quoted csv to text", InputFormat::Csv, "\"", OutputFormat::Text),
        ("text to framed", InputFormat::Text, "", OutputFormat::Framed),
        ("text to jsonl", InputFormat::Text, "", OutputFormat::Jsonl),
        ("text to csv", InputFormat::Text, "", OutputFormat::Csv),
    ] {
        let (files, expected) = (plain.files(input, quote), plain.output(format));
        measure(criterion, ["formats", name], &files, |settings| {
            let position = Arc::<AtomicUsize>::default();
            let out = Box::new(ComparedOutput { expected: Arc::clone(&expected), position: Arc::clone(&position) });
            let output = DecisionOutput {
                sends: None,
                encoder: DecisionEncoder { format, send_only: false, ..DecisionEncoder::default() },
                out,
            };
            let computation = Decide { keeps_rows: false, policy: &Policy::default() };
            replay(&computation, settings, open(&files, input), Some(output), &mut NoopObserver).unwrap();
            assert_eq!(position.load(Ordering::Relaxed), expected.len());
        });
    }
}

fn computations(criterion: &mut Criterion) {
    let plain = Plain::new();
    let files = plain.files(InputFormat::Text, "");
    let inputs = || open(&files, InputFormat::Text);

    for (name, keeps_rows) in [("decide", false), ("decide and save the list", true)] {
        measure(criterion, ["computations", name], &files, |settings| {
            let policy = &Policy::default();
            let outcome = replay(&Decide { keeps_rows, policy }, settings, inputs(), None, &mut NoopObserver).unwrap();
            let Counts { clicks, baskets, purchases, .. } = outcome.counts;
            let sent: u64 = outcome.states.iter().map(|state| state.sent).sum();
            let enrolled: u64 = outcome.states.iter().map(|state| state.enrolled).sum();
            assert_eq!([clicks, baskets, purchases, sent, enrolled], plain.totals);
            if keeps_rows {
                let mut saved = Vec::new();
                let format = ListFormat::Text { max_record_bytes: usize::MAX };
                format.write(saved_list(&outcome.states), Path::new("saved"), &mut saved).unwrap();
                assert!(saved == plain.saved_list.as_bytes(), "unexpected saved list");
            }
        });
    }

    measure(criterion, ["computations", "count"], &files, |settings| {
        let policy = &Policy::default();
        let outcome = replay(&CountCampaign { policy }, settings, inputs(), None, &mut NoopObserver).unwrap();
        let totals = Totals::merge(outcome.states, policy);
        let report = Report::new(Head::default(), &totals, &outcome.counts, 10);
        let json = adseg::json(&report.tables());
        let report: serde_json::Value = serde_json::from_str(&json).unwrap();
        let figures = ["clicks", "baskets", "purchases", "codes", "new_members"];
        assert_eq!(figures.map(|key| report["totals"][0][key].as_u64().unwrap()), plain.totals);
    });

    // No record has this email, so only decoding and routing are measured.
    let (email, policy) = (b"absent@example.com", Policy::default());
    measure(criterion, ["computations", "explain an absent email"], &files, |settings| {
        let computation = Explain::new([email.as_slice()], &policy);
        let outcome = replay(&computation, settings, inputs(), None, &mut NoopObserver).unwrap();
        let Counts { clicks, baskets, purchases, .. } = outcome.counts;
        assert_eq!([clicks, baskets, purchases], plain.totals[..3]);
        assert!(Histories::merge(outcome.states).get(email).is_none());
    });
}

criterion_group! {
    name = replays;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .without_plots();
    targets = formats, computations
}
criterion_main!(replays);
