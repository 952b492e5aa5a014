//! What callers do to a secret while something between its regions is still under way.
//!
//! A replica, its primary and the news between them are changed in transactions of their own, so callers see every state in between
//! and act on it. Wherever that falls, each side has to come to what the callers asked for, in the order in which they did.

use std::{pin::pin, time::Duration};

use coffer_store::{Dir, Key, KeyRange, Partition, Read, Txn, TxnToken, Write};
use coffer_testkit::{Engine, TestServer};
use serde_json::{Value, json};

use crate::{
    replication::{copied, cut_short, in_region, status},
    stage::{Stage, token},
};

const SECOND: Duration = Duration::from_secs(1);
const THERE: &str = "us-east-1";

fn id(name: &str) -> Value {
    json!({"SecretId": name})
}

/// A secret with a replica that is in sync.
async fn replicated(here: &Stage<'_>, name: &str) {
    let create = json!({
        "Name": name, "ClientRequestToken": token(1), "SecretString": "one", "AddReplicaRegions": [{"Region": THERE}],
    });
    here.get("CreateSecret", create).await;
    here.server.pass(SECOND).await;
    assert_eq!(status(here, name, THERE).await.as_deref(), Some("InSync"));
}

async fn put(here: &Stage<'_>, name: &str, number: usize) {
    let value = format!("{number}");
    let put = json!({"SecretId": name, "ClientRequestToken": token(number), "SecretString": value});
    here.get("PutSecretValue", put).await;
}

async fn replicate(primary: &Stage<'_>, name: &str, region: &str, overwrites: bool) {
    let regions = json!([{"Region": region}]);
    let replicate =
        json!({"SecretId": name, "AddReplicaRegions": regions, "ForceOverwriteReplicaSecret": overwrites});
    primary.get("ReplicateSecretToRegions", replicate).await;
}

async fn remove(primary: &Stage<'_>, name: &str, region: &str) {
    let remove = json!({"SecretId": name, "RemoveReplicaRegions": [region]});
    primary.get("RemoveRegionsFromReplication", remove).await;
}

/// Time enough for everything that was put off.
async fn settle(server: &TestServer) {
    for _ in 0..4 {
        server.pass(Duration::from_secs(40)).await;
    }
}

async fn message(primary: &Stage<'_>, name: &str, region: &str) -> Option<String> {
    let described = primary.get("DescribeSecret", id(name)).await;
    let statuses = described["ReplicationStatus"].as_array()?;
    let status = statuses.iter().find(|status| status["Region"] == region)?;
    status["StatusMessage"].as_str().map(str::to_owned)
}

async fn is_replica(stage: &Stage<'_>, name: &str) -> bool {
    let described = stage.ask("DescribeSecret", &id(name)).await;
    described.body.get("PrimaryRegion").is_some_and(|primary| *primary != stage.client.region().as_str())
}

/// The news of a promotion are about the replica that was promoted. What was asked for since is another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_is_asked_for_again_is_not_dropped_by_news_of_an_earlier_replica() {
    for (there_is_first, overwrites) in [(false, false), (false, true), (true, false), (true, true)] {
        let server = TestServer::start(Engine::Memory, 1).await;
        let (here, there) = (in_region(&server, "eu-west-1"), in_region(&server, THERE));
        if there_is_first {
            // The tasks visit regions in the order in which they came up.
            there.get("CreateSecret", json!({"Name": "first"})).await;
        }
        replicated(&here, "a").await;
        there.get("StopReplicationToReplica", id("a")).await;
        remove(&here, "a", THERE).await;
        replicate(&here, "a", THERE, overwrites).await;
        settle(&server).await;
        let told = (status(&here, "a", THERE).await, message(&here, "a", THERE).await);
        let expected = if overwrites {
            ("InSync", "Replication succeeded")
        } else {
            ("Failed", "Replication failed: Secret name a already exists in region us-east-1.")
        };
        let case = format!("{there_is_first} {overwrites}");
        assert_eq!(told, (Some(expected.0.into()), Some(expected.1.into())), "{case}");
        assert_eq!(is_replica(&there, "a").await, overwrites, "{case}");
        server.stop().await;
    }
}

