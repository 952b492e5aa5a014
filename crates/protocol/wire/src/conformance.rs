//! Whether an answer is one that AWS could have given, as far as the model says. For tests.
//!
//! The model is the only judge: a member it does not know, a value of another type, a null, a time that is not a number and
//! a word outside an enumeration are each one complaint.

use coffer_shape::{Kind, Limits, Schema};
use coffer_types::encoding::BASE64;
use serde_json::Value;

/// Everything about `answer` that the schema does not allow, each with the path of the place.
pub fn check_against_model(schema: &'static Schema, answer: &Value) -> Vec<String> {
    let mut complaints = Vec::new();
    check(schema, answer, "", &mut complaints);
    complaints
}

fn check(schema: &'static Schema, value: &Value, path: &str, complaints: &mut Vec<String>) {
    let wanted = match (&schema.kind, value) {
        (Kind::Structure(_), Value::Object(fields)) => {
            for (name, value) in fields {
                let path = format!("{path}/{name}");
                match schema.member(name) {
                    Some((_, member)) => check(member.schema, value, &path, complaints),
                    None => complaints.push(format!("{path} is not in {}", schema.name)),
                }
            }
            return;
        }
        (Kind::List(element), Value::Array(values)) => {
            for (at, value) in values.iter().enumerate() {
                check(element.schema, value, &format!("{path}/{at}"), complaints);
            }
            return;
        }
        (Kind::Map(entry), Value::Object(fields)) => {
            for (key, value) in fields {
                check(entry.value, value, &format!("{path}/{key}"), complaints);
            }
            return;
        }
        (Kind::String, Value::String(text)) => return word(&schema.limits, text, path, complaints),
        (Kind::Integer, Value::Number(number))
            if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) =>
        {
            return;
        }
        (Kind::Long, Value::Number(number)) if number.is_i64() => return,
        (Kind::Double | Kind::Timestamp, Value::Number(_)) | (Kind::Boolean, Value::Bool(_)) => return,
        (Kind::Blob, Value::String(text)) if BASE64.decode(text.as_bytes()).is_ok() => return,
        (Kind::Structure(_), _) => "a structure",
        (Kind::List(_), _) => "a list",
        (Kind::Map(_), _) => "a map",
        (Kind::String, _) => "a string",
        (Kind::Integer, _) => "an integer of 32 bits",
        (Kind::Long, _) => "an integer of 64 bits",
        (Kind::Double, _) => "a number",
        (Kind::Boolean, _) => "a boolean",
        (Kind::Timestamp, _) => "a time in epoch seconds",
        (Kind::Blob, _) => "base64",
    };
    let found = if value.is_null() { "null" } else { "something else" };
    let place = if path.is_empty() { "/" } else { path };
    complaints.push(format!("{place} should be {wanted} and is {found}"));
}

fn word(limits: &Limits, text: &str, path: &str, complaints: &mut Vec<String>) {
    if !limits.values.is_empty() && !limits.values.contains(&text) {
        complaints.push(format!("{path} is not one of [{}]", limits.values.join(", ")));
    }
}
