//! Promos as numbers, and a set of promos for each customer.

use std::collections::{HashMap, HashSet};
use std::hint::black_box;

use foldhash::quality::RandomState;

use super::email_index::CustomerNumber;

/// The number of a promo: 0, 1, 2 … in order of first appearance.
pub type PromoNumber = u32;

/// The promos of the ledger.
#[derive(Debug, Default)]
pub struct PromoNumbers {
    numbers: HashMap<Vec<u8>, PromoNumber, RandomState>,
}

impl PromoNumbers {
    /// The number of a promo, which gets one if it has none.
    pub fn number(&mut self, promo: &[u8]) -> PromoNumber {
        if let Some(&number) = self.numbers.get(promo) {
            return number;
        }
        let number = self.end();
        self.numbers.insert(promo.to_owned(), number);
        number
    }

    /// The number after the last one.
    fn end(&self) -> PromoNumber {
        PromoNumber::try_from(self.numbers.len()).expect("there are fewer than 2^32 promos in memory")
    }
}

/// The promos of clicks. Those of the ledger have the same numbers as there.
#[derive(Debug)]
pub struct ClickPromos<'a> {
    of_ledger: Option<&'a PromoNumbers>,
    numbers: HashMap<Vec<u8>, PromoNumber, RandomState>,
    /// The number of the next promo that is not in the ledger.
    next: PromoNumber,
    /// Whether the campaign names its promos. Then other promos have no number, and need no memory.
    are_named: bool,
}

impl<'a> ClickPromos<'a> {
    /// The promos that the campaign names, if it does.
    pub fn new(of_ledger: Option<&'a PromoNumbers>, named: Option<&[String]>) -> Self {
        let next = of_ledger.map_or(0, PromoNumbers::end);
        let mut promos = Self { of_ledger, numbers: HashMap::default(), next, are_named: named.is_some() };
        for promo in named.unwrap_or_default() {
            promos.add(promo.as_bytes());
        }
        promos
    }

    /// The number of a promo; `None` if the campaign names other promos.
    pub fn number(&mut self, promo: &[u8]) -> Option<PromoNumber> {
        match self.numbers.get(promo) {
            Some(&number) => Some(number),
            None => (!self.are_named).then(|| self.add(promo)),
        }
    }

    fn add(&mut self, promo: &[u8]) -> PromoNumber {
        let in_ledger = self.of_ledger.and_then(|promos| promos.numbers.get(promo).copied());
        let number = in_ledger.unwrap_or(self.next);
        if in_ledger.is_none() {
            self.next = self.next.checked_add(1).expect("there are fewer than 2^32 promos in memory");
        }
        self.numbers.insert(promo.to_owned(), number);
        number
    }
}

/// A set of promos for each customer. A customer needs four bytes, and each promo after the first 32 some 15 bytes.
#[derive(Debug, Default)]
pub struct PromoSets {
    /// By customer number: a bit for each of the first promos.
    bits: Vec<u32>,
    further: HashSet<(CustomerNumber, PromoNumber), RandomState>,
}

impl PromoSets {
    /// Adds a promo to the set of a customer. Returns whether it is new.
    pub fn insert(&mut self, customer: CustomerNumber, promo: PromoNumber) -> bool {
        if promo >= u32::BITS {
            return self.further.insert((customer, promo));
        }
        let bits = self.bits_mut(customer);
        let is_new = *bits & 1 << promo == 0;
        *bits |= 1 << promo;
        is_new
    }

    /// Adds the first 32 promos of a customer in another set. Ask that set with [`Self::contains_further`] for others.
    pub fn insert_first_of(&mut self, customer: CustomerNumber, other: &Self, other_customer: CustomerNumber) {
        *self.bits_mut(customer) |= other.bits.get(other_customer as usize).copied().unwrap_or(0);
    }

    fn bits_mut(&mut self, customer: CustomerNumber) -> &mut u32 {
        let index = customer as usize;
        if index >= self.bits.len() {
            self.bits.resize(index + 1, 0);
        }
        &mut self.bits[index]
    }

    /// Whether the set of a customer contains a promo.
    #[inline]
    pub fn contains(&self, customer: CustomerNumber, promo: PromoNumber) -> bool {
        if promo >= u32::BITS {
            return self.contains_further(customer, promo);
        }
        self.bits.get(customer as usize).is_some_and(|bits| bits & 1 << promo != 0)
    }

    /// Whether the set of a customer contains a promo that is not one of the first 32.
    #[inline]
    pub fn contains_further(&self, customer: CustomerNumber, promo: PromoNumber) -> bool {
        promo >= u32::BITS && self.further.contains(&(customer, promo))
    }

    /// Prefetches the sets of these customers, so their cache misses overlap.
    pub fn prefetch(&self, customers: impl Iterator<Item = CustomerNumber>) {
        black_box(customers.filter_map(|customer| self.bits.get(customer as usize)).fold(0, |read, bits| read ^ bits));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_contains_what_was_inserted() {
        let mut sets = PromoSets::default();
        let is_member = |customer: u32, promo: u32| (customer * 7 + promo).is_multiple_of(3);
        let pairs = || (0..40).flat_map(|customer| (0..70).map(move |promo| (customer, promo)));
        for (customer, promo) in pairs().filter(|&(customer, promo)| is_member(customer, promo)) {
            assert!(sets.insert(customer, promo) && !sets.insert(customer, promo));
        }
        for (customer, promo) in pairs() {
            assert_eq!(sets.contains(customer, promo), is_member(customer, promo), "{customer}, {promo}");
        }
        assert!(!sets.contains(u32::MAX, 0) && !sets.contains(u32::MAX, 32));
        let mut other = PromoSets::default();
        other.insert(5, 1);
        other.insert_first_of(5, &sets, 3);
        for promo in 0..70 {
            assert_eq!(other.contains(5, promo), promo < 32 && (promo == 1 || is_member(3, promo)), "{promo}");
            assert_eq!(sets.contains_further(3, promo), promo >= 32 && is_member(3, promo), "{promo}");
        }
    }

    #[test]
    fn promos_of_the_ledger_keep_their_numbers() {
        let mut of_ledger = PromoNumbers::default();
        assert_eq!([b"A", b"B", b"A"].map(|promo| of_ledger.number(promo)), [0, 1, 0]);
        let mut promos = ClickPromos::new(Some(&of_ledger), None);
        assert_eq!([b"C", b"B", b"D", b"C"].map(|promo| promos.number(promo)), [2, 1, 3, 2].map(Some));
        let named = ["D".to_owned(), "A".to_owned()];
        let mut promos = ClickPromos::new(Some(&of_ledger), Some(&named));
        assert_eq!([b"A", b"B", b"C", b"D"].map(|promo| promos.number(promo)), [Some(0), None, None, Some(2)]);
    }
}
