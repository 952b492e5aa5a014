//! Verifying signatures of others: tokens of identity providers.
//!
//! Coffer signs nothing this way, so there is no private key here. The scheme is chosen by whoever verifies and must fit the kind of
//! the key: a token that names another scheme cannot make an RSA key into something else.

use std::fmt;

use aws_lc_rs::signature::{
    self, EcdsaVerificationAlgorithm, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey,
};

/// Below, a key can be broken; above, checking a signature is a way to keep a server busy.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
/// Exponents in use have three bytes. A long one makes checking slow.
const RSA_EXPONENT_BYTES_MAX: usize = 8;
/// Says that both coordinates follow.
const UNCOMPRESSED: u8 = 4;

/// PKCS #1 v1.5 for RSA, and the two coordinates side by side for elliptic curves, as JSON Web Signatures have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureScheme {
    RsaSha256,
    RsaSha384,
    RsaSha512,
    P256Sha256,
    P384Sha384,
}

/// The public half of somebody's key.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey(Kind);

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
}

impl VerifyingKey {
    /// From modulus and exponent, most significant byte first. None for a size that nobody should use.
    pub fn rsa(n: &[u8], e: &[u8]) -> Option<Self> {
        let (n, e) = (without_zeros(n), without_zeros(e));
        let is_good = RSA_BYTES.contains(&n.len()) && !e.is_empty() && e.len() <= RSA_EXPONENT_BYTES_MAX;
        is_good.then(|| Self(Kind::Rsa { n: n.to_vec(), e: e.to_vec() }))
    }

    /// From the coordinates of a point. Whether it lies on the curve shows when a signature is checked.
    pub fn p256(x: &[u8], y: &[u8]) -> Option<Self> {
        point(x, y, 32).map(|point| Self(Kind::P256(point)))
    }

    pub fn p384(x: &[u8], y: &[u8]) -> Option<Self> {
        point(x, y, 48).map(|point| Self(Kind::P384(point)))
    }

    /// Whether whoever holds the private half signed this message in this way.
    pub fn verifies(&self, scheme: SignatureScheme, message: &[u8], signature: &[u8]) -> bool {
        match (&self.0, scheme) {
            (Kind::Rsa { n, e }, SignatureScheme::RsaSha256) => {
                rsa(n, e, &signature::RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            (Kind::Rsa { n, e }, SignatureScheme::RsaSha384) => {
                rsa(n, e, &signature::RSA_PKCS1_2048_8192_SHA384, message, signature)
            }
            (Kind::Rsa { n, e }, SignatureScheme::RsaSha512) => {
                rsa(n, e, &signature::RSA_PKCS1_2048_8192_SHA512, message, signature)
            }
            (Kind::P256(point), SignatureScheme::P256Sha256) => {
                ecdsa(point, &signature::ECDSA_P256_SHA256_FIXED, message, signature)
            }
            (Kind::P384(point), SignatureScheme::P384Sha384) => {
                ecdsa(point, &signature::ECDSA_P384_SHA384_FIXED, message, signature)
            }
            (
                Kind::Rsa { .. } | Kind::P256(_) | Kind::P384(_),
                SignatureScheme::RsaSha256
                | SignatureScheme::RsaSha384
                | SignatureScheme::RsaSha512
                | SignatureScheme::P256Sha256
                | SignatureScheme::P384Sha384,
            ) => false,
        }
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Rsa { .. } => "VerifyingKey(RSA)",
            Kind::P256(_) => "VerifyingKey(P-256)",
            Kind::P384(_) => "VerifyingKey(P-384)",
        })
    }
}

fn rsa(n: &[u8], e: &[u8], parameters: &RsaParameters, message: &[u8], signature: &[u8]) -> bool {
    RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
}

fn ecdsa(
    point: &[u8],
    algorithm: &'static EcdsaVerificationAlgorithm,
    message: &[u8],
    signature: &[u8],
) -> bool {
    UnparsedPublicKey::new(algorithm, point).verify(message, signature).is_ok()
}

/// Each coordinate has its full length, with zeros in front if need be.
fn point(x: &[u8], y: &[u8], bytes: usize) -> Option<Vec<u8>> {
    (x.len() == bytes && y.len() == bytes).then(|| [&[UNCOMPRESSED], x, y].concat())
}

fn without_zeros(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    bytes.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        rand::SystemRandom,
        rsa::{KeyPair as RsaKeyPair, KeySize},
        signature::{
            ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
            RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
        },
    };

    use super::*;

    const ALL: [SignatureScheme; 5] = [
        SignatureScheme::RsaSha256,
        SignatureScheme::RsaSha384,
        SignatureScheme::RsaSha512,
        SignatureScheme::P256Sha256,
        SignatureScheme::P384Sha384,
    ];

    /// Verifies as this scheme and as no other, and neither another message nor another signature.
    fn check(key: &VerifyingKey, scheme: SignatureScheme, signature: &[u8]) {
        for other in ALL {
            assert_eq!(key.verifies(other, b"message", signature), other == scheme, "{other:?}");
        }
        assert!(!key.verifies(scheme, b"messagf", signature));
        for place in [0, signature.len() / 2, signature.len() - 1] {
            let mut changed = signature.to_vec();
            changed[place] ^= 1;
            assert!(!key.verifies(scheme, b"message", &changed));
        }
        for wrong in [&[][..], &signature[1..], &[signature, &[0]].concat()] {
            assert!(!key.verifies(scheme, b"message", wrong));
        }
    }

    #[test]
    fn rsa_signatures() {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        // A sequence of two numbers, each behind its length: 256 bytes and three.
        let der = pair.public_key().as_ref();
        let (n, e) = (&der[9..265], &der[267..]);
        // Some write numbers with a zero in front, so that they do not look negative.
        let key = VerifyingKey::rsa(&[&[0], n].concat(), e).unwrap();
        for (scheme, encoding) in [
            (SignatureScheme::RsaSha256, &RSA_PKCS1_SHA256),
            (SignatureScheme::RsaSha384, &RSA_PKCS1_SHA384),
            (SignatureScheme::RsaSha512, &RSA_PKCS1_SHA512),
        ] {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(encoding, &SystemRandom::new(), b"message", &mut signature).unwrap();
            check(&key, scheme, &signature);
        }
        for (n, e) in [(&n[..128], e), (n, &[]), (n, &[1; 9]), (&[0; 256], e), (&[1; 1025], e)] {
            assert_eq!(VerifyingKey::rsa(n, e), None);
        }
    }

    #[test]
    fn signatures_over_elliptic_curves() {
        let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let (x, y) = p256.public_key().as_ref()[1..].split_at(32);
        let signature = p256.sign(&SystemRandom::new(), b"message").unwrap();
        check(&VerifyingKey::p256(x, y).unwrap(), SignatureScheme::P256Sha256, signature.as_ref());
        assert_eq!(VerifyingKey::p256(&x[1..], y), None);

        let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        let (x, y) = p384.public_key().as_ref()[1..].split_at(48);
        let signature = p384.sign(&SystemRandom::new(), b"message").unwrap();
        check(&VerifyingKey::p384(x, y).unwrap(), SignatureScheme::P384Sha384, signature.as_ref());
        // A point that is on no curve verifies nothing.
        let nowhere = VerifyingKey::p256(&[1; 32], &[2; 32]).unwrap();
        assert!(!nowhere.verifies(SignatureScheme::P256Sha256, b"message", &[3; 64]));
    }
}