/// Nothing of the old replica is left in a new one, although the removal had not even begun.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_is_removed_and_asked_for_again_gets_a_new_replica() {
    let server = TestServer::start(Engine::Memory, 2).await;
    let (here, there) = (in_region(&server, "eu-west-1"), in_region(&server, THERE));
    replicated(&here, "a").await;
    there.get("GetSecretValue", id("a")).await;
    server.pass(SECOND).await;
    let shown = async || here.get("DescribeSecret", id("a")).await["ReplicationStatus"][0].take();
    assert!(shown().await["LastAccessedDate"].is_number());
    remove(&here, "a", THERE).await;
    replicate(&here, "a", THERE, false).await;
    assert_eq!(shown().await.get("LastAccessedDate"), None);
    settle(&server).await;
    assert_eq!(shown().await["Status"], "InSync");
    assert_eq!(shown().await.get("LastAccessedDate"), None);
    assert_eq!(there.get("DescribeSecret", id("a")).await.get("LastAccessedDate"), None);
    assert_eq!(copied(&here, "a").await, copied(&there, "a").await);
    server.stop().await;
}

/// A promoted replica is a primary like any other, and has the end of the ARN in common with the secret that it came from.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_replica_of_another_primary_stays_although_its_arn_is_the_same() {
    let server = TestServer::start(Engine::Memory, 3).await;
    let (here, there) = (in_region(&server, "eu-west-1"), in_region(&server, THERE));
    let third = in_region(&server, "ap-south-1");
    replicated(&here, "a").await;
    there.get("StopReplicationToReplica", id("a")).await;
    settle(&server).await;
    replicate(&there, "a", "ap-south-1", false).await;
    settle(&server).await;
    assert!(is_replica(&third, "a").await);
    replicate(&here, "a", "ap-south-1", true).await;
    settle(&server).await;
    let taken =
        "Replication failed: Secret name a is currently replicated to ap-south-1 with a different arn";
    assert_eq!(message(&here, "a", "ap-south-1").await.as_deref(), Some(taken));
    remove(&here, "a", "ap-south-1").await;
    settle(&server).await;
    assert!(is_replica(&third, "a").await, "it belongs to {THERE}");
    assert_eq!(status(&there, "a", "ap-south-1").await.as_deref(), Some("InSync"));
    server.stop().await;
}

/// A secret that goes without anybody having named it has to be found in the record of its region.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_a_replica_takes_the_place_of_is_on_record() {
    let server = TestServer::start(Engine::Memory, 4).await;
    let (here, there) = (in_region(&server, "eu-west-1"), in_region(&server, THERE));
    let create = json!({"Name": "a", "ClientRequestToken": token(9), "SecretString": "of its own"});
    let overwritten = there.get("CreateSecret", create.clone()).await["ARN"].take();
    here.get("CreateSecret", create).await;
    replicate(&here, "a", THERE, true).await;
    settle(&server).await;
    assert_eq!(status(&here, "a", THERE).await.as_deref(), Some("InSync"));
    let events: Vec<Value> =
        server.audit().await.iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    let gone = events.iter().filter(|event| event["eventName"] == "EndSecretVersionDelete");
    let gone: Vec<_> =
        gone.map(|event| (&event["awsRegion"], &event["additionalEventData"]["SecretId"])).collect();
    assert_eq!(gone, [(&json!(THERE), &overwritten)]);
    server.stop().await;
}

