//! The loyalty rows: `email, Facebook user, Instagram user, gender`.
//!
//! Where they stand between conversions does not live here.

use super::Settings;
use super::people::Person;
use super::random::{Purpose, Random, Shuffle, pick};

/// Most people tell a gender.
const GENDERS: [&str; 16] = ["F", "M", "F", "M", "F", "M", "F", "M", "F", "M", "F", "M", "X", "", "", ""];

/// Makes the loyalty list up, row by row.
#[derive(Debug, Clone)]
pub struct Members {
    written: u64,
    count: u64,
    customers: Shuffle,
    random: Random,
}

impl Members {
    /// The members that these settings ask for.
    pub fn new(settings: &Settings) -> Self {
        let mut random = Random::new(settings.seed, Purpose::Members);
        let customers = Shuffle::of_members(settings.population(), random.draw());
        Self { written: 0, count: settings.members, customers, random }
    }

    /// Appends the next row to `record`, without a line feed. False when there is none left.
    pub fn write_next(&mut self, record: &mut Vec<u8>) -> bool {
        if self.written == self.count {
            return false;
        }
        let person = Person::of(self.customers.at(self.written));
        self.written += 1;
        let bits = self.random.draw();
        person.push_email(record);
        record.extend_from_slice(b", ");
        if has_user(bits) {
            person.push_user(record, b'.');
        }
        record.extend_from_slice(b", ");
        if has_user(bits >> 2) {
            person.push_user(record, b'_');
        }
        record.extend_from_slice(b", ");
        record.extend_from_slice(pick(&GENDERS, bits >> 4).as_bytes());
        true
    }

    /// How many rows are left.
    pub(super) const fn left(&self) -> u64 {
        self.count - self.written
    }
}

/// Three of four people are on a network.
const fn has_user(bits: u64) -> bool {
    bits & 3 != 0
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::tests::members;
    use super::*;
    use crate::record::Customer;

    #[test]
    fn every_member_is_another_customer() {
        for customers in [0, 3_000, 3_001, 1 << 40] {
            let rows = members(&Settings { members: 3_000, customers, ..Settings::default() });
            let emails: HashSet<_> = rows.iter().map(|row| Customer::decode(row).unwrap().email.as_bytes()).collect();
            assert_eq!(emails.len(), 3_000);
        }
    }

    #[test]
    fn user_names_and_gender_are_there_for_most_and_empty_for_some() {
        let rows = members(&Settings::default());
        let rows: Vec<_> = rows.iter().map(|row| Customer::decode(row).unwrap()).collect();
        let share = |holds: fn(&Customer<'_>) -> bool| rows.iter().filter(|row| holds(row)).count();
        assert!((150..350).contains(&share(|row| row.fb_user.is_empty())));
        assert!((150..350).contains(&share(|row| row.insta_user.is_empty())));
        assert!((100..300).contains(&share(|row| row.gender.is_empty())));
        assert!((20..120).contains(&share(|row| row.gender == b"X")));
        assert!(rows.iter().all(|row| [&b""[..], b"F", b"M", b"X"].contains(&row.gender)));
    }

    #[test]
    fn members_are_spread_over_all_customers() {
        let settings = Settings { members: 100, customers: 100_000, ..Settings::default() };
        let order = Members::new(&settings).customers;
        let halves = (0..100).filter(|&member| order.at(member) < 50_000).count();
        assert!((45..=55).contains(&halves), "{halves}");
    }
}
