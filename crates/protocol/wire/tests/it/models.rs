//! The real models through the real codecs: every served operation, there and back.

use coffer_model::SERVICES;
use coffer_shape::{
    At, DecodeError, OperationSpec, Protocol, Schema, Shape, decode_as,
    generate::{Made, Mode},
    validation_message,
};
use coffer_wire::{Head, conformance::check_against_model, encode_output, encode_request, route};

use crate::fixture::{Seed, request_id};

/// What REST has no place for.
const UNWRITABLE: [&str; 2] =
    ["a member of the path is missing", "an empty list has no place outside of a body"];

fn operations() -> impl Iterator<Item = &'static OperationSpec> {
    SERVICES.iter().flat_map(|service| service.operations.iter().copied())
}

/// Sends an input through request, route and body to the value it becomes.
fn arrived(operation: &'static OperationSpec, made: &Made) -> Result<Made, String> {
    let request = encode_request(operation, &|to| made.write_as(operation.input, to));
    let request = request.map_err(|error| error.message)?;
    let scope = format!("AWS4-HMAC-SHA256 Credential=a/b/c/{}/aws4_request", operation.service.name);
    let mut headers: Vec<(&str, &[u8])> =
        request.headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    headers.push(("authorization", scope.as_bytes()));
    let head = Head { method: request.method, path: &request.path, query: &request.query, headers: &headers };
    let route = route(&head, SERVICES);
    let body = request.body.expose();
    if let Ok(found) = route.operation(body) {
        assert!(std::ptr::eq(found, operation));
    } else {
        assert_eq!(operation.exposure, coffer_shape::Exposure::Internal, "{}", operation.name);
    }
    let mut input = route.input(operation, body).map_err(|error| error.message)?;
    let decoded = decode_as::<Made>(operation.input, &mut *input.reader());
    decoded.map_err(|error| match error {
        DecodeError::Malformed(error) => error.message,
        DecodeError::Invalid(violations) => validation_message(&violations),
    })
}

fn made(schema: &'static Schema, mode: Mode, seed: u64) -> Made {
    let made = Made::new(schema, mode, &Seed(seed));
    assert_ne!(made, Made::Null, "{}: a pattern needs another stem", schema.name);
    made
}

#[test]
fn valid_and_boundary_requests_arrive_as_they_were_sent() {
    for operation in operations() {
        for mode in [Mode::Valid, Mode::Boundary] {
            for seed in 0..20 {
                let sent = made(operation.input, mode, seed);
                match arrived(operation, &sent) {
                    // No bytes are no payload.
                    Ok(_) if operation.name == "Invoke" && mode == Mode::Boundary => {}
                    Ok(arrived) => assert_eq!(arrived, sent, "{} {mode:?} {seed}", operation.name),
                    Err(message) => {
                        let is_limit = message == "The request holds too many parameters.";
                        assert!(
                            is_limit || UNWRITABLE.contains(&message.as_str()),
                            "{} {mode:?} {seed}: {message}",
                            operation.name
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn a_request_that_breaks_one_constraint_is_told_which() {
    let mut checked = 0;
    for operation in operations() {
        for seed in 0..60 {
            let Some((sent, broken)) = Made::broken(operation.input, &Seed(seed)) else { continue };
            let message = arrived(operation, &sent).expect_err(operation.name);
            if UNWRITABLE.contains(&message.as_str()) {
                continue;
            }
            let place = format!(" at '{}' failed to satisfy constraint: {}", broken.path, broken.constraint);
            assert!(
                message.starts_with("1 validation error detected: Value "),
                "{}: {message}",
                operation.name
            );
            assert!(message.ends_with(&place), "{} {seed}: {message} is not {place}", operation.name);
            checked += 1;
        }
    }
    assert!(checked > 500, "only {checked} requests had something to break");
}

#[test]
fn outputs_conform_to_the_model_and_read_back() {
    for operation in operations() {
        for seed in 0..20 {
            let sent = made(operation.output, Mode::Valid, seed);
            let write = &|to: &mut dyn coffer_shape::Writer| sent.write_as(operation.output, to);
            let response = encode_output(operation, write, request_id()).unwrap();
            if let Some(rest) = operation.rest {
                let is_whole = rest.output.iter().any(|bound| bound.at == At::Payload);
                if !rest.output.is_empty() || is_whole || response.status == 204 {
                    continue;
                }
                assert_eq!(response.status, rest.status, "{}", operation.name);
            }
            if !matches!(operation.service.protocol, Protocol::Query { .. }) {
                let answer = serde_json::from_slice(response.body.expose()).unwrap();
                assert_eq!(check_against_model(operation.output, &answer), [""; 0], "{}", operation.name);
                let back = Made::read_as(
                    operation.output,
                    &mut coffer_wire::json::JsonBody::parse(response.body.expose()).unwrap().reader(),
                );
                assert_eq!(back.unwrap(), sent, "{}", operation.name);
            }
        }
    }
}

#[test]
fn what_the_models_do_not_serve_is_called_not_implemented() {
    for service in SERVICES {
        for name in service.unserved {
            let target;
            if matches!(service.protocol, Protocol::RestJson1) {
                continue;
            }
            let (headers, body): (Vec<(&str, &[u8])>, String) = match service.protocol {
                Protocol::AwsJson11 { target_prefix } => {
                    target = format!("{target_prefix}.{name}");
                    (vec![("x-amz-target", target.as_bytes())], String::new())
                }
                Protocol::Query { .. } | Protocol::RestJson1 => (
                    vec![("content-type", b"application/x-www-form-urlencoded")],
                    format!("Action={name}&Version={}", service.api_version),
                ),
            };
            let route = route(&Head { method: "POST", path: "/", query: "", headers: &headers }, SERVICES);
            let error = route.operation(body.as_bytes()).unwrap_err();
            assert_eq!(error.message, format!("The operation {name} is not implemented."));
        }
    }
}

/// Requests with the exact sentence for each, some reported from AWS and some derived from its model.
#[test]
fn secrets_manager_words_its_violations_as_the_vectors_do() {
    let mut checked = 0;
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../data/validation-vectors.json")).unwrap();
    for vector in vectors.as_array().unwrap() {
        let target = format!("secretsmanager.{}", vector["operation"].as_str().unwrap());
        let headers: &[(&str, &[u8])] = &[("x-amz-target", target.as_bytes())];
        let route = route(&Head { method: "POST", path: "/", query: "", headers }, SERVICES);
        let body = vector["params"].to_string();
        let Ok(operation) = route.operation(body.as_bytes()) else {
            let service = route.service().unwrap();
            let name = vector["operation"].as_str().unwrap();
            assert!(service.unserved.contains(&name), "{name} is an operation of the model");
            continue;
        };
        let mut input = route.input(operation, body.as_bytes()).unwrap();
        let error = decode_as::<Made>(operation.input, &mut *input.reader()).unwrap_err();
        let error = coffer_wire::rejected(operation.service, error);
        assert_eq!(error.code(), "ValidationException");
        assert_eq!(error.message, vector["message"], "{}", vector["id"]);
        checked += 1;
    }
    assert!(checked > 0);
    println!("{checked} of the vectors are of served operations");
}
