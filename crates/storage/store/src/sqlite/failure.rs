//! What an error of SQLite means for us, and the latch that stops the engine.
//!
//! After a failed write or sync the kernel may have dropped the dirty pages and will report success next time, so
//! asking again proves nothing. The only honest way on is to stop, and to recover from the log in a new process.

use std::{fmt, sync::OnceLock};

use rusqlite::{Error as SqliteError, ErrorCode};

use crate::EngineError;

/// Told once, with the first cause.
pub type OnFatal = Box<dyn Fn(&str) + Send + Sync>;

/// Closed until the first failed write; from then on every call is refused with its cause.
#[derive(Default)]
pub(super) struct Latch {
    cause: OnceLock<String>,
    on_fatal: Option<OnFatal>,
}

impl Latch {
    pub(super) const fn new(on_fatal: Option<OnFatal>) -> Self {
        Self { cause: OnceLock::new(), on_fatal }
    }

    pub(super) fn check(&self) -> Result<(), EngineError> {
        match self.cause.get() {
            None => Ok(()),
            Some(cause) => {
                Err(EngineError::unavailable(format!("the engine has stopped: {cause}; restart the server")))
            }
        }
    }

    /// Stops the engine for good.
    pub(super) fn trip(&self, cause: impl Into<String>) {
        let cause = cause.into();
        if self.cause.set(cause.clone()).is_ok() {
            tracing::error!(cause, "the store has stopped, restart the server");
            if let Some(on_fatal) = &self.on_fatal {
                on_fatal(&cause);
            }
        }
    }

    pub(super) fn cause(&self) -> Option<String> {
        self.cause.get().cloned()
    }
}

impl fmt::Debug for Latch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latch").field("cause", &self.cause).finish_non_exhaustive()
    }
}

/// For reads, and for writes of which nothing was applied.
pub(super) fn explain(error: &SqliteError) -> EngineError {
    match error {
        SqliteError::SqliteFailure(code, _) => match code.code {
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => EngineError::corrupt(error.to_string()),
            ErrorCode::DiskFull => EngineError::Full { reason: error.to_string() },
            _ => EngineError::unavailable(error.to_string()),
        },
        // A column that does not hold what we put there.
        SqliteError::FromSqlConversionFailure(..)
        | SqliteError::IntegralValueOutOfRange(..)
        | SqliteError::InvalidColumnType(..)
        | SqliteError::Utf8Error(..)
        | SqliteError::QueryReturnedNoRows => EngineError::corrupt(error.to_string()),
        _ => EngineError::unavailable(error.to_string()),
    }
}

pub(super) fn is_full(error: &SqliteError) -> bool {
    matches!(error, SqliteError::SqliteFailure(code, _) if code.code == ErrorCode::DiskFull)
}

pub(super) fn is_busy(error: &SqliteError) -> bool {
    matches!(error, SqliteError::SqliteFailure(code, _)
        if matches!(code.code, ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}
