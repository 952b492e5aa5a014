//! Thousands of made-up requests for every operation: what the model allows, its edges, and one step beyond.
//!
//! Nothing may end in a fault of ours, and no answer may be outside of the model: the client holds every one against it, errors
//! included. What breaks a constraint is told so, with the path of the member and the words of the constraint; what breaks none never
//! is. Each operation has servers of its own, with secrets in every state, and members that name things often name one of those, so
//! that handlers see them too. Some time passes now and then, and whatever runs by itself runs.

mod aim;
mod furniture;

use std::{collections::BTreeMap, time::Duration};

use coffer_client::ClientError;
use coffer_model::secretsmanager;
use coffer_shape::{
    OperationSpec, Shape,
    generate::{Broken, Made, Mode},
};
use coffer_testkit::{SimEntropy, TestServer};
use coffer_wire::{Codec, encode_request, json::JsonWriter, read_error};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::campaign;
use aim::aim;
use furniture::{ELSEWHERE, Furniture};

/// What is made up for an operation on one server, of each kind, and how many servers an operation has.
const REQUESTS: usize = 100;
const SERVERS: u64 = 9;
/// The same for KMS, whose requests are long for their grant tokens, and for which no server is furnished.
const SERVERS_FOR_KMS: u64 = 2;
/// What the requests for Secrets Manager must come to.
const PLAYED_MIN: usize = 50_000;
/// Not even an operation that nearly everything contradicts may be a stranger to success; it has some twenty.
const SUCCEEDED_MIN: usize = 3;

