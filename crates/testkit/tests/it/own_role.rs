//! Rotation functions with a role of their own: what that role allows, less what a rotation does not need.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use coffer_core::{Caller, Transport};
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

/// Has `mine` rotate the secret of the same name.
async fn rotate(stage: &Stage<'_>) {
    let mut rotation = stage.rotation("mine", 2);
    rotation["RotationLambdaARN"] = json!(stage.function("mine"));
    stage.get("RotateSecret", rotation).await;
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
    let victim =
        json!({"Name": "victim", "ClientRequestToken": token(1), "SecretString": r#"{"pin":"4711"}"#});
    let master = stage.get("CreateSecret", victim).await["ARN"].clone();
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
            let caller = Caller {
                principal: call.session.clone(),
                region: deployed(&call).region.clone(),
                request_id: RequestId::random(call.inside.world().entropy.as_ref()),
                source_address: String::from("127.0.0.1"),
                user_agent: String::from("function"),
                transport: Transport::Inside,
                host: String::new(),
            };
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
    function(&stage, &json!([{"Effect": "Allow", "Action": "secretsmanager:*", "Resource": "*"}])).await;
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
