//! Canaries among people: what they prove themselves with, from the secret access key that is made once to the token of a session.
//!
//! An access key id is public, as a name is; its secret, a password, the token of a session and the token of an identity provider are
//! values. Each kind is used, and shown where it is refused.

use std::sync::Arc;

use coffer_client::{Client, Credentials, RawRequest, RawResponse};
use coffer_model::{iam, secretsmanager, sts};
use coffer_shape::ServiceSpec;
use coffer_testkit::Issuer;
use coffer_types::{Clock, Secret, Timestamp, encoding::HEXLOWER};
use serde_json::{Value, json};

use super::load::{Keeper, ask};

const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
const ROLE: &str = "canary";
const SUBJECT: &str = "system:serviceaccount:prod:api";
const LIST: &str =
    r#"{"Statement":{"Effect":"Allow","Action":["secretsmanager:ListSecrets","iam:List*"],"Resource":"*"}}"#;
/// What a password needs besides a canary.
const KINDS: &str = "Aa1-";

/// An account whose role both its users and a provider's tokens may have.
pub(crate) struct Staff {
    account: String,
    issuer: Arc<Issuer>,
    clock: Arc<dyn Clock>,
}

impl Staff {
    pub(crate) async fn hire(keeper: &Keeper, issuer: Arc<Issuer>, clock: Arc<dyn Clock>) -> Self {
        let me = keeper.form(&keeper.client, &sts::SERVICE, "GetCallerIdentity", &[]).await;
        let account = between(&me, "Account").to_owned();
        let provider = format!("arn:aws:iam::{account}:oidc-provider/{}", Issuer::NAME);
        let trust = json!({"Statement": [
            {"Effect": "Allow", "Principal": {"AWS": account}, "Action": "sts:AssumeRole"},
            {"Effect": "Allow", "Principal": {"Federated": provider}, "Action": "sts:AssumeRoleWithWebIdentity",
             "Condition": {"StringEquals": {format!("{}:sub", Issuer::NAME): SUBJECT}}},
        ]})
        .to_string();
        let thumbprint = "a".repeat(40);
        for (operation, members) in [
            (
                "CreateOpenIDConnectProvider",
                [
                    ("Url", Issuer::URL),
                    ("ClientIDList.member.1", "sts.amazonaws.com"),
                    ("ThumbprintList.member.1", &*thumbprint),
                ],
            ),
            (
                "CreateRole",
                [("RoleName", ROLE), ("AssumeRolePolicyDocument", &*trust), ("Description", "canaries")],
            ),
            ("PutRolePolicy", [("RoleName", ROLE), ("PolicyName", "list"), ("PolicyDocument", LIST)]),
        ] {
            keeper.form(&keeper.client, &iam::SERVICE, operation, &members).await;
        }
        Self { account, issuer, clock }
    }

