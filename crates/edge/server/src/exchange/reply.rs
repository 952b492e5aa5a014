//! The last step: an answer as HTTP, in memory that is wiped once it has been sent.

use coffer_types::{RequestId, Secret};
use coffer_wire::Response;
use http_body_util::Full;
use hyper::{
    Method,
    body::Bytes,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER},
    http::{StatusCode, request::Parts},
};

use crate::health::Page;

pub(crate) type Reply = hyper::Response<Full<Bytes>>;

/// When to come back after an answer that was about us and not about the request.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");
const RESET_PATH: &str = "/_coffer/reset";
const PACKAGES_PATH: &str = "/_coffer/packages/";

/// Lets hyper send the bytes of an answer without copying them anywhere that nobody wipes.
struct Wiped(Secret<Vec<u8>>);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

pub(super) fn answer(answer: Response) -> Reply {
    let mut reply = hyper::Response::new(Full::new(Bytes::from_owner(Wiped(answer.body))));
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
    }
    reply
}

pub(super) fn page(page: Page) -> Reply {
    let mut reply = hyper::Response::new(Full::new(Bytes::from(page.body)));
    *reply.status_mut() = page.status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(page.content_type));
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// Whether this asks a dev node to forget everything.
pub(super) fn is_reset(parts: &Parts) -> bool {
    parts.method == Method::POST && parts.uri.path() == RESET_PATH
}

/// What a request shows that fetches a package.
pub(super) fn leave_to_fetch(parts: &Parts) -> Option<&str> {
    if parts.method == Method::GET { parts.uri.path().strip_prefix(PACKAGES_PATH) } else { None }
}

/// A package for whoever has leave to fetch it.
pub(super) fn package(found: Option<Secret<Vec<u8>>>, id: RequestId) -> Response {
    let headers = vec![("x-amzn-requestid", id.to_string()), ("cache-control", String::from("no-store"))];
    match found {
        Some(body) => Response { status: 200, content_type: "application/zip", headers, body },
        None => Response { status: 403, content_type: "text/plain", headers, body: Secret::default() },
    }
}

pub(super) fn reset(done: bool, id: RequestId) -> Response {
    Response {
        status: if done { 200 } else { 503 },
        content_type: "application/json",
        headers: vec![("x-amzn-requestid", id.to_string())],
        body: Secret::new(b"{}".to_vec()),
    }
}
