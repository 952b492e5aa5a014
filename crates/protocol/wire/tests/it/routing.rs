//! Which operation a request is for, and what it is told when there is none.

use coffer_wire::{Codec, Head, Route, route};

use crate::fixture::SERVICES;

type Headers<'a> = &'a [(&'a str, &'a [u8])];

const FORM: (&str, &[u8]) = ("content-type", b"application/x-www-form-urlencoded; charset=utf-8");
const JSON: (&str, &[u8]) = ("content-type", b"application/x-amz-json-1.1");

fn routed(line: &str, headers: Headers<'_>) -> Route {
    let (method, uri) = line.split_once(' ').unwrap();
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    route(&Head { method, path, query, headers }, SERVICES)
}

/// `service.Operation`, or `Code: message`.
fn outcome(line: &str, headers: Headers<'_>, body: &str) -> String {
    match routed(line, headers).operation(body.as_bytes()) {
        Ok(operation) => format!("{}.{}", operation.service.name, operation.name),
        Err(error) => {
            assert!((400..500).contains(&error.status()));
            format!("{}: {}", error.code(), error.message)
        }
    }
}

const fn scope(service: &'static str) -> (&'static str, &'static [u8]) {
    let value = match service.as_bytes() {
        b"secretsmanager" => {
            "AWS4-HMAC-SHA256 Credential=AKIA/20260102/eu-west-1/secretsmanager/aws4_request, SignedHeaders=host, Signature=0"
        }
        b"sts" => {
            "AWS4-HMAC-SHA256 Credential=AKIA/20260102/us-east-1/sts/aws4_request,SignedHeaders=host,Signature=0"
        }
        _ => {
            "AWS4-HMAC-SHA256 Credential=AKIA/20260102/us-east-1/lambda/aws4_request,SignedHeaders=host,Signature=0"
        }
    };
    ("authorization", value.as_bytes())
}

#[test]
fn the_target_names_service_and_operation() {
    let check = |target: &str, expected: &str| {
        assert_eq!(outcome("POST /", &[JSON, ("x-amz-target", target.as_bytes())], ""), expected, "{target}");
    };
    check("secretsmanager.GetEverything", "secretsmanager.GetEverything");
    check("com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents", "cloudtrail.LookupEvents");
    check("CloudTrail_20131101.LookupEvents", "cloudtrail.LookupEvents");
    check("secretsmanager.Nothing", "UnknownOperationException: The operation Nothing is unknown.");
    check(
        "secretsmanager.RotateSecret",
        "UnknownOperationException: The operation RotateSecret is not implemented.",
    );
    check("secretsmanager.LookUp", "UnknownOperationException: The operation LookUp is not implemented.");
    check(
        "secretsmanager.geteverything",
        "UnknownOperationException: The operation geteverything is unknown.",
    );
    check(
        "Kinesis_20131202.PutRecord",
        "UnknownOperationException: The operation Kinesis_20131202.PutRecord is unknown.",
    );
    check("secretsmanager.", "UnknownOperationException: The request names no operation in X-Amz-Target.");
    check("GetEverything", "UnknownOperationException: The request names no operation in X-Amz-Target.");
    check("", "UnknownOperationException: The request names no operation in X-Amz-Target.");
    check("secretsmanager.\u{1b}[31m<b>", "UnknownOperationException: The operation [31m<b> is unknown.");
}

#[test]
fn the_prefix_of_a_target_is_spelt_one_way() {
    for (target, expected) in [
        ("secretsmanager.GetEverything", "secretsmanager.GetEverything"),
        ("SecretsManager.GetEverything", "is unknown"),
        ("SECRETSMANAGER.GetEverything", "is unknown"),
        ("Kinesis_20131202.GetEverything", "is unknown"),
        ("x.secretsmanager.GetEverything", "is unknown"),
        (".GetEverything", "is unknown"),
    ] {
        // The scope names the service, so the request is ours; it still asks for nothing that we know.
        let headers = [JSON, scope("secretsmanager"), ("x-amz-target", target.as_bytes())];
        let unknown = format!("UnknownOperationException: The operation {target} is unknown.");
        let expected = if expected == "is unknown" { unknown.as_str() } else { expected };
        assert_eq!(outcome("POST /", &headers, ""), expected);
    }
}

