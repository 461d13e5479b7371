//! The time of a conversion: parsing, and the time range that is decided.

use std::fmt;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// A point in time, in microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub i64);

/// From here on, a number is read as milliseconds and not as seconds: as seconds it is in the year 5138, as
/// milliseconds in 1973.
const FIRST_MILLISECONDS: u64 = 100_000_000_000;

/// From here on, a number is not a time: as milliseconds it is in the year 2286. It may be microseconds, or a date such
/// as 20240501100000.
const FIRST_MICROSECONDS: u64 = 10_000_000_000_000;

/// Whether digits are a date such as 20240501, which must not be read as seconds.
fn is_date(digits: &str) -> bool {
    digits.len() == 8 && (digits.starts_with("19") || digits.starts_with("20"))
}

impl Time {
    /// Parses RFC 3339, `YYYY-MM-DD[ HH:MM[:SS[.fff]]]` in UTC unless an offset follows, or seconds or milliseconds
    /// since 1970. `None` if it is none of them.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = str::from_utf8(text).ok()?;
        let digits = text.strip_prefix('-').unwrap_or(text);
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let number: i64 = text.parse().ok()?;
            if number.unsigned_abs() >= FIRST_MICROSECONDS || is_date(digits) {
                return None;
            }
            let scale = if number.unsigned_abs() < FIRST_MILLISECONDS { 1_000_000 } else { 1_000 };
            return number.checked_mul(scale).map(Self);
        }
        if let Ok(time) = text.parse::<jiff::Timestamp>() {
            return Some(Self(time.as_microsecond()));
        }
        // jiff ignores an offset or a time zone after a civil time, so only these characters are accepted.
        if !text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b':' | b'.' | b' ' | b'T')) {
            return None;
        }
        let time = text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()?;
        Some(Self(time.timestamp().as_microsecond()))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(time) => write!(out, "{time}"),
            Err(_) => write!(out, "{} µs since 1970", self.0),
        }
    }
}

/// The time range of the conversions that are decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeWindow {
    /// Conversions before this time get no decision, but a purchase still makes its customer a member.
    pub since: Option<Time>,
    /// Conversions at or after this time are ignored.
    pub until: Option<Time>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_time_in_every_spelling_is_the_same() {
        let expected = Some(Time(1_714_557_600_000_000));
        for text in [
            "2024-05-01T10:00:00Z",
            "2024-05-01t10:00:00z",
            "2024-05-01 10:00:00Z",
            "2024-05-01T12:00:00+02:00",
            "2024-05-01 10:00",
            "2024-05-01 10:00:00",
            "2024-05-01T10:00:00.000",
            "1714557600",
            "1714557600000",
        ] {
            assert_eq!(Time::parse(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(Time::parse(b"2024-05-01"), Some(Time(1_714_521_600_000_000)));
        assert_eq!(Time::parse(b"2024-05-01 10:00:00.25"), Some(Time(1_714_557_600_250_000)));
        assert_eq!(Time::parse(b"-1"), Some(Time(-1_000_000)));
    }

    #[test]
    fn anything_else_is_no_time() {
        for text in [
            "",
            "-",
            "now",
            "10:00",
            "2024-13-01",
            "2024-05-01 25:00",
            "01.05.2024",
            "17145576000000000000000",
            "1.5",
            "1714557600000000",
            "20240501",
            "20240501100000",
        ] {
            assert_eq!(Time::parse(text.as_bytes()), None, "{text}");
        }
    }
}
