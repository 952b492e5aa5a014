//! Project Wycheproof: inputs that broke somebody's cryptography, given to ours.
//!
//! A vector is left out only where our types cannot express it, and each table says how many that is: a vector that comes to be skipped, or
//! no longer is, changes a number here. What the project calls acceptable may go either way.

use coffer_crypto::{
    HmacHash, KeyError, KeyKind, NONCE_LEN, Oaep, PrivateKey, PublicKey, Sha2, Signing, TAG_LEN, ToSign,
    hkdf_expand_sha256, hmac_sha256, open, seal, sha256, unwrap_key, wrap_key,
};
use wycheproof::{EllipticCurve, HashFunction, TestResult};

/// How many vectors were tried and how many could not be said.
#[derive(Default)]
struct Count {
    tried: usize,
    skipped: usize,
}

impl Count {
    /// A vector that must succeed does, and one that must fail does not.
    fn check(&mut self, id: usize, comment: &str, expected: TestResult, ours: bool) {
        self.tried += 1;
        match expected {
            TestResult::Valid => assert!(ours, "vector {id} is good: {comment}"),
            TestResult::Invalid => assert!(!ours, "vector {id} is bad: {comment}"),
            TestResult::Acceptable => {}
        }
    }

    fn is(&self, tried: usize, skipped: usize) {
        assert_eq!((self.tried, self.skipped), (tried, skipped));
    }
}

#[test]
fn aes_gcm() {
    use wycheproof::aead::{TestName, TestSet};
    let mut count = Count::default();
    for group in TestSet::load(TestName::AesGcm).unwrap().test_groups {
        for test in group.tests {
            // We have one size of each.
            let (Ok(key), Ok(nonce)) =
                (<[u8; 32]>::try_from(&test.key[..]), <[u8; NONCE_LEN]>::try_from(&test.nonce[..]))
            else {
                count.skipped += 1;
                continue;
            };
            assert_eq!(test.tag.len(), TAG_LEN);
            let mut buffer = [&test.ct[..], &test.tag[..]].concat();
            let opened = open(&key, &nonce, &test.aad, &mut buffer).is_ok();
            count.check(test.tc_id, &test.comment, test.result, opened && buffer == test.pt[..]);
            if test.result == TestResult::Valid {
                let mut buffer = test.pt.to_vec();
                seal(&key, &nonce, &test.aad, &mut buffer);
                assert_eq!(buffer, [&test.ct[..], &test.tag[..]].concat());
            }
        }
    }
    count.is(66, 250);
}

#[test]
fn hmac() {
    use wycheproof::mac::{TestName, TestSet};
    let mut count = Count::default();
    for (name, hash) in [
        (TestName::HmacSha224, HmacHash::Sha224),
        (TestName::HmacSha256, HmacHash::Sha256),
        (TestName::HmacSha384, HmacHash::Sha384),
        (TestName::HmacSha512, HmacHash::Sha512),
    ] {
        for group in TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                // A code is whole here or it is none.
                if group.tag_size != hash.bytes() * 8 {
                    assert!(!hash.verifies(&test.key, &test.msg, &test.tag));
                    count.skipped += 1;
                    continue;
                }
                let verifies = hash.verifies(&test.key, &test.msg, &test.tag);
                count.check(test.tc_id, &test.comment, test.result, verifies);
                if hash == HmacHash::Sha256 && test.result == TestResult::Valid {
                    assert_eq!(hmac_sha256(&test.key, &[&test.msg[..]])[..], test.tag[..]);
                }
            }
        }
    }
    count.is(348, 346);
}

#[test]
fn hkdf() {
    use wycheproof::hkdf::{TestName, TestSet};
    const LONGEST: usize = 255 * 32;
    let mut count = Count::default();
    for group in TestSet::load(TestName::HkdfSha256).unwrap().test_groups {
        for test in group.tests {
            // A length that HKDF does not have does not compile.
            if test.size > LONGEST {
                count.skipped += 1;
                continue;
            }
            // Extracting, which we have no use for, is a MAC; a shorter output is the beginning of a longer one.
            let prk = hmac_sha256(&test.salt, &[&test.ikm[..]]);
            let output = hkdf_expand_sha256::<LONGEST>(&prk, &[&test.info[..]]);
            let ours = output.expose()[..test.size] == test.okm[..];
            count.check(test.tc_id, &test.comment, test.result, ours);
        }
    }
    count.is(83, 3);
}

