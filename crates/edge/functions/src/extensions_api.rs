//! The extensions API of one environment over HTTP (version 2020-01-01).

use bytes::Bytes;
use coffer_core::Deployment;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::roster::{Event, Reason, Refused, Roster, Told};

pub(crate) const BASE: &str = "/2020-01-01/extension/";
/// A list of events, or an error with its stack.
const BODY_BYTES_MAX: usize = 256 * 1024;
const NAME: &str = "lambda-extension-name";
const IDENTIFIER: &str = "lambda-extension-identifier";
const FEATURES: &str = "lambda-extension-accept-feature";
const ERROR_TYPE: &str = "lambda-extension-function-error-type";

/// What extensions are told about their function.
#[derive(Debug)]
pub(crate) struct About {
    name: String,
    version: String,
    handler: String,
    account: String,
}

impl About {
    pub(crate) fn of(deployment: &Deployment) -> Self {
        Self {
            name: deployment.name.clone(),
            version: deployment.version.clone(),
            handler: deployment.handler.clone(),
            account: deployment.account.to_string(),
        }
    }
}

/// `call` is what follows the base of the path.
pub(crate) async fn answer(
    roster: &Roster,
    about: &About,
    call: &str,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let asked = match call {
        "register" | "init/error" | "exit/error" => Method::POST,
        "event/next" => Method::GET,
        _ => return said(StatusCode::NOT_FOUND, &json!({})),
    };
    if request.method() != asked {
        return said(StatusCode::METHOD_NOT_ALLOWED, &json!({}));
    }
    let answered = match call {
        "register" => register(roster, about, request).await,
        "event/next" => next(roster, request.headers()).await,
        "init/error" => fail(roster, Told::InitError, request).await,
        _ => fail(roster, Told::ExitError, request).await,
    };
    answered.unwrap_or_else(|No(status, Refused(kind, text))| {
        said(status, &json!({"errorType": kind, "errorMessage": text}))
    })
}

struct No(StatusCode, Refused);

impl From<Refused> for No {
    fn from(refused: Refused) -> Self {
        Self(StatusCode::FORBIDDEN, refused)
    }
}

async fn register(
    roster: &Roster,
    about: &About,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, No> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Given<'a> {
        function_name: &'a str,
        function_version: &'a str,
        handler: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        account_id: Option<&'a str>,
    }

    let name = text(request.headers(), NAME).unwrap_or_default().to_owned();
    let features = text(request.headers(), FEATURES).unwrap_or_default();
    let wants_account = features.split(',').any(|feature| feature.trim() == "accountId");
    let body = read(request).await?;
    // What is in there is the sender's, and not repeated.
    let wrong =
        |_| Refused("InvalidRequestFormat", String::from("The body is not an object with a list of events"));
    let mut asked: Map<String, Value> = serde_json::from_slice(&body).map_err(wrong)?;
    let events: Option<Vec<String>> =
        serde_json::from_value(asked.remove("events").unwrap_or_default()).map_err(wrong)?;
    let id = roster.register(&name, &events.unwrap_or_default())?;
    let given = Given {
        function_name: &about.name,
        function_version: &about.version,
        handler: &about.handler,
        account_id: wants_account.then_some(about.account.as_str()),
    };
    let mut response = said(StatusCode::OK, &given);
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(IDENTIFIER, id);
    }
    Ok(response)
}

async fn next(roster: &Roster, headers: &HeaderMap) -> Result<Response<Full<Bytes>>, No> {
    let event = match roster.next(identifier(headers)?).await? {
        Event::Invoke { request_id, deadline_ms, invoked_arn, trace_id } => json!({
            "eventType": "INVOKE",
            "deadlineMs": deadline_ms,
            "requestId": request_id,
            "invokedFunctionArn": invoked_arn,
            "tracing": {"type": "X-Amzn-Trace-Id", "value": trace_id},
        }),
        Event::Shutdown { reason, deadline_ms } => {
            let reason = match reason {
                Reason::Spindown => "spindown",
                Reason::Timeout => "timeout",
                Reason::Failure => "failure",
            };
            json!({"eventType": "SHUTDOWN", "deadlineMs": deadline_ms, "shutdownReason": reason})
        }
    };
    Ok(said(StatusCode::OK, &event))
}

async fn fail(roster: &Roster, told: Told, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, No> {
    let id = identifier(request.headers())?.to_owned();
    let error_type = text(request.headers(), ERROR_TYPE).map(str::to_owned).ok_or_else(|| {
        Refused("Extension.MissingHeader", String::from("Lambda-Extension-Function-Error-Type not found"))
    })?;
    // What else it says of its error is for its own log.
    read(request).await?;
    roster.fail(&id, told, &error_type)?;
    Ok(said(StatusCode::ACCEPTED, &json!({"status": "OK"})))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim).filter(|text| !text.is_empty())
}

fn identifier(headers: &HeaderMap) -> Result<&str, Refused> {
    let shown = headers.get(IDENTIFIER).filter(|shown| !shown.is_empty()).ok_or_else(|| {
        Refused(
            "Extension.MissingExtensionIdentifier",
            String::from("Missing Lambda-Extension-Identifier header"),
        )
    })?;
    let is_one = |text: &&str| text.parse::<coffer_types::Uuid>().is_ok();
    shown.to_str().ok().filter(is_one).ok_or_else(|| {
        Refused("Extension.InvalidExtensionIdentifier", String::from("Invalid Lambda-Extension-Identifier"))
    })
}

async fn read(request: Request<Incoming>) -> Result<Bytes, No> {
    let body = Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await.map_err(|_| {
        let text = format!("Exceeded maximum allowed payload size ({BODY_BYTES_MAX} bytes).");
        No(StatusCode::PAYLOAD_TOO_LARGE, Refused("RequestEntityTooLarge", text))
    })?;
    Ok(body.to_bytes())
}

fn said(status: StatusCode, body: &impl Serialize) -> Response<Full<Bytes>> {
    let (status, body) = match serde_json::to_vec(body) {
        Ok(body) => (status, body),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, Value::Null.to_string().into_bytes()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
