//! Invoke.
//!
//! Whether somebody may invoke a function, and which revision of it he means, is decided here and on record before anything runs. Then
//! whoever runs functions has all he needs, and the caller waits.

use std::{sync::Arc, time::Duration};

use coffer_core::{
    BuiltIn, Confined, Cx, Deployment, FunctionAnswer, FunctionCall, FunctionOutcome, Inside, Outside,
    PolicyText, Principal, Program, Session, Webhook,
};
use coffer_model::lambda::{InvocationRequest, InvocationResponse, InvocationType, action};
use coffer_policy::Kind;
use coffer_shape::ApiError;
use coffer_types::{RequestId, Secret, encoding::BASE64};
use serde::de::IgnoredAny;

use crate::{
    error::LambdaError,
    event,
    function::FunctionRecord,
    layer,
    named::{FunctionId, Named, find, meant},
    revision::{LATEST, Revision},
    role,
};

/// AWS's, for events and for answers.
const EVENT_BYTES_MAX: usize = 6_291_556;
const ASYNC_EVENT_BYTES_MAX: usize = 1_048_576;
const CLIENT_CONTEXT_BYTES_MAX: usize = 3583;
/// What a caller who asks for the log gets of it.
const LOG_TAIL_BYTES: usize = 4096;
/// Variables that make a webhook of a function; ours.
const WEBHOOK_URL: &str = "COFFER_WEBHOOK_URL";
const WEBHOOK_SECRET: &str = "COFFER_WEBHOOK_SECRET";
const TOO_LARGE: &[u8] = br#"{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes)."}"#;

pub fn invoke(cx: &mut Cx<'_>, input: InvocationRequest) -> Result<Outside<InvocationResponse>, ApiError> {
    let kind = input.invocation_type.as_deref().unwrap_or(InvocationType::RequestResponse.as_str());
    let kind = InvocationType::try_from(kind).map_err(|error| cx.internal(error))?;
    let id = FunctionId::parse(&input.function_name, input.qualifier.as_deref())?;
    let client_context = input.client_context.as_deref().map(client_context).transpose()?;
    let confined = cx.take_confined();

    let named = find(cx, id)?.permit(cx, action::INVOKE_FUNCTION)?;
    let qualifier = named.id.qualifier.as_deref();
    let event = understood(input.payload.unwrap_or_default(), kind)?;
    if named.is_built_in_for(cx) {
        return Ok(built_in(cx, &named, kind, event, confined));
    }
    let function = named.existing()?;
    let version = meant(cx, &function, qualifier)?.revision(&function).version.clone();
    match kind {
        InvocationType::DryRun => Ok(Outside::Done(accepted(204, &version))),
        InvocationType::Event => {
            event::queue(cx, &function.name, qualifier, event)?;
            Ok(Outside::Done(accepted(202, &version)))
        }
        InvocationType::RequestResponse => {
            let mut ready = ready(cx, &function, qualifier, event, confined)?;
            ready.ensure_runs_here(cx)?;
            ready.client_context = client_context;
            let wants_log = input.log_type.as_deref() == Some("Tail");
            Ok(Outside::run(move |inside| answered(ready, inside, wants_log)))
        }
    }
}

/// One that comes along works in the name of whoever calls it, and has no role.
fn built_in(
    cx: &Cx<'_>,
    named: &Named,
    kind: InvocationType,
    event: Secret<Vec<u8>>,
    confined: Option<Confined>,
) -> Outside<InvocationResponse> {
    if kind != InvocationType::RequestResponse {
        return Outside::Done(accepted(204, LATEST));
    }
    let name = named.id.name.clone();
    let built_in = BuiltIn { account: cx.account(), region: cx.region().clone(), name };
    let ready = Ready {
        program: Program::BuiltIn(Arc::new(built_in)),
        invoked_arn: named.own_arn().to_owned(),
        request_id: cx.request(),
        event,
        client_context: None,
        session: cx.caller().clone(),
        confined,
    };
    Outside::run(move |inside| answered(ready, inside, false))
}

fn accepted(status: i64, version: &str) -> InvocationResponse {
    InvocationResponse {
        status_code: Some(status),
        executed_version: Some(version.to_owned()),
        ..InvocationResponse::default()
    }
}

/// The event as JSON. No bytes are an empty object: some clients make nothing of `{}`.
fn understood(payload: Secret<Vec<u8>>, kind: InvocationType) -> Result<Secret<Vec<u8>>, LambdaError> {
    let limit = if kind == InvocationType::Event { ASYNC_EVENT_BYTES_MAX } else { EVENT_BYTES_MAX };
    if payload.len() > limit {
        return Err(LambdaError::EventTooLarge { bytes: payload.len(), limit, kind: kind.as_str() });
    }
    if payload.is_empty() {
        return Ok(Secret::new(b"{}".to_vec()));
    }
    // The parser's words name a line and a column, and nothing of the event.
    serde_json::from_slice::<IgnoredAny>(payload.expose())
        .map_err(|error| LambdaError::EventNotJson { why: error.to_string() })?;
    Ok(payload)
}

