//! Checks one record of text and finds its fields, by their positions. [`super::table`] decodes named columns.

use super::field::{Bytes, Span, TextFields, first_control};
use super::{ConversionKind, DecodedRecord, FieldSpans, Items, RecordError, RecordKind, TotalCost};
use crate::escape::has_unprintable;
use crate::lanes;

/// The kind of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    /// Rows of the loyalty list.
    Loyalty,
    /// Conversions.
    Conversions,
    /// Both, in order of arrival. A record whose second field is a conversion type is a conversion; every other record
    /// is a loyalty row.
    Interleaved,
    /// Emails, and digests of emails, that are not sent codes.
    Suppression,
}

pub(super) const LOYALTY_ROW: &str = "a loyalty row";
const LOYALTY_FIELDS: &[&str] = &["email", "Facebook user", "Instagram user", "gender"];

/// The name of a conversion type with its article, and its required fields.
pub(super) const fn required_fields(kind: ConversionKind) -> (&'static str, &'static [&'static str]) {
    match kind {
        ConversionKind::Click => ("a click", &["promo", "ClickConversion", "email", "where"]),
        ConversionKind::Basket => ("a basket", &["promo", "BasketConversion", "email", "items"]),
        ConversionKind::Purchase => ("a purchase", &["promo", "PurchaseConversion", "email", "items", "total cost"]),
    }
}

/// Decodes the records of one input.
#[derive(Debug, Clone, Copy)]
pub struct Decoder {
    pub source: SourceKind,
    /// The maximum record length in bytes, without line feed or frame header.
    pub max_record_bytes: usize,
}

impl Decoder {
    /// Decodes a good conversion in the usual form: no white space except one space after a comma, and no empty field.
    /// `None` for everything else, which [`Self::decode_text`] decodes. Without errors, its result stays in registers.
    #[inline(always)]
    pub fn decode_usual(&self, fields: &TextFields<'_, '_>) -> Option<DecodedRecord> {
        if self.source != SourceKind::Conversions || fields.end - fields.start > self.max_record_bytes {
            return None;
        }
        let bytes = fields.bytes();
        let kind = ConversionKind::from_name(bytes.get(fields.usual(1)?))?;
        let (promo, email, second) = (fields.usual(0)?, fields.usual(2)?, fields.usual(3)?);
        if lanes::any(bytes.get(email), lanes::controls) {
            return None;
        }
        if kind != ConversionKind::Click {
            Items::parse(bytes.get(second)).ok()?;
        }
        let (third, extra) = if kind == ConversionKind::Purchase {
            let total_cost = fields.usual(4)?;
            TotalCost::parse(bytes.get(total_cost)).ok()?;
            (total_cost, fields.after(5))
        } else {
            (Span::ABSENT, fields.after(4))
        };
        let fields = FieldSpans { first: promo, second, third, extra, time: Span::ABSENT };
        Some(DecodedRecord { kind: RecordKind::Conversion(kind), email, fields, time: None })
    }

    /// Decodes a line or the payload of a frame.
    ///
    /// # Errors
    /// When the record is bad. A blank line is also bad; the caller checks for blank lines.
    #[inline]
    pub fn decode_text<'a>(&self, fields: &TextFields<'a, '_>) -> Result<DecodedRecord, RecordError<'a>> {
        if fields.start == fields.end {
            return Err(RecordError::Empty);
        }
        self.check_length(fields.end - fields.start)?;
        let is_conversion = match self.source {
            SourceKind::Conversions => true,
            SourceKind::Loyalty => false,
            SourceKind::Suppression => return suppressed(fields.bytes(), fields.get(0)),
            SourceKind::Interleaved => {
                fields.get(1).is_some_and(|name| ConversionKind::from_name(fields.bytes().get(name)).is_some())
            }
        };
        if is_conversion { text_conversion(fields) } else { text_loyalty_row(fields) }
    }

    /// Checks the length of a record without line feed or frame header.
    #[inline]
    pub const fn check_length<'a>(&self, len: usize) -> Result<(), RecordError<'a>> {
        if len > self.max_record_bytes { Err(RecordError::TooLong { limit: self.max_record_bytes }) } else { Ok(()) }
    }
}

#[inline(always)]
fn parse_kind(bytes: Bytes<'_>, promo: Span, name: Span) -> Result<ConversionKind, RecordError<'_>> {
    let name = bytes.get(name);
    ConversionKind::from_name(name).ok_or_else(|| RecordError::UnknownConversion { promo: bytes.get(promo), name })
}

#[inline(always)]
fn text_conversion<'a>(fields: &TextFields<'a, '_>) -> Result<DecodedRecord, RecordError<'a>> {
    let bytes = fields.bytes();
    let (Some(promo), Some(name)) = (fields.get(0), fields.get(1)) else {
        return Err(RecordError::TooFewFields {
            what: "a conversion",
            fields: &["promo", "conversion type", "email", "…"],
            found: 1,
            record: fields.record(),
        });
    };
    let kind = parse_kind(bytes, promo, name)?;
    let field = |index| fields.get(index).ok_or_else(|| too_few(kind, fields));
    let email = field(2)?;
    check_email(bytes.get(email))?;
    let second = field(3)?;
    let (third, extra) = match kind {
        ConversionKind::Click => (Span::ABSENT, fields.after(4)),
        ConversionKind::Basket => {
            Items::parse(bytes.get(second))?;
            (Span::ABSENT, fields.after(4))
        }
        ConversionKind::Purchase => {
            let total_cost = field(4)?;
            Items::parse(bytes.get(second))?;
            TotalCost::parse(bytes.get(total_cost))?;
            (total_cost, fields.after(5))
        }
    };
    let fields = FieldSpans { first: promo, second, third, extra, time: Span::ABSENT };
    Ok(DecodedRecord { kind: RecordKind::Conversion(kind), email, fields, time: None })
}

#[cold]
fn too_few<'a>(kind: ConversionKind, fields: &TextFields<'a, '_>) -> RecordError<'a> {
    let (what, needed) = required_fields(kind);
    RecordError::TooFewFields { what, fields: needed, found: fields.count(), record: fields.record() }
}

#[inline]
fn text_loyalty_row<'a>(fields: &TextFields<'a, '_>) -> Result<DecodedRecord, RecordError<'a>> {
    let (Some(email), Some(first), Some(second), Some(third)) =
        (fields.get(0), fields.get(1), fields.get(2), fields.get(3))
    else {
        return Err(RecordError::TooFewFields {
            what: LOYALTY_ROW,
            fields: LOYALTY_FIELDS,
            found: fields.count(),
            record: fields.record(),
        });
    };
    if let Some(kind) = ConversionKind::from_name(fields.bytes().get(first)) {
        return Err(RecordError::ConversionInList { kind: kind.name() });
    }
    check_email(fields.bytes().get(email))?;
    let fields = FieldSpans { first, second, third, extra: fields.after(LOYALTY_FIELDS.len()), time: Span::ABSENT };
    Ok(DecodedRecord { kind: RecordKind::LoyaltyRow, email, fields, time: None })
}

/// A suppressed email or digest.
///
/// # Errors
/// When the value is neither. A suppression that is not understood must not become a mail.
pub(super) fn suppressed<'a>(bytes: Bytes<'a>, value: Option<Span>) -> Result<DecodedRecord, RecordError<'a>> {
    let email =
        value.ok_or(RecordError::MissingColumn { what: "a suppression list", column: super::Column::Email.name() })?;
    let value = bytes.get(email);
    check_email(value)?;
    if !is_digest(value) && !is_plain_email(value) {
        return Err(RecordError::NotAnEmail { value });
    }
    let none = Span::ABSENT;
    let fields = FieldSpans { first: none, second: none, third: none, extra: none, time: none };
    Ok(DecodedRecord { kind: RecordKind::SuppressedEmail, email, fields, time: None })
}

