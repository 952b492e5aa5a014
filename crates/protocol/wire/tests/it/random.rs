//! Whatever bytes arrive, the answer is an answer.

use coffer_shape::decode;
use coffer_wire::{
    Head, encode_error,
    json::JsonBody,
    query::{Form, QueryReader},
    read_error, route,
};
use proptest::prelude::*;

use crate::fixture::{Everything, SERVICES, request_id};

/// Bytes that are nearly JSON get further than random ones.
fn nearly_json() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\\u",
        "d800",
        "null",
        "true",
        "-",
        "0",
        "1.5",
        "e9",
        " ",
        "\"SecretId\":",
        "\"Filters\":[",
        "\"Context\":{",
        "\"a\"",
        "\"At\":",
        "\u{feff}",
        "é",
    ]);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat().into_bytes()),
    ]
}

fn nearly_a_form() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "&",
        "=",
        ".",
        "%",
        "%41",
        "%ff",
        "+",
        "member",
        "entry",
        "1",
        "2",
        "10",
        "0",
        "key",
        "value",
        "Tags",
        "Filters",
        "Context",
        "SecretId",
        "Key",
        "Action=",
        "Version=2011-06-15",
        "Forget",
        "-",
    ]);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat().into_bytes()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn json_never_panics_and_agrees_with_a_plain_parser(body in nearly_json()) {
        let ours = JsonBody::parse(&body);
        let theirs = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&body);
        if let Ok(mut ours) = ours {
            prop_assert!(theirs.is_ok() || body.is_empty());
            let _ = decode::<Everything>(&mut ours.reader());
        }
        let _ = read_error(coffer_wire::Codec::Json, None, &body);
    }

    #[test]
    fn forms_never_panic(body in nearly_a_form()) {
        if let Ok(form) = Form::parse(&body) {
            let _ = decode::<Everything>(&mut QueryReader::new(&form));
        }
        let _ = read_error(coffer_wire::Codec::Query { namespace: None }, None, &body);
    }

    #[test]
    fn every_request_is_routed_to_an_operation_or_an_error(
        method in "(GET|POST|PUT|.{0,5})",
        path in "(/|/.{0,20}|.{0,20})",
        query in "(Action=Forget&Version=2011-06-15|.{0,60})",
        target in prop::collection::vec(any::<u8>(), 0..60),
        authorization in "(AWS4-HMAC-SHA256 Credential=[a-z/0-9_,]{0,60}|.{0,60})",
        host in ".{0,30}",
        body in nearly_a_form(),
    ) {
        let headers: &[(&str, &[u8])] = &[
            ("x-amz-target", &target),
            ("authorization", authorization.as_bytes()),
            ("host", host.as_bytes()),
        ];
        for headers in [headers, headers.get(1..).unwrap_or_default(), &[]] {
            let head = Head { method: &method, path: &path, query: &query, headers };
            let route = route(&head, SERVICES);
            match route.operation(&body) {
                Ok(operation) => {
                    let _ = route.input(operation, &body).and_then(|input| input.decode::<Everything>());
                }
                Err(error) => {
                    let response = encode_error(route.codec(), &error, request_id());
                    prop_assert_eq!(response.status, 400);
                    let kind = response.headers.iter().find(|(name, _)| *name == "x-amzn-errortype");
                    let kind = kind.map(|(_, kind)| kind.as_str());
                    let read = read_error(route.codec(), kind, response.body.expose());
                    prop_assert_eq!(read.map(|error| error.code), Some(error.code().to_owned()));
                }
            }
        }
    }
}
