//! Who asks: from a claim in a head to a principal that has proven itself.
//!
//! It takes two steps because the body arrives between them. [`identify`] looks the key up and refuses what needs no body;
//! [`Identified::prove`] compares signatures, and is the only place that makes an [`Authenticated`]. The parser of bodies and
//! the core are reached through that type alone, so no later mistake can run a request that nobody signed.
//!
//! A node in [`Mode::Dev`] believes whatever a request says of itself. That is decided here, once, and the rest of the path is
//! the same.

use std::cell::OnceCell;

use coffer_core::{Core, LoadError, Principal};
use coffer_shape::ServiceSpec;
use coffer_sigv4::{
    Accepts, Claim, Expect, Head, KeyKind, KeyMaterial, Pending, SignatureError, SigningKeys, TokenState,
    Window,
};
use coffer_types::{AccountId, Region};

use crate::{
    Mode,
    node::{Node, Settings},
};

/// STS takes presigned requests for a quarter of an hour, whatever they say.
const PRESIGNED_LIFETIME_MAX: std::time::Duration = std::time::Duration::from_secs(15 * 60);

/// Whoever sent this request, proven.
#[derive(Debug)]
pub(crate) struct Authenticated {
    principal: Principal,
    region: Region,
}

impl Authenticated {
    pub(crate) fn into_parts(self) -> (Principal, Region) {
        (self.principal, self.region)
    }
}

/// Everything is known of the caller but whether it is true.
#[derive(Debug)]
pub(crate) struct Identified(Proof);

#[derive(Debug)]
enum Proof {
    /// Boxed, because it would make every future that waits for a body large.
    Signature(Box<Pending>, Option<(Principal, Region)>),
    NotAsked(Principal, Region),
}

#[derive(Debug)]
pub(crate) enum Unidentified {
    Signature(SignatureError),
    /// The key could not be looked up.
    Store(LoadError),
}

impl From<SignatureError> for Unidentified {
    fn from(error: SignatureError) -> Self {
        Self::Signature(error)
    }
}

/// A well-formed claim about who asks, of which nothing has been checked.
#[derive(Debug)]
pub(crate) enum Claimed {
    Signed(Box<Claim>),
    /// Any words will do.
    Said {
        access_key_id: String,
        region: Option<Region>,
    },
}

impl Claimed {
    pub(crate) fn read(head: &Head<'_>, mode: Mode, takes_queries: bool) -> Result<Self, SignatureError> {
        let accepts = match takes_queries {
            true => Accepts::HeaderOrQuery { lifetime_max: PRESIGNED_LIFETIME_MAX },
            false => Accepts::HeaderOnly,
        };
        match (Claim::read(head, accepts), mode) {
            (Ok(claim), Mode::Production) => Ok(Self::Signed(Box::new(claim))),
            (Ok(claim), Mode::Dev) => Ok(Self::said(claim.access_key_id(), claim.region())),
            (Err(error), Mode::Production) => Err(error),
            (Err(error), Mode::Dev) => said_at_all(head, error),
        }
    }

    fn said(access_key_id: &str, region: &str) -> Self {
        Self::Said { access_key_id: access_key_id.to_owned(), region: region.parse().ok() }
    }

    pub(crate) fn access_key_id(&self) -> &str {
        match self {
            Self::Signed(claim) => claim.access_key_id(),
            Self::Said { access_key_id, .. } => access_key_id,
        }
    }
}

/// Hand-written requests seldom sign every header they must. Without a signature to check that does not matter, as long as
/// there is a credential and the head has one meaning.
fn said_at_all(head: &Head<'_>, error: SignatureError) -> Result<Claimed, SignatureError> {
    use SignatureError as E;
    if !matches!(
        error,
        E::IncompleteHeader { .. }
            | E::NotAPair { .. }
            | E::MalformedDate { .. }
            | E::HostNotSigned
            | E::HeaderNotSigned { .. }
            | E::UnsupportedAlgorithm { .. }
    ) {
        return Err(error);
    }
    let header = head.values("authorization").next().and_then(|value| std::str::from_utf8(value).ok());
    let credential = header
        .and_then(|header| header.split_once("Credential="))
        .and_then(|(_, rest)| rest.split([',', ' ']).next());
    let mut parts = credential.unwrap_or_default().split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(id), Some(_), Some(region), Some(_), Some(_)) => Ok(Claimed::said(id, region)),
        _ => Err(error),
    }
}

/// What of the edge an identification needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gate<'e> {
    pub(crate) node: &'e Node,
    pub(crate) core: &'e Core,
    pub(crate) keys: &'e SigningKeys,
    pub(crate) window: Window,
}

