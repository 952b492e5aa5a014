//! Replicas with which something is wrong: what is shown of them, and the way back.

use std::time::Duration;

use coffer_store::{Dir, Entry, KeyRange, Partition, Read, Txn, TxnToken, Write};
use coffer_testkit::{Engine, TestServer};
use coffer_types::Entropy;
use serde_json::{Value, json};

use crate::{
    replication::{copied, in_region, status},
    stage::{Stage, token},
};

const SECOND: Duration = Duration::from_secs(1);
const HERE: &str = "eu-west-1";
const THERE: &str = "us-east-1";
const THIRD: &str = "ap-south-1";
/// Tables of the service, by their numbers.
const VERSIONS: u16 = 0x31;
const REPLICAS: u16 = 0x34;

fn id() -> Value {
    json!({"SecretId": "a"})
}

fn with(member: &str, value: Value) -> Value {
    let mut input = id();
    input[member] = value;
    input
}

async fn create(primary: &Stage<'_>, regions: &[&str]) {
    let regions: Vec<Value> = regions.iter().map(|region| json!({"Region": region})).collect();
    let mut create = json!({"Name": "a", "ClientRequestToken": token(1), "SecretString": "one"});
    if !regions.is_empty() {
        create["AddReplicaRegions"] = regions.into();
    }
    primary.get("CreateSecret", create).await;
}

async fn put(primary: &Stage<'_>, number: usize) {
    let put =
        json!({"SecretId": "a", "ClientRequestToken": token(number), "SecretString": number.to_string()});
    primary.get("PutSecretValue", put).await;
}

async fn replicate(primary: &Stage<'_>, region: &str, overwrites: bool) {
    let mut replicate = with("AddReplicaRegions", json!([{"Region": region}]));
    replicate["ForceOverwriteReplicaSecret"] = overwrites.into();
    primary.get("ReplicateSecretToRegions", replicate).await;
}

async fn remove(primary: &Stage<'_>, region: &str) {
    primary.get("RemoveRegionsFromReplication", with("RemoveReplicaRegions", json!([region]))).await;
}

async fn told(primary: &Stage<'_>, region: &str) -> Option<(String, String)> {
    let described = primary.get("DescribeSecret", id()).await;
    let statuses = described["ReplicationStatus"].as_array()?;
    let status = statuses.iter().find(|status| status["Region"] == region)?;
    let text = |member: &str| status[member].as_str().unwrap_or_default().to_owned();
    Some((text("Status"), text("StatusMessage")))
}

/// Time enough for everything that was put off.
async fn settle(server: &TestServer) {
    for _ in 0..4 {
        server.pass(Duration::from_secs(40)).await;
    }
}

fn rows(server: &TestServer, table: u16) -> Vec<Entry> {
    let core = server.node().core().unwrap();
    let range = KeyRange::prefix(&table.to_be_bytes());
    core.db().engine().scan(&partition(), &range, Dir::Forward, 100, Read::Latest).unwrap().entries
}

fn partition() -> Partition {
    Partition::new("111122223333".parse().unwrap(), HERE.parse().unwrap())
}

/// Writes below everybody's back, and lets the server forget what it remembers.
async fn write(server: &TestServer, write: Write) {
    let mut token = [0; 16];
    server.world().entropy.fill(&mut token);
    let mut txn = Txn::new(partition(), TxnToken(token));
    txn.writes = vec![write];
    server.node().core().unwrap().db().engine().commit(&[txn]).unwrap();
    server.restart().await;
}

async fn damage(server: &TestServer, row: &Entry) {
    write(server, Write::Put { key: row.key.clone(), value: vec![0, 1, 2, 3].into() }).await;
}

