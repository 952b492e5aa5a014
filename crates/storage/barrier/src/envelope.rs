//! The outside of a sealed record: version, suite, epoch, revision, salt, commitment, nonce.
//!
//! ```text
//!  0   1  version = 1            14  24  salt (random)
//!  1   1  suite   = 1            38  32  commitment to the record key
//!  2   4  epoch                  70  12  nonce
//!  6   8  revision               82   n  ciphertext of the padded plaintext, then a 16-byte tag
//! ```
//!
//! Integers are big-endian. Suite 1 is KBKDF-CTR-HMAC-SHA-256 for the key and AES-256-GCM for the text. A reader refuses
//! what it does not know and never tries a second way: guessing is how old weaknesses come back.
//!
//! Nothing in the header is secret. All of it is authenticated: epoch, revision and suite stand in the associated data,
//! salt and commitment decide the key, and the nonce is part of the cipher.

use coffer_crypto::{NONCE_LEN, TAG_LEN};

use crate::fields::Pieces;

pub(crate) const HEADER_LEN: usize = 82;

/// By how much a sealed record is longer than its padded plaintext.
pub const OVERHEAD_LEN: usize = HEADER_LEN + TAG_LEN;

pub(crate) const SALT_LEN: usize = 24;
pub(crate) const VERSION: u8 = 1;
pub(crate) const SUITE: u8 = 1;

/// A stored record is not what this store wrote at this place.
///
/// The reasons are for the operator's log; a client only ever learns that the service failed. None of them means
/// "not found", and none of them is worth a second try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damaged {
    #[error("the record is too short to be one")]
    Truncated,
    #[error("the record has envelope version {0}, and this program reads version 1")]
    UnknownVersion(u8),
    #[error("the record was sealed with suite {0}, and this program knows suite 1")]
    UnknownSuite(u8),
    #[error("the record belongs to epoch {0}, whose key is not in the keyring")]
    UnknownEpoch(u32),
    #[error("the record does not commit to the key of its place")]
    Commitment,
    #[error("the record was changed, or it was sealed for another place or revision")]
    NotAuthentic,
    #[error("the record opens, but its padding is not one that this program writes")]
    Padding,
}

/// What a sealed record says about itself to anybody. Trustworthy only once the record has been opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub epoch: u32,
    pub revision: u64,
    pub commitment: [u8; 32],
    pub(crate) salt: [u8; SALT_LEN],
    pub(crate) nonce: [u8; NONCE_LEN],
}

impl Header {
    /// Reads the header of a sealed record without opening it.
    pub fn of(sealed: &[u8]) -> Result<Self, Damaged> {
        split(sealed).map(|(header, _, _)| header)
    }

    pub(crate) fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&[VERSION, SUITE]);
        to.extend_from_slice(&self.epoch.to_be_bytes());
        to.extend_from_slice(&self.revision.to_be_bytes());
        to.extend_from_slice(&self.salt);
        to.extend_from_slice(&self.commitment);
        to.extend_from_slice(&self.nonce);
    }

    fn read(pieces: &mut Pieces<'_>) -> Option<Self> {
        Some(Self {
            epoch: pieces.u32()?,
            revision: pieces.u64()?,
            salt: pieces.array()?,
            commitment: pieces.array()?,
            nonce: pieces.array()?,
        })
    }
}

/// Header, ciphertext and tag of a sealed record.
pub(crate) fn split(sealed: &[u8]) -> Result<(Header, &[u8], [u8; TAG_LEN]), Damaged> {
    let mut pieces = Pieces::of(sealed);
    let version = pieces.u8().ok_or(Damaged::Truncated)?;
    if version != VERSION {
        return Err(Damaged::UnknownVersion(version));
    }
    let suite = pieces.u8().ok_or(Damaged::Truncated)?;
    if suite != SUITE {
        return Err(Damaged::UnknownSuite(suite));
    }
    let header = Header::read(&mut pieces).ok_or(Damaged::Truncated)?;
    let text_len = sealed.len().checked_sub(OVERHEAD_LEN).ok_or(Damaged::Truncated)?;
    let text = pieces.bytes(text_len).ok_or(Damaged::Truncated)?;
    let tag = pieces.array().ok_or(Damaged::Truncated)?;
    Ok((header, text, tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back_and_has_its_length() {
        let header =
            Header { epoch: 7, revision: 9, commitment: [1; 32], salt: [2; SALT_LEN], nonce: [3; NONCE_LEN] };
        let mut bytes = Vec::new();
        header.write(&mut bytes);
        assert_eq!(bytes.len(), HEADER_LEN);
        bytes.extend_from_slice(b"text");
        bytes.extend_from_slice(&[4; TAG_LEN]);
        assert_eq!(split(&bytes), Ok((header, &b"text"[..], [4; TAG_LEN])));
        assert_eq!(Header::of(&bytes), Ok(header));
    }

    #[test]
    fn what_is_unknown_is_refused_and_not_guessed_at() {
        let mut bytes = vec![0; OVERHEAD_LEN];
        bytes[..2].copy_from_slice(&[VERSION, SUITE]);
        assert!(split(&bytes).is_ok());
        for len in 0..OVERHEAD_LEN {
            assert_eq!(split(&bytes[..len]), Err(Damaged::Truncated), "{len} bytes");
        }
        bytes[0] = 2;
        assert_eq!(split(&bytes), Err(Damaged::UnknownVersion(2)));
        bytes[..2].copy_from_slice(&[VERSION, 2]);
        assert_eq!(split(&bytes), Err(Damaged::UnknownSuite(2)));
    }
}
