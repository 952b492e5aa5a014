//! Which members an answer has in which situation, and which it has not.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{entries, file, server, text};
use crate::{
    pair::{PRIMARY, Pair, REPLICA},
    rotates::Database,
    stage::{Stage, keys, token},
};

const NAME: &str = "db/password";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_has_the_members_that_aws_gives_it() {
    let (file, server) = (file(), server().await);
    for (number, vector) in entries(&file, "response_fields").iter().enumerate() {
        let stage = Stage::new(&server, number);
        let (operation, context) = (text(&vector["operation"]), text(&vector["context"]));
        if context == "after successful Lambda rotation" {
            check(vector, &after_rotation().await);
            continue;
        }
        if (operation, context) == ("StopReplicationToReplica", "success") {
            stage.replica(NAME).await;
        }
        if let Some(answers) = of_pair(&stage, operation, context).await {
            answers.iter().for_each(|answer| check(vector, answer));
            continue;
        }
        let key = stage.key().await;
        let mut answers = Vec::new();
        for (step, input) in steps(&stage, &key, operation, context) {
            let reply = stage.ask(step, &input).await;
            let is_refused = step == "RotateSecret" && context.contains("that failed");
            assert_eq!(
                reply.status,
                if is_refused { 400 } else { 200 },
                "{operation} {context}: {}",
                reply.body
            );
            answers.push((step, reply.body));
        }
        let (of, part) = operation.split_once('.').unwrap_or((operation, ""));
        let of_it: Vec<&Value> =
            answers.iter().filter(|(step, _)| *step == of).map(|(_, answer)| answer).collect();
        assert!(!of_it.is_empty(), "{operation} {context}");
        for answer in &of_it {
            check(vector, if part.is_empty() { answer } else { &answer["Versions"][0] });
        }
        if vector["note"] == "equal to the first response" {
            assert!(of_it.len() > 1 && of_it.iter().all(|answer| *answer == of_it[0]), "{of_it:?}");
        }
    }
    server.stop().await;
}

/// On a server of its own: here functions run.
async fn after_rotation() -> Value {
    let server = server().await;
    let stage = Stage::new(&server, 0);
    Arc::new(Database::default()).begin(&server);
    let secret =
        json!({"Name": NAME, "ClientRequestToken": token(1), "SecretString": "one", "Description": "d"});
    stage.get("CreateSecret", secret).await;
    let mut rotation = stage.rotation(NAME, 2);
    rotation["RotationRules"] = json!({"AutomaticallyAfterDays": 1});
    stage.get("RotateSecret", rotation).await;
    server.pass(Duration::ZERO).await;
    let described = stage.get("DescribeSecret", json!({"SecretId": NAME})).await;
    server.stop().await;
    described
}

/// The same for what is about two secrets of two accounts.
async fn of_pair(stage: &Stage<'_>, operation: &str, context: &str) -> Option<Vec<Value>> {
    let contexts = [
        "success",
        "cross-account replica in sync",
        "cross-account primary",
        "former cross-account primary after DisassociateCrossAccountReplica",
        "entry of a cross-account primary or replica",
    ];
    let is_success = ["AssociateCrossAccountReplica", "DisassociateCrossAccountReplica"].contains(&operation);
    if !contexts.contains(&context) || (context == "success" && !is_success) {
        return None;
    }
    let pair = Pair::on(stage).await;
    let linked = stage.get("AssociateCrossAccountReplica", pair.link()).await;
    let let_go = || json!({"SecretId": PRIMARY, "CrossAccountReplicaARN": pair.replica_arn});
    let describe = |name: &str| json!({"SecretId": name});
    Some(match (operation, context) {
        ("AssociateCrossAccountReplica", _) => {
            assert_eq!(linked["ReplicationStatus"], "InProgress");
            vec![linked]
        }
        ("DisassociateCrossAccountReplica", _) => {
            vec![stage.get("DisassociateCrossAccountReplica", let_go()).await]
        }
        ("DescribeSecret", "cross-account replica in sync") => {
            pair.settle().await;
            vec![pair.replica.get("DescribeSecret", describe(REPLICA)).await]
        }
        ("DescribeSecret", "cross-account primary") => {
            assert_eq!(keys(&pair.of_primary().await), ["ReplicaSecretARN", "ReplicationStatus"]);
            vec![without_versions(stage.get("DescribeSecret", describe(PRIMARY)).await)]
        }
        ("DescribeSecret", _) => {
            stage.get("DisassociateCrossAccountReplica", let_go()).await;
            vec![without_versions(stage.get("DescribeSecret", describe(PRIMARY)).await)]
        }
        _ => {
            pair.settle().await;
            let mut entries = Vec::new();
            for side in [stage, &pair.replica] {
                let listed = side.get("ListSecrets", json!({})).await;
                let mut entry = without_versions(listed["SecretList"][0].clone());
                for more in ["KmsKeyId", "SecretVersionsToStages"] {
                    entry.as_object_mut().unwrap().remove(more);
                }
                entries.push(entry);
            }
            entries
        }
    })
}

