//! Hashes, message authentication codes and the comparison that goes with them.
//!
//! Everything that is compared with a value an attacker may choose goes through [`constant_time_eq`]. CRC-32 is here
//! because people will look for checksums next to hashes; it finds typing errors and protects against nobody.

use std::fmt;

use aws_lc_rs::{constant_time, digest, hmac};

use crate::certain;

/// SHA-256 of bytes that are already in one piece.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    array(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// SHA-1, which is not safe for anything new, of pieces in a row: MySQL and MariaDB prove with it that a password is known.
pub fn sha1_of_mysql(parts: &[&[u8]]) -> [u8; 20] {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    for part in parts {
        context.update(part);
    }
    certain(context.finish().as_ref().try_into())
}

/// SHA-256 of bytes that arrive in pieces, such as a request body.
#[derive(Clone)]
pub struct Sha256(digest::Context);

impl Sha256 {
    pub fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn finish(self) -> [u8; 32] {
        array(self.0.finish().as_ref())
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sha256(..)")
    }
}

/// HMAC-SHA-256 over the concatenation of `parts`.
///
/// The parts are not separated: a caller with more than one field of variable length must prefix lengths itself.
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    HmacKey::new(key).sign_parts(parts)
}

/// An HMAC-SHA-256 key that is used often, such as a signing key of one day, region and service.
///
/// It keeps the two inner hash states, so that a short message costs two compressions instead of four. It is a copy
/// of the key on the ordinary heap; keys of the keyring are used with [`hmac_sha256`] straight from locked memory
/// instead.
pub struct HmacKey(hmac::Key);

impl HmacKey {
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    pub fn sign(&self, message: &[u8]) -> [u8; 32] {
        array(hmac::sign(&self.0, message).as_ref())
    }

    /// As if the parts were one message.
    pub fn sign_parts(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(part);
        }
        array(context.sign().as_ref())
    }
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacKey(..)")
    }
}

/// Whether both are the same bytes, in a time that depends on their lengths only.
pub fn constant_time_eq(left: &[u8], right: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(left, right).is_ok()
}

/// CRC-32 (IEEE), for typing errors in what people copy by hand.
pub fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// Every output of SHA-256 is 32 bytes; the library says so with a slice.
fn array(bytes: &[u8]) -> [u8; 32] {
    certain(bytes.try_into())
}

#[cfg(test)]
mod tests {
    use coffer_types::encoding::HEXLOWER;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sha256_agrees_with_fips_180() {
        let million = vec![b'a'; 1_000_000];
        for (message, expected) in [
            (&b""[..], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            ),
            (&million, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
        ] {
            assert_eq!(HEXLOWER.encode(&sha256(message)), expected);
        }
    }

    #[test]
    fn hmac_agrees_with_rfc_4231() {
        let long_key = [0xaa; 131];
        for (key, message, expected) in [
            (
                &[0x0b; 20][..],
                &b"Hi There"[..],
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
            (
                &long_key,
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                &long_key,
                b"This is a test using a larger than block-size key and a larger than block-size data. \
                  The key needs to be hashed before being used by the HMAC algorithm.",
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ] {
            assert_eq!(HEXLOWER.encode(&hmac_sha256(key, &[message])), expected);
            assert_eq!(HEXLOWER.encode(&HmacKey::new(key).sign(message)), expected);
        }
    }

    #[test]
    fn crc32_agrees_with_its_check_value() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn keys_and_states_do_not_print() {
        assert_eq!(format!("{:?} {:?}", HmacKey::new(b"hunter2"), Sha256::new()), "HmacKey(..) Sha256(..)");
    }

    proptest! {
        #[test]
        fn pieces_hash_like_the_whole(bytes: Vec<u8>, cut in 0_usize..64) {
            let (head, tail) = bytes.split_at(cut.min(bytes.len()));
            let mut hash = Sha256::new();
            hash.update(head);
            hash.update(tail);
            prop_assert_eq!(hash.finish(), sha256(&bytes));
            prop_assert_eq!(hmac_sha256(b"key", &[head, tail]), hmac_sha256(b"key", &[&bytes]));
        }

        #[test]
        fn constant_time_equality_is_equality(left: Vec<u8>, right: Vec<u8>) {
            prop_assert_eq!(constant_time_eq(&left, &right), left == right);
            prop_assert!(constant_time_eq(&left, &left));
        }
    }
}
