//! The control group: customers who get no code, so the effect of the codes can be measured.
//!
//! A customer is in it if the SHA-256 digest of `KEY:EMAIL`, with the email in lower case, is below a threshold. The
//! threshold is text, so a data warehouse computes the same group with its own SHA-256 function.

use std::fmt;

use sha2::{Digest, Sha256};

/// The control group of a campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holdout {
    key: String,
    percent: String,
    /// A digest whose first 8 bytes, as a big-endian integer, are less than this is in the group.
    threshold: u64,
}

/// The maximum number of decimals of the percentage, so the threshold is computed exactly.
const MAX_DECIMALS: usize = 12;

impl Holdout {
    /// The group with `percent` of the customers: a decimal number above 0 and below 100. Another key gives another
    /// group.
    ///
    /// # Errors
    /// When the percentage is not such a number. The text says what is expected.
    ///
    /// # Panics
    /// Never: the digits are checked before they are parsed.
    pub fn new(percent: &str, key: &str) -> Result<Self, String> {
        let error = || format!("expected a percentage above 0 and below 100, with at most {MAX_DECIMALS} decimals");
        let (whole, decimals) = percent.split_once('.').unwrap_or((percent, "0"));
        let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !are_digits(whole) || !are_digits(decimals) || whole.len() > 2 || decimals.len() > MAX_DECIMALS {
            return Err(error());
        }
        let all = 100 * 10_u128.pow(MAX_DECIMALS as u32);
        let digits = format!("{whole}{decimals:0<MAX_DECIMALS$}");
        let share = digits.parse::<u128>().expect("14 digits are a number");
        match u64::try_from((share << u64::BITS) / all) {
            Ok(threshold @ 1..) => Ok(Self { key: key.to_owned(), percent: percent.to_owned(), threshold }),
            _ => Err(error()),
        }
    }

    /// The percentage, as it was given.
    pub fn percent(&self) -> &str {
        &self.percent
    }

    /// The expected share of the customers who are in the group.
    pub fn share(&self) -> f64 {
        self.threshold as f64 / 2_f64.powi(u64::BITS as i32)
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether the customer with this email is in the group. ASCII case does not matter.
    pub fn contains(&self, email: &[u8]) -> bool {
        let email = email.to_ascii_lowercase();
        let digest = Sha256::new().chain_update(&self.key).chain_update(":").chain_update(email).finalize();
        let first = digest.iter().take(8).fold(0, |first, &byte| first << 8 | u64::from(byte));
        first < self.threshold
    }

    /// The threshold: a digest in hexadecimal digits is in the group if it sorts before this text.
    pub fn threshold(&self) -> String {
        format!("{:016x}", self.threshold)
    }
}

/// The condition, as a user can compute it.
impl fmt::Display for Holdout {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (percent, key, threshold) = (&self.percent, &self.key, self.threshold());
        write!(out, "{percent} %: sha256(\"{key}:\" + lower-case email) < \"{threshold}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_is_the_exact_share() {
        for (percent, threshold) in [
            ("50", "8000000000000000"),
            ("10", "1999999999999999"),
            ("0.5", "0147ae147ae147ae"),
            ("99.999999999999", "fffffffffffd2f6c"),
        ] {
            assert_eq!(Holdout::new(percent, "k").unwrap().threshold(), threshold, "{percent}");
        }
    }

    #[test]
    fn only_percentages_between_0_and_100_are_accepted() {
        for percent in ["", "0", "0.0", "100", "-1", "+5", "5.", ".5", "1e1", "5%", "5,5", "1.0000000000001"] {
            assert!(Holdout::new(percent, "k").is_err(), "{percent}");
        }
    }

    #[test]
    fn the_group_is_the_one_of_the_digest() {
        // Computed with Python's hashlib.
        let holdout = Holdout::new("10", "spring-2026").unwrap();
        for domain in ["example.com", "Example.COM"] {
            let is_held_out = |number: &u32| holdout.contains(format!("c{number}@{domain}").as_bytes());
            assert_eq!((0..40).filter(is_held_out).collect::<Vec<_>>(), [16, 20, 26]);
        }
    }
}
