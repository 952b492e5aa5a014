//! Which service a request is for, and which operation, before anything is believed of it.
//!
//! All services share one endpoint, because clients are configured with one URL. The service is decided by, in this order:
//! the scope of the signature, the `X-Amz-Target`, the `Version` and `Action` of a form, the path, the host. One exception: a
//! target that belongs to another service than the scope wins, so that checking the signature can answer with AWS's
//! sentence about the wrong scope instead of us calling the operation unknown.
//!
//! Nothing here is authenticated. The signature check compares the scope with the service that was chosen.

use std::borrow::Cow;

use coffer_shape::{ApiError, ErrorSpec, Exposure, OperationSpec, Protocol, ReadError, ServiceSpec};

use crate::{
    Head, Input, input, query,
    rest::{self, Addressed},
};

const JSON_BODY_BYTES_MAX: usize = 256 * 1024;
const QUERY_BODY_BYTES_MAX: usize = 64 * 1024;
/// A request that is going to be refused is read only for the sake of its connection.
const STRANGE_BODY_BYTES_MAX: usize = 64 * 1024;
/// Names from a request are quoted in errors up to here.
const QUOTED_CHARS_MAX: usize = 128;

/// What services without a model answer.
const UNKNOWN_OPERATION: ErrorSpec =
    ErrorSpec { code: "UnknownOperationException", status: 400, message_member: "message" };
const INVALID_ACTION: ErrorSpec = ErrorSpec { code: "InvalidAction", status: 400, message_member: "Message" };
const MALFORMED_INPUT: ErrorSpec =
    ErrorSpec { code: "MalformedInput", status: 400, message_member: "Message" };

/// How requests are read and answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    Json,
    RestJson,
    /// `None` while the service is unknown: an error without a namespace.
    Query {
        namespace: Option<&'static str>,
    },
}

impl Codec {
    pub const fn of(service: &ServiceSpec) -> Self {
        match service.protocol {
            Protocol::AwsJson11 { .. } => Self::Json,
            Protocol::RestJson1 => Self::RestJson,
            Protocol::Query { namespace } => Self::Query { namespace: Some(namespace) },
        }
    }
}

/// Where a request goes. Owned, so that it outlives the head while the body arrives.
#[derive(Debug)]
pub struct Route {
    services: &'static [&'static ServiceSpec],
    service: Option<&'static ServiceSpec>,
    codec: Codec,
    call: Call,
}

#[derive(Debug)]
enum Call {
    /// The operation of an `X-Amz-Target`; empty when there was none. If its prefix is not that of the service, letter by letter,
    /// the whole target stands here, which is the name of no operation.
    Target(String),
    /// The parameters are in the body.
    Form,
    /// The parameters are in this query string.
    QueryString(String),
    /// The path says which operation, and some of what there is to know.
    Rest(Addressed),
    /// No protocol is spoken this way; kept to say what was asked for.
    Nowhere(String),
}

