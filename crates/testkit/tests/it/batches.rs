//! Batches: what is said of them on record, how much fits into one, and that pages lose nothing.

use coffer_testkit::{Engine, TestServer};
use serde_json::{Value, json};

use crate::stage::{Stage, token};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_secret_of_a_batch_is_on_record_as_read_by_the_caller() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let stage = Stage::new(&server, 0);
    for name in ["one", "two"] {
        let input = json!({"Name": name, "ClientRequestToken": token(1), "SecretString": "canary"});
        stage.get("CreateSecret", input).await;
    }
    let before = server.audit().await.len();
    stage.get("BatchGetSecretValue", json!({"SecretIdList": ["one", "nobody", "two"]})).await;

    let lines = server.audit().await.split_off(before);
    assert!(lines.iter().all(|line| !line.contains("canary")));
    let events: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |name: &str| events.iter().filter(|event| event["eventName"] == name).collect::<Vec<_>>();
    let (batches, reads, decryptions) = (of("BatchGetSecretValue"), of("GetSecretValue"), of("Decrypt"));
    assert_eq!((batches.len(), reads.len(), decryptions.len(), events.len()), (1, 3, 2, 6));

    let batch = batches[0];
    assert_eq!(batch["requestParameters"], json!({"secretIdList": ["one", "nobody", "two"]}));
    assert_eq!(batch["responseElements"], json!(null));
    for (read, name) in reads.iter().zip(["one", "nobody", "two"]) {
        assert_eq!(read["requestParameters"], json!({"secretId": name}));
        let arn = read["resources"][0]["ARN"].as_str().unwrap();
        assert!(arn.contains(&format!(":secret:{name}")), "{arn}");
        // The service reads on nobody's behalf here: it is the caller who asks, from where he is.
        assert_eq!(read["userIdentity"]["invokedBy"], json!(null));
        assert_eq!(read["sourceIPAddress"], batch["sourceIPAddress"]);
        assert_eq!(read["requestID"], batch["requestID"]);
    }
    assert_eq!(reads[1]["errorCode"], "ResourceNotFoundException");
    for decryption in decryptions {
        assert_eq!(decryption["userIdentity"]["invokedBy"], "secretsmanager.amazonaws.com");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_of_the_largest_values_fit_into_one_answer() {
    let server = TestServer::start(Engine::Sqlite, 1).await;
    let stage = Stage::new(&server, 0);
    // Each of these letters takes six in JSON.
    let value = "\u{1}".repeat(65_536);
    let names: Vec<String> = (0..20).map(|number| format!("large/{number}")).collect();
    for name in &names {
        let input = json!({"Name": name, "ClientRequestToken": token(1), "SecretString": value});
        stage.get("CreateSecret", input).await;
    }
    let answer = stage.get("BatchGetSecretValue", json!({"SecretIdList": names})).await;
    let values = answer["SecretValues"].as_array().unwrap();
    assert!(values.iter().all(|entry| entry["SecretString"] == value.as_str()));
    let found: Vec<&str> = values.iter().map(|entry| entry["Name"].as_str().unwrap()).collect();
    assert_eq!(found, names);
    assert_eq!(answer["Errors"], json!([]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_a_filter_hold_every_secret_once() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let stage = Stage::new(&server, 0);
    for number in 0..45 {
        let input =
            json!({"Name": format!("a/{number}"), "ClientRequestToken": token(1), "SecretString": "one"});
        stage.get("CreateSecret", input).await;
        // Those without a value come back too, as errors; those of another name do not.
        stage.get("CreateSecret", json!({"Name": format!("a/empty/{number}")})).await;
        stage.get("CreateSecret", json!({"Name": format!("b/{number}")})).await;
    }
    for size in [None, Some(1), Some(7), Some(20)] {
        let mut input = json!({"Filters": [{"Key": "name", "Values": ["a/"]}], "MaxResults": size});
        let (mut values, mut errors) = (Vec::new(), 0);
        loop {
            let answer = stage.get("BatchGetSecretValue", input.clone()).await;
            let found = answer["SecretValues"].as_array().unwrap();
            let failed = answer["Errors"].as_array().unwrap();
            assert!(found.len() + failed.len() <= size.unwrap_or(20));
            values.extend(found.iter().map(|entry| entry["Name"].as_str().unwrap().to_owned()));
            errors += failed.len();
            let Some(next) = answer.get("NextToken") else { break };
            input["NextToken"] = next.clone();
        }
        let wanted: Vec<String> = (0..45).map(|number| format!("a/{number}")).collect();
        assert_eq!((values, errors), (wanted, 45), "{size:?}");
    }
    server.stop().await;
}

/// A search that takes long is cut into short pages, and together they are the whole list.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_that_were_cut_short_hold_every_secret_once() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let stage = Stage::new(&server, 0);
    // A search looks at the clock after each 64 secrets, so several pages of it end before they are full.
    let names: Vec<String> = (0..200).map(|number| format!("slow/{number:03}")).collect();
    for name in &names {
        stage.get("CreateSecret", json!({"Name": name, "ClientRequestToken": token(1)})).await;
    }
    server.world().clock.be_slow(std::time::Duration::from_millis(1100));
    for (wanted, filters) in [(200, json!([])), (0, json!([{"Key": "all", "Values": ["nobody"]}]))] {
        let (mut found, mut pages, mut next) = (Vec::new(), 0, Value::Null);
        loop {
            let input = json!({"Filters": filters, "SortBy": "name", "NextToken": next});
            let answer = stage.get("ListSecrets", input).await;
            found.extend(answer["SecretList"].as_array().unwrap().iter().map(|entry| entry["Name"].clone()));
            pages += 1;
            next = answer["NextToken"].clone();
            if next.is_null() {
                break;
            }
        }
        assert_eq!(found.len(), wanted);
        assert!(found.iter().zip(&names).all(|(found, name)| found == name), "{found:?}");
        assert_eq!(pages, 4);
    }
    server.stop().await;
}
