//! Where a story takes place: a client of a region, one of another region, and fresh names. And the words all stories use.
//!
//! The settings are those a program would have: an endpoint, a region, two credentials. Nothing here depends on what serves them.

use std::cell::Cell;
use std::fmt::Debug;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_secretsmanager::config::retry::RetryConfig;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region, SharedHttpClient};
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::RequestId;
use aws_sdk_secretsmanager::operation::create_secret::CreateSecretOutput;
use aws_sdk_secretsmanager::primitives::DateTime;
use aws_sdk_secretsmanager::{Client, Config};

/// Says what comes next, so that a failure has a name.
pub fn step(name: &str) {
    eprintln!("  {name}");
}

pub struct Place {
    pub client: Client,
    /// A client of the region for replicas.
    pub there: Client,
    pub region: String,
    pub other_region: String,
    prefix: String,
    names: Cell<u32>,
}

impl Place {
    pub fn from_environment() -> Place {
        let (region, other_region) = (setting("AWS_REGION"), setting("REPLICA_REGION"));
        let http = aws_smithy_http_client::Builder::new().build_http();
        let key = setting("AWS_SECRET_ACCESS_KEY");
        Place {
            client: Client::from_conf(config(&http, &region, &key)),
            there: Client::from_conf(config(&http, &other_region, &key)),
            region,
            other_region,
            prefix: setting("PREFIX"),
            names: Cell::new(0),
        }
    }

    /// A client that has the key's name right and the key itself wrong.
    pub fn stranger(&self) -> Client {
        let http = aws_smithy_http_client::Builder::new().build_http();
        Client::from_conf(config(&http, &self.region, "of somebody else"))
    }

    pub fn new_name(&self) -> String {
        self.names.set(self.names.get() + 1);
        format!("{}/{}", self.prefix, self.names.get())
    }

    /// A secret with one version, whose value is "one".
    pub async fn secret(&self) -> CreateSecretOutput {
        let made = self.client.create_secret().name(self.new_name()).secret_string("one").send().await;
        made.expect("a secret")
    }
}

fn config(http: &SharedHttpClient, region: &str, secret_access_key: &str) -> Config {
    let key_id = setting("AWS_ACCESS_KEY_ID");
    Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(setting("AWS_ENDPOINT_URL"))
        .region(Region::new(region.to_owned()))
        .credentials_provider(Credentials::new(key_id, secret_access_key, None, None, "environment"))
        .retry_config(RetryConfig::disabled())
        .http_client(http.clone())
        .build()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a program of its own, told its settings as the SDK's users tell theirs"
)]
fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

/// The current value, which is text.
pub async fn value(client: &Client, secret_id: &str) -> String {
    let got = client.get_secret_value().secret_id(secret_id).send().await.expect("a value");
    got.secret_string.expect("a value that is text")
}

/// The call was refused by the service with this code and in these words; gives the operation's own error, to be matched.
pub fn refused<T: Debug, E: ProvideErrorMetadata + Debug>(
    outcome: Result<T, SdkError<E>>,
    code: &str,
    text: &str,
) -> E {
    let error = outcome.expect_err("this should have been refused");
    let request_id_len = error.request_id().map(str::len);
    let SdkError::ServiceError(answer) = error else { panic!("no answer of the service: {error:?}") };
    assert_eq!((answer.raw().status().as_u16(), request_id_len), (400, Some(36)), "{answer:?}");
    let told = answer.into_err();
    assert_eq!(told.code(), Some(code), "{told:?}");
    assert!(told.message().is_some_and(|message| message.contains(text)), "{told:?}");
    told
}

/// Seconds from now to then; negative for what has been.
#[expect(clippy::disallowed_methods, reason = "the server's clock is compared with the machine's")]
pub fn seconds_until(then: Option<&DateTime>) -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    then.expect("a time").as_secs_f64() - now.as_secs_f64()
}
