//! The conditions of a statement: which key is compared with which values, and how.
//!
//! Only what is written is known here. Keys of services that nobody has heard of are fine, an operator is not: a condition
//! that nobody can evaluate must not be stored.

/// `{"StringLike": {"aws:PrincipalArn": ["…"]}}`: one operator, one key, its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    pub operator: Operator,
    /// As written; names of keys are compared without regard to case.
    pub key: String,
    /// Numbers and booleans as their text.
    pub values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operator {
    pub quantifier: Option<Quantifier>,
    pub test: Test,
    pub if_exists: bool,
}

/// How a key with several values is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantifier {
    ForAllValues,
    ForAnyValue,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    StringEquals,
    StringNotEquals,
    StringEqualsIgnoreCase,
    StringNotEqualsIgnoreCase,
    StringLike,
    StringNotLike,
    NumericEquals,
    NumericNotEquals,
    NumericLessThan,
    NumericLessThanEquals,
    NumericGreaterThan,
    NumericGreaterThanEquals,
    DateEquals,
    DateNotEquals,
    DateLessThan,
    DateLessThanEquals,
    DateGreaterThan,
    DateGreaterThanEquals,
    Bool,
    BinaryEquals,
    IpAddress,
    NotIpAddress,
    ArnEquals,
    ArnNotEquals,
    ArnLike,
    ArnNotLike,
    Null,
}

const TESTS: &[(&str, Test)] = &[
    ("stringequals", Test::StringEquals),
    ("stringnotequals", Test::StringNotEquals),
    ("stringequalsignorecase", Test::StringEqualsIgnoreCase),
    ("stringnotequalsignorecase", Test::StringNotEqualsIgnoreCase),
    ("stringlike", Test::StringLike),
    ("stringnotlike", Test::StringNotLike),
    ("numericequals", Test::NumericEquals),
    ("numericnotequals", Test::NumericNotEquals),
    ("numericlessthan", Test::NumericLessThan),
    ("numericlessthanequals", Test::NumericLessThanEquals),
    ("numericgreaterthan", Test::NumericGreaterThan),
    ("numericgreaterthanequals", Test::NumericGreaterThanEquals),
    ("dateequals", Test::DateEquals),
    ("datenotequals", Test::DateNotEquals),
    ("datelessthan", Test::DateLessThan),
    ("datelessthanequals", Test::DateLessThanEquals),
    ("dategreaterthan", Test::DateGreaterThan),
    ("dategreaterthanequals", Test::DateGreaterThanEquals),
    ("bool", Test::Bool),
    ("binaryequals", Test::BinaryEquals),
    ("ipaddress", Test::IpAddress),
    ("notipaddress", Test::NotIpAddress),
    ("arnequals", Test::ArnEquals),
    ("arnnotequals", Test::ArnNotEquals),
    ("arnlike", Test::ArnLike),
    ("arnnotlike", Test::ArnNotLike),
    ("null", Test::Null),
];

impl Operator {
    /// Names are compared without regard to case, as AWS does.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let (quantifier, rest) = match text.split_once(':') {
            Some(("forallvalues", rest)) => (Some(Quantifier::ForAllValues), rest),
            Some(("foranyvalue", rest)) => (Some(Quantifier::ForAnyValue), rest),
            Some(_) => return None,
            None => (None, text.as_str()),
        };
        let (name, if_exists) = rest.strip_suffix("ifexists").map_or((rest, false), |name| (name, true));
        let &(_, test) = TESTS.iter().find(|(known, _)| *known == name)?;
        // Whether a key is there is the very question of `Null`.
        (test != Test::Null || !if_exists).then_some(Self { quantifier, test, if_exists })
    }
}

impl Test {
    pub(crate) const fn is_date(self) -> bool {
        matches!(
            self,
            Self::DateEquals
                | Self::DateNotEquals
                | Self::DateLessThan
                | Self::DateLessThanEquals
                | Self::DateGreaterThan
                | Self::DateGreaterThanEquals
        )
    }
}

/// Whether IAM takes a text for a date: seconds since 1970, or ISO 8601 to the month, day, minute, second or fraction.
pub(crate) fn is_date(text: &str) -> bool {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse::<i64>().is_ok();
    }
    let (day, time) = text.split_once('T').map_or((text, None), |(day, time)| (day, Some(time)));
    let mut parts = day.split('-');
    let year_and_month = parts.next().is_some_and(|year| is_number(year, 4, 0, 9999))
        && parts.next().is_some_and(|month| is_number(month, 2, 1, 12));
    let day = parts.next();
    year_and_month
        && day.is_none_or(|day| is_number(day, 2, 1, 31))
        && parts.next().is_none()
        && time.is_none_or(|time| day.is_some() && is_time(time))
}

fn is_time(text: &str) -> bool {
    let (clock, zone) = match text.find(['Z', '+', '-']) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let mut parts = clock.split(':');
    let hour_and_minute = parts.next().is_some_and(|hour| is_number(hour, 2, 0, 23))
        && parts.next().is_some_and(|minute| is_number(minute, 2, 0, 59));
    let second = parts.next().is_none_or(|second| {
        let (second, fraction) = second.split_once('.').map_or((second, None), |(s, f)| (s, Some(f)));
        is_number(second, 2, 0, 59)
            && fraction.is_none_or(|digits| {
                (1..=9).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
            })
    });
    hour_and_minute && second && parts.next().is_none() && is_zone(zone)
}

fn is_zone(text: &str) -> bool {
    let Some(offset) = text.strip_prefix(['+', '-']) else { return matches!(text, "" | "Z") };
    let (hour, minute) = offset.split_once(':').map_or((offset, None), |(hour, minute)| (hour, Some(minute)));
    is_number(hour, 2, 0, 23) && minute.is_none_or(|minute| is_number(minute, 2, 0, 59))
}

fn is_number(text: &str, digits: usize, min: u32, max: u32) -> bool {
    text.len() == digits
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && text.parse().is_ok_and(|number: u32| (min..=max).contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators() {
        let plain = |test| Some(Operator { quantifier: None, test, if_exists: false });
        for (text, expected) in [
            ("StringEquals", plain(Test::StringEquals)),
            ("stringequals", plain(Test::StringEquals)),
            ("Null", plain(Test::Null)),
            ("BoolIfExists", Some(Operator { quantifier: None, test: Test::Bool, if_exists: true })),
            (
                "ForAllValues:StringNotLikeIfExists",
                Some(Operator {
                    quantifier: Some(Quantifier::ForAllValues),
                    test: Test::StringNotLike,
                    if_exists: true,
                }),
            ),
            ("NullIfExists", None),
            ("ForSomeValues:StringLike", None),
            ("ForAnyValue:ForAnyValue:StringLike", None),
            ("StringEqualz", None),
            ("IfExists", None),
            ("", None),
        ] {
            assert_eq!(Operator::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn dates() {
        for good in [
            "0",
            "1767225600",
            "9223372036854775807",
            "2026-01",
            "2026-01-31",
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
