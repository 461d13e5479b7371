//! The part file of a worker: the decisions of its blocks, one after the other, and the length of each segment.

use std::io::{self, Read};

use rapidhash::v3::{RapidSecrets, RapidStreamHasherV3, rapidhash_v3_seeded};
use serde::{Deserialize, Serialize};

use crate::output::Writer;

/// Writes a part.
pub struct PartWriter {
    writer: Writer,
    checksum: Checksum,
    report: PartReport,
}

/// The description of a complete part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartReport {
    /// The name of its file.
    pub file: String,
    pub bytes: u64,
    /// The checksum of its bytes: rapidhash v3 with the seed 0, in hexadecimal.
    pub rapidhash: String,
    /// The number of conversions that were decided.
    pub decisions: u64,
    /// The length of the output of each segment.
    pub segments: Vec<u64>,
}

impl PartWriter {
    /// A part that is written to `out`, which is the file of this name.
    ///
    /// # Errors
    /// When the system cannot start a thread.
    pub fn start(file: String, out: Box<dyn io::Write + Send>) -> io::Result<Self> {
        let report = PartReport { file, ..PartReport::default() };
        Ok(Self { writer: Writer::start(out)?, checksum: Checksum::default(), report })
    }

    /// An empty buffer to write.
    pub(super) fn buffer(&mut self) -> Vec<u8> {
        self.writer.buffer()
    }

    /// Writes the output of the next block, which may begin a segment.
    pub(super) fn write(&mut self, output: Vec<u8>, decisions: u64, begins_segment: bool) -> io::Result<()> {
        self.checksum.update(&output);
        self.report.bytes += output.len() as u64;
        self.report.decisions += decisions;
        if begins_segment {
            self.report.segments.push(0);
        }
        *self.report.segments.last_mut().expect("the first block begins a segment") += output.len() as u64;
        self.writer.write(output)
    }

    /// Waits until everything is written.
    pub(super) fn finish(mut self) -> io::Result<PartReport> {
        self.writer.finish()?;
        self.report.rapidhash = self.checksum.finish();
        Ok(self.report)
    }
}

/// The result of a worker.
#[derive(Debug)]
pub struct WorkerReport {
    pub part: PartReport,
    /// The state of the partition, exported.
    pub state: Vec<u8>,
}

/// A hash that is the same on all machines.
pub fn portable_hash(secrets: &RapidSecrets, bytes: &[u8]) -> u64 {
    rapidhash_v3_seeded(bytes, secrets)
}

/// A checksum that is the same on all machines.
pub fn fingerprint(bytes: &[u8]) -> u64 {
    portable_hash(&SECRETS, bytes)
}

/// The checksum of a complete file, which is the same on all machines.
///
/// # Errors
/// When it cannot be read.
pub fn checksum(mut file: impl Read) -> io::Result<String> {
    let (mut checksum, mut buffer) = (Checksum::default(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(checksum.finish()),
            Ok(read) => checksum.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The checksum of a part.
pub struct Checksum(RapidStreamHasherV3<'static>);

static SECRETS: RapidSecrets = RapidSecrets::seed(0);

impl Default for Checksum {
    fn default() -> Self {
        Self(RapidStreamHasherV3::new(&SECRETS))
    }
}

impl Checksum {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    pub(super) fn finish(&self) -> String {
        format!("{:016x}", self.0.finish())
    }
}
