//! Splits one input into blocks of complete records, in any format.
//!
//! A block is emitted when its buffer is full, and also when no more input is available, so a record on a live pipe
//! never waits for the next one. A buffer grows only with the bytes that arrive, never to the declared length of a
//! frame. An oversized record is emitted in pieces of the size of a buffer.

mod start;

use std::io;
use std::sync::Arc;

use memchr::{memchr, memchr2, memrchr};

use super::block::LineBuffer;
use super::csv::{RowScanner, line_ending_len};
use super::format::{FRAME_HEADER_BYTES, announced_length};
use super::{Block, ByteSource, Content, Format, InputError, InputLabel, ReadMode, ReadOptions, ReaderSettings};

use crate::location::{Location, RecordNumber};

/// A block, damage, or the end of the input.
pub(super) type NextBlock = Option<Result<Block, InputError>>;

/// Reads one input.
pub(super) struct BlockReader<'a> {
    source: &'a mut dyn ByteSource,
    options: Arc<ReadOptions>,
    settings: ReaderSettings,
    input: Arc<InputLabel>,
    /// Known after the first bytes; for CSV, after the header row.
    format: Option<Format>,
    /// The bytes after the last block.
    carry: Vec<u8>,
    /// The offset of `carry` in the input.
    offset: u64,
    /// The number of frames emitted.
    frames: u64,
    /// The state of the row scanner after the scanned bytes.
    rows: RowScanner,
    /// Whether the first line ends with a carriage return without a line feed.
    has_carriage_returns: bool,
    /// Whether a block was emitted.
    has_blocks: bool,
    /// Set while an oversized record is emitted in pieces.
    oversized: Option<Oversized>,
    end: End,
}

/// The state of the source.
enum End {
    NotYet,
    Clean,
    Failed(io::Error),
    /// The end or the failure was reported; no more blocks follow.
    Reported,
}

/// The extent of an oversized record.
#[derive(Clone, Copy)]
enum Oversized {
    /// To the end of the line or row.
    Line,
    /// To the end of the frame that began at `start`.
    Frame { start: u64, size: u64, remaining: u64 },
}

/// The bytes after the complete records in a buffer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Nothing, or the beginning of a record. The buffer may grow to this size for it.
    Unfinished { may_grow_to: usize },
    /// The beginning of an oversized record.
    TooLong,
}

impl<'a> BlockReader<'a> {
    pub(super) const fn new(
        source: &'a mut dyn ByteSource,
        options: Arc<ReadOptions>,
        settings: ReaderSettings,
        input: Arc<InputLabel>,
    ) -> Self {
        Self {
            source,
            options,
            settings,
            input,
            format: None,
            carry: Vec::new(),
            offset: 0,
            frames: 0,
            rows: RowScanner::FieldStart,
            has_carriage_returns: false,
            has_blocks: false,
            oversized: None,
            end: End::NotYet,
        }
    }

    /// Reads a segment of an input: complete records of this format, from this offset on.
    #[cfg(feature = "cluster")]
    pub(super) fn in_segment(
        source: &'a mut dyn ByteSource,
        options: Arc<ReadOptions>,
        settings: ReaderSettings,
        input: Arc<InputLabel>,
        format: Format,
        offset: u64,
    ) -> Self {
        Self { format: Some(format), offset, ..Self::new(source, options, settings, input) }
    }

    /// Whether it is known that no block follows. It may also be found out later.
    #[cfg(feature = "cluster")]
    pub(super) const fn is_at_end(&self) -> bool {
        matches!(self.end, End::Clean) && self.carry.is_empty() && self.oversized.is_none()
    }

    /// The next block, in the `recycled` buffer; `None` at the end of the input and after an error.
    pub(super) fn next_block(&mut self, recycled: Vec<u8>) -> NextBlock {
        let mut buffer = LineBuffer::new(recycled, &self.carry, self.settings.block_bytes, self.settings.slice_bytes);
        self.carry.clear();
        let format = match self.format.clone().map_or_else(|| self.start(&mut buffer), |format| Ok(Some(format))) {
            Ok(Some(format)) => {
                self.format = Some(format.clone());
                format
            }
            // CSV without a header row has no rows.
            Ok(None) => return self.finish(&buffer, &Format::Text),
            Err(error) => {
                self.end = End::Reported;
                return Some(Err(error));
            }
        };
        match self.oversized.take() {
            Some(oversized) => self.next_piece(buffer, oversized, &format),
            None => self.next_records(buffer, &format),
        }
    }

    const fn is_reading(&self) -> bool {
        matches!(self.end, End::NotYet)
    }

    /// Reads once into the free part of `buffer`. Returns false if the read would have to wait.
    fn read(&mut self, buffer: &mut LineBuffer, mode: ReadMode) -> bool {
        match self.source.read(&mut buffer.storage[buffer.filled..], mode) {
            Ok(0) => self.end = End::Clean,
            Ok(count) => buffer.filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && mode == ReadMode::NoWait => return false,
            Err(error) => self.end = End::Failed(error),
        }
        true
    }