/// What Lambda and Logs refuse in the words of a constraint, and their models let through.
const TIGHTER: [&str; 3] = [
    "Member must have length less than or equal to 64",
    "Member must have value less than or equal to 900",
    "1827, 2192, 2557, 2922, 3288, 3653]",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_up_requests_are_answered_by_the_rules() {
    let seed = campaign::seed(20_260_103);
    for round in 0..campaign::rounds(1, 30) {
        let mut operations = JoinSet::new();
        for (number, spec) in (0..).zip(coffer_server::open::registry().public()) {
            operations.spawn(async move {
                let mut played = Played::default();
                let is_few = matches!(spec.service.name, "kms" | "lambda" | "logs");
                let servers = if is_few { SERVERS_FOR_KMS } else { SERVERS };
                for server in 0..servers {
                    let seed = seed + ((round * 1000 + number) * SERVERS + server);
                    played.play(spec, seed).await;
                }
                (spec, played)
            });
        }
        let (mut requests, mut broken) = (0, 0);
        while let Some(outcome) = operations.join_next().await {
            let (spec, played) = outcome.unwrap();
            broken += played.broken;
            if spec.service.name == secretsmanager::SERVICE.name {
                requests += played.outcomes.values().sum::<usize>();
                let succeeded = played.outcomes.get("").copied().unwrap_or_default();
                assert!(
                    succeeded >= SUCCEEDED_MIN,
                    "COFFER_SEED={seed} {}: {:?}",
                    spec.name,
                    played.outcomes
                );
            }
        }
        assert!(requests >= PLAYED_MIN, "COFFER_SEED={seed}: {requests}");
        // Nearly every request has something to break; an empty one, as ListSecrets takes it, has not.
        assert!(broken > 12 * REQUESTS * usize::try_from(SERVERS).unwrap(), "COFFER_SEED={seed}: {broken}");
    }
}

#[derive(Debug, Default)]
struct Played {
    /// By the code of the answer, which is empty for a success.
    outcomes: BTreeMap<String, usize>,
    /// Of these, requests that break a constraint.
    broken: usize,
    /// Requests that go on where an answer ended.
    continuations: Vec<Vec<u8>>,
}

impl Played {
    /// Now and then the next page of something, perhaps once more.
    fn continuation(&self, chance: &SimEntropy) -> Option<Vec<u8>> {
        let last = self.continuations.len().checked_sub(1 + chance.below(3))?;
        (chance.below(6) == 0).then(|| self.continuations[last].clone())
    }

    async fn play(&mut self, spec: &'static OperationSpec, seed: u64) {
        let furniture = Furniture::new(seed).await;
        // Another server cannot read them.
        self.continuations.clear();
        let server = &furniture.server;
        let chance = SimEntropy::seeded(seed);
        let invalid = spec.service.codes.validation.code;
        for number in 0..REQUESTS {
            for mode in [Mode::Valid, Mode::Boundary] {
                let made = Made::new(spec.input, mode, &chance);
                let body = self
                    .continuation(&chance)
                    .unwrap_or_else(|| aim(spec, written(spec, &made), &furniture, &chance));
                // Nobody means a secret with two values, and so a body need not hold both of them at their longest.
                let body =
                    if chance.below(4) == 0 && !names_two_values(&body) { escaped(&body) } else { body };
                let Some((_, code, message)) = self.ask(server, spec, &body, &chance).await else { continue };
                let is_refused_by_model = code == "SerializationException"
                    || code == "RequestEntityTooLargeException"
                    || (code == invalid
                        && message.contains("failed to satisfy constraint")
                        && !TIGHTER.iter().any(|tighter| message.ends_with(tighter)));
                let what = || format!("{seed} {} {code}: {message}\n{}", spec.name, start(&body));
                assert!(!is_refused_by_model, "{}", what());
            }
            if let Some((made, Broken { path, constraint })) = Made::broken(spec.input, &chance) {
                self.broken += 1;
                let body = written(spec, &made);
                let Some((status, code, message)) = self.ask(server, spec, &body, &chance).await else {
                    continue;
                };
                let what = || {
                    format!("{seed} {} {path}: {constraint}\n{code}: {message}\n{}", spec.name, start(&body))
                };
                assert_eq!((status, code.as_str()), (400, invalid), "{}", what());
                assert!(message.starts_with("1 validation error detected: Value "), "{}", what());
                let end = format!(" at '{path}' failed to satisfy constraint: {constraint}");
                assert!(message.ends_with(&end), "{}", what());
            }
            if number % 20 == 19 {
                server.pass(Duration::from_secs(3600 * u64::try_from(1 + chance.below(100)).unwrap())).await;
            }
        }
        furniture.server.stop().await;
    }

    /// Status, code and sentence; the client holds every answer against the model, and a fault of ours fails there. Some requests go
    /// to where the replicas are.
    async fn ask(
        &mut self,
        server: &TestServer,
        spec: &'static OperationSpec,
        body: &[u8],
        chance: &SimEntropy,
    ) -> Option<(u16, String, String)> {
        let elsewhere = server.client().with_region(ELSEWHERE.parse().unwrap());
        let client = if chance.below(5) == 0 { &elsewhere } else { server.client() };
        let answer = match client.call_raw(spec.service, spec.name, body).await {
            // A path without a step, or a line break in a header, is no request at all.
            Err(ClientError::Input(_) | ClientError::Signature(_)) if spec.rest.is_some() => return None,
            answer => answer.unwrap(),
        };
        // As much fits into a body, and not into a path or a header.
        if matches!(answer.status, 414 | 431) {
            return None;
        }
        let error =
            read_error(Codec::of(spec.service), answer.header("x-amzn-errortype"), answer.body.expose())
                .filter(|_| answer.status >= 300);
        let (code, message) = error.map(|error| (error.code, error.message)).unwrap_or_default();
        *self.outcomes.entry(code.clone()).or_default() += 1;
        if answer.status == 200
            && let Ok(Value::Object(mut page)) = serde_json::from_slice(answer.body.expose())
            && let Some(token) = page.remove("NextToken")
        {
            let mut next: Value = serde_json::from_slice(body).unwrap();
            next["NextToken"] = token;
            self.continuations.push(next.to_string().into_bytes());
        }
        Some((answer.status, code, message))
    }
}

fn names_two_values(body: &[u8]) -> bool {
    // A form holds no secret at all.
    let input: Value = serde_json::from_slice(body).unwrap_or_default();
    ["SecretString", "SecretBinary"].iter().all(|member| input.get(member).is_some())
}

fn written(spec: &'static OperationSpec, made: &Made) -> Vec<u8> {
    if spec.rest.is_some() {
        // All members side by side; the client puts each where it belongs.
        let mut json = JsonWriter::new();
        made.write_as(spec.input, &mut json).unwrap();
        return json.finish().take();
    }
    encode_request(spec, &|to| made.write_as(spec.input, to)).unwrap().body.take()
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

fn start(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(500).collect()
}
