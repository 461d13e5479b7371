//! Splits an input of the model into raw records.

use super::{ModelFormat, ModelInput};

pub struct RawRecord<'a> {
    /// The number of the line or frame, counted from 1.
    pub number: u64,
    pub byte: usize,
    pub raw: &'a [u8],
    /// The record without its line end or length.
    pub payload: &'a [u8],
    /// The length that the record announces; more than that of `payload` if the input ends inside the record.
    pub len: usize,
    pub fields: Vec<Vec<u8>>,
    /// Whether quotes are only around whole fields, or doubled inside them.
    pub is_well_quoted: bool,
}

impl<'a> RawRecord<'a> {
    fn split_at_commas(index: usize, byte: usize, raw: &'a [u8], payload: &'a [u8]) -> Self {
        let number = index as u64 + 1;
        let fields = payload.split(|&byte| byte == b',').map(trim).collect();
        Self { number, byte, raw, payload, len: payload.len(), fields, is_well_quoted: true }
    }

    /// Whether the input ends inside this record.
    pub fn is_truncated(&self) -> bool {
        self.len > self.payload.len()
    }
}

pub fn split(input: &ModelInput) -> Vec<RawRecord<'_>> {
    match input.format {
        ModelFormat::Text | ModelFormat::JsonLines => split_lines(&input.bytes),
        ModelFormat::Detected => unreachable!("the model detects nothing"),
        ModelFormat::Framed => split_frames(&input.bytes),
        ModelFormat::Csv => split_rows(&input.bytes, input.options.delimiter),
    }
}

fn split_lines(bytes: &[u8]) -> Vec<RawRecord<'_>> {
    let mark = b"\xef\xbb\xbf";
    let mut at = if bytes.starts_with(mark) { mark.len() } else { 0 };
    let mut records = Vec::new();
    for (index, raw) in bytes[at..].split_inclusive(|&byte| byte == b'\n').enumerate() {
        records.push(RawRecord::split_at_commas(index, at, raw, without_line_feed(raw)));
        at += raw.len();
    }
    records
}

fn split_frames(bytes: &[u8]) -> Vec<RawRecord<'_>> {
    let (mut records, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        // A truncated header announces at least one byte that is missing.
        let header = bytes[at..].first_chunk::<4>();
        let len = header.map_or(1, |header| u32::from_be_bytes(*header) as usize);
        let raw = &bytes[at..bytes.len().min(at + 4 + len)];
        let payload = if header.is_some() { &raw[4..] } else { &[] };
        records.push(RawRecord { len, ..RawRecord::split_at_commas(records.len(), at, raw, payload) });
        at += raw.len();
    }
    records
}

fn split_rows(bytes: &[u8], delimiter: u8) -> Vec<RawRecord<'_>> {
    let mark = b"\xef\xbb\xbf";
    let (mut records, mut number) = (Vec::new(), 1);
    let mut at = if bytes.starts_with(mark) { mark.len() } else { 0 };
    while at < bytes.len() {
        let (fields, len, is_well_quoted) = first_row(&bytes[at..], delimiter);
        let raw = &bytes[at..at + len];
        let payload = without_line_feed(raw);
        records.push(RawRecord { number, byte: at, raw, payload, len: payload.len(), fields, is_well_quoted });
        number += raw.iter().filter(|&&byte| byte == b'\n').count() as u64;
        number += u64::from(!raw.ends_with(b"\n"));
        at += len;
    }
    records
}

/// The fields of the first row, its length, and whether it is well quoted.
fn first_row(bytes: &[u8], delimiter: u8) -> (Vec<Vec<u8>>, usize, bool) {
    enum State {
        FieldStart,
        Unquoted,
        Quoted,
        AfterQuote,
    }
    let (mut fields, mut field, mut state, mut is_well_quoted) = (Vec::new(), Vec::new(), State::FieldStart, true);
    for (index, &byte) in bytes.iter().enumerate() {
        match (byte, &state) {
            (b'"', State::FieldStart) => state = State::Quoted,
            (b'"', State::Quoted) => state = State::AfterQuote,
            (_, State::Quoted) => field.push(byte),
            (byte, _) if byte == delimiter => {
                fields.push(trim(&field));
                field.clear();
                state = State::FieldStart;
            }
            (b'\n' | b'\r', _) => {
                fields.push(trim(&field));
                let is_crlf = byte == b'\r' && bytes.get(index + 1) == Some(&b'\n');
                return (fields, index + 1 + usize::from(is_crlf), is_well_quoted);
            }
            (b'"', State::AfterQuote) => {
                field.push(byte);
                state = State::Quoted;
            }
            _ => {
                // Text after a closing quote, or a quote in an unquoted field.
                is_well_quoted &= !matches!(state, State::AfterQuote) && byte != b'"';
                field.push(byte);
                state = State::Unquoted;
            }
        }
    }
    fields.push(trim(&field));
    (fields, bytes.len(), is_well_quoted && !matches!(state, State::Quoted))
}

fn without_line_feed(raw: &[u8]) -> &[u8] {
    raw.strip_suffix(b"\n").unwrap_or(raw)
}

/// `bytes` without ASCII white space at both ends.
pub fn trim(bytes: &[u8]) -> Vec<u8> {
    let is_space = |byte: &u8| b" \t\n\x0b\x0c\r".contains(byte);
    let start = bytes.iter().position(|byte| !is_space(byte)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    bytes[start..end].to_vec()
}