/// Whether a value is an email and nothing else. Others come from exports with other quotes, delimiters or encodings,
/// from links and patterns, or have white space or invisible characters.
fn is_plain_email(value: &[u8]) -> bool {
    let Some(at) = memchr::memchr(b'@', value) else { return false };
    let (local, domain) = (&value[..at], &value[at + 1..]);
    let is_odd = |byte: &u8| b"()[]\\`<>:;,\"|".contains(byte);
    let is_in_domain =
        |byte: &u8| !byte.is_ascii() || byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !local.is_empty()
        && !matches!(local[0], b'\'' | b'=' | b'*')
        && !local.iter().any(is_odd)
        && domain.iter().all(is_in_domain)
        && domain.split(|&byte| byte == b'.').all(|label| !label.is_empty())
        && !has_unprintable(value)
}

/// The number of hexadecimal digits of an MD5 digest.
pub const MD5_DIGITS: usize = 32;
/// The number of hexadecimal digits of a SHA-256 digest.
pub const SHA256_DIGITS: usize = 64;

/// Whether a value is the digest of an email, in hexadecimal digits of either case.
pub fn is_digest(value: &[u8]) -> bool {
    matches!(value.len(), MD5_DIGITS | SHA256_DIGITS) && value.iter().all(u8::is_ascii_hexdigit)
}

