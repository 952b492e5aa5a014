//! Temporary credentials for tests: roles, and whoever has taken one on.

use coffer_client::{Client, Credentials, RawResponse};
use coffer_model::{iam, sts};
use coffer_shape::{Operation, Shape};
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
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}"#;
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
