//! Who a statement of a resource's policy speaks of.
//!
//! A principal is well formed or it is not; whether somebody of that name exists is not known here. A wildcard inside an ARN
//! is never accepted: it would grant to whoever makes a name that fits.

use std::fmt;

use coffer_types::{AccountId, Arn};

/// The partitions of AWS that have an IAM of their own.
pub(crate) const PARTITIONS: &[&str] =
    &["aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc"];
/// Providers of web identities that need no ARN.
const WELL_KNOWN_PROVIDERS: &[&str] =
    &["accounts.google.com", "cognito-identity.amazonaws.com", "graph.facebook.com", "www.amazon.com"];
/// Users and roles, their groups and profiles: the prefixes of ids that never come again.
const UNIQUE_ID_PREFIXES: &[&str] = &["AIDA", "AROA"];
const UNIQUE_ID_LEN: std::ops::RangeInclusive<usize> = 16..=128;

/// The word before a principal, as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrincipalKind {
    Aws,
    Service,
    Federated,
    CanonicalUser,
}

impl PrincipalKind {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "AWS" => Self::Aws,
            "Service" => Self::Service,
            "Federated" => Self::Federated,
            "CanonicalUser" => Self::CanonicalUser,
            _ => return None,
        })
    }
}

impl fmt::Display for PrincipalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aws => "AWS",
            Self::Service => "Service",
            Self::Federated => "Federated",
            Self::CanonicalUser => "CanonicalUser",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// `*`
    Anyone,
    /// A whole account, written as its number or as the ARN of its root.
    Account(AccountId),
    User(Arn),
    Role(Arn),
    /// One session of a role.
    RoleSession(Arn),
    FederatedUser(Arn),
    /// `AIDA…` or `AROA…`: what AWS shows for a user or role that is gone.
    UniqueId(String),
    /// `lambda.amazonaws.com`
    Service(String),
    /// An identity provider.
    Federated(String),
}

impl Principal {
    /// Nothing for what is not well formed.
    pub(crate) fn parse(kind: PrincipalKind, value: &str) -> Option<Self> {
        match kind {
            PrincipalKind::Aws => Self::parse_aws(value),
            PrincipalKind::Service => is_service(value).then(|| Self::Service(value.to_owned())),
            PrincipalKind::Federated => is_provider(value).then(|| Self::Federated(value.to_owned())),
            // Only S3 knows canonical users.
            PrincipalKind::CanonicalUser => None,
        }
    }

    fn parse_aws(value: &str) -> Option<Self> {
        if value == "*" {
            return Some(Self::Anyone);
        }
        if let Ok(account) = value.parse::<AccountId>() {
            return Some(Self::Account(account));
        }
        if UNIQUE_ID_PREFIXES.iter().any(|prefix| value.starts_with(prefix)) {
            let good = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
            let is_id = UNIQUE_ID_LEN.contains(&value.len()) && value.bytes().all(good);
            return is_id.then(|| Self::UniqueId(value.to_owned()));
        }
        let arn = value.parse::<Arn>().ok().filter(|arn| PARTITIONS.contains(&arn.partition()))?;
        let account = arn.account().parse::<AccountId>().ok().filter(|_| arn.region().is_empty())?;
        if arn.service() == "iam" && arn.resource() == "root" {
            return Some(Self::Account(account));
        }
        let (kind, name) = arn.resource().split_once('/')?;
        if !is_name(name) {
            return None;
        }
        match (arn.service(), kind) {
            ("iam", "user") => Some(Self::User(arn)),
            ("iam", "role") => Some(Self::Role(arn)),
            ("sts", "assumed-role") if name.split('/').count() == 2 => Some(Self::RoleSession(arn)),
            ("sts", "federated-user") if !name.contains('/') => Some(Self::FederatedUser(arn)),
            _ => None,
        }
    }
}

/// A name of IAM, with its path: no wildcard, and no empty part.
fn is_name(name: &str) -> bool {
    let good = |byte: u8| (0x21..=0x7e).contains(&byte) && !b"*?:".contains(&byte);
    name.split('/').all(|part| !part.is_empty() && part.bytes().all(good))
}

fn is_service(name: &str) -> bool {
    let host = name.strip_suffix(".cn").unwrap_or(name);
    host.strip_suffix(".amazonaws.com").is_some_and(|service| {
        service.split('.').all(|part| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        })
    })
}