fn secrets_of(server: &TestServer, region: &str) -> (Partition, Vec<Key>) {
    let partition = Partition::new("111122223333".parse().unwrap(), region.parse().unwrap());
    let core = server.node().core().unwrap();
    let range = KeyRange::prefix(&0x30_u16.to_be_bytes());
    let page = core.db().engine().scan(&partition, &range, Dir::Forward, 10, Read::Latest).unwrap();
    (partition, page.entries.into_iter().map(|entry| entry.key).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_does_not_open_keeps_no_other_from_its_replicas() {
    let server = TestServer::start(Engine::Memory, 5).await;
    let (here, there) = (in_region(&server, "eu-west-1"), in_region(&server, THERE));
    for name in ["damaged", "good"] {
        here.get("CreateSecret", json!({"Name": name, "AddReplicaRegions": [{"Region": THERE}]})).await;
        if name == "damaged" {
            let (partition, keys) = secrets_of(&server, "eu-west-1");
            let [key] = keys.try_into().unwrap();
            let mut txn = Txn::new(partition, TxnToken([7; 16]));
            txn.writes = vec![Write::Put { key, value: vec![0, 1, 2, 3].into() }];
            server.node().core().unwrap().db().engine().commit(&[txn]).unwrap();
        }
    }
    server.restart().await;
    settle(&server).await;
    assert!(!is_replica(&there, "damaged").await);
    assert_eq!(status(&here, "good", THERE).await.as_deref(), Some("InSync"));
    server.stop().await;
}

/// What callers do in the middle of a delivery.
#[derive(Debug, Clone, Copy)]
enum Meanwhile {
    AnotherValue,
    Promotion,
    Removal,
    Renewal,
    PromotionAndRenewal { overwrites: bool },
    RemovalAndDeletion,
    Reading,
}

impl Meanwhile {
    async fn happen(self, here: &Stage<'_>, there: &Stage<'_>, name: &str) {
        match self {
            Self::AnotherValue => put(here, name, 3).await,
            Self::Promotion => drop(there.get("StopReplicationToReplica", id(name)).await),
            Self::Removal => remove(here, name, THERE).await,
            Self::Renewal => {
                remove(here, name, THERE).await;
                replicate(here, name, THERE, false).await;
            }
            Self::PromotionAndRenewal { overwrites } => {
                there.get("StopReplicationToReplica", id(name)).await;
                remove(here, name, THERE).await;
                replicate(here, name, THERE, overwrites).await;
            }
            Self::RemovalAndDeletion => {
                remove(here, name, THERE).await;
                let delete = json!({"SecretId": name, "ForceDeleteWithoutRecovery": true});
                here.get("DeleteSecret", delete).await;
            }
            Self::Reading => drop(there.get("GetSecretValue", id(name)).await),
        }
    }

    async fn check(self, here: &Stage<'_>, there: &Stage<'_>, name: &str, case: &str) {
        let there_is = there.ask("DescribeSecret", &id(name)).await.status == 200;
        let expected = match self {
            Self::RemovalAndDeletion => return assert!(!there_is, "{case}"),
            Self::AnotherValue | Self::Renewal | Self::Reading => Some("InSync"),
            Self::PromotionAndRenewal { overwrites: true } => Some("InSync"),
            Self::PromotionAndRenewal { overwrites: false } => Some("Failed"),
            Self::Promotion | Self::Removal => None,
        };
        assert_eq!(status(here, name, THERE).await.as_deref(), expected, "{case}");
        assert_eq!(is_replica(there, name).await, expected == Some("InSync"), "{case}");
        assert_eq!(there_is, !matches!(self, Self::Removal), "{case}");
        if expected == Some("InSync") {
            assert_eq!(copied(here, name).await, copied(there, name).await, "{case}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_in_the_middle_of_a_delivery_happens() {
    let server = TestServer::start(Engine::Sqlite, 6).await;
    let (here, there) = (in_region(&server, "eu-west-1"), in_region(&server, THERE));
    for meanwhile in [
        Meanwhile::AnotherValue,
        Meanwhile::Promotion,
        Meanwhile::Removal,
        Meanwhile::Renewal,
        Meanwhile::PromotionAndRenewal { overwrites: false },
        Meanwhile::PromotionAndRenewal { overwrites: true },
        Meanwhile::RemovalAndDeletion,
        Meanwhile::Reading,
    ] {
        let mut waits = 0;
        loop {
            let name = format!("{}/{waits}", format!("{meanwhile:?}").replace([' ', '{', '}', ':'], ""));
            replicated(&here, &name).await;
            put(&here, &name, 2).await;
            let ended = {
                let core = server.node().core().unwrap();
                let mut work = pin!(core.run_due_tasks());
                let ended = cut_short(&mut work, waits).await;
                meanwhile.happen(&here, &there, &name).await;
                if !ended {
                    work.await.unwrap();
                }
                ended
            };
            settle(&server).await;
            meanwhile.check(&here, &there, &name, &name).await;
            if ended {
                break;
            }
            waits += 1;
        }
        assert!(waits >= 3, "{meanwhile:?}: {waits}");
    }
    server.stop().await;
}
