//! Single sentences about AWS that were recorded or documented.

use serde_json::{Value, json};

use super::{entries, file, server, text};
use crate::{
    pair::{PRIMARY, Pair, REPLICA},
    stage::{Reply, Stage, keys, token},
};

const NAME: &str = "db/password";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fact_holds() {
    let (file, server) = (file(), server().await);
    for (number, vector) in entries(&file, "misc").iter().enumerate() {
        holds(&Stage::new(&server, number), text(&vector["fact"])).await;
    }
    server.stop().await;
}

async fn create(stage: &Stage<'_>, name: &str) -> Value {
    stage
        .get("CreateSecret", json!({"Name": name, "ClientRequestToken": token(1), "SecretString": "one"}))
        .await
}

async fn follow(stage: &Stage<'_>) {
    let key = stage.key().await;
    stage.get("CreateSecret", stage.replica_of_abroad(NAME, &key)).await;
}

async fn describe(stage: &Stage<'_>) -> Value {
    stage.get("DescribeSecret", json!({"SecretId": NAME})).await
}

async fn holds(stage: &Stage<'_>, fact: &str) {
    let is = |words: &str| fact.starts_with(words);
    if is("every client error is HTTP 400") || is("raw error body") {
        let reply = stage.ask("GetSecretValue", &json!({"SecretId": "nobody"})).await;
        assert_eq!((reply.status, reply.code()), (400, "ResourceNotFoundException"));
        assert_eq!(reply.keys(), ["Message", "__type"]);
    } else if is("SecretBinary is base64") {
        let binary = json!({"Name": NAME, "ClientRequestToken": token(1), "SecretBinary": "AP+A"});
        stage.get("CreateSecret", binary).await;
        assert_eq!(stage.get("GetSecretValue", json!({"SecretId": NAME})).await["SecretBinary"], "AP+A");
    } else if is("complete ARN, partial ARN and name") {
        for name in ["plain", "ends-a1b2", "ends-a1b2c3-"] {
            let arn = text(&create(stage, name).await["ARN"]).to_owned();
            let (partial, _) = arn.rsplit_once('-').unwrap();
            for id in [name, &arn, partial] {
                assert_eq!(stage.get("DescribeSecret", json!({"SecretId": id})).await["ARN"], arn, "{id}");
            }
        }
    } else if is("ForceDeleteWithoutRecovery=true") {
        create(stage, NAME).await;
        stage.get("DeleteSecret", json!({"SecretId": NAME})).await;
        stage.get("DeleteSecret", json!({"SecretId": NAME, "ForceDeleteWithoutRecovery": true})).await;
    } else if is("ForceDeleteWithoutRecovery=false") {
        create(stage, NAME).await;
        let input = json!({"SecretId": NAME, "ForceDeleteWithoutRecovery": false, "RecoveryWindowInDays": 7});
        stage.get("DeleteSecret", input).await;
    } else if is("UpdateSecret with an unchanged value") {
        create(stage, NAME).await;
        let before = describe(stage).await;
        let same = json!({"SecretId": NAME, "ClientRequestToken": token(2), "SecretString": "one"});
        assert_eq!(stage.get("UpdateSecret", same).await["VersionId"], token(2));
        let after = describe(stage).await;
        assert_ne!(after["LastChangedDate"], before["LastChangedDate"]);
        assert_eq!(after["VersionIdsToStages"], json!({token(1): ["AWSPREVIOUS"], token(2): ["AWSCURRENT"]}));
    } else if is("PutSecretValue with the same token") {
        create(stage, NAME).await;
        let before = describe(stage).await;
        let same = json!({"SecretId": NAME, "ClientRequestToken": token(1), "SecretString": "one"});
        stage.get("PutSecretValue", same).await;
        assert_eq!(describe(stage).await, before);
    } else if is("ListSecrets in the other account") {
        create(stage, NAME).await;
        stage.share(NAME).await;
        let there = stage.abroad().await;
        assert_eq!(there.get("ListSecrets", json!({})).await, json!({"SecretList": []}));
    } else if is("cross-account with the default key") {
        let arn = create(stage, NAME).await["ARN"].clone();
        stage.share(NAME).await;
        let (policy, there) = (stage.policy("222233334444"), stage.abroad().await);
        for (operation, more) in [
            ("DescribeSecret", json!({})),
            ("PutResourcePolicy", json!({"ResourcePolicy": policy})),
            ("GetResourcePolicy", json!({})),
            ("ListSecretVersionIds", json!({})),
            ("TagResource", json!({"Tags": [{"Key": "a", "Value": "b"}]})),
            ("UntagResource", json!({"TagKeys": ["a"]})),
            ("DeleteSecret", json!({})),
        ] {
            let mut input = more;
            input["SecretId"] = arn.clone();
            there.get(operation, input).await;
        }
        assert_eq!(describe(stage).await["ARN"], arn, "it is gone from where it was");
    } else if is("tags keep insertion order") {
        create(stage, NAME).await;
        let tags = json!([{"Key": "z", "Value": "1"}, {"Key": "a", "Value": "2"}]);
        let tagged = stage.get("TagResource", json!({"SecretId": NAME, "Tags": tags})).await;
        assert_eq!(describe(stage).await["Tags"], tags);
        let untagged = stage.get("UntagResource", json!({"SecretId": NAME, "TagKeys": ["z"]})).await;
        assert_eq!((keys(&tagged), keys(&untagged)), (vec![], vec![]));
    } else if is("GetRandomPassword PasswordLength=120") {
        let input = json!({"PasswordLength": 120, "ExcludeCharacters": "xyzDje@?!."});
        let answer = stage.get("GetRandomPassword", input).await;
        let password = text(&answer["RandomPassword"]);
        assert_eq!(password.len(), 120);
        assert!(!password.contains(['x', 'y', 'z', 'D', 'j', 'e', '@', '?', '!', '.']), "{password}");
    } else if is("LastAccessedDate is absent before") {
        create(stage, NAME).await;
        assert_eq!(describe(stage).await.get("LastAccessedDate"), None);
        let mut days = Vec::new();
        for _ in 0..2 {
            stage.get("GetSecretValue", json!({"SecretId": NAME})).await;
            days.push(describe(stage).await["LastAccessedDate"].clone());
        }
        assert_eq!(days.first(), days.last());
        assert!(days.iter().all(|day| day.as_i64().is_some_and(|day| day % 86_400 == 0)), "{days:?}");
    } else if is("ListSecretVersionIds returns only versions") {
        create(stage, NAME).await;
        stage.get("RotateSecret", stage.rotation(NAME, 2)).await;
        let shown = describe(stage).await["VersionIdsToStages"].clone();
        assert_eq!(shown, json!({token(1): ["AWSCURRENT"], token(2): ["AWSPENDING"]}));
        let list = json!({"SecretId": NAME, "IncludeDeprecated": true});
        let versions = stage.get("ListSecretVersionIds", list).await["Versions"].clone();
        let ids: Vec<&str> =
            versions.as_array().unwrap().iter().map(|version| text(&version["VersionId"])).collect();
        assert_eq!(ids, [token(1)]);
    } else if is("PutResourcePolicy accepts Principal *") {
        create(stage, NAME).await;
        let policy = json!({"SecretId": NAME, "ResourcePolicy": stage.policy("*")});
        stage.get("PutResourcePolicy", policy).await;
    } else if is("a cross-account replica carries") {
        follow(stage).await;
        let named = json!({"SecretId": NAME, "PolicyName": "cross-account-replication"});
        stage.get("GetResourcePolicy", named.clone()).await;
        let reply = stage.ask("DeleteResourcePolicy", &named).await;
        assert_eq!(reply.code(), "InvalidParameterException");
        stage.get("StopReplicationToReplica", json!({"SecretId": NAME})).await;
        let reply = stage.ask("GetResourcePolicy", &named).await;
        assert_eq!(reply.code(), "ResourceNotFoundException");
    } else if is("CreateSecret with CrossAccountPrimaryARN also needs") {
        let key = stage.key().await;
        let input = stage.replica_of_abroad(NAME, &key);
        let name = json!({"StringEquals": {"secretsmanager:PolicyName": "cross-account-replication"}});
        let hindered = stage
            .as_user_denied(
                json!(["secretsmanager:PutResourcePolicy", "secretsmanager:DeleteResourcePolicy"]),
                name,
            )
            .await;
        let refused = |reply: Reply, action: &str| {
            assert_eq!(reply.code(), "AccessDeniedException");
            assert!(reply.message().contains(action), "{}", reply.message());
        };
        refused(hindered.ask("CreateSecret", &input).await, "secretsmanager:PutResourcePolicy");
        stage.get("CreateSecret", input).await;
        let stop = json!({"SecretId": NAME});
        let reply = hindered.ask("StopReplicationToReplica", &stop).await;
        refused(reply, "secretsmanager:DeleteResourcePolicy");
        // The other policy of the same secret is none of that name.
        hindered.get("DeleteResourcePolicy", stop.clone()).await;
        stage.get("StopReplicationToReplica", stop).await;
    } else if is("tags and the default resource policy of a cross-account replica") {
        follow(stage).await;
        for (operation, more) in [
            ("TagResource", json!({"Tags": [{"Key": "a", "Value": "b"}]})),
            ("UntagResource", json!({"TagKeys": ["a"]})),
            ("PutResourcePolicy", json!({"ResourcePolicy": stage.policy("444455556666")})),
            ("DeleteResourcePolicy", json!({})),
        ] {
            let mut input = more;
            input["SecretId"] = NAME.into();
            stage.get(operation, input).await;
        }
    } else if is("CreateSecret with CrossAccountPrimaryARN and an empty Description") {
        let key = stage.key().await;
        let mut input = stage.replica_of_abroad(NAME, &key);
        input["Description"] = "".into();
        stage.get("CreateSecret", input).await;
        assert_eq!(describe(stage).await.get("Description"), None);
    } else if is("AcceptCrossAccountReplication is") {
        let reply = stage.ask("AcceptCrossAccountReplication", &json!({})).await;
        assert_eq!((reply.status, reply.code()), (400, "UnknownOperationException"));
    } else if is("AssociateCrossAccountReplica needs") {
        needs_of_an_association(stage).await;
    } else if is("without ReplicationRoleARN each run") {
        who_replicates(stage).await;
    } else if is("status Pending is shown by the replica only") {
        let pair = Pair::on(stage).await;
        assert_eq!(pair.statuses().await, [Value::Null, json!("Pending")]);
    } else if is("either side may stop cross-account replication first") {
        let pair = Pair::linked(stage).await;
        let delete = |name: &str| json!({"SecretId": name});
        for _ in 0..2 {
            let refused = stage.ask("DeleteSecret", &delete(PRIMARY)).await;
            assert_eq!(refused.code(), "InvalidParameterException");
            let refused = pair.replica.ask("DeleteSecret", &delete(REPLICA)).await;
            assert_eq!(refused.code(), "InvalidParameterException");
            pair.associate().await;
        }
        pair.stop().await;
        pair.replica.get("DeleteSecret", delete(REPLICA)).await;
        assert_eq!(stage.ask("DeleteSecret", &delete(PRIMARY)).await.code(), "InvalidParameterException");
        pair.disassociate().await;
        stage.get("DeleteSecret", delete(PRIMARY)).await;
    } else if is("associating with a replica that does not exist") {
        let pair = Pair::on(stage).await;
        let mut input = pair.link();
        for arn in [
            pair.replica_arn.replace("db/copy", "db/other"),
            pair.replica_arn.replace("222233334444", "999988887777"),
        ] {
            input["CrossAccountReplicaARN"] = arn.into();
            let reply = stage.ask("AssociateCrossAccountReplica", &input).await;
            assert_eq!(reply.code(), "AccessDeniedException");
            assert!(reply.message().contains("secretsmanager:AcceptCrossAccountReplication"));
        }
    } else if is("an account outside any organisation") {
        let pair = Pair::on(stage).await;
        for restriction in [json!("SameOrg"), Value::Null] {
            let mut input = pair.link();
            input["ReplicaRestriction"] = restriction;
            let reply = stage.ask("AssociateCrossAccountReplica", &input).await;
            assert_eq!(reply.code(), "InvalidRequestException");
        }
    } else {
        panic!("nobody knows how to see this: {fact}");
    }
}

