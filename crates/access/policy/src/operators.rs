//! A condition as it is evaluated: the values of the policy typed, and the truth table of the operators.
//!
//! Whatever does not depend on the request is worked out when the policy is read: dates, numbers, blocks of addresses, bytes, the
//! parts of patterns. A value that cannot be read is kept as one that equals nothing, so a negated operator holds against it and
//! any other does not.
//!
//! There is one question, whether a value of the request is like one of the policy's, and the table around it:
//!
//! | form | key absent | otherwise |
//! |---|---|---|
//! | plain | false | some value of the request is like one of the policy's |
//! | negated | true | none is |
//! | `ForAllValues` | true | each is, or none where negated |
//! | `ForAnyValue` | false, also where negated | some is, or some is not where negated |
//! | `…IfExists` | true | as without |

use std::{borrow::Cow, cmp::Ordering};

use data_encoding::BASE64;

use crate::{
    Condition, Context, Key, Operator, Quantifier, Test, Values, Version,
    address::{self, Block},
    glob::Span,
    instant::Instant,
    number::Number,
    variables::{Template, Wildcards},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    key: Key,
    quantifier: Option<Quantifier>,
    if_exists: bool,
    is_negated: bool,
    wanted: Wanted,
}

/// The values of the policy, by how they are compared. None where a text is not of its type.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    Equal(Vec<Template>),
    EqualIgnoringCase(Vec<Template>),
    Like(Vec<Template>, Span),
    Numbers(Order, Vec<Option<Number<'static>>>),
    Dates(Order, Vec<Option<Instant>>),
    Bools(Vec<Template>),
    Bytes(Vec<Option<Vec<u8>>>),
    Addresses(Vec<Option<Block>>),
    /// Whether the key is to be absent.
    Absence(Vec<Option<bool>>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

impl Check {
    pub(crate) fn compile(version: Version, condition: &Condition) -> Self {
        let Operator { quantifier, test, if_exists } = condition.operator;
        let wanted = Wanted::compile(version, test, &condition.values);
        Self { key: Key::new(&condition.key), quantifier, if_exists, is_negated: test.is_negated(), wanted }
    }

    pub(crate) fn holds(&self, context: &dyn Context) -> bool {
        let found = context.values(&self.key);
        if let Wanted::Absence(wanted) = &self.wanted {
            // An empty list is as good as no key.
            let is_absent = found.is_none_or(|values| values.iter().next().is_none());
            return wanted.contains(&Some(is_absent));
        }
        let Some(found) = found else {
            return self.if_exists
                || match self.quantifier {
                    Some(Quantifier::ForAllValues) => true,
                    Some(Quantifier::ForAnyValue) => false,
                    None => self.is_negated,
                };
        };
        self.holds_for(&found, context)
    }

    fn holds_for(&self, found: &Values<'_>, context: &dyn Context) -> bool {
        let mut values = found.iter();
        let is_listed = |value: &str| self.wanted.lists(value, context);
        match (self.quantifier, self.is_negated) {
            (None | Some(Quantifier::ForAnyValue), false) => values.any(is_listed),
            (Some(Quantifier::ForAllValues), false) => values.all(is_listed),
            (None | Some(Quantifier::ForAllValues), true) => !values.any(is_listed),
            (Some(Quantifier::ForAnyValue), true) => values.any(|value| !is_listed(value)),
        }
    }

    /// The keys that it asks for, also by variables.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        let templates = match &self.wanted {
            Wanted::Equal(list)
            | Wanted::EqualIgnoringCase(list)
            | Wanted::Like(list, _)
            | Wanted::Bools(list) => list.as_slice(),
            _ => &[],
        };
        std::iter::once(&self.key).chain(templates.iter().flat_map(Template::keys))
    }
}

