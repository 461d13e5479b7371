//! Sample data: a loyalty list and conversions that are made up, the same bytes for the same seed for ever.
//!
//! Everything is drawn with integers from one small generator, so neither the platform nor a newer library can change a
//! byte; a change to what comes out breaks somebody's figures and needs a reason. Nothing here opens a file, counts
//! progress, or puts line feeds or frame headers around a record.
//!
//! | file | what is in it |
//! |---|---|
//! | `random` | the numbers that everything is drawn from, and orders without repeats |
//! | `people` | a customer's name and email |
//! | `members` | the loyalty rows |
//! | `cart` | what is bought, and what it costs |
//! | `events` | the conversions |
//! | `faults` | the records that are bad on purpose |
//! | `interleaved` | rows and conversions in one stream |

mod cart;
mod events;
mod faults;
mod interleaved;
mod members;
mod people;
mod random;

pub use events::Events;
pub use interleaved::Interleaved;
pub use members::Members;

/// What is to be made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Another seed, other data.
    pub seed: u64,
    /// How many rows the loyalty list has, each another customer.
    pub members: u64,
    /// How many conversions there are, bad ones included.
    pub events: u64,
    /// How many customers there are in all. There are never fewer than members, and never none.
    pub customers: u64,
    /// How the conversions divide into the three types.
    pub mix: Mix,
    /// How many of a million conversions are bad records.
    pub bad_per_million: u32,
}

/// Weights of the three types of conversion: twice the weight, twice as many. Without any weight all are clicks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix {
    /// The weight of the clicks.
    pub clicks: u32,
    /// The weight of the baskets.
    pub baskets: u32,
    /// The weight of the purchases.
    pub purchases: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { seed: 1, members: 1_000, events: 10_000, customers: 5_000, mix: Mix::default(), bad_per_million: 0 }
    }
}

impl Default for Mix {
    fn default() -> Self {
        Self { clicks: 60, baskets: 25, purchases: 15 }
    }
}

impl Settings {
    /// How many customers there are once every member is one of them and an event has somebody to come from.
    fn population(&self) -> u64 {
        self.customers.max(self.members).max(1)
    }
}

/// Appends `number` in decimal digits.
fn push_decimal(record: &mut Vec<u8>, number: u64) {
    if number >= 10 {
        push_decimal(record, number / 10);
    }
    record.push(b'0' + (number % 10) as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All the records that `write_next` gives.
    pub(super) fn records(mut write_next: impl FnMut(&mut Vec<u8>) -> bool) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| {
            let mut record = Vec::new();
            write_next(&mut record).then_some(record)
        })
        .collect()
    }

    pub(super) fn members(settings: &Settings) -> Vec<Vec<u8>> {
        let mut members = Members::new(settings);
        records(|record| members.write_next(record))
    }

    pub(super) fn events(settings: &Settings) -> Vec<Vec<u8>> {
        let mut events = Events::new(settings);
        records(|record| events.write_next(record))
    }

    pub(super) fn interleaved(settings: &Settings) -> Vec<Vec<u8>> {
        let mut interleaved = Interleaved::new(settings);
        records(|record| interleaved.write_next(record))
    }

    /// FNV-1a over the records, each with a line feed behind it.
    fn checksum(records: &[Vec<u8>]) -> u64 {
        let bytes = records.iter().flat_map(|record| record.iter().chain(b"\n"));
        bytes.fold(0xcbf2_9ce4_8422_2325, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    // Never put other numbers here: figures that somebody published were measured on these bytes.
    #[test]
    fn the_same_seed_gives_the_same_bytes_for_ever() {
        let plain = Settings::default();
        let faulty = Settings { bad_per_million: 100_000, customers: 5_000_000, ..Settings::default() };
        assert_eq!(checksum(&members(&plain)), 0x9279_aab1_b83e_7a28);
        assert_eq!(checksum(&events(&plain)), 0xceab_c0a6_a258_0360);
        assert_eq!(checksum(&interleaved(&plain)), 0xe0b9_78d9_fdf8_f549);
        assert_eq!(checksum(&members(&faulty)), 0x21ab_18cc_1f51_2981);
        assert_eq!(checksum(&events(&faulty)), 0x57ae_155c_d200_dd00);
    }

    #[test]
    fn the_first_records_of_the_default_seed_can_be_read() {
        let settings = Settings { members: 2, events: 4, ..Settings::default() };
        let lines = |records: Vec<Vec<u8>>| String::from_utf8(records.join(&b'\n')).unwrap();
        assert_eq!(
            lines(members(&settings)),
            "robin.dyer@home.example, robin.dyer, robin_dyer, M\n\
             kelly.stone@post.example.org, kelly.stone, kelly_stone, M"
        );
        assert_eq!(
            lines(events(&settings)),
            "MarsupialHoodie, ClickConversion, dakota.chandler@example.com, Instagram\n\
             WombatSocks, PurchaseConversion, pat.turner@home.example, [16], 12.50\n\
             PlatypusCap, PurchaseConversion, cameron.moore@example.org, [10], 32.75\n\
             MarsupialHoodie, ClickConversion, kai.abbott@example.com, Facebook"
        );
    }

    #[test]
    fn another_seed_gives_other_data() {
        let [one, two] = [1, 2].map(|seed| Settings { seed, ..Settings::default() });
        assert_ne!(members(&one), members(&two));
        assert_ne!(events(&one), events(&two));
        assert_ne!(interleaved(&one), interleaved(&two));
    }

    #[test]
    fn nothing_asked_for_is_nothing_made_up() {
        let settings = Settings { members: 0, events: 0, customers: 0, ..Settings::default() };
        assert!(members(&settings).is_empty());
        assert!(events(&settings).is_empty());
        assert!(interleaved(&settings).is_empty());
    }

    #[test]
    fn members_are_customers_even_where_fewer_were_asked_for() {
        let settings = Settings { members: 10, customers: 3, ..Settings::default() };
        assert_eq!(members(&settings).len(), 10);
        assert_eq!(settings.population(), 10);
    }

    #[test]
    fn the_largest_settings_end_in_no_overflow() {
        let (most, mix) = (u64::MAX, Mix { clicks: u32::MAX, baskets: u32::MAX, purchases: u32::MAX });
        let settings =
            Settings { seed: most, members: most, events: most, customers: most, mix, bad_per_million: u32::MAX };
        let mut interleaved = Interleaved::new(&settings);
        let (mut members, mut events, mut record) = (Members::new(&settings), Events::new(&settings), Vec::new());
        for _ in 0..1_000 {
            assert!(interleaved.write_next(&mut record));
            assert!(members.write_next(&mut record));
            assert!(events.write_next(&mut record));
        }
    }

    #[test]
    fn decimal_digits_are_those_of_the_number() {
        for number in [0, 9, 10, 99, 100, 1_234_567_890, u64::MAX] {
            let mut digits = Vec::new();
            push_decimal(&mut digits, number);
            assert_eq!(digits, number.to_string().as_bytes());
        }
    }
}
