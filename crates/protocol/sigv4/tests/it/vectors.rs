//! Published cases and cases agreed with an independent signer: byte for byte, in both directions.

use coffer_crypto::sha256;
use coffer_sigv4::{Claim, Form, signing_key};
use coffer_types::{Secret, encoding::HEXLOWER};
use serde_json::Value;

use crate::request::{Request, Server, cases, text, vectors};

#[test]
fn signing_keys_are_derived_as_published() {
    let vectors = vectors();
    for case in cases(&vectors, "signing_keys") {
        let secret = Secret::new(text(case, "secret_key"));
        let key = signing_key(&secret, &text(case, "date"), &text(case, "region"), &text(case, "service"));
        assert_eq!(HEXLOWER.encode(key.expose()), text(case, "signing_key_hex"), "{case}");
    }
}

#[test]
fn every_published_request_is_canonicalised_and_accepted() {
    let vectors = vectors();
    let suite = cases(&vectors, "suite");
    assert_eq!(suite.len(), 34);
    for case in suite {
        // The suite keeps the Authorization header apart from the request.
        let mut request = Request::of_case(case, "headers");
        let mut server = Server::of_case(case);
        server.session_token = request.header("x-amz-security-token").map(Secret::new);
        request.add("Authorization", &text(case, "authorization"));
        check(case, &request, &server);
    }
}

#[test]
fn every_additional_request_is_canonicalised_and_accepted() {
    let vectors = vectors();
    let additional = cases(&vectors, "additional");
    assert_eq!(additional.len(), 11);
    for case in additional {
        check(case, &Request::of_case(case, "headers"), &Server::of_case(case));
    }
}

fn check(case: &Value, request: &Request, server: &Server) {
    let name = text(case, "name");
    request.with_head(|head| {
        let claim = Claim::read(head, server.accepts).unwrap();
        let canonical = claim.canonical_request(head, &sha256(&request.body)).unwrap();
        assert_eq!(String::from_utf8_lossy(&canonical), text(case, "canonical_request"), "{name}");
        let to_sign = claim.string_to_sign(&canonical);
        assert_eq!(String::from_utf8_lossy(&to_sign), text(case, "string_to_sign"), "{name}");
        assert_eq!(HEXLOWER.encode(claim.signature().unwrap()), text(case, "signature"), "{name}");
        let signed: Vec<&str> = claim.signed_headers().collect();
        let listed: Vec<&str> =
            case["signed_headers"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
        assert_eq!(signed, listed, "{name}");
        assert_eq!(matches!(claim.form(), Form::Query { .. }), text(case, "auth") == "query", "{name}");
    });
    let verified = server.check(request).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(verified.claim().access_key_id(), server.access_key_id, "{name}");
    assert_eq!(verified.claim().timestamp(), server.now, "{name}");
}

#[test]
fn our_signer_writes_the_published_signatures() {
    let vectors = vectors();
    for case in cases(&vectors, "additional").iter().filter(|case| text(case, "auth") == "header") {
        let published = Request::of_case(case, "headers");
        let server = Server::of_case(case);
        let mut ours = published.clone();
        for added in ["authorization", "x-amz-date", "x-amz-security-token"] {
            ours.remove(added);
        }
        ours.sign(&server, server.now);
        for header in ["authorization", "x-amz-date", "x-amz-security-token"] {
            assert_eq!(ours.header(header), published.header(header), "{}", text(case, "name"));
        }
    }
}

#[test]
fn our_presigned_urls_carry_the_published_signatures() {
    let vectors = vectors();
    for case in cases(&vectors, "additional").iter().filter(|case| text(case, "auth") == "query") {
        let server = Server::of_case(case);
        let mut ours = Request::of_case(case, "headers");
        ours.query = "Action=GetCallerIdentity&Version=2011-06-15".into();
        ours.presign(&server, server.now, 60);
        let signature = format!("&X-Amz-Signature={}", text(case, "signature"));
        assert!(ours.query.ends_with(&signature), "{}", ours.query);
        server.check(&ours).unwrap();
    }
}

#[test]
fn folded_header_lines_are_not_accepted() {
    let vectors = vectors();
    let folded = cases(&vectors, "suite").iter().filter(|case| case.get("raw_headers").is_some());
    let mut count = 0;
    for case in folded {
        let mut request = Request::of_case(case, "raw_headers");
        request.add("Authorization", &text(case, "authorization"));
        assert!(Server::of_case(case).check(&request).is_err(), "{}", text(case, "name"));
        count += 1;
    }
    assert_eq!(count, 3);
}
