//! Rotation functions with a role of their own: what that role allows, less what a rotation does not need.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use coffer_core::{Caller, FunctionCall, Transport};
use coffer_model::{lambda, secretsmanager as sm};
use coffer_testkit::{Engine, TestServer, deployed};
use coffer_types::{RequestId, Secret, encoding::BASE64};
use serde_json::{Value, json};

use crate::stage::{Stage, token};

const PACKAGE: &str = "UEsDBBQAAAAAAAAAIVx7R5BaNQAAADUAAAASAAAAbGFtYmRhX2Z1bmN0aW9uLnB5ZGVmIGxhbWJkYV9oYW5kbGVyKGV2ZW50LCBjb250ZXh0KToKICAgIHJldHVybiBldmVudApQSwECFAMUAAAAAAAAACFce0eQWjUAAAA1AAAAEgAAAAAAAAAAAAAApAEAAAAAbGFtYmRhX2Z1bmN0aW9uLnB5UEsFBgAAAAABAAEAQAAAAGUAAAAAAA==";

/// A function of the name `mine`, whose role may do this.
async fn function(stage: &Stage<'_>, statements: &Value) {
    let trust = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole",
    }]});
    stage.iam("CreateRole", &[("RoleName", "mine"), ("AssumeRolePolicyDocument", &trust.to_string())]).await;
    if *statements != json!([]) {
        let policy = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
        let words = [("RoleName", "mine"), ("PolicyName", "reads"), ("PolicyDocument", &policy)];
        stage.iam("PutRolePolicy", &words).await;
    }
    let function = lambda::CreateFunctionRequest {
        function_name: String::from("mine"),
        runtime: Some(String::from("python3.12")),
        role: String::from("arn:aws:iam::111122223333:role/mine"),
        handler: Some(String::from("index.handler")),
        code: lambda::FunctionCode {
            zip_file: Some(Secret::new(BASE64.decode(PACKAGE.as_bytes()).unwrap())),
            ..lambda::FunctionCode::default()
        },
        ..lambda::CreateFunctionRequest::default()
    };
    stage.client.call::<lambda::CreateFunction>(&function).await.unwrap();
    let permission = lambda::AddPermissionRequest {
        function_name: String::from("mine"),
        statement_id: String::from("sm"),
        action: String::from("lambda:InvokeFunction"),
        principal: String::from("secretsmanager.amazonaws.com"),
        ..lambda::AddPermissionRequest::default()
    };
    stage.client.call::<lambda::AddPermission>(&permission).await.unwrap();
}

/// As if the function asked with its credentials.
fn function_itself(call: &FunctionCall) -> Caller {
    Caller {
        principal: call.session.clone(),
        region: deployed(call).region.clone(),
        request_id: RequestId::random(call.inside.world().entropy.as_ref()),
        source_address: String::from("127.0.0.1"),
        user_agent: String::from("function"),
        transport: Transport::Inside,
        host: String::new(),
    }
}

/// Has `mine` rotate the secret of the same name.
async fn rotate(stage: &Stage<'_>) {
    let mut rotation = stage.rotation("mine", 2);
    rotation["RotationLambdaARN"] = json!(stage.function("mine"));
    stage.get("RotateSecret", rotation).await;
}

/// Another secret, by ARN.
async fn victim(stage: &Stage<'_>) -> String {
    let value = r#"{"pin":"4711","engine":"postgres","host":"masters.example.com"}"#;
    let victim = json!({"Name": "victim", "ClientRequestToken": token(1), "SecretString": value});
    stage.get("CreateSecret", victim).await["ARN"].as_str().unwrap().to_owned()
}

fn everything() -> Value {
    json!([{"Effect": "Allow", "Action": "secretsmanager:*", "Resource": "*"}])
}

/// What is taken out of the output of a function, or that none of it is told.
type Scrubbed = Result<Vec<String>, String>;