/// What the caller can do about a replica whose record is damaged.
#[derive(Debug, Clone, Copy)]
enum WayOut {
    Removal,
    Renewal,
    Promotion,
    Deletion,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_record_of_a_replica_is_shown_and_can_be_removed_or_replaced() {
    for way_out in [WayOut::Removal, WayOut::Renewal, WayOut::Promotion, WayOut::Deletion] {
        let server = TestServer::start(Engine::Memory, 1).await;
        let (here, there) = (in_region(&server, HERE), in_region(&server, THERE));
        let third = in_region(&server, THIRD);
        create(&here, &[THERE]).await;
        let [row] = rows(&server, REPLICAS).try_into().unwrap();
        replicate(&here, THIRD, false).await;
        settle(&server).await;
        damage(&server, &row).await;

        let (is, because) = told(&here, THERE).await.unwrap();
        assert_eq!(is, "Failed");
        assert!(because.starts_with("Replication failed: ") && because.contains("damaged"), "{because}");
        // The secret and its other replicas go on.
        put(&here, 2).await;
        here.get("PutResourcePolicy", with("ResourcePolicy", here.policy("444455556666").into())).await;
        here.get("PutResourcePolicy", with("ResourcePolicy", here.policy("777788889999").into())).await;
        settle(&server).await;
        assert_eq!(copied(&third, "a").await, copied(&here, "a").await);
        assert_eq!(there.get("GetSecretValue", id()).await["SecretString"], "one");

        match way_out {
            WayOut::Removal => {
                remove(&here, THERE).await;
                assert_eq!(told(&here, THERE).await, None);
                settle(&server).await;
                assert_eq!(there.ask("DescribeSecret", &id()).await.code(), "ResourceNotFoundException");
                assert_eq!(rows(&server, REPLICAS).len(), 1, "the one in {THIRD}");
            }
            WayOut::Renewal => {
                replicate(&here, THERE, false).await;
                assert_eq!(told(&here, THERE).await.unwrap().0, "InProgress");
                settle(&server).await;
                assert_eq!(told(&here, THERE).await.unwrap().0, "InSync");
                assert_eq!(copied(&there, "a").await, copied(&here, "a").await);
            }
            WayOut::Promotion => {
                there.get("StopReplicationToReplica", id()).await;
                settle(&server).await;
                assert_eq!(told(&here, THERE).await.unwrap().0, "Failed", "nobody knows which one it was");
                remove(&here, THERE).await;
                settle(&server).await;
                assert_eq!(there.get("DescribeSecret", id()).await.get("PrimaryRegion"), None);
                assert_eq!(told(&here, THERE).await, None);
            }
            WayOut::Deletion => {
                remove(&here, THERE).await;
                remove(&here, THIRD).await;
                here.get("DeleteSecret", with("ForceDeleteWithoutRecovery", true.into())).await;
                settle(&server).await;
                for region in [&there, &third] {
                    assert_eq!(region.ask("DescribeSecret", &id()).await.code(), "ResourceNotFoundException");
                }
                assert_eq!(rows(&server, REPLICAS).len(), 0);
            }
        }
        server.stop().await;
    }
}

/// Whoever allowed a secret to be overwritten allowed it once: not of one that is made there after the attempt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_permission_to_overwrite_ends_with_the_attempt_that_it_was_given_for() {
    let server = TestServer::start(Engine::Memory, 2).await;
    let (here, there) = (in_region(&server, HERE), in_region(&server, THERE));
    // One with replicas of its own is not overwritten, so the attempt fails.
    create(&there, &[THIRD]).await;
    create(&here, &[]).await;
    replicate(&here, THERE, true).await;
    settle(&server).await;
    assert_eq!(status(&here, "a", THERE).await.as_deref(), Some("Failed"));
    // Later somebody has another secret of that name there, and the primary changes.
    remove(&there, THIRD).await;
    settle(&server).await;
    put(&here, 2).await;
    settle(&server).await;
    let taken = "Replication failed: Secret name a already exists in region us-east-1.";
    assert_eq!(told(&here, THERE).await, Some(("Failed".into(), taken.into())));
    assert_eq!(there.get("GetSecretValue", id()).await["SecretString"], "one");
    assert_eq!(there.get("DescribeSecret", id()).await.get("PrimaryRegion"), None);
    // Asked for once more, it is allowed once more.
    replicate(&here, THERE, true).await;
    settle(&server).await;
    assert_eq!(copied(&there, "a").await, copied(&here, "a").await);
    server.stop().await;
}

