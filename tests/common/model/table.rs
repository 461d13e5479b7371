//! Decodes the named fields of a row of CSV or an object of JSON Lines.

use super::ModelSource;
use super::decode::{Details, ModelRecord, is_conversion_name, is_decimal, is_email, saved_field};
use super::json::{Json, parse};
use super::split::trim;

/// How tables are read.
#[derive(Debug, Clone)]
pub struct TableOptions {
    pub delimiter: u8,
    /// The fields of the columns of CSV without a header row.
    pub columns: Option<Vec<Option<&'static str>>>,
    /// The names of columns and keys that differ from the field.
    pub names: Vec<(&'static str, &'static str)>,
    /// Names of conversion types; `None` is ignored.
    pub types: Vec<(&'static str, Option<&'static str>)>,
    pub ignores_others: bool,
    /// The column of the times, and the part of the log in microseconds.
    pub time: Option<&'static str>,
    pub since: Option<i64>,
    pub until: Option<i64>,
    pub allows_disorder: bool,
}

impl Default for TableOptions {
    fn default() -> Self {
        Self {
            delimiter: b',',
            columns: None,
            names: Vec::new(),
            types: Vec::new(),
            ignores_others: false,
            time: None,
            since: None,
            until: None,
            allows_disorder: false,
        }
    }
}

pub enum TableRecord {
    Record(ModelRecord),
    Ignored,
}

/// Fields by their name.
pub type Fields = Vec<(&'static str, Vec<u8>)>;

const LOYALTY: [&str; 4] = ["email", "fb_user", "insta_user", "gender"];
const CONVERSION: [&str; 6] = ["promo", "conversion", "email", "where", "items", "total_cost"];

impl TableOptions {
    /// The fields of a source with the names of their columns.
    fn names(&self, source: ModelSource) -> Vec<(&'static str, String)> {
        let fields = match source {
            ModelSource::Loyalty => LOYALTY.to_vec(),
            ModelSource::Conversions => CONVERSION.to_vec(),
            ModelSource::Interleaved => [&CONVERSION[..], &LOYALTY[1..]].concat(),
        };
        let name =
            |field: &'static str| self.names.iter().find(|(of, _)| *of == field).map_or(field, |(_, name)| *name);
        let names = fields.into_iter().map(|field| (field, normalized(name(field))));
        names.chain(self.time.map(|name| ("time", normalized(name)))).collect()
    }

    /// The field of every column in a header row.
    pub fn header(&self, source: ModelSource, row: &[Vec<u8>]) -> Vec<Option<&'static str>> {
        let names = self.names(source);
        let field = |column: &Vec<u8>| {
            let column = normalized(str::from_utf8(column).unwrap_or("\u{fffd}"));
            names.iter().find(|(_, name)| *name == column).map(|(field, _)| *field)
        };
        row.iter().map(field).collect()
    }

    /// The fields of an object; `None` if it is bad.
    pub fn object(&self, source: ModelSource, line: &[u8]) -> Option<Fields> {
        let Json::Object(members) = parse(str::from_utf8(line).ok()?)? else { return None };
        let mut names = self.names(source);
        if source == ModelSource::Loyalty {
            names.push(("conversion", "conversion".to_owned()));
        }
        let (mut fields, mut keys) = (Fields::new(), Vec::new());
        find_fields(&members, "", &names, &mut keys, &mut fields)?;
        keys.sort_unstable();
        keys.windows(2).all(|pair| pair[0] != pair[1]).then_some(fields)
    }

    /// Decodes the fields of one record; `None` if it is bad.
    pub fn decode(&self, source: ModelSource, fields: &Fields) -> Option<TableRecord> {
        let names_conversion = get(fields, "conversion").is_some();
        match source {
            ModelSource::Conversions => self.conversion(fields),
            ModelSource::Interleaved if names_conversion => self.conversion(fields),
            ModelSource::Interleaved => self.loyalty_row(fields),
            ModelSource::Loyalty => Self::default().loyalty_row(fields),
        }
    }

    fn loyalty_row(&self, fields: &Fields) -> Option<TableRecord> {
        if get(fields, "conversion").is_some_and(|name| matches!(self.kind(name), Some(Some(_)))) {
            return None;
        }
        let email = get(fields, "email").filter(|email| is_table_email(email))?.to_vec();
        let profile: Vec<_> = LOYALTY[1..].iter().map(|name| get(fields, name).unwrap_or_default().to_vec()).collect();
        let is_row = !is_conversion_name(&saved_field(&profile[0]));
        is_row.then_some(TableRecord::Record(ModelRecord::LoyaltyRow { email, profile }))
    }

    fn conversion(&self, fields: &Fields) -> Option<TableRecord> {
        let Some(kind) = self.kind(get(fields, "conversion")?)? else { return Some(TableRecord::Ignored) };
        let time = match self.time {
            Some(_) => Some(microseconds(str::from_utf8(get(fields, "time")?).ok()?)?),
            None => None,
        };
        let email = get(fields, "email").filter(|email| is_table_email(email))?.to_vec();
        if kind != "click" && !get(fields, "items").is_none_or(|items| items.is_empty() || is_item_list(items)) {
            return None;
        }
        if kind == "purchase" && !get(fields, "total_cost").is_none_or(is_decimal) {
            return None;
        }
        let is_before = time < self.since.filter(|_| time.is_some());
        if (is_before && kind != "purchase") || (self.until.is_some() && time >= self.until) && !is_before {
            return Some(TableRecord::Ignored);
        }
        let field = |name, is_of_kind| get(fields, name).filter(|_| is_of_kind).unwrap_or_default().to_vec();
        let details = Details {
            promo: field("promo", true),
            channel: field("where", kind == "click"),
            items: field("items", kind != "click"),
            total_cost: field("total_cost", kind == "purchase"),
        };
        let kind = format!("{}{}Conversion", kind[..1].to_uppercase(), &kind[1..]).into_bytes();
        Some(TableRecord::Record(ModelRecord::Conversion { kind, email, time, is_decided: !is_before, details }))
    }

    /// The type with a name: `Some(None)` if it is ignored, `None` if it is unknown.
    fn kind(&self, name: &[u8]) -> Option<Option<&'static str>> {
        if let Some((_, kind)) = self.types.iter().find(|(of, _)| of.as_bytes() == name) {
            return Some(*kind);
        }
        let lower = name.to_ascii_lowercase();
        let full =
            name.strip_suffix(b"Conversion").filter(|_| is_conversion_name(name)).map(<[u8]>::to_ascii_lowercase);
        let known = ["click", "basket", "purchase"].into_iter();
        let kind = known.clone().find(|kind| lower == kind.as_bytes() || full.as_deref() == Some(kind.as_bytes()));
        if kind.is_none() && !self.ignores_others { None } else { Some(kind) }
    }
}