    /// A block of complete records, or the end of the input.
    fn next_records(&mut self, mut buffer: LineBuffer, format: &Format) -> NextBlock {
        loop {
            let rest = self.scan(&mut buffer, format);
            if buffer.complete > 0 {
                let is_done = rest == Rest::TooLong || buffer.is_full() || !self.is_reading();
                if is_done || !self.read(&mut buffer, ReadMode::NoWait) {
                    let len = buffer.complete;
                    return self.emit(buffer, len, format, Content::Records);
                }
                continue;
            }
            match rest {
                Rest::TooLong => return self.first_piece(buffer, format),
                Rest::Unfinished { .. } if !self.is_reading() => return self.truncated(buffer, format),
                Rest::Unfinished { may_grow_to } => {
                    if buffer.is_full() {
                        buffer.grow(may_grow_to);
                    }
                    self.read(&mut buffer, ReadMode::Wait);
                }
            }
        }
    }

    /// Moves `buffer.complete` to the end of the last complete record, and returns what follows it.
    fn scan(&mut self, buffer: &mut LineBuffer, format: &Format) -> Rest {
        match format {
            Format::Framed => return self.scan_frames(buffer),
            Format::Text | Format::JsonLines(_) => self.scan_lines(buffer),
            Format::Csv(header) => self.scan_rows(buffer, header.delimiter),
        }
        if matches!(self.end, End::Clean) {
            // The last line may lack its line end.
            buffer.complete = buffer.filled;
        }
        let limit = self.settings.max_record_bytes;
        if buffer.rest().len() > limit { Rest::TooLong } else { Rest::Unfinished { may_grow_to: limit + 1 } }
    }

    fn scan_lines(&self, buffer: &mut LineBuffer) {
        if let Some(last) = memrchr(b'\n', buffer.unscanned()) {
            let end = buffer.scanned + last + 1;
            buffer.mark_line_ends(end, |bytes| memchr(b'\n', bytes).map(|at| at + 1));
        }
        buffer.scanned = buffer.filled;
    }

    fn scan_rows(&mut self, buffer: &mut LineBuffer, delimiter: u8) {
        let is_last = matches!(self.end, End::Clean);
        if let Some((consumed, row_end)) = self.rows.skip_unquoted(buffer.unscanned(), delimiter, is_last) {
            if let Some(row_end) = row_end {
                let line_end = |bytes: &[u8]| memchr2(b'\n', b'\r', bytes).map(|at| at + line_ending_len(&bytes[at..]));
                buffer.mark_line_ends(buffer.scanned + row_end, line_end);
            }
            buffer.scanned += consumed;
            return;
        }
        // Only some row ends become boundaries of slices.
        let (mut row_ends, distance) = (Vec::new(), self.settings.slice_bytes / 4);
        let consumed = self.rows.skip_usual(buffer.unscanned(), delimiter, |row_end| match &mut row_ends[..] {
            [.., before, last] if row_end - *before < distance => *last = row_end,
            _ => row_ends.push(row_end),
        });
        row_ends.into_iter().for_each(|row_end| buffer.mark_record_end(buffer.scanned + row_end));
        buffer.scanned += consumed;
        loop {
            let scanned = self.rows.scan_row(buffer.unscanned(), delimiter, is_last);
            buffer.scanned += scanned.bytes;
            if !scanned.row_ended {
                return;
            }
            buffer.mark_record_end(buffer.scanned);
        }
    }

    fn scan_frames(&mut self, buffer: &mut LineBuffer) -> Rest {
        while let Some(payload) = announced_length(buffer.rest()) {
            let frame = payload.saturating_add(FRAME_HEADER_BYTES);
            if buffer.rest().len() < frame {
                // The decoder rejects a frame that is beyond the limit but fits into the buffer.
                let fits = payload <= self.settings.max_record_bytes || frame <= buffer.storage.len();
                return if fits { Rest::Unfinished { may_grow_to: frame } } else { Rest::TooLong };
            }
            buffer.mark_record_end(buffer.complete + frame);
            self.frames += 1;
        }
        Rest::Unfinished { may_grow_to: FRAME_HEADER_BYTES }
    }

    /// The end of an input that ends inside a record or after the last one.
    fn truncated(&mut self, buffer: LineBuffer, format: &Format) -> NextBlock {
        let announced = announced_length(buffer.bytes()).filter(|_| format.is_framed());
        if matches!(self.end, End::Clean) && announced.is_some_and(|len| len > self.settings.max_record_bytes) {
            // For any size of the buffer, the frame is first rejected as too long and then reported as truncated.
            return self.first_piece(buffer, format);
        }
        if matches!(self.end, End::Clean) && !self.has_blocks && matches!(format, Format::Csv(_)) {
            // An empty block says which columns a list without rows has.
            return self.emit(buffer, 0, format, Content::Records);
        }
        self.finish(&buffer, format)
    }

