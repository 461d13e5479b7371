//! The timeline by time: what happened in each hour, day, week, month or year.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{ToSpan, Zoned};

use super::timeline::Bucket;
use crate::record::Time;

/// The maximum number of periods of a timeline.
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

/// How many years are one period, if the timeline is by year.
const YEARS: [i64; 10] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

/// Monday, 1969-12-29, from which weeks are counted, in days since 1970.
const FIRST_MONDAY: i64 = -3;

impl Length {
    /// The number of the period that contains an hour, in UTC. Periods are numbered in order.
    fn period(self, hour: i64) -> i64 {
        let days = hour.div_euclid(24);
        match self {
            Self::Hour => hour,
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
#[derive(Debug, Clone)]
pub struct Periods {
    lengths: [Option<BTreeMap<i64, Bucket>>; LENGTHS.len()],
    /// The latest hour and its conversions, which are not in `lengths` yet. Most conversions are in the same hour as
    /// the one before them.
    latest: (i64, Bucket),
}

impl Default for Periods {
    fn default() -> Self {
        Self { lengths: [const { Some(BTreeMap::new()) }; LENGTHS.len()], latest: (0, Bucket::default()) }
    }
}

impl Periods {
    /// Counts a conversion at this time.
    #[inline]
    pub fn count(&mut self, time: Time, conversion: Bucket) {
        let hour = time.0.div_euclid(3_600_000_000);
        if self.latest.0 != hour {
            self.finish_hour();
            self.latest.0 = hour;
        }
        self.latest.1 += conversion;
    }

    /// Adds the conversions of the latest hour to the periods.
    fn finish_hour(&mut self) {
        let (hour, bucket) = (self.latest.0, std::mem::take(&mut self.latest.1));
        if bucket.conversions > 0 {
            for (length, periods) in LENGTHS.into_iter().zip(&mut self.lengths) {
                add(periods, length, length.period(hour), bucket);
            }
        }
    }

    /// Adds the periods of another partition.
    pub fn merge(&mut self, mut other: Self) {
        other.finish_hour();
        for ((length, periods), other) in LENGTHS.into_iter().zip(&mut self.lengths).zip(other.lengths) {
            match other {
                Some(other) => other.into_iter().for_each(|(period, bucket)| add(periods, length, period, bucket)),
                None => *periods = None,
            }
        }
    }

    /// The shortest periods that are few enough, from the first conversion to the last, each with its start. Empty if
    /// there are no times. All partitions must be merged.
    pub fn timeline(&self) -> Vec<(String, Bucket)> {
        let mut lengths = LENGTHS.into_iter().zip(&self.lengths);
        let (length, periods) =
            lengths.find_map(|(length, periods)| Some((length, periods.as_ref()?))).expect("years are never dropped");
        let (Some((&first, _)), Some((&last, _))) = (periods.first_key_value(), periods.last_key_value()) else {
            return Vec::new();
        };
        let is_short = |size: &i64| last.div_euclid(*size) - first.div_euclid(*size) < MAX_PERIODS;
        // Only years can be too many.
        let size = YEARS.into_iter().find(is_short).expect("the calendar has 20,000 years");
        let bucket = |group: i64| {
            periods.range(group * size..(group + 1) * size).fold(Bucket::default(), |mut sum, (_, bucket)| {
                sum += *bucket;
                sum
            })
        };
        let groups = first.div_euclid(size)..=last.div_euclid(size);
        groups.map(|group| (length.start(group * size), bucket(group))).collect()
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

    /// A conversion for each time, in one partition.
    fn partition(times: &[Time]) -> Periods {
        let mut periods = Periods::default();
        times.iter().for_each(|&time| periods.count(time, Bucket { conversions: 1, ..Bucket::default() }));
        periods
    }

    fn merge(partitions: impl IntoIterator<Item = Periods>) -> Vec<(String, u64)> {
        let mut merged = Periods::default();
        partitions.into_iter().for_each(|partition| merged.merge(partition));
        merged.timeline().into_iter().map(|(start, bucket)| (start, bucket.conversions)).collect()
    }

    fn periods(times: &[&str]) -> Vec<(String, u64)> {
        let times: Vec<_> = times.iter().map(|time| Time::parse(time.as_bytes()).unwrap()).collect();
        merge([partition(&times)])
    }

    #[test]
    fn the_length_of_the_periods_depends_on_the_first_and_last_time() {
        for (times, first, count) in [
            (["2026-03-01 10:59", "2026-03-01 12:00"], "2026-03-01 10:00", 3),
            (["2026-02-28 10:59", "2026-03-03 12:00"], "2026-02-28", 4),
            (["2026-01-01", "2026-03-01"], "2025-12-29", 9),
            (["1969-12-31 23:00", "1971-01-01"], "1969-12", 14),
            (["1999-12-31 23:59:59", "2026-01-01"], "1999", 28),
            (["1959-01-01", "2026-01-01"], "1955", 15),
            (["0001-01-01", "2026-01-01"], "0000", 21),
        ] {
            let periods = periods(&times);
            assert_eq!((periods[0].0.as_str(), periods.len()), (first, count), "{times:?}");
            assert_eq!(periods.iter().map(|(_, count)| count).sum::<u64>(), 2);
        }
        assert_eq!(periods(&[]), []);
    }

    #[test]
    fn times_beyond_the_calendar_are_counted() {
        let periods = merge([partition(&[i64::MIN, 0, i64::MAX].map(Time))]);
        assert_eq!(periods.iter().map(|(_, count)| count).sum::<u64>(), 3);
    }

    proptest! {
        #[test]
        fn periods_do_not_depend_on_partitions(
            times in prop::collection::vec((0_i64..4_000_000, 0_usize..3), 0..60),
            scale in prop::sample::select(vec![1_000_000_i64, 60_000_000, 3_000_000_000]),
        ) {
            let mut parts = vec![Vec::new(); 3];
            times.iter().for_each(|&(time, part)| parts[part].push(Time(time * scale)));
            let all: Vec<_> = times.iter().map(|(time, _)| Time(time * scale)).collect();
            prop_assert_eq!(merge(parts.iter().rev().map(|part| partition(part))), merge([partition(&all)]));
        }
    }
}
