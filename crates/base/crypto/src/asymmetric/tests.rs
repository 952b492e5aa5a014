use super::*;

const KINDS: [KeyKind; 8] = [
    KeyKind::Rsa2048,
    KeyKind::Rsa3072,
    KeyKind::Rsa4096,
    KeyKind::P256,
    KeyKind::P384,
    KeyKind::P521,
    KeyKind::P256k1,
    KeyKind::Ed25519,
];
const SIGNINGS: [Signing; 8] = [
    Signing::RsaPss(Sha2::Sha256),
    Signing::RsaPss(Sha2::Sha384),
    Signing::RsaPss(Sha2::Sha512),
    Signing::RsaPkcs1(Sha2::Sha256),
    Signing::RsaPkcs1(Sha2::Sha384),
    Signing::RsaPkcs1(Sha2::Sha512),
    Signing::Ecdsa,
    Signing::Ed25519,
];

/// What a kind is for, said once more and in another way.
fn signs(kind: KeyKind, signing: Signing) -> bool {
    let name = format!("{signing:?}");
    match kind {
        KeyKind::Rsa2048 | KeyKind::Rsa3072 | KeyKind::Rsa4096 => name.starts_with("Rsa"),
        KeyKind::P256 | KeyKind::P384 | KeyKind::P521 | KeyKind::P256k1 => name == "Ecdsa",
        KeyKind::Ed25519 => name == "Ed25519",
    }
}

fn hash(kind: KeyKind, signing: Signing) -> Option<&'static digest::Algorithm> {
    Some(match (signing, kind) {
        (Signing::RsaPss(hash) | Signing::RsaPkcs1(hash), _) => match hash {
            Sha2::Sha256 => &digest::SHA256,
            Sha2::Sha384 => &digest::SHA384,
            Sha2::Sha512 => &digest::SHA512,
        },
        (Signing::Ecdsa, KeyKind::P384) => &digest::SHA384,
        (Signing::Ecdsa, KeyKind::P521) => &digest::SHA512,
        (Signing::Ecdsa, _) => &digest::SHA256,
        (Signing::Ed25519, _) => return None,
    })
}

/// One key of each kind; the large ones take their time.
fn keys() -> Vec<(KeyKind, PrivateKey)> {
    KINDS.map(|kind| (kind, PrivateKey::generate(kind))).into()
}

#[test]
fn a_key_survives_storage_and_is_of_one_kind() {
    for (kind, key) in keys() {
        let der = key.to_pkcs8();
        for other in KINDS {
            let read = PrivateKey::from_pkcs8(other, der.expose());
            assert_eq!(read.is_ok(), other == kind, "{kind:?} as {other:?}");
            assert_eq!(PublicKey::from_der(other, &key.public_key()).is_ok(), other == kind);
        }
        let again = PrivateKey::from_pkcs8(kind, der.expose()).unwrap();
        assert_eq!(again.public_key(), key.public_key());
        assert_eq!(again.to_pkcs8().expose(), der.expose());
        assert_eq!(format!("{key:?}"), "PrivateKey(..)");
        // Neither half of a key is the other, and a part of one is none.
        assert!(PublicKey::from_der(kind, der.expose()).is_err());
        assert!(PrivateKey::from_pkcs8(kind, &key.public_key()).is_err());
        assert!(PrivateKey::from_pkcs8(kind, &der.expose()[1..]).is_err());
    }
}

#[test]
fn signatures_hold_for_one_message_one_way_and_one_key() {
    for (kind, key) in keys() {
        let der = key.public_key();
        let public = PublicKey::from_der(kind, &der).unwrap();
        for signing in SIGNINGS {
            let signature = key.sign(signing, ToSign::Message(b"message"));
            let Ok(signature) = signature else {
                assert!(!signs(kind, signing));
                continue;
            };
            assert!(signs(kind, signing));
            for other in SIGNINGS {
                let holds = public.verifies(other, ToSign::Message(b"message"), &signature);
                assert_eq!(holds, other == signing, "{kind:?}: {signing:?} as {other:?}");
            }
            assert!(key.verifies(signing, ToSign::Message(b"message"), &signature));
            assert!(!public.verifies(signing, ToSign::Message(b"messagf"), &signature));
            let mut changed = signature.clone();
            changed[signature.len() / 2] ^= 1;
            assert!(!public.verifies(signing, ToSign::Message(b"message"), &changed));
            for wrong in [&[][..], &signature[1..], &[&signature[..], &[0]].concat()] {
                assert!(!public.verifies(signing, ToSign::Message(b"message"), wrong));
            }
        }
    }
}

#[test]
fn a_message_and_its_hash_are_the_same_to_sign() {
    for (kind, key) in keys() {
        let der = key.public_key();
        let public = PublicKey::from_der(kind, &der).unwrap();
        for signing in SIGNINGS.into_iter().filter(|signing| signs(kind, *signing)) {
            let Some(algorithm) = hash(kind, signing) else {
                // Ed25519 hashes in its own way.
                assert_eq!(key.sign(signing, ToSign::Digest(&[0; 64])), Err(KeyError::NotForThis));
                assert!(!public.verifies(signing, ToSign::Digest(&[0; 64]), &[0; 64]));
                continue;
            };
            let digest = digest::digest(algorithm, b"message");
            let digest = digest.as_ref();
            let of_digest = key.sign(signing, ToSign::Digest(digest)).unwrap();
            let of_message = key.sign(signing, ToSign::Message(b"message")).unwrap();
            for signature in [of_digest, of_message] {
                assert!(public.verifies(signing, ToSign::Message(b"message"), &signature));
                assert!(public.verifies(signing, ToSign::Digest(digest), &signature));
                assert!(!public.verifies(signing, ToSign::Digest(&digest[1..]), &signature));
            }
            for wrong in [&digest[1..], &[digest, &[0]].concat(), &[]] {
                assert_eq!(key.sign(signing, ToSign::Digest(wrong)), Err(KeyError::DigestLength));
            }
        }
    }
}

