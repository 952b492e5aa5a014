//! HMAC with each hash of the SHA-2 family, for keys that make and check codes for others.
//!
//! Coffer's own codes are HMAC-SHA-256 ([`crate::hmac_sha256`]), whose length is in its type. Here the hash is a property of a key that
//! somebody chose, so the code is bytes.

use aws_lc_rs::hmac;

use crate::constant_time_eq;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HmacHash {
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl HmacHash {
    /// The length of a code, which is also a good length for a key.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    pub fn code(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        hmac::sign(&hmac::Key::new(self.algorithm(), key), message).as_ref().to_vec()
    }

    /// Whether this is the whole code of the message, in a time that says nothing about how much of it is right.
    pub fn verifies(self, key: &[u8], message: &[u8], code: &[u8]) -> bool {
        constant_time_eq(&self.code(key, message), code)
    }

    const fn algorithm(self) -> hmac::Algorithm {
        match self {
            Self::Sha224 => hmac::HMAC_SHA224,
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha384 => hmac::HMAC_SHA384,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }
}

#[cfg(test)]
mod tests {
    use coffer_types::encoding::HEXLOWER;

    use super::*;

    #[test]
    fn codes_agree_with_rfc_4231() {
        for (hash, expected) in [
            (HmacHash::Sha224, "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44"),
            (HmacHash::Sha256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (
                HmacHash::Sha384,
                "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
            ),
            (
                HmacHash::Sha512,
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fd\
                 caeab1a34d4a6b4b636e070a38bce737",
            ),
        ] {
            let message = b"what do ya want for nothing?";
            let code = hash.code(b"Jefe", message);
            assert_eq!(HEXLOWER.encode(&code), expected);
            assert_eq!(code.len(), hash.bytes());
            assert!(hash.verifies(b"Jefe", message, &code));
            assert!(!hash.verifies(b"jefe", message, &code));
            assert!(!hash.verifies(b"Jefe", message, &code[1..]));
        }
    }
}
