//! Records open where they were sealed, and nowhere else.

use coffer_barrier::{Barrier, Damaged, Header, Location, OVERHEAD_LEN, Purpose, padded_len};
use coffer_types::AccountId;
use proptest::prelude::*;

use crate::system;

fn account(number: u64) -> AccountId {
    AccountId::from_number(number).unwrap()
}

fn place() -> Location<'static> {
    Location { account: account(1), partition: b"1/eu-west-1", table: 2, key: b"key", schema: 3 }
}

#[test]
fn a_record_moved_anywhere_else_is_damaged() {
    let barrier = Barrier::ephemeral(system());
    let sealed = barrier.seal(&place(), 5, b"hunter2");
    let opened = barrier.open(&place(), &sealed).unwrap();
    assert_eq!((opened.revision, &opened.plaintext.expose()[..]), (5, &b"hunter2"[..]));

    for (what, elsewhere) in [
        ("account", Location { account: account(2), ..place() }),
        ("partition", Location { partition: b"1/eu-west-2", ..place() }),
        ("table", Location { table: 1, ..place() }),
        ("key", Location { key: b"kez", ..place() }),
        (
            "a byte from the key to the partition",
            Location { partition: b"1/eu-west-1k", key: b"ey", ..place() },
        ),
        ("schema", Location { schema: 4, ..place() }),
    ] {
        let outcome = barrier.open(&elsewhere, &sealed).unwrap_err();
        assert!(matches!(outcome, Damaged::NotAuthentic | Damaged::Commitment), "another {what}: {outcome}");
    }
}

#[test]
fn a_record_of_another_store_is_damaged() {
    let sealed = Barrier::ephemeral(system()).seal(&place(), 5, b"hunter2");
    assert_eq!(Barrier::ephemeral(system()).open(&place(), &sealed).unwrap_err(), Damaged::Commitment);
}

#[test]
fn two_records_that_changed_places_are_damaged() {
    let barrier = Barrier::ephemeral(system());
    let (one, other) = (place(), Location { key: b"other", ..place() });
    let (sealed_one, sealed_other) = (barrier.seal(&one, 1, b"one"), barrier.seal(&other, 1, b"other"));
    assert!(barrier.open(&one, &sealed_other).is_err());
    assert!(barrier.open(&other, &sealed_one).is_err());
}

#[test]
fn a_revision_cannot_be_relabelled() {
    let barrier = Barrier::ephemeral(system());
    let mut sealed = barrier.seal(&place(), 5, b"old password");
    assert_eq!(Header::of(&sealed).unwrap().revision, 5);
    sealed[6..14].copy_from_slice(&6_u64.to_be_bytes());
    assert_eq!(Header::of(&sealed).unwrap().revision, 6);
    assert_eq!(barrier.open(&place(), &sealed).unwrap_err(), Damaged::NotAuthentic);
}

#[test]
fn an_epoch_that_is_not_in_the_keyring_is_named() {
    let barrier = Barrier::ephemeral(system());
    let mut sealed = barrier.seal(&place(), 5, b"hunter2");
    sealed[2..6].copy_from_slice(&77_u32.to_be_bytes());
    assert_eq!(barrier.open(&place(), &sealed).unwrap_err(), Damaged::UnknownEpoch(77));
}

#[test]
fn every_single_bit_counts() {
    let barrier = Barrier::ephemeral(system());
    let sealed = barrier.seal(&place(), 5, b"hunter2");
    for bit in 0..sealed.len() * 8 {
        let mut damaged = sealed.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(barrier.open(&place(), &damaged).is_err(), "bit {bit}");
    }
    for len in 0..sealed.len() {
        assert!(barrier.open(&place(), &sealed[..len]).is_err(), "{len} bytes");
    }
    let longer = [&sealed[..], &[0]].concat();
    assert!(barrier.open(&place(), &longer).is_err());
}

#[test]
fn the_same_record_is_never_sealed_to_the_same_bytes() {
    let barrier = Barrier::ephemeral(system());
    let (one, other) = (barrier.seal(&place(), 5, b"hunter2"), barrier.seal(&place(), 5, b"hunter2"));
    let (one, other) = (&one[14..], &other[14..]);
    assert_ne!(one[..24], other[..24], "salt");
    assert_ne!(one[24..56], other[24..56], "commitment");
    assert_ne!(one[68..], other[68..], "ciphertext");
}

