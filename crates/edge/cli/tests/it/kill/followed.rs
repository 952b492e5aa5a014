//! A secret that is followed, by a replica in another region and by one in another account, and whoever writes it while the server lives.
//!
//! The kill falls into the making of the three, into the linking, into a write or into the copying of one. Whatever it was, the server
//! that comes after it copies the rest: then each replica has the labels and the values of its primary.

use std::collections::{BTreeMap, BTreeSet};

use coffer_client::Client;
use coffer_model::kms;
use serde_json::{Value, json};

use super::{
    dice::Dice,
    journal::{Answer, Asker},
    load::{Checked, finding},
    node::{Ground, Node},
    pause,
    twin::{token, value_of},
};

/// The account of the replica, and the region of the other one.
const PARTNER: &str = "222233334444";
const REGION: &str = "eu-west-1";
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// The account of the replica, for which no server needs to run.
pub(crate) fn make_partner(ground: &Ground) {
    let (code, said, complaint) = ground.command(&["account", "create", "--id", PARTNER], "data");
    assert_eq!(code, 0, "{said} {complaint}");
}

/// The key of the replicas in the other account. It lets the first account encrypt.
pub(crate) async fn make_key(ground: &Ground, node: &Node) -> String {
    let client = partner(ground, &ground.client(node));
    let statements = [
        json!({"Effect": "Allow", "Principal": {"AWS": PARTNER}, "Action": "kms:*", "Resource": "*"}),
        json!({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:Encrypt", "Resource": "*"}),
    ];
    let policy = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    let body = json!({"Policy": policy}).to_string();
    let answer = client.call_raw(&kms::SERVICE, "CreateKey", body.as_bytes()).await.unwrap();
    let made: Value = serde_json::from_slice(answer.body.expose()).unwrap();
    made["KeyMetadata"]["KeyId"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
}

fn partner(ground: &Ground, client: &Client) -> Client {
    client.with_credentials(ground.credentials(&format!("data/bootstrap/credentials-{PARTNER}")))
}

/// One of them for each round.
#[derive(Clone)]
pub(crate) struct Followed {
    name: String,
    copy: String,
    key: String,
}

/// The three sides.
struct Sides {
    primary: Asker,
    in_region: Asker,
    in_account: Asker,
}

impl Sides {
    fn new(asker: &Asker, ground: &Ground) -> Self {
        let with = |client| Asker { client, ..asker.called("follower") };
        Self {
            primary: with(asker.client.clone()),
            in_region: with(asker.client.with_region(REGION.parse().unwrap())),
            in_account: with(partner(ground, &asker.client)),
        }
    }
}

/// The labels and the value of each version that has a label, and how many versions there are.
type Seen = (BTreeMap<String, (BTreeSet<String>, String)>, usize);

impl Followed {
    pub(crate) fn new(round: usize, key: &str) -> Self {
        let (name, copy) = (format!("followed/{round}"), format!("copy/{round}"));
        Self { name, copy, key: key.to_owned() }
    }

    /// Makes the three, and writes until the server is gone. Nothing of that may be refused.
    pub(crate) fn work(
        &self,
        asker: &Asker,
        ground: &Ground,
        dice: Dice,
    ) -> impl Future<Output = Checked> + use<> {
        let (followed, sides) = (self.clone(), Sides::new(asker, ground));
        async move { followed.write(&sides, dice).await.map(drop) }
    }

    async fn write(&self, sides: &Sides, mut dice: Dice) -> Checked<Option<()>> {
        let first = token(&mut dice);
        let create = json!({
            "Name": self.name, "ClientRequestToken": first, "SecretString": value_of(&self.name, &first),
            "AddReplicaRegions": [{"Region": REGION}],
        });
        let Some(made) = self.ask(&sides.primary, "CreateSecret", create).await? else { return Ok(None) };
        let copy = json!({"Name": self.copy, "KmsKeyId": self.key, "CrossAccountPrimaryARN": made["ARN"]});
        let Some(copy) = self.ask(&sides.in_account, "CreateSecret", copy).await? else { return Ok(None) };
        if self.associate(sides, &copy["ARN"]).await?.is_none() {
            return Ok(None);
        }
        loop {
            let id = token(&mut dice);
            let labels = dice.percent(40).then(|| json!([*dice.pick(&["blue", "AWSPENDING"])]));
            let mut put = json!({
                "SecretId": self.name, "ClientRequestToken": id, "SecretString": value_of(&self.name, &id),
            });
            if let Some(labels) = labels {
                put["VersionStages"] = labels;
            }
            match sides.primary.ask("PutSecretValue", &self.name, &put).await {
                Answer::Done(_) => {}
                // A hundred versions, which is enough to copy.
                Answer::Refused { code, .. } if code == "LimitExceededException" => return Ok(None),
                Answer::Refused { text, .. } => return finding(&self.name, format!("refused: {text}")),
                Answer::Unknown | Answer::NotSent => return Ok(None),
            }
            if dice.percent(10) {
                let let_go = json!({"SecretId": self.name, "CrossAccountReplicaARN": copy["ARN"]});
                let gone = self.ask(&sides.primary, "DisassociateCrossAccountReplica", let_go).await?;
                if gone.is_none() || self.associate(sides, &copy["ARN"]).await?.is_none() {
                    return Ok(None);
                }
            }
        }
    }

    async fn associate(&self, sides: &Sides, copy: &Value) -> Checked<Option<Value>> {
        let link = json!({
            "SecretId": self.name, "CrossAccountReplicaARN": copy, "ReplicaRestriction": "NoRestriction",
        });
        self.ask(&sides.primary, "AssociateCrossAccountReplica", link).await
    }

    /// The answer, unless the server has gone.
    async fn ask(&self, asker: &Asker, operation: &'static str, body: Value) -> Checked<Option<Value>> {
        match asker.ask(operation, &self.name, &body).await {
            Answer::Done(answer) => Ok(Some(answer)),
            Answer::Refused { text, .. } => finding(&self.name, format!("{operation} refused: {text}")),
            Answer::Unknown | Answer::NotSent => Ok(None),
        }
    }

    /// After a kill, or at the end of all: whatever became of the three, each replica that there is comes to equal its primary.
    pub(crate) async fn compare(&self, asker: &Asker, ground: &Ground) -> Checked {
        let sides = Sides::new(asker, ground);
        let Some(primary) = self.describe(&sides.primary, &self.name).await? else { return Ok(()) };
        let copy = self.describe(&sides.in_account, &self.copy).await?;
        if let Some(copy) = &copy
            && primary["CrossAccountReplicas"].is_null()
        {
            self.associate(&sides, &copy["ARN"]).await?;
        }
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let shown = self.describe(&sides.primary, &self.name).await?.unwrap_or_default();
            let of_region = &shown["ReplicationStatus"][0]["Status"];
            let of_account = &shown["CrossAccountReplicas"][0]["ReplicationStatus"];
            if of_region == "InSync" && (copy.is_none() || of_account == "InSync") {
                break;
            }
            if tokio::time::Instant::now() > end {
                return finding(&self.name, format!("the replicas do not come to be in sync: {shown}"));
            }
            pause(20).await;
        }
        let (primary, versions) = self.seen(&sides.primary, &self.name).await?;
        let in_region = self.seen(&sides.in_region, &self.name).await?;
        if in_region != (primary.clone(), versions) {
            return finding(
                &self.name,
                format!("in {REGION}\n  expected {primary:?}\n  seen     {in_region:?}"),
            );
        }
        if copy.is_some() {
            let (in_account, _) = self.seen(&sides.in_account, &self.copy).await?;
            if in_account != primary {
                return finding(
                    &self.name,
                    format!("abroad\n  expected {primary:?}\n  seen     {in_account:?}"),
                );
            }
            let described = self.describe(&sides.in_account, &self.copy).await?.unwrap_or_default();
            if described["CrossAccountPrimary"]["ReplicationStatus"] != "InSync" {
                return finding(&self.name, format!("the other side says {described}"));
            }
        }
        Ok(())
    }

    async fn describe(&self, asker: &Asker, name: &str) -> Checked<Option<Value>> {
        match asker.ask("DescribeSecret", &self.name, &json!({"SecretId": name})).await {
            Answer::Done(described) => Ok(Some(described)),
            Answer::Refused { code, .. } if code == "ResourceNotFoundException" => Ok(None),
            other => finding(&self.name, format!("DescribeSecret {name}: {other:?}")),
        }
    }

    async fn seen(&self, asker: &Asker, name: &str) -> Checked<Seen> {
        let described = self.describe(asker, name).await?.unwrap_or_default();
        let labels: BTreeMap<String, BTreeSet<String>> =
            serde_json::from_value(described["VersionIdsToStages"].clone()).unwrap_or_default();
        let mut seen = BTreeMap::new();
        for (version, labels) in labels {
            let request = json!({"SecretId": name, "VersionId": version});
            let answer = match asker.ask("GetSecretValue", &self.name, &request).await {
                Answer::Done(answer) => answer,
                other => return finding(&self.name, format!("the value of {version} in {name}: {other:?}")),
            };
            let value = answer["SecretString"].as_str().unwrap_or_default().to_owned();
            if value != value_of(&self.name, &version) {
                return finding(&self.name, format!("the value of {version} in {name} is another one"));
            }
            seen.insert(version, (labels, value));
        }
        let list = json!({"SecretId": name, "IncludeDeprecated": true, "MaxResults": 100});
        match asker.ask("ListSecretVersionIds", &self.name, &list).await {
            Answer::Done(listed) => Ok((seen, listed["Versions"].as_array().map_or(0, Vec::len))),
            other => finding(&self.name, format!("ListSecretVersionIds {name}: {other:?}")),
        }
    }
}
