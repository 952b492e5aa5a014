//! A replica in another account follows its primary, whatever happens to the two and whenever the process ends.

use std::{collections::BTreeMap, time::Duration};

use coffer_model::sts;
use coffer_testkit::{Engine, SimEntropy, TestServer};
use serde_json::{Value, json};

use crate::{
    pair::{PRIMARY, Pair, REPLICA},
    replication::cut_short,
    sessions,
    stage::{ABROAD, Stage, token},
};

const SECOND: Duration = Duration::from_secs(1);

/// Both sides show the same, but for what has not begun: the replica has not heard of it.
fn agree(of_primary: &Value, of_replica: &Value) -> bool {
    of_primary == of_replica
        || (of_primary == "InProgress"
            && ["InSync", "Failed"].contains(&of_replica.as_str().unwrap_or_default()))
}

fn put(number: usize) -> Value {
    json!({"SecretId": PRIMARY, "ClientRequestToken": token(number), "SecretString": number.to_string()})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_ends_anywhere_copies_after_all_and_both_sides_agree() {
    let server = TestServer::start(Engine::Sqlite, 1).await;
    let mut waits = 0;
    loop {
        let stage = Stage::new(&server, waits);
        let pair = Pair::on(&stage).await;
        pair.associate().await;
        pair.put(2).await;
        let ended = {
            let core = server.node().core().unwrap();
            cut_short(core.run_due_tasks(), waits).await
        };
        server.restart().await;
        let [of_primary, of_replica] = pair.statuses().await;
        assert!(agree(&of_primary, &of_replica), "{of_primary} {of_replica} after {waits} waits");
        assert_eq!(of_primary == "InSync", pair.is_equal().await, "after {waits} waits");
        pair.settle().await;
        assert_eq!(pair.statuses().await, ["InSync", "InSync"], "after {waits} waits");
        assert!(pair.is_equal().await);
        if ended {
            break;
        }
        waits += 1;
    }
    assert!(waits >= 1, "{waits}");
    server.stop().await;
}

/// More than one transaction holds: twenty labelled versions of nearly the largest size are more than a mebibyte. Until the last value is
/// there, the labels of the replica are what they were.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_versions_arrive_in_pieces_and_their_labels_at_once() {
    let server = TestServer::start(Engine::Sqlite, 2).await;
    let stage = Stage::new(&server, 0);
    let pair = Pair::linked(&stage).await;
    let before = Pair::copied(&pair.replica, REPLICA).await;
    for number in 2..=20 {
        let mut put = put(number);
        put["SecretString"] = format!("{number:0>65535}").into();
        put["VersionStages"] = json!([format!("label {number}")]);
        stage.get("PutSecretValue", put).await;
    }
    let mut pieces = 0;
    while pair.statuses().await != ["InSync", "InSync"] {
        {
            let core = server.node().core().unwrap();
            cut_short(core.run_due_tasks(), 0).await;
        }
        server.restart().await;
        // Nobody ever sees a part of it.
        let now = Pair::copied(&pair.replica, REPLICA).await;
        assert!(now == before || pair.is_equal().await, "after {pieces} pieces");
        pieces += 1;
        assert!(pieces < 100);
    }
    assert!(pieces > 3, "{pieces}");
    assert!(pair.is_equal().await);
    server.stop().await;
}

