//! Whether an answer is one that AWS could have given. Every answer that a test receives is asked.
//!
//! Outputs are held against the model member by member. Of an error we check what clients depend on: its keys and their
//! spelling, its status, and that the operation may answer with it at all.

use coffer_client::{Observer, RawResponse};
use coffer_shape::{At, ErrorSpec, Kind, OperationSpec, Protocol, Schema};
use coffer_types::encoding::BASE64;
use coffer_wire::conformance::check_against_model;
use serde_json::Value;

/// What the layer in front of every service may answer, beyond the codes of the service.
const IN_FRONT: [&str; 11] = [
    "MissingAuthenticationTokenException",
    "IncompleteSignatureException",
    "InvalidSignatureException",
    "UnrecognizedClientException",
    "ExpiredTokenException",
    "BadRequestException",
    "RequestEntityTooLargeException",
    "RequestTimeoutException",
    "InvalidClientTokenId",
    "RequestUriTooLongException",
    "RequestHeaderFieldsTooLargeException",
];

/// Panics with everything that is wrong with an answer.
#[derive(Debug, Clone, Copy)]
pub struct Conformance;

impl Observer for Conformance {
    fn answered(&self, operation: &'static OperationSpec, answer: &RawResponse) {
        let complaints = complaints(operation, answer);
        assert!(
            complaints.is_empty(),
            "{} answered {} with\n  {}\nbecause of which\n  {}",
            operation.name,
            answer.status,
            String::from_utf8_lossy(answer.body.expose()),
            complaints.join("\n  "),
        );
    }
}

pub(crate) fn complaints(operation: &'static OperationSpec, answer: &RawResponse) -> Vec<String> {
    let mut complaints = Vec::new();
    if answer.header("x-amzn-requestid").is_none_or(|id| id.len() != 36) {
        complaints.push(String::from("there is no request id"));
    }
    if answer.status >= 500 {
        complaints.push(String::from("it is our fault"));
    }
    match operation.service.protocol {
        Protocol::AwsJson11 { .. } => json(operation, answer, &mut complaints),
        Protocol::RestJson1 => rest(operation, answer, &mut complaints),
        Protocol::Query { .. } => xml(operation, answer, &mut complaints),
    }
    complaints
}

fn json(operation: &'static OperationSpec, answer: &RawResponse, complaints: &mut Vec<String>) {
    if answer.header("content-type") != Some("application/x-amz-json-1.1") {
        complaints.push(String::from("the content type is another"));
    }
    let body: Value = match serde_json::from_slice(answer.body.expose()) {
        Ok(body) => body,
        Err(error) => return complaints.push(format!("the body is not JSON: {error}")),
    };
    if answer.status == 200 {
        complaints.extend(check_against_model(operation.output, &body));
        times(operation.output, &body, "", complaints);
    } else {
        refusal(operation, answer.status, &body, complaints);
    }
}

fn rest(operation: &'static OperationSpec, answer: &RawResponse, complaints: &mut Vec<String>) {
    if answer.header("content-type") != Some("application/json") {
        complaints.push(String::from("the content type is another"));
    }
    let Some(page) = on_page(operation, answer) else {
        return complaints.push(String::from("the body is not JSON"));
    };
    if answer.status < 300 {
        complaints.extend(check_against_model(operation.output, &page));
        return times(operation.output, &page, "", complaints);
    }
    let Value::Object(mut fields) = page else { return };
    // The model of an error says whether it has these; clients pass over them.
    fields.remove("Type");
    fields.remove("Reason");
    refusal(operation, answer.status, &Value::Object(fields), complaints);
}

/// An answer of a REST service as if all of it stood in a JSON body: what stands elsewhere goes by the names of its members, and the code
/// of an error is its `__type`.
pub(crate) fn on_page(operation: &OperationSpec, answer: &RawResponse) -> Option<Value> {
    let body = answer.body.expose();
    if answer.status >= 300 {
        let Value::Object(fields) = serde_json::from_slice(body).ok()? else { return None };
        let code = answer.header("x-amzn-errortype")?;
        let code = [(String::from("__type"), Value::from(code))];
        return Some(Value::Object(code.into_iter().chain(fields).collect()));
    }
    let mut page = serde_json::Map::new();
    let rest = operation.rest?;
    let is_whole = rest.output.iter().any(|bound| bound.at == At::Payload);
    for bound in rest.output {
        let name = operation.output.members().get(bound.member)?.name.to_owned();
        match bound.at {
            At::Status => drop(page.insert(name, Value::from(answer.status))),
            At::Payload if !body.is_empty() => drop(page.insert(name, Value::from(BASE64.encode(body)))),
            At::Header => {
                if let Some(value) = answer.header(bound.name) {
                    page.insert(name, Value::from(value));
                }
            }
            _ => {}
        }
    }
    if !is_whole && !body.is_empty() {
        let Value::Object(fields) = serde_json::from_slice(body).ok()? else { return None };
        page.extend(fields);
    }
    Some(Value::Object(page))
}

