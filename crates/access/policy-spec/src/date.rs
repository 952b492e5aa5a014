//! Instants of the Date operators: epoch seconds, or the ISO 8601 of the rules.
//!
//! All digits are epoch seconds, with an optional sign and fraction, so a year alone is one too. Otherwise `YYYY-MM`, `YYYY-MM-DD`
//! or either of them with `Thh:mm[:ss[.f]]` and a zone; without a zone it is UTC, without a time midnight.

use std::cmp::Ordering;

use crate::number::all_digits;

const NANOS: i128 = 1_000_000_000;

/// Nothing when one of them is no instant.
pub(crate) fn compare(left: &str, right: &str) -> Option<Ordering> {
    Some(instant(left)?.cmp(&instant(right)?))
}

/// V4: digits from 0 to 2^63 - 1, or an ISO date.
pub(crate) fn may_be_written(text: &str) -> bool {
    if all_digits(text) { text.parse::<i64>().is_ok() } else { iso(text).is_some() }
}

/// Nanoseconds since 1970.
fn instant(text: &str) -> Option<i128> {
    epoch(text).or_else(|| iso(text))
}

fn epoch(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (seconds, nanos) = match digits.split_once('.') {
        Some((seconds, fraction)) => (seconds, nanos(fraction)?),
        None => (digits, 0),
    };
    if !all_digits(seconds) {
        return None;
    }
    let seconds = i128::from(seconds.parse::<i64>().ok()?);
    Some(sign * (seconds * NANOS + nanos))
}

fn iso(text: &str) -> Option<i128> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let fields: Vec<&str> = date.split('-').collect();
    let (year, month, day) = match fields.as_slice() {
        [year, month] => (*year, *month, "01"),
        [year, month, day] => (*year, *month, *day),
        _ => return None,
    };
    let year = field(year, 4, 0, 9999)?;
    let days = days_since_1970(year, field(month, 2, 1, 12)?, field(day, 2, 1, 31)?);
    let within_day = time.map_or(Some(0), time_of_day)?;
    Some(days * 86_400 * NANOS + within_day)
}

fn time_of_day(text: &str) -> Option<i128> {
    let (clock, offset) = zone(text)?;
    let fields: Vec<&str> = clock.split(':').collect();
    let (hour, minute, second) = match fields.as_slice() {
        [hour, minute] => (*hour, *minute, "00"),
        [hour, minute, second] => (*hour, *minute, *second),
        _ => return None,
    };
    let (second, nanos) = match second.split_once('.') {
        Some((second, fraction)) => (second, nanos(fraction)?),
        None => (second, 0),
    };
    let seconds = field(hour, 2, 0, 23)? * 3600 + field(minute, 2, 0, 59)? * 60 + field(second, 2, 0, 59)?;
    Some((seconds - offset) * NANOS + nanos)
}

/// The time without its zone, and how many seconds the zone is ahead of UTC.
fn zone(text: &str) -> Option<(&str, i128)> {
    if let Some(clock) = text.strip_suffix('Z') {
        return Some((clock, 0));
    }
    let (clock, sign, zone) = if let Some((clock, zone)) = text.split_once('+') {
        (clock, 1, zone)
    } else if let Some((clock, zone)) = text.split_once('-') {
        (clock, -1, zone)
    } else {
        return Some((text, 0));
    };
    let (hours, minutes) = zone.split_once(':').unwrap_or((zone, "00"));
    let ahead = field(hours, 2, 0, 23)? * 3600 + field(minutes, 2, 0, 59)? * 60;
    Some((clock, sign * ahead))
}

fn field(text: &str, width: usize, least: i128, most: i128) -> Option<i128> {
    let value = if text.len() == width && all_digits(text) { text.parse().ok()? } else { return None };
    (least..=most).contains(&value).then_some(value)
}

/// At most nine digits of a fraction.
fn nanos(fraction: &str) -> Option<i128> {
    if !all_digits(fraction) || fraction.len() > 9 {
        return None;
    }
    format!("{fraction:0<9}").parse().ok()
}

/// Counts whole years from the first of March, so that the leap day comes last.
fn days_since_1970(year: i128, month: i128, day: i128) -> i128 {
    let march_year = if month <= 2 { year - 1 } else { year };
    let months_since_march = (month + 9) % 12;
    let leap_days = march_year.div_euclid(4) - march_year.div_euclid(100) + march_year.div_euclid(400);
    let days_of_months = (153 * months_since_march + 2) / 5;
    march_year * 365 + leap_days + days_of_months + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_all_spellings_are_instants() {
        let cases = [
            ("1970-01-01", Some(0)),
            ("1970-01", Some(0)),
            ("1970-01-01T00:00:01Z", Some(NANOS)),
            ("1970-01-01T02:00+02:00", Some(0)),
            ("1969-12-31T22:00:00.5-02", Some(NANOS / 2)),
            ("2000-03-01", Some(951_868_800 * NANOS)),
            ("2026-01-01T00:00:00Z", Some(1_767_225_600 * NANOS)),
            ("2026", Some(2026 * NANOS)),
            ("-1.5", Some(-NANOS * 3 / 2)),
            ("2026-13-01", None),
            ("2026-1-1", None),
            ("2026-01-01T24:00", None),
            ("2026-01-01T00:00:00.0000000000Z", None),
            ("tomorrow", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(instant(text), expected, "{text}");
        }
    }

    #[test]
    fn a_policy_may_write_digits_but_no_sign() {
        assert!(may_be_written("9223372036854775807"));
        assert!(!may_be_written("9223372036854775808"));
        assert!(!may_be_written("-5"));
        assert!(may_be_written("2026-02-31T00:00:00.123456789+05:30"));
    }
}
