//! Patterns with stars, as actions, resources and conditions write them.
//!
//! `*` is any run, also an empty one, and `?` is one character. A pattern is split once, when a policy is read, into texts, wildcards
//! and variables. Matching walks the parts and the text side by side and steps back to the last star only, so that `*a*a*a*b` costs
//! a product of lengths and not more.
//!
//! ARNs are compared field by field: no wildcard reaches over one of the first five colons, and a pattern with fewer fields ends in
//! stars. That is a rule of the walk and not a second matcher: while a field is open, a star does not take a colon, and once a colon
//! was matched nothing before it is tried again.
//!
//! What a variable stands for is only text here. Stars in it mean nothing, because whoever chooses the value of a tag must not widen
//! what a policy says.

use std::borrow::Cow;

/// How many colons part the fields of an ARN.
const COLONS: usize = 5;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Text(Box<str>),
    /// `?`
    One,
    /// `*`
    Star,
    /// The next of the texts that the request brings.
    Variable(usize),
}

/// Whether wildcards may reach over the first colons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    Whole,
    Fields,
}

/// The parts of a pattern without variables. Actions are lower-cased by whoever calls.
pub(crate) fn split(pattern: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    push_pattern(&mut parts, pattern);
    parts
}

pub(crate) fn push_pattern(parts: &mut Vec<Part>, mut pattern: &str) {
    while let Some(at) = pattern.find(['*', '?']) {
        let (text, rest) = pattern.split_at(at);
        push_text(parts, text);
        match rest.strip_prefix('*') {
            Some(after) => {
                // Two stars say what one says.
                if parts.last() != Some(&Part::Star) {
                    parts.push(Part::Star);
                }
                pattern = after;
            }
            None => {
                parts.push(Part::One);
                pattern = rest.get(1..).unwrap_or_default();
            }
        }
    }
    push_text(parts, pattern);
}

/// A text in which nothing is a wildcard.
pub(crate) fn push_text(parts: &mut Vec<Part>, text: &str) {
    if text.is_empty() {
        return;
    }
    match parts.last_mut() {
        Some(Part::Text(before)) => *before = [before, text].concat().into(),
        _ => parts.push(Part::Text(text.into())),
    }
}

