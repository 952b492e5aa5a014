//! Why a step failed, as a function of AWS would say it.

use coffer_shape::ApiError;
use serde_json::json;

/// A type and a sentence, as an exception of Python has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub kind: String,
    pub message: String,
}

impl Failure {
    pub(crate) fn value(message: String) -> Self {
        Self { kind: String::from("ValueError"), message }
    }

    pub(crate) fn key(message: String) -> Self {
        Self { kind: String::from("KeyError"), message }
    }

    pub(crate) fn to_json(&self) -> String {
        json!({ "errorMessage": self.message, "errorType": self.kind }).to_string()
    }
}

/// Of an operation of Secrets Manager.
impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self { kind: error.code().to_owned(), message: error.message }
    }
}

/// What went wrong between us and a database. None of it is what the database said, which may have a value in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// There is no connection, or not any more.
    Unreachable(String),
    /// It offers no encryption, or none that can be trusted.
    NotEncrypted(String),
    /// The database refused, with this code: an SQLSTATE or the number of an error.
    Refused(String),
    /// It speaks another language.
    Strange(&'static str),
    TimedOut,
}

impl Trouble {
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Unreachable(why) | Self::NotEncrypted(why) => why.clone(),
            Self::Refused(code) => format!("the database refused with the code {code}"),
            Self::Strange(what) => format!("the database does not answer as one of its kind: {what}"),
            Self::TimedOut => String::from("the database did not answer in time"),
        }
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self::Unreachable(error.kind().to_string())
    }
}

/// Once logged in, trouble ends the step.
impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Self { kind: String::from("DatabaseError"), message: trouble.reason() }
    }
}
