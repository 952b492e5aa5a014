//! Who asks for what: everything a decision needs to know of a request, borrowed.
//!
//! The kinds of callers are those that policies tell apart. A session of a role knows the role itself, with its path and its id,
//! because its own ARN names it without either, and a role that was deleted and made again is another.

use coffer_types::AccountId;

use crate::Context;

#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub caller: Caller<'a>,
    /// As IAM spells it: `secretsmanager:GetSecretValue`.
    pub action: &'a str,
    /// The ARN. None for actions that concern no resource.
    pub resource: Option<&'a str>,
    /// Whose the resource is. If nothing is said, it is the account in the ARN, or else the caller's.
    pub resource_account: Option<AccountId>,
    pub context: &'a dyn Context,
    /// Names and values, for the grants of a KMS key.
    pub encryption_context: &'a [(&'a str, &'a str)],
}

impl std::fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { caller, action, resource, .. } = self;
        write!(f, "{caller:?} {action} {}", resource.unwrap_or("*"))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller<'a> {
    /// The account itself.
    Root {
        arn: &'a str,
        account: AccountId,
    },
    User {
        arn: &'a str,
        account: AccountId,
        /// `AIDA…`
        id: Option<&'a str>,
    },
    RoleSession {
        arn: &'a str,
        account: AccountId,
        /// The ARN of the role, with its path.
        role: &'a str,
        /// `AROA…`
        role_id: Option<&'a str>,
    },
    FederatedUser {
        arn: &'a str,
        account: AccountId,
        /// The ARN of the user behind it.
        user: &'a str,
        user_id: Option<&'a str>,
    },
    /// `lambda.amazonaws.com`
    Service(&'a str),
    /// Whoever shows a token of this identity provider and is nobody yet.
    WebIdentity {
        provider: &'a str,
    },
    Anonymous,
}

impl Caller<'_> {
    /// None for those who are of no account.
    pub const fn account(&self) -> Option<AccountId> {
        match self {
            Self::Root { account, .. }
            | Self::User { account, .. }
            | Self::RoleSession { account, .. }
            | Self::FederatedUser { account, .. } => Some(*account),
            Self::Service(_) | Self::WebIdentity { .. } | Self::Anonymous => None,
        }
    }

    /// What messages call it.
    pub const fn name(&self) -> &str {
        match self {
            Self::Root { arn, .. }
            | Self::User { arn, .. }
            | Self::RoleSession { arn, .. }
            | Self::FederatedUser { arn, .. } => arn,
            Self::Service(name) => name,
            Self::WebIdentity { provider } => provider,
            Self::Anonymous => "anonymous",
        }
    }
}

/// What the resource is, as far as the rules differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResourceKind {
    /// Policies of identities suffice.
    Ordinary,
    /// Nothing suffices but the key's own policy, or what it delegates.
    Key,
    /// A role that is to be assumed: its trust policy is the same.
    Role,
}

impl Request<'_> {
    pub(crate) fn resource_kind(&self) -> ResourceKind {
        let mut fields = self.resource.unwrap_or_default().splitn(6, ':').skip(2);
        let (service, name) = (fields.next().unwrap_or_default(), fields.nth(2).unwrap_or_default());
        let service_asked = self.action.split(':').next().unwrap_or_default();
        match service {
            "kms" if name.starts_with("key/") => ResourceKind::Key,
            "iam" if name.starts_with("role/") && service_asked.eq_ignore_ascii_case("sts") => {
                ResourceKind::Role
            }
            _ => ResourceKind::Ordinary,
        }
    }

    pub(crate) fn owner(&self) -> Option<AccountId> {
        let in_arn = || self.resource?.split(':').nth(4)?.parse().ok();
        self.resource_account.or_else(in_arn).or_else(|| self.caller.account())
    }
}
