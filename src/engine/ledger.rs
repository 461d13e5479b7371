//! The ledger: everything about a replay that has to happen in input order, but for the writing.
//!
//! It numbers lines and frames, counts what came in, and puts bad records aside or says that one of them is one too
//! many. It is kept by one thread, between the steps that threads share.

use std::io;
use std::sync::Arc;

use memchr::memchr_iter;

use super::slice::Slice;
use super::{Counts, Failure, Observer, Settings};
use crate::record::{Decoder, RecordError};
use crate::sink::Rejection;
use crate::source::{Block, Framing, Numbering, Place, Position, SourceError, text_for_a_length};

/// What is known of the inputs so far.
pub(super) struct Ledger<'a> {
    observer: &'a mut dyn Observer,
    max_record_bytes: usize,
    max_rejects: u64,
    pub(super) counts: Counts,
    pub(super) numbering: Numbering,
    /// The input that is being read, how many lines or frames of it came before what comes next, and how many bytes.
    input: Option<usize>,
    lines_in_input: u64,
    byte: u64,
    /// How many lines or frames came before, of all inputs.
    lines: u64,
}

impl<'a> Ledger<'a> {
    pub(super) fn new(settings: &Settings, observer: &'a mut dyn Observer) -> Self {
        Self {
            observer,
            max_record_bytes: settings.reader.max_record_bytes,
            max_rejects: settings.max_rejects,
            counts: Counts::default(),
            numbering: Numbering::default(),
            input: None,
            lines_in_input: 0,
            byte: 0,
            lines: 0,
        }
    }

    /// How the records of `block` are decoded.
    pub(super) fn decoder(&self, block: &Block) -> Decoder {
        Decoder {
            expected: block.input.expected,
            layout: block.framing.layout(),
            max_record_bytes: self.max_record_bytes,
        }
    }

    /// How many more bad records may be put aside.
    pub(super) const fn allowed_rejects(&self) -> u64 {
        self.max_rejects.saturating_sub(self.counts.rejects)
    }

    /// Begins with a block, and where another input begins, to count anew.
    pub(super) fn enter(&mut self, block: &Block) {
        if self.input != Some(block.input.index) {
            self.input = Some(block.input.index);
            self.lines_in_input = 0;
            self.numbering.begin(Arc::clone(&block.input), block.framing, self.lines);
            self.pass_lines(block.header.as_ref().map_or(0, |header| header.lines));
        }
        self.byte = block.offset;
    }

    const fn pass_lines(&mut self, lines: u64) {
        self.lines_in_input += lines;
        self.lines += lines;
    }

    /// Numbers the records of a decoded slice and puts the bad ones aside. When one of them is one too many, everything
    /// in the slice from it on is forgotten and it is returned.
    ///
    /// # Errors
    /// When the observer cannot take a bad record.
    pub(super) fn take_stock<Answer: Copy + Default>(
        &mut self,
        block: &Block,
        slice: &mut Slice<Answer>,
    ) -> io::Result<Option<Failure>> {
        slice.first_line = self.lines;
        let decoder = self.decoder(block);
        let mut one_too_many = None;
        for (index, reject) in slice.rejects.iter().enumerate() {
            let Err(reason) = decoder.decode(reject.payload(block)) else {
                debug_assert!(false, "a record that was bad a moment ago is good");
                continue;
            };
            let place = self.place(block.framing, reject.line, reject.byte);
            if let Some(failure) = self.put_aside(block, place, reason, reject.raw(block))? {
                one_too_many = Some((index, failure));
                break;
            }
        }
        if let Some((index, failure)) = one_too_many {
            slice.truncate(index);
            return Ok(Some(failure));
        }
        self.pass_lines(u64::from(slice.lines));
        self.byte = self.byte.saturating_add(slice.counts.bytes);
        self.counts += Counts { rejects: 0, ..slice.counts };
        Ok(None)
    }

    /// Puts aside a record that is too long to be taken, of which `block` is the first piece, unless it is one too many.
    ///
    /// # Errors
    /// When the observer cannot take it.
    pub(super) fn oversized(&mut self, block: &Block, last: bool) -> io::Result<Option<Failure>> {
        let place = self.place(block.framing, 0, 0);
        let text = text_for_a_length(block.bytes()).filter(|_| block.framing == Framing::Framed);
        let too_long = RecordError::TooLong { limit: self.max_record_bytes };
        let reason = text.map_or(too_long, |length| RecordError::TextForAFrame { length });
        let failure = self.put_aside(block, place, reason, block.bytes())?;
        self.counts.records += 1;
        self.pass_piece(block, last);
        Ok(failure)
    }

    /// Puts aside the next piece of such a record.
    ///
    /// # Errors
    /// When the observer cannot take it.
    pub(super) fn oversized_rest(&mut self, block: &Block, last: bool) -> io::Result<()> {
        self.pass_piece(block, last);
        self.observer.rejected_more(block.bytes())
    }

    /// Counts the bytes and the lines of a piece. A frame and a line count when they are over; a row of CSV may have more
    /// lines than one, and if a carriage return ended it, one more than line feeds.
    fn pass_piece(&mut self, block: &Block, last: bool) {
        let piece = block.bytes();
        self.counts.bytes += piece.len() as u64;
        let lines = match block.framing {
            Framing::Text | Framing::Framed => u64::from(last),
            Framing::Csv => memchr_iter(b'\n', piece).count() as u64 + u64::from(last && !piece.ends_with(b"\n")),
        };
        self.pass_lines(lines);
    }

    /// Tells that an input is damaged.
    ///
    /// # Errors
    /// When the observer cannot take it.
    pub(super) fn damaged(&mut self, damage: &SourceError) -> io::Result<()> {
        self.observer.damaged(damage)
    }

    /// Tells that a block is done.
    pub(super) fn advanced(&mut self) {
        self.observer.advanced(&self.counts);
    }

    /// The place of a record behind so many more lines and bytes.
    fn place(&self, framing: Framing, lines: u32, bytes: u32) -> Place {
        Place {
            framing,
            record: self.lines_in_input + u64::from(lines) + 1,
            byte: self.byte.saturating_add(u64::from(bytes)),
        }
    }

    fn put_aside(
        &mut self,
        block: &Block,
        place: Place,
        reason: RecordError<'_>,
        raw: &[u8],
    ) -> io::Result<Option<Failure>> {
        let position = Position { input: block.input.name.clone(), place };
        if self.allowed_rejects() == 0 {
            return Ok(Some(Failure::BadRecord { position, reason: reason.to_string() }));
        }
        self.counts.rejects += 1;
        let header = block.header.as_ref();
        self.observer.rejected(&Rejection { expected: block.input.expected, header, position, reason, raw })?;
        Ok(None)
    }
}
