//! Sample data for the policy of a campaign: a suppression list and single-use codes that match the members and
//! conversions of the same settings.

use std::ops::Range;

use md5::Md5;
use sha2::{Digest, Sha256};

use super::text::push_email;
use super::{Random, Settings, Shuffle};
use crate::campaign::hex;

/// Generates a suppression list: emails of customers in varying case, and digests of emails. Half of the customers are
/// members.
#[derive(Debug, Clone)]
pub struct SampleSuppressions {
    /// The customers, as indexes into the order. Non-members follow the members.
    indexes: Range<u64>,
    order: Shuffle,
    random: Random,
}

impl SampleSuppressions {
    /// A list of `count` different customers, or of all customers if there are fewer.
    pub fn new(settings: &Settings, count: u64) -> Self {
        let settings = settings.with_all_customers();
        let Settings { members, customers, .. } = settings;
        let count = count.min(customers);
        let non_members = customers - members;
        let suppressed_members = count.div_ceil(2).max(count.saturating_sub(non_members)).min(members);
        let start = members - suppressed_members;
        let (order, _) = settings.member_order();
        Self { indexes: start..start + count, order, random: Random::new(settings.seed, 5) }
    }

    /// Appends the next line without its line feed. Returns false if there is none.
    pub fn write_next(&mut self, line: &mut Vec<u8>) -> bool {
        let Some(index) = self.indexes.next() else { return false };
        let mut email = Vec::new();
        push_email(&mut email, self.order.at(index));
        line.extend(match self.random.below(8) {
            0 => email.to_ascii_uppercase(),
            1 => {
                email[0].make_ascii_uppercase();
                email
            }
            2 => hex(&Md5::digest(email)),
            3 => hex(&Md5::digest(email)).to_ascii_uppercase(),
            4 => hex(&Sha256::digest(email)),
            _ => email,
        });
        true
    }
}

/// Generates single-use codes, which are all different.
#[derive(Debug, Clone)]
pub struct SampleCodes {
    left: u64,
    random: Random,
}

/// Digits and letters without those that are easily mistaken for others. Each stands for 5 bits.
const CODE_DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The number of digits for 64 bits.
const CODE_LEN: usize = 13;

impl SampleCodes {
    /// This number of codes.
    pub fn new(settings: &Settings, count: u64) -> Self {
        Self { left: count, random: Random::new(settings.seed, 6) }
    }

    /// Appends the next code. Returns false if there is none.
    pub fn write_next(&mut self, line: &mut Vec<u8>) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        let bits = self.random.draw();
        line.extend((0..CODE_LEN).map(|digit| CODE_DIGITS[(bits >> (5 * digit) & 31) as usize]));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::tests::{DEFAULTS, checksum, lines};
    use std::collections::HashSet;

    // Never change these numbers, as for the other sample data.
    #[test]
    fn same_seed_gives_the_same_suppressions_and_codes() {
        let mut list = SampleSuppressions::new(&DEFAULTS, 100);
        let mut codes = SampleCodes::new(&DEFAULTS, 100);
        assert_eq!(checksum(&lines(|line| list.write_next(line))), 0xa28c_5f95_2fd3_eb4e);
        assert_eq!(checksum(&lines(|line| codes.write_next(line))), 0x7985_972c_0a7f_5a03);
    }

    #[test]
    fn half_of_the_suppressed_customers_are_members() {
        for (members, customers, count, of_members) in [
            (1_000, 5_000, 100, 50),
            (1_000, 5_000, 101, 51),
            (10, 5_000, 100, 10),
            (90, 100, 60, 50),
            (90, 100, 100, 90),
            (5, 5, 9, 5),
            (0, 0, 3, 0),
        ] {
            let settings = Settings { members, customers, ..DEFAULTS };
            let list = SampleSuppressions::new(&settings, count);
            let numbers: HashSet<u64> = list.indexes.clone().map(|index| list.order.at(index)).collect();
            assert_eq!(numbers.len() as u64, count.min(customers.max(1)), "{settings:?}");
            assert_eq!(list.indexes.filter(|index| *index < members).count(), of_members, "{settings:?}");
        }
    }

    #[test]
    fn all_codes_are_different() {
        let mut codes = SampleCodes::new(&DEFAULTS, 200_000);
        let text = lines(|line| codes.write_next(line));
        assert_eq!(text.lines().collect::<HashSet<_>>().len(), 200_000);
        assert!(text.lines().all(|code| code.len() == CODE_LEN));
    }

    #[test]
    fn the_largest_counts_do_not_overflow() {
        let settings = Settings { seed: u64::MAX, members: u64::MAX, customers: u64::MAX, ..DEFAULTS };
        let mut list = SampleSuppressions::new(&settings, u64::MAX);
        let mut codes = SampleCodes::new(&settings, u64::MAX);
        assert!((0..1_000).all(|_| list.write_next(&mut Vec::new()) && codes.write_next(&mut Vec::new())));
    }
}