/// A value of the primary that does not open is a fault of ours. It holds up its own link, says so on both sides, and no other link.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_is_damaged_holds_up_one_link_and_no_other() {
    let server = TestServer::start(Engine::Memory, 3).await;
    let stage = Stage::new(&server, 0);
    let pair = Pair::linked(&stage).await;
    let create = json!({"Name": "other", "ClientRequestToken": token(1), "SecretString": "one"});
    let other = stage.get("CreateSecret", create).await["ARN"].as_str().unwrap().to_owned();
    let copy = pair.new_replica("copy", &other).await;
    let link =
        json!({"SecretId": "other", "CrossAccountReplicaARN": copy, "ReplicaRestriction": "NoRestriction"});
    stage.get("AssociateCrossAccountReplica", link).await;

    let versions = |server: &TestServer| {
        let of_table = |(_, entry): &(_, coffer_store::Entry)| entry.key.as_bytes().starts_with(&[0, 0x31]);
        server.stored().into_iter().filter(of_table).collect::<Vec<_>>()
    };
    let before = versions(&server);
    pair.put(2).await;
    let new: Vec<_> = versions(&server).into_iter().filter(|row| !before.contains(row)).collect();
    let [(place, entry)] = new.as_slice() else { panic!("{new:?}") };
    let mut spoiled = entry.value.to_vec();
    *spoiled.last_mut().unwrap() ^= 1;
    server.overwrite(place, &entry.key, &spoiled);
    server.restart().await;

    pair.settle().await;
    let delayed = "Replication is delayed and will be tried again.";
    for shown in [pair.of_primary().await, pair.of_replica().await] {
        assert_eq!(
            (&shown["ReplicationStatus"], &shown["StatusMessage"]),
            (&json!("InProgress"), &json!(delayed))
        );
    }
    let shown = stage.get("DescribeSecret", json!({"SecretId": "other"})).await;
    assert_eq!(shown["CrossAccountReplicas"][0]["ReplicationStatus"], "InSync");
    let value = pair.replica.get("GetSecretValue", json!({"SecretId": "copy"})).await;
    assert_eq!(value["SecretString"], "one");

    // Whole again, it is copied when its time has come.
    server.overwrite(place, &entry.key, &entry.value);
    server.restart().await;
    for _ in 0..4 {
        server.pass(Duration::from_secs(1800)).await;
    }
    assert_eq!(pair.statuses().await, ["InSync", "InSync"]);
    assert!(pair.is_equal().await);
    server.stop().await;
}

/// What the replica has lost is copied again when somebody associates the two once more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_association_once_more_repairs_a_replica() {
    let server = TestServer::start(Engine::Memory, 6).await;
    let stage = Stage::new(&server, 0);
    let pair = Pair::linked(&stage).await;
    let value = server
        .stored()
        .into_iter()
        .find(|(place, entry)| {
            place.account.as_str() == ABROAD && entry.key.as_bytes().starts_with(&[0, 0x31])
        })
        .unwrap();
    let (place, entry) = value;
    let mut spoiled = entry.value.to_vec();
    *spoiled.last_mut().unwrap() ^= 1;
    server.overwrite(&place, &entry.key, &spoiled);
    server.restart().await;
    assert_ne!(server.examine(), []);
    pair.associate().await;
    pair.settle().await;
    assert!(pair.is_equal().await);
    assert_eq!(server.examine(), []);
    server.stop().await;
}

