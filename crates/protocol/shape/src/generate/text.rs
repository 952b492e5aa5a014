//! Texts that satisfy the limits of a schema.
//!
//! We do not turn patterns around. A handful of stems, filled up with one letter, satisfies every pattern of the models;
//! a test over the models says so, and is the place to notice when a new one needs another stem.

use super::{Random, size};
use crate::Limits;

/// Longest text made on purpose: the longest that any served operation takes, and one step beyond.
pub(super) const CHARS_MAX: usize = 70_000;

/// What to start with; `fitting` fills up with a letter to the length it wants.
const STEMS: &[&str] = &[
    "",
    "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app-AbCdEf",
    "arn:aws:iam::111122223333:role/app",
    "eu-west-1",
    "/",
    "/app/",
    "alias/app",
    "2h",
    "12h",
    "rate(10 days)",
    "00000000-0000-4000-8000-000000000001",
    "111122223333",
    "AKIAIOSFODNN7EXAMPLE",
    "app@example.com",
    "{}",
    "v1",
    "lambda:InvokeFunction",
    "arn:aws:lambda:eu-west-1:111122223333:function:app",
    "arn:aws:lambda:eu-west-1:111122223333:layer:app",
    "arn:aws:lambda:eu-west-1:111122223333:layer:app:1",
    "arn:aws:lambda:eu-west-1:111122223333:code-signing-config:csc-aaaaaaaaaaaaaaaaa",
    "arn:aws:lambda:eu-west-1:111122223333:capacity-provider:app",
    "arn:aws:lambda:eu-west-1:111122223333:function:app:1/durable-execution/app/1",
    "arn:aws:lambda:eu-west-1::runtime:app",
    "arn:aws:elasticfilesystem:eu-west-1:111122223333:access-point/fsap-aaaaaaaaaaaaaaaaa",
    "/mnt/app",
    "sg-",
    "subnet-",
    "o-aaaaaaaaaa",
    "TagsException",
];
const FILLS: &[char] = &['a', 'A', '0', '1', '-', '/', '.', '='];
/// Letters that upset careless encoders, for texts without a pattern.
const ODD: &[char] = &[
    'a', 'Z', '9', ' ', '"', '\\', '/', '\n', '\t', '<', '&', '%', '+', '=', '.', 'é', '漢', '😀', '\u{7f}',
];

pub(super) fn fits(limits: &Limits, text: &str) -> bool {
    let length = if limits.in_bytes { text.len() } else { text.chars().count() };
    size(limits.min).is_none_or(|min| length >= min)
        && size(limits.max).is_none_or(|max| length <= max)
        && shaped(limits, text)
}

/// Whether everything but the length holds.
pub(super) fn shaped(limits: &Limits, text: &str) -> bool {
    limits.pattern.is_none_or(|pattern| pattern.matches(text))
        && (limits.values.is_empty() || limits.values.contains(&text))
}

/// A text of about this length, or of another where the pattern has none of this.
pub(super) fn fitting(limits: &Limits, length: usize, random: &mut Random) -> Option<String> {
    if !limits.values.is_empty() {
        return limits.values.get(random.below(limits.values.len())).map(|&value| value.to_owned());
    }
    if limits.pattern.is_none() && length > 0 {
        let odd: String = (0..length).filter_map(|_| ODD.get(random.below(ODD.len()))).collect();
        if fits(limits, &odd) {
            return Some(odd);
        }
    }
    let offset = random.below(FILLS.len());
    let mut filled = shaped_of_length(limits, length, offset).filter(|text| fits(limits, text));
    if filled.is_none() {
        let start = random.below(STEMS.len());
        filled = turned(STEMS, start).find(|stem| fits(limits, stem)).map(|&stem| stem.to_owned());
    }
    filled
        .or_else(|| shaped_of_length(limits, size(limits.min).unwrap_or(1).max(1), offset))
        .filter(|text| fits(limits, text))
}

/// A text of exactly this many characters that satisfies the pattern.
pub(super) fn shaped_of_length(limits: &Limits, length: usize, offset: usize) -> Option<String> {
    let filled = |stem: &str, fill: char| {
        let mut text = stem.to_owned();
        text.extend(std::iter::repeat_n(fill, length.checked_sub(stem.chars().count())?));
        Some(text)
    };
    STEMS.iter().find_map(|stem| {
        turned(FILLS, offset).filter_map(|fill| filled(stem, *fill)).find(|text| shaped(limits, text))
    })
}

/// The list, started somewhere inside and read round to there again.
fn turned<T>(list: &[T], start: usize) -> impl Iterator<Item = &T> {
    list.iter().cycle().skip(start).take(list.len())
}