#[test]
fn a_long_name_is_not_repeated_in_full() {
    let target = format!("secretsmanager.{}", "x".repeat(9000));
    let message = outcome("POST /", &[("x-amz-target", target.as_bytes())], "");
    assert!(message.len() < 250, "{message}");
}

#[test]
fn a_form_names_its_operation_in_the_body_or_the_url() {
    let check = |line: &str, body: &str, expected: &str| {
        for headers in [&[FORM][..], &[FORM, scope("sts")][..]] {
            assert_eq!(outcome(line, headers, body), expected, "{line} {body} {}", headers.len());
        }
    };
    check("POST /", "Action=Forget&Version=2011-06-15", "sts.Forget");
    check("POST /", "X=%&Version=2011-06-15&Action=For%67et", "sts.Forget");
    check("GET /?Action=Forget&Version=2011-06-15", "", "sts.Forget");
    check("POST /?Action=Forget&Version=2011-06-15", "", "sts.Forget");
    check(
        "POST /",
        "Action=GetFederationToken&Version=2011-06-15",
        "InvalidAction: The operation GetFederationToken is not implemented.",
    );
    check(
        "POST /",
        "Action=Nothing&Version=2011-06-15",
        "InvalidAction: Could not find operation Nothing for version 2011-06-15",
    );
    check(
        "POST /",
        "Action=Forget&Version=2010-05-08",
        "InvalidAction: Could not find operation Forget for version 2010-05-08",
    );
    check("POST /", "Action=Forget", "InvalidAction: Could not find operation Forget for version ");
    check("POST /", "", "InvalidAction: The request names no Action.");
    check("POST /", "Version=2011-06-15", "InvalidAction: The request names no Action.");
    check("POST /", "Action=", "InvalidAction: The request names no Action.");
}

#[test]
fn parameters_that_cannot_be_read_are_not_a_missing_action() {
    let encoding = "The request parameters are not correctly encoded.";
    let twice = "The request has parameters in its query and in its body.";
    for (line, body, message) in [
        ("POST /", "Action=%zz&Version=2011-06-15", encoding),
        ("POST /", "Action=Forget%4&Version=2011-06-15", encoding),
        ("POST /", "Action=%ff&Version=2011-06-15", encoding),
        ("POST /", "Action=Forget&Version=%", encoding),
        ("GET /?Action=%zz&Version=2011-06-15", "", encoding),
        ("POST /?Action=Forget&Version=2011-06-15", "Action=Forget&Version=2011-06-15", twice),
        ("POST /?Action=Forget&Version=2011-06-15", "Name=a", twice),
        ("GET /?Action=Forget&Version=2011-06-15", "Name=a", twice),
    ] {
        for headers in [&[FORM][..], &[FORM, scope("lambda")], &[FORM, scope("sts")]] {
            assert_eq!(outcome(line, headers, body), format!("MalformedInput: {message}"), "{line} {body}");
        }
    }
}

#[test]
fn only_a_form_waits_for_its_body_to_say_what_it_asks_for() {
    for (line, headers, expected) in [
        ("POST /", &[FORM][..], true),
        ("POST /", &[FORM, scope("sts")], true),
        ("POST /", &[JSON, scope("lambda")], false),
        ("POST /", &[JSON, ("x-amz-target", b"Kinesis_20131202.PutRecord")], false),
        ("GET /?Action=Forget&Version=2011-06-15", &[], false),
        ("PUT /x", &[FORM], false),
    ] {
        assert_eq!(routed(line, headers).is_named_by_body(), expected, "{line}");
    }
}

