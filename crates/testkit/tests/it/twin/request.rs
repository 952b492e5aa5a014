//! What a request says, as far as the twin cares, and how a client writes it.

use serde_json::{Value, json};

use super::{MALFORMED, PARAMETER, Rules, shown};

/// A request, and the region in which it is made.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) region: &'static str,
    pub(crate) request: Request,
}

/// A value is a client request token and a text.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    Create {
        name: String,
        value: Option<(String, String)>,
        description: Option<String>,
        tags: Option<Vec<(String, String)>>,
        /// Regions, and whether a secret there may be overwritten.
        replicas: Option<(Vec<&'static str>, bool)>,
    },
    Put {
        name: String,
        value: (String, String),
        labels: Option<Vec<String>>,
    },
    Update {
        name: String,
        value: Option<(String, String)>,
        description: Option<String>,
        /// The default one: there is no other.
        key: bool,
    },
    Move {
        name: String,
        label: String,
        from: Option<String>,
        to: Option<String>,
    },
    Get {
        name: String,
        id: Option<String>,
        label: Option<String>,
    },
    Delete {
        name: String,
        days: Option<i64>,
        force: bool,
    },
    Restore {
        name: String,
    },
    Tag {
        name: String,
        tags: Vec<(String, String)>,
    },
    Untag {
        name: String,
        keys: Vec<String>,
    },
    Replicate {
        name: String,
        regions: Vec<&'static str>,
        overwrites: bool,
    },
    Unreplicate {
        name: String,
        regions: Vec<&'static str>,
    },
    Promote {
        name: String,
    },
    Rotate {
        name: String,
        token: String,
        function: Option<String>,
        rules: Option<Rules>,
        immediately: bool,
    },
    Cancel {
        name: String,
    },
    PutPolicy {
        name: String,
        policy: String,
        blocks_public: bool,
        policy_name: Option<&'static str>,
    },
    GetPolicy {
        name: String,
        policy_name: Option<&'static str>,
    },
    DeletePolicy {
        name: String,
        policy_name: Option<&'static str>,
    },
    ListPolicies {
        name: String,
    },
}

