//! What asymmetric keys do, and which of their algorithms is which.
//!
//! The material of such a key is the private half in PKCS #8; the public half is computed from it. An algorithm means something only
//! together with a key whose spec and usage have it, so nothing here decides by a name alone.

use coffer_core::Cx;
use coffer_crypto::{KeyError, Oaep, PrivateKey, Sha2, Signing, ToSign};
use coffer_shape::ApiError;
use coffer_types::Secret;

use crate::{
    error::KmsError,
    key::KeyRecord,
    spec::{KeyUsage, MadeOf},
};

impl KeyRecord {
    pub(crate) const fn encryption_algorithms(&self) -> &'static [&'static str] {
        match self.usage {
            KeyUsage::EncryptDecrypt => self.spec.encryption_algorithms(),
            KeyUsage::SignVerify | KeyUsage::KeyAgreement | KeyUsage::GenerateVerifyMac => &[],
        }
    }

    pub(crate) const fn signing_algorithms(&self) -> &'static [&'static str] {
        match self.usage {
            KeyUsage::SignVerify => self.spec.signing_algorithms(),
            KeyUsage::EncryptDecrypt | KeyUsage::KeyAgreement | KeyUsage::GenerateVerifyMac => &[],
        }
    }

    pub(crate) const fn key_agreement_algorithms(&self) -> &'static [&'static str] {
        match self.usage {
            KeyUsage::KeyAgreement => &["ECDH"],
            KeyUsage::EncryptDecrypt | KeyUsage::SignVerify | KeyUsage::GenerateVerifyMac => &[],
        }
    }

    pub(crate) const fn is_pair(&self) -> bool {
        matches!(self.spec.made_of(), MadeOf::Pair(_))
    }

    /// The private half of a pair.
    pub(crate) fn private_key(&self, cx: &Cx<'_>) -> Result<PrivateKey, ApiError> {
        let missing = || cx.internal("a key has no private half");
        let MadeOf::Pair(kind) = self.spec.made_of() else { return Err(missing()) };
        let material = self.current().ok_or_else(missing)?;
        PrivateKey::from_pkcs8(kind, material.bytes.expose()).map_err(|error| cx.internal(error))
    }

    /// Encrypts with the public half, in the way that the caller names.
    pub(crate) fn encrypt_with_pair(
        &self,
        cx: &Cx<'_>,
        algorithm: &str,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, ApiError> {
        let oaep = self.oaep(algorithm)?;
        self.private_key(cx)?.encrypt(oaep, plaintext).map_err(|error| match error {
            KeyError::TooLong { most } => {
                let (algorithm, spec) = (algorithm.to_owned(), self.spec.as_str());
                KmsError::PlaintextTooLong { algorithm, spec, most }.into()
            }
            other => cx.internal(other),
        })
    }

    /// Opens what was encrypted with the public half, here or anywhere.
    pub(crate) fn decrypt_with_pair(
        &self,
        cx: &Cx<'_>,
        algorithm: &str,
        ciphertext: &[u8],
    ) -> Result<Secret<Vec<u8>>, ApiError> {
        let oaep = self.oaep(algorithm)?;
        Ok(self.private_key(cx)?.decrypt(oaep, ciphertext).map_err(|_| KmsError::InvalidCiphertext)?)
    }

    fn oaep(&self, algorithm: &str) -> Result<Oaep, KmsError> {
        self.spec.ensure_among(self.encryption_algorithms(), algorithm)?;
        oaep(algorithm).ok_or_else(|| KmsError::AlgorithmUnfit {
            algorithm: algorithm.to_owned(),
            spec: self.spec.as_str(),
        })
    }
}

/// What a caller wants signed or has signed.
pub(crate) struct Signed<'a> {
    pub algorithm: &'a str,
    pub message: &'a [u8],
    /// `RAW` if he does not say.
    pub message_type: Option<&'a str>,
}

impl<'a> Signed<'a> {
    /// In the words of our cryptography, for a key that has the algorithm.
    pub(crate) fn with(&self, key: &KeyRecord) -> Result<(Signing, ToSign<'a>), KmsError> {
        key.spec.ensure_among(key.signing_algorithms(), self.algorithm)?;
        let unfit = || KmsError::MessageTypeUnfit { algorithm: self.algorithm.to_owned() };
        let (signing, digest_bytes) = signing(self.algorithm).ok_or_else(unfit)?;
        match (self.message_type, digest_bytes) {
            (None | Some("RAW"), _) => Ok((signing, ToSign::Message(self.message))),
            (Some("DIGEST"), Some(bytes)) if bytes == self.message.len() => {
                Ok((signing, ToSign::Digest(self.message)))
            }
            (Some("DIGEST"), Some(_)) => Err(KmsError::DigestLength { algorithm: self.algorithm.to_owned() }),
            _ => Err(unfit()),
        }
    }
}

