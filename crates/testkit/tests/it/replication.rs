//! Replicas follow their primary, whatever happens to it and whenever the process ends.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    task::Poll,
    time::Duration,
};

use coffer_testkit::{Engine, SimEntropy, TestServer};
use serde_json::{Value, json};

use crate::stage::{Stage, token};

const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn in_region<'s>(server: &'s TestServer, region: &str) -> Stage<'s> {
    Stage { server, client: server.client().with_region(region.parse().unwrap()) }
}

/// What a primary says of its replica in a region; nothing if it has none there.
pub(crate) async fn status(primary: &Stage<'_>, name: &str, region: &str) -> Option<String> {
    let described = primary.get("DescribeSecret", json!({"SecretId": name})).await;
    let statuses = described["ReplicationStatus"].as_array()?;
    let status = statuses.iter().find(|status| status["Region"] == region)?;
    Some(status["Status"].as_str()?.to_owned())
}

/// Runs a future until it has waited for the store so many times, and drops it there, as a process does that ends. Whether the future
/// came to its end.
pub(crate) async fn cut_short(work: impl Future, waits: usize) -> bool {
    let mut work = pin!(work);
    let mut left = waits;
    std::future::poll_fn(move |context| match work.as_mut().poll(context) {
        Poll::Ready(_) => Poll::Ready(true),
        Poll::Pending if left == 0 => Poll::Ready(false),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_ends_between_any_two_of_its_steps_replicates_after_all() {
    let server = TestServer::start(Engine::Sqlite, 1).await;
    let (here, there) = (in_region(&server, "eu-west-1"), in_region(&server, "us-east-1"));
    let mut seen = BTreeSet::new();
    let mut waits = 0;
    loop {
        let name = format!("cut/{waits}");
        let create = json!({
            "Name": name, "ClientRequestToken": token(1), "SecretString": name, "AddReplicaRegions": [{"Region": "us-east-1"}],
        });
        here.get("CreateSecret", create).await;
        let ended = {
            let core = server.node().core().unwrap();
            cut_short(core.run_due_tasks(), waits).await
        };
        server.restart().await;
        let is_there = there.ask("DescribeSecret", &json!({"SecretId": name})).await.status == 200;
        seen.insert((is_there, status(&here, &name, "us-east-1").await.unwrap()));

        server.pass(SECOND).await;
        assert_eq!(status(&here, &name, "us-east-1").await.as_deref(), Some("InSync"), "after {waits} waits");
        let value = there.get("GetSecretValue", json!({"SecretId": name})).await;
        assert_eq!(value["SecretString"], name.as_str());
        if ended {
            break;
        }
        waits += 1;
    }
    // It did end before the delivery, between delivery and note, and after both.
    let expected = [(false, "InProgress"), (true, "InProgress"), (true, "InSync")];
    assert_eq!(seen, expected.map(|(is_there, status)| (is_there, status.to_owned())).into());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_ends_while_it_removes_or_promotes_does_so_after_all() {
    let server = TestServer::start(Engine::Sqlite, 2).await;
    let (here, there) = (in_region(&server, "eu-west-1"), in_region(&server, "us-east-1"));
    for promotes in [false, true] {
        let mut waits = 0;
        loop {
            let name = format!("{promotes}/{waits}");
            let create = json!({"Name": name, "AddReplicaRegions": [{"Region": "us-east-1"}]});
            here.get("CreateSecret", create).await;
            server.pass(SECOND).await;
            if promotes {
                there.get("StopReplicationToReplica", json!({"SecretId": name})).await;
            } else {
                let remove = json!({"SecretId": name, "RemoveReplicaRegions": ["us-east-1"]});
                here.get("RemoveRegionsFromReplication", remove).await;
                here.get("DeleteSecret", json!({"SecretId": name, "ForceDeleteWithoutRecovery": true})).await;
            }
            let ended = {
                let core = server.node().core().unwrap();
                cut_short(core.run_due_tasks(), waits).await
            };
            server.restart().await;
            server.pass(SECOND).await;
            let replica = there.ask("DescribeSecret", &json!({"SecretId": name})).await;
            if promotes {
                assert_eq!(status(&here, &name, "us-east-1").await, None);
                assert_eq!((replica.status, replica.body.get("PrimaryRegion")), (200, None));
            } else {
                assert_eq!(replica.code(), "ResourceNotFoundException", "{name}");
            }
            if ended {
                break;
            }
            waits += 1;
        }
        assert!(waits >= 2, "{waits}");
    }
    server.stop().await;
}

/// More than one transaction holds: fifty versions of nearly the largest size are three mebibytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_of_many_large_versions_arrives_in_pieces_and_complete() {
    let server = TestServer::start(Engine::Memory, 3).await;
    let (here, there) = (in_region(&server, "eu-west-1"), in_region(&server, "us-east-1"));
    here.get("CreateSecret", json!({"Name": "large"})).await;
    for number in 1..=50 {
        let value = format!("{number:0>65535}");
        let put = json!({"SecretId": "large", "ClientRequestToken": token(number), "SecretString": value});
        here.get("PutSecretValue", put).await;
    }
    let regions = json!([{"Region": "us-east-1"}]);
    here.get("ReplicateSecretToRegions", json!({"SecretId": "large", "AddReplicaRegions": regions})).await;
    server.pass(SECOND).await;
    assert_eq!(status(&here, "large", "us-east-1").await.as_deref(), Some("InSync"));
    assert_eq!(copied(&here, "large").await, copied(&there, "large").await);
    server.stop().await;
}

/// A key that is asked for is the replica's own, and so is a day on which it is read; a value that is sealed for one region is not
/// the same bytes in another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_replica_has_of_its_own_survives_what_its_primary_sends() {
    let server = TestServer::start(Engine::Memory, 4).await;
    let (here, there) = (in_region(&server, "eu-west-1"), in_region(&server, "us-east-1"));
    let create = json!({
        "Name": "a", "ClientRequestToken": token(1), "SecretString": "one", "AddReplicaRegions": [{"Region": "us-east-1"}],
    });
    here.get("CreateSecret", create).await;
    server.pass(SECOND).await;
    there.get("GetSecretValue", json!({"SecretId": "a"})).await;
    let before = there.get("DescribeSecret", json!({"SecretId": "a"})).await;
    here.get("UpdateSecret", json!({"SecretId": "a", "Description": "changed"})).await;
    server.pass(SECOND).await;
    let after = there.get("DescribeSecret", json!({"SecretId": "a"})).await;
    assert_eq!(after["Description"], "changed");
    assert_eq!(after["LastAccessedDate"], before["LastAccessedDate"]);
    assert!(before["LastAccessedDate"].is_number());
    assert_eq!(here.get("DescribeSecret", json!({"SecretId": "a"})).await.get("LastAccessedDate"), None);
    server.stop().await;
}

/// The text of a policy is in no record of the secret, and is news all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_in_place_of_another_shows_that_the_replica_is_behind() {
    let server = TestServer::start(Engine::Memory, 5).await;
    let (here, there) = (in_region(&server, "eu-west-1"), in_region(&server, "us-east-1"));
    here.get("CreateSecret", json!({"Name": "a", "AddReplicaRegions": [{"Region": "us-east-1"}]})).await;
    for (principal, expected) in
        [("444455556666", "InProgress"), ("777788889999", "InProgress"), ("777788889999", "InSync")]
    {
        let policy = here.policy(principal);
        let put = json!({"SecretId": "a", "ResourcePolicy": policy});
        here.get("PutResourcePolicy", put).await;
        assert_eq!(status(&here, "a", "us-east-1").await.as_deref(), Some(expected), "{principal}");
        server.pass(SECOND).await;
        assert_eq!(status(&here, "a", "us-east-1").await.as_deref(), Some("InSync"));
        let copied = there.get("GetResourcePolicy", json!({"SecretId": "a"})).await;
        assert_eq!(copied["ResourcePolicy"], policy);
    }
    server.stop().await;
}

/// Everything that is copied of a secret, as its own region tells it.
pub(crate) async fn copied(stage: &Stage<'_>, name: &str) -> Value {
    let id = json!({"SecretId": name});
    let mut described = stage.get("DescribeSecret", id.clone()).await;
    let members = described.as_object_mut().unwrap();
    let arn = members["ARN"].as_str().unwrap().replace(stage.client.region().as_str(), "<region>");
    members.insert("ARN".into(), arn.into());
    for own in ["ReplicationStatus", "LastAccessedDate", "KmsKeyId"] {
        members.remove(own);
    }
    let list = json!({"SecretId": name, "IncludeDeprecated": true, "MaxResults": 100});
    let listed = stage.get("ListSecretVersionIds", list).await;
    let mut versions = Vec::new();
    for version in listed["Versions"].as_array().unwrap() {
        let one = json!({"SecretId": name, "VersionId": version["VersionId"]});
        let mut value = stage.get("GetSecretValue", one).await;
        value["ARN"] = Value::Null;
        versions.push(value);
    }
    let policy = stage.get("GetResourcePolicy", id).await["ResourcePolicy"].take();
    json!({"described": described, "versions": versions, "policy": policy})
}

const NAMES: [&str; 3] = ["a", "/b", "c-d"];
const REGIONS: [&str; 3] = ["us-east-1", "us-west-2", "ap-south-1"];
const STEPS: usize = 1_200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_any_changes_every_replica_equals_its_primary() {
    follow(Engine::Memory, 20_260_102, STEPS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_any_changes_every_replica_equals_its_primary_on_the_database() {
    follow(Engine::Sqlite, 8, STEPS / 6).await;
}

/// Changes primaries at random, lets the relays run now and then, and compares.
async fn follow(engine: Engine, seed: u64, steps: usize) {
    let server = TestServer::start(engine, seed).await;
    let here = in_region(&server, "eu-west-1");
    let chance = SimEntropy::seeded(seed);
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for step in 0..steps {
        let name = NAMES[chance.below(NAMES.len())];
        let region = REGIONS[chance.below(REGIONS.len())];
        let (operation, input, at) = change(&chance, name, region);
        let stage = in_region(&server, &at);
        let reply = stage.ask(operation, &input).await;
        assert!(
            reply.status == 200 || reply.status == 400,
            "seed {seed}, {step}: {operation} {}",
            reply.body
        );
        *outcomes.entry(format!("{operation} {}", reply.status)).or_default() += 1;
        match chance.below(24) {
            0 => server.restart().await,
            1..6 => {
                // Long enough for whatever was put off, and sometimes for another day.
                server.pass(Duration::from_secs(10 + 40_000 * u64::from(chance.below(8) == 0))).await;
                server.pass(Duration::from_secs(10)).await;
                let told = compare(&server, &here, |name, region| {
                    format!("seed {seed}, step {step}: {name} in {region}")
                })
                .await;
                for status in told {
                    *outcomes.entry(status).or_default() += 1;
                }
            }
            _ => {}
        }
    }
    // A walk in which nothing is replicated, or nothing fails, shows nothing. A short one may do without failures.
    let needed = ["InSync", "StopReplicationToReplica 200", "RemoveRegionsFromReplication 200", "Failed"];
    for needed in &needed[..if steps < STEPS { 3 } else { 4 }] {
        assert!(outcomes.get(*needed).is_some_and(|times| *times > steps / 100), "{needed}: {outcomes:?}");
    }
    server.stop().await;
}

/// Compares every replica with its primary, and says what the primaries tell of them.
async fn compare(server: &TestServer, here: &Stage<'_>, place: impl Fn(&str, &str) -> String) -> Vec<String> {
    let mut told = Vec::new();
    for name in NAMES {
        for region in REGIONS {
            let there = in_region(server, region);
            let primary = here.ask("DescribeSecret", &json!({"SecretId": name})).await;
            let status = match primary.status {
                200 => status(here, name, region).await,
                _ => None,
            };
            let replica = there.ask("DescribeSecret", &json!({"SecretId": name})).await;
            let is_replica = replica.status == 200 && replica.body.get("PrimaryRegion").is_some();
            match status.as_deref() {
                Some("InSync") => {
                    assert_eq!(
                        copied(&there, name).await,
                        copied(here, name).await,
                        "{}",
                        place(name, region)
                    );
                }
                // A secret of its own had the name, and nobody has asked for the replica since.
                Some("Failed") => assert!(!is_replica, "{}: {}", place(name, region), replica.body),
                None => assert!(!is_replica, "{}: {}", place(name, region), replica.body),
                Some(other) => panic!("{}: {other}", place(name, region)),
            }
            told.extend(status);
        }
    }
    told
}

/// One change, and in which region it is asked for.
fn change(chance: &SimEntropy, name: &str, region: &str) -> (&'static str, Value, String) {
    let here = || String::from("eu-west-1");
    let id = || json!({"SecretId": name});
    let with = |member: &str, value: Value| {
        let mut input = id();
        input[member] = value;
        input
    };
    let number = 1 + chance.below(12);
    let label = ["AWSCURRENT", "AWSPENDING", "blue", "green"][chance.below(4)];
    match chance.below(20) {
        0..2 => {
            let mut create = json!({"Name": name, "ClientRequestToken": token(number), "SecretString": format!("{number}")});
            if chance.below(2) == 0 {
                create["AddReplicaRegions"] = json!([{"Region": region}]);
            }
            ("CreateSecret", create, here())
        }
        2..6 => {
            let mut put = with("ClientRequestToken", token(number).into());
            put["SecretString"] = format!("{number}").into();
            if chance.below(2) == 0 {
                put["VersionStages"] = json!([label]);
            }
            ("PutSecretValue", put, here())
        }
        6 => ("UpdateSecret", with("Description", format!("{number}").into()), here()),
        7 => ("TagResource", with("Tags", json!([{"Key": label, "Value": region}])), here()),
        8 => ("UntagResource", with("TagKeys", json!([label])), here()),
        9 => {
            let mut moved = with("VersionStage", label.into());
            moved["MoveToVersionId"] = token(number).into();
            ("UpdateSecretVersionStage", moved, here())
        }
        10 => {
            let statement = json!({
                "Effect": "Allow", "Principal": {"AWS": format!("{:0>12}", 111_111 * number)},
                "Action": "secretsmanager:GetSecretValue", "Resource": "*",
            });
            let policy = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
            ("PutResourcePolicy", with("ResourcePolicy", policy.into()), here())
        }
        11 => ("DeleteResourcePolicy", id(), here()),
        12..15 => {
            let mut replicate = with("AddReplicaRegions", json!([{"Region": region}]));
            replicate["ForceOverwriteReplicaSecret"] = (chance.below(3) == 0).into();
            ("ReplicateSecretToRegions", replicate, here())
        }
        15 => ("RemoveRegionsFromReplication", with("RemoveReplicaRegions", json!([region])), here()),
        16 => ("StopReplicationToReplica", id(), region.to_owned()),
        17 => ("GetSecretValue", id(), region.to_owned()),
        18 => ("DeleteSecret", with("ForceDeleteWithoutRecovery", true.into()), region.to_owned()),
        _ => ("DeleteSecret", with("ForceDeleteWithoutRecovery", true.into()), here()),
    }
}
