//! Decimal numbers, compared digit by digit so that no size or fraction is rounded away.

use std::cmp::Ordering;

struct Decimal<'a> {
    negative: bool,
    /// Without leading zeros, so that the longer one is the greater one.
    whole: &'a str,
    /// Without trailing zeros, so that the order of text is the order of numbers.
    fraction: &'a str,
}

/// Nothing when one of them is no decimal number.
pub(crate) fn compare(left: &str, right: &str) -> Option<Ordering> {
    let (left, right) = (read(left)?, read(right)?);
    Some(match (left.negative, right.negative) {
        (false, false) => magnitude(&left, &right),
        (true, true) => magnitude(&right, &left),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
    })
}

fn magnitude(left: &Decimal<'_>, right: &Decimal<'_>) -> Ordering {
    left.whole
        .len()
        .cmp(&right.whole.len())
        .then_with(|| left.whole.cmp(right.whole))
        .then_with(|| left.fraction.cmp(right.fraction))
}

/// An optional sign, digits, and optionally a point and more digits.
fn read(text: &str) -> Option<Decimal<'_>> {
    let (minus, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    if !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    // There is one zero only.
    let negative = minus && !(whole.is_empty() && fraction.is_empty());
    Some(Decimal { negative, whole, fraction })
}

pub(crate) fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| letter.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_compare_as_numbers() {
        let cases = [
            ("30", "30.0", Some(Ordering::Equal)),
            ("9", "10", Some(Ordering::Less)),
            ("-9", "-10", Some(Ordering::Greater)),
            ("0.10", "0.09", Some(Ordering::Greater)),
            ("-0", "0", Some(Ordering::Equal)),
            ("007", "7", Some(Ordering::Equal)),
            ("9007199254740993", "9007199254740992", Some(Ordering::Greater)),
            ("abc", "1", None),
            ("", "1", None),
            ("1", "1e0", None),
            ("1.", "1", None),
        ];
        for (left, right, expected) in cases {
            assert_eq!(compare(left, right), expected, "{left} {right}");
        }
    }
}
