//! 1.8: the condition operators, and how one request value compares with one policy value.

use std::cmp::Ordering;

use data_encoding::BASE64;

use crate::case::Request;
use crate::resource;
use crate::variable::{Letter, as_pattern, as_text, replaced};
use crate::wildcard::matches;
use crate::{address, date, number};

/// How the values of one key are taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Set {
    ForAllValues,
    ForAnyValue,
}

/// How one request value compares with one policy value, before negation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Comparison {
    #[default]
    Text,
    TextIgnoringCase,
    Like,
    Number(Order),
    Date(Order),
    Bool,
    Binary,
    Address,
    Arn,
    /// Compares presence, not values.
    Null,
}

/// Request OP policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    fn holds(self, found: Ordering) -> bool {
        match self {
            Self::Equal => found.is_eq(),
            Self::Less => found.is_lt(),
            Self::LessOrEqual => found.is_le(),
            Self::Greater => found.is_gt(),
            Self::GreaterOrEqual => found.is_ge(),
        }
    }
}

/// Name, comparison, and whether the operator is the negation of it.
pub(crate) const OPERATORS: &[(&str, Comparison, bool)] = &[
    ("StringEquals", Comparison::Text, false),
    ("StringNotEquals", Comparison::Text, true),
    ("StringEqualsIgnoreCase", Comparison::TextIgnoringCase, false),
    ("StringNotEqualsIgnoreCase", Comparison::TextIgnoringCase, true),
    ("StringLike", Comparison::Like, false),
    ("StringNotLike", Comparison::Like, true),
    ("NumericEquals", Comparison::Number(Order::Equal), false),
    ("NumericNotEquals", Comparison::Number(Order::Equal), true),
    ("NumericLessThan", Comparison::Number(Order::Less), false),
    ("NumericLessThanEquals", Comparison::Number(Order::LessOrEqual), false),
    ("NumericGreaterThan", Comparison::Number(Order::Greater), false),
    ("NumericGreaterThanEquals", Comparison::Number(Order::GreaterOrEqual), false),
    ("DateEquals", Comparison::Date(Order::Equal), false),
    ("DateNotEquals", Comparison::Date(Order::Equal), true),
    ("DateLessThan", Comparison::Date(Order::Less), false),
    ("DateLessThanEquals", Comparison::Date(Order::LessOrEqual), false),
    ("DateGreaterThan", Comparison::Date(Order::Greater), false),
    ("DateGreaterThanEquals", Comparison::Date(Order::GreaterOrEqual), false),
    ("Bool", Comparison::Bool, false),
    ("BinaryEquals", Comparison::Binary, false),
    ("IpAddress", Comparison::Address, false),
    ("NotIpAddress", Comparison::Address, true),
    ("ArnEquals", Comparison::Arn, false),
    ("ArnLike", Comparison::Arn, false),
    ("ArnNotEquals", Comparison::Arn, true),
    ("ArnNotLike", Comparison::Arn, true),
    ("Null", Comparison::Null, false),
];

pub(crate) const FOR_ALL_VALUES: &str = "ForAllValues:";
pub(crate) const FOR_ANY_VALUE: &str = "ForAnyValue:";
pub(crate) const IF_EXISTS: &str = "IfExists";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Operator {
    pub(crate) set: Option<Set>,
    pub(crate) name: &'static str,
    pub(crate) comparison: Comparison,
    pub(crate) negated: bool,
    pub(crate) if_exists: bool,
}

impl Operator {
    /// Operator names ignore case, with everything that is written around them. `Null` stands alone.
    pub(crate) fn read(written: &str) -> Option<Self> {
        let (set, rest) = if let Some(rest) = without_prefix(written, FOR_ALL_VALUES) {
            (Some(Set::ForAllValues), rest)
        } else if let Some(rest) = without_prefix(written, FOR_ANY_VALUE) {
            (Some(Set::ForAnyValue), rest)
        } else {
            (None, written)
        };
        let (rest, if_exists) = without_suffix(rest, IF_EXISTS).map_or((rest, false), |rest| (rest, true));
        let &(name, comparison, negated) =
            OPERATORS.iter().find(|(name, _, _)| name.eq_ignore_ascii_case(rest))?;
        let alone = set.is_none() && !if_exists;
        (comparison != Comparison::Null || alone).then_some(Self {
            set,
            name,
            comparison,
            negated,
            if_exists,
        })
    }

