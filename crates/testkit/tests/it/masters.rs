//! Rotators that read a second secret read it in the name of whoever named them: he is asked when he does, and is told to the rotator at
//! each run.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use coffer_testkit::{Engine, TestServer};
use serde_json::{Value, json};

use crate::stage::{HOME, Stage, token};

/// A rotator of the simulation that is one of those.
const READS: &str = "rotate-with-master";

/// In whose name each step was to read, by ARN.
type Readers = Arc<Mutex<Vec<Option<String>>>>;

async fn begin(server: &TestServer) -> Readers {
    let readers = Readers::default();
    let seen = Arc::clone(&readers);
    server.world().functions.all_do(move |_, call| {
        let reader = call.confined.and_then(|confined| confined.on_behalf_of);
        seen.lock().unwrap().push(reader.map(|principal| principal.arn));
        // Nothing is made, so that a rotation ends with its first step.
        async { Ok(()) }
    });
    readers
}

fn taken(readers: &Readers) -> Vec<Option<String>> {
    std::mem::take(&mut *readers.lock().unwrap())
}

async fn secrets(stage: &Stage<'_>) -> String {
    let create = |name: &str, value: String| json!({"Name": name, "ClientRequestToken": token(1), "SecretString": value});
    let master = stage.get("CreateSecret", create("master", String::from("{}"))).await;
    let master = master["ARN"].as_str().unwrap().to_owned();
    stage.get("CreateSecret", create("db", json!({"masterarn": master}).to_string())).await;
    master
}

/// The input of a RotateSecret; without a function it is the one that is known.
fn rotation(number: usize, function: Option<&str>) -> Value {
    let mut input = json!({"SecretId": "db", "ClientRequestToken": token(number)});
    if let Some(function) = function {
        input["RotationLambdaARN"] = json!(function);
        input["RotationRules"] = json!({"AutomaticallyAfterDays": 30});
    }
    input
}

/// Takes away what a rotation that did not end has left.
async fn unstage(stage: &Stage<'_>, number: usize) {
    let label = json!({"SecretId": "db", "VersionStage": "AWSPENDING", "RemoveFromVersionId": token(number)});
    stage.get("UpdateSecretVersionStage", label).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_may_not_read_the_master_secret_does_not_have_it_read_for_him() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let readers = begin(&server).await;
    let stage = Stage::new(&server, 0);
    let master = secrets(&stage).await;
    let somebody = stage.as_user_denied(json!("secretsmanager:GetSecretValue"), json!({})).await;
    let reply = somebody.ask("RotateSecret", &rotation(2, Some(&stage.function(READS)))).await;
    assert_eq!((reply.status, reply.code()), (400, "AccessDeniedException"), "{}", reply.body);
    let asked = format!("is not authorized to perform: secretsmanager:GetSecretValue on resource: {master}");
    assert!(reply.message().contains(&asked), "{}", reply.message());
    server.pass(Duration::ZERO).await;
    let described = stage.get("DescribeSecret", json!({"SecretId": "db"})).await;
    assert_eq!(described.get("RotationEnabled"), None, "{described}");
    assert_eq!(taken(&readers), []);
    // What reads no second secret needs no permission for one.
    somebody.get("RotateSecret", rotation(10, Some(&stage.function("rotate")))).await;
    server.pass(Duration::ZERO).await;
    assert_eq!(taken(&readers), [None]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_named_the_rotator_is_the_one_who_reads_until_another_names_it_or_he_is_no_more() {
    let server = TestServer::start(Engine::Memory, 2).await;
    let readers = begin(&server).await;
    let stage = Stage::new(&server, 0);
    let master = secrets(&stage).await;
    let somebody = stage.as_user_without("secretsmanager:DeleteSecret").await;
    let user = format!("arn:aws:iam::{HOME}:user/user-of-stage-0");
    let function = stage.function(READS);
    // The policy of the secret decides as always.
    let policy = |effect: &str| {
        let statement = json!({
            "Effect": effect, "Principal": {"AWS": user}, "Action": "secretsmanager:GetSecretValue", "Resource": "*",
        });
        json!({"SecretId": master, "ResourcePolicy": json!({"Version": "2012-10-17", "Statement": statement}).to_string()})
    };
    stage.get("PutResourcePolicy", policy("Deny")).await;
    let reply = somebody.ask("RotateSecret", &rotation(2, Some(&function))).await;
    assert_eq!(reply.code(), "AccessDeniedException", "{}", reply.body);
    stage.get("PutResourcePolicy", policy("Allow")).await;
    somebody.get("RotateSecret", rotation(2, Some(&function))).await;
    server.pass(Duration::ZERO).await;
    assert_eq!(taken(&readers), [Some(user.clone())]);
    unstage(&stage, 2).await;
    // He who only rotates does not lend his name, and is not asked.
    stage.get("RotateSecret", rotation(4, None)).await;
    server.pass(Duration::ZERO).await;
    assert_eq!(taken(&readers), [Some(user.clone())]);
    unstage(&stage, 4).await;
    stage.forget_user("user-of-stage-0").await;
    stage.get("RotateSecret", rotation(6, None)).await;
    server.pass(Duration::ZERO).await;
    assert_eq!(taken(&readers), [None]);
    unstage(&stage, 6).await;
    stage.get("RotateSecret", rotation(8, Some(&function))).await;
    server.pass(Duration::ZERO).await;
    let reader = taken(&readers);
    assert!(matches!(reader.as_slice(), [Some(administrator)] if *administrator != user), "{reader:?}");
}

/// How many data keys Secrets Manager has opened for itself.
async fn opened(server: &TestServer) -> usize {
    let events = server.audit().await;
    let events = events.iter().map(|event| serde_json::from_str::<Value>(event).unwrap());
    let is_it = |event: &Value| {
        event["eventName"] == "Decrypt"
            && event["userIdentity"]["invokedBy"] == "secretsmanager.amazonaws.com"
    };
    events.filter(is_it).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_are_opened_for_what_somebody_else_says_and_not_for_what_comes_along() {
    let server = TestServer::start(Engine::Memory, 3).await;
    let readers = begin(&server).await;
    let stage = Stage::new(&server, 0);
    secrets(&stage).await;
    for (number, label) in [(20, "AWSCURRENT"), (21, "KEPT")] {
        let put = json!({
            "SecretId": "db", "ClientRequestToken": token(number), "SecretString": "{}", "VersionStages": [label],
        });
        stage.get("PutSecretValue", put).await;
    }
    // The current version, the one before it and the one that is kept, and not that of the master, because this function has no role that may
    // read it; or the current one alone, when the rotator is named and when it is run.
    for (number, function, times) in [(2, "rotate", 3), (4, READS, 2)] {
        let before = opened(&server).await;
        stage.get("RotateSecret", rotation(number, Some(&stage.function(function)))).await;
        server.pass(Duration::ZERO).await;
        assert_eq!(taken(&readers).len(), 1);
        assert_eq!(opened(&server).await - before, times, "{function}");
        unstage(&stage, number).await;
    }
}