fn client_context(written: &str) -> Result<String, LambdaError> {
    let text = BASE64
        .decode(written.as_bytes())
        .ok()
        .filter(|bytes| bytes.len() <= CLIENT_CONTEXT_BYTES_MAX)
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let is_json = |text: &String| serde_json::from_str::<IgnoredAny>(text).is_ok();
    text.filter(is_json).ok_or(LambdaError::ClientContext)
}

/// All that is needed for a run but the way back.
#[derive(Debug)]
pub(crate) struct Ready {
    program: Program,
    invoked_arn: String,
    pub request_id: RequestId,
    pub event: Secret<Vec<u8>>,
    client_context: Option<String>,
    pub session: Principal,
    confined: Option<Confined>,
}

impl Ready {
    pub(crate) fn version(&self) -> &str {
        self.program.version()
    }

    /// A rotation waits until functions are run here again. Other callers are told by the function that it was not run.
    fn ensure_runs_here(&self, cx: &Cx<'_>) -> Result<(), LambdaError> {
        let needs_code = matches!(self.program, Program::Deployed(_)) && self.confined.is_some();
        match cx.functions().runs_no_code().filter(|_| needs_code) {
            Some(why) => Err(LambdaError::CannotRun { why }),
            None => Ok(()),
        }
    }

    pub(crate) async fn run(self, inside: Inside) -> FunctionOutcome {
        let functions = Arc::clone(&inside.world().functions);
        let call = FunctionCall {
            program: self.program,
            invoked_arn: self.invoked_arn,
            request_id: self.request_id,
            event: self.event,
            client_context: self.client_context,
            session: self.session,
            confined: self.confined,
            inside,
        };
        functions.run(call).await
    }
}

/// Gets a function ready to run, in a session of its role.
pub(crate) fn ready(
    cx: &Cx<'_>,
    function: &FunctionRecord,
    qualifier: Option<&str>,
    event: Secret<Vec<u8>>,
    confined: Option<Confined>,
) -> Result<Ready, ApiError> {
    let meant = meant(cx, function, qualifier)?;
    let revision = meant.revision(function);
    let mut session = role::session(cx, &revision.role, &function.arn, &function.name)?;
    if let Some(confined) = &confined {
        let policy = PolicyText::parse(Kind::Inline, confined.session_policy.clone());
        let policy = policy.map_err(|error| cx.internal(format!("a session policy: {error:?}")))?;
        let before = session.session.as_deref().cloned().unwrap_or_default();
        session.session = Some(Arc::new(Session { policies: vec![policy], ..before }));
    }
    let qualifier = qualifier.map(|qualifier| format!(":{qualifier}")).unwrap_or_default();
    let program = match webhook(function, revision) {
        Some(webhook) => Program::Webhook(Arc::new(webhook)),
        None => Program::Deployed(Arc::new(deployment(cx, function, revision)?)),
    };
    Ok(Ready {
        program,
        invoked_arn: format!("{}{qualifier}", function.arn),
        request_id: cx.request(),
        event,
        client_context: None,
        session,
        confined,
    })
}

/// A function that names a URL is sent its events there, and its code is not looked at.
fn webhook(function: &FunctionRecord, revision: &Revision) -> Option<Webhook> {
    let variable = |name: &str| {
        let found = revision.environment.iter().find(|variable| variable.name == name)?;
        Some(Secret::new(found.value.expose().clone())).filter(|value| !value.expose().is_empty())
    };
    Some(Webhook {
        url: variable(WEBHOOK_URL)?,
        key: variable(WEBHOOK_SECRET),
        arn: function.arn.clone(),
        version: revision.version.clone(),
        timeout: Duration::from_secs(revision.timeout.unsigned_abs()),
        memory_mb: number(revision.memory),
    })
}

