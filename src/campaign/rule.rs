//! The rule of the campaign, as the original Wallaroo application defines it (`process_email_add_customer`), and the
//! reasons for decisions.

use std::ops::AddAssign;

use crate::record::{ConversionKind, RecordKind};

/// The decision for one conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Decision {
    /// Send the customer an additional promo code.
    pub send: bool,
    /// The customer becomes a member by this conversion.
    pub enrolled: bool,
    /// The gate of the policy that stopped a click by a member.
    pub stopped_by: Option<Gate>,
}

/// A gate of the campaign policy. A click by a member passes the gates in this order; the first that stops it gives the
/// reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// The campaign names promos, and the promo of the click is none of them.
    Promos,
    /// The email is on a suppression list.
    Suppression,
    /// The customer was sent a code before.
    Once,
    /// The customer is in the control group.
    Holdout,
    /// No unused code is left.
    Codes,
}

/// The reason for a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A click by a member that passed all gates.
    MemberClick,
    /// Stopped by [`Gate::Promos`].
    OtherPromo,
    /// Stopped by [`Gate::Suppression`].
    Suppressed,
    /// Stopped by [`Gate::Once`].
    AlreadySent,
    /// Stopped by [`Gate::Holdout`].
    HeldOut,
    /// Stopped by [`Gate::Codes`].
    NoCodeLeft,
    /// A click by a non-member.
    NotAMember,
    /// A basket.
    Basket,
    /// A purchase.
    Purchase,
}

impl Reason {
    /// All reasons, in the order in which they are listed.
    pub const ALL: [Self; 9] = [
        Self::MemberClick,
        Self::OtherPromo,
        Self::Suppressed,
        Self::AlreadySent,
        Self::HeldOut,
        Self::NoCodeLeft,
        Self::NotAMember,
        Self::Basket,
        Self::Purchase,
    ];

    /// The name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MemberClick => "member-click",
            Self::OtherPromo => "other-promo",
            Self::Suppressed => "suppressed",
            Self::AlreadySent => "already-sent",
            Self::HeldOut => "held-out",
            Self::NoCodeLeft => "no-code-left",
            Self::NotAMember => "not-a-member",
            Self::Basket => "basket",
            Self::Purchase => "purchase",
        }
    }
}

/// The number of decisions by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReasonCounts([u64; Reason::ALL.len()]);

impl ReasonCounts {
    /// Counts a decision.
    pub const fn add(&mut self, reason: Reason) {
        self.0[reason as usize] += 1;
    }

    /// Counts this many decisions.
    #[cfg(feature = "cluster")]
    pub const fn add_many(&mut self, reason: Reason, count: u64) {
        self.0[reason as usize] += count;
    }

    /// The number of decisions with this reason.
    pub const fn get(&self, reason: Reason) -> u64 {
        self.0[reason as usize]
    }
}

impl AddAssign for ReasonCounts {
    fn add_assign(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, count)| *sum += count);
    }
}

impl Decision {
    /// A decision to send a code.
    pub const SEND: Self = Self { send: true, enrolled: false, stopped_by: None };

    /// The decision for a click by a member that this gate stopped.
    pub const fn stopped(gate: Gate) -> Self {
        Self { send: false, enrolled: false, stopped_by: Some(gate) }
    }

    /// The reason for the decision on a conversion of this kind.
    pub const fn reason(self, kind: ConversionKind) -> Reason {
        match (kind, self.stopped_by) {
            (_, Some(Gate::Promos)) => Reason::OtherPromo,
            (_, Some(Gate::Suppression)) => Reason::Suppressed,
            (_, Some(Gate::Once)) => Reason::AlreadySent,
            (_, Some(Gate::Holdout)) => Reason::HeldOut,
            (_, Some(Gate::Codes)) => Reason::NoCodeLeft,
            (ConversionKind::Click, None) if self.send => Reason::MemberClick,
            (ConversionKind::Click, None) => Reason::NotAMember,
            (ConversionKind::Basket, None) => Reason::Basket,
            (ConversionKind::Purchase, None) => Reason::Purchase,
        }
    }
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
///
/// # Panics
/// When the record is an entry of a suppression list, which has no customer.
#[inline]
pub const fn transition(was_member: bool, record: RecordKind) -> Transition {
    const NOTHING: Decision = Decision { send: false, enrolled: false, stopped_by: None };
    let conversion = match record {
        RecordKind::Conversion(conversion) => conversion,
        RecordKind::LoyaltyRow | RecordKind::EarlierPurchase => {
            return Transition { decision: NOTHING, joins: !was_member };
        }
        RecordKind::SuppressedEmail => panic!("suppression lists are not applied to customers"),
    };
    let decision = match (conversion, was_member) {
        (ConversionKind::Click, true) => Decision::SEND,
        (ConversionKind::Purchase, false) => Decision { enrolled: true, ..NOTHING },
        (ConversionKind::Click, false) | (ConversionKind::Purchase, true) | (ConversionKind::Basket, _) => NOTHING,
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
            let expected = Transition { decision: Decision { send, enrolled, stopped_by: None }, joins };
            assert_eq!(transition(was_member, record), expected, "{was_member}, {record:?}");
        }
    }
}
