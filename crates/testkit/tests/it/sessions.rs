//! Temporary credentials for tests, and when they end: roles, whoever has taken one on, and users with a session.

use coffer_client::{Client, Credentials, RawResponse};
use coffer_model::{iam, sts};
use coffer_shape::{Operation, Shape};
use coffer_testkit::{Engine, TestServer};
use coffer_types::Secret;

/// Asks for something of a service that answers in XML.
pub(crate) async fn ask<O: Operation>(client: &Client, input: &O::Input) -> RawResponse {
    client.call_shape(O::SPEC, input).await.unwrap()
}

/// The text of the first element of a name.
pub(crate) fn element(answer: &RawResponse, name: &str) -> String {
    let body = String::from_utf8_lossy(answer.body.expose());
    let found = body.split_once(&format!("<{name}>")).and_then(|(_, rest)| rest.split_once("</"));
    found.unwrap_or_else(|| panic!("no {name} in {body}")).0.to_owned()
}

/// A role that its account trusts and that may do everything.
pub(crate) async fn role(client: &Client, name: &str) -> String {
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":["sts:AssumeRole","sts:SetSourceIdentity"]}]}"#;
    let create = iam::CreateRoleRequest {
        role_name: name.to_owned(),
        assume_role_policy_document: trust.to_owned(),
        ..Default::default()
    };
    let made = ask::<iam::CreateRole>(client, &create).await;
    let policy = iam::AttachRolePolicyRequest {
        role_name: name.to_owned(),
        policy_arn: String::from("arn:aws:iam::aws:policy/AdministratorAccess"),
    };
    assert_eq!(ask::<iam::AttachRolePolicy>(client, &policy).await.status, 200);
    element(&made, "Arn")
}

/// Takes on a role for so many seconds.
pub(crate) async fn assume(client: &Client, role_arn: &str, seconds: i64) -> Credentials {
    let input = sts::AssumeRoleRequest {
        role_arn: role_arn.to_owned(),
        role_session_name: String::from("test"),
        duration_seconds: Some(seconds),
        ..Default::default()
    };
    credentials::<sts::AssumeRole>(client, &input).await
}

/// The credentials in an answer of STS.
pub(crate) async fn credentials<O: Operation<Input: Shape>>(
    client: &Client,
    input: &O::Input,
) -> Credentials {
    let answer = ask::<O>(client, input).await;
    Credentials {
        access_key_id: element(&answer, "AccessKeyId"),
        secret_access_key: Secret::new(element(&answer, "SecretAccessKey")).into(),
        session_token: Some(Secret::new(element(&answer, "SessionToken")).into()),
    }
}

/// How a user of this name signs, with a key of his own.
async fn user(client: &Client, name: &str) -> Credentials {
    let user = iam::CreateUserRequest { user_name: name.to_owned(), ..Default::default() };
    assert_eq!(ask::<iam::CreateUser>(client, &user).await.status, 200);
    let key = iam::CreateAccessKeyRequest { user_name: Some(name.to_owned()) };
    let made = ask::<iam::CreateAccessKey>(client, &key).await;
    Credentials {
        access_key_id: element(&made, "AccessKeyId"),
        secret_access_key: Secret::new(element(&made, "SecretAccessKey")).into(),
        session_token: None,
    }
}

/// The ARN that these credentials stand for, or the code of a refusal.
async fn who(client: &Client, credentials: &Credentials) -> String {
    let answer =
        ask::<sts::GetCallerIdentity>(&client.with_credentials(credentials.clone()), &Default::default())
            .await;
    element(&answer, if answer.status == 200 { "Arn" } else { "Code" })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_users_session_follows_him_and_ends_with_him() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let client = server.client();
    let ann = user(client, "ann").await;
    let as_ann = client.with_credentials(ann.clone());
    let session = credentials::<sts::GetSessionToken>(&as_ann, &Default::default()).await;
    assert_eq!(who(client, &session).await, "arn:aws:iam::111122223333:user/ann");

    let rename = iam::UpdateUserRequest {
        user_name: String::from("ann"),
        new_user_name: Some(String::from("anna")),
        new_path: Some(String::from("/team/")),
    };
    assert_eq!(ask::<iam::UpdateUser>(client, &rename).await.status, 200);
    assert_eq!(who(client, &session).await, "arn:aws:iam::111122223333:user/team/anna");
    // Somebody else has the old name.
    user(client, "ann").await;
    assert_eq!(who(client, &session).await, "arn:aws:iam::111122223333:user/team/anna");

    // The key that a session was asked for with may go before it.
    let key = iam::DeleteAccessKeyRequest {
        user_name: Some(String::from("anna")),
        access_key_id: ann.access_key_id.clone(),
    };
    assert_eq!(ask::<iam::DeleteAccessKey>(client, &key).await.status, 200);
    assert_eq!(who(client, &session).await, "arn:aws:iam::111122223333:user/team/anna");
    let delete = iam::DeleteUserRequest { user_name: String::from("anna") };
    assert_eq!(ask::<iam::DeleteUser>(client, &delete).await.status, 200);
    assert_eq!(who(client, &session).await, "InvalidClientTokenId");
    user(client, "anna").await;
    assert_eq!(who(client, &session).await, "InvalidClientTokenId");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fullest_token_fits_into_a_request() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let client = server.client();
    let name = "r".repeat(64);
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]}]}"#;
    let create = iam::CreateRoleRequest {
        role_name: name.clone(),
        path: Some(format!("/{}/", "p".repeat(510))),
        assume_role_policy_document: trust.to_owned(),
        ..Default::default()
    };
    let role_arn = element(&ask::<iam::CreateRole>(client, &create).await, "Arn");
    let tag = |number: usize| sts::Tag { key: format!("k{number:03}"), value: "v".repeat(252) };
    let input = sts::AssumeRoleRequest {
        role_arn,
        role_session_name: "s".repeat(64),
        tags: Some((0..16).map(tag).collect()),
        source_identity: Some("i".repeat(256)),
        ..Default::default()
    };
    let session = credentials::<sts::AssumeRole>(client, &input).await;
    let bytes = session.session_token.as_ref().unwrap().len();
    assert!((6_000..=8_192).contains(&bytes), "{bytes}");
    assert_eq!(
        who(client, &session).await,
        format!("arn:aws:sts::111122223333:assumed-role/{name}/{}", "s".repeat(64))
    );
    server.stop().await;
}
