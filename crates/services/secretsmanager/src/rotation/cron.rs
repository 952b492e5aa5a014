//! `cron(..)` in the dialect of Secrets Manager: which hours of which days.
//!
//! The dialect is that of Quartz, narrowed: minutes are `0`, the year is `*`, and of the two day fields one says `?`. So an expression
//! is three small sets (hours, days, months), and finding the next hour is a walk over months that takes one bit mask each. The walk
//! is bounded, because an expression such as the 31st of February never matches.
//!
//! All times are UTC: there are no time zones and no changed clocks here. What a window is, is told in [`super::schedule`].

use jiff::{ToSpan, civil};

use super::schedule::ScheduleError;

/// The rarest expression that matches at all, a fifth given weekday of February, comes back after 40 years at the latest.
const MONTHS_SEARCHED_MAX: usize = 50 * 12;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cron {
    /// Bit `n` is hour `n`.
    hours: u32,
    days: Days,
    /// Bit `n` is month `n`.
    months: u32,
}

/// The days of a month, said in any of the ways of the two day fields. Weekdays are bits 1 (Sunday) to 7.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Days {
    numbers: u32,
    last: bool,
    weekdays: u32,
    /// The first to the fifth of a weekday: `TUE#3`.
    nth: [u32; 5],
    /// The last of a weekday in the month: `FRIL`.
    last_weekdays: u32,
}

impl Cron {
    /// Reads what stands between the parentheses.
    pub(super) fn parse(text: &str) -> Result<Self, ScheduleError> {
        // Names of months and days are taken in any case.
        let text = text.to_ascii_uppercase();
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let &[minutes, hours, day, month, weekday, year] = fields.as_slice() else {
            return Err(ScheduleError::Syntax);
        };
        if minutes != "0" {
            return Err(ScheduleError::Field("minutes"));
        }
        if year != "*" {
            return Err(ScheduleError::Field("year"));
        }
        let hours = HOURS.set(hours)?;
        let months = MONTHS.set(month)?;
        let days = match (day, weekday) {
            ("?", "?") => return Err(ScheduleError::DayFields),
            (day, "?") => Days::of_month(day)?,
            ("?", weekday) => Days::of_week(weekday)?,
            _ => return Err(ScheduleError::DayFields),
        };
        let cron = Self { hours, days, months };
        // Fifty years from any day hold every kind of month that there is.
        let any_day = civil::Date::constant(2000, 1, 1).at(0, 0, 0, 0);
        cron.after(any_day).map(|_| cron).ok_or(ScheduleError::NeverMatches)
    }

    /// The first matching hour that begins after `now`.
    pub(super) fn after(&self, now: civil::DateTime) -> Option<civil::DateTime> {
        let mut first = now.date().first_of_month();
        for _ in 0..MONTHS_SEARCHED_MAX {
            if has(self.months, first.month().unsigned_abs()) {
                let days = self.days.in_month(first);
                for day in (1..=31).filter(|&day| has(days, day)) {
                    for hour in self.hours_of_day() {
                        let date = civil::Date::new(first.year(), first.month(), day.cast_signed()).ok()?;
                        let at = date.at(hour.cast_signed(), 0, 0, 0);
                        if at > now {
                            return Some(at);
                        }
                    }
                }
            }
            first = first.checked_add(1.month()).ok()?;
        }
        None
    }

    /// In order.
    pub(super) fn hours_of_day(&self) -> impl Iterator<Item = u8> {
        let hours = self.hours;
        (0..24).filter(move |&hour| has(hours, hour))
    }
}

impl Days {
    fn of_month(text: &str) -> Result<Self, ScheduleError> {
        let mut days = Self::default();
        for part in text.split(',') {
            let named = part.strip_suffix('L').and_then(|name| WEEKDAYS.named(name));
            if part == "L" {
                days.last = true;
            } else if let Some(weekday) = named {
                days.last_weekdays |= 1 << weekday;
            } else {
                days.numbers |= MONTH_DAYS.range(part)?;
            }
        }
        Ok(days)
    }

