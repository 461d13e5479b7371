//! The serial model: the whole of `adseg run`, the slow and obvious way. The engine is held to it.
//!
//! It shares no code with the crate but the names of a few enums. One record after the other, one map.

use std::collections::HashMap;
use std::fmt;

use adseg::record::Expected;
use adseg::source::Framing;

/// One input, whole.
#[derive(Clone)]
pub struct ModelInput {
    pub expected: Expected,
    pub framing: Framing,
    pub bytes: Vec<u8>,
}

/// Everything a user could see of a run.
#[derive(Default, PartialEq, Eq)]
pub struct Told {
    pub output: Vec<u8>,
    /// Input, record number and byte of every bad record that was put aside, and the record verbatim.
    pub rejects: Vec<(usize, u64, u64, Vec<u8>)>,
    /// Input, record number and byte where the run stopped.
    pub stopped: Option<(usize, u64, u64)>,
    /// The same of the frame inside which an input ends.
    pub cut: Option<(usize, u64, u64)>,
    /// Any other failure, of which the model knows none.
    pub failed: Option<String>,
    pub saved: Vec<u8>,
    pub records: u64,
    pub blanks: u64,
    pub decisions: u64,
    pub loyalty_rows: u64,
}

impl fmt::Debug for ModelInput {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?} {:?} {:?}", self.expected, self.framing, String::from_utf8_lossy(&self.bytes))
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { output, rejects, stopped, cut, failed, saved, records, blanks, decisions, loyalty_rows } = self;
        writeln!(out, "{}", String::from_utf8_lossy(output))?;
        writeln!(out, "stopped: {stopped:?}, cut: {cut:?}, failed: {failed:?}\nsaved:")?;
        writeln!(out, "{}\nrejects:", String::from_utf8_lossy(saved))?;
        for (input, number, byte, raw) in rejects {
            writeln!(out, "{input} {number} {byte} {:?}", String::from_utf8_lossy(raw))?;
        }
        write!(out, "{records} = {decisions} + {loyalty_rows} + {} + {blanks}", rejects.len())
    }
}

struct Raw<'a> {
    /// Which line or frame it is, from 1.
    number: u64,
    byte: usize,
    raw: &'a [u8],
    /// The record without what marks its end or its length.
    payload: &'a [u8],
    /// How long the record says it is; longer than `payload` where the input ends inside it.
    len: usize,
    fields: Vec<Vec<u8>>,
    /// Whether quotes stand only around whole fields, and doubled in them.
    well_quoted: bool,
}

/// What a good record says.
pub enum Meaning {
    Customer { email: Vec<u8>, fields: Vec<Vec<u8>> },
    Conversion { kind: Vec<u8>, email: Vec<u8> },
}

pub fn run(inputs: &[ModelInput], max_record_bytes: usize, max_rejects: u64) -> Told {
    let mut told = Told::default();
    let mut rows: HashMap<Vec<u8>, Vec<Vec<u8>>> = HashMap::new();
    let (mut listed, mut enrolled) = (Vec::new(), Vec::new());
    'inputs: for (index, input) in inputs.iter().enumerate() {
        let mut columns = None;
        for record in split(input) {
            let (number, byte) = (record.number, record.byte as u64);
            let fits = record.len <= max_record_bytes;
            let is_cut = record.len > record.payload.len();
            if is_cut && fits {
                told.cut = Some((index, number, byte));
                break 'inputs;
            }
            let blank = fits && input.framing != Framing::Framed && strip(record.payload).is_empty();
            if blank && (input.framing != Framing::Csv || columns.is_some()) {
                told.records += 1;
                told.blanks += 1;
                continue;
            }
            let meaning = match (input.framing, &columns) {
                (Framing::Csv, None) if blank => continue,
                (Framing::Csv, None) => {
                    columns = Some(record.fields);
                    continue;
                }
                (Framing::Csv, Some(columns)) => decode_row(input.expected, columns, &record),
                (Framing::Text | Framing::Framed, _) => decode(input.expected, &record.fields),
            };
            match meaning.filter(|_| fits) {
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
            if is_cut {
                told.cut = Some((index, number, byte));
                break 'inputs;
            }
        }
    }
    for email in listed.into_iter().chain(enrolled) {
        let mut fields = rows.remove(&email).unwrap();
        fields.iter_mut().for_each(|field| *field = as_saved(field));
        told.saved.extend([vec![email], fields].concat().join(&b", "[..]));
        told.saved.push(b'\n');
    }
    // At the beginning of a file, an email like this would be taken for something else.
    if told.saved.starts_with(b"\xef\xbb\xbf") || told.saved.starts_with(b"\x28\xb5\x2f\xfd") {
        told.saved.splice(..0, *b"\xef\xbb\xbf");
    }
    told
}