/// Whether the parts cover the whole text. Each variable is found at its index in `values`; one that is not there covers nothing.
pub(crate) fn covers(parts: &[Part], values: &[Cow<'_, str>], text: &str, span: Span) -> bool {
    let mut colons = if span == Span::Fields { 0 } else { COLONS };
    let (mut at, mut rest) = (0, text);
    // Behind which part the last star stands, and what of the text it has not taken yet.
    let mut star: Option<(usize, &str)> = None;
    loop {
        tick();
        let step = match parts.get(at) {
            // It takes its field, and the others are the same to the pattern.
            Some(Part::Star) if at + 1 == parts.len() => return true,
            Some(Part::Star) => {
                star = Some((at + 1, rest));
                Some(rest)
            }
            Some(Part::One) => take_one(rest, colons),
            Some(Part::Text(wanted)) => rest.strip_prefix(&**wanted),
            Some(Part::Variable(index)) => values.get(*index).and_then(|wanted| rest.strip_prefix(&**wanted)),
            None if rest.is_empty() => return true,
            // The fields that a short pattern does not name are all the same to it.
            None if colons < COLONS && rest.starts_with(':') => return true,
            None => None,
        };
        if let Some(after) = step {
            if colons < COLONS && !matches!(parts.get(at), Some(Part::Star)) {
                let taken = rest.get(..rest.len() - after.len()).unwrap_or_default();
                let passed = taken.bytes().filter(|byte| *byte == b':').count();
                if passed > 0 {
                    colons += passed;
                    star = None;
                }
            }
            at += 1;
            rest = after;
            continue;
        }
        // What follows the star is not here; so it takes one character more.
        let Some((behind, left)) = star else { return false };
        let Some(after) = take_one(left, colons) else { return false };
        star = Some((behind, after));
        at = behind;
        rest = after;
    }
}

fn take_one(text: &str, colons: usize) -> Option<&str> {
    let mut letters = text.chars();
    letters.next().filter(|letter| colons >= COLONS || *letter != ':').map(|_| letters.as_str())
}

#[cfg(not(test))]
const fn tick() {}

/// Counts steps, for the test that says how many there are at most.
#[cfg(test)]
fn tick() {
    tests::STEPS.with(|steps| steps.set(steps.get() + 1));
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        pub(super) static STEPS: Cell<usize> = const { Cell::new(0) };
    }

    fn is_like(pattern: &str, text: &str, span: Span) -> bool {
        covers(&split(pattern), &[], text, span)
    }

    #[test]
    fn a_pattern_covers_a_whole_text() {
        let action = "secretsmanager:getsecretvalue";
        for pattern in [
            "*",
            "**",
            action,
            "secretsmanager:*",
            "secretsmanager:get*value",
            "secretsmanager:?et*",
            "*:*",
            "*secret*secret*",
            "*value",
            "*??????*",
        ] {
            assert!(is_like(pattern, action, Span::Whole), "{pattern}");
        }
        for pattern in
            ["", "secretsmanager:", "secretsmanager:get", "kms:*", "secretsmanager:getsecretvalue?", "*valu"]
        {
            assert!(!is_like(pattern, action, Span::Whole), "{pattern}");
        }
    }

    #[test]
    fn a_question_mark_is_one_character_of_any_width() {
        for (pattern, text) in [("?", "ü"), ("*?b", "aüb"), ("??", "日本"), ("*?", "x日"), ("a*?*b", "aüb")]
        {
            assert!(is_like(pattern, text, Span::Whole), "{pattern} {text}");
        }
        for (pattern, text) in [("??", "ü"), ("?", "日本"), ("?", ""), ("*??", "日")] {
            assert!(!is_like(pattern, text, Span::Whole), "{pattern} {text}");
        }
    }

    #[test]
    fn wildcards_do_not_reach_over_the_colons_of_an_arn() {
        let arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:db/password-k3X9aQ";
        for pattern in [
            arn,
            "arn:*",
            "arn",
            "ar*",
            "arn:aws:secretsmanager",
            "arn:aws:secretsmanager:",
            "arn:*:secretsmanager:*:111122223333:secret:db/*",
            "arn:aws:secretsmanager:eu-*:*:*-??????",
            "arn:aws:*s*:eu-west-?:*:*:*",
        ] {
            // An empty field is one that is empty.
            let expected = pattern != "arn:aws:secretsmanager:";
            assert_eq!(is_like(pattern, arn, Span::Fields), expected, "{pattern}");
        }
        for pattern in [
            "",
            "arn:aws:*:secret:db/password-k3X9aQ",
            "arn?aws:secretsmanager:*",
            "arn:aws:secretsmanager:eu-west-1:111122223333:secret:DB/*",
            "arn:aws:secretsmanager:eu-west-1:111122223333:secret:db/password-?????",
            "arn:aws:secretsmanager:eu-west-1:1111222233*secret:*",
            "arn:aws:s*m:eu-west-1:111122223333:*",
            "*k3X9aQ",
        ] {
            assert!(!is_like(pattern, arn, Span::Fields), "{pattern}");
        }
    }

    #[test]
    fn what_a_variable_stands_for_is_text() {
        let parts = [Part::Text("a/".into()), Part::Variable(0), Part::Star];
        let covers = |value: &'static str, text| covers(&parts, &[Cow::Borrowed(value)], text, Span::Whole);
        assert!(covers("b", "a/b/c"));
        assert!(covers("", "a/"));
        assert!(covers("*", "a/*x"));
        assert!(!covers("*", "a/x"));
        assert!(!covers("?", "a/x"));
        assert!(!super::covers(&parts, &[], "a/b", Span::Whole));
    }

    /// A pattern that doubles the work with each star in a careless matcher.
    #[test]
    fn many_stars_cost_no_more_than_a_product_of_lengths() {
        for (pattern, text) in [
            ("*a".repeat(1000) + "b", "a".repeat(2000)),
            ("*a?".repeat(700) + "c", "a".repeat(2000) + "b"),
            ("*".to_owned() + &"ab".repeat(1000) + "*c", "ab".repeat(2000)),
            ("?*".repeat(1000), "x".repeat(999)),
            ("arn:".to_owned() + &"*a".repeat(1000) + ":x", "arn:".to_owned() + &"a".repeat(2000)),
        ] {
            for span in [Span::Whole, Span::Fields] {
                STEPS.set(0);
                assert!(!is_like(&pattern, &text, span));
                assert!(STEPS.get() <= (pattern.len() + 2) * 2 + text.len() * 2, "{} steps", STEPS.get());
            }
        }
        // The product itself: what follows the star is found again at each place, but for its end.
        STEPS.set(0);
        assert!(!is_like(&("*".to_owned() + &"a?".repeat(500) + "b"), &"a".repeat(5000), Span::Whole));
        assert!(STEPS.get() <= 1002 * 5002, "{} steps", STEPS.get());
    }
}