pub fn route(head: &Head<'_>, services: &'static [&'static ServiceSpec]) -> Route {
    let target = head.header("x-amz-target").and_then(|target| target.rsplit_once('.'));
    let service = target
        .and_then(|(prefix, _)| find(services, |service| has_target(service, prefix)))
        .or_else(|| named(services, &scope_of(head)?))
        .or_else(|| by_version(services, head.query.as_bytes()))
        .or_else(|| find(services, |service| rest::is_path_of(service, head.path)))
        .or_else(|| named(services, service_of_path(head.path)?))
        .or_else(|| named(services, head.header("host")?.split(['.', ':']).next()?));
    let codec = service.map_or_else(|| guess(head), Codec::of);
    let addressed = service.and_then(|service| rest::find(service, head)).map(Call::Rest);
    let call = addressed.unwrap_or_else(|| call(head, codec, named_by_target(head, service)));
    Route { services, service, codec, call }
}

impl Route {
    pub const fn service(&self) -> Option<&'static ServiceSpec> {
        self.service
    }

    pub const fn codec(&self) -> Codec {
        self.codec
    }

    /// Whether the body may change what [`Route::operation`] says.
    pub const fn is_named_by_body(&self) -> bool {
        matches!(self.call, Call::Form)
    }

    /// Largest body worth reading for this request.
    pub fn body_limit(&self) -> usize {
        match (&self.call, self.service) {
            (Call::Target(name), Some(service)) => {
                service.operation(name).map_or(JSON_BODY_BYTES_MAX, |operation| operation.body_limit)
            }
            (Call::Rest(addressed), _) => addressed.operation.body_limit,
            // The operation is inside the body, so the most generous one decides.
            (Call::Form, Some(service)) => service
                .operations
                .iter()
                .map(|operation| operation.body_limit)
                .max()
                .unwrap_or(QUERY_BODY_BYTES_MAX),
            (Call::Form | Call::QueryString(_), _) => QUERY_BODY_BYTES_MAX,
            (Call::Target(_), None) | (Call::Nowhere(_), _) => STRANGE_BODY_BYTES_MAX,
        }
    }

    /// The operation, if we serve it. JSON services name it in the head, so for them `body` may be empty.
    pub fn operation(&self, body: &[u8]) -> Result<&'static OperationSpec, ApiError> {
        match &self.call {
            Call::Target(name) => match self.service {
                Some(service) => served(service, name).unwrap_or_else(|| Err(unknown(self.unknown(), name))),
                None => Err(unknown(self.unknown(), name)),
            },
            Call::Form => self.action(body),
            Call::Rest(Addressed { operation, .. }) => match operation.exposure {
                Exposure::Public => Ok(operation),
                Exposure::Internal => Err(not_implemented(operation.service, operation.name)),
            },
            // Whoever signed two sets of parameters may mean either.
            Call::QueryString(_) if !body.is_empty() => {
                Err(self.malformed("The request has parameters in its query and in its body."))
            }
            Call::QueryString(query) => self.action(query.as_bytes()),
            Call::Nowhere(asked) => Err(ApiError::new(
                self.unknown(),
                match self.codec {
                    Codec::RestJson => format!("{asked} is not an operation of this API."),
                    _ => format!("{asked} is not a request of this API; requests are POST to /."),
                },
            )),
        }
    }

    /// What was asked for, in our own spelling, when [`Route::operation`] refused it and the model knows it all the same.
    pub fn unserved(&self, body: &[u8]) -> Option<&'static str> {
        let name = match &self.call {
            Call::Target(name) => Cow::Borrowed(name.as_str()),
            Call::Form => peek(body, "Action")?,
            Call::QueryString(query) => peek(query.as_bytes(), "Action")?,
            Call::Rest(addressed) => return Some(addressed.operation.name),
            Call::Nowhere(_) => return None,
        };
        let service = self.service?;
        let inner = || service.operation(&name).map(|operation| operation.name);
        service.unserved.iter().copied().find(|unserved| *unserved == name).or_else(inner)
    }

    /// Parses the body for an operation that [`Route::operation`] found.
    pub fn input<'b>(
        &'b self,
        operation: &'static OperationSpec,
        body: &'b [u8],
    ) -> Result<Input<'b>, ApiError> {
        let malformed = |error| input::malformed(operation.service, error);
        let (values, parameters): (&[_], _) = match &self.call {
            Call::QueryString(query) => (&[], query.as_bytes()),
            Call::Rest(Addressed { values: Ok(values), .. }) => (values, body),
            Call::Rest(Addressed { values: Err(error), .. }) => return Err(malformed(error.clone())),
            _ => (&[], body),
        };
        Input::parse(operation, values, parameters).map_err(malformed)
    }

    fn action(&self, parameters: &[u8]) -> Result<&'static OperationSpec, ApiError> {
        let value = |name| match query::peek(parameters, name) {
            Ok(value) => Ok(value.unwrap_or_default()),
            Err(ReadError { message, .. }) => Err(self.malformed(&message)),
        };
        let (action, version) = (value("Action")?, value("Version")?);
        if action.is_empty() {
            return Err(ApiError::new(self.unknown(), "The request names no Action."));
        }
        let asked = |service: &&ServiceSpec| {
            matches!(service.protocol, Protocol::Query { .. }) && service.api_version == version
        };
        let found = match self.service {
            Some(service) => Some(service).filter(asked).and_then(|service| served(service, &action)),
            None => self.services.iter().copied().filter(asked).find_map(|service| served(service, &action)),
        };
        found.unwrap_or_else(|| {
            let text =
                format!("Could not find operation {} for version {}", quoted(&action), quoted(&version));
            Err(ApiError::new(self.unknown(), text))
        })
    }

    fn malformed(&self, message: &str) -> ApiError {
        let spec = self.service.map_or(MALFORMED_INPUT, |service| service.codes.serialization);
        ApiError::new(spec, message)
    }

    fn unknown(&self) -> ErrorSpec {
        match (self.service, self.codec) {
            (Some(service), _) => service.codes.unknown_operation,
            (None, Codec::Json | Codec::RestJson) => UNKNOWN_OPERATION,
            (None, Codec::Query { .. }) => INVALID_ACTION,
        }
    }
}