const SERVICE_TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"secretsmanager.amazonaws.com"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"aws:SourceAccount":"111122223333"},"ArnLike":{"aws:SourceArn":"arn:aws:secretsmanager:*:111122223333:secret:db/*"}}}]}"#;

/// Whoever lacks one of them is refused by its name, and nothing is changed on either side.
async fn needs_of_an_association(stage: &Stage<'_>) {
    let pair = Pair::on(stage).await;
    let role = format!("of-{}", stage.client.region());
    stage.iam("CreateRole", &[("RoleName", &role), ("AssumeRolePolicyDocument", SERVICE_TRUST)]).await;
    let kms = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["kms:Decrypt","kms:Encrypt"],"Resource":"*"}]}"#;
    stage.iam("PutRolePolicy", &[("RoleName", &role), ("PolicyName", "kms"), ("PolicyDocument", kms)]).await;
    let role = format!("arn:aws:iam::111122223333:role/{role}");
    for (action, with_role) in [
        ("secretsmanager:AssociateCrossAccountReplica", false),
        ("secretsmanager:GetSecretValue", false),
        ("secretsmanager:AcceptCrossAccountReplication", false),
        ("kms:Decrypt", false),
        ("kms:Encrypt", false),
        ("iam:PassRole", true),
    ] {
        let caller = stage.as_user_without(action).await;
        let mut input = pair.link();
        if with_role {
            input["ReplicationRoleARN"] = role.as_str().into();
        }
        let reply = caller.ask("AssociateCrossAccountReplica", &input).await;
        assert_eq!(reply.code(), "AccessDeniedException", "{action}");
        let told = if action.starts_with("kms:") { "Access to KMS is not allowed" } else { action };
        assert!(reply.message().contains(told), "{}", reply.message());
        assert_eq!(pair.statuses().await, [Value::Null, json!("Pending")]);
        let user = format!("user-of-{}", stage.client.region());
        stage.forget_user(&user).await;
    }
    // The role needs the keys and the caller does not.
    let caller = stage.as_user_denied(json!("kms:*"), json!({})).await;
    let mut input = pair.link();
    input["ReplicationRoleARN"] = role.as_str().into();
    caller.get("AssociateCrossAccountReplica", input).await;
    assert_eq!(pair.of_primary().await["ReplicationRoleARN"], role);
    pair.settle().await;
    assert!(pair.is_equal().await);
}

