//! A row of the loyalty list.

use super::field::{Fields, trim};
use super::row::{CUSTOMER_COLUMNS, Row};
use super::{ConversionKind, Email, RecordError};

/// A loyalty customer: `email, Facebook user, Instagram user, gender`.
///
/// Everything but the email may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer<'a> {
    /// Who the customer is.
    pub email: Email<'a>,
    /// The user name on Facebook.
    pub fb_user: &'a [u8],
    /// The user name on Instagram.
    pub insta_user: &'a [u8],
    /// The gender, as the list writes it.
    pub gender: &'a [u8],
    /// What stands behind the comma after the gender. Real lists have rows with more fields: they are carried through
    /// to a saved list and mean nothing else.
    pub extra: Option<&'a [u8]>,
}

impl<'a> Customer<'a> {
    /// The names of the fields that a loyalty row must hold.
    pub const FIELDS: &'static [&'static str] = &["email", "Facebook user", "Instagram user", "gender"];

    /// Decodes one loyalty row.
    ///
    /// # Errors
    /// When fields are missing, the email is no email, or the row is a conversion: nobody is called `ClickConversion`.
    pub fn decode(record: &'a [u8]) -> Result<Self, RecordError<'a>> {
        Self::decode_fields(Fields::of(record))
    }

    /// The same of a row whose fields may have been told apart already.
    ///
    /// # Errors
    /// As [`Self::decode`].
    #[inline]
    pub fn decode_fields(mut fields: Fields<'a>) -> Result<Self, RecordError<'a>> {
        let (Some(email), Some(fb_user), Some(insta_user), Some(gender)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(RecordError::TooFewFields {
                what: "a loyalty row",
                fields: Self::FIELDS,
                found: Fields::of(fields.record()).count(),
                record: fields.record(),
            });
        };
        if let Some(kind) = ConversionKind::from_name(fb_user) {
            return Err(RecordError::ConversionInList { kind });
        }
        Ok(Self { email: Email::parse(email)?, fb_user, insta_user, gender, extra: fields.rest() })
    }

    /// Decodes one row of a table, as [`super::write_row`] wrote it with [`CUSTOMER_COLUMNS`].
    ///
    /// # Errors
    /// When the row does not fit its header, or for what [`Self::decode`] refuses.
    pub fn decode_row(payload: &'a [u8]) -> Result<Self, RecordError<'a>> {
        let mut row = Row::open(payload)?;
        let mut column = |index: usize| {
            let column = CUSTOMER_COLUMNS.get(index).copied().unwrap_or_default();
            row.next_column().ok_or(RecordError::NoColumn { what: "a loyalty row", column })
        };
        let (email, fb_user) = (column(0)?, column(1)?);
        // Commas around the name would be gone from a saved list.
        if let Some(kind) = ConversionKind::from_name(without_commas_around(fb_user)) {
            return Err(RecordError::ConversionInList { kind });
        }
        let (email, insta_user, gender) = (Email::parse_unsplit(email)?, column(2)?, column(3)?);
        Ok(Self { email, fb_user, insta_user, gender, extra: None })
    }
}

fn without_commas_around(field: &[u8]) -> &[u8] {
    let mut field = trim(field);
    while let Some(rest) = field.strip_prefix(b",").or_else(|| field.strip_suffix(b",")) {
        field = trim(rest);
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_gives_its_four_fields_stripped() {
        let customer = Customer::decode(b" wackywallaroo@fakeemail.com, , wackywallaroo, M\r\n").unwrap();
        assert_eq!(customer.email.as_bytes(), b"wackywallaroo@fakeemail.com");
        assert_eq!(customer.fb_user, b"");
        assert_eq!(customer.insta_user, b"wackywallaroo");
        assert_eq!(customer.gender, b"M");
        assert_eq!(customer.extra, None);
    }

    #[test]
    fn more_fields_never_fail_a_row() {
        assert_eq!(Customer::decode(b"a@x, , , , M").unwrap().extra, Some(&b" M"[..]));
        assert_eq!(Customer::decode(b"a@x, , , F,").unwrap().extra, Some(&b""[..]));
    }

    #[test]
    fn other_separators_are_told() {
        let told = Customer::decode(b"a@x;fb;insta;F").unwrap_err().to_string();
        assert!(told.ends_with("found 1; fields are separated by commas only"), "{told}");
    }

    #[test]
    fn a_conversion_never_makes_its_promo_a_member() {
        let error = Customer::decode(b"Hoodie, ClickConversion, a@x, Instagram").unwrap_err();
        assert_eq!(error, RecordError::ConversionInList { kind: ConversionKind::Click });
    }

    #[test]
    fn fewer_fields_are_told_with_their_names() {
        assert_eq!(
            Customer::decode(b"a@x, b").unwrap_err().to_string(),
            "expected a loyalty row with 4 fields (email, Facebook user, Instagram user, gender), found 2"
        );
    }
}
