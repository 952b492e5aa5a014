//! V2: the grammar of 1.2, as far as it fails with "Syntax errors in policy.".
//!
//! The shape of principals is not part of it: a principal is forbidden or wrong in its own words (V10, V13 to V15).

use crate::json::Json;
use crate::operator::Operator;

/// `Conditions` at top level is tolerated, whatever it holds.
const TOP_KEYS: &[&str] = &["Version", "Id", "Statement", "Conditions"];

const STATEMENT_KEYS: &[&str] = &[
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
];

pub(super) fn is_right(document: &Json) -> bool {
    !document.repeats_a_member()
        && has_only(document, TOP_KEYS)
        && optional(document, "Version", version)
        && optional(document, "Id", text)
        && statements(document)
}

fn has_only(object: &Json, known: &[&str]) -> bool {
    matches!(object, Json::Object(_)) && object.members().iter().all(|(key, _)| known.contains(&key.as_str()))
}

fn optional(object: &Json, member: &str, is_right: impl Fn(&Json) -> bool) -> bool {
    object.get(member).is_none_or(is_right)
}

fn version(value: &Json) -> bool {
    matches!(value.as_text(), Some("2008-10-17" | "2012-10-17"))
}

const fn text(value: &Json) -> bool {
    matches!(value, Json::Text(_))
}

fn statements(document: &Json) -> bool {
    match document.get("Statement") {
        Some(Json::List(list)) => !list.is_empty() && list.iter().all(statement),
        Some(single) => statement(single),
        None => false,
    }
}

fn statement(value: &Json) -> bool {
    let both = |one: &str, other: &str| value.get(one).is_some() && value.get(other).is_some();
    has_only(value, STATEMENT_KEYS)
        && !both("Principal", "NotPrincipal")
        && !both("Action", "NotAction")
        && !both("Resource", "NotResource")
        && value.get("Effect").is_some_and(effect)
        && optional(value, "Sid", text)
        && ["Action", "NotAction", "Resource", "NotResource"]
            .iter()
            .all(|member| optional(value, member, names))
        && optional(value, "Condition", condition)
}

/// Ignoring case; how it is really spelled is V4's business.
fn effect(value: &Json) -> bool {
    value
        .as_text()
        .is_some_and(|text| text.eq_ignore_ascii_case("allow") || text.eq_ignore_ascii_case("deny"))
}

/// A string, or a list of strings in which `null` is ignored.
fn names(value: &Json) -> bool {
    match value {
        Json::Text(_) => true,
        Json::List(list) => list.iter().all(|entry| matches!(entry, Json::Text(_) | Json::Null)),
        _ => false,
    }
}

/// An object of objects; an operator is known, unless its block is empty.
fn condition(value: &Json) -> bool {
    matches!(value, Json::Object(_))
        && value.members().iter().all(|(operator, block)| {
            matches!(block, Json::Object(_))
                && (block.members().is_empty() || Operator::read(operator).is_some())
                && block.members().iter().all(|(_, values)| condition_values(values))
        })
}

fn condition_values(value: &Json) -> bool {
    value.as_list().iter().all(|value| matches!(value, Json::Text(_) | Json::Number(_) | Json::Bool(_)))
}
