//! What a client is told when the answer is no, and what our log keeps.

use std::{error::Error, fmt};

/// Code, status and the spelling of the message member, as the model of a service declares them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorSpec {
    pub code: &'static str,
    pub status: u16,
    /// `Message` or `message`; clients read both, and some read only the modelled one.
    pub message_member: &'static str,
}

/// An answer that is an error. What the client reads and what our log keeps are two fields.
#[derive(Debug)]
pub struct ApiError {
    pub spec: ErrorSpec,
    /// AWS's sentence.
    pub message: String,
    /// Of which kind it is, where a model has a word for that beside the code.
    pub reason: Option<&'static str>,
    /// Why, for the log. Never sent.
    pub cause: Option<Box<dyn Error + Send + Sync>>,
}

impl ApiError {
    pub fn new(spec: ErrorSpec, message: impl Into<String>) -> Self {
        Self { spec, message: message.into(), reason: None, cause: None }
    }

    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    #[must_use]
    pub fn of_kind(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    pub const fn code(&self) -> &'static str {
        self.spec.code
    }

    pub const fn status(&self) -> u16 {
        self.spec.status
    }

    /// Ours to look into, not the caller's.
    pub const fn is_fault(&self) -> bool {
        self.spec.status >= 500
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.spec.code, self.message)
    }
}

impl Error for ApiError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}
