//! Requests that are not what they claim, as an attacker or a misconfigured client sends them: status, code and sentence
//! in the protocol of the caller.

use coffer_types::Timestamp;

use crate::house::{House, Request, WHO_AM_I};

const MISMATCH: &str = "The request signature we calculated does not match the signature you provided.";
const INVALID_TOKEN: &str = "The security token included in the request is invalid.";

/// One change to a good request, made before it is signed or after.
enum Change {
    Before(fn(&mut Request)),
    After(fn(&mut Vec<(String, String)>)),
    Body(&'static [u8]),
}
use Change::{After, Before, Body};

struct Case {
    name: &'static str,
    change: Change,
    /// The server's clock; the requests are of 03:04:05.
    server: &'static str,
    json: (u16, &'static str),
    query: (u16, &'static str),
    says: &'static str,
}

const ON_TIME: &str = "20260102T030410Z";
const BAD: ((u16, &str), (u16, &str)) = ((400, "InvalidSignatureException"), (403, "SignatureDoesNotMatch"));
const UNKNOWN: ((u16, &str), (u16, &str)) =
    ((400, "UnrecognizedClientException"), (403, "InvalidClientTokenId"));
const INCOMPLETE: ((u16, &str), (u16, &str)) =
    ((400, "IncompleteSignatureException"), (403, "IncompleteSignature"));
const GOOD: ((u16, &str), (u16, &str)) = ((200, ""), (200, ""));

fn case(
    name: &'static str,
    (json, query): ((u16, &'static str), (u16, &'static str)),
    says: &'static str,
    change: Change,
) -> Case {
    Case { name, change, server: ON_TIME, json, query, says }
}

fn authorization(headers: &mut [(String, String)]) -> &mut String {
    &mut headers.iter_mut().find(|(name, _)| name == "Authorization").unwrap().1
}

fn edit(headers: &mut [(String, String)], from: &str, to: &str) {
    let value = authorization(headers);
    assert!(value.contains(from), "{value}");
    *value = value.replace(from, to);
}

fn remove(headers: &mut Vec<(String, String)>, name: &str) {
    headers.retain(|(found, _)| !found.eq_ignore_ascii_case(name));
}

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    vec![
        case("nothing changed", GOOD, "", After(|_| {})),
        case("an unsigned header more", GOOD, "", After(|h| h.push(("x-forwarded-for".into(), "10.0.0.1".into())))),
        case("one digit of the signature", BAD, MISMATCH, After(|h| {
            let value = authorization(h);
            let last = value.pop().unwrap();
            value.push(if last == '0' { '1' } else { '0' });
        })),
        case("another body", BAD, MISMATCH, Body(b"{} ")),
        case("another host", BAD, MISMATCH, After(|h| h[0].1 = "other.example".into())),
        case("another key id", UNKNOWN, INVALID_TOKEN, Before(|r| r.key_id = "AKIAQAAAAAAAAAAAAAAA".into())),
        case("a key id of no form", UNKNOWN, INVALID_TOKEN, Before(|r| r.key_id = "test".into())),
        case("another secret", BAD, MISMATCH, Before(|r| r.secret = "wrong".into())),
        case("a session token with a key of a user", UNKNOWN, INVALID_TOKEN, Before(|r| r.token = Some("token".into()))),
        case("a temporary key id without a token", UNKNOWN, INVALID_TOKEN, Before(|r| r.key_id = r.key_id.replace("AKIA", "ASIA"))),
        Case { server: "20260102T030905Z", ..case("five minutes late", GOOD, "", After(|_| {})) },
        Case { server: "20260102T030906Z", ..case("a second later", BAD,
            "Signature expired: 20260102T030405Z is now earlier than 20260102T030406Z (20260102T030906Z - 5 min.)", After(|_| {})) },
        Case { server: "20260102T025904Z", ..case("from the future", BAD,
            "Signature not yet current: 20260102T030405Z is still later than 20260102T030404Z (20260102T025904Z + 5 min.)", After(|_| {})) },
        case("another terminator", BAD, "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'. ",
            After(|h| edit(h, "aws4_request", "aws5_request"))),
        case("another day", BAD, "'20260101' != '20260102', from '20260102T030405Z'.", After(|h| edit(h, "/20260102/", "/20260101/"))),
        case("no region", BAD, "Credential should be scoped to a valid region", Before(|r| r.region = "nowhere".into())),
        case("no credentials", ((400, "MissingAuthenticationTokenException"), (403, "MissingAuthenticationToken")), "Authentication Token",
            After(|h| remove(h, "authorization"))),
        case("a bearer token", INCOMPLETE, "Authorization=Bearer", After(|h| *authorization(h) = "Bearer abc".into())),
        case("no date", INCOMPLETE, "existence of either a 'X-Amz-Date' or a 'Date' header.", After(|h| remove(h, "x-amz-date"))),
        case("a blank in a pair", INCOMPLETE, "not a valid key=value pair", After(|h| edit(h, "Credential=", "Credential= "))),
        case("a short scope", INCOMPLETE, "Credential must have exactly 5 slash-delimited elements",
            After(|h| edit(h, "/20260102/us-east-1/", "/"))),
        case("the host is not signed", BAD, "'Host' or ':authority' must be a 'SignedHeader'", After(|h| edit(h, "host;", ""))),
        case("two Authorization headers", INCOMPLETE, "More than one Authorization header", After(|h| {
            let again = ("authorization".to_owned(), authorization(h).clone());
            h.push(again);
        })),
        case("an unsigned payload", BAD, MISMATCH, Before(|r| r.headers.push(("x-amz-content-sha256".into(), "UNSIGNED-PAYLOAD".into())))),
        case("a hash of another body", BAD, MISMATCH, Before(|r| r.headers.push(("x-amz-content-sha256".into(), "0".repeat(64))))),
    ]
}

#[tokio::test]
async fn every_outcome_in_both_protocols() {
    let house = House::open().await;
    let signed_at = Timestamp::parse_basic("20260102T030405Z").unwrap();
    for case in cases() {
        house.set_clock(case.server);
        for (mut request, (status, code)) in
            [(house.json("ListSecrets", "{}"), case.json), (house.form(WHO_AM_I), case.query)]
        {
            request.at = signed_at;
            if let Before(change) = case.change {
                change(&mut request);
            }
            let mut headers = request.signed_headers();
            if let After(change) = case.change {
                change(&mut headers);
            }
            let body = if let Body(other) = case.change { other } else { &request.body };
            let answer = house.say(&request.bytes_with(&headers, body)).await;
            assert_eq!((answer.status, answer.code()), (status, code), "{}: {}", case.name, answer.body);
            let text = answer.body.replace("&apos;", "'");
            assert!(text.contains(case.says), "{}: {text}", case.name);
        }
    }
}

#[tokio::test]
async fn a_target_must_be_signed_and_stays_what_was_signed() {
    let house = House::open().await;
    let request = house.json("ListSecrets", "{}");
    let mut headers = request.signed_headers();
    headers.iter_mut().find(|(name, _)| name == "x-amz-target").unwrap().1 =
        "secretsmanager.DeleteSecret".into();
    let answer = house.say(&request.bytes_with(&headers, b"{}")).await;
    assert_eq!((answer.status, answer.code()), (400, "InvalidSignatureException"));

    let mut request = house.json("ListSecrets", "{}");
    let target = request.headers.pop().unwrap();
    let mut headers = request.signed_headers();
    headers.push(target);
    let answer = house.say(&request.bytes_with(&headers, b"{}")).await;
    assert_eq!((answer.status, answer.code()), (400, "InvalidSignatureException"));
    assert!(answer.body.contains("'x-amz-target' must be a 'SignedHeader'"), "{}", answer.body);
}

#[tokio::test]
async fn a_signature_for_one_service_does_not_open_another() {
    let house = House::open().await;
    let mut request = house.json("ListSecrets", "{}");
    request.service = "kms".into();
    let answer = house.ask(&request).await;
    assert_eq!((answer.status, answer.code()), (400, "InvalidSignatureException"));
    assert!(answer.body.contains("scoped to correct service: 'secretsmanager'. "), "{}", answer.body);
    // The service is unknown, so the form itself says whose operation it is.
    let mut request = house.form(WHO_AM_I);
    request.service = "nothing".into();
    let answer = house.ask(&request).await;
    assert_eq!((answer.status, answer.code()), (403, "SignatureDoesNotMatch"), "{}", answer.body);
}

#[tokio::test]
async fn presigned_requests_end_and_have_one_proof() {
    let house = House::open().await;
    let mut request = house.form("");
    request.method = "GET".into();
    request.target = format!("/?{WHO_AM_I}");
    request.headers.clear();
    let presigned = request.presigned(60);
    let too_long =
        Request { target: presigned.target.replace("Expires=60", "Expires=604801"), ..presigned.clone() };
    let long_lived = request.presigned(604_800);
    for (server, request, status, code) in [
        ("20260102T030505Z", &presigned, 200, ""),
        ("20260102T030506Z", &presigned, 403, "AccessDenied"),
        ("20260102T030410Z", &too_long, 400, "AuthorizationQueryParametersError"),
        ("20260102T031905Z", &long_lived, 200, ""),
        ("20260102T031906Z", &long_lived, 403, "AccessDenied"),
    ] {
        house.set_clock(server);
        let answer = house.say(&request.plain_bytes()).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{server}: {}", answer.body);
    }
    house.set_clock("20260102T030410Z");
    let both = Request {
        headers: vec![("authorization".into(), "AWS4-HMAC-SHA256 x=y".into())],
        ..presigned.clone()
    };
    let answer = house.say(&both.plain_bytes()).await;
    assert_eq!((answer.status, answer.code()), (403, "IncompleteSignature"));
    // A JSON service takes no presigned request: its target would not be covered.
    let json =
        Request { headers: vec![("x-amz-target".into(), "secretsmanager.ListSecrets".into())], ..presigned };
    let answer = house.say(&json.plain_bytes()).await;
    assert_eq!((answer.status, answer.code()), (400, "MissingAuthenticationTokenException"));
}

#[tokio::test]
async fn failures_are_counted_by_code_and_by_nothing_else() {
    let house = House::open().await;
    let mut request = house.json("ListSecrets", "{}");
    request.secret = "wrong".into();
    for _ in 0..2 {
        house.ask(&request).await;
    }
    let page = house.say(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(
        page.body.contains("coffer_signature_failures_total{code=\"InvalidSignatureException\"} 2"),
        "{}",
        page.body
    );
    assert!(!page.body.contains(&house.key_id));
}
