//! The signer inside the AWS SDK as oracle: what it signs we accept, and we sign the same.
//!
//! The random requests stay within what both sides define: a literal `+` in a query and tabs in header values are
//! read differently by the SDK's signer and do not come from real clients.

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4,
};
use aws_smithy_runtime_api::client::identity::Identity;
use coffer_sigv4::Accepts;
use coffer_types::{Secret, Timestamp};

use crate::request::{Chance, Request, Server};

const PATH_PIECES: [&str; 12] =
    ["/", "/a", "/B-._~", "/..", "/.", "//", "/%3A", "/%2F%2f", "/c:d", "/$x", "/@,;=", "/0"];
const QUERY_PIECES: [&str; 10] = ["a", "B", "9", "%20", "%2B", "%2f", "~-._", "%E1%88%B4", "%7e", "*"];
const VALUE_PIECES: [&str; 8] = ["a", "Z", "  ", " ", "\"", "/", "=,", "0"];
const HEADER_NAMES: [&str; 7] =
    ["X-Custom", "x-custom", "Content-Type", "X-Amz-Meta-B", "X-Amz-Meta-A", "User-Agent", "A"];

/// A request of any shape that a client could send, not signed yet.
pub(crate) fn random_request(chance: &mut Chance) -> Request {
    let mut request = Request {
        method: chance.pick(&["GET", "POST", "PUT", "DELETE"]).into(),
        path: format!("/{}", chance.text(&PATH_PIECES, 5).trim_start_matches('/')),
        query: String::new(),
        headers: Vec::new(),
        body: chance.text(&["{", "}", "Action=", "x"], 9).into_bytes(),
    };
    let pairs = (0..chance.below(5))
        .map(|_| format!("{}q={}", chance.text(&QUERY_PIECES, 3), chance.text(&QUERY_PIECES, 4)));
    request.query = pairs.collect::<Vec<_>>().join("&");
    request.add("Host", chance.pick(&["secrets.example:8443", "kms.eu-west-1.amazonaws.com"]));
    let mut content_type = false;
    for _ in 0..chance.below(6) {
        let name = chance.pick(&HEADER_NAMES);
        // The one header of the list that may come only once.
        if name == "Content-Type" && std::mem::replace(&mut content_type, true) {
            continue;
        }
        request.add(name, &chance.text(&VALUE_PIECES, 6));
    }
    request
}

pub(crate) fn random_server(chance: &mut Chance) -> Server {
    let temporary = chance.below(2) == 0;
    let id = if temporary { "ASIACOFFEREXAMPLE002" } else { "AKIACOFFEREXAMPLE002" };
    Server {
        service: chance.pick(&["secretsmanager", "kms", "sts"]).into(),
        region: chance.pick(&["eu-west-1", "us-east-1"]).into(),
        now: Timestamp::from_seconds(1_700_000_000 + i64::try_from(chance.below(400_000_000)).unwrap()),
        access_key_id: id.into(),
        secret: Secret::new(format!("secret/{}+", chance.next())),
        active: true,
        session_token: temporary.then(|| Secret::new(format!("token//{}+==", chance.next()))),
        session_expired: false,
        accepts: Accepts::HeaderOrQuery { lifetime_max: Duration::from_secs(900) },
        keys: coffer_sigv4::SigningKeys::default(),
    }
}

/// Headers and parameters that the SDK would add.
fn sdk_signature(request: &Request, server: &Server, location: SignatureLocation) -> Added {
    let token = server.session_token.as_ref().map(|token| token.expose().clone());
    let secret = server.secret.expose().clone();
    let identity: Identity = Credentials::new(&server.access_key_id, secret, token, None, "test").into();
    let mut settings = SigningSettings::default();
    settings.signature_location = location;
    settings.expires_in = (location == SignatureLocation::QueryParams).then(|| Duration::from_secs(60));
    let time = UNIX_EPOCH + server.now.since(Timestamp::EPOCH);
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(&server.region)
        .name(&server.service)
        .time(time)
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let mark = if request.query.is_empty() { "" } else { "?" };
    let uri = format!("https://{}{}{mark}{}", request.header("host").unwrap(), request.path, request.query);
    let headers =
        request.headers.iter().map(|(name, value)| (name.as_str(), std::str::from_utf8(value).unwrap()));
    let signable =
        SignableRequest::new(&request.method, uri, headers, SignableBody::Bytes(&request.body)).unwrap();
    let (instructions, signature) = sign(signable, &params).unwrap().into_parts();
    Added {
        headers: instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        params: instructions
            .params()
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.to_string()))
            .collect(),
        signature,
    }
}

struct Added {
    headers: Vec<(String, String)>,
    params: Vec<(String, String)>,
    signature: String,
}

#[test]
fn header_signatures_agree_with_the_sdk() {
    let mut chance = Chance(1);
    for round in 0..400 {
        let (server, request) = (random_server(&mut chance), random_request(&mut chance));
        let sdk = sdk_signature(&request, &server, SignatureLocation::Headers);

        let mut theirs = request.clone();
        for (name, value) in &sdk.headers {
            theirs.add(name, value);
        }
        server.check(&theirs).unwrap_or_else(|error| panic!("round {round}: {error} in {theirs:?}"));

        let mut ours = request;
        ours.sign(&server, server.now);
        for name in ["authorization", "x-amz-date", "x-amz-security-token"] {
            assert_eq!(ours.header(name), theirs.header(name), "round {round}");
        }
    }
}

#[test]
fn presigned_urls_agree_with_the_sdk() {
    let mut chance = Chance(2);
    for round in 0..400 {
        let (server, mut request) = (random_server(&mut chance), random_request(&mut chance));
        request.remove("user-agent");
        let sdk = sdk_signature(&request, &server, SignatureLocation::QueryParams);

        let mut theirs = request.clone();
        for (name, value) in &sdk.params {
            let value: String = value.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let between = if theirs.query.is_empty() { "" } else { "&" };
            theirs.query = format!("{}{between}{name}={value}", theirs.query);
        }
        server.check(&theirs).unwrap_or_else(|error| panic!("round {round}: {error} in {theirs:?}"));

        let mut ours = request;
        ours.presign(&server, server.now, 60);
        assert!(ours.query.ends_with(&format!("X-Amz-Signature={}", sdk.signature)), "round {round}");
    }
}
