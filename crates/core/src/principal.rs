//! Who calls, and from where.

use coffer_types::{AccountId, Region, RequestId};

/// An authenticated identity, as policies and audit records name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub account: AccountId,
    pub kind: PrincipalKind,
    /// `arn:aws:iam::111122223333:user/ann`
    pub arn: String,
    /// The unique id: `AIDA…` for a user, the account for its root.
    pub user_id: String,
    pub access_key_id: Option<String>,
    /// May do everything in its account.
    pub administrator: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrincipalKind {
    Root,
    User {
        name: String,
    },
    /// Coffer itself: tasks, and commands given on the machine. The name is a service principal or `local`.
    Service {
        name: &'static str,
    },
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
            administrator: true,
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
    /// None on clear text.
    pub tls: Option<TlsDetails>,
    /// The host that the caller meant to reach, as he spelt it.
    pub host: String,
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
    /// A call that Coffer makes for itself.
    pub fn service(account: AccountId, region: Region, name: &'static str, request_id: RequestId) -> Self {
        Self {
            principal: Principal::service(account, name),
            region,
            request_id,
            source_address: name.to_owned(),
            user_agent: name.to_owned(),
            tls: None,
            host: String::new(),
        }
    }
}
