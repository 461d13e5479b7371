//! The sequencer: the work of a replay in input order, except the writing.
//!
//! It numbers lines and frames, counts records, and rejects bad records up to the limit. It runs on one thread, between
//! the parallel steps.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use memchr::memchr_iter;

use super::slice::{BadRecord, Slice};
use super::{Counts, InputCounts, Observer, ReplayError, Settings};
use crate::input::{Block, Decoded, Format, RawRecord, RecordSplitter, RecordVisitor, text_as_length};
use crate::location::{LineIndex, Location, RecordNumber};
use crate::output::Rejection;
use crate::record::{Bytes, Decoder, RecordError, SourceKind, Time};

/// Decodes a rejected record again to get the reason, and rejects it.
struct RejectVisitor<'r, 'a> {
    sequencer: &'r mut Sequencer<'a>,
    block: &'r Block,
    location: Location,
    raw: Range<usize>,
    rejected: Result<(), ReplayError>,
}

impl RecordVisitor for RejectVisitor<'_, '_> {
    fn visit(&mut self, _record: RawRecord, _bytes: Bytes<'_>, decoded: Decoded<'_>) -> ControlFlow<()> {
        let reason = decoded.expect_err("a record that the slice rejected is bad");
        let raw = &self.block.bytes()[self.raw.clone()];
        self.rejected = self.sequencer.reject(self.block, self.location.clone(), reason, raw);
        ControlFlow::Break(())
    }
}

/// The counts and positions of the inputs so far.
pub(super) struct Sequencer<'a> {
    pub observer: &'a mut dyn Observer,
    settings: &'a Settings,
    pub counts: Counts,
    pub line_index: LineIndex,
    /// The counts of each input so far, by index. Empty inputs at the end are missing.
    pub inputs: Vec<InputCounts>,
    /// The current input, and the number of its lines or frames so far.
    input: Option<usize>,
    lines_in_input: u64,
    /// The number of lines or frames of all inputs so far.
    lines: u64,
    /// The format of the list that the saved list replaces, or else of the first one.
    pub list_format: Option<Format>,
    /// The time and the number of the latest conversion.
    latest: Option<(Time, u64)>,
    /// How many conversions are before the one before them, and the number of the first.
    pub steps_back: Option<(u64, u64)>,
}

impl<'a> Sequencer<'a> {
    pub fn new(settings: &'a Settings, observer: &'a mut dyn Observer) -> Self {
        Self {
            observer,
            settings,
            counts: Counts::default(),
            line_index: LineIndex::default(),
            inputs: Vec::new(),
            input: None,
            lines_in_input: 0,
            lines: 0,
            list_format: None,
            latest: None,
            steps_back: None,
        }
    }

    pub fn decoder(&self, block: &Block) -> Decoder {
        Decoder { source: block.input.source, max_record_bytes: self.settings.reader.max_record_bytes }
    }

    /// The number of records that may still be rejected.
    pub const fn allowed_rejects(&self) -> u64 {
        self.settings.max_rejects - self.counts.rejects
    }

    /// Begins a block. Lines are counted from 1 in each input.
    pub fn begin(&mut self, block: &Block) {
        if self.input == Some(block.input.index) {
            return;
        }
        self.input = Some(block.input.index);
        self.inputs.resize(block.input.index + 1, InputCounts::default());
        let is_first = block.input.source != SourceKind::Conversions && self.list_format.is_none();
        if is_first || self.settings.replaced_list == Some(block.input.index) {
            self.list_format = Some(block.format.clone());
        }
        self.lines_in_input = 0;
        self.line_index.push(Arc::clone(&block.input.path), block.format.is_framed(), self.lines);
        if let Format::Csv(header) = &block.format {
            self.count_lines(header.lines);
        }
    }

    const fn count_lines(&mut self, lines: u64) {
        self.lines_in_input += lines;
        self.lines += lines;
    }