/// And how long the hash is, if it may be given instead of the message.
fn signing(algorithm: &str) -> Option<(Signing, Option<usize>)> {
    let (signing, digest_bytes) = match algorithm {
        "RSASSA_PSS_SHA_256" => (Signing::RsaPss(Sha2::Sha256), 32),
        "RSASSA_PSS_SHA_384" => (Signing::RsaPss(Sha2::Sha384), 48),
        "RSASSA_PSS_SHA_512" => (Signing::RsaPss(Sha2::Sha512), 64),
        "RSASSA_PKCS1_V1_5_SHA_256" => (Signing::RsaPkcs1(Sha2::Sha256), 32),
        "RSASSA_PKCS1_V1_5_SHA_384" => (Signing::RsaPkcs1(Sha2::Sha384), 48),
        "RSASSA_PKCS1_V1_5_SHA_512" => (Signing::RsaPkcs1(Sha2::Sha512), 64),
        "ECDSA_SHA_256" => (Signing::Ecdsa, 32),
        "ECDSA_SHA_384" => (Signing::Ecdsa, 48),
        "ECDSA_SHA_512" => (Signing::Ecdsa, 64),
        "ED25519_SHA_512" => return Some((Signing::Ed25519, None)),
        _ => return None,
    };
    Some((signing, Some(digest_bytes)))
}

fn oaep(algorithm: &str) -> Option<Oaep> {
    match algorithm {
        "RSAES_OAEP_SHA_1" => Some(Oaep::Sha1),
        "RSAES_OAEP_SHA_256" => Some(Oaep::Sha256),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::KeySpec;

    fn key(spec: KeySpec, usage: KeyUsage) -> KeyRecord {
        KeyRecord { spec, usage, ..KeyRecord::default() }
    }

    /// `m` and `d` for what a message and a hash of this length are answered with.
    #[test]
    fn what_may_be_signed_with_what() {
        let check = |spec, algorithm: &str, message_type, length: usize| {
            let message = vec![1; length];
            let signed = Signed { algorithm, message: &message, message_type };
            match signed.with(&key(spec, KeyUsage::SignVerify)) {
                Ok((_, ToSign::Message(_))) => "message",
                Ok((_, ToSign::Digest(_))) => "digest",
                Err(KmsError::AlgorithmUnfit { .. }) => "unfit",
                Err(KmsError::DigestLength { .. }) => "length",
                Err(KmsError::MessageTypeUnfit { .. }) => "type",
                Err(error) => panic!("{error:?}"),
            }
        };
        for (spec, algorithm, message_type, length, expected) in [
            (KeySpec::Rsa2048, "RSASSA_PSS_SHA_256", None, 5, "message"),
            (KeySpec::Rsa2048, "RSASSA_PSS_SHA_256", Some("RAW"), 32, "message"),
            (KeySpec::Rsa2048, "RSASSA_PSS_SHA_256", Some("DIGEST"), 32, "digest"),
            (KeySpec::Rsa4096, "RSASSA_PKCS1_V1_5_SHA_512", Some("DIGEST"), 64, "digest"),
            (KeySpec::Rsa4096, "RSASSA_PKCS1_V1_5_SHA_512", Some("DIGEST"), 63, "length"),
            (KeySpec::Rsa4096, "RSASSA_PKCS1_V1_5_SHA_384", Some("EXTERNAL_MU"), 48, "type"),
            (KeySpec::P256, "ECDSA_SHA_256", Some("DIGEST"), 32, "digest"),
            (KeySpec::P256, "ECDSA_SHA_384", Some("DIGEST"), 48, "unfit"),
            (KeySpec::P384, "ECDSA_SHA_384", Some("DIGEST"), 48, "digest"),
            (KeySpec::P521, "ECDSA_SHA_512", Some("DIGEST"), 64, "digest"),
            (KeySpec::P256k1, "ECDSA_SHA_256", None, 1, "message"),
            (KeySpec::P256k1, "RSASSA_PSS_SHA_256", None, 1, "unfit"),
            (KeySpec::Ed25519, "ED25519_SHA_512", None, 1, "message"),
            (KeySpec::Ed25519, "ED25519_SHA_512", Some("DIGEST"), 64, "type"),
            (KeySpec::Ed25519, "ED25519_PH_SHA_512", Some("DIGEST"), 64, "unfit"),
        ] {
            let came = check(spec, algorithm, message_type, length);
            assert_eq!(came, expected, "{spec:?} {algorithm} {message_type:?} {length}");
        }
    }

    #[test]
    fn every_algorithm_that_a_key_shows_means_something() {
        let specs = [
            KeySpec::SymmetricDefault,
            KeySpec::Hmac256,
            KeySpec::Rsa2048,
            KeySpec::Rsa3072,
            KeySpec::Rsa4096,
            KeySpec::P256,
            KeySpec::P384,
            KeySpec::P521,
            KeySpec::P256k1,
            KeySpec::Ed25519,
        ];
        for spec in specs {
            for algorithm in key(spec, KeyUsage::SignVerify).signing_algorithms() {
                assert!(signing(algorithm).is_some(), "{algorithm}");
            }
            for algorithm in key(spec, KeyUsage::EncryptDecrypt).encryption_algorithms() {
                assert_eq!(oaep(algorithm).is_some(), spec != KeySpec::SymmetricDefault, "{algorithm}");
            }
            // A key is for one thing.
            assert!(key(spec, KeyUsage::SignVerify).encryption_algorithms().is_empty());
            assert!(key(spec, KeyUsage::EncryptDecrypt).signing_algorithms().is_empty());
        }
    }
}
