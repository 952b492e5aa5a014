//! What the audit log says of calls that are answered before, or beside, an ordinary operation.

use coffer_testkit::{Engine, TestServer};
use serde_json::{Value, json};

use crate::stage::{Stage, token};

async fn events(server: &TestServer) -> Vec<Value> {
    let events = server.audit().await;
    events.iter().map(|event| serde_json::from_str(event).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_of_what_is_not_served_is_an_event() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let stage = Stage::new(&server, 0);
    let unserved = *coffer_model::secretsmanager::SERVICE.unserved.first().unwrap();
    let mut ids = Vec::new();
    for asked in [unserved, "NobodyKnowsThis"] {
        let reply = stage.ask(asked, &json!({"SecretId": "canary-of-a-body"})).await;
        assert_eq!(reply.code(), "UnknownOperationException");
        ids.push(reply.message().to_owned());
    }
    let events = events(&server).await;
    let told: Vec<[&str; 3]> = events
        .iter()
        .filter(|event| event["errorCode"] == "UnknownOperationException")
        .map(|event| ["eventName", "errorMessage", "eventSource"].map(|name| event[name].as_str().unwrap()))
        .collect();
    let source = "secretsmanager.amazonaws.com";
    assert_eq!(told, [[unserved, &ids[0], source], ["UnknownOperation", &ids[1], source]]);
    let all = serde_json::to_string(&events).unwrap();
    assert!(!all.contains("canary-of-a-body"), "{all}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn creating_a_secret_asks_about_the_arn_that_it_gets() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let stage = Stage::new(&server, 0);
    let input = json!({"Name": "db/password", "ClientRequestToken": token(1), "SecretString": "one"});
    let made = stage.get("CreateSecret", input.clone()).await;
    assert_eq!(stage.get("CreateSecret", input).await["ARN"], made["ARN"], "once more");
    let events = events(&server).await;
    let calls: Vec<&Value> = events.iter().filter(|event| event["eventName"] == "CreateSecret").collect();
    assert_eq!(calls.len(), 2);
    for call in calls {
        assert_eq!(call["resources"][0]["ARN"], made["ARN"]);
    }
    server.stop().await;
}
