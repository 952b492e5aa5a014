//! One request, one change, and what the client reads then, in both protocols.

use coffer_crypto::{hmac_sha256, sha256};
use coffer_sigv4::{Claim, Family, SignatureError, Verified, signing_key};
use coffer_types::{Secret, encoding::HEXLOWER};
use serde_json::Value;

use crate::request::{Request, Server, at, cases, text, vectors};

#[test]
fn every_change_has_the_outcome_that_aws_gives_it() {
    let vectors = vectors();
    let outcomes = cases(&vectors, "outcomes");
    assert_eq!(outcomes.len(), 33);
    for outcome in outcomes {
        let base = cases(&vectors, "additional").iter().find(|case| case["name"] == outcome["base"]).unwrap();
        let mut request = Request::of_case(base, "headers");
        let mut server = Server::of_case(base);
        server.now = at(&text(outcome, "server_time"));
        apply(&text(outcome, "id"), &mut request, &mut server);
        let result = server.check(&request);
        check(outcome, &result, "json_protocol", Family::Json);
        check(outcome, &result, "query_protocol", Family::Query);
    }
}

fn check(outcome: &Value, result: &Result<Verified, SignatureError>, protocol: &str, family: Family) {
    let expected = &outcome[protocol];
    if expected.is_null() {
        return;
    }
    let seen = match result {
        Ok(_) => serde_json::json!({"status": 200}),
        Err(error) => serde_json::json!({
            "status": error.status(family), "code": error.code(family), "message": error.message(family),
        }),
    };
    assert_eq!(&seen, expected, "{} in {protocol}", outcome["id"]);
}

/// What the words of `change` mean. A case that is not listed here fails instead of being skipped.
fn apply(id: &str, request: &mut Request, server: &mut Server) {
    const AUTHORIZATION: &str = "authorization";
    match id {
        "ok" | "five-minutes-late" | "expired" | "not-yet-current" | "presigned-ok" | "presigned-expired" => {
        }
        "bad-signature" => request.replace_in(AUTHORIZATION, "Signature=8", "Signature=9"),
        "body-changed" => request.body.push(b' '),
        "signed-header-changed" => request.set("X-Amz-Target", "secretsmanager.DeleteSecret"),
        "host-changed" => request.set("Host", "elsewhere.example"),
        "unsigned-extra-header" => request.add("X-Forwarded-For", "10.0.0.1"),
        "unknown-access-key" => {
            request.replace_in(AUTHORIZATION, "AKIACOFFEREXAMPLE001", "AKIANOBODYEXAMPLE001");
        }
        "inactive-access-key" => server.active = false,
        "asia-without-token" => request.remove("x-amz-security-token"),
        "tampered-token" => request.replace_in("x-amz-security-token", "F", "G"),
        "expired-token" => server.session_expired = true,
        "token-with-long-lived-key" => request.add("X-Amz-Security-Token", "of-another-key"),
        "wrong-service-scope" => server.service = "secretsmanager".into(),
        "wrong-region-scope" => server.region = "eu-west-1".into(),
        "wrong-terminator" => request.replace_in(AUTHORIZATION, "aws4_request", "aws5_request"),
        "scope-date-mismatch" => request.replace_in(AUTHORIZATION, "/20260102/", "/20260101/"),
        "no-authorization" => request.remove(AUTHORIZATION),
        "authorization-garbage" => request.set(AUTHORIZATION, "Bearer abc"),
        "no-date" => request.remove("x-amz-date"),
        "bad-pair" => request.set(
            AUTHORIZATION,
            "AWS4-HMAC-SHA256 Credential= AK/20260102/us-east-1/secretsmanager/aws4_request, ...",
        ),
        "short-scope" => {
            let credential = "Credential=AKIACOFFEREXAMPLE001/20260102/us-east-1/secretsmanager/aws4_request";
            request.replace_in(AUTHORIZATION, credential, "Credential=AK/20260102/us-east-1");
        }
        "host-not-signed" => request.replace_in(AUTHORIZATION, ";host", ""),
        "target-not-signed" => {
            request.replace_in(AUTHORIZATION, ";x-amz-target", "");
            sign_again(request, server, None);
        }
        "presigned-too-long" => request.query = request.query.replace("Expires=60", "Expires=604801"),
        "both-header-and-query" => request.add("Authorization", "AWS4-HMAC-SHA256 Credential=x"),
        "duplicate-authorization" => {
            let first = request.header(AUTHORIZATION).unwrap();
            request.add("Authorization", &first);
        }
        "unsigned-payload" => {
            declare_hash(request, "UNSIGNED-PAYLOAD");
            sign_again(request, server, Some("UNSIGNED-PAYLOAD"));
        }
        "content-sha256-mismatch" => {
            let other = HEXLOWER.encode(&sha256(b"another body"));
            declare_hash(request, &other);
            sign_again(request, server, None);
        }
        other => panic!("no such change: {other}"),
    }
}

