//! Sample data for `adseg generate`: the same settings give the same bytes in every version.
//!
//! Published figures depend on these bytes, so the order of the draws must not change.

mod policy;
mod text;

use std::ops::Range;

pub use self::policy::{SampleCodes, SampleSuppressions};
use self::text::{FAULTS, push_bad_conversion, push_conversion, push_member};
use crate::record::ConversionKind;

/// The settings of the generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The seed of all random numbers.
    pub seed: u64,
    /// The number of loyalty rows, each for a different customer.
    pub members: u64,
    /// The number of conversions, bad ones included.
    pub events: u64,
    /// The number of customers. At least the number of members, and at least 1.
    pub customers: u64,
    /// The weights of clicks, baskets and purchases. If all are 0, every conversion is a click.
    pub mix: [u32; 3],
    /// The number of bad records per million conversions.
    pub bad_per_million: u32,
}

impl Settings {
    /// With the number of customers that the data has.
    fn with_all_customers(&self) -> Self {
        Self { customers: self.customers.max(self.members).max(1), ..*self }
    }

    /// The order of customers as members, and the random numbers of their rows.
    fn member_order(&self) -> (Shuffle, Random) {
        let mut random = Random::new(self.seed, 1);
        (Shuffle::new(self.customers, random.draw(), GOLDEN), random)
    }
}

/// Generates records one by one.
#[derive(Debug, Clone)]
pub struct Records {
    settings: Settings,
    /// The members and the number of events still to write.
    members: Range<u64>,
    events: u64,
    /// The order of customers as members, and by activity, the most active first.
    member_order: Shuffle,
    activity_order: Shuffle,
    member_random: Random,
    event_random: Random,
    fault_random: Random,
    stream_random: Random,
}

impl Records {
    /// The loyalty rows.
    pub fn members(settings: &Settings) -> Self {
        Self { events: 0, ..Self::interleaved(settings) }
    }

    /// The conversions.
    pub fn conversions(settings: &Settings) -> Self {
        Self { members: 0..0, ..Self::interleaved(settings) }
    }

    /// The loyalty rows and conversions in one stream. Half of the rows precede the first conversion.
    pub fn interleaved(settings: &Settings) -> Self {
        let settings = settings.with_all_customers();
        let (member_order, member_random) = settings.member_order();
        let [mut event_random, fault_random, stream_random] =
            [2, 3, 4].map(|purpose| Random::new(settings.seed, purpose));
        Self {
            settings,
            members: 0..settings.members,
            events: settings.events,
            member_order,
            activity_order: Shuffle::new(settings.customers, event_random.draw(), ROOT_TWO),
            member_random,
            event_random,
            fault_random,
            stream_random,
        }
    }

    /// Appends the next record without a line feed. Returns false if there is none.
    pub fn write_next(&mut self, record: &mut Vec<u8>) -> bool {
        let left = self.members.end - self.members.start;
        // After the first half, every order of the remaining records is equally likely.
        if self.members.start < self.members.end / 2
            || left > 0 && self.stream_random.below(left.saturating_add(self.events)) < left
        {
            push_member(record, self.member_order.at(self.members.start), self.member_random.draw());
            self.members.start += 1;
        } else if self.events > 0 {
            self.write_conversion(record);
            self.events -= 1;
        } else {
            return false;
        }
        true
    }

    fn write_conversion(&mut self, record: &mut Vec<u8>) {
        let customer = self.activity_order.at(self.event_random.skewed_below(self.settings.customers));
        let [clicks, baskets, purchases] = self.settings.mix.map(u64::from);
        let kind = match self.event_random.below(clicks + baskets + purchases) {
            drawn if drawn < baskets => ConversionKind::Basket,
            drawn if drawn < baskets + purchases => ConversionKind::Purchase,
            _ => ConversionKind::Click,
        };
        let bits = self.event_random.draw();
        if self.fault_random.below(1_000_000) < self.settings.bad_per_million.into() {
            push_bad_conversion(record, kind, customer, bits, self.fault_random.draw() % FAULTS);
        } else {
            push_conversion(record, kind, customer, bits);
        }
    }
}

/// The fractions of the golden ratio and of the square root of two, in units of 2^-64.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
const ROOT_TWO: u64 = 0x6a09_e667_f3bc_c908;

#[derive(Debug, Clone)]
struct Random(u64);

impl Random {
    /// Generators for different purposes are independent, so more draws from one do not change another. The first 2^64
    /// draws of a generator are all different.
    fn new(seed: u64, purpose: u64) -> Self {
        Self(mixed(mixed(seed) ^ purpose))
    }

    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mixed(self.0)
    }

    /// A number below `limit`, or 0 if the limit is 0.
    fn below(&mut self, limit: u64) -> u64 {
        scaled(limit, self.draw())
    }

    /// A number below `limit` from the cube of a uniform draw, so low numbers are far more frequent.
    fn skewed_below(&mut self, limit: u64) -> u64 {
        let draw = self.draw();
        scaled(limit, scaled(draw, scaled(draw, draw)))
    }
}

/// The SplitMix64 finalizer, a bijection.
fn mixed(state: u64) -> u64 {
    let state = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ state >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ state >> 31
}

/// `number` times `fraction`, which is in units of 2^-64, rounded down.
fn scaled(number: u64, fraction: u64) -> u64 {
    ((u128::from(number) * u128::from(fraction)) >> 64) as u64
}

/// A permutation of the numbers below `count`.
#[derive(Debug, Clone)]
struct Shuffle {
    /// Coprime to the count, so multiplying by it is a bijection modulo the count.
    factor: u64,
    start: u64,
    count: u64,
}