#[test]
fn aes_key_wrap_with_padding() {
    use wycheproof::keywrap::{TestName, TestSet};
    let mut count = Count::default();
    for group in TestSet::load(TestName::AesKeyWrapWithPadding).unwrap().test_groups {
        for test in group.tests {
            // The library has no 192-bit keys for this.
            if group.key_size == 192 {
                count.skipped += 1;
                continue;
            }
            let unwrapped = unwrap_key(&test.key, &test.ct);
            let ours = unwrapped.is_ok_and(|key| key.expose()[..] == test.pt[..]);
            count.check(test.tc_id, &test.comment, test.result, ours);
            if test.result == TestResult::Valid {
                assert_eq!(wrap_key(&test.key, &test.pt).as_deref(), Some(&test.ct[..]));
            }
        }
    }
    count.is(169, 85);
}

#[test]
fn ecdsa() {
    use wycheproof::ecdsa::{TestName, TestSet};
    let mut count = Count::default();
    for (name, kind, curve, hash) in [
        (TestName::EcdsaSecp256r1Sha256, KeyKind::P256, EllipticCurve::Secp256r1, HashFunction::Sha2_256),
        (TestName::EcdsaSecp384r1Sha384, KeyKind::P384, EllipticCurve::Secp384r1, HashFunction::Sha2_384),
        (TestName::EcdsaSecp521r1Sha512, KeyKind::P521, EllipticCurve::Secp521r1, HashFunction::Sha2_512),
        (TestName::EcdsaSecp256k1Sha256, KeyKind::P256k1, EllipticCurve::Secp256k1, HashFunction::Sha2_256),
    ] {
        for group in TestSet::load(name).unwrap().test_groups {
            assert_eq!((group.key.curve, group.hash), (curve, hash));
            let key = PublicKey::from_der(kind, &group.der).unwrap();
            for test in group.tests {
                let verifies = key.verifies(Signing::Ecdsa, ToSign::Message(&test.msg), &test.sig);
                count.check(test.tc_id, &test.comment, test.result, verifies);
                if kind == KeyKind::P256 {
                    let of_digest =
                        key.verifies(Signing::Ecdsa, ToSign::Digest(&sha256(&test.msg)), &test.sig);
                    assert_eq!(of_digest, verifies, "vector {}", test.tc_id);
                }
            }
        }
    }
    count.is(2006, 0);
}

#[test]
fn ed25519() {
    use wycheproof::eddsa::{TestName, TestSet};
    let mut count = Count::default();
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        let key = PublicKey::from_der(KeyKind::Ed25519, &group.der).unwrap();
        for test in group.tests {
            let verifies = key.verifies(Signing::Ed25519, ToSign::Message(&test.msg), &test.sig);
            count.check(test.tc_id, &test.comment, test.result, verifies);
        }
    }
    count.is(151, 0);
}

#[test]
fn rsa_pkcs1_signatures() {
    use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};
    let mut count = Count::default();
    for name in TestName::all() {
        for group in TestSet::load(name).unwrap().test_groups {
            let (Some(kind), Some(hash)) = (rsa_kind(group.key_size), sha2(group.hash)) else {
                count.skipped += group.tests.len();
                continue;
            };
            let key = PublicKey::from_der(kind, &group.der).unwrap();
            for test in group.tests {
                let verifies = key.verifies(Signing::RsaPkcs1(hash), ToSign::Message(&test.msg), &test.sig);
                count.check(test.tc_id, &test.comment, test.result, verifies);
            }
        }
    }
    count.is(2330, 3872);
}

#[test]
fn rsa_pss_signatures() {
    use wycheproof::rsa_pss_verify::{TestName, TestSet};
    let mut count = Count::default();
    for name in TestName::all() {
        for group in TestSet::load(name).unwrap().test_groups {
            // One hash for the message and the mask, and a salt of its length.
            let ours = sha2(group.hash)
                .filter(|hash| group.mgf_hash == Some(group.hash) && group.salt_size == hash_bytes(*hash));
            let (Some(kind), Some(hash)) = (rsa_kind(group.key_size), ours) else {
                count.skipped += group.tests.len();
                continue;
            };
            let Ok(key) = PublicKey::from_der(kind, &group.der) else {
                // Keys whose own bytes say what they may be used for. We write none and read none.
                count.skipped += group.tests.len();
                continue;
            };
            for test in group.tests {
                let verifies = key.verifies(Signing::RsaPss(hash), ToSign::Message(&test.msg), &test.sig);
                count.check(test.tc_id, &test.comment, test.result, verifies);
            }
        }
    }
    count.is(1186, 2311);
}

