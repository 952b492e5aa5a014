//! The other side of the wire, for our own client and for tests: requests out, answers in.
//!
//! Answers in XML are not read into shapes; of an error only its code and its sentence are, which needs no parser.

use coffer_shape::{At, OperationSpec, Protocol, Read, ReadError, Rest, Shape, WriteError, Writer, Wrote};
use coffer_types::Secret;

use crate::{
    Codec,
    json::{JsonBody, JsonWriter},
    query::FormWriter,
    rest::{Pieces, RestWriter},
};

/// What to send, before it is signed.
#[derive(Debug)]
pub struct Request {
    pub method: &'static str,
    /// As it is sent, with its escapes.
    pub path: String,
    /// What follows the `?`; empty without one.
    pub query: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Secret<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteError {
    pub code: String,
    pub message: String,
}

/// Writes a request. `write` is the input's own walk: `&|to| input.write(to)`.
pub fn encode_request(
    operation: &OperationSpec,
    write: &dyn Fn(&mut dyn Writer) -> Wrote,
) -> Result<Request, WriteError> {
    let post = |headers, body| Request {
        method: "POST",
        path: String::from("/"),
        query: String::new(),
        headers,
        body,
    };
    match operation.service.protocol {
        Protocol::RestJson1 => {
            let rest = operation.rest.ok_or_else(|| WriteError::new("an operation without a path"))?;
            let mut pieces = RestWriter::new(rest.input);
            write(&mut pieces)?;
            addressed(rest, pieces.finish())
        }
        Protocol::AwsJson11 { target_prefix } => {
            let mut json = JsonWriter::new();
            write(&mut json)?;
            let headers = vec![
                ("content-type", String::from("application/x-amz-json-1.1")),
                ("x-amz-target", format!("{target_prefix}.{}", operation.name)),
            ];
            Ok(post(headers, json.finish()))
        }
        Protocol::Query { .. } => {
            let mut form = FormWriter::new(operation.name, operation.service.api_version);
            write(&mut form)?;
            let headers =
                vec![("content-type", String::from("application/x-www-form-urlencoded; charset=utf-8"))];
            Ok(post(headers, form.finish()))
        }
    }
}

/// A request whose members stand where the operation has them.
fn addressed(rest: &Rest, pieces: Pieces) -> Result<Request, WriteError> {
    let mut path = rest.path.to_owned();
    let mut query: Vec<String> = rest.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut headers = vec![("content-type", String::from("application/json"))];
    for (bound, value) in pieces.values {
        match bound.at {
            At::Uri => path = path.replace(&format!("{{{}}}", bound.name), &escaped(&value)),
            At::Query => query.push(format!("{}={}", bound.name, escaped(&value))),
            At::Header | At::Status | At::Payload => headers.push((bound.name, value)),
        }
    }
    let is_no_step = |step: &str| step.starts_with('{') || matches!(step, "" | "." | "..");
    if path.split('/').skip(1).any(is_no_step) {
        return Err(WriteError::new("a member of the path is missing"));
    }
    let body = if matches!(rest.method, "GET" | "DELETE") { Secret::default() } else { pieces.body };
    Ok(Request { method: rest.method, path, query: query.join("&"), headers, body })
}

/// Every byte that means something in a URL, or might, as `%XX`.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// Reads a successful answer of a JSON service. What an answer says outside of its body is not read.
pub fn read_output<S: Shape>(operation: &OperationSpec, body: &[u8]) -> Read<S> {
    match Codec::of(operation.service) {
        Codec::Json | Codec::RestJson => S::read(&mut JsonBody::parse(body)?.reader()),
        Codec::Query { .. } => Err(ReadError::new("answers in XML are not read into shapes")),
    }
}

/// The code and sentence of an error; `None` when the body is not one of ours or AWS's, such as a page of a proxy. `kind` is what
/// the header `x-amzn-errortype` says.
pub fn read_error(codec: Codec, kind: Option<&str>, body: &[u8]) -> Option<RemoteError> {
    match codec {
        Codec::Json | Codec::RestJson => {
            let body = JsonBody::parse(body).ok()?;
            let code = match codec {
                Codec::RestJson => kind?.split(':').next()?,
                _ => body.text("__type")?,
            };
            // AWS qualifies some types: `com.amazon.coral.service#SerializationException`.
            let code = code.rsplit_once('#').map_or(code, |(_, name)| name).to_owned();
            let message = body.text("message").or_else(|| body.text("Message")).unwrap_or_default();
            Some(RemoteError { code, message: message.to_owned() })
        }
        Codec::Query { .. } => {
            let body = std::str::from_utf8(body).ok()?;
            let code = leaf(body, "Code")?;
            Some(RemoteError { code, message: leaf(body, "Message").unwrap_or_default() })
        }
    }
}

/// The text of the first element of this name, which must hold nothing but text.
fn leaf(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    // The ampersand comes last, or `&amp;lt;` would be undone twice.
    const ENTITIES: &[(&str, &str)] =
        &[("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#xD;", "\r"), ("&amp;", "&")];
    Some(ENTITIES.iter().fold(text.to_owned(), |text, (entity, letter)| text.replace(entity, letter)))
}
