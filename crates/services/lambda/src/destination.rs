//! What a destination is told of an event that has ended, and how it gets there: as an event of its own, in the name of the role.

use coffer_core::{Caller, Inside, Partition, Principal, Transport};
use coffer_model::lambda::{InvocationRequest, InvocationType, Invoke, SERVICE};
use coffer_types::{RequestId, Secret, Timestamp};
use serde::Serialize;
use serde::de::IgnoredAny;

/// A function gets no larger event.
const BYTES_MAX: usize = 1_048_576;

/// Why an event is not tried any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Condition {
    Success,
    RetriesExhausted,
    EventAgeExceeded,
}

/// Who is told, in whose name.
#[derive(Debug)]
pub(crate) struct Destinations {
    pub on_success: Option<String>,
    pub on_failure: Option<String>,
    pub role: Principal,
    pub event: Secret<Vec<u8>>,
    pub invoked_arn: String,
    pub home: Partition,
    pub request_id: RequestId,
}

/// How the last run answered. Without one the event was not run.
#[derive(Debug)]
pub(crate) struct Response {
    pub version: String,
    pub failed: bool,
    pub payload: Secret<Vec<u8>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    request_id: String,
    function_arn: &'a str,
    condition: Condition,
    approximate_invoke_count: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseContext<'a> {
    status_code: u16,
    executed_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_error: Option<&'static str>,
}

impl Destinations {
    /// Tells whoever wants to know. What cannot be told is gone, as on AWS; why is on record with the call that was refused.
    pub(crate) async fn tell(
        self,
        inside: &Inside,
        condition: Condition,
        attempts: i64,
        response: Option<Response>,
    ) {
        let on = if condition == Condition::Success { &self.on_success } else { &self.on_failure };
        let Some(arn) = on.clone() else { return };
        let world = inside.world();
        let Some(payload) = self.record(world.clock.now(), condition, attempts, response.as_ref()) else {
            return;
        };
        let caller = Caller {
            principal: self.role,
            region: self.home.region,
            request_id: RequestId::random(world.entropy.as_ref()),
            source_address: SERVICE.event_source.to_owned(),
            user_agent: SERVICE.event_source.to_owned(),
            transport: Transport::Inside,
            host: String::new(),
        };
        let input = InvocationRequest {
            function_name: arn,
            invocation_type: Some(InvocationType::Event.as_str().to_owned()),
            payload: Some(payload),
            ..InvocationRequest::default()
        };
        let function = input.function_name.clone();
        if let Err(error) = inside.call::<Invoke>(&caller, input).await {
            let code = error.code();
            tracing::warn!(function, code, request = %self.request_id, "the end of an event was not told to its destination");
        }
    }

    /// The record of an invocation. One that is too large for a function says nothing of the payloads but that they were.
    fn record(
        &self,
        now: Timestamp,
        condition: Condition,
        attempts: i64,
        response: Option<&Response>,
    ) -> Option<Secret<Vec<u8>>> {
        let context = RequestContext {
            request_id: self.request_id.to_string(),
            function_arn: &self.invoked_arn,
            condition,
            approximate_invoke_count: attempts,
        };
        let context = serde_json::to_string(&context).ok()?;
        let head =
            format!(r#"{{"version":"1.0","timestamp":"{}","requestContext":{context}"#, now.to_iso_millis());
        let answered = response.map(|response| ResponseContext {
            status_code: 200,
            executed_version: &response.version,
            function_error: response.failed.then_some("Unhandled"),
        });
        let answered = match &answered {
            Some(answered) => format!(r#","responseContext":{}"#, serde_json::to_string(answered).ok()?),
            None => String::new(),
        };
        let payload = response.map(|response| response.payload.expose().as_slice()).filter(|it| is_json(it));
        let written = |payload: Option<&[u8]>, event: Option<&[u8]>| {
            let mut parts = vec![head.as_bytes(), br#","requestPayload":"#, event.unwrap_or(b"null")];
            parts.push(answered.as_bytes());
            if let Some(payload) = payload {
                parts.extend([&br#","responsePayload":"#[..], payload]);
            }
            parts.push(b"}");
            // In one piece of memory, which is wiped.
            Secret::new(parts.concat())
        };
        let event = Some(self.event.expose().as_slice());
        [(payload, event), (None, event), (None, None)]
            .into_iter()
            .map(|(payload, event)| written(payload, event))
            .find(|record| record.len() <= BYTES_MAX)
    }
}

fn is_json(payload: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(payload).is_ok()
}
