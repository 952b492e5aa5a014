//! Secrets over HTTP, from inside of a function.

use std::sync::Arc;

use coffer_core::Deployment;
use coffer_functions::Walls;
use coffer_types::Secret;

use crate::house::{House, can};

/// Makes the requests that it is given: method, what follows the port, and the token, of which `own` is the right one.
const ASK: &str = r#"
import os, http.client
PORT = int(os.environ.get("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", 2773))
def ask(method, path, token):
    connection = http.client.HTTPConnection("localhost", PORT, timeout=10)
    own = {"own": os.environ["AWS_SESSION_TOKEN"]}
    headers = {} if token is None else {"X-Aws-Parameters-Secrets-Token": own.get(token, token)}
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return [answer.status, answer.read().decode()]
    except OSError as error:
        return [0, type(error).__name__]
EARLY = ask("GET", "/secretsmanager/get?secretId=a", "own")
def handler(event, context):
    return [EARLY] + [ask(*one) for one in event]
"#;

fn function(house: &House, variables: &[(&str, &str)]) -> Deployment {
    let mut function = house.python(ASK);
    function.has_secrets_extension = true;
    let variable = |(name, value): &(&str, &str)| ((*name).to_owned(), Secret::new((*value).to_owned()));
    function.environment = variables.iter().map(variable).collect();
    function
}

async fn ask(house: &House, function: &Arc<Deployment>, requests: &str) -> Vec<(u16, String)> {
    let (said, failed) = house.call(function, requests).await;
    assert!(!failed, "{said} {}", house.log());
    serde_json::from_str(&said).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_read_once_and_kept_until_it_has_to_be_fresh() {
    if !can(Walls::Full).await {
        return;
    }
    let house = House::new(Walls::Full);
    house.memory.secrets.lock().unwrap().insert(String::from("prod/db"), String::from("one"));
    // A port that only root could have on the machine.
    let function = Arc::new(function(&house, &[("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", "80")]));
    let read = r#"[["GET", "/secretsmanager/get?secretId=prod%2Fdb", "own"]]"#;
    let said = ask(&house, &function, read).await;
    assert_eq!(said[0], (400, String::from("not ready to serve traffic, please wait")));
    let answer = |value: &str| {
        let text = r#"{"ARN":null,"CreatedDate":null,"Name":"prod/db","SecretBinary":null,"SecretString":"VALUE","VersionId":null,"VersionStages":null,"ResultMetadata":{}}"#;
        (200, text.replace("VALUE", value))
    };
    assert_eq!(said[1], answer("one"));

    house.memory.secrets.lock().unwrap().insert(String::from("prod/db"), String::from("two"));
    assert_eq!(ask(&house, &function, read).await[1], answer("one"));
    let fresh = read.replace("%2Fdb", "/db&refreshNow=true");
    assert_eq!(ask(&house, &function, &fresh).await[1], answer("two"));
    assert_eq!(ask(&house, &function, read).await[1], answer("two"));
    assert_eq!(*house.memory.asked.lock().unwrap(), ["prod/db", "prod/db"]);

    let log = house.log();
    for line in [
        "INFO Serving on port 80\n",
        "EXTENSION\tName: AWSParametersAndSecretsLambdaExtension\tState: Ready\tEvents: [INVOKE,SHUTDOWN]\nSTART ",
    ] {
        assert_eq!(log.matches(line).count(), 1, "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_wrongly_gets_nothing() {
    if !can(Walls::Full).await {
        return;
    }
    let house = House::new(Walls::Full);
    house.memory.secrets.lock().unwrap().insert(String::from("a"), String::from("value"));
    let function = Arc::new(function(&house, &[]));
    let missing = r#"["GET", "/secretsmanager/get?secretId=b", "own"]"#;
    let requests = [
        r#"["GET", "/secretsmanager/get?secretId=a", null]"#,
        r#"["GET", "/secretsmanager/get?secretId=a", "toke"]"#,
        r#"["GET", "/other", "own"]"#,
        r#"["POST", "/secretsmanager/get?secretId=a", "own"]"#,
        r#"["GET", "/secretsmanager/get", "own"]"#,
        r#"["GET", "/secretsmanager/get?secretId=a&refreshNow=now", "own"]"#,
        r#"["GET", "/systemsmanager/parameters/get?name=a", "own"]"#,
        missing,
        missing,
    ];
    let said = ask(&house, &function, &format!("[{}]", requests.join(","))).await;
    let statuses: Vec<u16> = said.iter().skip(1).map(|(status, _)| *status).collect();
    assert_eq!(statuses, [401, 403, 404, 405, 400, 400, 400, 400, 400], "{said:?}");
    assert_eq!(said[9].1, "ResourceNotFoundException: no such secret");
    // An error is not kept.
    assert_eq!(*house.memory.asked.lock().unwrap(), ["b", "b"]);
    let long = format!("/secretsmanager/get?secretId={}", "a".repeat(20_000));
    let said = ask(&house, &function, &format!(r#"[["GET", "{long}", "own"]]"#)).await;
    assert!((400..500).contains(&said[1].0), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_layer_nobody_listens() {
    if !can(Walls::Full).await {
        return;
    }
    let house = House::new(Walls::Full);
    let mut function = function(&house, &[]);
    function.has_secrets_extension = false;
    let request = r#"[["GET", "/secretsmanager/get?secretId=a", "own"]]"#;
    let said = ask(&house, &Arc::new(function), request).await;
    assert_eq!(said[1], (0, String::from("ConnectionRefusedError")));
    assert!(!house.log().contains("EXTENSION"), "{}", house.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_network_of_its_own_a_function_is_told_that_there_is_none() {
    if !can(Walls::Process).await {
        return;
    }
    let house = House::new(Walls::Process);
    // Nobody listens there.
    let function = Arc::new(function(&house, &[("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", "1")]));
    let request = r#"[["GET", "/secretsmanager/get?secretId=a", "own"]]"#;
    let said = ask(&house, &function, request).await;
    assert_eq!(said[1].0, 0, "{said:?}");
    let line = "ERROR Not serving: functions have no network of their own\n";
    assert!(house.log().contains(line), "{}", house.log());
}