#[test]
fn only_rsa_keys_encrypt_and_only_so_much() {
    // Lengths that the documentation of AWS KMS gives, for SHA-1 and SHA-256.
    let longest = |kind| match kind {
        KeyKind::Rsa2048 => Some((214, 190)),
        KeyKind::Rsa3072 => Some((342, 318)),
        KeyKind::Rsa4096 => Some((470, 446)),
        _ => None,
    };
    for (kind, key) in keys() {
        let der = key.public_key();
        let public = PublicKey::from_der(kind, &der).unwrap();
        let Some((sha1, sha256)) = longest(kind) else {
            assert_eq!(public.encrypt(Oaep::Sha256, b"m"), Err(KeyError::NotForThis));
            assert_eq!(key.decrypt(Oaep::Sha256, &[0; 256]).err(), Some(KeyError::NotForThis));
            assert_eq!(key.unwrap(Oaep::Sha256, &[0; 300]).err(), Some(KeyError::NotForThis));
            continue;
        };
        for (oaep, other, longest) in [(Oaep::Sha1, Oaep::Sha256, sha1), (Oaep::Sha256, Oaep::Sha1, sha256)] {
            for length in [0, 1, longest] {
                let plaintext = vec![7; length];
                let mut ciphertext = public.encrypt(oaep, &plaintext).unwrap();
                assert_eq!(key.decrypt(oaep, &ciphertext).unwrap().expose(), &plaintext);
                assert_eq!(key.decrypt(other, &ciphertext).err(), Some(KeyError::NotAuthentic));
                ciphertext[100] ^= 1;
                assert_eq!(key.decrypt(oaep, &ciphertext).err(), Some(KeyError::NotAuthentic));
                assert_eq!(key.decrypt(oaep, &ciphertext[1..]).err(), Some(KeyError::NotAuthentic));
            }
            let too_long = Err(KeyError::TooLong { most: longest });
            assert_eq!(public.encrypt(oaep, &vec![7; longest + 1]), too_long);
            assert_eq!(key.encrypt(oaep, &vec![7; longest + 1]), too_long);
        }
    }
}

#[test]
fn a_long_key_travels_under_a_key_of_its_own() {
    let key = PrivateKey::generate(KeyKind::Rsa2048);
    let der = key.public_key();
    let public = PublicKey::from_der(KeyKind::Rsa2048, &der).unwrap();
    let long = PrivateKey::generate(KeyKind::P521).to_pkcs8();
    let kek = [9; 32];
    let front = public.encrypt(Oaep::Sha256, &kek).unwrap();
    let wrapped = [front, crate::wrap_key(&kek, long.expose()).unwrap()].concat();
    assert_eq!(key.unwrap(Oaep::Sha256, &wrapped).unwrap().expose(), long.expose());

    let last = wrapped.len() - 1;
    for at in [0, 255, 256, last] {
        let mut changed = wrapped.clone();
        changed[at] ^= 1;
        assert_eq!(key.unwrap(Oaep::Sha256, &changed).err(), Some(KeyError::NotAuthentic), "{at}");
    }
    for part in [&wrapped[..last], &wrapped[..256], &wrapped[..255], &[]] {
        assert_eq!(key.unwrap(Oaep::Sha256, part).err(), Some(KeyError::NotAuthentic));
    }
    assert_eq!(key.unwrap(Oaep::Sha1, &wrapped).err(), Some(KeyError::NotAuthentic));
}

#[test]
fn two_holders_of_keys_of_one_curve_agree() {
    let secret_len = |kind| match kind {
        KeyKind::P256 => Some(32),
        KeyKind::P384 => Some(48),
        KeyKind::P521 => Some(66),
        _ => None,
    };
    let all = keys();
    for (kind, key) in &all {
        let other = PrivateKey::generate(KeyKind::P256);
        let Some(length) = secret_len(*kind) else {
            assert_eq!(key.agree(&other.public_key()).err(), Some(KeyError::NotForThis));
            continue;
        };
        let other = PrivateKey::generate(*kind);
        let shared = key.agree(&other.public_key()).unwrap();
        assert_eq!(shared.len(), length);
        assert_eq!(other.agree(&key.public_key()).unwrap().expose(), shared.expose());
        for (wrong, peer) in &all {
            assert_eq!(key.agree(&peer.public_key()).is_ok(), wrong == kind, "{kind:?} with {wrong:?}");
        }
        // A bare point is not how a public key is given away.
        let point = other.public_key();
        assert_eq!(key.agree(&point[point.len() - 2 * length - 1..]).err(), Some(KeyError::NotAKey));
        assert_eq!(key.agree(&[]).err(), Some(KeyError::NotAKey));
    }
}
