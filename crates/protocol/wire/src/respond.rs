//! The bytes of an answer: an output of an operation, or an error in the words of the caller's protocol.
//!
//! Only the code and the sentence of an error leave the house. Its cause is for the log, and no function here reads it.

use coffer_shape::{ApiError, Empty, OperationSpec, Shape, WriteError, Writer, Wrote};
use coffer_types::{RequestId, Secret};

use crate::{Codec, json::JsonWriter, xml::XmlWriter};

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
    let body = match codec {
        Codec::Json => json_output(write),
        Codec::Query { namespace } => xml_output(operation, namespace, write, &id),
    };
    // A shape that cannot be written is our mistake, whatever the request was.
    let body = body.map_err(|error| {
        ApiError::new(operation.service.codes.internal, "An error occurred on the server side.")
            .because(error)
    })?;
    Ok(response(codec, 200, id, body))
}

pub fn encode_error(codec: Codec, error: &ApiError, request_id: RequestId) -> Response {
    let id = request_id.to_string();
    let body = match codec {
        Codec::Json => json_error(error),
        Codec::Query { namespace } => xml_error(error, namespace, &id),
    };
    response(codec, error.status(), id, body)
}

fn response(codec: Codec, status: u16, id: String, body: Secret<Vec<u8>>) -> Response {
    let content_type = match codec {
        Codec::Json => "application/x-amz-json-1.1",
        Codec::Query { .. } => "text/xml",
    };
    Response { status, content_type, headers: vec![("x-amzn-requestid", id)], body }
}

fn json_output(write: &dyn Fn(&mut dyn Writer) -> Wrote) -> Result<Secret<Vec<u8>>, WriteError> {
    let mut json = JsonWriter::new();
    write(&mut json)?;
    Ok(json.finish())
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
