//! A region of its own on a server, and short words for asking it.

use coffer_client::{Client, Credentials};
use coffer_model::{iam, kms, secretsmanager::SERVICE};
use coffer_testkit::TestServer;
use coffer_types::{Clock, Secret};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// What one test or one vector plays on. Regions share nothing, so many stages stand on one server.
pub(crate) struct Stage<'s> {
    pub(crate) server: &'s TestServer,
    pub(crate) client: Client,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Reply {
    pub(crate) fn code(&self) -> &str {
        self.body["__type"].as_str().unwrap_or_default()
    }

    pub(crate) fn message(&self) -> &str {
        self.body["Message"].as_str().or_else(|| self.body["message"].as_str()).unwrap_or_default()
    }

    pub(crate) fn keys(&self) -> Vec<&str> {
        keys(&self.body)
    }
}

/// Sorted names of the members of an object.
pub(crate) fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

pub(crate) const HOME: &str = "111122223333";
pub(crate) const ABROAD: &str = "222233334444";

impl<'s> Stage<'s> {
    pub(crate) fn new(server: &'s TestServer, number: usize) -> Self {
        let region = format!("stage-{number}").parse().unwrap();
        Self { server, client: server.client().with_region(region) }
    }

    pub(crate) async fn ask(&self, operation: &str, input: &Value) -> Reply {
        self.ask_raw(operation, input.to_string().as_bytes()).await
    }

    pub(crate) async fn ask_raw(&self, operation: &str, body: &[u8]) -> Reply {
        self.server.world().clock.advance(Duration::from_millis(1));
        let answer = self.client.call_raw(&SERVICE, operation, body).await.unwrap();
        let body = serde_json::from_slice(answer.body.expose()).unwrap();
        Reply { status: answer.status, body }
    }

    /// The ARN of a function in this region; those whose names begin with `rotate` may be invoked.
    pub(crate) fn function(&self, name: &str) -> String {
        format!("arn:aws:lambda:{}:111122223333:function:{name}", self.client.region())
    }

    /// The input of a RotateSecret that succeeds.
    pub(crate) fn rotation(&self, secret_id: &str, number: usize) -> Value {
        json!({
            "SecretId": secret_id,
            "ClientRequestToken": token(number),
            "RotationLambdaARN": self.function("rotate"),
            "RotationRules": {"AutomaticallyAfterDays": 30},
        })
    }

    /// A policy that lets a principal read a secret.
    pub(crate) fn policy(&self, principal: &str) -> String {
        let statement = json!({
            "Effect": "Allow",
            "Principal": {"AWS": principal},
            "Action": "secretsmanager:*",
            "Resource": "*",
        });
        json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
    }

    /// Lets another account do everything to a secret.
    pub(crate) async fn share(&self, name: &str) {
        let policy = self.policy(ABROAD);
        self.get("PutResourcePolicy", json!({"SecretId": name, "ResourcePolicy": policy})).await;
    }

    /// The administrator of the account that [`Stage::share`] shares with.
    pub(crate) async fn abroad(&self) -> Self {
        let other = self.server.administrator_of(ABROAD.parse().unwrap()).await;
        Self { server: self.server, client: other.with_region(self.client.region().clone()) }
    }

    /// Makes the replica of a secret that has its primary in another region.
    pub(crate) async fn replica(&self, name: &str) {
        let here = self.client.region().as_str();
        let elsewhere = format!("primary-{here}").parse().unwrap();
        let primary = Stage { server: self.server, client: self.client.with_region(elsewhere) };
        let create = json!({
            "Name": name, "ClientRequestToken": token(1), "SecretString": "one", "AddReplicaRegions": [{"Region": here}],
        });
        primary.get("CreateSecret", create).await;
        self.server.pass(Duration::from_secs(1)).await;
    }