impl Wanted {
    fn compile(version: Version, test: Test, values: &[String]) -> Self {
        let texts =
            || values.iter().map(|value| Template::parse(version, value, Wildcards::AreText)).collect();
        let patterns =
            || values.iter().map(|value| Template::parse(version, value, Wildcards::Mean)).collect();
        let number = |value: &String| Number::parse(value).map(Number::into_owned);
        let numbers = |order| Self::Numbers(order, values.iter().map(number).collect());
        let dates = |order| Self::Dates(order, values.iter().map(|value| Instant::parse(value)).collect());
        match test {
            Test::StringEquals | Test::StringNotEquals => Self::Equal(texts()),
            Test::StringEqualsIgnoreCase | Test::StringNotEqualsIgnoreCase => {
                Self::EqualIgnoringCase(texts())
            }
            Test::StringLike | Test::StringNotLike => Self::Like(patterns(), Span::Whole),
            Test::ArnEquals | Test::ArnNotEquals | Test::ArnLike | Test::ArnNotLike => {
                Self::Like(patterns(), Span::Fields)
            }
            Test::NumericEquals | Test::NumericNotEquals => numbers(Order::Equal),
            Test::NumericLessThan => numbers(Order::Less),
            Test::NumericLessThanEquals => numbers(Order::LessOrEqual),
            Test::NumericGreaterThan => numbers(Order::Greater),
            Test::NumericGreaterThanEquals => numbers(Order::GreaterOrEqual),
            Test::DateEquals | Test::DateNotEquals => dates(Order::Equal),
            Test::DateLessThan => dates(Order::Less),
            Test::DateLessThanEquals => dates(Order::LessOrEqual),
            Test::DateGreaterThan => dates(Order::Greater),
            Test::DateGreaterThanEquals => dates(Order::GreaterOrEqual),
            Test::Bool => Self::Bools(texts()),
            Test::BinaryEquals => Self::Bytes(values.iter().map(|value| bytes(value)).collect()),
            Test::IpAddress | Test::NotIpAddress => {
                Self::Addresses(values.iter().map(|value| Block::parse(value)).collect())
            }
            Test::Null => Self::Absence(values.iter().map(|value| truth(value)).collect()),
        }
    }

    /// Whether a value of the request is like one of these.
    fn lists(&self, value: &str, context: &dyn Context) -> bool {
        match self {
            Self::Equal(wanted) => {
                wanted.iter().any(|template| is_text(template, context, |text| text == value))
            }
            Self::EqualIgnoringCase(wanted) => {
                let value = lower(value);
                wanted.iter().any(|template| is_text(template, context, |text| lower(text) == value))
            }
            Self::Like(wanted, span) => {
                (*span == Span::Whole || is_arn(value))
                    && wanted.iter().any(|template| template.covers(context, value, *span) == Some(true))
            }
            Self::Numbers(order, wanted) => Number::parse(value)
                .is_some_and(|value| wanted.iter().flatten().any(|wanted| order.holds(value.cmp(wanted)))),
            Self::Dates(order, wanted) => Instant::parse(value)
                .is_some_and(|value| wanted.iter().flatten().any(|wanted| order.holds(value.cmp(wanted)))),
            Self::Bools(wanted) => truth(value).is_some_and(|value| {
                wanted.iter().any(|template| is_text(template, context, |text| truth(text) == Some(value)))
            }),
            Self::Bytes(wanted) => {
                bytes(value).is_some_and(|value| wanted.iter().flatten().any(|wanted| *wanted == value))
            }
            Self::Addresses(wanted) => address::address(value)
                .is_some_and(|value| wanted.iter().flatten().any(|block| block.contains(value))),
            Self::Absence(_) => false,
        }
    }
}

/// What a template says, put to a question. One with a variable that stands for nothing says nothing.
fn is_text(template: &Template, context: &dyn Context, question: impl Fn(&str) -> bool) -> bool {
    match template.as_text() {
        Some(text) => question(text),
        None => template.fill(context).is_some_and(|filled| question(&filled.text())),
    }
}

fn lower(text: &str) -> Cow<'_, str> {
    let changes = |byte: u8| byte.is_ascii_uppercase() || !byte.is_ascii();
    if text.bytes().any(changes) { Cow::Owned(text.to_lowercase()) } else { Cow::Borrowed(text) }
}

fn truth(text: &str) -> Option<bool> {
    [true, false].into_iter().find(|word| text.eq_ignore_ascii_case(if *word { "true" } else { "false" }))
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.as_bytes()).ok()
}

