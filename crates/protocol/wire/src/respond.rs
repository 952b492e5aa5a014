//! The bytes of an answer: an output of an operation, or an error in the words of the caller's protocol.
//!
//! Only the code and the sentence of an error leave the house. Its cause is for the log, and no function here reads it.

use coffer_shape::{ApiError, At, Empty, OperationSpec, Rest, Shape, WriteError, Writer, Wrote};
use coffer_types::{RequestId, Secret};

use crate::{Codec, json::JsonWriter, rest::RestWriter, xml::XmlWriter};

const NO_CONTENT: u16 = 204;

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub content_type: &'static str,
    /// In lower case, without `content-type`, `content-length` and `date`.
    pub headers: Vec<(&'static str, String)>,
    pub body: Secret<Vec<u8>>,
}

/// Writes a successful answer. `write` is the output's own walk: `&|to| output.write(to)`.
pub fn encode_output(
    operation: &OperationSpec,
    write: &dyn Fn(&mut dyn Writer) -> Wrote,
    request_id: RequestId,
) -> Result<Response, ApiError> {
    let codec = Codec::of(operation.service);
    let id = request_id.to_string();
    let written = match (codec, operation.rest) {
        (Codec::RestJson, Some(rest)) => rest_output(rest, write, id),
        (Codec::Json | Codec::RestJson, _) => json_output(write).map(|body| response(codec, 200, id, body)),
        (Codec::Query { namespace }, _) => {
            xml_output(operation, namespace, write, &id).map(|body| response(codec, 200, id, body))
        }
    };
    // A shape that cannot be written is our mistake, whatever the request was.
    written.map_err(|error| {
        ApiError::new(operation.service.codes.internal, "An error occurred on the server side.")
            .because(error)
    })
}

pub fn encode_error(codec: Codec, error: &ApiError, request_id: RequestId) -> Response {
    let id = request_id.to_string();
    let body = match codec {
        Codec::Json => json_error(error),
        Codec::RestJson => rest_error(error),
        Codec::Query { namespace } => xml_error(error, namespace, &id),
    };
    let mut response = response(codec, error.status(), id, body);
    if codec == Codec::RestJson {
        response.headers.push(("x-amzn-errortype", error.code().to_owned()));
    }
    response
}

fn response(codec: Codec, status: u16, id: String, body: Secret<Vec<u8>>) -> Response {
    let content_type = match codec {
        Codec::Json => "application/x-amz-json-1.1",
        Codec::RestJson => "application/json",
        Codec::Query { .. } => "text/xml",
    };
    Response { status, content_type, headers: vec![("x-amzn-requestid", id)], body }
}

fn json_output(write: &dyn Fn(&mut dyn Writer) -> Wrote) -> Result<Secret<Vec<u8>>, WriteError> {
    let mut json = JsonWriter::new();
    write(&mut json)?;
    Ok(json.finish())
}

fn rest_output(
    rest: &'static Rest,
    write: &dyn Fn(&mut dyn Writer) -> Wrote,
    id: String,
) -> Result<Response, WriteError> {
    let mut writer = RestWriter::new(rest.output);
    write(&mut writer)?;
    let pieces = writer.finish();
    let mut answer = response(Codec::RestJson, rest.status, id, pieces.body);
    for (bound, value) in pieces.values {
        match bound.at {
            At::Status => answer.status = value.parse().map_err(|_| WriteError::new("no status"))?,
            _ => answer.headers.push((bound.name, value)),
        }
    }
    if answer.status == NO_CONTENT {
        answer.body = Secret::default();
    }
    Ok(answer)
}

fn xml_output(
    operation: &OperationSpec,
    namespace: Option<&'static str>,
    write: &dyn Fn(&mut dyn Writer) -> Wrote,
    id: &str,
) -> Result<Secret<Vec<u8>>, WriteError> {
    let mut xml = XmlWriter::new();
    xml.root([operation.name, "Response"], namespace, |xml| {
        // An output of the model is there even if it can hold nothing: clients look for the element.
        if operation.output.name != Empty::SCHEMA.name {
            xml.root([operation.name, "Result"], None, |xml| write(xml))?;
        }
        xml.element("ResponseMetadata", |xml| xml.leaf("RequestId", id))
    })?;
    Ok(xml.finish())
}

/// `{"__type":"ResourceNotFoundException","Message":"…"}`. An error without a sentence has no message member.
fn json_error(error: &ApiError) -> Secret<Vec<u8>> {
    let mut json = JsonWriter::new();
    json.fields(&[("__type", error.code()), (error.spec.message_member, &error.message)]);
    json.finish()
}

/// `{"Type":"User","Message":"…"}`; the code stands in a header.
fn rest_error(error: &ApiError) -> Secret<Vec<u8>> {
    let mut json = JsonWriter::new();
    json.fields(&[
        ("Reason", error.reason.unwrap_or_default()),
        ("Type", if error.is_fault() { "Service" } else { "User" }),
        (error.spec.message_member, &error.message),
    ]);
    json.finish()
}

fn xml_error(error: &ApiError, namespace: Option<&'static str>, id: &str) -> Secret<Vec<u8>> {
    let mut xml = XmlWriter::new();
    let kind = if error.is_fault() { "Receiver" } else { "Sender" };
    let written = xml.root(["Error", "Response"], namespace, |xml| {
        xml.element("Error", |xml| {
            xml.leaf("Type", kind)?;
            xml.leaf("Code", error.code())?;
            xml.leaf("Message", &error.message)
        })?;
        xml.leaf("RequestId", id)
    });
    debug_assert!(written.is_ok(), "text leaves cannot fail");
    xml.finish()
}
