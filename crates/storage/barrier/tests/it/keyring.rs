//! The keyring file: who opens it, what a thief or a vandal can do with it, and what it says.

use std::path::Path;

use coffer_barrier::{
    Barrier, Damaged, Header, Keyring, KeyringError, KeyringFile, KmsSlot, Location, NewSlot, Part, Previous,
    ShareError, SlotId, SlotKey, SlotKind, keyfile,
};
use coffer_crypto::{PassphraseCost, SystemEntropy, sha256};
use coffer_types::{AccountId, Secret};

use crate::system;

const MAC_LEN: usize = 32;

fn key(byte: u8) -> Secret<[u8; 32]> {
    Secret::new([byte; 32])
}

fn keyring() -> Keyring {
    Keyring::create(NewSlot::Keyfile(&key(1)), system())
}

fn parse(bytes: &[u8]) -> Result<KeyringFile, KeyringError> {
    KeyringFile::parse(Path::new("/var/lib/coffer/keyring"), bytes)
}

fn open(bytes: &[u8], key: &SlotKey) -> Result<Keyring, KeyringError> {
    parse(bytes)?.unseal(key, system())
}

fn place() -> Location<'static> {
    Location { account: AccountId::DEV, partition: b"p", table: 1, key: b"k", schema: 1 }
}

/// Two barriers are of one store if one opens what the other sealed and both hash names alike.
fn assert_same_store(one: &Barrier, other: &Barrier) {
    let sealed = one.seal(&place(), 1, b"hunter2");
    assert_eq!(other.open(&place(), &sealed).unwrap().plaintext.expose(), b"hunter2");
    let hash = |barrier: &Barrier| barrier.hash_name(AccountId::DEV, "global", 1, &[b"name"]);
    assert_eq!(hash(one), hash(other));
}

