//! What rotation leaves in the audit log.

use coffer_testkit::{Engine, TestServer};
use serde_json::{Value, json};

use crate::stage::{Stage, token};

async fn events(server: &TestServer) -> Vec<Value> {
    let events = server.audit().await;
    events.iter().map(|event| serde_json::from_str(event).unwrap()).collect()
}

/// Names of the events of rotation and the secrets they are about.
async fn told(server: &TestServer) -> Vec<String> {
    let events = events(server).await;
    let of_rotation = events.iter().filter(|event| event["eventType"] == "AwsServiceEvent");
    let shown = of_rotation.map(|event| {
        let arn = event["additionalEventData"]["SecretId"].as_str().unwrap();
        let (name, _) = arn.split_once(":secret:").unwrap().1.rsplit_once('-').unwrap();
        format!("{} {name}", event["eventName"].as_str().unwrap())
    });
    shown.collect()
}

async fn create(stage: &Stage<'_>, name: &str) {
    let input = json!({"Name": name, "ClientRequestToken": token(1), "SecretString": "one"});
    stage.get("CreateSecret", input).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_begins_a_rotation_and_what_abandons_one_is_on_record() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let stage = Stage::new(&server, 0);
    let value = |name: &str, number| json!({"SecretId": name, "ClientRequestToken": token(number), "SecretString": "v"});
    for name in ["put", "updated", "deleted", "gone", "promoted", "cancelled"] {
        create(&stage, name).await;
        stage.get("RotateSecret", stage.rotation(name, 2)).await;
        // Once more is the same rotation.
        stage.get("RotateSecret", stage.rotation(name, 2)).await;
    }
    stage.get("PutSecretValue", value("put", 3)).await;
    stage.get("UpdateSecret", value("updated", 3)).await;
    stage.get("DeleteSecret", json!({"SecretId": "deleted"})).await;
    stage.get("DeleteSecret", json!({"SecretId": "gone", "ForceDeleteWithoutRecovery": true})).await;
    // A rotation that came to its end is not abandoned by the next value, and one that was cancelled has ended too.
    stage.get("PutSecretValue", value("promoted", 2)).await;
    stage.get("PutSecretValue", value("promoted", 3)).await;
    stage.get("CancelRotateSecret", json!({"SecretId": "cancelled"})).await;
    stage.get("PutSecretValue", value("cancelled", 3)).await;

    let mut told = told(&server).await;
    told.retain(|event| event.starts_with("Rotation"));
    let expected = [
        "RotationStarted put",
        "RotationStarted updated",
        "RotationStarted deleted",
        "RotationStarted gone",
        "RotationStarted promoted",
        "RotationStarted cancelled",
        "RotationAbandoned put",
        "RotationAbandoned updated",
        "RotationAbandoned deleted",
        "RotationAbandoned gone",
    ];
    assert_eq!(told, expected);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_function_is_a_resource_of_the_call_and_a_refused_call_is_on_record() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let stage = Stage::new(&server, 0);
    create(&stage, "db/password").await;
    let mut missing = stage.rotation("db/password", 2);
    missing["RotationLambdaARN"] = stage.function("missing").into();
    assert_eq!(stage.ask("RotateSecret", &missing).await.code(), "AccessDeniedException");
    stage.get("RotateSecret", stage.rotation("db/password", 2)).await;

    let events = events(&server).await;
    let calls: Vec<&Value> = events.iter().filter(|event| event["eventName"] == "RotateSecret").collect();
    let [refused, begun] = calls.as_slice() else { panic!("{calls:?}") };
    assert_eq!(refused["errorCode"], "AccessDenied");
    for (call, function) in [(refused, "missing"), (begun, "rotate")] {
        assert_eq!(call["requestParameters"]["rotationLambdaARN"], stage.function(function));
        assert_eq!(call["resources"][1]["ARN"], stage.function(function));
    }
    assert_eq!(begun["requestParameters"]["rotationRules"], json!({"automaticallyAfterDays": 30}));
    assert_eq!(begun["responseElements"]["versionId"], token(2));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secret_and_function_are_looked_at_before_the_rules() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let stage = Stage::new(&server, 0);
    for name in ["deleted", "db/password"] {
        create(&stage, name).await;
    }
    stage.get("DeleteSecret", json!({"SecretId": "deleted"})).await;
    let missing = stage.function("missing");
    let rotate = stage.function("rotate");
    let bad = json!({"ScheduleExpression": "rate(1 minute)"});
    let both = json!({"ScheduleExpression": "rate(1 day)", "AutomaticallyAfterDays": 1});
    for (secret, function, rules, code) in [
        ("none", Some(&rotate), &bad, "ResourceNotFoundException"),
        ("deleted", Some(&rotate), &bad, "InvalidRequestException"),
        ("db/password", None, &bad, "InvalidRequestException"),
        ("db/password", Some(&missing), &bad, "AccessDeniedException"),
        ("db/password", Some(&rotate), &bad, "InvalidParameterException"),
        ("db/password", Some(&rotate), &json!({"Duration": "3h"}), "InvalidParameterException"),
        // Two kinds of rules are refused whatever they are for.
        ("none", None, &both, "InvalidParameterException"),
    ] {
        let mut input = json!({"SecretId": secret, "ClientRequestToken": token(2), "RotationRules": rules});
        if let Some(function) = function {
            input["RotationLambdaARN"] = function.as_str().into();
        }
        let reply = stage.ask("RotateSecret", &input).await;
        assert_eq!(reply.code(), code, "{input} {}", reply.message());
    }
    server.stop().await;
}

