//! Schedules as tables: what is seen from an instant, and what is refused.

use super::*;

fn at(text: &str) -> Timestamp {
    Timestamp::parse_iso(text).unwrap()
}

/// `2026-01-11T00` to the hour.
fn shown(instant: Timestamp) -> String {
    let text = instant.to_iso_millis();
    assert!(text.ends_with(":00:00.000Z"), "{text}");
    text[..13].to_owned()
}

fn since(instant: Timestamp) -> Since {
    Since { value_changed_at: instant, schedule_set_at: instant }
}

/// The windows after `from`, one after the other, with the length of each in hours.
fn windows(schedule: &Schedule, from: &str, count: usize) -> Vec<(String, u64)> {
    let (since, mut now) = (since(at(from)), at(from));
    let mut windows = Vec::new();
    while windows.len() < count {
        let window = schedule.next_window(since, now).unwrap();
        assert!(window.opens_at > now);
        let length = window.closes_at.since(window.opens_at);
        windows.push((shown(window.opens_at), length.as_secs() / 3600));
        now = window.opens_at;
    }
    windows
}

#[track_caller]
fn check(expression: &str, duration: Option<&str>, hours: u64, expected: &[&str]) {
    let schedule = Schedule::parse(expression, duration).unwrap();
    let came = windows(&schedule, "2026-01-01T05:30:00.123Z", expected.len());
    let expected: Vec<(String, u64)> = expected.iter().map(|at| ((*at).to_owned(), hours)).collect();
    assert_eq!(came, expected, "{expression} {duration:?}");
}

/// 1 January 2026 is a Thursday.
#[test]
fn every_documented_schedule_opens_its_windows() {
    check("rate(10 days)", None, 24, &["2026-01-11T00", "2026-01-21T00", "2026-01-31T00", "2026-02-10T00"]);
    check("rate(1 day)", None, 24, &["2026-01-02T00", "2026-01-03T00"]);
    check("rate(4 hours)", None, 1, &["2026-01-01T08", "2026-01-01T12", "2026-01-01T16"]);
    check("rate(36 hours)", None, 1, &["2026-01-02T12", "2026-01-04T00", "2026-01-05T12"]);
    check(
        "cron(0 /8 * * ? *)",
        None,
        1,
        &["2026-01-01T08", "2026-01-01T16", "2026-01-02T00", "2026-01-02T08"],
    );
    check("cron(0 8/8 * * ? *)", None, 1, &["2026-01-01T08", "2026-01-01T16", "2026-01-02T08"]);
    check(
        "cron(0 2/10 * * ? *)",
        None,
        1,
        &["2026-01-01T12", "2026-01-01T22", "2026-01-02T02", "2026-01-02T12"],
    );
    check("cron(0 10 * * ? *)", None, 14, &["2026-01-01T10", "2026-01-02T10"]);
    check("cron(0 18 ? * SAT *)", None, 6, &["2026-01-03T18", "2026-01-10T18"]);
    check("cron(0 8 1 * ? *)", None, 16, &["2026-01-01T08", "2026-02-01T08", "2026-03-01T08"]);
    check("cron(0 1 ? 1/3 SUN#1 *)", None, 23, &["2026-01-04T01", "2026-04-05T01", "2026-07-05T01"]);
    check(
        "cron(0 17 L * ? *)",
        None,
        7,
        &["2026-01-31T17", "2026-02-28T17", "2026-03-31T17", "2026-04-30T17"],
    );
    check(
        "cron(0 8 ? * MON-FRI *)",
        None,
        16,
        &["2026-01-01T08", "2026-01-02T08", "2026-01-05T08", "2026-01-06T08"],
    );
    check("cron(0 16 1,15 * ? *)", None, 8, &["2026-01-01T16", "2026-01-15T16", "2026-02-01T16"]);
    check("cron(0 0 ? * SUN#1 *)", None, 24, &["2026-01-04T00", "2026-02-01T00"]);
    check("cron(0 16 ? * TUE#3 *)", None, 8, &["2026-01-20T16", "2026-02-17T16"]);
}

#[test]
fn a_duration_is_the_length_of_the_window() {
    check("rate(10 days)", Some("3h"), 3, &["2026-01-11T00"]);
    check("rate(10 days)", Some("24h"), 24, &["2026-01-11T00"]);
    check("rate(6 hours)", Some("6h"), 6, &["2026-01-01T06", "2026-01-01T12"]);
    check("cron(0 16 ? * SAT *)", Some("8h"), 8, &["2026-01-03T16"]);
    check("cron(0 /8 * * ? *)", Some("08h"), 8, &["2026-01-01T08"]);
}

#[test]
fn a_window_of_a_rate_in_hours_ends_with_the_day() {
    for (expression, duration, expected) in [
        ("rate(36 hours)", "24h", [("2026-01-02T12", 12), ("2026-01-04T00", 24), ("2026-01-05T12", 12)]),
        ("rate(10 hours)", "10h", [("2026-01-01T10", 10), ("2026-01-01T20", 4), ("2026-01-02T06", 10)]),
    ] {
        let schedule = Schedule::parse(expression, Some(duration)).unwrap();
        let came = windows(&schedule, "2026-01-01T05:30:00.123Z", expected.len());
        assert_eq!(came, expected.map(|(at, hours)| (at.to_owned(), hours)), "{expression}");
    }
}

