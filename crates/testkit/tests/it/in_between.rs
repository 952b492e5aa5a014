//! What is asked for while a delivery between two regions is under way, at each moment at which it can be.
//!
//! A delivery is three transactions, and an answer that it brings may be about something that is not so any more: about a replica that
//! was taken away since, or about a secret that was in the way and is not.

use std::{pin::pin, time::Duration};

use coffer_testkit::{Engine, TestServer};
use serde_json::{Value, json};

use crate::{
    replication::{copied, cut_short, in_region, status},
    stage::{Stage, token},
};

const SECOND: Duration = Duration::from_secs(1);
const HERE: &str = "eu-west-1";
const THERE: &str = "us-east-1";
/// Comes after [`HERE`] when the tasks go through the regions.
const LAST: &str = "us-west-2";

fn with(name: &str, member: &str, value: Value) -> Value {
    let mut input = json!({"SecretId": name});
    input[member] = value;
    input
}

async fn create(stage: &Stage<'_>, name: &str) {
    let create = json!({"Name": name, "ClientRequestToken": token(1), "SecretString": "one"});
    stage.get("CreateSecret", create).await;
}

async fn put(stage: &Stage<'_>, name: &str, number: usize) {
    let mut put = with(name, "SecretString", number.to_string().into());
    put["ClientRequestToken"] = token(number).into();
    stage.get("PutSecretValue", put).await;
}

async fn replicate(stage: &Stage<'_>, name: &str, region: &str, overwrites: bool) {
    let mut replicate = with(name, "AddReplicaRegions", json!([{"Region": region}]));
    replicate["ForceOverwriteReplicaSecret"] = overwrites.into();
    stage.get("ReplicateSecretToRegions", replicate).await;
}

async fn remove(stage: &Stage<'_>, name: &str, region: &str) {
    stage.get("RemoveRegionsFromReplication", with(name, "RemoveReplicaRegions", json!([region]))).await;
}

/// Time enough for everything that was put off.
async fn settle(server: &TestServer) {
    for _ in 0..4 {
        server.pass(Duration::from_secs(40)).await;
    }
}

/// Lets the tasks wait so many times for the store, has something happen, and lets them end. Whether they had ended before.
async fn meanwhile(server: &TestServer, waits: usize, happening: impl Future<Output = ()>) -> bool {
    let core = server.node().core().unwrap();
    let mut work = pin!(core.run_due_tasks());
    let ended = cut_short(&mut work, waits).await;
    happening.await;
    if !ended {
        work.await.unwrap();
    }
    ended
}

/// The day on which a replica was read is not that of the one that comes after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_of_the_replica_before_is_not_taken_for_one_of_the_new_one() {
    let server = TestServer::start(Engine::Sqlite, 1).await;
    let (here, there) = (in_region(&server, HERE), in_region(&server, THERE));
    let mut waits = 0;
    loop {
        let name = format!("read/{waits}");
        create(&here, &name).await;
        replicate(&here, &name, THERE, false).await;
        server.pass(SECOND).await;
        there.get("GetSecretValue", json!({"SecretId": name})).await;
        put(&here, &name, 2).await;
        let ended = meanwhile(&server, waits, async {
            remove(&here, &name, THERE).await;
            replicate(&here, &name, THERE, false).await;
        })
        .await;
        settle(&server).await;
        let described = here.get("DescribeSecret", json!({"SecretId": name})).await;
        let told = &described["ReplicationStatus"][0];
        assert_eq!((&told["Status"], told.get("LastAccessedDate")), (&json!("InSync"), None), "{waits}");
        assert_eq!(copied(&there, &name).await, copied(&here, &name).await, "{waits}");
        if ended {
            break;
        }
        waits += 1;
    }
    assert!(waits >= 3, "{waits}");
    server.stop().await;
}

/// What was refused because of something that has changed since is asked again, and has not failed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_that_is_out_of_date_is_not_the_last_word() {
    let server = TestServer::start(Engine::Sqlite, 2).await;
    let (here, there) = (in_region(&server, HERE), in_region(&server, THERE));
    let mut waits = 0;
    loop {
        let name = format!("taken/{waits}");
        create(&here, &name).await;
        create(&there, &name).await;
        replicate(&here, &name, THERE, false).await;
        let ended = meanwhile(&server, waits, async {
            there.get("DeleteSecret", with(&name, "ForceDeleteWithoutRecovery", true.into())).await;
            put(&here, &name, 2).await;
        })
        .await;
        settle(&server).await;
        assert_eq!(status(&here, &name, THERE).await.as_deref(), Some("InSync"), "{waits}");
        assert_eq!(copied(&there, &name).await, copied(&here, &name).await, "{waits}");
        if ended {
            break;
        }
        waits += 1;
    }
    assert!(waits >= 3, "{waits}");
    server.stop().await;
}

/// A secret that was promoted and is to be overwritten is in nobody's way, also while its former primary has not heard of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn news_of_an_earlier_replica_keep_a_new_one_waiting_for_nothing() {
    let server = TestServer::start(Engine::Memory, 3).await;
    let (here, there) = (in_region(&server, HERE), in_region(&server, THERE));
    create(&here, "a").await;
    replicate(&here, "a", THERE, false).await;
    server.pass(SECOND).await;
    there.get("StopReplicationToReplica", json!({"SecretId": "a"})).await;
    remove(&here, "a", THERE).await;
    replicate(&here, "a", THERE, true).await;
    server.pass(SECOND).await;
    assert_eq!(status(&here, "a", THERE).await.as_deref(), Some("InSync"));
    assert_eq!(copied(&there, "a").await, copied(&here, "a").await);
    server.stop().await;
}

/// Two primaries may have the end of their ARNs in common. What one of them puts in the place of the other's former replica must not
/// make the other one miss that it has lost it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_primary_hears_of_a_promotion_before_its_former_replica_is_overwritten() {
    let server = TestServer::start(Engine::Sqlite, 4).await;
    let (here, there, last) = (in_region(&server, HERE), in_region(&server, THERE), in_region(&server, LAST));
    let mut waits = 0;
    loop {
        let name = format!("related/{waits}");
        let id = json!({"SecretId": name});
        create(&here, &name).await;
        replicate(&here, &name, THERE, false).await;
        server.pass(SECOND).await;
        there.get("StopReplicationToReplica", id.clone()).await;
        settle(&server).await;
        replicate(&there, &name, LAST, false).await;
        settle(&server).await;
        last.get("StopReplicationToReplica", id.clone()).await;
        replicate(&here, &name, LAST, true).await;
        let ended = meanwhile(&server, waits, async {
            // What is read makes news too, and there is one place for the news of a secret.
            last.get("GetSecretValue", id.clone()).await;
        })
        .await;
        settle(&server).await;
        assert_eq!(status(&there, &name, LAST).await, None, "{waits}");
        assert_eq!(status(&here, &name, LAST).await.as_deref(), Some("InSync"), "{waits}");
        assert_eq!(copied(&last, &name).await, copied(&here, &name).await, "{waits}");
        if ended {
            break;
        }
        waits += 1;
    }
    assert!(waits >= 3, "{waits}");
    server.stop().await;
}
