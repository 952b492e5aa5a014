//! What is known of an operation and its service before any request arrives. Generated from model and overlay.

use crate::{ConditionRule, ErrorSpec, Schema, Shape};

/// A unit type per operation.
pub trait Operation: 'static {
    type Input: Shape + Send;
    type Output: Shape + Send + 'static;
    const SPEC: &'static OperationSpec;

    /// What the call is about, as the caller names it, if it may belong to another account than his.
    fn owner(_input: &Self::Input) -> Option<&str> {
        None
    }
}

#[derive(Debug)]
pub struct OperationSpec {
    pub service: &'static ServiceSpec,
    pub name: &'static str,
    /// What the caller must be allowed to do. Some operations ask for more than their own action.
    pub action: Action,
    pub read_only: bool,
    pub load: Load,
    /// Largest request body in bytes.
    pub body_limit: usize,
    pub exposure: Exposure,
    pub audit: AuditRule,
    /// What the request brings for the conditions of policies.
    pub conditions: &'static [ConditionRule],
    /// Where it is, for services that are addressed by path.
    pub rest: Option<&'static Rest>,
    pub input: &'static Schema,
    pub output: &'static Schema,
    /// The errors the model declares.
    pub errors: &'static [ErrorSpec],
}

/// An IAM action, such as `secretsmanager:CreateSecret`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Action(pub &'static str);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    /// Anyone may call it over the network.
    Public,
    /// Other services call it through `invoke`; over the network it is not implemented yet.
    Internal,
}

/// What is missed when an operation is not done for a while, for a house that cannot do everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// Looks at one thing, or gives out credentials of which nothing is kept.
    Read,
    /// Looks at many things.
    List,
    Change,
    /// A change that is a step of a rotation. One that stops in the middle leaves a credential that is neither old nor new.
    Rotation,
}

impl Load {
    pub const fn is_change(self) -> bool {
        matches!(self, Self::Change | Self::Rotation)
    }
}

/// The members that may appear in an audit record. What is not listed has no path into it.
#[derive(Debug, Clone, Copy)]
pub struct AuditRule {
    pub request: &'static [&'static str],
    pub response: &'static [&'static str],
    /// It is on record as a read. CloudTrail says so of credentials that are given out, and shows the answer all the same.
    pub read_only: bool,
}

#[derive(Debug)]
pub struct ServiceSpec {
    /// The name signatures are scoped to, which is also the prefix of its actions.
    pub name: &'static str,
    pub api_version: &'static str,
    pub protocol: Protocol,
    /// `secretsmanager.amazonaws.com`: the source in audit records, the service principal in policies.
    pub event_source: &'static str,
    /// What it keeps belongs to an account and to no region.
    pub global: bool,
    /// The region that all its events are told of, wherever it was called: it is one service for the whole world.
    pub events_in: Option<&'static str>,
    /// A refusal says what was not allowed, and not by which type of policy.
    pub bare_denials: bool,
    pub codes: ServiceCodes,
    pub operations: &'static [&'static OperationSpec],
    /// Operations of the model that we do not serve.
    pub unserved: &'static [&'static str],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `X-Amz-Target: <target_prefix>.<Operation>`, JSON bodies.
    AwsJson11 { target_prefix: &'static str },
    /// `Action=<Operation>&Version=<api_version>`, form in, XML out.
    Query { namespace: &'static str },
    /// A method and a path for each operation; JSON bodies, see [`Rest`].
    RestJson1,
}

/// Where an operation is, and what of it does not stand in a body.
#[derive(Debug)]
pub struct Rest {
    pub method: &'static str,
    /// `/2015-03-31/functions/{FunctionName}`, without a slash at its end.
    pub path: &'static str,
    /// What the query must say to mean this operation.
    pub query: Option<(&'static str, &'static str)>,
    /// Of a success.
    pub status: u16,
    pub input: &'static [Bound],
    pub output: &'static [Bound],
}

/// A member that does not stand in the body, or is all of it.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// Its place in the structure.
    pub member: usize,
    pub at: At,
    /// What it is called there; of headers, in small letters.
    pub name: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// A step of the path.
    Uri,
    Query,
    Header,
    /// The status of an answer.
    Status,
    /// The whole body, as it is.
    Payload,
}

/// The errors of the layer in front of a service, which its model does not declare.
#[derive(Debug)]
pub struct ServiceCodes {
    pub validation: ErrorSpec,
    pub serialization: ErrorSpec,
    pub access_denied: ErrorSpec,
    pub throttling: ErrorSpec,
    pub internal: ErrorSpec,
    pub unavailable: ErrorSpec,
    pub unknown_operation: ErrorSpec,
}

impl ServiceSpec {
    pub fn operation(&self, name: &str) -> Option<&'static OperationSpec> {
        self.operations.iter().copied().find(|operation| operation.name == name)
    }
}
