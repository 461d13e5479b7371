//! A click, a basket or a purchase.

use super::field::Fields;
use super::row::Row;
use super::{Email, Items, RecordError, TotalCost};

/// One conversion: somebody answered the ad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversion<'a> {
    /// The promotion that the ad was for.
    pub promo: &'a [u8],
    /// Who answered.
    pub email: Email<'a>,
    /// What they did.
    pub action: Action<'a>,
}

/// What a customer did, with what only this kind of conversion carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action<'a> {
    /// Clicked the ad.
    Click {
        /// Where the ad stood, for instance `Instagram`.
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

/// The three types of conversion, by their names in the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConversionKind {
    /// `ClickConversion`
    Click,
    /// `BasketConversion`
    Basket,
    /// `PurchaseConversion`
    Purchase,
}

impl ConversionKind {
    /// The type that `name` stands for, matched exactly.
    #[inline(always)]
    pub const fn from_name(name: &[u8]) -> Option<Self> {
        match name {
            b"ClickConversion" => Some(Self::Click),
            b"BasketConversion" => Some(Self::Basket),
            b"PurchaseConversion" => Some(Self::Purchase),
            _ => None,
        }
    }

    /// The name that stands for the type in the data.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Click => "ClickConversion",
            Self::Basket => "BasketConversion",
            Self::Purchase => "PurchaseConversion",
        }
    }

    /// The names of the fields that a record of this type must hold.
    pub const fn fields(self) -> &'static [&'static str] {
        self.layout().1
    }

    /// What a record of this type must hold: its name with an article, and its fields.
    const fn layout(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Click => ("a click", &["promo", "ClickConversion", "email", "where"]),
            Self::Basket => ("a basket", &["promo", "BasketConversion", "email", "items"]),
            Self::Purchase => ("a purchase", &["promo", "PurchaseConversion", "email", "items", "total cost"]),
        }
    }
}

impl Action<'_> {
    /// The type of the conversion.
    #[inline]
    pub const fn kind(&self) -> ConversionKind {
        match self {
            Self::Click { .. } => ConversionKind::Click,
            Self::Basket { .. } => ConversionKind::Basket,
            Self::Purchase { .. } => ConversionKind::Purchase,
        }
    }
}

