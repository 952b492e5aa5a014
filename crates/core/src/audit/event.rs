//! One audit event as JSON text.

use std::{cell::OnceCell, fmt::Write, sync::Arc};

use coffer_shape::{OperationSpec, ServiceSpec, push_quoted};
use coffer_types::{AccountId, Region, Timestamp, Uuid};

use super::facts::resource_type;
use crate::{Caller, Principal, PrincipalKind, Session};

/// CloudTrail's region for what belongs to none.
const GLOBAL_EVENTS_IN: &str = "us-east-1";
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
    /// Where it was made.
    pub account: AccountId,
    /// Somebody else than the caller, in whose name a service made it.
    pub by: Option<Arc<Caller>>,
    /// The service that made the call on the caller's behalf.
    pub via: Option<&'static ServiceSpec>,
    pub request: Option<String>,
    pub response: Option<String>,
    pub error: Option<(&'static str, String)>,
    /// Pairs of `additionalEventData`.
    pub more: Vec<(&'static str, String)>,
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
    pub more: &'a [(&'static str, String)],
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
            more: &event.more,
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

fn push_more(text: &mut String, pairs: &[(&'static str, String)]) {
    if pairs.is_empty() {
        return;
    }
    text.push_str(",\"additionalEventData\":{");
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        push_quoted(text, name, MESSAGE_CHARS_MAX);
        text.push(':');
        push_quoted(text, value, MESSAGE_CHARS_MAX * 2);
    }
    text.push('}');
}

/// Which region an event is told of, and therefore where it is looked up. What belongs to none is told of the one that AWS has for that.
fn region_of<'a>(region: &'a Region, service: Option<&'a ServiceSpec>) -> &'a str {
    let here = if region.is_global() { GLOBAL_EVENTS_IN } else { region.as_str() };
    service.and_then(|service| service.events_in).unwrap_or(here)
}

fn push_resource(text: &mut String, arn: &str) {
    if let Some(account) = arn.split(':').nth(4).filter(|account| !account.is_empty()) {
        text.push_str("\"accountId\":");
        push_quoted(text, account, MESSAGE_CHARS_MAX);
        text.push(',');
    }
    if let Some(kind) = resource_type(arn) {
        let _ = write!(text, "\"type\":\"{kind}\",");
    }
    text.push_str("\"ARN\":");
    push_quoted(text, arn, MESSAGE_CHARS_MAX * 2);
    text.push('}');
}

/// Whom an event names: the caller, or the service that did something by itself.
#[derive(Debug, Clone, Copy)]
enum By<'a> {
    /// And the service that made the call on his behalf.
    Caller(Option<&'static ServiceSpec>),
    Itself(&'a str),
}

/// What all events of one request share.
pub(crate) struct Outcome<'a> {
    caller: &'a Caller,
    /// Whose trail it is for.
    recipient: AccountId,
    /// Written out once, however many events there are.
    time: String,
    /// The caller, but for the end.
    who: OnceCell<String>,
}

impl<'a> Outcome<'a> {
    /// For the caller's own account.
    pub(crate) fn new(caller: &'a Caller, at: Timestamp) -> Self {
        Self { caller, recipient: caller.principal.account, time: at.to_iso_seconds(), who: OnceCell::new() }
    }

    /// The same for the account whose resource it was about. If that is another one, it learns the caller's id and account and nothing
    /// else about him.
    pub(crate) fn told_to(&self, recipient: AccountId) -> Self {
        Self { caller: self.caller, recipient, time: self.time.clone(), who: OnceCell::new() }
    }

    /// `shared` is what the events of one call have in common when two accounts have one each.
    pub(crate) fn call(&self, event: &Told<'_>, id: Uuid, shared: Option<Uuid>) -> String {
        let service = event.spec.service;
        let region = region_of(&self.caller.region, Some(service));
        let mut text = self.begin(service.event_source, event.spec.name, region, By::Caller(event.via));
        text.push_str(",\"requestParameters\":");
        text.push_str(event.request.unwrap_or("null"));
        text.push_str(",\"responseElements\":");
        text.push_str(event.response.unwrap_or("null"));
        if let Some((code, message)) = event.error {
            push_error(&mut text, code, message);
        }
        push_more(&mut text, event.more);
        if !event.resources.is_empty() {
            text.push_str(",\"resources\":[");
            for (index, arn) in event.resources.iter().enumerate() {
                text.push_str(if index == 0 { "{" } else { ",{" });
                push_resource(&mut text, arn);
            }
            text.push(']');
        }
        if let Some(shared) = shared {
            let _ = write!(text, ",\"sharedEventID\":\"{shared}\"");
        }
        self.end(text, id, event.spec.audit.read_only, "AwsApiCall")
    }

    /// A call that ended before there was an operation to make it.
    pub(crate) fn refusal(
        &self,
        service: &ServiceSpec,
        name: &str,
        (code, message): (&str, &str),
        id: Uuid,
    ) -> String {
        let mut text = self.begin(
            service.event_source,
            name,
            region_of(&self.caller.region, Some(service)),
            By::Caller(None),
        );
        text.push_str(",\"requestParameters\":null,\"responseElements\":null");
        push_error(&mut text, code, message);
        self.end(text, id, false, "AwsApiCall")
    }

    /// In the region in which it happened, which may be another one than the caller's.
    pub(crate) fn service(&self, event: &ServiceEvent, region: &Region, id: Uuid) -> String {
        let by = match event.kind {
            EventKind::Service => By::Itself(event.source),
            EventKind::Local => By::Caller(None),
        };
        let mut text = self.begin(event.source, event.name, region_of(region, None), by);
        text.push_str(",\"requestParameters\":null,\"responseElements\":null");
        push_more(&mut text, &event.details);
        let kind = match event.kind {
            EventKind::Service => "AwsServiceEvent",
            EventKind::Local => "CofferLocalCommand",
        };
        self.end(text, id, false, kind)
    }

    fn begin(&self, source: &str, name: &str, region: &str, by: By<'_>) -> String {
        let mut text = String::with_capacity(EVENT_LEN_USUAL);
        text.push_str("{\"eventVersion\":\"");
        text.push_str(EVENT_VERSION);
        text.push_str("\",\"userIdentity\":");
        match by {
            By::Caller(via) => self.identity(&mut text, via),
            By::Itself(service) => {
                let account = self.recipient;
                let _ = write!(text, "{{\"accountId\":\"{account}\",\"invokedBy\":\"{service}\"}}");
            }
        }
        text.push_str(",\"eventTime\":\"");
        text.push_str(&self.time);
        text.push_str("\",\"eventSource\":");
        push_quoted(&mut text, source, MESSAGE_CHARS_MAX);
        text.push_str(",\"eventName\":");
        push_quoted(&mut text, name, MESSAGE_CHARS_MAX);
        text.push_str(",\"awsRegion\":");
        push_quoted(&mut text, region, MESSAGE_CHARS_MAX);
        let (address, agent) = match by {
            By::Itself(service) => (service, service),
            By::Caller(Some(service)) => (service.event_source, service.event_source),
            By::Caller(None) => (self.caller.source_address.as_str(), self.caller.user_agent.as_str()),
        };
        text.push_str(",\"sourceIPAddress\":");
        push_quoted(&mut text, address, MESSAGE_CHARS_MAX);
        text.push_str(",\"userAgent\":");
        push_quoted(&mut text, agent, USER_AGENT_CHARS_MAX);
        text
    }

    fn identity(&self, text: &mut String, via: Option<&'static ServiceSpec>) {
        text.push_str(self.who.get_or_init(|| self.who()));
        let is_no_identity = matches!(
            self.caller.principal.kind,
            PrincipalKind::Service { .. } | PrincipalKind::WebIdentity(_)
        );
        if let (Some(service), false) = (via, is_no_identity) {
            text.push_str(",\"invokedBy\":");
            push_quoted(text, service.event_source, MESSAGE_CHARS_MAX);
        }
        text.push('}');
    }

    fn who(&self) -> String {
        let mut text = String::new();
        let principal = &self.caller.principal;
        let account = principal.account;
        match &principal.kind {
            PrincipalKind::Service { name } => {
                let _ = write!(
                    text,
                    "{{\"type\":\"AWSService\",\"accountId\":\"{account}\",\"invokedBy\":\"{name}\""
                );
                return text;
            }
            PrincipalKind::WebIdentity(identity) => {
                text.push_str("{\"type\":\"WebIdentityUser\",\"principalId\":");
                push_quoted(&mut text, &principal.user_id, MESSAGE_CHARS_MAX * 2);
                text.push_str(",\"userName\":");
                push_quoted(&mut text, &identity.subject, MESSAGE_CHARS_MAX);
                text.push_str(",\"identityProvider\":");
                push_quoted(&mut text, &principal.arn, MESSAGE_CHARS_MAX * 2);
                return text;
            }
            _ if self.recipient != account => {
                text.push_str("{\"type\":\"AWSAccount\",\"principalId\":");
                push_quoted(&mut text, &principal.user_id, MESSAGE_CHARS_MAX);
                let _ = write!(text, ",\"accountId\":\"{account}\"");
                return text;
            }
            PrincipalKind::Root => text.push_str("{\"type\":\"Root\""),
            PrincipalKind::User { .. } => text.push_str("{\"type\":\"IAMUser\""),
            PrincipalKind::AssumedRole(_) => text.push_str("{\"type\":\"AssumedRole\""),
        }
        text.push_str(",\"principalId\":");
        push_quoted(&mut text, &principal.user_id, MESSAGE_CHARS_MAX);
        text.push_str(",\"arn\":");
        push_quoted(&mut text, &principal.arn, MESSAGE_CHARS_MAX * 2);
        let _ = write!(text, ",\"accountId\":\"{account}\"");
        if let Some(key) = &principal.access_key_id {
            text.push_str(",\"accessKeyId\":");
            push_quoted(&mut text, key, MESSAGE_CHARS_MAX);
        }
        if let PrincipalKind::User { name } = &principal.kind {
            text.push_str(",\"userName\":");
            push_quoted(&mut text, name, MESSAGE_CHARS_MAX);
        }
        if let Some(session) = &principal.session {
            push_session(&mut text, principal, session);
        }
        text
    }

    fn end(&self, mut text: String, id: Uuid, read_only: bool, kind: &str) -> String {
        let caller = self.caller;
        let _ = write!(
            text,
            ",\"requestID\":\"{}\",\"eventID\":\"{id}\",\"readOnly\":{read_only},\"eventType\":\"{kind}\",\
             \"managementEvent\":true,\"recipientAccountId\":\"{}\",\"eventCategory\":\"Management\"",
            caller.request_id, self.recipient
        );
        if let Some(tls) = caller.transport.tls() {
            let _ = write!(text, ",\"tlsDetails\":{{\"tlsVersion\":\"{}\"", tls.version);
            if let Some(suite) = tls.cipher_suite {
                let _ = write!(text, ",\"cipherSuite\":\"{suite}\"");
            }
            text.push_str(",\"clientProvidedHostHeader\":");
            push_quoted(&mut text, &caller.host, MESSAGE_CHARS_MAX);
            text.push('}');
        }
        text.push('}');
        text
    }
}

/// What temporary credentials tell of the call that gave them out.
fn push_session(text: &mut String, principal: &Principal, session: &Session) {
    text.push_str(",\"sessionContext\":{");
    if let PrincipalKind::AssumedRole(role) = &principal.kind {
        text.push_str("\"sessionIssuer\":{\"type\":\"Role\",\"principalId\":");
        push_quoted(text, &role.id, MESSAGE_CHARS_MAX);
        text.push_str(",\"arn\":");
        push_quoted(text, &role.arn, MESSAGE_CHARS_MAX * 2);
        let _ = write!(text, ",\"accountId\":\"{}\",\"userName\":", principal.account);
        push_quoted(text, role.arn.rsplit('/').next().unwrap_or_default(), MESSAGE_CHARS_MAX);
        text.push_str("},");
    }
    if let Some(provider) = &session.federated_provider {
        text.push_str("\"webIdFederationData\":{\"federatedProvider\":");
        push_quoted(text, provider, MESSAGE_CHARS_MAX * 2);
        text.push_str("},");
    }
    let issued = session.issued_at.to_iso_seconds();
    let _ = write!(
        text,
        "\"attributes\":{{\"creationDate\":\"{issued}\",\"mfaAuthenticated\":\"{}\"}}",
        session.mfa
    );
    if let Some(source) = &session.source_identity {
        text.push_str(",\"sourceIdentity\":");
        push_quoted(text, source, MESSAGE_CHARS_MAX);
    }
    text.push('}');
}
