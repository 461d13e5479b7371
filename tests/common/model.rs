//! The serial model of `adseg run`: it processes one record after the other with one map. The engine is compared with it.
//!
//! It shares no code with the crate.

pub mod decode;
mod json;
pub mod policy;
pub mod report;
pub mod report_events;
pub mod report_policy;
mod split;
pub mod table;

use std::collections::HashMap;
use std::fmt;
use std::ops::ControlFlow;

use decode::{ModelRecord, decode_fields, saved_field};
use policy::{ModelPolicy, PolicyRun};
use split::{RawRecord, split, trim};
use table::{Fields, TableOptions, TableRecord};

/// Which records an input may contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelSource {
    Loyalty,
    Conversions,
    Interleaved,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelFormat {
    Text,
    Framed,
    Csv,
    JsonLines,
    /// As the engine detects it. The model does not support this.
    Detected,
}

/// One complete input.
#[derive(Clone)]
pub struct ModelInput {
    pub source: ModelSource,
    pub format: ModelFormat,
    pub bytes: Vec<u8>,
    pub options: TableOptions,
}

impl ModelInput {
    pub fn new(source: ModelSource, format: ModelFormat, bytes: impl Into<Vec<u8>>) -> Self {
        Self { source, format, bytes: bytes.into(), options: TableOptions::default() }
    }
}

impl fmt::Debug for ModelInput {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, format, bytes, options } = self;
        write!(out, "{source:?} {format:?} {:?} {options:?}", String::from_utf8_lossy(bytes))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordLocation {
    pub input: usize,
    /// The number of the line or frame, counted from 1.
    pub record: u64,
    pub byte: u64,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct RecordCounts {
    pub records: u64,
    pub blanks: u64,
    pub decisions: u64,
    pub loyalty_rows: u64,
    pub ignored: u64,
}

/// Everything that a user can observe of a run. A run that ended early saves no list and reports no counts.
#[derive(Default, PartialEq, Eq)]
pub struct RunResult {
    pub output: Vec<u8>,
    /// Every rejected record, verbatim.
    pub rejects: Vec<(RecordLocation, Vec<u8>)>,
    /// The bad record that ended the run.
    pub stopped: Option<RecordLocation>,
    /// The input and the record of a conversion whose time goes back, which ended the run.
    pub step_back: Option<(usize, u64)>,
    /// The frame in which an input ended.
    pub truncated: Option<RecordLocation>,
    /// Any other failure. The model never fails.
    pub failed: Option<String>,
    pub saved: Vec<u8>,
    pub counts: RecordCounts,
}

impl RunResult {
    pub fn ended_early(&self) -> bool {
        self.stopped.is_some() || self.step_back.is_some() || self.truncated.is_some() || self.failed.is_some()
    }
}

impl fmt::Debug for RunResult {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { output, rejects, stopped, step_back, truncated, failed, saved, counts } = self;
        writeln!(out, "{}", String::from_utf8_lossy(output))?;
        writeln!(out, "stopped: {stopped:?}, step back: {step_back:?}, truncated: {truncated:?}, failed: {failed:?}")?;
        writeln!(out, "saved:\n{}\nrejects:", String::from_utf8_lossy(saved))?;
        for (location, raw) in rejects {
            writeln!(out, "{location:?} {:?}", String::from_utf8_lossy(raw))?;
        }
        write!(out, "{counts:?}")
    }
}

/// Runs the model. A record that exceeds either limit ends the run.
pub fn run(inputs: &[ModelInput], max_record_bytes: usize, max_rejects: u64) -> RunResult {
    ModelRun { max_record_bytes, max_rejects, ..ModelRun::default() }.run(inputs).0
}

/// The same with a policy. Returns also what the policy did.
pub fn run_with_policy(
    inputs: &[ModelInput],
    policy: &ModelPolicy,
    max_record_bytes: usize,
    max_rejects: u64,
) -> (RunResult, PolicyRun) {
    let mut run =
        ModelRun { max_record_bytes, max_rejects, policy: Some(PolicyRun::new(policy)), ..ModelRun::default() };
    run.result.output = policy.header();
    let (result, policy) = run.run(inputs);
    (result, policy.expect("the run has a policy"))
}

#[derive(Default)]
struct ModelRun {
    max_record_bytes: usize,
    max_rejects: u64,
    result: RunResult,
    /// The fields after the email of every member.
    profiles: HashMap<Vec<u8>, Vec<Vec<u8>>>,
    /// Members in the order in which the loyalty list or a purchase made them members.
    listed: Vec<Vec<u8>>,
    enrolled: Vec<Vec<u8>>,
    /// The time of the latest conversion.
    latest: Option<i64>,
    policy: Option<PolicyRun>,
}

impl ModelRun {
    fn run(mut self, inputs: &[ModelInput]) -> (RunResult, Option<PolicyRun>) {
        for (index, input) in inputs.iter().enumerate() {
            if self.replay(index, input).is_break() {
                return (RunResult { counts: RecordCounts::default(), ..self.result }, self.policy);
            }
        }
        self.result.saved = saved_list(self.listed.into_iter().chain(self.enrolled), self.profiles);
        (self.result, self.policy)
    }