/// Adds the fields of an object and of those nested in it; `None` if one has the wrong type.
fn find_fields(
    members: &[(Option<String>, Json)],
    parent: &str,
    names: &[(&'static str, String)],
    keys: &mut Vec<&'static str>,
    fields: &mut Fields,
) -> Option<()> {
    for (key, value) in members {
        let path = format!("{parent}{}", normalized(key.as_ref()?));
        if let Some((field, _)) = names.iter().find(|(_, name)| *name == path) {
            keys.push(field);
            let text = match value {
                Json::Literal("null") => continue,
                Json::Text(text) => text.clone()?.into_bytes(),
                Json::Number(number) => number.clone().into_bytes(),
                // The ids are strings and numbers, so the items need no quotes here.
                Json::Array(ids) if *field == "items" => array_items(ids)?,
                _ => return None,
            };
            fields.push((field, trim(&text)));
        } else if names.iter().any(|(_, name)| name.starts_with(&format!("{path}.")))
            && let Json::Object(members) = value
        {
            find_fields(members, &format!("{path}."), names, keys, fields)?;
        }
    }
    Some(())
}

/// A JSON array as items of the text format. An invalid id makes the items invalid.
fn array_items(ids: &[Json]) -> Option<Vec<u8>> {
    let id = |id: &Json| match id {
        Json::Text(Some(text)) if !is_id(text.as_bytes()) => Some(b"]".to_vec()),
        Json::Text(Some(text)) => Some(text.clone().into_bytes()),
        Json::Text(None) => Some(b"]".to_vec()),
        Json::Number(number) => Some(number.clone().into_bytes()),
        _ => None,
    };
    let ids: Vec<_> = ids.iter().map(id).collect::<Option<_>>()?;
    Some([b"[", &ids.join(&b';')[..], b"]"].concat())
}

fn get<'a>(fields: &'a Fields, name: &str) -> Option<&'a [u8]> {
    fields.iter().find(|(of, _)| *of == name).map(|(_, field)| field.as_slice())
}

