//! Where the keys of an identity provider are read from.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use coffer_client::{ClientError, Connections, Endpoint, RawRequest};
use coffer_types::Secret;
use tokio::{io::AsyncReadExt, time::timeout};

use super::jwks::{KeySet, KeySetError};

/// A set of keys is a few kilobytes.
const BYTES_MAX: usize = 1 << 20;
const WAIT: Duration = Duration::from_secs(10);

#[derive(Clone, PartialEq, Eq)]
pub enum KeySource {
    File(PathBuf),
    Url {
        /// `https://host:port`, or clear text to this machine.
        base: String,
        /// What is asked for there.
        target: String,
        /// The text of a PEM file with those who may vouch for the host. Clear text needs none.
        authorities: Option<String>,
    },
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error(transparent)]
    File(#[from] std::io::Error),
    #[error(transparent)]
    Fetch(#[from] ClientError),
    #[error(transparent)]
    Keys(#[from] KeySetError),
    #[error("{0}")]
    Endpoint(String),
    #[error("the answer has the status {0}")]
    Status(u16),
    #[error("it is longer than 1 MiB")]
    TooLong,
    #[error("it did not answer in time")]
    TimedOut,
}

impl KeySource {
    /// A place as the configuration names it. The error is a reason for people.
    pub(crate) fn parse(place: &str, authorities: Option<&str>) -> Result<Self, String> {
        let path = Path::new(place);
        if path.is_absolute() {
            return Ok(Self::File(path.to_owned()));
        }
        let start = place.find("://").map(|at| at + 3).unwrap_or_default();
        let end = place.get(start..).and_then(|rest| rest.find('/')).map_or(place.len(), |at| start + at);
        let (base, target) = place.split_at_checked(end).unwrap_or((place, ""));
        if !base.starts_with("https://") && !is_near(base) {
            return Err(String::from("a place is an absolute path, or a URL that begins with https://"));
        }
        Endpoint::new(base, authorities).map_err(|error| match authorities {
            None if base.starts_with("https://") => {
                String::from("`oidc.authorities` says nothing of whom to trust there")
            }
            _ => error.to_string(),
        })?;
        let target = if target.is_empty() { "/" } else { target };
        Ok(Self::Url {
            base: base.to_owned(),
            target: target.to_owned(),
            authorities: authorities.map(str::to_owned),
        })
    }

    pub(super) async fn read(&self) -> Result<KeySet, SourceError> {
        let bytes = timeout(WAIT, self.bytes()).await.map_err(|_| SourceError::TimedOut)??;
        if bytes.len() > BYTES_MAX {
            return Err(SourceError::TooLong);
        }
        Ok(KeySet::parse(&bytes)?)
    }

    async fn bytes(&self) -> Result<Vec<u8>, SourceError> {
        match self {
            Self::File(path) => {
                let mut bytes = Vec::new();
                let file = tokio::fs::File::open(path).await?;
                file.take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes).await?;
                Ok(bytes)
            }
            Self::Url { base, target, authorities } => {
                let endpoint = Endpoint::new(base, authorities.as_deref())
                    .map_err(|error| SourceError::Endpoint(error.to_string()))?;
                let request = RawRequest {
                    method: "GET",
                    target: target.clone(),
                    headers: vec![header("accept", "application/json"), header("user-agent", "coffer")],
                    body: Secret::new(Vec::new()),
                };
                // A redirection is no answer: it would lead where nobody has allowed us to go.
                let answer = Connections::new(endpoint).send(request).await?;
                if answer.status == 200 {
                    Ok(answer.body.take())
                } else {
                    Err(SourceError::Status(answer.status))
                }
            }
        }
    }
}

/// Whether clear text to this place stays on this machine.
pub(crate) fn is_near(base: &str) -> bool {
    ["http://127.0.0.1", "http://[::1]", "http://localhost"]
        .iter()
        .any(|near| base.strip_prefix(near).is_some_and(|rest| rest.is_empty() || rest.starts_with(':')))
}

fn header(name: &str, value: &str) -> (String, Secret<Vec<u8>>) {
    (name.to_owned(), Secret::new(value.as_bytes().to_vec()))
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Url { base, target, .. } => write!(f, "{base}{target}"),
        }
    }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySource({self})")
    }
}
