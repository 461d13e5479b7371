//! Decodes the fields of a raw record of the model.

use super::ModelSource;
use super::split::trim;

/// A valid record.
pub enum ModelRecord {
    LoyaltyRow {
        email: Vec<u8>,
        profile: Vec<Vec<u8>>,
    },
    /// A purchase before the part of the log that is replayed is not decided.
    Conversion {
        kind: Vec<u8>,
        email: Vec<u8>,
        time: Option<i64>,
        is_decided: bool,
        details: Details,
    },
}

/// The fields of a conversion that do not affect membership. A field that the type does not have is empty.
#[derive(Default)]
pub struct Details {
    pub promo: Vec<u8>,
    pub channel: Vec<u8>,
    pub items: Vec<u8>,
    pub total_cost: Vec<u8>,
}

/// Decodes one line or frame; `None` if it is a bad record.
pub fn decode_record(source: ModelSource, record: &[u8]) -> Option<ModelRecord> {
    decode_fields(source, &record.split(|&byte| byte == b',').map(trim).collect::<Vec<_>>())
}

pub fn decode_fields(source: ModelSource, fields: &[Vec<u8>]) -> Option<ModelRecord> {
    let names_conversion = fields.get(1).is_some_and(|name| is_conversion_name(name));
    let is_conversion = match source {
        ModelSource::Loyalty => false,
        ModelSource::Conversions => true,
        ModelSource::Interleaved => names_conversion,
    };
    if is_conversion {
        let kind = fields.get(1).filter(|_| names_conversion)?.clone();
        let (email, fourth) = (fields.get(2)?.clone(), fields.get(3)?);
        let is_valid = match &kind[..] {
            b"ClickConversion" => true,
            b"BasketConversion" => is_item_list(fourth),
            _ => is_item_list(fourth) && is_decimal(fields.get(4)?),
        };
        let [channel, items] = match kind == b"ClickConversion" {
            true => [fourth.clone(), Vec::new()],
            false => [Vec::new(), fourth.clone()],
        };
        let total_cost = fields.get(4).filter(|_| kind == b"PurchaseConversion").cloned().unwrap_or_default();
        let details = Details { promo: fields[0].clone(), channel, items, total_cost };
        let is_decided = true;
        (is_valid && is_email(&email)).then_some(ModelRecord::Conversion {
            kind,
            email,
            time: None,
            is_decided,
            details,
        })
    } else {
        let (email, profile) = fields.split_first()?;
        (profile.len() >= 3 && is_email(email) && !names_conversion)
            .then(|| ModelRecord::LoyaltyRow { email: email.clone(), profile: profile.to_vec() })
    }
}

/// A field as the saved list has it: a space replaces what would end a field or a row.
pub fn saved_field(field: &[u8]) -> Vec<u8> {
    let plain: Vec<u8> = field.iter().map(|&byte| if matches!(byte, b',' | b'\n') { b' ' } else { byte }).collect();
    trim(&plain)
}

pub fn is_conversion_name(name: &[u8]) -> bool {
    [&b"ClickConversion"[..], b"BasketConversion", b"PurchaseConversion"].contains(&name)
}

pub fn is_email(field: &[u8]) -> bool {
    !field.is_empty() && !has_control_byte(field)
}

fn is_item_list(field: &[u8]) -> bool {
    let inner = field.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")).map(trim);
    let is_id = |id: &[u8]| {
        let id = trim(id);
        !id.is_empty() && !has_control_byte(&id) && !id.contains(&b'[') && !id.contains(&b']')
    };
    inner.is_some_and(|inner| inner.is_empty() || inner.split(|&byte| byte == b';').all(is_id))
}

pub fn is_decimal(field: &[u8]) -> bool {
    let text = String::from_utf8_lossy(field);
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(&text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    [whole, fraction].iter().all(|digits| !digits.is_empty() && digits.chars().all(|digit| digit.is_ascii_digit()))
}

fn has_control_byte(bytes: &[u8]) -> bool {
    bytes.iter().any(|&byte| byte < 0x20 || byte == 0x7f)
}
