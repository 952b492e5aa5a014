//! Tokens of identity providers: who may sign them, and what they prove.
//!
//! A provider of an account, as IAM keeps it, says whose tokens the account's roles may be assumed with. With which keys that provider
//! signs is configured here, by issuer: as a file, for clusters without a way out, or as a URL that is asked from time to time.
//! Nothing is fetched because a request names it: whoever may make providers in IAM must not be able to send this machine anywhere.
//!
//! Whoever shows a good token has proven himself as whoever signs a request does, so this is a part of authentication, and what comes of
//! it is a principal.

mod jwks;
mod source;
#[cfg(test)]
mod tests;
mod token;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use coffer_model::sts::err;
use coffer_shape::ApiError;
use coffer_types::{Clock, Timestamp};
use tokio::sync::Mutex;

pub use self::source::KeySource;
pub(crate) use self::source::is_near;
pub(crate) use self::token::Token;
use self::{jwks::KeySet, token::Claims};

/// Providers change their keys every few days, and publish new ones before they use them. A key that is withdrawn is believed for so
/// long.
const FRESH_FOR: Duration = Duration::from_secs(300);
/// A token can name a key that nobody has; that must not make us ask each time.
const ASKED_AT_MOST_EVERY: Duration = Duration::from_secs(30);
/// A provider that cannot be reached is believed for a day to use the keys it had.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a token proves nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenFault {
    Malformed,
    NoProvider {
        issuer: String,
    },
    /// Where the keys are is not configured, or they cannot be had.
    NoKeys,
    /// The provider has keys, and not the one that the token names.
    NoKey,
    Signature,
    Expired {
        now: i64,
        expires: i64,
    },
    NotYet,
    Audience,
}

impl From<TokenFault> for ApiError {
    fn from(fault: TokenFault) -> Self {
        match fault {
            TokenFault::Malformed => err::invalid_identity_token(
                "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)",
            ),
            TokenFault::NoProvider { issuer } => err::invalid_identity_token(format!(
                "No OpenIDConnect provider found in your account for {issuer}"
            )),
            // Our words.
            TokenFault::NoKeys => err::idp_communication_error(
                "The keys of the identity provider are not known here, or cannot be read.",
            ),
            // The two spaces are AWS's.
            TokenFault::NoKey => err::invalid_identity_token(
                "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements",
            ),
            // Our words.
            TokenFault::Signature => {
                err::invalid_identity_token("The signature of the token does not match.")
            }
            TokenFault::Expired { now, expires } => err::expired_token(format!(
                "Token expired: current date/time {now} must be before the expiration date/time {expires}"
            )),
            // Our words.
            TokenFault::NotYet => err::invalid_identity_token("The token is not valid yet."),
            TokenFault::Audience => err::invalid_identity_token("Incorrect token audience"),
        }
    }
}

/// The issuers whose keys are configured.
pub(crate) struct Issuers {
    /// By what IAM knows them by: without `https://`.
    known: BTreeMap<String, Issuer>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Issuers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.known.keys()).finish()
    }
}

struct Issuer {
    source: KeySource,
    /// Locked while they are looked up, so that many tokens at once ask once.
    keys: Mutex<Keys>,
}

#[derive(Default)]
struct Keys {
    found: Option<(Arc<KeySet>, Duration)>,
    /// When they were last asked for, with or without success.
    asked_at: Option<Duration>,
}

impl Issuers {
    pub(crate) fn new(sources: &BTreeMap<String, KeySource>, clock: Arc<dyn Clock>) -> Self {
        let known = sources
            .iter()
            .map(|(name, source)| (name.clone(), Issuer { source: source.clone(), keys: Mutex::default() }))
            .collect();
        Self { known, clock }
    }

    /// What a token proves to a provider that takes it for these clients.
    pub(crate) async fn verify(
        &self,
        token: &Token<'_>,
        client_ids: &[String],
        now: Timestamp,
    ) -> Result<Claims, TokenFault> {
        let issuer = name(token.issuer()).and_then(|name| self.known.get(name)).ok_or(TokenFault::NoKeys)?;
        let keys = self.keys(issuer, token).await.ok_or(TokenFault::NoKeys)?;
        token.verify(&keys, client_ids, now)
    }

    async fn keys(&self, issuer: &Issuer, token: &Token<'_>) -> Option<Arc<KeySet>> {
        let mut keys = issuer.keys.lock().await;
        let now = self.clock.monotonic();
        let age = |since: Duration| now.saturating_sub(since);
        let is_good = |(found, since): &(Arc<KeySet>, Duration)| age(*since) < FRESH_FOR && token.fits(found);
        let may_ask = keys.asked_at.is_none_or(|asked| age(asked) >= ASKED_AT_MOST_EVERY);
        if may_ask && !keys.found.as_ref().is_some_and(is_good) {
            keys.asked_at = Some(now);
            match issuer.source.read().await {
                Ok(set) => keys.found = Some((Arc::new(set), now)),
                Err(error) => {
                    tracing::warn!(source = %issuer.source, %error, "the keys of an identity provider cannot be read; its tokens are checked with those it had");
                }
            }
        }
        let kept = keys.found.as_ref().filter(|(_, since)| age(*since) < KEPT_FOR);
        kept.map(|(found, _)| Arc::clone(found))
    }
}

/// What an issuer is known by, in IAM and here.
pub(crate) fn name(issuer: &str) -> Option<&str> {
    issuer.strip_prefix("https://").filter(|name| !name.is_empty())
}
