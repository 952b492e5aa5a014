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
const SECOND: Duration = Duration::from_secs(1);
/// The first attempt, one minute, two minutes.
const ATTEMPTS: [i64; 3] = [0, 60, 180];

/// One run of the function: what it was given, under which id, and when.
#[derive(Debug, Clone, PartialEq)]
struct Run {
    event: Value,
    request_id: String,
    at: Timestamp,
}

/// A function that fails as often as it is told to, and then does not.
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
            let run = Run { event, request_id: call.request_id.to_string(), at: clock.now() };
            let mut seen = seen.lock().unwrap();
            seen.push(run);
            let fails = seen.len() <= failures;
            async move { if fails { Err(json!({"errorType": "Error"})) } else { Ok(()) } }
        });
        let trust = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole",
        }]});
        let role = [("RoleName", "app"), ("AssumeRolePolicyDocument", &trust.to_string())];
        Stage::new(&server, 0).iam("CreateRole", &role).await;
        let function = lambda::CreateFunctionRequest {
            function_name: String::from("app"),
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

    /// Second after second, as long as that.
    async fn pass(&self, seconds: u64) {
        for _ in 0..seconds {
            self.server.pass(SECOND).await;
        }
    }

    /// How many seconds after the first each run was.
    fn times(&self) -> Vec<i64> {
        let runs = self.runs.lock().unwrap();
        runs.iter().map(|run| run.at.seconds() - runs[0].at.seconds()).collect()
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
