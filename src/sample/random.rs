//! The numbers that everything is drawn from: integers only, and nothing from a library that could change.
//!
//! The generator is SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014): a counter
//! in steps of the golden ratio, each state mixed into a number. It is quick and good enough for made-up data, and no
//! secret may rest on it. What the numbers are used for does not live here.

/// The golden ratio's fraction, in units of 2^-64, as SplitMix64 has it.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The fraction of the square root of two, in units of 2^-64.
const ROOT_TWO: u64 = 0x6a09_e667_f3bc_c908;

/// A run of random numbers.
#[derive(Debug, Clone)]
pub(super) struct Random {
    state: u64,
}

/// What a run of numbers is for. Each purpose has a run of its own, so that more of one does not change another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// What is in the loyalty rows.
    Members = 1,
    /// What is in the conversions.
    Events = 2,
    /// Which conversions are bad, and how.
    Faults = 3,
    /// Where the loyalty rows stand between the conversions.
    Order = 4,
}

impl Random {
    /// The run that `seed` gives for this purpose.
    pub(super) const fn new(seed: u64, purpose: Purpose) -> Self {
        Self { state: mixed(mixed(seed) ^ purpose as u64) }
    }

    /// The next number, any of 64 bits.
    #[inline]
    pub(super) const fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mixed(self.state)
    }

    /// The next number, below `limit`. Below 0 there is only 0.
    #[inline]
    pub(super) const fn below(&mut self, limit: u64) -> u64 {
        share(limit, self.draw())
    }

    /// The next number below `limit`, where the low ones are drawn far more often: it is the cube of an even draw.
    #[inline]
    pub(super) const fn low_below(&mut self, limit: u64) -> u64 {
        let draw = self.draw();
        share(limit, share(draw, share(draw, draw)))
    }
}

/// SplitMix64's finish: no two states give the same number.
const fn mixed(state: u64) -> u64 {
    let state = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ state >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ state >> 31
}

/// `of` times `fraction`, which counts in units of 2^-64, rounded down.
#[inline]
const fn share(of: u64, fraction: u64) -> u64 {
    ((of as u128 * fraction as u128) >> 64) as u64
}

/// The entry of `table` that these bits pick. What shall come more often stands in the table more often.
#[inline]
pub(super) fn pick<T: Copy + Default, const N: usize>(table: &[T; N], bits: u64) -> T {
    table.get((bits % N as u64) as usize).copied().unwrap_or_default()
}

/// An order of the numbers below a count, in which each comes once and neighbours lie far apart.
///
/// It multiplies by a number that shares no factor with the count, which is what lets no two places hold the same.
#[derive(Debug, Clone)]
pub(super) struct Shuffle {
    factor: u64,
    start: u64,
    count: u64,
}

impl Shuffle {
    /// The order in which customers become members.
    pub(super) const fn of_members(count: u64, start: u64) -> Self {
        Self::new(count, start, GOLDEN)
    }

    /// The order in which customers cause events, the busiest first. It has nothing to do with the members' order.
    pub(super) const fn of_busyness(count: u64, start: u64) -> Self {
        Self::new(count, start, ROOT_TWO)
    }

    const fn new(count: u64, start: u64, fraction: u64) -> Self {
        let count = if count == 0 { 1 } else { count };
        let mut factor = share(count, fraction);
        // This ends: one less than the count shares no factor with it.
        while common_factor(factor, count) != 1 {
            factor += 1;
        }
        Self { factor, start: start % count, count }
    }

    /// The number at this place. Places are below the count.
    #[inline]
    pub(super) const fn at(&self, place: u64) -> u64 {
        // A short product is divided several times as fast as a long one.
        match place.checked_mul(self.factor) {
            Some(product) if product <= u64::MAX - self.start => (product + self.start) % self.count,
            _ => ((place as u128 * self.factor as u128 + self.start as u128) % self.count as u128) as u64,
        }
    }
}

/// The greatest common factor of both.
const fn common_factor(mut one: u64, mut other: u64) -> u64 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        let mut random = Random { state: 1_234_567 };
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([(); 3].map(|()| random.draw()), expected);
    }

    #[test]
    fn a_number_below_a_limit_is_below_it() {
        let mut random = Random::new(7, Purpose::Events);
        for limit in [1, 2, 3, 1_000, u64::MAX] {
            assert!((0..1_000).all(|_| random.below(limit) < limit && random.low_below(limit) < limit));
        }
        assert_eq!((random.below(0), random.low_below(0)), (0, 0));
    }

    #[test]
    fn low_numbers_are_drawn_more_often() {
        let mut random = Random::new(7, Purpose::Events);
        let low = (0..10_000).filter(|_| random.low_below(1_000) < 10).count();
        // The cube root of one percent.
        assert!((2_000..2_300).contains(&low), "{low}");
    }

    #[test]
    fn an_order_holds_every_number_once() {
        for count in (1..200).chain([1_024, 9_699]) {
            for order in [Shuffle::of_members(count, u64::MAX), Shuffle::of_busyness(count, 5)] {
                let seen: HashSet<u64> = (0..count).map(|place| order.at(place)).collect();
                assert_eq!(seen.len() as u64, count);
                assert!(seen.iter().all(|&number| number < count));
            }
        }
    }

    #[test]
    fn a_long_product_gives_what_a_short_one_would() {
        let order = Shuffle { factor: u64::MAX - 1, start: 3, count: u64::MAX };
        // A factor of -1: the order runs backwards.
        assert_eq!([0, 1, 2, 3, 4].map(|place| order.at(place)), [3, 2, 1, 0, u64::MAX - 1]);
    }
}
