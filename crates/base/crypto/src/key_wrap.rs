//! AES key wrap with padding (RFC 5649), the way in which others hand keys over.

use aws_lc_rs::key_wrap::{AES_128, AES_256, AesKek, KeyWrapPadded};
use coffer_types::{Secret, zeroize::Zeroize};

use crate::NotAuthentic;

/// What wrapping adds, at most: eight bytes in front and up to seven behind.
const OVERHEAD_MAX: usize = 15;

/// Wraps a key under a key of 16 or 32 bytes. None for another length, and for nothing to wrap.
pub fn wrap_key(kek: &[u8], key: &[u8]) -> Option<Vec<u8>> {
    let mut wrapped = vec![0; key.len().checked_add(OVERHEAD_MAX)?];
    let length = key_encryption_key(kek)?.wrap_with_padding(key, &mut wrapped).ok()?.len();
    wrapped.truncate(length);
    Some(wrapped)
}

/// What was wrapped, or nothing for every kind of damage.
pub fn unwrap_key(kek: &[u8], wrapped: &[u8]) -> Result<Secret<Vec<u8>>, NotAuthentic> {
    let mut key = Secret::new(vec![0; wrapped.len()]);
    let length = key_encryption_key(kek)
        .and_then(|kek| Some(kek.unwrap_with_padding(wrapped, key.expose_mut()).ok()?.len()))
        .ok_or(NotAuthentic)?;
    if let Some(behind) = key.expose_mut().get_mut(length..) {
        behind.zeroize();
    }
    key.expose_mut().truncate(length);
    Ok(key)
}

fn key_encryption_key(kek: &[u8]) -> Option<AesKek> {
    let cipher = if kek.len() == 16 { &AES_128 } else { &AES_256 };
    AesKek::new(cipher, kek).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_that_cannot_be() {
        assert_eq!(wrap_key(&[1; 24], &[2; 32]), None);
        assert_eq!(wrap_key(&[1; 32], &[]), None);
        for length in [0, 7, 8, 15, 17] {
            assert!(unwrap_key(&[1; 32], &vec![3; length]).is_err());
        }
    }

    proptest! {
        #[test]
        fn what_is_wrapped_comes_back_and_damage_does_not(
            kek: [u8; 32],
            key in prop::collection::vec(any::<u8>(), 1..80),
            at: prop::sample::Index,
            bit in 0_u8..8,
        ) {
            for kek in [&kek[..], &kek[..16]] {
                let mut wrapped = wrap_key(kek, &key).unwrap();
                let unwrapped = unwrap_key(kek, &wrapped).unwrap();
                prop_assert_eq!(unwrapped.expose(), &key);
                let at = at.index(wrapped.len());
                wrapped[at] ^= 1 << bit;
                prop_assert!(unwrap_key(kek, &wrapped).is_err());
            }
        }
    }
}
