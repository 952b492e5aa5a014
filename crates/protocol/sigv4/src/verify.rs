//! Proving a claim: steps 8 to 16 of AWS's order.
//!
//! It is two calls because the body sits between them. [`Claim::begin`] refuses everything that needs no body, so
//! that a stranger cannot make the server read a megabyte; [`Pending::finish`] takes the hash of the body and
//! compares signatures.
//!
//! An unknown key id is carried through to the end with a key made of nothing, so that it costs what a known one
//! costs. What this cannot hide is that AWS has different codes for an unknown key and for a wrong signature.

use std::{sync::Arc, time::Duration};

use coffer_crypto::{HmacKey, constant_time_eq};
use coffer_types::{Secret, Timestamp, encoding::HEXLOWER};

use crate::{Claim, Form, Head, SignatureError, SigningKeys, TERMINATOR, canonical, claim::hash_text, keys};

/// Key ids of temporary credentials begin so.
const TEMPORARY_PREFIX: &str = "ASIA";

/// Stands in for the secret of an unknown key. It opens nothing, as its outcome is never looked at; it has the
/// length of a real secret so that hashing it takes as long.
const NOBODYS_SECRET: &str = "0000000000000000000000000000000000000000";

/// What the caller found under the access key id.
#[derive(Debug, Clone, Copy)]
pub enum KeyMaterial<'a> {
    Known {
        secret: &'a Secret<String>,
        /// Changes whenever the secret or the status of this key id changes. See [`SigningKeys`].
        generation: u64,
        kind: KeyKind,
    },
    /// No such key, not active, or a temporary one whose token did not open.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// Of a user; never comes with a session token.
    LongLived,
    /// Of a session; its secret is inside the session token.
    Temporary,
}

/// What became of the session token when the caller opened it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenState {
    NotSent,
    /// Opened, belongs to this key id, not expired.
    Valid,
    Invalid,
    Expired,
}

/// How far the clocks of client and server may be apart. AWS allows 5 minutes, some of its services 15.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window(u8);

impl Window {
    pub const DEFAULT: Self = Self(5);

    pub const fn from_minutes(minutes: u8) -> Option<Self> {
        if matches!(minutes, 1..=15) { Some(Self(minutes)) } else { None }
    }

    pub const fn minutes(self) -> u8 {
        self.0
    }

    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64 * 60)
    }
}

/// What the addressed service takes, and when it is now.
#[derive(Clone, Copy)]
pub struct Expect<'a> {
    /// The signing name of the service that the request was routed to.
    pub service: &'a str,
    /// Whether this deployment serves the service in a region.
    pub serves_region: &'a dyn Fn(&str) -> bool,
    pub now: Timestamp,
    pub window: Window,
}

impl std::fmt::Debug for Expect<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Expect")
            .field("service", &self.service)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

/// A claim that lacks nothing but the comparison of signatures.
#[derive(Debug)]
#[must_use = "nothing is proven before `finish`"]
pub struct Pending {
    claim: Claim,
    key: Arc<HmacKey>,
    /// An answer that is already certain and is given only after the same work as any other.
    verdict: Option<SignatureError>,
}

/// Proof that whoever holds the access key sent this head and body. Made by [`Pending::finish`] only.
#[derive(Debug)]
pub struct Verified(Claim);

impl Verified {
    /// The claim, which is now the truth.
    pub const fn claim(&self) -> &Claim {
        &self.0
    }
}

/// [`Claim::begin`] and [`Pending::finish`] for a caller that has the body already.
pub fn verify(
    claim: Claim,
    head: &Head<'_>,
    body_sha256: &[u8; 32],
    key: KeyMaterial<'_>,
    token: TokenState,
    expect: &Expect<'_>,
    keys: &SigningKeys,
) -> Result<Verified, SignatureError> {
    claim.begin(key, token, expect, keys)?.finish(head, body_sha256)
}

impl Claim {
    /// Checks key, token, scope and time. After this the body is worth reading.
    pub fn begin(
        self,
        key: KeyMaterial<'_>,
        token: TokenState,
        expect: &Expect<'_>,
        keys: &SigningKeys,
    ) -> Result<Pending, SignatureError> {
        let (secret, generation) = match self.identify(key, token) {
            Ok(found) => found,
            Err(SignatureError::UnrecognizedClient) => {
                let nobody = keys::derive(self.credential(), &Secret::new(NOBODYS_SECRET.to_owned()));
                let verdict = Some(SignatureError::UnrecognizedClient);
                return Ok(Pending { claim: self, key: Arc::new(nobody), verdict });
            }
            Err(error) => return Err(error),
        };
        self.check_scope(expect)?;
        self.check_time(expect)?;
        // Only now: a scope that is not ours must not push keys out of the store.
        let key = keys.get(self.credential(), generation, secret);
        Ok(Pending { claim: self, key, verdict: None })
    }

