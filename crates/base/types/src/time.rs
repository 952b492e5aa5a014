//! Instants, and who tells them.

use std::{fmt, time::Duration};

use jiff::{civil, fmt::strtime, tz::TimeZone};

/// Tells the time. The wall clock is for AWS timestamps, signatures, expiry and schedules; the monotonic one is for
/// time-outs, leases and caches.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
    /// Time since some fixed moment of this process; never goes back.
    fn monotonic(&self) -> Duration;
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a time of the expected form")]
pub struct TimeError;

const MILLIS_PER_DAY: i64 = 86_400_000;

/// An instant in milliseconds since the Unix epoch, which is the precision AWS shows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    pub const EPOCH: Self = Self(0);

    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds, rounded towards the past.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// 00:00:00 UTC of the same day: the resolution of `LastAccessedDate`.
    pub const fn start_of_day(self) -> Self {
        Self(self.0 - self.0.rem_euclid(MILLIS_PER_DAY))
    }

    #[must_use]
    pub const fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis_of(duration)))
    }

    #[must_use]
    pub const fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis_of(duration)))
    }

    #[must_use]
    pub const fn plus_days(self, days: i64) -> Self {
        Self(self.0.saturating_add(days.saturating_mul(MILLIS_PER_DAY)))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// `20260102T030405Z`, the form of `X-Amz-Date`.
    pub fn to_basic(self) -> String {
        self.digits("YYYYMMDDThhmmssZ")
    }

    /// `20260102`, the date of a credential scope.
    pub fn to_date(self) -> String {
        self.digits("YYYYMMDD")
    }

    /// `2026-01-02T03:04:05Z`, seconds only.
    pub fn to_iso_seconds(self) -> String {
        self.digits("YYYY-MM-DDThh:mm:ssZ")
    }

    /// `2026-01-02T03:04:05.678Z`.
    pub fn to_iso_millis(self) -> String {
        self.digits("YYYY-MM-DDThh:mm:ss.fffZ")
    }

    /// `Fri, 02 Jan 2026 03:04:05 GMT`, the form of an HTTP `Date`.
    pub fn to_http(self) -> String {
        self.format("%a, %d %b %Y %H:%M:%S GMT")
    }

    /// Reads exactly `YYYYMMDDThhmmssZ`.
    pub fn parse_basic(text: &str) -> Result<Self, TimeError> {
        let bytes: &[u8; 16] = text.as_bytes().try_into().map_err(|_| TimeError)?;
        let &[y1, y2, y3, y4, mo1, mo2, d1, d2, b'T', h1, h2, mi1, mi2, s1, s2, b'Z'] = bytes else {
            return Err(TimeError);
        };
        let number = |digits: &[u8]| {
            digits.iter().try_fold(0_i16, |number, digit| {
                digit.is_ascii_digit().then(|| number * 10 + i16::from(digit - b'0')).ok_or(TimeError)
            })
        };
        let pair = |digits: &[u8]| i8::try_from(number(digits)?).map_err(|_| TimeError);
        let civil = civil::DateTime::new(
            number(&[y1, y2, y3, y4])?,
            pair(&[mo1, mo2])?,
            pair(&[d1, d2])?,
            pair(&[h1, h2])?,
            pair(&[mi1, mi2])?,
            pair(&[s1, s2])?,
            0,
        );
        let instant = TimeZone::UTC.to_timestamp(civil.map_err(|_| TimeError)?).map_err(|_| TimeError)?;
        Ok(Self(instant.as_millisecond()))
    }

    /// Reads an RFC 7231 date such as `Fri, 02 Jan 2026 03:04:05 GMT`.
    pub fn parse_http(text: &str) -> Result<Self, TimeError> {
        Self::parse("%a, %d %b %Y %H:%M:%S GMT", text)
    }

    /// Reads an RFC 3339 time such as `2026-01-02T03:04:05.678Z`.
    pub fn parse_iso(text: &str) -> Result<Self, TimeError> {
        let instant: jiff::Timestamp = text.parse().map_err(|_| TimeError)?;
        Ok(Self(instant.as_millisecond()))
    }

    fn parse(format: &str, text: &str) -> Result<Self, TimeError> {
        let parts = strtime::parse(format, text).map_err(|_| TimeError)?;
        let civil: civil::DateTime = parts.to_datetime().map_err(|_| TimeError)?;
        let instant = TimeZone::UTC.to_timestamp(civil).map_err(|_| TimeError)?;
        Ok(Self(instant.as_millisecond()))
    }

    /// Fills a pattern with the digits of this instant. Every request prints three times or so, and a general formatter
    /// costs ten times as much as this.
    fn digits(self, pattern: &str) -> String {
        let civil = TimeZone::UTC.to_datetime(self.instant());
        let mut parts = [
            ('Y', i32::from(civil.year()), 1000),
            ('M', i32::from(civil.month()), 10),
            ('D', i32::from(civil.day()), 10),
            ('h', i32::from(civil.hour()), 10),
            ('m', i32::from(civil.minute()), 10),
            ('s', i32::from(civil.second()), 10),
            ('f', civil.subsec_nanosecond() / 1_000_000, 100),
        ];
        let digit = |letter: char| {
            let Some((_, number, place)) = parts.iter_mut().find(|(name, ..)| *name == letter) else {
                return letter;
            };
            let digit = (*number / *place) % 10;
            *place = (*place / 10).max(1);
            u32::try_from(digit).ok().and_then(|digit| char::from_digit(digit, 10)).unwrap_or('0')
        };
        pattern.chars().map(digit).collect()
    }

    /// Out of range of the calendar only for instants thousands of years away; those count as the epoch.
    fn instant(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or_default()
    }

    fn format(self, format: &str) -> String {
        self.instant().strftime(format).to_string()
    }
}