    fn role(&self) -> String {
        format!("arn:aws:iam::{}:role/{ROLE}", self.account)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl Keeper {
    /// A form that must be answered.
    async fn form(
        &self,
        client: &Client,
        service: &'static ServiceSpec,
        operation: &str,
        members: &[(&str, &str)],
    ) -> String {
        let answer = ask(client, service, operation, form(service, operation, members).as_bytes()).await;
        let text = String::from_utf8_lossy(answer.body.expose()).into_owned();
        assert_eq!(answer.status, 200, "{operation}: {text}");
        text
    }

    async fn form_refused(
        &self,
        client: &Client,
        service: &'static ServiceSpec,
        operation: &str,
        members: &[(&str, &str)],
    ) {
        let answer = ask(client, service, operation, form(service, operation, members).as_bytes()).await;
        self.refused(operation, &answer);
    }

    /// Everything that proves somebody, made, used and refused.
    pub(crate) async fn career(&mut self, staff: &Staff) {
        let name = format!("canary-{}", HEXLOWER.encode(&self.dice.bytes::<8>()));
        let named = ("UserName", &*name);
        self.form(&self.client, &iam::SERVICE, "CreateUser", &[named]).await;
        self.passwords(&name).await;

        let made = self.form(&self.client, &iam::SERVICE, "CreateAccessKey", &[named]).await;
        let user = self.credentials_in(&made, "CreateAccessKey");
        let person = self.client.with_credentials(user.clone());
        let policy =
            json!({"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": staff.role()}})
                .to_string();
        let members = [named, ("PolicyName", "assume"), ("PolicyDocument", &*policy)];
        self.form(&self.client, &iam::SERVICE, "PutUserPolicy", &members).await;

        let session = self.form(&person, &sts::SERVICE, "GetSessionToken", &[]).await;
        let session = self.credentials_in(&session, "GetSessionToken");
        let role = staff.role();
        let members = [("RoleArn", &*role), ("RoleSessionName", &*name)];
        let assumed = self.form(&person, &sts::SERVICE, "AssumeRole", &members).await;
        let assumed = self.credentials_in(&assumed, "AssumeRole");
        let (token, nonce) = self.web_identity(staff, &json!({}));
        let by_token = self.by_token(&role, &token).await;
        assert_eq!(by_token.status, 200, "{}", String::from_utf8_lossy(by_token.body.expose()));
        let by_token = String::from_utf8_lossy(by_token.body.expose()).into_owned();
        let by_token = self.credentials_in(&by_token, "AssumeRoleWithWebIdentity");

        for credentials in [&assumed, &by_token] {
            let client = self.client.with_credentials(credentials.clone());
            let listed = ask(&client, &secretsmanager::SERVICE, "ListSecrets", b"{\"MaxResults\": 1}").await;
            assert_eq!(listed.status, 200);
            self.form(&client, &sts::SERVICE, "GetCallerIdentity", &[]).await;
        }
        for credentials in [user, session, assumed, by_token] {
            self.refusals_of_credentials(&credentials).await;
        }
        self.refusals_of_tokens(staff, &token, &nonce).await;
    }

    async fn passwords(&mut self, name: &str) {
        for operation in ["CreateLoginProfile", "UpdateLoginProfile"] {
            let password = format!("{KINDS}{}", self.value(operation));
            let members = [("UserName", name), ("Password", &*password)];
            self.form(&self.client, &iam::SERVICE, operation, &members).await;
        }
        // There is one already; there is no such user; it is longer than a password may be.
        let password = format!("{KINDS}{}", self.value("a refused password"));
        let members = [("UserName", name), ("Password", &*password)];
        self.form_refused(&self.refusable, &iam::SERVICE, "CreateLoginProfile", &members).await;
        let members = [("UserName", "nobody"), ("Password", &*password)];
        self.form_refused(&self.refusable, &iam::SERVICE, "UpdateLoginProfile", &members).await;
        let long = password.repeat(4);
        let members = [("UserName", name), ("Password", &*long)];
        self.form_refused(&self.refusable, &iam::SERVICE, "UpdateLoginProfile", &members).await;
    }

    /// Denied, with a token of somebody else or a changed one, and with a secret that is not the right one.
    async fn refusals_of_credentials(&mut self, credentials: &Credentials) {
        let denied = self.refusable.with_credentials(credentials.clone());
        self.form_refused(&denied, &iam::SERVICE, "DeleteUser", &[("UserName", "administrator")]).await;
        let body = json!({"SecretId": "canary"}).to_string();
        let answer = ask(&denied, &secretsmanager::SERVICE, "GetSecretValue", body.as_bytes()).await;
        self.refused("GetSecretValue", &answer);
        let mut changed = credentials.session_token.as_ref().map(|token| token.expose().clone());
        if let Some(token) = &mut changed {
            let last = if token.ends_with('A') { 'B' } else { 'A' };
            token.pop();
            token.push(last);
        }
        let other = self.value("token of a session that nobody gave out");
        for token in changed.into_iter().chain([other]) {
            let session_token = Some(Arc::new(Secret::new(token)));
            let stranger = Credentials { session_token, ..credentials.clone() };
            let stranger = self.refusable.with_credentials(stranger);
            self.form_refused(&stranger, &sts::SERVICE, "GetCallerIdentity", &[]).await;
        }
        let secret_access_key = Arc::new(Secret::new(self.value("secret access key of somebody else")));
        let forged = Credentials { secret_access_key, ..credentials.clone() };
        let forged = self.refusable.with_credentials(forged);
        self.form_refused(&forged, &sts::SERVICE, "GetCallerIdentity", &[]).await;
    }

    async fn refusals_of_tokens(&mut self, staff: &Staff, good: &str, nonce: &str) {
        let (role, now) = (staff.role(), staff.now().seconds());
        for claims in [
            json!({"exp": now - 7200}),
            json!({"nbf": now + 7200}),
            json!({"aud": ["elsewhere"]}),
            json!({"iss": "https://elsewhere.example"}),
            json!({"sub": "system:serviceaccount:prod:other"}),
            json!({"sub": null}),
        ] {
            let (token, _) = self.web_identity(staff, &claims);
            self.refused("by token", &self.by_token(&role, &token).await);
        }
        let (signed, _) = good.rsplit_once('.').unwrap();
        let word = self.value("a token that is none");
        let forged = format!("{signed}.{}", self.value("a signature that is none"));
        for token in [&*forged, signed, nonce, &*word, &*format!("{word}.{word}.{word}")] {
            self.refused("by token", &self.by_token(&role, token).await);
        }
        self.refused("by token", &self.by_token(&format!("{role}-other"), good).await);
        let message = self.value("an encoded message");
        let members = [("EncodedMessage", &*message)];
        self.form_refused(&self.refusable, &sts::SERVICE, "DecodeAuthorizationMessage", &members).await;
    }

    /// A token with a canary in it, and that canary.
    fn web_identity(&mut self, staff: &Staff, changed: &Value) -> (String, String) {
        let mut claims = Issuer::claims(staff.now().seconds(), SUBJECT);
        let nonce = self.value("claim of a token");
        claims["nonce"] = Value::from(nonce.as_str());
        for (claim, value) in changed.as_object().unwrap() {
            claims[claim] = value.clone();
        }
        let token = staff.issuer.token(&claims);
        self.bird("token of an identity provider", true, token.clone().into_bytes());
        (token, nonce)
    }

    /// Nobody signs this: the token is the proof.
    async fn by_token(&self, role: &str, token: &str) -> RawResponse {
        let members = [("RoleArn", role), ("RoleSessionName", "api-0"), ("WebIdentityToken", token)];
        let body = form(&sts::SERVICE, "AssumeRoleWithWebIdentity", &members);
        loop {
            let headers = vec![(String::from("content-type"), Secret::new(FORM.as_bytes().to_vec()))];
            let body = Secret::new(body.clone().into_bytes());
            let request = RawRequest { method: "POST", target: String::from("/"), headers, body };
            // The connection may have been closed after the request before.
            if let Ok(answer) = self.refusable.connections().send(request).await {
                return answer;
            }
        }
    }

    /// The only place where an answer shows what it must: whoever asked is given a secret, once.
    fn credentials_in(&mut self, answer: &str, of: &str) -> Credentials {
        let secret = between(answer, "SecretAccessKey").to_owned();
        self.bird(&format!("secret access key of {of}"), true, secret.clone().into_bytes());
        let token = answer.contains("<SessionToken>").then(|| between(answer, "SessionToken").to_owned());
        if let Some(token) = &token {
            self.bird(&format!("session token of {of}"), true, token.clone().into_bytes());
        }
        Credentials {
            access_key_id: between(answer, "AccessKeyId").to_owned(),
            secret_access_key: Arc::new(Secret::new(secret)),
            session_token: token.map(|token| Arc::new(Secret::new(token))),
        }
    }
}

fn form(service: &ServiceSpec, operation: &str, members: &[(&str, &str)]) -> String {
    let version = if service.name == iam::SERVICE.name { "2010-05-08" } else { "2011-06-15" };
    let mut body = format!("Action={operation}&Version={version}");
    for (name, value) in members {
        body.push_str(&format!("&{name}="));
        for byte in value.bytes() {
            body.push_str(&format!("%{byte:02X}"));
        }
    }
    body
}

fn between<'a>(xml: &'a str, tag: &str) -> &'a str {
    let (_, rest) = xml.split_once(&format!("<{tag}>")).expect(tag);
    rest.split_once(&format!("</{tag}>")).expect(tag).0
}
