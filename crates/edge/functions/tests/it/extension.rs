//! Secrets over HTTP, from inside of a function.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    time::Duration,
};

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

const PORT: &str = "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT";

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What somebody else on the machine is answered: a status, or nothing if nobody listens.
fn from_outside(host: &str, port: u16, token: Option<&str>) -> Option<u16> {
    let mut stream = TcpStream::connect((host, port)).ok()?;
    let token = token.map(|token| format!("X-Aws-Parameters-Secrets-Token: {token}\r\n")).unwrap_or_default();
    let head =
        format!("GET /secretsmanager/get?secretId=a HTTP/1.1\r\nHost: x\r\n{token}Connection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    let mut said = String::new();
    stream.read_to_string(&mut said).ok()?;
    said.split(' ').nth(1)?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_that_share_the_network_share_a_port_and_not_their_secrets() {
    if !can(Walls::Process).await {
        return;
    }
    let house = House::new(Walls::Process);
    house.memory.secrets.lock().unwrap().insert(String::from("a"), String::from("value"));
    let port = free_port();
    let with_port = |name: &str| {
        let mut function = function(&house, &[(PORT, &port.to_string())]);
        function.arn = format!("{}{name}", function.arn);
        Arc::new(function)
    };
    let (one, other) = (with_port("one"), with_port("other"));
    let own = r#"["GET", "/secretsmanager/get?secretId=a", "own"]"#;
    let requests =
        format!(r#"[{own}, ["GET", "/secretsmanager/get?secretId=a", null], ["GET", "/", "token-9"]]"#);
    for function in [&one, &other] {
        let said = ask(&house, function, &requests).await;
        let statuses: Vec<u16> = said.iter().map(|(status, _)| *status).collect();
        // The first was asked before there was a call.
        assert_eq!(statuses, [400, 200, 401, 403], "{said:?} {}", house.log());
    }
    assert_eq!(house.log().matches(&format!("INFO Serving on port {port}\n")).count(), 2, "{}", house.log());
    let ask_all = |token: Option<&str>| ["127.0.0.1", "::1"].map(|host| from_outside(host, port, token));
    let both = |status: u16| [Some(status); 2];
    assert_eq!(ask_all(None), both(401));
    assert_eq!(ask_all(Some("token-2")), both(403));
    for token in ["token-0", "token-1"] {
        assert_eq!(ask_all(Some(token)), both(200), "{token}");
    }
    // Whose environment has ended opens nothing any more.
    house.runner.forget_function(&one.arn);
    until(|| ask_all(Some("token-0")) == both(403)).await;
    assert_eq!(ask_all(Some("token-1")), both(200));
    house.runner.stop().await;
    until(|| ask_all(Some("token-1")) == [None; 2]).await;
    // And the port can be had again.
    assert_eq!(ask(&house, &one, &format!("[{own}]")).await[1].0, 200, "{}", house.log());
}

async fn until(is_so: impl Fn() -> bool) {
    for _ in 0..100 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(is_so());
}

/// Whoever has the port already is told the tokens of functions. They must open nothing anywhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_somebody_else_listens_nothing_is_served() {
    if !can(Walls::Process).await {
        return;
    }
    for (theirs, ours) in
        [("::1", "127.0.0.1"), ("127.0.0.1", "::1"), ("::", "127.0.0.1"), ("0.0.0.0", "::1")]
    {
        let house = House::new(Walls::Process);
        house.memory.secrets.lock().unwrap().insert(String::from("a"), String::from("value"));
        let port = free_port();
        let Ok(listener) = TcpListener::bind((theirs, port)) else {
            println!("SKIPPED: this machine has no {theirs}");
            continue;
        };
        std::thread::spawn(move || listener.incoming().for_each(drop));
        let function = Arc::new(function(&house, &[(PORT, &port.to_string())]));
        assert!(!house.call(&function, "[]").await.1, "{}", house.log());
        let line = format!("ERROR Not serving: port {port} cannot be had: ");
        assert!(house.log().contains(&line), "{}", house.log());
        assert_eq!(from_outside(ours, port, Some("token-0")), None, "{theirs}");
        assert_eq!(*house.memory.asked.lock().unwrap(), Vec::<String>::new());
    }
}
