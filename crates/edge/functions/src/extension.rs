//! The Parameters and Secrets extension of AWS, inside a function: secrets over HTTP from the function's own network.
//!
//! Whoever shows the session token of an environment gets what the environment's role may read, as if the function had asked for it
//! itself. What was fetched is kept for a while. Functions without a network of their own share the machine's ports ([`ports`]).

mod cache;
pub(crate) mod ports;
mod settings;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use coffer_crypto::constant_time_eq;
use coffer_model::secretsmanager::{GetSecretValueRequest, GetSecretValueResponse};
use coffer_shape::ApiError;
use coffer_types::{Clock, Secret, encoding::BASE64};
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1::Builder,
};
use hyper_util::rt::TokioTimer;
use serde::Serialize;
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};

use crate::{backing::Backing, http};

use cache::{Cache, Held, Key};
pub(crate) use ports::{Berth, Ports};
pub(crate) use settings::Settings;

/// How AWS's log and trail name it.
pub(crate) const NAME: &str = "AWSParametersAndSecretsLambdaExtension";
pub(crate) const USER_AGENT: &str = "AWS-Parameters-and-Secrets-Lambda-Extension/1.0.0";
const TOKEN: &str = "x-aws-parameters-secrets-token";
const SECRETS: &str = "/secretsmanager/get";
const PARAMETERS: &str = "/systemsmanager/parameters/get";
const CONNECTIONS_MAX: usize = 64;
const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEAD_WAIT: Duration = Duration::from_secs(60);
/// Whatever a function says: nobody waits for a secret for longer.
const FETCH_WAIT: Duration = Duration::from_secs(60);

/// One environment's.
pub(crate) struct Extension {
    token: Secret<String>,
    settings: Settings,
    clock: Arc<dyn Clock>,
    cache: Mutex<Cache>,
    fetches: Semaphore,
    /// The call that is served, or was last; none before the first.
    backing: Mutex<Option<Arc<dyn Backing>>>,
}

/// A no, in the few words that clients do not read.
struct Refusal(StatusCode, String);

impl Refusal {
    fn of(status: StatusCode, text: &str) -> Self {
        Self(status, text.to_owned())
    }

    fn ours() -> Self {
        Self::of(StatusCode::INTERNAL_SERVER_ERROR, "an unexpected error occurred while executing request")
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        tracing::debug!(?error, "a secret was not fetched for a function");
        match StatusCode::from_u16(error.spec.status) {
            Ok(status) if status.is_client_error() => {
                Self(status, format!("{}: {}", error.spec.code, error.message))
            }
            _ => Self::ours(),
        }
    }
}

impl Extension {
    pub(crate) fn new(token: Secret<String>, settings: Settings, clock: Arc<dyn Clock>) -> Self {
        Self {
            token,
            clock,
            cache: Mutex::new(Cache::new(settings.entries_max, settings.lifetime)),
            fetches: Semaphore::new(settings.fetches_max),
            settings,
            backing: Mutex::new(None),
        }
    }

    pub(crate) const fn port(&self) -> u16 {
        self.settings.port
    }