    /// The first piece of the oversized record at the beginning of the buffer.
    fn first_piece(&mut self, buffer: LineBuffer, format: &Format) -> NextBlock {
        let len = match format {
            Format::Text | Format::Csv(_) | Format::JsonLines(_) => {
                self.oversized = Some(Oversized::Line);
                buffer.scanned
            }
            Format::Framed => {
                let payload =
                    announced_length(buffer.bytes()).expect("a frame is oversized by what its header announces");
                let size = payload as u64 + FRAME_HEADER_BYTES as u64;
                self.frames += 1;
                self.frame_piece(&buffer, self.offset, size, size)
            }
        };
        let last = self.oversized.is_none();
        self.emit(buffer, len, format, Content::OversizedStart { last })
    }

    /// The next piece of an oversized record.
    fn next_piece(&mut self, mut buffer: LineBuffer, oversized: Oversized, format: &Format) -> NextBlock {
        let len = match oversized {
            Oversized::Line => self.line_piece(&mut buffer, format),
            Oversized::Frame { start, size, remaining } => {
                while buffer.filled == 0 && self.is_reading() {
                    self.read(&mut buffer, ReadMode::Wait);
                }
                self.frame_piece(&buffer, start, size, remaining)
            }
        };
        if len == 0 {
            return self.finish(&buffer, format);
        }
        let last = self.oversized.is_none();
        self.emit(buffer, len, format, Content::OversizedRest { last })
    }

    /// The number of bytes of `buffer` that belong to an oversized line or row; 0 at the end of the input.
    fn line_piece(&mut self, buffer: &mut LineBuffer, format: &Format) -> usize {
        loop {
            let line_end = match format {
                Format::Csv(header) => {
                    let is_last = matches!(self.end, End::Clean);
                    let scanned = self.rows.scan_row(buffer.unscanned(), header.delimiter, is_last);
                    buffer.scanned += scanned.bytes;
                    scanned.row_ended
                }
                Format::Text | Format::Framed | Format::JsonLines(_) => {
                    buffer.scanned = memchr(b'\n', buffer.bytes()).map_or(buffer.filled, |at| at + 1);
                    buffer.bytes()[..buffer.scanned].ends_with(b"\n")
                }
            };
            if line_end {
                return buffer.scanned;
            }
            if buffer.scanned > 0 || !self.is_reading() {
                self.oversized = Some(Oversized::Line);
                return buffer.scanned;
            }
            self.read(buffer, ReadMode::Wait);
        }
    }

    /// The number of bytes of `buffer` that belong to an oversized frame, of which `remaining` bytes are missing.
    fn frame_piece(&mut self, buffer: &LineBuffer, start: u64, size: u64, remaining: u64) -> usize {
        let len = remaining.min(buffer.filled as u64);
        let remaining = remaining - len;
        self.oversized = (remaining > 0).then_some(Oversized::Frame { start, size, remaining });
        len as usize
    }

    /// Emits the first `len` bytes of `buffer` and keeps the others for the next block.
    fn emit(&mut self, buffer: LineBuffer, len: usize, format: &Format, content: Content) -> NextBlock {
        self.carry.extend_from_slice(&buffer.bytes()[len..]);
        if content == Content::Records || self.oversized.is_none() {
            // The next block begins with a record, which is scanned from its beginning.
            self.rows = RowScanner::FieldStart;
        }
        self.has_blocks = true;
        let offset = self.offset;
        self.offset += len as u64;
        let LineBuffer { storage, mut boundaries, .. } = buffer;
        boundaries.retain(|&boundary| boundary < len);
        let (input, format) = (Arc::clone(&self.input), format.clone());
        Some(Ok(Block { input, offset, format, content, buffer: storage, len, boundaries }))
    }

    /// The end of the input: nothing, or an error if it is damaged.
    fn finish(&mut self, buffer: &LineBuffer, format: &Format) -> NextBlock {
        let read = self.offset + buffer.filled as u64;
        match std::mem::replace(&mut self.end, End::Reported) {
            End::Failed(cause) => {
                Some(Err(InputError::Read { input: Arc::clone(&self.input.path), byte: read, cause }))
            }
            End::Clean if format.is_framed() => {
                let (frame, start, size) = match self.oversized.take() {
                    Some(Oversized::Frame { start, size, .. }) => (self.frames, start, size),
                    _ if buffer.filled == 0 => return None,
                    _ => {
                        let payload = announced_length(buffer.bytes()).unwrap_or(0);
                        (self.frames + 1, self.offset, payload as u64 + FRAME_HEADER_BYTES as u64)
                    }
                };
                let at = self.location(RecordNumber::Frame(frame), start);
                Some(Err(InputError::TruncatedFrame { at, present: read - start, size }))
            }
            End::Clean | End::NotYet | End::Reported => None,
        }
    }

    fn location(&self, record: RecordNumber, byte: u64) -> Location {
        Location { input: Arc::clone(&self.input.path), record, byte: Some(byte) }
    }
}