/// Checks that a stripped email is not empty and contains no control bytes, which could forge a line of output.
#[inline(always)]
pub(super) fn check_email(email: &[u8]) -> Result<(), RecordError<'_>> {
    if email.is_empty() {
        return Err(RecordError::EmptyEmail);
    }
    match first_control(email) {
        None => Ok(()),
        Some(byte) => Err(RecordError::ControlInEmail { email, byte }),
    }
}

#[cfg(test)]
pub mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::{Action, Conversion, LoyaltyRow};

    /// Decodes one text record of an input of this kind.
    pub fn decode(source: SourceKind, record: &[u8]) -> Result<DecodedRecord, RecordError<'_>> {
        let commas: Vec<u32> = (0..).zip(record).filter(|(_, byte)| **byte == b',').map(|(at, _)| at).collect();
        let fields = TextFields { block: record, start: 0, end: record.len(), commas: &commas };
        let decoder = Decoder { source, max_record_bytes: 1 << 20 };
        let decoded = decoder.decode_text(&fields);
        if let Some(usual) = decoder.decode_usual(&fields) {
            assert_eq!(decoded, Ok(usual));
        }
        decoded
    }

    /// Decodes a conversion.
    pub fn conversion(record: &[u8]) -> Result<Conversion<'_>, RecordError<'_>> {
        let decoded = decode(SourceKind::Conversions, record)?;
        Ok(decoded.conversion(Bytes::of_block(record)).unwrap())
    }

    /// Decodes a loyalty row.
    pub fn loyalty_row(record: &[u8]) -> Result<LoyaltyRow<'_>, RecordError<'_>> {
        let decoded = decode(SourceKind::Loyalty, record)?;
        Ok(decoded.loyalty_row(Bytes::of_block(record)).unwrap())
    }

    #[test]
    fn the_fields_of_a_conversion_depend_on_its_type() {
        let click = conversion(b"MarsupialHoodie, ClickConversion, playfulwally@fakeemail.com, Instagram").unwrap();
        assert_eq!((click.promo, click.email), (&b"MarsupialHoodie"[..], &b"playfulwally@fakeemail.com"[..]));
        assert_eq!(click.action, Action::Click { channel: b"Instagram" });
        let purchase = conversion(b"P, PurchaseConversion, wombatz@fakeemail.com, [6;9], 18.64").unwrap();
        let Action::Purchase { items, total_cost } = purchase.action else { panic!("{purchase:?}") };
        assert_eq!(items.iter().collect::<Vec<_>>(), [b"6", b"9"]);
        assert_eq!(total_cost.unwrap().as_bytes(), b"18.64");
        let with_extra_fields = conversion(b",ClickConversion,a@x,,more,[,").unwrap();
        assert_eq!((with_extra_fields.promo, with_extra_fields.action), (&b""[..], Action::Click { channel: b"" }));
    }

    #[test]
    fn the_message_names_the_fault_of_a_conversion() {
        for (record, message) in [
            (
                &b"P, PurchaseConversion, a@x, [6]"[..],
                "expected a purchase with 5 fields (promo, PurchaseConversion, email, items, total cost), found 4",
            ),
            (
                b"P, clickconversion, a@x, w",
                "unknown conversion type \"clickconversion\" (expected ClickConversion, BasketConversion or PurchaseConversion)",
            ),
            (b"P, ClickConversion, a@x\nSend, w", r#"the email "a@x\nSend" contains a control byte (0x0a)"#),
            (b"P, ClickConversion, \x0b , w", "the email is empty"),
        ] {
            assert_eq!(conversion(record).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_loyalty_row_has_four_fields_and_keeps_extra_ones() {
        let row = loyalty_row(b" wackywallaroo@fakeemail.com, , wackywallaroo, M\r\n").unwrap();
        assert_eq!(row.email, b"wackywallaroo@fakeemail.com");
        assert_eq!((row.fb_user, row.insta_user, row.gender), (&b""[..], &b"wackywallaroo"[..], &b"M"[..]));
        assert_eq!(row.extra, None);
        assert_eq!(loyalty_row(b"a@x, , , , M").unwrap().extra, Some(&b" M"[..]));
        assert_eq!(loyalty_row(b"a@x, , , F,").unwrap().extra, Some(&b""[..]));
        assert_eq!(
            loyalty_row(b"a@x, b").unwrap_err().to_string(),
            "expected a loyalty row with 4 fields (email, Facebook user, Instagram user, gender), found 2; for CSV without \
             a header row, add --loyalty-columns with its columns in order"
        );
        let message = loyalty_row(b"a@x;fb;insta;F").unwrap_err().to_string();
        assert!(message.ends_with("found 1; fields are separated by commas only"), "{message}");
        let error = loyalty_row(b"Hoodie, ClickConversion, a@x, Instagram").unwrap_err();
        assert_eq!(error, RecordError::ConversionInList { kind: "ClickConversion" });
    }

    #[test]
    fn in_an_interleaved_stream_the_second_field_decides() {
        let kind = |record| decode(SourceKind::Interleaved, record).map(|decoded| decoded.kind);
        assert_eq!(kind(b"P, ClickConversion, a@x, w"), Ok(RecordKind::Conversion(ConversionKind::Click)));
        assert_eq!(kind(b"a@x, ClikConversion, , M"), Ok(RecordKind::LoyaltyRow));
        assert!(matches!(kind(b"P, PurchaseConversion"), Err(RecordError::TooFewFields { found: 2, .. })));
    }

    #[test]
    fn suppressions_that_are_not_plain_emails_are_bad() {
        let is_good = |value: &[u8]| decode(SourceKind::Suppression, value).is_ok();
        for good in ["a@x", "kim+x@example.com", "o'neil@x.org", "a=b*c@x", "ren\u{e9}@b\u{fc}cher.de", "a.@x", "#a@x"]
        {
            assert!(is_good(good.as_bytes()), "{good}");
        }
        assert!(is_good(b"ren\xe9@x") && !is_good(b"kim@x\xa0") && !is_good(b"kim@x\x85"));
        for char in ['\u{a0}', '\u{85}', '\u{2028}', '\u{3000}', '\u{200b}', '\u{ad}', '\u{feff}', '\u{3164}', ' '] {
            for bad in [format!("{char}kim@x.org{char}"), format!("k{char}im@x.org"), format!("kim@x.{char}org")] {
                assert!(!is_good(bad.as_bytes()) || bad.trim() == "kim@x.org" && char == ' ', "{bad:?}");
            }
        }
        for bad in [
            "`kim@x`",
            "(kim@x)",
            "kim@x)",
            "[kim@x]",
            "kim@[1.2.3.4]",
            "email:kim@x",
            "k\\im@x",
            "=20kim@x",
            "kim@x.",
            "kim@.x",
            "kim@a..b",
            "kim@x'",
            "'kim@x",
            "*@x",
            "kim@*.org",
            "<kim@x>",
            "kim@x;lee@x",
            "kim@x/lee@x",
            "kim@x=",
            "@x",
            "kim@",
            "kim",
        ] {
            assert!(!is_good(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn the_length_limit_counts_the_bytes_of_the_record() {
        let decoder = Decoder { source: SourceKind::Loyalty, max_record_bytes: 6 };
        assert_eq!(decoder.check_length(6), Ok(()));
        assert_eq!(decoder.check_length(7), Err(RecordError::TooLong { limit: 6 }));
    }

    proptest! {
        #[test]
        fn the_usual_form_is_decoded_like_any_other(
            promo in "[ a]{0,2}", kind in " ?(Click|Basket|Purchase|B)Conversion ?", email in " ?[a@.\u{1}]{0,50} ?",
            second in " ?\\[?[0-9; \\[]{0,6}\\]?", third in prop::option::of(" ?[+-]?[0-9.]{0,6}[ \r]?"), extra: bool,
        ) {
            let mut record = [promo, kind, email, second].join(",");
            record.extend(third.iter().flat_map(|third| [",", third]));
            record.push_str(if extra { ", x" } else { "" });
            // It compares both.
            let _ = decode(SourceKind::Conversions, record.as_bytes());
        }
    }
}
