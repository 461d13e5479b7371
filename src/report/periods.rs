//! The timeline by time: conversions and new members in each hour, day, week, month or year.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{ToSpan, Zoned};

use super::counts::Bucket;
use crate::record::Time;

/// The maximum number of periods of a timeline, unless it is by year.
const MAX_PERIODS: i64 = 31;

/// The length of the periods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Hour,
    Day,
    Week,
    Month,
    Year,
}

const LENGTHS: [Length; 5] = [Length::Hour, Length::Day, Length::Week, Length::Month, Length::Year];

/// Monday, 1969-12-29, from which weeks are counted, in days since 1970.
const FIRST_MONDAY: i64 = -3;

impl Length {
    /// The number of the period that contains a time, in UTC. Periods are numbered in order.
    fn period(self, time: Time) -> i64 {
        let hours = time.0.div_euclid(3_600_000_000);
        let days = hours.div_euclid(24);
        match self {
            Self::Hour => hours,
            Self::Day => days,
            Self::Week => (days - FIRST_MONDAY).div_euclid(7),
            Self::Month | Self::Year => {
                let date = date(days);
                let years = i64::from(date.year());
                if self == Self::Year { years } else { years * 12 + i64::from(date.month()) - 1 }
            }
        }
    }

    /// The start of a period as text.
    fn start(self, period: i64) -> String {
        match self {
            Self::Hour => format!("{} {:02}:00", date(period.div_euclid(24)).date(), period.rem_euclid(24)),
            Self::Day => date(period).date().to_string(),
            Self::Week => date(period * 7 + FIRST_MONDAY).date().to_string(),
            Self::Month => format!("{:04}-{:02}", period.div_euclid(12), period.rem_euclid(12) + 1),
            Self::Year => format!("{period:04}"),
        }
    }
}

/// A day, counted from 1970, in UTC. Times beyond the calendar of the years -9999 to 9999 are in its first or last day.
fn date(days: i64) -> Zoned {
    let epoch = jiff::Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
    let limit = if days < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    // The limits of a span and of the calendar are beyond any log.
    let days = days.clamp(-4_371_000, 2_932_000);
    epoch.checked_add(days.days()).unwrap_or_else(|_| limit.to_zoned(TimeZone::UTC))
}

/// The counts of each period, for each length whose periods are few enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Periods([Option<BTreeMap<i64, Bucket>>; LENGTHS.len()]);

impl Default for Periods {
    fn default() -> Self {
        Self([const { Some(BTreeMap::new()) }; LENGTHS.len()])
    }
}

impl Periods {
    /// Counts a conversion at this time.
    pub fn count(&mut self, time: Time, is_new_member: bool) {
        let bucket = Bucket { conversions: 1, new_members: u64::from(is_new_member) };
        for (length, periods) in LENGTHS.into_iter().zip(&mut self.0) {
            add(periods, length, length.period(time), bucket);
        }
    }

    /// Adds the periods of another partition.
    pub fn merge(&mut self, other: Self) {
        for ((length, periods), other) in LENGTHS.into_iter().zip(&mut self.0).zip(other.0) {
            match other {
                Some(other) => other.into_iter().for_each(|(period, bucket)| add(periods, length, period, bucket)),
                None => *periods = None,
            }
        }
    }

    /// The shortest periods that are few enough, from the first conversion to the last, each with its start. Empty if
    /// there are no times.
    pub fn timeline(&self) -> Vec<(String, Bucket)> {
        let mut lengths = LENGTHS.into_iter().zip(&self.0);
        let (length, periods) =
            lengths.find_map(|(length, periods)| Some((length, periods.as_ref()?))).expect("years are never dropped");
        let (Some((&first, _)), Some((&last, _))) = (periods.first_key_value(), periods.last_key_value()) else {
            return Vec::new();
        };
        let bucket = |period| periods.get(&period).copied().unwrap_or_default();
        (first..=last).map(|period| (length.start(period), bucket(period))).collect()
    }
}

/// Adds to a period. Drops all periods of this length if they become too many; years always stay.
fn add(periods: &mut Option<BTreeMap<i64, Bucket>>, length: Length, period: i64, bucket: Bucket) {
    let Some(map) = periods else { return };
    *map.entry(period).or_default() += bucket;
    let (Some((first, _)), Some((last, _))) = (map.first_key_value(), map.last_key_value()) else { return };
    if last - first >= MAX_PERIODS && length != Length::Year {
        *periods = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn periods(times: &[&str]) -> Vec<(String, u64)> {
        let mut periods = Periods::default();
        times.iter().for_each(|time| periods.count(Time::parse(time.as_bytes()).unwrap(), false));
        periods.timeline().into_iter().map(|(start, bucket)| (start, bucket.conversions)).collect()
    }

    #[test]
    fn the_length_of_the_periods_depends_on_the_first_and_last_time() {
        for (times, first, count) in [
            (["2026-03-01 10:59", "2026-03-01 12:00"], "2026-03-01 10:00", 3),
            (["2026-02-28 10:59", "2026-03-03 12:00"], "2026-02-28", 4),
            (["2026-01-01", "2026-03-01"], "2025-12-29", 9),
            (["1969-12-31 23:00", "1971-01-01"], "1969-12", 14),
            (["1999-12-31 23:59:59", "2026-01-01"], "1999", 28),
        ] {
            let periods = periods(&times);
            assert_eq!((periods[0].0.as_str(), periods.len()), (first, count), "{times:?}");
            assert_eq!(periods.iter().map(|(_, count)| count).sum::<u64>(), 2);
        }
        assert_eq!(periods(&[]), []);
    }

    #[test]
    fn times_beyond_the_calendar_are_counted() {
        let mut periods = Periods::default();
        [i64::MIN, 0, i64::MAX].into_iter().for_each(|time| periods.count(Time(time), true));
        assert_eq!(periods.timeline().iter().map(|(_, bucket)| bucket.new_members).sum::<u64>(), 3);
    }

    proptest! {
        #[test]
        fn periods_do_not_depend_on_partitions(
            times in prop::collection::vec((0_i64..4_000_000, any::<bool>(), 0_usize..3), 0..60),
            scale in prop::sample::select(vec![1_000_000_i64, 60_000_000, 3_000_000_000]),
        ) {
            let (mut whole, mut parts) = (Periods::default(), vec![Periods::default(); 3]);
            for (time, is_new_member, part) in times {
                whole.count(Time(time * scale), is_new_member);
                parts[part].count(Time(time * scale), is_new_member);
            }
            let mut merged = Periods::default();
            parts.into_iter().rev().for_each(|part| merged.merge(part));
            prop_assert_eq!(merged, whole);
        }
    }
}
