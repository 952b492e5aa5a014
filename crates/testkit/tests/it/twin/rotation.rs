//! Rotation by the rules, as far as it goes without a function: what is configured, when the next window closes, and the version that
//! waits for a value.

use coffer_types::Timestamp;
use serde_json::{Value, json};

use super::{CURRENT, DENIED, Outcome, PARAMETER, PENDING, Request, STATE, Secret, Version, seconds};

const HOUR_MILLIS: i64 = 3_600_000;
const DAY_HOURS: i64 = 24;

/// The rules as a caller writes them.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) days: Option<i64>,
    pub(crate) expression: Option<&'static str>,
    pub(crate) duration: Option<&'static str>,
}

#[derive(Debug)]
pub(super) struct Rotation {
    enabled: bool,
    function: String,
    rules: Option<Rules>,
    rules_set: Timestamp,
    next: Option<Timestamp>,
    latest: Option<String>,
}

#[derive(Debug, Clone, Copy)]
enum Schedule {
    Days(i64),
    Hours(i64),
    /// At these hours, on all days or on one day of the week; Sunday is the first.
    At(&'static [i64], Option<i64>),
}

impl Rules {
    pub(super) fn shown(&self) -> Value {
        let mut shown = json!({});
        if let Some(days) = self.days {
            shown["AutomaticallyAfterDays"] = days.into();
        }
        if let Some(expression) = self.expression {
            shown["ScheduleExpression"] = expression.into();
        }
        if let Some(duration) = self.duration {
            shown["Duration"] = duration.into();
        }
        shown
    }

    /// When windows open and for how many hours. The twin cannot read expressions; it knows the good ones that the walk writes.
    fn understood(&self) -> Option<(Schedule, i64)> {
        let schedule = match (self.days, self.expression?) {
            (Some(_), _) => return None,
            (None, "rate(10 days)") => Schedule::Days(10),
            (None, "rate(1 day)") => Schedule::Days(1),
            (None, "rate(4 hours)") => Schedule::Hours(4),
            (None, "rate(7 hours)") => Schedule::Hours(7),
            (None, "rate(36 hours)") => Schedule::Hours(36),
            (None, "cron(0 10 * * ? *)") => Schedule::At(&[10], None),
            (None, "cron(0 8/8 * * ? *)") => Schedule::At(&[8, 16], None),
            (None, "cron(0 18 ? * SAT *)") => Schedule::At(&[18], Some(7)),
            _ => return None,
        };
        self.open(schedule)
    }

    fn open(&self, schedule: Schedule) -> Option<(Schedule, i64)> {
        let (usual, most) = match schedule {
            Schedule::Days(_) => (DAY_HOURS, DAY_HOURS),
            Schedule::Hours(hours) => (1, hours.min(DAY_HOURS)),
            Schedule::At([hour], _) => (DAY_HOURS - hour, DAY_HOURS - hour),
            // The walk writes hours that are as far apart as the last is from midnight.
            Schedule::At(hours, _) => (1, hours[1] - hours[0]),
        };
        let asked = self.duration.map(|text| text.trim_end_matches('h').parse::<i64>().unwrap());
        let hours = asked.unwrap_or(usual);
        (1..=most).contains(&hours).then_some((schedule, hours))
    }