    /// The id of a new customer managed key.
    pub(crate) async fn key(&self) -> String {
        let body = self.kms("CreateKey", json!({})).await;
        body["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
    }

    /// Asks KMS for something that must succeed.
    pub(crate) async fn kms(&self, operation: &str, input: Value) -> Value {
        let body = input.to_string();
        let answer = self.client.call_raw(&kms::SERVICE, operation, body.as_bytes()).await.unwrap();
        let text = String::from_utf8(answer.body.expose().clone()).unwrap();
        assert_eq!(answer.status, 200, "{operation}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// The input of a CreateSecret that makes the replica of a secret in another account.
    pub(crate) fn replica_of_abroad(&self, name: &str, key: &str) -> Value {
        let here = self.client.region();
        let primary = format!("arn:aws:secretsmanager:{here}:{ABROAD}:secret:db/primary-AAAAAA");
        json!({"Name": name, "KmsKeyId": key, "CrossAccountPrimaryARN": primary})
    }

    /// The same place, seen by a new user who may do everything but one thing.
    pub(crate) async fn as_user_without(&self, action: &str) -> Self {
        self.as_user_denied(json!(action), json!({})).await
    }

    /// The same, who may not do some things under a condition.
    pub(crate) async fn as_user_denied(&self, actions: Value, condition: Value) -> Self {
        let user = format!("user-of-{}", self.client.region());
        let allow = json!({"Effect": "Allow", "Action": "*", "Resource": "*"});
        let mut deny = json!({"Effect": "Deny", "Action": actions, "Resource": "*"});
        if condition != json!({}) {
            deny["Condition"] = condition;
        }
        let statements = [allow, deny];
        let policy = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
        self.iam("CreateUser", &[("UserName", &user)]).await;
        let named = [("UserName", user.as_str()), ("PolicyName", "most"), ("PolicyDocument", &policy)];
        self.iam("PutUserPolicy", &named).await;
        let key = self.iam("CreateAccessKey", &[("UserName", &user)]).await;
        let part = |name: &str| {
            let (_, rest) = key.split_once(&format!("<{name}>")).unwrap();
            rest.split_once('<').unwrap().0.to_owned()
        };
        let credentials = Credentials {
            access_key_id: part("AccessKeyId"),
            secret_access_key: Secret::new(part("SecretAccessKey")).into(),
            session_token: None,
        };
        Self { server: self.server, client: self.client.with_credentials(credentials) }
    }

    /// Takes away what [`Stage::as_user_without`] made, so that it can be made once more.
    pub(crate) async fn forget_user(&self, user: &str) {
        let listed = self.iam("ListAccessKeys", &[("UserName", user)]).await;
        for key in listed.split("<AccessKeyId>").skip(1) {
            let id = key.split_once('<').unwrap().0;
            self.iam("DeleteAccessKey", &[("UserName", user), ("AccessKeyId", id)]).await;
        }
        self.iam("DeleteUserPolicy", &[("UserName", user), ("PolicyName", "most")]).await;
        self.iam("DeleteUser", &[("UserName", user)]).await;
    }

    /// Asks IAM, which has one region only, for something that must succeed.
    pub(crate) async fn iam(&self, operation: &str, members: &[(&str, &str)]) -> String {
        let (status, text) = ask_iam(self.server.client(), operation, members).await;
        assert_eq!(status, 200, "{operation}: {text}");
        text
    }

    /// Asks for something that must succeed.
    pub(crate) async fn get(&self, operation: &str, input: Value) -> Value {
        let reply = self.ask(operation, &input).await;
        assert_eq!(reply.status, 200, "{operation} {input}: {}", reply.body);
        reply.body
    }
}

/// The same caller, of whom nobody minds that he is told of a fault of the server: here something was made to fail.
pub(crate) fn unobserved(server: &TestServer, known: &Client) -> Client {
    let clock = Arc::clone(&server.world().clock) as Arc<dyn Clock>;
    let endpoint = known.connections().endpoint().clone();
    Client::new(endpoint, known.credentials().clone(), known.region().clone(), clock)
}

/// A client request token for a small number.
pub(crate) fn token(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// Asks IAM something, and says what came back.
pub(crate) async fn ask_iam(client: &Client, operation: &str, members: &[(&str, &str)]) -> (u16, String) {
    let mut form = format!("Action={operation}&Version=2010-05-08");
    for (name, value) in members {
        let value: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
        form.push_str(&format!("&{name}={value}"));
    }
    let answer = client.call_raw(&iam::SERVICE, operation, form.as_bytes()).await.unwrap();
    (answer.status, String::from_utf8(answer.body.expose().clone()).unwrap())
}
