//! Clicks by promo and channel, and how many customers they came from.
//!
//! To know whether a customer is new to a promo, a channel, or the two together, it has to be remembered with whom each
//! customer has been. The first 64 pairs that a partition meets are a bit each in what is kept of every customer, and
//! that is all there is in most campaigns; whoever goes beyond is kept in a set.

use std::collections::{HashMap, HashSet};
use std::ops::AddAssign;

use foldhash::fast::RandomState;

use super::money::{Amount, Sum};
use super::names::{BEYOND, ByName, Label, NameNumber};
use crate::campaign::{CustomerNumber, Step};

/// How many different pairs of promo and channel are told apart.
pub const MAX_PAIRS: usize = 10_000;

/// The number of a pair in its partition.
type PairNumber = u32;

/// The pairs that a customer clicked, of the first 64.
pub type PairBits = u64;

/// What happened under one promo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PromoTally {
    /// Clicks, and the customers and codes of these clicks.
    pub clicks: Clicks,
    /// Baskets.
    pub baskets: u64,
    /// Purchases.
    pub purchases: u64,
    /// What the purchases cost together.
    pub revenue: Sum,
    /// Purchases that made a member.
    pub new_members: u64,
    pairs: PairBits,
}

/// What happened in one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChannelTally {
    /// Clicks, and the customers and codes of these clicks.
    pub clicks: Clicks,
    pairs: PairBits,
}

/// Clicks, and what came of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Clicks {
    /// Clicks.
    pub clicks: u64,
    /// Different customers among those who clicked.
    pub customers: u64,
    /// Clicks that get a code.
    pub codes: u64,
}

impl Clicks {
    const fn count(&mut self, send: bool, new_customer: bool) {
        self.clicks += 1;
        self.customers += new_customer as u64;
        self.codes += send as u64;
    }
}

impl AddAssign for Clicks {
    fn add_assign(&mut self, other: Self) {
        self.clicks += other.clicks;
        self.customers += other.customers;
        self.codes += other.codes;
    }
}

impl AddAssign for PromoTally {
    fn add_assign(&mut self, other: Self) {
        self.clicks += other.clicks;
        self.baskets += other.baskets;
        self.purchases += other.purchases;
        self.revenue += other.revenue;
        self.new_members += other.new_members;
    }
}

impl AddAssign for ChannelTally {
    fn add_assign(&mut self, other: Self) {
        self.clicks += other.clicks;
    }
}

/// With whom a customer has been.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Known {
    Pair(PairNumber),
    Promo(NameNumber),
    Channel(NameNumber),
}

/// Clicks by promo and channel, and what else is counted by promo.
#[derive(Debug, Default)]
pub struct Reach {
    /// By promo.
    pub promos: ByName<PromoTally>,
    /// By channel.
    pub channels: ByName<ChannelTally>,
    numbers: HashMap<(NameNumber, NameNumber), PairNumber, RandomState>,
    pairs: Vec<Clicks>,
    too_many_pairs: bool,
    /// What the bits do not hold.
    beyond_bits: HashSet<(CustomerNumber, Known), RandomState>,
}

impl Reach {
    /// Counts a click. `bits` are what is kept of the customer.
    pub fn click(&mut self, promo: &[u8], channel: &[u8], step: Step, bits: &mut PairBits) {
        let (promo, channel) = (self.promos.number(promo), self.channels.number(channel));
        let pair = self.pair(promo, channel);
        let new = self.is_new(step.customer, *bits, pair, promo, channel);
        let send = step.decision.send;
        if let Some(clicks) = pair.and_then(|pair| self.pairs.get_mut(pair as usize)) {
            clicks.count(send, new.to_pair);
        }
        if let Some(promo) = self.promos.get_mut(promo) {
            promo.clicks.count(send, new.to_promo);
        }
        if let Some(channel) = self.channels.get_mut(channel) {
            channel.clicks.count(send, new.to_channel);
        }
        *bits |= pair.map_or(0, bit);
    }

    /// Counts a basket.
    pub fn basket(&mut self, promo: &[u8]) {
        let promo = self.promos.number(promo);
        if let Some(promo) = self.promos.get_mut(promo) {
            promo.baskets += 1;
        }
    }

    /// Counts a purchase.
    pub fn purchase(&mut self, promo: &[u8], amount: Option<Amount>, new_member: bool) {
        let promo = self.promos.number(promo);
        if let Some(promo) = self.promos.get_mut(promo) {
            promo.purchases += 1;
            promo.new_members += u64::from(new_member);
            if let Some(amount) = amount {
                promo.revenue += amount;
            }
        }
    }