async fn who_replicates(stage: &Stage<'_>) {
    let pair = Pair::linked(stage).await;
    let hindered = stage.as_user_without("kms:Encrypt").await;
    let put = |number: usize| json!({"SecretId": PRIMARY, "ClientRequestToken": token(number), "SecretString": "x"});
    hindered.get("PutSecretValue", put(2)).await;
    pair.settle().await;
    assert_eq!(pair.statuses().await, ["Failed", "Failed"]);
    // The next who is able repairs it.
    pair.put(3).await;
    pair.settle().await;
    assert_eq!(pair.statuses().await, ["InSync", "InSync"]);
    let role = format!("who-{}", stage.client.region());
    stage.iam("CreateRole", &[("RoleName", &role), ("AssumeRolePolicyDocument", SERVICE_TRUST)]).await;
    let kms = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["kms:Decrypt","kms:Encrypt"],"Resource":"*"}]}"#;
    stage.iam("PutRolePolicy", &[("RoleName", &role), ("PolicyName", "kms"), ("PolicyDocument", kms)]).await;
    let mut input = pair.link();
    input["ReplicationRoleARN"] = format!("arn:aws:iam::111122223333:role/{role}").into();
    stage.get("AssociateCrossAccountReplica", input).await;
    hindered.get("PutSecretValue", put(4)).await;
    pair.settle().await;
    assert_eq!(pair.statuses().await, ["InSync", "InSync"]);
    assert!(pair.is_equal().await);
    stage.iam("DeleteRolePolicy", &[("RoleName", &role), ("PolicyName", "kms")]).await;
    pair.put(5).await;
    pair.settle().await;
    assert_eq!(pair.statuses().await, ["Failed", "Failed"], "the writer could, and the role cannot");
}
