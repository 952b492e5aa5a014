//! 1.7: `${key}` and `${key, 'default'}` in policy text.
//!
//! What a variable brings in is literal: a `*` that arrives through one is a star and no wildcard. So the result is not a string
//! but letters that remember whether somebody wrote them or a value brought them.

use crate::case::Request;
use crate::wildcard::{Step, step};

#[derive(Debug, Clone, Copy)]
pub(crate) enum Letter {
    Written(char),
    Inserted(char),
}

/// Policy text with its variables replaced; nothing when one has neither a value nor a default.
/// Without `Version` 2012-10-17 there are no variables, and the text is what it is.
pub(crate) fn replaced(request: &Request<'_>, variables: bool, text: &str) -> Option<Vec<Letter>> {
    if !variables {
        return Some(text.chars().map(Letter::Written).collect());
    }
    let mut letters = Vec::new();
    let mut rest = text;
    // A `${` that is never closed is plain text.
    while let Some((before, inside, after)) = next_variable(rest) {
        letters.extend(before.chars().map(Letter::Written));
        let value = value_of(request, inside);
        request.saw("1.7 a variable has a value or a default", value.is_some());
        letters.extend(value?.chars().map(Letter::Inserted));
        rest = after;
    }
    letters.extend(rest.chars().map(Letter::Written));
    Some(letters)
}

fn next_variable(text: &str) -> Option<(&str, &str, &str)> {
    let (before, opened) = text.split_once("${")?;
    let (inside, after) = opened.split_once('}')?;
    Some((before, inside, after))
}

fn value_of(request: &Request<'_>, inside: &str) -> Option<String> {
    // `${*}`, `${?}` and `${$}` are those characters.
    if matches!(inside, "*" | "?" | "$") {
        return Some(inside.to_owned());
    }
    let (key, default) = key_and_default(inside);
    let value = request.single_value(key);
    if default.is_some() {
        request.saw("1.7 a value beats the default", value.is_some());
    }
    value.or(default).map(str::to_owned)
}

/// Comma, an optional space, single quotes. Anything else is a key of a strange name, which has no value.
fn key_and_default(inside: &str) -> (&str, Option<&str>) {
    let default = inside.split_once(',').and_then(|(key, rest)| {
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        Some((key, rest.strip_prefix('\'')?.strip_suffix('\'')?))
    });
    default.map_or((inside, None), |(key, default)| (key, Some(default)))
}

/// The text of letters, where no character is a wildcard.
pub(crate) fn as_text(letters: &[Letter]) -> String {
    letters
        .iter()
        .map(|letter| match *letter {
            Letter::Written(letter) | Letter::Inserted(letter) => letter,
        })
        .collect()
}

/// The pattern of letters, where only written characters are wildcards.
pub(crate) fn as_pattern(letters: &[Letter]) -> Vec<Step> {
    letters
        .iter()
        .map(|letter| match *letter {
            Letter::Written(letter) => step(letter),
            Letter::Inserted(letter) => Step::Exactly(letter),
        })
        .collect()
}