const fn millis_of(duration: Duration) -> i64 {
    let millis = duration.as_millis();
    if millis > i64::MAX as u128 {
        i64::MAX
    } else {
        #[expect(clippy::cast_possible_truncation, reason = "checked in the line above")]
        let millis = millis as i64;
        millis
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_iso_millis())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_instant_in_every_form() {
        let instant = Timestamp::parse_iso("2026-01-02T03:04:05.678Z").unwrap();
        assert_eq!(instant.to_basic(), "20260102T030405Z");
        assert_eq!(instant.to_date(), "20260102");
        assert_eq!(instant.to_iso_seconds(), "2026-01-02T03:04:05Z");
        assert_eq!(instant.to_string(), "2026-01-02T03:04:05.678Z");
        assert_eq!(instant.to_http(), "Fri, 02 Jan 2026 03:04:05 GMT");
        assert_eq!(instant.start_of_day().to_string(), "2026-01-02T00:00:00.000Z");
        let whole = Timestamp::from_seconds(instant.seconds());
        assert_eq!(Timestamp::parse_basic("20260102T030405Z"), Ok(whole));
        assert_eq!(Timestamp::parse_http("Fri, 02 Jan 2026 03:04:05 GMT"), Ok(whole));
    }

    #[test]
    fn other_forms_are_refused() {
        for bad in [
            "",
            "20260102",
            "20260102T030405",
            "2026-01-02T03:04:05Z",
            "20261302T030405Z",
            "20260102T250405Z",
        ] {
            assert_eq!(Timestamp::parse_basic(bad), Err(TimeError), "{bad}");
        }
    }

    #[test]
    fn distances_do_not_wrap() {
        assert_eq!(Timestamp::EPOCH.since(Timestamp::from_seconds(5)), Duration::ZERO);
        assert_eq!(Timestamp::from_millis(i64::MAX).plus(Duration::from_secs(1)).millis(), i64::MAX);
        assert_eq!(Timestamp::EPOCH.plus_days(30).since(Timestamp::EPOCH), Duration::from_secs(30 * 86_400));
    }
}
