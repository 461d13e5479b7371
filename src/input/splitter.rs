//! Splits a slice into records and fields, and decodes them.
//!
//! Fields are found in one pass over the bytes. Only a CSV slice with a row of several lines, or with a misplaced quote
//! or carriage return, is split row by row. A field that must be unescaped is copied to the scratch buffer; all others stay in the block.

use std::ops::{ControlFlow, Range};

use memchr::memchr;

use super::block::Block;
use super::csv::{RowFields, count_lines, unquoted};
use super::format::{Format, payload_at};
use super::header::Header;
use super::json::{JsonKeys, ObjectFields};
use super::quotes::find_csv_separators;
use super::separators::find_separators;
use crate::record::field::TextFields;
use crate::record::{self, Bytes, DecodedRecord, Decoder, RecordError, TableFields, TableRules, decode_table};

/// The position of a record in its block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRecord {
    /// The start of the record, without a frame header.
    pub start: usize,
    /// The end of the record, without a line feed.
    pub end: usize,
    /// The record verbatim, with its line feed or frame header.
    pub raw: Range<usize>,
    /// The number of lines of the record; a frame counts as one.
    pub lines: u32,
}

/// Splits slices. Its buffers are reused for every slice.
#[derive(Debug, Default)]
pub struct RecordSplitter {
    separators: Vec<u32>,
    row: RowFields,
    object: ObjectFields,
    /// The fields that had to be unescaped.
    scratch: Vec<u8>,
}

/// A decoded record, or the reason why it is bad.
pub type Decoded<'a> = Result<DecodedRecord, RecordError<'a>>;

/// Receives the records of a slice, in order.
pub trait RecordVisitor {
    /// Receives a record, the bytes that its spans refer to, and the result of decoding it. A break ends the visit.
    fn visit(&mut self, record: RawRecord, bytes: Bytes<'_>, decoded: Decoded<'_>) -> ControlFlow<()>;
}

impl RecordSplitter {
    /// The unescaped fields of the last slice.
    pub fn scratch(&self) -> &[u8] {
        &self.scratch
    }

    /// Frees the memory above `max_bytes` of the separators, which are used only by [`Self::decode`].
    pub fn shrink_separators(&mut self, max_bytes: usize) {
        let max_separators = max_bytes / size_of::<u32>();
        self.separators.truncate(max_separators);
        self.separators.shrink_to(max_separators);
    }

    /// Removes the unescaped fields, and frees their memory above `max_bytes`.
    pub fn shrink_scratch(&mut self, max_bytes: usize) {
        self.scratch.clear();
        self.scratch.shrink_to(max_bytes);
    }

    /// Decodes the records in `range` of `block`, which begins and ends at record boundaries, until the visitor breaks.
    pub fn decode(
        &mut self,
        block: &Block,
        range: Range<usize>,
        decoder: &Decoder,
        visitor: &mut impl RecordVisitor,
    ) -> ControlFlow<()> {
        self.scratch.clear();
        let (bytes, start) = (&block.bytes()[..range.end], range.start);
        match &block.format {
            Format::Text => {
                let separators = find_separators(bytes, start, *b",\n", &mut self.separators);
                lines(bytes, start, separators, |record, fields| visit_text(record, fields, decoder, visitor))
            }
            Format::Framed => self.frames(bytes, start, |record, fields| visit_text(record, fields, decoder, visitor)),
            Format::Csv(header) => {
                let Self { separators, scratch, .. } = self;
                match find_csv_separators(bytes, start, header.delimiter, separators) {
                    Some(separators) => lines(bytes, start, separators, |record, fields| {
                        let table = decoder.check_length(record.end - record.start).and_then(|()| {
                            header.fields(fields.count(), |index| {
                                let field = unquoted(bytes, fields.unstripped(index), scratch);
                                Bytes { block: bytes, scratch }.trim(field)
                            })
                        });
                        visit_table(record, bytes, scratch, table, &header.rules, decoder, visitor)
                    }),
                    None => self.rows(bytes, start, header, decoder, visitor),
                }
            }
            Format::JsonLines(keys) => self.objects(bytes, start, keys, decoder, visitor),
        }
    }

