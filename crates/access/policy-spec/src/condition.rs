//! 1.8: when a condition holds: all operators, in each all keys, in each any value.

use serde_json::Value;

use crate::case::Request;
use crate::element;
use crate::operator::{Comparison, Operator, Set, value_matches};

/// An empty or absent condition is true.
pub(crate) fn holds(request: &Request<'_>, variables: bool, condition: Option<&Value>) -> bool {
    let Some(condition) = condition else { return true };
    let blocks = condition.as_object().into_iter().flatten();
    // Everything is looked at, also when the answer is known: no operator hides behind another.
    let answers: Vec<bool> =
        blocks.map(|(operator, keys)| block_holds(request, variables, operator, keys)).collect();
    let holds = answers.into_iter().all(|answer| answer);
    request.saw("1.8 the condition holds", holds);
    holds
}

/// All keys of one operator. A block without keys holds, whatever its operator is called.
fn block_holds(request: &Request<'_>, variables: bool, operator: &str, keys: &Value) -> bool {
    let keys: Vec<_> = keys.as_object().into_iter().flatten().collect();
    if keys.is_empty() {
        return true;
    }
    // A document with an unknown operator is refused when it is written, so this is never met.
    let Some(operator) = Operator::read(operator) else { return false };
    let answers: Vec<bool> = keys
        .into_iter()
        .map(|(key, wanted)| {
            let holds = key_holds(request, variables, &operator, key, &element::values(wanted));
            request.trace.saw_as(|| operator.spelled(), holds);
            holds
        })
        .collect();
    answers.into_iter().all(|answer| answer)
}

/// The truth table: `found` are the request's values of the key, `wanted` the policy's.
fn key_holds(
    request: &Request<'_>,
    variables: bool,
    operator: &Operator,
    key: &str,
    wanted: &[String],
) -> bool {
    let found = request.values(key);
    if operator.comparison == Comparison::Null {
        return null_holds(found, wanted);
    }
    let Some(found) = found else { return holds_when_absent(operator) };
    let matches_any = |found: &String| {
        let matches = |wanted: &String| value_matches(request, variables, operator.comparison, found, wanted);
        wanted.iter().any(matches)
    };
    match (operator.set, operator.negated) {
        // Some value matches some value.
        (None | Some(Set::ForAnyValue), false) => found.iter().any(matches_any),
        // No value matches any value. ForAllValues of a negation says the same.
        (None | Some(Set::ForAllValues), true) => !found.iter().any(matches_any),
        // Every value matches some value; an empty set does.
        (Some(Set::ForAllValues), false) => found.iter().all(matches_any),
        // Some value matches no value; an empty set has none.
        (Some(Set::ForAnyValue), true) => found.iter().any(|found| !matches_any(found)),
    }
}

fn holds_when_absent(operator: &Operator) -> bool {
    if operator.if_exists {
        return true;
    }
    match operator.set {
        None => operator.negated,
        Some(Set::ForAllValues) => true,
        Some(Set::ForAnyValue) => false,
    }
}

/// `Null` "true" wants the key absent, "false" wants it present. A set without values counts as absent.
fn null_holds(found: Option<&[String]>, wanted: &[String]) -> bool {
    let absent = found.is_none_or(<[String]>::is_empty);
    wanted.iter().any(|wanted| match wanted.to_lowercase().as_str() {
        "true" => absent,
        "false" => !absent,
        _ => false,
    })
}
