//! Whoever may make something but not tag it cannot make it with tags: policies let people in by the tags of users and roles.

use coffer_testkit::{Engine, TestServer};

use crate::stage::{Stage, ask_iam};

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}]}"#;
const POLICY: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:ListKeys","Resource":"*"}]}"#;

/// What makes something, what tagging it needs, and what has to be said.
type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_from_the_beginning_need_the_permission_to_tag() {
    let server = TestServer::start(Engine::Memory, 41).await;
    let cases: [Case; 5] = [
        ("CreateUser", "iam:TagUser", &[("UserName", "new")]),
        ("CreateRole", "iam:TagRole", &[("RoleName", "new"), ("AssumeRolePolicyDocument", TRUST)]),
        ("CreatePolicy", "iam:TagPolicy", &[("PolicyName", "new"), ("PolicyDocument", POLICY)]),
        ("CreateInstanceProfile", "iam:TagInstanceProfile", &[("InstanceProfileName", "new")]),
        (
            "CreateOpenIDConnectProvider",
            "iam:TagOpenIDConnectProvider",
            &[("Url", "https://oidc.example.com/new"), ("ClientIDList.member.1", "sts.amazonaws.com")],
        ),
    ];
    for (number, (operation, tagging, members)) in cases.into_iter().enumerate() {
        let stage = Stage::new(&server, number).as_user_without(tagging).await;
        let client = stage.client.with_region("us-east-1".parse().unwrap());
        let tag = [("Tags.member.1.Key", "team"), ("Tags.member.1.Value", "red")];
        let (status, text) = ask_iam(&client, operation, &[members, &tag].concat()).await;
        assert_eq!(status, 403, "{operation}: {text}");
        assert!(
            text.contains(&format!("is not authorized to perform: {tagging} on resource: arn:aws:iam::")),
            "{text}"
        );
        let (status, text) = ask_iam(&client, operation, members).await;
        assert_eq!(status, 200, "{operation}: {text}");
    }
    server.stop().await;
}
