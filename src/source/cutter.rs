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
    framing: Option<Framing>,
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
        let framing = self.framing(&mut fill);
        match self.oversized.take() {
            Some(oversized) => self.next_piece(fill, oversized),
            None => self.next_records(fill, framing),
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
            framing: None,
            carry: Vec::new(),
            offset: 0,
            frames: 0,
            oversized: None,
            end: End::NotYet,
        }
    }

    /// The framing of the input, found out from its first bytes; passes over a text's byte-order mark.
    fn framing(&mut self, fill: &mut Fill) -> Framing {
        if let Some(framing) = self.framing {
            return framing;
        }
        while self.reading() && fill.filled < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(fill.bytes()) {
            self.read(fill, Patience::Wait);
        }
        let framing = self.format.framing(fill.bytes().first().copied());
        if framing == Framing::Text && fill.bytes().starts_with(BYTE_ORDER_MARK) {
            let mark = BYTE_ORDER_MARK.len();
            fill.buffer.copy_within(mark..fill.filled, 0);
            fill.filled -= mark;
            self.offset = mark as u64;
        }
        *self.framing.insert(framing)
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
    fn next_records(&mut self, mut fill: Fill, framing: Framing) -> NextBlock {
        let mut scanned = 0;
        loop {
            let too_long = self.scan(&mut fill, framing, scanned);
            scanned = fill.filled;
            if too_long && fill.whole == 0 {
                return self.first_piece(fill, framing);
            }
            if fill.whole > 0 {
                let done = too_long || fill.is_full() || !self.reading();
                if done || !self.read(&mut fill, Patience::TakeWhatIsThere) {
                    let len = fill.whole;
                    return self.hand_over(fill, len, framing, Content::Records);
                }
                continue;
            }
            if !self.reading() {
                return self.rest(fill, framing);
            }
            if fill.is_full() {
                match self.longest(&fill, framing) {
                    Some(limit) => fill.grow(limit),
                    None => return self.first_piece(fill, framing),
                }
            }
            self.read(&mut fill, Patience::Wait);
        }
    }

    /// Moves `fill.whole` behind the last whole record. Says whether the frame behind it is beyond the limit and the buffer.
    fn scan(&mut self, fill: &mut Fill, framing: Framing, scanned: usize) -> bool {
        match framing {
            Framing::Text | Framing::Csv if matches!(self.end, End::Clean) => fill.whole = fill.filled,
            Framing::Text | Framing::Csv => {
                if let Some(end) = last_line_end(fill.bytes().get(scanned..).unwrap_or_default()) {
                    fill.whole = scanned + end;
                }
            }
            Framing::Framed => {
                while let Some(payload) = announced(fill.rest()) {
                    if fill.rest().len() - HEADER_BYTES < payload {
                        // One beyond the limit that fits into the buffer is left to the decoder.
                        let fits = payload.saturating_add(HEADER_BYTES) <= fill.buffer.len();
                        return payload > self.settings.max_record_bytes && !fits;
                    }
                    fill.whole += HEADER_BYTES + payload;
                    self.frames += 1;
                }
            }
        }
        false
    }

    /// What is left when the input has ended within a record, or behind the last one.
    fn rest(&mut self, fill: Fill, framing: Framing) -> NextBlock {
        let announced = announced(fill.bytes()).filter(|_| framing == Framing::Framed);
        if matches!(self.end, End::Clean) && announced.is_some_and(|len| len > self.settings.max_record_bytes) {
            // That it is too long comes first, that it is cut short second, whatever the size of the buffer.
            return self.first_piece(fill, framing);
        }
        self.finish(&fill, framing)
    }

    /// How long a buffer may become for the one record that fills it; `None` when the record is beyond the limit.
    fn longest(&self, fill: &Fill, framing: Framing) -> Option<usize> {
        let limit = self.settings.max_record_bytes;
        match framing {
            Framing::Text | Framing::Csv => (fill.filled <= limit).then(|| limit.saturating_add(1)),
            Framing::Framed => Some(announced(fill.bytes()).unwrap_or(0).saturating_add(HEADER_BYTES)),
        }
    }

    /// The first piece of a record beyond the limit, which begins the buffer.
    fn first_piece(&mut self, fill: Fill, framing: Framing) -> NextBlock {
        let len = match framing {
            Framing::Text | Framing::Csv => {
                self.oversized = Some(Oversized::Line);
                fill.filled
            }
            Framing::Framed => {
                let whole = (announced(fill.bytes()).unwrap_or(0) as u64).saturating_add(HEADER_BYTES as u64);
                self.frames += 1;
                self.frame_piece(&fill, Oversized::Frame { start: self.offset, whole, left: whole })
            }
        };
        self.hand_over(fill, len, framing, Content::OversizedStart)
    }

    /// The next piece of a record beyond the limit.
    fn next_piece(&mut self, mut fill: Fill, oversized: Oversized) -> NextBlock {
        while fill.filled == 0 && self.reading() {
            self.read(&mut fill, Patience::Wait);
        }
        let framing = match oversized {
            Oversized::Line => Framing::Text,
            Oversized::Frame { .. } => Framing::Framed,
        };
        if fill.filled == 0 {
            self.oversized = Some(oversized);
            return self.finish(&fill, framing);
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
        self.hand_over(fill, len, framing, Content::OversizedRest)
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
    fn hand_over(&mut self, fill: Fill, len: usize, framing: Framing, content: Content) -> NextBlock {
        self.carry.extend_from_slice(fill.bytes().get(len..).unwrap_or_default());
        let offset = self.offset;
        self.offset = offset.saturating_add(len as u64);
        Some(Ok(Block::new(fill.buffer, len, Arc::clone(&self.input), offset, framing, content)))
    }

    /// What is to be told when no whole record is left: nothing, or how the input is damaged.
    fn finish(&mut self, fill: &Fill, framing: Framing) -> NextBlock {
        let input = self.input.name.clone();
        let came = self.offset.saturating_add(fill.filled as u64);
        match std::mem::replace(&mut self.end, End::Told) {
            End::Failed(cause) => Some(Err(SourceError::Read { input, byte: came, cause })),
            End::Clean if framing == Framing::Framed => {
                let (record, start, whole) = match self.oversized.take() {
                    Some(Oversized::Frame { start, whole, .. }) => (self.frames, start, whole),
                    _ if fill.filled == 0 => return None,
                    _ => {
                        let payload = announced(fill.bytes()).unwrap_or(0) as u64;
                        (self.frames.saturating_add(1), self.offset, payload.saturating_add(HEADER_BYTES as u64))
                    }
                };
                let at = Position { input, place: Place { framing, record, byte: start } };
                Some(Err(SourceError::CutFrame { at, present: came.saturating_sub(start), whole }))
            }
            End::Clean | End::NotYet | End::Told => None,
        }
    }
}

#[cfg(test)]
mod tests;