#[test]
fn rsa_oaep() {
    use wycheproof::rsa_oaep::{TestName, TestSet};
    let mut count = Count::default();
    for name in TestName::all() {
        for group in TestSet::load(name).unwrap().test_groups {
            let oaep = match group.hash {
                HashFunction::Sha1 => Some(Oaep::Sha1),
                HashFunction::Sha2_256 => Some(Oaep::Sha256),
                _ => None,
            };
            let oaep = oaep.filter(|_| group.hash == group.mgf_hash);
            let (Some(kind), Some(oaep)) = (rsa_kind(group.key_size), oaep) else {
                count.skipped += group.tests.len();
                continue;
            };
            let key = PrivateKey::from_pkcs8(kind, &group.pkcs8).unwrap();
            for test in group.tests {
                let opened = key.decrypt(oaep, &test.ct);
                // Labels are not offered.
                if !test.label.is_empty() {
                    assert_eq!(opened.err(), Some(KeyError::NotAuthentic));
                    count.skipped += 1;
                    continue;
                }
                let ours = opened.is_ok_and(|plaintext| plaintext.expose()[..] == test.pt[..]);
                count.check(test.tc_id, &test.comment, test.result, ours);
            }
        }
    }
    count.is(134, 964);
}

#[test]
fn ecdh() {
    use wycheproof::ecdh::{TestName, TestSet};
    let mut count = Count::default();
    for (name, kind, template) in [
        (TestName::EcdhSecp256r1, KeyKind::P256, P256_PKCS8),
        (TestName::EcdhSecp384r1, KeyKind::P384, P384_PKCS8),
        (TestName::EcdhSecp521r1, KeyKind::P521, P521_PKCS8),
    ] {
        for group in TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                let key = PrivateKey::from_pkcs8(kind, &pkcs8(template, &test.private_key)).unwrap();
                let ours = key
                    .agree(&test.public_key)
                    .is_ok_and(|shared| shared.expose()[..] == test.shared_secret[..]);
                count.check(test.tc_id, &test.comment, test.result, ours);
            }
        }
    }
    count.is(2575, 0);
}

/// A private key of a curve in PKCS #8, without the public half: everything in front of the number, and the number's length.
type Template = (&'static [u8], usize);

const P256_PKCS8: Template = (
    b"\x30\x41\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04\x27\
      \x30\x25\x02\x01\x01\x04\x20",
    32,
);
const P384_PKCS8: Template = (
    b"\x30\x4e\x02\x01\x00\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x04\x37\
      \x30\x35\x02\x01\x01\x04\x30",
    48,
);
const P521_PKCS8: Template = (
    b"\x30\x60\x02\x01\x00\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23\x04\x49\
      \x30\x47\x02\x01\x01\x04\x42",
    66,
);

/// The vectors have the bare number, sometimes with zeros in front and sometimes without.
fn pkcs8((front, length): Template, number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let number = number.split_at(zeros).1;
    [front, &vec![0; length - number.len()], number].concat()
}

fn rsa_kind(bits: usize) -> Option<KeyKind> {
    match bits {
        2048 => Some(KeyKind::Rsa2048),
        3072 => Some(KeyKind::Rsa3072),
        4096 => Some(KeyKind::Rsa4096),
        _ => None,
    }
}

fn sha2(hash: HashFunction) -> Option<Sha2> {
    match hash {
        HashFunction::Sha2_256 => Some(Sha2::Sha256),
        HashFunction::Sha2_384 => Some(Sha2::Sha384),
        HashFunction::Sha2_512 => Some(Sha2::Sha512),
        _ => None,
    }
}

fn hash_bytes(hash: Sha2) -> usize {
    match hash {
        Sha2::Sha256 => 32,
        Sha2::Sha384 => 48,
        Sha2::Sha512 => 64,
    }
}
