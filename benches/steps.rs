//! The speed of each step on the way of the data, and of the whole engine, in bytes a second.
//!
//! Everything happens in memory, on sample data. Every step asserts that its answer is right: what it is held against
//! is worked out plainly in [`Plain`]. How long the program takes beside other tools is measured by `compare.py`.

use std::collections::HashSet;
use std::hint::black_box;
use std::io::{self, Cursor, Write};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use adseg::campaign::{Decision, Event, EventKind, Keep, LoyaltyCustomers};
use adseg::computation::Deciding;
use adseg::encoder::{DecisionEncoder, Encoder, OutputFormat};
use adseg::engine::{Counts, Job, Observer, Settings, replay};
use adseg::partition::{DEFAULT_PARTITIONS, EmailHash, EmailHasher, Partitioner};
use adseg::record::{Decoder, Expected, Layout, Record};
use adseg::sample::{self, Events, Members};
use adseg::sink::Rejection;
use adseg::source::{Framing, Input, InputFormat, Origin, SourceError, push_frame};
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};

const SAMPLE: sample::Settings = sample::Settings {
    seed: 1,
    members: 20_000,
    events: 200_000,
    customers: 100_000,
    mix: sample::Mix { clicks: 60, baskets: 25, purchases: 15 },
    bad_per_million: 0,
};

/// A list and a log, and the right answers to them, worked out with strings and one set of members.
struct Plain {
    loyalty: String,
    conversions: String,
    answers: String,
    emails: HashSet<String>,
    /// How many clicks, baskets and purchases there are.
    kinds: [usize; 3],
    /// How many codes are to be sent.
    sent: u64,
}

impl Plain {
    fn new() -> Self {
        let (mut members, mut events) = (Members::new(&SAMPLE), Events::new(&SAMPLE));
        let mut plain = Self {
            loyalty: lines(|record| members.write_next(record)),
            conversions: lines(|record| events.write_next(record)),
            answers: String::new(),
            emails: HashSet::new(),
            kinds: [0; 3],
            sent: 0,
        };
        plain.decide();
        plain
    }

    fn decide(&mut self) {
        let mut members: HashSet<&str> = self.loyalty.lines().map(|row| row.split(", ").next().unwrap()).collect();
        for event in self.conversions.lines() {
            let fields: Vec<&str> = event.split(", ").collect();
            let (kind, email) = (fields[1], fields[2]);
            let send = kind == "ClickConversion" && members.contains(email);
            if kind == "PurchaseConversion" {
                members.insert(email);
            }
            let names = ["ClickConversion", "BasketConversion", "PurchaseConversion"];
            self.kinds[names.iter().position(|&name| name == kind).unwrap()] += 1;
            self.sent += u64::from(send);
            self.answers +=
                &format!("Send additional promo code to: {email}, {}\n", if send { "True" } else { "False" });
            self.emails.insert(email.to_owned());
        }
    }

    fn events(&self) -> usize {
        self.kinds.iter().sum()
    }

    fn conversion_events(&self) -> Vec<Event<'_>> {
        events(&self.conversions, Expected::Conversions)
    }

    fn member_events(&self) -> Vec<Event<'_>> {
        events(&self.loyalty, Expected::Customers)
    }

    /// The decisions that the answers tell. Who enrolled is not in them, and not in a line of text either.
    fn decisions(&self) -> Vec<Decision> {
        self.answers.lines().map(|line| Decision { send: line.ends_with("True"), enrolled: false }).collect()
    }
}

fn lines(mut write_next: impl FnMut(&mut Vec<u8>) -> bool) -> String {
    let mut text = Vec::new();
    while write_next(&mut text) {
        text.push(b'\n');
    }
    String::from_utf8(text).unwrap()
}

fn framed(text: &str) -> Vec<u8> {
    let mut frames = Vec::new();
    for line in text.lines() {
        push_frame(&mut frames, |out| out.extend_from_slice(line.as_bytes()));
    }
    frames
}