const STEPS: usize = 900;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_any_changes_both_sides_agree_and_a_replica_in_sync_equals_its_primary() {
    walk(Engine::Memory, 20_261_126, STEPS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_any_changes_both_sides_agree_on_the_database() {
    walk(Engine::Sqlite, 9, STEPS / 6).await;
}

/// Changes both sides at random, lets the copying run now and then, ends the process in the middle of it, and compares.
async fn walk(engine: Engine, seed: u64, steps: usize) {
    let server = TestServer::start(engine, seed).await;
    let stage = Stage::new(&server, 0);
    let pair = Pair::on(&stage).await;
    let hindered = stage.as_user_without("kms:Encrypt").await;
    let chance = SimEntropy::seeded(seed);
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    // Under a key that is switched off nobody reads what there is.
    let mut is_readable = true;
    for step in 0..steps {
        let what = format!("seed {seed}, step {step}");
        let number = 1 + chance.below(30);
        let label = ["AWSCURRENT", "AWSPENDING", "blue", "green"][chance.below(4)];
        let mut value = put(number);
        if chance.below(3) == 0 {
            value["VersionStages"] = json!([label]);
        }
        let link = pair.link();
        let let_go = json!({"SecretId": PRIMARY, "CrossAccountReplicaARN": pair.replica_arn});
        let moved = json!({"SecretId": PRIMARY, "VersionStage": label, "MoveToVersionId": token(number)});
        let enabled = json!({"KeyId": pair.key});
        match chance.below(30) {
            0..4 => drop(stage.ask("PutSecretValue", &value).await),
            4..8 => drop(hindered.ask("PutSecretValue", &value).await),
            8..10 => drop(stage.ask("UpdateSecretVersionStage", &moved).await),
            10 => drop(stage.ask("RotateSecret", &stage.rotation(PRIMARY, number)).await),
            11..14 => drop(stage.ask("AssociateCrossAccountReplica", &link).await),
            14 if chance.below(3) > 0 => {}
            14 => drop(stage.ask("DisassociateCrossAccountReplica", &let_go).await),
            15 => {
                pair.replica.kms("DisableKey", enabled).await;
                is_readable = false;
            }
            16..19 => {
                pair.replica.kms("EnableKey", enabled).await;
                is_readable = true;
            }
            19 => server.restart().await,
            20 => {
                {
                    let core = server.node().core().unwrap();
                    cut_short(core.run_due_tasks(), chance.below(6)).await;
                }
                // What was on its way to the store arrives before the end, and not between two looks at it.
                server.restart().await;
            }
            _ => server.pass(SECOND).await,
        }
        let [of_primary, of_replica] = pair.statuses().await;
        match of_primary.as_str() {
            // Without a link the replica waits for the first one, or was let go.
            None => assert!(["Pending", "Detached"].contains(&of_replica.as_str().unwrap()), "{what}"),
            Some(_) => assert!(agree(&of_primary, &of_replica), "{of_primary} {of_replica} {what}"),
        }
        if of_primary == "InSync" && is_readable {
            assert!(pair.is_equal().await, "{what}");
        }
        *seen.entry(of_replica.as_str().unwrap().to_owned()).or_default() += 1;
    }
    for needed in ["InProgress", "InSync", "Failed", "Detached"] {
        assert!(seen.get(needed).is_some_and(|times| *times > steps / 200), "seed {seed}: {seen:?}");
    }
    if matches!(engine, Engine::Memory) {
        assert_eq!(server.examine(), [], "seed {seed}");
    }
    server.stop().await;
}

/// What is kept of a writer is who he is and what his session may do: his name of today, and its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_is_asked_for_as_he_is_when_the_copying_is_done() {
    let server = TestServer::start(Engine::Memory, 4).await;
    let stage = Stage::new(&server, 0);
    let pair = Pair::linked(&stage).await;

    // A user under another name is who he was.
    let writer = stage.as_user_without("iam:CreateUser").await;
    let user = format!("user-of-{}", stage.client.region());
    writer.get("PutSecretValue", put(2)).await;
    stage.iam("UpdateUser", &[("UserName", &user), ("NewUserName", "renamed")]).await;
    pair.settle().await;
    assert_eq!(pair.statuses().await, ["InSync", "InSync"]);

    // One who is gone may do nothing any more, also if somebody else has his name.
    writer.get("PutSecretValue", put(3)).await;
    stage.forget_user("renamed").await;
    pair.settle().await;
    assert_eq!(pair.statuses().await, ["Failed", "Failed"]);
    // Not as one without policies: a key policy that names him, or a grant, would still admit him.
    let over = "Replication failed: the session of whoever changed this secret last is over.";
    assert_eq!(pair.of_primary().await["StatusMessage"], over);

    let role = sessions::role(server.client(), "app").await;
    let limits = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "kms:Encrypt", "Resource": "*"},
    ]});
    for (number, limits, waits, told) in [
        (4, None, 1, "InSync"),
        (5, Some(limits.to_string()), 1, "Failed"),
        // The copying comes too late for a session of an hour.
        (6, None, 3601, "Failed"),
    ] {
        let input = sts::AssumeRoleRequest {
            role_arn: role.clone(),
            role_session_name: String::from("test"),
            duration_seconds: Some(3600),
            policy: limits,
            ..sts::AssumeRoleRequest::default()
        };
        let credentials = sessions::credentials::<sts::AssumeRole>(&stage.client, &input).await;
        let session = Stage { server: &server, client: stage.client.with_credentials(credentials) };
        session.get("PutSecretValue", put(number)).await;
        server.world().clock.advance(Duration::from_secs(waits - 1));
        pair.settle().await;
        assert_eq!(pair.statuses().await, [told, told], "{number}");
    }
    let message = pair.of_primary().await["StatusMessage"].clone();
    assert_eq!(message, over);
    // Nor is anything done as a role that is gone.
    let input = sts::AssumeRoleRequest {
        role_arn: role.clone(),
        role_session_name: String::from("test"),
        ..sts::AssumeRoleRequest::default()
    };
    let credentials = sessions::credentials::<sts::AssumeRole>(&stage.client, &input).await;
    let session = Stage { server: &server, client: stage.client.with_credentials(credentials) };
    session.get("PutSecretValue", put(7)).await;
    let policy = "arn:aws:iam::aws:policy/AdministratorAccess";
    stage.iam("DetachRolePolicy", &[("RoleName", "app"), ("PolicyArn", policy)]).await;
    stage.iam("DeleteRole", &[("RoleName", "app")]).await;
    pair.settle().await;
    assert_eq!(pair.of_primary().await["StatusMessage"], over);
    // None of it is known to the owner of the replica.
    let message = pair.of_replica().await["StatusMessage"].clone();
    assert_eq!(message, "Replication failed: the primary secret can't be read.");
    // And what a writer may not do stands in the trail of his own account only.
    let refused = |event: &serde_json::Value| {
        let is_refused = event["errorCode"].is_string() && event["eventName"] == "Encrypt";
        is_refused.then(|| event["recipientAccountId"].as_str().unwrap().to_owned())
    };
    let events = server.audit().await;
    let told: std::collections::BTreeSet<String> =
        events.iter().filter_map(|event| refused(&serde_json::from_str(event).unwrap())).collect();
    assert_eq!(told, [String::from("111122223333")].into());
    server.stop().await;
}

