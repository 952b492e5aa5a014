//! What was decided, by what, and how the caller is told.
//!
//! A refusal names the type of policy that refuses and never more: which statement it was is for the audit record, because the
//! caller may not be allowed to know the policies that bind him.

use crate::request::{Caller, Request};

/// The types of policies, in the words of AWS's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyType {
    ServiceControl,
    ResourceControl,
    Endpoint,
    Identity,
    Boundary,
    Session,
    Resource,
    Trust,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision<'p> {
    Allowed(Grounds<'p>),
    /// A statement says no.
    ExplicitDeny {
        by: PolicyType,
        statement: Named<'p>,
    },
    /// No statement says yes that would have to.
    ImplicitDeny {
        by: PolicyType,
    },
}

/// Why something is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grounds<'p> {
    Statement {
        by: PolicyType,
        statement: Named<'p>,
    },
    /// The account itself needs no policy.
    Root,
    /// A grant of a KMS key: which of those that were given.
    Grant(usize),
    /// Nobody can be refused it.
    Always,
}

/// A statement, by the name of its policy and its place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named<'p> {
    pub policy: &'p str,
    /// From zero.
    pub index: usize,
    pub sid: Option<&'p str>,
}

/// What a message calls the resource. Services differ: the ARN, or what the caller sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown<'a> {
    Nothing,
    As(&'a str),
    /// When KMS knows the key from the ciphertext only.
    OfCiphertext,
}

impl PolicyType {
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::ServiceControl => ("a ", "service control policy"),
            Self::ResourceControl => ("a ", "resource control policy"),
            Self::Endpoint => ("a ", "VPC endpoint policy"),
            Self::Identity => ("an ", "identity-based policy"),
            Self::Boundary => ("a ", "permissions boundary"),
            Self::Session => ("a ", "session policy"),
            Self::Resource => ("a ", "resource-based policy"),
            Self::Trust => ("the ", "role trust policy"),
        }
    }
}

impl Decision<'_> {
    pub const fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed(_))
    }

    /// AWS's sentence for a refusal, word for word. None for what is allowed.
    pub fn message(&self, request: &Request<'_>, resource: Shown<'_>) -> Option<String> {
        let action = request.action;
        let reason = match self {
            Self::Allowed(_) => return None,
            // Who has shown only a token is told nothing of the policies.
            _ if matches!(request.caller, Caller::WebIdentity { .. }) => String::new(),
            Self::ExplicitDeny { by, .. } => {
                let (article, words) = by.words();
                format!(" with an explicit deny in {article}{words}")
            }
            Self::ImplicitDeny { by } => format!(" because no {} allows the {action} action", by.words().1),
        };
        Some(self.message_without_reason(request, resource)? + &reason)
    }

    /// As STS says it.
    pub fn message_without_reason(&self, request: &Request<'_>, resource: Shown<'_>) -> Option<String> {
        if self.is_allowed() {
            return None;
        }
        let Request { caller, action, .. } = request;
        // He has no name yet either.
        if matches!(caller, Caller::WebIdentity { .. }) {
            return Some(format!("Not authorized to perform {action}"));
        }
        let on = match resource {
            Shown::Nothing => String::new(),
            Shown::As(name) => format!(" on resource: {name}"),
            Shown::OfCiphertext => String::from(" on the resource associated with this ciphertext"),
        };
        Some(format!("User: {} is not authorized to perform: {action}{on}", caller.name()))
    }
}
