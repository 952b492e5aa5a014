//! How one key becomes another: labels, and the bytes that go into the derivation.
//!
//! Every derivation is KBKDF in counter mode over `label || 0x00 || context || u32(bits of output)`. Labels contain no zero
//! byte, so label and context cannot run into each other; contexts have fixed lengths or prefixed ones. The labels are
//! part of the format of the store and never change.

use coffer_crypto::{CommittedKey, kbkdf_ctr_hmac_sha256};
use coffer_types::Secret;

pub(crate) const RECORD: &str = "coffer/v1/rec";
pub(crate) const TABLE: &str = "coffer/v1/table";
pub(crate) const SLOT: &str = "coffer/v1/slot";
pub(crate) const KEYRING: &str = "coffer/v1/keyring";
pub(crate) const KEYRING_MAC: &str = "coffer/v1/keyring-mac";

/// A key of 256 bits.
pub(crate) fn derived(key: &[u8; 32], label: &str, context: &[&[u8]]) -> Secret<[u8; 32]> {
    kbkdf_ctr_hmac_sha256(key, &info(label, context, 256))
}

/// A key of 256 bits for one message, and as many bits that commit to it.
pub(crate) fn committed(key: &[u8; 32], label: &str, context: &[&[u8]]) -> CommittedKey {
    kbkdf_ctr_hmac_sha256::<64>(key, &info(label, context, 512)).into()
}

fn info(label: &str, context: &[&[u8]], bits: u32) -> Vec<u8> {
    let mut info = Vec::with_capacity(128);
    info.extend_from_slice(label.as_bytes());
    info.push(0);
    for part in context {
        info.extend_from_slice(part);
    }
    info.extend_from_slice(&bits.to_be_bytes());
    info
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_info_of_a_record_is_label_zero_salt_and_512() {
        let expected = [&b"coffer/v1/rec\0"[..], &[0xab; 24], &[0, 0, 2, 0]].concat();
        assert_eq!(info(RECORD, &[&[0xab; 24]], 512), expected);
    }

    #[test]
    fn labels_have_no_zero_byte() {
        for label in [RECORD, TABLE, SLOT, KEYRING, KEYRING_MAC] {
            assert!(!label.contains('\0'));
        }
    }
}
