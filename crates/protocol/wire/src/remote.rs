//! The other side of the wire, for our own client and for tests: requests out, answers in.
//!
//! Answers in XML are not read into shapes; of an error only its code and its sentence are, which needs no parser.

use coffer_shape::{OperationSpec, Protocol, Read, ReadError, Shape, WriteError, Writer, Wrote};
use coffer_types::Secret;

use crate::{
    Codec,
    json::{JsonBody, JsonWriter},
    query::FormWriter,
};

/// What to send, `POST` to `/`, before it is signed.
#[derive(Debug)]
pub struct Request {
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
    match operation.service.protocol {
        Protocol::AwsJson11 { target_prefix } => {
            let mut json = JsonWriter::new();
            write(&mut json)?;
            let headers = vec![
                ("content-type", String::from("application/x-amz-json-1.1")),
                ("x-amz-target", format!("{target_prefix}.{}", operation.name)),
            ];
            Ok(Request { headers, body: json.finish() })
        }
        Protocol::Query { .. } => {
            let mut form = FormWriter::new(operation.name, operation.service.api_version);
            write(&mut form)?;
            let headers =
                vec![("content-type", String::from("application/x-www-form-urlencoded; charset=utf-8"))];
            Ok(Request { headers, body: form.finish() })
        }
    }
}

/// Reads a successful answer of a JSON service.
pub fn read_output<S: Shape>(operation: &OperationSpec, body: &[u8]) -> Read<S> {
    match Codec::of(operation.service) {
        Codec::Json => S::read(&mut JsonBody::parse(body)?.reader()),
        Codec::Query { .. } => Err(ReadError::new("answers in XML are not read into shapes")),
    }
}

/// The code and sentence of an error; `None` when the body is not one of ours or AWS's, such as a page of a proxy.
pub fn read_error(codec: Codec, body: &[u8]) -> Option<RemoteError> {
    match codec {
        Codec::Json => {
            let body = JsonBody::parse(body).ok()?;
            let code = body.text("__type")?;
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
