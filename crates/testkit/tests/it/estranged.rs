//! The two sides of a link when one of them has other things in mind.

use std::time::Duration;

use coffer_store::{
    EngineError, Entry, Partition,
    testing::{Call, Fault},
};
use coffer_testkit::{Engine, TestServer};
use serde_json::{Value, json};

use crate::{
    pair::{PRIMARY, Pair, REPLICA, key_policy},
    replication::cut_short,
    stage::{ABROAD, HOME, Stage, token, unobserved},
};

/// Tables of the service, by their numbers.
const SECRETS: [u8; 2] = [0, 0x30];
const VERSIONS: [u8; 2] = [0, 0x31];

/// What an account has in a table.
fn rows(server: &TestServer, account: &str, table: [u8; 2]) -> Vec<(Partition, Entry)> {
    let mut rows = server.stored();
    rows.retain(|(place, entry)| {
        place.account.as_str() == account && entry.key.as_bytes().starts_with(&table)
    });
    rows
}

async fn spoil(server: &TestServer, rows: &[(Partition, Entry)]) {
    for (place, entry) in rows {
        let mut spoiled = entry.value.to_vec();
        *spoiled.last_mut().unwrap() ^= 1;
        server.overwrite(place, &entry.key, &spoiled);
    }
    server.restart().await;
}

fn only_over_tls() -> Value {
    json!({"Bool": {"aws:SecureTransport": "false"}})
}

/// The test speaks to the server in clear text, and what the service does for it later never leaves the process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_service_does_inside_is_not_in_clear_text() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let stage = Stage::new(&server, 0);
    let pair = Pair::linked(&stage).await;
    let deny = json!({
        "Effect": "Deny", "Principal": "*", "Action": "kms:Encrypt", "Resource": "*", "Condition": only_over_tls(),
    });
    let mut policy: Value = serde_json::from_str(&key_policy("kms:Encrypt")).unwrap();
    policy["Statement"].as_array_mut().unwrap().push(deny);
    let policy = json!({"KeyId": pair.key, "Policy": policy.to_string()});
    pair.replica.kms("PutKeyPolicy", policy).await;
    pair.put(2).await;
    pair.settle().await;
    assert_eq!(pair.statuses().await, ["InSync", "InSync"], "{}", pair.of_replica().await);
    assert!(pair.is_equal().await);

    // Nor does a role see one that is lent to the service, when it is taken on and afterwards.
    let trust = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "secretsmanager.amazonaws.com"}, "Action": "sts:AssumeRole",
        "Condition": {"Bool": {"aws:SecureTransport": "true"}},
    }]});
    let keys = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["kms:Decrypt", "kms:Encrypt"], "Resource": "*"},
        {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": only_over_tls()},
    ]});
    let (trust, keys) = (trust.to_string(), keys.to_string());
    stage.iam("CreateRole", &[("RoleName", "replicate"), ("AssumeRolePolicyDocument", &trust)]).await;
    let of_role = [("RoleName", "replicate"), ("PolicyName", "keys"), ("PolicyDocument", keys.as_str())];
    stage.iam("PutRolePolicy", &of_role).await;
    let mut link = pair.link();
    link["ReplicationRoleARN"] = format!("arn:aws:iam::{HOME}:role/replicate").into();
    stage.get("AssociateCrossAccountReplica", link).await;
    pair.put(3).await;
    pair.settle().await;
    assert_eq!(pair.statuses().await, ["InSync", "InSync"]);
    assert!(pair.is_equal().await);
    server.stop().await;
}