#[test]
fn a_slot_at_a_kms_is_opened_by_its_own_key_alone_and_its_open_part_cannot_be_changed() {
    let mut keyring = keyring();
    let at = |ciphertext: &[u8]| {
        KmsSlot::new("https://kms.example", "eu-west-1", "arn:aws:kms:eu-west-1:1:key/2", ciphertext)
    };
    let (first, second) = (SlotId::random(&SystemEntropy), SlotId::random(&SystemEntropy));
    for (id, byte) in [(first, 5), (second, 6)] {
        let at = at(&[byte; 180]).unwrap();
        assert_eq!(keyring.add_slot(NewSlot::Kms { id, at: &at, key: &key(byte) }).unwrap(), id);
    }
    let bytes = keyring.to_bytes();
    let file = parse(&bytes).unwrap();
    assert_eq!(file.kms_slots(), [(first, at(&[5; 180]).unwrap()), (second, at(&[6; 180]).unwrap())]);
    for (slot, byte, opens) in [(first, 5, true), (second, 6, true), (first, 6, false), (second, 5, false)] {
        let tried = file.slot_of(&SlotKey::Kms { slot, key: key(byte) });
        assert_eq!(tried.is_ok(), opens, "{tried:?}");
    }
    assert_same_store(
        &keyring.barrier(),
        &open(&bytes, &SlotKey::Kms { slot: second, key: key(6) }).unwrap().barrier(),
    );

    // Whoever may write the file sends nobody to another place: the checksum anybody can make, the seal of the slot not.
    let found = bytes.windows(11).position(|text| text == b"kms.example").unwrap();
    let mut elsewhere = bytes.clone();
    elsewhere[found] ^= 1;
    let refused = open(&with_checksum(elsewhere), &SlotKey::Kms { slot: first, key: key(5) });
    let Err(KeyringError::Damaged { part, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(part, Part::Slot(first));

    keyring
        .rekey_root(&[
            &SlotKey::Keyfile(key(1)),
            &SlotKey::Kms { slot: first, key: key(5) },
            &SlotKey::Kms { slot: second, key: key(6) },
        ])
        .unwrap();
    parse(&keyring.to_bytes()).unwrap().slot_of(&SlotKey::Kms { slot: first, key: key(5) }).unwrap();
    assert_eq!(at(&[0; 4096]), None, "more than a slot holds");
}

#[test]
fn any_slot_opens_the_same_store() {
    let passphrase = || Secret::new(String::from("correct horse battery staple"));
    let mut keyring = keyring();
    keyring.add_slot(NewSlot::Systemd(&key(2))).unwrap();
    let new = NewSlot::Passphrase { passphrase: &passphrase(), cost: PassphraseCost::FLOOR };
    keyring.add_slot(new).unwrap();
    let (_, shares) = keyring.add_recovery(3, 5).unwrap();
    let bytes = keyring.to_bytes();

    let file = parse(&bytes).unwrap();
    let kinds: Vec<_> = file.slots().iter().map(|slot| (slot.kind, slot.shares)).collect();
    assert_eq!(
        kinds,
        [
            (SlotKind::Keyfile, None),
            (SlotKind::Systemd, None),
            (SlotKind::Passphrase, None),
            (SlotKind::Recovery, Some((3, 5))),
        ]
    );
    let mut collector = file.share_collector();
    for share in shares.into_iter().rev().take(3) {
        collector.add(share).unwrap();
    }
    let keys = [
        SlotKey::Keyfile(key(1)),
        SlotKey::Systemd(key(2)),
        SlotKey::Passphrase(passphrase()),
        collector.finish().unwrap(),
    ];
    for (key, slot) in keys.into_iter().zip(file.slots()) {
        assert_eq!(file.slot_of(&key).unwrap(), slot.id);
        assert_same_store(&keyring.barrier(), &open(&bytes, &key).unwrap().barrier());
    }
}

#[test]
fn a_wrong_key_is_called_a_wrong_key() {
    let bytes = keyring().to_bytes();
    let error = open(&bytes, &SlotKey::Keyfile(key(9))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the keyfile does not open this store\n  \
         the keyring at /var/lib/coffer/keyring is whole, but its keyfile slot was made with another key\n  \
         try: the keyfile that was made with this store"
    );

    // The right bytes for the wrong kind of slot are not tried there.
    let error = open(&bytes, &SlotKey::Systemd(key(1))).unwrap_err();
    assert!(matches!(error, KeyringError::NoSuchSlot { kind: SlotKind::Systemd, .. }), "{error}");
    assert!(error.to_string().contains("has no systemd slot; it has keyfile "), "{error}");
}

#[test]
fn a_wrong_passphrase_does_not_open() {
    let passphrase = |text: &str| Secret::new(String::from(text));
    let new = NewSlot::Passphrase { passphrase: &passphrase("one"), cost: PassphraseCost::FLOOR };
    let bytes = Keyring::create(new, system()).to_bytes();
    assert!(open(&bytes, &SlotKey::Passphrase(passphrase("one"))).is_ok());
    let error = open(&bytes, &SlotKey::Passphrase(passphrase("two"))).unwrap_err();
    assert!(matches!(error, KeyringError::WrongKey { kind: SlotKind::Passphrase, .. }), "{error}");
}

#[test]
fn shares_travel_on_paper_and_a_forged_one_opens_nothing() {
    let mut keyring = keyring();
    let (_, shares) = keyring.add_recovery(2, 3).unwrap();
    let bytes = keyring.to_bytes();
    let paper: Vec<_> = shares.iter().map(|share| share.to_text().take()).collect();
    let parse_share = |at: usize| coffer_barrier::RecoveryShare::parse(&paper[at]).unwrap();

    let mut collector = parse(&bytes).unwrap().share_collector();
    assert!(!collector.add(parse_share(2)).unwrap().is_complete());
    assert!(collector.add(parse_share(0)).unwrap().is_complete());
    let opened = open(&bytes, &collector.finish().unwrap()).unwrap();
    assert_same_store(&keyring.barrier(), &opened.barrier());

    // A share of the same set whose values somebody made up: every checksum is right, and yet nothing opens.
    let forged = {
        let mut raw =
            coffer_types::encoding::BASE32_NOPAD.decode(paper[0].replace('-', "").as_bytes()).unwrap();
        raw.truncate(43);
        raw[20] ^= 1;
        let checksum = coffer_crypto::crc32(&raw);
        raw.extend(checksum.to_be_bytes());
        coffer_types::encoding::BASE32_NOPAD.encode(&raw)
    };
    let mut collector = parse(&bytes).unwrap().share_collector();
    collector.add(coffer_barrier::RecoveryShare::parse(&forged).unwrap()).unwrap();
    collector.add(parse_share(1)).unwrap();
    let error = open(&bytes, &collector.finish().unwrap()).unwrap_err();
    assert!(matches!(error, KeyringError::WrongKey { kind: SlotKind::Recovery, .. }), "{error}");
}

#[test]
fn shares_of_another_store_are_turned_away_at_once() {
    let (mut here, mut there) = (keyring(), keyring());
    here.add_recovery(2, 3).unwrap();
    let (_, shares) = there.add_recovery(2, 3).unwrap();
    let mut collector = parse(&here.to_bytes()).unwrap().share_collector();
    for share in shares {
        assert!(matches!(collector.add(share), Err(ShareError::OtherSet { .. })));
    }
    assert!(here.add_recovery(1, 3).is_err());
    assert!(here.add_recovery(4, 3).is_err());
}

#[test]
fn a_removed_slot_no_longer_opens_and_the_last_one_stays() {
    let mut keyring = keyring();
    let first = keyring.slots()[0].id;
    assert!(matches!(keyring.remove_slot(first), Err(KeyringError::LastSlot { .. })));
    let second = keyring.add_slot(NewSlot::Keyfile(&key(2))).unwrap();
    let before = keyring.to_bytes();
    keyring.remove_slot(first).unwrap();
    assert!(matches!(keyring.remove_slot(first), Err(KeyringError::UnknownSlot { .. })));

    let after = keyring.to_bytes();
    for (bytes, first_opens) in [(&before, true), (&after, false)] {
        assert_eq!(open(bytes, &SlotKey::Keyfile(key(1))).is_ok(), first_opens);
        assert!(open(bytes, &SlotKey::Keyfile(key(2))).is_ok());
    }
    assert!(matches!(keyring.remove_slot(second), Err(KeyringError::LastSlot { .. })));
}

#[test]
fn every_bit_of_the_file_counts() {
    let bytes = keyring().to_bytes();
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let error = open(&damaged, &SlotKey::Keyfile(key(1))).unwrap_err();
        assert!(matches!(error, KeyringError::Damaged { .. }), "bit {bit}: {error}");
        assert!(open(&damaged, &SlotKey::Keyfile(key(9))).is_err(), "bit {bit}");
    }
    for len in 0..bytes.len() {
        assert!(open(&bytes[..len], &SlotKey::Keyfile(key(1))).is_err(), "{len} bytes");
    }
}

/// As somebody would change it who knows the format but no key: with the checksum made right again.
fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    let content = bytes.len() - MAC_LEN - 32;
    let checksum = sha256(&bytes[..content]);
    bytes[content..content + 32].copy_from_slice(&checksum);
    bytes
}