/// The dialect itself is tested where it is read; here is what a client sees of what is wrong with it, and that nothing has changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedules_of_every_wrong_shape_are_refused_and_change_nothing() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let stage = Stage::new(&server, 0);
    create(&stage, "db/password").await;
    let described = async || stage.get("DescribeSecret", json!({"SecretId": "db/password"})).await;
    let before = described().await;
    let long = format!("cron(0 8 {} * ? *)", "1,".repeat(130));
    let (is_shape, is_meaning) = ("ValidationException", "InvalidParameterException");
    for (schedule, code) in [
        // What AWS's model refuses: characters and lengths.
        ("", is_shape),
        ("cron(0 8 1 * ? *);", is_shape),
        ("cron(0 8 1 * ? *)\n", is_shape),
        ("cron(0 8 1 * ? *)\0", is_shape),
        ("cron[0 8 1 * ? *]", is_shape),
        ("cron(0 8 \u{661} * ? *)", is_shape),
        ("rate(1.5 days)", is_shape),
        ("rate(+1 day)", is_shape),
        ("@daily", is_shape),
        (long.as_str(), is_shape),
        // Other words.
        ("daily", is_meaning),
        ("at(2026-01-01)", is_meaning),
        ("()", is_meaning),
        ("cron", is_meaning),
        ("cron()", is_meaning),
        ("cron(0 8 1 * ? *", is_meaning),
        ("cron(0 8 1 * ? *))", is_meaning),
        ("cron((0 8 1 * ? *))", is_meaning),
        ("CRON(0 8 1 * ? *)", is_meaning),
        ("cron (0 8 1 * ? *)", is_meaning),
        ("cron(0 8 1 * ? *) ", is_meaning),
        (" cron(0 8 1 * ? *)", is_meaning),
        ("rate(10 days) cron(0 8 1 * ? *)", is_meaning),
        ("rate()", is_meaning),
        ("rate(days)", is_meaning),
        ("rate(10)", is_meaning),
        ("rate(10 days days)", is_meaning),
        ("rate(-1 days)", is_meaning),
        ("rate(0 days)", is_meaning),
        ("rate(3 hours)", is_meaning),
        ("rate(5 minutes)", is_meaning),
        ("rate(1 week)", is_meaning),
        ("rate(1000 days)", is_meaning),
        ("rate(99999999999999999999 days)", is_meaning),
        ("rate(23977 hours)", is_meaning),
        // Fields.
        ("cron(8 1 * ? *)", is_meaning),
        ("cron(0 0 8 1 * ? *)", is_meaning),
        ("cron(30 8 1 * ? *)", is_meaning),
        ("cron(* * * * ? *)", is_meaning),
        ("cron(0 24 1 * ? *)", is_meaning),
        ("cron(0 8-9-10 1 * ? *)", is_meaning),
        ("cron(0 /0 1 * ? *)", is_meaning),
        ("cron(0 8, 1 * ? *)", is_meaning),
        ("cron(0 8 0 * ? *)", is_meaning),
        ("cron(0 8 32 * ? *)", is_meaning),
        ("cron(0 8 LW * ? *)", is_meaning),
        ("cron(0 8 1 13 ? *)", is_meaning),
        ("cron(0 8 1 JANUARY ? *)", is_meaning),
        ("cron(0 8 ? * 8 *)", is_meaning),
        ("cron(0 8 ? * MON#6 *)", is_meaning),
        ("cron(0 8 ? * #1 *)", is_meaning),
        ("cron(0 8 1 * ? 2026)", is_meaning),
        ("cron(0 8 1 * ? 99999999999999999999)", is_meaning),
        ("cron(0 8 1 * MON *)", is_meaning),
        ("cron(0 8 ? * ? *)", is_meaning),
        // Days that never come.
        ("cron(0 8 31 2 ? *)", is_meaning),
        ("cron(0 8 30 FEB ? *)", is_meaning),
    ] {
        let mut input = stage.rotation("db/password", 2);
        input["RotationRules"] = json!({"ScheduleExpression": schedule});
        let reply = stage.ask("RotateSecret", &input).await;
        assert_eq!((reply.status, reply.code()), (400, code), "{schedule:?}: {}", reply.message());
        assert_eq!(described().await, before, "{schedule:?}");
    }
    for (schedule, duration, code) in [
        ("rate(4 hours)", "5h", is_meaning),
        ("rate(10 days)", "25h", is_meaning),
        ("cron(0 20 * * ? *)", "5h", is_meaning),
        ("cron(0 /8 * * ? *)", "9h", is_meaning),
        ("rate(10 days)", "0h", is_meaning),
        ("rate(10 days)", "3", is_shape),
        ("rate(10 days)", "3m", is_shape),
        ("rate(10 days)", "100h", is_shape),
        ("rate(10 days)", "", is_shape),
    ] {
        let mut input = stage.rotation("db/password", 2);
        input["RotationRules"] = json!({"ScheduleExpression": schedule, "Duration": duration});
        let reply = stage.ask("RotateSecret", &input).await;
        assert_eq!((reply.status, reply.code()), (400, code), "{schedule} {duration}: {}", reply.message());
        assert_eq!(described().await, before, "{schedule} {duration}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_function_is_asked_about_when_it_is_another_one() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let stage = Stage::new(&server, 0);
    create(&stage, "db/password").await;
    let mut other = stage.rotation("db/password", 6);
    other["RotationLambdaARN"] = stage.function("rotate-other").into();
    for (number, input) in [
        (2, stage.rotation("db/password", 2)),
        (3, stage.rotation("db/password", 3)),
        (5, json!({"SecretId": "db/password", "ClientRequestToken": token(5)})),
        (6, other),
    ] {
        stage.get("RotateSecret", input).await;
        let value =
            json!({"SecretId": "db/password", "ClientRequestToken": token(number), "SecretString": "v"});
        stage.get("PutSecretValue", value).await;
    }
    let events = events(&server).await;
    let calls = events.iter().filter(|event| event["eventName"] == "RotateSecret");
    let asked: Vec<Option<&str>> = calls.map(|call| call["resources"][1]["ARN"].as_str()).collect();
    let (first, last) = (stage.function("rotate"), stage.function("rotate-other"));
    assert_eq!(asked, [Some(first.as_str()), None, None, Some(last.as_str())]);
    server.stop().await;
}