fn decoder(expected: Expected) -> Decoder {
    Decoder { expected, layout: Layout::Commas, max_record_bytes: 1 << 20 }
}

fn events(text: &str, expected: Expected) -> Vec<Event<'_>> {
    let decoder = decoder(expected);
    let events = text.lines().map(str::as_bytes).zip(1..).map(|(record, number)| {
        let (kind, email) = match decoder.decode(record).unwrap() {
            Record::Customer(customer) => (EventKind::Customer, customer.email),
            Record::Conversion(conversion) => (EventKind::Conversion(conversion.action.kind()), conversion.email),
        };
        Event { kind, email: email.as_bytes(), record, layout: Layout::Commas, number }
    });
    events.collect()
}

fn hashed<'a>(hasher: &EmailHasher, events: Vec<Event<'a>>) -> Vec<(EmailHash, Event<'a>)> {
    events.into_iter().map(|event| (hasher.hash(event.email), event)).collect()
}

fn group<'c>(
    criterion: &'c mut Criterion,
    name: &str,
    bytes: usize,
) -> BenchmarkGroup<'c, criterion::measurement::WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(bytes as u64));
    group
}

fn split(criterion: &mut Criterion) {
    let plain = Plain::new();
    let frames = framed(&plain.conversions);
    for (name, framing, bytes) in
        [("text", Framing::Text, plain.conversions.as_bytes()), ("framed", Framing::Framed, &frames)]
    {
        group(criterion, "split", bytes.len()).bench_function(name, |bencher| {
            bencher.iter(|| {
                let (mut at, mut records, mut payload) = (0, 0, 0);
                while at < bytes.len() {
                    let raw = framing.record_at(black_box(bytes), at);
                    (at, records, payload) = (raw.end, records + 1, payload + raw.payload.len());
                }
                assert_eq!((records, payload), (plain.events(), plain.conversions.len() - plain.events()));
            });
        });
    }
}

fn decode(criterion: &mut Criterion) {
    let plain = Plain::new();
    let records: Vec<&[u8]> = plain.conversions.lines().map(str::as_bytes).collect();
    for (name, expected) in [("conversions", Expected::Conversions), ("interleaved", Expected::Either)] {
        let decoder = decoder(expected);
        group(criterion, "decode", plain.conversions.len()).bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut kinds = [0; 3];
                for record in black_box(&records) {
                    let Ok(Record::Conversion(conversion)) = decoder.decode(record) else { panic!("no conversion") };
                    kinds[conversion.action.kind() as usize] += 1;
                }
                assert_eq!(kinds, plain.kinds);
            });
        });
    }
}

fn hash(criterion: &mut Criterion) {
    let plain = Plain::new();
    let emails: Vec<&[u8]> = plain.conversion_events().iter().map(|event| event.email).collect();
    let partitioner = Partitioner::new(NonZeroU32::new(DEFAULT_PARTITIONS).unwrap());
    let hashes: HashSet<u64> = emails.iter().map(|email| partitioner.hasher().hash(email).0).collect();
    assert_eq!(hashes.len(), plain.emails.len(), "one hash for each email, and another one for every other email");
    let bytes = emails.iter().map(|email| email.len()).sum();
    group(criterion, "hash", bytes).bench_function("emails", |bencher| {
        bencher.iter(|| {
            let mut shares = [0; DEFAULT_PARTITIONS as usize];
            for email in black_box(&emails) {
                shares[partitioner.partition(partitioner.hasher().hash(email))] += 1;
            }
            assert_eq!(shares.iter().sum::<usize>(), plain.events());
        });
    });
}

fn state(criterion: &mut Criterion) {
    let plain = Plain::new();
    let hasher = EmailHasher::default();
    let members = hashed(&hasher, plain.member_events());
    let conversions = hashed(&hasher, plain.conversion_events());
    let bytes = plain.loyalty.len() + plain.conversions.len();
    for (name, keep) in [("emails kept", Keep::Emails), ("rows kept", Keep::Rows)] {
        group(criterion, "state", bytes).bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut state = LoyaltyCustomers::new(hasher.clone(), keep);
                for (hash, event) in members.iter().chain(&conversions) {
                    black_box(state.apply(*hash, event));
                }
                assert_eq!(state.sent(), plain.sent);
            });
        });
    }
}

