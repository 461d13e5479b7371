//! The typed values of a decoded record, and the spans of its fields.

use super::field::{Bytes, Span, first_control, trim};
use super::{RecordError, Time};

/// The kind of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordKind {
    LoyaltyRow,
    Conversion(ConversionKind),
    /// A purchase before the part of the log that is replayed. It makes the customer a member and has no decision.
    EarlierPurchase,
    /// An email or a digest of a suppression list.
    SuppressedEmail,
}

/// The three types of conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConversionKind {
    /// The customer clicked the ad.
    Click,
    /// The customer put items into a basket.
    Basket,
    /// The customer bought a basket.
    Purchase,
}

impl ConversionKind {
    /// The type with this name in the data, matched exactly.
    #[inline(always)]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        // A comparison with a constant compares words, where a pattern compares single bytes.
        if name == b"ClickConversion" {
            Some(Self::Click)
        } else if name == b"BasketConversion" {
            Some(Self::Basket)
        } else if name == b"PurchaseConversion" {
            Some(Self::Purchase)
        } else {
            None
        }
    }

    /// The type with this short name, in any case.
    pub fn from_short_name(name: &[u8]) -> Option<Self> {
        let kinds = [(Self::Click, "click"), (Self::Basket, "basket"), (Self::Purchase, "purchase")];
        kinds.into_iter().find(|(_, short)| name.eq_ignore_ascii_case(short.as_bytes())).map(|(kind, _)| kind)
    }

    /// The name of the type in the data.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Click => "ClickConversion",
            Self::Basket => "BasketConversion",
            Self::Purchase => "PurchaseConversion",
        }
    }
}

/// A loyalty row: `email, Facebook user, Instagram user, gender`. All fields except the email may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoyaltyRow<'a> {
    /// The email, which identifies the customer. It contains no control bytes and is compared byte for byte.
    pub email: &'a [u8],
    pub fb_user: &'a [u8],
    pub insta_user: &'a [u8],
    pub gender: &'a [u8],
    /// The text after the comma that follows the gender. Real lists have rows with more fields; a saved list keeps
    /// them.
    pub extra: Option<&'a [u8]>,
}

/// One conversion of a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conversion<'a> {
    pub promo: &'a [u8],
    pub email: &'a [u8],
    pub action: Action<'a>,
    /// Its time as it was written, if a column has it.
    pub time: Option<&'a [u8]>,
}

impl Conversion<'_> {
    #[inline]
    pub const fn kind(&self) -> ConversionKind {
        match self.action {
            Action::Click { .. } => ConversionKind::Click,
            Action::Basket { .. } => ConversionKind::Basket,
            Action::Purchase { .. } => ConversionKind::Purchase,
        }
    }
}

/// The action of a customer, with the fields of this type of conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action<'a> {
    /// The channel of the ad, such as `Instagram`.
    Click {
        channel: &'a [u8],
    },
    Basket {
        items: Items<'a>,
    },
    Purchase {
        items: Items<'a>,
        /// `None` if a table does not have it.
        total_cost: Option<TotalCost<'a>>,
    },
}

/// A decoded record: its kind and the spans of its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodedRecord {
    pub kind: RecordKind,
    pub email: Span,
    pub fields: FieldSpans,
    /// The time of a conversion, if a column has it.
    pub time: Option<Time>,
}

/// The stripped fields of a record, except its email.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldSpans {
    /// The promo of a conversion, or the Facebook user of a loyalty row.
    pub first: Span,
    /// The channel of a click, the items of a basket or purchase, or the Instagram user of a loyalty row.
    pub second: Span,
    /// The total cost of a purchase, or the gender of a loyalty row.
    pub third: Span,
    /// The text after the fields that the record needs, unsplit.
    pub extra: Span,
    /// The time of a conversion, as it was written.
    pub time: Span,
}

impl DecodedRecord {
    /// The record as a loyalty row; `None` for a conversion.
    #[inline]
    pub fn loyalty_row<'a>(&self, bytes: Bytes<'a>) -> Option<LoyaltyRow<'a>> {
        let Self { kind: RecordKind::LoyaltyRow, email, fields, .. } = *self else { return None };
        Some(LoyaltyRow {
            email: bytes.get(email),
            fb_user: bytes.get(fields.first),
            insta_user: bytes.get(fields.second),
            gender: bytes.get(fields.third),
            extra: bytes.get_optional(fields.extra),
        })
    }

    /// The record as a conversion, with or without a decision; `None` for a loyalty row.
    #[inline]
    pub fn conversion<'a>(&self, bytes: Bytes<'a>) -> Option<Conversion<'a>> {
        let Self { kind, email, fields, .. } = *self;
        let kind = match kind {
            RecordKind::LoyaltyRow | RecordKind::SuppressedEmail => return None,
            RecordKind::Conversion(kind) => kind,
            RecordKind::EarlierPurchase => ConversionKind::Purchase,
        };
        let second = bytes.get(fields.second);
        let action = match kind {
            ConversionKind::Click => Action::Click { channel: second },
            ConversionKind::Basket => Action::Basket { items: Items::of_checked(second) },
            ConversionKind::Purchase => Action::Purchase {
                items: Items::of_checked(second),
                total_cost: bytes.get_optional(fields.third).map(TotalCost),
            },
        };
        let time = bytes.get_optional(fields.time);
        Some(Conversion { promo: bytes.get(fields.first), email: bytes.get(email), action, time })
    }
}

/// A checked list of item ids. Every id is stripped, not empty, and free of `;`, brackets and control bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Items<'a> {
    /// The text between the brackets, stripped.
    inner: &'a [u8],
}

