//! A customer's key, for the cases that show what KMS costs.
//!
//! Its policy decides: it delegates to the account, and denies whoever is of another one. So a read of the secret under it asks
//! two services and evaluates three policies.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::{
    http::Connection,
    requests::{Client, value},
};

pub const SECRET: &str = "keys/secret";
/// What is encrypted directly, as long as a data key with some room; base64 of 96 bytes.
const PLAINTEXT: &str = "Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsZSwgY29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsZSwgY29ycmVjdCBob3JzZSBiYXR0ZXJ5";

/// The key, and something closed under it.
#[derive(Debug)]
pub struct Key {
    id: String,
    ciphertext: String,
}

impl Key {
    /// Makes the key, the secret under it and the ciphertext.
    pub async fn settle(administrator: &Client, server: SocketAddr) -> Result<Self> {
        let mut connection = Connection::open(server).await?;
        let mut ask = async |request: Vec<u8>| -> Result<Value> {
            let answer = connection.exchange(&request).await?;
            if answer.status != 200 {
                bail!("setting the stage: {} {}", answer.status, String::from_utf8_lossy(answer.body));
            }
            serde_json::from_slice(answer.body).context("the answer is not JSON")
        };
        let text = |answer: &Value, pointer: &str| {
            let text = answer.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
            text.with_context(|| format!("no {pointer} in the answer"))
        };
        let made = ask(administrator.kms("CreateKey", &json!({}))?).await?;
        let (id, arn) = (text(&made, "/KeyMetadata/KeyId")?, text(&made, "/KeyMetadata/Arn")?);
        let account = arn.split(':').nth(4).context("no account in the ARN of a key")?.to_owned();
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{account}:root")},
                 "Action": "kms:*", "Resource": "*"},
                {"Effect": "Deny", "Principal": "*", "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
                 "Resource": "*", "Condition": {"StringNotEquals": {"kms:CallerAccount": account}}},
            ],
        });
        ask(administrator.kms("PutKeyPolicy", &json!({"KeyId": id, "Policy": policy.to_string()}))?).await?;
        let secret = json!({
            "Name": SECRET,
            "KmsKeyId": id,
            "ClientRequestToken": "22222222-0000-4000-8000-000000000000",
            "SecretString": value(),
        });
        ask(administrator.request("CreateSecret", &secret)?).await?;
        let closed = ask(administrator.kms("Encrypt", &encryption(&id))?).await?;
        Ok(Self { ciphertext: text(&closed, "/CiphertextBlob")?, id })
    }

    pub fn encrypt(&self, client: &Client) -> Result<Vec<u8>> {
        client.kms("Encrypt", &encryption(&self.id))
    }

    pub fn decrypt(&self, client: &Client) -> Result<Vec<u8>> {
        let body = json!({"CiphertextBlob": self.ciphertext, "EncryptionContext": context()});
        client.kms("Decrypt", &body)
    }

    pub fn data_key(&self, client: &Client) -> Result<Vec<u8>> {
        let body = json!({"KeyId": self.id, "KeySpec": "AES_256", "EncryptionContext": context()});
        client.kms("GenerateDataKey", &body)
    }
}

fn encryption(key: &str) -> Value {
    json!({"KeyId": key, "Plaintext": PLAINTEXT, "EncryptionContext": context()})
}

fn context() -> Value {
    json!({"purpose": "bench"})
}
