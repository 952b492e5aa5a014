//! Connections that stay open between requests.
//!
//! A request takes an idle connection or opens one, and puts it back when the answer has been read to its end; so there are
//! as many connections as there were requests at the same time. A server may close an idle connection at any moment. When
//! that happens before the request has left, it goes out once more on a fresh connection; when it may have left, the caller
//! is told, because only the caller knows whether it may be repeated.
//!
//! Known limit: the buffers of the HTTP library are not wiped. Our copies are; theirs only are where the program runs on the
//! wiping allocator.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use coffer_types::Secret;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::TlsConnector;

use crate::{ClientError, Endpoint, Outbound};

const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// Twice what the server gives a request.
const ANSWER_WAIT: Duration = Duration::from_secs(60);
/// A page of a hundred secrets with all their versions is well below this.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Servers close idle connections after a minute or so, and a request that crosses with the close is lost.
const IDLE_WAIT: Duration = Duration::from_secs(20);
/// More than this many idle connections serve nobody.
const IDLE_MAX: usize = 128;

/// A request as it goes over the wire. The `Host` header and the length of the body are added.
#[derive(Debug)]
pub struct RawRequest {
    pub method: &'static str,
    /// Path and query, as they are sent.
    pub target: String,
    pub headers: Vec<(String, Secret<Vec<u8>>)>,
    pub body: Secret<Vec<u8>>,
}

/// An answer as it came.
#[derive(Debug)]
pub struct RawResponse {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Secret<Vec<u8>>,
}

impl RawResponse {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

type Sender = SendRequest<Full<Bytes>>;

#[derive(Debug)]
struct Idle {
    sender: Sender,
    since: Instant,
}

/// Everything below the signature: an endpoint and its open connections.
#[derive(Debug, Clone)]
pub struct Connections {
    endpoint: Endpoint,
    idle: Arc<Mutex<Vec<Idle>>>,
    answer_bytes_max: usize,
    answer_wait: Duration,
    outbound: Option<Outbound>,
}

impl Connections {
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            idle: Arc::default(),
            answer_bytes_max: ANSWER_BYTES_MAX,
            answer_wait: ANSWER_WAIT,
            outbound: None,
        }
    }

    /// The same, and only to where these may lead.
    #[must_use]
    pub(crate) fn through(self, outbound: Outbound) -> Self {
        Self { outbound: Some(outbound), ..self }
    }

    /// The same, and this is how long an answer may take.
    #[must_use]
    pub fn answers_within(self, answer_wait: Duration) -> Self {
        Self { answer_wait, ..self }
    }

    /// The same, and longer answers are refused.
    #[must_use]
    pub fn answers_up_to(self, answer_bytes_max: usize) -> Self {
        Self { answer_bytes_max, ..self }
    }

    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Sends a request as it is and reads the answer to its end.
    pub async fn send(&self, request: RawRequest) -> Result<RawResponse, ClientError> {
        let request = self.request(request)?;
        timeout(self.answer_wait, self.exchange(request)).await.unwrap_or(Err(ClientError::TimedOut))
    }

    fn request(&self, raw: RawRequest) -> Result<Request<Full<Bytes>>, ClientError> {
        let refuse = |error: &dyn std::fmt::Display| ClientError::Input(error.to_string());
        let method = Method::from_bytes(raw.method.as_bytes()).map_err(|error| refuse(&error))?;
        let mut builder = Request::builder().method(method).uri(raw.target);
        if !raw.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            builder = builder.header("host", self.endpoint.authority());
        }
        for (name, value) in &raw.headers {
            builder = builder.header(name, value.expose().as_slice());
        }
        builder.body(Full::new(Bytes::from_owner(Wiped(raw.body)))).map_err(|error| refuse(&error))
    }

    async fn exchange(&self, mut request: Request<Full<Bytes>>) -> Result<RawResponse, ClientError> {
        loop {
            let (mut connection, is_fresh) = match self.take() {
                // The task of the connection may not have noticed yet that the last answer has been read.
                Some(mut idle) => match idle.ready().await {
                    Ok(()) => (idle, false),
                    Err(_) => continue,
                },
                None => (self.connect().await?, true),
            };
            match connection.try_send_request(request).await {
                Ok(response) => {
                    let answer = read(response, self.answer_bytes_max).await?;
                    self.put_back(connection);
                    return Ok(answer);
                }
                Err(mut error) => match error.take_message() {
                    // Closed while idle, and the request is still ours.
                    Some(unsent) if !is_fresh => request = unsent,
                    Some(_) => return Err(ClientError::Unreachable(whole(&error.into_error()))),
                    None => return Err(ClientError::Lost(whole(&error.into_error()))),
                },
            }
        }
    }

    fn take(&self) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // The youngest first; when it is too old, all of them are.
        while let Some(Idle { sender, since }) = idle.pop() {
            if since.elapsed() > IDLE_WAIT {
                idle.clear();
            } else if !sender.is_closed() {
                return Some(sender);
            }
        }
        None
    }

    fn put_back(&self, sender: Sender) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX && !sender.is_closed() {
            idle.push(Idle { sender, since: Instant::now() });
        }
    }

    async fn connect(&self) -> Result<Sender, ClientError> {
        let unreachable = |error: std::io::Error| ClientError::Unreachable(error.to_string());
        let open = async {
            let (host, port) = self.endpoint.address();
            let stream = match &self.outbound {
                Some(outbound) => outbound.connect_afar(host, port).await?,
                None => TcpStream::connect((host, port)).await.map_err(unreachable)?,
            };
            stream.set_nodelay(true).map_err(unreachable)?;
            let opened = match self.endpoint.tls() {
                None => drive(stream).await,
                Some(tls) => {
                    let connector = TlsConnector::from(Arc::clone(&tls.config));
                    let encrypted = connector.connect(tls.name.clone(), stream).await.map_err(unreachable)?;
                    drive(encrypted).await
                }
            };
            opened.map_err(unreachable)
        };
        let in_time = timeout(CONNECT_WAIT, open).await;
        in_time.unwrap_or_else(|_| Err(ClientError::Unreachable(String::from("it did not answer in time"))))
    }
}

/// Starts the task that moves the bytes of one connection; it ends with the connection.
async fn drive(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<Sender, std::io::Error> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
    // Whatever ends a connection is told to the request that is on it.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

async fn read(response: Response<Incoming>, bytes_max: usize) -> Result<RawResponse, ClientError> {
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    let body =
        Limited::new(response.into_body(), bytes_max).collect().await.map_err(|error| match error
            .downcast::<hyper::Error>()
        {
            Ok(error) => ClientError::Lost(whole(&error)),
            Err(_) => ClientError::TooLarge,
        })?;
    Ok(RawResponse { status, headers, body: Secret::new(body.to_bytes().to_vec()) })
}

/// An error with what caused it; hyper's own sentence is often only "connection error".
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// A body that is wiped when the last connection lets go of it.
struct Wiped(Secret<Vec<u8>>);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}
