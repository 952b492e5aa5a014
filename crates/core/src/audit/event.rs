//! One audit event as JSON text.

use std::fmt::Write;

use coffer_shape::{OperationSpec, ServiceSpec, push_quoted};
use coffer_types::{Timestamp, Uuid};

use crate::{Caller, PrincipalKind};

const EVENT_VERSION: &str = "1.09";
/// A user-controlled header is cut here.
const USER_AGENT_CHARS_MAX: usize = 256;
const MESSAGE_CHARS_MAX: usize = 1024;
/// Most events fit, so that their text does not move while it grows.
const EVENT_LEN_USUAL: usize = 1280;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// Something a service did by itself.
    Service,
    /// A command given on the machine, such as `coffer seal`.
    Local,
}

/// An event that no API call made.
#[derive(Debug, Clone)]
pub struct ServiceEvent {
    pub kind: EventKind,
    pub source: &'static str,
    pub name: &'static str,
    /// Pairs of `additionalEventData`.
    pub details: Vec<(&'static str, String)>,
}

/// An API call, described by its own allow-list.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub spec: &'static OperationSpec,
    /// The service that made the call on the caller's behalf.
    pub via: Option<&'static ServiceSpec>,
    pub request: Option<String>,
    pub response: Option<String>,
    pub error: Option<(&'static str, String)>,
    pub resources: Vec<String>,
}

/// The same, lent by whoever has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told<'a> {
    pub spec: &'static OperationSpec,
    pub via: Option<&'static ServiceSpec>,
    pub request: Option<&'a str>,
    pub response: Option<&'a str>,
    pub error: Option<(&'static str, &'a str)>,
    pub resources: &'a [String],
}

impl<'a> From<&'a Event> for Told<'a> {
    fn from(event: &'a Event) -> Self {
        Self {
            spec: event.spec,
            via: event.via,
            request: event.request.as_deref(),
            response: event.response.as_deref(),
            error: event.error.as_ref().map(|(code, message)| (*code, message.as_str())),
            resources: &event.resources,
        }
    }
}

fn push_error(text: &mut String, code: &str, message: &str) {
    // CloudTrail drops the suffix of this one code only.
    let code = if code == "AccessDeniedException" { "AccessDenied" } else { code };
    text.push_str(",\"errorCode\":");
    push_quoted(text, code, MESSAGE_CHARS_MAX);
    text.push_str(",\"errorMessage\":");
    push_quoted(text, message, MESSAGE_CHARS_MAX);
}

/// What all events of one request share.
pub(crate) struct Outcome<'a> {
    caller: &'a Caller,
    /// Written out once, however many events there are.
    time: String,
}

impl<'a> Outcome<'a> {
    pub(crate) fn new(caller: &'a Caller, at: Timestamp) -> Self {
        Self { caller, time: at.to_iso_seconds() }
    }

    pub(crate) fn call(&self, event: &Told<'_>, id: Uuid) -> String {
        let mut text = self.begin(event.spec.service.event_source, event.spec.name, event.via);
        text.push_str(",\"requestParameters\":");
        text.push_str(event.request.unwrap_or("null"));
        text.push_str(",\"responseElements\":");
        text.push_str(event.response.unwrap_or("null"));
        if let Some((code, message)) = event.error {
            push_error(&mut text, code, message);
        }
        if !event.resources.is_empty() {
            text.push_str(",\"resources\":[");
            for (index, arn) in event.resources.iter().enumerate() {
                text.push_str(if index == 0 { "{\"ARN\":" } else { ",{\"ARN\":" });
                push_quoted(&mut text, arn, MESSAGE_CHARS_MAX * 2);
                text.push('}');
            }
            text.push(']');
        }
        self.end(text, id, event.spec.read_only, "AwsApiCall")
    }

    /// A call that ended before there was an operation to make it.
    pub(crate) fn refusal(
        &self,
        service: &ServiceSpec,
        name: &str,
        (code, message): (&str, &str),
        id: Uuid,
    ) -> String {
        let mut text = self.begin(service.event_source, name, None);
        text.push_str(",\"requestParameters\":null,\"responseElements\":null");
        push_error(&mut text, code, message);
        self.end(text, id, false, "AwsApiCall")
    }

