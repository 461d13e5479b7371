//! Exact sums of total costs: decimal numbers as integers, never a binary float.
//!
//! The digits before and after the point are summed separately, each in 128 bits. A cost has at most 18 digits on
//! either side, so 2^64 purchases cannot overflow a sum. A cost with more digits is not an [`Amount`] and is counted
//! separately.

use std::ops::AddAssign;

use crate::record::TotalCost;

/// The maximum number of digits of an amount before the decimal point, without leading zeros.
pub const WHOLE_DIGITS: usize = 18;

/// The maximum number of digits of an amount after the decimal point, without trailing zeros.
pub const FRACTION_DIGITS: usize = 18;

/// One, in the unit of fractions: 10^-18.
const ONE: u128 = 10_u128.pow(FRACTION_DIGITS as u32);

/// A total cost that can be summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    whole: i64,
    /// In units of 10^-18, with the sign of the amount.
    fraction: i64,
    /// The number of digits after the decimal point.
    decimals: u8,
}

impl Amount {
    /// The amount of a total cost. `None` when it has too many digits.
    pub fn of(cost: TotalCost<'_>) -> Option<Self> {
        let cost = str::from_utf8(cost.as_bytes()).expect("a total cost is ASCII");
        let (sign, digits) = match cost.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, cost.strip_prefix('+').unwrap_or(cost)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let (whole, significant) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        if whole.len() > WHOLE_DIGITS || significant.len() > FRACTION_DIGITS {
            return None;
        }
        let scale = 10_i64.pow((FRACTION_DIGITS - significant.len()) as u32);
        let decimals = fraction.len().min(FRACTION_DIGITS) as u8;
        Some(Self { whole: sign * number(whole), fraction: sign * number(significant) * scale, decimals })
    }

    /// The number of digits after the decimal point, at most 18.
    pub const fn decimals(self) -> u8 {
        self.decimals
    }
}

/// The number of at most 18 decimal digits.
fn number(digits: &str) -> i64 {
    digits.bytes().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'))
}

/// A sum of amounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum {
    whole: i128,
    /// In units of 10^-18; it may be more than one.
    fraction: i128,
}

impl AddAssign<Amount> for Sum {
    fn add_assign(&mut self, amount: Amount) {
        self.whole += i128::from(amount.whole);
        self.fraction += i128::from(amount.fraction);
    }
}

add_fields!(Sum { whole, fraction });

impl Sum {
    /// The sum with this many digits after the point, which is exact if no amount has more.
    pub fn decimal(self, decimals: u8) -> String {
        let (is_negative, whole, fraction) = self.magnitude();
        decimal(is_negative, whole, fraction, decimals)
    }

    /// The mean of `count` amounts, rounded half away from zero to this many digits after the point. `None` when
    /// `count` is 0.
    pub fn mean(self, count: u64, decimals: u8) -> Option<String> {
        let count = u128::from(count);
        let (is_negative, whole, fraction) = self.magnitude();
        // The rest is below the count, which is below 2^64, so this cannot overflow.
        let rest = whole.checked_rem(count)? * ONE + fraction;
        let (quotient, remainder) = (rest / count, rest % count);
        let unit = 10_u128.pow(FRACTION_DIGITS.saturating_sub(usize::from(decimals)) as u32);
        let beyond = quotient % unit;
        let up = if unit == 1 { 2 * remainder >= count } else { 2 * beyond >= unit };
        let rounded = quotient - beyond + if up { unit } else { 0 };
        Some(decimal(is_negative, whole / count + rounded / ONE, rounded % ONE, decimals))
    }

    /// The sum for a chart, which is not exact.
    pub fn to_f64(self) -> f64 {
        self.whole as f64 + self.fraction as f64 / ONE as f64
    }

    /// A key that sorts sums by value.
    pub const fn sort_key(self) -> (i128, i128) {
        let one = ONE as i128;
        (self.whole + self.fraction.div_euclid(one), self.fraction.rem_euclid(one))
    }

