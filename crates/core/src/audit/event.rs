//! One audit event as JSON text.

use std::fmt::Write;

use coffer_shape::{OperationSpec, ServiceSpec};
use coffer_types::{Timestamp, Uuid};

use crate::{Caller, PrincipalKind};

const EVENT_VERSION: &str = "1.09";
/// A user-controlled header is cut here.
const USER_AGENT_CHARS_MAX: usize = 256;
const MESSAGE_CHARS_MAX: usize = 1024;

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

/// What all events of one request share.
pub(crate) struct Outcome<'a> {
    pub caller: &'a Caller,
    pub at: Timestamp,
}

impl Outcome<'_> {
    pub(crate) fn call(&self, event: &Event, id: Uuid) -> String {
        let mut text = self.begin(event.spec.service.event_source, event.spec.name, event.via);
        text.push_str(",\"requestParameters\":");
        text.push_str(event.request.as_deref().unwrap_or("null"));
        text.push_str(",\"responseElements\":");
        text.push_str(event.response.as_deref().unwrap_or("null"));
        if let Some((code, message)) = &event.error {
            // CloudTrail drops the suffix of this one code only.
            let code = if *code == "AccessDeniedException" { "AccessDenied" } else { code };
            text.push_str(",\"errorCode\":");
            push_string(&mut text, code, MESSAGE_CHARS_MAX);
            text.push_str(",\"errorMessage\":");
            push_string(&mut text, message, MESSAGE_CHARS_MAX);
        }
        if !event.resources.is_empty() {
            text.push_str(",\"resources\":[");
            for (index, arn) in event.resources.iter().enumerate() {
                text.push_str(if index == 0 { "{\"ARN\":" } else { ",{\"ARN\":" });
                push_string(&mut text, arn, MESSAGE_CHARS_MAX * 2);
                text.push('}');
            }
            text.push(']');
        }
        self.end(text, id, event.spec.read_only, "AwsApiCall")
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
                push_string(&mut text, name, MESSAGE_CHARS_MAX);
                text.push(':');
                push_string(&mut text, value, MESSAGE_CHARS_MAX * 2);
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
        let mut text = String::with_capacity(1024);
        text.push_str("{\"eventVersion\":\"");
        text.push_str(EVENT_VERSION);
        text.push_str("\",\"userIdentity\":");
        self.identity(&mut text, via);
        text.push_str(",\"eventTime\":\"");
        text.push_str(&self.at.to_iso_seconds());
        text.push_str("\",\"eventSource\":");
        push_string(&mut text, source, MESSAGE_CHARS_MAX);
        text.push_str(",\"eventName\":");
        push_string(&mut text, name, MESSAGE_CHARS_MAX);
        text.push_str(",\"awsRegion\":");
        push_string(&mut text, self.caller.region.as_str(), MESSAGE_CHARS_MAX);
        let (address, agent) = match via {
            Some(service) => (service.event_source, service.event_source),
            None => (self.caller.source_address.as_str(), self.caller.user_agent.as_str()),
        };
        text.push_str(",\"sourceIPAddress\":");
        push_string(&mut text, address, MESSAGE_CHARS_MAX);
        text.push_str(",\"userAgent\":");
        push_string(&mut text, agent, USER_AGENT_CHARS_MAX);
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
        push_string(text, &principal.user_id, MESSAGE_CHARS_MAX);
        text.push_str(",\"arn\":");
        push_string(text, &principal.arn, MESSAGE_CHARS_MAX * 2);
        let _ = write!(text, ",\"accountId\":\"{account}\"");
        if let Some(key) = &principal.access_key_id {
            text.push_str(",\"accessKeyId\":");
            push_string(text, key, MESSAGE_CHARS_MAX);
        }
        if let PrincipalKind::User { name } = &principal.kind {
            text.push_str(",\"userName\":");
            push_string(text, name, MESSAGE_CHARS_MAX);
        }
        if let Some(service) = via {
            text.push_str(",\"invokedBy\":");
            push_string(text, service.event_source, MESSAGE_CHARS_MAX);
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

/// Appends a JSON string, cut and with its control characters escaped.
fn push_string(text: &mut String, value: &str, chars_max: usize) {
    text.push('"');
    // Most strings need no work at all.
    if value.len() <= chars_max
        && value.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\' && byte < 0x7f)
    {
        text.push_str(value);
    } else {
        for letter in value.chars().take(chars_max) {
            match letter {
                '"' => text.push_str("\\\""),
                '\\' => text.push_str("\\\\"),
                control if control.is_control() => {
                    let _ = write!(text, "\\u{:04x}", u32::from(control));
                }
                other => text.push(other),
            }
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_inside_its_string() {
        for (given, expected) in [
            ("plain", "\"plain\""),
            ("quote\" and \\", "\"quote\\\" and \\\\\""),
            ("line\nbreak\u{7f}\u{85}", "\"line\\u000abreak\\u007f\\u0085\""),
            ("ümlaut", "\"ümlaut\""),
        ] {
            let mut text = String::new();
            push_string(&mut text, given, 100);
            assert_eq!(text, expected);
        }
        let mut text = String::new();
        push_string(&mut text, &"x".repeat(50), 3);
        assert_eq!(text, "\"xxx\"");
    }
}
