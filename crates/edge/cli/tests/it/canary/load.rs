//! Canaries through every door: each operation that writes, and each way of being refused.

use std::sync::{Arc, Mutex};

use coffer_client::{Client, ClientError, Credentials, RawRequest, RawResponse};
use coffer_model::{secretsmanager::SERVICE, sts};
use coffer_shape::ServiceSpec;
use coffer_types::{
    Secret,
    encoding::{BASE32_NOPAD, BASE64, BASE64URL_NOPAD, HEXLOWER},
};
use serde_json::{Value, json};

use crate::kill::Dice;

/// More than a body may have.
const TOO_LONG_BYTES: usize = 1100 << 10;

const REPLICA_REGION: &str = "ap-south-1";

/// One canary that went in.
#[derive(Debug, Clone)]
pub(crate) struct Bird {
    pub(crate) what: String,
    pub(crate) bytes: Vec<u8>,
    /// A value of a secret, which not even its owner may find in an error.
    pub(crate) is_value: bool,
}

/// All canaries so far, and what was said to those who were refused.
#[derive(Debug, Default)]
pub(crate) struct Aviary {
    pub(crate) birds: Mutex<Vec<Bird>>,
    pub(crate) refusals: Mutex<Vec<Vec<u8>>>,
}

/// Lets canaries fly, one kind at a time.
pub(crate) struct Keeper {
    pub(crate) client: Client,
    /// For requests that are refused: the server may close a connection whose request it did not read to the end.
    pub(crate) refusable: Client,
    pub(crate) aviary: Arc<Aviary>,
    pub(crate) dice: Dice,
}

impl Keeper {
    pub(super) fn bird(&mut self, what: &str, is_value: bool, bytes: Vec<u8>) {
        self.aviary.birds.lock().unwrap().push(Bird { what: what.to_owned(), bytes, is_value });
    }

    /// 32 random bytes as text, in one of the alphabets that a name may be written in.
    pub(super) fn text(&mut self, what: &str) -> String {
        self.any_text(what, false)
    }

    pub(super) fn value(&mut self, what: &str) -> String {
        self.any_text(what, true)
    }

    fn any_text(&mut self, what: &str, is_value: bool) -> String {
        let bytes = self.dice.bytes::<32>();
        let encodings = [HEXLOWER, BASE32_NOPAD, BASE64URL_NOPAD];
        let text = self.dice.pick(&encodings).encode(&bytes);
        self.bird(what, is_value, text.clone().into_bytes());
        text
    }

    /// 32 random bytes as they are, for the wire.
    fn binary(&mut self, what: &str) -> String {
        let bytes = self.dice.bytes::<32>();
        self.bird(what, true, bytes.to_vec());
        BASE64.encode(&bytes)
    }

    /// A request that is to be refused.
    pub(super) async fn raw(&self, operation: &str, body: &[u8]) -> RawResponse {
        ask(&self.refusable, &SERVICE, operation, body).await
    }

