//! `models/<service>.toml`: what the model does not say and we decided.
//!
//! Which operations are served and to whom, what may appear in an audit record, which strings are secret, what the layer
//! in front of the service answers, and what people are told about all of this. Protocol details that AWS publishes (target prefix, XML namespace) are facts and
//! stay in the JSON.
//!
//! Unknown keys are refused here; names that the model does not have are refused where the two are joined.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overlay {
    /// The name in signatures and the prefix of actions.
    pub name: String,
    pub protocol: Protocol,
    /// The source in audit records and the principal in policies.
    pub event_source: String,
    /// What it keeps belongs to an account and to no region, as with IAM.
    #[serde(default)]
    pub global: bool,
    /// The region that CloudTrail tells its events of, where that is not the one of the call.
    pub events_in: Option<String>,
    /// A refusal says what was not allowed, and not by which type of policy, as with STS.
    #[serde(default)]
    pub bare_denials: bool,
    /// Actions that policies may name although no operation carries them.
    #[serde(default)]
    pub actions_without_operation: Vec<String>,
    pub codes: Codes,
    /// Errors that AWS gives and its model does not declare, by the names of their constructors.
    #[serde(default)]
    pub errors: BTreeMap<String, Code>,
    #[serde(default)]
    pub operations: BTreeMap<String, Operation>,
    #[serde(default)]
    pub shapes: BTreeMap<String, Shape>,
    /// What clients read as errors, by code.
    #[serde(default)]
    pub sentences: BTreeMap<String, Vec<Fact>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Protocol {
    #[serde(rename = "awsJson1.1")]
    AwsJson11,
    #[serde(rename = "query")]
    Query,
    #[serde(rename = "restJson1")]
    RestJson1,
}

/// The errors of the layer in front of the service, one for each job.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Codes {
    pub validation: Code,
    pub serialization: Code,
    pub access_denied: Code,
    pub throttling: Code,
    pub internal: Code,
    pub unavailable: Code,
    pub unknown_operation: Code,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Code {
    pub code: String,
    pub status: u16,
    /// How the message member is spelt.
    #[serde(default = "lower_case_message")]
    pub message: String,
}

fn lower_case_message() -> String {
    String::from("message")
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// `<name>:<Operation>` unless said otherwise.
    pub action: Option<String>,
    pub exposure: Exposure,
    #[serde(default)]
    pub read_only: bool,
    /// What is missed when it is not done for a while. A read or a change unless said otherwise.
    pub load: Option<Load>,
    /// Bytes of a request body; without it the largest value of the input decides.
    pub body_limit: Option<u32>,
    pub audit: Audit,
    /// The member with the ARN of what the call is about. Whoever is named there as its account is where the call runs.
    pub owner: Option<String>,
    /// Condition key -> the member of the request that it is taken from, or `Member.Inner`.
    #[serde(default)]
    pub conditions: BTreeMap<String, String>,
    /// Of the errors that the model does not declare, those that this operation gives.
    #[serde(default)]
    pub errors: Vec<String>,
    #[serde(default)]
    pub page: Page,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Load {
    List,
    Rotation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exposure {
    Public,
    Internal,
}

/// Names of top-level members. What is not listed stays out of audit records.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    pub request: Vec<String>,
    pub response: Vec<String>,
    /// A read, in the eyes of CloudTrail, whose answer it shows.
    #[serde(default)]
    pub read_only: bool,
}

/// What people are told about an operation beside its shapes. No code comes of it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// As AWS does it, or as we chose where AWS's way is not known.
    #[serde(default)]
    pub quirks: Vec<Fact>,
    /// Not as AWS does it, on purpose; the sentence says why or what is gained.
    #[serde(default)]
    pub differs: Vec<Fact>,
    #[serde(default)]
    pub not_yet: Vec<Fact>,
}

/// A sentence, under the name of who told us what AWS does.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fact {
    /// AWS itself, in an answer that was kept.
    Recorded(String),
    /// AWS's words, as somebody quoted them in public.
    Reported(String),
    /// Its documentation, or its model.
    Docs(String),
    /// Nobody.
    Ours(String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Becomes a `Secret<..>`, whatever the model says.
    #[serde(default)]
    pub secret: bool,
    #[serde(default)]
    pub length_in: LengthIn,
    /// The service looks at the value itself and answers with an error of its own; the layer in front lets everything through.
    #[serde(default)]
    pub unchecked: bool,
    /// What the published pattern means, in the syntax of the `regex` crate. Messages go on printing the published text.
    pub pattern: Option<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LengthIn {
    #[default]
    Characters,
    Bytes,
}

impl Overlay {
    pub fn parse(text: &str) -> Result<Self> {
        // toml's own message shows the line and the key; the caller adds the file.
        toml::from_str(text).map_err(|error| anyhow!("{error}"))
    }
}

impl Fact {
    pub fn text(&self) -> &str {
        match self {
            Self::Recorded(text) | Self::Reported(text) | Self::Docs(text) | Self::Ours(text) => text,
        }
    }
}

impl Codes {
    /// Each error with the name of its constructor.
    pub fn named(&self) -> [(&'static str, &Code); 7] {
        [
            ("validation", &self.validation),
            ("serialization", &self.serialization),
            ("access_denied", &self.access_denied),
            ("throttling", &self.throttling),
            ("internal", &self.internal),
            ("unavailable", &self.unavailable),
            ("unknown_operation", &self.unknown_operation),
        ]
    }
}
