//! Moments, as ACME writes them (RFC 3339). The crate never asks for the time: it comes in as an argument.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const MILLIS_PER_DAY: i64 = 86_400_000;
/// 9999-12-31T23:59:59.999Z: RFC 3339 has four digits for the year.
const MAX_MILLIS: i64 = 253_402_300_799_999;

/// A moment between 1970 and 9999, in milliseconds since the epoch (leap seconds not counted).
///
/// Arithmetic saturates at the ends of that range, so that each `Timestamp` can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// A text that is no RFC 3339 moment between 1970 and 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimestampFault {
    /// Not of the form `2026-11-25T02:33:01Z`.
    #[error("not a date of RFC 3339 with its zone, such as 2026-11-25T02:33:01Z")]
    Form,
    /// A month, day, hour, minute, second or offset that does not exist; `:60` among them.
    #[error("no such date or time")]
    Range,
    /// Outside the years 1970 to 9999.
    #[error("the year is not between 1970 and 9999")]
    Year,
}

impl Timestamp {
    /// The first moment.
    pub const EPOCH: Self = Self(0);
    /// The last moment.
    pub const MAX: Self = Self(MAX_MILLIS);

    /// Takes milliseconds since the epoch; values outside the range become its ends.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        if millis < 0 {
            Self::EPOCH
        } else if millis > MAX_MILLIS {
            Self::MAX
        } else {
            Self(millis)
        }
    }

    /// Takes seconds since the epoch; values outside the range become its ends.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self::from_millis(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch.
    #[must_use]
    pub const fn as_seconds(self) -> i64 {
        self.0 / 1000
    }

    /// The moment later by a span (whole milliseconds of it).
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self::from_millis(self.0.saturating_add(millis(span)))
    }

    /// The moment earlier by a span (whole milliseconds of it).
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self::from_millis(self.0.saturating_sub(millis(span)))
    }

    /// The span since an earlier moment; none if that one is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

impl fmt::Display for Timestamp {
    /// Writes RFC 3339 in UTC with whole seconds, as ACME objects carry it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.0 / MILLIS_PER_DAY);
        let second = self.0 % MILLIS_PER_DAY / 1000;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
    }
}

impl FromStr for Timestamp {
    type Err = TimestampFault;

    /// Reads RFC 3339 with any zone; fractions below a millisecond are cut off.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        use TimestampFault::{Form, Range, Year};

        let mut rest = Cursor(text.as_bytes());
        let year = rest.digits(4)?;
        rest.one_of(b"-")?;
        let month = rest.digits(2)?;
        rest.one_of(b"-")?;
        let day = rest.digits(2)?;
        rest.one_of(b"Tt")?;
        let hour = rest.digits(2)?;
        rest.one_of(b":")?;
        let minute = rest.digits(2)?;
        rest.one_of(b":")?;
        let second = rest.digits(2)?;
        let millis = rest.fraction()?;
        let offset = rest.offset()?;
        if !rest.0.is_empty() {
            return Err(Form);
        }
        if !(1970..=9999).contains(&year) {
            return Err(Year);
        }
        if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
            return Err(Range);
        }
        // RFC 3339 knows `:60` for leap seconds; no time scale of ours can hold it (T-CA-48).
        if hour > 23 || minute > 59 || second > 59 {
            return Err(Range);
        }
        let seconds =
            days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
        let total = (seconds - offset * 60) * 1000 + millis;
        if (0..=MAX_MILLIS).contains(&total) {
            Ok(Self(total))
        } else {
            Err(Year)
        }
    }
}

