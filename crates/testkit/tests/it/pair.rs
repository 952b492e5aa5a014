//! A secret, and its replica in another account, and short words for what happens to the two.

use std::time::Duration;

use serde_json::{Value, json};

use crate::stage::{ABROAD, HOME, Stage, token};

pub(crate) const PRIMARY: &str = "db/password";
pub(crate) const REPLICA: &str = "db/copy";

pub(crate) struct Pair<'s> {
    pub(crate) primary: Stage<'s>,
    pub(crate) replica: Stage<'s>,
    pub(crate) primary_arn: String,
    pub(crate) replica_arn: String,
    /// The replica's.
    pub(crate) key: String,
}

impl<'s> Pair<'s> {
    /// The primary is a secret of the stage, with a value. Nothing links the two yet.
    pub(crate) async fn on(stage: &Stage<'s>) -> Self {
        let primary = Stage { server: stage.server, client: stage.client.clone() };
        let replica = stage.abroad().await;
        let create = json!({"Name": PRIMARY, "ClientRequestToken": token(1), "SecretString": "one"});
        let primary_arn = text(&primary.get("CreateSecret", create).await["ARN"]);
        let key = replica.kms("CreateKey", json!({"Policy": key_policy("kms:Encrypt")})).await;
        let key = text(&key["KeyMetadata"]["KeyId"]);
        let mut pair = Self { primary, replica, primary_arn, replica_arn: String::new(), key };
        pair.replica_arn = pair.new_replica(REPLICA, &pair.primary_arn).await;
        pair
    }

    pub(crate) async fn new_replica(&self, name: &str, of: &str) -> String {
        let create = json!({"Name": name, "KmsKeyId": self.key, "CrossAccountPrimaryARN": of});
        text(&self.replica.get("CreateSecret", create).await["ARN"])
    }

    /// The input of an association that succeeds.
    pub(crate) fn link(&self) -> Value {
        json!({"SecretId": PRIMARY, "CrossAccountReplicaARN": self.replica_arn, "ReplicaRestriction": "NoRestriction"})
    }

    pub(crate) async fn associate(&self) {
        self.primary.get("AssociateCrossAccountReplica", self.link()).await;
    }

    pub(crate) async fn disassociate(&self) {
        let input = json!({"SecretId": PRIMARY, "CrossAccountReplicaARN": self.replica_arn});
        self.primary.get("DisassociateCrossAccountReplica", input).await;
    }

    /// Makes it a secret of its own.
    pub(crate) async fn stop(&self) {
        self.replica.get("StopReplicationToReplica", json!({"SecretId": REPLICA})).await;
    }

    pub(crate) async fn put(&self, number: usize) {
        let value = json!({"SecretId": PRIMARY, "ClientRequestToken": token(number), "SecretString": number.to_string()});
        self.primary.get("PutSecretValue", value).await;
    }

    /// What the key of the replica lets the account of the primary do.
    pub(crate) async fn lend_key_for(&self, action: &str) {
        let policy = json!({"KeyId": self.key, "Policy": key_policy(action)});
        self.replica.kms("PutKeyPolicy", policy).await;
    }

    pub(crate) async fn settle(&self) {
        self.primary.server.pass(Duration::from_secs(1)).await;
    }

    pub(crate) async fn linked(stage: &Stage<'s>) -> Self {
        let pair = Self::on(stage).await;
        pair.associate().await;
        pair.settle().await;
        pair
    }

    /// What each side shows of the link: of the primary, then of the replica.
    pub(crate) async fn statuses(&self) -> [Value; 2] {
        [self.of_primary().await, self.of_replica().await].map(|shown| shown["ReplicationStatus"].clone())
    }

    pub(crate) async fn of_primary(&self) -> Value {
        let described = self.primary.get("DescribeSecret", json!({"SecretId": PRIMARY})).await;
        described["CrossAccountReplicas"][0].clone()
    }

    pub(crate) async fn of_replica(&self) -> Value {
        let described = self.replica.get("DescribeSecret", json!({"SecretId": REPLICA})).await;
        described["CrossAccountPrimary"].clone()
    }

    /// What is copied, as either side tells it.
    pub(crate) async fn copied(stage: &Stage<'_>, name: &str) -> Value {
        let id = json!({"SecretId": name});
        let labels = stage.get("DescribeSecret", id).await["VersionIdsToStages"].clone();
        let mut versions = Vec::new();
        for version_id in labels.as_object().into_iter().flatten().map(|(id, _)| id) {
            let one = json!({"SecretId": name, "VersionId": version_id});
            let mut value = stage.ask("GetSecretValue", &one).await.body;
            // The placeholder of a rotation has no value, and is not copied.
            if value.get("VersionId").is_some() {
                value["ARN"] = Value::Null;
                value["Name"] = Value::Null;
                versions.push(value);
            }
        }
        Value::from(versions)
    }

    pub(crate) async fn is_equal(&self) -> bool {
        Self::copied(&self.primary, PRIMARY).await == Self::copied(&self.replica, REPLICA).await
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Of a key in the account of the replica, of which the account of the primary may do this.
pub(crate) fn key_policy(action: &str) -> String {
    let statement = |account: &str, action: &str| {
        json!({
            "Effect": "Allow",
            "Principal": {"AWS": format!("arn:aws:iam::{account}:root")},
            "Action": action,
            "Resource": "*",
        })
    };
    let statements = [statement(ABROAD, "kms:*"), statement(HOME, action)];
    json!({"Version": "2012-10-17", "Statement": statements}).to_string()
}
