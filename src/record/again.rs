//! Finding the fields of a conversion that was decoded before.
//!
//! That its fields are good is known, and so is where its email lies. What is left is to find the others, which costs
//! a fraction of decoding the record from its first byte to its last.

use super::field::{Fields, trim};
use super::{Action, Conversion, ConversionKind, Email, Items, TotalCost};

impl<'a> Conversion<'a> {
    /// The conversion of this kind that `record`, laid out with commas, was found to be, when its email was `email`, a
    /// part of it. `None` when it is not.
    #[inline]
    pub fn find_again(kind: ConversionKind, email: &'a [u8], record: &'a [u8]) -> Option<Self> {
        let start = (email.as_ptr() as usize).checked_sub(record.as_ptr() as usize)?;
        let behind = record.get(start.checked_add(email.len())?..)?;
        // What follows the email up to the comma is white space.
        let mut fields = Fields::of(trim(behind).strip_prefix(b",")?);
        let action = match kind {
            ConversionKind::Click => Action::Click { channel: fields.next()? },
            ConversionKind::Basket => Action::Basket { items: Items::found_again(fields.next()?)? },
            ConversionKind::Purchase => {
                let items = Items::found_again(fields.next()?)?;
                Action::Purchase { items, total_cost: TotalCost::found_again(fields.next()?) }
            }
        };
        Some(Self { promo: Fields::of(record).next()?, email: Email::found_again(email), action })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_again_is_what_was_decoded() {
        for record in [
            "P, ClickConversion, a@x, Web",
            " ,ClickConversion,a@x,",
            "a@x\t,\tClickConversion\t,\ta@x\t,\tWeb\t, more, a@x",
            "P, BasketConversion, a@x , [ 6 ; 14 ] ",
            "P, BasketConversion, [], []",
            "a@x, PurchaseConversion, a@x, [], -1.50, extra",
        ] {
            let decoded = Conversion::decode(record.as_bytes()).unwrap();
            let found = Conversion::find_again(decoded.action.kind(), decoded.email.as_bytes(), record.as_bytes());
            assert_eq!(found, Some(decoded), "{record}");
        }
    }

    #[test]
    fn an_email_from_elsewhere_finds_nothing() {
        let record = b"P, ClickConversion, a@x, Web";
        let (before, behind) = record.split_at(10);
        assert_eq!(Conversion::find_again(ConversionKind::Click, before, behind), None);
    }
}
