//! A customer's name and email, by the customer's number.
//!
//! Names are common ones put together by chance, and mail to them goes nowhere: every domain is one that RFC 2606
//! reserves for examples. Who is a member and who causes an event does not live here.

use super::push_decimal;
use super::random::pick;

const FIRST_NAMES: [&str; 64] = [
    "adrian", "alex", "amal", "andrea", "ariel", "ashley", "aubrey", "avery", "bailey", "blair", "bobbie", "brook",
    "cameron", "carmen", "casey", "charlie", "dakota", "dana", "darcy", "devon", "drew", "eden", "elliot", "emerson",
    "finley", "frances", "gale", "harper", "hayden", "hollis", "jamie", "jean", "jesse", "jordan", "jules", "kai",
    "kelly", "kendall", "kim", "lane", "lee", "leslie", "logan", "marion", "micah", "morgan", "nico", "noel", "parker",
    "pat", "quinn", "reese", "riley", "robin", "rowan", "sam", "sasha", "shannon", "sidney", "skyler", "taylor",
    "toni", "tracy", "valery",
];

const SURNAMES: [&str; 64] = [
    "abbott", "archer", "bailey", "baker", "barber", "bishop", "brewer", "brook", "butler", "carter", "chandler",
    "clarke", "cooper", "dale", "draper", "dyer", "farmer", "fields", "fisher", "fletcher", "forester", "fowler",
    "gardner", "glover", "green", "harper", "hill", "hooper", "hunter", "judge", "knight", "lake", "marsh", "mason",
    "mercer", "miller", "moore", "naylor", "page", "parker", "piper", "porter", "potter", "reed", "rivers", "sawyer",
    "shepherd", "singer", "skinner", "smith", "spencer", "stone", "taylor", "thatcher", "tucker", "turner", "tyler",
    "walker", "waters", "weaver", "webster", "wheeler", "woods", "wright",
];

const DOMAINS: [&str; 8] = [
    "example.com",
    "example.net",
    "example.org",
    "mail.example.com",
    "mail.example.net",
    "post.example.org",
    "shop.example",
    "home.example",
];

/// Bits of a customer's number that pick from the tables: 6 and 6 for the names, 3 for the domain.
const PICKED_BITS: u32 = 15;
const PICKED_MASK: u64 = (1 << PICKED_BITS) - 1;

/// A customer. Different numbers give different emails.
#[derive(Debug, Clone, Copy)]
pub(super) struct Person {
    first_name: &'static str,
    surname: &'static str,
    /// Tells people of the same name and domain apart; the first of them goes without.
    suffix: u64,
    domain: &'static str,
}

impl Person {
    /// The customer with this number.
    #[inline]
    pub(super) fn of(customer: u64) -> Self {
        let picked = scattered(customer & PICKED_MASK);
        Self {
            first_name: pick(&FIRST_NAMES, picked),
            surname: pick(&SURNAMES, picked >> 6),
            suffix: customer >> PICKED_BITS,
            domain: pick(&DOMAINS, picked >> 12),
        }
    }

    /// Appends the email, like `quinn.walker42@mail.example.com`.
    #[inline]
    pub(super) fn push_email(&self, record: &mut Vec<u8>) {
        self.push_user(record, b'.');
        record.push(b'@');
        record.extend_from_slice(self.domain.as_bytes());
    }

    /// Appends a user name: the names with `joint` between them, and the suffix.
    #[inline]
    pub(super) fn push_user(&self, record: &mut Vec<u8>, joint: u8) {
        record.extend_from_slice(self.first_name.as_bytes());
        record.push(joint);
        record.extend_from_slice(self.surname.as_bytes());
        if self.suffix > 0 {
            push_decimal(record, self.suffix);
        }
    }
}

/// Another number of as many bits for each, so that people with numbers next to each other are no namesakes.
const fn scattered(picked: u64) -> u64 {
    // An odd factor and a shift that is mixed in can both be undone, so no two numbers become one.
    let picked = (picked * 0x5a35) & PICKED_MASK;
    ((picked ^ picked >> 7) * 0x6f4b) & PICKED_MASK
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn email(customer: u64) -> String {
        let mut email = Vec::new();
        Person::of(customer).push_email(&mut email);
        String::from_utf8(email).unwrap()
    }

    #[test]
    fn no_two_customers_share_an_email() {
        let numbers = (0..200_000).chain((1 << 40)..(1 << 40) + 50_000).chain(u64::MAX - 50_000..=u64::MAX);
        let emails: HashSet<String> = numbers.map(email).collect();
        assert_eq!(emails.len(), 300_001);
    }

    // With the test above this makes emails distinct for all numbers: only letters stand before the suffix, so it can
    // be read back, and below it the picked bits decide.
    #[test]
    fn every_combination_of_names_and_domain_is_used_once() {
        let combinations: HashSet<u64> = (0..=PICKED_MASK).map(scattered).collect();
        assert_eq!(combinations.len() as u64, PICKED_MASK + 1);
        for names in [&FIRST_NAMES[..], &SURNAMES] {
            assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
            assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase())));
        }
        assert_eq!(DOMAINS.iter().collect::<HashSet<_>>().len(), DOMAINS.len());
    }

    #[test]
    fn every_domain_is_reserved_for_examples() {
        let reserved = ["example.com", "example.net", "example.org", "example"];
        for domain in DOMAINS {
            let below = |top: &&str| domain == *top || domain.strip_suffix(top).is_some_and(|rest| rest.ends_with('.'));
            assert!(reserved.iter().any(below), "{domain}");
        }
    }

    #[test]
    fn a_few_customers_already_differ_in_names_and_domains() {
        let domains: HashSet<_> = (0..100).map(|customer| Person::of(customer).domain).collect();
        let surnames: HashSet<_> = (0..100).map(|customer| Person::of(customer).surname).collect();
        let first_names: HashSet<_> = (0..100).map(|customer| Person::of(customer).first_name).collect();
        assert_eq!(domains.len(), DOMAINS.len());
        assert!(surnames.len() > 40 && first_names.len() > 40, "{} {}", surnames.len(), first_names.len());
    }
}
