//! Dividing the inputs among the processes of a cluster: segments of files that can be cut, and blocks as bytes.
//!
//! Segment `k` of a file contains the records that begin in its `k`-th range of bytes, so every process finds the same
//! segments without reading the whole file. Text and JSON Lines can be cut because every line feed ends a record.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use memchr::memchr;

use super::block_reader::BlockReader;
use super::format::looks_compressed;
use super::{
    Block, ByteSource, Content, Format, Input, InputError, InputLabel, Origin, ReadMode, ReadOptions, ReaderSettings,
};

/// A file, and how it is divided.
#[derive(Debug)]
pub struct InputPlan {
    pub label: Arc<InputLabel>,
    path: PathBuf,
    options: Arc<ReadOptions>,
    /// `None` for an empty file: no blocks are read from it, even if it grows. The error of a file whose start is invalid.
    format: Result<Option<Format>, String>,
    /// `None` if the file must be read from its start to its end.
    cut: Option<Cut>,
    bytes_read: Arc<AtomicU64>,
}

/// A file that can be cut.
#[derive(Debug, Clone, Copy)]
struct Cut {
    /// The offset of the first record: after a byte-order mark.
    start: u64,
    size: u64,
    segment_bytes: u64,
}

/// The size of the buffer for the start of a file. It grows for a longer first line.
const START_BYTES: usize = 16 << 10;

/// Receives the blocks of a segment or a file, or why it is damaged, each with whether it is the last one. Returns false
/// to stop.
pub type BlockSink<'a> = &'a mut dyn FnMut(Result<Block, String>, bool) -> bool;

impl InputPlan {
    /// Plans how the regular file at `path` is divided. Reads only its start.
    ///
    /// # Errors
    /// When the file does not exist.
    pub fn new(index: usize, input: &Input, path: PathBuf, settings: ReaderSettings) -> io::Result<Self> {
        let label = Arc::new(InputLabel { index, path: Arc::clone(&input.path), source: input.source });
        let options = Arc::clone(&input.options);
        let (size, mut head) = (path.metadata()?.len(), Vec::new());
        File::open(&path)?.take(4).read_to_end(&mut head)?;
        let bytes_read = Arc::clone(&input.bytes_read);
        let plan = Self { label, path, options, format: Ok(None), cut: None, bytes_read };
        // A segment is shorter than a block, so that it is usually one block with the end of its last record.
        let segment_bytes = (settings.block_bytes - settings.block_bytes / 16).max(1) as u64;
        Ok(match plan.start(settings) {
            Ok(Some((format, start))) => {
                let can_be_cut = matches!(format, Format::Text | Format::JsonLines(_)) && !looks_compressed(&head);
                let cut = can_be_cut.then_some(Cut { start, size, segment_bytes });
                Self { format: Ok(Some(format)), cut, ..plan }
            }
            Ok(None) => Self { cut: Some(Cut { start: 0, size: 0, segment_bytes }), ..plan },
            Err(error) => Self { format: Err(error.to_string()), ..plan },
        })
    }

    /// The format, and the offset of the first record.
    fn start(&self, settings: ReaderSettings) -> Result<Option<(Format, u64)>, InputError> {
        let mut source = self.input().open()?;
        let (options, label) = (Arc::clone(&self.options), Arc::clone(&self.label));
        let settings = ReaderSettings { block_bytes: settings.block_bytes.min(START_BYTES), ..settings };
        BlockReader::new(source.as_mut(), options, settings, label).into_start()
    }

    fn input(&self) -> Input {
        Input {
            path: Arc::clone(&self.label.path),
            source: self.label.source,
            options: Arc::clone(&self.options),
            origin: Origin::Path(self.path.clone()),
            bytes_read: Arc::clone(&self.bytes_read),
        }
    }

    /// The number of segments; `None` for a file that must be read from its start to its end.
    pub fn segments(&self) -> Option<u64> {
        self.cut.map(|cut| cut.size.saturating_sub(cut.start).div_ceil(cut.segment_bytes))
    }

    /// How the file is divided, for a comparison with other processes.
    pub fn division(&self) -> String {
        match self.cut {
            Some(Cut { start, size, segment_bytes }) => format!("bytes {start} to {size} in steps of {segment_bytes}"),
            None => "the whole file".to_owned(),
        }
    }