    /// The number of a pair; `None` when there are too many.
    fn pair(&mut self, promo: NameNumber, channel: NameNumber) -> Option<PairNumber> {
        if let Some(&pair) = self.numbers.get(&(promo, channel)) {
            return Some(pair);
        }
        if self.pairs.len() >= MAX_PAIRS {
            self.too_many_pairs = true;
            return None;
        }
        let pair = self.pairs.len() as PairNumber;
        self.numbers.insert((promo, channel), pair);
        self.pairs.push(Clicks::default());
        if let Some(promo) = self.promos.get_mut(promo) {
            promo.pairs |= bit(pair);
        }
        if let Some(channel) = self.channels.get_mut(channel) {
            channel.pairs |= bit(pair);
        }
        Some(pair)
    }

    /// What of a click is new to the customer.
    #[inline]
    fn is_new(
        &mut self,
        customer: CustomerNumber,
        bits: PairBits,
        pair: Option<PairNumber>,
        promo: NameNumber,
        channel: NameNumber,
    ) -> New {
        let in_bits = pair.map_or(0, bit);
        if bits & in_bits != 0 {
            return New::default();
        }
        if let Some(pair) = pair.filter(|_| in_bits == 0)
            && !self.beyond_bits.insert((customer, Known::Pair(pair)))
        {
            return New::default();
        }
        let of_promo = self.promos.get_mut(promo).map_or(0, |promo| promo.pairs);
        let of_channel = self.channels.get_mut(channel).map_or(0, |channel| channel.pairs);
        let has_bit = in_bits != 0;
        New {
            to_pair: true,
            to_promo: bits & of_promo == 0 && promo != BEYOND && self.meet(customer, Known::Promo(promo), has_bit),
            to_channel: bits & of_channel == 0
                && channel != BEYOND
                && self.meet(customer, Known::Channel(channel), has_bit),
        }
    }

    /// Whether the customer, whose bits know nothing of it, meets something for the first time. What gets a bit now need
    /// not be remembered here.
    fn meet(&mut self, customer: CustomerNumber, known: Known, has_bit: bool) -> bool {
        if has_bit {
            self.beyond_bits.is_empty() || !self.beyond_bits.contains(&(customer, known))
        } else {
            self.beyond_bits.insert((customer, known))
        }
    }

    /// The pairs and their clicks. `None` when there were too many, or too many promos or channels.
    pub fn pairs_told(&self) -> Option<Vec<((Label, Label), Clicks)>> {
        if self.too_many_pairs {
            return None;
        }
        let (promos, channels) = (self.promos.labels(), self.channels.labels());
        let told = self.numbers.iter().map(|((promo, channel), &pair)| {
            let labels = (promos.get(promo)?.clone(), channels.get(channel)?.clone());
            Some((labels, *self.pairs.get(pair as usize)?))
        });
        told.collect()
    }
}

/// The bit of a pair; none for those beyond the first 64.
fn bit(pair: PairNumber) -> PairBits {
    1_u64.checked_shl(pair).unwrap_or(0)
}

/// What of a click is new to the customer who clicked.
#[derive(Debug, Clone, Copy, Default)]
struct New {
    to_pair: bool,
    to_promo: bool,
    to_channel: bool,
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use proptest::prelude::*;

    use super::*;
    use crate::campaign::Decision;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        /// More pairs than there are bits, so that both ways of remembering are taken.
        #[test]
        fn customers_are_counted_once_for_a_promo_a_channel_and_a_pair(
            clicks in prop::collection::vec((0_u32..20, 0_u32..12, 0_u32..12), 0..600),
        ) {
            let (mut reach, mut bits) = (Reach::default(), vec![0; 20]);
            let (mut promos, mut channels, mut pairs) = (HashSet::new(), HashSet::new(), HashSet::new());
            for &(customer, promo, channel) in &clicks {
                let [promo, channel] = [promo, channel].map(|number| number.to_string().into_bytes());
                let step = Step { customer, was_member: false, decision: Decision::default() };
                reach.click(&promo, &channel, step, &mut bits[customer as usize]);
                promos.insert((promo.clone(), customer));
                channels.insert((channel.clone(), customer));
                pairs.insert(((promo, channel), customer));
            }
            let told: BTreeMap<_, _> = reach.pairs_told().unwrap().into_iter().collect();
            let label = |name: &[u8]| Label::Name(name.into());
            for (labels, told) in &told {
                let same = |(promo, channel): &(Vec<u8>, Vec<u8>)| (label(promo), label(channel)) == *labels;
                prop_assert_eq!(told.customers, pairs.iter().filter(|(pair, _)| same(pair)).count() as u64);
            }
            prop_assert_eq!(told.values().map(|told| told.clicks).sum::<u64>(), clicks.len() as u64);
            for (told, promo) in reach.promos.told().unwrap() {
                let expected = promos.iter().filter(|(known, _)| told == label(known)).count();
                prop_assert_eq!(promo.clicks.customers, expected as u64);
            }
            for (told, channel) in reach.channels.told().unwrap() {
                let expected = channels.iter().filter(|(known, _)| told == label(known)).count();
                prop_assert_eq!(channel.clicks.customers, expected as u64);
            }
        }
    }
}
