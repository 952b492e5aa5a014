//! What stands on a server before requests are made up for it: secrets in every state that a handler asks about.
//!
//! What is made up has to name what is there, or it gets no further than the first look-up. So whatever stands here is remembered by
//! all the names it has.

use std::time::Duration;

use coffer_testkit::{Engine, TestServer};
use serde_json::{Value, json};

use crate::{
    pair::key_policy,
    replication::in_region,
    stage::{Stage, token},
};

pub(super) const HOME: &str = "eu-west-1";
pub(super) const ELSEWHERE: &str = "us-east-1";
/// A secret of its own stands in the way of a replica here.
const BLOCKED: &str = "us-west-2";
pub(super) const REGIONS: [&str; 13] = [
    HOME,
    ELSEWHERE,
    BLOCKED,
    "us-west-1",
    "us-east-2",
    "eu-west-2",
    "eu-west-3",
    "eu-north-1",
    "ap-south-1",
    "ap-east-1",
    "sa-east-1",
    "ca-central-1",
    "af-south-1",
];
pub(super) const LABELS: [&str; 6] = ["AWSCURRENT", "AWSPREVIOUS", "AWSPENDING", "blue", "green", "none"];
pub(super) const TAGS: [&str; 3] = ["team", "stage", "none"];
const NAMES: [&str; 18] = [
    "versions",
    "empty",
    "scheduled",
    "rotating",
    "cancelled",
    "policied",
    "replicated",
    "promoted",
    "labelled",
    "tagged",
    "mirrored/1",
    "mirrored/2",
    "mirrored/3",
    "ends/like-an-Arn-a1b2c3",
    "rds!cluster",
    "linked/1",
    "linked/2",
    "linked/3",
];
const LABELS_MAX: usize = 20;
const TAGS_MAX: usize = 50;

pub(super) struct Furniture {
    pub(super) server: TestServer,
    /// Names, ARNs and parts of ARNs, some of which name nothing.
    pub(super) secret_ids: Vec<String>,
    pub(super) names: Vec<String>,
    pub(super) page_tokens: Vec<Value>,
    pub(super) policies: Vec<String>,
    pub(super) functions: Vec<String>,
    /// Secrets of another account: of each name that begins with `linked`, the replica.
    pub(super) replicas: Vec<String>,
}

impl Furniture {
    pub(super) async fn new(seed: u64) -> Self {
        let server = TestServer::start(Engine::Memory, seed).await;
        let here = in_region(&server, HOME);
        for name in NAMES {
            let mut create = json!({"Name": name, "ClientRequestToken": token(0), "SecretString": "value 0"});
            match name {
                "empty" => create = json!({"Name": name}),
                "replicated" => create["AddReplicaRegions"] = regions(&REGIONS[1..]),
                "mirrored/1" | "mirrored/2" | "mirrored/3" => {
                    create["AddReplicaRegions"] = regions(&[ELSEWHERE]);
                }
                "promoted" => create["AddReplicaRegions"] = regions(&REGIONS[1..3]),
                "tagged" => {
                    let tag = |number| json!({"Key": format!("tag {number}"), "Value": ""});
                    create["Tags"] = (0..TAGS_MAX).map(tag).collect();
                }
                _ => create["Tags"] = json!([{"Key": TAGS[0], "Value": "a"}, {"Key": TAGS[1], "Value": "b"}]),
            }
            if name == "promoted" {
                in_region(&server, BLOCKED).get("CreateSecret", json!({"Name": name})).await;
            }
            here.get("CreateSecret", create).await;
            finish(&here, name).await;
        }
        server.pass(Duration::from_secs(10)).await;
        in_region(&server, ELSEWHERE).get("StopReplicationToReplica", json!({"SecretId": "promoted"})).await;
        server.pass(Duration::from_secs(10)).await;

        let listed = here.get("ListSecrets", json!({"IncludePlannedDeletion": true})).await;
        let mut secret_ids =
            vec![String::from("nothing"), format!("arn:aws:secretsmanager:{HOME}:111122223333:x")];
        for secret in listed["SecretList"].as_array().unwrap() {
            let arn = secret["ARN"].as_str().unwrap();
            let part = &arn[..arn.len() - "-123456".len()];
            let elsewhere = arn.replacen(HOME, ELSEWHERE, 1);
            let foreign = arn.replacen("111122223333", "444455556666", 1);
            let name = secret["Name"].as_str().unwrap();
            // The name once more: most clients use it.
            secret_ids.extend([name, name, arn, arn, part, &elsewhere, &foreign].map(str::to_owned));
        }
        let replicas = linked(&here, &listed).await;
        let policies = ["444455556666", "*", "arn:aws:iam::111122223333:root", "nobody"];
        Self {
            secret_ids,
            names: NAMES.map(str::to_owned).into(),
            page_tokens: page_tokens(&here).await,
            policies: policies.map(|principal| here.policy(principal)).into(),
            replicas,
            functions: ["rotate", "rotate-other", "missing"].map(|name| here.function(name)).into(),
            server,
        }
    }
}

