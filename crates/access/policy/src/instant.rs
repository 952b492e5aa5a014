//! Points in time, as policies and requests write them: seconds since 1970, or ISO 8601 to the month, day, minute, second or fraction.
//!
//! Two readers need it. The older parser behind AWS's checks takes a text for a date or not, and looks at each field alone: the 31st of
//! February passes. Whoever compares two instants needs a day that exists; one that does not is compared with nothing.
//!
//! No time means midnight and no zone means UTC.

/// Nanoseconds since 1970, in as many bits as any year and any count of seconds needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant(i128);

const SECOND: i128 = 1_000_000_000;
const FRACTION_DIGITS_MAX: usize = 9;

impl Instant {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        epoch(text).or_else(|| Fields::parse(text)?.instant())
    }
}

/// Whether a policy may compare with this text as a date.
pub(crate) fn is_date(text: &str) -> bool {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse::<i64>().is_ok();
    }
    Fields::parse(text).is_some()
}

/// Seconds since 1970; requests may bring them with a sign and a fraction.
fn epoch(text: &str) -> Option<Instant> {
    let is_negative = text.starts_with('-');
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (seconds, fraction) = match digits.split_once('.') {
        Some((seconds, fraction)) => (seconds, nanos(fraction)?),
        None => (digits, 0),
    };
    if seconds.is_empty() || !seconds.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos = i128::from(seconds.parse::<i64>().ok()?) * SECOND + fraction;
    Some(Instant(if is_negative { -nanos } else { nanos }))
}

/// The fields of ISO 8601, each within its bounds.
#[derive(Debug, Default)]
struct Fields {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    nanos: i128,
    /// How far the clock is ahead of UTC.
    ahead_minutes: i64,
}

impl Fields {
    fn parse(text: &str) -> Option<Self> {
        let (date, time) = text.split_once('T').map_or((text, None), |(date, time)| (date, Some(time)));
        let mut parts = date.split('-');
        let year = number(parts.next()?, 4, 0, 9999)?;
        let month = number(parts.next()?, 2, 1, 12)?;
        let day = parts.next().map(|day| number(day, 2, 1, 31));
        if parts.next().is_some() || (day.is_none() && time.is_some()) {
            return None;
        }
        let fields = Self { year, month, day: day.unwrap_or(Some(1))?, ..Self::default() };
        match time {
            Some(time) => fields.at(time),
            None => Some(fields),
        }
    }

    fn at(mut self, text: &str) -> Option<Self> {
        let (clock, zone) = text.find(['Z', '+', '-']).map_or((text, ""), |at| text.split_at(at));
        let mut parts = clock.split(':');
        self.hour = number(parts.next()?, 2, 0, 23)?;
        self.minute = number(parts.next()?, 2, 0, 59)?;
        if let Some(second) = parts.next() {
            let (second, fraction) = second.split_once('.').map_or((second, None), |(s, f)| (s, Some(f)));
            self.second = number(second, 2, 0, 59)?;
            self.nanos = fraction.map_or(Some(0), nanos)?;
        }
        self.ahead_minutes = zone_minutes(zone)?;
        parts.next().is_none().then_some(self)
    }

    fn instant(&self) -> Option<Instant> {
        let is_leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let days_in_month = match self.month {
            4 | 6 | 9 | 11 => 30,
            2 if is_leap => 29,
            2 => 28,
            _ => 31,
        };
        if self.day > days_in_month {
            return None;
        }
        let minutes = (self.days() * 24 + self.hour) * 60 + self.minute - self.ahead_minutes;
        Some(Instant(i128::from(minutes * 60 + self.second) * SECOND + self.nanos))
    }

    /// Days since 1970. Years are counted from March, so that the day which comes and goes is the last of one.
    const fn days(&self) -> i64 {
        let year = if self.month > 2 { self.year } else { self.year - 1 };
        let months_since_march = (self.month + 9) % 12;
        let day_of_year = (153 * months_since_march + 2) / 5 + self.day - 1;
        let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
        // From the first of March of the year 0 to 1970.
        year * 365 + leap_days + day_of_year - 719_468
    }
}

fn nanos(fraction: &str) -> Option<i128> {
    let is_fraction = (1..=FRACTION_DIGITS_MAX).contains(&fraction.len())
        && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if !is_fraction {
        return None;
    }
    format!("{fraction:0<FRACTION_DIGITS_MAX$}").parse().ok()
}

fn zone_minutes(text: &str) -> Option<i64> {
    if matches!(text, "" | "Z") {
        return Some(0);
    }
    let offset = text.strip_prefix(['+', '-'])?;
    let (hour, minute) = offset.split_once(':').map_or((offset, None), |(hour, minute)| (hour, Some(minute)));
    let minutes = number(hour, 2, 0, 23)? * 60 + minute.map_or(Some(0), |minute| number(minute, 2, 0, 59))?;
    Some(if text.starts_with('-') { -minutes } else { minutes })
}

fn number(text: &str, digits: usize, min: i64, max: i64) -> Option<i64> {
    let is_number = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_number && (min..=max).contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "the instants of this test are small")]
        Instant::parse(text).map(|Instant(nanos)| nanos as f64 / 1e9)
    }

    #[test]
    fn instants() {
        for (text, expected) in [
            ("0", Some(0.0)),
            ("1767225600", Some(1_767_225_600.0)),
            ("-1.5", Some(-1.5)),
            ("+2", Some(2.0)),
            // A year alone is read as seconds.
            ("2026", Some(2026.0)),
            ("1970-01", Some(0.0)),
            ("1970-01-02", Some(86_400.0)),
            ("1969-12-31T23:59:59.5Z", Some(-0.5)),
            ("2026-01-01T00:00:00Z", Some(1_767_225_600.0)),
            ("2026-01-01T01:00+01:00", Some(1_767_225_600.0)),
            ("2025-12-31T16:00:00-08", Some(1_767_225_600.0)),
            ("2000-02-29", Some(951_782_400.0)),
            ("2000-03-01", Some(951_868_800.0)),
            ("0000-01-01", Some(-62_167_219_200.0)),
            ("9999-12-31T23:59:59Z", Some(253_402_300_799.0)),
            ("1900-02-29", None),
            ("2026-02-31", None),
            ("2026-13-01", None),
            ("", None),
            ("tomorrow", None),
            ("9223372036854775808", None),
            ("1e9", None),
            ("1.", None),
            (" 1", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }

    #[test]
    fn dates_that_a_policy_may_write() {
        for good in [
            "0",
            "1767225600",
            "9223372036854775807",
            "2026-01",
            "2026-01-31",
            "2026-02-31",
            "2026-01-01T00:00",
            "2026-01-01T23:59:59Z",
            "2026-01-01T23:59:59.123456789+01:00",
            "2026-01-01T23:59:59-08",
        ] {
            assert!(is_date(good), "{good}");
        }
        for bad in [
            "",
            "tomorrow",
            "-1",
            "1.5",
            "9223372036854775808",
            "2026-13-01T00:00:00Z",
            "2026-00",
            "2026-01-32",
            "2026-1-1",
            "2026-01T00:00",
            "2026-01-01T24:00Z",
            "2026-01-01T00:60Z",
            "2026-01-01T00",
            "2026-01-01T00:00:60Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00.1234567890Z",
            "2026-01-01T00:00:00z",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:00+1",
            "2026-01-01-01",
        ] {
            assert!(!is_date(bad), "{bad}");
        }
    }
}
