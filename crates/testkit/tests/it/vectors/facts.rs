//! Single sentences about AWS that were recorded or documented.

use serde_json::{Value, json};

use super::{NO_CROSS_ACCOUNT, Plan, entries, file, if_served, server, text};
use crate::stage::{Stage, keys, token};

const NAME: &str = "db/password";

pub(super) fn plan(fact: &str) -> Plan {
    let first = fact.split(' ').next().unwrap_or_default();
    if ["GetRandomPassword", "PutResourcePolicy"].contains(&first) {
        return if_served(first);
    }
    if fact.starts_with("AcceptCrossAccountReplication is") {
        return Plan::Run;
    }
    if fact.starts_with("cross-account with the default key") {
        return Plan::Run;
    }
    let replication =
        ["cross-account", "CrossAccount", "ReplicationRoleARN", "SameOrg", "status Pending", "associating"];
    if replication.iter().any(|word| fact.contains(word)) {
        return Plan::Pending(NO_CROSS_ACCOUNT);
    }
    Plan::Run
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fact_holds() {
    let (file, server) = (file(), server().await);
    for (number, vector) in entries(&file, "misc").iter().enumerate() {
        let fact = text(&vector["fact"]);
        if plan(fact) == Plan::Run {
            holds(&Stage::new(&server, number), fact).await;
        }
    }
    server.stop().await;
}

async fn create(stage: &Stage<'_>, name: &str) -> Value {
    stage
        .get("CreateSecret", json!({"Name": name, "ClientRequestToken": token(1), "SecretString": "one"}))
        .await
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
    } else if is("AcceptCrossAccountReplication is") {
        let reply = stage.ask("AcceptCrossAccountReplication", &json!({})).await;
        assert_eq!((reply.status, reply.code()), (400, "UnknownOperationException"));
    } else {
        panic!("nobody knows how to see this: {fact}");
    }
}
