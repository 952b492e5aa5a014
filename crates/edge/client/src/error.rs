//! Why a call gave no output.

use coffer_sigv4::SignError;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The service answered with an error: AWS's code and sentence.
    #[error("{code}: {message} (HTTP {status})")]
    Refused { code: String, message: String, status: u16 },
    /// An answer that is neither an output nor an error of this API, such as the page of a proxy.
    #[error("HTTP {status} with a body that is not an answer of this API")]
    NotAnAnswer { status: u16 },
    /// An output that does not have its shape.
    #[error("the answer does not have the expected shape: {0}")]
    Shape(String),
    /// The input has no form on the wire.
    #[error("the request cannot be written: {0}")]
    Input(String),
    #[error("the request cannot be signed: {0}")]
    Signature(SignError),
    /// The request has certainly not been carried out.
    #[error("no connection to the server: {0}")]
    Unreachable(String),
    /// The connection failed after the request had left: it may or may not have been carried out.
    #[error("the connection was lost before the answer: {0}")]
    Lost(String),
    #[error("no answer in time; the request may have been carried out")]
    TimedOut,
    #[error("the answer is larger than an answer can be")]
    TooLarge,
}

impl ClientError {
    /// AWS's code, if the service answered with one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Refused { message, .. } => Some(message),
            _ => None,
        }
    }

    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } | Self::NotAnAnswer { status } => Some(*status),
            _ => None,
        }
    }
}