impl Shuffle {
    /// Consecutive indexes give numbers that differ by about `fraction` of the count. The count is not 0.
    fn new(count: u64, start: u64, fraction: u64) -> Self {
        let mut factor = scaled(count, fraction);
        while greatest_common_divisor(factor, count) != 1 {
            factor += 1;
        }
        Self { factor, start: start % count, count }
    }

    fn at(&self, index: u64) -> u64 {
        let sum = u128::from(index) * u128::from(self.factor) + u128::from(self.start);
        // A 64-bit division is several times as fast as a 128-bit one.
        u64::try_from(sum).map_or_else(|_| (sum % u128::from(self.count)) as u64, |sum| sum % self.count)
    }
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::record::{SourceKind, decode};
    use std::collections::HashSet;

    pub const DEFAULTS: Settings =
        Settings { seed: 1, members: 1_000, events: 10_000, customers: 5_000, mix: [60, 25, 15], bad_per_million: 0 };

    fn text(mut records: Records) -> String {
        lines(|record| records.write_next(record))
    }

    pub fn lines(mut write_next: impl FnMut(&mut Vec<u8>) -> bool) -> String {
        let mut text = Vec::new();
        while write_next(&mut text) {
            text.push(b'\n');
        }
        String::from_utf8(text).unwrap()
    }

    /// FNV-1a.
    pub fn checksum(text: &str) -> u64 {
        let step = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
    }

    // Never change these numbers: published figures were measured on these bytes.
    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let faulty = Settings { bad_per_million: 100_000, customers: 5_000_000, ..DEFAULTS };
        for (records, expected) in [
            (Records::members(&DEFAULTS), 0x9279_aab1_b83e_7a28),
            (Records::conversions(&DEFAULTS), 0xceab_c0a6_a258_0360),
            (Records::interleaved(&DEFAULTS), 0xe0b9_78d9_fdf8_f549),
            (Records::members(&faulty), 0x21ab_18cc_1f51_2981),
            (Records::conversions(&faulty), 0x57ae_155c_d200_dd00),
        ] {
            assert_eq!(checksum(&text(records)), expected);
        }
    }

    #[test]
    fn bad_records_are_rejected_for_the_right_reason() {
        let reasons = ["unknown conversion", "fields", "email is empty", "control", "bracket", "empty id", "decimal"];
        let kinds = [ConversionKind::Click, ConversionKind::Basket, ConversionKind::Purchase];
        for (fault, reason) in (0..FAULTS).zip(reasons) {
            for (number, kind) in (0..1_000).zip(kinds.into_iter().cycle()) {
                let mut record = Vec::new();
                push_bad_conversion(&mut record, kind, number, Random(number).draw(), fault);
                let error = decode(SourceKind::Conversions, &record).unwrap_err().to_string();
                assert!(error.contains(reason), "{error}");
                assert!(decode(SourceKind::Interleaved, &record).is_err());
            }
        }
    }

    #[test]
    fn conversions_follow_the_mix() {
        let counts = |mix| {
            let text = text(Records::conversions(&Settings { mix, ..DEFAULTS }));
            ["ClickConversion", "BasketConversion", "PurchaseConversion"].map(|kind| text.matches(kind).count())
        };
        for (count, percent) in counts([60, 25, 15]).into_iter().zip([60, 25, 15]) {
            assert!(count.abs_diff(percent * 100) < 200, "{count} of 10000, not {percent} %");
        }
        assert_eq!(counts([0, 0, 7]), [0, 0, 10_000]);
        assert_eq!(counts([0, 1, 0]), [0, 10_000, 0]);
        assert_eq!(counts([0, 0, 0]), [10_000, 0, 0]);
    }

    #[test]
    fn interleaving_keeps_both_orders() {
        for (members, events) in [(0, 50), (50, 0), (0, 0), (1, 1), (1_000, 30), (30, 1_000), (501, 499)] {
            let settings = Settings { members, events, bad_per_million: 100_000, ..DEFAULTS };
            let (stream, rows) = (text(Records::interleaved(&settings)), text(Records::members(&settings)));
            let half = members as usize / 2;
            assert!(stream.lines().take(half).eq(rows.lines().take(half)));
            let (found, rest): (String, String) =
                stream.split_inclusive('\n').partition(|line| line.contains("onversion"));
            assert_eq!((found, rest), (text(Records::conversions(&settings)), rows));
        }
    }

    #[test]
    fn the_largest_settings_do_not_overflow() {
        let (max, mix) = (u64::MAX, [u32::MAX; 3]);
        let settings =
            Settings { seed: max, members: max, events: max, customers: max, mix, bad_per_million: u32::MAX };
        for mut records in [Records::members(&settings), Records::conversions(&settings)] {
            assert!((0..1_000).all(|_| records.write_next(&mut Vec::new())));
        }
    }

    #[test]
    fn shuffle_is_a_permutation() {
        for count in (1..200).chain([1_024, 9_699]) {
            for order in [Shuffle::new(count, u64::MAX, GOLDEN), Shuffle::new(count, 5, ROOT_TWO)] {
                let numbers: HashSet<u64> = (0..count).map(|index| order.at(index)).collect();
                assert!(numbers.len() as u64 == count && numbers.iter().all(|&number| number < count), "{order:?}");
            }
        }
        // Products beyond 64 bits: the factor is -1 modulo the count, so the permutation counts down.
        let order = Shuffle { factor: u64::MAX - 1, start: 3, count: u64::MAX };
        assert_eq!([0, 1, 3, 4].map(|index| order.at(index)), [3, 2, 0, u64::MAX - 1]);
    }
}