    pub(crate) fn service(&self, event: &ServiceEvent, id: Uuid) -> String {
        let mut text = self.begin(event.source, event.name, None);
        text.push_str(",\"requestParameters\":null,\"responseElements\":null");
        if !event.details.is_empty() {
            text.push_str(",\"additionalEventData\":{");
            for (index, (name, value)) in event.details.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                push_quoted(&mut text, name, MESSAGE_CHARS_MAX);
                text.push(':');
                push_quoted(&mut text, value, MESSAGE_CHARS_MAX * 2);
            }
            text.push('}');
        }
        let kind = match event.kind {
            EventKind::Service => "AwsServiceEvent",
            EventKind::Local => "CofferLocalCommand",
        };
        self.end(text, id, false, kind)
    }

    fn begin(&self, source: &str, name: &str, via: Option<&'static ServiceSpec>) -> String {
        let mut text = String::with_capacity(EVENT_LEN_USUAL);
        text.push_str("{\"eventVersion\":\"");
        text.push_str(EVENT_VERSION);
        text.push_str("\",\"userIdentity\":");
        self.identity(&mut text, via);
        text.push_str(",\"eventTime\":\"");
        text.push_str(&self.time);
        text.push_str("\",\"eventSource\":");
        push_quoted(&mut text, source, MESSAGE_CHARS_MAX);
        text.push_str(",\"eventName\":");
        push_quoted(&mut text, name, MESSAGE_CHARS_MAX);
        text.push_str(",\"awsRegion\":");
        push_quoted(&mut text, self.caller.region.as_str(), MESSAGE_CHARS_MAX);
        let (address, agent) = match via {
            Some(service) => (service.event_source, service.event_source),
            None => (self.caller.source_address.as_str(), self.caller.user_agent.as_str()),
        };
        text.push_str(",\"sourceIPAddress\":");
        push_quoted(&mut text, address, MESSAGE_CHARS_MAX);
        text.push_str(",\"userAgent\":");
        push_quoted(&mut text, agent, USER_AGENT_CHARS_MAX);
        text
    }

    fn identity(&self, text: &mut String, via: Option<&'static ServiceSpec>) {
        let principal = &self.caller.principal;
        let account = principal.account;
        match &principal.kind {
            PrincipalKind::Service { name } => {
                let _ = write!(
                    text,
                    "{{\"type\":\"AWSService\",\"accountId\":\"{account}\",\"invokedBy\":\"{name}\"}}"
                );
                return;
            }
            PrincipalKind::Root => text.push_str("{\"type\":\"Root\""),
            PrincipalKind::User { .. } => text.push_str("{\"type\":\"IAMUser\""),
        }
        text.push_str(",\"principalId\":");
        push_quoted(text, &principal.user_id, MESSAGE_CHARS_MAX);
        text.push_str(",\"arn\":");
        push_quoted(text, &principal.arn, MESSAGE_CHARS_MAX * 2);
        let _ = write!(text, ",\"accountId\":\"{account}\"");
        if let Some(key) = &principal.access_key_id {
            text.push_str(",\"accessKeyId\":");
            push_quoted(text, key, MESSAGE_CHARS_MAX);
        }
        if let PrincipalKind::User { name } = &principal.kind {
            text.push_str(",\"userName\":");
            push_quoted(text, name, MESSAGE_CHARS_MAX);
        }
        if let Some(service) = via {
            text.push_str(",\"invokedBy\":");
            push_quoted(text, service.event_source, MESSAGE_CHARS_MAX);
        }
        text.push('}');
    }

    fn end(&self, mut text: String, id: Uuid, read_only: bool, kind: &str) -> String {
        let caller = self.caller;
        let _ = write!(
            text,
            ",\"requestID\":\"{}\",\"eventID\":\"{id}\",\"readOnly\":{read_only},\"eventType\":\"{kind}\",\
             \"managementEvent\":true,\"recipientAccountId\":\"{}\",\"eventCategory\":\"Management\"",
            caller.request_id, caller.principal.account
        );
        if let Some(version) = caller.tls_version {
            let _ = write!(text, ",\"tlsDetails\":{{\"tlsVersion\":\"{version}\"}}");
        }
        text.push('}');
        text
    }
}
