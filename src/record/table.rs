//! Decodes rows of named columns: CSV and JSON Lines. The same checks as for text apply.

use serde_json::value::RawValue;

use super::column::{Column, NamedType, TableFields, TableRules};
use super::decoder::{LOYALTY_ROW, check_email, required_fields, suppressed};
use super::field::{Bytes, Span, trim};
use super::time::Time;
use super::{ConversionKind, DecodedRecord, FieldSpans, Items, RecordError, RecordKind, SourceKind, TotalCost};
use crate::lanes;

/// Decodes the fields of one row or object of this source.
///
/// # Errors
/// When the record is bad, or is ignored by `--type`, `--since` or `--until`.
pub fn decode_table<'a>(
    source: SourceKind,
    bytes: Bytes<'a>,
    fields: &TableFields,
    rules: &TableRules,
) -> Result<DecodedRecord, RecordError<'a>> {
    let is_conversion = match source {
        SourceKind::Loyalty => false,
        SourceKind::Conversions => true,
        SourceKind::Suppression => return suppressed(bytes, fields.get(Column::Email)),
        SourceKind::Interleaved => fields.get(Column::Conversion).is_some(),
    };
    if is_conversion { conversion(bytes, fields, rules) } else { loyalty_row(bytes, fields, rules) }
}

/// Decodes a good conversion without a time; `None` for everything else, which [`decode_table`] decodes. Without errors,
/// its result stays in registers.
#[inline(always)]
pub fn decode_usual_table(
    source: SourceKind,
    bytes: Bytes<'_>,
    fields: &TableFields,
    rules: &TableRules,
) -> Option<DecodedRecord> {
    if source != SourceKind::Conversions || rules.has_times || !fields.has_valid_items {
        return None;
    }
    let NamedType::Conversion(kind) = rules.types.get(bytes.get(fields.get(Column::Conversion)?)) else { return None };
    let email = fields.get(Column::Email)?;
    let is_bad = |lanes| lanes::controls(lanes) | lanes::one_of(*b",")(lanes);
    if email.is_empty() || lanes::any(bytes.get(email), is_bad) {
        return None;
    }
    let second = fields.get_or_empty(if kind == ConversionKind::Click { Column::Where } else { Column::Items });
    if kind != ConversionKind::Click && !second.is_empty() {
        Items::parse(bytes.get(second)).ok()?;
    }
    let third = if kind == ConversionKind::Purchase { fields.get(Column::TotalCost) } else { None };
    if let Some(total_cost) = third {
        TotalCost::parse(bytes.get(total_cost)).ok()?;
    }
    let fields = FieldSpans {
        first: fields.get_or_empty(Column::Promo),
        second,
        third: third.unwrap_or(Span::ABSENT),
        extra: Span::ABSENT,
        time: fields.get(Column::Time).unwrap_or(Span::ABSENT),
    };
    Some(DecodedRecord { kind: RecordKind::Conversion(kind), email, fields, time: None })
}

fn conversion<'a>(
    bytes: Bytes<'a>,
    fields: &TableFields,
    rules: &TableRules,
) -> Result<DecodedRecord, RecordError<'a>> {
    let needed =
        |what, column: Column| fields.get(column).ok_or(RecordError::MissingColumn { what, column: column.name() });
    let promo = fields.get_or_empty(Column::Promo);
    let name = bytes.get(needed("a conversion", Column::Conversion)?);
    let kind = match rules.types.get(name) {
        NamedType::Conversion(kind) => kind,
        NamedType::Ignored => return Err(RecordError::Ignored),
        NamedType::Unknown => return Err(RecordError::UnknownType { name }),
    };
    let (what, _) = required_fields(kind);
    let time = if rules.has_times { Some(parse_time(bytes.get(needed(what, Column::Time)?))?) } else { None };
    let email = needed(what, Column::Email)?;
    check_table_email(bytes.get(email))?;
    let checked_items = || {
        let items = fields.get_or_empty(Column::Items);
        match bytes.get(items) {
            // Exports without items are common, and no decision depends on them.
            [] => Ok(items),
            list if !fields.has_valid_items => Err(RecordError::BadItemList { items: list }),
            list => Items::parse(list).map(|_| items),
        }
    };
    let (second, third) = match kind {
        ConversionKind::Click => (fields.get_or_empty(Column::Where), Span::ABSENT),
        ConversionKind::Basket => (checked_items()?, Span::ABSENT),
        ConversionKind::Purchase => {
            let items = checked_items()?;
            if let Some(total_cost) = fields.get(Column::TotalCost) {
                TotalCost::parse(bytes.get(total_cost))?;
            }
            (items, fields.get(Column::TotalCost).unwrap_or(Span::ABSENT))
        }
    };
    let mut decoded = RecordKind::Conversion(kind);
    if let Some(time) = time {
        let is_before = rules.window.since.is_some_and(|since| time < since);
        if is_before && kind == ConversionKind::Purchase {
            decoded = RecordKind::EarlierPurchase;
        } else if is_before || rules.window.until.is_some_and(|until| time >= until) {
            return Err(RecordError::Ignored);
        }
    }
    let time_text = fields.get(Column::Time).unwrap_or(Span::ABSENT);
    let fields = FieldSpans { first: promo, second, third, extra: Span::ABSENT, time: time_text };
    Ok(DecodedRecord { kind: decoded, email, fields, time })
}