    /// Visits the payloads of frames.
    #[inline(always)]
    fn frames<'b, F>(&mut self, bytes: &'b [u8], mut start: usize, mut visit: F) -> ControlFlow<()>
    where
        F: FnMut(RawRecord, &TextFields<'b, '_>) -> ControlFlow<()>,
    {
        let separators = find_separators(bytes, start, [b','; 2], &mut self.separators);
        let mut next = 0;
        while start < bytes.len() {
            let Range { start: payload, end } = payload_at(bytes, start);
            // A comma byte in the frame header is part of the length.
            while separators.get(next).is_some_and(|&at| (at as usize) < payload) {
                next += 1;
            }
            let first = next;
            while separators.get(next).is_some_and(|&at| (at as usize) < end) {
                next += 1;
            }
            let fields = TextFields { block: bytes, start: payload, end, commas: &separators[first..next] };
            let record = RawRecord { start: payload, end, raw: start..end, lines: 1 };
            start = end;
            visit(record, &fields)?;
        }
        ControlFlow::Continue(())
    }

    /// Decodes rows that may be quoted.
    fn rows(
        &mut self,
        bytes: &[u8],
        mut start: usize,
        header: &Header,
        decoder: &Decoder,
        visitor: &mut impl RecordVisitor,
    ) -> ControlFlow<()> {
        let Self { row, scratch, .. } = self;
        while start < bytes.len() {
            let raw = start..row.split(bytes, start, header.kept_fields, header.delimiter, scratch);
            let end = raw.end - usize::from(bytes[raw.clone()].ends_with(b"\n"));
            let table = decoder.check_length(end - start).and_then(|()| {
                if !row.well_quoted {
                    return Err(RecordError::Misquoted);
                }
                let fields = Bytes { block: bytes, scratch };
                header.fields(row.width, |index| fields.trim(row.fields[index]))
            });
            let lines = count_lines(&bytes[raw.clone()]) as u32;
            start = raw.end;
            let record = RawRecord { start: raw.start, end, raw, lines };
            visit_table(record, bytes, scratch, table, &header.rules, decoder, visitor)?;
        }
        ControlFlow::Continue(())
    }

    /// Decodes lines that contain one JSON object each.
    fn objects(
        &mut self,
        bytes: &[u8],
        mut start: usize,
        keys: &JsonKeys,
        decoder: &Decoder,
        visitor: &mut impl RecordVisitor,
    ) -> ControlFlow<()> {
        let Self { object, scratch, .. } = self;
        object.begin_slice();
        while start < bytes.len() {
            let line = memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |len| start + len + 1);
            let raw = start..line;
            let end = raw.end - usize::from(bytes[raw.clone()].ends_with(b"\n"));
            let table =
                decoder.check_length(end - start).and_then(|()| object.split(&bytes[..end], start, keys, scratch));
            start = raw.end;
            let record = RawRecord { start: raw.start, end, raw, lines: 1 };
            visit_table(record, bytes, scratch, table, &keys.rules, decoder, visitor)?;
        }
        ControlFlow::Continue(())
    }
}

/// Visits lines whose fields and ends are at these separators.
#[inline(always)]
fn lines<'b, F>(bytes: &'b [u8], mut start: usize, separators: &[u32], mut visit: F) -> ControlFlow<()>
where
    F: FnMut(RawRecord, &TextFields<'b, '_>) -> ControlFlow<()>,
{
    let mut next = 0;
    while start < bytes.len() {
        let first = next;
        while separators.get(next).is_some_and(|&at| bytes[at as usize] != b'\n') {
            next += 1;
        }
        // The last line may lack its line feed.
        let end = separators.get(next).map_or(bytes.len(), |&line_feed| line_feed as usize);
        let raw = start..bytes.len().min(end + 1);
        let fields = TextFields { block: bytes, start, end, commas: &separators[first..next] };
        start = raw.end;
        visit(RawRecord { start: raw.start, end, raw, lines: 1 }, &fields)?;
        next += 1;
    }
    ControlFlow::Continue(())
}

