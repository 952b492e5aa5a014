//! Key pairs that are kept for others: RSA, the NIST curves, secp256k1 and Ed25519.
//!
//! A private key is stored as PKCS #8 and a public one leaves as SubjectPublicKeyInfo, both DER, because that is what every other program
//! reads. A key has a kind, and what it is asked for must fit the kind; so the algorithm is never taken from the key's bytes or from a
//! signature.
//!
//! The pairs, the salts of RSA-PSS and OAEP and the nonces of ECDSA come from the library's own generator: these are the only random values of
//! Coffer that no seed repeats. The library offers Ed25519 over a message and not over its hash (Ed25519ph).

mod elliptic;
mod rsa;

use std::fmt;

use aws_lc_rs::digest;
use coffer_types::Secret;

use crate::unwrap_key;
use elliptic::{Curve, EcKey, EdKey};
use rsa::{RsaKey, RsaSize};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    Rsa2048,
    Rsa3072,
    Rsa4096,
    P256,
    P384,
    P521,
    /// The curve of Bitcoin.
    P256k1,
    Ed25519,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sha2 {
    Sha256,
    Sha384,
    Sha512,
}

/// How to sign. The hash of ECDSA follows from the curve: SHA-256 with both curves of 256 bits, SHA-384 and SHA-512 with the larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signing {
    /// With a salt as long as the hash.
    RsaPss(Sha2),
    RsaPkcs1(Sha2),
    /// As ASN.1 writes it: a sequence of two numbers.
    Ecdsa,
    Ed25519,
}

/// The hash of RSA-OAEP, and of its mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oaep {
    Sha1,
    Sha256,
}

