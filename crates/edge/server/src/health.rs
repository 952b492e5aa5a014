//! Pages for the machine next door: is it alive, is it ready, how does it go.
//!
//! They need no signature, so they tell nothing about what is kept here: no name, no count of anything that belongs to a caller.
//! They are answered before any limit of requests, because a house that is full must still be able to say so.

use hyper::{Method, Request, StatusCode};

use crate::{
    metrics::{Now, Volume},
    node::Node,
};

const JSON: &str = "application/json";
/// The text format of OpenMetrics, which Prometheus reads.
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
}

/// The page that was asked for; nothing if the request is for somebody else.
pub(crate) fn page<B>(node: &Node, request: &Request<B>) -> Option<Page> {
    let render = match request.uri().path() {
        "/health/live" => live,
        "/health/ready" => ready,
        "/metrics" => metrics,
        _ => return None,
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let body = String::from("{\"status\":\"only GET is allowed here\"}");
        return Some(Page { status: StatusCode::METHOD_NOT_ALLOWED, content_type: JSON, body });
    }
    Some(render(node))
}

fn live(_: &Node) -> Page {
    Page { status: StatusCode::OK, content_type: JSON, body: String::from("{\"status\":\"live\"}") }
}

fn ready(node: &Node) -> Page {
    let reasons = node.reasons();
    if reasons.is_empty() {
        return Page {
            status: StatusCode::OK,
            content_type: JSON,
            body: String::from("{\"status\":\"ready\"}"),
        };
    }
    // The reasons are words of our own and need no escaping.
    let body = format!("{{\"status\":\"unavailable\",\"reasons\":[\"{}\"]}}", reasons.join("\",\""));
    Page { status: StatusCode::SERVICE_UNAVAILABLE, content_type: JSON, body }
}

fn metrics(node: &Node) -> Page {
    let (core, reasons) = (node.core(), node.reasons());
    let uptime = node.world().clock.monotonic();
    let body = node.metrics().render(&Now {
        core: core.as_deref(),
        is_ready: reasons.is_empty(),
        is_sealed: reasons.contains(&"sealed"),
        uptime,
        volume: node.metrics().volume(uptime, || volume(node)),
        load: Some(node.gate().load()),
    });
    Page { status: StatusCode::OK, content_type: METRICS, body }
}

/// A node in memory has no disk.
fn volume(node: &Node) -> Volume {
    let Some(store) = node.store() else { return Volume::default() };
    let files = &node.world().audit_files;
    let length = |name: &String| files.length(name).unwrap_or(0);
    Volume {
        free_bytes: coffer_sys::free_space_bytes(store.directory().path()).ok(),
        audit_bytes: files.list().ok().map(|names| names.iter().map(length).sum()),
    }
}
