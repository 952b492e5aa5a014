//! What a key is made of, what it is for, and where its material comes from.
//!
//! A key has one spec and one usage for ever. Which go together, and which algorithms that gives, is decided here.

use coffer_crypto::KeyKind;

use crate::{error::KmsError, words::words};

words! {
    pub enum KeySpec {
        SymmetricDefault = "SYMMETRIC_DEFAULT",
        Hmac224 = "HMAC_224",
        Hmac256 = "HMAC_256",
        Hmac384 = "HMAC_384",
        Hmac512 = "HMAC_512",
        Rsa2048 = "RSA_2048",
        Rsa3072 = "RSA_3072",
        Rsa4096 = "RSA_4096",
        P256 = "ECC_NIST_P256",
        P384 = "ECC_NIST_P384",
        P521 = "ECC_NIST_P521",
        P256k1 = "ECC_SECG_P256K1",
        Ed25519 = "ECC_NIST_EDWARDS25519",
    }
}

words! {
    pub enum KeyUsage {
        EncryptDecrypt = "ENCRYPT_DECRYPT",
        GenerateVerifyMac = "GENERATE_VERIFY_MAC",
        SignVerify = "SIGN_VERIFY",
        KeyAgreement = "KEY_AGREEMENT",
    }
}

words! {
    pub enum Origin {
        AwsKms = "AWS_KMS",
        External = "EXTERNAL",
    }
}

impl KeySpec {
    /// What its material is.
    pub(crate) const fn made_of(self) -> MadeOf {
        match self {
            Self::SymmetricDefault | Self::Hmac256 => MadeOf::Secret { bytes: 32 },
            Self::Hmac224 => MadeOf::Secret { bytes: 28 },
            Self::Hmac384 => MadeOf::Secret { bytes: 48 },
            Self::Hmac512 => MadeOf::Secret { bytes: 64 },
            Self::Rsa2048 => MadeOf::Pair(KeyKind::Rsa2048),
            Self::Rsa3072 => MadeOf::Pair(KeyKind::Rsa3072),
            Self::Rsa4096 => MadeOf::Pair(KeyKind::Rsa4096),
            Self::P256 => MadeOf::Pair(KeyKind::P256),
            Self::P384 => MadeOf::Pair(KeyKind::P384),
            Self::P521 => MadeOf::Pair(KeyKind::P521),
            Self::P256k1 => MadeOf::Pair(KeyKind::P256k1),
            Self::Ed25519 => MadeOf::Pair(KeyKind::Ed25519),
        }
    }

    const fn usages(self) -> &'static [KeyUsage] {
        match self {
            Self::SymmetricDefault => &[KeyUsage::EncryptDecrypt],
            Self::Hmac224 | Self::Hmac256 | Self::Hmac384 | Self::Hmac512 => &[KeyUsage::GenerateVerifyMac],
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => {
                &[KeyUsage::EncryptDecrypt, KeyUsage::SignVerify]
            }
            Self::P256 | Self::P384 | Self::P521 => &[KeyUsage::SignVerify, KeyUsage::KeyAgreement],
            Self::P256k1 | Self::Ed25519 => &[KeyUsage::SignVerify],
        }
    }

    /// The usage of a new key of this spec. Only keys for symmetric encryption have one of themselves.
    pub(crate) fn usage(self, written: Option<&str>) -> Result<KeyUsage, KmsError> {
        let Some(written) = written else {
            return if self == Self::SymmetricDefault {
                Ok(KeyUsage::EncryptDecrypt)
            } else {
                Err(KmsError::UsageMissing)
            };
        };
        let fitting = self.usages().iter().find(|usage| usage.as_str() == written);
        fitting
            .copied()
            .ok_or_else(|| KmsError::UsageUnfit { usage: written.to_owned(), spec: self.as_str() })
    }

    /// What a key of this spec encrypts with, if that is what it is for.
    pub(crate) const fn encryption_algorithms(self) -> &'static [&'static str] {
        match self {
            Self::SymmetricDefault => &[SYMMETRIC_DEFAULT],
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => &["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"],
            _ => &[],
        }
    }

    pub(crate) const fn mac_algorithms(self) -> &'static [&'static str] {
        match self {
            Self::Hmac224 => &["HMAC_SHA_224"],
            Self::Hmac256 => &["HMAC_SHA_256"],
            Self::Hmac384 => &["HMAC_SHA_384"],
            Self::Hmac512 => &["HMAC_SHA_512"],
            _ => &[],
        }
    }

    /// What a key of this spec signs with, if that is what it is for. Of the two algorithms of Ed25519 only the one over messages is
    /// offered.
    pub(crate) const fn signing_algorithms(self) -> &'static [&'static str] {
        match self {
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => &[
                "RSASSA_PKCS1_V1_5_SHA_256",
                "RSASSA_PKCS1_V1_5_SHA_384",
                "RSASSA_PKCS1_V1_5_SHA_512",
                "RSASSA_PSS_SHA_256",
                "RSASSA_PSS_SHA_384",
                "RSASSA_PSS_SHA_512",
            ],
            Self::P256 | Self::P256k1 => &["ECDSA_SHA_256"],
            Self::P384 => &["ECDSA_SHA_384"],
            Self::P521 => &["ECDSA_SHA_512"],
            Self::Ed25519 => &["ED25519_SHA_512"],
            _ => &[],
        }
    }

    /// What a caller wrote is one of these.
    pub(crate) fn ensure_among(self, algorithms: &[&str], written: &str) -> Result<(), KmsError> {
        if algorithms.contains(&written) {
            return Ok(());
        }
        Err(KmsError::AlgorithmUnfit { algorithm: written.to_owned(), spec: self.as_str() })
    }
}