/// Decodes the fields of a line or a frame.
#[inline(always)]
fn visit_text(
    record: RawRecord,
    fields: &TextFields<'_, '_>,
    decoder: &Decoder,
    visitor: &mut impl RecordVisitor,
) -> ControlFlow<()> {
    match decoder.decode_usual(fields) {
        Some(decoded) => {
            debug_assert_eq!(decoder.decode_text(fields), Ok(decoded));
            visitor.visit(record, fields.bytes(), Ok(decoded))
        }
        None => visit_unusual(record, fields, decoder, visitor),
    }
}

#[inline(never)]
fn visit_unusual(
    record: RawRecord,
    fields: &TextFields<'_, '_>,
    decoder: &Decoder,
    visitor: &mut impl RecordVisitor,
) -> ControlFlow<()> {
    visitor.visit(record, fields.bytes(), decoder.decode_text(fields))
}

/// Decodes the fields of a row or an object.
#[inline(always)]
fn visit_table(
    record: RawRecord,
    block: &[u8],
    scratch: &mut Vec<u8>,
    table: Result<TableFields, RecordError<'_>>,
    rules: &TableRules,
    decoder: &Decoder,
    visitor: &mut impl RecordVisitor,
) -> ControlFlow<()> {
    match table {
        Ok(mut fields) => {
            record::complete_fields(&mut fields, rules, block, scratch);
            let bytes = Bytes { block, scratch };
            match record::decode_usual_table(decoder.source, bytes, &fields, rules) {
                Some(decoded) => {
                    debug_assert_eq!(decode_table(decoder.source, bytes, &fields, rules), Ok(decoded));
                    visitor.visit(record, bytes, Ok(decoded))
                }
                None => visit_unusual_table(record, bytes, Ok(&fields), rules, decoder, visitor),
            }
        }
        Err(error) => visit_unusual_table(record, Bytes { block, scratch }, Err(error), rules, decoder, visitor),
    }
}