fn normalized(name: &str) -> String {
    name.to_ascii_lowercase().replace([' ', '_', '-'], "")
}

fn is_table_email(email: &[u8]) -> bool {
    is_email(email) && !email.contains(&b',')
}

fn is_id(id: &[u8]) -> bool {
    let id = trim(id);
    !id.is_empty() && id.iter().all(|byte| !matches!(byte, 0..=0x1f | 0x7f | b'[' | b']' | b';' | b',' | b'"'))
}

/// Whether a field is a list of ids in one of the accepted forms.
fn is_item_list(field: &[u8]) -> bool {
    let all_ids =
        |list: &[u8], separator: u8| trim(list).is_empty() || list.split(|&byte| byte == separator).all(is_id);
    match field {
        [] => false,
        [b'[', inner @ .., b']'] if inner.contains(&b'"') => {
            let array = str::from_utf8(field).ok().and_then(parse);
            let is_valid = |id: &Json| match id {
                Json::Text(text) => text.as_ref().is_some_and(|text| is_id(text.as_bytes())),
                Json::Number(_) => true,
                _ => false,
            };
            matches!(array, Some(Json::Array(ids)) if ids.iter().all(is_valid))
        }
        [b'[', inner @ .., b']'] => all_ids(inner, if inner.contains(&b',') { b',' } else { b';' }),
        [b'{', inner @ .., b'}'] => {
            let unquoted = |id: &[u8]| match trim(id).as_slice() {
                [b'"', text @ .., b'"'] => text.to_vec(),
                text if text.eq_ignore_ascii_case(b"null") || text.contains(&b'{') => Vec::new(),
                text => text.to_vec(),
            };
            trim(inner).is_empty() || inner.split(|&byte| byte == b',').all(|id| is_id(&unquoted(id)))
        }
        plain => all_ids(plain, b';'),
    }
}

/// The time in microseconds since 1970: seconds, milliseconds, or a date and a time with or without an offset.
fn microseconds(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse::<i64>() {
        let is_plain = !text.starts_with('+');
        return is_plain.then_some(if number.abs() < 100_000_000_000 { number * 1_000_000 } else { number * 1_000 });
    }
    let (date, rest) = text.split_at_checked(10)?;
    let time = rest.strip_prefix(['T', ' '])?;
    let (time, offset) = match time.split_once(['Z', '+']) {
        Some((time, "")) => (time, 0),
        Some((time, offset)) => (time, offset[..2].parse::<i64>().ok()? * 3_600),
        None => (time, 0),
    };
    let numbers = |text: &str, separator: char| text.split(separator).map(|part| part.parse::<i64>().ok()).collect();
    let date: Option<Vec<i64>> = numbers(date, '-');
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let time: Option<Vec<i64>> = numbers(time, ':');
    let ([year, month, day], [hour, minute, second]) = (<[i64; 3]>::try_from(date?).ok()?, padded(time?)?);
    let leap_days = |year: i64| (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400;
    let is_leap = i64::from(leap_days(year + 1) > leap_days(year));
    let before_month = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334].get((month - 1) as usize)?;
    let days = (year - 1970) * 365 + leap_days(year) - leap_days(1970) + before_month + day - 1;
    let days = days + if month > 2 { is_leap } else { 0 };
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - offset;
    let micros = format!("{fraction:0<6}")[..6].parse::<i64>().ok()?;
    Some(seconds * 1_000_000 + micros)
}

/// Hours and minutes with the seconds, which may be missing.
fn padded(mut time: Vec<i64>) -> Option<[i64; 3]> {
    time.resize(time.len().max(3), 0);
    time.try_into().ok()
}
