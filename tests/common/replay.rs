//! Calls into the crate: everything that the tests use of it, from bytes in memory to what a user can observe.

use std::io::{self, Cursor, Write};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex};

use adseg::campaign::Keep;
use adseg::computation::{Deciding, Explaining, Reported, Reporting, Stories, What};
use adseg::encoder::{DecisionEncoder, Silent, write_list};
use adseg::engine::{Counts, Failure, Job, Observer, Settings, replay};
use adseg::record::{Decoder, Expected, Layout, Record};
use adseg::sink::Rejection;
use adseg::source::{
    BYTE_ORDER_MARK, Feed, Framing, Input, InputFormat, Origin, Patience, Position, ReaderSettings, SourceError,
    looks_packed,
};
use adseg::tally::Totals;
use serde_json::Value;

use super::model::{ModelFormat, ModelInput, ModelSource, RecordCounts, RecordLocation, RunResult};

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
        let Settings { partitions, threads, reader, slice_bytes, max_rejects } = Settings::default();
        Self {
            partitions: partitions.get(),
            threads: threads.get(),
            block_bytes: reader.block_bytes,
            slice_bytes,
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
            reader: ReaderSettings { block_bytes, max_record_bytes, reads_on_after_damage: false },
            slice_bytes,
            max_rejects,
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
    /// Everything at once.
    pub fn whole() -> Self {
        Self(vec![Chunk { max_bytes: usize::MAX, is_ready: true }])
    }
}

struct ScheduledSource {
    bytes: Cursor<Vec<u8>>,
    schedule: ReadSchedule,
    reads: usize,
}

