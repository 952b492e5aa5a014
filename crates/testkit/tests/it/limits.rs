//! Quotas that take more requests than fit on a page of exchanges.

use std::{collections::HashSet, time::Duration};

use coffer_testkit::{Engine, TestServer};
use serde_json::json;

use crate::stage::{Stage, token};

const DAY: Duration = Duration::from_secs(86_400);

fn put(number: usize) -> serde_json::Value {
    json!({"SecretId": "db/password", "ClientRequestToken": token(number), "SecretString": format!("value {number}")})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_versions_fit_and_old_ones_make_room_after_a_day() {
    let server = TestServer::start(Engine::Sqlite, 1).await;
    let stage = Stage::new(&server, 0);
    stage.get("CreateSecret", json!({"Name": "db/password"})).await;
    for number in 1..=100 {
        stage.get("PutSecretValue", put(number)).await;
    }
    for operation in ["PutSecretValue", "UpdateSecret"] {
        let one_more = stage.ask(operation, &put(101)).await;
        assert_eq!((one_more.status, one_more.code()), (400, "LimitExceededException"), "{operation}");
    }
    let rotate = stage.ask("RotateSecret", &stage.rotation("db/password", 101)).await;
    assert_eq!((rotate.status, rotate.code()), (400, "InvalidRequestException"));
    // A retry makes no version, so it is welcome all the same.
    stage.get("PutSecretValue", put(1)).await;

    server.pass(DAY).await;
    stage.get("PutSecretValue", put(101)).await;
    let events = deletions(&server).await;
    let names: Vec<_> = events.iter().map(|event| event["eventName"].as_str().unwrap()).collect();
    assert_eq!(names, ["StartSecretVersionDelete", "EndSecretVersionDelete"]);
    for event in events {
        assert_eq!(event["eventType"], "AwsServiceEvent");
        assert_eq!(event["additionalEventData"]["SecretVersionId"], token(1));
        let arn = event["additionalEventData"]["SecretId"].as_str().unwrap();
        assert!(arn.contains(":secret:db/password-"), "{arn}");
    }
    let gone = stage.ask("GetSecretValue", &json!({"SecretId": "db/password", "VersionId": token(1)})).await;
    assert_eq!(gone.code(), "ResourceNotFoundException");
    let kept = stage.get("GetSecretValue", json!({"SecretId": "db/password", "VersionId": token(2)})).await;
    assert_eq!(kept["SecretString"], "value 2");
    let list = json!({"SecretId": "db/password", "IncludeDeprecated": true});
    let list = stage.get("ListSecretVersionIds", list).await;
    assert_eq!(list["Versions"].as_array().unwrap().len(), 100);
    assert_eq!(list.get("NextToken"), None);

    // Deleting it takes all of its versions along.
    stage.get("DeleteSecret", json!({"SecretId": "db/password", "RecoveryWindowInDays": 7})).await;
    server.pass(7 * DAY).await;
    assert_eq!(
        stage.get("ListSecrets", json!({"IncludePlannedDeletion": true})).await,
        json!({"SecretList": []})
    );
    assert_eq!(deletions(&server).await.len(), 4);
    server.stop().await;
}

/// What the service says of the deletions that nobody called for.
async fn deletions(server: &TestServer) -> Vec<serde_json::Value> {
    let events = server.audit().await;
    events
        .iter()
        .filter(|event| event.contains("SecretVersionDelete"))
        .map(|event| serde_json::from_str(event).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_secrets_are_listed_once_each_whatever_the_page_and_the_order() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let stage = Stage::new(&server, 0);
    for number in 0..257 {
        stage.get("CreateSecret", json!({"Name": format!("secret/{number}")})).await;
    }
    for (sort_by, sort_order, page) in [
        ("created-date", "asc", 100),
        ("name", "desc", 7),
        ("last-changed-date", "desc", 64),
        ("last-accessed-date", "asc", 99),
    ] {
        let mut names = Vec::new();
        let mut input = json!({"SortBy": sort_by, "SortOrder": sort_order, "MaxResults": page});
        loop {
            let answer = stage.get("ListSecrets", input.clone()).await;
            let secrets = answer["SecretList"].as_array().unwrap();
            assert!(secrets.len() <= page);
            names.extend(secrets.iter().map(|secret| secret["Name"].as_str().unwrap().to_owned()));
            let Some(next) = answer.get("NextToken") else { break };
            input["NextToken"] = next.clone();
        }
        assert_eq!(names.len(), 257, "{sort_by}");
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), 257, "{sort_by}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_puts_at_the_same_time_both_succeed() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let stage = Stage::new(&server, 0);
    stage.get("CreateSecret", json!({"Name": "db/password"})).await;
    let puts = (1..=20).map(|number| {
        let client = stage.client.clone();
        tokio::spawn(async move {
            let body = put(number).to_string();
            client
                .call_raw(&coffer_model::secretsmanager::SERVICE, "PutSecretValue", body.as_bytes())
                .await
                .unwrap()
                .status
        })
    });
    for put in puts.collect::<Vec<_>>() {
        assert_eq!(put.await.unwrap(), 200);
    }
    let list = stage
        .get("ListSecretVersionIds", json!({"SecretId": "db/password", "IncludeDeprecated": true}))
        .await;
    let versions = list["Versions"].as_array().unwrap();
    assert_eq!(versions.len(), 20);
    for label in ["AWSCURRENT", "AWSPREVIOUS"] {
        let holders = versions.iter().filter(|version| version["VersionStages"] == json!([label])).count();
        assert_eq!(holders, 1, "{label}");
    }
    server.stop().await;
}
