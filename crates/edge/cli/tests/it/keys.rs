//! Sealing, unsealing, recovery shares, doctor.

use std::fs;

use crate::{
    kill::every_event,
    place::{Place, mode},
};

#[test]
fn a_sealed_server_answers_only_that_it_is_sealed_until_it_is_unsealed() {
    let place = Place::new();
    let server = place.server();
    assert!(place.run(&["seal"]).done().contains("no key is left"));
    let (status, answer) = server.get("/health/ready");
    assert_eq!((status, answer.contains("sealed")), (503, true), "{answer}");
    assert_eq!(server.call("ListSecrets", "{}").0, 503);
    assert_eq!(server.get("/health/live").0, 200);
    place.run(&["unseal"]).done();
    assert_eq!(server.get("/health/ready").0, 200);
    server.stop();
    place.run(&["verify"]).done();
}

#[test]
fn recovery_shares_open_a_store_whose_keyfile_is_lost() {
    let place = Place::new();
    let server = place.server();
    let out = place.path("shares");
    let out = out.to_str().unwrap();
    place.run(&["key", "shares", "create", "--shares", "2/3", "--out", out]).done();
    assert_eq!(mode(&place.path("shares/share-1")), 0o600);
    place.run(&["seal"]).done();
    fs::remove_file(place.path("keys/keyfile")).unwrap();

    let lost = place.run(&["unseal"]);
    assert!(lost.code == 1 && lost.stderr.contains("keyfile"), "{lost:?}");
    let share = |number: u8| format!("{out}/share-{number}");
    let first = place.run(&["unseal", "--share", &share(1)]);
    assert_eq!(first.code, 3, "neither done nor failed: {first:?}");
    assert!(first.stdout.contains("1 of 2 recovery shares given; 1 more is needed"), "{first:?}");
    assert_eq!(server.get("/health/ready").0, 503);
    place.run(&["unseal", "--share", &share(3)]).done();
    assert_eq!(server.get("/health/ready").0, 200);
    server.stop();
    let (one, two) = (share(1), share(2));
    place.run(&["verify", "--share", &one, "--share", &two]).done();
}

#[test]
fn shares_can_be_made_while_no_server_runs() {
    let place = Place::new();
    place.server().stop();
    let shares = place.run(&["key", "shares", "create", "--shares", "2/2"]).done();
    assert_eq!(shares.lines().count(), 2, "{shares}");
    place.server().stop();
    assert_eq!(events(&place, "CreateRecoveryShares").len(), 1);
}

#[test]
fn shares_of_a_store_with_a_passphrase_are_made_with_the_passphrase() {
    let place = Place::new();
    place.write("right", b"five words are much better\n");
    place.write("wrong", b"four words are not enough\n");
    let file = |name: &str| place.path(name).to_str().unwrap().to_owned();
    let (right, wrong, out) = (file("right"), file("wrong"), file("shares"));
    place.run(&["init", "--passphrase-file", &right]).done();
    let create = ["key", "shares", "create", "--shares", "2/3", "--out", &out, "--passphrase-file"];
    let create = |passphrase: &str| place.run(&[&create[..], &[passphrase]].concat());

    // Without a server, with a sealed one, and with an open one.
    assert!(create(&wrong).stderr.contains("does not open"));
    assert!(!place.path("shares").exists(), "what failed leaves nothing behind");
    create(&right).done();
    let server = place.server();
    fs::remove_dir_all(place.path("shares")).unwrap();
    assert!(create(&right).stderr.contains("the store is sealed"));
    place.run(&["unseal", "--passphrase-file", &right]).done();
    assert!(create(&wrong).stderr.contains("does not open"));
    assert!(!place.path("shares").exists());
    create(&right).done();
    assert_eq!(create(&right).code, 1, "the directory is there");
    assert!(place.path("shares/share-3").exists());

    // Who has no key is told how to give one, and not that there is a terminal missing.
    place.run(&["seal"]).done();
    place.run(&["unseal", "--share", &format!("{out}/share-1"), "--share", &format!("{out}/share-2")]).done();
    server.stop();
}

