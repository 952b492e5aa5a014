//! Elliptic curves: ECDSA and ECDH over the NIST curves, ECDSA over secp256k1, Ed25519.

use aws_lc_rs::{
    agreement,
    encoding::{AsDer, PublicKeyX509Der},
    error::KeyRejected,
    rand::SystemRandom,
    signature::{
        self, EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, Ed25519KeyPair, KeyPair,
        ParsedPublicKey, UnparsedPublicKey,
    },
};
use coffer_types::Secret;

use super::{KeyError, Sha2, ToSign};
use crate::certain;

#[derive(Clone, Copy)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
    P256k1,
}

impl Curve {
    const fn hash(self) -> Sha2 {
        match self {
            Self::P256 | Self::P256k1 => Sha2::Sha256,
            Self::P384 => Sha2::Sha384,
            Self::P521 => Sha2::Sha512,
        }
    }

    const fn signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
            Self::P384 => &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
            Self::P521 => &signature::ECDSA_P521_SHA512_ASN1_SIGNING,
            Self::P256k1 => &signature::ECDSA_P256K1_SHA256_ASN1_SIGNING,
        }
    }

    const fn verification(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Self::P256 => &signature::ECDSA_P256_SHA256_ASN1,
            Self::P384 => &signature::ECDSA_P384_SHA384_ASN1,
            Self::P521 => &signature::ECDSA_P521_SHA512_ASN1,
            Self::P256k1 => &signature::ECDSA_P256K1_SHA256_ASN1,
        }
    }

    /// Nobody agrees on secrets over the curve of Bitcoin.
    const fn agreement(self) -> Option<&'static agreement::Algorithm> {
        match self {
            Self::P256 => Some(&agreement::ECDH_P256),
            Self::P384 => Some(&agreement::ECDH_P384),
            Self::P521 => Some(&agreement::ECDH_P521),
            Self::P256k1 => None,
        }
    }
}

pub(super) struct EcKey {
    curve: Curve,
    pair: EcdsaKeyPair,
}

impl EcKey {
    pub(super) fn generate(curve: Curve) -> Self {
        Self { curve, pair: certain(EcdsaKeyPair::generate(curve.signing())) }
    }

    pub(super) fn from_pkcs8(curve: Curve, der: &[u8]) -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::from_pkcs8(curve.signing(), der).map_err(|_| KeyError::NotAKey)?;
        Ok(Self { curve, pair })
    }

    pub(super) fn to_pkcs8(&self) -> Secret<Vec<u8>> {
        Secret::new(certain(self.pair.to_pkcs8v1()).as_ref().to_vec())
    }

    pub(super) fn public_key(&self) -> Vec<u8> {
        let der: PublicKeyX509Der<'_> = certain(self.pair.public_key().as_der());
        der.as_ref().to_vec()
    }

    pub(super) fn sign(&self, what: ToSign<'_>) -> Result<Vec<u8>, KeyError> {
        let signature = match what {
            ToSign::Message(message) => self.pair.sign(&SystemRandom::new(), message),
            ToSign::Digest(digest) => self.pair.sign_digest(&self.curve.hash().imported(digest)?),
        };
        Ok(signature.map_err(|_| KeyError::NotForThis)?.as_ref().to_vec())
    }

    pub(super) fn agree(&self, peer: &[u8]) -> Result<Secret<Vec<u8>>, KeyError> {
        let algorithm = self.curve.agreement().ok_or(KeyError::NotForThis)?;
        if !is_public_key(self.curve, peer) {
            return Err(KeyError::NotAKey);
        }
        let peer = agreement::UnparsedPublicKey::new(algorithm, peer);
        // The library has two types for one key.
        let own = certain(agreement::PrivateKey::from_private_key_der(algorithm, self.to_pkcs8().expose()));
        agreement::agree(&own, peer, KeyError::NotAKey, |shared| Ok(Secret::new(shared.to_vec())))
    }
}

pub(super) struct EdKey(Ed25519KeyPair);

impl EdKey {
    pub(super) fn generate() -> Self {
        Self(certain(Ed25519KeyPair::generate()))
    }

    pub(super) fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        Ed25519KeyPair::from_pkcs8(der).map(Self).map_err(|_| KeyError::NotAKey)
    }

    pub(super) fn to_pkcs8(&self) -> Secret<Vec<u8>> {
        Secret::new(certain(self.0.to_pkcs8v1()).as_ref().to_vec())
    }

    pub(super) fn public_key(&self) -> Vec<u8> {
        let der: PublicKeyX509Der<'_> = certain(self.0.public_key().as_der());
        der.as_ref().to_vec()
    }

    pub(super) fn sign(&self, what: ToSign<'_>) -> Result<Vec<u8>, KeyError> {
        let ToSign::Message(message) = what else { return Err(KeyError::NotForThis) };
        Ok(self.0.try_sign(message).map_err(|_| KeyError::NotForThis)?.as_ref().to_vec())
    }
}

/// Only in the one usual way: the library also takes bare points, and curves that are written out instead of named.
pub(super) fn is_public_key(curve: Curve, der: &[u8]) -> bool {
    is_written_as(ParsedPublicKey::new(curve.verification(), der), der)
}

pub(super) fn is_ed25519_public_key(der: &[u8]) -> bool {
    is_written_as(ParsedPublicKey::new(&signature::ED25519, der), der)
}

fn is_written_as(key: Result<ParsedPublicKey, KeyRejected>, der: &[u8]) -> bool {
    key.is_ok_and(|key| {
        let again: Result<PublicKeyX509Der<'_>, _> = key.as_der();
        again.is_ok_and(|again| again.as_ref() == der)
    })
}

pub(super) fn verifies(der: &[u8], curve: Curve, what: ToSign<'_>, signature: &[u8]) -> bool {
    let key = UnparsedPublicKey::new(curve.verification(), der);
    match what {
        ToSign::Message(message) => key.verify(message, signature).is_ok(),
        ToSign::Digest(digest) => {
            curve.hash().imported(digest).is_ok_and(|digest| key.verify_digest(&digest, signature).is_ok())
        }
    }
}

pub(super) fn verifies_ed25519(der: &[u8], what: ToSign<'_>, signature: &[u8]) -> bool {
    match what {
        ToSign::Message(message) => {
            UnparsedPublicKey::new(&signature::ED25519, der).verify(message, signature).is_ok()
        }
        ToSign::Digest(_) => false,
    }
}
