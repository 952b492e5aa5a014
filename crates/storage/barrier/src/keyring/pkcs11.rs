//! What a slot says openly whose key only a PKCS#11 token gives back.
//!
//! As [at a KMS](super::KmsSlot): the slot's key was encrypted by a key that never leaves the token, and the ciphertext lies here beside
//! the names of token and key. Which library speaks to the token is not here: whoever writes a keyring must not have one loaded.

use super::slot::PARAMETERS_LEN_MAX;
use crate::fields::{Fields, Pieces};

/// A key of a token, and what it encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pkcs11Slot {
    token: String,
    serial: String,
    key: String,
    ciphertext: Vec<u8>,
}

impl Pkcs11Slot {
    /// `None` if it is more than a slot holds.
    pub fn new(token: &str, serial: &str, key: &str, ciphertext: &[u8]) -> Option<Self> {
        let (token, serial, key) = (token.to_owned(), serial.to_owned(), key.to_owned());
        let slot = Self { token, serial, key, ciphertext: ciphertext.to_vec() };
        (slot.to_parameters().len() <= PARAMETERS_LEN_MAX).then_some(slot)
    }

    /// The label of the token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// What tells it from another with the same label.
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// The label of the key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What the token made of the slot's key, in the form that is its business.
    pub fn ciphertext(&self) -> &[u8] {
        &self.ciphertext
    }

    pub(super) fn to_parameters(&self) -> Vec<u8> {
        Fields::with_capacity(256)
            .field(self.token.as_bytes())
            .field(self.serial.as_bytes())
            .field(self.key.as_bytes())
            .field(&self.ciphertext)
            .into_bytes()
    }

    pub(super) fn from_parameters(parameters: &[u8]) -> Option<Self> {
        let mut pieces = Pieces::of(parameters);
        let mut text = || {
            let bytes = pieces.field(PARAMETERS_LEN_MAX)?;
            std::str::from_utf8(bytes).ok().map(str::to_owned)
        };
        let (token, serial, key) = (text()?, text()?, text()?);
        let ciphertext = pieces.field(PARAMETERS_LEN_MAX)?.to_vec();
        pieces.end().map(|()| Self { token, serial, key, ciphertext })
    }
}
