//! Every served operation asks for permission: it is refused to whom nothing allows it, refused to whom something denies it, and done
//! for whoever is allowed exactly what it needs.
//!
//! The calls are those of the golden exchanges: everything on a page before the first success of its operation is sent by the
//! administrator, and that one by a user of his own. A refusal changes nothing, or the call could not succeed after it.

use std::fs;

use coffer_client::{Client, Credentials, RawResponse};
use coffer_model::iam;
use coffer_shape::{Action, OperationSpec, Protocol};
use coffer_testkit::{Asked, Engine, Script, TestServer};
use coffer_types::Secret;

use crate::{exchanges::kebab, place::tests};

const USER: &str = "tester";
const POLICY: &str = "tested";

/// Operations that nobody can be refused, and why.
const NEEDS_NONE: &[(&str, &str)] = &[
    ("GetCallerIdentity", "AWS answers it even against a denial"),
    ("GetSessionToken", "it hands out what the caller has; AWS documents that no policy can refuse it"),
];

/// Operations that are asked for in another way, with the test that shows it.
const SHOWN_ELSEWHERE: &[(&str, &str)] = &[
    ("AssumeRole", "the trust policy of the role decides as well: tests of roles"),
    ("AssumeRoleWithWebIdentity", "nobody signs it; the trust policy decides alone: tests of roles"),
];

/// Operations that nobody can call with success, and why. Whoever may is answered with their own error.
const NEVER_SUCCEEDS: &[(&str, &str)] =
    &[("DecodeAuthorizationMessage", "no message of ours is encoded, so there is none to decode")];

/// What an operation needs beside its own action, as its page calls it.
fn also_needs(operation: &str) -> &'static [&'static str] {
    match operation {
        "AssociateCrossAccountReplica" => &[
            "secretsmanager:GetSecretValue",
            "secretsmanager:AcceptCrossAccountReplication",
            "kms:Decrypt",
            "kms:Encrypt",
        ],
        "BatchGetSecretValue" => &["secretsmanager:GetSecretValue", "secretsmanager:ListSecrets"],
        "CreateSecret" => &["secretsmanager:TagResource", "secretsmanager:ReplicateSecretToRegions"],
        "CreateFunction" => &["iam:PassRole"],
        "AddRoleToInstanceProfile" => &["iam:PassRole"],
        "ReEncrypt" => &["kms:ReEncryptTo"],
        "ReplicateKey" => &["kms:CreateKey", "kms:TagResource"],
        "RotateSecret" => &["lambda:InvokeFunction"],
        "ValidateResourcePolicy" => &["secretsmanager:PutResourcePolicy"],
        _ => &[],
    }
}

/// A user on a server, and whoever may change what he may do.
struct Tester {
    administrator: Client,
    user: Client,
}

impl Tester {
    async fn on(server: &TestServer) -> Self {
        let administrator = server.client().clone();
        let named = [("UserName", USER)];
        asks_iam(&administrator, "CreateUser", &named).await;
        let key = asks_iam(&administrator, "CreateAccessKey", &named).await;
        let part = |name: &str| {
            let (_, rest) = key.split_once(&format!("<{name}>")).unwrap();
            rest.split_once('<').unwrap().0.to_owned()
        };
        let credentials = Credentials {
            access_key_id: part("AccessKeyId"),
            secret_access_key: Secret::new(part("SecretAccessKey")).into(),
            ..administrator.credentials().clone()
        };
        let user = administrator.with_credentials(credentials);
        Self { administrator, user }
    }

    async fn may(&self, statements: &str) {
        let document = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
        let policy = [("UserName", USER), ("PolicyName", POLICY), ("PolicyDocument", &document)];
        asks_iam(&self.administrator, "PutUserPolicy", &policy).await;
    }

    async fn sends(&self, asked: &Asked) -> RawResponse {
        let user = self.user.with_region(asked.region.clone());
        user.call_raw(asked.service, &asked.operation, asked.body.as_bytes()).await.unwrap()
    }
}

async fn asks_iam(client: &Client, operation: &str, members: &[(&str, &str)]) -> String {
    let mut body = format!("Action={operation}&Version=2010-05-08");
    for (name, value) in members {
        let value: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
        body.push_str(&format!("&{name}={value}"));
    }
    let answer = client.call_raw(&iam::SERVICE, operation, body.as_bytes()).await.unwrap();
    let text = String::from_utf8_lossy(answer.body.expose()).into_owned();
    assert_eq!(answer.status, 200, "{text}");
    text
}

/// Whether an answer is a refusal for want of permission, with these words.
fn is_refusal(spec: &OperationSpec, answer: &RawResponse, because: &str) -> Result<(), String> {
    let text = String::from_utf8_lossy(answer.body.expose()).into_owned();
    let (status, code) = match spec.service.protocol {
        Protocol::AwsJson11 { .. } => (400, "AccessDeniedException"),
        // The code stands in a header.
        Protocol::RestJson1 => (403, "\"Message\""),
        Protocol::Query { .. } => (403, "<Code>AccessDenied</Code>"),
    };
    let Action(action) = spec.action;
    let who = format!("user/{USER} is not authorized to perform: {action}");
    let because = if spec.service.bare_denials { "" } else { because };
    let is_so = answer.status == status && [code, &who, because].iter().all(|part| text.contains(part));
    if is_so { Ok(()) } else { Err(format!("{} {text}", answer.status)) }
}

