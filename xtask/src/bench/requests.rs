//! Requests as an SDK would send them: the headers of one, signed, with the body behind.
//!
//! Signing costs about as much as the server spends on verifying, so it is done before the clock starts. A signature holds
//! for minutes and a window lasts seconds.

use std::fmt::Write;

use anyhow::{Context, Result};
use coffer_crypto::sha256;
use coffer_sigv4::{Credentials, Head, Signer};
use coffer_types::Secret;
use serde_json::{Value, json};

use super::clock;

const JSON: &str = "application/x-amz-json-1.1";
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
/// As long as what one of the SDKs says of itself. It is not signed there either.
const USER_AGENT: &str =
    "aws-sdk-rust/1.3.9 ua/2.1 api/secretsmanager/1.88.0 os/linux lang/rust/1.95.0 m/E,b";
/// The value that is stored and read.
pub const VALUE_BYTES: usize = 500;
const VALUE_WORD: &str = "correct horse battery staple, ";

/// Who calls, and where.
#[derive(Debug)]
pub struct Client {
    pub host: String,
    pub region: String,
    pub access_key_id: String,
    pub secret_access_key: Secret<String>,
}

impl Client {
    /// Takes the key out of the file that the first start of a server leaves.
    pub fn from_credentials(file: &str, host: String) -> Result<Self> {
        let find = |prefix: &str| {
            let value = file.lines().find_map(|line| line.strip_prefix(prefix));
            value
                .map(|value| value.trim().to_owned())
                .with_context(|| format!("no `{prefix}` in the credentials"))
        };
        Ok(Self {
            host,
            region: find("# region = ")?,
            access_key_id: find("aws_access_key_id = ")?,
            secret_access_key: Secret::new(find("aws_secret_access_key = ")?),
        })
    }

    /// One request to Secrets Manager, as it goes over the wire.
    pub fn request(&self, operation: &str, body: &Value) -> Result<Vec<u8>> {
        let target = format!("secretsmanager.{operation}");
        self.signed("secretsmanager", "POST", "/", JSON, Some(&target), &body.to_string())
    }

    /// One request to KMS.
    pub fn kms(&self, operation: &str, body: &Value) -> Result<Vec<u8>> {
        self.signed("kms", "POST", "/", JSON, Some(&format!("TrentService.{operation}")), &body.to_string())
    }

    /// One request to a service with paths. Nothing in them wants to be encoded.
    pub fn rest(&self, service: &str, method: &str, path: &str, body: &str) -> Result<Vec<u8>> {
        self.signed(service, method, path, "application/json", None, body)
    }

    /// One request to IAM or STS.
    pub fn form(&self, service: &str, operation: &str, members: &[(&str, &str)]) -> Result<Vec<u8>> {
        let version = if service == "iam" { "2010-05-08" } else { "2011-06-15" };
        let mut body = format!("Action={operation}&Version={version}");
        for (name, value) in members {
            write!(body, "&{name}=")?;
            for byte in value.bytes() {
                write!(body, "%{byte:02X}")?;
            }
        }
        self.signed(service, "POST", "/", FORM, None, &body)
    }

    fn signed(
        &self,
        service: &str,
        method: &str,
        path: &str,
        content_type: &str,
        target: Option<&str>,
        body: &str,
    ) -> Result<Vec<u8>> {
        let mut headers: Vec<(&str, &[u8])> =
            vec![("content-type", content_type.as_bytes()), ("host", self.host.as_bytes())];
        headers.extend(target.map(|target| ("x-amz-target", target.as_bytes())));
        let head = Head { method, path, query: "", headers: &headers };
        let signer = Signer {
            credentials: Credentials {
                access_key_id: &self.access_key_id,
                secret_access_key: &self.secret_access_key,
                session_token: None,
            },
            region: &self.region,
            service,
        };
        let signature =
            signer.sign(&head, &sha256(body.as_bytes()), clock::now()).context("signing a request")?;
        let mut text = format!(
            "{method} {path} HTTP/1.1\r\ncontent-type: {content_type}\r\nhost: {}\r\nuser-agent: {USER_AGENT}\r\n\
             accept-encoding: identity\r\namz-sdk-request: attempt=1; max=3\r\ncontent-length: {}\r\n",
            self.host,
            body.len()
        );
        if let Some(target) = target {
            write!(text, "x-amz-target: {target}\r\n")?;
        }
        for (name, value) in &signature {
            write!(text, "{name}: {}\r\n", value.expose())?;
        }
        text.push_str("\r\n");
        text.push_str(body);
        Ok(text.into_bytes())
    }

    pub fn create(&self, name: &str, nonce: u64) -> Result<Vec<u8>> {
        let body = json!({ "Name": name, "ClientRequestToken": token(nonce), "SecretString": value() });
        self.request("CreateSecret", &body)
    }

    pub fn put(&self, secret_id: &str, nonce: u64) -> Result<Vec<u8>> {
        let body =
            json!({ "SecretId": secret_id, "ClientRequestToken": token(nonce), "SecretString": value() });
        self.request("PutSecretValue", &body)
    }

    pub fn get(&self, secret_id: &str) -> Result<Vec<u8>> {
        self.request("GetSecretValue", &json!({ "SecretId": secret_id }))
    }

    pub fn describe(&self, secret_id: &str) -> Result<Vec<u8>> {
        self.request("DescribeSecret", &json!({ "SecretId": secret_id }))
    }

    pub fn list(&self) -> Result<Vec<u8>> {
        self.request("ListSecrets", &json!({ "MaxResults": 100 }))
    }
}

/// 500 bytes that are easily told from anything else.
pub fn value() -> String {
    VALUE_WORD.chars().cycle().take(VALUE_BYTES).collect()
}

/// Tokens become version ids. Every one that a run sends is another.
fn token(nonce: u64) -> String {
    format!("00000000-0000-4000-8000-{nonce:012x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# The administrator\n# account = 111122223333\n# region = eu-west-1\n[default]\n\
                        aws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = wJalrXUtnFEMI/K7MDENG\n";

    #[test]
    fn credentials_are_those_of_the_file() {
        let client = Client::from_credentials(FILE, "127.0.0.1:1".to_owned()).unwrap();
        assert_eq!((client.access_key_id.as_str(), client.region.as_str()), ("AKIDEXAMPLE", "eu-west-1"));
        assert_eq!(client.secret_access_key.expose(), "wJalrXUtnFEMI/K7MDENG");
        assert!(Client::from_credentials("[default]\n", String::new()).is_err());
    }

    #[test]
    fn a_request_is_whole_and_signed() {
        let client = Client::from_credentials(FILE, "127.0.0.1:1".to_owned()).unwrap();
        let bytes = client.put("a/b", 255).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())));
        assert!(head.contains("SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature="));
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["ClientRequestToken"], "00000000-0000-4000-8000-0000000000ff");
        assert_eq!(body["SecretString"].as_str().map(str::len), Some(VALUE_BYTES));
    }
}
