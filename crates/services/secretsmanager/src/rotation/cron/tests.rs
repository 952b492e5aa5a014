//! The dialect, field by field; the calendar's corners; and a slow twin that looks at every hour.

use jiff::civil::{Date, DateTime, date};
use proptest::prelude::*;

use super::*;

fn cron(fields: &str) -> Cron {
    Cron::parse(fields).unwrap()
}

/// The next matching hours after `from`, as `2026-01-31 17`.
fn next(fields: &str, from: DateTime, count: usize) -> Vec<String> {
    let (cron, mut now, mut hours) = (cron(fields), from, Vec::new());
    while hours.len() < count {
        now = cron.after(now).unwrap();
        hours.push(format!("{} {:02}", now.date(), now.hour()));
    }
    hours
}

#[test]
fn month_ends_and_leap_years() {
    for (fields, from, expected) in [
        ("0 17 L 2 ? *", date(2026, 1, 1), vec!["2026-02-28 17", "2027-02-28 17", "2028-02-29 17"]),
        ("0 0 29 2 ? *", date(2026, 1, 1), vec!["2028-02-29 00", "2032-02-29 00"]),
        // 2100 is no leap year.
        ("0 0 29 2 ? *", date(2096, 2, 29), vec!["2104-02-29 00"]),
        ("0 5 31 * ? *", date(2026, 1, 31), vec!["2026-01-31 05", "2026-03-31 05", "2026-05-31 05"]),
        ("0 5 30,L * ? *", date(2026, 1, 31), vec!["2026-01-31 05", "2026-02-28 05", "2026-03-30 05"]),
        ("0 0 1 1 ? *", date(2026, 1, 1), vec!["2027-01-01 00", "2028-01-01 00"]),
        // The fifth of a weekday, and of February: the rarest there is.
        ("0 8 ? * MON#5 *", date(2026, 1, 1), vec!["2026-03-30 08", "2026-06-29 08"]),
        ("0 8 ? 2 SUN#5 *", date(2026, 1, 1), vec!["2032-02-29 08", "2060-02-29 08", "2088-02-29 08"]),
        ("0 8 ? 2 SUN#5 *", date(2088, 3, 1), vec!["2128-02-29 08"]),
        ("0 8 ? * FRIL *", date(2026, 1, 1), vec!["2026-01-30 08", "2026-02-27 08", "2026-03-27 08"]),
        ("0 8 FRIL * ? *", date(2026, 1, 1), vec!["2026-01-30 08", "2026-02-27 08", "2026-03-27 08"]),
        ("0 8 ? * 6L *", date(2026, 1, 1), vec!["2026-01-30 08"]),
    ] {
        let from = from.at(0, 0, 0, 0);
        assert_eq!(next(fields, from, expected.len()), expected, "{fields} from {from}");
    }
}

#[test]
fn ways_to_say_the_same() {
    for same in [
        ["0 /8 * * ? *", "0 0/8 * * ? *", "0 0,8,16 * * ? *"],
        ["0 */6 * * ? *", "0 0-23/6 * * ? *", "0 0,6,12,18 ? * * *"],
        ["0 8 ? * MON-FRI *", "0 8 ? * 2-6 *", "0  8 ? * mon,tue,wed,thu,fri  *"],
        ["0 8 ? * FRI-MON *", "0 8 ? * 6-2 *", "0 8 ? * FRI,SAT,SUN,MON *"],
        ["0 22-2 1 * ? *", "0 22,23,0,1,2 1 * ? *", "0 0-2,22-23 1 * ? *"],
        ["0 8 ? * L *", "0 8 ? * SAT *", "0 8 ? * 7 *"],
        ["0 8 /10 * ? *", "0 8 1/10 * ? *", "0 8 1,11,21,31 * ? *"],
        ["0 8 1 1/3 ? *", "0 8 1 /3 ? *", "0 8 1 JAN,APR,JUL,OCT ? *"],
        ["0 8 1 NOV-FEB ? *", "0 8 1 11-2 ? *", "0 8 1 11,12,1,2 ? *"],
        ["0 8 ? * TUE#1,TUE#3 *", "0 8 ? * 3#1,3#3 *", "0 8 ? * tue#3,tue#1 *"],
    ] {
        let from = date(2026, 1, 1).at(0, 0, 0, 0);
        let expected = next(same[0], from, 60);
        for fields in same {
            assert_eq!(next(fields, from, 60), expected, "{fields}");
        }
    }
}