/// What admits the other account is one action of the service, and neither side gets more by the link.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_lets_neither_side_do_anything_else_on_the_other() {
    let server = TestServer::start(Engine::Memory, 5).await;
    let stage = Stage::new(&server, 0);
    let pair = Pair::linked(&stage).await;
    for (asker, arn) in [(&stage, &pair.replica_arn), (&pair.replica, &pair.primary_arn)] {
        for (operation, more) in [
            ("GetSecretValue", json!({})),
            ("DescribeSecret", json!({})),
            ("PutSecretValue", json!({"ClientRequestToken": token(9), "SecretString": "x"})),
            ("StopReplicationToReplica", json!({})),
            ("DeleteSecret", json!({})),
            ("GetResourcePolicy", json!({"PolicyName": "cross-account-replication"})),
        ] {
            let mut input = more;
            input["SecretId"] = arn.as_str().into();
            assert_eq!(asker.ask(operation, &input).await.code(), "AccessDeniedException", "{operation}");
        }
    }
    // The owner of the replica can shut the door with his own policy.
    let deny = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Deny", "Principal": "*", "Action": "secretsmanager:AcceptCrossAccountReplication", "Resource": "*",
    }]});
    let policy = json!({"SecretId": REPLICA, "ResourcePolicy": deny.to_string()});
    pair.replica.get("PutResourcePolicy", policy).await;
    let refused = stage.ask("AssociateCrossAccountReplica", &pair.link()).await;
    assert!(refused.message().contains("with an explicit deny in a resource-based policy"), "{refused:?}");
    server.stop().await;
}
