//! Elements of a statement as lists. A scalar and a list of one element mean the same everywhere (1.2).

use serde_json::Value;

/// The strings of an element: of a string, or of a list. `null` in a list is ignored (V2).
pub(crate) fn texts(element: &Value) -> Vec<&str> {
    match element {
        Value::String(only) => vec![only],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The values of a condition key, as text: numbers and booleans of JSON are read as they are written (1.8).
pub(crate) fn values(element: &Value) -> Vec<String> {
    match element {
        Value::Array(list) => list.iter().filter_map(value).collect(),
        other => value(other).into_iter().collect(),
    }
}

fn value(element: &Value) -> Option<String> {
    match element {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
