//! The states of a link between accounts that errors are about.

use std::collections::BTreeMap;

use serde_json::json;

use crate::{
    pair::{PRIMARY, Pair, REPLICA},
    stage::{ABROAD, HOME, Stage, token},
};

/// What placeholders stand for, and who asks, if that is somebody of the account of the replica.
type Linked<'s> = (BTreeMap<&'static str, String>, Option<Stage<'s>>);

/// Brings two secrets into a state, if it is one of two secrets.
pub(super) async fn set_up<'s>(stage: &Stage<'s>, id: &str, state: &str) -> Option<Linked<'s>> {
    let asks_replica = state.starts_with("caller in the replica account");
    let is_linked = state.contains("status InSync") || state.contains("status Detached");
    let is_hindered = state.starts_with("caller may call everything but");
    let is_of_primary = !asks_replica
        && !state.starts_with("name is free")
        && (is_about_links(id) || is_hindered || state == "primary exists");
    if !(is_of_primary || asks_replica && is_linked) {
        return None;
    }
    let pair = Pair::on(stage).await;
    let mut names = BTreeMap::from([
        ("secret", PRIMARY.to_owned()),
        ("primary-name", PRIMARY.to_owned()),
        ("replica-name", REPLICA.to_owned()),
        ("primary-account", HOME.to_owned()),
        ("own-account", HOME.to_owned()),
        ("replica-account", ABROAD.to_owned()),
        ("replica-arn", pair.replica_arn.clone()),
        ("other-replica-arn", pair.replica_arn.clone()),
        ("region", stage.client.region().to_string()),
        ("other-region", String::from("us-east-1")),
        ("6", pair.replica_arn.rsplit('-').next().unwrap().to_owned()),
    ]);
    match state {
        "primary exists" | "primary exists; role of another account" => {}
        "accounts in different organisations, or in none"
        | "accounts in different organisations, or in none; ReplicaRestriction not sent" => {}
        "primary does not list this ARN" => {}
        "primary already lists another cross-account replica, any status, Detached included" => {
            pair.associate().await;
            pair.stop().await;
            let second = pair.new_replica("db/second", &pair.primary_arn).await;
            names.insert("replica-name", String::from("db/second"));
            names.insert("6", second.rsplit('-').next().unwrap().to_owned());
        }
        "replica names another primary; its policies allow AcceptCrossAccountReplication" => {
            let other = json!({"Name": "other", "ClientRequestToken": token(1), "SecretString": "one"});
            let other = stage.get("CreateSecret", other).await["ARN"].as_str().unwrap().to_owned();
            let second = pair.new_replica("db/second", &other).await;
            names.insert("replica-name", String::from("db/second"));
            names.insert("6", second.rsplit('-').next().unwrap().to_owned());
            names.insert("replica-arn", second);
        }
        "replica was promoted by StopReplicationToReplica; its default policy allows AcceptCrossAccountReplication" =>
        {
            pair.stop().await;
            let policy = json!({"SecretId": REPLICA, "ResourcePolicy": stage.policy(HOME)});
            pair.replica.get("PutResourcePolicy", policy).await;
        }
        "primary was deleted and made again under its old name after the replica was created; the replica accepts the account" =>
        {
            stage.get("DeleteSecret", json!({"SecretId": PRIMARY, "ForceDeleteWithoutRecovery": true})).await;
            let again = json!({"Name": PRIMARY, "ClientRequestToken": token(1), "SecretString": "one"});
            stage.get("CreateSecret", again).await;
        }
        "the same call has just succeeded" => {
            pair.associate().await;
            pair.disassociate().await;
        }
        "SameOrg satisfied; key of the replica is disabled" => {
            pair.replica.kms("DisableKey", json!({"KeyId": pair.key})).await;
        }
        "role of the primary account whose trust policy does not admit the service" => {
            let trust = json!({"Version": "2012-10-17", "Statement": [{
                "Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole",
            }]});
            let role = [("RoleName", "replicate"), ("AssumeRolePolicyDocument", &trust.to_string())];
            stage.iam("CreateRole", &role).await;
        }
        "caller may call everything but kms:Encrypt on the key of the replica" => {
            return Some((names, Some(stage.as_user_without("kms:Encrypt").await)));
        }
        linked if linked.contains("status InSync") => {
            pair.associate().await;
            pair.settle().await;
        }
        "primary lists a cross-account replica in status Failed" => {
            pair.associate().await;
            pair.settle().await;
            pair.lend_key_for("kms:DescribeKey").await;
            pair.put(2).await;
            pair.settle().await;
            assert_eq!(pair.statuses().await, ["Failed", "Failed"]);
        }
        "primary lists a cross-account replica in status Detached (replica side stopped replication)" => {
            pair.associate().await;
            pair.stop().await;
        }
        "caller in the replica account; secret is a cross-account replica in status Detached" => {
            pair.associate().await;
            pair.disassociate().await;
        }
        other => panic!("nobody knows how to set this up: {other}"),
    }
    Some((names, asks_replica.then_some(pair.replica)))
}

/// E36 and those of the two operations.
fn is_about_links(id: &str) -> bool {
    let known = ["E36", "E40-Associate", "E41-Associate", "E42", "E43", "E44", "E45", "E48", "E49", "E50"];
    known.iter().any(|known| id.starts_with(known))
}
