//! The KMS ciphertext, built from nothing but this crate's primitives, against a published example.
//!
//! The format itself belongs to the KMS service. Rebuilding one blob here shows that HKDF, the commitment and the cipher
//! fit together the way that format needs, before anybody writes it.

#![allow(clippy::unwrap_used, reason = "a test that cannot read its own constants should stop")]

mod wycheproof;

use coffer_crypto::{CommittedKey, NotAuthentic, hkdf_expand_sha256, open, seal, sha256};
use coffer_types::encoding::HEXLOWER;

const HEADER: &str = "434b420101001234abcd12ab34cd56ef1234567890abc8acfbca0b078255e75091aaf7cc3d57\
                      a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5";

fn hex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).unwrap()
}

fn material() -> [u8; 32] {
    std::array::from_fn(|at| u8::try_from(at).unwrap())
}

fn derive(header: &[u8]) -> CommittedKey {
    hkdf_expand_sha256::<64>(&material(), &[b"coffer-kms/v1\0", header]).into()
}

fn aad(header: &[u8], commitment: &[u8], pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut aad = [header, commitment, b"coffer-ec-v1\0"].concat();
    aad.extend(u32::try_from(pairs.len()).unwrap().to_be_bytes());
    for text in pairs.iter().flat_map(|(key, value)| [key, value]) {
        aad.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
        aad.extend(text.as_bytes());
    }
    aad
}

#[test]
fn the_material_id_is_a_hash() {
    let id = sha256(&[&b"coffer-key-material-id\0"[..], &material()].concat());
    assert_eq!(HEXLOWER.encode(&id[..16]), "c8acfbca0b078255e75091aaf7cc3d57");
}

#[test]
fn key_and_commitment_are_the_published_ones() {
    let derived = derive(&hex(HEADER));
    assert_eq!(
        HEXLOWER.encode(derived.key.expose()),
        "d32c898496f77bb4ceeb7776de358b3948460ca044f7f765791da564b1671f86"
    );
    assert_eq!(
        HEXLOWER.encode(derived.commitment()),
        "87d717ff5d5beeee9b511dd4dba59d20f8e07292105793f364c22e34fec92506"
    );
}

#[test]
fn blobs_are_the_published_ones_and_open() {
    let header = hex(HEADER);
    let derived = derive(&header);
    let of_a_secret = [
        ("SecretARN", "arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/db-Ab12Cd"),
        ("SecretVersionId", "EXAMPLE1-90ab-cdef-fedc-ba987SECRET1"),
    ];
    for (plain, pairs, sealed) in [
        (&b"hello"[..], &[][..], "94004da6316022280075e84796f58a56721de9657c"),
        (
            &[7; 32],
            &of_a_secret,
            "fb6226cd5954e75fae7c1b42394e5dfb10c763abf0a22418c1f4ab36cef966ffb5551b044fe911b5bad545449168872f",
        ),
    ] {
        let aad = aad(&header, derived.commitment(), pairs);
        let mut buffer = plain.to_vec();
        seal(derived.key.expose(), &[0; 12], &aad, &mut buffer);
        assert_eq!(HEXLOWER.encode(&buffer), sealed);

        let without_context = self::aad(&header, derived.commitment(), &[("a", "b")]);
        let mut copy = buffer.clone();
        assert_eq!(open(derived.key.expose(), &[0; 12], &without_context, &mut copy), Err(NotAuthentic));

        open(derived.key.expose(), &[0; 12], &aad, &mut buffer).unwrap();
        assert_eq!(buffer, plain);
    }
}