/// Rotates a secret whose master is `victim`, with a function whose role may do this.
async fn scrubbed(server: &TestServer, statements: Value) -> Scrubbed {
    let seen = Arc::<Mutex<Option<Scrubbed>>>::default();
    let found = Arc::clone(&seen);
    server.world().functions.all_do(move |_, call| {
        let found = Arc::clone(&found);
        async move {
            let scrub = Arc::clone(&call.confined.as_ref().unwrap().scrub);
            let values = scrub(call.inside.clone()).await;
            let text = |value: Secret<Vec<u8>>| String::from_utf8(value.take()).unwrap();
            let values = values.map(|values| values.into_iter().map(text).collect());
            *found.lock().unwrap() = Some(values.map_err(|error| error.message));
            std::future::pending().await
        }
    });
    let stage = Stage::new(server, 0);
    function(&stage, &statements).await;
    let master = victim(&stage).await;
    let text = json!({"password": "my-own-password", "masterarn": master}).to_string();
    stage
        .get("CreateSecret", json!({"Name": "mine", "ClientRequestToken": token(1), "SecretString": text}))
        .await;
    rotate(&stage).await;
    server.pass(Duration::ZERO).await;
    let seen = seen.lock().unwrap().take();
    seen.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_learns_from_what_is_left_out_what_a_secret_holds_that_he_may_not_read() {
    let allow = |name: &str| {
        json!({
            "Effect": "Allow", "Action": "secretsmanager:GetSecretValue",
            "Resource": format!("arn:aws:secretsmanager:*:*:secret:{name}-*"),
        })
    };
    for (statements, mine, masters) in [
        (json!([]), false, false),
        (json!([allow("victim")]), false, false),
        (json!([allow("mine")]), true, false),
        (json!([allow("mine"), allow("victim")]), true, true),
    ] {
        let server = TestServer::start(Engine::Memory, 8).await;
        let found = scrubbed(&server, statements.clone()).await;
        match found {
            Ok(values) => {
                let has = |wanted: &str| values.iter().any(|value| value == wanted);
                assert_eq!(
                    (has("my-own-password"), has("4711")),
                    (mine, masters),
                    "{statements}: {values:?}"
                );
            }
            Err(why) => {
                assert!(!mine, "{statements}: {why}");
                assert_eq!(why, "The role of the function may not read the secret that it rotates.");
            }
        }
        server.end_suddenly().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_puts_the_version_it_was_asked_for_and_no_other() {
    let server = TestServer::start(Engine::Memory, 9).await;
    let told = Arc::<Mutex<Vec<(Option<String>, Result<(), &'static str>)>>>::default();
    let tell = Arc::clone(&told);
    server.world().functions.all_do(move |event, call| {
        let tell = Arc::clone(&tell);
        async move {
            let caller = function_itself(&call);
            let own = event["ClientRequestToken"].as_str().unwrap().to_owned();
            for client_request_token in [Some(token(3)), Some(token(1)), None, Some(own)] {
                let put = sm::PutSecretValueRequest {
                    secret_id: String::from("mine"),
                    client_request_token: client_request_token.clone(),
                    secret_string: Some(Secret::new(String::from("new"))),
                    version_stages: Some(vec![String::from("AWSPENDING")]),
                    ..sm::PutSecretValueRequest::default()
                };
                let put = call.inside.call::<sm::PutSecretValue>(&caller, put).await;
                let put = put.map(drop).map_err(|error| error.code());
                tell.lock().unwrap().push((client_request_token, put));
            }
            std::future::pending().await
        }
    });
    let stage = Stage::new(&server, 0);
    function(&stage, &everything()).await;
    let mine = json!({"Name": "mine", "ClientRequestToken": token(1), "SecretString": "old"});
    stage.get("CreateSecret", mine).await;
    rotate(&stage).await;
    server.pass(Duration::ZERO).await;
    let refused = Err("AccessDeniedException");
    let expected = [
        (Some(token(3)), refused),
        (Some(token(1)), refused),
        (None, Err("InvalidRequestException")),
        (Some(token(2)), Ok(())),
    ];
    assert_eq!(*told.lock().unwrap(), expected);
    server.end_suddenly().await;
}

/// What a function that asks for `victim` is told at a step, and the hosts that it reaches then.
type Step = (String, Result<(), &'static str>, Vec<String>);

/// Has a function with all permissions rotate a secret that is `current`, and puts `pending` if there is some.
async fn steps(server: &TestServer, current: &Value, pending: Option<(Value, &'static str)>) -> Vec<Step> {
    let told = Arc::<Mutex<Vec<Step>>>::default();
    let tell = Arc::clone(&told);
    server.world().functions.all_do(move |event, call| {
        let (tell, pending) = (Arc::clone(&tell), pending.clone());
        async move {
            let caller = function_itself(&call);
            let text = |name: &str| event[name].as_str().unwrap().to_owned();
            let get = sm::GetSecretValueRequest {
                secret_id: String::from("victim"),
                ..sm::GetSecretValueRequest::default()
            };
            let got = call.inside.call::<sm::GetSecretValue>(&caller, get).await;
            let endpoints = call.confined.as_ref().unwrap().endpoints.iter();
            let hosts = endpoints.map(|(host, _)| host.clone()).collect();
            let got = got.map(drop).map_err(|error| error.code());
            tell.lock().unwrap().push((text("Step"), got, hosts));
            if let Some((pending, label)) = pending
                && text("Step") == "createSecret"
            {
                let put = sm::PutSecretValueRequest {
                    secret_id: text("SecretId"),
                    client_request_token: Some(text("ClientRequestToken")),
                    secret_string: Some(Secret::new(pending.to_string())),
                    version_stages: Some(vec![label.to_owned()]),
                    ..sm::PutSecretValueRequest::default()
                };
                call.inside.call::<sm::PutSecretValue>(&caller, put).await.unwrap();
                return Ok(());
            }
            std::future::pending().await
        }
    });
    let stage = Stage::new(server, 0);
    let mine = json!({"Name": "mine", "ClientRequestToken": token(1), "SecretString": current.to_string()});
    stage.get("CreateSecret", mine).await;
    rotate(&stage).await;
    server.pass(Duration::ZERO).await;
    server.pass(Duration::ZERO).await;
    told.lock().unwrap().clone()
}

const REFUSED: Result<(), &str> = Err("AccessDeniedException");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_function_puts_opens_nothing_in_the_same_rotation() {
    for label in ["AWSPENDING", "AWSCURRENT"] {
        let server = TestServer::start(Engine::Memory, 10).await;
        let stage = Stage::new(&server, 0);
        function(&stage, &everything()).await;
        let arn = victim(&stage).await;
        let current = json!({"engine": "postgres", "host": "db.example.com", "password": "old"});
        let pending =
            json!({"engine": "postgres", "host": "evil.example.com", "port": 443, "masterarn": arn});
        let seen = steps(&server, &current, Some((pending, label))).await;
        let hosts = vec![String::from("db.example.com")];
        let step = |name: &str| (name.to_owned(), REFUSED, hosts.clone());
        assert_eq!(seen, [step("createSecret"), step("setSecret")], "{label}");
        server.end_suddenly().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_is_named_as_get_secret_value_takes_it_and_by_no_pattern() {
    let long = format!("arn:aws:secretsmanager:eu-west-1:111122223333:secret:{}", "a".repeat(1900));
    for (number, (masterarn, is_read)) in [
        ("the ARN", true),
        ("a part of the ARN", true),
        ("victim", true),
        ("*", false),
        ("victi?", false),
        ("arn:aws:secretsmanager:*:*:secret:*", false),
        ("arn:aws:secretsmanager:eu-west-1:111122223333:secret:${*}", false),
        ("${coffer:ClientRequestToken", false),
        ("another", false),
        ("arn:", false),
        ("arn:aws:s3:::victim", false),
        ("no name of a secret \u{1}", false),
        ("", false),
        (&long, false),
    ]
    .into_iter()
    .enumerate()
    {
        let server = TestServer::start(Engine::Memory, 20 + number as u64).await;
        let stage = Stage::new(&server, 0);
        function(&stage, &everything()).await;
        let arn = victim(&stage).await;
        let master = match masterarn {
            "the ARN" => arn.as_str(),
            "a part of the ARN" => arn.rsplit_once('-').unwrap().0,
            named => named,
        };
        let seen = steps(&server, &json!({"masterarn": master}), None).await;
        let hosts = if is_read { vec![String::from("masters.example.com")] } else { Vec::new() };
        let read = if is_read { Ok(()) } else { REFUSED };
        assert_eq!(seen, [(String::from("createSecret"), read, hosts)], "{masterarn}");
        server.end_suddenly().await;
    }
}
