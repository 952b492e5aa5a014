//! What a service needs to have a function run, and what it gets back.
//!
//! A service decides whether a function may be invoked, and which revision of it; whoever implements [`Functions`] runs it, as a process,
//! over the network or in a simulation. A function is somebody else's program: nothing it says is believed, and nothing it does can keep a
//! caller waiting longer than its time limit.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use coffer_types::{AccountId, Arn, Region, RequestId, Secret};

use crate::{Going, Inside, Principal, blobs::BlobRef};

/// The answer of a run, some time.
pub type FunctionRun = Pin<Box<dyn Future<Output = FunctionOutcome> + Send>>;

/// Until nothing runs.
pub type Stopping<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Runs functions.
pub trait Functions: Send + Sync {
    /// How many rotations may have a function run at once. With none, no rotation begins by itself, and those that were begun wait.
    fn rotations_at_once(&self) -> usize;

    /// Why the code of others is not run here, if it is not. What does not need it goes on: rotators that come along, and webhooks.
    fn runs_no_code(&self) -> Option<String> {
        None
    }

    /// Whether a function of this name comes along, and is there in every account and region without anybody having made it.
    fn comes_along(&self, name: &str) -> bool {
        let _ = name;
        false
    }

    /// Whether the one of this name that comes along also reads the secret that `masterarn` names.
    fn reads_master(&self, name: &str) -> bool {
        let _ = name;
        false
    }

    /// Runs a function once. The run goes on if nobody waits for it any more.
    fn run(&self, call: FunctionCall) -> FunctionRun;

    /// A function was changed or deleted: what was kept warm of it, by its ARN without a version, is of no use any more.
    fn forget(&self, function: &str);

    /// The store is being sealed: what runs is ended, and so is what was kept warm, which may have secrets in it. When this is over nothing
    /// of it is left, so that a piece of work which begins again once the store is open is not done twice at once. Functions can be run
    /// again afterwards.
    fn stop(&self) -> Stopping<'_> {
        Box::pin(std::future::ready(()))
    }
}

const DISABLED: &str = "local function execution is disabled";

/// The world of a server for which nobody has configured functions.
#[derive(Debug, Clone, Copy)]
pub struct NoFunctions;

impl Functions for NoFunctions {
    fn rotations_at_once(&self) -> usize {
        0
    }

    fn runs_no_code(&self) -> Option<String> {
        Some(DISABLED.to_owned())
    }

    fn run(&self, _: FunctionCall) -> FunctionRun {
        Box::pin(std::future::ready(FunctionOutcome::Unavailable(DISABLED.to_owned())))
    }

    fn forget(&self, _: &str) {}
}

/// One invocation.
#[derive(Debug)]
pub struct FunctionCall {
    pub program: Program,
    /// As it was named: with the alias or version that was asked for.
    pub invoked_arn: String,
    pub request_id: RequestId,
    /// JSON.
    pub event: Secret<Vec<u8>>,
    /// JSON, as the caller gave it.
    pub client_context: Option<String>,
    /// A session of the function's role, in whose name its logs are written and its secrets are fetched.
    pub session: Principal,
    pub confined: Option<Confined>,
    pub inside: Inside,
}

/// What a function is.
#[derive(Debug, Clone)]
pub enum Program {
    /// Somebody's code.
    Deployed(Arc<Deployment>),
    /// Somebody's server, which is sent the event.
    Webhook(Arc<Webhook>),
    /// What comes along, by its name, for an account and region.
    BuiltIn(Arc<BuiltIn>),
}

impl Program {
    /// `$LATEST` or a number.
    pub fn version(&self) -> &str {
        match self {
            Self::Deployed(deployment) => &deployment.version,
            Self::Webhook(webhook) => &webhook.version,
            Self::BuiltIn(_) => "$LATEST",
        }
    }
}

#[derive(Debug)]
pub struct Webhook {
    /// Without a version.
    pub arn: String,
    pub version: String,
    /// It may have a secret in it, as those of chat servers do.
    pub url: Secret<String>,
    /// Signs the event.
    pub key: Option<Secret<String>>,
    pub timeout: Duration,
    pub memory_mb: u32,
}

#[derive(Debug)]
pub struct BuiltIn {
    pub account: AccountId,
    pub region: Region,
    pub name: String,
}

/// One revision of a function: all that is needed to run it.
#[derive(Debug)]
pub struct Deployment {
    pub account: AccountId,
    pub region: Region,
    pub name: String,
    /// `$LATEST` or a number.
    pub version: String,
    /// Another one after every change.
    pub revision_id: String,
    /// Without a version.
    pub arn: String,
    pub runtime: String,
    pub handler: String,
    pub role: Arn,
    pub timeout: Duration,
    pub memory_mb: u32,
    pub scratch_mb: u32,
    pub environment: Vec<(String, Secret<String>)>,
    /// A zip file.
    pub code: BlobRef,
    /// In the order in which they are laid over each other.
    pub layers: Vec<BlobRef>,
    /// The layer that fetches secrets for the function.
    pub has_secrets_extension: bool,
    pub log_group: String,
    /// Logs in JSON instead of text.
    pub logs_json: bool,
    /// How many may run at once, if that is limited.
    pub reserved: Option<u32>,
    /// Traces are wanted.
    pub traced: bool,
}

/// Where the log of a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPlace {
    pub group: String,
    pub stream: String,
}

/// What a service that has a function run wants of it beyond an answer.
pub struct Confined {
    /// The policy of the session that the function gets: it may do at most that.
    pub session_policy: String,
    /// Host and port of whatever it has to reach beside Coffer.
    pub endpoints: Vec<(String, u16)>,
    /// What must not be found in its logs; asked when the run is over, before anything of its output goes anywhere.
    pub scrub: Scrub,
    /// Where its log is, once that is known.
    pub log: Arc<OnceLock<LogPlace>>,
    /// Nobody will call with this policy again.
    pub is_last: bool,
    /// Whoever wanted it, if he is still there: in his name one that comes along reads what it was not called for.
    pub on_behalf_of: Option<Principal>,
}

pub type Scrub = Arc<dyn Fn(Inside) -> Going<Vec<Secret<Vec<u8>>>> + Send + Sync>;

impl fmt::Debug for Confined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confined").field("endpoints", &self.endpoints).finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub enum FunctionOutcome {
    Done(FunctionAnswer),
    /// As many as may run at once do.
    Throttled,
    /// It was not run, for a reason that is ours.
    Unavailable(String),
}

#[derive(Debug)]
pub struct FunctionAnswer {
    /// JSON: the result, or the error if it failed.
    pub payload: Secret<Vec<u8>>,
    pub failed: bool,
    /// From START to REPORT.
    pub log: Vec<u8>,
    pub log_stream: String,
}

impl fmt::Debug for dyn Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Functions")
    }
}
