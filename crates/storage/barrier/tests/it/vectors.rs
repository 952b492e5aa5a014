//! The bytes this program has always written. If one of these tests fails, old stores can no longer be read.
//!
//! Chance is replaced by a counter, so the outputs are exact. The files hold hexadecimal digits; a program in another
//! language can be checked against them too.

use std::{path::Path, sync::Arc};

use coffer_barrier::{Barrier, Keyring, KeyringFile, Location, NewSlot, Purpose, SlotKey};
use coffer_crypto::{hmac_sha256, open};
use coffer_types::{AccountId, Secret, encoding::HEXLOWER};

use crate::{Counting, system};

const RECORD: &str = include_str!("../data/record-v1.hex");
const KEYRING: &str = include_str!("../data/keyring-v2.hex");
const KEYRING_BEFORE: &str = include_str!("../data/keyring-v1.hex");
const NAMES: &str = include_str!("../data/names-v1.hex");

fn decode(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    HEXLOWER.decode(digits.as_bytes()).unwrap()
}

fn place() -> Location<'static> {
    Location {
        account: "111122223333".parse().unwrap(),
        partition: b"111122223333/eu-west-1",
        table: 0x0102,
        key: b"physical key",
        schema: 1,
    }
}

fn barrier() -> Barrier {
    Barrier::ephemeral(Arc::new(Counting::default()))
}

#[test]
fn the_envelope() {
    let sealed = barrier().seal(&place(), 7, b"hunter2");
    assert_eq!(HEXLOWER.encode(&sealed), HEXLOWER.encode(&decode(RECORD)));
    let opened = barrier().open(&place(), &decode(RECORD)).unwrap();
    assert_eq!((opened.revision, &opened.plaintext.expose()[..]), (7, &b"hunter2"[..]));
}

/// The envelope again, written out from the description by hand: KBKDF as plain HMACs, associated data byte by byte.
#[test]
fn the_envelope_is_what_its_description_says() {
    let sealed = decode(RECORD);
    // The counter gave: store id 00..0f, index key 10..2f, epoch key 30..4f, lasting key 50..6f, salt 70..87, nonce 88..93.
    let range = |from: u8, to: u8| (from..=to).collect::<Vec<_>>();
    assert_eq!(sealed[..14], [1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7]);
    assert_eq!(sealed[14..38], range(0x70, 0x87));
    assert_eq!(sealed[70..82], range(0x88, 0x93));
    assert_eq!(sealed.len(), 98 + 64);

    let one = 1_u32.to_be_bytes();
    let table_key = hmac_sha256(
        &range(0x30, 0x4f),
        &[&one, b"coffer/v1/table\0", b"111122223333", &[1, 2], &256_u32.to_be_bytes()],
    );
    let info = [&b"coffer/v1/rec\0"[..], &sealed[14..38], &512_u32.to_be_bytes()].concat();
    let record_key = hmac_sha256(&table_key, &[&one, &info]);
    let commitment = hmac_sha256(&table_key, &[&2_u32.to_be_bytes(), &info]);
    assert_eq!(sealed[38..70], commitment);

    let mut aad = Vec::new();
    for field in [
        &b"coffer.rec.v1"[..],
        &range(0, 0x0f),
        b"111122223333",
        b"111122223333/eu-west-1",
        &[1, 2],
        b"physical key",
        &[0, 1],
        &[0, 0, 0, 1],
        &[0, 0, 0, 0, 0, 0, 0, 7],
        &[1],
    ] {
        aad.extend(u32::try_from(field.len()).unwrap().to_be_bytes());
        aad.extend(field);
    }
    let mut text = sealed[82..].to_vec();
    open(&record_key, &sealed[70..82].try_into().unwrap(), &aad, &mut text).unwrap();
    let mut padded = b"hunter2\x80".to_vec();
    padded.resize(64, 0);
    assert_eq!(text, padded);
}

#[test]
fn hashes_of_names_and_derived_keys() {
    let barrier = barrier();
    let account: AccountId = "111122223333".parse().unwrap();
    let mut lines = vec![barrier.hash_name(account, "eu-west-1", 3, &[b"db/password"])];
    for purpose in [Purpose::Audit, Purpose::SetHash, Purpose::Token, Purpose::Backup] {
        lines.push(*barrier.derive(purpose, b"context").expose());
    }
    let lines: Vec<_> = lines.iter().map(|line| HEXLOWER.encode(line)).collect();
    assert_eq!(lines, NAMES.split_whitespace().collect::<Vec<_>>());
}

#[test]
fn the_keyring_file() {
    let key = || Secret::new([0xa5; 32]);
    let mut keyring = Keyring::create(NewSlot::Keyfile(&key()), Arc::new(Counting::default()));
    keyring.rotate_epoch().unwrap();
    assert_eq!(HEXLOWER.encode(&keyring.to_bytes()), HEXLOWER.encode(&decode(KEYRING)));

    let file = KeyringFile::parse(Path::new("keyring-v1"), &decode(KEYRING)).unwrap();
    let opened = file.unseal(&SlotKey::Keyfile(key()), system()).unwrap().barrier();
    assert_eq!(opened.active_epoch(), 2);
    assert_eq!(
        opened.derive(Purpose::Token, b"").expose(),
        keyring.barrier().derive(Purpose::Token, b"").expose()
    );
}

/// A file without a lasting key: what was derived from its first epoch still is.
#[test]
fn the_keyring_file_of_layout_1() {
    let file = KeyringFile::parse(Path::new("keyring-v1"), &decode(KEYRING_BEFORE)).unwrap();
    let keyring = file.unseal(&SlotKey::Keyfile(Secret::new([0xa5; 32])), system()).unwrap();
    // The counter gave: store id 00..0f, root key 10..2f, index key 30..4f, key of the first epoch 50..6f.
    let first: Vec<u8> = (0x50..=0x6f).collect();
    let token = hmac_sha256(&first, &[&1_u32.to_be_bytes(), b"coffer/v1/token\0", &256_u32.to_be_bytes()]);
    for rewritten in [false, true] {
        let bytes = if rewritten { keyring.to_bytes() } else { decode(KEYRING_BEFORE) };
        let file = KeyringFile::parse(Path::new("keyring"), &bytes).unwrap();
        let opened = file.unseal(&SlotKey::Keyfile(Secret::new([0xa5; 32])), system()).unwrap().barrier();
        assert_eq!((opened.active_epoch(), opened.older_epochs()), (2, vec![1]));
        assert_eq!(opened.derive(Purpose::Token, b"").expose(), &token);
    }
}