/// `None` for an operation the model does not know.
fn served(service: &'static ServiceSpec, name: &str) -> Option<Result<&'static OperationSpec, ApiError>> {
    match service.operation(name) {
        Some(operation) if operation.exposure == Exposure::Public => Some(Ok(operation)),
        None if !service.unserved.contains(&name) => None,
        _ => Some(Err(not_implemented(service, name))),
    }
}

fn not_implemented(service: &ServiceSpec, name: &str) -> ApiError {
    ApiError::new(service.codes.unknown_operation, format!("The operation {name} is not implemented."))
}

fn unknown(spec: ErrorSpec, name: &str) -> ApiError {
    let text = match name {
        "" => String::from("The request names no operation in X-Amz-Target."),
        name => format!("The operation {} is unknown.", quoted(name)),
    };
    ApiError::new(spec, text)
}

/// What a stranger wrote, short enough and without anything that could disturb a log or a terminal.
fn quoted(name: &str) -> String {
    name.chars().filter(char::is_ascii_graphic).take(QUOTED_CHARS_MAX).collect()
}

fn call(head: &Head<'_>, codec: Codec, target: Option<&str>) -> Call {
    let nowhere = || Call::Nowhere(format!("{} {}", quoted(head.method), quoted(head.path)));
    match (codec, head.method, head.path) {
        (Codec::Json, "POST", "/") => Call::Target(target.unwrap_or_default().to_owned()),
        (Codec::Query { .. }, "GET", "/") => Call::QueryString(head.query.to_owned()),
        // Some clients post an empty form and put the parameters into the URL.
        (Codec::Query { .. }, "POST", "/") if peek(head.query.as_bytes(), "Action").is_some() => {
            Call::QueryString(head.query.to_owned())
        }
        (Codec::Query { .. }, "POST", "/") => Call::Form,
        _ => nowhere(),
    }
}

/// The operation that the target names. AWS spells a prefix one way, and so do all of its clients.
fn named_by_target<'h>(head: &Head<'h>, service: Option<&ServiceSpec>) -> Option<&'h str> {
    let target = head.header("x-amz-target")?;
    let (prefix, name) = target.rsplit_once('.')?;
    let is_ours = service.is_some_and(|service| has_target(service, prefix));
    Some(if is_ours || name.is_empty() { name } else { target })
}

/// What the parameters say, as long as nothing depends on it but who is going to refuse them.
fn peek<'b>(parameters: &'b [u8], name: &str) -> Option<Cow<'b, str>> {
    query::peek(parameters, name).ok().flatten()
}

/// The protocol of the caller when nothing says the service.
fn guess(head: &Head<'_>) -> Codec {
    let form = head.media_type().eq_ignore_ascii_case("application/x-www-form-urlencoded")
        || (head.header("x-amz-target").is_none() && peek(head.query.as_bytes(), "Action").is_some());
    if form { Codec::Query { namespace: None } } else { Codec::Json }
}

fn find(
    services: &'static [&'static ServiceSpec],
    is: impl Fn(&ServiceSpec) -> bool,
) -> Option<&'static ServiceSpec> {
    services.iter().copied().find(|service| is(service))
}

fn named(services: &'static [&'static ServiceSpec], name: &str) -> Option<&'static ServiceSpec> {
    find(services, |service| service.name == name)
}

/// CloudTrail's target is sent whole by some clients and only from its last part on by others.
fn has_target(service: &ServiceSpec, prefix: &str) -> bool {
    let Protocol::AwsJson11 { target_prefix } = service.protocol else { return false };
    target_prefix == prefix || target_prefix.rsplit_once('.').is_some_and(|(_, last)| last == prefix)
}

/// The signing name: `<key>/<date>/<region>/<service>/aws4_request`, in the header or in a presigned URL.
fn scope_of<'a>(head: &Head<'a>) -> Option<Cow<'a, str>> {
    if let Some(authorization) = head.header("authorization") {
        let (_, credential) = authorization.split_once("Credential=")?;
        let scope = credential.split([',', ' ']).next()?;
        return scope.rsplit('/').nth(1).map(Cow::Borrowed);
    }
    let scope = peek(head.query.as_bytes(), "X-Amz-Credential")?;
    scope.rsplit('/').nth(1).map(|name| Cow::Owned(name.to_owned()))
}

fn by_version(services: &'static [&'static ServiceSpec], query: &[u8]) -> Option<&'static ServiceSpec> {
    let (action, version) = (peek(query, "Action")?, peek(query, "Version")?);
    find(services, |service| {
        matches!(service.protocol, Protocol::Query { .. })
            && service.api_version == version
            && (service.operation(&action).is_some() || service.unserved.contains(&action.as_ref()))
    })
}

/// Services that are addressed by path. Those we do not serve are told so by name.
fn service_of_path(path: &str) -> Option<&'static str> {
    const PATHS: &[(&str, &str)] = &[("/service/GraniteServiceVersion20100801/operation/", "monitoring")];
    PATHS.iter().find(|(prefix, _)| path.starts_with(prefix)).map(|(_, name)| *name)
}
