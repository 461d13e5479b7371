//! All calls of the tests into the crate.

pub mod policy;

use std::io::{self, Cursor, Write};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use adseg::{
    ByteSource, Column, ConversionKind, CountCampaign, Counts, Decide, DecisionEncoder, DecisionOutput, Explain, Head,
    Histories, Input, InputError, InputFormat, ListFormat, Location, Observer, Origin, Policy, ReadMode, ReadOptions,
    ReaderSettings, RecordNumber, Rejection, ReplayError, Report, Sends, Settings, SourceKind, TableRules, Time,
    TimeWindow, Totals, TypeNames, replay, saved_list,
};
use serde_json::Value;

use super::frame;
use super::model::policy::ModelPolicy;
use super::model::table::TableOptions;
use super::model::{ModelFormat, ModelInput, ModelSource, RecordCounts, RecordLocation, RunResult};
use policy::PolicyCounts;

/// How the engine splits its work, and the limits. Only the limits may change the result.
#[derive(Debug, Clone, Copy)]
pub struct RunSettings {
    pub partitions: u32,
    pub threads: usize,
    pub block_bytes: usize,
    pub slice_bytes: usize,
    pub max_record_bytes: usize,
    pub max_rejects: u64,
}

impl Default for RunSettings {
    fn default() -> Self {
        let Settings { partitions, threads, reader, max_rejects, .. } = Settings::default();
        Self {
            partitions: partitions.get(),
            threads: threads.get(),
            block_bytes: reader.block_bytes,
            slice_bytes: reader.slice_bytes,
            max_record_bytes: reader.max_record_bytes,
            max_rejects,
        }
    }
}

impl RunSettings {
    fn for_engine(&self) -> Settings {
        let Self { partitions, threads, block_bytes, slice_bytes, max_record_bytes, max_rejects } = *self;
        Settings {
            partitions: NonZeroU32::new(partitions).unwrap(),
            threads: NonZeroUsize::new(threads).unwrap(),
            reader: ReaderSettings { block_bytes, slice_bytes, max_record_bytes, continues_after_damage: false },
            max_rejects,
            allows_disorder: false,
            replaced_list: None,
            min_members: 0,
        }
    }
}

/// The chunks in which an input arrives, repeated until its end.
#[derive(Debug, Clone)]
pub struct ReadSchedule(pub Vec<Chunk>);

#[derive(Debug, Clone, Copy)]
pub struct Chunk {
    pub max_bytes: usize,
    /// Whether the bytes are there before a read waits for them.
    pub is_ready: bool,
}

impl ReadSchedule {
    /// The input as one chunk.
    pub fn whole() -> Self {
        Self(vec![Chunk { max_bytes: usize::MAX, is_ready: true }])
    }
}

struct ScheduledSource {
    bytes: Cursor<Vec<u8>>,
    schedule: ReadSchedule,
    reads: usize,
}

impl ByteSource for ScheduledSource {
    fn read(&mut self, buffer: &mut [u8], mode: ReadMode) -> io::Result<usize> {
        self.reads += 1;
        let Chunk { max_bytes, is_ready } = self.schedule.0[self.reads % self.schedule.0.len()];
        if mode == ReadMode::NoWait && !is_ready {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = max_bytes.min(buffer.len());
        io::Read::read(&mut self.bytes, &mut buffer[..len])
    }
}

#[derive(Debug, Clone, Default)]
struct SharedBuffer(Arc<Mutex<Vec<u8>>>);

impl Write for SharedBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Records every rejected record.
#[derive(Default)]
struct RecordingObserver(Vec<(RecordLocation, Vec<u8>)>);

impl Observer for RecordingObserver {
    fn progressed(&mut self, _counts: &Counts) {}

    fn rejected(&mut self, rejection: &Rejection<'_>) -> io::Result<()> {
        self.0.push((location(&rejection.location), rejection.raw.to_vec()));
        Ok(())
    }

    fn rejected_more(&mut self, raw: &[u8]) -> io::Result<()> {
        self.0.last_mut().unwrap().1.extend_from_slice(raw);
        Ok(())
    }