#[test]
fn shares_that_are_made_at_the_same_time_all_open_the_store() {
    let place = Place::new();
    let server = place.server();
    let sets = ["a", "b", "c", "d", "e", "f"];
    std::thread::scope(|scope| {
        for set in sets {
            let out = place.path(set);
            let place = &place;
            scope.spawn(move || {
                let create = ["key", "shares", "create", "--shares", "2/2", "--out", out.to_str().unwrap()];
                place.run(&create).done();
            });
        }
    });
    server.stop();
    for set in sets {
        let share = |number| place.path(&format!("{set}/share-{number}")).to_str().unwrap().to_owned();
        place.run(&["verify", "--share", &share(1), "--share", &share(2)]).done();
    }
    assert_eq!(events(&place, "CreateRecoveryShares").len(), sets.len());
}

#[test]
fn shares_that_cannot_be_written_leave_neither_files_nor_a_slot() {
    let place = Place::new();
    let server = place.server();
    let before = place.run(&["key", "slot", "list"]).done();
    let out = place.path("shares");
    let create = ["key", "shares", "create", "--out", out.to_str().unwrap()];
    let outcome = place.run_limited("trap '' XFSZ; ulimit -f 0", &create);
    assert_eq!(outcome.code, 1, "{outcome:?}");
    assert!(outcome.stderr.contains("no share is left, and nothing was changed"), "{outcome:?}");
    assert!(!out.exists());
    assert_eq!(place.run(&["key", "slot", "list"]).done(), before);
    server.stop();
}

