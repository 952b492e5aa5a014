//! Who asks: from a claim in a head to a principal that has proven itself.
//!
//! It takes two steps because the body arrives between them. [`identify`] looks the key up and refuses what needs no body;
//! [`Identified::prove`] compares signatures, and is the only place that makes an [`Authenticated`]. The parser of bodies and
//! the core are reached through that type alone, so no later mistake can run a request that nobody signed.
//!
//! There are two other ways to prove oneself. Temporary credentials bring a session token, in which everything about them is sealed; it is
//! opened here. And for one operation nobody signs: [`Authenticated::by_token`] takes the token of an identity provider instead.
//!
//! A node in [`Mode::Dev`] believes whatever a request says of itself, unless it brings a session token of ours: that says more. That is
//! decided here, once, and the rest of the path is the same.

use std::{cell::OnceCell, sync::Arc};

use coffer_core::{Core, LoadError, Principal, PrincipalKind, WebIdentity};
use coffer_iam::{OpenedSession, SessionKey, find_access_key, open_session, trusted_provider};
use coffer_model::sts::{AssumeRoleWithWebIdentity, AssumeRoleWithWebIdentityRequest, SERVICE as STS};
use coffer_shape::{ApiError, Operation, OperationSpec, ServiceSpec};
use coffer_sigv4::{
    Accepts, Claim, Expect, Head, KeyKind, KeyMaterial, Pending, SignatureError, SigningKeys, TokenState,
    Window,
};
use coffer_types::{AccountId, Region, Secret, Timestamp};

use crate::{
    Mode,
    node::{Node, Settings},
    oidc::{self, Token, TokenFault},
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
    /// The one operation that a token stands in for a signature in.
    pub(crate) fn is_by_token(operation: &OperationSpec) -> bool {
        let by_token = AssumeRoleWithWebIdentity::SPEC;
        (operation.service.name, operation.name) == (by_token.service.name, by_token.name)
    }

    /// Whoever an identity provider vouches for, to the account whose role he wants.
    ///
    /// The store is not kept open while the keys of the provider are fetched: sealing waits for whoever holds it.
    pub(crate) async fn by_token(
        node: &Node,
        asked: &AssumeRoleWithWebIdentityRequest,
        region: Region,
    ) -> Result<Self, ApiError> {
        let token = Token::read(asked.web_identity_token.expose())?;
        let no_provider = || TokenFault::NoProvider { issuer: token.issuer().to_owned() };
        let issuer = oidc::name(token.issuer()).ok_or_else(no_provider)?;
        let found = {
            let unavailable = || ApiError::new(STS.codes.unavailable, "The service is not ready.");
            let core = node.core().ok_or_else(unavailable)?;
            trusted_provider(core.db(), &asked.role_arn, issuer)?
                .map_err(|error| unavailable().because(error))?
        };
        let provider = found.ok_or_else(no_provider)?;
        let now = node.world().clock.now();
        let claims = node.issuers().verify(&token, &provider.client_ids, now).await?;
        let principal = Principal {
            account: provider.account,
            user_id: format!("{}:{}:{}", provider.arn, claims.audience, claims.subject),
            arn: provider.arn,
            kind: PrincipalKind::WebIdentity(Arc::new(WebIdentity {
                issuer: issuer.to_owned(),
                subject: claims.subject,
                audience: claims.audience,
                claims: claims.conditions,
                tags: claims.tags,
                transitive_tag_keys: claims.transitive_tag_keys,
                source_identity: claims.source_identity,
            })),
            access_key_id: None,
            session: None,
        };
        Ok(Self { principal, region })
    }

    pub(crate) const fn region(&self) -> &Region {
        &self.region
    }

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
    Said(Said),
}

#[derive(Debug)]
pub(crate) struct Said {
    access_key_id: String,
    region: Option<Region>,
    session_token: Option<Secret<String>>,
}

impl Claimed {
    pub(crate) fn read(head: &Head<'_>, mode: Mode, takes_queries: bool) -> Result<Self, SignatureError> {
        let accepts = match takes_queries {
            true => Accepts::HeaderOrQuery { lifetime_max: PRESIGNED_LIFETIME_MAX },
            false => Accepts::HeaderOnly,
        };
        match (Claim::read(head, accepts), mode) {
            (Ok(claim), Mode::Production) => Ok(Self::Signed(Box::new(claim))),
            (Ok(claim), Mode::Dev) => {
                Ok(Self::said(claim.access_key_id(), claim.region(), claim.session_token().map(copied)))
            }
            (Err(error), Mode::Production) => Err(error),
            (Err(error), Mode::Dev) => said_at_all(head, error),
        }
    }

    fn said(access_key_id: &str, region: &str, session_token: Option<Secret<String>>) -> Self {
        let access_key_id = access_key_id.to_owned();
        Self::Said(Said { access_key_id, region: region.parse().ok(), session_token })
    }

    pub(crate) fn access_key_id(&self) -> &str {
        match self {
            Self::Signed(claim) => claim.access_key_id(),
            Self::Said(said) => &said.access_key_id,
        }
    }
}

