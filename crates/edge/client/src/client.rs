//! Calls: a shape goes out, a shape or an error comes back.

use std::{fmt, sync::Arc};

use coffer_crypto::sha256;
use coffer_shape::{Operation, OperationSpec, Protocol, ReadError, ServiceSpec, Shape, generate::Made};
use coffer_sigv4::{Head, Signer};
use coffer_types::{Clock, Region, Secret};
use coffer_wire::{Codec, Request, encode_request, json::JsonBody, read_error, read_output};

use crate::{ClientError, Connections, Endpoint, RawRequest, RawResponse};

/// Who calls. The secret is shared, never copied.
#[derive(Debug, Clone)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: Arc<Secret<String>>,
    pub session_token: Option<Arc<Secret<String>>>,
}

/// Sees every answer before the caller does. Tests hold it against the model.
pub trait Observer: Send + Sync {
    fn answered(&self, operation: &'static OperationSpec, answer: &RawResponse);
}

/// Cloning is cheap, and clones share their connections.
#[derive(Clone)]
pub struct Client {
    connections: Connections,
    credentials: Credentials,
    region: Region,
    clock: Arc<dyn Clock>,
    observer: Option<Arc<dyn Observer>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", self.connections.endpoint())
            .field("access_key_id", &self.credentials.access_key_id)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// The clock tells the time that requests are signed for.
    pub fn new(endpoint: Endpoint, credentials: Credentials, region: Region, clock: Arc<dyn Clock>) -> Self {
        Self { connections: Connections::new(endpoint), credentials, region, clock, observer: None }
    }

    #[must_use]
    pub fn observed_by(self, observer: Arc<dyn Observer>) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// The same server, whose longer answers are refused.
    #[must_use]
    pub fn answers_up_to(self, bytes_max: usize) -> Self {
        Self { connections: self.connections.answers_up_to(bytes_max), ..self }
    }

    /// The same server, called by somebody else.
    #[must_use]
    pub fn with_credentials(&self, credentials: Credentials) -> Self {
        Self { credentials, ..self.clone() }
    }

    /// The same server, in another region.
    #[must_use]
    pub fn with_region(&self, region: Region) -> Self {
        Self { region, ..self.clone() }
    }

    pub const fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    pub const fn region(&self) -> &Region {
        &self.region
    }

    /// Where to send what is not signed, or signed by hand.
    pub const fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Calls an operation of a JSON service.
    pub async fn call<O: Operation>(&self, input: &O::Input) -> Result<O::Output, ClientError> {
        let answer = self.call_shape(O::SPEC, input).await?;
        if (200..300).contains(&answer.status) {
            return read_output(O::SPEC, answer.body.expose())
                .map_err(|error| ClientError::Shape(error.message));
        }
        Err(refusal(O::SPEC.service, &answer))
    }

    /// Calls an operation of any service, and gives the answer as it came: the way to services that answer in XML.
    pub async fn call_shape(
        &self,
        operation: &'static OperationSpec,
        input: &impl Shape,
    ) -> Result<RawResponse, ClientError> {
        let request = encode_request(operation, &|to| input.write(to))
            .map_err(|error| ClientError::Input(error.to_string()))?;
        let answer = self.send(operation.service, request).await?;
        self.observe(operation, &answer);
        Ok(answer)
    }

    /// Sends a body as it is to an operation of a service, both by name; neither needs to exist. For a service that takes
    /// forms, the body names the operation; for one that is addressed by path, the body is an object of all members of the input.
    pub async fn call_raw(
        &self,
        service: &'static ServiceSpec,
        operation: &str,
        body: &[u8],
    ) -> Result<RawResponse, ClientError> {
        let headers = match service.protocol {
            Protocol::RestJson1 => {
                let known = service.operation(operation);
                let known =
                    known.ok_or_else(|| ClientError::Input(format!("no path leads to {operation}")))?;
                return self.call_members(known, body).await;
            }
            Protocol::AwsJson11 { target_prefix } => vec![
                ("content-type", String::from("application/x-amz-json-1.1")),
                ("x-amz-target", format!("{target_prefix}.{operation}")),
            ],
            Protocol::Query { .. } => {
                vec![("content-type", String::from("application/x-www-form-urlencoded; charset=utf-8"))]
            }
        };
        let body = Secret::new(body.to_vec());
        let post = Request { method: "POST", path: String::from("/"), query: String::new(), headers, body };
        let answer = self.send(service, post).await?;
        if let Some(operation) = service.operation(operation) {
            self.observe(operation, &answer);
        }
        Ok(answer)
    }

    /// The members of an input, each put where it belongs.
    async fn call_members(
        &self,
        operation: &'static OperationSpec,
        members: &[u8],
    ) -> Result<RawResponse, ClientError> {
        let unreadable = |error: ReadError| ClientError::Input(error.message);
        let mut body = JsonBody::parse(members).map_err(unreadable)?;
        let made = Made::read_as(operation.input, &mut body.reader()).map_err(unreadable)?;
        let request = encode_request(operation, &|to| made.write_as(operation.input, to))
            .map_err(|error| ClientError::Input(error.to_string()))?;
        let answer = self.send(operation.service, request).await?;
        self.observe(operation, &answer);
        Ok(answer)
    }

    fn observe(&self, operation: &'static OperationSpec, answer: &RawResponse) {
        if let Some(observer) = &self.observer {
            observer.answered(operation, answer);
        }
    }

    async fn send(
        &self,
        service: &'static ServiceSpec,
        request: Request,
    ) -> Result<RawResponse, ClientError> {
        let Request { method, path, query, headers, body } = request;
        let host = self.connections.endpoint().authority();
        let mut signed: Vec<(&str, &[u8])> = vec![("host", host.as_bytes())];
        signed.extend(headers.iter().map(|(name, value)| (*name, value.as_bytes())));
        let head = Head { method, path: &path, query: &query, headers: &signed };
        let signer = Signer {
            credentials: coffer_sigv4::Credentials {
                access_key_id: &self.credentials.access_key_id,
                secret_access_key: &self.credentials.secret_access_key,
                session_token: self.credentials.session_token.as_deref(),
            },
            region: self.region.as_str(),
            service: service.name,
        };
        let added =
            signer.sign(&head, &sha256(body.expose()), self.clock.now()).map_err(ClientError::Signature)?;

        let plain = headers.into_iter().map(|(name, value)| (name, Secret::new(value)));
        let headers = plain
            .chain(added)
            .map(|(name, value)| (name.to_owned(), Secret::new(value.take().into_bytes())))
            .collect();
        let target = if query.is_empty() { path } else { format!("{path}?{query}") };
        self.connections.send(RawRequest { method, target, headers, body }).await
    }
}

fn refusal(service: &ServiceSpec, answer: &RawResponse) -> ClientError {
    let status = answer.status;
    match read_error(Codec::of(service), answer.header("x-amzn-errortype"), answer.body.expose()) {
        Some(error) => ClientError::Refused { code: error.code, message: error.message, status },
        None => ClientError::NotAnAnswer { status },
    }
}
