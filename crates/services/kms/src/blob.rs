//! The ciphertext of a KMS key, version 1.
//!
//! ```text
//! offset size
//!      0    4  "CKB" 1
//!      4    1  suite: 1 = HKDF-SHA-256, AES-256-GCM, commitment
//!      5    1  flags: bit 0 = multi-Region key id; the others must be 0
//!      6   16  key id
//!     22   16  first bytes of the key material id
//!     38   32  random salt
//!     70   32  commitment
//!    102    n  ciphertext, then a 16-byte tag
//! ```
//!
//! Every message has its own key, derived from the material and the header with its 256-bit salt, so the constant nonce is used
//! once. The commitment is compared before anything is opened: a blob opens under one key or under none.

use coffer_crypto::{NONCE_LEN, TAG_LEN, constant_time_eq, hkdf_expand_sha256, open, seal, sha256};
use coffer_types::{Entropy, Secret};

use crate::{context::Context, id::KeyId};

const MAGIC: [u8; 4] = *b"CKB\x01";
const SUITE: u8 = 1;
/// The flag of an id that a key has in several regions.
const MULTI_REGION: u8 = 1;
const HEADER_LEN: usize = 70;
const COMMITMENT_LEN: usize = 32;
const BODY_AT: usize = HEADER_LEN + COMMITMENT_LEN;
/// Everything around the plaintext.
#[cfg(test)]
const OVERHEAD: usize = BODY_AT + TAG_LEN;

/// What a blob says of itself, before anything is believed.
#[derive(Debug)]
pub(crate) struct Blob<'a> {
    header: &'a [u8],
    commitment: &'a [u8],
    body: &'a [u8],
    pub(crate) key_id: KeyId,
    pub(crate) material_prefix: [u8; 16],
}

impl<'a> Blob<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (header, rest) = bytes.split_at_checked(HEADER_LEN)?;
        let (commitment, body) = rest.split_at_checked(COMMITMENT_LEN)?;
        let (magic, after) = header.split_first_chunk::<4>()?;
        let ([suite, flags], after) = after.split_first_chunk::<2>()?;
        let (key_id, after) = after.split_first_chunk::<16>()?;
        let (material_prefix, _salt) = after.split_first_chunk::<16>()?;
        let known =
            *magic == MAGIC && *suite == SUITE && *flags & !MULTI_REGION == 0 && body.len() >= TAG_LEN;
        let key_id = KeyId { bytes: *key_id, is_multi_region: *flags & MULTI_REGION != 0 };
        known.then_some(Self { header, commitment, body, key_id, material_prefix: *material_prefix })
    }

    /// The plaintext, or nothing for every kind of mismatch.
    pub(crate) fn open(&self, material: &[u8; 32], context: &Context) -> Option<Secret<Vec<u8>>> {
        let (key, commitment) = message_keys(material, self.header);
        if !constant_time_eq(&commitment, self.commitment) {
            return None;
        }
        let mut plaintext = self.body.to_vec();
        open(
            key.expose(),
            &[0; NONCE_LEN],
            &associated_data(self.header, &commitment, context),
            &mut plaintext,
        )
        .ok()?;
        Some(Secret::new(plaintext))
    }
}

pub(crate) fn wrap(
    entropy: &dyn Entropy,
    key_id: KeyId,
    material: &[u8; 32],
    context: &Context,
    plaintext: &[u8],
) -> Vec<u8> {
    let mut salt = [0; 32];
    entropy.fill(&mut salt);
    wrap_with_salt(&salt, key_id, material, context, plaintext)
}

fn wrap_with_salt(
    salt: &[u8; 32],
    key_id: KeyId,
    material: &[u8; 32],
    context: &Context,
    plaintext: &[u8],
) -> Vec<u8> {
    let mut blob = Vec::with_capacity(BODY_AT + plaintext.len() + TAG_LEN);
    blob.extend_from_slice(&MAGIC);
    blob.extend_from_slice(&[SUITE, if key_id.is_multi_region { MULTI_REGION } else { 0 }]);
    blob.extend_from_slice(&key_id.bytes);
    blob.extend_from_slice(&material_prefix(material));
    blob.extend_from_slice(salt);
    let (key, commitment) = message_keys(material, &blob);
    let associated = associated_data(&blob, &commitment, context);
    let mut body = plaintext.to_vec();
    seal(key.expose(), &[0; NONCE_LEN], &associated, &mut body);
    blob.extend_from_slice(&commitment);
    blob.extend_from_slice(&body);
    blob
}

/// The id of key material; the API shows all of it in hex, a blob carries its first half.
pub(crate) fn material_id(material: &[u8]) -> [u8; 32] {
    let mut input = b"coffer-key-material-id\0".to_vec();
    input.extend_from_slice(material);
    let id = sha256(&input);
    drop(Secret::new(input));
    id
}

pub(crate) fn material_prefix(material: &[u8; 32]) -> [u8; 16] {
    material_id(material).first_chunk::<16>().copied().unwrap_or_default()
}