fn copied(token: &Secret<String>) -> Secret<String> {
    Secret::new(token.expose().clone())
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
    let token = head.values("x-amz-security-token").next().and_then(|value| std::str::from_utf8(value).ok());
    let token = token.map(|token| Secret::new(token.trim().to_owned()));
    let mut parts = credential.unwrap_or_default().split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(id), Some(_), Some(region), Some(_), Some(_)) => Ok(Claimed::said(id, region, token)),
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
            Claimed::Said(said) => self.believe(said).map(Identified),
        }
    }

    fn look_up(self, claim: Claim, service: &ServiceSpec) -> Result<Identified, Unidentified> {
        let now = self.node.world().clock.now();
        let key = self.find_key(&claim, service, now)?;
        let (material, token) = match &key {
            // The secret of such a key never changes; one that is switched off is not found at all. So the moment it was made
            // tells one secret from another.
            Key::LongLived(found) => {
                let generation = found.record.created_at.millis().cast_unsigned();
                let (secret, kind) = (&found.record.secret, KeyKind::LongLived);
                (KeyMaterial::Known { secret, generation, kind }, not_of_session(&claim))
            }
            Key::Temporary(SessionKey { secret, generation, .. }) => {
                let (generation, kind) = (*generation, KeyKind::Temporary);
                (KeyMaterial::Known { secret, generation, kind }, TokenState::Valid)
            }
            Key::Unknown => (KeyMaterial::Unknown, not_of_session(&claim)),
        };
        let region: OnceCell<Region> = OnceCell::new();
        let serves_region = |name: &str| match name.parse() {
            Ok(parsed) => {
                region.get_or_init(|| parsed);
                true
            }
            Err(_) => false,
        };
        let expect =
            Expect { service: service.name, serves_region: &serves_region, now, window: self.window };
        let pending = claim.begin(material, token, &expect, self.keys)?;
        let who = key.principal().zip(region.into_inner());
        Ok(Identified(Proof::Signature(Box::new(pending), who)))
    }

    /// The key that a claim names. One of a session is in its token; an id that brings none, or brings one that it should not, is
    /// looked for among those of users.
    fn find_key(self, claim: &Claim, service: &ServiceSpec, now: Timestamp) -> Result<Key, Unidentified> {
        let (db, id) = (self.core.db(), claim.access_key_id());
        let found = match claim.session_token() {
            Some(token) => match open_session(db, id, token.expose(), now).map_err(Unidentified::Store)? {
                OpenedSession::Valid(session) if is_known_to(service, &session.principal) => {
                    return Ok(Key::Temporary(session));
                }
                OpenedSession::Expired => return Err(SignatureError::TokenExpired.into()),
                OpenedSession::Valid(_) | OpenedSession::Orphaned | OpenedSession::Invalid => None,
            },
            None => find_access_key(db, id).map_err(Unidentified::Store)?,
        };
        Ok(found.map_or(Key::Unknown, |found| Key::LongLived(Box::new(found))))
    }

    /// Who a request says it is from: a session of ours, or the root of an account. A session that is over does not become more than
    /// it was.
    fn believe(self, said: Said) -> Result<Proof, Unidentified> {
        let settings = self.node.settings();
        let now = self.node.world().clock.now();
        let region = said.region.unwrap_or_else(|| settings.region.clone());
        let opened = said
            .session_token
            .as_ref()
            .map(|token| open_session(self.core.db(), &said.access_key_id, token.expose(), now));
        match opened.transpose().map_err(Unidentified::Store)? {
            Some(OpenedSession::Valid(session)) => Ok(Proof::NotAsked(session.principal, region)),
            Some(OpenedSession::Expired) => Err(SignatureError::TokenExpired.into()),
            Some(OpenedSession::Orphaned) => Err(SignatureError::UnrecognizedClient.into()),
            Some(OpenedSession::Invalid) | None => {
                Ok(Proof::NotAsked(root(said.access_key_id, settings), region))
            }
        }
    }
}

/// What was found under a key id.
#[derive(Debug)]
enum Key {
    LongLived(Box<coffer_iam::AccessKey>),
    Temporary(SessionKey),
    Unknown,
}

impl Key {
    fn principal(self) -> Option<Principal> {
        match self {
            Self::LongLived(found) => Some(found.principal),
            Self::Temporary(session) => Some(session.principal),
            Self::Unknown => None,
        }
    }
}

fn not_of_session(claim: &Claim) -> TokenState {
    if claim.session_token().is_some() { TokenState::Invalid } else { TokenState::NotSent }
}

/// As on AWS, IAM does not know users who come with the credentials of GetSessionToken and without a second factor.
fn is_known_to(service: &ServiceSpec, principal: &Principal) -> bool {
    let is_weak = matches!(principal.kind, PrincipalKind::User { .. } | PrincipalKind::Root)
        && principal.session.as_ref().is_some_and(|session| !session.mfa);
    !is_weak || service.name != coffer_model::iam::SERVICE.name
}

/// Everybody is the root of an account, which a key id of twelve digits names.
fn root(access_key_id: String, settings: &Settings) -> Principal {
    let account: AccountId = access_key_id.parse().unwrap_or(settings.account);
    Principal::root(account, Some(access_key_id))
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
            Claimed::Said(said) => Ok((said.access_key_id, said.region.map(|region| region.to_string()))),
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
            oidc: std::collections::BTreeMap::new(),
        };
        for (id, account) in [("test", "000000000000"), ("111122223333", "111122223333")] {
            assert_eq!(root(id.to_owned(), &settings).arn, format!("arn:aws:iam::{account}:root"));
        }
    }
}
