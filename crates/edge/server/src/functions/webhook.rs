//! Functions that are somebody's server: each event is sent there, and what comes back is the answer.
//!
//! The URL is what a user has written, so it leads only to where [`Outbound`] lets it, and no redirection is followed. It may have a
//! secret in it: neither it nor an answer that is none is in an error or a log.

use std::{sync::Arc, time::Duration};

use coffer_client::{ClientError, Outbound, RawRequest, RawResponse};
use coffer_core::{FunctionAnswer, FunctionOutcome, Webhook};
use coffer_crypto::hmac_sha256;
use coffer_types::{RequestId, Secret, encoding::HEXLOWER};
use serde::de::IgnoredAny;
use serde_json::json;

/// AWS's, for the answers of functions.
const ANSWER_BYTES_MAX: usize = 6_291_556;

/// Why there is no answer: a type and a sentence, as other functions have them.
type Failed = (&'static str, String);

pub(super) async fn post(
    outbound: Outbound,
    hook: Arc<Webhook>,
    request_id: RequestId,
    event: Secret<Vec<u8>>,
    invoked_arn: String,
) -> FunctionOutcome {
    let (failed, payload) = match exchange(&outbound, &hook, request_id, event, &invoked_arn).await {
        Ok(answer) => (false, answer),
        Err((kind, message)) => {
            tracing::info!(function = hook.arn, kind, message, "a webhook failed");
            let error = json!({ "errorMessage": message, "errorType": kind });
            (true, Secret::new(error.to_string().into_bytes()))
        }
    };
    let version = &hook.version;
    let log = format!("START RequestId: {request_id} Version: {version}\nEND RequestId: {request_id}\n");
    FunctionOutcome::Done(FunctionAnswer {
        payload,
        failed,
        log: log.into_bytes(),
        log_stream: String::new(),
    })
}

async fn exchange(
    outbound: &Outbound,
    hook: &Webhook,
    request_id: RequestId,
    event: Secret<Vec<u8>>,
    invoked_arn: &str,
) -> Result<Secret<Vec<u8>>, Failed> {
    let (base, target) = split(hook.url.expose());
    let connections = outbound.connections(base).map_err(|_| {
        let why = "COFFER_WEBHOOK_URL is no URL of https, or of a listed server on this machine";
        ("Webhook.Url", why.to_owned())
    })?;
    let request = request(hook, target, request_id, event, invoked_arn);
    let sent = connections.answers_up_to(ANSWER_BYTES_MAX).answers_within(hook.timeout).send(request).await;
    answer(sent, hook.timeout)
}

fn request(
    hook: &Webhook,
    target: &str,
    request_id: RequestId,
    event: Secret<Vec<u8>>,
    invoked_arn: &str,
) -> RawRequest {
    let mut headers = vec![
        header("content-type", "application/json"),
        header("user-agent", "coffer"),
        header("x-coffer-function", invoked_arn),
        header("x-coffer-request-id", &request_id.to_string()),
        header("x-coffer-deadline-ms", &hook.timeout.as_millis().to_string()),
    ];
    if let Some(key) = &hook.key {
        let signature = hmac_sha256(key.expose().as_bytes(), &[event.expose()]);
        headers.push(header("x-coffer-signature", &format!("sha256={}", HEXLOWER.encode(&signature))));
    }
    RawRequest { method: "POST", target: target.to_owned(), headers, body: event }
}

fn answer(sent: Result<RawResponse, ClientError>, timeout: Duration) -> Result<Secret<Vec<u8>>, Failed> {
    let answer = sent.map_err(|error| match error {
        ClientError::TimedOut => {
            ("Webhook.Timeout", format!("Task timed out after {}.00 seconds", timeout.as_secs()))
        }
        ClientError::TooLarge => ("Webhook.Answer", String::from("The answer is too large")),
        ClientError::Input(_) => ("Webhook.Url", String::from("COFFER_WEBHOOK_URL is no URL")),
        ClientError::Unreachable(why) => ("Webhook.Unreachable", format!("There is no connection: {why}")),
        _ => ("Webhook.Unreachable", String::from("The connection was lost before the answer")),
    })?;
    if answer.status != 200 {
        return Err(("Webhook.HttpStatus", format!("The server answered with the status {}", answer.status)));
    }
    if answer.body.is_empty() {
        return Ok(Secret::new(b"null".to_vec()));
    }
    match serde_json::from_slice::<IgnoredAny>(answer.body.expose()) {
        Ok(_) => Ok(answer.body),
        Err(_) => Err(("Webhook.Answer", String::from("The answer is not JSON"))),
    }
}

/// A URL as an endpoint and what is asked for there. What stands behind `#` stays here.
fn split(url: &str) -> (&str, &str) {
    let url = url.split('#').next().unwrap_or_default();
    let start = url.find("://").map(|at| at + 3).unwrap_or_default();
    let end = url.get(start..).and_then(|rest| rest.find('/')).map_or(url.len(), |at| start + at);
    let (base, target) = url.split_at_checked(end).unwrap_or((url, ""));
    (base, if target.is_empty() { "/" } else { target })
}

fn header(name: &str, value: &str) -> (String, Secret<Vec<u8>>) {
    (name.to_owned(), Secret::new(value.as_bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, body: &str) -> Result<RawResponse, ClientError> {
        Ok(RawResponse { status, headers: Vec::new(), body: Secret::new(body.as_bytes().to_vec()) })
    }

    #[test]
    fn a_url_is_an_endpoint_and_a_target() {
        for (url, base, target) in [
            ("https://hooks.example.com/a/b?c=d", "https://hooks.example.com", "/a/b?c=d"),
            ("https://hooks.example.com:8443", "https://hooks.example.com:8443", "/"),
            ("https://hooks.example.com/#a/b", "https://hooks.example.com", "/"),
            ("nothing", "nothing", "/"),
        ] {
            assert_eq!(split(url), (base, target), "{url}");
        }
    }

    #[test]
    fn success_is_the_status_200_and_json() {
        let wait = Duration::from_secs(3);
        for (sent, expected) in [
            (response(200, r#"{"a":1}"#), Ok(r#"{"a":1}"#)),
            (response(200, ""), Ok("null")),
            (response(200, "thanks"), Err("Webhook.Answer")),
            (response(201, "{}"), Err("Webhook.HttpStatus")),
            (response(302, "{}"), Err("Webhook.HttpStatus")),
            (response(500, "secret"), Err("Webhook.HttpStatus")),
            (Err(ClientError::TimedOut), Err("Webhook.Timeout")),
            (Err(ClientError::TooLarge), Err("Webhook.Answer")),
            (Err(ClientError::Lost(String::from("x"))), Err("Webhook.Unreachable")),
        ] {
            let told = answer(sent, wait);
            match (&told, expected) {
                (Ok(body), Ok(text)) => assert_eq!(body.expose(), text.as_bytes()),
                (Err((kind, message)), Err(known)) => {
                    assert_eq!(*kind, known);
                    assert!(!message.contains("secret"));
                }
                _ => panic!("{told:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn a_signature_is_one_of_the_bytes_that_are_sent() {
        let hook = Webhook {
            arn: String::from("arn"),
            version: String::from("1"),
            url: Secret::new(String::from("https://h/")),
            key: Some(Secret::new(String::from("key"))),
            timeout: Duration::from_secs(3),
        };
        let event = b"The quick brown fox jumps over the lazy dog".to_vec();
        let id = RequestId::random(&coffer_crypto::SystemEntropy);
        let request = request(&hook, "/", id, Secret::new(event), "arn:1");
        let value = |name: &str| {
            let found = request.headers.iter().find(|(known, _)| known == name).unwrap();
            String::from_utf8(found.1.expose().clone()).unwrap()
        };
        // The example of everybody who explains HMAC.
        let expected = "sha256=f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8";
        assert_eq!(value("x-coffer-signature"), expected);
        assert_eq!(value("x-coffer-function"), "arn:1");
        assert_eq!(value("x-coffer-deadline-ms"), "3000");
    }
}
