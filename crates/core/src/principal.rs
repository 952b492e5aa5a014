//! Who calls, and from where.

use std::sync::Arc;

use coffer_policy as policy;
use coffer_shape::{Conditions, ServiceSpec};
use coffer_types::{AccountId, Region, RequestId, Timestamp};

use crate::PolicyText;

/// An authenticated identity, as policies and audit records name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub account: AccountId,
    pub kind: PrincipalKind,
    /// `arn:aws:iam::111122223333:user/ann`
    pub arn: String,
    /// The unique id: `AIDA…` for a user, `AROA…:name` for a session of a role, the account for its root.
    pub user_id: String,
    pub access_key_id: Option<String>,
    /// For temporary credentials: what they brought along from the call that gave them out.
    pub session: Option<Arc<Session>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrincipalKind {
    Root,
    User {
        name: String,
    },
    /// Somebody who has taken on a role. The ARN of the principal is that of the session.
    AssumedRole(AssumedRole),
    /// Whoever shows a token of an identity provider. He may take on a role and is nobody yet; the ARN is that of the provider.
    WebIdentity(Arc<WebIdentity>),
    /// Coffer itself: tasks, and commands given on the machine. The name is a service principal or `local`.
    Service {
        name: &'static str,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssumedRole {
    /// The ARN of the role with its path, which the ARN of a session leaves out.
    pub arn: String,
    /// `AROA…`
    pub id: String,
    /// The name of the session.
    pub session_name: String,
}

/// What an identity provider vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebIdentity {
    /// Its URL without the scheme, with which the names of its claims begin in policies.
    pub issuer: String,
    pub subject: String,
    /// The one that the token was accepted for.
    pub audience: String,
    /// What policies can ask for, without the issuer before.
    pub claims: Conditions,
    pub tags: Vec<(String, String)>,
    pub transitive_tag_keys: Vec<String>,
    pub source_identity: Option<String>,
}

/// What temporary credentials bring along.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Session {
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    pub source_identity: Option<String>,
    /// The ARN or host of the identity provider that vouched for whoever took on the role.
    pub federated_provider: Option<String>,
    /// Whether a second factor was shown.
    pub mfa: bool,
    pub tags: Vec<(String, String)>,
    /// Keys of the tags that a session begun from this one inherits.
    pub transitive_tag_keys: Vec<String>,
    /// What the session may do at most: texts, and ARNs of managed policies. With neither, nothing limits it.
    pub policies: Vec<PolicyText>,
    pub policy_arns: Vec<String>,
}

impl Principal {
    /// Coffer acting for itself in an account.
    pub fn service(account: AccountId, name: &'static str) -> Self {
        Self {
            account,
            kind: PrincipalKind::Service { name },
            arn: name.to_owned(),
            user_id: name.to_owned(),
            access_key_id: None,
            session: None,
        }
    }

    /// The root of an account.
    pub fn root(account: AccountId, access_key_id: Option<String>) -> Self {
        Self {
            account,
            kind: PrincipalKind::Root,
            arn: format!("arn:{}:iam::{account}:root", coffer_types::PARTITION),
            user_id: account.to_string(),
            access_key_id,
            session: None,
        }
    }

    /// As the evaluator of policies tells callers apart.
    pub fn as_caller(&self) -> policy::Caller<'_> {
        let (arn, account) = (self.arn.as_str(), self.account);
        match &self.kind {
            PrincipalKind::Root => policy::Caller::Root { arn, account },
            PrincipalKind::User { .. } => policy::Caller::User { arn, account, id: Some(&self.user_id) },
            PrincipalKind::AssumedRole(role) => {
                policy::Caller::RoleSession { arn, account, role: &role.arn, role_id: Some(&role.id) }
            }
            PrincipalKind::WebIdentity(_) => policy::Caller::WebIdentity { provider: arn },
            PrincipalKind::Service { name } => policy::Caller::Service(name),
        }
    }
}

/// One request's circumstances. Made by the edge once the signature holds.
#[derive(Debug, Clone)]
pub struct Caller {
    pub principal: Principal,
    /// The region the signature is scoped to; it decides which regional store is meant.
    pub region: Region,
    pub request_id: RequestId,
    /// Empty for calls that come from inside.
    pub source_address: String,
    pub user_agent: String,
    pub transport: Transport,
    /// The host that the caller meant to reach, as he spelt it.
    pub host: String,
}

/// How a call came here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    ClearText,
    Tls(TlsDetails),
    /// A service made it in this process, or a function did from its own network: where nobody listens.
    Inside,
}

impl Transport {
    /// As policies mean it.
    pub(crate) const fn is_secure(self) -> bool {
        match self {
            Self::ClearText => false,
            Self::Tls(_) | Self::Inside => true,
        }
    }

    pub(crate) const fn tls(self) -> Option<TlsDetails> {
        match self {
            Self::Tls(details) => Some(details),
            Self::ClearText | Self::Inside => None,
        }
    }
}

impl From<Option<TlsDetails>> for Transport {
    fn from(tls: Option<TlsDetails>) -> Self {
        tls.map_or(Self::ClearText, Self::Tls)
    }
}

/// What was agreed on for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsDetails {
    /// `TLSv1.3` and the like.
    pub version: &'static str,
    /// As IANA names it, such as `TLS_AES_128_GCM_SHA256`.
    pub cipher_suite: Option<&'static str>,
}

impl Caller {
    /// The same call, made by a service for itself.
    pub(crate) fn of(&self, service: &ServiceSpec) -> Self {
        Self::service(self.principal.account, self.region.clone(), service.event_source, self.request_id)
    }

    /// A call that Coffer makes for itself.
    pub fn service(account: AccountId, region: Region, name: &'static str, request_id: RequestId) -> Self {
        Self {
            principal: Principal::service(account, name),
            region,
            request_id,
            source_address: name.to_owned(),
            user_agent: name.to_owned(),
            transport: Transport::Inside,
            host: String::new(),
        }
    }
}