impl Gate<'_> {
    /// Checks key, token, scope and time. After this the body is worth reading.
    pub(crate) fn identify(
        self,
        claimed: Claimed,
        service: &ServiceSpec,
    ) -> Result<Identified, Unidentified> {
        match claimed {
            Claimed::Signed(claim) => self.look_up(*claim, service),
            Claimed::Said { access_key_id, region } => {
                Ok(Identified(believe(access_key_id, region, self.node.settings())))
            }
        }
    }

    fn look_up(self, claim: Claim, service: &ServiceSpec) -> Result<Identified, Unidentified> {
        let found = coffer_iam::find_access_key(self.core.db(), claim.access_key_id())
            .map_err(Unidentified::Store)?;
        // The secret of a key never changes; one that is switched off is not found at all. So the moment it was made tells
        // one secret from another.
        let material = found.as_ref().map_or(KeyMaterial::Unknown, |found| KeyMaterial::Known {
            secret: &found.record.secret,
            generation: found.record.created_at.millis().cast_unsigned(),
            kind: KeyKind::LongLived,
        });
        // Nobody gives out sessions yet, so no token can be right.
        let token = if claim.session_token().is_some() { TokenState::Invalid } else { TokenState::NotSent };
        let region: OnceCell<Region> = OnceCell::new();
        let serves_region = |name: &str| match name.parse() {
            Ok(parsed) => {
                region.get_or_init(|| parsed);
                true
            }
            Err(_) => false,
        };
        let expect = Expect {
            service: service.name,
            serves_region: &serves_region,
            now: self.node.world().clock.now(),
            window: self.window,
        };
        let pending = claim.begin(material, token, &expect, self.keys)?;
        let who = found.map(|found| found.principal).zip(region.into_inner());
        Ok(Identified(Proof::Signature(Box::new(pending), who)))
    }
}

/// Everybody is the root of an account, which a key id of twelve digits names.
fn believe(access_key_id: String, region: Option<Region>, settings: &Settings) -> Proof {
    let account: AccountId = access_key_id.parse().unwrap_or(settings.account);
    let principal = Principal::root(account, Some(access_key_id));
    Proof::NotAsked(principal, region.unwrap_or_else(|| settings.region.clone()))
}

impl Identified {
    pub(crate) fn prove(
        self,
        head: &Head<'_>,
        body_sha256: &[u8; 32],
    ) -> Result<Authenticated, SignatureError> {
        match self.0 {
            Proof::NotAsked(principal, region) => Ok(Authenticated { principal, region }),
            Proof::Signature(pending, who) => {
                pending.finish(head, body_sha256)?;
                // A signature that holds without a known key cannot be; if it were, it would prove nobody.
                let (principal, region) = who.ok_or(SignatureError::UnrecognizedClient)?;
                Ok(Authenticated { principal, region })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(authorization: &str) -> Result<(String, Option<String>), SignatureError> {
        let headers = [
            ("host", b"x".as_slice()),
            ("x-amz-target", b"t".as_slice()),
            ("authorization", authorization.as_bytes()),
        ];
        let head = Head { method: "POST", path: "/", query: "", headers: &headers };
        match Claimed::read(&head, Mode::Dev, false)? {
            Claimed::Said { access_key_id, region } => {
                Ok((access_key_id, region.map(|region| region.to_string())))
            }
            Claimed::Signed(_) => panic!("a dev node asked for a signature"),
        }
    }

    #[test]
    fn a_dev_node_takes_any_words_that_name_a_key() {
        let scheme = "AWS4-HMAC-SHA256 Credential=";
        for (text, id, region) in [
            (
                format!("{scheme}test/20260101/eu-west-1/kms/aws4_request, SignedHeaders=host, Signature=0"),
                "test",
                Some("eu-west-1"),
            ),
            (format!("{scheme}123456789012/x/y/z/w"), "123456789012", None),
        ] {
            let (found_id, found_region) = said(&text).unwrap();
            assert_eq!((found_id.as_str(), found_region.as_deref()), (id, region), "{text}");
        }
    }

    #[test]
    fn but_not_none() {
        assert_eq!(said(""), Err(SignatureError::MissingCredentials));
        assert!(said("Bearer abc").is_err());
        assert!(said("AWS4-HMAC-SHA256 Credential=test").is_err());
    }

    #[test]
    fn an_account_can_be_named_by_the_key_id() {
        let settings = Settings {
            account: AccountId::DEV,
            region: "us-east-1".parse().unwrap(),
            limits: crate::config::Limits::default(),
            signature: crate::config::Window::default(),
        };
        for (id, account) in [("test", "000000000000"), ("111122223333", "111122223333")] {
            let Proof::NotAsked(principal, region) = believe(id.to_owned(), None, &settings) else {
                panic!()
            };
            assert_eq!(principal.arn, format!("arn:aws:iam::{account}:root"));
            assert_eq!(region.as_str(), "us-east-1");
        }
    }
}