fn message_keys(material: &[u8; 32], header: &[u8]) -> (Secret<[u8; 32]>, [u8; 32]) {
    let output: Secret<[u8; 64]> = hkdf_expand_sha256(material, &[b"coffer-kms/v1\0", header]);
    let mut key = Secret::new([0; 32]);
    let mut commitment = [0; 32];
    let (left, right) = output.expose().split_at(32);
    key.expose_mut().copy_from_slice(left);
    commitment.copy_from_slice(right);
    (key, commitment)
}

fn associated_data(header: &[u8], commitment: &[u8; 32], context: &Context) -> Vec<u8> {
    let mut data = header.to_vec();
    data.extend_from_slice(commitment);
    data.extend_from_slice(&canonical_context(context));
    data
}

/// Injective: counted, length-prefixed, in the order of the key bytes (which is the order of the map).
fn canonical_context(context: &Context) -> Vec<u8> {
    let mut bytes = b"coffer-ec-v1\0".to_vec();
    bytes.extend_from_slice(&length(context.len()));
    for (key, value) in context {
        for part in [key, value] {
            bytes.extend_from_slice(&length(part.len()));
            bytes.extend_from_slice(part.as_bytes());
        }
    }
    bytes
}

fn length(length: usize) -> [u8; 4] {
    // Requests are far smaller than 4 GiB.
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use coffer_types::encoding::HEXLOWER;

    use super::*;

    fn material() -> [u8; 32] {
        std::array::from_fn(|at| u8::try_from(at).unwrap())
    }

    fn key_id() -> KeyId {
        KeyId::parse("1234abcd-12ab-34cd-56ef-1234567890ab").unwrap()
    }

    fn context(pairs: &[(&str, &str)]) -> Context {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn contexts_are_written_in_one_way() {
        for (pairs, expected) in [
            (&[][..], "636f666665722d65632d76310000000000"),
            (
                &[("b", "1"), ("a", "2")],
                "636f666665722d65632d763100000000020000000161000000013200000001620000000131",
            ),
            (
                &[("ä", "x"), ("B", "y"), ("a", "")],
                "636f666665722d65632d763100000000030000000142000000017900000001610000000000000002c3a40000000178",
            ),
        ] {
            assert_eq!(HEXLOWER.encode(&canonical_context(&context(pairs))), expected);
        }
    }

    #[test]
    fn a_blob_with_a_known_salt_is_known_to_the_byte() {
        let blob = wrap_with_salt(&[0xa5; 32], key_id(), &material(), &context(&[]), b"hello");
        assert_eq!(
            HEXLOWER.encode(&blob),
            "434b420101001234abcd12ab34cd56ef1234567890abc8acfbca0b078255e75091aaf7cc3d57a5a5a5a5a5a5a5a5a5a5a5a5a5a5\
             a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a587d717ff5d5beeee9b511dd4dba59d20f8e07292105793f364c22e34fec9250694004d\
             a6316022280075e84796f58a56721de9657c"
        );
        let data_key = wrap_with_salt(
            &[0xa5; 32],
            key_id(),
            &material(),
            &context(&[
                ("SecretARN", "arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/db-Ab12Cd"),
                ("SecretVersionId", "EXAMPLE1-90ab-cdef-fedc-ba987SECRET1"),
            ]),
            &[7; 32],
        );
        assert_eq!(
            HEXLOWER.encode(&data_key[BODY_AT..]),
            "fb6226cd5954e75fae7c1b42394e5dfb10c763abf0a22418c1f4ab36cef966ffb5551b044fe911b5bad545449168872f"
        );
    }

    #[test]
    fn any_changed_bit_or_context_opens_nothing() {
        let pairs = context(&[("a", "b,c")]);
        let blob = wrap_with_salt(&[1; 32], key_id(), &material(), &pairs, b"value");
        assert_eq!(blob.len(), 5 + OVERHEAD);
        let opens = |bytes: &[u8], context: &Context| {
            Blob::parse(bytes)
                .filter(|blob| {
                    blob.material_prefix == material_prefix(&material()) && blob.key_id == key_id()
                })
                .and_then(|blob| blob.open(&material(), context))
                .map(|plaintext| plaintext.expose().clone())
        };
        assert_eq!(opens(&blob, &pairs).as_deref(), Some(&b"value"[..]));
        for at in 0..blob.len() * 8 {
            let mut changed = blob.clone();
            changed[at / 8] ^= 1 << (at % 8);
            // The one flag that is allowed is part of the derivation, so it opens nothing either.
            assert_eq!(opens(&changed, &pairs), None, "bit {at}");
        }
        for cut in 0..blob.len() {
            assert_eq!(opens(&blob[..cut], &pairs), None, "cut at {cut}");
        }
        for other in
            [&[][..], &[("a", "b"), ("c", "")], &[("A", "b,c")], &[("a", "b,C")], &[("a", "b,c"), ("d", "e")]]
        {
            assert_eq!(opens(&blob, &context(other)), None, "{other:?}");
        }
        assert!(Blob::parse(&blob).unwrap().open(&[9; 32], &pairs).is_none());
    }
}