impl<'a> Conversion<'a> {
    /// Decodes one conversion. Fields behind the last one that its type needs are ignored.
    ///
    /// # Errors
    /// When the type is unknown, fields are missing, or one of them cannot be what it should be.
    pub fn decode(record: &'a [u8]) -> Result<Self, RecordError<'a>> {
        Self::decode_fields(Fields::of(record))
    }

    /// The same of a record whose fields may have been told apart already.
    ///
    /// # Errors
    /// As [`Self::decode`].
    #[inline(always)]
    pub fn decode_fields(mut fields: Fields<'a>) -> Result<Self, RecordError<'a>> {
        let record = fields.record();
        let (Some(promo), Some(name)) = (fields.next(), fields.next()) else {
            return Err(RecordError::TooFewFields {
                what: "a conversion",
                fields: &["promo", "conversion type", "email", "…"],
                found: 1,
                record,
            });
        };
        let kind = ConversionKind::from_name(name).ok_or(RecordError::UnknownConversion { promo, name })?;
        let mut field = || fields.next().ok_or_else(|| too_few(kind, record));
        let email = Email::parse(field()?)?;
        let action = match kind {
            ConversionKind::Click => Action::Click { channel: field()? },
            ConversionKind::Basket => Action::Basket { items: Items::parse(field()?)? },
            ConversionKind::Purchase => {
                let (items, total_cost) = (field()?, field()?);
                Action::Purchase { items: Items::parse(items)?, total_cost: TotalCost::parse(total_cost)? }
            }
        };
        Ok(Self { promo, email, action })
    }
}

impl<'a> Conversion<'a> {
    /// Decodes one row of a table, as [`super::write_row`] wrote it with [`super::CONVERSION_COLUMNS`].
    ///
    /// # Errors
    /// When the row does not fit its header, or for what [`Self::decode`] refuses.
    pub fn decode_row(payload: &'a [u8]) -> Result<Self, RecordError<'a>> {
        let mut row = Row::open(payload)?;
        let mut column = || row.next_column();
        let (promo, name, email) = (column(), column(), column());
        let (channel, items, total_cost) = (column(), column(), column());
        let (promo, name) = (promo.unwrap_or_default(), name.unwrap_or_default());
        let kind = ConversionKind::from_name(name).ok_or(RecordError::UnknownConversion { promo, name })?;
        let (what, _) = kind.layout();
        let no_column = |column| RecordError::NoColumn { what, column };
        let email = Email::parse_unsplit(email.unwrap_or_default())?;
        let items = || Items::parse(items.ok_or(no_column("items"))?);
        let action = match kind {
            ConversionKind::Click => Action::Click { channel: channel.ok_or(no_column("where"))? },
            ConversionKind::Basket => Action::Basket { items: items()? },
            ConversionKind::Purchase => Action::Purchase {
                items: items()?,
                total_cost: TotalCost::parse(total_cost.ok_or(no_column("total_cost"))?)?,
            },
        };
        Ok(Self { promo, email, action })
    }
}

#[cold]
fn too_few(kind: ConversionKind, record: &[u8]) -> RecordError<'_> {
    let (what, fields) = kind.layout();
    RecordError::TooFewFields { what, fields, found: Fields::of(record).count(), record }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(record: &[u8]) -> String {
        Conversion::decode(record).unwrap_err().to_string()
    }

    #[test]
    fn a_click_says_where_the_ad_was() {
        let click =
            Conversion::decode(b"MarsupialHoodie, ClickConversion, playfulwally@fakeemail.com, Instagram").unwrap();
        assert_eq!(click.promo, b"MarsupialHoodie");
        assert_eq!(click.email.as_bytes(), b"playfulwally@fakeemail.com");
        assert_eq!(click.action, Action::Click { channel: b"Instagram" });
    }

    #[test]
    fn a_purchase_takes_its_total_cost_from_the_fifth_field() {
        let purchase = Conversion::decode(b"P, PurchaseConversion, wombatz@fakeemail.com, [6;9], 18.64").unwrap();
        let Action::Purchase { items, total_cost } = purchase.action else { panic!("{purchase:?}") };
        assert_eq!(items.iter().collect::<Vec<_>>(), [b"6", b"9"]);
        assert_eq!(total_cost.as_bytes(), b"18.64");
    }

    #[test]
    fn promo_and_channel_may_be_empty_and_more_fields_are_ignored() {
        let click = Conversion::decode(b",ClickConversion,a@x,,more,[,").unwrap();
        assert_eq!((click.promo, click.action), (&b""[..], Action::Click { channel: b"" }));
    }

    #[test]
    fn the_type_is_matched_exactly() {
        assert_eq!(
            message(b"P, ClikConversion, a@x, w"),
            "unknown conversion type \"ClikConversion\" (expected ClickConversion, BasketConversion or PurchaseConversion)"
        );
        assert!(message(b"P, clickconversion, a@x, w").starts_with("unknown conversion type \"clickconversion\""));
    }

    #[test]
    fn a_purchase_without_its_total_cost_is_refused() {
        assert_eq!(
            message(b"P, PurchaseConversion, a@x, [6]"),
            "expected a purchase with 5 fields (promo, PurchaseConversion, email, items, total cost), found 4"
        );
    }

    #[test]
    fn an_email_that_could_forge_a_line_is_refused() {
        assert_eq!(
            message(b"P, ClickConversion, a@x\nSend, w"),
            r#"the email "a@x\nSend" holds a control byte (0x0a)"#
        );
        assert_eq!(message(b"P, ClickConversion, \x0b , w"), "the email is empty");
    }
}