#[test]
fn a_careful_vandal_gets_no_further() {
    let mut keyring = keyring();
    keyring.add_slot(NewSlot::Systemd(&key(2))).unwrap();
    let bytes = keyring.to_bytes();
    for bit in 0..(bytes.len() - MAC_LEN - 32) * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let damaged = with_checksum(damaged);
        // Through the slot that was changed or through the other one: neither opens.
        assert!(open(&damaged, &SlotKey::Keyfile(key(1))).is_err(), "bit {bit}");
        assert!(open(&damaged, &SlotKey::Systemd(key(2))).is_err(), "bit {bit}");
    }
}

#[test]
fn parts_of_two_versions_do_not_mix() {
    let mut keyring = keyring();
    let old = keyring.to_bytes();
    keyring.begin_incarnation();
    let new = keyring.to_bytes();
    assert_eq!(old.len(), new.len());
    // The incarnation of the new file in the old one.
    let mixed = with_checksum([&old[..22], &new[22..30], &old[30..]].concat());
    assert_eq!(parse(&mixed).unwrap().incarnation(), 2);
    let error = open(&mixed, &SlotKey::Keyfile(key(1))).unwrap_err();
    assert!(matches!(error, KeyringError::Damaged { part: Part::Mac, .. }), "{error}");
}

