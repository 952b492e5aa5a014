//! 1.6: resources, and ARNs in general: six segments, each matched on its own, case-sensitive.

use crate::case::Request;
use crate::variable;
use crate::wildcard::{matches, pattern};

/// What an entry of `Resource` or `NotResource` says about the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    Matches,
    Differs,
    /// It holds a variable without a value. It matches nothing.
    Unresolved,
}

pub(crate) fn entry(request: &Request<'_>, variables: bool, written: &str) -> Entry {
    let answer = match arn_matches(request, variables, written, request.resource) {
        None => Entry::Unresolved,
        Some(true) => Entry::Matches,
        Some(false) => Entry::Differs,
    };
    request.saw("1.6 an entry matches", answer == Entry::Matches);
    if request.resource.is_none() {
        request.saw("1.6 an entry matches a request without resource", answer == Entry::Matches);
    }
    answer
}

/// Whether an ARN pattern matches an ARN, or the absence of one. Nothing when a variable of the pattern has no value.
pub(crate) fn arn_matches(
    request: &Request<'_>,
    variables: bool,
    written: &str,
    arn: Option<&str>,
) -> Option<bool> {
    // Only stars: everything, "no resource" too.
    if !written.is_empty() && written.chars().all(|letter| letter == '*') {
        return Some(true);
    }
    // Variables are looked for in the sixth segment only; before the fifth colon they are plain text.
    let (head, rest) = split(written);
    let rest = match rest {
        Some(rest) => variable::as_pattern(&variable::replaced(request, variables, rest)?),
        // A pattern with fewer than six segments is completed with `*`.
        None => pattern("*"),
    };
    let Some(arn) = arn else { return Some(false) };
    let (arn_head, arn_rest) = split(arn);
    let completed = head.into_iter().chain(std::iter::repeat("*"));
    let heads_match = completed.zip(&arn_head).all(|(wanted, found)| matches(&pattern(wanted), found));
    Some(heads_match && matches(&rest, arn_rest.unwrap_or_default()))
}

/// An ARN has all six segments and begins with `arn`.
pub(crate) fn is_arn(text: &str) -> bool {
    let (head, rest) = split(text);
    head.first() == Some(&"arn") && rest.is_some()
}

/// The fifth segment.
pub(crate) fn account(arn: &str) -> Option<&str> {
    arn.split(':').nth(4)
}

/// The segments before the fifth colon, and what comes after it.
fn split(text: &str) -> (Vec<&str>, Option<&str>) {
    let mut segments: Vec<&str> = text.splitn(6, ':').collect();
    let rest = if segments.len() == 6 { segments.pop() } else { None };
    (segments, rest)
}
