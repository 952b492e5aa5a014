//! A random walk over a handful of secrets in a few regions, beside a twin that keeps no store.
//!
//! After every step the whole visible state is compared, in every region: the secret, its versions, its policy, the list, and what is
//! read under each label. A failure prints the seed and the last steps.
//!
//! Replication has no time of its own here: between two steps nothing is heard, or everything. Where two regions have something to
//! say to one place at once, who is heard first decides, and no rule says who; the walk lets everything be heard before it comes to
//! that. What may come of such races is in `replication.rs`.

mod chance;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use coffer_testkit::{Engine, SimEntropy, TestServer};
use serde_json::{Value, json};

use crate::{
    campaign,
    replication::in_region,
    stage::{Reply, Stage},
    twin::{Call, Request, Twin},
};
use chance::{Chance, NAMES, REGIONS};

const STEPS: usize = 2_000;
/// So many of the last requests may be repeated.
const REMEMBERED: usize = 40;

/// What a walk must have met: outcomes of operations, and facts that descriptions show.
const PLACES: [&str; 56] = [
    "CancelRotateSecret ",
    "CancelRotateSecret InvalidRequestException",
    "CreateSecret ",
    "CreateSecret InvalidParameterException",
    "CreateSecret InvalidRequestException",
    "CreateSecret ResourceExistsException",
    "DeleteResourcePolicy ",
    "DeleteResourcePolicy InvalidParameterException",
    "DeleteSecret ",
    "DeleteSecret InvalidParameterException",
    "DeleteSecret InvalidRequestException",
    "GetResourcePolicy ",
    "GetResourcePolicy ResourceNotFoundException",
    "GetSecretValue ",
    "GetSecretValue InvalidRequestException",
    "GetSecretValue ResourceNotFoundException",
    "ListResourcePolicies ",
    "PutResourcePolicy ",
    "PutResourcePolicy InvalidParameterException",
    "PutResourcePolicy MalformedPolicyDocumentException",
    "PutResourcePolicy PublicPolicyException",
    "PutSecretValue ",
    "PutSecretValue InvalidParameterException",
    "PutSecretValue InvalidRequestException",
    "PutSecretValue ResourceExistsException",
    "RemoveRegionsFromReplication ",
    "ReplicateSecretToRegions ",
    "ReplicateSecretToRegions InvalidParameterException",
    "RestoreSecret ",
    "RotateSecret ",
    "RotateSecret AccessDeniedException",
    "RotateSecret InvalidParameterException",
    "RotateSecret InvalidRequestException",
    "StopReplicationToReplica ",
    "StopReplicationToReplica InvalidRequestException",
    "TagResource ",
    "TagResource InvalidParameterException",
    "UntagResource ",
    "UpdateSecret ",
    "UpdateSecret InvalidParameterException",
    "UpdateSecret ResourceExistsException",
    "UpdateSecretVersionStage ",
    "UpdateSecretVersionStage InvalidParameterException",
    "UpdateSecretVersionStage InvalidRequestException",
    "UpdateSecretVersionStage ResourceNotFoundException",
    "is a replica",
    "pending filled false",
    "pending filled true",
    "replica Failed already exists",
    "replica Failed different arn",
    "replica InProgress ",
    "replica InSync ",
    "replica was read",
    "rotates false at no time",
    "rotates true at a time",
    "rotates true at no time",
];

