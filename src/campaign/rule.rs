//! The rule of the campaign, as the original Wallaroo application defines it (`process_email_add_customer`).

use crate::record::{ConversionKind, RecordKind};

/// The decision for one conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Decision {
    /// Send the customer an additional promo code.
    pub send: bool,
    /// The customer becomes a member by this conversion.
    pub enrolled: bool,
}

/// The effect of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The decision; the default for a loyalty row.
    pub decision: Decision,
    /// Whether the customer becomes a member by this record.
    pub joins: bool,
}

/// Applies the rule to a record of a customer. `was_member` is the membership before the record.
///
/// A click by a member gets a code. A loyalty row or a purchase makes the customer a member, from the next record on.
/// Nothing else has an effect.
#[inline]
pub const fn transition(was_member: bool, record: RecordKind) -> Transition {
    let RecordKind::Conversion(conversion) = record else {
        return Transition { decision: Decision { send: false, enrolled: false }, joins: !was_member };
    };
    let decision = match (conversion, was_member) {
        (ConversionKind::Click, true) => Decision { send: true, enrolled: false },
        (ConversionKind::Purchase, false) => Decision { send: false, enrolled: true },
        (ConversionKind::Click, false) | (ConversionKind::Purchase, true) | (ConversionKind::Basket, _) => {
            Decision { send: false, enrolled: false }
        }
    };
    Transition { decision, joins: decision.enrolled }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ConversionKind::{Basket, Click, Purchase};
    use RecordKind::{Conversion, LoyaltyRow};

    #[test]
    fn member_clicks_get_codes_and_purchases_enrol() {
        for (was_member, record, send, enrolled, joins) in [
            (true, Conversion(Click), true, false, false),
            (true, Conversion(Basket), false, false, false),
            (true, Conversion(Purchase), false, false, false),
            (false, Conversion(Click), false, false, false),
            (false, Conversion(Basket), false, false, false),
            (false, Conversion(Purchase), false, true, true),
            (true, LoyaltyRow, false, false, false),
            (false, LoyaltyRow, false, false, true),
        ] {
            let expected = Transition { decision: Decision { send, enrolled }, joins };
            assert_eq!(transition(was_member, record), expected, "{was_member}, {record:?}");
        }
    }
}