#[test]
fn a_window_reaches_neither_into_the_next_nor_into_the_next_day() {
    for (expression, hours_max) in [
        ("rate(10 days)", 24),
        ("rate(4 hours)", 4),
        ("rate(36 hours)", 24),
        ("cron(0 16 ? * SAT *)", 8),
        ("cron(0 0 ? * SAT *)", 24),
        ("cron(0 23 * * ? *)", 1),
        ("cron(0 /8 * * ? *)", 8),
        // From 22 o'clock the end of the day is nearer than the next window.
        ("cron(0 2/10 * * ? *)", 2),
        ("cron(0 3,5,20 * * ? *)", 2),
    ] {
        let with = |hours: u32| Schedule::parse(expression, Some(&format!("{hours}h"))).map(drop);
        assert_eq!(with(1), Ok(()), "{expression}");
        assert_eq!(with(hours_max), Ok(()), "{expression}");
        for wrong in [0, hours_max + 1, 99] {
            assert_eq!(with(wrong), Err(ScheduleError::Duration { hours_max }), "{expression} {wrong}");
        }
    }
    assert_eq!(Schedule::every_days(1000, Some("24h")).map(drop), Ok(()));
    let too_long = Err(ScheduleError::Duration { hours_max: 24 });
    assert_eq!(Schedule::every_days(30, Some("25h")).map(drop), too_long);
    // The model keeps these away; they are no durations either.
    for wrong in ["", "h", "3", "+3h", "3 h", "3d"] {
        assert_eq!(Schedule::every_days(30, Some(wrong)).map(drop), too_long, "{wrong}");
    }
}

#[test]
fn expressions_that_are_refused() {
    use ScheduleError::{RateOutOfRange, Syntax};
    for (expression, error) in [
        ("", Syntax),
        ("rate", Syntax),
        ("rate()", Syntax),
        ("rate(10)", Syntax),
        ("rate(10 days", Syntax),
        ("rate(10 days) ", Syntax),
        ("Rate(10 days)", Syntax),
        ("rate(ten days)", Syntax),
        ("rate(-1 days)", Syntax),
        ("rate(+1 days)", Syntax),
        ("rate(99999999999999999999 days)", Syntax),
        ("rate(10 minutes)", Syntax),
        ("rate(1 week)", Syntax),
        ("rate(10 days ago)", Syntax),
        ("at(2026-01-01)", Syntax),
        ("0 10 * * ? *", Syntax),
        ("rate(0 days)", RateOutOfRange),
        ("rate(1000 days)", RateOutOfRange),
        ("rate(0 hours)", RateOutOfRange),
        ("rate(3 hours)", RateOutOfRange),
        ("rate(23977 hours)", RateOutOfRange),
    ] {
        assert_eq!(Schedule::parse(expression, None), Err(error), "{expression}");
    }
    for good in ["rate(999 days)", "rate(4 hour)", "rate(1 days)", "rate(23976 hours)"] {
        assert!(Schedule::parse(good, None).is_ok(), "{good}");
    }
}

/// Seen on AWS: rotated on 2 February, changed by hand on the 3rd, every 30 days.
#[test]
fn days_count_from_the_day_of_the_last_change() {
    let schedule = Schedule::every_days(30, None).unwrap();
    let now = at("2026-02-03T17:42:24.335Z");
    let window = schedule.next_window(since(now), now).unwrap();
    assert_eq!(last_second(window.closes_at), at("2026-03-05T23:59:59Z"));
    // A value that is older than that is due at the next turn, not at once and not in the past.
    let old = Since { value_changed_at: at("2025-11-01T10:00:00Z"), schedule_set_at: now };
    assert_eq!(shown(schedule.next_window(old, now).unwrap().opens_at), "2026-03-01T00");
}

#[test]
fn hours_count_from_the_midnight_before_the_schedule_was_set() {
    let schedule = Schedule::parse("rate(10 hours)", None).unwrap();
    let set =
        Since { value_changed_at: at("2026-01-02T01:00:00Z"), schedule_set_at: at("2026-01-01T09:00:00Z") };
    let next = |now: &str| shown(schedule.next_window(set, at(now)).unwrap().opens_at);
    assert_eq!(next("2026-01-01T09:00:00Z"), "2026-01-01T10");
    assert_eq!(next("2026-01-01T10:00:00Z"), "2026-01-01T20");
    assert_eq!(next("2026-01-01T23:00:00Z"), "2026-01-02T06");
}

#[test]
fn the_last_second_of_a_window_is_before_its_end() {
    let schedule = Schedule::parse("cron(0 8 1 * ? *)", Some("4h")).unwrap();
    let now = at("2026-01-01T08:00:00Z");
    // A window that is open already is not the next one.
    let window = schedule.next_window(since(now), now).unwrap();
    assert_eq!(last_second(window.closes_at), at("2026-02-01T11:59:59Z"));
}

#[test]
fn at_the_end_of_the_calendar_there_is_no_window_and_no_panic() {
    for expression in ["cron(0 8 1 * ? *)", "rate(4 hours)", "rate(1 day)"] {
        let schedule = Schedule::parse(expression, None).unwrap();
        for now in [i64::MAX, i64::MAX - 1, 253_402_207_200_000] {
            let now = Timestamp::from_millis(now);
            let _ = schedule.next_window(since(now), now);
            let _ = schedule.next_window(since(Timestamp::EPOCH), now);
        }
    }
}