impl Request {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Create { name, .. }
            | Self::Put { name, .. }
            | Self::Update { name, .. }
            | Self::Move { name, .. }
            | Self::Get { name, .. }
            | Self::Delete { name, .. }
            | Self::Restore { name }
            | Self::Tag { name, .. }
            | Self::Untag { name, .. }
            | Self::Replicate { name, .. }
            | Self::Unreplicate { name, .. }
            | Self::Promote { name }
            | Self::Rotate { name, .. }
            | Self::Cancel { name }
            | Self::PutPolicy { name, .. }
            | Self::GetPolicy { name, .. }
            | Self::DeletePolicy { name, .. }
            | Self::ListPolicies { name } => name,
        }
    }

    pub(crate) const fn is_read(&self) -> bool {
        matches!(self, Self::Get { .. } | Self::GetPolicy { .. } | Self::ListPolicies { .. })
    }

    /// Whether its outcome depends on what other regions have heard.
    pub(crate) const fn replicates(&self) -> bool {
        matches!(self, Self::Replicate { .. } | Self::Create { replicas: Some(_), .. })
    }

    /// A replica is read, promoted, and sealed under another key. All else is for its primary.
    pub(super) const fn is_for_replicas(&self) -> bool {
        let is_key_alone = matches!(self, Self::Update { value: None, description: None, key: true, .. });
        self.is_read() || is_key_alone || matches!(self, Self::Promote { .. })
    }

    /// What is refused before anybody looks at a secret.
    pub(super) fn check(&self, here: &str) -> Result<(), &'static str> {
        let is_bad = match self {
            Self::Create { replicas: Some((regions, _)), .. } | Self::Replicate { regions, .. } => {
                let twice = |at: usize| regions[..at].contains(&regions[at]);
                regions.contains(&here) || (0..regions.len()).any(twice)
            }
            Self::Delete { days: Some(days), force, .. } => *force || !(7..=30).contains(days),
            Self::Rotate { rules: Some(rules), .. } => rules.days.is_some() && rules.expression.is_some(),
            // The others belong to the service.
            Self::PutPolicy { policy_name, .. } | Self::DeletePolicy { policy_name, .. } => {
                policy_name.is_some_and(|name| name != "default")
            }
            _ => false,
        };
        if is_bad { Err(PARAMETER) } else { Ok(()) }
    }

    /// The same with another value under the same token, or with the same value under another token.
    pub(crate) fn vary(&mut self, token: Option<String>, text: Option<String>) {
        match self {
            Self::Create { value: Some(value), .. }
            | Self::Put { value, .. }
            | Self::Update { value: Some(value), .. } => {
                *value = (token.unwrap_or(value.0.clone()), text.unwrap_or(value.1.clone()));
            }
            Self::Rotate { token: known, .. } => *known = token.unwrap_or(known.clone()),
            _ => {}
        }
    }

    /// The request as a client writes it.
    pub(crate) fn on_the_wire(&self) -> (&'static str, Value) {
        let with = |mut input: Value, value: &Option<(String, String)>| {
            if let Some((token, text)) = value {
                input["ClientRequestToken"] = token.as_str().into();
                input["SecretString"] = text.as_str().into();
            }
            input
        };
        let list =
            |regions: &[&str]| -> Value { regions.iter().map(|region| json!({"Region": region})).collect() };
        match self {
            Self::Create { name, value, description, tags, replicas } => {
                let mut input = json!({"Name": name, "Description": description, "Tags": tags.as_ref().map(|tags| shown(tags))});
                if let Some((regions, overwrites)) = replicas {
                    input["AddReplicaRegions"] = list(regions);
                    input["ForceOverwriteReplicaSecret"] = (*overwrites).into();
                }
                ("CreateSecret", with(input, value))
            }
            Self::Put { name, value, labels } => (
                "PutSecretValue",
                with(json!({"SecretId": name, "VersionStages": labels}), &Some(value.clone())),
            ),
            Self::Update { name, value, description, key } => {
                let key = key.then_some("alias/aws/secretsmanager");
                let input = json!({"SecretId": name, "Description": description, "KmsKeyId": key});
                ("UpdateSecret", with(input, value))
            }
            Self::Move { name, label, from, to } => (
                "UpdateSecretVersionStage",
                json!({"SecretId": name, "VersionStage": label, "RemoveFromVersionId": from, "MoveToVersionId": to}),
            ),
            Self::Get { name, id, label } => {
                ("GetSecretValue", json!({"SecretId": name, "VersionId": id, "VersionStage": label}))
            }
            Self::Delete { name, days, force } => (
                "DeleteSecret",
                json!({"SecretId": name, "RecoveryWindowInDays": days, "ForceDeleteWithoutRecovery": force}),
            ),
            Self::Restore { name } => ("RestoreSecret", json!({"SecretId": name})),
            Self::Tag { name, tags } => ("TagResource", json!({"SecretId": name, "Tags": shown(tags)})),
            Self::Untag { name, keys } => ("UntagResource", json!({"SecretId": name, "TagKeys": keys})),
            Self::Replicate { name, regions, overwrites } => {
                let regions = list(regions);
                let input = json!({"SecretId": name, "AddReplicaRegions": regions, "ForceOverwriteReplicaSecret": overwrites});
                ("ReplicateSecretToRegions", input)
            }
            Self::Unreplicate { name, regions } => {
                ("RemoveRegionsFromReplication", json!({"SecretId": name, "RemoveReplicaRegions": regions}))
            }
            Self::Promote { name } => ("StopReplicationToReplica", json!({"SecretId": name})),
            Self::Rotate { name, token, function, rules, immediately } => {
                let mut input = json!({
                    "SecretId": name, "ClientRequestToken": token, "RotationLambdaARN": function,
                    "RotationRules": rules.as_ref().map(Rules::shown),
                });
                if !immediately {
                    input["RotateImmediately"] = false.into();
                }
                ("RotateSecret", input)
            }
            Self::Cancel { name } => ("CancelRotateSecret", json!({"SecretId": name})),
            Self::PutPolicy { name, policy, blocks_public, policy_name } => (
                "PutResourcePolicy",
                json!({
                    "SecretId": name, "ResourcePolicy": policy, "BlockPublicPolicy": blocks_public, "PolicyName": policy_name,
                }),
            ),
            Self::GetPolicy { name, policy_name } => {
                ("GetResourcePolicy", json!({"SecretId": name, "PolicyName": policy_name}))
            }
            Self::DeletePolicy { name, policy_name } => {
                ("DeleteResourcePolicy", json!({"SecretId": name, "PolicyName": policy_name}))
            }
            Self::ListPolicies { name } => ("ListResourcePolicies", json!({"SecretId": name})),
        }
    }
}

/// The policy that lets a principal read; the walk writes no others, but one that is broken.
pub(crate) fn policy(principal: &str) -> String {
    let statement = json!({
        "Effect": "Allow", "Principal": {"AWS": principal}, "Action": "secretsmanager:GetSecretValue", "Resource": "*",
    });
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

/// Whether such a policy lets everybody in.
pub(super) fn is_public(text: &str) -> Result<bool, &'static str> {
    let policy: Value = serde_json::from_str(text).map_err(|_| MALFORMED)?;
    let principal = policy["Statement"][0]["Principal"]["AWS"].as_str().ok_or(MALFORMED)?;
    match principal {
        "*" => Ok(true),
        account if account.len() == 12 => Ok(false),
        _ => Err(MALFORMED),
    }
}