fn is_provider(value: &str) -> bool {
    if WELL_KNOWN_PROVIDERS.contains(&value) {
        return true;
    }
    value.parse::<Arn>().is_ok_and(|arn| {
        let is_ours = PARTITIONS.contains(&arn.partition())
            && arn.service() == "iam"
            && arn.account().parse::<AccountId>().is_ok();
        let provider = ["saml-provider/", "oidc-provider/"];
        is_ours
            && provider.iter().any(|prefix| arn.resource().strip_prefix(prefix).is_some_and(is_provider_name))
    })
}

/// The path of an OpenID issuer may end in a slash.
fn is_provider_name(name: &str) -> bool {
    is_name(name.strip_suffix('/').unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principals_are_read_as_what_they_are() {
        let arn = |text: &str| text.parse::<Arn>().unwrap();
        let account = || Principal::Account("111122223333".parse().unwrap());
        let user = "arn:aws:iam::111122223333:user/team/ann";
        let role = "arn:aws:iam::111122223333:role/app";
        let session = "arn:aws:sts::111122223333:assumed-role/app/i-0123";
        let guest = "arn:aws:sts::111122223333:federated-user/guest";
        for (kind, text, expected) in [
            (PrincipalKind::Aws, "*", Principal::Anyone),
            (PrincipalKind::Aws, "111122223333", account()),
            (PrincipalKind::Aws, "arn:aws:iam::111122223333:root", account()),
            (PrincipalKind::Aws, user, Principal::User(arn(user))),
            (PrincipalKind::Aws, role, Principal::Role(arn(role))),
            (PrincipalKind::Aws, session, Principal::RoleSession(arn(session))),
            (PrincipalKind::Aws, guest, Principal::FederatedUser(arn(guest))),
            (PrincipalKind::Aws, "AIDAIOSFODNN7EXAMPLE", Principal::UniqueId("AIDAIOSFODNN7EXAMPLE".into())),
            (
                PrincipalKind::Service,
                "lambda.amazonaws.com",
                Principal::Service("lambda.amazonaws.com".into()),
            ),
            (
                PrincipalKind::Service,
                "a.b.amazonaws.com.cn",
                Principal::Service("a.b.amazonaws.com.cn".into()),
            ),
            (PrincipalKind::Federated, "www.amazon.com", Principal::Federated("www.amazon.com".into())),
        ] {
            assert_eq!(Principal::parse(kind, text), Some(expected), "{text}");
        }
        let issuer = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/AB12";
        assert!(Principal::parse(PrincipalKind::Federated, issuer).is_some());
    }

    #[test]
    fn what_is_not_well_formed_is_nobody() {
        for (kind, text) in [
            (PrincipalKind::Aws, ""),
            (PrincipalKind::Aws, "ann"),
            (PrincipalKind::Aws, "1111"),
            (PrincipalKind::Aws, "AIDA*"),
            (PrincipalKind::Aws, "arn:aws:iam::1:user/x"),
            (PrincipalKind::Aws, "arn:aws:iam::*:root"),
            (PrincipalKind::Aws, "arn:aws:iam::111122223333:user/*"),
            (PrincipalKind::Aws, "arn:aws:iam::111122223333:role/app?"),
            (PrincipalKind::Aws, "arn:aws:iam::111122223333:role/"),
            (PrincipalKind::Aws, "arn:aws:iam::111122223333:role//app"),
            (PrincipalKind::Aws, "arn:aws:iam::111122223333:group/devs"),
            (PrincipalKind::Aws, "arn:aws:iam:eu-west-1:111122223333:user/ann"),
            (PrincipalKind::Aws, "arn:mars:iam::111122223333:user/ann"),
            (PrincipalKind::Aws, "arn:aws:s3:::bucket/ann"),
            (PrincipalKind::Aws, "arn:aws:sts::111122223333:assumed-role/app"),
            (PrincipalKind::Service, "*"),
            (PrincipalKind::Service, "lambda"),
            (PrincipalKind::Service, ".amazonaws.com"),
            (PrincipalKind::Service, "example.com"),
            (PrincipalKind::Federated, "*"),
            (PrincipalKind::Federated, "example.com"),
            (
                PrincipalKind::CanonicalUser,
                "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be",
            ),
        ] {
            assert_eq!(Principal::parse(kind, text), None, "{kind} {text}");
        }
    }
}
