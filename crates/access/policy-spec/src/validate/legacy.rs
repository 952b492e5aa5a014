//! V4: what an older parser refuses, in one sentence for everything.

use super::resource;
use crate::date;
use crate::json::Json;
use crate::operator::{Comparison, Operator};

pub(super) fn fault(statements: &[Json]) -> Option<String> {
    let fails = statements.iter().any(|statement| !effect_is_exact(statement))
        || statements.iter().any(|statement| !dates_are_right(statement))
        || a_resource_is_short(statements);
    fails.then(|| "The policy failed legacy parsing".to_owned())
}

fn effect_is_exact(statement: &Json) -> bool {
    matches!(statement.get("Effect").and_then(Json::as_text), Some("Allow" | "Deny"))
}

fn dates_are_right(statement: &Json) -> bool {
    let operators = statement.get("Condition").map(Json::members).unwrap_or_default();
    let mut dates = operators
        .iter()
        .filter(|(operator, _)| {
            Operator::read(operator)
                .is_some_and(|operator| matches!(operator.comparison, Comparison::Date(_)))
        })
        .flat_map(|(_, keys)| keys.members())
        .flat_map(|(_, values)| values.as_list());
    dates.all(|value| match value {
        Json::Text(text) | Json::Number(text) => date::may_be_written(text),
        _ => false,
    })
}

/// Scalars, in the order in which V7 walks, until V7 has found something.
fn a_resource_is_short(statements: &[Json]) -> bool {
    for element in resource::elements(statements) {
        if resource::last_fault_of(element).is_some() {
            return false;
        }
        if element.as_text().is_some_and(is_short) {
            return true;
        }
    }
    false
}

/// Fewer than five colons and an empty field, or no service.
fn is_short(text: &str) -> bool {
    let fields: Vec<&str> = text.split(':').collect();
    let is_star = text == "*";
    let empty_field = fields.len() < 6 && text.contains("::");
    let no_service = fields.get(2).is_none_or(|service| service.is_empty());
    !is_star && (empty_field || no_service)
}
