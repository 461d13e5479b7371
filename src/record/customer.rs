//! A row of the loyalty list.

use memchr::memchr;

use super::field::Fields;
use super::{Email, RecordError};

const FIELDS: [&str; 4] = ["email", "Facebook user", "Instagram user", "gender"];

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
    /// Decodes one loyalty row.
    ///
    /// # Errors
    /// When fields are missing, the email is no email, or a field holds a line feed (which text cannot carry, so only
    /// a frame could have brought it, and a saved list would turn it into two rows).
    pub fn decode(record: &'a [u8]) -> Result<Self, RecordError<'a>> {
        let mut fields = Fields::of(record);
        let (Some(email), Some(fb_user), Some(insta_user), Some(gender)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(RecordError::TooFewFields {
                what: "a loyalty row",
                fields: &FIELDS,
                found: Fields::of(record).count(),
            });
        };
        let customer = Self { email: Email::parse(email)?, fb_user, insta_user, gender, extra: fields.rest() };
        match Fields::of(record).find(|field| memchr(b'\n', field).is_some()) {
            None => Ok(customer),
            Some(field) => Err(RecordError::LineFeedInRow { field }),
        }
    }
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
    fn fewer_fields_are_told_with_their_names() {
        assert_eq!(
            Customer::decode(b"a@x, b").unwrap_err().to_string(),
            "expected a loyalty row with 4 fields (email, Facebook user, Instagram user, gender), found 2"
        );
    }

    #[test]
    fn a_row_that_would_become_two_rows_is_refused() {
        assert_eq!(
            Customer::decode(b"a@x, b\nforged@x, , , F").unwrap_err(),
            RecordError::LineFeedInRow { field: b"b\nforged@x" }
        );
        assert!(Customer::decode(b"a@x, , , F, extra\nforged@x").is_err());
        assert!(Customer::decode(b"a@x, , , F\n,\nextra").is_ok(), "white space at a field's ends is stripped");
    }
}