#[test]
fn fields_that_are_refused() {
    use ScheduleError::{DayFields, Field, NeverMatches, Syntax};
    for (fields, error) in [
        ("", Syntax),
        ("0 8 1 * ?", Syntax),
        ("0 8 1 * ? * *", Syntax),
        ("5 8 1 * ? *", Field("minutes")),
        ("* 8 1 * ? *", Field("minutes")),
        ("0/15 8 1 * ? *", Field("minutes")),
        ("0 8 1 * ? 2026", Field("year")),
        ("0 8 1 * ? ?", Field("year")),
        ("0 24 1 * ? *", Field("hours")),
        ("0 ? 1 * ? *", Field("hours")),
        ("0 -1 1 * ? *", Field("hours")),
        ("0 8, 1 * ? *", Field("hours")),
        ("0 8-9-10 1 * ? *", Field("hours")),
        ("0 /0 1 * ? *", Field("hours")),
        ("0 /25 1 * ? *", Field("hours")),
        ("0 / 1 * ? *", Field("hours")),
        ("0 1/2/3 1 * ? *", Field("hours")),
        ("0 008 1 * ? *", Field("hours")),
        ("0 8 0 * ? *", Field("day-of-month")),
        ("0 8 32 * ? *", Field("day-of-month")),
        ("0 8 L-3 * ? *", Field("day-of-month")),
        ("0 8 LW * ? *", Field("day-of-month")),
        ("0 8 6L * ? *", Field("day-of-month")),
        ("0 8 MON * ? *", Field("day-of-month")),
        ("0 8 1,? * ? *", Field("day-of-month")),
        ("0 8 1 0 ? *", Field("month")),
        ("0 8 1 13 ? *", Field("month")),
        ("0 8 1 ? ? *", Field("month")),
        ("0 8 1 L ? *", Field("month")),
        ("0 8 1 JANUARY ? *", Field("month")),
        ("0 8 ? * 0 *", Field("day-of-week")),
        ("0 8 ? * 8 *", Field("day-of-week")),
        ("0 8 ? * MONDAY *", Field("day-of-week")),
        ("0 8 ? * MON#0 *", Field("day-of-week")),
        ("0 8 ? * MON#6 *", Field("day-of-week")),
        ("0 8 ? * MON#L *", Field("day-of-week")),
        ("0 8 ? * #1 *", Field("day-of-week")),
        ("0 8 ? * MON-FRI#1 *", Field("day-of-week")),
        ("0 8 ? * *L *", Field("day-of-week")),
        ("0 8 ? * ? *", DayFields),
        ("0 8 1 * MON *", DayFields),
        ("0 8 * * * *", DayFields),
        ("0 8 31 2 ? *", NeverMatches),
        ("0 8 30 FEB ? *", NeverMatches),
        ("0 8 31 4,6,9,11 ? *", NeverMatches),
    ] {
        assert_eq!(Cron::parse(fields), Err(error), "{fields}");
    }
}

/// One way to say days, with its meaning spelt out on the calendar.
#[derive(Debug, Clone)]
enum Part {
    Number(i8),
    Last,
    Weekday(i8),
    Nth(i8, i8),
    LastWeekday(i8),
}

const NAMES: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