/// What the material of a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MadeOf {
    Secret {
        bytes: usize,
    },
    /// A pair, of which the private half is kept.
    Pair(KeyKind),
}

/// The one algorithm of keys for symmetric encryption.
pub(crate) const SYMMETRIC_DEFAULT: &str = "SYMMETRIC_DEFAULT";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usage_is_named_and_fits() {
        use KeyUsage::{EncryptDecrypt, GenerateVerifyMac, KeyAgreement, SignVerify};
        let unfit = |usage: &str, spec: KeySpec| {
            Err(KmsError::UsageUnfit { usage: usage.to_owned(), spec: spec.as_str() })
        };
        for (spec, written, expected) in [
            (KeySpec::SymmetricDefault, None, Ok(EncryptDecrypt)),
            (KeySpec::SymmetricDefault, Some("ENCRYPT_DECRYPT"), Ok(EncryptDecrypt)),
            (KeySpec::SymmetricDefault, Some("SIGN_VERIFY"), unfit("SIGN_VERIFY", KeySpec::SymmetricDefault)),
            (KeySpec::Hmac256, None, Err(KmsError::UsageMissing)),
            (KeySpec::Hmac256, Some("GENERATE_VERIFY_MAC"), Ok(GenerateVerifyMac)),
            (KeySpec::Hmac512, Some("ENCRYPT_DECRYPT"), unfit("ENCRYPT_DECRYPT", KeySpec::Hmac512)),
            (KeySpec::Rsa2048, None, Err(KmsError::UsageMissing)),
            (KeySpec::Rsa3072, Some("ENCRYPT_DECRYPT"), Ok(EncryptDecrypt)),
            (KeySpec::Rsa4096, Some("SIGN_VERIFY"), Ok(SignVerify)),
            (KeySpec::Rsa2048, Some("KEY_AGREEMENT"), unfit("KEY_AGREEMENT", KeySpec::Rsa2048)),
            (KeySpec::P384, Some("SIGN_VERIFY"), Ok(SignVerify)),
            (KeySpec::P521, Some("KEY_AGREEMENT"), Ok(KeyAgreement)),
            (KeySpec::P256, Some("ENCRYPT_DECRYPT"), unfit("ENCRYPT_DECRYPT", KeySpec::P256)),
            (KeySpec::P256k1, Some("KEY_AGREEMENT"), unfit("KEY_AGREEMENT", KeySpec::P256k1)),
            (KeySpec::Ed25519, Some("SIGN_VERIFY"), Ok(SignVerify)),
        ] {
            assert_eq!(spec.usage(written), expected, "{spec:?} {written:?}");
        }
    }

    #[test]
    fn what_is_stored_is_read_again_and_what_is_not_offered_is_nothing() {
        for name in ["SYMMETRIC_DEFAULT", "HMAC_224", "HMAC_256", "HMAC_384", "HMAC_512"] {
            assert_eq!(KeySpec::parse(name).map(KeySpec::as_str), Some(name));
        }
        assert_eq!(KeySpec::parse("SM2"), None);
        let bytes = coffer_shape::stored::to_bytes(&KeySpec::Hmac384).unwrap();
        let again: KeySpec = coffer_shape::stored::from_bytes(bytes.expose()).unwrap();
        assert_eq!(again, KeySpec::Hmac384);
        let other = coffer_shape::stored::to_bytes(&String::from("SM2")).unwrap();
        assert!(coffer_shape::stored::from_bytes::<KeySpec>(other.expose()).is_err());
    }
}