#[test]
fn a_relabelled_slot_is_shown_as_unknown_and_noticed() {
    let mut keyring = keyring();
    keyring.add_slot(NewSlot::Systemd(&key(2))).unwrap();
    let mut bytes = keyring.to_bytes();
    let second = 32 + (2 + 16 + 4 + 4 + 84 + 32);
    assert_eq!(bytes[second..second + 2], [0, 2], "the second slot is where we think");
    bytes[second..second + 2].copy_from_slice(&7_u16.to_be_bytes());
    let file = parse(&with_checksum(bytes)).unwrap();
    assert_eq!(file.slots()[1].kind, SlotKind::Unknown(7));
    let error = file.unseal(&SlotKey::Keyfile(key(1)), system()).unwrap_err();
    assert!(matches!(error, KeyringError::Damaged { part: Part::Mac, .. }), "{error}");
}

#[test]
fn epochs_come_and_go_and_records_stay_readable_in_between() {
    let mut keyring = keyring();
    let old = keyring.barrier();
    let sealed = old.seal(&place(), 1, b"hunter2");
    assert_eq!(keyring.rotate_epoch().unwrap(), 2);

    let opened = open(&keyring.to_bytes(), &SlotKey::Keyfile(key(1))).unwrap();
    let barrier = opened.barrier();
    assert_eq!(barrier.active_epoch(), 2);
    assert_eq!(barrier.open(&place(), &sealed).unwrap().plaintext.expose(), b"hunter2");
    let hash = |barrier: &Barrier| barrier.hash_name(AccountId::DEV, "global", 1, &[b"name"]);
    assert_eq!(hash(&old), hash(&barrier), "names keep their place");
    assert!(
        old.open(&place(), &barrier.seal(&place(), 2, b"new")).is_err(),
        "the old barrier lacks the new key"
    );

    assert!(!keyring.retire_epoch(2), "the active epoch stays");
    assert!(keyring.retire_epoch(1));
    let barrier = open(&keyring.to_bytes(), &SlotKey::Keyfile(key(1))).unwrap().barrier();
    assert!(barrier.open(&place(), &sealed).is_err());

    while keyring.rotate_epoch().is_ok() {}
    assert!(matches!(keyring.rotate_epoch(), Err(KeyringError::TooManyEpochs { max: 64 })));
    assert!(open(&keyring.to_bytes(), &SlotKey::Keyfile(key(1))).is_ok(), "a full keyring is readable");
}

#[test]
fn an_open_barrier_goes_on_with_other_epochs() {
    let mut keyring = keyring();
    let barrier = keyring.barrier();
    let sealed = barrier.seal(&place(), 1, b"hunter2");
    let token = *barrier.derive(coffer_barrier::Purpose::Token, b"").expose();
    keyring.rotate_epoch().unwrap();
    keyring.hand_to(&barrier);
    assert_eq!((barrier.active_epoch(), barrier.older_epochs()), (2, vec![1]));
    let again = barrier.seal(&place(), 1, barrier.open(&place(), &sealed).unwrap().plaintext.expose());
    assert_eq!(Header::of(&again).unwrap().epoch, 2);

    // The root key alone is enough to end an epoch, and what does not belong to epochs stays.
    let file = KeyringFile::parse(Path::new("keyring"), &keyring.to_bytes()).unwrap();
    let mut keyring = file.unseal_with_root(&keyring.root_key(), system()).unwrap();
    assert!(keyring.retire_epoch(1));
    keyring.hand_to(&barrier);
    assert_eq!(barrier.open(&place(), &sealed).unwrap_err(), Damaged::UnknownEpoch(1));
    assert_eq!(barrier.open(&place(), &again).unwrap().plaintext.expose(), b"hunter2");
    assert_eq!(barrier.derive(coffer_barrier::Purpose::Token, b"").expose(), &token);
}