fn split(input: &ModelInput) -> Vec<Raw<'_>> {
    let bytes = &input.bytes;
    let mut records = Vec::new();
    let mut at = 0;
    match input.framing {
        Framing::Text => {
            let mark = b"\xef\xbb\xbf";
            at = if bytes.starts_with(mark) { mark.len() } else { 0 };
            for (index, raw) in bytes[at..].split_inclusive(|&byte| byte == b'\n').enumerate() {
                let payload = raw.strip_suffix(b"\n").unwrap_or(raw);
                records.push(Raw::split_at_commas(index, at, raw, payload));
                at += raw.len();
            }
        }
        Framing::Framed => {
            while at < bytes.len() {
                let header = bytes[at..].first_chunk::<4>();
                let len = header.map_or(1, |header| u32::from_be_bytes(*header) as usize);
                let raw = &bytes[at..bytes.len().min(at + 4 + len)];
                let payload = raw.get(4..).unwrap_or_default();
                records.push(Raw { len, ..Raw::split_at_commas(records.len(), at, raw, payload) });
                at += raw.len();
            }
        }
        Framing::Csv => {
            let mut number = 1;
            while at < bytes.len() {
                let (fields, len, well_quoted) = csv_row(&bytes[at..]);
                let raw = &bytes[at..at + len];
                let payload = raw.strip_suffix(b"\n").unwrap_or(raw);
                records.push(Raw { number, byte: at, raw, payload, len: payload.len(), fields, well_quoted });
                number += raw.iter().filter(|&&byte| byte == b'\n').count() as u64;
                number += u64::from(!raw.ends_with(b"\n"));
                at += len;
            }
        }
    }
    records
}

impl<'a> Raw<'a> {
    fn split_at_commas(index: usize, byte: usize, raw: &'a [u8], payload: &'a [u8]) -> Self {
        let fields = payload.split(|&byte| byte == b',').map(strip).collect();
        Self { number: index as u64 + 1, byte, raw, payload, len: payload.len(), fields, well_quoted: true }
    }
}

/// The fields of the first row of `bytes`, how long the row is, and whether its quotes are as they should be.
fn csv_row(bytes: &[u8]) -> (Vec<Vec<u8>>, usize, bool) {
    enum At {
        Start,
        Plain,
        Quoted,
        Closed,
    }
    let (mut fields, mut field, mut at, mut good) = (Vec::new(), Vec::new(), At::Start, true);
    for (index, &byte) in bytes.iter().enumerate() {
        match (byte, &at) {
            (b'"', At::Start) => at = At::Quoted,
            (b'"', At::Quoted) => at = At::Closed,
            (_, At::Quoted) => field.push(byte),
            (b',', _) => {
                fields.push(strip(&std::mem::take(&mut field)));
                at = At::Start;
            }
            (b'\n' | b'\r', _) => {
                fields.push(strip(&field));
                let pair = byte == b'\r' && bytes.get(index + 1) == Some(&b'\n');
                return (fields, index + 1 + usize::from(pair), good);
            }
            (b'"', At::Closed) => {
                field.push(byte);
                at = At::Quoted;
            }
            _ => {
                // Text behind a closing quote, or a quote inside a field without quotes.
                good &= !matches!(at, At::Closed) && byte != b'"';
                field.push(byte);
                at = At::Plain;
            }
        }
    }
    fields.push(strip(&field));
    (fields, bytes.len(), good && !matches!(at, At::Quoted))
}

fn decode_row(expected: Expected, columns: &[Vec<u8>], row: &Raw<'_>) -> Option<Meaning> {
    if !row.well_quoted || row.fields.len() != columns.len() {
        return None;
    }
    let column = |name: &str| {
        let place = columns.iter().position(|column| column == name.as_bytes());
        place.map(|place| row.fields[place].clone())
    };
    let of = |names: &[&str]| names.iter().map_while(|name| column(name)).collect::<Vec<_>>();
    let fields = match (expected, column("conversion").as_deref()) {
        (Expected::Customers, _) => {
            let email = column("email").unwrap();
            let good = is_email(&email)
                && !email.contains(&b',')
                && !is_conversion_name(&as_saved(&column("fb_user").unwrap()));
            return good.then(|| Meaning::Customer { email, fields: of(&["fb_user", "insta_user", "gender"]) });
        }
        (_, Some(b"ClickConversion")) => of(&["promo", "conversion", "email", "where"]),
        (_, Some(b"BasketConversion")) => of(&["promo", "conversion", "email", "items"]),
        _ => of(&["promo", "conversion", "email", "items", "total_cost"]),
    };
    decode(expected, &fields).filter(|_| !column("email").unwrap().contains(&b','))
}

/// What one record says that is no row of a table; `None` when it is bad.
pub fn decode_record(expected: Expected, record: &[u8]) -> Option<Meaning> {
    decode(expected, &record.split(|&byte| byte == b',').map(strip).collect::<Vec<_>>())
}

fn decode(expected: Expected, fields: &[Vec<u8>]) -> Option<Meaning> {
    let named = fields.get(1).is_some_and(|name| is_conversion_name(name));
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
        let (email, rest) = fields.split_first()?;
        (rest.len() >= 3 && is_email(email) && !named)
            .then(|| Meaning::Customer { email: email.clone(), fields: rest.to_vec() })
    }
}

/// A field in the saved list, which is text: what would end a field or a row becomes a space.
fn as_saved(field: &[u8]) -> Vec<u8> {
    let plain: Vec<u8> = field.iter().map(|&byte| if matches!(byte, b',' | b'\n') { b' ' } else { byte }).collect();
    strip(&plain)
}

fn is_conversion_name(name: &[u8]) -> bool {
    [&b"ClickConversion"[..], b"BasketConversion", b"PurchaseConversion"].contains(&name)
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
