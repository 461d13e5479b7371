//! Splits one line of CSV into fields. No field contains a line feed.

use std::borrow::Cow;

/// The fields of a line. `None` if a quoted field is not closed, or there is text before or after its quotes.
pub fn split_row(line: &[u8]) -> Option<Vec<Cow<'_, [u8]>>> {
    let mut fields = Vec::with_capacity(8);
    let mut rest = Some(line);
    while let Some(line) = rest {
        let (field, after) = match line {
            [b'"', quoted @ ..] => quoted_field(quoted).map(|(field, after)| (field.into(), after))?,
            _ => match memchr::memchr2(b',', b'"', line) {
                None => (line.into(), None),
                Some(at) if line[at] == b',' => (line[..at].into(), Some(&line[at + 1..])),
                Some(_) => return None,
            },
        };
        fields.push(field);
        rest = after;
    }
    Some(fields)
}

/// A field after its first quote, and what follows the comma after it.
fn quoted_field(mut rest: &[u8]) -> Option<(Vec<u8>, Option<&[u8]>)> {
    let mut text = Vec::new();
    loop {
        let end = memchr::memchr(b'"', rest)?;
        text.extend_from_slice(&rest[..end]);
        match &rest[end + 1..] {
            [] => return Some((text, None)),
            [b',', after @ ..] => return Some((text, Some(after))),
            [b'"', after @ ..] => {
                text.push(b'"');
                rest = after;
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misquoted_fields_are_not_accepted() {
        let fields = |line: &str| {
            let text = |field: Cow<'_, [u8]>| String::from_utf8(field.into_owned()).unwrap();
            split_row(line.as_bytes()).map(|fields| fields.into_iter().map(text).collect::<Vec<_>>().join("|"))
        };
        for (line, expected) in [("", ""), ("a,,b,", "a||b|"), (r#""a, ""b""",c"#, r#"a, "b"|c"#), (r#""""#, "")] {
            assert_eq!(fields(line).as_deref(), Some(expected), "{line}");
        }
        for line in [r#"""#, r#"a,"b"#, r#""a"b"#, r#""a" ,b"#, r#"a"b"#, r#" "a""#, r#""a"""#] {
            assert_eq!(fields(line), None, "{line}");
        }
    }
}
