//! The total cost of a purchase, exact.

use super::RecordError;

/// A decimal number as it was written: an optional sign, digits, and an optional fraction.
///
/// It stays in its written digits, so that nothing is lost to a binary float.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TotalCost<'a>(&'a [u8]);

impl<'a> TotalCost<'a> {
    /// Takes an already stripped field as a decimal number.
    ///
    /// # Errors
    /// When the field is anything but `[+-]digits[.digits]`.
    #[inline]
    pub fn parse(field: &'a [u8]) -> Result<Self, RecordError<'a>> {
        let unsigned = match field {
            [b'+' | b'-', unsigned @ ..] => unsigned,
            unsigned => unsigned,
        };
        let mut parts = unsigned.splitn(2, |&byte| byte == b'.');
        if parts.all(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)) {
            Ok(Self(field))
        } else {
            Err(RecordError::BadTotalCost { cost: field })
        }
    }

    /// A number that was taken before, from its field.
    pub(super) const fn found_again(field: &'a [u8]) -> Self {
        Self(field)
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
    fn every_digit_of_a_decimal_number_is_kept() {
        for field in ["18.64", "-3", "+0.50", "007", "123456789012345678901234567890.123456789012345678901"] {
            assert_eq!(TotalCost::parse(field.as_bytes()).unwrap().as_bytes(), field.as_bytes());
        }
    }

    #[test]
    fn what_is_not_a_decimal_number_is_refused() {
        for field in ["", "+", ".", "5.", ".5", "1,5", "1e3", "1.2.3", "--1", "$5", "NaN", "1 0"] {
            let cost = field.as_bytes();
            assert_eq!(TotalCost::parse(cost), Err(RecordError::BadTotalCost { cost }), "{field:?}");
        }
    }
}