    /// As the documentation spells it.
    pub(crate) fn spelled(&self) -> String {
        let set = match self.set {
            None => "",
            Some(Set::ForAllValues) => FOR_ALL_VALUES,
            Some(Set::ForAnyValue) => FOR_ANY_VALUE,
        };
        let if_exists = if self.if_exists { IF_EXISTS } else { "" };
        format!("{set}{}{if_exists}", self.name)
    }
}

/// Every operator there is, with every set operator and `IfExists`.
pub fn operator_names() -> Vec<String> {
    let mut names = Vec::new();
    for set in ["", FOR_ALL_VALUES, FOR_ANY_VALUE] {
        for (name, _, _) in OPERATORS {
            for if_exists in ["", IF_EXISTS] {
                names.push(format!("{set}{name}{if_exists}"));
            }
        }
    }
    names.retain(|name| Operator::read(name).is_some());
    names
}

fn without_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn without_suffix<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let (rest, tail) = text.split_at_checked(text.len().checked_sub(suffix.len())?)?;
    tail.eq_ignore_ascii_case(suffix).then_some(rest)
}

/// Whether a request value matches a policy value. An unresolved variable in the policy value is null, and null matches nothing.
pub(crate) fn value_matches(
    request: &Request<'_>,
    variables: bool,
    comparison: Comparison,
    found: &str,
    wanted: &str,
) -> bool {
    let with_variables = || replaced(request, variables, wanted);
    match comparison {
        Comparison::Text => with_variables().is_some_and(|wanted| as_text(&wanted) == found),
        Comparison::TextIgnoringCase => {
            with_variables().is_some_and(|wanted| as_text(&wanted).to_lowercase() == found.to_lowercase())
        }
        Comparison::Like => with_variables().is_some_and(|wanted| matches(&as_pattern(&wanted), found)),
        Comparison::Bool => with_variables().is_some_and(|wanted| same_bool(found, &wanted)),
        Comparison::Arn => arn(request, variables, found, wanted),
        // The others have no variables: `${...}` is text that cannot be read as a number, a date, bytes or an address.
        Comparison::Number(order) => number::compare(found, wanted).is_some_and(|found| order.holds(found)),
        Comparison::Date(order) => date::compare(found, wanted).is_some_and(|found| order.holds(found)),
        Comparison::Binary => same_bytes(found, wanted),
        Comparison::Address => address::is_in(found, wanted),
        Comparison::Null => false,
    }
}

/// `true` or `false`, case ignored; anything else is no Boolean and matches nothing.
fn same_bool(found: &str, wanted: &[Letter]) -> bool {
    let read = |text: &str| match text.to_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    };
    let wanted = read(&as_text(wanted));
    wanted.is_some() && wanted == read(found)
}

/// Six segments as in resources; a request value that is no ARN matches nothing, not even `*`.
fn arn(request: &Request<'_>, variables: bool, found: &str, wanted: &str) -> bool {
    let matches = resource::arn_matches(request, variables, wanted, Some(found)) == Some(true);
    matches && resource::is_arn(found)
}

fn same_bytes(found: &str, wanted: &str) -> bool {
    let read = |text: &str| BASE64.decode(text.as_bytes()).ok();
    let wanted = read(wanted);
    wanted.is_some() && wanted == read(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_takes_neither_if_exists_nor_a_set_operator() {
        for name in ["NullIfExists", "ForAllValues:Null", "ForAnyValue:Null", "", "IfExists", "ForAllValues:"]
        {
            assert_eq!(Operator::read(name), None, "{name}");
        }
        assert_eq!(operator_names().len(), 26 * 6 + 1);
    }

    #[test]
    fn names_ignore_case_everywhere() {
        let operator = Operator::read("foranyvalue:STRINGlikeifexists").unwrap();
        assert_eq!(operator.spelled(), "ForAnyValue:StringLikeIfExists");
    }
}