#[test]
fn another_root_key_is_wrapped_in_every_slot_or_not_made() {
    let mut keyring = keyring();
    keyring.add_slot(NewSlot::Systemd(&key(2))).unwrap();
    let passphrase = || SlotKey::Passphrase(Secret::new(String::from("correct horse")));
    let SlotKey::Passphrase(text) = passphrase() else { unreachable!() };
    keyring.add_slot(NewSlot::Passphrase { passphrase: &text, cost: PassphraseCost::FLOOR }).unwrap();
    let before = (keyring.to_bytes(), keyring.root_key());

    let all = || [SlotKey::Keyfile(key(1)), SlotKey::Systemd(key(2)), passphrase()];
    let keys = all();
    for missing in 0..3 {
        let some: Vec<_> =
            keys.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, key)| key).collect();
        let error = keyring.rekey_root(&some).unwrap_err();
        let KeyringError::SlotsWithoutKey { closed } = error else { panic!("{error}") };
        assert_eq!(closed, [keyring.slots()[missing]]);
    }
    assert!(open(&keyring.to_bytes(), &SlotKey::Keyfile(key(1))).is_ok(), "nothing has changed");

    let slots = keyring.slots();
    keyring.rekey_root(&keys.iter().collect::<Vec<_>>()).unwrap();
    assert_eq!(keyring.slots(), slots, "the slots are called what they were called");
    for key in all() {
        assert_same_store(&open(&keyring.to_bytes(), &key).unwrap().barrier(), &keyring.barrier());
    }
    let file = |bytes: &[u8]| KeyringFile::parse(Path::new("keyring"), bytes).unwrap();
    assert!(
        file(&keyring.to_bytes()).unseal_with_root(&before.1, system()).is_err(),
        "the old root key is void"
    );
    assert!(file(&before.0).unseal_with_root(&keyring.root_key(), system()).is_err());
}

#[test]
fn a_full_keyring_takes_no_more_slots_and_is_readable() {
    let mut keyring = keyring();
    while keyring.add_slot(NewSlot::Systemd(&key(2))).is_ok() {}
    assert_eq!(keyring.slots().len(), 64);
    assert!(open(&keyring.to_bytes(), &SlotKey::Keyfile(key(1))).is_ok());
}

#[test]
fn the_keys_are_sealed_anew_at_each_write() {
    let keyring = keyring();
    let (one, other) = (keyring.to_bytes(), keyring.to_bytes());
    let slots_end = 32 + (2 + 16 + 4 + 4 + 84 + 32);
    assert_eq!(one[..slots_end], other[..slots_end]);
    assert_ne!(one[slots_end..], other[slots_end..]);
}

#[test]
fn files_on_disk() {
    let place = tempfile::tempdir().unwrap();
    let (path, key_path) = (place.path().join("keyring"), place.path().join("keyfile"));
    let error = KeyringFile::read(&path).unwrap_err();
    assert!(matches!(error, KeyringError::Missing { .. }), "{error}");

    let key = keyfile::create(&key_path, &SystemEntropy).unwrap();
    let mut keyring = Keyring::create(NewSlot::Keyfile(&key), system());
    keyring.save(&path, Previous::Keep).unwrap();
    let read = || KeyringFile::read(&path).unwrap();
    let opened = read().unseal(&SlotKey::Keyfile(keyfile::read(&key_path).unwrap()), system()).unwrap();
    assert_same_store(&keyring.barrier(), &opened.barrier());
    assert!(opened.protection().guarded);

    keyring.begin_incarnation();
    keyring.save(&path, Previous::Keep).unwrap();
    let previous = KeyringFile::read(&place.path().join("keyring.previous")).unwrap();
    assert_eq!((previous.incarnation(), read().incarnation()), (1, 2));
    keyring.save(&path, Previous::Forget).unwrap();
    assert!(KeyringFile::read(&place.path().join("keyring.previous")).is_err());

    let error = keyring.save(&place.path().join("missing/keyring"), Previous::Keep).unwrap_err();
    assert!(error.to_string().contains("the file that was there before is unchanged"), "{error}");
}

#[test]
fn nothing_secret_prints() {
    let keyring = keyring();
    let key = SlotKey::Keyfile(key(0xc5));
    let shown =
        format!("{keyring:?} {:?} {key:?} {:?}", parse(&keyring.to_bytes()).unwrap(), keyring.barrier());
    assert!(!shown.contains("197") && !shown.to_lowercase().contains("c5c5"), "{shown}");
}