    /// From now on it fetches in the name of this call.
    pub(crate) fn work_for(&self, backing: &Arc<dyn Backing>) {
        *self.backing.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(backing));
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: &Request<Incoming>) -> Result<Held, Refusal> {
        let backing = self.backing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(backing) = backing else {
            return Err(Refusal::of(StatusCode::BAD_REQUEST, "not ready to serve traffic, please wait"));
        };
        self.admit(request)?;
        let path = request.uri().path();
        if path != SECRETS && path != PARAMETERS {
            return Err(Refusal::of(StatusCode::NOT_FOUND, "not found"));
        }
        if request.method() != Method::GET {
            return Err(Refusal::of(StatusCode::METHOD_NOT_ALLOWED, "method not allowed"));
        }
        if path == PARAMETERS {
            let text = "Systems Manager Parameter Store is not served by this Coffer";
            return Err(Refusal::of(StatusCode::BAD_REQUEST, text));
        }
        let (key, refresh) = asked(request.uri().query().unwrap_or_default())?;
        if !refresh && let Some(held) = self.cache().get(&key, self.clock.monotonic()) {
            return Ok(held);
        }
        let body = Arc::new(self.fetch(&*backing, &key).await?);
        self.cache().put(key, &body, self.clock.monotonic());
        Ok(body)
    }

    fn admit(&self, request: &Request<Incoming>) -> Result<(), Refusal> {
        if constant_time_eq(shown(request)?, self.token.expose().as_bytes()) {
            Ok(())
        } else {
            Err(unknown())
        }
    }

    async fn fetch(&self, backing: &dyn Backing, key: &Key) -> Result<Secret<Vec<u8>>, Refusal> {
        let fetched = async {
            let _one_of_so_many = self.fetches.acquire().await.map_err(|_| Refusal::ours())?;
            let asked = GetSecretValueRequest {
                secret_id: key.secret_id.clone(),
                version_id: key.version_id.clone(),
                version_stage: key.version_stage.clone(),
            };
            backing.secret(asked).await.map_err(Refusal::from)
        };
        let limit = self.settings.timeout.unwrap_or(FETCH_WAIT).min(FETCH_WAIT);
        let secret = timeout(limit, fetched).await.map_err(|_| Refusal::ours())??;
        written(&secret)
    }
}

/// The token that somebody shows.
fn shown(request: &Request<Incoming>) -> Result<&[u8], Refusal> {
    let shown = request.headers().get(TOKEN);
    shown.map(HeaderValue::as_bytes).ok_or_else(|| {
        Refusal::of(StatusCode::UNAUTHORIZED, "not authorized: the token of the session is missing")
    })
}

fn unknown() -> Refusal {
    Refusal::of(StatusCode::FORBIDDEN, "not authorized: this is not the token of the session")
}

/// Serves one environment until it is dropped.
pub(crate) async fn serve(listener: TcpListener, extension: Arc<Extension>) {
    let answer = move |request| {
        let extension = Arc::clone(&extension);
        async move { sent(extension.answer(&request).await) }
    };
    http::serve(listener, builder(), CONNECTIONS_MAX, answer).await;
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_WAIT).max_buf_size(HEAD_BYTES_MAX);
    builder
}

/// What a query asks for, and whether it has to be fetched. The first of two counts, and what is not known does not.
fn asked(query: &str) -> Result<(Key, bool), Refusal> {
    let wrong = |text: &str| Refusal::of(StatusCode::BAD_REQUEST, text);
    let mut words: HashMap<String, String> = HashMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        words.entry(name.into_owned()).or_insert_with(|| value.into_owned());
    }
    let mut word = |name: &str| words.remove(name).filter(|value| !value.is_empty());
    let refresh = match word("refreshNow").map(|value| value.to_ascii_lowercase()).as_deref() {
        None | Some("false" | "0") => false,
        Some("true" | "1") => true,
        Some(_) => return Err(wrong("invalid refreshNow value")),
    };
    let key = Key {
        secret_id: word("secretId").ok_or_else(|| wrong("missing parameter secretId"))?,
        version_id: word("versionId"),
        version_stage: word("versionStage"),
    };
    Ok((key, refresh))
}