fn parse_time(time: &[u8]) -> Result<Time, RecordError<'_>> {
    Time::parse(time).ok_or(RecordError::BadTime { time })
}

fn loyalty_row<'a>(
    bytes: Bytes<'a>,
    fields: &TableFields,
    rules: &TableRules,
) -> Result<DecodedRecord, RecordError<'a>> {
    if let Some(name) = fields.get(Column::Conversion)
        && let NamedType::Conversion(kind) = rules.types.get(bytes.get(name))
    {
        return Err(RecordError::ConversionInList { kind: kind.name() });
    }
    let email = fields
        .get(Column::Email)
        .ok_or(RecordError::MissingColumn { what: LOYALTY_ROW, column: Column::Email.name() })?;
    let [first, second, third] =
        [Column::FbUser, Column::InstaUser, Column::Gender].map(|column| fields.get_or_empty(column));
    // A list that is saved as text replaces commas, so the name would be a conversion type when it is read again.
    if let Some(kind) = ConversionKind::from_name(without_commas_around(bytes.get(first))) {
        return Err(RecordError::ConversionInList { kind: kind.name() });
    }
    check_table_email(bytes.get(email))?;
    let fields = FieldSpans { first, second, third, extra: Span::ABSENT, time: Span::ABSENT };
    Ok(DecodedRecord { kind: RecordKind::LoyaltyRow, email, fields, time: None })
}

fn without_commas_around(field: &[u8]) -> &[u8] {
    let mut field = trim(field);
    while let Some(rest) = field.strip_prefix(b",").or_else(|| field.strip_suffix(b",")) {
        field = trim(rest);
    }
    field
}

/// Checks an email that was not split at commas. The text after a comma could be mistaken for the decision.
pub fn check_table_email(email: &[u8]) -> Result<(), RecordError<'_>> {
    if lanes::any(email, lanes::one_of(*b",")) { Err(RecordError::CommaInEmail { email }) } else { check_email(email) }
}

/// Completes the fields of a row or an object before it is decoded: converts its items, and sets its promo.
#[inline(always)]
pub fn complete_fields(fields: &mut TableFields, rules: &TableRules, block: &[u8], scratch: &mut Vec<u8>) {
    convert_items(fields, block, scratch);
    fill_promo(fields, rules, scratch);
}

/// Sets the promo of the rules in a record whose promo is absent or empty.
fn fill_promo(fields: &mut TableFields, rules: &TableRules, scratch: &mut Vec<u8>) {
    let Some(promo) = &rules.promo else { return };
    if fields.get(Column::Promo).is_none_or(Span::is_empty) {
        let start = scratch.len();
        scratch.extend_from_slice(promo.as_bytes());
        fields.set(Column::Promo, Span::in_scratch(start, scratch.len()));
    }
}

/// Writes a list of ids in another form as `[6;14]`, the form of the text format, to `scratch`. These forms are
/// accepted: `6;14`, `[6, 14]`, `["6","14"]`, `{6,14}` (an PostgreSQL array). The span is unchanged if the items
/// already have that form, or are not a list of ids, which clears `has_valid_items`.
#[inline(always)]
fn convert_items(fields: &mut TableFields, block: &[u8], scratch: &mut Vec<u8>) {
    let Some(span) = fields.get(Column::Items) else { return };
    match (Bytes { block, scratch }).get(span) {
        [] => {}
        [b'[', inner @ .., b']'] if !lanes::any(inner, lanes::one_of(*b",\"")) => {}
        _ => convert_other_items(span, fields, block, scratch),
    }
}

#[inline(never)]
fn convert_other_items(span: Span, fields: &mut TableFields, block: &[u8], scratch: &mut Vec<u8>) {
    let ids = match (Bytes { block, scratch }).get(span) {
        list @ [b'[', inner @ .., b']'] => {
            if inner.contains(&b'"') {
                json_ids(list)
            } else {
                plain_ids(inner, b',')
            }
        }
        [b'{', inner @ .., b'}'] => postgres_ids(inner),
        plain => plain_ids(plain, b';'),
    };
    match ids {
        // `[]` has no ids, and `[""]` has an empty one.
        Some(ids) if ids.len() != 1 || !ids[0].is_empty() => {
            let start = scratch.len();
            scratch.push(b'[');
            scratch.extend_from_slice(&ids.join(&b';'));
            scratch.push(b']');
            fields.set(Column::Items, Span::in_scratch(start, scratch.len()));
        }
        _ => fields.has_valid_items = false,
    }
}

