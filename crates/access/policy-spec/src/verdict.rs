//! What a decision says: the decision itself, the type of policy that is named for a denial, and the sentence for the caller.

/// In the words of the cases: `Allow`, `ImplicitDeny`, `ExplicitDeny`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    Allow,
    ImplicitDeny,
    ExplicitDeny,
}

impl Decision {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::ImplicitDeny => "ImplicitDeny",
            Self::ExplicitDeny => "ExplicitDeny",
        }
    }
}

/// A type of policy, as a denial names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyType {
    ServiceControl,
    ResourceControl,
    Endpoint,
    Identity,
    Boundary,
    Session,
    /// A secret's or key's policy.
    Resource,
    /// The resource policy of a role, which has its own name in messages.
    Trust,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub decision: Decision,
    /// Which type of policy the message names. Nothing for an allow.
    pub named: Option<PolicyType>,
    /// The sentence the caller reads (2.9). Nothing for an allow.
    pub message: Option<String>,
}

impl Verdict {
    pub(crate) const fn allow() -> Self {
        Self { decision: Decision::Allow, named: None, message: None }
    }

    /// 2.2: an internal error during evaluation is a denial, never an allow. A case that is not in the format is such an error.
    pub(crate) const fn malformed() -> Self {
        Self { decision: Decision::ImplicitDeny, named: None, message: None }
    }
}