/// What was damaged is copied again piece by piece. Until the last one is there, each label leads to a value as soon as there is one again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_repaired_is_read_meanwhile() {
    let server = TestServer::start(Engine::Memory, 2).await;
    let stage = Stage::new(&server, 0);
    let pair = Pair::linked(&stage).await;
    let current = json!({"SecretId": REPLICA});
    let kept = json!({"SecretId": PRIMARY, "VersionStage": "label 1", "MoveToVersionId": token(1)});
    stage.get("UpdateSecretVersionStage", kept).await;
    for number in 2..=12 {
        let put = json!({
            "SecretId": PRIMARY, "ClientRequestToken": token(number), "SecretString": format!("{number:0>65000}"),
            "VersionStages": [format!("label {number}"), "AWSCURRENT"],
        });
        stage.get("PutSecretValue", put).await;
    }
    pair.settle().await;
    assert_eq!(pair.statuses().await, ["InSync", "InSync"]);
    let before = Pair::copied(&pair.replica, REPLICA).await;
    spoil(&server, &rows(&server, ABROAD, VERSIONS)).await;

    pair.associate().await;
    let mut pieces = 0;
    while pair.statuses().await != ["InSync", "InSync"] {
        {
            let core = server.node().core().unwrap();
            cut_short(core.run_due_tasks(), 0).await;
        }
        server.restart().await;
        let value = pair.replica.ask("GetSecretValue", &current).await;
        let described = pair.replica.get("DescribeSecret", current.clone()).await;
        let labels = described["VersionIdsToStages"].as_object().unwrap();
        assert_eq!(labels.len(), 12, "after {pieces} pieces: {labels:?}");
        // What is damaged is a fault of ours, and what was copied again is what it was.
        assert!([200, 500].contains(&value.status), "after {pieces} pieces: {value:?}");
        assert!(value.status == 200 || pieces == 0, "after {pieces} pieces: {value:?}");
        pieces += 1;
        assert!(pieces < 100);
    }
    assert!(pieces > 2, "{pieces}");
    assert_eq!(Pair::copied(&pair.replica, REPLICA).await, before);
    assert_eq!(server.examine(), []);
    server.stop().await;
}

/// Whoever has the replica cannot hold up a write of the primary: nothing over there is looked at or changed by it. The copying tells both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writing_a_primary_touches_nothing_of_the_other_account() {
    let server = TestServer::start(Engine::Memory, 3).await;
    let stage = Stage::new(&server, 0);
    let pair = Pair::linked(&stage).await;
    let head = |account: &str| {
        let core = server.node().core().unwrap();
        let place = Partition::new(account.parse().unwrap(), stage.client.region().clone());
        core.db().engine().head(&[place]).unwrap()
    };
    let before = [head(HOME), head(ABROAD)];
    let put = json!({"SecretId": PRIMARY, "ClientRequestToken": token(2), "SecretString": "two"});
    stage.get("PutSecretValue", put).await;
    let after = [head(HOME), head(ABROAD)];
    assert!(before[0] < after[0] && before[1] == after[1], "{before:?} {after:?}");
    assert_eq!(pair.statuses().await, ["InProgress", "InSync"]);
    assert_eq!(server.examine(), []);

    // Nor does it matter what state that is in.
    spoil(&server, &rows(&server, ABROAD, SECRETS)).await;
    pair.put(3).await;
    pair.settle().await;
    let delayed = json!("Replication is delayed and will be tried again.");
    assert_eq!(pair.of_primary().await["StatusMessage"], delayed);
    server.stop().await;
}

/// A replica that does not open any more can be told nothing, ever, and the primary is let go all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_is_let_go_by_a_replica_that_is_damaged() {
    let server = TestServer::start(Engine::Memory, 4).await;
    let stage = Stage::new(&server, 0);
    let pair = Pair::linked(&stage).await;
    spoil(&server, &rows(&server, ABROAD, SECRETS)).await;
    pair.disassociate().await;
    assert_eq!(pair.of_primary().await, Value::Null);
    stage.get("DeleteSecret", json!({"SecretId": PRIMARY})).await;
    server.stop().await;
}

