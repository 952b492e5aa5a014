//! What the rest of Coffer does for a function. Tests have one of their own.

use std::{future::Future, pin::Pin, time::Duration};

use coffer_core::{BlobRef, LogPlace};
use coffer_model::secretsmanager::{GetSecretValueRequest, GetSecretValueResponse};
use coffer_shape::ApiError;
use coffer_types::{Secret, Timestamp};

pub type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// For one call: in its account, and in the name of its role.
pub trait Backing: Send + Sync {
    fn package(&self, blob: &BlobRef) -> Later<Result<Secret<Vec<u8>>, String>>;
    /// Credentials of the role, with which the function signs its calls: for a call of this length, and for as long as one is usually given
    /// if nothing confines them.
    fn credentials(
        &self,
        session_policy: Option<String>,
        call: Duration,
    ) -> Later<Result<Credentials, String>>;
    /// A secret, as if the function had asked for it itself, through the extension of AWS.
    fn secret(&self, asked: GetSecretValueRequest) -> Later<Result<GetSecretValueResponse, ApiError>>;
    /// What must not be found in the output of a confined function, now that it has run.
    fn scrub(&self) -> Later<Result<Vec<Secret<Vec<u8>>>, String>>;
    /// Whether they were written is nobody's business but the role's: a function that may not write logs has none.
    fn write_log(&self, place: LogPlace, events: Vec<LogEvent>) -> Later<()>;
}

/// Coffer's own API, for those who come from inside of a function's network.
pub trait Door: Send + Sync {
    fn serve(&self, stream: tokio::net::TcpStream);
}

#[derive(Debug)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: Secret<String>,
    pub session_token: Secret<String>,
    pub expires_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEvent {
    pub at: Timestamp,
    pub message: String,
}
