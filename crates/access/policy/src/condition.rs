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

    /// Whether it asks for what is not listed.
    pub(crate) const fn is_negated(self) -> bool {
        matches!(
            self,
            Self::StringNotEquals
                | Self::StringNotEqualsIgnoreCase
                | Self::StringNotLike
                | Self::NumericNotEquals
                | Self::DateNotEquals
                | Self::NotIpAddress
                | Self::ArnNotEquals
                | Self::ArnNotLike
        )
    }
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
}