/// Whether every value is read after every step. Who reads everything every day does not see which reading is noted where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reads {
    Always,
    Seldom,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_and_its_twin_agree_on_every_step_in_memory() {
    campaign(Engine::Memory, 20_260_101, STEPS, Reads::Seldom).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_and_its_twin_agree_on_every_step_and_every_value() {
    campaign(Engine::Memory, 20_260_102, STEPS / 2, Reads::Always).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_and_its_twin_agree_on_the_database_through_restarts() {
    campaign(Engine::Sqlite, 7, STEPS / 6, Reads::Seldom).await;
}

/// Plays one walk, or many in a long campaign, and sees that together they have been everywhere.
async fn campaign(engine: Engine, usual: u64, steps: usize, reads: Reads) {
    let seed = campaign::seed(usual);
    let mut outcomes = BTreeMap::new();
    for round in 0..campaign::rounds(1, 40) {
        for (place, times) in walk(engine, seed + round, steps, reads).await {
            *outcomes.entry(place).or_default() += times;
        }
    }
    // A walk that never comes to some place says nothing of it. One from another seed may miss a few.
    if steps >= STEPS {
        let missing = |place: &&&str| outcomes.get(**place).is_none_or(|times: &usize| *times == 0);
        let missing: Vec<_> = PLACES.iter().filter(missing).collect();
        let missing_max = if seed == usual || campaign::is_long() { 0 } else { 4 };
        assert!(missing.len() <= missing_max, "COFFER_SEED={seed}: {missing:?} in {outcomes:#?}");
    }
}

/// Answers with what was met, and how often.
async fn walk(engine: Engine, seed: u64, steps: usize, reads: Reads) -> BTreeMap<String, usize> {
    let server = TestServer::start(engine, seed).await;
    let mut walk = Walk {
        server: &server,
        chance: Chance(SimEntropy::seeded(seed)),
        twin: Twin::default(),
        calls: Vec::new(),
        story: Story { seed, steps: VecDeque::new() },
        outcomes: BTreeMap::new(),
    };
    for step in 0..steps {
        walk.let_time_pass(step).await;
        let call = walk.chance.call(&walk.twin, &walk.calls);
        walk.step(step, &call).await;
        walk.compare(call.request.name()).await;
        if reads == Reads::Always || walk.chance.once_in(16) {
            walk.read_everything(call.request.name()).await;
        }
    }
    let outcomes = walk.outcomes;
    server.stop().await;
    outcomes
}

struct Walk<'s> {
    server: &'s TestServer,
    chance: Chance,
    twin: Twin,
    calls: Vec<Call>,
    story: Story,
    outcomes: BTreeMap<String, usize>,
}

impl<'s> Walk<'s> {
    fn stage(&self, region: &str) -> Stage<'s> {
        in_region(self.server, region)
    }

    async fn let_time_pass(&mut self, step: usize) {
        match self.chance.below(60) {
            0..2 => {
                self.settle(step).await;
                let hours = 1 + self.chance.below(100);
                self.server.pass(Duration::from_secs(3600 * u64::try_from(hours).unwrap())).await;
                self.twin.reap(self.server.now());
                self.story.add(format!("{step}: time passes, it is {}", self.server.now()));
            }
            2..10 => {
                self.settle(step).await;
                for name in NAMES {
                    self.compare(name).await;
                }
            }
            10 if step.is_multiple_of(5) => {
                self.server.restart().await;
                self.story.add(format!("{step}: restart"));
            }
            _ => {}
        }
    }

    /// Lets everybody hear everything. What is put off until somebody else has been heard comes in the second turn.
    async fn settle(&mut self, step: usize) {
        self.server.pass(Duration::from_secs(10)).await;
        self.twin.settle(self.server.now());
        self.server.pass(Duration::from_secs(10)).await;
        self.twin.reap(self.server.now());
        self.story.add(format!("{step}: everything is heard, it is {}", self.server.now()));
    }

    async fn step(&mut self, step: usize, call: &Call) {
        if self.twin.is_contested(call) {
            self.settle(step).await;
        }
        self.story.add(format!("{step}: {call:?}"));
        // Clients repeat what they got no answer to.
        for _ in 0..1 + usize::from(self.chance.once_in(6)) {
            self.ask(call).await;
        }
        self.calls.push(call.clone());
        if self.calls.len() > REMEMBERED {
            self.calls.remove(0);
        }
    }

    async fn ask(&mut self, call: &Call) {
        let (operation, input) = call.request.on_the_wire();
        let reply = self.stage(call.region).ask(operation, &input).await;
        let mut expected = self.twin.run(call, self.server.now());
        learn_arn(call, &reply, &mut expected, &mut self.twin);
        let came = if reply.status == 200 { Ok(reply.body.clone()) } else { Err(reply.code()) };
        assert_eq!(came, expected, "{operation} {input}: {}\n{}", reply.message(), self.story);
        *self.outcomes.entry(format!("{operation} {}", reply.code())).or_default() += 1;
    }

    async fn compare(&mut self, name: &str) {
        let mut facts = Vec::new();
        for region in REGIONS {
            let stage = self.stage(region);
            let story = || format!("{name} in {region}\n{}", self.story);
            let list = stage.get("ListSecrets", json!({"IncludePlannedDeletion": true})).await;
            assert_eq!(list, json!({"SecretList": self.twin.list(region)}), "{}", story());
            let described = stage.ask("DescribeSecret", &json!({"SecretId": name})).await;
            let versions = json!({"SecretId": name, "IncludeDeprecated": true});
            let versions = stage.ask("ListSecretVersionIds", &versions).await;
            match self.twin.secret(region, name) {
                Some(secret) => {
                    assert_eq!(described.body, secret.describe(), "{}", story());
                    assert_eq!(versions.body, secret.list_versions(), "{}", story());
                    facts.extend(facts_of(&described.body, &versions.body));
                }
                None => {
                    for reply in [described, versions] {
                        assert_eq!(reply.code(), "ResourceNotFoundException", "{}", story());
                    }
                }
            }
        }
        for fact in facts {
            *self.outcomes.entry(fact).or_default() += 1;
        }
    }

    /// Reads what stands under each label and what is current, and the policy, in every region.
    async fn read_everything(&mut self, name: &str) {
        for region in REGIONS {
            let labels: Vec<String> = self
                .twin
                .secret(region, name)
                .map(|secret| secret.labels().cloned().collect())
                .unwrap_or_default();
            let labels = labels.into_iter().map(Some).chain([None]);
            let reads = labels.map(|label| Request::Get { name: name.to_owned(), id: None, label });
            let policy = Request::GetPolicy { name: name.to_owned(), policy_name: None };
            for request in reads.chain([policy]) {
                self.ask(&Call { region, request }).await;
            }
        }
    }
}