    /// Numbers the records of a decoded slice and rejects the bad ones. If one of them is beyond the limit, returns it
    /// as an error, and removes it and everything after it from the slice.
    pub fn finish_slice(&mut self, block: &Block, slice: &mut Slice) -> Result<(), ReplayError> {
        slice.first_line = self.lines;
        let ordered = self.check_times(block, slice);
        let entries = ordered.as_ref().map_or_else(|(entry, _)| *entry, |()| u32::MAX);
        let (decoder, mut splitter) = (self.decoder(block), RecordSplitter::default());
        let before = |reject: &&BadRecord| reject.entries_before <= entries;
        for index in 0..slice.rejects.iter().take_while(before).count() {
            let reject = &slice.rejects[index];
            let location = self.location(block, reject.line, reject.raw.start);
            let (raw, entries_before) = (reject.raw.clone(), reject.entries_before);
            let mut visitor = RejectVisitor { sequencer: self, block, location, raw: raw.clone(), rejected: Ok(()) };
            let visited = splitter.decode(block, raw, &decoder, &mut visitor);
            assert!(visited.is_break(), "a slice rejects one record at a time");
            visitor.rejected.inspect_err(|_| slice.truncate(entries_before))?;
        }
        ordered.map_err(|(entry, error)| {
            slice.truncate(entry);
            error
        })?;
        self.count_lines(u64::from(slice.lines));
        self.counts += Counts { rejects: 0, ..slice.counts };
        self.inputs[block.input.index].count(slice.counts.records, slice.decided_times());
        Ok(())
    }

    /// Checks that no conversion is before the one before it. Returns the number of the first entry that is, unless the
    /// settings allow it.
    fn check_times(&mut self, block: &Block, slice: &Slice) -> Result<(), (u32, ReplayError)> {
        for &(entry, time) in &slice.times {
            let lines = slice.lines_before(entry);
            let number = self.lines + u64::from(lines);
            let previous = self.latest.replace((time, number));
            let Some((earlier_time, earlier)) = previous.filter(|(previous, _)| time < *previous) else { continue };
            self.steps_back.get_or_insert((0, number)).0 += 1;
            if !self.settings.allows_disorder {
                let location = Location { byte: None, ..self.location(block, lines, 0) };
                let earlier = self.line_index.location(earlier);
                return Err((entry, ReplayError::StepBack { location, time, earlier, earlier_time }));
            }
        }
        Ok(())
    }

    /// Rejects a record that is too long. `block` is its first piece. Returns an error if it is beyond the limit of
    /// rejects.
    pub fn oversized(&mut self, block: &Block, last: bool) -> Result<(), ReplayError> {
        let location = self.location(block, 0, 0);
        let too_long = RecordError::TooLong { limit: self.settings.reader.max_record_bytes };
        let text = text_as_length(block.bytes()).filter(|_| block.format.is_framed());
        let reason = text.map_or(too_long, |length| RecordError::TextAsFrameLength { length });
        self.reject(block, location, reason, block.bytes())?;
        self.counts.records += 1;
        self.inputs[block.input.index].count(1, None);
        self.count_piece(block, last);
        Ok(())
    }

    /// Rejects the next piece of an oversized record.
    pub fn oversized_rest(&mut self, block: &Block, last: bool) -> Result<(), ReplayError> {
        self.count_piece(block, last);
        self.observer.rejected_more(block.bytes()).map_err(ReplayError::Observer)
    }

    /// Counts the bytes and lines of a piece. A line or frame is counted at its last piece. A row may have several
    /// lines: one for each line feed, and one more if it ends with a carriage return.
    fn count_piece(&mut self, block: &Block, last: bool) {
        let piece = block.bytes();
        self.counts.bytes += piece.len() as u64;
        let lines = match block.format {
            Format::Text | Format::Framed | Format::JsonLines(_) => u64::from(last),
            Format::Csv(_) => memchr_iter(b'\n', piece).count() as u64 + u64::from(last && !piece.ends_with(b"\n")),
        };
        self.count_lines(lines);
    }

    /// The location of a record that follows `lines` more lines, at this byte of its block.
    fn location(&self, block: &Block, lines: u32, byte: usize) -> Location {
        let record = RecordNumber::new(block.format.is_framed(), self.lines_in_input + u64::from(lines) + 1);
        Location { input: Arc::clone(&block.input.path), record, byte: Some(block.offset + byte as u64) }
    }

    fn reject(
        &mut self,
        block: &Block,
        location: Location,
        reason: RecordError<'_>,
        raw: &[u8],
    ) -> Result<(), ReplayError> {
        if self.allowed_rejects() == 0 {
            return Err(ReplayError::BadRecord { location, reason: reason.to_string() });
        }
        self.counts.rejects += 1;
        let (source, format) = (block.input.source, &block.format);
        self.observer.rejected(&Rejection { source, format, location, reason, raw }).map_err(ReplayError::Observer)
    }
}