impl<'a> Items<'a> {
    /// Parses a stripped field.
    ///
    /// # Errors
    /// When the brackets are missing, an id is empty, or an id contains an invalid byte.
    #[inline]
    pub fn parse(field: &'a [u8]) -> Result<Self, RecordError<'a>> {
        let [b'[', inner @ .., b']'] = field else {
            return Err(RecordError::ItemsWithoutBrackets { items: field });
        };
        let items = Self { inner: trim(inner) };
        if items.inner.is_empty() || are_plain_ids(items.inner) {
            return Ok(items);
        }
        for id in items.iter() {
            if id.is_empty() {
                return Err(RecordError::EmptyItem { items: field });
            }
            if id.iter().any(|byte| matches!(byte, b'[' | b']')) || first_control(id).is_some() {
                return Err(RecordError::BadItem { id });
            }
        }
        Ok(items)
    }

    /// The list in a field that the decoder has accepted. An empty field, which only tables have, is an empty list.
    #[inline]
    fn of_checked(field: &'a [u8]) -> Self {
        if field.is_empty() {
            return Self { inner: field };
        }
        let [b'[', inner @ .., b']'] = field else { panic!("the decoder checked the brackets") };
        Self { inner: trim(inner) }
    }

    /// The text between the brackets: ids with semicolons between them, and perhaps white space around them.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.inner
    }

    /// The ids, in the order of the record. An empty basket has none.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        let ids = (!self.inner.is_empty()).then(|| self.inner.split(|&byte| byte == b';'));
        ids.into_iter().flatten().map(trim)
    }
}

/// Whether every id is valid and contains no white space except spaces. Nearly all lists pass this fast test, which has
/// no branch for a byte.
#[inline]
fn are_plain_ids(list: &[u8]) -> bool {
    let (mut is_valid, mut previous) = (true, b';');
    for &byte in list {
        is_valid &= byte >= b' ' && !matches!(byte, b'[' | b']' | 0x7f) && !(byte == b';' && previous == b';');
        previous = if byte == b' ' { previous } else { byte };
    }
    is_valid && previous != b';'
}

/// A decimal number as it was written: an optional sign, digits, and an optional fraction.
///
/// It keeps all digits and is never converted to a binary float.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TotalCost<'a>(&'a [u8]);

impl<'a> TotalCost<'a> {
    /// Parses a stripped field.
    ///
    /// # Errors
    /// When the field is not `[+-]digits[.digits]`.
    #[inline]
    pub fn parse(field: &'a [u8]) -> Result<Self, RecordError<'a>> {
        let unsigned = match field {
            [b'+' | b'-', unsigned @ ..] => unsigned,
            unsigned => unsigned,
        };
        let (mut is_number, mut points) = (true, 0);
        for &byte in unsigned {
            is_number &= byte.is_ascii_digit() | (byte == b'.');
            points += usize::from(byte == b'.');
        }
        let ends_with_digits = matches!(unsigned, [b'0'..=b'9', ..]) && matches!(unsigned, [.., b'0'..=b'9']);
        if is_number && points <= 1 && ends_with_digits {
            Ok(Self(field))
        } else {
            Err(RecordError::BadTotalCost { cost: field })
        }
    }

    /// Whether it is more than zero.
    pub fn is_positive(self) -> bool {
        !self.0.starts_with(b"-") && self.0.iter().any(|byte| matches!(byte, b'1'..=b'9'))
    }

    /// The number as it was written.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_split_at_semicolons_and_stripped() {
        let no_ids: &[&[u8]] = &[];
        for (field, ids) in
            [(&b"[6; 14 ;a b]"[..], &[&b"6"[..], b"14", b"a b"][..]), (b"[]", no_ids), (b"[ \t]", no_ids)]
        {
            assert_eq!(Items::parse(field).unwrap().iter().collect::<Vec<_>>(), ids);
        }
    }

    #[test]
    fn an_empty_id_or_a_misplaced_bracket_is_rejected() {
        for items in [&b"[;]"[..], b"[6;]", b"[;6]", b"[6; ;9]"] {
            assert_eq!(Items::parse(items), Err(RecordError::EmptyItem { items }));
        }
        for items in [&b""[..], b"[", b"]", b"6;9", b"[6", b"6]"] {
            assert_eq!(Items::parse(items), Err(RecordError::ItemsWithoutBrackets { items }));
        }
        assert_eq!(Items::parse(b"[6;[9]]"), Err(RecordError::BadItem { id: b"[9]" }));
        assert_eq!(Items::parse(b"[6;9\0]"), Err(RecordError::BadItem { id: b"9\0" }));
    }

    #[test]
    fn every_digit_of_a_total_cost_is_kept() {
        for field in ["18.64", "-3", "+0.50", "007", "123456789012345678901234567890.123456789012345678901"] {
            assert_eq!(TotalCost::parse(field.as_bytes()).unwrap().as_bytes(), field.as_bytes());
        }
    }

    #[test]
    fn zero_and_negative_total_costs_are_not_positive() {
        let is_positive = |field: &str| TotalCost::parse(field.as_bytes()).unwrap().is_positive();
        assert!(["1", "+0.01", "10"].into_iter().all(is_positive));
        assert!(!["0", "0.00", "+0", "-0", "-1.50"].into_iter().any(is_positive));
    }

    #[test]
    fn only_decimal_numbers_are_total_costs() {
        for field in ["", "+", ".", "5.", ".5", "1,5", "1e3", "1.2.3", "--1", "$5", "NaN", "1 0"] {
            let cost = field.as_bytes();
            assert_eq!(TotalCost::parse(cost), Err(RecordError::BadTotalCost { cost }), "{field:?}");
        }
    }
}
