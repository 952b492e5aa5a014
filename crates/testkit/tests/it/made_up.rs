//! Thousands of made-up requests for every operation: what the model allows, its edges, and one step beyond.
//!
//! Nothing may end in a fault of ours. What breaks a constraint is told so, with the path of the member and the words of the
//! constraint; what breaks none never is. Each operation has a server of its own with a few secrets on it, and half of the
//! requests that name a secret name one of those, so that handlers see them too.

use std::sync::Arc;

use coffer_model::secretsmanager;
use coffer_shape::{
    OperationSpec, Shape,
    generate::{Broken, Made, Mode},
};
use coffer_testkit::{Engine, SimEntropy, TestServer};
use coffer_wire::{Codec, encode_request, read_error};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::stage::token;

/// Of each kind, for each operation.
const REQUESTS: usize = 1_000;
const SECRETS: [&str; 3] = ["one", "two", "three"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_up_requests_are_answered_by_the_rules() {
    let mut operations = JoinSet::new();
    for (number, spec) in coffer_server::open::registry().public().into_iter().enumerate() {
        operations.spawn(play(spec, u64::try_from(number).unwrap()));
    }
    let mut broken = 0;
    while let Some(played) = operations.join_next().await {
        broken += played.unwrap();
    }
    // Nearly every request has something to break; an empty one, as ListSecrets takes it, has not.
    assert!(broken > 11 * REQUESTS, "{broken}");
}

/// Answers with how many broken requests there were.
async fn play(spec: &'static OperationSpec, seed: u64) -> usize {
    let server = furnished(seed).await;
    let chance = Arc::new(SimEntropy::seeded(seed));
    let mut broken_requests = 0;
    for _ in 0..REQUESTS {
        for mode in [Mode::Valid, Mode::Boundary] {
            let made = Made::new(spec.input, mode, chance.as_ref());
            let body = aimed(spec, written(spec, &made), &chance);
            // Nobody means a secret with two values, and so a body need not hold both of them at their longest.
            let body = if chance.below(4) == 0 && !names_two_values(&body) { escaped(&body) } else { body };
            let (_, code, message) = ask(&server, spec, &body).await;
            let is_refused_by_model = code == "SerializationException"
                || code == "RequestEntityTooLargeException"
                || (code == "ValidationException" && !message.starts_with("Invalid name."));
            assert!(!is_refused_by_model, "{} {code}: {message}\n{}", spec.name, start(&body));
        }
        if let Some((made, Broken { path, constraint })) = Made::broken(spec.input, chance.as_ref()) {
            broken_requests += 1;
            let body = written(spec, &made);
            let (status, code, message) = ask(&server, spec, &body).await;
            let what = format!("{} {path}: {constraint}\n{code}: {message}\n{}", spec.name, start(&body));
            assert_eq!((status, code.as_str()), (400, "ValidationException"), "{what}");
            assert!(message.starts_with("1 validation error detected: Value "), "{what}");
            let end = format!(" at '{path}' failed to satisfy constraint: {constraint}");
            assert!(message.ends_with(&end), "{what}");
        }
    }
    server.stop().await;
    broken_requests
}

fn names_two_values(body: &[u8]) -> bool {
    // A form holds no secret at all.
    let input: Value = serde_json::from_slice(body).unwrap_or_default();
    ["SecretString", "SecretBinary"].iter().all(|member| input.get(member).is_some())
}

async fn furnished(seed: u64) -> TestServer {
    let server = TestServer::start(Engine::Memory, seed).await;
    for (number, name) in SECRETS.iter().enumerate() {
        let input = json!({"Name": name, "ClientRequestToken": token(number), "SecretString": "value"});
        let body = input.to_string();
        let answer =
            server.client().call_raw(&secretsmanager::SERVICE, "CreateSecret", body.as_bytes()).await;
        assert_eq!(answer.unwrap().status, 200);
    }
    server
}

fn written(spec: &'static OperationSpec, made: &Made) -> Vec<u8> {
    encode_request(spec, &|to| made.write_as(spec.input, to)).unwrap().body.take()
}

/// Lets half of the requests that name a secret name one that is there.
fn aimed(spec: &OperationSpec, body: Vec<u8>, chance: &SimEntropy) -> Vec<u8> {
    if spec.input.member("SecretId").is_none() || chance.below(2) == 0 {
        return body;
    }
    let mut input: Value = serde_json::from_slice(&body).unwrap();
    input["SecretId"] = SECRETS[chance.below(SECRETS.len())].into();
    input.to_string().into_bytes()
}

/// The same request in JSON with every letter of every string as an escape. Forms have no strings in quotes, and a body need not
/// hold two of the largest values: no operation takes both.
fn escaped(body: &[u8]) -> Vec<u8> {
    if !body.starts_with(b"{") {
        return body.to_vec();
    }
    let input: Value = serde_json::from_slice(body).unwrap();
    if !input["SecretString"].is_null() && !input["SecretBinary"].is_null() {
        return body.to_vec();
    }
    let text = input.to_string();
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once('"') {
        out.push_str(before);
        // Between two quotation marks lies one string, which is read with its own escapes.
        let mut strings = serde_json::Deserializer::from_str(&rest[before.len()..]).into_iter::<String>();
        let string = strings.next().unwrap().unwrap();
        let units = string.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
        out.push_str(&format!("\"{}\"", units.collect::<String>()));
        rest = &after[strings.byte_offset() - 1..];
    }
    (out + rest).into_bytes()
}

/// Status, code and sentence; the client holds every answer against the model, and a fault of ours fails there.
async fn ask(server: &TestServer, spec: &'static OperationSpec, body: &[u8]) -> (u16, String, String) {
    let answer = server.client().call_raw(spec.service, spec.name, body).await.unwrap();
    let error = read_error(Codec::of(spec.service), answer.body.expose()).filter(|_| answer.status != 200);
    error.map_or_else(
        || (answer.status, String::new(), String::new()),
        |error| (answer.status, error.code, error.message),
    )
}

fn start(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(500).collect()
}
