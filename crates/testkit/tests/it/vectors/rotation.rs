//! Rotation as it was recorded: with a function, or with a test that plays it, fills the version that waits, and promotes it.

use std::{sync::Arc, time::Duration};

use coffer_types::Timestamp;
use serde_json::{Value, json};

use super::{file, server, text};
use crate::{
    rotates::Database,
    stage::{Stage, keys, token},
};

const NAME: &str = "db/password";

/// Everything of the section that says something about a server.
pub(super) fn facts(file: &Value) -> Vec<&str> {
    let names = file["rotation"].as_object().unwrap().keys().map(String::as_str);
    names.filter(|name| *name != "evidence" && !name.ends_with("_note")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotation_goes_as_it_was_recorded() {
    let (file, server) = (file(), server().await);
    for (number, fact) in facts(&file).into_iter().enumerate() {
        let recorded = &file["rotation"][fact];
        if is_seen_by_functions(fact) {
            is_seen(fact, recorded).await;
        } else {
            holds(&Stage::new(&server, number), fact, recorded).await;
        }
    }
    server.stop().await;
}

fn is_seen_by_functions(fact: &str) -> bool {
    ["steps_in_order", "rotate_immediately_false_steps", "payload_keys", "test_step_view"].contains(&fact)
}

/// What a function is given, and in which order. On a server of its own: here functions run.
async fn is_seen(fact: &str, recorded: &Value) {
    let server = server().await;
    let stage = &Stage::new(&server, 0);
    let is_test = ["rotate_immediately_false_steps", "test_step_view"].contains(&fact);
    let database = Arc::new(Database::default());
    database.has("one");
    database.begin(&server);
    create(stage).await;
    let mut rotation = stage.rotation(NAME, 2);
    rotation["RotateImmediately"] = json!(!is_test);
    stage.get("RotateSecret", rotation).await;
    server.pass(Duration::ZERO).await;
    let seen = database.seen();
    match fact {
        "steps_in_order" | "rotate_immediately_false_steps" => {
            let steps: Vec<&Value> = seen.iter().map(|seen| &seen.event["Step"]).collect();
            assert_eq!(json!(steps), *recorded, "{fact}");
        }
        "payload_keys" => {
            let (arn, first) = (&describe(stage).await["ARN"], &seen[0].event);
            for seen in &seen {
                assert_eq!(json!(keys(&seen.event)), *recorded, "{seen:?}");
                assert_eq!(
                    (&seen.event["SecretId"], &seen.event["ClientRequestToken"]),
                    (arn, &json!(token(2)))
                );
                assert_eq!(seen.event["RotationToken"], first["RotationToken"]);
            }
        }
        "test_step_view" => {
            let [seen] = seen.try_into().unwrap();
            assert_eq!(json!(seen.labels), recorded["version_stages"]);
            assert_eq!(seen.pending.as_deref(), Some("one"), "{}", recorded["value"]);
            let version = text(&seen.event["ClientRequestToken"]);
            assert!(![token(1), token(2)].contains(&version.to_owned()), "{}", recorded["version_id"]);
        }
        other => panic!("nobody knows how to see this: {other}"),
    }
    server.stop().await;
}

async fn holds(stage: &Stage<'_>, fact: &str, recorded: &Value) {
    match fact {
        "labels_after_two_rotations" => {
            create(stage).await;
            for number in [2, 3] {
                rotate(stage, number).await;
                let pending = json!({
                    "SecretId": NAME, "VersionStage": "AWSPENDING", "RemoveFromVersionId": token(number),
                });
                stage.get("UpdateSecretVersionStage", pending).await;
            }
            let labels = json!({token(2): recorded["v2"], token(3): recorded["v3"]});
            assert_eq!(describe(stage).await["VersionIdsToStages"], labels);
        }
        "next_rotation_date_example" => {
            create(stage).await;
            begin_at(stage, &recorded["LastRotatedDate"]);
            rotate(stage, 2).await;
            begin_at(stage, &recorded["LastAccessedDate"]);
            stage.get("GetSecretValue", json!({"SecretId": NAME})).await;
            begin_at(stage, &recorded["LastChangedDate"]);
            let put = json!({"SecretId": NAME, "ClientRequestToken": token(3), "SecretString": "by hand"});
            stage.get("PutSecretValue", put).await;
            let secret = describe(stage).await;
            // The date of the rotation itself is that of its last step, which a test does not play.
            for date in ["LastChangedDate", "LastAccessedDate", "NextRotationDate"] {
                assert_eq!(secret[date], seconds(&recorded[date]), "{date}");
            }
        }
        "version_last_accessed" => {
            create(stage).await;
            stage.get("RotateSecret", stage.rotation(NAME, 2)).await;
            let read = json!({"SecretId": NAME, "VersionId": token(2), "VersionStage": "AWSPENDING"});
            assert_eq!(stage.ask("GetSecretValue", &read).await.code(), "ResourceNotFoundException");
            stage.get("GetSecretValue", json!({"SecretId": NAME})).await;
            fill(stage, 2).await;
            let versions = stage.get("ListSecretVersionIds", json!({"SecretId": NAME})).await;
            let read: Vec<bool> = versions["Versions"]
                .as_array()
                .unwrap()
                .iter()
                .map(|version| version.get("LastAccessedDate").is_some())
                .collect();
            assert_eq!(read, [true, false]);
        }
        other => panic!("nobody knows how to see this: {other}"),
    }
}

async fn create(stage: &Stage<'_>) {
    let input = json!({"Name": NAME, "ClientRequestToken": token(1), "SecretString": "one"});
    stage.get("CreateSecret", input).await;
}

async fn describe(stage: &Stage<'_>) -> Value {
    stage.get("DescribeSecret", json!({"SecretId": NAME})).await
}

/// A rotation from its beginning to the promotion of its version, by the calls of a standard function.
async fn rotate(stage: &Stage<'_>, number: usize) {
    stage.get("RotateSecret", stage.rotation(NAME, number)).await;
    fill(stage, number).await;
    let promotion = json!({
        "SecretId": NAME,
        "VersionStage": "AWSCURRENT",
        "MoveToVersionId": token(number),
        "RemoveFromVersionId": token(number - 1),
    });
    stage.get("UpdateSecretVersionStage", promotion).await;
}

async fn fill(stage: &Stage<'_>, number: usize) {
    let value = json!({
        "SecretId": NAME,
        "ClientRequestToken": token(number),
        "SecretString": format!("value {number}"),
        "VersionStages": ["AWSPENDING"],
    });
    stage.get("PutSecretValue", value).await;
}

/// The next request comes at this instant.
fn begin_at(stage: &Stage<'_>, time: &Value) {
    let at = Timestamp::parse_iso(text(time)).unwrap();
    stage.server.world().clock.set(Timestamp::from_millis(at.millis() - 1));
}

fn seconds(time: &Value) -> Value {
    crate::twin::seconds(Timestamp::parse_iso(text(time)).unwrap())
}
