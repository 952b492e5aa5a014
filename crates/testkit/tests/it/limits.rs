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

/// A request with something of this length.
type Sized = fn(&Stage<'_>, usize) -> (&'static str, serde_json::Value);

/// AWS's quotas of one secret, as far as one request can reach them, and our two own. None of them can be configured, because AWS adjusts none.
const QUOTAS: &[(&str, usize, Sized)] = &[
    ("letters of a name", 512, |_, length| ("CreateSecret", json!({"Name": "n".repeat(length)}))),
    ("letters of a description", 2048, |_, length| {
        ("UpdateSecret", json!({"SecretId": "a", "Description": "d".repeat(length)}))
    }),
    ("letters of a type", 256, |_, length| {
        ("UpdateSecret", json!({"SecretId": "a", "Type": "t".repeat(length)}))
    }),
    ("bytes of a text", 65_536, |_, length| {
        // Two bytes a letter, and one more if it has to be.
        let text = "é".repeat(length / 2) + &"e".repeat(length % 2);
        (
            "PutSecretValue",
            json!({"SecretId": "a", "ClientRequestToken": token(length), "SecretString": text}),
        )
    }),
    ("bytes of a binary value", 65_536, |_, length| {
        let bytes = coffer_types::encoding::BASE64.encode(&vec![0xff; length]);
        (
            "UpdateSecret",
            json!({"SecretId": "a", "ClientRequestToken": token(length + 9), "SecretBinary": bytes}),
        )
    }),
    ("letters of a policy", 20_480, |stage, length| {
        let policy = format!("{:<length$}", stage.policy("444455556666"));
        ("PutResourcePolicy", json!({"SecretId": "a", "ResourcePolicy": policy}))
    }),
    ("tags", 50, |_, count| {
        let tags: Vec<_> = (0..count).map(|n| json!({"Key": format!("k{n}"), "Value": ""})).collect();
        ("TagResource", json!({"SecretId": "a", "Tags": tags}))
    }),
    ("letters of the key of a tag", 128, |_, length| {
        ("TagResource", json!({"SecretId": "b", "Tags": [{"Key": "k".repeat(length), "Value": ""}]}))
    }),
    ("letters of the value of a tag", 256, |_, length| {
        ("TagResource", json!({"SecretId": "b", "Tags": [{"Key": "k", "Value": "v".repeat(length)}]}))
    }),
    ("labels", 20, |_, count| {
        // One of them is AWSCURRENT, which the first version has anyway.
        let labels: Vec<_> = (1..count).map(|n| format!("l{n}")).collect();
        let put = json!({"SecretId": "b", "ClientRequestToken": token(count), "SecretString": "v", "VersionStages": labels});
        ("PutSecretValue", put)
    }),
    ("replicas", 50, |_, count| {
        let regions: Vec<_> = (1..=count).map(|n| json!({"Region": format!("far-{n}")})).collect();
        ("ReplicateSecretToRegions", json!({"SecretId": "a", "AddReplicaRegions": regions}))
    }),
    ("items of metadata", 50, |stage, count| {
        let mut rotate = stage.rotation("c", 2);
        rotate["ExternalSecretRotationMetadata"] = vec![json!({"Key": "k", "Value": "v"}); count].into();
        ("RotateSecret", rotate)
    }),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_reaches_a_quota_fits_and_what_passes_it_is_refused() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let stage = Stage::new(&server, 0);
    for name in ["a", "b", "c"] {
        stage
            .get("CreateSecret", json!({"Name": name, "ClientRequestToken": token(1), "SecretString": "one"}))
            .await;
    }
    for (what, most, request) in QUOTAS {
        for (size, status) in [(most + 1, 400), (*most, 200)] {
            let (operation, input) = request(&stage, size);
            let reply = stage.ask(operation, &input).await;
            assert_eq!(reply.status, status, "{size} {what}: {}", reply.body);
        }
    }
    server.stop().await;
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
