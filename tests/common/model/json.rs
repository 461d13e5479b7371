//! A plain parser of JSON for the model. It keeps duplicate keys and the digits of numbers.

#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`, `true` and `false`.
    Literal(&'static str),
    /// As it was written.
    Number(String),
    /// `None` if it contains half of a surrogate pair.
    Text(Option<String>),
    Array(Vec<Self>),
    Object(Vec<(Option<String>, Self)>),
}

/// Parses one value and white space around it.
pub fn parse(text: &str) -> Option<Json> {
    let mut rest = text;
    let value = value(&mut rest)?;
    skip_space(&mut rest);
    rest.is_empty().then_some(value)
}

fn skip_space(rest: &mut &str) {
    *rest = rest.trim_start_matches([' ', '\t', '\n', '\r']);
}

/// Consumes `token` after white space.
fn take(rest: &mut &str, token: &str) -> bool {
    skip_space(rest);
    let after = rest.strip_prefix(token);
    *rest = after.unwrap_or(rest);
    after.is_some()
}

fn value(rest: &mut &str) -> Option<Json> {
    skip_space(rest);
    if let Some(literal) = ["null", "true", "false"].into_iter().find(|literal| take(rest, literal)) {
        return Some(Json::Literal(literal));
    }
    if rest.starts_with('"') {
        return string(rest).map(Json::Text);
    }
    if take(rest, "[") {
        return list(rest, "]", value).map(Json::Array);
    }
    if take(rest, "{") {
        let member = |rest: &mut &str| {
            let key = string(rest)?;
            take(rest, ":").then(|| value(rest)).flatten().map(|value| (key, value))
        };
        return list(rest, "}", member).map(Json::Object);
    }
    number(rest).map(Json::Number)
}

fn list<T>(rest: &mut &str, close: &str, mut element: impl FnMut(&mut &str) -> Option<T>) -> Option<Vec<T>> {
    let mut elements = Vec::new();
    if take(rest, close) {
        return Some(elements);
    }
    loop {
        elements.push(element(rest)?);
        if take(rest, close) {
            return Some(elements);
        }
        if !take(rest, ",") {
            return None;
        }
    }
}

fn number(rest: &mut &str) -> Option<String> {
    let len = rest.find(|byte: char| !matches!(byte, '0'..='9' | '+' | '-' | '.' | 'e' | 'E')).unwrap_or(rest.len());
    let (number, after) = rest.split_at(len);
    let unsigned = number.strip_prefix('-').unwrap_or(number);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let is_number = [whole, fraction, exponent].into_iter().all(is_digits) && (whole == "0" || !whole.starts_with('0'));
    *rest = after;
    is_number.then(|| number.to_owned())
}

fn string(rest: &mut &str) -> Option<Option<String>> {
    if !take(rest, "\"") {
        return None;
    }
    let mut units: Vec<u16> = Vec::new();
    loop {
        let mut chars = rest.chars();
        let char = chars.next()?;
        *rest = chars.as_str();
        match char {
            '"' => return Some(String::from_utf16(&units).ok()),
            '\0'..='\x1f' => return None,
            '\\' => {
                let escape = chars.next()?;
                *rest = chars.as_str();
                units.push(match escape {
                    '"' | '\\' | '/' => escape as u16,
                    'b' => 8,
                    'f' => 12,
                    'n' => 10,
                    'r' => 13,
                    't' => 9,
                    'u' => {
                        let digits = rest.get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
                        *rest = &rest[digits?.len()..];
                        u16::from_str_radix(digits?, 16).ok()?
                    }
                    _ => return None,
                });
            }
            char => units.extend(char.encode_utf16(&mut [0; 2]).iter()),
        }
    }
}