/// Whether a key is the default one is found out without making that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_is_made_without_a_default_key() {
    let server = TestServer::start(Engine::Memory, 5).await;
    let stage = Stage::new(&server, 0);
    let pair = Pair::on(&stage).await;
    let keys = pair.replica.kms("ListKeys", json!({})).await;
    assert_eq!(keys["Keys"].as_array().unwrap().len(), 1, "{keys}");
    let told = |event: &String| {
        let event: Value = serde_json::from_str(event).unwrap();
        let is_of_key = event["eventSource"] == "kms.amazonaws.com" && event["recipientAccountId"] == ABROAD;
        is_of_key.then(|| event["eventName"].as_str().unwrap().to_owned())
    };
    let mut events: Vec<String> = server.audit().await.iter().filter_map(told).collect();
    events.sort_unstable();
    assert_eq!(events, ["CreateKey", "Decrypt", "GenerateDataKey", "ListKeys"]);

    // Once there is one, it is known by every name.
    let metadata = pair.replica.kms("DescribeKey", json!({"KeyId": "alias/aws/secretsmanager"})).await;
    for name in ["KeyId", "Arn"] {
        let key = &metadata["KeyMetadata"][name];
        let create = json!({"Name": "other", "KmsKeyId": key, "CrossAccountPrimaryARN": pair.primary_arn});
        let refused = pair.replica.ask("CreateSecret", &create).await;
        assert_eq!(
            refused.message(),
            "A cross-account replica secret must be encrypted with a customer managed KMS key."
        );
    }
    server.stop().await;
}

/// Whatever fails for a moment while a primary lets go: both sides are let go, or neither is and the caller is told to ask again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letting_go_is_done_on_both_sides_or_on_neither() {
    let server = TestServer::start(Engine::Memory, 6).await;
    let stage = Stage::new(&server, 0);
    let pair = Pair::linked(&stage).await;
    let let_go = json!({"SecretId": PRIMARY, "CrossAccountReplicaARN": pair.replica_arn});
    let candid = Stage { server: &server, client: unobserved(&server, &stage.client) };
    for call in [Call::Get, Call::Commit] {
        let mut refused = 0;
        for nth in 1.. {
            // Whatever is in memory is not asked for.
            server.restart().await;
            server.engine().fail(call, nth, Fault::Before(EngineError::unavailable("for a moment")));
            let reply = candid.ask("DisassociateCrossAccountReplica", &let_go).await;
            let has_failed = server.engine().relent();
            let statuses = pair.statuses().await;
            let what = format!("{call:?} {nth}: {reply:?}");
            if reply.status == 200 {
                assert_eq!(statuses, [Value::Null, json!("Detached")], "{what}");
                pair.associate().await;
                pair.settle().await;
            } else {
                assert_eq!(statuses, ["InSync", "InSync"], "{what}");
                refused += 1;
            }
            if !has_failed {
                break;
            }
        }
        assert!(refused > 0, "{call:?}");
    }
    assert_eq!(server.examine(), []);
    server.stop().await;
}

/// Of two links one cannot be committed. It waits, and the other does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_not_committed_waits_alone() {
    let server = TestServer::start(Engine::Memory, 7).await;
    let stage = Stage::new(&server, 0);
    let pair = Pair::linked(&stage).await;
    let create = json!({"Name": "other", "ClientRequestToken": token(1), "SecretString": "one"});
    let other = stage.get("CreateSecret", create).await["ARN"].as_str().unwrap().to_owned();
    let copy = pair.new_replica("copy", &other).await;
    let link =
        json!({"SecretId": "other", "CrossAccountReplicaARN": copy, "ReplicaRestriction": "NoRestriction"});
    stage.get("AssociateCrossAccountReplica", link).await;
    pair.settle().await;

    pair.put(2).await;
    let put = json!({"SecretId": "other", "ClientRequestToken": token(2), "SecretString": "two"});
    stage.get("PutSecretValue", put).await;
    let fault = EngineError::unavailable("for the first one that comes");
    server.engine().fail(Call::Commit, 1, Fault::Before(fault));
    pair.settle().await;
    assert!(server.engine().relent());
    let shown = stage.get("DescribeSecret", json!({"SecretId": "other"})).await;
    assert_eq!(shown["CrossAccountReplicas"][0]["ReplicationStatus"], "InSync");
    let of_primary = pair.of_primary().await;
    assert_eq!(of_primary["ReplicationStatus"], "InProgress");
    assert_eq!(of_primary["StatusMessage"], "Replication is delayed and will be tried again.");
    assert_eq!(server.examine(), []);

    server.pass(Duration::from_secs(30)).await;
    assert_eq!(pair.statuses().await, ["InSync", "InSync"]);
    assert!(pair.is_equal().await);
    server.stop().await;
}
