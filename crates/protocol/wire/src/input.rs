//! The parsed body of a request, ready to become the input of its operation, and what to answer when it cannot.

use coffer_shape::{
    ApiError, DecodeError, OperationSpec, Protocol, Read, ReadError, Reader, ServiceSpec, Shape, decode,
    validation_message,
};

use crate::{
    json::JsonBody,
    query::{Form, QueryReader},
    rest::RestBody,
};

#[derive(Debug)]
pub struct Input<'b> {
    service: &'static ServiceSpec,
    body: Body<'b>,
}

#[derive(Debug)]
enum Body<'b> {
    Json(JsonBody<'b>),
    Form(Form<'b>),
    Rest(RestBody<'b>),
}

impl<'b> Input<'b> {
    /// `values` are the members that stand outside of the body.
    pub(crate) fn parse(
        operation: &OperationSpec,
        values: &'b [(usize, String)],
        parameters: &'b [u8],
    ) -> Read<Self> {
        let body = match (operation.service.protocol, operation.rest) {
            (Protocol::Query { .. }, _) => Body::Form(Form::parse(parameters)?),
            (Protocol::RestJson1, Some(rest)) => Body::Rest(RestBody::parse(rest, values, parameters)?),
            (Protocol::AwsJson11 { .. } | Protocol::RestJson1, _) => {
                Body::Json(JsonBody::parse_within(parameters, operation.body_limit)?)
            }
        };
        Ok(Self { service: operation.service, body })
    }

    /// For whoever knows the shape only behind a function pointer. The value can be read once.
    pub fn reader(&mut self) -> Box<dyn Reader + '_> {
        match &mut self.body {
            Body::Json(body) => Box::new(body.reader()),
            Body::Form(form) => Box::new(QueryReader::new(form)),
            Body::Rest(body) => Box::new(body.reader()),
        }
    }

    /// Reads the shape and answers with everything that is wrong with it.
    pub fn decode<S: Shape>(mut self) -> Result<S, ApiError> {
        let decoded = match &mut self.body {
            Body::Json(body) => decode(&mut body.reader()),
            Body::Form(form) => decode(&mut QueryReader::new(form)),
            Body::Rest(body) => decode(&mut body.reader()),
        };
        decoded.map_err(|error| rejected(self.service, error))
    }
}

/// What a client is told about a body that is not an input.
pub fn rejected(service: &ServiceSpec, error: DecodeError) -> ApiError {
    match error {
        DecodeError::Malformed(error) => malformed(service, error),
        DecodeError::Invalid(violations) => {
            ApiError::new(service.codes.validation, validation_message(&violations))
        }
    }
}

pub(crate) fn malformed(service: &ServiceSpec, error: ReadError) -> ApiError {
    ApiError::new(service.codes.serialization, error.message)
}
