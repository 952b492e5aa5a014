//! Ways in which somebody could get at more than he was given, or learn what he may not know.

use coffer_client::{Client, Credentials};
use coffer_model::sts;
use coffer_testkit::{Engine, TestServer};
use coffer_types::Secret;
use serde_json::{Value, json};

use crate::{
    sessions::{ask, element},
    stage::{Stage, ask_iam},
};

const BOB: &str = "arn:aws:iam::111122223333:user/bob";

/// Bob, who holds nothing.
async fn bob(stage: &Stage<'_>) -> Client {
    stage.iam("CreateUser", &[("UserName", "bob")]).await;
    let key = stage.iam("CreateAccessKey", &[("UserName", "bob")]).await;
    stage.client.with_credentials(Credentials {
        access_key_id: between(&key, "AccessKeyId"),
        secret_access_key: Secret::new(between(&key, "SecretAccessKey")).into(),
        session_token: None,
    })
}

fn between(text: &str, name: &str) -> String {
    let found = text.split_once(&format!("<{name}>")).and_then(|(_, rest)| rest.split_once("</"));
    assert!(found.is_some(), "no {name} in {text}");
    found.unwrap().0.to_owned()
}

fn policy(statement: &Value) -> String {
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

async fn assume(client: &Client, role: &str, tags: &[(&str, &str)]) -> Result<Client, String> {
    let tag = |(key, value): &(&str, &str)| sts::Tag { key: (*key).into(), value: (*value).into() };
    let input = sts::AssumeRoleRequest {
        role_arn: format!("arn:aws:iam::111122223333:role/{role}"),
        role_session_name: String::from("s1"),
        tags: (!tags.is_empty()).then(|| tags.iter().map(tag).collect()),
        transitive_tag_keys: (!tags.is_empty()).then(|| tags.iter().map(|(key, _)| (*key).into()).collect()),
        ..Default::default()
    };
    let answer = ask::<sts::AssumeRole>(client, &input).await;
    if answer.status != 200 {
        return Err(element(&answer, "Message"));
    }
    Ok(client.with_credentials(Credentials {
        access_key_id: element(&answer, "AccessKeyId"),
        secret_access_key: Secret::new(element(&answer, "SecretAccessKey")).into(),
        session_token: Some(Secret::new(element(&answer, "SessionToken")).into()),
    }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trust_in_somebody_lets_him_do_nothing_to_the_role_itself() {
    let server = TestServer::start(Engine::Memory, 43).await;
    let stage = Stage::new(&server, 0);
    let bob = bob(&stage).await;
    for (number, actions) in
        [json!({"Action": "*"}), json!({"NotAction": "sts:TagSession"})].into_iter().enumerate()
    {
        let role = format!("app{number}");
        let mut statement = json!({"Effect": "Allow", "Principal": {"AWS": BOB}});
        statement.as_object_mut().unwrap().extend(actions.as_object().unwrap().clone());
        let trust = policy(&statement);
        stage.iam("CreateRole", &[("RoleName", &role), ("AssumeRolePolicyDocument", &trust)]).await;
        let everything = policy(&json!({"Effect": "Allow", "Action": "*", "Resource": "*"}));
        let named = ("RoleName", role.as_str());
        let tries: [(&str, &[(&str, &str)]); 5] = [
            ("GetRole", &[named]),
            ("PutRolePolicy", &[named, ("PolicyName", "all"), ("PolicyDocument", &everything)]),
            ("UpdateAssumeRolePolicy", &[named, ("PolicyDocument", &trust)]),
            ("TagRole", &[named, ("Tags.member.1.Key", "team"), ("Tags.member.1.Value", "red")]),
            ("DeleteRole", &[named]),
        ];
        for (operation, members) in tries {
            let (status, text) = ask_iam(&bob, operation, members).await;
            assert_eq!(status, 403, "{operation} under {actions}: {text}");
        }
        assert!(assume(&bob, &role, &[]).await.is_ok(), "{actions}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_trusts_nobody_can_still_be_changed() {
    let server = TestServer::start(Engine::Memory, 44).await;
    let stage = Stage::new(&server, 0);
    let nobody = policy(&json!({"Effect": "Deny", "Principal": "*", "Action": "*"}));
    stage.iam("CreateRole", &[("RoleName", "app"), ("AssumeRolePolicyDocument", &nobody)]).await;
    stage.iam("UpdateAssumeRolePolicy", &[("RoleName", "app"), ("PolicyDocument", &nobody)]).await;
    stage.iam("DeleteRole", &[("RoleName", "app")]).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_go_on_into_roles_that_let_sessions_be_tagged_and_into_no_others() {
    let server = TestServer::start(Engine::Memory, 45).await;
    let stage = Stage::new(&server, 0);
    let bob = bob(&stage).await;
    let trust = |arn: &str, actions: Value| {
        policy(&json!({"Effect": "Allow", "Principal": {"AWS": arn}, "Action": actions}))
    };
    let both = || json!(["sts:AssumeRole", "sts:TagSession"]);
    let one = "arn:aws:iam::111122223333:role/one";
    for (name, document) in [
        ("one", trust(BOB, both())),
        ("closed", trust(one, json!("sts:AssumeRole"))),
        ("open", trust(one, both())),
    ] {
        stage.iam("CreateRole", &[("RoleName", name), ("AssumeRolePolicyDocument", &document)]).await;
    }
    let tagged = assume(&bob, "one", &[("team", "blue")]).await.unwrap();
    let refusal = assume(&tagged, "closed", &[]).await.err();
    let expected = "User: arn:aws:sts::111122223333:assumed-role/one/s1 is not authorized to perform: sts:TagSession on resource: arn:aws:iam::111122223333:role/closed";
    assert_eq!(refusal.as_deref(), Some(expected));
    assert!(assume(&tagged, "open", &[]).await.is_ok());
    let plain = assume(&bob, "one", &[]).await.unwrap();
    assert!(assume(&plain, "closed", &[]).await.is_ok());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_the_same_before_something_exists_and_after() {
    let server = TestServer::start(Engine::Memory, 46).await;
    let stage = Stage::new(&server, 0);
    let bob = bob(&stage).await;
    let trust = policy(
        &json!({"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}),
    );
    let (path, hidden) = (("Path", "/team/"), "hidden");
    let asked: [(&str, &str); 8] = [
        ("GetUser", "UserName"),
        ("ListAccessKeys", "UserName"),
        ("GetLoginProfile", "UserName"),
        ("GetRole", "RoleName"),
        ("ListAttachedRolePolicies", "RoleName"),
        ("DeleteRole", "RoleName"),
        ("GetGroup", "GroupName"),
        ("GetInstanceProfile", "InstanceProfileName"),
    ];
    let mut before = Vec::new();
    for (operation, member) in asked {
        before.push(ask_iam(&bob, operation, &[(member, hidden)]).await);
    }
    stage.iam("CreateUser", &[("UserName", hidden), path]).await;
    stage.iam("CreateRole", &[("RoleName", hidden), path, ("AssumeRolePolicyDocument", &trust)]).await;
    stage.iam("CreateGroup", &[("GroupName", hidden), path]).await;
    stage.iam("CreateInstanceProfile", &[("InstanceProfileName", hidden), path]).await;
    for ((operation, member), (status, text)) in asked.into_iter().zip(before) {
        let after = ask_iam(&bob, operation, &[(member, hidden)]).await;
        assert_eq!((status, after.0), (403, 403), "{operation}: {text} {}", after.1);
        assert_eq!(between(&text, "Message"), between(&after.1, "Message"), "{operation}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_a_key_is_is_told_to_those_who_may_know() {
    let server = TestServer::start(Engine::Memory, 47).await;
    let stage = Stage::new(&server, 0);
    let bob = bob(&stage).await;
    stage.iam("CreateUser", &[("UserName", "hidden")]).await;
    let key = between(&stage.iam("CreateAccessKey", &[("UserName", "hidden")]).await, "AccessKeyId");
    let deleted = [("UserName", "hidden"), ("AccessKeyId", key.as_str())];
    let of_key = [("AccessKeyId", key.as_str())];
    let while_it_is_there = ask_iam(&bob, "GetAccessKeyLastUsed", &of_key).await;
    stage.iam("DeleteAccessKey", &deleted).await;
    let gone = ask_iam(&bob, "GetAccessKeyLastUsed", &of_key).await;
    assert_eq!((while_it_is_there.0, gone.0), (403, 403), "{while_it_is_there:?} {gone:?}");
    assert_eq!(between(&while_it_is_there.1, "Message"), between(&gone.1, "Message"));
    server.stop().await;
}
