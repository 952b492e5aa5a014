//! Wildcards: `*` is any run of characters, also an empty one; `?` is exactly one character. Always the whole text.
//!
//! The matcher keeps the set of places in the text where the pattern read so far can end. That is the definition, word for word,
//! and it costs pattern times text: no pattern makes it explode.

/// One step of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Exactly(char),
    AnyOne,
    AnyRun,
}

/// A pattern in which every `*` and `?` is a wildcard.
pub(crate) fn pattern(text: &str) -> Vec<Step> {
    text.chars().map(step).collect()
}

pub(crate) const fn step(written: char) -> Step {
    match written {
        '*' => Step::AnyRun,
        '?' => Step::AnyOne,
        other => Step::Exactly(other),
    }
}

pub(crate) fn matches(pattern: &[Step], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    // ends[i]: what was read of the pattern can match exactly the first i characters.
    let mut ends = vec![false; text.len() + 1];
    if let Some(start) = ends.first_mut() {
        *start = true;
    }
    for step in pattern {
        ends = match *step {
            Step::Exactly(wanted) => one_further(&ends, &text, |found| found == wanted),
            Step::AnyOne => one_further(&ends, &text, |_| true),
            Step::AnyRun => any_further(&ends),
        };
    }
    ends.last().copied().unwrap_or(false)
}

fn one_further(ends: &[bool], text: &[char], fits: impl Fn(char) -> bool) -> Vec<bool> {
    std::iter::once(false).chain(ends.iter().zip(text).map(|(end, found)| *end && fits(*found))).collect()
}

fn any_further(ends: &[bool]) -> Vec<bool> {
    let mut reached = false;
    ends.iter()
        .map(|end| {
            reached |= *end;
            reached
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_run_and_a_question_mark_one_character() {
        let cases = [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "abc", true),
            ("?", "", false),
            ("?", "é", true),
            ("a*c", "abbbc", true),
            ("a*c", "abbb", false),
            ("a?c", "ac", false),
            ("*b*b*", "abab", true),
            ("abc", "abcd", false),
        ];
        for (written, text, expected) in cases {
            assert_eq!(matches(&pattern(written), text), expected, "{written} on {text}");
        }
    }

    #[test]
    fn many_stars_do_not_explode() {
        let text = "a".repeat(2_000);
        assert!(!matches(&pattern(&format!("{}b", "a*".repeat(40))), &text));
    }
}
