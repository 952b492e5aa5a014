//! Keys made from keys.
//!
//! Two derivations, because two standards want to be met: KBKDF in counter mode (SP 800-108) for everything we store,
//! and HKDF-Expand (RFC 5869) for KMS ciphertexts. Both are HMAC-SHA-256 at heart, take a uniformly random 32-byte
//! key, and bind a description (`info`) of what the new key is for.
//!
//! AES-GCM does not commit to its key: somebody who holds two keys can make one ciphertext that opens under both. So a
//! derivation for a cipher makes 64 bytes, and the second half is stored next to the ciphertext as a commitment to
//! the first; see [`CommittedKey`].

use aws_lc_rs::{
    hkdf,
    kdf::{KbkdfCtrHmacAlgorithm, KbkdfCtrHmacAlgorithmId, get_kbkdf_ctr_hmac_algorithm, kbkdf_ctr_hmac},
};
use coffer_types::Secret;

use crate::{certain, constant_time_eq};

/// KBKDF in counter mode with HMAC-SHA-256 (SP 800-108): a 32-bit big-endian counter stands before `info`.
///
/// `info` is the whole fixed input, label, separator, context and length included.
pub fn kbkdf_ctr_hmac_sha256<const N: usize>(key: &[u8; 32], info: &[u8]) -> Secret<[u8; N]> {
    const { assert!(N > 0, "a key has at least one byte") };
    let mut out = Secret::new([0; N]);
    certain(
        counter_mode()
            .and_then(|algorithm| kbkdf_ctr_hmac(algorithm, key, info, out.expose_mut()).ok())
            .ok_or(()),
    );
    out
}

/// HKDF-Expand with SHA-256 (RFC 5869, second half). `key` is already uniform, so there is nothing to extract.
pub fn hkdf_expand_sha256<const N: usize>(key: &[u8; 32], info: &[&[u8]]) -> Secret<[u8; N]> {
    const { assert!(N <= 255 * 32, "HKDF counts in one byte") };
    let prk = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, key);
    let mut out = Secret::new([0; N]);
    certain(prk.expand(info, Len(N)).and_then(|okm| okm.fill(out.expose_mut())));
    out
}

/// A key for one message, and the 32 bytes that commit to it.
pub struct CommittedKey {
    pub key: Secret<[u8; 32]>,
    commitment: [u8; 32],
}

impl CommittedKey {
    /// The commitment to be stored. It is public: it says nothing about the key.
    pub const fn commitment(&self) -> &[u8; 32] {
        &self.commitment
    }

    /// Whether a stored commitment is to this key. Ask before opening anything.
    pub fn is_committed_by(&self, stored: &[u8]) -> bool {
        constant_time_eq(&self.commitment, stored)
    }
}

impl std::fmt::Debug for CommittedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CommittedKey(..)")
    }
}

/// The first half is the key, the second the commitment.
impl From<Secret<[u8; 64]>> for CommittedKey {
    fn from(both: Secret<[u8; 64]>) -> Self {
        let (key, commitment) = both.expose().split_at(32);
        let mut split = Self { key: Secret::new([0; 32]), commitment: [0; 32] };
        split.key.expose_mut().copy_from_slice(key);
        split.commitment.copy_from_slice(commitment);
        split
    }
}

const fn counter_mode() -> Option<&'static KbkdfCtrHmacAlgorithm> {
    get_kbkdf_ctr_hmac_algorithm(KbkdfCtrHmacAlgorithmId::Sha256)
}

/// The library wants to know the length before it fills the slice.
#[derive(Clone, Copy)]
struct Len(usize);

impl hkdf::KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use coffer_types::encoding::HEXLOWER;
    use proptest::prelude::*;

    use super::*;
    use crate::hmac_sha256;

    #[test]
    fn hkdf_expand_agrees_with_rfc_5869() {
        // Appendix A.1 and A.3; the extracted keys are given there.
        for (prk, info, okm) in [
            (
                "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
                "f0f1f2f3f4f5f6f7f8f9",
                "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
            ),
            (
                "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
                "",
                "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
            ),
        ] {
            let prk = HEXLOWER.decode(prk.as_bytes()).unwrap().try_into().unwrap();
            let info = HEXLOWER.decode(info.as_bytes()).unwrap();
            let out = hkdf_expand_sha256::<42>(&prk, &[&info]);
            assert_eq!(HEXLOWER.encode(out.expose()), okm);
        }
    }

    #[test]
    fn kbkdf_agrees_with_the_nist_vectors() {
        // NIST CAVP, KDFCTR_gen: PRF HMAC_SHA256, CTRLOCATION BEFORE_FIXED, RLEN 32_BITS, L = 128, COUNT = 0.
        let key = "dd1d91b7d90b2bd3138533ce92b272fbf8a369316aefe242e659cc0ae238afe0";
        let fixed = "01322b96b30acd197979444e468e1c5c6859bf1b1cf951b7e725303e237e46b864a145fab25e517b08f8683d0315\
                     bb2911d80a0e8aba17f3b413faac";
        let key = HEXLOWER.decode(key.as_bytes()).unwrap().try_into().unwrap();
        let fixed = HEXLOWER.decode(fixed.as_bytes()).unwrap();
        let out = kbkdf_ctr_hmac_sha256::<16>(&key, &fixed);
        assert_eq!(HEXLOWER.encode(out.expose()), "10621342bfb0fd40046c0e29f2cfdbf0");
    }

    proptest! {
        #[test]
        fn kbkdf_is_hmac_over_a_counter_and_the_info(key: [u8; 32], info: Vec<u8>) {
            let out = kbkdf_ctr_hmac_sha256::<64>(&key, &info);
            let first = hmac_sha256(&key, &[&1_u32.to_be_bytes(), &info]);
            let second = hmac_sha256(&key, &[&2_u32.to_be_bytes(), &info]);
            prop_assert_eq!(&out.expose()[..32], &first);
            prop_assert_eq!(&out.expose()[32..], &second);
        }

        #[test]
        fn a_commitment_is_to_one_key_only(one: [u8; 32], other: [u8; 32]) {
            prop_assume!(one != other);
            let one = CommittedKey::from(kbkdf_ctr_hmac_sha256::<64>(&one, b"info"));
            let other = CommittedKey::from(kbkdf_ctr_hmac_sha256::<64>(&other, b"info"));
            prop_assert!(one.is_committed_by(one.commitment()));
            prop_assert!(!one.is_committed_by(other.commitment()));
        }
    }
}
