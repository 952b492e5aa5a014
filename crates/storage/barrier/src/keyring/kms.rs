//! What a slot says openly whose key only a KMS gives back.
//!
//! The slot's key was encrypted there when the slot was made, and the ciphertext lies here beside the name of the KMS key and
//! the place where it was. None of it is secret, and all of it is under the slot's seal: with another ciphertext, or
//! another KMS key, the slot does not open.
//!
//! This crate asks nobody: whoever opens the store has the ciphertext decrypted and brings what came back.

use super::slot::PARAMETERS_LEN_MAX;
use crate::fields::{Fields, Pieces};

/// A place at a KMS, and what was encrypted there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KmsSlot {
    endpoint: String,
    region: String,
    key_id: String,
    ciphertext: Vec<u8>,
}

impl KmsSlot {
    /// `None` if it is more than a slot holds.
    pub fn new(endpoint: &str, region: &str, key_id: &str, ciphertext: &[u8]) -> Option<Self> {
        let (endpoint, region, key_id) = (endpoint.to_owned(), region.to_owned(), key_id.to_owned());
        let slot = Self { endpoint, region, key_id, ciphertext: ciphertext.to_vec() };
        (slot.to_parameters().len() <= PARAMETERS_LEN_MAX).then_some(slot)
    }

    /// Where the KMS was when the slot was made.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub fn region(&self) -> &str {
        &self.region
    }

    /// The ARN of the KMS key.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    pub fn ciphertext(&self) -> &[u8] {
        &self.ciphertext
    }

    pub(super) fn to_parameters(&self) -> Vec<u8> {
        Fields::with_capacity(512)
            .field(self.endpoint.as_bytes())
            .field(self.region.as_bytes())
            .field(self.key_id.as_bytes())
            .field(&self.ciphertext)
            .into_bytes()
    }

    pub(super) fn from_parameters(parameters: &[u8]) -> Option<Self> {
        let mut pieces = Pieces::of(parameters);
        let mut text = || {
            let bytes = pieces.field(PARAMETERS_LEN_MAX)?;
            std::str::from_utf8(bytes).ok().map(str::to_owned)
        };
        let (endpoint, region, key_id) = (text()?, text()?, text()?);
        let ciphertext = pieces.field(PARAMETERS_LEN_MAX)?.to_vec();
        pieces.end().map(|()| Self { endpoint, region, key_id, ciphertext })
    }
}
