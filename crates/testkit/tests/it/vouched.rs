//! Who pays for those whom an identity provider vouches for: their address until a role has let them in, then its account.

use std::collections::BTreeMap;

use coffer_client::RawRequest;
use coffer_model::{iam, sts};
use coffer_server::config::{Limits, Profile};
use coffer_testkit::{Engine, Issuer, TestServer};
use coffer_types::Secret;

use crate::sessions;

const SUBJECT: &str = "system:serviceaccount:prod:api";
const RATE: u32 = 1;
/// Twice the rate may come at once.
const BURST: usize = 2;

async fn server(failures_per_address: u32) -> TestServer {
    let rates = BTreeMap::from([(String::from("sts:*"), RATE)]);
    let profile = Profile::Custom { accounts: rates, principals: BTreeMap::new() };
    let limits = Limits { failures_per_address, profile, ..Limits::default() };
    let server = TestServer::within(Engine::Memory, 1, limits).await;
    let provider = iam::CreateOpenIDConnectProviderRequest {
        url: Issuer::URL.to_owned(),
        client_id_list: Some(vec![String::from("sts.amazonaws.com")]),
        ..Default::default()
    };
    let made = sessions::ask::<iam::CreateOpenIDConnectProvider>(server.client(), &provider).await;
    let provider = sessions::element(&made, "OpenIDConnectProviderArn");
    let trust = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"Federated":"{provider}"}},"Action":"sts:AssumeRoleWithWebIdentity"}}]}}"#
    );
    let role = iam::CreateRoleRequest {
        role_name: String::from("api"),
        assume_role_policy_document: trust,
        ..Default::default()
    };
    assert_eq!(sessions::ask::<iam::CreateRole>(server.client(), &role).await.status, 200);
    server
}

/// The code of the refusal, if it is one.
async fn take_on(server: &TestServer, role: &str) -> Option<String> {
    let token = server.issuer().token(&Issuer::claims(server.now().seconds(), SUBJECT));
    let body = format!(
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleSessionName=api-0&RoleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2F{role}&WebIdentityToken={token}"
    );
    let form = b"application/x-www-form-urlencoded".to_vec();
    let request = RawRequest {
        method: "POST",
        target: String::from("/"),
        headers: vec![(String::from("content-type"), Secret::new(form))],
        body: Secret::new(body.into_bytes()),
    };
    let answer = server.client().connections().send(request).await.unwrap();
    (answer.status != 200).then(|| sessions::element(&answer, "Code"))
}

async fn who_am_i(server: &TestServer) -> u16 {
    sessions::ask::<sts::GetCallerIdentity>(server.client(), &Default::default()).await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_no_role_lets_in_costs_the_account_nothing_of_its_rate() {
    let server = server(0).await;
    for _ in 0..10 * BURST {
        assert_eq!(take_on(&server, "nothing").await.as_deref(), Some("AccessDenied"));
    }
    for _ in 0..BURST {
        assert_eq!(who_am_i(&server).await, 200);
    }
    assert_eq!(who_am_i(&server).await, 400);
    // He is told of the account's rate, and whoever is let in is charged to it.
    assert_eq!(take_on(&server, "api").await.as_deref(), Some("Throttling"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_a_role_lets_in_its_account_pays_for() {
    let server = server(0).await;
    for _ in 0..BURST {
        assert_eq!(take_on(&server, "api").await, None);
    }
    assert_eq!(take_on(&server, "api").await.as_deref(), Some("Throttling"));
    assert_eq!(who_am_i(&server).await, 400);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_no_role_lets_in_his_address_pays_for() {
    let server = server(1).await;
    for _ in 0..2 {
        assert_eq!(take_on(&server, "nothing").await.as_deref(), Some("AccessDenied"));
    }
    assert_eq!(take_on(&server, "nothing").await.as_deref(), Some("Throttling"));
    // The administrator called from there before, and is heard.
    assert_eq!(who_am_i(&server).await, 200);
    server.stop().await;
}