    pub(super) async fn done(&self, operation: &str, body: &Value) -> Value {
        let answer = self.client.call_raw(&SERVICE, operation, body.to_string().as_bytes()).await.unwrap();
        let text = String::from_utf8_lossy(answer.body.expose()).into_owned();
        assert_eq!(answer.status, 200, "{operation}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    pub(super) fn refused(&self, what: &str, answer: &RawResponse) {
        let text = String::from_utf8_lossy(answer.body.expose());
        assert!((400..500).contains(&answer.status), "{what}: {} {text}", answer.status);
        self.aviary.refusals.lock().unwrap().push(answer.body.expose().clone());
    }

    async fn refuse(&self, operation: &str, body: &Value) {
        self.refused(operation, &self.raw(operation, body.to_string().as_bytes()).await);
    }

    /// The life of a secret, with a canary in every place that takes words.
    pub(crate) async fn whole_life(&mut self, nth: usize) {
        let name = self.text("name");
        let [first, second, third] = [(); 3].map(|()| self.text("client request token"));
        let (label, own_label) = (self.text("label"), self.text("label"));
        let (key, other_key) = (self.text("tag key"), self.text("tag key"));
        let [described, described_again] = [(); 2].map(|()| self.text("description"));
        let [tag, other_tag] = [(); 2].map(|()| self.text("tag value"));
        let value = self.value("value of CreateSecret");
        self.done(
            "CreateSecret",
            &json!({
                "Name": name, "Description": described, "ClientRequestToken": first, "SecretString": value,
                "Tags": [{"Key": key, "Value": tag}],
            }),
        )
        .await;
        let put = json!({"SecretId": name, "ClientRequestToken": second, "VersionStages": ["AWSCURRENT", label, own_label]});
        let put = if nth.is_multiple_of(2) {
            with(put, "SecretBinary", self.binary("value of PutSecretValue"))
        } else {
            with(put, "SecretString", self.value("value of PutSecretValue"))
        };
        self.done("PutSecretValue", &put).await;
        let update = json!({"SecretId": name, "ClientRequestToken": third, "Description": described_again});
        let update = with(update, "SecretString", self.value("value of UpdateSecret"));
        self.done("UpdateSecret", &update).await;
        self.done("UpdateSecretVersionStage", &json!({
            "SecretId": name, "VersionStage": label, "RemoveFromVersionId": second, "MoveToVersionId": third,
        })).await;
        self.done(
            "TagResource",
            &json!({"SecretId": name, "Tags": [{"Key": other_key, "Value": other_tag}]}),
        )
        .await;
        let read = self.done("GetSecretValue", &json!({"SecretId": name, "VersionId": first})).await;
        assert_eq!(read["SecretString"], value);
        let by_label = json!({"SecretId": name, "VersionStage": label});
        assert_eq!(self.done("GetSecretValue", &by_label).await["SecretString"], update["SecretString"]);
        let described = self.done("DescribeSecret", &json!({"SecretId": name})).await;
        assert_eq!(described["Description"], described_again);
        self.done("ListSecretVersionIds", &json!({"SecretId": name, "IncludeDeprecated": true})).await;
        let filter = json!({"Filters": [{"Key": "name", "Values": [name]}], "MaxResults": 1});
        assert_eq!(self.done("ListSecrets", &filter).await["SecretList"][0]["Name"], name);
        if nth.is_multiple_of(3) {
            self.done("UntagResource", &json!({"SecretId": name, "TagKeys": [key]})).await;
        }
        if nth.is_multiple_of(5) {
            self.done("DeleteSecret", &json!({"SecretId": name, "RecoveryWindowInDays": 7})).await;
            self.refuse("GetSecretValue", &json!({"SecretId": name})).await;
            self.done("RestoreSecret", &json!({"SecretId": name})).await;
        }
        self.refusals_of(nth, &name, &first).await;
        if nth.is_multiple_of(4) {
            self.replicate(&name, update["SecretString"].as_str().unwrap()).await;
        }
        if nth.is_multiple_of(7) {
            self.done("DeleteSecret", &json!({"SecretId": name, "ForceDeleteWithoutRecovery": true})).await;
        }
    }

    /// Values travel to another region and back out of it; the replica stays if its primary does.
    async fn replicate(&self, name: &str, value: &str) {
        let regions = json!([{"Region": REPLICA_REGION}]);
        self.done("ReplicateSecretToRegions", &json!({"SecretId": name, "AddReplicaRegions": regions})).await;
        let there = self.client.with_region(REPLICA_REGION.parse().unwrap());
        let read = json!({"SecretId": name}).to_string();
        let read = loop {
            let answer = ask(&there, &SERVICE, "GetSecretValue", read.as_bytes()).await;
            if answer.status == 200 {
                break serde_json::from_slice::<Value>(answer.body.expose()).unwrap();
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        };
        assert_eq!(read["SecretString"], value);
        let remove = json!({"SecretId": name, "RemoveReplicaRegions": [REPLICA_REGION]});
        self.done("RemoveRegionsFromReplication", &remove).await;
    }

    /// One of the ways to be refused, each with canaries of its own.
    async fn refusals_of(&mut self, nth: usize, name: &str, token: &str) {
        let other = self.text("token of a refused request");
        let value = self.value("value of a refused request");
        let word = self.text("word of a refused request");
        let put = |id: &str, token: &str| json!({"SecretId": id, "ClientRequestToken": token, "SecretString": value});
        match nth % 20 {
            0 => self.refuse("GetSecretValue", &json!({"SecretId": word})).await,
            1 => self.refuse("PutSecretValue", &put(&word, &other)).await,
            2 => {
                self.refuse(
                    "CreateSecret",
                    &json!({"Name": name, "ClientRequestToken": other, "SecretString": value}),
                )
                .await;
            }
            3 => self.refuse("PutSecretValue", &put(name, token)).await,
            4 => {
                let name = format!("{word}#");
                self.refuse(
                    "CreateSecret",
                    &json!({"Name": name, "ClientRequestToken": other, "SecretString": value}),
                )
                .await;
            }
            5 => self.refuse("PutSecretValue", &put(name, &format!("{other}{other}"))).await,
            6 => {
                let cut = format!("{{\"SecretId\": \"{word}\", \"SecretString\": \"{value}");
                self.refused("cut", &self.raw("PutSecretValue", cut.as_bytes()).await);
            }
            7 => {
                let body =
                    json!({"SecretId": name, "ClientRequestToken": other, "SecretString": {&word: value}});
                self.refuse("PutSecretValue", &body).await;
            }
            8 => self.refused("operation", &self.raw(&word, put(name, &other).to_string().as_bytes()).await),
            9 => {
                let forged = self.forged(self.refusable.credentials().access_key_id.clone());
                let answer =
                    ask(&forged, &SERVICE, "PutSecretValue", put(name, &other).to_string().as_bytes()).await;
                self.refused("forged", &answer);
            }
            10 => {
                // As when somebody swaps the two halves of a key.
                let swapped = self.forged(word);
                let answer =
                    ask(&swapped, &SERVICE, "PutSecretValue", put(name, &other).to_string().as_bytes()).await;
                self.refused("swapped", &answer);
            }
            11 => {
                let body = [
                    b"{\"SecretId\": \"\xff",
                    word.as_bytes(),
                    b"\", \"SecretString\": \"\\x",
                    value.as_bytes(),
                    b"\"}",
                ];
                self.refused("bytes", &self.raw("PutSecretValue", &body.concat()).await);
            }
            12 => self.unsigned(&word, &other, &value).await,
            13 => {
                let long = format!("{}{}", value, "x".repeat(TOO_LONG_BYTES));
                // The server may close the connection before it has read so much.
                let body =
                    json!({"SecretId": name, "ClientRequestToken": other, "SecretString": long}).to_string();
                if let Ok(answer) = self.refusable.call_raw(&SERVICE, "PutSecretValue", body.as_bytes()).await
                {
                    self.refused("too long", &answer);
                }
            }
            14 => {
                let both = with(put(name, &other), "SecretBinary", self.binary("value of a refused request"));
                self.refuse("PutSecretValue", &both).await;
            }
            15 => {
                // Tags are no values: the audit trail has them.
                let tags = json!([{"Key": format!("aws:{word}"), "Value": other}]);
                self.refuse("TagResource", &json!({"SecretId": name, "Tags": tags})).await;
            }
            16 => {
                let body = json!({"SecretId": name, "VersionStage": word, "MoveToVersionId": other});
                self.refuse("UpdateSecretVersionStage", &body).await;
            }
            17 => {
                let credentials = self.refusable.credentials().clone();
                let token = Some(Arc::new(Secret::new(word)));
                let session =
                    self.refusable.with_credentials(Credentials { session_token: token, ..credentials });
                let answer =
                    ask(&session, &SERVICE, "PutSecretValue", put(name, &other).to_string().as_bytes()).await;
                self.refused("session", &answer);
            }
            18 => {
                let body = json!({"Name": format!("{word}/k"), "KmsKeyId": word, "ClientRequestToken": other, "SecretString": value});
                self.refuse("CreateSecret", &body).await;
            }
            _ => {
                self.refuse("ListSecrets", &json!({"NextToken": word})).await;
                self.refuse("ListSecrets", &json!({"Filters": [{"Key": other, "Values": [word]}]})).await;
                let form = format!("Action={word}&Version=2011-06-15&Password={value}");
                let answer = ask(&self.refusable, &sts::SERVICE, "", form.as_bytes()).await;
                self.refused("form", &answer);
            }
        }
    }

    /// The same server, called with a key that is not the right one.
    fn forged(&mut self, access_key_id: String) -> Client {
        let secret = self.value("secret access key of somebody else");
        self.refusable.with_credentials(Credentials {
            access_key_id,
            secret_access_key: Arc::new(Secret::new(secret)),
            session_token: None,
        })
    }

    /// Words in every part of a request that nobody signed.
    async fn unsigned(&self, word: &str, other: &str, value: &str) {
        let header = |name: &str, value: String| (name.to_owned(), Secret::new(value.into_bytes()));
        for target in [format!("/{word}?{value}={word}"), String::from("/"), format!("/health/{word}")] {
            let request = RawRequest {
                method: "POST",
                target,
                headers: vec![
                    header("content-type", format!("application/{word}")),
                    header("x-amz-target", format!("secretsmanager.{word}")),
                    header("authorization", format!("AWS4-HMAC-SHA256 Credential={word}, {other}")),
                    header("user-agent", word.to_owned()),
                    header("x-vault-token", value.to_owned()),
                ],
                body: Secret::new(json!({"SecretString": value}).to_string().into_bytes()),
            };
            // The connection may have been closed after the one before; then this one is not read, and the next is.
            if let Ok(answer) = self.refusable.connections().send(request).await {
                self.refused("unsigned", &answer);
            }
        }
    }

    /// A page for machines and people, which knows nothing of secrets.
    pub(crate) async fn page(&self, path: &str) -> Vec<u8> {
        let body = Secret::new(Vec::new());
        let request = RawRequest { method: "GET", target: path.to_owned(), headers: Vec::new(), body };
        self.client.connections().send(request).await.unwrap().body.expose().clone()
    }
}

/// Asks again on a fresh connection if the server has closed the one that was taken.
pub(super) async fn ask(
    client: &Client,
    service: &'static ServiceSpec,
    operation: &str,
    body: &[u8],
) -> RawResponse {
    loop {
        match client.call_raw(service, operation, body).await {
            Err(ClientError::Lost(_)) => {}
            answer => return answer.unwrap(),
        }
    }
}

fn with(mut body: Value, member: &str, value: String) -> Value {
    body[member] = Value::from(value);
    body
}
