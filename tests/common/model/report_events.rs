//! The records of a report for its model, and the arithmetic of its figures.

/// A record of the stream.
#[derive(Debug, Clone)]
pub enum ModelEvent {
    LoyaltyRow { email: &'static str, fb: bool, insta: bool, gender: &'static str },
    Click { email: &'static str, promo: String, channel: String },
    Basket { email: &'static str, promo: String, items: Vec<&'static str> },
    Purchase { email: &'static str, promo: String, items: Vec<&'static str>, cost: &'static str },
}

use ModelEvent::{Basket, Click, LoyaltyRow, Purchase};

/// Costs as text, in cents, and their number of decimals. Some cannot be summed.
pub const COSTS: [(&str, Option<i128>, u8); 6] = [
    ("18.64", Some(1864), 2),
    ("-3.5", Some(-350), 1),
    ("+007", Some(700), 0),
    ("0.01", Some(1), 2),
    ("1234567890123456789", None, 0),
    ("999999999999.99", Some(99_999_999_999_999), 2),
];

pub fn cents(cost: &str) -> Option<i128> {
    COSTS.iter().find(|(text, ..)| *text == cost).unwrap().1
}

impl ModelEvent {
    pub fn line(&self) -> String {
        match self {
            LoyaltyRow { email, fb, insta, gender } => {
                format!("{email}, {}, {}, {gender}", if *fb { "fb" } else { "" }, if *insta { "insta" } else { "" })
            }
            Click { email, promo, channel } => format!("{promo}, ClickConversion, {email}, {channel}"),
            Basket { email, promo, items } => format!("{promo}, BasketConversion, {email}, [{}]", items.join(";")),
            Purchase { email, promo, items, cost } => {
                format!("{promo}, PurchaseConversion, {email}, [{}], {cost}", items.join(";"))
            }
        }
    }

    pub fn email(&self) -> &'static str {
        match self {
            LoyaltyRow { email, .. } | Click { email, .. } | Basket { email, .. } | Purchase { email, .. } => email,
        }
    }

    /// The same event with the email in lower case.
    pub fn lower_case(mut self) -> Self {
        let (LoyaltyRow { email, .. } | Click { email, .. } | Basket { email, .. } | Purchase { email, .. }) =
            &mut self;
        *email = if *email == "A@x" { "a@x" } else { *email };
        self
    }

    pub fn promo(&self) -> Option<&String> {
        match self {
            LoyaltyRow { .. } => None,
            Click { promo, .. } | Basket { promo, .. } | Purchase { promo, .. } => Some(promo),
        }
    }

    pub fn is_loyalty_row(&self) -> bool {
        matches!(self, LoyaltyRow { .. })
    }
}

/// A part of a whole in percent, with one digit after the point.
pub fn percent(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| rounded(part * 1_000, whole) / 10.0)
}

/// A quotient rounded half up.
pub fn rounded(part: usize, whole: usize) -> f64 {
    ((2 * part + whole) / (2 * whole)) as f64
}

/// A mean of cents, rounded half away from zero.
pub fn mean(cents: i128, count: i128) -> Option<String> {
    let sign = if cents < 0 { -1 } else { 1 };
    (count > 0).then(|| decimal(sign * ((2 * cents.abs() + count) / (2 * count))))
}

/// Cents with two digits after the point.
pub fn decimal(cents: i128) -> String {
    format!("{}{}.{:02}", if cents < 0 { "-" } else { "" }, cents.abs() / 100, cents.abs() % 100)
}
