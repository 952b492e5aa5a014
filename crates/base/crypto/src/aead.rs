//! AES-256-GCM with the nonce and the associated data in plain sight.
//!
//! The formats above derive a fresh key for each message, so the nonce is theirs to choose and to store; what this
//! file guarantees is only the cipher. Plaintext is encrypted and decrypted where it lies: no second copy is made, and
//! when a tag is wrong the half-decrypted buffer is wiped before the error is returned.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use coffer_types::zeroize::Zeroize;

use crate::certain;

pub const NONCE_LEN: usize = 12;
pub const TAG_LEN: usize = 16;

/// The ciphertext, its tag, the nonce or the associated data is not what was sealed under this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ciphertext is not authentic")]
pub struct NotAuthentic;

/// Encrypts `buffer` where it lies and appends the tag.
///
/// Reserve [`TAG_LEN`] bytes in the buffer beforehand, or appending may move it and leave ciphertext behind.
pub fn seal(key: &[u8; 32], nonce: &[u8; NONCE_LEN], aad: &[u8], buffer: &mut Vec<u8>) {
    let tag = GcmKey::new(key).seal_detached(nonce, aad, buffer);
    buffer.extend_from_slice(&tag);
}

/// Decrypts `buffer`, which ends with the tag, where it lies and removes the tag. On failure it is wiped and empty.
pub fn open(
    key: &[u8; 32],
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    buffer: &mut Vec<u8>,
) -> Result<(), NotAuthentic> {
    let tag: Option<[u8; TAG_LEN]> = buffer.last_chunk().copied();
    let opened = tag.ok_or(NotAuthentic).and_then(|tag| {
        buffer.truncate(buffer.len().saturating_sub(TAG_LEN));
        GcmKey::new(key).open_detached(nonce, aad, buffer, &tag)
    });
    if opened.is_err() {
        buffer.zeroize();
    }
    opened
}

/// A prepared key, for formats that seal many messages under one key and count their nonces (audit segments).
pub struct GcmKey(LessSafeKey);

impl GcmKey {
    pub fn new(key: &[u8; 32]) -> Self {
        Self(LessSafeKey::new(certain(UnboundKey::new(&AES_256_GCM, key))))
    }

    /// Encrypts `buffer` where it lies and returns the tag. The caller never uses a nonce twice under this key.
    #[must_use = "without its tag the message cannot be opened"]
    pub fn seal_detached(&self, nonce: &[u8; NONCE_LEN], aad: &[u8], buffer: &mut [u8]) -> [u8; TAG_LEN] {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let tag = certain(self.0.seal_in_place_separate_tag(nonce, Aad::from(aad), buffer));
        certain(tag.as_ref().try_into())
    }

    /// Decrypts `buffer` where it lies; wipes it when the tag is wrong.
    pub fn open_detached(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        buffer: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), NotAuthentic> {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.0.open_in_place_separate_tag(nonce, Aad::from(aad), tag, buffer).is_ok();
        if opened {
            return Ok(());
        }
        buffer.zeroize();
        Err(NotAuthentic)
    }
}

impl fmt::Debug for GcmKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GcmKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use coffer_types::encoding::HEXLOWER;
    use proptest::prelude::*;

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        HEXLOWER.decode(text.as_bytes()).unwrap()
    }

    #[test]
    fn gcm_agrees_with_the_nist_submission() {
        // Test cases 13 to 16 of the GCM specification (256-bit keys).
        let key = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
        let plain = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
                     1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255";
        let cipher = "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
                      8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad";
        let zeros = "00".repeat(32);
        for (key, nonce, aad, plain, cipher, tag) in [
            (&*zeros, "000000000000000000000000", "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
            (
                &zeros,
                "000000000000000000000000",
                "",
                "00000000000000000000000000000000",
                "cea7403d4d606b6e074ec5d3baf39d18",
                "d0d1c8a799996bf0265b98b5d48ab919",
            ),
            (key, "cafebabefacedbaddecaf888", "", plain, cipher, "b094dac5d93471bdec1a502270e3cc6c"),
            (
                key,
                "cafebabefacedbaddecaf888",
                "feedfacedeadbeeffeedfacedeadbeefabaddad2",
                &plain[..120],
                &cipher[..120],
                "76fc6ece0f4e1768cddf8853bb2d551b",
            ),
        ] {
            let (key, nonce) = (hex(key).try_into().unwrap(), hex(nonce).try_into().unwrap());
            let mut buffer = hex(plain);
            seal(&key, &nonce, &hex(aad), &mut buffer);
            assert_eq!(HEXLOWER.encode(&buffer), format!("{cipher}{tag}"));
            open(&key, &nonce, &hex(aad), &mut buffer).unwrap();
            assert_eq!(HEXLOWER.encode(&buffer), plain);
        }
    }

    #[test]
    fn what_is_shorter_than_a_tag_does_not_open() {
        for len in 0..TAG_LEN {
            assert_eq!(open(&[0; 32], &[0; 12], b"", &mut vec![0; len]), Err(NotAuthentic));
        }
    }

    proptest! {
        #[test]
        fn any_flipped_bit_is_noticed(key: [u8; 32], plain: Vec<u8>, aad: Vec<u8>, at: prop::sample::Index, bit in 0_u8..8) {
            let mut sealed = plain.clone();
            seal(&key, &[1; 12], &aad, &mut sealed);

            let mut opened = sealed.clone();
            prop_assert_eq!(open(&key, &[1; 12], &aad, &mut opened), Ok(()));
            prop_assert_eq!(&opened, &plain);

            let mut damaged = sealed.clone();
            let at = at.index(damaged.len());
            damaged[at] ^= 1 << bit;
            prop_assert_eq!(open(&key, &[1; 12], &aad, &mut damaged), Err(NotAuthentic));
            prop_assert!(damaged.is_empty());

            let mut other_place = aad.clone();
            other_place.push(0);
            prop_assert_eq!(open(&key, &[1; 12], &other_place, &mut sealed.clone()), Err(NotAuthentic));
            prop_assert_eq!(open(&key, &[2; 12], &aad, &mut sealed), Err(NotAuthentic));
        }
    }
}
