//! Functions that are simulated: whatever a test says they do, under whatever name they have.
//!
//! Those of AWS Lambda whose name begins with `rotate` are there in every account and region and may be invoked, without anybody having
//! made them. Until a test says what they do nothing rotates by itself, and rotations wait for their caller.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use coffer_core::{
    BlobRef, Cx, Deployment, FunctionAnswer, FunctionCall, FunctionOutcome, FunctionRun, Functions, LogPlace,
    Outside, Principal, Program, Registry,
};
use coffer_model::lambda::{self, InvocationRequest, InvocationResponse};
use coffer_shape::ApiError;
use coffer_types::{Arn, RequestId, Secret};
use serde_json::{Value, json};

/// Where the log of a simulated run is.
pub const LOG_STREAM: &str = "2026/01/01/[$LATEST]0123456789abcdef0123456789abcdef";

/// The runtime of functions that nobody made.
const SIMULATED: &str = "simulated";

type Script = Arc<dyn Fn(FunctionCall) -> FunctionRun + Send + Sync>;

#[derive(Default)]
pub struct SimFunctions {
    script: Mutex<Option<Script>>,
}

impl fmt::Debug for SimFunctions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimFunctions")
    }
}

impl SimFunctions {
    /// From now on every function does this, with its event. What it answers with is its error.
    pub fn all_do<F>(&self, run: impl Fn(Value, FunctionCall) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), Value>> + Send + 'static,
    {
        let run = Arc::new(run);
        let script: Script = Arc::new(move |call: FunctionCall| {
            let run = Arc::clone(&run);
            Box::pin(async move {
                let event = serde_json::from_slice(call.event.expose()).unwrap();
                if let Some(confined) = &call.confined {
                    let group = deployed(&call).log_group.clone();
                    drop(confined.log.set(LogPlace { group, stream: LOG_STREAM.to_owned() }));
                }
                let (failed, payload) = match run(event, call).await {
                    Ok(()) => (false, Value::Null),
                    Err(error) => (true, error),
                };
                FunctionOutcome::Done(FunctionAnswer {
                    payload: Secret::new(payload.to_string().into_bytes()),
                    failed,
                    log: Vec::new(),
                    log_stream: LOG_STREAM.to_owned(),
                })
            })
        });
        *self.script.lock().unwrap() = Some(script);
    }
}

impl SimFunctions {
    /// From now on no function is run, because too many are.
    pub fn none_has_room(&self) {
        let script: Script = Arc::new(|_| Box::pin(std::future::ready(FunctionOutcome::Throttled)));
        *self.script.lock().unwrap() = Some(script);
    }
}

impl Functions for SimFunctions {
    fn rotations_at_once(&self) -> usize {
        if self.script.lock().unwrap().is_some() { 16 } else { 0 }
    }

    fn comes_along(&self, name: &str) -> bool {
        name == "rotate-with-master"
    }

    fn reads_master(&self, name: &str) -> bool {
        self.comes_along(name)
    }

    fn run(&self, call: FunctionCall) -> FunctionRun {
        let script = self.script.lock().unwrap().clone();
        match script {
            Some(script) => script(call),
            None if deployed(&call).runtime == SIMULATED => Box::pin(std::future::pending()),
            None => Box::pin(std::future::ready(by_handler(call))),
        }
    }

    fn forget(&self, _: &str) {}
}

/// Whoever simulates functions has neither webhooks nor what comes along.
pub fn deployed(call: &FunctionCall) -> &Deployment {
    match &call.program {
        Program::Deployed(deployment) => deployment,
        other => panic!("{other:?}"),
    }
}

/// What a function does that was made through the API its handler says: it gives back the event, fails, or is too busy.
fn by_handler(call: FunctionCall) -> FunctionOutcome {
    let (id, version) = (call.request_id, &deployed(&call).version);
    let log = format!("START RequestId: {id} Version: {version}\n").into_bytes();
    let answer = |payload: Secret<Vec<u8>>, failed: bool| {
        FunctionOutcome::Done(FunctionAnswer { payload, failed, log, log_stream: String::from("simulated") })
    };
    match deployed(&call).handler.as_str() {
        "index.fails" => {
            let error = r#"{"errorMessage":"boom!","errorType":"ValueError"}"#;
            answer(Secret::new(error.as_bytes().to_vec()), true)
        }
        "index.busy" => FunctionOutcome::Throttled,
        _ => answer(call.event, false),
    }
}

/// Serves Invoke for those that are simulated.
pub(crate) fn simulate(registry: &mut Registry) {
    registry.serve_outside::<lambda::Invoke>(invoke);
}

fn invoke(cx: &mut Cx<'_>, input: InvocationRequest) -> Result<Outside<InvocationResponse>, ApiError> {
    let arn = input.function_name.parse::<Arn>().ok();
    let found = arn.filter(|arn| arn.service() == "lambda" && arn.resource().starts_with("function:rotate"));
    let Some(arn) = found else { return coffer_lambda::invoke(cx, input) };
    cx.needs_no_permission("simulated");
    let status = |status_code| InvocationResponse { status_code: Some(status_code), ..Default::default() };
    if input.invocation_type.as_deref() == Some("DryRun") {
        return Ok(Outside::Done(status(204)));
    }
    let name = arn.resource().trim_start_matches("function:").to_owned();
    let deployment = Deployment {
        account: cx.account(),
        region: cx.region().clone(),
        arn: arn.to_string(),
        version: String::from("$LATEST"),
        revision_id: String::from("1"),
        runtime: SIMULATED.to_owned(),
        handler: String::new(),
        role: Arn::global("iam", cx.account(), "role/rotates"),
        timeout: Duration::from_secs(3),
        memory_mb: 128,
        scratch_mb: 512,
        environment: Vec::new(),
        code: BlobRef::default(),
        layers: Vec::new(),
        has_secrets_extension: false,
        log_group: format!("/aws/lambda/{name}"),
        logs_json: false,
        reserved: None,
        traced: false,
        name,
    };
    let (id, session) =
        (RequestId::random(cx.entropy()), Principal::service(cx.account(), "lambda.amazonaws.com"));
    let confined = cx.take_confined();
    let event = input.payload.unwrap_or_else(|| Secret::new(b"{}".to_vec()));
    Ok(Outside::run(move |inside| async move {
        let call = FunctionCall {
            program: Program::Deployed(Arc::new(deployment)),
            invoked_arn: arn.to_string(),
            request_id: id,
            event,
            client_context: None,
            session,
            confined,
            inside: inside.clone(),
        };
        match inside.world().functions.run(call).await {
            FunctionOutcome::Done(answer) => Ok(InvocationResponse {
                function_error: answer.failed.then(|| String::from("Unhandled")),
                payload: Some(answer.payload),
                ..status(200)
            }),
            FunctionOutcome::Throttled => Err(lambda::err::too_many_requests("Rate Exceeded.")),
            other @ FunctionOutcome::Unavailable(_) => panic!("{other:?}"),
        }
    }))
}

/// An error as a function answers it.
pub fn function_error(kind: &str, message: &str) -> Value {
    json!({ "errorType": kind, "errorMessage": message })
}
