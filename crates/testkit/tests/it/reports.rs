//! Reports on the last use of services, from a trail that is longer than a look at it.

use std::time::Duration;

use coffer_testkit::{Engine, TestServer};
use serde_json::json;

use crate::stage::{Stage, token};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_takes_long_is_in_progress_until_it_has_seen_all() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let stage = Stage::new(&server, 0);
    let create = json!({"Name": "db", "ClientRequestToken": token(1), "SecretString": "one"});
    stage.get("CreateSecret", create).await;
    // Two events each, so that the first one of all is some blocks of the trail away.
    for _ in 0..400 {
        stage.get("GetSecretValue", json!({"SecretId": "db"})).await;
    }
    server.pass(Duration::ZERO).await;
    let arn = "arn:aws:iam::111122223333:user/administrator";
    let begun = stage
        .iam("GenerateServiceLastAccessedDetails", &[("Arn", arn), ("Granularity", "ACTION_LEVEL")])
        .await;
    let (_, job) = begun.split_once("<JobId>").unwrap();
    let (job, _) = job.split_once('<').unwrap();

    server.world().clock.be_slow(Duration::from_millis(600));
    let mut answers = Vec::new();
    while answers.last().is_none_or(|answer: &String| !answer.contains("<JobStatus>COMPLETED<")) {
        assert!(answers.len() < 100, "it does not end");
        answers.push(stage.iam("GetServiceLastAccessedDetails", &[("JobId", job)]).await);
    }
    let report = answers.pop().unwrap();
    assert!(answers.len() > 3, "{answers:?}");
    for answer in &answers {
        assert!(answer.contains("<JobStatus>IN_PROGRESS<"), "{answer}");
        assert!(answer.contains("<ServicesLastAccessed/>"), "{answer}");
    }
    for action in ["CreateSecret", "GetSecretValue", "GenerateDataKey", "Decrypt"] {
        assert!(report.contains(&format!("<ActionName>{action}<")), "{report}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_on_a_group_or_its_policy_is_about_the_users_in_it() {
    let server = TestServer::start(Engine::Memory, 2).await;
    let stage = Stage::new(&server, 0);
    let policy = "arn:aws:iam::aws:policy/SecretsManagerReadWrite";
    stage.iam("CreateGroup", &[("GroupName", "Devs")]).await;
    stage.iam("AttachGroupPolicy", &[("GroupName", "Devs"), ("PolicyArn", policy)]).await;
    stage.iam("CreateUser", &[("UserName", "ann")]).await;
    stage.iam("AddUserToGroup", &[("GroupName", "Devs"), ("UserName", "ann")]).await;
    for arn in ["arn:aws:iam::111122223333:group/Devs", policy] {
        let begun = stage.iam("GenerateServiceLastAccessedDetails", &[("Arn", arn)]).await;
        let (_, job) = begun.split_once("<JobId>").unwrap();
        let asked = [("JobId", job.split_once('<').unwrap().0), ("ServiceNamespace", "secretsmanager")];
        let report = stage.iam("GetServiceLastAccessedDetailsWithEntities", &asked).await;
        assert!(report.contains("<Arn>arn:aws:iam::111122223333:user/ann</Arn>"), "{arn}: {report}");
    }
    server.stop().await;
}
