//! The floor: what a server costs that does nothing but HTTP.
//!
//! A figure in microseconds says as much about the machine as about the server. So the same requests go, in the same run, to a
//! bare hyper that reads them and answers 500 bytes. It is the stack that Coffer stands on, with the same runtime and in a
//! process of its own; what Coffer costs above it is what Coffer does.

use std::convert::Infallible;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, header, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// As long as the value that `GetSecretValue` brings back.
pub const ANSWER_BYTES: usize = 500;

/// Serves until the process is killed. `on_ready` gets the address.
pub fn run(on_ready: impl FnOnce(&str)) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("listening")?;
        on_ready(&format!("http://{}", listener.local_addr()?));
        accept(listener).await
    })
}

pub async fn accept(listener: TcpListener) -> Result<()> {
    let body = Bytes::from(vec![b'x'; ANSWER_BYTES]);
    loop {
        let (stream, _) = listener.accept().await.context("accepting")?;
        stream.set_nodelay(true)?;
        tokio::spawn(connection(stream, body.clone()));
    }
}

async fn connection(stream: TcpStream, body: Bytes) {
    let service = service_fn(move |request| answer(request, body.clone()));
    // A connection that breaks has no effect on the others, and whoever measures sees it at his end.
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

async fn answer(request: Request<Incoming>, body: Bytes) -> Result<Response<Full<Bytes>>, Infallible> {
    // A server that leaves the body unread has not done the work of HTTP.
    drop(request.into_body().collect().await);
    let mut response = Response::new(Full::new(body));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/x-amz-json-1.1"));
    Ok(response)
}
