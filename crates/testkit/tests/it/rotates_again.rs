//! What becomes of a rotation that did not end: later windows, labels that somebody took off, functions that find no room, and secrets
//! that wait for one database.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use coffer_testkit::{Engine, TestServer};
use serde_json::{Value, json};

use crate::{
    rotates::{Database, MINUTE, STEPS, current, described, secret, told},
    stage::{Stage, token},
};

const HOUR: Duration = Duration::from_secs(3600);

struct Scene {
    server: TestServer,
    database: Arc<Database>,
}

impl Scene {
    async fn new(seed: u64) -> Self {
        let server = TestServer::start(Engine::Memory, seed).await;
        let database = Arc::new(Database::default());
        database.begin(&server);
        let scene = Self { server, database };
        secret(&scene.stage()).await;
        scene
    }

    fn stage(&self) -> Stage<'_> {
        Stage::new(&self.server, 0)
    }

    /// A RotateSecret with these rules.
    async fn rotate(&self, number: usize, rules: Value) {
        let mut input = self.stage().rotation("db", number);
        input["RotationRules"] = rules;
        self.stage().get("RotateSecret", input).await;
    }

    async fn pass(&self, time: Duration) {
        let minutes = time.as_secs() / 60;
        for _ in 0..minutes {
            self.server.pass(MINUTE).await;
        }
    }

    /// Every attempt from now on fails at its first step, or none does.
    fn fails(&self, fails: bool) {
        *self.database.trouble.lock().unwrap() = vec!["createSecret"; if fails { 10_000 } else { 0 }];
    }

    async fn pending(&self) -> Option<String> {
        let labels = described(&self.stage()).await["VersionIdsToStages"].clone();
        let pending = |labels: &Value| labels.as_array().unwrap().contains(&json!("AWSPENDING"));
        labels.as_object().unwrap().iter().find(|(_, labels)| pending(labels)).map(|(id, _)| id.clone())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_that_fails_is_tried_in_every_window_until_one_goes_well() {
    let scene = Scene::new(1).await;
    scene.fails(true);
    scene.rotate(2, json!({"ScheduleExpression": "rate(4 hours)"})).await;
    // At once, and then in each of the next three windows, five times each.
    for windows in 1..4 {
        scene.pass(HOUR * 4).await;
        let attempts = scene.database.steps().len();
        assert!((5..=10).contains(&attempts), "{attempts} up to window {windows}");
        let next = described(&scene.stage()).await["NextRotationDate"].as_f64().unwrap();
        let now = scene.server.world().world().clock.now().seconds();
        assert!(next > now as f64, "{next} {now}");
        assert_eq!(scene.pending().await, Some(token(2)));
    }
    scene.fails(false);
    scene.pass(HOUR * 5).await;
    // With the version that it had.
    assert_eq!(scene.database.steps()[..4], STEPS);
    let labels = described(&scene.stage()).await["VersionIdsToStages"].clone();
    assert!(labels.get(token(2)).is_some(), "{labels}");
    assert!(current(&scene.stage()).await.starts_with("password-of-"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_without_a_schedule_is_tried_again_the_next_day() {
    let scene = Scene::new(2).await;
    scene.fails(true);
    let input = json!({
        "SecretId": "db", "ClientRequestToken": token(2), "RotationLambdaARN": scene.stage().function("rotate"),
    });
    scene.stage().get("RotateSecret", input).await;
    scene.pass(HOUR * 20).await;
    assert_eq!(scene.database.steps().len(), 5);
    scene.fails(false);
    scene.pass(HOUR * 5).await;
    assert_eq!(scene.database.steps(), STEPS);
    assert_eq!(current(&scene.stage()).await, format!("password-of-{}", token(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_begins_a_new_version_when_the_label_was_taken_off_the_old_one() {
    let scene = Scene::new(3).await;
    scene.fails(true);
    scene.rotate(2, json!({"ScheduleExpression": "rate(4 hours)"})).await;
    scene.pass(MINUTE).await;
    let unstage = json!({"SecretId": "db", "VersionStage": "AWSPENDING", "RemoveFromVersionId": token(2)});
    scene.stage().get("UpdateSecretVersionStage", unstage).await;
    scene.database.steps();
    scene.fails(false);
    scene.pass(MINUTE * 10).await;
    assert_eq!(scene.database.steps(), [] as [&str; 0], "nobody wants that version");
    scene.pass(HOUR * 4).await;
    assert_eq!(scene.database.steps(), STEPS);
    assert_ne!(current(&scene.stage()).await, format!("password-of-{}", token(2)));
    let told = told(&scene.server).await;
    assert_eq!(told.iter().filter(|event| *event == "RotationAbandoned").count(), 1, "{told:?}");
    assert_eq!(told.last().map(String::as_str), Some("RotationSucceeded"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_takes_the_label_off_can_rotate_again_at_once() {
    let scene = Scene::new(4).await;
    scene.fails(true);
    scene.rotate(2, json!({"AutomaticallyAfterDays": 30})).await;
    scene.pass(MINUTE * 20).await;
    let unstage = json!({"SecretId": "db", "VersionStage": "AWSPENDING", "RemoveFromVersionId": token(2)});
    scene.stage().get("UpdateSecretVersionStage", unstage).await;
    scene.fails(false);
    scene.rotate(3, json!({"AutomaticallyAfterDays": 30})).await;
    scene.pass(MINUTE).await;
    assert_eq!(current(&scene.stage()).await, format!("password-of-{}", token(3)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_that_nobody_waits_for_leaves_no_copy_behind() {
    let ends = [
        vec![("CancelRotateSecret", json!({"SecretId": "db"}))],
        vec![
            ("DeleteSecret", json!({"SecretId": "db", "RecoveryWindowInDays": 7})),
            ("RestoreSecret", json!({"SecretId": "db"})),
        ],
    ];
    for calls in ends {
        let scene = Scene::new(5).await;
        scene.server.world().functions.all_do(|_, call| async move {
            drop(call);
            std::future::pending().await
        });
        let stage = scene.stage();
        let mut rotation = stage.rotation("db", 2);
        rotation["RotateImmediately"] = json!(false);
        stage.get("RotateSecret", rotation).await;
        scene.server.pass(Duration::ZERO).await;
        assert!(scene.pending().await.is_some(), "{calls:?}");
        for (operation, input) in &calls {
            stage.get(operation, input.clone()).await;
        }
        assert_eq!(scene.pending().await, None, "{calls:?}");
        scene.server.end_suddenly().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_finds_no_room_has_not_failed() {
    let scene = Scene::new(6).await;
    scene.server.world().functions.none_has_room();
    scene.rotate(2, json!({"AutomaticallyAfterDays": 30})).await;
    scene.pass(MINUTE * 60).await;
    assert_eq!(told(&scene.server).await, ["RotationStarted"]);
    scene.database.begin(&scene.server);
    scene.pass(MINUTE).await;
    assert_eq!(scene.database.steps(), STEPS);
    assert_eq!(told(&scene.server).await, ["RotationStarted", "RotationSucceeded"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_that_wait_for_one_database_are_not_opened_again_and_again() {
    const SECRETS: usize = 30;
    let scene = Scene::new(7).await;
    scene.server.world().functions.all_do(|_, call| async move {
        drop(call);
        std::future::pending().await
    });
    let stage = scene.stage();
    for number in 0..SECRETS {
        // Spelt in several ways.
        let host = ["db.example.com", "DB.example.com", "db.example.com."][number % 3];
        let text = json!({"engine": "postgres", "host": host, "username": "a", "password": "b"}).to_string();
        let name = format!("of-one-host-{number}");
        stage
            .get("CreateSecret", json!({"Name": name, "ClientRequestToken": token(1), "SecretString": text}))
            .await;
        stage.get("RotateSecret", stage.rotation(&name, 100 + number)).await;
    }
    scene.pass(MINUTE * 10).await;
    let events = scene.server.audit().await;
    let opened = events.iter().filter(|event| event.contains(r#""eventName":"Decrypt""#)).count();
    assert!((SECRETS..SECRETS * 4).contains(&opened), "{opened} times");
    scene.server.end_suddenly().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_of_another_database_does_not_wait_behind_all_those_of_a_busy_one() {
    // More than are looked at the first two times.
    const OF_ONE: usize = 140;
    let scene = Scene::new(9).await;
    let called = Arc::<Mutex<Vec<String>>>::default();
    let seen = Arc::clone(&called);
    scene.server.world().functions.all_do(move |event, call| {
        seen.lock().unwrap().push(event["SecretId"].as_str().unwrap().to_owned());
        async move {
            drop(call);
            std::future::pending().await
        }
    });
    let stage = scene.stage();
    let begin = async |name: &str, number: usize, host: &str| {
        let text = json!({"engine": "postgres", "host": host, "username": "a", "password": "b"}).to_string();
        let create = json!({"Name": name, "ClientRequestToken": token(1), "SecretString": text});
        stage.get("CreateSecret", create).await;
        stage.get("RotateSecret", stage.rotation(name, number)).await;
    };
    for number in 0..OF_ONE {
        begin(&format!("of-one-{number}"), 100 + number, "db.example.com").await;
    }
    scene.pass(MINUTE).await;
    assert_eq!(called.lock().unwrap().len(), 1);
    begin("of-another", 100 + OF_ONE, "other.example.com").await;
    scene.pass(MINUTE).await;
    let called = called.lock().unwrap().clone();
    assert_eq!(called.len(), 2, "{called:?}");
    assert!(called[1].contains(":secret:of-another-"), "{called:?}");
    scene.server.end_suddenly().await;
}
