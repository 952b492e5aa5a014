//! Lets members that name things name things that are there.
//!
//! A made-up request knows only what the model allows. Here some of its members, half of the time or more, get a value of the furniture
//! instead: an id that exists, the label of a version, a page token of another list. Members that may be absent are taken out of
//! many requests: whoever says everything at once contradicts himself.

use coffer_shape::OperationSpec;
use coffer_testkit::SimEntropy;
use serde_json::{Value, json};

use super::furniture::{Furniture, LABELS, REGIONS, TAGS};
use crate::stage::token;

/// Whoever gets one of these wrong comes no further.
const NEEDED: [&str; 10] = [
    "SecretId",
    "Name",
    "Region",
    "ResourcePolicy",
    "RotationLambdaARN",
    "ExternalSecretRotationRoleArn",
    "VersionStage",
    "MoveToVersionId",
    "CrossAccountReplicaARN",
    "ReplicaRestriction",
];
/// So many different tokens and version ids are in use; the last ones are of no version.
const TOKENS: usize = 8;

/// Where KMS is told what kind of key to make.
const KEY_SPECS: [&str; 3] = ["KeySpec", "CustomerMasterKeySpec", "KeyPairSpec"];

fn is_rsa(value: &Value) -> bool {
    value.as_str().is_some_and(|spec| spec.starts_with("RSA_"))
}

pub(super) fn aim(
    spec: &OperationSpec,
    body: Vec<u8>,
    furniture: &Furniture,
    chance: &SimEntropy,
) -> Vec<u8> {
    // Forms name nothing that stands here, and neither do paths.
    if !body.starts_with(b"{") || spec.rest.is_some() {
        return body;
    }
    let mut input: Value = serde_json::from_slice(&body).unwrap();
    let members = input.as_object_mut().unwrap();
    if chance.below(2) == 0 {
        let is_required = |name: &str| spec.input.member(name).is_some_and(|(_, member)| member.required);
        members.retain(|name, _| is_required(name) || chance.below(2) == 0);
        // Two of anything are often the same one twice, or contradict each other. No list has to be longer.
        for list in members.values_mut().filter_map(Value::as_array_mut) {
            list.truncate(1);
        }
        if let Some(Value::Object(rules)) = members.get_mut("RotationRules") {
            rules.retain(|_, _| chance.below(2) == 0);
        }
    }
    for (member, value) in members {
        match spec.service.name {
            // Its members are called the same and are something else. There is one key on every server.
            "kms" if member.ends_with("KeyId") && member != "XksKeyId" && chance.below(2) == 0 => {
                *value = "alias/aws/secretsmanager".into();
            }
            // Looking for large primes takes its time, and a hundred times shows no more than ten.
            "kms" if KEY_SPECS.contains(&member.as_str()) && is_rsa(value) && chance.below(10) > 0 => {
                *value = "ECC_NIST_P256".into();
            }
            "kms" => {}
            _ => aim_at(member, value, furniture, chance),
        }
    }
    input.to_string().into_bytes()
}

fn aim_at(member: &str, value: &mut Value, furniture: &Furniture, chance: &SimEntropy) {
    match value {
        Value::Array(elements) => {
            elements.iter_mut().for_each(|value| aim_at(member, value, furniture, chance));
        }
        Value::Object(members) => {
            for (inner, value) in members.iter_mut() {
                // Keys and values of tags and filters are called the same and are something else.
                let inner = if inner == "Key" || inner == "Value" { member } else { inner };
                aim_at(inner, value, furniture, chance);
            }
        }
        _ if chance.below(2) == 0 || (NEEDED.contains(&member) && chance.below(2) == 0) => {
            if let Some(aimed) = thing(member, furniture, chance) {
                *value = aimed;
            }
        }
        _ => {}
    }
}

/// Something there for a member of this name.
fn thing(member: &str, furniture: &Furniture, chance: &SimEntropy) -> Option<Value> {
    let pick = |things: &[&str]| Value::from(things[chance.below(things.len())]);
    let one_of = |things: &[String]| Value::from(things[chance.below(things.len())].as_str());
    Some(match member {
        "CrossAccountReplicaARN" => one_of(&furniture.replicas),
        "CrossAccountPrimaryARN" => pick(&["arn:aws:secretsmanager:eu-west-1:222233334444:secret:db-AAAAAA"]),
        "ReplicaRestriction" => "NoRestriction".into(),
        "ReplicationRoleARN" => pick(&["arn:aws:iam::111122223333:role/replicate"]),
        "SecretId" | "SecretIdList" => one_of(&furniture.secret_ids),
        "Name" if chance.below(3) == 0 => one_of(&furniture.names),
        "Name" => format!("new/{}", chance.below(200)).into(),
        "ClientRequestToken" | "VersionId" | "MoveToVersionId" | "RemoveFromVersionId" => {
            token(chance.below(TOKENS)).into()
        }
        "SecretString" => format!("value {}", chance.below(TOKENS)).into(),
        "VersionStage" | "VersionStages" => pick(&LABELS),
        "Region" | "RemoveReplicaRegions" => pick(&REGIONS[usize::from(chance.below(8) > 0)..]),
        "KmsKeyId" => pick(&[
            "alias/aws/secretsmanager",
            "",
            "alias/other",
            "arn:aws:kms:eu-west-1:111122223333:key/00000000-0000-4000-8000-000000000001",
        ]),
        "NextToken" => furniture.page_tokens[chance.below(furniture.page_tokens.len())].clone(),
        "PolicyName" => pick(&["default", "Default", "cross-account-replication"]),
        "ResourcePolicy" => one_of(&furniture.policies),
        "TagKeys" | "Tags" => pick(&TAGS),
        "RotationLambdaARN" => one_of(&furniture.functions),
        "ScheduleExpression" => pick(&[
            "rate(10 days)",
            "rate(4 hours)",
            "rate(3 hours)",
            "cron(0 8/8 * * ? *)",
            "cron(0 0 31 2 ? *)",
        ]),
        "Duration" => pick(&["1h", "4h", "24h", "25h"]),
        "RecoveryWindowInDays" => json!([7, 30, 6, 31][chance.below(4)]),
        "ExternalSecretRotationRoleArn" => pick(&["arn:aws:iam::111122223333:role/app"]),
        _ => return None,
    })
}
