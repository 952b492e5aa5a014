//! A random walk over a handful of secrets, beside a twin that keeps no store.
//!
//! After every step the whole visible state is compared: the secret, its versions, the list. A failure prints the seed and the
//! last steps. Few names, tokens and values make collisions, retries and deleted names common.

use std::{collections::VecDeque, fmt::Write as _, time::Duration};

use coffer_testkit::{Engine, SimEntropy, TestServer};
use serde_json::{Value, json};

use crate::{
    stage::{Reply, Stage, token},
    twin::{Request, Twin},
};

const STEPS: usize = 3_000;
const NAMES: [&str; 4] = ["a", "/b", "c-d", "e!f"];
const TOKENS: usize = 9;
const VALUES: [&str; 3] = ["one", "two", "three"];
const LABELS: [&str; 5] = ["AWSCURRENT", "AWSPREVIOUS", "AWSPENDING", "blue", "green"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_and_its_twin_agree_on_every_step_in_memory() {
    walk(Engine::Memory, 20_260_101, STEPS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_and_its_twin_agree_on_the_database_through_restarts() {
    walk(Engine::Sqlite, 7, STEPS / 6).await;
}

async fn walk(engine: Engine, seed: u64, steps: usize) {
    let server = TestServer::start(engine, seed).await;
    let stage = Stage::new(&server, 0);
    let chance = Chance(SimEntropy::seeded(seed));
    let mut twin = Twin::default();
    let mut past = VecDeque::new();
    let (mut succeeded, mut refused) = (0, 0);
    for step in 0..steps {
        match chance.below(40) {
            0 => {
                server.pass(Duration::from_secs(3600 * u64::try_from(1 + chance.below(100)).unwrap())).await;
                twin.reap(server.now());
                remember(&mut past, format!("{step}: time passes, it is {}", server.now()));
            }
            1 if step % 5 == 0 => {
                server.restart().await;
                remember(&mut past, format!("{step}: restart"));
            }
            _ => {}
        }
        let request = chance.request();
        remember(&mut past, format!("{step}: {request:?}"));
        // Clients repeat what they got no answer to.
        for _ in 0..1 + usize::from(chance.below(6) == 0) {
            let (operation, input) = request.on_the_wire();
            let reply = stage.ask(operation, &input).await;
            let mut expected = twin.run(&request, server.now());
            learn_arn(&request, &reply, &mut expected, &mut twin);
            let came = if reply.status == 200 { Ok(reply.body.clone()) } else { Err(reply.code()) };
            assert_eq!(came, expected.clone(), "seed {seed}\n{}\n{}", told(&past), reply.message());
            if reply.status == 200 { succeeded += 1 } else { refused += 1 }
        }
        compare(&stage, &twin, request.name(), || format!("seed {seed}\n{}", told(&past))).await;
    }
    // A walk that is refused everything, or nothing, shows nothing.
    assert!(succeeded > steps / 3 && refused > steps / 10, "{succeeded} succeeded, {refused} refused");
    server.stop().await;
}

/// The suffix of a new ARN is the one thing that only the server knows.
fn learn_arn(request: &Request, reply: &Reply, expected: &mut Result<Value, &'static str>, twin: &mut Twin) {
    let Ok(answer) = expected else { return };
    let is_unknown =
        answer["ARN"] == "" || matches!(request, Request::Delete { .. }) && answer["ARN"].is_null();
    if is_unknown && let Some(arn) = reply.body["ARN"].as_str() {
        let prefix = format!("arn:aws:secretsmanager:stage-0:111122223333:secret:{}-", request.name());
        assert_eq!(arn.strip_prefix(&prefix).map(str::len), Some(6), "{arn}");
        answer["ARN"] = arn.into();
        if let Some(secret) = twin.secrets.get_mut(request.name()) {
            arn.clone_into(&mut secret.arn);
        }
    }
}

async fn compare(stage: &Stage<'_>, twin: &Twin, name: &str, past: impl Fn() -> String) {
    let list = stage.get("ListSecrets", json!({"IncludePlannedDeletion": true})).await;
    assert_eq!(list, json!({"SecretList": twin.list()}), "{}", past());
    let id = json!({"SecretId": name});
    let described = stage.ask("DescribeSecret", &id).await;
    let versions =
        stage.ask("ListSecretVersionIds", &json!({"SecretId": name, "IncludeDeprecated": true})).await;
    match twin.secrets.get(name) {
        Some(secret) => {
            assert_eq!(described.body, secret.describe("VersionIdsToStages"), "{}", past());
            let expected = json!({"ARN": secret.arn, "Name": name, "Versions": secret.list_versions()});
            assert_eq!(versions.body, expected, "{}", past());
        }
        None => {
            for reply in [described, versions] {
                assert_eq!(reply.code(), "ResourceNotFoundException", "{}", past());
            }
        }
    }
}

fn remember(past: &mut VecDeque<String>, step: String) {
    past.push_back(step);
    if past.len() > 12 {
        past.pop_front();
    }
}

fn told(past: &VecDeque<String>) -> String {
    past.iter().fold(String::new(), |mut text, step| {
        let _ = writeln!(text, "  {step}");
        text
    })
}

struct Chance(SimEntropy);

impl Chance {
    fn below(&self, bound: usize) -> usize {
        self.0.below(bound)
    }

    fn pick(&self, words: &[&str]) -> String {
        words[self.below(words.len())].to_owned()
    }

    fn maybe<T>(&self, one_in: usize, make: impl FnOnce(&Self) -> T) -> Option<T> {
        (self.below(one_in) == 0).then(|| make(self))
    }

    fn token(&self) -> String {
        token(1 + self.below(TOKENS))
    }

    fn value(&self) -> (String, String) {
        // Most of the time a token goes with one value, or nearly every put would be a conflict.
        let number = 1 + self.below(TOKENS);
        let value = match self.below(5) {
            0 => self.pick(&VALUES),
            _ => VALUES[number % VALUES.len()].to_owned(),
        };
        (token(number), value)
    }

    fn tags(&self) -> Vec<(String, String)> {
        let keys = ["x", "y", "z"];
        let from = self.below(3);
        keys.iter()
            .skip(from)
            .take(self.below(3))
            .map(|key| ((*key).to_owned(), self.pick(&VALUES)))
            .collect()
    }

    fn labels(&self) -> Vec<String> {
        let mut labels: Vec<String> = (0..=self.below(3)).map(|_| self.pick(&LABELS)).collect();
        if self.below(3) > 0 {
            labels.dedup();
        }
        labels
    }

    fn request(&self) -> Request {
        let name = self.pick(&NAMES);
        match self.below(20) {
            0..3 => Request::Create {
                name,
                value: self.maybe(2, Self::value),
                description: self.maybe(2, |chance| chance.pick(&["", "text"])),
                tags: self.maybe(3, Self::tags),
            },
            3..8 => Request::Put { name, value: self.value(), labels: self.maybe(2, Self::labels) },
            8..10 => Request::Update {
                name,
                value: self.maybe(2, Self::value),
                description: self.maybe(2, |chance| chance.pick(&["", "other text"])),
            },
            10..14 => Request::Move {
                name,
                label: self.pick(&LABELS),
                from: self.maybe(2, Self::token),
                to: self.maybe(2, Self::token),
            },
            14..16 => Request::Get {
                name,
                id: self.maybe(3, Self::token),
                label: self.maybe(3, |chance| chance.pick(&LABELS[1..])),
            },
            16 => Request::Delete {
                name,
                days: self.maybe(2, |chance| [7, 8, 30, 6][chance.below(4)]),
                force: self.below(4) == 0,
            },
            17 => Request::Restore { name },
            18 => Request::Tag { name, tags: self.tags() },
            _ => Request::Untag { name, keys: vec![self.pick(&["x", "y", "z", "unknown"])] },
        }
    }
}

#[test]
fn one_seed_is_one_walk() {
    let walk = |seed| {
        let chance = Chance(SimEntropy::seeded(seed));
        (0..50).map(|_| format!("{:?}", chance.request())).collect::<Vec<_>>()
    };
    assert_eq!(walk(1), walk(1));
    assert_ne!(walk(1), walk(2));
}