/// The vector says nothing of the value that the secret has.
fn without_versions(mut described: Value) -> Value {
    described.as_object_mut().unwrap().remove("VersionIdsToStages");
    described
}

/// The requests that lead to the situation; the answers of the operation that the vector is about are looked at.
fn steps(stage: &Stage<'_>, key: &str, operation: &str, context: &str) -> Vec<(&'static str, Value)> {
    let empty = || ("CreateSecret", json!({"Name": NAME}));
    let create =
        || ("CreateSecret", json!({"Name": NAME, "ClientRequestToken": token(1), "SecretString": "one"}));
    let put = |number| {
        (
            "PutSecretValue",
            json!({"SecretId": NAME, "ClientRequestToken": token(number), "SecretString": "more"}),
        )
    };
    let follow = || ("CreateSecret", stage.replica_of_abroad(NAME, key));
    let of_it = |operation| (operation, json!({"SecretId": NAME}));
    let describe = || of_it("DescribeSecret");
    let read = || of_it("GetSecretValue");
    let rotate = || ("RotateSecret", stage.rotation(NAME, 2));
    let replicate = || {
        let regions = json!([{"Region": "us-east-1"}]);
        ("ReplicateSecretToRegions", json!({"SecretId": NAME, "AddReplicaRegions": regions}))
    };
    let put_policy = || {
        let policy = json!({"SecretId": NAME, "ResourcePolicy": stage.policy("444455556666")});
        ("PutResourcePolicy", policy)
    };
    let tags = json!({"SecretId": NAME, "Tags": [{"Key": "a", "Value": "1"}]});
    let tag_keys = json!({"SecretId": NAME, "TagKeys": ["a"]});
    match (operation, context) {
        ("CreateSecret", "with SecretString") => vec![create()],
        ("CreateSecret", "without a value") => vec![empty()],
        ("CreateSecret", "repeated with same token and same value") => vec![create(), create()],
        ("DescribeSecret", "created without a value, never tagged") => vec![empty(), describe()],
        ("DescribeSecret", "with value, Description empty or not given") => {
            let mut described = create();
            described.1["Description"] = "".into();
            let delete = ("DeleteSecret", json!({"SecretId": NAME, "ForceDeleteWithoutRecovery": true}));
            vec![described, describe(), delete, create(), describe()]
        }
        ("DescribeSecret", "with value and description, after GetSecretValue") => {
            let mut create = create();
            create.1["Description"] = "d".into();
            vec![create, read(), describe()]
        }
        ("DescribeSecret", "after a RotateSecret that failed with E19 or E20") => {
            let (operation, mut without_function) = rotate();
            without_function["RotationLambdaARN"] = Value::Null;
            let mut without_access = rotate();
            without_access.1["RotationLambdaARN"] = stage.function("missing").into();
            vec![create(), (operation, without_function), describe(), without_access, describe()]
        }
        ("RotateSecret", "immediate") => vec![create(), rotate()],
        ("CancelRotateSecret", "no AWSPENDING version") => {
            let mut configure = rotate();
            configure.1["RotateImmediately"] = false.into();
            vec![create(), configure, of_it("CancelRotateSecret")]
        }
        ("ListSecretVersionIds", "a version is an empty rotation placeholder labelled AWSPENDING") => {
            vec![create(), rotate(), of_it("ListSecretVersionIds")]
        }
        ("DescribeSecret", "scheduled for deletion") => vec![create(), of_it("DeleteSecret"), describe()],
        ("DescribeSecret", "all tags removed after having had some") => {
            vec![empty(), ("TagResource", tags), ("UntagResource", tag_keys), describe()]
        }
        ("GetSecretValue", "string secret") => vec![create(), read()],
        ("GetSecretValue", "binary secret") => {
            let binary =
                json!({"Name": NAME, "ClientRequestToken": token(1), "SecretBinary": "Zm9vdGVzdA=="});
            vec![("CreateSecret", binary), read()]
        }
        ("PutSecretValue", "default labels") => vec![create(), put(2)],
        ("PutSecretValue", "VersionStages [AWSPENDING]") => {
            let mut put = put(2);
            put.1["VersionStages"] = json!(["AWSPENDING"]);
            vec![create(), put]
        }
        ("PutSecretValue", "first version of a secret created without a value") => vec![empty(), put(1)],
        ("UpdateSecret", "with a value") => {
            let update = json!({"SecretId": NAME, "ClientRequestToken": token(2), "SecretString": "two"});
            vec![create(), ("UpdateSecret", update)]
        }
        ("UpdateSecret", "description only, or nothing") => {
            let described = ("UpdateSecret", json!({"SecretId": NAME, "Description": "d"}));
            vec![create(), described, of_it("UpdateSecret")]
        }
        ("UpdateSecretVersionStage", "any success") => {
            let attach = json!({"SecretId": NAME, "VersionStage": "mine", "MoveToVersionId": token(1)});
            let detach = json!({"SecretId": NAME, "VersionStage": "mine", "RemoveFromVersionId": token(1)});
            vec![create(), ("UpdateSecretVersionStage", attach), ("UpdateSecretVersionStage", detach)]
        }
        ("DeleteSecret", "any success, also forced on a non-existent secret") => {
            let force = || ("DeleteSecret", json!({"SecretId": NAME, "ForceDeleteWithoutRecovery": true}));
            vec![force(), create(), of_it("DeleteSecret"), force()]
        }
        ("RestoreSecret", "scheduled secret") => {
            vec![create(), of_it("DeleteSecret"), of_it("RestoreSecret")]
        }
        ("ReplicateSecretToRegions", "success") => vec![create(), replicate()],
        ("RemoveRegionsFromReplication", "success") => {
            let remove = json!({"SecretId": NAME, "RemoveReplicaRegions": ["us-east-1"]});
            vec![create(), replicate(), ("RemoveRegionsFromReplication", remove)]
        }
        ("StopReplicationToReplica", "success") => vec![of_it("StopReplicationToReplica")],
        ("TagResource", "success") => vec![empty(), ("TagResource", tags)],
        ("UntagResource", "success") => vec![empty(), ("UntagResource", tag_keys)],
        ("ListSecretVersionIds", "success, one page")
        | ("ListSecretVersionIds.Versions[]", "labelled, never read, default key") => {
            vec![create(), of_it("ListSecretVersionIds")]
        }
        ("ListSecretVersionIds.Versions[]", "labelled, read") => {
            vec![create(), read(), of_it("ListSecretVersionIds")]
        }
        ("ListSecretVersionIds.Versions[]", "deprecated (IncludeDeprecated=true)") => {
            let list = json!({"SecretId": NAME, "IncludeDeprecated": true});
            vec![create(), put(2), put(3), ("ListSecretVersionIds", list)]
        }
        ("PutResourcePolicy", "success" | "success, newer model") => vec![create(), put_policy()],
        ("DeleteResourcePolicy", "success, newer model") => {
            vec![create(), put_policy(), of_it("DeleteResourcePolicy")]
        }
        ("GetResourcePolicy", "policy attached" | "policy attached, newer model") => {
            vec![create(), put_policy(), of_it("GetResourcePolicy")]
        }
        ("GetResourcePolicy", "no policy" | "no policy, newer model") => {
            vec![create(), of_it("GetResourcePolicy")]
        }
        ("ListResourcePolicies", "one page") => vec![create(), put_policy(), of_it("ListResourcePolicies")],
        ("ListResourcePolicies", "no policy attached") => vec![create(), of_it("ListResourcePolicies")],
        ("CreateSecret", "with CrossAccountPrimaryARN") => vec![follow()],
        ("DescribeSecret", "cross-account replica, never associated") => vec![follow(), describe()],
        ("DescribeSecret", "former cross-account replica after StopReplicationToReplica") => {
            vec![follow(), of_it("StopReplicationToReplica"), describe()]
        }
        ("StopReplicationToReplica", "cross-account replica") => {
            vec![follow(), of_it("StopReplicationToReplica")]
        }
        ("GetResourcePolicy", "cross-account replica, PolicyName=cross-account-replication") => {
            let policy = json!({"SecretId": NAME, "PolicyName": "cross-account-replication"});
            vec![follow(), ("GetResourcePolicy", policy)]
        }
        ("ListResourcePolicies", "cross-account replica with a default policy") => {
            vec![follow(), put_policy(), of_it("ListResourcePolicies")]
        }
        ("ListResourcePolicies", "MaxResults=1 on a cross-account replica with a default policy") => {
            let first = json!({"SecretId": NAME, "MaxResults": 1});
            vec![follow(), put_policy(), ("ListResourcePolicies", first)]
        }
        ("BatchGetSecretValue", "one id found, one missing") => {
            vec![create(), ("BatchGetSecretValue", json!({"SecretIdList": [NAME, "nobody"]}))]
        }
        ("ListSecrets", "one page") => vec![create(), ("ListSecrets", json!({}))],
        other => panic!("nobody knows how to come to this: {other:?}"),
    }
}

