//! The decision rule.

use crate::record::ConversionKind;

/// What is decided on one conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Decision {
    /// Send the customer an additional promo code.
    pub send: bool,
    /// The customer becomes a member by this very conversion.
    pub enrolled: bool,
}

/// Decides on a conversion of somebody who is, or is not, a member at that moment.
///
/// A member who clicks gets a code. Somebody else who buys becomes a member, and gets none for it. Nothing else has
/// consequences.
#[inline]
pub const fn decide(member: bool, conversion: ConversionKind) -> Decision {
    match (conversion, member) {
        (ConversionKind::Click, true) => Decision { send: true, enrolled: false },
        (ConversionKind::Purchase, false) => Decision { send: false, enrolled: true },
        (ConversionKind::Click, false) | (ConversionKind::Purchase, true) | (ConversionKind::Basket, _) => {
            Decision { send: false, enrolled: false }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ConversionKind::{Basket, Click, Purchase};

    #[test]
    fn only_a_member_who_clicks_gets_a_code_and_only_a_stranger_who_buys_is_enrolled() {
        for (member, conversion, send, enrolled) in [
            (true, Click, true, false),
            (true, Basket, false, false),
            (true, Purchase, false, false),
            (false, Click, false, false),
            (false, Basket, false, false),
            (false, Purchase, false, true),
        ] {
            assert_eq!(decide(member, conversion), Decision { send, enrolled }, "{conversion:?}, member: {member}");
        }
    }
}
