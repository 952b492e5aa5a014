//! Invocations that nobody waits for: when they are tried again, and when no more.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use coffer_model::lambda;
use coffer_testkit::{Engine, TestServer};
use coffer_types::{Secret, Timestamp, encoding::BASE64};
use serde_json::{Value, json};

use crate::stage::Stage;

/// A zip file with a function in it.
const PACKAGE: &str = "UEsDBBQAAAAAAAAAIVx7R5BaNQAAADUAAAASAAAAbGFtYmRhX2Z1bmN0aW9uLnB5ZGVmIGxhbWJkYV9oYW5kbGVyKGV2ZW50LCBjb250ZXh0KToKICAgIHJldHVybiBldmVudApQSwECFAMUAAAAAAAAACFce0eQWjUAAAA1AAAAEgAAAAAAAAAAAAAApAEAAAAAbGFtYmRhX2Z1bmN0aW9uLnB5UEsFBgAAAAABAAEAQAAAAGUAAAAAAA==";
const TOLD: &str = "arn:aws:lambda:eu-west-1:111122223333:function:told";
const SECOND: Duration = Duration::from_secs(1);
/// The first attempt, one minute, two minutes.
const ATTEMPTS: [i64; 3] = [0, 60, 180];

/// One run of the function: what it was given, under which id, and when.
#[derive(Debug, Clone, PartialEq)]
struct Run {
    function: String,
    event: Value,
    request_id: String,
    at: Timestamp,
}

/// A function, `app`, that fails as often as it is told to, and then does not. Another one, `told`, does not fail.
struct House {
    server: TestServer,
    runs: Arc<Mutex<Vec<Run>>>,
}

