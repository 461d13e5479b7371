//! The conversions: who answered which ad, and how. A few customers cause many of them, as in life.
//!
//! Records that are bad on purpose live in the file beside this one.

use super::cart::Cart;
use super::faults::Faults;
use super::people::Person;
use super::random::{Purpose, Random, Shuffle, pick};
use super::{Mix, Settings};
use crate::record::ConversionKind;

const PROMOS: [&str; 8] = [
    "MarsupialHoodie",
    "MarsupialHoodie",
    "MarsupialHoodie",
    "WombatSocks",
    "WombatSocks",
    "QuokkaTote",
    "PlatypusCap",
    "KoalaMug",
];

const CHANNELS: [&str; 8] =
    ["Instagram", "Instagram", "Instagram", "Instagram", "Facebook", "Facebook", "Newsletter", "Search"];

/// Makes the conversions up, one by one.
#[derive(Debug, Clone)]
pub struct Events {
    left: u64,
    population: u64,
    customers: Shuffle,
    mix: Mix,
    random: Random,
    faults: Faults,
}

impl Events {
    /// The conversions that these settings ask for.
    pub fn new(settings: &Settings) -> Self {
        let mut random = Random::new(settings.seed, Purpose::Events);
        let population = settings.population();
        let customers = Shuffle::of_busyness(population, random.draw());
        let faults = Faults::new(settings);
        Self { left: settings.events, population, customers, mix: settings.mix, random, faults }
    }

    /// Appends the next conversion to `record`, without a line feed. False when there is none left.
    pub fn write_next(&mut self, record: &mut Vec<u8>) -> bool {
        let Some(left) = self.left.checked_sub(1) else { return false };
        self.left = left;
        let event = self.draw();
        match self.faults.draw() {
            None => event.push(record),
            Some(fault) => fault.push(event, record),
        }
        true
    }

    /// How many conversions are left.
    pub(super) const fn left(&self) -> u64 {
        self.left
    }

    fn draw(&mut self) -> Event {
        let rank = self.random.low_below(self.population);
        Event { kind: self.mix.draw(&mut self.random), customer: self.customers.at(rank), details: self.random.draw() }
    }
}

impl Mix {
    const fn draw(self, random: &mut Random) -> ConversionKind {
        let (baskets, purchases) = (self.baskets as u64, self.purchases as u64);
        // Without any weight this is 0, and below nothing.
        let drawn = random.below(self.clicks as u64 + baskets + purchases);
        if drawn < baskets {
            ConversionKind::Basket
        } else if drawn < baskets + purchases {
            ConversionKind::Purchase
        } else {
            ConversionKind::Click
        }
    }
}

/// One conversion before it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    pub(super) kind: ConversionKind,
    customer: u64,
    /// The bits that pick the promo, the channel and the items.
    details: u64,
}

impl Event {
    /// Appends the whole record.
    #[inline]
    fn push(self, record: &mut Vec<u8>) {
        self.push_start(record);
        self.push_email(record);
        self.push_end(record);
    }

    /// Appends what stands before the email.
    #[inline]
    pub(super) fn push_start(self, record: &mut Vec<u8>) {
        record.extend_from_slice(pick(&PROMOS, self.details).as_bytes());
        record.extend_from_slice(b", ");
        record.extend_from_slice(self.kind.name().as_bytes());
        record.extend_from_slice(b", ");
    }

    /// Appends the email.
    #[inline]
    pub(super) fn push_email(self, record: &mut Vec<u8>) {
        Person::of(self.customer).push_email(record);
    }

    /// Appends what stands behind the email, from the comma on.
    #[inline]
    pub(super) fn push_end(self, record: &mut Vec<u8>) {
        record.extend_from_slice(b", ");
        match self.kind {
            ConversionKind::Click => record.extend_from_slice(self.channel().as_bytes()),
            ConversionKind::Basket => self.cart().push_items(record),
            ConversionKind::Purchase => {
                self.cart().push_items(record);
                record.extend_from_slice(b", ");
                self.cart().push_total_cost(record);
            }
        }
    }