/// The unread rest of a date.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn digits(&mut self, count: usize) -> Result<i64, TimestampFault> {
        let (digits, rest) = self.0.split_at_checked(count).ok_or(TimestampFault::Form)?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(TimestampFault::Form);
        }
        self.0 = rest;
        Ok(digits
            .iter()
            .fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
    }

    fn one_of(&mut self, accepted: &[u8]) -> Result<u8, TimestampFault> {
        match self.0.split_first() {
            Some((first, rest)) if accepted.contains(first) => {
                self.0 = rest;
                Ok(*first)
            }
            _ => Err(TimestampFault::Form),
        }
    }

    fn fraction(&mut self) -> Result<i64, TimestampFault> {
        let Some((b'.', rest)) = self.0.split_first() else {
            return Ok(0);
        };
        let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        if count == 0 {
            return Err(TimestampFault::Form);
        }
        let (digits, rest) = rest.split_at(count);
        self.0 = rest;
        Ok((0..3).fold(0, |value, place| {
            let digit = digits.get(place).map_or(0, |digit| digit - b'0');
            value * 10 + i64::from(digit)
        }))
    }

    /// Minutes east of UTC.
    fn offset(&mut self) -> Result<i64, TimestampFault> {
        let sign = match self.one_of(b"Zz+-")? {
            b'+' => 1,
            b'-' => -1,
            _ => return Ok(0),
        };
        let hours = self.digits(2)?;
        self.one_of(b":")?;
        let minutes = self.digits(2)?;
        if hours > 23 || minutes > 59 {
            return Err(TimestampFault::Range);
        }
        Ok(sign * (hours * 60 + minutes))
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since the epoch of a date of the proleptic Gregorian calendar. Years are counted from March, so that the leap
/// day is their last; an era has 400 of them.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse, for days that are not before the epoch.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_are_read_strictly() {
        // T-CA-48: without timezone, leap second, impossible dates
        use TimestampFault::{Form, Range, Year};
        let cases: &[(&str, Result<i64, TimestampFault>)] = &[
            ("1970-01-01T00:00:00Z", Ok(0)),
            ("2026-11-25T02:33:01Z", Ok(1_795_573_981_000)),
            ("2026-11-25t02:33:01z", Ok(1_795_573_981_000)),
            ("2026-11-25T04:33:01+02:00", Ok(1_795_573_981_000)),
            ("2026-11-24T21:03:01-05:30", Ok(1_795_573_981_000)),
            ("2026-11-25T02:33:01-00:00", Ok(1_795_573_981_000)),
            ("2026-11-25T02:33:01.5Z", Ok(1_795_573_981_500)),
            ("2026-11-25T02:33:01.123456789Z", Ok(1_795_573_981_123)),
            ("9999-12-31T23:59:59Z", Ok(253_402_300_799_000)),
            ("2024-02-29T00:00:00Z", Ok(1_709_164_800_000)),
            ("2026-11-25T02:33:01", Err(Form)),
            ("2026-11-25", Err(Form)),
            ("2026-11-25 02:33:01Z", Err(Form)),
            ("2026-11-25T02:33Z", Err(Form)),
            ("2026-11-25T02:33:01.Z", Err(Form)),
            ("2026-11-25T02:33:01+0200", Err(Form)),
            ("2026-11-25T02:33:01Z ", Err(Form)),
            (" 2026-11-25T02:33:01Z", Err(Form)),
            ("+2026-11-25T02:33:01Z", Err(Form)),
            ("12026-11-25T02:33:01Z", Err(Form)),
            ("２026-11-25T02:33:01Z", Err(Form)),
            ("", Err(Form)),
            ("2026-11-25T02:33:60Z", Err(Range)),
            ("2016-12-31T23:59:60Z", Err(Range)),
            ("2026-11-25T24:00:00Z", Err(Range)),
            ("2026-11-25T02:60:00Z", Err(Range)),
            ("2026-13-01T00:00:00Z", Err(Range)),
            ("2026-00-01T00:00:00Z", Err(Range)),
            ("2026-11-31T00:00:00Z", Err(Range)),
            ("2026-11-00T00:00:00Z", Err(Range)),
            ("2025-02-29T00:00:00Z", Err(Range)),
            ("2100-02-29T00:00:00Z", Err(Range)),
            ("2026-11-25T02:33:01+24:00", Err(Range)),
            ("1969-12-31T23:59:59Z", Err(Year)),
            ("1970-01-01T00:00:00+00:01", Err(Year)),
            ("9999-12-31T23:59:59-00:01", Err(Year)),
            ("0000-01-01T00:00:00Z", Err(Year)),
        ];
        let wrong: Vec<_> = cases
            .iter()
            .map(|(text, want)| {
                (
                    text,
                    want,
                    text.parse::<Timestamp>().map(Timestamp::as_millis),
                )
            })
            .filter(|(_, want, got)| *want != got)
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn arithmetic_saturates() {
        let now = Timestamp::from_seconds(1_700_000_000);
        assert_eq!(now.plus(Duration::MAX), Timestamp::MAX);
        assert_eq!(now.minus(Duration::MAX), Timestamp::EPOCH);
        assert_eq!(now.since(now.plus(Duration::from_secs(1))), Duration::ZERO);
        assert_eq!(
            now.plus(Duration::from_millis(1500)).since(now),
            Duration::from_millis(1500)
        );
        assert_eq!(Timestamp::from_millis(i64::MIN), Timestamp::EPOCH);
        assert_eq!(Timestamp::from_seconds(i64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn json_carries_whole_seconds_in_utc() {
        let moment = Timestamp::from_millis(1_795_573_981_999);
        let json = serde_json::to_string(&moment).unwrap();
        assert_eq!(json, r#""2026-11-25T02:33:01Z""#);
        let back: Timestamp = serde_json::from_str(&json).unwrap();
        assert_eq!(back.as_seconds(), moment.as_seconds());
    }

    proptest! {
        #[test]
        fn writing_and_reading_agree_with_an_independent_calendar(millis in 0..=MAX_MILLIS) {
            let moment = Timestamp::from_millis(millis);
            let text = moment.to_string();
            prop_assert_eq!(text.parse::<Timestamp>().unwrap().as_seconds(), moment.as_seconds());
            let oracle = jiff::Timestamp::from_second(moment.as_seconds()).unwrap();
            prop_assert_eq!(text, oracle.to_string());
        }

        #[test]
        fn reading_never_panics(text in any::<String>()) {
            let _ = text.parse::<Timestamp>();
        }

        #[test]
        fn what_is_read_is_what_another_reader_reads(
            text in r"20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]{1,3})?(Z|[+-][0-1][0-9]:[0-5][0-9])"
        ) {
            let ours = text.parse::<Timestamp>().ok().map(Timestamp::as_millis);
            let theirs = text.parse::<jiff::Timestamp>().ok().map(|moment| moment.as_millisecond());
            prop_assert_eq!(ours, theirs);
        }
    }
}