impl Part {
    fn text(&self) -> String {
        let name = |weekday: i8| NAMES[usize::try_from(weekday).unwrap()];
        match *self {
            Self::Number(day) => day.to_string(),
            Self::Last => String::from("L"),
            Self::Weekday(weekday) => (weekday + 1).to_string(),
            Self::Nth(weekday, nth) => format!("{}#{nth}", name(weekday)),
            Self::LastWeekday(weekday) => format!("{}L", name(weekday)),
        }
    }

    /// By counting days, which is another way than masks.
    fn is(&self, day: Date) -> bool {
        let is_weekday = |weekday: i8| day.weekday().to_sunday_zero_offset() == weekday;
        let in_month = |days: i64| {
            (0..5)
                .filter_map(|n: i64| day.checked_add((n * days).days()).ok())
                .filter(|other| other.month() == day.month())
                .count()
        };
        match *self {
            Self::Number(number) => day.day() == number,
            Self::Last => day.tomorrow().unwrap().month() != day.month(),
            Self::Weekday(weekday) => is_weekday(weekday),
            Self::Nth(weekday, nth) => is_weekday(weekday) && in_month(-7) == usize::try_from(nth).unwrap(),
            Self::LastWeekday(weekday) => is_weekday(weekday) && in_month(7) == 1,
        }
    }
}

fn days() -> impl Strategy<Value = (bool, Vec<Part>)> {
    let of_month = prop_oneof![
        4 => (1_i8..=31).prop_map(Part::Number),
        1 => Just(Part::Last),
        1 => (0_i8..7).prop_map(Part::LastWeekday),
    ];
    let of_week = prop_oneof![
        (0_i8..7).prop_map(Part::Weekday),
        ((0_i8..7), (1_i8..=5)).prop_map(|(weekday, nth)| Part::Nth(weekday, nth)),
        (0_i8..7).prop_map(Part::LastWeekday),
    ];
    prop_oneof![
        proptest::collection::vec(of_month, 1..4).prop_map(|parts| (false, parts)),
        proptest::collection::vec(of_week, 1..4).prop_map(|parts| (true, parts)),
    ]
}

proptest! {
    #[test]
    fn the_next_hour_is_the_first_that_a_look_at_every_hour_finds(
        hours in proptest::collection::btree_set(0_i8..24, 1..4),
        (of_week, parts) in days(),
        months in proptest::collection::btree_set(1_i8..=12, 1..13),
        (year, month, day) in (1999_i16..2110, 1_i8..=12, 1_i8..=28),
        (hour, minute) in (0_i8..24, 0_i8..60),
    ) {
        let list = |parts: Vec<String>| parts.join(",");
        let numbers = |set: &std::collections::BTreeSet<i8>| list(set.iter().map(i8::to_string).collect());
        let days = list(parts.iter().map(Part::text).collect());
        let (day_field, week_field) = if of_week { ("?", days.as_str()) } else { (days.as_str(), "?") };
        let fields = format!("0 {} {day_field} {} {week_field} *", numbers(&hours), numbers(&months));
        let now = date(year, month, day).at(hour, minute, 0, 0);

        // Twelve years hold a leap year in any case but around 2100; what is rarer is left to the tables.
        let end = now.checked_add(12.years()).unwrap();
        let is_match = |at: DateTime| {
            hours.contains(&at.hour())
                && months.contains(&at.month())
                && parts.iter().any(|part| part.is(at.date()))
        };
        let mut at = now.date().at(now.hour(), 0, 0, 0);
        let found = loop {
            at = at.checked_add(1.hour()).unwrap();
            if at > end {
                break None;
            }
            if is_match(at) {
                break Some(at);
            }
        };
        match (Cron::parse(&fields), found) {
            (Ok(cron), Some(found)) => prop_assert_eq!(cron.after(now), Some(found), "{} after {}", fields, now),
            (Ok(cron), None) => prop_assert!(cron.after(now).is_some_and(|at| at > end), "{} after {}", fields, now),
            (Err(error), found) => {
                prop_assert_eq!(error, ScheduleError::NeverMatches, "{}", fields);
                prop_assert_eq!(found, None, "{}", fields);
            }
        }
    }
}