#[test]
fn the_scope_decides_where_nothing_else_speaks_louder() {
    let target: (&str, &[u8]) = ("x-amz-target", b"secretsmanager.GetEverything");
    let service =
        |line: &str, headers: Headers<'_>| routed(line, headers).service().map(|service| service.name);

    assert_eq!(service("POST /", &[scope("sts")]), Some("sts"));
    assert_eq!(service("POST /", &[scope("secretsmanager"), FORM]), Some("secretsmanager"));
    assert_eq!(service("POST /", &[scope("lambda"), FORM]), None);
    // The signature check can now say that the scope is for another service.
    assert_eq!(service("POST /", &[scope("sts"), target]), Some("secretsmanager"));
    let presigned = "GET /?Action=Forget&Version=2011-06-15&X-Amz-Credential=AKIA%2F20260102%2Fus-east-1%2Fsts%2Faws4_request";
    assert_eq!(service(presigned, &[]), Some("sts"));
    assert_eq!(service("GET /?Action=Forget&Version=2011-06-15", &[]), Some("sts"));
    assert_eq!(
        service("POST /", &[("host", b"secretsmanager.eu-west-1.example.org:8443")]),
        Some("secretsmanager")
    );
    assert_eq!(service("POST /", &[("host", b"localhost:8443")]), None);
    assert_eq!(service("POST /2015-03-31/functions/f/invocations", &[]), None);
}

#[test]
fn json_services_are_asked_by_post_to_the_root() {
    let headers: Headers<'_> = &[JSON, ("x-amz-target", b"secretsmanager.GetEverything")];
    for line in ["GET /", "PUT /", "POST /x", "DELETE /a/b", "GET /favicon.ico"] {
        let message = outcome(line, headers, "");
        let expected = format!(
            "UnknownOperationException: {line} is not a request of this API; requests are POST to /."
        );
        assert_eq!(message, expected);
    }
    assert!(outcome("PUT /", &[FORM, scope("sts")], "").starts_with("InvalidAction: PUT /"));
    assert!(outcome("GET /", &[], "").starts_with("UnknownOperationException: GET /"));
    // The query string of a JSON request is ignored.
    assert_eq!(outcome("POST /?x=1", headers, ""), "secretsmanager.GetEverything");
}

#[test]
fn strangers_are_answered_in_the_family_they_speak() {
    let codec = |line: &str, headers: Headers<'_>| routed(line, headers).codec();
    let query = Codec::Query { namespace: None };
    assert_eq!(codec("POST /", &[FORM]), query);
    assert_eq!(codec("POST /", &[("content-type", b"APPLICATION/X-WWW-FORM-URLENCODED")]), query);
    assert_eq!(codec("GET /?Action=ListTopics", &[]), query);
    assert_eq!(codec("POST /", &[JSON]), Codec::Json);
    assert_eq!(codec("POST /", &[]), Codec::Json);
    assert_eq!(codec("POST /?Action=x", &[("x-amz-target", b"A.B")]), Codec::Json);
    assert_eq!(codec("POST /", &[("content-type", b"\xff")]), Codec::Json);
    assert_eq!(codec("POST /", &[scope("sts"), JSON]), Codec::of(&crate::fixture::STS));
}

#[test]
fn the_body_limit_is_known_before_the_body() {
    let limit = |headers: Headers<'_>| routed("POST /", headers).body_limit();
    assert_eq!(limit(&[("x-amz-target", b"secretsmanager.GetEverything")]), 4096);
    assert_eq!(limit(&[("x-amz-target", b"secretsmanager.Nothing")]), 256 * 1024);
    assert_eq!(limit(&[FORM, scope("sts")]), 20_000, "the largest of the service's");
    assert_eq!(limit(&[FORM]), 64 * 1024);
    assert_eq!(limit(&[JSON]), 64 * 1024, "nobody we know");
    assert_eq!(limit(&[("x-amz-target", b"Kinesis_20131202.PutRecord")]), 64 * 1024);
}

#[test]
fn the_input_of_a_get_is_its_query_string() {
    let route = routed("GET /?Action=Forget&Version=2011-06-15&SecretId=a", &[]);
    let operation = route.operation(b"").unwrap();
    let input = route.input(operation, b"").unwrap().decode::<crate::fixture::Everything>().unwrap();
    assert_eq!(format!("{:?}", input.0), r#"Structure([(0, String("a"))])"#);
}

#[test]
fn a_body_that_cannot_be_parsed_is_a_serialization_exception() {
    let route = routed("POST /", &[("x-amz-target", b"secretsmanager.GetEverything")]);
    let operation = route.operation(b"").unwrap();
    for body in ["[1]", "{", "{\"SecretId\":1}"] {
        let error = route
            .input(operation, body.as_bytes())
            .and_then(|input| input.decode::<crate::fixture::Everything>())
            .unwrap_err();
        assert_eq!(error.code(), "SerializationException", "{body}");
    }
}