    fn of_week(text: &str) -> Result<Self, ScheduleError> {
        let wrong = ScheduleError::Field(WEEKDAYS.name);
        let mut days = Self::default();
        for part in text.split(',') {
            if part == "L" {
                // The last day of a week.
                days.weekdays |= 1 << WEEKDAYS.last;
            } else if let Some(weekday) = part.strip_suffix('L') {
                days.last_weekdays |= 1 << WEEKDAYS.number(weekday).ok_or(wrong)?;
            } else if let Some((weekday, nth)) = part.split_once('#') {
                let nth = digits(nth).and_then(|nth| days.nth.get_mut(usize::from(nth).checked_sub(1)?));
                *nth.ok_or(wrong)? |= 1 << WEEKDAYS.number(weekday).ok_or(wrong)?;
            } else {
                days.weekdays |= WEEKDAYS.range(part)?;
            }
        }
        Ok(days)
    }

    /// The matching days of the month that begins at `first`; bit `n` is day `n`.
    fn in_month(&self, first: civil::Date) -> u32 {
        let length = first.days_in_month().unsigned_abs();
        let begins_on = first.weekday().to_sunday_zero_offset().unsigned_abs();
        let is_match = |day: u8| {
            let weekday = (begins_on + day - 1) % 7 + 1;
            let nth = self.nth.get(usize::from((day - 1) / 7)).copied().unwrap_or_default();
            has(self.numbers, day)
                || (self.last && day == length)
                || has(self.weekdays, weekday)
                || has(nth, weekday)
                || (has(self.last_weekdays, weekday) && day + 7 > length)
        };
        (1..=length).filter(|&day| is_match(day)).fold(0, |days, day| days | 1 << day)
    }
}

const fn has(set: u32, bit: u8) -> bool {
    set >> bit & 1 == 1
}

/// What a field may hold.
struct Field {
    name: &'static str,
    first: u8,
    last: u8,
    /// The words for its numbers, from the first on.
    words: &'static [&'static str],
}

const HOURS: Field = Field { name: "hours", first: 0, last: 23, words: &[] };
const MONTH_DAYS: Field = Field { name: "day-of-month", first: 1, last: 31, words: &[] };
const MONTHS: Field = Field {
    name: "month",
    first: 1,
    last: 12,
    words: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
};
const WEEKDAYS: Field = Field {
    name: "day-of-week",
    first: 1,
    last: 7,
    words: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
};

impl Field {
    /// A list such as `1,15` or `MON-FRI,SUN`.
    fn set(&self, text: &str) -> Result<u32, ScheduleError> {
        text.split(',').try_fold(0, |set, part| Ok(set | self.range(part)?))
    }

    /// One of `*`, `5`, `5-9`, and each of them with an increment: `*/2`, `/2`, `5/2`, `5-9/2`.
    fn range(&self, text: &str) -> Result<u32, ScheduleError> {
        self.read_range(text).ok_or(ScheduleError::Field(self.name))
    }

    fn read_range(&self, text: &str) -> Option<u32> {
        let size = self.last - self.first + 1;
        let (span, step) = match text.split_once('/') {
            Some((span, step)) => (span, Some(digits(step).filter(|step| (1..=size).contains(step))?)),
            None => (text, None),
        };
        let (from, to) = match span.split_once('-') {
            Some((from, to)) => (self.number(from)?, self.number(to)?),
            None if span == "*" || (span.is_empty() && step.is_some()) => (self.first, self.last),
            // An increment runs from its beginning to the end of the field, and begins anew with the next day, month or year.
            None => self.number(span).map(|from| (from, if step.is_some() { self.last } else { from }))?,
        };
        // A range may run over the end of its field: FRI-MON.
        let length = (to + size - from) % size;
        let places = (0..=length).step_by(usize::from(step.unwrap_or(1)));
        Some(places.fold(0, |set, place| set | 1 << (self.first + (from - self.first + place) % size)))
    }

    fn number(&self, text: &str) -> Option<u8> {
        let number = digits(text).filter(|number| (self.first..=self.last).contains(number));
        number.or_else(|| self.named(text))
    }

    fn named(&self, text: &str) -> Option<u8> {
        let place = self.words.iter().position(|word| *word == text)?;
        u8::try_from(place).ok().map(|place| self.first + place)
    }
}

/// One or two digits and nothing else, not even a sign.
fn digits(text: &str) -> Option<u8> {
    let is_short = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_short)
}

#[cfg(test)]
mod tests;
