//! What a key is made of, what it is for, and where its material comes from.
//!
//! A key has one spec and one usage for ever. Which go together, and which algorithms that gives, is decided here.

use crate::{error::KmsError, words::words};

words! {
    pub enum KeySpec {
        SymmetricDefault = "SYMMETRIC_DEFAULT",
        Hmac224 = "HMAC_224",
        Hmac256 = "HMAC_256",
        Hmac384 = "HMAC_384",
        Hmac512 = "HMAC_512",
    }
}

words! {
    pub enum KeyUsage {
        EncryptDecrypt = "ENCRYPT_DECRYPT",
        GenerateVerifyMac = "GENERATE_VERIFY_MAC",
    }
}

words! {
    pub enum Origin {
        AwsKms = "AWS_KMS",
        External = "EXTERNAL",
    }
}

impl KeySpec {
    /// How much material is drawn for it.
    pub(crate) const fn material_len(self) -> usize {
        match self {
            Self::SymmetricDefault | Self::Hmac256 => 32,
            Self::Hmac224 => 28,
            Self::Hmac384 => 48,
            Self::Hmac512 => 64,
        }
    }

    /// The usage of a new key of this spec. Only keys for symmetric encryption have one of themselves.
    pub(crate) fn usage(self, written: Option<&str>) -> Result<KeyUsage, KmsError> {
        let fitting = match self {
            Self::SymmetricDefault => KeyUsage::EncryptDecrypt,
            Self::Hmac224 | Self::Hmac256 | Self::Hmac384 | Self::Hmac512 => KeyUsage::GenerateVerifyMac,
        };
        match written {
            None if self == Self::SymmetricDefault => Ok(fitting),
            None => Err(KmsError::UsageMissing),
            Some(written) if written == fitting.as_str() => Ok(fitting),
            Some(written) => Err(KmsError::UsageUnfit { usage: written.to_owned(), spec: self.as_str() }),
        }
    }

    pub(crate) const fn encryption_algorithms(self) -> &'static [&'static str] {
        match self {
            Self::SymmetricDefault => &[SYMMETRIC_DEFAULT],
            Self::Hmac224 | Self::Hmac256 | Self::Hmac384 | Self::Hmac512 => &[],
        }
    }

    pub(crate) const fn mac_algorithms(self) -> &'static [&'static str] {
        match self {
            Self::SymmetricDefault => &[],
            Self::Hmac224 => &["HMAC_SHA_224"],
            Self::Hmac256 => &["HMAC_SHA_256"],
            Self::Hmac384 => &["HMAC_SHA_384"],
            Self::Hmac512 => &["HMAC_SHA_512"],
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

/// The one algorithm of keys for symmetric encryption.
pub(crate) const SYMMETRIC_DEFAULT: &str = "SYMMETRIC_DEFAULT";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usage_is_named_and_fits() {
        use KeyUsage::{EncryptDecrypt, GenerateVerifyMac};
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