fn refusal(operation: &OperationSpec, status: u16, body: &Value, complaints: &mut Vec<String>) {
    let Value::Object(fields) = body else { return complaints.push(String::from("an error is an object")) };
    let Some(code) = body["__type"].as_str() else {
        return complaints.push(String::from("there is no __type"));
    };
    let codes = &operation.service.codes;
    let layer = [
        codes.validation,
        codes.serialization,
        codes.access_denied,
        codes.throttling,
        codes.unknown_operation,
        codes.unavailable,
        codes.internal,
    ];
    let known = operation.errors.iter().chain(&layer).find(|spec| spec.code == code);
    match known {
        Some(ErrorSpec { status: declared, message_member, .. }) => {
            if *declared != status {
                complaints.push(format!("{code} has status {declared}"));
            }
            if fields.keys().any(|key| key != "__type" && key != message_member) {
                complaints.push(format!("{code} has the members __type and {message_member}"));
            }
        }
        None if IN_FRONT.contains(&code) => {
            if fields.keys().any(|key| key != "__type" && key != "message") {
                complaints.push(format!("{code} has the members __type and message"));
            }
        }
        None => complaints.push(format!("{} does not declare {code}", operation.name)),
    }
}

/// Seconds with at most three decimals, and never an exponent.
fn times(schema: &'static Schema, value: &Value, path: &str, complaints: &mut Vec<String>) {
    match (&schema.kind, value) {
        (Kind::Timestamp, Value::Number(number)) => {
            let text = number.to_string();
            let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
            if decimals > 3 || text.contains(['e', 'E']) {
                complaints.push(format!("{path} is not a time in milliseconds: {text}"));
            }
        }
        (Kind::Structure(_), Value::Object(fields)) => {
            for (name, value) in fields {
                if let Some((_, member)) = schema.member(name) {
                    times(member.schema, value, &format!("{path}/{name}"), complaints);
                }
            }
        }
        (Kind::List(element), Value::Array(values)) => {
            values.iter().for_each(|value| times(element.schema, value, path, complaints));
        }
        (Kind::Map(entry), Value::Object(fields)) => {
            fields.values().for_each(|value| times(entry.value, value, path, complaints));
        }
        _ => {}
    }
}

fn xml(operation: &OperationSpec, answer: &RawResponse, complaints: &mut Vec<String>) {
    let body = String::from_utf8_lossy(answer.body.expose());
    let root =
        if answer.status == 200 { format!("<{}Response ", operation.name) } else { "<ErrorResponse ".into() };
    if !body.contains(&root) || answer.header("content-type") != Some("text/xml") {
        complaints.push(format!("the body is not a {root}..>"));
    }
}

#[cfg(test)]
mod tests {
    use coffer_model::secretsmanager as model;
    use coffer_shape::Operation;
    use coffer_types::Secret;

    use super::*;

    fn about(status: u16, body: &str) -> Vec<String> {
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amzn-requestid", &"0".repeat(36))];
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let answer = RawResponse { status, headers, body: Secret::new(body.as_bytes().to_vec()) };
        complaints(model::DescribeSecret::SPEC, &answer)
    }

    #[test]
    fn answers_of_aws_pass() {
        for (status, body) in [
            (200, r#"{"Name": "a", "CreatedDate": 1523477145.713, "Tags": []}"#),
            (200, r#"{"CreatedDate": 1523477145}"#),
            (400, r#"{"__type": "ResourceNotFoundException", "Message": "x"}"#),
            (400, r#"{"__type": "ValidationException", "message": "x"}"#),
            (400, r#"{"__type": "InvalidSignatureException", "message": "x"}"#),
        ] {
            assert_eq!(about(status, body), [] as [&str; 0], "{body}");
        }
    }

    #[test]
    fn others_do_not() {
        for (status, body) in [
            (200, r#"{"Name": null}"#),
            (200, r#"{"Nmae": "a"}"#),
            (200, r#"{"CreatedDate": "2026-01-01T00:00:00Z"}"#),
            (200, r#"{"CreatedDate": 1523477145.7131}"#),
            (200, "not json"),
            (404, r#"{"__type": "ResourceNotFoundException", "Message": "x"}"#),
            (400, r#"{"__type": "ResourceNotFoundException", "message": "x"}"#),
            (400, r#"{"__type": "ResourceNotFoundException", "Message": "x", "code": 1}"#),
            (400, r#"{"__type": "InvalidRequestException", "Message": "not declared by this operation"}"#),
            (500, r#"{"__type": "InternalServiceError", "Message": "x"}"#),
        ] {
            assert_ne!(about(status, body), [] as [&str; 0], "{body}");
        }
    }
}
