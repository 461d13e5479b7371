//! The part file of a worker: the decisions of its blocks, one after the other, and the length of each segment.

use std::io;

use flate2::Crc;
use serde::{Deserialize, Serialize};

use crate::output::Writer;

/// Writes a part.
pub struct PartWriter {
    writer: Writer,
    crc: Crc,
    report: PartReport,
}

/// The description of a complete part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartReport {
    /// The name of its file.
    pub file: String,
    pub bytes: u64,
    /// The CRC-32 of its bytes.
    pub crc32: u32,
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
        Ok(Self { writer: Writer::start(out)?, crc: Crc::new(), report })
    }

    /// An empty buffer to write.
    pub(super) fn buffer(&mut self) -> Vec<u8> {
        self.writer.buffer()
    }

    /// Writes the output of the next block, which may begin a segment.
    pub(super) fn write(&mut self, output: Vec<u8>, decisions: u64, begins_segment: bool) -> io::Result<()> {
        self.crc.update(&output);
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
        self.report.crc32 = self.crc.sum();
        Ok(self.report)
    }
}