impl House {
    async fn new(failures: usize) -> Self {
        let server = TestServer::start(Engine::Memory, 1).await;
        let runs = Arc::<Mutex<Vec<Run>>>::default();
        let (seen, clock) = (Arc::clone(&runs), server.world().world().clock);
        server.world().functions.all_do(move |event, call| {
            let function = call.invoked_arn.rsplit(':').next().unwrap().to_owned();
            let run = Run { function, event, request_id: call.request_id.to_string(), at: clock.now() };
            let fails = run.function == "app";
            let mut seen = seen.lock().unwrap();
            seen.push(run);
            let fails = fails && seen.iter().filter(|run| run.function == "app").count() <= failures;
            async move { if fails { Err(json!({"errorType": "Error"})) } else { Ok(()) } }
        });
        let trust = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole",
        }]});
        let role = [("RoleName", "app"), ("AssumeRolePolicyDocument", &trust.to_string())];
        Stage::new(&server, 0).iam("CreateRole", &role).await;
        for name in ["app", "told"] {
            let function = lambda::CreateFunctionRequest {
                function_name: String::from(name),
                runtime: Some(String::from("python3.12")),
                role: String::from("arn:aws:iam::111122223333:role/app"),
                handler: Some(String::from("index.handler")),
                code: lambda::FunctionCode {
                    zip_file: Some(Secret::new(BASE64.decode(PACKAGE.as_bytes()).unwrap())),
                    ..lambda::FunctionCode::default()
                },
                ..lambda::CreateFunctionRequest::default()
            };
            server.client().call::<lambda::CreateFunction>(&function).await.unwrap();
        }
        Self { server, runs }
    }

    async fn send(&self, event: &Value) {
        let invocation = lambda::InvocationRequest {
            function_name: String::from("app"),
            invocation_type: Some(String::from("Event")),
            payload: Some(Secret::new(event.to_string().into_bytes())),
            ..lambda::InvocationRequest::default()
        };
        self.server.client().call::<lambda::Invoke>(&invocation).await.unwrap();
    }

    /// What the role may do beside letting Lambda in.
    async fn allow(&self, statement: &Value) {
        let policy = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
        let words = [("RoleName", "app"), ("PolicyName", "tell"), ("PolicyDocument", &policy)];
        Stage::new(&self.server, 0).iam("PutRolePolicy", &words).await;
    }

    /// Both ends of an event are told to the other function, which the role may invoke.
    async fn configure(&self, retries: Option<i64>, age_seconds: Option<i64>) {
        self.allow(&json!({"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": TOLD})).await;
        let request = lambda::PutFunctionEventInvokeConfigRequest {
            function_name: String::from("app"),
            maximum_retry_attempts: retries,
            maximum_event_age_in_seconds: age_seconds,
            destination_config: Some(lambda::DestinationConfig {
                on_success: Some(lambda::OnSuccess { destination: Some(TOLD.to_owned()) }),
                on_failure: Some(lambda::OnFailure { destination: Some(TOLD.to_owned()) }),
            }),
            ..lambda::PutFunctionEventInvokeConfigRequest::default()
        };
        self.server.client().call::<lambda::PutFunctionEventInvokeConfig>(&request).await.unwrap();
    }

    /// What the other function got.
    fn told(&self) -> Vec<Value> {
        let runs = self.runs.lock().unwrap();
        runs.iter().filter(|run| run.function == "told").map(|run| run.event.clone()).collect()
    }

    /// Second after second, as long as that.
    async fn pass(&self, seconds: u64) {
        for _ in 0..seconds {
            self.server.pass(SECOND).await;
        }
    }

    /// How many seconds after the first each run was.
    fn times(&self) -> Vec<i64> {
        let runs = self.runs.lock().unwrap();
        runs.iter()
            .filter(|run| run.function == "app")
            .map(|run| run.at.seconds() - runs[0].at.seconds())
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_fails_is_tried_twice_more_and_then_given_up() {
    let house = House::new(usize::MAX).await;
    let before = house.server.stored().len();
    house.send(&json!({"a": 1})).await;
    assert_eq!(house.server.stored().len(), before + 1);
    house.pass(200).await;
    assert_eq!(house.times(), ATTEMPTS);
    // All are the same invocation.
    let runs = house.runs.lock().unwrap().clone();
    for run in &runs {
        assert_eq!((&run.event, &run.request_id), (&json!({"a": 1}), &runs[0].request_id));
    }
    // Nothing of it is left, and nothing begins again.
    assert_eq!(house.server.stored().len(), before);
    house.server.restart().await;
    house.server.pass(Duration::from_hours(7)).await;
    assert_eq!(house.times(), ATTEMPTS);
    house.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_over_when_the_function_has_done_it() {
    let house = House::new(1).await;
    let before = house.server.stored().len();
    house.send(&json!([])).await;
    house.pass(600).await;
    assert_eq!(house.times(), ATTEMPTS[..2]);
    assert_eq!(house.server.stored().len(), before);
    house.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_outlives_the_server() {
    let house = House::new(2).await;
    // One that is kept with the packages, because it is large.
    let event = json!("x".repeat(200_000));
    let before = house.server.stored().len();
    house.send(&event).await;
    house.pass(1).await;
    assert_eq!(house.times().len(), 1);
    house.server.end_suddenly().await;
    house.pass(70).await;
    assert_eq!(house.times().len(), 2);
    house.server.restart().await;
    house.pass(200).await;
    let times = house.times();
    // The server needs a moment after it has come back.
    for (time, expected) in times.iter().zip(ATTEMPTS) {
        assert!((expected..expected + 5).contains(time), "{times:?}");
    }
    assert_eq!(times.len(), 3);
    assert!(house.runs.lock().unwrap().iter().all(|run| run.event == event));
    assert!(house.server.examine().is_empty());
    // Packages that nothing counts as used are removed in time.
    house.server.pass(Duration::from_hours(24)).await;
    assert_eq!(house.server.stored().len(), before);
    house.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destination_is_told_how_an_event_ended() {
    for (failures, retries, condition, attempts) in [
        (0, None, "Success", 1),
        (1, Some(1), "Success", 2),
        (9, Some(0), "RetriesExhausted", 1),
        (9, None, "RetriesExhausted", 3),
    ] {
        let house = House::new(failures).await;
        house.configure(retries, None).await;
        let before = house.server.stored().len();
        house.send(&json!({"a": 1})).await;
        house.pass(200).await;
        let runs = house.runs.lock().unwrap().clone();
        assert_eq!(runs.iter().filter(|run| run.function == "app").count(), attempts);
        let mut told = house.told();
        assert_eq!(told.len(), 1, "{told:?}");
        let told = told.remove(0);
        assert_eq!((&told["version"], &told["requestPayload"]), (&json!("1.0"), &json!({"a": 1})));
        assert_eq!(
            told["requestContext"],
            json!({
                "requestId": runs[0].request_id,
                "functionArn": "arn:aws:lambda:eu-west-1:111122223333:function:app:$LATEST",
                "condition": condition,
                "approximateInvokeCount": attempts,
            })
        );
        let (answer, payload) = if condition == "Success" {
            (json!({"statusCode": 200, "executedVersion": "$LATEST"}), json!(null))
        } else {
            let answer =
                json!({"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"});
            (answer, json!({"errorType": "Error"}))
        };
        assert_eq!((&told["responseContext"], &told["responsePayload"]), (&answer, &payload));
        assert!(told.get("responsePayload").is_some());
        // Nothing of either event is left.
        assert_eq!(house.server.stored().len(), before);
        house.server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_too_old_is_given_up_before_its_attempts_are() {
    let house = House::new(9).await;
    house.configure(None, Some(100)).await;
    house.send(&json!({})).await;
    house.pass(300).await;
    // The third would come after 180 seconds.
    assert_eq!(house.times(), ATTEMPTS[..2]);
    let told = house.told();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["requestContext"]["condition"], "EventAgeExceeded");
    assert_eq!(told[0]["requestContext"]["approximateInvokeCount"], 2);
    house.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_lost_its_permission_tells_nobody_and_that_is_on_record() {
    let house = House::new(9).await;
    house.configure(Some(0), None).await;
    house.allow(&json!({"Effect": "Deny", "Action": "lambda:InvokeFunction", "Resource": "*"})).await;
    let before = house.server.stored().len();
    house.send(&json!({})).await;
    house.pass(20).await;
    assert_eq!((house.times().len(), house.told().len()), (1, 0));
    assert_eq!(house.server.stored().len(), before);
    let audit = house.server.audit().await;
    let events = audit.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let refused: Vec<Value> = events.filter(|event| event.get("errorCode").is_some()).collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(refused[0]["eventName"], "Invoke");
    house.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_is_told_after_a_crash_too() {
    let house = House::new(9).await;
    house.configure(Some(1), None).await;
    house.send(&json!("x".repeat(200_000))).await;
    house.pass(2).await;
    assert_eq!((house.times().len(), house.told().len()), (1, 0));
    house.server.end_suddenly().await;
    house.server.restart().await;
    house.pass(100).await;
    let told = house.told();
    assert_eq!((house.times().len(), told.len()), (2, 1));
    assert_eq!(told[0]["requestPayload"].as_str().unwrap().len(), 200_000);
    assert!(house.server.examine().is_empty());
    house.server.stop().await;
}