/// What a walk should have met, as far as a description shows it.
fn facts_of(described: &Value, listed: &Value) -> Vec<String> {
    let mut facts = Vec::new();
    for replica in described["ReplicationStatus"].as_array().into_iter().flatten() {
        let message = replica["StatusMessage"].as_str().unwrap_or_default();
        let why = ["already exists", "different arn"].into_iter().find(|why| message.contains(why));
        facts.push(format!("replica {} {}", replica["Status"].as_str().unwrap(), why.unwrap_or_default()));
        if replica["LastAccessedDate"].is_number() {
            facts.push(String::from("replica was read"));
        }
    }
    if described["PrimaryRegion"].is_string() && described["ReplicationStatus"].is_null() {
        facts.push(String::from("is a replica"));
    }
    if let Some(enabled) = described["RotationEnabled"].as_bool() {
        let when = if described["NextRotationDate"].is_number() { "at a time" } else { "at no time" };
        facts.push(format!("rotates {enabled} {when}"));
    }
    let pending = described["VersionIdsToStages"].as_object().into_iter().flatten();
    let mut pending =
        pending.filter(|(_, labels)| labels.to_string().contains("AWSPENDING")).map(|(id, _)| id);
    if let Some(id) = pending.next() {
        let is_filled =
            listed["Versions"].as_array().unwrap().iter().any(|version| version["VersionId"] == id.as_str());
        facts.push(format!("pending filled {is_filled}"));
    }
    facts
}

/// The suffix of a new ARN is the one thing that only the server knows.
fn learn_arn(call: &Call, reply: &Reply, expected: &mut Result<Value, &'static str>, twin: &mut Twin) {
    let Ok(answer) = expected else { return };
    let is_unknown =
        answer["ARN"] == "" || matches!(call.request, Request::Delete { .. }) && answer["ARN"].is_null();
    if is_unknown && let Some(arn) = reply.body["ARN"].as_str() {
        let (region, name) = (call.region, call.request.name());
        let prefix = format!("arn:aws:secretsmanager:{region}:111122223333:secret:{name}-");
        assert_eq!(arn.strip_prefix(&prefix).map(str::len), Some(6), "{arn}");
        answer["ARN"] = arn.into();
        twin.learn_arn(region, name, arn);
    }
}

/// The last steps, for whoever has to understand a failure.
struct Story {
    seed: u64,
    steps: VecDeque<String>,
}

impl Story {
    fn add(&mut self, step: String) {
        self.steps.push_back(step);
        if self.steps.len() > 16 {
            self.steps.pop_front();
        }
    }
}

impl std::fmt::Display for Story {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "COFFER_SEED={}", self.seed)?;
        self.steps.iter().try_for_each(|step| writeln!(f, "  {step}"))
    }
}