fn check(vector: &Value, answer: &Value) {
    let names =
        |list: &Value| list.as_array().unwrap().iter().map(|name| text(name).to_owned()).collect::<Vec<_>>();
    let what = format!("{} {}: {answer}", vector["operation"], vector["context"]);
    // No vector of the served operations leaves a member out, so there is nothing beside those named; but policies have had
    // names only since a few of these were recorded.
    let mut wanted = names(&vector["fields_present"]);
    let is_recent = text(&vector["context"]).contains("newer model");
    let lacks_name = !is_recent && !wanted.iter().any(|name| name == "PolicyName");
    if lacks_name && ["PutResourcePolicy", "GetResourcePolicy"].contains(&text(&vector["operation"])) {
        wanted.push(String::from("PolicyName"));
        wanted.sort();
    }
    assert_eq!(keys(answer), wanted, "{what}");
    for absent in names(&vector["fields_absent"]) {
        assert!(answer.get(&absent).is_none(), "{what} has {absent}");
    }
    let note = vector["note"].as_str().unwrap_or_default();
    if note.starts_with("PolicyName is default") {
        assert_eq!(answer["PolicyName"], "default", "{what}");
    }
    match note {
        "entries hold PolicyName only" => {
            assert_eq!(answer["ResourcePolicies"], json!([{"PolicyName": "default"}]), "{what}");
        }
        "names in order: default, cross-account-replication" => {
            let names = json!([{"PolicyName": "default"}, {"PolicyName": "cross-account-replication"}]);
            assert_eq!(answer["ResourcePolicies"], names, "{what}");
        }
        "first page holds default only" => {
            assert_eq!(answer["ResourcePolicies"], json!([{"PolicyName": "default"}]), "{what}");
        }
        "ResourcePolicies is []" => assert_eq!(answer["ResourcePolicies"], json!([]), "{what}"),
        _ => {}
    }
    for values in ["values", "wire_values"] {
        for (name, value) in vector[values].as_object().into_iter().flatten() {
            let pointer = format!("/{}", name.replace('[', "/").replace(']', "").replace('.', "/"));
            assert_eq!(answer.pointer(&pointer), Some(value), "{what}: {name}");
        }
    }
}
