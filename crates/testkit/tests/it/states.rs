//! The state rules: what each operation does with a secret that is scheduled for deletion, with a replica, and what it leaves behind.
//!
//! The first two columns stand on pages of exchanges, which [`crate::covered`] holds against this table. The other two are tried here: one
//! call that succeeds, and the secret before and after it.

use coffer_testkit::{Engine, TestServer};
use serde_json::{Value, json};

use crate::{
    pair::Pair,
    stage::{Stage, token},
};

const NAME: &str = "db/password";

pub(crate) struct Rule {
    pub(crate) operation: &'static str,
    /// While it is scheduled for deletion. Two words where it depends on the request.
    pub(crate) scheduled: &'static [&'static str],
    pub(crate) replica: &'static [&'static str],
    makes_version: bool,
    /// Whether `LastChangedDate` moves.
    changes: bool,
}

const fn rule(
    operation: &'static str,
    scheduled: &'static [&'static str],
    replica: &'static [&'static str],
    makes_version: bool,
    changes: bool,
) -> Rule {
    Rule { operation, scheduled, replica, makes_version, changes }
}

#[rustfmt::skip]
pub(crate) const RULES: &[Rule] = &[
    rule("AssociateCrossAccountReplica", &["E5"],       &["E16"],       false, true),
    // In a batch E5 is an entry among the errors; a filter passes the secret over.
    rule("BatchGetSecretValue",          &["E5", "ok"], &["ok"],        false, false),
    rule("CancelRotateSecret",           &["E5"],       &["E16"],       false, true),
    rule("CreateSecret",                 &["E6"],       &["E8"],        true,  true),
    rule("DeleteResourcePolicy",         &["E5"],       &["E16"],       false, true),
    // By force it succeeds.
    rule("DeleteSecret",                 &["E5", "ok"], &["E16"],       false, true),
    rule("DescribeSecret",               &["ok"],       &["ok"],        false, false),
    rule("DisassociateCrossAccountReplica", &["E5"],    &["E16"],       false, true),
    // Knows no secret.
    rule("GetRandomPassword",            &[],           &[],            false, false),
    rule("GetResourcePolicy",            &["E5"],       &["ok"],        false, false),
    rule("GetSecretValue",               &["E5"],       &["ok"],        false, false),
    rule("ListResourcePolicies",         &["E5"],       &["ok"],        false, false),
    rule("ListSecretVersionIds",         &["ok"],       &["ok"],        false, false),
    rule("ListSecrets",                  &["ok"],       &["ok"],        false, false),
    rule("PutResourcePolicy",            &["E5"],       &["E16"],       false, true),
    rule("PutSecretValue",               &["E5"],       &["E16"],       true,  true),
    rule("RemoveRegionsFromReplication", &["E5"],       &["E16"],       false, true),
    rule("ReplicateSecretToRegions",     &["E5"],       &["E16"],       false, true),
    rule("RestoreSecret",                &["ok"],       &["E16"],       false, true),
    rule("RotateSecret",                 &["E5"],       &["E16"],       true,  true),
    rule("StopReplicationToReplica",     &["E5"],       &["ok"],        false, true),
    rule("TagResource",                  &["E5"],       &["E16"],       false, true),
    rule("UntagResource",                &["E5"],       &["E16"],       false, true),
    // A replica takes a key, alone.
    rule("UpdateSecret",                 &["E5"],       &["E16", "ok"], true,  true),
    rule("UpdateSecretVersionStage",     &["E5"],       &["E16"],       false, true),
    rule("ValidateResourcePolicy",       &["ok"],       &["ok"],        false, false),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_operation_leaves_behind_what_its_rule_says() {
    let server = TestServer::start(Engine::Memory, 1).await;
    for (number, rule) in RULES.iter().enumerate() {
        let stage = Stage::new(&server, number);
        let linked = match rule.operation {
            "AssociateCrossAccountReplica" => Some(Pair::on(&stage).await.link()),
            "DisassociateCrossAccountReplica" => {
                let arn = Pair::linked(&stage).await.replica_arn;
                Some(json!({"SecretId": NAME, "CrossAccountReplicaARN": arn}))
            }
            _ => None,
        };
        let before = match linked {
            Some(_) => seen(&stage).await,
            None => set_up(&stage, rule.operation).await,
        };
        let request = linked.unwrap_or_else(|| request(&stage, rule.operation));
        stage.get(rule.operation, request).await;
        let after = seen(&stage).await;
        let what = format!("{}: {before:?} {after:?}", rule.operation);
        assert_eq!(after.1 > before.1, rule.makes_version, "{what}");
        assert_eq!(after.0 != before.0, rule.changes, "{what}");
    }
    server.stop().await;
}

/// The date of the last change, and how many versions there are, with the empty one of a rotation.
async fn seen(stage: &Stage<'_>) -> (Value, usize) {
    let secret = stage.get("DescribeSecret", json!({"SecretId": NAME})).await;
    let versions = secret["VersionIdsToStages"].as_object().map_or(0, serde_json::Map::len);
    (secret["LastChangedDate"].clone(), versions)
}

/// A secret with one version, in the state in which the operation succeeds and has something to do.
async fn set_up(stage: &Stage<'_>, operation: &str) -> (Value, usize) {
    match operation {
        "CreateSecret" => return (Value::Null, 0),
        "StopReplicationToReplica" => stage.replica(NAME).await,
        _ => {
            stage.get("CreateSecret", request(stage, "CreateSecret")).await;
        }
    }
    let first = match operation {
        "CancelRotateSecret" => Some("RotateSecret"),
        "DeleteResourcePolicy" => Some("PutResourcePolicy"),
        "RemoveRegionsFromReplication" => Some("ReplicateSecretToRegions"),
        "RestoreSecret" => Some("DeleteSecret"),
        _ => None,
    };
    if let Some(first) = first {
        stage.get(first, request(stage, first)).await;
    }
    seen(stage).await
}

fn request(stage: &Stage<'_>, operation: &str) -> Value {
    let mut request = match operation {
        "BatchGetSecretValue" => return json!({"SecretIdList": [NAME]}),
        "CreateSecret" => {
            return json!({"Name": NAME, "ClientRequestToken": token(1), "SecretString": "one"});
        }
        "GetRandomPassword" | "ListSecrets" => return json!({}),
        "RotateSecret" => return stage.rotation(NAME, 2),
        "PutSecretValue" | "UpdateSecret" => json!({"ClientRequestToken": token(2), "SecretString": "two"}),
        "PutResourcePolicy" | "ValidateResourcePolicy" => {
            json!({"ResourcePolicy": stage.policy("444455556666")})
        }
        "RemoveRegionsFromReplication" => json!({"RemoveReplicaRegions": ["us-east-1"]}),
        "ReplicateSecretToRegions" => json!({"AddReplicaRegions": [{"Region": "us-east-1"}]}),
        "TagResource" => json!({"Tags": [{"Key": "a", "Value": "1"}]}),
        "UntagResource" => json!({"TagKeys": ["a"]}),
        "UpdateSecretVersionStage" => json!({"VersionStage": "mine", "MoveToVersionId": token(1)}),
        _ => json!({}),
    };
    request["SecretId"] = NAME.into();
    request
}