/// Ids between separators; `None` if one of them contains a byte that another form would treat as a separator.
fn plain_ids(list: &[u8], separator: u8) -> Option<Vec<Vec<u8>>> {
    if trim(list).is_empty() {
        return Some(Vec::new());
    }
    list.split(|&byte| byte == separator).map(|id| checked_id(trim(id).to_vec())).collect()
}

fn checked_id(id: Vec<u8>) -> Option<Vec<u8>> {
    let is_separator = |byte: &u8| matches!(byte, b';' | b',' | b'"');
    (!id.iter().any(is_separator)).then_some(id)
}

/// The ids of a JSON array of strings or numbers. The digits of a number are kept.
fn json_ids(list: &[u8]) -> Option<Vec<Vec<u8>>> {
    let values: Vec<&RawValue> = serde_json::from_slice(list).ok()?;
    let id = |value: &RawValue| match value.get().as_bytes()[0] {
        b'"' => serde_json::from_str::<String>(value.get()).ok().map(String::into_bytes),
        b'-' | b'0'..=b'9' => Some(value.get().as_bytes().to_vec()),
        _ => None,
    };
    values.into_iter().map(|value| id(value).and_then(|id| checked_id(trim(&id).to_vec()))).collect()
}

/// The ids of a Postgres array without its braces, such as `6,"a b"`.
fn postgres_ids(list: &[u8]) -> Option<Vec<Vec<u8>>> {
    if !list.contains(&b'"') {
        let ids = plain_ids(list, b',')?;
        return ids.iter().all(|id| !id.eq_ignore_ascii_case(b"NULL") && !id.contains(&b'{')).then_some(ids);
    }
    if list.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        return None;
    }
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).escape(Some(b'\\')).double_quote(false).from_reader(list);
    let record = reader.byte_records().next()?.ok()?;
    record.iter().map(|id| checked_id(trim(id).to_vec())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The items after the conversion; `None` if they are not a list.
    fn converted(items: &str) -> Option<String> {
        let (mut fields, mut scratch) = (TableFields::default(), Vec::new());
        fields.set(Column::Items, Span::in_block(0, items.len()));
        convert_items(&mut fields, items.as_bytes(), &mut scratch);
        let items = Bytes { block: items.as_bytes(), scratch: &scratch }.get(fields.get(Column::Items).unwrap());
        fields.has_valid_items.then(|| String::from_utf8(items.to_vec()).unwrap())
    }

    #[test]
    fn the_same_ids_in_every_form_are_the_same() {
        for items in ["[6;14]", "6;14", "[6, 14]", "[\"6\",\"14\"]", "[6,\"14\"]", "{6,14}", "{\"6\",14}", "6; 14"] {
            assert_eq!(converted(items).as_deref(), Some("[6;14]"), "{items}");
        }
        assert_eq!(converted("6").as_deref(), Some("[6]"));
        assert_eq!(converted("{}").as_deref(), Some("[]"));
        assert_eq!(converted("[]").as_deref(), Some("[]"));
        assert_eq!(converted("[\"a \\u0062\"]").as_deref(), Some("[a b]"));
    }

    #[test]
    fn the_promo_of_the_rules_fills_only_an_empty_one() {
        let rules = TableRules { promo: Some("Hoodie".to_owned()), ..TableRules::default() };
        for (row, span, promo) in [
            ("a@x", None, "Hoodie"),
            (",a@x", Some(Span::in_block(0, 0)), "Hoodie"),
            ("Socks,a@x", Some(Span::in_block(0, 5)), "Socks"),
        ] {
            let (mut fields, mut scratch) = (TableFields::default(), Vec::new());
            span.into_iter().for_each(|span| fields.set(Column::Promo, span));
            fill_promo(&mut fields, &rules, &mut scratch);
            let filled = fields.get(Column::Promo).unwrap();
            assert_eq!(Bytes { block: row.as_bytes(), scratch: &scratch }.get(filled), promo.as_bytes(), "{row}");
        }
    }

    #[test]
    fn a_list_with_mixed_separators_is_rejected() {
        for items in ["6,14", "[6;14,3]", "[\"6;14\"]", "{6;14}", "[\"6\",null]", "[\"6\"", "{6,NULL}", "{{6},{14}}"] {
            assert_ne!(
                converted(items).filter(|items| Items::parse(items.as_bytes()).is_ok()).as_deref(),
                Some("[6;14]"),
                "{items}"
            );
        }
        for items in ["6,14", "[\"\"]", "{\"\"}", "{6,\"7\"\n8}"] {
            assert_eq!(converted(items), None, "{items}");
        }
        assert_eq!(converted("[6;14,3]"), None);
    }
}