    /// Shows the progress of a file that other processes also read.
    pub fn add_progress(&self, bytes: u64) {
        if self.cut.is_some() {
            self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Reads the whole file, and passes its blocks to `sink`.
    pub fn read(&self, settings: ReaderSettings, buffers: &Buffers, sink: BlockSink<'_>) {
        // An error of the plan is reported also if the file could be read now: all processes have planned for it.
        let opened = self.format.clone().and_then(|_| self.input().open().map_err(|error| error.to_string()));
        let mut source = match opened {
            Ok(source) => source,
            Err(error) => {
                sink(Err(error), true);
                return;
            }
        };
        let (options, label) = (Arc::clone(&self.options), Arc::clone(&self.label));
        emit(&mut BlockReader::new(source.as_mut(), options, settings, label), buffers, sink);
    }

    /// Reads one segment, and passes its blocks to `sink`: an empty block if no record begins in it. Returns false if
    /// the sink has stopped.
    ///
    /// # Panics
    /// When the file cannot be cut.
    pub fn read_segment(
        &self,
        file: &mut Option<File>,
        segment: u64,
        settings: ReaderSettings,
        buffers: &Buffers,
        sink: BlockSink<'_>,
    ) -> bool {
        let cut = self.cut.expect("only a file that can be cut has segments");
        let format = self.known_format();
        let label = Arc::clone(&self.label);
        let from = cut.start + segment * cut.segment_bytes;
        let opened = self.open_segment(file, &cut, from).map_err(|error| match error {
            SegmentError::Open(cause) => InputError::Open { input: Arc::clone(&label.path), cause },
            SegmentError::Read(cause) => InputError::Read { input: Arc::clone(&label.path), byte: from, cause },
        });
        let mut source = match opened {
            Ok(Some(source)) => source,
            Ok(None) => return sink(Ok(Block::of_bytes(label, from, format, Content::Records, Vec::new())), true),
            Err(error) => return sink(Err(error.to_string()), true),
        };
        let (options, offset) = (Arc::clone(&self.options), source.position);
        emit(&mut BlockReader::in_segment(&mut source, options, settings, label, format, offset), buffers, sink)
    }

    /// The source of a segment from its first record on. `None` if no record begins in it.
    fn open_segment<'f>(
        &self,
        file: &'f mut Option<File>,
        cut: &Cut,
        from: u64,
    ) -> Result<Option<SegmentSource<'f>>, SegmentError> {
        let file = match file {
            Some(file) => file,
            None => file.insert(File::open(&self.path).map_err(SegmentError::Open)?),
        };
        let end = (from + cut.segment_bytes).min(cut.size);
        let mut position = from;
        if from > cut.start {
            // A record begins here if the byte before is a line feed.
            position = match find_line_end(file, from - 1, end - 1).map_err(SegmentError::Read)? {
                Some(line_end) => line_end,
                None => return Ok(None),
            };
        }
        file.seek(SeekFrom::Start(position)).map_err(SegmentError::Read)?;
        Ok(Some(SegmentSource { file, position, end, size: cut.size, is_done: false }))
    }

    /// The block that [`Block::to_bytes`] wrote.
    ///
    /// # Panics
    /// When another version wrote it.
    pub fn block_of_bytes(plans: &[Self], bytes: &[u8]) -> Block {
        let (header, records) = bytes.split_at(HEADER_BYTES);
        let index = u32::from_le_bytes(header[..4].try_into().expect("it has 4 bytes")) as usize;
        let offset = u64::from_le_bytes(header[4..12].try_into().expect("it has 8 bytes"));
        let content = Content::of_code(header[12]);
        let plan = &plans[index];
        plan.block(offset, content, records.to_vec())
    }

    /// A block with these bytes, of an input that has a format.
    ///
    /// # Panics
    /// When the input has no format.
    pub fn block(&self, offset: u64, content: Content, bytes: Vec<u8>) -> Block {
        Block::of_bytes(Arc::clone(&self.label), offset, self.known_format(), content, bytes)
    }

    fn known_format(&self) -> Format {
        self.format.clone().ok().flatten().expect("an input with blocks has a format")
    }
}

/// Passes all blocks to `sink`. The next block is read before one is passed if that may be the last.
fn emit(reader: &mut BlockReader<'_>, buffers: &Buffers, sink: BlockSink<'_>) -> bool {
    let mut next = reader.next_block(buffers.take());
    while let Some(block) = next {
        next = if reader.is_at_end() { None } else { reader.next_block(buffers.take()) };
        if !sink(block.map_err(|error| error.to_string()), next.is_none()) {
            return false;
        }
    }
    true
}

/// The spare buffers of a reader.
#[derive(Debug, Default)]
pub struct Buffers(Mutex<Vec<Vec<u8>>>);

/// The maximum number of spare buffers.
const SPARE_BUFFERS: usize = 8;

impl Buffers {
    fn take(&self) -> Vec<u8> {
        self.lock().pop().unwrap_or_default()
    }