async fn try_out(spec: &'static OperationSpec) -> Result<(), String> {
    let page = tests("wire").join(spec.service.name).join(format!("{}.wire", kebab(spec.name)));
    let script = Script::parse(&fs::read_to_string(&page).map_err(|error| error.to_string())?);
    let server = TestServer::start(Engine::Memory, 1).await;
    let tester = Tester::on(&server).await;
    let succeeds = !NEVER_SUCCEEDS.iter().any(|(name, _)| *name == spec.name);
    let status: u16 = if succeeds { 2 } else { 4 };
    let asked = script.run_up_to(spec.name, &status.to_string(), &server).await;
    let asked = asked.ok_or("no such answer on its page")?;
    let Action(action) = spec.action;

    let can_be_refused = !NEEDS_NONE.iter().any(|(name, _)| *name == spec.name);
    if can_be_refused {
        let none = format!("because no identity-based policy allows the {action} action");
        is_refusal(spec, &tester.sends(&asked).await, &none)?;
    }
    let denied = format!(
        r#"{{"Effect":"Allow","Action":"*","Resource":"*"}},{{"Effect":"Deny","Action":"{action}","Resource":"*"}}"#
    );
    tester.may(&denied).await;
    if can_be_refused {
        let because = "with an explicit deny in an identity-based policy";
        is_refusal(spec, &tester.sends(&asked).await, because)?;
    } else {
        let answer = tester.sends(&asked).await;
        if answer.status / 100 != 2 {
            return Err(format!(
                "denied: {} {}",
                answer.status,
                String::from_utf8_lossy(answer.body.expose())
            ));
        }
    }
    let actions: Vec<String> =
        [action].iter().chain(also_needs(spec.name)).map(|action| format!("\"{action}\"")).collect();
    tester.may(&format!(r#"{{"Effect":"Allow","Action":[{}],"Resource":"*"}}"#, actions.join(","))).await;
    let answer = tester.sends(&asked).await;
    server.stop().await;
    if answer.status / 100 == status {
        Ok(())
    } else {
        Err(format!("allowed: {} {}", answer.status, String::from_utf8_lossy(answer.body.expose())))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_is_refused_and_denied_and_allowed() {
    let mut wrong = Vec::new();
    for spec in coffer_server::open::registry().public() {
        if SHOWN_ELSEWHERE.iter().any(|(name, _)| *name == spec.name) {
            continue;
        }
        if let Err(reason) = try_out(spec).await {
            wrong.push(format!("{}.{}: {reason}", spec.service.name, spec.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// AWS documents that a change of tags is refused after which its author could not make it any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_tags_himself_out() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let tester = Tester::on(&server).await;
    let ask = async |client: &Client, operation: &str, body: &str| {
        let answer = client.call_raw(&coffer_model::secretsmanager::SERVICE, operation, body.as_bytes());
        let answer = answer.await.unwrap();
        (answer.status, String::from_utf8_lossy(answer.body.expose()).into_owned())
    };
    let tags = r#""Tags": [{"Key": "team", "Value": "red"}]"#;
    let token = r#""ClientRequestToken": "11111111-0000-4000-8000-000000000000""#;
    let secret = format!(r#"{{"Name": "db", "SecretString": "x", {token}, {tags}}}"#);
    assert_eq!(ask(&tester.administrator, "CreateSecret", &secret).await.0, 200);
    tester
        .may(
            r#"{"Effect":"Allow","Action":["secretsmanager:TagResource","secretsmanager:UntagResource"],"Resource":"*",
            "Condition":{"StringEquals":{"secretsmanager:ResourceTag/team":"red"}}}"#,
        )
        .await;
    for (operation, change, status) in [
        ("TagResource", r#""Tags": [{"Key": "env", "Value": "test"}]"#, 200),
        ("TagResource", r#""Tags": [{"Key": "team", "Value": "blue"}]"#, 400),
        ("UntagResource", r#""TagKeys": ["team"]"#, 400),
        ("UntagResource", r#""TagKeys": ["env"]"#, 200),
    ] {
        let answer = ask(&tester.user, operation, &format!(r#"{{"SecretId": "db", {change}}}"#)).await;
        assert_eq!(answer.0, status, "{change}: {}", answer.1);
        assert_eq!(answer.1.contains("AccessDeniedException"), status == 400, "{change}: {}", answer.1);
    }
    let (_, described) = ask(&tester.administrator, "DescribeSecret", r#"{"SecretId": "db"}"#).await;
    assert!(described.contains(r#""Value":"red""#) && !described.contains("env"), "{described}");
    server.stop().await;
}