fn deployment(cx: &Cx<'_>, function: &FunctionRecord, revision: &Revision) -> Result<Deployment, ApiError> {
    let variables = revision.environment.iter();
    Ok(Deployment {
        account: cx.account(),
        region: cx.region().clone(),
        name: function.name.clone(),
        version: revision.version.clone(),
        revision_id: revision.revision_id.clone(),
        arn: function.arn.clone(),
        runtime: revision.runtime.clone(),
        handler: revision.handler.clone(),
        role: revision.role.parse().map_err(|_| LambdaError::RoleNotAssumable)?,
        timeout: Duration::from_secs(revision.timeout.unsigned_abs()),
        memory_mb: number(revision.memory),
        scratch_mb: number(revision.scratch),
        environment: variables
            .map(|variable| (variable.name.clone(), Secret::new(variable.value.expose().clone())))
            .collect(),
        code: revision.code.package.clone(),
        layers: revision.layers.iter().filter_map(|layer| layer.code.clone()).collect(),
        has_secrets_extension: layer::has_extension(&revision.layers),
        log_group: revision.logging.group.clone(),
        logs_json: revision.logging.json,
        reserved: function.reserved.map(number),
        traced: revision.tracing_active,
    })
}

fn number(value: i64) -> u32 {
    u32::try_from(value).unwrap_or_default()
}

async fn answered(ready: Ready, inside: Inside, wants_log: bool) -> Result<InvocationResponse, ApiError> {
    let version = ready.version().to_owned();
    match ready.run(inside).await {
        FunctionOutcome::Done(answer) => Ok(shown(answer, &version, wants_log)),
        FunctionOutcome::Throttled => Err(LambdaError::OneTooMany.into()),
        FunctionOutcome::Unavailable(why) => Err(LambdaError::CannotRun { why }.into()),
    }
}

fn shown(answer: FunctionAnswer, version: &str, wants_log: bool) -> InvocationResponse {
    let is_too_large = answer.payload.len() > EVENT_BYTES_MAX;
    let payload = if is_too_large { Secret::new(TOO_LARGE.to_vec()) } else { answer.payload };
    let tail = answer.log.get(answer.log.len().saturating_sub(LOG_TAIL_BYTES)..).unwrap_or_default();
    InvocationResponse {
        payload: Some(payload),
        function_error: (answer.failed || is_too_large).then(|| String::from("Unhandled")),
        log_result: wants_log.then(|| BASE64.encode(tail)),
        ..accepted(200, version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(bytes: &[u8], kind: InvocationType) -> Result<Vec<u8>, LambdaError> {
        understood(Secret::new(bytes.to_vec()), kind).map(Secret::take)
    }

    #[test]
    fn an_event_is_json_and_no_event_is_an_empty_object() {
        let kind = InvocationType::RequestResponse;
        assert_eq!(event(b"", kind).unwrap(), b"{}");
        for good in [&b"{}"[..], b"null", b"[1]", b" \"x\" "] {
            assert_eq!(event(good, kind).unwrap(), good);
        }
        for bad in [&b"{"[..], b"{}x", b"\xff", b"'x'"] {
            assert!(matches!(event(bad, kind), Err(LambdaError::EventNotJson { .. })), "{bad:?}");
        }
    }

    #[test]
    fn an_event_has_a_size() {
        let quoted = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2)).into_bytes();
        for (kind, limit) in [
            (InvocationType::RequestResponse, EVENT_BYTES_MAX),
            (InvocationType::DryRun, EVENT_BYTES_MAX),
            (InvocationType::Event, ASYNC_EVENT_BYTES_MAX),
        ] {
            assert!(event(&quoted(limit), kind).is_ok(), "{kind:?}");
            assert!(event(&quoted(limit + 1), kind).is_err(), "{kind:?}");
        }
    }

    #[test]
    fn the_end_of_a_log_is_shown_to_whoever_asks() {
        let answer = |log: &[u8], payload: usize| FunctionAnswer {
            payload: Secret::new(vec![b'1'; payload]),
            failed: false,
            log: log.to_vec(),
            log_stream: String::new(),
        };
        let long = [&[b'a'; 10][..], &[b'b'; LOG_TAIL_BYTES][..]].concat();
        let tail = shown(answer(&long, 1), "1", true).log_result.unwrap();
        assert_eq!(BASE64.decode(tail.as_bytes()).unwrap(), [b'b'; LOG_TAIL_BYTES]);
        assert_eq!(shown(answer(b"x", 1), "1", false).log_result, None);
        let large = shown(answer(b"x", EVENT_BYTES_MAX + 1), "1", false);
        assert_eq!(large.function_error.as_deref(), Some("Unhandled"));
        assert_eq!(large.payload.unwrap().expose(), TOO_LARGE);
    }

    #[test]
    fn a_client_context_is_json_in_base64() {
        let encoded = BASE64.encode(br#"{"client":{}}"#);
        assert_eq!(client_context(&encoded).unwrap(), r#"{"client":{}}"#);
        for bad in ["{}", "e30", &BASE64.encode(b"x"), &BASE64.encode(&[b'1'; 3584])] {
            assert!(client_context(bad).is_err(), "{bad}");
        }
    }
}