    /// Keeps the buffer of a block, unless it grew for a long record.
    pub fn recycle(&self, block: Block, settings: ReaderSettings) {
        let mut buffers = self.lock();
        if buffers.len() < SPARE_BUFFERS && block.buffer.len() <= settings.block_bytes.saturating_mul(2) {
            buffers.push(block.buffer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The index, the offset and the content of a block.
const HEADER_BYTES: usize = 4 + 8 + 1;

impl Block {
    /// A block with these bytes.
    pub const fn of_bytes(
        input: Arc<InputLabel>,
        offset: u64,
        format: Format,
        content: Content,
        bytes: Vec<u8>,
    ) -> Self {
        let len = bytes.len();
        Self { input, offset, format, content, buffer: bytes, len, boundaries: Vec::new() }
    }

    /// The block for another process.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.len);
        bytes.extend_from_slice(&(self.input.index as u32).to_le_bytes());
        bytes.extend_from_slice(&self.offset.to_le_bytes());
        bytes.push(self.content.code());
        bytes.extend_from_slice(self.bytes());
        bytes
    }
}

impl Content {
    /// The content as a byte.
    pub const fn code(self) -> u8 {
        match self {
            Self::Records => 0,
            Self::OversizedStart { last } => 2 | last as u8,
            Self::OversizedRest { last } => 4 | last as u8,
        }
    }

    /// The content that has this code.
    ///
    /// # Panics
    /// When there is none.
    pub fn of_code(code: u8) -> Self {
        let last = code & 1 == 1;
        match code & !1 {
            0 => Self::Records,
            2 => Self::OversizedStart { last },
            4 => Self::OversizedRest { last },
            _ => unreachable!("a content has the code of a content"),
        }
    }
}

enum SegmentError {
    Open(io::Error),
    Read(io::Error),
}

/// The offset after the first line feed in this range of the file.
fn find_line_end(file: &mut File, from: u64, to: u64) -> io::Result<Option<u64>> {
    let (mut buffer, mut position) = ([0; 4096], from);
    file.seek(SeekFrom::Start(from))?;
    while position < to {
        let wanted = buffer.len().min((to - position) as usize);
        let count = match file.read(&mut buffer[..wanted]) {
            Ok(0) => return Err(truncated()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if let Some(at) = memchr(b'\n', &buffer[..count]) {
            return Ok(Some(position + at as u64 + 1));
        }
        position += count as u64;
    }
    Ok(None)
}

fn truncated() -> io::Error {
    io::Error::other("the file was truncated while it was read")
}

/// The bytes of a segment: up to the end of the last record that begins in it.
struct SegmentSource<'f> {
    file: &'f mut File,
    position: u64,
    /// The end of the range of the segment. Its last record may end after it.
    end: u64,
    /// The size of the file when the run began. Bytes that were appended since are not read.
    size: u64,
    is_done: bool,
}

/// How far a read goes beyond the end of the range. Most records end before that.
const BEYOND: u64 = 512;

impl ByteSource for SegmentSource<'_> {
    fn read(&mut self, buffer: &mut [u8], _mode: ReadMode) -> io::Result<usize> {
        if self.is_done || buffer.is_empty() {
            return Ok(0);
        }
        let wanted = (self.end.saturating_sub(self.position) + BEYOND).min(self.size - self.position);
        let wanted = buffer.len().min(wanted as usize);
        let mut count = self.file.read(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(truncated());
        }
        // The record that contains the byte before `end` is the last.
        let from = (self.end - 1).saturating_sub(self.position) as usize;
        if let Some(at) = buffer[..count].get(from..).and_then(|rest| memchr(b'\n', rest)) {
            count = from + at + 1;
            self.is_done = true;
        }
        self.position += count as u64;
        self.is_done |= self.position == self.size;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::SourceKind;

    /// The plan of a file that had these bytes, and now has a record.
    fn plan_before_change(folder: &tempfile::TempDir, bytes: &[u8]) -> InputPlan {
        let path = folder.path().join("log");
        std::fs::write(&path, bytes).unwrap();
        let (origin, options) = (Origin::Path(path.clone()), Arc::default());
        let (source, bytes_read) = (SourceKind::Conversions, Arc::default());
        let input = Input { path: path.as_path().into(), source, options, origin, bytes_read };
        let plan = InputPlan::new(0, &input, path.clone(), ReaderSettings::default()).unwrap();
        std::fs::write(&path, "P, ClickConversion, a@x, w\n").unwrap();
        plan
    }

    #[test]
    fn nothing_is_read_from_an_empty_file_that_grows() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(plan_before_change(&folder, b"").segments(), Some(0));
        assert_eq!(plan_before_change(&folder, b"\xef\xbb\xbf").segments(), Some(0));
    }

    #[test]
    fn the_error_of_the_plan_is_reported_for_a_file_that_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (plan, mut errors) = (plan_before_change(&folder, b"PK\x03\x04 a zip archive\n"), Vec::new());
        plan.read(ReaderSettings::default(), &Buffers::default(), &mut |block, is_last| {
            errors.push((block.unwrap_err(), is_last));
            true
        });
        assert!(matches!(&errors[..], [(error, true)] if error.contains("zip")), "{errors:?}");
    }
}