fn declare_hash(request: &mut Request, hash: &str) {
    request.add("X-Amz-Content-Sha256", hash);
    request.replace_in("authorization", ";x-amz-date", ";x-amz-content-sha256;x-amz-date");
}

/// A client that signs whatever the header now says, and if asked with another text in place of the body's hash.
fn sign_again(request: &mut Request, server: &Server, payload: Option<&str>) {
    let hash = sha256(&request.body);
    // The reader refuses some of these requests; a twin without what it refuses has the same signed parts.
    let mut twin = request.clone();
    if !twin.header("authorization").unwrap().contains("x-amz-target") {
        twin.remove("x-amz-target");
    }
    let signature = twin.with_head(|head| {
        let claim = Claim::read(head, server.accepts).unwrap();
        let mut canonical = String::from_utf8(claim.canonical_request(head, &hash).unwrap()).unwrap();
        if let Some(payload) = payload {
            canonical = canonical.replace(&HEXLOWER.encode(&hash), payload);
        }
        let key = signing_key(&server.secret, claim.date(), claim.region(), claim.service());
        HEXLOWER.encode(&hmac_sha256(key.expose(), &[&claim.string_to_sign(canonical.as_bytes())]))
    });
    let old = request.header("authorization").unwrap();
    let (before, _) = old.split_once("Signature=").unwrap();
    request.set("Authorization", &format!("{before}Signature={signature}"));
}

#[test]
fn json_services_do_not_look_at_presigned_urls() {
    let vectors = vectors();
    let case = cases(&vectors, "additional").iter().find(|case| text(case, "auth") == "query").unwrap();
    let mut server = Server::of_case(case);
    server.accepts = coffer_sigv4::Accepts::HeaderOnly;
    let result = server.check(&Request::of_case(case, "headers"));
    assert_eq!(result.unwrap_err(), SignatureError::MissingCredentials);
}

#[test]
fn a_url_never_outlives_what_its_service_allows() {
    let vectors = vectors();
    let case = cases(&vectors, "additional").iter().find(|case| text(case, "auth") == "query").unwrap();
    let mut server = Server::of_case(case);
    let mut request = Request::of_case(case, "headers");
    request.query = "Action=GetCallerIdentity&Version=2011-06-15".into();
    request.presign(&server, server.now, 3600);
    for (time, expected) in [
        ("20260102T025905Z", None),
        ("20260102T031905Z", None),
        ("20260102T031906Z", Some(SignatureError::PresignedExpired)),
    ] {
        server.now = at(time);
        assert_eq!(server.check(&request).err(), expected, "{time}");
    }
}

#[test]
fn a_temporary_key_without_its_kind_or_token_is_unknown() {
    let vectors = vectors();
    let case =
        cases(&vectors, "additional").iter().find(|case| case["name"] == "sm-get-secret-value").unwrap();
    let mut server = Server::of_case(case);
    server.access_key_id = "ASIACOFFEREXAMPLE001".into();
    let mut request = Request::of_case(case, "headers");
    for added in ["authorization", "x-amz-date"] {
        request.remove(added);
    }
    request.sign(&server, server.now);
    assert_eq!(server.check(&request).unwrap_err(), SignatureError::UnrecognizedClient);

    // A token that the client appended after signing proves itself.
    server.session_token = Some(Secret::new("token".into()));
    request.add("X-Amz-Security-Token", "token");
    server.check(&request).unwrap();
}

#[test]
fn the_date_header_of_http_serves_where_there_is_no_other() {
    let vectors = vectors();
    let case = cases(&vectors, "additional").iter().find(|case| case["name"] == "kms-decrypt").unwrap();
    for date in ["Fri, 02 Jan 2026 03:04:05 GMT", "20260102T030405Z"] {
        let server = Server::of_case(case);
        let mut request = Request::of_case(case, "headers");
        request.remove("x-amz-date");
        request.add("Date", date);
        request.replace_in("authorization", "x-amz-date;", "");
        sign_again(&mut request, &server, None);
        server.check(&request).unwrap();
        request.set("Date", "Fri, 02 Jan 2026 03:04:06 GMT");
        assert_eq!(
            server.check(&request).unwrap_err(),
            SignatureError::Mismatch,
            "the date is signed anyway"
        );
    }
}