#[test]
fn names_are_hashed_by_account_scope_table_and_part() {
    let barrier = Barrier::ephemeral(system());
    let base = barrier.hash_name(account(1), "eu-west-1", 2, &[b"db", b"password"]);
    assert_eq!(base, barrier.hash_name(account(1), "eu-west-1", 2, &[b"db", b"password"]));
    for (what, other) in [
        ("account", barrier.hash_name(account(2), "eu-west-1", 2, &[b"db", b"password"])),
        ("scope", barrier.hash_name(account(1), "eu-west-2", 2, &[b"db", b"password"])),
        ("table", barrier.hash_name(account(1), "eu-west-1", 3, &[b"db", b"password"])),
        ("border", barrier.hash_name(account(1), "eu-west-1", 2, &[b"dbp", b"assword"])),
        ("number of parts", barrier.hash_name(account(1), "eu-west-1", 2, &[b"db", b"password", b""])),
        ("store", Barrier::ephemeral(system()).hash_name(account(1), "eu-west-1", 2, &[b"db", b"password"])),
    ] {
        assert_ne!(base, other, "another {what}");
    }
}

#[test]
fn purposes_and_contexts_have_keys_of_their_own() {
    let barrier = Barrier::ephemeral(system());
    let mut seen = Vec::new();
    for purpose in [Purpose::Audit, Purpose::SetHash, Purpose::Token, Purpose::Backup] {
        for context in [&b""[..], b"one", b"two"] {
            let key = *barrier.derive(purpose, context).expose();
            assert!(!seen.contains(&key), "{purpose:?} {context:?}");
            seen.push(key);
        }
    }
}

#[test]
fn many_threads_share_one_barrier() {
    let barrier = Barrier::ephemeral(system());
    std::thread::scope(|threads| {
        for thread in 0..4_u64 {
            let barrier = &barrier;
            threads.spawn(move || {
                for round in 0..300_u16 {
                    let at = Location { account: account(thread % 2), table: round % 40, ..place() };
                    let sealed = barrier.seal(&at, u64::from(round), &round.to_be_bytes());
                    let opened = barrier.open(&at, &sealed).unwrap();
                    assert_eq!(opened.plaintext.expose()[..], round.to_be_bytes());
                }
            });
        }
    });
}

proptest! {
    #[test]
    fn what_was_sealed_comes_back(
        plaintext in prop::collection::vec(any::<u8>(), 0..5000),
        revision: u64, table: u16, schema: u16, partition: Vec<u8>, key: Vec<u8>,
    ) {
        let barrier = Barrier::ephemeral(system());
        let at = Location { account: account(1), partition: &partition, table, key: &key, schema };
        let sealed = barrier.seal(&at, revision, &plaintext);
        prop_assert_eq!(sealed.len(), OVERHEAD_LEN + padded_len(plaintext.len()));
        let opened = barrier.open(&at, &sealed).unwrap();
        prop_assert_eq!(opened.revision, revision);
        prop_assert_eq!(opened.plaintext.expose(), &plaintext);
    }

    #[test]
    fn two_places_open_each_other_only_if_they_are_the_same(
        partition in "[ab]{0,3}", key in "[ab]{0,3}", other_partition in "[ab]{0,3}", other_key in "[ab]{0,3}",
    ) {
        let barrier = Barrier::ephemeral(system());
        let here = Location { partition: partition.as_bytes(), key: key.as_bytes(), ..place() };
        let there = Location { partition: other_partition.as_bytes(), key: other_key.as_bytes(), ..place() };
        let sealed = barrier.seal(&here, 1, b"hunter2");
        let same = (&partition, &key) == (&other_partition, &other_key);
        prop_assert_eq!(barrier.open(&there, &sealed).is_ok(), same);
    }

    #[test]
    fn bytes_that_nobody_sealed_do_not_open(bytes: Vec<u8>) {
        let barrier = Barrier::ephemeral(system());
        let dressed = [&[1, 1, 0, 0, 0, 1][..], &bytes].concat();
        prop_assert!(barrier.open(&place(), &bytes).is_err());
        prop_assert!(barrier.open(&place(), &dressed).is_err());
    }
}