/// In the order of AWS's structure, of which nothing is left out.
fn written(secret: &GetSecretValueResponse) -> Result<Secret<Vec<u8>>, Refusal> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Written<'a> {
        #[serde(rename = "ARN")]
        arn: Option<&'a str>,
        created_date: Option<String>,
        name: Option<&'a str>,
        secret_binary: Option<&'a str>,
        secret_string: Option<&'a str>,
        version_id: Option<&'a str>,
        version_stages: Option<&'a [String]>,
        result_metadata: Nothing,
    }
    #[derive(Serialize)]
    struct Nothing {}

    let binary = secret.secret_binary.as_ref().map(|value| Secret::new(BASE64.encode(value.expose())));
    let whole = Written {
        arn: secret.arn.as_deref(),
        created_date: secret.created_date.map(coffer_types::Timestamp::to_iso_millis),
        name: secret.name.as_deref(),
        secret_binary: binary.as_ref().map(|value| value.expose().as_str()),
        secret_string: secret.secret_string.as_ref().map(|value| value.expose().as_str()),
        version_id: secret.version_id.as_deref(),
        version_stages: secret.version_stages.as_deref(),
        result_metadata: Nothing {},
    };
    serde_json::to_vec(&whole).map(Secret::new).map_err(|_| Refusal::ours())
}

fn sent(answer: Result<Held, Refusal>) -> Response<Full<Bytes>> {
    /// Sent from where it lies, which is wiped.
    struct Whole(Held);

    impl AsRef<[u8]> for Whole {
        fn as_ref(&self) -> &[u8] {
            self.0.expose()
        }
    }

    let (status, kind, body) = match answer {
        Ok(held) => (StatusCode::OK, "application/json", Bytes::from_owner(Whole(held))),
        Err(Refusal(status, text)) => (status, "text/plain; charset=utf-8", Bytes::from(text)),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use coffer_types::Timestamp;

    use super::*;

    #[test]
    fn names_are_found_however_they_are_written() {
        let check = |query: &str, name: &str, version: Option<&str>, stage: Option<&str>, refresh: bool| {
            let key = Key {
                secret_id: name.to_owned(),
                version_id: version.map(str::to_owned),
                version_stage: stage.map(str::to_owned),
            };
            assert_eq!(asked(query).ok(), Some((key, refresh)), "{query}");
        };
        check("secretId=prod/db", "prod/db", None, None, false);
        check("secretId=prod%2Fdb&refreshNow=TRUE", "prod/db", None, None, true);
        let arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:a-AbCdEf";
        check(&format!("versionStage=AWSPREVIOUS&secretId={arn}"), arn, None, Some("AWSPREVIOUS"), false);
        check("secretId=a&versionId=1&secretId=b&refreshNow=0&x=y", "a", Some("1"), None, false);
        for wrong in ["", "secretId", "secretId=", "SecretId=a", "secretId=a&refreshNow=yes"] {
            assert_eq!(asked(wrong).err().map(|refusal| refusal.0), Some(StatusCode::BAD_REQUEST), "{wrong}");
        }
    }

    #[test]
    fn an_answer_has_everything_in_the_order_of_aws() {
        let secret = GetSecretValueResponse {
            arn: Some(String::from("arn")),
            name: Some(String::from("a/b")),
            version_id: Some(String::from("v")),
            secret_string: Some(Secret::new(String::from("p\"w"))),
            secret_binary: None,
            version_stages: Some(vec![String::from("AWSCURRENT")]),
            created_date: Some(Timestamp::from_millis(1_795_348_800_123)),
        };
        let check = |secret: &GetSecretValueResponse, expected: &str| {
            let body = written(secret).ok().unwrap();
            assert_eq!(std::str::from_utf8(body.expose()).unwrap(), expected);
        };
        check(
            &secret,
            r#"{"ARN":"arn","CreatedDate":"2026-11-22T12:00:00.123Z","Name":"a/b","SecretBinary":null,"SecretString":"p\"w","VersionId":"v","VersionStages":["AWSCURRENT"],"ResultMetadata":{}}"#,
        );
        let binary = GetSecretValueResponse {
            secret_string: None,
            secret_binary: Some(Secret::new(vec![0, 255])),
            ..secret
        };
        check(
            &binary,
            r#"{"ARN":"arn","CreatedDate":"2026-11-22T12:00:00.123Z","Name":"a/b","SecretBinary":"AP8=","SecretString":null,"VersionId":"v","VersionStages":["AWSCURRENT"],"ResultMetadata":{}}"#,
        );
    }
}
