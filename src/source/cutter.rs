//! The cutter: fills buffers from one feed and cuts them where a record ends.
//!
//! Three rules meet here. A block is handed over when its buffer is full, and also when nothing more is waiting, so
//! that an event on a live pipe never waits for the next one. A buffer grows only with bytes that really came, never
//! with what a header announces. And a record beyond the limit is handed over in pieces of a buffer's size.

use std::io;
use std::sync::Arc;

use memchr::memchr;

use super::cut::{Cut, NextBlock};
use super::framing::{BYTE_ORDER_MARK, HEADER_BYTES, announced, last_line_end};
use super::{
    Block, Content, Feed, Framing, InputFormat, InputLabel, Patience, Place, Position, ReaderSettings, SourceError,
};

/// The smallest buffer: it holds a header, and the byte-order mark that is looked for first.
const MIN_BUFFER_BYTES: usize = HEADER_BYTES;

/// Cuts one input.
pub(super) struct Cutter<'a> {
    feed: &'a mut dyn Feed,
    format: InputFormat,
    settings: ReaderSettings,
    input: Arc<InputLabel>,
    /// Known as soon as the first byte is there.
    marks: Option<Marks>,
    /// What came behind the last block's end.
    carry: Vec<u8>,
    /// Where in the input `carry` begins.
    offset: u64,
    /// Frames handed over so far.
    frames: u64,
    /// Set while an oversized record is handed over in pieces.
    oversized: Option<Oversized>,
    end: End,
}

/// What marks the records of an input that is cut here; CSV is cut elsewhere.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Marks {
    LineFeeds,
    Lengths,
}

impl Marks {
    const fn framing(self) -> Framing {
        match self {
            Self::LineFeeds => Framing::Text,
            Self::Lengths => Framing::Framed,
        }
    }
}

/// What follows the whole records in a buffer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Nothing, or the beginning of a record, for which the buffer may grow to this size.
    Unfinished { may_grow_to: usize },
    /// The beginning of a record that is beyond the limit.
    TooLong,
}

/// How the feed came to its end.
enum End {
    NotYet,
    Clean,
    Failed(io::Error),
    /// The failure was told; nothing more comes.
    Told,
}

/// How far an oversized record reaches.
enum Oversized {
    /// To the next line feed.
    Line,
    /// To the end of the frame that began at `start`.
    Frame { start: u64, whole: u64, left: u64 },
}

/// A buffer that is being filled.
struct Fill {
    buffer: Vec<u8>,
    filled: usize,
    /// Everything before this is whole records.
    whole: usize,
}

impl Fill {
    fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.filled).unwrap_or_default()
    }

    /// What follows the whole records.
    fn rest(&self) -> &[u8] {
        self.buffer.get(self.whole..self.filled).unwrap_or_default()
    }

    const fn is_full(&self) -> bool {
        self.filled == self.buffer.len()
    }

    /// Makes room for a record of up to `limit` bytes, doubling, so that memory follows the bytes that really came.
    fn grow(&mut self, limit: usize) {
        let doubled = self.buffer.len().saturating_mul(2);
        let len = doubled.min(limit).max(self.buffer.len().saturating_add(1));
        self.buffer.resize(len, 0);
    }
}

impl Cut for Cutter<'_> {
    fn next_block(&mut self, mut buffer: Vec<u8>) -> NextBlock {
        let len = self.settings.block_bytes.max(MIN_BUFFER_BYTES).max(self.carry.len().saturating_add(1));
        if buffer.len() < len {
            buffer.resize(len, 0);
        }
        let filled = self.carry.len();
        if let Some(start) = buffer.get_mut(..filled) {
            start.copy_from_slice(&self.carry);
        }
        self.carry.clear();
        let mut fill = Fill { buffer, filled, whole: 0 };
        let marks = self.find_marks(&mut fill);
        match self.oversized.take() {
            Some(oversized) => self.next_piece(fill, oversized),
            None => self.next_records(fill, marks),
        }
    }
}

impl<'a> Cutter<'a> {
    /// Cuts what `feed` gives.
    pub(super) const fn new(
        feed: &'a mut dyn Feed,
        format: InputFormat,
        settings: ReaderSettings,
        input: Arc<InputLabel>,
    ) -> Self {
        Self {
            feed,
            format,
            settings,
            input,
            marks: None,
            carry: Vec::new(),
            offset: 0,
            frames: 0,
            oversized: None,
            end: End::NotYet,
        }
    }

