//! Decimal numbers, compared digit by digit.
//!
//! A policy that says 9007199254740993 does not mean 9007199254740992, so nothing is rounded: a number is its digits, without
//! the zeros that say nothing. Exponents, names such as `NaN`, and white space are no numbers.

use std::{borrow::Cow, cmp::Ordering};

/// Borrowed from the text of a request, or owned by a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Number<'a> {
    is_negative: bool,
    /// No zeros in front.
    whole: Cow<'a, str>,
    /// No zeros at the end.
    fraction: Cow<'a, str>,
}

impl<'a> Number<'a> {
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let is_negative = text.starts_with('-');
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !are_digits(whole) || !are_digits(fraction) {
            return None;
        }
        let whole = whole.trim_start_matches('0');
        let fraction = fraction.trim_end_matches('0');
        // Zero has no sign.
        let is_zero = whole.is_empty() && fraction.is_empty();
        Some(Self { is_negative: is_negative && !is_zero, whole: whole.into(), fraction: fraction.into() })
    }

    pub(crate) fn into_owned(self) -> Number<'static> {
        Number {
            is_negative: self.is_negative,
            whole: Cow::Owned(self.whole.into_owned()),
            fraction: Cow::Owned(self.fraction.into_owned()),
        }
    }
}

impl Ord for Number<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let size = |one: &Self, other: &Self| {
            one.whole
                .len()
                .cmp(&other.whole.len())
                .then_with(|| one.whole.cmp(&other.whole))
                .then_with(|| one.fraction.cmp(&other.fraction))
        };
        match (self.is_negative, other.is_negative) {
            (false, false) => size(self, other),
            (true, true) => size(other, self),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Number<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_what_they_say() {
        let order =
            ["-10", "-9.5", "-9.25", "-0.1", "0", "0.09", "0.1", "9", "9.5", "10", "9007199254740992"];
        let numbers: Vec<_> = order.iter().map(|text| Number::parse(text).unwrap()).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next));
        for (one, other) in [("30.0", "30"), ("+7", "007"), ("-0", "0.00"), (".5", "0.5"), ("5.", "5")] {
            assert_eq!(Number::parse(one), Number::parse(other), "{one} {other}");
        }
        assert!(Number::parse("9007199254740993") > Number::parse("9007199254740992"));
        for text in ["", "-", ".", "abc", "1e3", "1,5", " 1", "1 ", "0x10", "NaN", "inf", "--1", "1.2.3", "١"]
        {
            assert_eq!(Number::parse(text), None, "{text}");
        }
    }
}
