//! What functions do, and what their callers are told.

use std::{sync::Arc, time::Duration};

use coffer_core::{FunctionOutcome, LogPlace};
use coffer_functions::{Walls, runner::Confinement};
use coffer_types::Secret;

use crate::house::{BOTH, House, can};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_answers_warm_and_cold() {
    for walls in BOTH {
        if !can(walls).await {
            continue;
        }
        let house = House::new(walls);
        let mut function = house.python(
            r#"
import os, logging
print("loading")
calls = 0
def handler(event, context):
    global calls
    calls += 1
    print("one\ntwo")
    logging.getLogger().warning("care: %s", event)
    return {"calls": calls, "event": event, "name": context.function_name, "id": context.aws_request_id,
            "left": context.get_remaining_time_in_millis() > 15000, "mine": os.environ["MINE"],
            "endpoint": os.environ["SECRETS_MANAGER_ENDPOINT"] == os.environ["AWS_ENDPOINT_URL"],
            "region": os.environ["AWS_DEFAULT_REGION"], "key": os.environ["AWS_ACCESS_KEY_ID"],
            "secretive": "CARGO_MANIFEST_DIR" in os.environ}
"#,
        );
        for (name, value) in [
            ("MINE", "mine"),
            ("AWS_ACCESS_KEY_ID", "not mine"),
            ("SECRETS_MANAGER_ENDPOINT", "https://secretsmanager.eu-west-1.amazonaws.com"),
        ] {
            function.environment.push((name.to_owned(), Secret::new(value.to_owned())));
        }
        let function = Arc::new(function);
        for calls in 1..=3 {
            let (said, failed) = house.call(&function, r#"{"a": [1, "ü"]}"#).await;
            assert!(!failed, "{said}");
            let said: serde_json::Value = serde_json::from_str(&said).unwrap();
            let expected = serde_json::json!({
                "calls": calls, "event": {"a": [1, "ü"]}, "name": "f",
                "id": format!("00000000-0000-4000-8000-{calls:012}"), "left": true, "mine": "mine",
                "endpoint": true, "region": "eu-west-1", "key": "ASIAEXAMPLE", "secretive": false,
            });
            assert_eq!(said, expected, "{walls:?}");
        }
        let log = house.log();
        let lines: Vec<&str> = log.lines().take(7).collect();
        assert!(lines[0].starts_with("INIT_START Runtime Version: python:3.11\tRuntime Version ARN: arn:aws:lambda:eu-west-1::runtime:"), "{log}");
        assert_eq!(
            lines[1..5],
            [
                "loading",
                "START RequestId: 00000000-0000-4000-8000-000000000001 Version: $LATEST",
                "one",
                "two"
            ]
        );
        assert!(
            lines[5].starts_with("[WARNING]\t20")
                && lines[5].ends_with("Z\t00000000-0000-4000-8000-000000000001\tcare: {'a': [1, 'ü']}"),
            "{log}"
        );
        assert_eq!(lines[6], "END RequestId: 00000000-0000-4000-8000-000000000001");
        assert_eq!(log.matches("Init Duration").count(), 1, "{log}");
        assert_eq!(log.matches("Memory Size: 128 MB\tMax Memory Used: ").count(), 3, "{log}");
        let streams = house.memory.logs.lock().unwrap();
        assert!(
            streams.iter().all(|(place, _)| place == &streams[0].0 && place.stream.contains("/[$LATEST]"))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stopped_is_gone_and_can_begin_again() {
    for walls in BOTH {
        if !can(walls).await {
            continue;
        }
        let house = Arc::new(House::new(walls));
        let text = r#"
import time
import urllib.request, os
def handler(event, context):
    if event == "hang":
        urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"] + "/began").read()
        time.sleep(60)
    return event
"#;
        let function = Arc::new(house.python(text));
        let mut warm = house.python(text);
        warm.arn.push('2');
        assert_eq!(house.call(&Arc::new(warm), "1").await, (String::from("1"), false));
        let hanging = {
            let (house, function) = (Arc::clone(&house), Arc::clone(&function));
            tokio::spawn(async move { house.outcome(&function, "\"hang\"", None).await })
        };
        while !house.heard.lock().unwrap().contains(&String::from("/began")) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(helpers(), 2, "{walls:?}");

        let before = house.now();
        house.runner.stop().await;
        assert!(house.now() - before < Duration::from_secs(5), "{walls:?}");
        // No process is left, and whoever waited is told.
        assert_eq!(helpers(), 0, "{walls:?}");
        let outcome = hanging.await.unwrap();
        assert!(matches!(outcome, FunctionOutcome::Unavailable(_)), "{walls:?} {outcome:?}");

        assert_eq!(house.call(&function, "2").await, (String::from("2"), false), "{walls:?}");
        house.runner.stop().await;
        assert_eq!(helpers(), 0, "{walls:?}");
    }
}

/// Our children, which are helpers; each test has a process of its own.
fn helpers() -> usize {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let children = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    children.map(|children| children.split_whitespace().count()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_is_said_in_the_words_of_aws() {
    for walls in BOTH {
        if !can(walls).await {
            continue;
        }
        let house = House::new(walls);
        let check = async |text: &str, handler: &str, parts: &[&str]| {
            let mut function = house.function("python3.11", handler, &[("index.py", text)]);
            function.revision_id = format!("{text}{handler}");
            function.timeout = Duration::from_secs(2);
            let (said, failed) = house.call(&Arc::new(function), "{}").await;
            assert!(failed, "{text}: {said}");
            for part in parts {
                assert!(said.contains(part), "{walls:?} {text}: {said} has no {part}\n{}", house.log());
            }
        };
        let raises = "def handler(event, context):\n    raise ValueError('boom!')";
        check(
            raises,
            "index.handler",
            &[
                r#""errorMessage": "boom!""#,
                r#""errorType": "ValueError""#,
                "line 2, in handler",
                "stackTrace",
            ],
        )
        .await;
        check(
            "",
            "nope.handler",
            &["Runtime.ImportModuleError", "Unable to import module 'nope': No module named 'nope'"],
        )
        .await;
        check("", "index.gone", &["Runtime.HandlerNotFound", "Handler 'gone' missing on module 'index'"])
            .await;
        check("def", "index.handler", &["Runtime.UserCodeSyntaxError"]).await;
        check("", "index", &["Runtime.MalformedHandlerName"]).await;
        check(
            "def handler(e, c): return {1, 2}",
            "index.handler",
            &["Runtime.MarshalError", "Unable to marshal response"],
        )
        .await;
        check(
            "import os\ndef handler(e, c): os._exit(3)",
            "index.handler",
            &[r#""errorType":"Runtime.ExitError""#, "Error: Runtime exited with error: exit status 3"],
        )
        .await;
        check("import os\nos._exit(4)", "index.handler", &["Runtime exited with error: exit status 4"]).await;
        check(
            "import os\ndef handler(e, c): os.kill(os.getpid(), 9)",
            "index.handler",
            &["Runtime exited with error: signal: killed"],
        )
        .await;
        check(
            "import time\ndef handler(e, c): time.sleep(60)",
            "index.handler",
            &[r#""errorType":"Sandbox.Timedout""#, "Error: Task timed out after 2.00 seconds"],
        )
        .await;
        check(
            "def handler(e, c): return 'x' * 7000000",
            "index.handler",
            &[
                "Function.ResponseSizeTooLarge",
                "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
            ],
        )
        .await;
        check("def handler(e, c): return len(bytearray(1 << 30))", "index.handler", &["MemoryError"]).await;
        let log = house.log();
        assert!(
            log.contains("\tStatus: timeout\n") && log.contains("Task timed out after 2.00 seconds\n\n"),
            "{log}"
        );
        assert!(
            log.contains("Runtime.ExitError\n")
                && log.contains("\tStatus: error\tError Type: Runtime.ExitError"),
            "{log}"
        );
        assert!(log.contains("[ERROR] ValueError: boom!\nTraceback (most recent call last):\n"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_takes_all_it_can_get_gets_no_more() {
    for walls in BOTH {
        if !can(walls).await {
            continue;
        }
        // Tests run beside each other, and this one looks for what is left of its own.
        let user = 1_910_000_000 + std::process::id() * 100;
        let house = House::with(walls, |settings| settings.first_user = user);
        // Processes.
        let mut function = house.python(
            r"
import os, time
def handler(event, context):
    started = 0
    for _ in range(300):
        try:
            if os.fork() == 0:
                os.setsid()
                time.sleep(120)
                os._exit(0)
            started += 1
        except OSError:
            break
    return started
",
        );
        function.revision_id = String::from("forks");
        let (said, failed) = house.call(&Arc::new(function), "{}").await;
        // Where the user is not its own, it may have what others of him have given up meanwhile.
        let is_shared = walls == Walls::Process && coffer_sys::effective_uid() != 0;
        let most = if is_shared { 164 } else { 64 };
        assert!(!failed && (1..=most).contains(&said.parse::<u32>().unwrap()), "{walls:?} {said}");
        // Output, for as long as it is let.
        let mut function = house.python("def handler(e, c):\n    while True: print('x' * 100000)");
        function.revision_id = String::from("prints");
        function.timeout = Duration::from_secs(2);
        let (said, _) = house.call(&Arc::new(function), "{}").await;
        assert!(said.contains("Sandbox.Timedout"), "{said}");
        let log = house.log();
        assert!(log.len() < 2 << 20 && log.contains("the rest of the output was left out"), "{}", log.len());
        // Disk.
        let mut function = house.python(
            "def handler(e, c):\n    with open(__import__('tempfile').gettempdir() + '/f', 'wb') as f:\n        for _ in range(64): f.write(b'x' * (1 << 20))",
        );
        function.revision_id = String::from("fills");
        function.scratch_mb = 16;
        let (said, failed) = house.call(&Arc::new(function), "{}").await;
        assert!(failed && said.contains("OSError"), "{said}");
        house.runner.stop().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let left = std::process::Command::new("pgrep")
            .args(["-u", &format!("{user},{}", user + 1)])
            .output()
            .unwrap();
        assert!(left.stdout.is_empty(), "{}", String::from_utf8_lossy(&left.stdout));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_revision_and_a_death_between_calls_begin_anew() {
    let house = House::new(Walls::Process);
    let text = "import os\ndef handler(e, c): return os.getpid()";
    let function = Arc::new(house.python(text));
    let (first, _) = house.call(&function, "{}").await;
    assert_eq!(house.call(&function, "{}").await.0, first);
    house.runner.forget_function(&function.arn);
    let (second, _) = house.call(&function, "{}").await;
    assert_ne!(first, second);
    std::process::Command::new("kill").args(["-9", &second]).status().unwrap();
    // Until the kernel has done it.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (third, failed) = house.call(&function, "{}").await;
    assert!(!failed && third != second, "{third}");
    let mut next = house.python(text);
    next.revision_id = String::from("2");
    assert_ne!(house.call(&Arc::new(next), "{}").await.0, third);
}

/// Tracing programs read it; whether anybody keeps a trace is the function's setting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_has_a_trace_of_its_own() {
    let house = House::new(Walls::Process);
    let mut roots = std::collections::BTreeSet::new();
    for traced in [false, true] {
        let text = "import os\ndef handler(e, c): return [os.environ['_X_AMZN_TRACE_ID'], os.environ.get('AWS_XRAY_DAEMON_ADDRESS')]";
        let mut function = house.python(text);
        function.traced = traced;
        function.revision_id = traced.to_string();
        let function = Arc::new(function);
        for _ in 0..2 {
            let (said, _) = house.call(&function, "{}").await;
            let (trace, daemon): (String, Option<String>) = serde_json::from_str(&said).unwrap();
            let parts: Vec<&str> = trace.split(['=', ';', '-']).collect();
            let ["Root", "1", time, root, "Parent", parent, "Sampled", sampled] = parts[..] else {
                panic!("{trace}")
            };
            let hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            assert!([time, root, parent].into_iter().all(hex), "{trace}");
            assert_eq!([time, root, parent].map(str::len), [8, 24, 16], "{trace}");
            assert_eq!(
                (sampled, daemon.as_deref()),
                if traced { ("1", Some("127.0.0.1:2000")) } else { ("0", None) }
            );
            roots.insert(root.to_owned());
        }
    }
    assert_eq!(roots.len(), 4);
}

/// Services are often told to be nice. Functions are nicer still, for which nobody has to be asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_nice_runs_functions_too() {
    for walls in BOTH {
        if !can(walls).await {
            continue;
        }
        let house = House::with(walls, |settings| {
            let (helper, _) = settings.helper.clone();
            let arguments = ["-n", "10"].map(String::from).into_iter().chain([helper.display().to_string()]);
            settings.helper = ("/usr/bin/nice".into(), arguments.collect());
        });
        let function = Arc::new(house.python("import os\ndef handler(e, c): return os.nice(0)"));
        assert_eq!(house.call(&function, "{}").await, (String::from("15"), false), "{walls:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_run_at_once_than_is_reserved() {
    let house = Arc::new(House::new(Walls::Process));
    let mut function = house.python("import time\ndef handler(e, c): time.sleep(1)");
    function.reserved = Some(1);
    let function = Arc::new(function);
    let (one, other) =
        tokio::join!(house.outcome(&function, "{}", None), house.outcome(&function, "{}", None));
    let throttled = [&one, &other].map(|outcome| matches!(outcome, coffer_core::FunctionOutcome::Throttled));
    assert_eq!(throttled.iter().filter(|throttled| **throttled).count(), 1, "{one:?} {other:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_a_confined_function_prints_is_nowhere() {
    let house = House::new(Walls::Process);
    house.memory.scrub.lock().unwrap().push(b"canary-\"7\"/\xc3\xa4".to_vec());
    let function = Arc::new(house.python(
        r#"
import base64, json, urllib.parse, sys
S = 'canary-"7"/ä'
def handler(event, context):
    print(S, base64.b64encode(S.encode()).decode(), urllib.parse.quote(S), json.dumps({"p": S}), repr(S))
    print(S, file=sys.stderr)
    raise ValueError(S)
"#,
    ));
    let log = Arc::default();
    let confined = Confinement {
        session_policy: String::from("{}"),
        endpoints: Vec::new(),
        log: Arc::clone(&log),
        is_last: false,
    };
    let outcome = house.outcome(&function, "{}", Some(confined)).await;
    let coffer_core::FunctionOutcome::Done(answer) = outcome else { panic!("{outcome:?}") };
    let all = format!(
        "{}{}{}",
        house.log(),
        String::from_utf8_lossy(&answer.log),
        String::from_utf8_lossy(answer.payload.expose())
    );
    assert!(all.contains("****") && !all.contains("canary") && !all.contains("Y2FuYXJ5"), "{all}");
    let place = LogPlace { group: String::from("/aws/lambda/f"), stream: answer.log_stream };
    assert_eq!(log.get(), Some(&place));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_environment_serves_one_policy_while_its_credentials_last_for_a_call() {
    let house = House::new(Walls::Process);
    let function = Arc::new(
        house.python("import os\ndef handler(event, context): return os.environ['AWS_SESSION_TOKEN']"),
    );
    let call = async |policy: &str, is_last: bool| {
        let confined = Confinement {
            session_policy: policy.to_owned(),
            endpoints: Vec::new(),
            log: Arc::default(),
            is_last,
        };
        let outcome = house.outcome(&function, "{}", Some(confined)).await;
        let FunctionOutcome::Done(answer) = outcome else { panic!("{outcome:?}") };
        String::from_utf8(answer.payload.expose().clone()).unwrap()
    };
    let lasts = |lasting: Duration| *house.memory.credentials_last.lock().unwrap() = Some(lasting);
    // The time limit of the function is 20 s, and it may take 10 s to begin.
    lasts(Duration::from_secs(60));
    let (first, again, other) =
        (call("one", false).await, call("one", true).await, call("other", false).await);
    assert_eq!(again, first);
    assert_ne!(other, first);
    assert_ne!(call("one", false).await, first, "nobody was to call again");
    lasts(Duration::from_secs(15));
    let short = call("short", false).await;
    assert_ne!(call("short", false).await, short, "they would not have lasted");
    let policies = |policy: &str| (Some(policy.to_owned()), Duration::from_secs(30));
    let asked = ["one", "other", "one", "short", "short"].map(policies);
    assert_eq!(*house.memory.sessions.lock().unwrap(), asked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_and_programs_of_their_own_run_too() {
    for walls in BOTH {
        if !can(walls).await {
            continue;
        }
        let house = House::new(walls);
        if coffer_functions::interpreters::look_for("nodejs20.x", None).await.is_ok() {
            let text = "exports.handler = async (event, context) => { console.log('hello', event); if (event.fail) throw new TypeError('no'); return {n: context.functionName, event}; };";
            let mut function = house.function("nodejs20.x", "index.handler", &[("index.js", text)]);
            function.revision_id = String::from("node");
            let function = Arc::new(function);
            let (said, failed) = house.call(&function, r#"{"a": 1}"#).await;
            assert!(!failed && said == r#"{"n":"f","event":{"a":1}}"#, "{walls:?} {said} {}", house.log());
            let (said, failed) = house.call(&function, r#"{"fail": 1}"#).await;
            assert!(
                failed && said.contains(r#""errorType":"TypeError","errorMessage":"no","trace":["#),
                "{said}"
            );
            assert!(
                house.log().contains("\t00000000-0000-4000-8000-000000000001\tINFO\thello { a: 1 }\n"),
                "{}",
                house.log()
            );
        } else {
            println!("SKIPPED: there is no Node on this machine");
        }
        let text = r#"#!/usr/bin/python3
import os, urllib.request as u
base = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
while True:
    r = u.urlopen(base + "next")
    u.urlopen(base + r.headers["Lambda-Runtime-Aws-Request-Id"] + "/response", b"own:" + r.read())
"#;
        let mut function = house.function("provided.al2023", "any", &[("bootstrap", text)]);
        function.revision_id = String::from("own");
        assert_eq!(
            house.call(&Arc::new(function), "[1]").await,
            (String::from("own:[1]"), false),
            "{}",
            house.log()
        );
    }
}
