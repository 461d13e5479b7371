//! The typed values of a decoded record, and the spans of its fields.

use super::field::{Bytes, Span};
use super::{Items, TotalCost};

/// The kind of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// A loyalty row.
    LoyaltyRow,
    /// A conversion.
    Conversion(ConversionKind),
}

/// The three types of conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConversionKind {
    /// The customer clicked the ad: `ClickConversion`.
    Click,
    /// The customer put items into a basket: `BasketConversion`.
    Basket,
    /// The customer bought a basket: `PurchaseConversion`.
    Purchase,
}

impl ConversionKind {
    /// The type with this name in the data, matched exactly.
    #[inline(always)]
    pub const fn from_name(name: &[u8]) -> Option<Self> {
        match name {
            b"ClickConversion" => Some(Self::Click),
            b"BasketConversion" => Some(Self::Basket),
            b"PurchaseConversion" => Some(Self::Purchase),
            _ => None,
        }
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
    /// The user name on Facebook.
    pub fb_user: &'a [u8],
    /// The user name on Instagram.
    pub insta_user: &'a [u8],
    /// The gender, as the list writes it.
    pub gender: &'a [u8],
    /// The text after the comma that follows the gender. Real lists have rows with more fields; a saved list keeps
    /// them.
    pub extra: Option<&'a [u8]>,
}

/// One conversion of a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conversion<'a> {
    /// The promotion that the ad was for.
    pub promo: &'a [u8],
    /// The customer's email.
    pub email: &'a [u8],
    /// The action of the customer.
    pub action: Action<'a>,
}

impl Conversion<'_> {
    /// The type of the conversion.
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
    /// Clicked the ad.
    Click {
        /// The channel of the ad, such as `Instagram`.
        channel: &'a [u8],
    },
    /// Put items into a basket.
    Basket {
        /// The items in the basket.
        items: Items<'a>,
    },
    /// Bought a basket.
    Purchase {
        /// The items bought.
        items: Items<'a>,
        /// The total cost of the items.
        total_cost: TotalCost<'a>,
    },
}

/// A decoded record: its kind and the spans of its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodedRecord {
    /// Its kind.
    pub kind: RecordKind,
    /// Its email.
    pub email: Span,
    /// Its other fields.
    pub fields: FieldSpans,
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
}

impl DecodedRecord {
    /// The loyalty row that the record is; `None` for a conversion.
    #[inline]
    pub fn loyalty_row<'a>(&self, bytes: Bytes<'a>) -> Option<LoyaltyRow<'a>> {
        let Self { kind: RecordKind::LoyaltyRow, email, fields } = *self else { return None };
        Some(LoyaltyRow {
            email: bytes.get(email),
            fb_user: bytes.get(fields.first),
            insta_user: bytes.get(fields.second),
            gender: bytes.get(fields.third),
            extra: bytes.get_optional(fields.extra),
        })
    }

    /// The conversion that the record is; `None` for a loyalty row.
    #[inline]
    pub fn conversion<'a>(&self, bytes: Bytes<'a>) -> Option<Conversion<'a>> {
        let Self { kind: RecordKind::Conversion(kind), email, fields } = *self else { return None };
        let second = bytes.get(fields.second);
        let action = match kind {
            ConversionKind::Click => Action::Click { channel: second },
            ConversionKind::Basket => Action::Basket { items: Items::of_checked(second) },
            ConversionKind::Purchase => Action::Purchase {
                items: Items::of_checked(second),
                total_cost: TotalCost::of_checked(bytes.get(fields.third)),
            },
        };
        Some(Conversion { promo: bytes.get(fields.first), email: bytes.get(email), action })
    }
}
