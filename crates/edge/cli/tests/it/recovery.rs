//! The day the keyfile is lost, and the days on which something else lies in its place.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

use crate::{
    kill::every_event,
    place::{Place, Running, mode},
};

const KEYFILE: &str = "keys/keyfile";

/// A store with shares, any two of three, whose server has stopped.
fn with_shares() -> Place {
    let place = Place::new();
    let server = place.server();
    let out = place.path("shares");
    place.run(&["key", "shares", "create", "--shares", "2/3", "--out", out.to_str().unwrap()]).done();
    server.stop();
    place
}

fn share(place: &Place, number: u8) -> String {
    place.path(&format!("shares/share-{number}")).to_str().unwrap().to_owned()
}

#[track_caller]
fn is_sealed(server: &Running) {
    assert!(server.first_line.contains("is sealed on"), "{}", server.first_line);
    let (status, answer) = server.get("/health/ready");
    assert_eq!((status, answer.contains("sealed")), (503, true), "{answer}");
    assert_eq!(server.get("/health/live").0, 200);
}

#[test]
fn a_store_whose_keyfile_is_lost_is_opened_by_people_and_given_another() {
    let place = with_shares();
    let (one, two, three) = (share(&place, 1), share(&place, 2), share(&place, 3));
    fs::rename(place.path(KEYFILE), place.path("found-later")).unwrap();

    let server = place.server();
    is_sealed(&server);
    assert_eq!(place.run(&["unseal", "--share", &one]).code, 3);
    let opened = place.run(&["unseal", "--share", &three]);
    assert!(opened.stderr.contains("coffer key keyfile create"), "{opened:?}");
    opened.done();
    assert_eq!(server.get("/health/ready").0, 200);

    let without = place.run(&["key", "keyfile", "create"]);
    assert!(without.code == 1 && without.stderr.contains("--share"), "{without:?}");
    let half = place.run(&["key", "keyfile", "create", "--share", &one]);
    assert!(half.code == 3 && half.stdout.contains("1 of 2"), "{half:?}");
    // A share that was given for one thing does not count for another.
    let other = place.run(&["key", "shares", "create", "--share", &two]);
    assert!(other.code == 3 && other.stdout.contains("1 of 2"), "{other:?}");
    let made = place.run(&["key", "keyfile", "create", "--share", &one, "--share", &two]).done();
    assert!(made.contains("of an earlier keyfile"), "{made}");
    assert_eq!(mode(&place.path(KEYFILE)), 0o600);
    let again = place.run(&["key", "keyfile", "create"]);
    assert!(again.code == 1 && again.stderr.contains("is there already"), "{again:?}");
    let printed = server.stop();
    for part in ["is missing", "WARN", "coffer unseal --share <file>", KEYFILE] {
        assert!(printed.contains(part), "{part}: {printed}");
    }

    let server = place.server();
    assert_eq!(server.get("/health/ready").0, 200);
    server.stop();
    let events = every_event(&place.path("data"), &place.path(KEYFILE));
    let named = |name: &str| events.iter().filter(|event| event["eventName"] == name).count();
    assert_eq!(
        (named("Unseal"), named("CreateKeyfile")),
        (1, 3),
        "one that was done, one that began and failed"
    );

    fs::rename(place.path("found-later"), place.path(KEYFILE)).unwrap();
    assert!(place.refused(&[]).contains("does not open this store"));
}

#[test]
fn a_keyfile_is_made_while_no_server_runs() {
    let place = with_shares();
    fs::remove_file(place.path(KEYFILE)).unwrap();
    let create = ["key", "keyfile", "create"];
    assert!(place.run(&create).stderr.contains("--share"));
    let one_of_two = place.run(&[&create[..], &["--share", &share(&place, 1)]].concat());
    assert!(one_of_two.code == 1 && one_of_two.stderr.contains("1 of 2"), "{one_of_two:?}");
    let shares = ["--share", &share(&place, 1), "--share", &share(&place, 3)];
    place.run(&[&create[..], &shares].concat()).done();
    let server = place.server();
    assert_eq!(server.get("/health/ready").0, 200);
    server.stop();
    let events = every_event(&place.path("data"), &place.path(KEYFILE));
    assert_eq!(events.iter().filter(|event| event["eventName"] == "CreateKeyfile").count(), 1);
}

#[test]
fn a_store_with_a_passphrase_can_have_a_keyfile_and_lose_it() {
    let place = Place::new();
    place.write("passphrase", b"five words are much better\n");
    let passphrase = place.path("passphrase");
    let given = ["--passphrase-file", passphrase.to_str().unwrap()];
    let with = |command: &[&str]| place.run(&[command, &given].concat()).done();
    with(&["init"]);
    let server = place.server();
    with(&["unseal"]);
    with(&["key", "keyfile", "create"]);
    server.stop();
    let server = place.server();
    assert_eq!(server.get("/health/ready").0, 200);
    server.stop();

    fs::remove_file(place.path(KEYFILE)).unwrap();
    let server = place.server();
    is_sealed(&server);
    with(&["unseal"]);
    assert_eq!(server.get("/health/ready").0, 200);
    let printed = server.stop();
    assert!(printed.contains("coffer unseal --passphrase"), "{printed}");
}

#[test]
fn what_lies_in_the_place_of_the_keyfile_and_is_none_ends_the_start_and_the_way_on_works() {
    let place = with_shares();
    let write = |bytes: &[u8]| {
        place.write(KEYFILE, bytes);
        fs::set_permissions(place.path(KEYFILE), fs::Permissions::from_mode(0o600)).unwrap();
    };
    let another = "42".repeat(32);
    for (bytes, says) in
        [(another.as_bytes(), "does not open this store"), (b"", "is no key"), (&[7; 4096], "is no key")]
    {
        write(bytes);
        let refusal = place.refused(&[]);
        let path = place.path(KEYFILE);
        let path = path.to_str().unwrap();
        assert!(refusal.contains(&format!("the keyfile {path} {says}")), "{refusal}");
        assert!(refusal.contains("starts sealed") && refusal.contains("coffer unseal --share"), "{refusal}");
        let (_, way_on) = refusal.split_once("\n  try: ").unwrap();
        assert_eq!(way_on.trim(), format!("mv {path} {path}.other"));
        fs::rename(path, format!("{path}.other")).unwrap();
        is_sealed(&place.server());
    }
    // What cannot be read is like what is not there: a disk that is not mounted, a link to nowhere.
    symlink(place.path("nowhere"), place.path(KEYFILE)).unwrap();
    is_sealed(&place.server());
}

#[test]
fn without_another_slot_a_start_without_its_keyfile_ends_and_says_so() {
    let place = Place::new();
    place.server().stop();
    for bytes in [None, Some("42".repeat(32)), Some(String::new())] {
        fs::remove_file(place.path(KEYFILE)).unwrap();
        if let Some(bytes) = bytes {
            place.write(KEYFILE, bytes.as_bytes());
            fs::set_permissions(place.path(KEYFILE), fs::Permissions::from_mode(0o600)).unwrap();
        }
        let refusal = place.refused(&[]);
        assert!(refusal.contains("no other seal slot") && refusal.contains(KEYFILE), "{refusal}");
        place.write(KEYFILE, b"to be removed");
    }
}