    /// How the records of the input are marked, found out from its first bytes; passes over a text's byte-order mark.
    fn find_marks(&mut self, fill: &mut Fill) -> Marks {
        if let Some(marks) = self.marks {
            return marks;
        }
        while self.reading() && fill.filled < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(fill.bytes()) {
            self.read(fill, Patience::Wait);
        }
        let marks = match self.format.framing(fill.bytes().first().copied()) {
            Framing::Framed => Marks::Lengths,
            Framing::Text | Framing::Csv => Marks::LineFeeds,
        };
        if marks == Marks::LineFeeds && fill.bytes().starts_with(BYTE_ORDER_MARK) {
            let mark = BYTE_ORDER_MARK.len();
            fill.buffer.copy_within(mark..fill.filled, 0);
            fill.filled -= mark;
            self.offset = mark as u64;
        }
        *self.marks.insert(marks)
    }

    const fn reading(&self) -> bool {
        matches!(self.end, End::NotYet)
    }

    /// Reads once into the free part of `fill`. Says whether there was something to read, or an end.
    fn read(&mut self, fill: &mut Fill, patience: Patience) -> bool {
        let free = fill.buffer.get_mut(fill.filled..).unwrap_or_default();
        match self.feed.read(free, patience) {
            Ok(0) => self.end = End::Clean,
            Ok(count) => fill.filled = fill.filled.saturating_add(count).min(fill.buffer.len()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && patience == Patience::TakeWhatIsThere => {
                return false;
            }
            Err(error) => self.end = End::Failed(error),
        }
        true
    }

    /// A block of whole records, or what there is to say when there are none left.
    fn next_records(&mut self, mut fill: Fill, marks: Marks) -> NextBlock {
        let mut scanned = 0;
        loop {
            let rest = self.scan(&mut fill, marks, scanned);
            scanned = fill.filled;
            if fill.whole > 0 {
                let done = rest == Rest::TooLong || fill.is_full() || !self.reading();
                if done || !self.read(&mut fill, Patience::TakeWhatIsThere) {
                    let len = fill.whole;
                    return self.hand_over(fill, len, marks, Content::Records);
                }
                continue;
            }
            match rest {
                Rest::TooLong => return self.first_piece(fill, marks),
                Rest::Unfinished { .. } if !self.reading() => return self.cut_short(fill, marks),
                Rest::Unfinished { may_grow_to } => {
                    if fill.is_full() {
                        fill.grow(may_grow_to);
                    }
                    self.read(&mut fill, Patience::Wait);
                }
            }
        }
    }

    /// Moves `fill.whole` behind the last whole record, and says what follows it.
    fn scan(&mut self, fill: &mut Fill, marks: Marks, scanned: usize) -> Rest {
        match marks {
            Marks::LineFeeds => self.scan_lines(fill, scanned),
            Marks::Lengths => self.scan_frames(fill),
        }
    }

    fn scan_lines(&self, fill: &mut Fill, scanned: usize) -> Rest {
        if matches!(self.end, End::Clean) {
            // The last line needs no line feed.
            fill.whole = fill.filled;
        } else if let Some(end) = last_line_end(fill.bytes().get(scanned..).unwrap_or_default()) {
            fill.whole = scanned + end;
        }
        let limit = self.settings.max_record_bytes;
        if fill.rest().len() > limit {
            Rest::TooLong
        } else {
            Rest::Unfinished { may_grow_to: limit.saturating_add(1) }
        }
    }

    fn scan_frames(&mut self, fill: &mut Fill) -> Rest {
        while let Some(payload) = announced(fill.rest()) {
            let frame = payload.saturating_add(HEADER_BYTES);
            if fill.rest().len() < frame {
                // One beyond the limit that fits into the buffer is left to the decoder.
                let fits = payload <= self.settings.max_record_bytes || frame <= fill.buffer.len();
                return if fits { Rest::Unfinished { may_grow_to: frame } } else { Rest::TooLong };
            }
            fill.whole += frame;
            self.frames += 1;
        }
        Rest::Unfinished { may_grow_to: HEADER_BYTES }
    }

    /// What there is to say when the input has ended within a record, or behind the last one.
    fn cut_short(&mut self, fill: Fill, marks: Marks) -> NextBlock {
        let announced = announced(fill.bytes()).filter(|_| marks == Marks::Lengths);
        if matches!(self.end, End::Clean) && announced.is_some_and(|len| len > self.settings.max_record_bytes) {
            // That it is too long comes first, that it is cut short second, whatever the size of the buffer.
            return self.first_piece(fill, marks);
        }
        self.finish(&fill, marks)
    }

    /// The first piece of a record beyond the limit, which begins the buffer.
    fn first_piece(&mut self, fill: Fill, marks: Marks) -> NextBlock {
        let len = match marks {
            Marks::LineFeeds => {
                self.oversized = Some(Oversized::Line);
                fill.filled
            }
            Marks::Lengths => {
                let whole = (announced(fill.bytes()).unwrap_or(0) as u64).saturating_add(HEADER_BYTES as u64);
                self.frames += 1;
                self.frame_piece(&fill, Oversized::Frame { start: self.offset, whole, left: whole })
            }
        };
        let last = self.oversized.is_none();
        self.hand_over(fill, len, marks, Content::OversizedStart { last })
    }

    /// The next piece of a record beyond the limit.
    fn next_piece(&mut self, mut fill: Fill, oversized: Oversized) -> NextBlock {
        while fill.filled == 0 && self.reading() {
            self.read(&mut fill, Patience::Wait);
        }
        let marks = match oversized {
            Oversized::Line => Marks::LineFeeds,
            Oversized::Frame { .. } => Marks::Lengths,
        };
        if fill.filled == 0 {
            self.oversized = Some(oversized);
            return self.finish(&fill, marks);
        }
        let len = match oversized {
            Oversized::Line => match memchr(b'\n', fill.bytes()) {
                Some(at) => at + 1,
                None => {
                    self.oversized = Some(Oversized::Line);
                    fill.filled
                }
            },
            Oversized::Frame { .. } => self.frame_piece(&fill, oversized),
        };
        let last = self.oversized.is_none();
        self.hand_over(fill, len, marks, Content::OversizedRest { last })
    }

    /// How much of `fill` belongs to an oversized frame; remembers what is left of the frame.
    fn frame_piece(&mut self, fill: &Fill, oversized: Oversized) -> usize {
        let Oversized::Frame { start, whole, left } = oversized else { return 0 };
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(fill.filled);
        let left = left.saturating_sub(len as u64);
        self.oversized = (left > 0).then_some(Oversized::Frame { start, whole, left });
        len
    }

    /// Gives away the first `len` bytes of `fill` and keeps the others for the next block.
    fn hand_over(&mut self, fill: Fill, len: usize, marks: Marks, content: Content) -> NextBlock {
        self.carry.extend_from_slice(fill.bytes().get(len..).unwrap_or_default());
        let offset = self.offset;
        self.offset = offset.saturating_add(len as u64);
        Some(Ok(Block::new(fill.buffer, len, Arc::clone(&self.input), offset, marks.framing(), content)))
    }

    /// What is to be told when no whole record is left: nothing, or how the input is damaged.
    fn finish(&mut self, fill: &Fill, marks: Marks) -> NextBlock {
        let input = self.input.name.clone();
        let came = self.offset.saturating_add(fill.filled as u64);
        match std::mem::replace(&mut self.end, End::Told) {
            End::Failed(cause) => Some(Err(SourceError::Read { input, byte: came, cause })),
            End::Clean if marks == Marks::Lengths => {
                let (record, start, whole) = match self.oversized.take() {
                    Some(Oversized::Frame { start, whole, .. }) => (self.frames, start, whole),
                    _ if fill.filled == 0 => return None,
                    _ => {
                        let payload = announced(fill.bytes()).unwrap_or(0) as u64;
                        (self.frames.saturating_add(1), self.offset, payload.saturating_add(HEADER_BYTES as u64))
                    }
                };
                let at = Position { input, place: Place { framing: marks.framing(), record, byte: start } };
                Some(Err(SourceError::CutFrame { at, present: came.saturating_sub(start), whole }))
            }
            End::Clean | End::NotYet | End::Told => None,
        }
    }
}

#[cfg(test)]
mod tests;