/// Makes the replicas in another account, and links those that are in sight of it. A role may copy to them.
async fn linked(here: &Stage<'_>, listed: &Value) -> Vec<String> {
    let there = here.abroad().await;
    let key = there.kms("CreateKey", json!({"Policy": key_policy("kms:Encrypt")})).await;
    let mut replicas = Vec::new();
    for secret in listed["SecretList"].as_array().unwrap() {
        let name = secret["Name"].as_str().unwrap();
        let Some(number) = name.strip_prefix("linked/") else { continue };
        let key = &key["KeyMetadata"]["KeyId"];
        let copy = json!({"Name": format!("copy/{number}"), "KmsKeyId": key, "CrossAccountPrimaryARN": secret["ARN"]});
        let arn = there.get("CreateSecret", copy).await["ARN"].as_str().unwrap().to_owned();
        if number != "3" {
            let link = json!({"SecretId": name, "CrossAccountReplicaARN": arn, "ReplicaRestriction": "NoRestriction"});
            here.get("AssociateCrossAccountReplica", link).await;
        }
        replicas.push(arn);
    }
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"secretsmanager.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
    let keys = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}"#;
    here.iam("CreateRole", &[("RoleName", "replicate"), ("AssumeRolePolicyDocument", trust)]).await;
    here.iam("PutRolePolicy", &[("RoleName", "replicate"), ("PolicyName", "keys"), ("PolicyDocument", keys)])
        .await;
    replicas
}

/// Brings a secret that was just made into the state that its name tells of.
async fn finish(here: &Stage<'_>, name: &str) {
    let id = || json!({"SecretId": name});
    match name {
        "versions" | "replicated" => {
            for (number, label) in [None, None, None, Some("blue"), Some("green")].iter().enumerate().skip(1)
            {
                let mut put = json!({
                    "SecretId": name, "ClientRequestToken": token(number), "SecretString": format!("value {number}"),
                });
                if let Some(label) = label {
                    put["VersionStages"] = json!([label]);
                }
                here.get("PutSecretValue", put).await;
            }
            here.get("GetSecretValue", id()).await;
        }
        "labelled" => {
            let labels: Vec<String> = (1..LABELS_MAX).map(|number| format!("label {number}")).collect();
            let put = json!({
                "SecretId": name, "ClientRequestToken": token(1), "SecretString": "value 1", "VersionStages": labels,
            });
            here.get("PutSecretValue", put).await;
        }
        "scheduled" => drop(here.get("DeleteSecret", id()).await),
        "rotating" | "cancelled" => {
            here.get("RotateSecret", here.rotation(name, 1)).await;
            if name == "cancelled" {
                here.get("CancelRotateSecret", id()).await;
            }
        }
        "policied" => {
            let policy = json!({"SecretId": name, "ResourcePolicy": here.policy("444455556666")});
            here.get("PutResourcePolicy", policy).await;
        }
        _ => {}
    }
}

fn regions(names: &[&str]) -> Value {
    names.iter().map(|name| json!({"Region": name})).collect()
}

/// Tokens that continue something, each of another list.
async fn page_tokens(here: &Stage<'_>) -> Vec<Value> {
    let mut tokens = Vec::new();
    for (operation, input) in [
        ("ListSecrets", json!({"MaxResults": 1})),
        ("ListSecretVersionIds", json!({"SecretId": "versions", "MaxResults": 1, "IncludeDeprecated": true})),
        ("BatchGetSecretValue", json!({"Filters": [{"Key": "name", "Values": ["r"]}], "MaxResults": 1})),
    ] {
        let token = here.get(operation, input).await["NextToken"].take();
        assert!(token.is_string(), "{operation}");
        tokens.push(token);
    }
    tokens
}
