//! Programs that accompany a function, and hear of its calls and of its end.

use std::{sync::Arc, time::Duration};

use coffer_core::Deployment;
use coffer_functions::Walls;

use crate::house::{BOTH, House, can};

/// As in AWS's examples. Whatever it hears of it tells Coffer too, where the test can see it even when the function is gone.
const SHELL: &str = r#"#!/bin/bash
set -euo pipefail
API="http://$AWS_LAMBDA_RUNTIME_API/2020-01-01/extension"
HEAD="$(mktemp)"
curl -sS -o /dev/null -D "$HEAD" -X POST "$API/register" -H "Lambda-Extension-Name: $(basename "$0")" \
    -d '{"events": ["INVOKE", "SHUTDOWN"]}'
ID="$(grep -i '^Lambda-Extension-Identifier:' "$HEAD" | tr -d '[:space:]' | cut -d: -f2)"
echo "registered with ${_HANDLER-no handler} ${AWS_SESSION_TOKEN}"
while true; do
    EVENT="$(curl -sS "$API/event/next" -H "Lambda-Extension-Identifier: $ID")"
    echo "heard $EVENT"
    curl -sS -o /dev/null "$AWS_ENDPOINT_URL/$(echo "$EVENT" | tr -dc 'A-Za-z0-9:-')"
    if [[ "$EVENT" == *SHUTDOWN* ]]; then exit 0; fi
done
"#;

/// Says what it is told to say, one thing after the other, and does at an event what its name says.
const PYTHON: &str = r#"#!/usr/bin/python3
import http.client, json, os, sys, time
connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
name = os.path.basename(sys.argv[0])
def call(method, path, body=None, **headers):
    connection.request(method, "/2020-01-01/extension/" + path, body, {k.replace("_", "-"): v for k, v in headers.items()})
    answer = connection.getresponse()
    return answer.headers, answer.status, answer.read().decode()
def fail(when):
    _, status, said = call("POST", when + "/error", "{}", Lambda_Extension_Identifier=me,
                           Lambda_Extension_Function_Error_Type="Extension.NoConfiguration")
    print("told", status, said, flush=True)
    sys.exit(5)
if name == "never-registers": time.sleep(60)
headers, _, said = call("POST", "register", '{"events": ["INVOKE", "SHUTDOWN"]}', Lambda_Extension_Name=name,
                        Lambda_Extension_Accept_Feature="other, accountId")
me = headers["Lambda-Extension-Identifier"]
print("registered", said, flush=True)
if name == "init-error": fail("init")
while True:
    event = json.loads(call("GET", "event/next", Lambda_Extension_Identifier=me)[2])
    print("heard", event["eventType"], event.get("shutdownReason"), flush=True)
    if event["eventType"] == "SHUTDOWN":
        if name == "does-not-go": time.sleep(60)
        break
    if name == "exit-error": fail("exit")
    if name == "exits": sys.exit(3)
    if name == "hangs": time.sleep(60)
    if name == "is-slow": time.sleep(1)
"#;

fn function(house: &House, text: &str, extensions: &[(&str, &str)]) -> Deployment {
    let mut function = house.python(text);
    let files: Vec<(String, &str)> =
        extensions.iter().map(|(name, text)| (format!("extensions/{name}"), *text)).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), *text)).collect();
    function.layers.push(house.package(&files));
    function
}

