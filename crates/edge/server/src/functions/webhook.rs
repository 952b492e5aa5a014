//! Functions that are somebody's server: each event is sent there, and what comes back is the answer.
//!
//! The URL is what a user has written, so it leads only to where [`Outbound`] lets it, and no redirection is followed. It may have a
//! secret in it: neither it nor an answer that is none is in an error or a log.

use std::{sync::Arc, time::Duration};

use coffer_client::{ClientError, Outbound, RawRequest, RawResponse};
use coffer_core::{FunctionAnswer, FunctionOutcome, Webhook};
use coffer_crypto::hmac_sha256;
use coffer_functions::Report;
use coffer_types::{Clock, RequestId, Secret, Timestamp, encoding::HEXLOWER};
use serde::de::IgnoredAny;
use serde_json::json;

/// AWS's, for the answers of functions.
const ANSWER_BYTES_MAX: usize = 6_291_556;
const TIMED_OUT: &str = "Webhook.Timeout";

/// Why there is no answer: a type and a sentence, as other functions have them.
type Failed = (&'static str, String);

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) hook: Arc<Webhook>,
    pub(super) request_id: RequestId,
    pub(super) event: Secret<Vec<u8>>,
    pub(super) invoked_arn: String,
}

pub(super) async fn post(outbound: Outbound, clock: Arc<dyn Clock>, call: Call) -> FunctionOutcome {
    let (hook, request_id) = (Arc::clone(&call.hook), call.request_id.to_string());
    let began = clock.monotonic();
    let outcome = exchange(&outbound, call, clock.now()).await;
    let took = clock.monotonic().saturating_sub(began).min(hook.timeout);
    let log = log(&hook, &request_id, took, clock.now(), outcome.as_ref().err());
    let (failed, payload) = match outcome {
        Ok(answer) => (false, answer),
        Err((kind, message)) => {
            tracing::info!(function = hook.arn, kind, message, "a webhook failed");
            let error = json!({ "errorMessage": message, "errorType": kind });
            (true, Secret::new(error.to_string().into_bytes()))
        }
    };
    FunctionOutcome::Done(FunctionAnswer {
        payload,
        failed,
        log: log.into_bytes(),
        log_stream: String::new(),
    })
}

/// What Coffer itself says of a call, as of any function. It takes no memory here.
fn log(hook: &Webhook, request_id: &str, took: Duration, now: Timestamp, failed: Option<&Failed>) -> String {
    let (version, mut log) = (&hook.version, String::new());
    log.push_str(&format!("START RequestId: {request_id} Version: {version}\n"));
    let (status, error_type) = match failed {
        None => (None, None),
        Some((TIMED_OUT, message)) => {
            log.push_str(&format!("{} {request_id} {message}\n\n", now.to_iso_millis()));
            (Some("timeout"), None)
        }
        Some((kind, message)) => {
            log.push_str(&format!("RequestId: {request_id} Error: {message}\n{kind}\n"));
            (Some("error"), Some(*kind))
        }
    };
    let report = Report {
        request_id,
        duration_ms: took.as_secs_f64() * 1000.0,
        init_ms: None,
        memory_mb: hook.memory_mb,
        used_mb: 0,
        status,
        error_type,
    };
    log.push_str(&format!("END RequestId: {request_id}\n{report}"));
    log
}

async fn exchange(outbound: &Outbound, call: Call, now: Timestamp) -> Result<Secret<Vec<u8>>, Failed> {
    let hook = Arc::clone(&call.hook);
    let (base, target) = split(hook.url.expose());
    let connections = outbound.connections(base).map_err(|_| {
        let why = "COFFER_WEBHOOK_URL is no URL of https, or of a listed server on this machine";
        ("Webhook.Url", why.to_owned())
    })?;
    let request = request(call, target, now.plus(hook.timeout));
    let sent = connections.answers_up_to(ANSWER_BYTES_MAX).answers_within(hook.timeout).send(request).await;
    answer(sent, hook.timeout)
}

fn request(call: Call, target: &str, deadline: Timestamp) -> RawRequest {
    let Call { hook, request_id, event, invoked_arn } = call;
    let mut headers = vec![
        header("content-type", "application/json"),
        header("user-agent", "coffer"),
        header("x-coffer-function", &invoked_arn),
        header("x-coffer-request-id", &request_id.to_string()),
        header("x-coffer-deadline-ms", &deadline.millis().to_string()),
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
            (TIMED_OUT, format!("Task timed out after {}.00 seconds", timeout.as_secs()))
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

    fn hook() -> Arc<Webhook> {
        Arc::new(Webhook {
            arn: String::from("arn"),
            version: String::from("1"),
            url: Secret::new(String::from("https://h/")),
            key: Some(Secret::new(String::from("key"))),
            timeout: Duration::from_secs(3),
            memory_mb: 128,
        })
    }

    #[test]
    fn a_signature_is_one_of_the_bytes_that_are_sent() {
        let call = Call {
            hook: hook(),
            request_id: RequestId::random(&coffer_crypto::SystemEntropy),
            event: Secret::new(b"The quick brown fox jumps over the lazy dog".to_vec()),
            invoked_arn: String::from("arn:1"),
        };
        let request = request(call, "/", Timestamp::from_millis(1_700_000_003_000));
        let value = |name: &str| {
            let found = request.headers.iter().find(|(known, _)| known == name).unwrap();
            String::from_utf8(found.1.expose().clone()).unwrap()
        };
        // The example of everybody who explains HMAC.
        let expected = "sha256=f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8";
        assert_eq!(value("x-coffer-signature"), expected);
        assert_eq!(value("x-coffer-function"), "arn:1");
        assert_eq!(value("x-coffer-deadline-ms"), "1700000003000");
    }

    #[test]
    fn a_log_is_that_of_a_function() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let said =
            |failed: Option<&Failed>| log(&hook(), "id", Duration::from_micros(1_234_560), now, failed);
        let numbers =
            "Duration: 1234.56 ms\tBilled Duration: 1235 ms\tMemory Size: 128 MB\tMax Memory Used: 0 MB\t";
        for (failed, between, status) in [
            (None, "", ""),
            (
                Some((TIMED_OUT, String::from("Task timed out after 3.00 seconds"))),
                "2023-11-14T22:13:20.000Z id Task timed out after 3.00 seconds\n\n",
                "Status: timeout",
            ),
            (
                Some(("Webhook.Answer", String::from("The answer is not JSON"))),
                "RequestId: id Error: The answer is not JSON\nWebhook.Answer\n",
                "Status: error\tError Type: Webhook.Answer",
            ),
        ] {
            let expected = format!(
                "START RequestId: id Version: 1\n{between}END RequestId: id\nREPORT RequestId: id\t{numbers}{status}\n"
            );
            assert_eq!(said(failed.as_ref()), expected);
        }
    }
}