impl Feed for ScheduledSource {
    fn read(&mut self, buffer: &mut [u8], patience: Patience) -> io::Result<usize> {
        self.reads += 1;
        let Chunk { max_bytes, is_ready } = self.schedule.0[self.reads % self.schedule.0.len()];
        if patience == Patience::TakeWhatIsThere && !is_ready {
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
    fn advanced(&mut self, _counts: &Counts) {}

    fn rejected(&mut self, rejection: &Rejection<'_>) -> io::Result<()> {
        self.0.push((location(&rejection.position), rejection.raw.to_vec()));
        Ok(())
    }

    fn rejected_more(&mut self, raw: &[u8]) -> io::Result<()> {
        self.0.last_mut().unwrap().1.extend_from_slice(raw);
        Ok(())
    }

    fn damaged(&mut self, error: &SourceError) -> io::Result<()> {
        panic!("{error}")
    }
}

fn location(position: &Position) -> RecordLocation {
    let (input, place) = (position.input.parse().unwrap(), position.place);
    RecordLocation { input, record: place.record, byte: place.byte }
}

fn expected(source: ModelSource) -> Expected {
    match source {
        ModelSource::Loyalty => Expected::Customers,
        ModelSource::Conversions => Expected::Conversions,
        ModelSource::Interleaved => Expected::Either,
    }
}

fn framing(format: ModelFormat) -> Framing {
    match format {
        ModelFormat::Text => Framing::Text,
        ModelFormat::Framed => Framing::Framed,
        ModelFormat::Csv => Framing::Csv,
    }
}

/// Every input is named by its index.
fn engine_inputs(inputs: &[ModelInput], schedule: &ReadSchedule) -> Vec<Input> {
    let input = |(index, input): (usize, &ModelInput)| {
        let bytes = Cursor::new(input.bytes.clone());
        Input {
            name: index.to_string(),
            expected: expected(input.source),
            format: match input.format {
                ModelFormat::Text => InputFormat::Text,
                ModelFormat::Framed => InputFormat::Framed,
                ModelFormat::Csv => InputFormat::Csv,
            },
            origin: Origin::Feed(Box::new(ScheduledSource { bytes, schedule: schedule.clone(), reads: 0 })),
            meter: Arc::default(),
        }
    };
    inputs.iter().enumerate().map(input).collect()
}

/// `adseg run` on these inputs.
pub fn run_engine(inputs: &[ModelInput], settings: &RunSettings, schedule: &ReadSchedule) -> RunResult {
    let job = Job { computation: Deciding { keep: Keep::Rows }, encoder: DecisionEncoder::default() };
    let (output, mut observer) = (SharedBuffer::default(), RecordingObserver::default());
    let sources = engine_inputs(inputs, schedule);
    let outcome = replay(&job, &settings.for_engine(), sources, Box::new(output.clone()), &mut observer);
    let output = output.0.lock().unwrap().clone();
    let mut result = RunResult { output, rejects: observer.0, ..RunResult::default() };
    match outcome {
        Ok(outcome) => {
            let counts = outcome.counts;
            result.counts = RecordCounts {
                records: counts.records,
                blanks: counts.blanks,
                decisions: counts.conversions(),
                loyalty_rows: counts.customers,
            };
            write_list(&outcome.states, usize::MAX, &mut result.saved).unwrap();
            assert_eq!(counts.records, counts.conversions() + counts.customers + counts.rejects + counts.blanks);
            if inputs.iter().all(every_byte_is_in_a_record) {
                assert_eq!(counts.bytes, inputs.iter().map(|input| input.bytes.len() as u64).sum::<u64>());
            }
        }
        Err(Failure::BadRecord { position, .. }) => result.stopped = Some(location(&position)),
        Err(Failure::Source(SourceError::CutFrame { at, .. })) => result.truncated = Some(location(&at)),
        Err(failure) => result.failed = Some(failure.to_string()),
    }
    result
}

/// Neither a header row nor a byte-order mark is part of a record, and compressed bytes are counted decompressed.
fn every_byte_is_in_a_record(input: &ModelInput) -> bool {
    let bytes = &input.bytes;
    input.format != ModelFormat::Csv && !bytes.starts_with(BYTE_ORDER_MARK) && !looks_packed(bytes)
}

/// Whether an input that begins like this is read as compressed data or rejected as UTF-16.
pub fn is_compressed_or_utf16(bytes: &[u8]) -> bool {
    looks_packed(bytes) || bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff")
}

/// Whether a run failed because compressed data is damaged or truncated.
pub fn is_damaged_archive(result: &RunResult) -> bool {
    result.failed.as_ref().is_some_and(|failed| failed.contains("counted unpacked"))
}

/// The email of a record that the crate accepts, or its error.
#[derive(Debug)]
pub enum DecodedRecord {
    LoyaltyRow(Vec<u8>),
    Conversion(Vec<u8>),
    Bad(String),
}

/// Decodes one line or frame.
pub fn decode(source: ModelSource, record: &[u8]) -> DecodedRecord {
    let decoder = Decoder { expected: expected(source), layout: Layout::Commas, max_record_bytes: usize::MAX };
    match decoder.decode(record) {
        Ok(Record::Customer(customer)) => DecodedRecord::LoyaltyRow(customer.email.as_bytes().to_vec()),
        Ok(Record::Conversion(conversion)) => DecodedRecord::Conversion(conversion.email.as_bytes().to_vec()),
        Err(error) => DecodedRecord::Bad(error.to_string()),
    }
}

/// The payloads of lines or frames. Every byte belongs to a record, and every boundary is one.
pub fn split_into_payloads(format: ModelFormat, bytes: &[u8]) -> Vec<&[u8]> {
    let framing = framing(format);
    let (mut payloads, mut ends, mut at) = (Vec::new(), vec![0], 0);
    while at < bytes.len() {
        let record = framing.record_at(bytes, at);
        assert!(record.raw.start == at && record.end > at && record.end <= bytes.len());
        assert!(record.payload.start >= at && record.payload.end <= record.end);
        payloads.push(&bytes[record.payload]);
        at = record.end;
        ends.push(at);
    }
    assert_eq!(at, bytes.len());
    for goal in [0, 1, bytes.len() / 2, bytes.len(), bytes.len() + 9] {
        let boundary = framing.boundary_after(bytes, 0, goal);
        assert!(ends.contains(&boundary) && boundary >= goal.min(bytes.len()), "{goal}: {boundary}");
    }
    payloads
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
    let job = Job { computation: Explaining::new(watched.iter().map(|email| email.as_bytes())), encoder: Silent };
    let sources = engine_inputs(inputs, &ReadSchedule::whole());
    let mut observer = RecordingObserver::default();
    let outcome = replay(&job, &settings.for_engine(), sources, Box::new(io::sink()), &mut observer).unwrap();
    let stories = Stories::collect(outcome.states);
    let history = |email: &'static str| {
        let story = stories.of(email.as_bytes())?;
        let entries = story.moments.iter().map(|moment| {
            let spot = outcome.numbering.spot(moment.number).unwrap();
            let decision = match &moment.what {
                What::Listed => None,
                What::Decided { kind, decision, .. } => Some((kind.name().to_owned(), decision.send)),
            };
            let (input, record) = (spot.input.index, spot.record);
            HistoryEntry { number: moment.number, was_member: moment.member, input, record, decision }
        });
        Some(History { email, member_since: story.member_since, entries: entries.collect() })
    };
    emails.iter().filter_map(|email| history(email)).collect()
}

/// The JSON of `adseg report` on an interleaved text stream without bad records.
pub fn report(stream: String, settings: &RunSettings) -> Value {
    let input = ModelInput { source: ModelSource::Interleaved, format: ModelFormat::Text, bytes: stream.into_bytes() };
    let job = Job { computation: Reporting, encoder: Silent };
    let sources = engine_inputs(&[input], &ReadSchedule::whole());
    let mut observer = RecordingObserver::default();
    let outcome = replay(&job, &settings.for_engine(), sources, Box::new(io::sink()), &mut observer).unwrap();
    assert_eq!(observer.0, []);
    let totals = Totals::of(outcome.states.into_iter().map(Reported::into_tallies).collect());
    let tables = adseg::report::tables(&totals, &outcome.counts);
    serde_json::from_str(&adseg::report::json(&tables).unwrap()).unwrap()
}

/// Every figure of a report: its table, its name and its definition.
pub fn report_figures() -> Vec<[String; 3]> {
    let tables = adseg::report::tables(&Totals::default(), &Counts::default());
    let figures = tables.iter().flat_map(|table| table.figures.iter().map(move |figure| (table, figure)));
    figures.map(|(table, figure)| [table.key, figure.key, figure.about].map(|text| text.to_string())).collect()
}
