//! What can go wrong in a store, told as what the caller may conclude.
//!
//! The variants differ by consequence, not by cause: whether anything was applied, whether asking again can help,
//! and whether a person has to come. The cause is text for that person. Errors are cloned, because one failed group
//! answers many writers.

use crate::LogDamage;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// Nothing was applied.
    #[error("the store is unavailable: {reason}")]
    Unavailable { reason: String },

    /// The transaction may or may not have been applied. Sending it again with the same token tells.
    #[error("the outcome of the transaction is unknown: {reason}; send it again with the same token")]
    OutcomeUnknown { reason: String },

    /// Nothing was applied, and only transactions that free space will be until there is some.
    #[error("the store is full: {reason}; free some space on its disk")]
    Full { reason: String },

    #[error("the store is damaged: {reason}; stop the server and restore the last good backup")]
    Corrupt { reason: String },

    /// The caller broke a limit that all engines share. Nothing was applied.
    #[error("{what} too large: {size} where {max} is the most; split the transaction")]
    TooLarge { what: &'static str, size: usize, max: usize },

    /// What was acknowledged is not in the log any more. Nothing was changed; a person decides whether to go on without it.
    #[error("{0}; nothing was changed")]
    LogDamaged(LogDamage),

    #[error("the store has another format: {reason}")]
    IncompatibleFormat { reason: String },

    /// An import would mix two histories.
    #[error("the store is not empty; import into a new one")]
    NotEmpty,
}

impl EngineError {
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into() }
    }

    pub fn corrupt(reason: impl Into<String>) -> Self {
        Self::Corrupt { reason: reason.into() }
    }

    /// Whether the same transaction, with the same token, may succeed later.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::OutcomeUnknown { .. })
    }
}