/// Whether a text has the fields of an ARN.
fn is_arn(text: &str) -> bool {
    text.starts_with("arn:") && text.bytes().filter(|byte| *byte == b':').nth(4).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The one key of these tests.
    struct Only(Option<&'static [&'static str]>);

    impl Context for Only {
        fn values<'a>(&'a self, _: &'a Key) -> Option<Values<'a>> {
            Some(match self.0? {
                [one] => Values::One(Cow::Borrowed(one)),
                many => Values::Many(many.iter().map(|value| Cow::Borrowed(*value)).collect()),
            })
        }
    }

    fn holds(operator: &str, wanted: &[&str], found: Option<&'static [&'static str]>) -> bool {
        let condition = Condition {
            operator: Operator::parse(operator).unwrap(),
            key: String::from("a:b"),
            values: wanted.iter().map(|value| (*value).to_owned()).collect(),
        };
        Check::compile(Version::V2012, &condition).holds(&Only(found))
    }

    #[test]
    fn the_truth_table() {
        let columns: [Option<&'static [&'static str]>; 5] =
            [None, Some(&[]), Some(&["x"]), Some(&["x", "y"]), Some(&["y"])];
        for (operator, expected) in [
            ("StringEquals", [false, false, true, true, false]),
            ("StringNotEquals", [true, true, false, false, true]),
            ("StringEqualsIfExists", [true, false, true, true, false]),
            ("StringNotEqualsIfExists", [true, true, false, false, true]),
            ("ForAllValues:StringEquals", [true, true, true, false, false]),
            ("ForAllValues:StringNotEquals", [true, true, false, false, true]),
            ("ForAnyValue:StringEquals", [false, false, true, true, false]),
            ("ForAnyValue:StringNotEquals", [false, false, false, true, true]),
            ("ForAnyValue:StringEqualsIfExists", [true, false, true, true, false]),
            ("ForAllValues:StringEqualsIfExists", [true, true, true, false, false]),
        ] {
            assert_eq!(columns.map(|found| holds(operator, &["x", "z"], found)), expected, "{operator}");
        }
        assert_eq!(columns.map(|found| holds("Null", &["true"], found)), [true, true, false, false, false]);
        assert_eq!(columns.map(|found| holds("Null", &["False"], found)), [false, false, true, true, true]);
        assert_eq!(columns.map(|found| holds("Null", &["maybe"], found)), [false; 5]);
    }

    #[test]
    fn a_value_that_is_not_of_its_type_equals_nothing() {
        for (test, good, bad) in [
            ("NumericEquals", "1", "one"),
            ("NumericLessThan", "1", ""),
            ("NumericGreaterThanEquals", "1", "1e3"),
            ("DateEquals", "2026-01-01", "today"),
            ("DateLessThan", "2026-01-01", "2026-02-31"),
            ("Bool", "true", "yes"),
            ("BinaryEquals", "QUJD", "QUJ"),
            ("IpAddress", "10.0.0.0/8", "ten"),
            ("ArnLike", "arn:aws:s3:::x", "x"),
            ("ArnLike", "*", "a:b:c:d:e:f"),
        ] {
            let leak = |text: &str| -> &'static [&'static str] { vec![&*text.to_owned().leak()].leak() };
            assert!(!holds(test, &[good], Some(leak(bad))), "{test} {bad}");
            assert!(!holds(test, &[bad], Some(leak(good))) || bad == "a:b:c:d:e:f", "{test} {bad}");
        }
        assert!(holds("NumericNotEquals", &["1"], Some(&["one"])));
        assert!(holds("DateNotEquals", &["today"], Some(&["2026-01-01"])));
        assert!(holds("NotIpAddress", &["10.0.0.0/8"], Some(&["ten"])));
    }

    #[test]
    fn texts_that_look_alike_are_not() {
        assert!(!holds("StringEquals", &["admin"], Some(&["\u{430}dmin"])));
        assert!(!holds("StringLike", &["admin*"], Some(&["\u{430}dmin"])));
        assert!(holds("StringEqualsIgnoreCase", &["ÄRGER"], Some(&["ärger"])));
        assert!(!holds("StringEqualsIgnoreCase", &["strasse"], Some(&["straße"])));
        assert!(!holds("Bool", &["true"], Some(&["\u{442}rue"])));
        assert!(!holds("NumericEquals", &["1"], Some(&["\u{661}"])));
    }
}