    fn schedule(&self) -> Option<(Schedule, i64)> {
        match self.days {
            Some(days) => self.open(Schedule::Days(days)),
            None => self.understood(),
        }
    }
}

impl Schedule {
    /// Looks at one hour after the other.
    fn next_opening(self, value_changed: Timestamp, rules_set: Timestamp, now: Timestamp) -> i64 {
        let hour_of = |time: Timestamp| time.millis().div_euclid(HOUR_MILLIS);
        let since = |begin: Timestamp, hour: i64| hour - hour_of(begin.start_of_day());
        let opens = |hour: i64| match self {
            Self::Days(days) => since(value_changed, hour) % (days * DAY_HOURS) == 0,
            Self::Hours(hours) => since(rules_set, hour) % hours == 0,
            Self::At(hours, weekday) => {
                // The first day of 1970 was a Thursday.
                let today = (hour.div_euclid(DAY_HOURS) + 4) % 7 + 1;
                hours.contains(&(hour % DAY_HOURS)) && weekday.is_none_or(|day| day == today)
            }
        };
        (hour_of(now) + 1..).find(|hour| opens(*hour)).unwrap()
    }
}

impl Rotation {
    pub(super) fn show(&self, answer: &mut Value) {
        answer["RotationEnabled"] = self.enabled.into();
        answer["RotationLambdaARN"] = self.function.as_str().into();
        if let Some(rules) = &self.rules {
            answer["RotationRules"] = rules.shown();
        }
        if let Some(next) = self.next {
            answer["NextRotationDate"] = seconds(next);
        }
    }
}

impl Secret {
    pub(super) fn rotate(&mut self, request: &Request, now: Timestamp) -> Outcome {
        let Request::Rotate { token, function, rules, immediately, .. } = request else { unreachable!() };
        let known = || self.rotation.as_ref().map(|rotation| rotation.function.clone());
        let function = function.clone().or_else(known).ok_or(STATE)?;
        // A function of another region is none that can be invoked.
        let region = self.arn.split(':').nth(3).unwrap_or_default();
        if !function.starts_with(&format!("arn:aws:lambda:{region}:111122223333:function:rotate")) {
            return Err(DENIED);
        }
        if let Some(rules) = rules {
            rules.schedule().ok_or(PARAMETER)?;
        }
        let mut answer = self.called();
        if *immediately {
            answer["VersionId"] = token.as_str().into();
        }
        let is_repeated = |rotation: &Rotation| rotation.enabled && rotation.latest.as_ref() == Some(token);
        if *immediately && self.rotation.as_ref().is_some_and(is_repeated) {
            return Ok(answer);
        }
        if let Some(pending) = self.labels.get(PENDING)
            && self.labels.get(CURRENT) != Some(pending)
        {
            return Err(STATE);
        }
        if *immediately && self.versions.contains_key(token) {
            return Err(PARAMETER);
        }

        let value_changed = match self.labels.get(CURRENT) {
            Some(current) => self.versions[current].created,
            None => self.created,
        };
        let rotation = self.rotation.get_or_insert(Rotation {
            enabled: true,
            function: String::new(),
            rules: None,
            rules_set: now,
            next: None,
            latest: None,
        });
        rotation.enabled = true;
        rotation.function = function;
        if let Some(rules) = rules {
            (rotation.rules, rotation.rules_set) = (Some(rules.clone()), now);
        }
        if *immediately {
            rotation.latest = Some(token.clone());
            self.versions.insert(token.clone(), Version { value: None, created: now, accessed: None });
            self.labels.insert(PENDING.to_owned(), token.clone());
        }
        // A rotation that begins is taken for a change of the value.
        self.plan_rotation(if *immediately { now } else { value_changed }, now);
        self.changed = now;
        Ok(answer)
    }

    pub(super) fn cancel_rotation(&mut self, now: Timestamp) -> Outcome {
        let rotation = self.rotation.as_mut().ok_or(STATE)?;
        (rotation.enabled, rotation.next) = (false, None);
        self.changed = now;
        let mut answer = self.called();
        if let Some(pending) = self.labels.get(PENDING) {
            answer["VersionId"] = pending.as_str().into();
        }
        Ok(answer)
    }

    /// The last second of the next window, which ends with its day at the latest.
    pub(super) fn plan_rotation(&mut self, value_changed: Timestamp, now: Timestamp) {
        let Some(rotation) = self.rotation.as_mut().filter(|rotation| rotation.enabled) else { return };
        let schedule = rotation.rules.as_ref().and_then(Rules::schedule);
        rotation.next = schedule.map(|(schedule, hours)| {
            let opening = schedule.next_opening(value_changed, rotation.rules_set, now);
            let midnight = (opening.div_euclid(DAY_HOURS) + 1) * DAY_HOURS;
            Timestamp::from_millis((opening + hours).min(midnight) * HOUR_MILLIS - 1000)
        });
    }
}
