//! RSA: PSS and PKCS #1 v1.5 signatures, and OAEP.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::{
        KeyPair, KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm,
        OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey,
    },
    signature::{self, KeyPair as _, RsaParameters, RsaSignatureEncoding, UnparsedPublicKey},
};
use coffer_types::{Secret, zeroize::Zeroize};

use super::{KeyError, Oaep, Sha2, ToSign};
use crate::certain;

#[derive(Clone, Copy)]
pub(super) enum RsaSize {
    Bits2048,
    Bits3072,
    Bits4096,
}

impl RsaSize {
    const fn bits(self) -> usize {
        match self {
            Self::Bits2048 => 2048,
            Self::Bits3072 => 3072,
            Self::Bits4096 => 4096,
        }
    }
}

pub(super) struct RsaKey(KeyPair);

impl RsaKey {
    pub(super) fn generate(size: RsaSize) -> Self {
        Self(certain(KeyPair::generate(match size {
            RsaSize::Bits2048 => KeySize::Rsa2048,
            RsaSize::Bits3072 => KeySize::Rsa3072,
            RsaSize::Bits4096 => KeySize::Rsa4096,
        })))
    }

    pub(super) fn from_pkcs8(size: RsaSize, der: &[u8]) -> Result<Self, KeyError> {
        let key = Self(KeyPair::from_pkcs8(der).map_err(|_| KeyError::NotAKey)?);
        if is_public_key(size, &key.public_key()) { Ok(key) } else { Err(KeyError::NotAKey) }
    }

    pub(super) fn to_pkcs8(&self) -> Secret<Vec<u8>> {
        let der: Pkcs8V1Der<'_> = certain(self.0.as_der());
        Secret::new(der.as_ref().to_vec())
    }

    pub(super) fn public_key(&self) -> Vec<u8> {
        let der: PublicKeyX509Der<'_> = certain(self.0.public_key().as_der());
        der.as_ref().to_vec()
    }

    /// The length of the modulus, of every signature and of every ciphertext.
    pub(super) fn bytes(&self) -> usize {
        self.0.public_modulus_len()
    }

    pub(super) fn sign_pss(&self, hash: Sha2, what: ToSign<'_>) -> Result<Vec<u8>, KeyError> {
        let encoding = match hash {
            Sha2::Sha256 => &signature::RSA_PSS_SHA256,
            Sha2::Sha384 => &signature::RSA_PSS_SHA384,
            Sha2::Sha512 => &signature::RSA_PSS_SHA512,
        };
        self.sign(encoding, hash, what)
    }

    pub(super) fn sign_pkcs1(&self, hash: Sha2, what: ToSign<'_>) -> Result<Vec<u8>, KeyError> {
        let encoding = match hash {
            Sha2::Sha256 => &signature::RSA_PKCS1_SHA256,
            Sha2::Sha384 => &signature::RSA_PKCS1_SHA384,
            Sha2::Sha512 => &signature::RSA_PKCS1_SHA512,
        };
        self.sign(encoding, hash, what)
    }

    fn sign(
        &self,
        encoding: &'static RsaSignatureEncoding,
        hash: Sha2,
        what: ToSign<'_>,
    ) -> Result<Vec<u8>, KeyError> {
        let mut signature = vec![0; self.bytes()];
        match what {
            ToSign::Message(message) => self.0.sign(encoding, &SystemRandom::new(), message, &mut signature),
            ToSign::Digest(digest) => self.0.sign_digest(encoding, &hash.imported(digest)?, &mut signature),
        }
        .map_err(|_| KeyError::NotForThis)?;
        Ok(signature)
    }

    pub(super) fn decrypt(&self, oaep: Oaep, ciphertext: &[u8]) -> Result<Secret<Vec<u8>>, KeyError> {
        // The library has two types for one key.
        let key = certain(PrivateDecryptingKey::from_pkcs8(self.to_pkcs8().expose()));
        let key = certain(OaepPrivateDecryptingKey::new(key));
        let mut plaintext = Secret::new(vec![0; key.min_output_size()]);
        let length = key
            .decrypt(oaep.algorithm(), ciphertext, plaintext.expose_mut(), None)
            .map_err(|_| KeyError::NotAuthentic)?
            .len();
        if let Some(behind) = plaintext.expose_mut().get_mut(length..) {
            behind.zeroize();
        }
        plaintext.expose_mut().truncate(length);
        Ok(plaintext)
    }
}

impl Oaep {
    const fn algorithm(self) -> &'static OaepAlgorithm {
        match self {
            Self::Sha1 => &OAEP_SHA1_MGF1SHA1,
            Self::Sha256 => &OAEP_SHA256_MGF1SHA256,
        }
    }
}

pub(super) fn is_public_key(size: RsaSize, der: &[u8]) -> bool {
    PublicEncryptingKey::from_der(der).is_ok_and(|key| key.key_size_bits() == size.bits())
}

pub(super) fn encrypt(der: &[u8], oaep: Oaep, plaintext: &[u8]) -> Result<Vec<u8>, KeyError> {
    let key = PublicEncryptingKey::from_der(der)
        .and_then(|key| Ok(OaepPublicEncryptingKey::new(key)?))
        .map_err(|_| KeyError::NotAKey)?;
    let most = key.max_plaintext_size(oaep.algorithm());
    if plaintext.len() > most {
        return Err(KeyError::TooLong { most });
    }
    let mut ciphertext = vec![0; key.ciphertext_size()];
    certain(key.encrypt(oaep.algorithm(), plaintext, &mut ciphertext, None));
    Ok(ciphertext)
}

pub(super) fn verifies_pss(der: &[u8], hash: Sha2, what: ToSign<'_>, signature: &[u8]) -> bool {
    let parameters = match hash {
        Sha2::Sha256 => &signature::RSA_PSS_2048_8192_SHA256,
        Sha2::Sha384 => &signature::RSA_PSS_2048_8192_SHA384,
        Sha2::Sha512 => &signature::RSA_PSS_2048_8192_SHA512,
    };
    verifies(der, parameters, hash, what, signature)
}

pub(super) fn verifies_pkcs1(der: &[u8], hash: Sha2, what: ToSign<'_>, signature: &[u8]) -> bool {
    let parameters = match hash {
        Sha2::Sha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Sha2::Sha384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Sha2::Sha512 => &signature::RSA_PKCS1_2048_8192_SHA512,
    };
    verifies(der, parameters, hash, what, signature)
}

fn verifies(
    der: &[u8],
    parameters: &'static RsaParameters,
    hash: Sha2,
    what: ToSign<'_>,
    signature: &[u8],
) -> bool {
    let key = UnparsedPublicKey::new(parameters, der);
    match what {
        ToSign::Message(message) => key.verify(message, signature).is_ok(),
        ToSign::Digest(digest) => {
            hash.imported(digest).is_ok_and(|digest| key.verify_digest(&digest, signature).is_ok())
        }
    }
}