    /// Steps 8 to 10. The caller's view of the token and ours must agree, or the token counts as invalid.
    fn identify<'k>(
        &self,
        key: KeyMaterial<'k>,
        token: TokenState,
    ) -> Result<(&'k Secret<String>, u64), SignatureError> {
        let KeyMaterial::Known { secret, generation, kind } = key else {
            return Err(SignatureError::UnrecognizedClient);
        };
        let temporary_id = self.access_key_id().starts_with(TEMPORARY_PREFIX);
        match (kind, token, self.session_token().is_some()) {
            (KeyKind::LongLived, TokenState::NotSent, false) if !temporary_id => Ok((secret, generation)),
            (KeyKind::Temporary, TokenState::Valid, true) => Ok((secret, generation)),
            (KeyKind::Temporary, TokenState::Expired, true) => Err(SignatureError::TokenExpired),
            (
                KeyKind::LongLived | KeyKind::Temporary,
                TokenState::NotSent | TokenState::Valid | TokenState::Invalid | TokenState::Expired,
                _,
            ) => Err(SignatureError::UnrecognizedClient),
        }
    }

    /// Steps 11 to 14.
    fn check_scope(&self, expect: &Expect<'_>) -> Result<(), SignatureError> {
        let credential = self.credential();
        if credential.terminator() != TERMINATOR {
            return Err(SignatureError::WrongTerminator { terminator: credential.terminator().into() });
        }
        if self.service() != expect.service {
            return Err(SignatureError::WrongService { expected: expect.service.to_owned() });
        }
        if !(expect.serves_region)(self.region()) {
            return Err(SignatureError::WrongRegion { region: self.region().into() });
        }
        if self.date() != self.day() {
            let scope_date = self.date().into();
            return Err(SignatureError::DateOutsideScope { scope_date, timestamp: self.timestamp() });
        }
        Ok(())
    }

    /// Step 15, in whole seconds: a signature has no finer time.
    fn check_time(&self, expect: &Expect<'_>) -> Result<(), SignatureError> {
        let Expect { now, window, .. } = *expect;
        let timestamp = self.timestamp();
        let now = Timestamp::from_seconds(now.seconds());
        if timestamp > now.plus(window.duration()) {
            return Err(SignatureError::NotYetCurrent { timestamp, now, window });
        }
        match self.form() {
            Form::Header if timestamp < now.minus(window.duration()) => {
                Err(SignatureError::Expired { timestamp, now, window })
            }
            Form::Query { lifetime } if now > timestamp.plus(lifetime) => {
                Err(SignatureError::PresignedExpired)
            }
            Form::Header | Form::Query { .. } => Ok(()),
        }
    }
}

impl Pending {
    /// The claim that is being checked. Nothing of it is proven yet.
    pub const fn claim(&self) -> &Claim {
        &self.claim
    }

    /// Step 16: the signature over head and body. `head` must be the one that the claim was read from.
    pub fn finish(self, head: &Head<'_>, body_sha256: &[u8; 32]) -> Result<Verified, SignatureError> {
        let Some(canonical) = self.claim.canonical_request(head, body_sha256) else {
            return Err(self.verdict.unwrap_or(SignatureError::Mismatch));
        };
        let canonical_hash = hash_text(&canonical);
        let computed = self.key.sign_parts(&self.claim.parts_to_sign(&canonical_hash));
        let (given, well_formed) = match self.claim.signature() {
            Some(signature) => (*signature, true),
            None => ([0; 32], false),
        };
        let equal = constant_time_eq(&computed, &given);
        match self.verdict {
            Some(verdict) => Err(verdict),
            None if equal && well_formed && declares_body(head, body_sha256) => Ok(Verified(self.claim)),
            None => Err(SignatureError::Mismatch),
        }
    }
}

/// Whether `x-amz-content-sha256`, where sent, is the hash of this body. `UNSIGNED-PAYLOAD` and the streaming forms are
/// features of S3 and fail here like any other wrong hash.
fn declares_body(head: &Head<'_>, body_sha256: &[u8; 32]) -> bool {
    head.first("x-amz-content-sha256").is_none_or(|declared| {
        let mut hash = [0; 64];
        HEXLOWER.encode_mut(body_sha256, &mut hash);
        canonical::trim(declared) == hash
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_one_to_fifteen_minutes() {
        assert_eq!(Window::from_minutes(5), Some(Window::DEFAULT));
        assert_eq!(Window::from_minutes(15).unwrap().duration(), Duration::from_secs(900));
        assert_eq!([Window::from_minutes(0), Window::from_minutes(16)], [None, None]);
    }
}