/// A replica that is put off after a fault of ours is tried at once when somebody asks for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asking_again_ends_the_wait_after_a_fault() {
    let server = TestServer::start(Engine::Memory, 3).await;
    let (here, there) = (in_region(&server, HERE), in_region(&server, THERE));
    create(&here, &[]).await;
    let [value] = rows(&server, VERSIONS).try_into().unwrap();
    damage(&server, &value).await;
    replicate(&here, THERE, false).await;
    // Long enough for a wait of many minutes.
    for _ in 0..8 {
        server.pass(Duration::from_secs(600)).await;
    }
    assert_eq!(status(&here, "a", THERE).await.as_deref(), Some("InProgress"));
    write(&server, Write::Put { key: value.key, value: value.value }).await;
    server.pass(SECOND).await;
    assert_eq!(status(&here, "a", THERE).await.as_deref(), Some("InProgress"), "it waits");
    let before = here.get("DescribeSecret", id()).await;
    replicate(&here, THERE, false).await;
    assert_eq!(here.get("DescribeSecret", id()).await, before, "nothing of the secret has changed");
    server.pass(SECOND).await;
    assert_eq!(status(&here, "a", THERE).await.as_deref(), Some("InSync"));
    assert_eq!(copied(&there, "a").await, copied(&here, "a").await);
    server.stop().await;
}

/// A rotation that ends because a replica takes the place of its secret is on record like any that ends before its time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overwriting_a_secret_that_is_in_rotation_abandons_the_rotation() {
    for rotates in [true, false] {
        let server = TestServer::start(Engine::Memory, 4).await;
        let (here, there) = (in_region(&server, HERE), in_region(&server, THERE));
        create(&there, &[]).await;
        create(&here, &[]).await;
        let overwritten = there.get("DescribeSecret", id()).await["ARN"].take();
        if rotates {
            there.get("RotateSecret", there.rotation("a", 7)).await;
        }
        replicate(&here, THERE, true).await;
        settle(&server).await;
        assert_eq!(status(&here, "a", THERE).await.as_deref(), Some("InSync"));
        let events: Vec<Value> =
            server.audit().await.iter().map(|event| serde_json::from_str(event).unwrap()).collect();
        let abandoned = events.iter().filter(|event| event["eventName"] == "RotationAbandoned");
        let abandoned: Vec<_> =
            abandoned.map(|event| (&event["awsRegion"], &event["additionalEventData"]["SecretId"])).collect();
        let expected: &[_] = if rotates { &[(&json!(THERE), &overwritten)] } else { &[] };
        assert_eq!(abandoned, expected);
        server.stop().await;
    }
}

/// One transaction holds sixteen values, and a new replica begins with none, although the old one had all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_of_many_values_is_renewed_with_all_of_them() {
    const VALUES: usize = 40;
    let server = TestServer::start(Engine::Sqlite, 5).await;
    let (here, there) = (in_region(&server, HERE), in_region(&server, THERE));
    create(&here, &[]).await;
    for number in 2..=VALUES {
        put(&here, number).await;
    }
    replicate(&here, THERE, false).await;
    server.pass(SECOND).await;
    assert_eq!(copied(&there, "a").await, copied(&here, "a").await);
    let key = |described: Value| described["ReplicationStatus"][0]["KmsKeyId"].clone();
    for round in 0..2 {
        remove(&here, THERE).await;
        if round == 1 {
            // The old one has gone before the new one is asked for.
            settle(&server).await;
            assert_eq!(there.ask("DescribeSecret", &id()).await.code(), "ResourceNotFoundException");
        }
        let regions = json!([{"Region": THERE, "KmsKeyId": "alias/aws/secretsmanager"}]);
        here.get("ReplicateSecretToRegions", with("AddReplicaRegions", regions)).await;
        // It is not in sync before it has all of them.
        server.pass(SECOND).await;
        assert_eq!(status(&here, "a", THERE).await.as_deref(), Some("InSync"), "{round}");
        assert_eq!(copied(&there, "a").await, copied(&here, "a").await, "{round}");
        assert_eq!(key(here.get("DescribeSecret", id()).await), "alias/aws/secretsmanager");
    }
    let listed = there
        .get("ListSecretVersionIds", json!({"SecretId": "a", "IncludeDeprecated": true, "MaxResults": 100}))
        .await;
    assert_eq!(listed["Versions"].as_array().unwrap().len(), VALUES);
    server.stop().await;
}