fn encode(criterion: &mut Criterion) {
    let plain = Plain::new();
    let conversions = plain.conversion_events();
    let decisions = plain.decisions();
    let decided = || conversions.iter().copied().zip(decisions.iter().copied());
    for (name, format) in [("text", OutputFormat::Text), ("jsonl", OutputFormat::Jsonl), ("csv", OutputFormat::Csv)] {
        let encoder = DecisionEncoder { format, send_only: false };
        let mut out = Vec::new();
        encoder.encode(decided(), &mut out);
        let bytes = out.len();
        match format {
            OutputFormat::Text => assert!(out == plain.answers.as_bytes(), "other lines than the plain ones"),
            _ => assert_eq!(out.iter().filter(|&&byte| byte == b'\n').count(), plain.events()),
        }
        group(criterion, "encode", bytes).bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                encoder.encode(black_box(decided()), &mut out);
                assert_eq!(out.len(), bytes);
            });
        });
    }
}

/// Counts the bytes that it is given.
struct Counter(Arc<AtomicU64>);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Nothing is to be told: the sample has no bad record.
struct Nobody;

impl Observer for Nobody {
    fn advanced(&mut self, _counts: &Counts) {}

    fn rejected(&mut self, rejection: &Rejection<'_>) -> io::Result<()> {
        panic!("a bad record at {}", rejection.position)
    }

    fn rejected_more(&mut self, _raw: &[u8]) -> io::Result<()> {
        panic!("more of a bad record")
    }

    fn damaged(&mut self, error: &SourceError) -> io::Result<()> {
        panic!("{error}")
    }
}

fn engine(criterion: &mut Criterion) {
    let plain = Plain::new();
    let text = [plain.loyalty.as_bytes(), plain.conversions.as_bytes()].map(Arc::<[u8]>::from);
    let frames = [&plain.loyalty, &plain.conversions].map(|text| Arc::<[u8]>::from(framed(text)));
    for (name, sources, threads) in
        [("text, 1 thread", &text, 1), ("text, 2 threads", &text, 2), ("framed, 2 threads", &frames, 2)]
    {
        let bytes = sources.iter().map(|source| source.len()).sum();
        let settings = Settings { threads: NonZeroUsize::new(threads).unwrap(), ..Settings::default() };
        group(criterion, "engine", bytes).bench_function(name, |bencher| {
            bencher.iter(|| {
                let (sent, written) = run(sources, &settings);
                assert_eq!((sent, written), (plain.sent, plain.answers.len() as u64));
            });
        });
    }
}

/// Replays a list and a log. Gives how many codes are to be sent, and how many bytes were written.
fn run(sources: &[Arc<[u8]>; 2], settings: &Settings) -> (u64, u64) {
    let inputs =
        [Expected::Customers, Expected::Conversions].into_iter().zip(sources).map(|(expected, source)| Input {
            name: format!("{expected:?}"),
            expected,
            format: InputFormat::Auto,
            origin: Origin::Feed(Box::new(Cursor::new(Arc::clone(source)))),
            meter: Arc::default(),
        });
    let job = Job { computation: Deciding { keep: Keep::Emails }, encoder: DecisionEncoder::default() };
    let written = Arc::new(AtomicU64::new(0));
    let out = Box::new(Counter(Arc::clone(&written)));
    let outcome = replay(&job, settings, inputs.collect(), out, &mut Nobody).unwrap();
    (outcome.states.iter().map(LoyaltyCustomers::sent).sum(), written.load(Ordering::Relaxed))
}

fn settings() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .without_plots()
}

criterion_group! { name = steps; config = settings(); targets = split, decode, hash, state, encode, engine }
criterion_main!(steps);
