//! The part of a worker: the decisions of its blocks, in a file of its own or at their places in the output of all
//! workers, and the length of each segment.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use rapidhash::v3::{RapidSecrets, RapidStreamHasherV3, rapidhash_v3_seeded};
use serde::{Deserialize, Serialize};

use crate::output::Writer;
use crate::system::write_at;

/// Writes a part.
pub struct PartWriter {
    writer: Writer,
    checksum: Checksum,
    report: PartReport,
    shared: Option<Shared>,
}

/// Where the decisions of a worker are written.
pub enum Destination {
    /// To a file of its own.
    Own(Box<dyn io::Write + Send>),
    /// To the one output of all workers of this machine, which write from this offset on, each block at its place.
    Shared(Arc<File>, u64),
}

/// The blocks of a worker that wait for their places in the shared output.
struct Shared {
    /// The end of the blocks that have places.
    end: u64,
    waiting: VecDeque<Vec<u8>>,
    ranges: Sender<Range<u64>>,
}

/// The shared output. Each buffer is written to the range that was sent for it.
struct Placed {
    file: Arc<File>,
    range: Range<u64>,
    ranges: Receiver<Range<u64>>,
}

impl io::Write for Placed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.range.is_empty() {
            self.range = self.ranges.recv().expect("a range is sent for every buffer");
        }
        let written = write_at(&self.file, bytes, self.range.start)?;
        self.range.start += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
    /// A part, and the name of its file.
    ///
    /// # Errors
    /// When the system cannot start a thread.
    pub fn start(file: String, destination: Destination) -> io::Result<Self> {
        let report = PartReport { file, ..PartReport::default() };
        let (out, shared) = match destination {
            Destination::Own(out) => (out, None),
            Destination::Shared(file, end) => {
                let (ranges, of_writer) = channel();
                let out = Box::new(Placed { file, range: 0..0, ranges: of_writer });
                (out as _, Some(Shared { end, waiting: VecDeque::new(), ranges }))
            }
        };
        Ok(Self { writer: Writer::start(out)?, checksum: Checksum::default(), report, shared })
    }

    /// An empty buffer to write.
    pub(super) fn buffer(&mut self) -> Vec<u8> {
        self.writer.buffer()
    }

    /// Whether blocks must be placed.
    pub(super) const fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// Writes the output of the next block, which may begin a segment. If the output is shared, it waits for its place.
    pub(super) fn write(&mut self, output: Vec<u8>, decisions: u64, begins_segment: bool) -> io::Result<()> {
        self.report.bytes += output.len() as u64;
        self.report.decisions += decisions;
        if begins_segment {
            self.report.segments.push(0);
        }
        *self.report.segments.last_mut().expect("the first block begins a segment") += output.len() as u64;
        if let Some(shared) = &mut self.shared {
            shared.waiting.push_back(output);
            return Ok(());
        }
        self.checksum.update(&output);
        self.writer.write(output)
    }

    /// Places the next block of any worker, which has this length, after the one before it.
    pub(super) fn place(&mut self, length: u64, is_own: bool) -> io::Result<()> {
        let shared = self.shared.as_mut().expect("only blocks of a shared output have places");
        let range = shared.end..shared.end + length;
        shared.end = range.end;
        if !is_own {
            return Ok(());
        }
        let output = shared.waiting.pop_front().expect("the worker has encoded its block");
        assert_eq!(output.len() as u64, length, "blocks are placed in the order in which they were encoded");
        if !range.is_empty() {
            // The writer has ended if a write failed, which is reported next.
            let _ = shared.ranges.send(range);
        }
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
