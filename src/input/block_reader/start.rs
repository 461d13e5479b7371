//! The start of an input: its format, the byte-order mark, and the header row of CSV.

use std::sync::Arc;

use super::{BlockReader, End, LineBuffer, RowScanner};
use crate::input::csv::count_lines;
use crate::input::detect::{Detected, INTERLEAVED_CSV, csv_delimiter, detect};
use crate::input::format::{BYTE_ORDER_MARK, Format, InputFormat, is_blank};
use crate::input::header::Header;
use crate::input::json::JsonKeys;
use crate::input::{InputError, ReadMode};
use crate::location::RecordNumber;
use crate::record::SourceKind;

/// The maximum size of the blank lines before the first line that is used for detection.
const MAX_BLANK_BYTES: usize = 1 << 20;

impl BlockReader<'_> {
    /// Detects the format from the start of the input. `None` if the input is empty.
    pub(in crate::input) fn into_format(self) -> Result<Option<Format>, InputError> {
        Ok(self.into_start()?.map(|(format, _)| format))
    }

    /// The same with the offset of the first record.
    pub(in crate::input) fn into_start(mut self) -> Result<Option<(Format, u64)>, InputError> {
        let mut buffer = LineBuffer::new(Vec::new(), &[], self.settings.block_bytes, self.settings.slice_bytes);
        let format = self.start(&mut buffer)?;
        let is_empty = self.offset == 0 && buffer.filled == 0;
        match self.end {
            End::Failed(_) => self.finish(&buffer, &Format::Text).transpose().map(|_| None),
            End::Clean if is_empty => Ok(None),
            End::NotYet | End::Clean | End::Reported => Ok(format.map(|format| (format, self.offset))),
        }
    }

    /// Finds the format, and skips a byte-order mark and the header row of CSV. `None` if the input ends before the
    /// header row.
    pub(super) fn start(&mut self, buffer: &mut LineBuffer) -> Result<Option<Format>, InputError> {
        while self.is_reading() && buffer.filled < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(buffer.bytes())
        {
            self.read(buffer, ReadMode::Wait);
        }
        let requested = self.options.format;
        let begins_with_zero = buffer.bytes().first() == Some(&0);
        if requested == InputFormat::Framed || (requested == InputFormat::Auto && begins_with_zero) {
            self.options.check_not_table("framed", self.input.source).map_err(|reason| self.error(reason))?;
            return Ok(Some(Format::Framed));
        }
        if buffer.bytes().starts_with(BYTE_ORDER_MARK) {
            buffer.remove_start(BYTE_ORDER_MARK.len());
            self.offset = BYTE_ORDER_MARK.len() as u64;
        }
        let (source, options) = (self.input.source, Arc::clone(&self.options));
        let detected = match requested {
            InputFormat::Text | InputFormat::Framed => {
                self.options.check_not_table("text", source).map_err(|reason| self.error(reason))?;
                Detected::Text
            }
            InputFormat::Jsonl => Detected::JsonLines,
            InputFormat::Csv if source == SourceKind::Interleaved => return Err(self.error(INTERLEAVED_CSV.to_owned())),
            InputFormat::Csv => Detected::Csv { delimiter: csv_delimiter(self.first_line(buffer)?, source, &options) },
            InputFormat::Auto => match self.first_line(buffer)? {
                [] => Detected::Text,
                // The failed read is reported, and not what is wrong with an incomplete line.
                _ if matches!(self.end, End::Failed(_)) => Detected::Text,
                line => {
                    let detected = detect(line, source, &options).map_err(|reason| self.error(reason))?;
                    if detected == Detected::Text && self.has_carriage_returns {
                        let reason = "its lines end with carriage returns, and those of text with line feeds; convert it \
                                      first (tr '\\r' '\\n')";
                        return Err(self.error(reason.to_owned()));
                    }
                    detected
                }
            },
        };
        Ok(match detected {
            Detected::Text => Some(Format::Text),
            Detected::JsonLines if options.columns.is_some() => {
                return Err(self.error("a list of columns applies only to CSV, but this is JSON Lines".to_owned()));
            }
            Detected::JsonLines => Some(Format::JsonLines(Arc::new(JsonKeys::new(source, &options)))),
            Detected::Csv { delimiter } => {
                let header = match &options.columns {
                    Some(columns) if options.only_known && columns.contains(&None) => {
                        let reason = "the saved list would lose the columns that are ignored; save to another file";
                        return Err(self.error(reason.to_owned()));
                    }
                    Some(columns) => Some(Header::without_row(columns, delimiter, &options)),
                    None => self.read_header(buffer, delimiter)?,
                };
                header.map(|header| Format::Csv(Arc::new(header)))
            }
        })
    }

    fn error(&self, reason: String) -> InputError {
        InputError::Format { input: Arc::clone(&self.input.path), reason }
    }

    /// The first line that is not blank, without blank lines before it; empty if there is none. A line whose first byte
    /// decides its format may be incomplete. A line that is longer than a record may be is truncated to the same length
    /// however the input is split when it arrives.
    fn first_line<'b>(&mut self, buffer: &'b mut LineBuffer) -> Result<&'b [u8], InputError> {
        let range = loop {
            let bytes = buffer.bytes();
            let start = bytes.iter().position(|byte| !byte.is_ascii_whitespace() && *byte != 0x0b);
            let start = start.unwrap_or(bytes.len());
            if start > MAX_BLANK_BYTES {
                return Err(
                    self.error(format!("it begins with more than {MAX_BLANK_BYTES} bytes of blank lines; remove them"))
                );
            }
            let end = memchr::memchr2(b'\n', b'\r', &bytes[start..]).map(|len| start + len);
            // The line feed after a carriage return may still arrive.
            let is_cut = end.is_some_and(|end| bytes[end] == b'\r' && end + 1 == bytes.len()) && self.is_reading();
            let end = end.filter(|_| !is_cut);
            let is_json = self.options.format == InputFormat::Auto && matches!(bytes.get(start), Some(b'{' | b'['));
            let limit = start.saturating_add(self.settings.max_record_bytes).saturating_add(1);
            if end.is_some() || is_json || bytes.len() >= limit || !self.is_reading() {
                self.has_carriage_returns = end.is_some_and(|end| {
                    let next = bytes.get(end + 1).filter(|_| end + 1 < limit);
                    bytes[end] == b'\r' && next.is_some_and(|&next| next != b'\n')
                });
                break start..end.unwrap_or(bytes.len()).min(limit);
            }
            if buffer.is_full() {
                buffer.grow(usize::MAX);
            }
            self.read(buffer, ReadMode::Wait);
        };
        Ok(&buffer.bytes()[range])
    }

    /// Reads and removes the header row and the blank lines before it.
    fn read_header(&mut self, buffer: &mut LineBuffer, delimiter: u8) -> Result<Option<Header>, InputError> {
        let mut lines = 0;
        loop {
            let is_last = matches!(self.end, End::Clean);
            let scanned = self.rows.scan_row(buffer.unscanned(), delimiter, is_last);
            buffer.scanned += scanned.bytes;
            let is_row = scanned.row_ended || (is_last && !buffer.rest().is_empty());
            let end = if is_row { buffer.scanned } else { buffer.filled };
            let raw = &buffer.storage[buffer.complete..end];
            let error =
                |reason| InputError::Header { at: self.location(RecordNumber::Line(lines + 1), self.offset), reason };
            if raw.strip_suffix(b"\n").unwrap_or(raw).len() > self.settings.max_record_bytes {
                return Err(error(format!("it is longer than {} bytes", self.settings.max_record_bytes)));
            }
            if is_row {
                let parse = || Header::parse(raw, delimiter, self.input.source, lines, &self.options).map_err(error);
                let header = (!is_blank(raw)).then(parse).transpose()?;
                lines += count_lines(raw);
                self.offset += raw.len() as u64;
                self.rows = RowScanner::FieldStart;
                buffer.complete = end;
                if header.is_none() {
                    continue;
                }
                buffer.remove_start(end);
                return Ok(header);
            }
            if !self.is_reading() {
                buffer.remove_start(buffer.complete);
                return Ok(None);
            }
            if buffer.is_full() && buffer.complete > 0 {
                // Blank lines are removed together, because each removal moves the rest of the buffer.
                buffer.remove_start(buffer.complete);
            } else if buffer.is_full() {
                buffer.grow(self.settings.max_record_bytes + 1);
            }
            self.read(buffer, ReadMode::Wait);
        }
    }
}