    /// Where the ad stood.
    #[inline]
    pub(super) fn channel(self) -> &'static str {
        pick(&CHANNELS, self.details >> 8)
    }

    /// What was taken.
    #[inline]
    pub(super) const fn cart(self) -> Cart {
        Cart(self.details >> 16)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::tests::{events, members};
    use super::*;
    use crate::record::{Action, Conversion, Customer};

    fn kinds(mix: Mix) -> [usize; 3] {
        let records = events(&Settings { mix, ..Settings::default() });
        let kinds: Vec<_> = records.iter().map(|record| Conversion::decode(record).unwrap().action.kind()).collect();
        [ConversionKind::Click, ConversionKind::Basket, ConversionKind::Purchase]
            .map(|kind| kinds.iter().filter(|&&found| found == kind).count())
    }

    #[test]
    fn the_types_come_as_often_as_the_mix_says() {
        let [clicks, baskets, purchases] = kinds(Mix::default());
        assert!((5_800..6_200).contains(&clicks), "{clicks}");
        assert!((2_300..2_700).contains(&baskets), "{baskets}");
        assert!((1_300..1_700).contains(&purchases), "{purchases}");
        assert_eq!(kinds(Mix { clicks: 0, baskets: 0, purchases: 7 }), [0, 0, 10_000]);
        assert_eq!(kinds(Mix { clicks: 0, baskets: 1, purchases: 0 }), [0, 10_000, 0]);
    }

    #[test]
    fn without_any_weight_all_are_clicks() {
        assert_eq!(kinds(Mix { clicks: 0, baskets: 0, purchases: 0 }), [10_000, 0, 0]);
    }

    #[test]
    fn a_purchase_costs_exactly_what_its_basket_would() {
        // The price of an item is what a purchase of nothing else costs.
        let records = events(&Settings {
            events: 20_000,
            mix: Mix { clicks: 0, baskets: 0, purchases: 1 },
            ..Settings::default()
        });
        let purchases: Vec<(Vec<&[u8]>, u64)> = records.iter().map(|record| purchase(record)).collect();
        let prices: HashMap<_, _> =
            purchases.iter().filter(|(items, _)| items.len() == 1).map(|(items, cents)| (items[0], *cents)).collect();
        assert_eq!(prices.len(), 32);
        for (items, cents) in &purchases {
            assert_eq!(items.iter().map(|item| prices[item]).sum::<u64>(), *cents);
        }
    }

    fn purchase(record: &[u8]) -> (Vec<&[u8]>, u64) {
        let Action::Purchase { items, total_cost } = Conversion::decode(record).unwrap().action else { panic!() };
        let (whole, cents) = std::str::from_utf8(total_cost.as_bytes()).unwrap().split_once('.').unwrap();
        assert_eq!(cents.len(), 2);
        (items.iter().collect(), whole.parse::<u64>().unwrap() * 100 + cents.parse::<u64>().unwrap())
    }

    #[test]
    fn a_few_customers_cause_many_events_and_members_are_among_all_kinds() {
        let settings = Settings::default();
        let records = events(&settings);
        let mut by_email: HashMap<&[u8], usize> = HashMap::new();
        for record in &records {
            *by_email.entry(Conversion::decode(record).unwrap().email.as_bytes()).or_default() += 1;
        }
        let mut counts: Vec<usize> = by_email.values().copied().collect();
        counts.sort_unstable();
        // One percent of the customers: the cube root of 0.01 is 0.215.
        let busiest: usize = counts.iter().rev().take(50).sum();
        assert!((2_000..2_400).contains(&busiest), "{busiest}");
        let rows = members(&settings);
        let of_members: usize =
            rows.iter().filter_map(|row| by_email.get(Customer::decode(row).unwrap().email.as_bytes())).sum();
        // A fifth of the customers are members.
        assert!((1_500..2_500).contains(&of_members), "{of_members}");
    }

    #[test]
    fn without_customers_one_answers_everything() {
        let records = events(&Settings { members: 0, customers: 0, events: 100, ..Settings::default() });
        let first = Conversion::decode(&records[0]).unwrap().email;
        assert!(records.iter().all(|record| Conversion::decode(record).unwrap().email == first));
    }

    #[test]
    fn fewer_events_are_the_first_of_more() {
        let settings = Settings { bad_per_million: 50_000, ..Settings::default() };
        let fewer = events(&Settings { events: 100, ..settings });
        assert_eq!(fewer, events(&settings)[..100]);
    }
}
