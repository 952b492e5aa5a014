//! When a secret is rotated: schedules, and the windows they open.
//!
//! A schedule knows only times. It opens a window on some hours; rotation happens at some instant while one is open, and
//! `NextRotationDate` is the last second of the next one. A schedule in days (a rate in days, or a cron expression with one hour)
//! keeps its window open until the end of the UTC day, a schedule in hours for one hour, unless a duration says otherwise; a window
//! reaches neither into the next window nor into the next day.
//!
//! Rates have to count from something. Days count from the day on which the value was last changed, as AWS counts them; hours
//! from the midnight before the schedule was set, so that they stay on their own grid whenever a rotation runs.

use std::time::Duration;

use coffer_types::Timestamp;
use jiff::tz::TimeZone;

use super::cron::Cron;

const HOUR: Duration = Duration::from_secs(3600);
const HOURS_PER_DAY: u32 = 24;
/// AWS's limits of a rate.
const RATE_HOURS_MIN: u32 = 4;
const RATE_DAYS_MAX: u32 = 999;

/// What is wrong with a schedule. The sentences are in `error.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScheduleError {
    /// Neither a rate nor six fields.
    Syntax,
    RateOutOfRange,
    /// A field of a cron expression, by its name.
    Field(&'static str),
    /// Not exactly one of the two day fields is `?`.
    DayFields,
    NeverMatches,
    /// Not an hour at least, and at most so many.
    Duration {
        hours_max: u32,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schedule {
    rule: Rule,
    hours_open: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    EveryDays(u32),
    EveryHours(u32),
    Cron(Cron),
}

/// What rates count from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Since {
    pub value_changed_at: Timestamp,
    pub schedule_set_at: Timestamp,
}

/// From an instant up to another, which is no longer part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub opens_at: Timestamp,
    pub closes_at: Timestamp,
}

impl Schedule {
    /// `AutomaticallyAfterDays`, which the model keeps between 1 and 1000.
    pub(crate) fn every_days(days: u32, duration: Option<&str>) -> Result<Self, ScheduleError> {
        Self::new(Rule::EveryDays(days), duration)
    }

    /// `rate(..)` or `cron(..)`.
    pub(crate) fn parse(expression: &str, duration: Option<&str>) -> Result<Self, ScheduleError> {
        let inside = |name: &str| expression.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')');
        let rule = match (inside("rate"), inside("cron")) {
            (Some(rate), _) => Rule::rate(rate)?,
            (_, Some(fields)) => Rule::Cron(Cron::parse(fields)?),
            _ => return Err(ScheduleError::Syntax),
        };
        Self::new(rule, duration)
    }

    fn new(rule: Rule, duration: Option<&str>) -> Result<Self, ScheduleError> {
        let (hours_usual, hours_max) = rule.hours_open();
        let hours_open = match duration {
            None => hours_usual,
            Some(text) => text
                .strip_suffix('h')
                .and_then(number)
                .filter(|hours| (1..=hours_max).contains(hours))
                .ok_or(ScheduleError::Duration { hours_max })?,
        };
        Ok(Self { rule, hours_open })
    }

    /// The first window that opens after `now`. There is always one, but at the end of the calendar.
    pub(crate) fn next_window(&self, since: Since, now: Timestamp) -> Option<Window> {
        let opens_at = match &self.rule {
            Rule::EveryDays(days) => on_grid(since.value_changed_at, HOUR * HOURS_PER_DAY * *days, now)?,
            Rule::EveryHours(hours) => on_grid(since.schedule_set_at, HOUR * *hours, now)?,
            Rule::Cron(cron) => {
                let now = jiff::Timestamp::from_millisecond(now.millis()).ok()?;
                let at = TimeZone::UTC.to_timestamp(cron.after(TimeZone::UTC.to_datetime(now))?).ok()?;
                Timestamp::from_millis(at.as_millisecond())
            }
        };
        // A rate that is no divisor of a day opens its windows at other hours every day, so only here is known how near midnight is.
        let next_day = opens_at.start_of_day().plus_days(1);
        Some(Window { opens_at, closes_at: opens_at.plus(HOUR * self.hours_open).min(next_day) })
    }
}

impl Rule {
    fn rate(text: &str) -> Result<Self, ScheduleError> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let &[count, unit] = words.as_slice() else { return Err(ScheduleError::Syntax) };
        let count = number(count).ok_or(ScheduleError::Syntax)?;
        let (rule, range) = match unit {
            "day" | "days" => (Self::EveryDays(count), 1..=RATE_DAYS_MAX),
            "hour" | "hours" => (Self::EveryHours(count), RATE_HOURS_MIN..=RATE_DAYS_MAX * HOURS_PER_DAY),
            _ => return Err(ScheduleError::Syntax),
        };
        if range.contains(&count) { Ok(rule) } else { Err(ScheduleError::RateOutOfRange) }
    }

    /// How many hours a window is open when nothing is said, and how many it may be.
    fn hours_open(&self) -> (u32, u32) {
        match self {
            Self::EveryDays(_) => (HOURS_PER_DAY, HOURS_PER_DAY),
            Self::EveryHours(hours) => (1, (*hours).min(HOURS_PER_DAY)),
            Self::Cron(cron) => {
                let hours: Vec<u32> = cron.hours_of_day().map(u32::from).collect();
                // Up to the next window of the day, or to its end.
                let ends = hours.iter().skip(1).chain([&HOURS_PER_DAY]);
                let max = hours.iter().zip(ends).map(|(hour, end)| end - hour).min().unwrap_or(1);
                (if hours.len() > 1 { 1 } else { max }, max)
            }
        }
    }
}

/// What `NextRotationDate` shows of a window: rotation happens on or before it.
pub(crate) fn last_second(closes_at: Timestamp) -> Timestamp {
    closes_at.minus(Duration::from_secs(1))
}

/// The first instant after `now` that lies whole steps behind the midnight before `since`.
fn on_grid(since: Timestamp, step: Duration, now: Timestamp) -> Option<Timestamp> {
    let midnight = since.start_of_day();
    let steps = now.since(midnight).as_millis().checked_div(step.as_millis())?;
    let steps = u32::try_from(steps).ok()?.checked_add(1)?;
    step.checked_mul(steps).map(|distance| midnight.plus(distance))
}

/// Up to five digits and nothing else, not even a sign.
fn number(text: &str) -> Option<u32> {
    let is_number = (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests;