    fn damaged(&mut self, error: &InputError) -> io::Result<()> {
        panic!("{error}")
    }
}

fn location(location: &Location) -> RecordLocation {
    let (RecordNumber::Line(record) | RecordNumber::Frame(record)) = location.record;
    RecordLocation { input: location.input.to_str().unwrap().parse().unwrap(), record, byte: location.byte.unwrap() }
}

fn source_kind(source: ModelSource) -> SourceKind {
    match source {
        ModelSource::Loyalty => SourceKind::Loyalty,
        ModelSource::Conversions => SourceKind::Conversions,
        ModelSource::Interleaved => SourceKind::Interleaved,
    }
}

fn read_options(input: &ModelInput) -> ReadOptions {
    let format = match input.format {
        ModelFormat::Text => return ReadOptions::of_format(InputFormat::Text),
        ModelFormat::Framed => return ReadOptions::of_format(InputFormat::Framed),
        ModelFormat::Csv => InputFormat::Csv,
        ModelFormat::JsonLines => InputFormat::Jsonl,
        ModelFormat::Detected => InputFormat::Auto,
    };
    let TableOptions { delimiter, columns, names, types, ignores_others, time, since, until, .. } = &input.options;
    let column = |name: &str| Column::from_name(name).unwrap();
    let names = names.iter().copied().chain(time.map(|name| ("time", name)));
    let kind = |kind: &str| ConversionKind::from_short_name(kind.as_bytes()).unwrap();
    let types = types.iter().map(|(name, of)| (name.as_bytes().to_vec(), of.map(kind)));
    let rules = TableRules {
        promo: None,
        types: TypeNames { names: types.collect(), ignores_others: *ignores_others },
        has_times: time.is_some(),
        window: TimeWindow { since: since.map(Time), until: until.map(Time) },
    };
    ReadOptions {
        format,
        delimiter: (input.format == ModelFormat::Csv).then_some(*delimiter),
        column_names: names.map(|(field, name)| (column(field), name.to_owned())).collect(),
        columns: columns.as_ref().map(|columns| columns.iter().map(|name| name.map(column)).collect()),
        rules: Arc::new(rules),
        conversion_name: None,
        only_known: false,
    }
}

/// Every input is named by its index.
fn engine_inputs(inputs: &[ModelInput], schedule: &ReadSchedule) -> Vec<Input> {
    let input = |(index, input): (usize, &ModelInput)| {
        let bytes = Cursor::new(input.bytes.clone());
        Input {
            path: PathBuf::from(index.to_string()).into(),
            source: source_kind(input.source),
            options: Arc::new(read_options(input)),
            origin: Origin::Source(Box::new(ScheduledSource { bytes, schedule: schedule.clone(), reads: 0 })),
            bytes_read: Arc::default(),
        }
    };
    inputs.iter().enumerate().map(input).collect()
}

/// `adseg run` on these inputs.
pub fn run_engine(inputs: &[ModelInput], settings: &RunSettings, schedule: &ReadSchedule) -> RunResult {
    run_engine_with(inputs, settings, schedule, &Arc::default(), DecisionEncoder::default(), None).0
}

/// The same with a policy. Returns also the numbers of decisions by reason, and the unused codes.
fn run_engine_with(
    inputs: &[ModelInput],
    settings: &RunSettings,
    schedule: &ReadSchedule,
    policy: &Policy,
    encoder: DecisionEncoder,
    sends: Option<Sends<'_>>,
) -> (RunResult, PolicyCounts) {
    let (output, mut observer) = (SharedBuffer::default(), RecordingObserver::default());
    let sources = engine_inputs(inputs, schedule);
    let decisions = DecisionOutput { encoder, sends, out: Box::new(output.clone()) };
    let computation = Decide { keeps_rows: true, policy };
    let allows_disorder = inputs.iter().any(|input| input.options.allows_disorder);
    let settings = Settings { allows_disorder, ..settings.for_engine() };
    let outcome = replay(&computation, &settings, sources, Some(decisions), &mut observer);
    let output = output.0.lock().unwrap().clone();
    let mut result = RunResult { output, rejects: observer.0, ..RunResult::default() };
    let mut policy_counts = PolicyCounts::default();
    match outcome {
        Ok(outcome) => {
            let counts = outcome.counts;
            result.counts = RecordCounts {
                records: counts.records,
                blanks: counts.blanks,
                decisions: counts.conversions(),
                loyalty_rows: counts.loyalty_rows,
                ignored: counts.ignored,
            };
            let format = ListFormat::Text { max_record_bytes: usize::MAX };
            format.write(saved_list(&outcome.states), Path::new("saved"), &mut result.saved).unwrap();
            let good = counts.conversions() + counts.loyalty_rows + counts.ignored;
            assert_eq!(counts.records, good + counts.rejects + counts.blanks);
            if inputs.iter().all(every_byte_is_in_a_record) {
                assert_eq!(counts.bytes, inputs.iter().map(|input| input.bytes.len() as u64).sum::<u64>());
            }
            policy_counts = PolicyCounts::of(outcome.reasons, outcome.codes.as_ref());
        }
        Err(ReplayError::BadRecord { location: at, .. }) => result.stopped = Some(location(&at)),
        Err(ReplayError::StepBack { location: Location { input, record, .. }, .. }) => {
            let (RecordNumber::Line(record) | RecordNumber::Frame(record)) = record;
            result.step_back = Some((input.to_str().unwrap().parse().unwrap(), record));
        }
        Err(ReplayError::Input(InputError::TruncatedFrame { at, .. })) => result.truncated = Some(location(&at)),
        Err(failure) => result.failed = Some(failure.to_string()),
    }
    (result, policy_counts)
}

/// Neither a header row nor a byte-order mark is part of a record, and compressed bytes are counted decompressed.
fn every_byte_is_in_a_record(input: &ModelInput) -> bool {
    let bytes = &input.bytes;
    !matches!(input.format, ModelFormat::Csv | ModelFormat::Detected)
        && !bytes.starts_with(b"\xef\xbb\xbf")
        && !is_compressed(bytes)
}

/// Whether an input that begins like this is read as compressed data: gzip, or zstd with or without a skippable frame.
fn is_compressed(bytes: &[u8]) -> bool {
    let skippable =
        bytes.first().is_some_and(|first| (0x50..=0x5f).contains(first)) && bytes[1..].starts_with(b"*M\x18");
    bytes.starts_with(b"\x1f\x8b") || bytes.starts_with(b"\x28\xb5\x2f\xfd") || skippable
}

/// Whether an input that begins like this is read as compressed data or rejected as UTF-16.
pub fn is_compressed_or_utf16(bytes: &[u8]) -> bool {
    is_compressed(bytes) || bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff")
}

/// Whether a run failed because compressed data is damaged or truncated.
pub fn is_damaged_compressed_data(result: &RunResult) -> bool {
    result.failed.as_ref().is_some_and(|failed| failed.contains("counted decompressed"))
}

/// The email of a record that the crate accepts, or its error.
#[derive(Debug)]
pub enum DecodedRecord {
    LoyaltyRow(Vec<u8>),
    Conversion(Vec<u8>),
    Bad(String),
}

/// Decodes one record, as the only frame of an input.
pub fn decode(source: ModelSource, record: &[u8]) -> DecodedRecord {
    let input = ModelInput::new(source, ModelFormat::Framed, frame(record));
    let sources = engine_inputs(&[input], &ReadSchedule::whole());
    let (partitions, threads, block_bytes, slice_bytes) = (1, 1, 1 << 12, 1 << 12);
    let settings =
        RunSettings { partitions, threads, block_bytes, slice_bytes, max_record_bytes: 1 << 30, max_rejects: 0 };
    let decisions = SharedBuffer::default();
    let output = DecisionOutput { encoder: DecisionEncoder::default(), sends: None, out: Box::new(decisions.clone()) };
    let computation = Decide { keeps_rows: true, policy: &Policy::default() };
    let mut observer = RecordingObserver::default();
    match replay(&computation, &settings.for_engine(), sources, Some(output), &mut observer) {
        Ok(outcome) if outcome.counts.loyalty_rows == 1 => {
            let email = saved_list(&outcome.states).next().unwrap().email.to_vec();
            DecodedRecord::LoyaltyRow(email)
        }
        Ok(_) => {
            let line = decisions.0.lock().unwrap().clone();
            let email = line.strip_prefix(b"Send additional promo code to: ").unwrap();
            DecodedRecord::Conversion(email.strip_suffix(b", False\n").unwrap().to_vec())
        }
        Err(ReplayError::BadRecord { reason, .. }) => DecodedRecord::Bad(reason),
        Err(failure) => panic!("{failure}"),
    }
}

/// What `adseg explain` reports about one email.
pub struct History {
    pub email: &'static str,
    /// The number of the record that made the customer a member.
    pub member_since: Option<u64>,
    pub entries: Vec<HistoryEntry>,
}

pub struct HistoryEntry {
    pub number: u64,
    pub was_member: bool,
    pub input: usize,
    /// The number of the line or frame, counted from 1.
    pub record: u64,
    /// The kind of the conversion and whether it gets a code; `None` for a loyalty row.
    pub decision: Option<(String, bool)>,
}

/// The histories of those `emails` that occur, if these emails are `watched`. Bad records are skipped.
pub fn explain(
    inputs: &[ModelInput],
    settings: &RunSettings,
    watched: &[&str],
    emails: &[&'static str],
) -> Vec<History> {
    let policy = Policy::default();
    let computation = Explain::new(watched.iter().map(|email| email.as_bytes()), &policy);
    let sources = engine_inputs(inputs, &ReadSchedule::whole());
    let mut observer = RecordingObserver::default();
    let outcome = replay(&computation, &settings.for_engine(), sources, None, &mut observer).unwrap();
    let histories = Histories::merge(outcome.states);
    let history = |email: &'static str| {
        let history = histories.get(email.as_bytes())?;
        let entries = history.entries.iter().map(|entry| {
            let at = outcome.line_index.location(entry.number);
            let (RecordNumber::Line(record) | RecordNumber::Frame(record)) = at.record;
            let conversion = entry.conversion.as_ref();
            let decision = conversion.map(|conversion| (conversion.kind.name().to_owned(), conversion.decision.send));
            let input = at.input.to_str().unwrap().parse().unwrap();
            HistoryEntry { number: entry.number, was_member: entry.was_member, input, record, decision }
        });
        Some(History { email, member_since: history.member_since, entries: entries.collect() })
    };
    emails.iter().filter_map(|email| history(email)).collect()
}

/// The title of [`report`], and the name and the source of its input.
pub const TITLE: &str = "a title";
pub const INPUT: &str = "stream";
pub const SOURCE: &str = "both";

/// The JSON of `adseg report` on an interleaved text stream without bad records.
pub fn report(stream: String, policy: Option<&ModelPolicy>, settings: &RunSettings) -> Value {
    let input = ModelInput::new(ModelSource::Interleaved, ModelFormat::Text, stream);
    let sources = engine_inputs(&[input], &ReadSchedule::whole());
    let mut observer = RecordingObserver::default();
    let policy = &policy.map_or_else(Policy::default, |policy| policy::report_policy(policy, settings));
    let outcome = replay(&CountCampaign { policy }, &settings.for_engine(), sources, None, &mut observer).unwrap();
    assert_eq!(observer.0, []);
    let counts = outcome.inputs.first().copied().unwrap_or_default();
    let inputs = vec![(INPUT.into(), SOURCE, counts)];
    let head = Head { title: Some(TITLE.to_owned()), made: None, inputs };
    let report = Report::new(head, &Totals::merge(outcome.states, policy), &outcome.counts, 10);
    serde_json::from_str(&adseg::json(&report.tables())).unwrap()
}

/// Every figure of a report: its table, its name and its definition. `policy` must hold out a customer by its ledger.
pub fn report_figures(policy: &ModelPolicy) -> impl Iterator<Item = [String; 3]> + use<> {
    let policy = policy::report_policy(policy, &RunSettings::default());
    let reports = [&Policy::default(), &policy].map(|policy| {
        let totals = Totals::merge(Vec::new(), policy);
        Report::new(Head::default(), &totals, &Counts::default(), 10)
    });
    let figures = |report: &Report| {
        let tables = report.tables().into_iter();
        let figures = tables.flat_map(|table| table.columns.iter().map(|figure| (table.key, *figure)));
        figures.collect::<Vec<_>>()
    };
    let [mut all, with_policy] = reports.each_ref().map(figures);
    let known: Vec<_> = all.iter().map(|(table, _)| *table).collect();
    all.extend(with_policy.into_iter().filter(|(table, _)| !known.contains(table)));
    all.into_iter().map(|(table, figure)| [table, figure.key, figure.about].map(str::to_owned))
}
