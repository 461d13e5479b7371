//! The serial model: the whole of `adseg run`, the slow and obvious way. The engine is held to it.
//!
//! It shares no code with the crate but the names of a few enums. One record after the other, one map.

use std::collections::HashMap;

use adseg::record::Expected;
use adseg::source::Framing;

/// One input, whole.
#[derive(Debug, Clone)]
pub struct ModelInput {
    pub expected: Expected,
    pub framing: Framing,
    pub bytes: Vec<u8>,
}

/// Everything a user could see of a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Told {
    pub output: Vec<u8>,
    /// Input, record number and byte of every bad record that was put aside, and the record verbatim.
    pub rejects: Vec<(usize, u64, u64, Vec<u8>)>,
    /// Input, record number and byte where the run stopped.
    pub stopped: Option<(usize, u64, u64)>,
    pub saved: Vec<u8>,
    pub records: u64,
    pub blanks: u64,
    pub decisions: u64,
    pub loyalty_rows: u64,
}

struct Raw<'a> {
    byte: usize,
    raw: &'a [u8],
    payload: &'a [u8],
}

enum Meaning {
    Customer { email: Vec<u8>, fields: Vec<Vec<u8>> },
    Conversion { kind: Vec<u8>, email: Vec<u8> },
}

pub fn run(inputs: &[ModelInput], max_record_bytes: usize, max_rejects: u64) -> Told {
    let mut told = Told::default();
    let mut rows: HashMap<Vec<u8>, Vec<Vec<u8>>> = HashMap::new();
    let (mut listed, mut enrolled) = (Vec::new(), Vec::new());
    'inputs: for (index, input) in inputs.iter().enumerate() {
        for (number, record) in split(input).into_iter().enumerate() {
            let (number, byte) = (number as u64 + 1, record.byte as u64);
            let fits = record.payload.len() <= max_record_bytes;
            if input.framing == Framing::Text && fits && strip(record.payload).is_empty() {
                told.records += 1;
                told.blanks += 1;
                continue;
            }
            match decode(input.expected, record.payload).filter(|_| fits) {
                None if told.rejects.len() as u64 == max_rejects => {
                    told.stopped = Some((index, number, byte));
                    break 'inputs;
                }
                None => told.rejects.push((index, number, byte, record.raw.to_vec())),
                Some(Meaning::Customer { email, fields }) => {
                    told.loyalty_rows += 1;
                    if rows.insert(email.clone(), fields).is_none() {
                        listed.push(email);
                    }
                }
                Some(Meaning::Conversion { kind, email }) => {
                    told.decisions += 1;
                    let member = rows.contains_key(&email);
                    let send = member && kind == b"ClickConversion";
                    if !member && kind == b"PurchaseConversion" {
                        rows.insert(email.clone(), vec![vec![]; 3]);
                        enrolled.push(email.clone());
                    }
                    let answer = if send { "True" } else { "False" };
                    told.output.extend(b"Send additional promo code to: ");
                    told.output.extend(email);
                    told.output.extend(format!(", {answer}\n").bytes());
                }
            }
            told.records += 1;
        }
    }
    for email in listed.into_iter().chain(enrolled) {
        let fields = rows.remove(&email).unwrap();
        told.saved.extend([vec![email], fields].concat().join(&b", "[..]));
        told.saved.push(b'\n');
    }
    told
}

fn split(input: &ModelInput) -> Vec<Raw<'_>> {
    let bytes = &input.bytes;
    let mut records = Vec::new();
    let mut at = 0;
    match input.framing {
        Framing::Text => {
            for raw in bytes.split_inclusive(|&byte| byte == b'\n') {
                let payload = raw.strip_suffix(b"\n").unwrap_or(raw);
                records.push(Raw { byte: at, raw, payload });
                at += raw.len();
            }
        }
        Framing::Framed => {
            while at < bytes.len() {
                let len = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
                let raw = &bytes[at..at + 4 + len];
                records.push(Raw { byte: at, raw, payload: &raw[4..] });
                at += raw.len();
            }
        }
    }
    records
}

fn decode(expected: Expected, payload: &[u8]) -> Option<Meaning> {
    let fields: Vec<Vec<u8>> = payload.split(|&byte| byte == b',').map(strip).collect();
    let named = fields
        .get(1)
        .map(Vec::as_slice)
        .is_some_and(|name| [&b"ClickConversion"[..], b"BasketConversion", b"PurchaseConversion"].contains(&name));
    let is_conversion = expected == Expected::Conversions || (expected == Expected::Either && named);
    if is_conversion {
        let kind = fields.get(1).filter(|_| named)?.clone();
        let (email, fourth) = (fields.get(2)?.clone(), fields.get(3)?);
        let good = match &kind[..] {
            b"ClickConversion" => true,
            b"BasketConversion" => are_items(fourth),
            _ => are_items(fourth) && is_decimal(fields.get(4)?),
        };
        (good && is_email(&email)).then_some(Meaning::Conversion { kind, email })
    } else {
        let one_line = fields.iter().all(|field| !field.contains(&b'\n'));
        let (email, rest) = fields.split_first()?;
        (rest.len() >= 3 && is_email(email) && one_line)
            .then(|| Meaning::Customer { email: email.clone(), fields: rest.to_vec() })
    }
}

fn strip(bytes: &[u8]) -> Vec<u8> {
    let space = |byte: &u8| b" \t\n\x0b\x0c\r".contains(byte);
    let start = bytes.iter().position(|byte| !space(byte)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|byte| !space(byte)).map_or(start, |last| last + 1);
    bytes[start..end].to_vec()
}

fn has_control(bytes: &[u8]) -> bool {
    bytes.iter().any(|&byte| byte < 0x20 || byte == 0x7f)
}

fn is_email(field: &[u8]) -> bool {
    !field.is_empty() && !has_control(field)
}

fn are_items(field: &[u8]) -> bool {
    let inner = field.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")).map(strip);
    let is_id = |id: &[u8]| {
        let id = strip(id);
        !id.is_empty() && !has_control(&id) && !id.contains(&b'[') && !id.contains(&b']')
    };
    inner.is_some_and(|inner| inner.is_empty() || inner.split(|&byte| byte == b';').all(is_id))
}

fn is_decimal(field: &[u8]) -> bool {
    let text = String::from_utf8_lossy(field);
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(&text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    [whole, fraction].iter().all(|digits| !digits.is_empty() && digits.chars().all(|digit| digit.is_ascii_digit()))
}
