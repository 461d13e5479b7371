//! The typed values of a decoded record, and the spans that they are made of.

use super::field::{Bytes, Span};
use super::{Items, TotalCost};

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// A row of the loyalty list.
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

/// A loyalty customer: `email, Facebook user, Instagram user, gender`. Everything but the email may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoyaltyRow<'a> {
    /// The email, which identifies the customer everywhere: compared byte for byte, without control bytes.
    pub email: &'a [u8],
    /// The user name on Facebook.
    pub fb_user: &'a [u8],
    /// The user name on Instagram.
    pub insta_user: &'a [u8],
    /// The gender, as the list writes it.
    pub gender: &'a [u8],
    /// What follows the comma after the gender. Real lists have rows with more fields; a saved list keeps them.
    pub extra: Option<&'a [u8]>,
}

/// One conversion of a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conversion<'a> {
    /// The promotion that the ad was for.
    pub promo: &'a [u8],
    /// The customer's email.
    pub email: &'a [u8],
    /// What the customer did.
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

/// What a customer did, with what only this type of conversion carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action<'a> {
    /// Clicked the ad.
    Click {
        /// Where the ad was, for instance `Instagram`.
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
        /// What they cost together.
        total_cost: TotalCost<'a>,
    },
}

/// A record as the decoder found it: what it is, and where its fields are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodedRecord {
    /// What it is.
    pub kind: RecordKind,
    /// Where its email is.
    pub email: Span,
    /// Where its other fields are.
    pub fields: FieldSpans,
}

/// Where the fields of a record are, stripped, without its email.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldSpans {
    /// The promo of a conversion, the Facebook user of a customer.
    pub first: Span,
    /// The channel of a click, the items of a basket or purchase, the Instagram user of a customer.
    pub second: Span,
    /// The total cost of a purchase, the gender of a customer.
    pub third: Span,
    /// Whatever follows the fields that the record needs, unsplit.
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