    /// Whether the sum is below zero, and its distance from zero: the whole part, and the fraction, which is below one.
    fn magnitude(self) -> (bool, u128, u128) {
        let is_negative = self.sort_key() < (0, 0);
        let distance = if is_negative { Self { whole: -self.whole, fraction: -self.fraction } } else { self };
        let (whole, fraction) = distance.sort_key();
        (is_negative, whole.unsigned_abs(), fraction.unsigned_abs())
    }
}

/// A decimal number. The fraction is in units of 10^-18 and below one.
fn decimal(is_negative: bool, whole: u128, fraction: u128, decimals: u8) -> String {
    let mut fraction = format!("{fraction:0FRACTION_DIGITS$}");
    fraction.truncate(usize::from(decimals));
    let sign = if is_negative && (whole > 0 || fraction.bytes().any(|digit| digit != b'0')) { "-" } else { "" };
    let point = if decimals > 0 { "." } else { "" };
    format!("{sign}{whole}{point}{fraction}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn amount(text: &str) -> Option<Amount> {
        Amount::of(TotalCost::parse(text.as_bytes()).unwrap())
    }

    fn sum(texts: &[&str]) -> Sum {
        let mut sum = Sum::default();
        texts.iter().for_each(|text| sum += amount(text).unwrap());
        sum
    }

    #[test]
    fn sums_are_exact_and_zero_has_no_sign() {
        for (amounts, decimals, expected) in [
            (&["0.1"; 10][..], 2, "1.00"),
            (&["18.64", "+3.5", "-0.01", "007"], 2, "29.13"),
            (&[], 0, "0"),
            (&["-0.25", "0.2"], 2, "-0.05"),
            (&["-3.00", "1.25"], 2, "-1.75"),
            (&["-3", "3"], 2, "0.00"),
            (&["-0.0"], 1, "0.0"),
        ] {
            assert_eq!(sum(amounts).decimal(decimals), expected);
        }
    }

    #[test]
    fn an_amount_has_at_most_18_digits_on_either_side() {
        let most = "999999999999999999.999999999999999999";
        assert_eq!(sum(&[most, most]).decimal(18), "1999999999999999999.999999999999999998");
        assert_eq!(sum(&["000000000000000000000001.50000000000000000000000"]).decimal(2), "1.50");
        assert_eq!(amount("1234567890123456789"), None);
        assert_eq!(amount("0.1234567890123456789"), None);
        assert_eq!(amount("1.2500000000000000000000").unwrap().decimals(), 18);
    }

    #[test]
    fn the_largest_possible_sum_does_not_overflow() {
        let most = amount("-999999999999999999.999999999999999999").unwrap();
        // The sum of 2^64 of them.
        let sum = Sum { whole: i128::from(most.whole) << 64, fraction: i128::from(most.fraction) << 64 };
        assert_eq!(sum.mean(u64::MAX, 2).unwrap(), "-1000000000000000000.05");
    }

    #[test]
    fn a_mean_is_rounded_half_away_from_zero() {
        assert_eq!(sum(&["0.01", "0.02"]).mean(2, 2).unwrap(), "0.02");
        assert_eq!(sum(&["-0.01", "-0.02"]).mean(2, 2).unwrap(), "-0.02");
        assert_eq!(sum(&["1", "0", "0"]).mean(3, 2).unwrap(), "0.33");
        assert_eq!(sum(&["2", "0", "0"]).mean(3, 18).unwrap(), "0.666666666666666667");
        assert_eq!(sum(&["1.99", "2.00"]).mean(2, 0).unwrap(), "2");
        assert_eq!(sum(&["-0.001"]).mean(1, 2).unwrap(), "0.00");
        assert_eq!(sum(&[]).mean(0, 2), None);
    }

    proptest! {
        #[test]
        fn sums_equal_those_of_integer_cents(cents in prop::collection::vec(-1_000_000_i64..1_000_000, 0..50)) {
            let text = |cents: i64| {
                format!("{}{}.{:02}", if cents < 0 { "-" } else { "" }, cents.abs() / 100, cents.abs() % 100)
            };
            let texts: Vec<String> = cents.iter().map(|&cents| text(cents)).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            prop_assert_eq!(sum(&texts).decimal(2), text(cents.iter().sum()));
        }
    }
}