#[inline(never)]
fn visit_unusual_table(
    record: RawRecord,
    bytes: Bytes<'_>,
    table: Result<&TableFields, RecordError<'_>>,
    rules: &TableRules,
    decoder: &Decoder,
    visitor: &mut impl RecordVisitor,
) -> ControlFlow<()> {
    visitor.visit(record, bytes, table.and_then(|fields| decode_table(decoder.source, bytes, fields, rules)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{Content, InputLabel, ReadOptions, push_frame};
    use crate::record::SourceKind;
    use proptest::prelude::*;
    use std::sync::Arc;

    /// The length and the number of lines of each record, and the loyalty row.
    struct LoyaltyRows(Vec<(usize, u32, Result<String, String>)>);

    impl RecordVisitor for LoyaltyRows {
        fn visit(&mut self, record: RawRecord, bytes: Bytes<'_>, decoded: Decoded<'_>) -> ControlFlow<()> {
            let row = decoded.map(|record| format!("{:?}", record.loyalty_row(bytes).unwrap()));
            self.0.push((record.raw.len(), record.lines, row.map_err(|error| error.to_string())));
            ControlFlow::Continue(())
        }
    }

    /// The raw records of `bytes` from `start` on, each with the fields of its payload.
    fn records(format: Format, bytes: Vec<u8>, start: usize) -> Vec<(Vec<u8>, Vec<Vec<u8>>)> {
        let mut records = Vec::new();
        let mut splitter = RecordSplitter::default();
        let add = |record: RawRecord, fields: &TextFields<'_, '_>| {
            let field = |index| fields.bytes().get(fields.get(index).unwrap()).to_vec();
            records.push((bytes[record.raw].to_vec(), (0..fields.count()).map(field).collect()));
            ControlFlow::Continue(())
        };
        let _ = match format {
            Format::Text => {
                lines(&bytes, start, find_separators(&bytes, start, *b",\n", &mut splitter.separators), add)
            }
            _ => splitter.frames(&bytes, start, add),
        };
        records
    }

    fn fields(payload: &str) -> Vec<Vec<u8>> {
        payload.split(',').map(|field| field.trim().as_bytes().to_vec()).collect()
    }

    proptest! {
        #[test]
        fn lines_and_fields_are_those_of_a_plain_split(
            lines in prop::collection::vec("[a ,]{0,90}", 0..8), is_closed: bool, skipped in 0..3_usize,
        ) {
            let mut text = lines.join("\n");
            text.extend(is_closed.then_some('\n'));
            let start = lines.iter().take(skipped).map(|line| line.len() + 1).sum::<usize>().min(text.len());
            let expected: Vec<_> = text[start..]
                .split_inclusive('\n')
                .map(|raw| (raw.as_bytes().to_vec(), fields(raw.strip_suffix('\n').unwrap_or(raw))))
                .collect();
            prop_assert_eq!(records(Format::Text, text.into_bytes(), start), expected);
        }

        #[test]
        fn frames_and_fields_are_those_of_a_plain_split(
            payloads in prop::collection::vec("[a ,]{0,90}", 0..8), skipped in 0..3_usize,
        ) {
            let frame = |payload: &String| {
                let mut frame = Vec::new();
                push_frame(&mut frame, |out| out.extend_from_slice(payload.as_bytes()));
                frame
            };
            let bytes: Vec<u8> = payloads.iter().flat_map(frame).collect();
            let start = payloads.iter().take(skipped).map(|payload| payload.len() + 4).sum();
            let expected: Vec<_> = payloads.iter().skip(skipped).map(|payload| (frame(payload), fields(payload))).collect();
            prop_assert_eq!(records(Format::Framed, bytes, start), expected);
        }
    }

    #[test]
    fn a_comma_in_the_length_of_a_frame_separates_nothing() {
        let mut bytes = Vec::new();
        push_frame(&mut bytes, |out| out.extend_from_slice(&[b'x'; b',' as usize]));
        assert_eq!(records(Format::Framed, bytes, 0)[0].1.len(), 1);
    }

    #[test]
    fn rows_decode_equally_with_and_without_quotes() {
        let input =
            Arc::new(InputLabel { index: 0, path: std::path::Path::new("in").into(), source: SourceKind::Loyalty });
        let header = Header::parse(
            b"x,gender,email,fb_user,insta_user\n",
            b',',
            SourceKind::Loyalty,
            0,
            &ReadOptions::default(),
        )
        .unwrap();
        let header = Arc::new(header);
        let decoded = |bytes: &[u8]| {
            let block = Block {
                input: Arc::clone(&input),
                offset: 0,
                format: Format::Csv(Arc::clone(&header)),
                content: Content::Records,
                buffer: bytes.to_vec(),
                len: bytes.len(),
                boundaries: Vec::new(),
            };
            let mut rows = LoyaltyRows(Vec::new());
            let decoder = Decoder { source: SourceKind::Loyalty, max_record_bytes: 100 };
            let ended = RecordSplitter::default().decode(&block, 0..bytes.len(), &decoder, &mut rows);
            assert!(ended.is_continue());
            rows.0
        };
        let unquoted = decoded(b"1, F ,a@x,fb,in\r\n2,M,b@x\n");
        let quoted = decoded(b"1,\" F \",a@x,fb,\"in\"\r\n2,M,b@x\n");
        assert_eq!(unquoted[0].2, quoted[0].2);
        assert_eq!(unquoted[1], quoted[1]);
        let escaped = decoded(b"1,F,a@x,\"the \"\"Wombat\"\"\nof Bern\",in\n");
        assert_eq!((escaped[0].0, escaped[0].1), (36, 2));
        assert!(escaped[0].2.as_ref().unwrap().contains("fb_user"), "{escaped:?}");
    }
}