#[test]
fn a_slot_is_listed_and_taken_away_and_the_last_one_stays() {
    let place = Place::new();
    let server = place.server();
    place.run(&["key", "shares", "create", "--shares", "2/3"]).done();
    let listed: Vec<serde_json::Value> =
        serde_json::from_str(&place.run(&["key", "slot", "list", "--json"]).done()).unwrap();
    let kinds: Vec<_> = listed.iter().map(|slot| slot["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["keyfile", "recovery"]);
    assert!(place.run(&["key", "slot", "list"]).done().contains("any 2 of 3 shares"));
    let slot = |at: usize| listed[at]["slot"].as_str().unwrap();
    place.run(&["key", "slot", "remove", slot(1)]).done();
    assert_eq!(place.run(&["key", "slot", "remove", slot(1)]).code, 1);
    let last = place.run(&["key", "slot", "remove", slot(0)]);
    assert!(last.code == 1 && last.stderr.contains("it is the last one"), "{last:?}");
    server.stop();
    let removals = events(&place, "RemoveSealSlot");
    assert_eq!(removals.len(), 5, "three attempts, two of which failed: {removals:?}");
    place.server().stop();
}

/// What is on record under a name.
fn events(place: &Place, name: &str) -> Vec<serde_json::Value> {
    let mut events = every_event(&place.path("data"), &place.path("keys/keyfile"));
    events.retain(|event| event["eventName"] == name);
    events
}

#[test]
fn a_store_with_a_passphrase_starts_sealed_and_waits_for_it() {
    let place = Place::new();
    place.write("right", b"five words are much better\n");
    place.write("wrong", b"four words are not enough\n");
    place.write("short", b"hunter2\n");
    let file = |name: &str| place.path(name).to_str().unwrap().to_owned();
    let (right, wrong, short) = (file("right"), file("wrong"), file("short"));
    assert_eq!(place.run(&["init", "--passphrase-file", &short]).code, 1);
    assert!(!place.path("data").exists());
    place.run(&["init", "--passphrase-file", &right]).done();
    let credentials = place.read("data/bootstrap/credentials");
    let again = place.run(&["init", "--passphrase-file", &right]).done();
    assert!(again.contains("was set up before"), "{again}");
    assert_eq!(place.read("data/bootstrap/credentials"), credentials);

    let server = place.server();
    assert!(server.first_line.contains("is sealed on"), "{}", server.first_line);
    assert_eq!(server.get("/health/ready").0, 503);
    let refused = place.run(&["unseal", "--passphrase-file", &wrong]);
    assert!(refused.code == 1 && refused.stderr.contains("does not open"), "{refused:?}");
    assert!(!refused.stderr.contains("--share"), "there are no shares: {refused:?}");
    assert_eq!(server.get("/health/ready").0, 503);
    place.run(&["unseal", "--passphrase-file", &right]).done();
    assert_eq!(server.get("/health/ready").0, 200);
    let printed = server.stop();
    assert!(!printed.contains("words"), "{printed}");
    let (first, after) = printed.split_once("coffer unseal").unwrap();
    assert!(!first.contains("coffer key shares create"), "a sealed server makes none: {printed}");
    assert!(after.contains("then           coffer key shares create"), "{printed}");
    assert!(!place.path("keys").exists(), "no keyfile is made for it");
    place.run(&["verify", "--passphrase-file", &right]).done();
}

#[test]
#[allow(clippy::disallowed_methods, reason = "it is about the time that a person waits")]
fn whoever_connects_and_says_nothing_keeps_nobody_out_for_long() {
    let place = Place::new();
    let _server = place.server();
    let connect = || std::os::unix::net::UnixStream::connect(place.path("data/control.sock")).unwrap();
    let _silent: Vec<_> = (0..16).map(|_| connect()).collect();
    let begun = std::time::Instant::now();
    place.run(&["doctor"]).done();
    assert!(begun.elapsed().as_secs() < 15, "{:?}", begun.elapsed());
}

#[test]
fn what_was_lost_is_not_answered_with_a_new_store() {
    let place = Place::new();
    place.server().stop();
    fs::remove_file(place.path("data/keyring")).unwrap();
    for command in [&["verify"][..], &["key", "slot", "list"], &["doctor"]] {
        let outcome = place.run(command);
        let said = outcome.stdout + &outcome.stderr;
        assert!(said.contains("keyring.previous") && !said.contains("coffer init"), "{said}");
    }
}

#[test]
fn commands_for_a_running_server_say_when_there_is_none() {
    let place = Place::new();
    for command in ["seal", "unseal", "doctor", "verify"] {
        let outcome = place.run(&[command]);
        assert_eq!(outcome.code, 1);
        assert!(outcome.stderr.contains("there is no store at"), "{outcome:?}");
    }
    place.server().stop();
    let outcome = place.run(&["seal"]);
    assert!(outcome.code == 1 && outcome.stderr.contains("no server runs on"), "{outcome:?}");
}

#[test]
fn doctor_speaks_with_and_without_a_server() {
    let place = Place::new();
    let server = place.server();
    let graded = |json: &str, about: &str| {
        let findings: Vec<serde_json::Value> = serde_json::from_str(json).unwrap();
        findings.into_iter().find(|finding| finding["about"] == about).map(|finding| finding["grade"].clone())
    };
    let online = place.run(&["doctor", "--json"]).done();
    assert_eq!(graded(&online, "ready").unwrap(), "good");
    assert_eq!(graded(&online, "recovery").unwrap(), "warning");
    assert_eq!(graded(&online, "not dumpable").unwrap(), "good");
    server.stop();
    let offline = place.run(&["doctor", "--json"]).done();
    assert_eq!(graded(&offline, "ready"), None);
    assert_eq!(graded(&offline, "keyfile").unwrap(), "warning");
    fs::remove_file(place.path("keys/keyfile")).unwrap();
    let outcome = place.run(&["doctor"]);
    assert!(outcome.code == 1 && outcome.stdout.contains("BAD"), "{outcome:?}");
}