    fn replay(&mut self, index: usize, input: &ModelInput) -> ControlFlow<()> {
        let mut records = split(input).into_iter();
        let options = &input.options;
        let columns = match (input.format, &options.columns) {
            (ModelFormat::Csv, Some(columns)) => Some(columns.clone()),
            (ModelFormat::Csv, None) => {
                let header = records.find(|row| !self.is_blank(input.format, row));
                header.map(|header| options.header(input.source, &header.fields))
            }
            _ => None,
        };
        for record in records {
            let location = RecordLocation { input: index, record: record.number, byte: record.byte as u64 };
            let fits = record.len <= self.max_record_bytes;
            if fits && record.is_truncated() {
                self.result.truncated = Some(location);
                return ControlFlow::Break(());
            }
            if self.is_blank(input.format, &record) {
                self.result.counts.blanks += 1;
            } else {
                let decoded = match input.format {
                    ModelFormat::Text | ModelFormat::Framed => {
                        decode_fields(input.source, &record.fields).map(TableRecord::Record)
                    }
                    ModelFormat::Csv => {
                        let fields = columns.as_ref().and_then(|columns| row_fields(columns, &record));
                        fields.and_then(|fields| options.decode(input.source, &fields))
                    }
                    ModelFormat::JsonLines | ModelFormat::Detected => {
                        let fields = options.object(input.source, record.payload);
                        fields.and_then(|fields| options.decode(input.source, &fields))
                    }
                };
                match decoded.filter(|_| fits) {
                    Some(TableRecord::Record(ModelRecord::Conversion { time: Some(time), .. }))
                        if self.latest.replace(time) > Some(time) && !options.allows_disorder =>
                    {
                        self.result.step_back = Some((index, record.number));
                        return ControlFlow::Break(());
                    }
                    Some(TableRecord::Record(decoded)) => self.apply(decoded),
                    Some(TableRecord::Ignored) => self.result.counts.ignored += 1,
                    None if self.result.rejects.len() as u64 == self.max_rejects => {
                        self.result.stopped = Some(location);
                        return ControlFlow::Break(());
                    }
                    None => self.result.rejects.push((location, record.raw.to_vec())),
                }
            }
            self.result.counts.records += 1;
            if record.is_truncated() {
                self.result.truncated = Some(location);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    /// An empty frame is a bad record; an empty line is not a record.
    fn is_blank(&self, format: ModelFormat, record: &RawRecord<'_>) -> bool {
        format != ModelFormat::Framed && record.len <= self.max_record_bytes && trim(record.payload).is_empty()
    }

    /// The key of the customer with this email.
    fn customer(&self, email: &[u8]) -> Vec<u8> {
        match &self.policy {
            Some(policy) if policy.ignores_case() => email.to_ascii_lowercase(),
            _ => email.to_vec(),
        }
    }

    fn apply(&mut self, record: ModelRecord) {
        match record {
            ModelRecord::LoyaltyRow { email, profile } => {
                self.result.counts.loyalty_rows += 1;
                if self.profiles.insert(self.customer(&email), profile).is_none() {
                    self.listed.push(email);
                }
            }
            ModelRecord::Conversion { kind, email, is_decided, details, .. } => {
                let customer = self.customer(&email);
                let is_member = self.profiles.contains_key(&customer);
                let send = is_member && kind == b"ClickConversion";
                let enrolled = !is_member && kind == b"PurchaseConversion";
                if enrolled {
                    self.profiles.insert(customer, vec![vec![]; 3]);
                    self.enrolled.push(email.clone());
                }
                if !is_decided {
                    self.result.counts.ignored += 1;
                    return;
                }
                self.result.counts.decisions += 1;
                if let Some(policy) = &mut self.policy {
                    policy.decide(&kind, &email, &details, (send, enrolled), &mut self.result.output);
                    return;
                }
                let decision = if send { &b", True\n"[..] } else { b", False\n" };
                self.result.output.extend([b"Send additional promo code to: ", &email[..], decision].concat());
            }
        }
    }
}

/// The fields of a row by their names; `None` if it is not well quoted or has another width than the header row.
fn row_fields(columns: &[Option<&'static str>], row: &RawRecord<'_>) -> Option<Fields> {
    let fields = columns.iter().zip(&row.fields).filter_map(|(name, field)| Some(((*name)?, field.clone()))).collect();
    (row.is_well_quoted && row.fields.len() == columns.len()).then_some(fields)
}

fn saved_list(members: impl Iterator<Item = Vec<u8>>, mut profiles: HashMap<Vec<u8>, Vec<Vec<u8>>>) -> Vec<u8> {
    let mut saved = Vec::new();
    for email in members {
        // The key is the lower-case email if case is ignored.
        let profile = profiles.remove(&email).or_else(|| profiles.remove(&email.to_ascii_lowercase())).unwrap();
        let fields: Vec<_> = std::iter::once(email).chain(profile.iter().map(|field| saved_field(field))).collect();
        saved.extend(fields.join(&b", "[..]));
        saved.push(b'\n');
    }
    // Without a byte-order mark, these first bytes would be read as a mark or as zstd.
    if saved.starts_with(b"\xef\xbb\xbf") || saved.starts_with(b"\x28\xb5\x2f\xfd") {
        saved.splice(..0, *b"\xef\xbb\xbf");
    }
    saved
}