/// What is signed: a message, or its hash that somebody else made.
#[derive(Debug, Clone, Copy)]
pub enum ToSign<'a> {
    Message(&'a [u8]),
    Digest(&'a [u8]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("the bytes are not a key of this kind")]
    NotAKey,
    #[error("a key of this kind cannot do that")]
    NotForThis,
    #[error("the hash does not have the length of its kind")]
    DigestLength,
    #[error("the message is too long for the key, which takes {most} bytes")]
    TooLong { most: usize },
    /// Deliberately without detail: whoever learns why a ciphertext does not open can use it to open others.
    #[error("the ciphertext does not open")]
    NotAuthentic,
}

/// A private key, and so its public half too.
pub struct PrivateKey {
    kind: KeyKind,
    key: Kind,
}

enum Kind {
    Rsa(RsaKey),
    Ec(EcKey),
    Ed(EdKey),
}

impl PrivateKey {
    /// A new key. RSA takes its time: up to a second or two for the longest.
    pub fn generate(kind: KeyKind) -> Self {
        let key = match Family::of(kind) {
            Family::Rsa(size) => Kind::Rsa(RsaKey::generate(size)),
            Family::Ec(curve) => Kind::Ec(EcKey::generate(curve)),
            Family::Ed => Kind::Ed(EdKey::generate()),
        };
        Self { kind, key }
    }

    /// From PKCS #8, if it is a sound key of this kind.
    pub fn from_pkcs8(kind: KeyKind, der: &[u8]) -> Result<Self, KeyError> {
        let key = match Family::of(kind) {
            Family::Rsa(size) => Kind::Rsa(RsaKey::from_pkcs8(size, der)?),
            Family::Ec(curve) => Kind::Ec(EcKey::from_pkcs8(curve, der)?),
            Family::Ed => Kind::Ed(EdKey::from_pkcs8(der)?),
        };
        Ok(Self { kind, key })
    }

    pub fn to_pkcs8(&self) -> Secret<Vec<u8>> {
        match &self.key {
            Kind::Rsa(key) => key.to_pkcs8(),
            Kind::Ec(key) => key.to_pkcs8(),
            Kind::Ed(key) => key.to_pkcs8(),
        }
    }

    /// The public half, as SubjectPublicKeyInfo.
    pub fn public_key(&self) -> Vec<u8> {
        match &self.key {
            Kind::Rsa(key) => key.public_key(),
            Kind::Ec(key) => key.public_key(),
            Kind::Ed(key) => key.public_key(),
        }
    }

    pub fn sign(&self, signing: Signing, what: ToSign<'_>) -> Result<Vec<u8>, KeyError> {
        match (&self.key, signing) {
            (Kind::Rsa(key), Signing::RsaPss(hash)) => key.sign_pss(hash, what),
            (Kind::Rsa(key), Signing::RsaPkcs1(hash)) => key.sign_pkcs1(hash, what),
            (Kind::Ec(key), Signing::Ecdsa) => key.sign(what),
            (Kind::Ed(key), Signing::Ed25519) => key.sign(what),
            (
                Kind::Rsa(_) | Kind::Ec(_) | Kind::Ed(_),
                Signing::RsaPss(_) | Signing::RsaPkcs1(_) | Signing::Ecdsa | Signing::Ed25519,
            ) => Err(KeyError::NotForThis),
        }
    }

    /// As [`PublicKey::verifies`], of the public half.
    pub fn verifies(&self, signing: Signing, what: ToSign<'_>, signature: &[u8]) -> bool {
        PublicKey { kind: self.kind, der: &self.public_key() }.verifies(signing, what, signature)
    }

    /// As [`PublicKey::encrypt`], with the public half.
    pub fn encrypt(&self, oaep: Oaep, plaintext: &[u8]) -> Result<Vec<u8>, KeyError> {
        PublicKey { kind: self.kind, der: &self.public_key() }.encrypt(oaep, plaintext)
    }

    pub fn decrypt(&self, oaep: Oaep, ciphertext: &[u8]) -> Result<Secret<Vec<u8>>, KeyError> {
        match &self.key {
            Kind::Rsa(key) => key.decrypt(oaep, ciphertext),
            Kind::Ec(_) | Kind::Ed(_) => Err(KeyError::NotForThis),
        }
    }

    /// Opens a key that was wrapped under a one-time AES key, which in turn was encrypted for this key and stands in front (PKCS #11:
    /// CKM_RSA_AES_KEY_WRAP). Keys that are too long for RSA alone travel like this.
    pub fn unwrap(&self, oaep: Oaep, wrapped: &[u8]) -> Result<Secret<Vec<u8>>, KeyError> {
        let Kind::Rsa(key) = &self.key else { return Err(KeyError::NotForThis) };
        let (front, behind) = wrapped.split_at_checked(key.bytes()).ok_or(KeyError::NotAuthentic)?;
        let kek = key.decrypt(oaep, front)?;
        unwrap_key(kek.expose(), behind).map_err(|_| KeyError::NotAuthentic)
    }

    /// The secret that only the two holders of the private keys can compute (ECDH, the x coordinate), with a public key of the same NIST
    /// curve.
    pub fn agree(&self, peer: &[u8]) -> Result<Secret<Vec<u8>>, KeyError> {
        match &self.key {
            Kind::Ec(key) => key.agree(peer),
            Kind::Rsa(_) | Kind::Ed(_) => Err(KeyError::NotForThis),
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

/// A public key as it is given away: SubjectPublicKeyInfo.
#[derive(Debug, Clone, Copy)]
pub struct PublicKey<'a> {
    kind: KeyKind,
    der: &'a [u8],
}

impl<'a> PublicKey<'a> {
    /// If it is a sound key of this kind.
    pub fn from_der(kind: KeyKind, der: &'a [u8]) -> Result<Self, KeyError> {
        let sound = match Family::of(kind) {
            Family::Rsa(size) => rsa::is_public_key(size, der),
            Family::Ec(curve) => elliptic::is_public_key(curve, der),
            Family::Ed => elliptic::is_ed25519_public_key(der),
        };
        if sound { Ok(Self { kind, der }) } else { Err(KeyError::NotAKey) }
    }

    /// Whether whoever holds the private half signed this, in this way.
    pub fn verifies(&self, signing: Signing, what: ToSign<'_>, signature: &[u8]) -> bool {
        match (Family::of(self.kind), signing) {
            (Family::Rsa(_), Signing::RsaPss(hash)) => rsa::verifies_pss(self.der, hash, what, signature),
            (Family::Rsa(_), Signing::RsaPkcs1(hash)) => rsa::verifies_pkcs1(self.der, hash, what, signature),
            (Family::Ec(curve), Signing::Ecdsa) => elliptic::verifies(self.der, curve, what, signature),
            (Family::Ed, Signing::Ed25519) => elliptic::verifies_ed25519(self.der, what, signature),
            (
                Family::Rsa(_) | Family::Ec(_) | Family::Ed,
                Signing::RsaPss(_) | Signing::RsaPkcs1(_) | Signing::Ecdsa | Signing::Ed25519,
            ) => false,
        }
    }

    pub fn encrypt(&self, oaep: Oaep, plaintext: &[u8]) -> Result<Vec<u8>, KeyError> {
        match Family::of(self.kind) {
            Family::Rsa(_) => rsa::encrypt(self.der, oaep, plaintext),
            Family::Ec(_) | Family::Ed => Err(KeyError::NotForThis),
        }
    }
}

impl Sha2 {
    /// The hash that somebody else made, if it has the right length.
    fn imported(self, digest: &[u8]) -> Result<digest::Digest, KeyError> {
        let algorithm = match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        };
        digest::Digest::import_less_safe(digest, algorithm).map_err(|_| KeyError::DigestLength)
    }
}

/// Which of the three kinds of mathematics, and how large.
enum Family {
    Rsa(RsaSize),
    Ec(Curve),
    Ed,
}

impl Family {
    const fn of(kind: KeyKind) -> Self {
        match kind {
            KeyKind::Rsa2048 => Self::Rsa(RsaSize::Bits2048),
            KeyKind::Rsa3072 => Self::Rsa(RsaSize::Bits3072),
            KeyKind::Rsa4096 => Self::Rsa(RsaSize::Bits4096),
            KeyKind::P256 => Self::Ec(Curve::P256),
            KeyKind::P384 => Self::Ec(Curve::P384),
            KeyKind::P521 => Self::Ec(Curve::P521),
            KeyKind::P256k1 => Self::Ec(Curve::P256k1),
            KeyKind::Ed25519 => Self::Ed,
        }
    }
}

#[cfg(test)]
mod tests;
