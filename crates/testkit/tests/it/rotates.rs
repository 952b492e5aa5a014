//! Rotations that run: steps in order, failures and what comes after them, windows, and processes that end in the middle.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use coffer_core::{Caller, FunctionCall};
use coffer_model::secretsmanager as sm;
use coffer_testkit::{Engine, TestServer, deployed, function_error};
use coffer_types::{RequestId, Secret};
use serde_json::{Value, json};

use crate::stage::{Stage, token};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// A database with one user, and the function that changes his password as AWS's templates do.
#[derive(Debug, Default)]
pub(crate) struct Database {
    password: Mutex<String>,
    /// Steps in the order in which they were asked for.
    steps: Mutex<Vec<String>>,
    /// Whole events, and how the secret and its version under AWSPENDING looked to the function when each came.
    seen: Mutex<Vec<Seen>>,
    /// The steps that fail, one after the other.
    pub(crate) trouble: Mutex<Vec<&'static str>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) event: Value,
    pub(crate) labels: Vec<String>,
    pub(crate) pending: Option<String>,
}

impl Database {
    pub(crate) fn begin(self: &Arc<Self>, server: &TestServer) {
        let database = Arc::clone(self);
        server.world().functions.all_do(move |event, call| {
            let database = Arc::clone(&database);
            async move { database.step(&event, &call).await }
        });
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn has(&self, password: &str) {
        *self.password.lock().unwrap() = password.to_owned();
    }

    pub(crate) fn steps(&self) -> Vec<String> {
        std::mem::take(&mut *self.steps.lock().unwrap())
    }

    async fn step(&self, event: &Value, call: &FunctionCall) -> Result<(), Value> {
        let text = |name: &str| event[name].as_str().unwrap().to_owned();
        let (step, secret_id, token) = (text("Step"), text("SecretId"), text("ClientRequestToken"));
        assert!(text("RotationToken").len() >= 36);
        self.steps.lock().unwrap().push(step.clone());
        let fails = {
            let mut trouble = self.trouble.lock().unwrap();
            trouble.first() == Some(&step.as_str()) && !trouble.remove(0).is_empty()
        };
        let caller = Caller::service(
            deployed(call).account,
            deployed(call).region.clone(),
            "lambda.amazonaws.com",
            RequestId::random(call.inside.world().entropy.as_ref()),
        );
        let value = async |stage: &str, version: Option<&str>| {
            let input = sm::GetSecretValueRequest {
                secret_id: secret_id.clone(),
                version_id: version.map(str::to_owned),
                version_stage: Some(stage.to_owned()),
            };
            let answer = call.inside.call::<sm::GetSecretValue>(&caller, input).await;
            answer.map(|answer| answer.secret_string.unwrap().take()).map_err(|error| error.code())
        };
        let describe = sm::DescribeSecretRequest { secret_id: secret_id.clone() };
        let described = call.inside.call::<sm::DescribeSecret>(&caller, describe).await.unwrap();
        assert_eq!(described.rotation_enabled, Some(true));
        let versions = described.version_ids_to_stages.unwrap();
        assert!(versions[&token].iter().any(|label| label == "AWSPENDING"), "{versions:?}");
        let seen = Seen {
            event: event.clone(),
            labels: versions[&token].clone(),
            pending: value("AWSPENDING", Some(&token)).await.ok(),
        };
        self.seen.lock().unwrap().push(seen);
        match step.as_str() {
            "createSecret" => {
                value("AWSCURRENT", None).await.unwrap();
                if value("AWSPENDING", Some(&token)).await == Err("ResourceNotFoundException") {
                    let put = sm::PutSecretValueRequest {
                        secret_id: secret_id.clone(),
                        client_request_token: Some(token.clone()),
                        secret_string: Some(Secret::new(format!("password-of-{token}"))),
                        version_stages: Some(vec![String::from("AWSPENDING")]),
                        rotation_token: Some(Secret::new(text("RotationToken"))),
                        ..sm::PutSecretValueRequest::default()
                    };
                    call.inside.call::<sm::PutSecretValue>(&caller, put).await.unwrap();
                }
            }
            "setSecret" => *self.password.lock().unwrap() = value("AWSPENDING", Some(&token)).await.unwrap(),
            "testSecret" => {
                let pending = value("AWSPENDING", Some(&token)).await.unwrap();
                if *self.password.lock().unwrap() != pending {
                    return Err(function_error("ValueError", "the password does not log in"));
                }
            }
            "finishSecret" => {
                let current =
                    versions.iter().find(|(_, labels)| labels.iter().any(|label| label == "AWSCURRENT"));
                let moved = sm::UpdateSecretVersionStageRequest {
                    secret_id: secret_id.clone(),
                    version_stage: String::from("AWSCURRENT"),
                    move_to_version_id: Some(token.clone()),
                    remove_from_version_id: current.map(|(id, _)| id.clone()),
                };
                call.inside.call::<sm::UpdateSecretVersionStage>(&caller, moved).await.unwrap();
            }
            other => panic!("{other}"),
        }
        if fails {
            let said = format!("it broke at {}", value("AWSCURRENT", None).await.unwrap());
            return Err(function_error("RuntimeError", &said));
        }
        Ok(())
    }
}

pub(crate) async fn secret(stage: &Stage<'_>) {
    let input = json!({"Name": "db", "ClientRequestToken": token(1), "SecretString": "the-first-password"});
    stage.get("CreateSecret", input).await;
}

pub(crate) async fn current(stage: &Stage<'_>) -> String {
    let answer = stage.get("GetSecretValue", json!({"SecretId": "db"})).await;
    answer["SecretString"].as_str().unwrap().to_owned()
}

pub(crate) async fn described(stage: &Stage<'_>) -> Value {
    stage.get("DescribeSecret", json!({"SecretId": "db"})).await
}

/// The service's events about secrets, with what they say went wrong.
pub(crate) async fn told(server: &TestServer) -> Vec<String> {
    let events = server.audit().await;
    let events = events.iter().map(|event| serde_json::from_str::<Value>(event).unwrap());
    let shown =
        events.filter(|event| event["eventName"].as_str().unwrap().contains("Rotation")).map(|event| {
            let more = &event["additionalEventData"];
            let message =
                more["ErrorMessage"].as_str().map(|message| format!(": {message}")).unwrap_or_default();
            format!("{}{message}", event["eventName"].as_str().unwrap())
        });
    shown.collect()
}

pub(crate) const STEPS: [&str; 4] = ["createSecret", "setSecret", "testSecret", "finishSecret"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_goes_through_its_four_steps_and_the_next_one_when_its_window_opens() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let database = Arc::new(Database::default());
    database.begin(&server);
    let stage = Stage::new(&server, 0);
    secret(&stage).await;
    stage.get("RotateSecret", stage.rotation("db", 2)).await;
    server.pass(Duration::ZERO).await;
    assert_eq!(database.steps(), STEPS);
    let first = format!("password-of-{}", token(2));
    assert_eq!(
        (current(&stage).await, database.password.lock().unwrap().clone()),
        (first.clone(), first.clone())
    );
    let now = described(&stage).await;
    assert_eq!(now["VersionIdsToStages"][token(2)], json!(["AWSCURRENT", "AWSPENDING"]));
    assert_eq!(now["VersionIdsToStages"][token(1)], json!(["AWSPREVIOUS"]));
    assert!(now["LastRotatedDate"].is_number() && now["NextRotationDate"].is_number(), "{now}");
    // Thirty days later the window is open for a day, and the turn of this secret is in its first minutes.
    server.pass(Duration::from_secs(30 * 86_400 - 1)).await;
    assert_eq!(database.steps(), [] as [&str; 0]);
    server.pass(MINUTE * 6).await;
    assert_eq!(database.steps(), STEPS);
    assert_ne!(current(&stage).await, first);
    assert_eq!(current(&stage).await, *database.password.lock().unwrap());
    assert_eq!(
        told(&server).await,
        ["RotationStarted", "RotationSucceeded", "RotationStarted", "RotationSucceeded"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_fails_is_told_and_everything_is_tried_again_with_the_same_version() {
    let server = TestServer::start(Engine::Memory, 2).await;
    let database = Arc::new(Database::default());
    database.begin(&server);
    let stage = Stage::new(&server, 0);
    secret(&stage).await;
    *database.trouble.lock().unwrap() = vec!["setSecret", "finishSecret"];
    stage.get("RotateSecret", stage.rotation("db", 2)).await;
    server.pass(Duration::ZERO).await;
    assert_eq!(database.steps(), ["createSecret", "setSecret"]);
    assert_eq!(current(&stage).await, "the-first-password");
    let again = stage.ask("RotateSecret", &stage.rotation("db", 3)).await;
    assert_eq!(again.message(), "A previous rotation isn't complete. That rotation will be reattempted.");
    // A minute later, and two minutes after that.
    server.pass(MINUTE).await;
    assert_eq!(database.steps(), STEPS);
    server.pass(MINUTE * 2).await;
    assert_eq!(database.steps(), STEPS);
    assert_eq!(current(&stage).await, format!("password-of-{}", token(2)));
    let arn = stage.function("rotate");
    let failed = |step: &str| format!("RotationFailed: Error when executing lambda {arn} during {step} step");
    assert_eq!(
        told(&server).await,
        [
            String::from("RotationStarted"),
            failed("setSecret"),
            failed("finishSecret"),
            String::from("RotationSucceeded")
        ]
    );
    assert!(server.audit().await.iter().all(|event| !event.contains("password-of")), "nothing of the values");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_that_is_only_stored_is_tried_out_with_a_copy() {
    let server = TestServer::start(Engine::Memory, 3).await;
    let database = Arc::new(Database::default());
    database.begin(&server);
    let stage = Stage::new(&server, 0);
    secret(&stage).await;
    *database.password.lock().unwrap() = String::from("the-first-password");
    let mut rotation = stage.rotation("db", 2);
    rotation["RotateImmediately"] = json!(false);
    stage.get("RotateSecret", rotation.clone()).await;
    server.pass(Duration::ZERO).await;
    assert_eq!(database.steps(), ["testSecret"]);
    assert_eq!(described(&stage).await["VersionIdsToStages"], json!({token(1): ["AWSCURRENT"]}));
    *database.password.lock().unwrap() = String::from("another");
    rotation["ClientRequestToken"] = json!(token(3));
    stage.get("RotateSecret", rotation).await;
    server.pass(Duration::ZERO).await;
    assert_eq!(database.steps(), ["testSecret"], "tried once, not again and again");
    assert_eq!(described(&stage).await["VersionIdsToStages"], json!({token(1): ["AWSCURRENT"]}));
    let failed = format!(
        "TestRotationFailed: Error when executing lambda {} during testSecret step",
        stage.function("rotate")
    );
    let expected = ["TestRotationStarted", "TestRotationSucceeded", "TestRotationStarted", failed.as_str()];
    assert_eq!(told(&server).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_process_goes_on_with_the_step_that_was_under_way() {
    let server = TestServer::start(Engine::Sqlite, 4).await;
    let database = Arc::new(Database::default());
    let stage = Stage::new(&server, 0);
    secret(&stage).await;
    for stuck_at in STEPS {
        // The process ends while the function is at this step.
        let (steps, hangs) = (Arc::clone(&database), stuck_at);
        server.world().functions.all_do(move |event, call| {
            let database = Arc::clone(&steps);
            async move {
                let step = event["Step"].as_str().unwrap().to_owned();
                let done = database.step(&event, &call).await;
                if step == hangs {
                    drop(call);
                    std::future::pending::<()>().await;
                }
                done
            }
        });
        let token = token_of(stuck_at);
        let rotation = json!({
            "SecretId": "db", "ClientRequestToken": token, "RotationLambdaARN": stage.function("rotate"),
            "RotationRules": {"AutomaticallyAfterDays": 30},
        });
        stage.get("RotateSecret", rotation).await;
        server.pass(Duration::ZERO).await;
        assert_eq!(database.steps().last().map(String::as_str), Some(stuck_at));
        let known = current(&stage).await;
        assert!(known.starts_with("password-of") || known == "the-first-password");
        database.begin(&server);
        server.restart().await;
        server.pass(Duration::ZERO).await;
        assert_eq!(database.steps().first().map(String::as_str), Some(stuck_at), "that step once more");
        assert_eq!(current(&stage).await, format!("password-of-{token}"));
        assert_eq!(current(&stage).await, *database.password.lock().unwrap());
    }
}

/// A version id for each step at which a process ends.
fn token_of(step: &str) -> String {
    token(10 + STEPS.iter().position(|known| *known == step).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_cancelled_abandoned_or_deleted_is_not_run_any_more() {
    let server = TestServer::start(Engine::Memory, 5).await;
    let database = Arc::new(Database::default());
    database.begin(&server);
    let stage = Stage::new(&server, 0);
    secret(&stage).await;
    *database.trouble.lock().unwrap() = vec!["createSecret"; 3];
    stage.get("RotateSecret", stage.rotation("db", 2)).await;
    server.pass(Duration::ZERO).await;
    stage.get("CancelRotateSecret", json!({"SecretId": "db"})).await;
    server.pass(MINUTE * 10).await;
    assert_eq!(database.steps(), ["createSecret"]);
    assert_eq!(described(&stage).await["RotationEnabled"], json!(false));
    let unstage = json!({"SecretId": "db", "VersionStage": "AWSPENDING", "RemoveFromVersionId": token(2)});
    stage.get("UpdateSecretVersionStage", unstage).await;
    stage.get("RotateSecret", stage.rotation("db", 3)).await;
    server.pass(Duration::ZERO).await;
    let put = json!({"SecretId": "db", "ClientRequestToken": token(4), "SecretString": "by hand"});
    stage.get("PutSecretValue", put).await;
    server.pass(MINUTE * 10).await;
    assert_eq!(database.steps(), ["createSecret"]);
    assert_eq!(current(&stage).await, "by hand");
    stage.get("RotateSecret", stage.rotation("db", 5)).await;
    server.pass(Duration::ZERO).await;
    stage.get("DeleteSecret", json!({"SecretId": "db", "ForceDeleteWithoutRecovery": true})).await;
    server.pass(MINUTE * 10).await;
    assert_eq!(database.steps(), ["createSecret"]);
}