/// What extensions told Coffer, as soon as there is so much of it.
async fn heard(house: &House, lines: usize) -> Vec<String> {
    for _ in 0..100 {
        let heard = house.heard.lock().unwrap().clone();
        if heard.len() >= lines {
            return heard;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{:?} {}", house.heard.lock().unwrap(), house.log())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extension_hears_of_every_call_and_of_the_end() {
    for walls in BOTH {
        if !can(walls).await {
            continue;
        }
        let house = House::new(walls);
        let text = "print('loading')\ndef handler(event, context): return event";
        let function = Arc::new(function(&house, text, &[("watch.sh", SHELL)]));
        for event in ["1", "2"] {
            assert_eq!(house.call(&function, event).await, (event.to_owned(), false), "{}", house.log());
        }
        let log = house.log();
        let lines: Vec<&str> = log.lines().collect();
        assert_eq!(
            lines[1..5],
            [
                "registered with no handler token-0",
                "loading",
                "EXTENSION\tName: watch.sh\tState: Ready\tEvents: [INVOKE,SHUTDOWN]",
                "START RequestId: 00000000-0000-4000-8000-000000000001 Version: $LATEST",
            ],
            "{walls:?} {log}"
        );
        assert_eq!(log.matches("INIT_START").count(), 1, "{log}");
        assert_eq!(log.matches("Max Memory Used: ").count(), 2, "{log}");
        house.runner.stop().await;
        let heard = heard(&house, 3).await;
        for (number, line) in heard.iter().take(2).enumerate() {
            let id = format!("requestId:00000000-0000-4000-8000-{:012}", number + 1);
            let arn = "invokedFunctionArn:arn:aws:lambda:eu-west-1:111122223333:function:f";
            let trace = "tracing:type:X-Amzn-Trace-Idvalue:Root1-";
            for part in ["eventType:INVOKE", "deadlineMs:1", &id, arn, trace] {
                assert!(line.contains(part), "{line} has no {part}");
            }
        }
        assert!(heard[2].contains("shutdownReason:spindown") && heard.len() == 3, "{heard:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_over_when_the_slowest_extension_is() {
    let house = House::new(Walls::Process);
    let text = "def handler(event, context): return event";
    let function = Arc::new(function(&house, text, &[("is-slow", PYTHON), ("quick", PYTHON)]));
    for event in ["1", "2"] {
        assert_eq!(house.call(&function, event).await, (event.to_owned(), false), "{}", house.log());
    }
    let log = house.log();
    let about = r#"registered {"functionName":"f","functionVersion":"$LATEST","handler":"index.handler","accountId":"111122223333"}"#;
    assert_eq!(log.matches(about).count(), 2, "{log}");
    assert_eq!(log.matches("heard INVOKE None\n").count(), 4, "{log}");
    let durations: Vec<f64> = log
        .split("\tDuration: ")
        .skip(1)
        .map(|rest| rest.split(' ').next().unwrap().parse().unwrap())
        .collect();
    assert!(durations.len() == 2 && durations.iter().all(|took| *took > 1000.0), "{log}");
}

/// The answer that the function gave stands, and nobody else meets such an environment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extension_that_hangs_is_killed_at_the_time_limit() {
    for walls in BOTH {
        if !can(walls).await {
            continue;
        }
        let house = House::new(walls);
        let text = "import os\ndef handler(event, context): return event";
        let mut function = function(&house, text, &[("hangs", PYTHON), ("watch.sh", SHELL)]);
        function.timeout = Duration::from_secs(2);
        let function = Arc::new(function);
        let began = house.now();
        assert_eq!(house.call(&function, "7").await, (String::from("7"), false), "{}", house.log());
        let took = house.now() - began;
        // Two seconds of the call and two more, after which whoever has not gone is killed.
        assert!(took > Duration::from_secs(4) && took < Duration::from_secs(20), "{took:?}");
        assert!(house.log().contains("Status: timeout\n"), "{}", house.log());
        assert_eq!(heard(&house, 2).await.len(), 2);
        assert!(house.heard.lock().unwrap()[1].contains("shutdownReason:timeout"));
        assert_eq!(house.call(&function, "8").await.0, "8");
        assert_eq!(house.log().matches("INIT_START").count(), 2, "{}", house.log());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extension_that_does_not_go_does_not_stay() {
    let house = House::new(Walls::Process);
    let function = function(&house, "def handler(e, c): return e", &[("does-not-go", PYTHON)]);
    assert_eq!(house.call(&Arc::new(function), "1").await.0, "1", "{}", house.log());
    let began = house.now();
    house.runner.stop().await;
    let took = house.now() - began;
    assert!(took > Duration::from_millis(1900) && took < Duration::from_secs(15), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_never_registers_uses_up_the_time() {
    let house = House::new(Walls::Process);
    let mut function =
        function(&house, "print('loaded')\ndef handler(e, c): return e", &[("never-registers", PYTHON)]);
    function.timeout = Duration::from_secs(1);
    let (said, failed) = house.call(&Arc::new(function), "1").await;
    assert!(failed && said.contains(r#""errorType":"Sandbox.Timedout""#), "{said}");
    let log = house.log();
    assert!(log.contains("EXTENSION\tName: never-registers\tState: Started\tEvents: []\n"), "{log}");
    assert!(!log.contains("loaded"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extension_that_ends_or_will_not_go_on_ends_the_call() {
    for walls in BOTH {
        if !can(walls).await {
            continue;
        }
        let check = async |name: &str, program: &str, kind: &str, why: &str, state: &str| {
            let house = House::new(walls);
            let text = "import time\ndef handler(event, context): time.sleep(15)";
            let function = Arc::new(function(&house, text, &[(name, program)]));
            let (said, failed) = house.call(&function, "1").await;
            let log = house.log();
            let expected = format!(
                r#"{{"errorType":"{kind}","errorMessage":"RequestId: 00000000-0000-4000-8000-000000000001 Error: {why}"#
            );
            assert!(failed && said.starts_with(&expected), "{walls:?} {name}: {said} {log}");
            let line = format!("EXTENSION\tName: {name}\tState: {state}");
            assert!(log.contains(&line), "{name}: {log}");
            assert!(log.contains(&format!("\n{kind}\n")), "{name}: {log}");
            assert!(log.contains(&format!("\tStatus: error\tError Type: {kind}\n")), "{name}: {log}");
        };
        let told = "InitError\tEvents: [INVOKE,SHUTDOWN]\tError Type: Extension.NoConfiguration\n";
        check("exits", PYTHON, "Extension.Crash", "exit status 3", "Ready").await;
        check("exit-error", PYTHON, "Extension.ExitError", "exit status 5", "Ready").await;
        check("init-error", PYTHON, "Extension.InitError", "exit status 5", told).await;
        check("ends", "#!/bin/sh\n", "Extension.Crash", "exit code 0", "Exited").await;
        check("is-killed", "#!/bin/sh\nkill -9 $$\n", "Extension.Crash", "signal: killed", "Exited").await;
        let why = "an extension cannot be started: ";
        check("no-program", "#!/no/such/program\n", "Extension.LaunchError", why, "LaunchError").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_ten_are_not_started() {
    let house = House::new(Walls::Process);
    let names: Vec<String> = (0..11).map(|number| format!("e{number}")).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), PYTHON)).collect();
    let function = function(&house, "def handler(e, c): return e", &files);
    let (said, failed) = house.call(&Arc::new(function), "1").await;
    assert!(failed && said.contains(r#""errorType":"Extension.LaunchError""#), "{said}");
    assert!(said.contains("Extension limit (10) reached"), "{said}");
}

/// The API of extensions from inside of a function: what is asked before the first call, and what is asked in it.
const ASK: &str = r#"
import http.client, json, os
identifiers = {}
def ask(method, path, body, headers):
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"], timeout=5)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    name = headers.get("Lambda-Extension-Name")
    if answer.status == 200 and name: identifiers[name] = answer.headers["Lambda-Extension-Identifier"]
    said = answer.read().decode()
    return [answer.status, json.loads(said).get("errorType", "") if said else ""]
def of(who):
    return {"Lambda-Extension-Identifier": identifiers.get(who, who)} if who else {}
def register(name, body='{"events": ["INVOKE"]}'):
    return ask("POST", "/2020-01-01/extension/register", body, {"Lambda-Extension-Name": name} if name else {})
def tell(path, who, what="Extension.Mine"):
    headers = of(who)
    if what: headers["Lambda-Extension-Function-Error-Type"] = what
    return ask("POST", "/2020-01-01/extension/" + path, "{}", headers)
def next(who):
    return ask("GET", "/2020-01-01/extension/event/next", None, of(who))
"#;

/// A status, and the type of an error.
type Said = (u16, String);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_wrongly_is_told_so() {
    let house = House::new(Walls::Process);
    let text = r#"
import threading
def listen(name):
    while True: next(name)
NOBODY = "00000000-0000-4000-8000-00000000000a"
BEFORE = [
    register(None), register("x" * 256), register("a", "{"), register("a", "[]"), register("a", '{"events": [1]}'),
    register("a", '{"events": ["BOOT"]}'), register("a", '{"events": ["SHUTDOWN"]}'), register("a", "x" * 300000),
    register("a"), register("a"), register("b", '{"events": []}'), next(None), next("no uuid"), next(NOBODY), tell("init/error", NOBODY),
    tell("init/error", "a", None), tell("exit/error", None), ask("GET", "/2020-01-01/extension/register", None, {}),
    ask("GET", "/2020-01-01/extension/other", None, {}),
] + [register("e%d" % n) for n in range(10)]
for name in identifiers: threading.Thread(target=listen, args=[name], daemon=True).start()
def handler(event, context): return [BEFORE, register("late"), next("b"), tell("init/error", "b")]
"#;
    let function = house.python(&format!("{ASK}{text}"));
    let (said, failed) = house.call(&Arc::new(function), "1").await;
    assert!(!failed, "{said} {}", house.log());
    let (before, late, again, error): (Vec<Said>, Said, Said, Said) = serde_json::from_str(&said).unwrap();
    let no = |kind: &str| (403, kind.to_owned());
    let mut expected = vec![
        no("Extension.InvalidExtensionName"),
        no("Extension.InvalidExtensionName"),
        no("InvalidRequestFormat"),
        no("InvalidRequestFormat"),
        no("InvalidRequestFormat"),
        no("Extension.InvalidEventType"),
        no("Extension.InvalidEventType"),
        (413, String::from("RequestEntityTooLarge")),
        (200, String::new()),
        no("Extension.InvalidExtensionState"),
        (200, String::new()),
        no("Extension.MissingExtensionIdentifier"),
        no("Extension.InvalidExtensionIdentifier"),
        no("Extension.UnknownExtensionIdentifier"),
        no("Extension.UnknownExtensionIdentifier"),
        no("Extension.MissingHeader"),
        no("Extension.MissingExtensionIdentifier"),
        (405, String::new()),
        (404, String::new()),
    ];
    expected.extend((0..8).map(|_| (200, String::new())));
    expected.extend((0..2).map(|_| no("Extension.TooManyExtensions")));
    assert_eq!(before, expected);
    assert_eq!(late, no("Extension.RegistrationClosed"));
    let not_now = no("Extension.InvalidExtensionState");
    assert_eq!((again, error), (not_now.clone(), not_now));
}

/// A thread of the runtime can be one too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extension_inside_of_the_function_hears_of_calls() {
    for walls in BOTH {
        if !can(walls).await {
            continue;
        }
        let house = House::new(walls);
        let text = r#"
import threading, queue
print(register("inside"))
heard = queue.Queue()
def listen():
    while True:
        connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
        connection.request("GET", "/2020-01-01/extension/event/next", None, {"Lambda-Extension-Identifier": identifiers["inside"]})
        heard.put(json.loads(connection.getresponse().read()))
threading.Thread(target=listen, daemon=True).start()
def handler(event, context):
    told = heard.get(timeout=5)
    return [told["eventType"], told["requestId"] == context.aws_request_id, told["tracing"]["value"] == os.environ["_X_AMZN_TRACE_ID"]]
"#;
        let function = Arc::new(house.python(&format!("{ASK}{text}")));
        for _ in 0..2 {
            let expected = (String::from(r#"["INVOKE", true, true]"#), false);
            assert_eq!(house.call(&function, "1").await, expected, "{}", house.log());
        }
        let line = "EXTENSION\tName: inside\tState: Ready\tEvents: [INVOKE]\n";
        assert!(house.log().contains(line), "{}", house.log());
    }
}
