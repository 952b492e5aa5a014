//! The runtime API of one environment over HTTP (version 2018-06-01).

use std::sync::Arc;

use bytes::Bytes;
use coffer_types::Secret;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, Response, StatusCode, body::Incoming, server::conn::http1::Builder};
use tokio::net::TcpListener;

use crate::{
    answer::{Answer, PAYLOAD_BYTES_MAX},
    desk::Desk,
    extensions_api::{self, About},
    http,
    roster::Roster,
};

const BASE: &str = "/2018-06-01/runtime/";
/// An error is a message and a stack.
const ERROR_BYTES_MAX: usize = 256 * 1024;
/// The runtime and each extension have one or two; whoever opens more gets no answer.
const CONNECTIONS_MAX: usize = 64;

/// Who is behind the API of one environment.
#[derive(Clone)]
pub(crate) struct Served {
    pub(crate) desk: Arc<Desk>,
    pub(crate) roster: Arc<Roster>,
    pub(crate) about: Arc<About>,
}

/// Serves until it is dropped.
pub(crate) async fn serve(listener: TcpListener, served: Served) {
    let answer = move |request| {
        let served = served.clone();
        async move { answer(&served, request).await }
    };
    http::serve(listener, Builder::new(), CONNECTIONS_MAX, answer).await;
}

async fn answer(served: &Served, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let Served { desk, roster, about } = served;
    let path = request.uri().path().to_owned();
    if let Some(call) = path.strip_prefix(extensions_api::BASE) {
        return extensions_api::answer(roster, about, call, request).await;
    }
    let Some(call) = path.strip_prefix(BASE) else { return said(StatusCode::NOT_FOUND, "{}") };
    if request.method() == Method::GET {
        if call != "invocation/next" {
            return said(StatusCode::NOT_FOUND, "{}");
        }
        roster.close();
        return next(desk).await;
    }
    if request.method() != Method::POST {
        return said(StatusCode::METHOD_NOT_ALLOWED, "{}");
    }
    if call == "init/error" {
        let Ok(body) = read(request, ERROR_BYTES_MAX).await else { return too_large() };
        desk.fail_to_start(Answer::failure(body));
        return accepted();
    }
    let Some((id, what)) = call.strip_prefix("invocation/").and_then(|rest| rest.split_once('/')) else {
        return said(StatusCode::NOT_FOUND, "{}");
    };
    let (known, reply) = match what {
        "response" => match read(request, PAYLOAD_BYTES_MAX).await {
            Ok(body) => (desk.answer(id, Answer::success(body)), accepted()),
            Err(()) => (desk.answer(id, Answer::too_large()), too_large()),
        },
        "error" => match read(request, ERROR_BYTES_MAX).await {
            Ok(body) => (desk.answer(id, Answer::failure(body)), accepted()),
            Err(()) => (desk.answer(id, Answer::too_large()), too_large()),
        },
        _ => return said(StatusCode::NOT_FOUND, "{}"),
    };
    if known { reply } else { unknown() }
}

async fn next(desk: &Desk) -> Response<Full<Bytes>> {
    let work = desk.next().await;
    let mut response = Response::builder()
        .header("Content-Type", "application/json")
        .header("Lambda-Runtime-Aws-Request-Id", &work.request_id)
        .header("Lambda-Runtime-Deadline-Ms", work.deadline_ms)
        .header("Lambda-Runtime-Invoked-Function-Arn", &work.invoked_arn)
        .header("Lambda-Runtime-Trace-Id", &work.trace_id);
    if let Some(context) = &work.client_context {
        response = response.header("Lambda-Runtime-Client-Context", context);
    }
    response
        .body(Full::new(Bytes::from(work.event.take())))
        .unwrap_or_else(|_| said(StatusCode::INTERNAL_SERVER_ERROR, "{}"))
}

async fn read(request: Request<Incoming>, bytes_max: usize) -> Result<Secret<Vec<u8>>, ()> {
    let body = Limited::new(request.into_body(), bytes_max).collect().await.map_err(|_| ())?;
    Ok(Secret::new(body.to_bytes().to_vec()))
}

fn said(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status;
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, json);
    response
}

fn accepted() -> Response<Full<Bytes>> {
    said(StatusCode::ACCEPTED, r#"{"status":"OK"}"#)
}

fn unknown() -> Response<Full<Bytes>> {
    said(StatusCode::FORBIDDEN, r#"{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}"#)
}

fn too_large() -> Response<Full<Bytes>> {
    let text = r#"{"errorMessage":"Exceeded maximum allowed payload size (6291556 bytes).","errorType":"RequestEntityTooLarge"}"#;
    said(StatusCode::PAYLOAD_TOO_LARGE, text)
}
