//! The serial model of `adseg run`: it processes one record after the other with one map. The engine is compared with it.
//!
//! It shares no code with the crate.

pub mod decode;
mod split;

use std::collections::HashMap;
use std::fmt;
use std::ops::ControlFlow;

use decode::{ModelRecord, decode_fields, decode_row, saved_field};
use split::{RawRecord, split, trim};

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
}

/// One complete input.
#[derive(Clone)]
pub struct ModelInput {
    pub source: ModelSource,
    pub format: ModelFormat,
    pub bytes: Vec<u8>,
}

impl fmt::Debug for ModelInput {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?} {:?} {:?}", self.source, self.format, String::from_utf8_lossy(&self.bytes))
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
}

/// Everything that a user can observe of a run. A run that ended early saves no list and reports no counts.
#[derive(Default, PartialEq, Eq)]
pub struct RunResult {
    pub output: Vec<u8>,
    /// Every rejected record, verbatim.
    pub rejects: Vec<(RecordLocation, Vec<u8>)>,
    /// The bad record that ended the run.
    pub stopped: Option<RecordLocation>,
    /// The frame in which an input ended.
    pub truncated: Option<RecordLocation>,
    /// Any other failure. The model never fails.
    pub failed: Option<String>,
    pub saved: Vec<u8>,
    pub counts: RecordCounts,
}

impl RunResult {
    pub fn ended_early(&self) -> bool {
        self.stopped.is_some() || self.truncated.is_some() || self.failed.is_some()
    }
}

impl fmt::Debug for RunResult {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { output, rejects, stopped, truncated, failed, saved, counts } = self;
        writeln!(out, "{}", String::from_utf8_lossy(output))?;
        writeln!(out, "stopped: {stopped:?}, truncated: {truncated:?}, failed: {failed:?}")?;
        writeln!(out, "saved:\n{}\nrejects:", String::from_utf8_lossy(saved))?;
        for (location, raw) in rejects {
            writeln!(out, "{location:?} {:?}", String::from_utf8_lossy(raw))?;
        }
        write!(out, "{counts:?}")
    }
}

/// Runs the model. A record that exceeds either limit ends the run.
pub fn run(inputs: &[ModelInput], max_record_bytes: usize, max_rejects: u64) -> RunResult {
    let mut run = ModelRun { max_record_bytes, max_rejects, ..ModelRun::default() };
    for (index, input) in inputs.iter().enumerate() {
        if run.replay(index, input).is_break() {
            return RunResult { counts: RecordCounts::default(), ..run.result };
        }
    }
    run.result.saved = saved_list(run.listed.into_iter().chain(run.enrolled), run.profiles);
    run.result
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
}

impl ModelRun {
    fn replay(&mut self, index: usize, input: &ModelInput) -> ControlFlow<()> {
        let mut records = split(input).into_iter();
        let columns = match input.format {
            ModelFormat::Csv => records.find(|row| !self.is_blank(input.format, row)).map(|header| header.fields),
            ModelFormat::Text | ModelFormat::Framed => None,
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
                let decoded = match &columns {
                    Some(columns) => decode_row(input.source, columns, &record),
                    None => decode_fields(input.source, &record.fields),
                };
                match decoded.filter(|_| fits) {
                    Some(decoded) => self.apply(decoded),
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

    fn apply(&mut self, record: ModelRecord) {
        match record {
            ModelRecord::LoyaltyRow { email, profile } => {
                self.result.counts.loyalty_rows += 1;
                if self.profiles.insert(email.clone(), profile).is_none() {
                    self.listed.push(email);
                }
            }
            ModelRecord::Conversion { kind, email } => {
                self.result.counts.decisions += 1;
                let is_member = self.profiles.contains_key(&email);
                let send = is_member && kind == b"ClickConversion";
                if !is_member && kind == b"PurchaseConversion" {
                    self.profiles.insert(email.clone(), vec![vec![]; 3]);
                    self.enrolled.push(email.clone());
                }
                let decision = if send { &b", True\n"[..] } else { b", False\n" };
                self.result.output.extend([b"Send additional promo code to: ", &email[..], decision].concat());
            }
        }
    }
}

fn saved_list(members: impl Iterator<Item = Vec<u8>>, mut profiles: HashMap<Vec<u8>, Vec<Vec<u8>>>) -> Vec<u8> {
    let mut saved = Vec::new();
    for email in members {
        let profile = profiles.remove(&email).unwrap();
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
