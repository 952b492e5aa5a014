//! A server has a user of its own, and root works beside it. Only root can try that: for anybody else these tests have nothing
//! to look at.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use crate::place::Place;

/// Somebody without any rights.
const SERVICE: u32 = 65534;

/// Whatever root did, everything in the directory is its owner's.
#[track_caller]
fn belongs_to_its_owner(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(fs::symlink_metadata(&path).unwrap().uid(), SERVICE, "{}", path.display());
        if path.is_dir() {
            belongs_to_its_owner(&path);
        }
    }
}

#[test]
fn root_commands_the_server_of_another_user_and_never_takes_its_store_away() {
    if coffer_sys::effective_uid() != 0 {
        return;
    }
    let place = Place::new();
    let server = place.server_of(SERVICE);
    for command in [
        &["doctor"][..],
        &["profile", "install"],
        &["key", "slot", "list"],
        &["key", "shares", "create"],
        &["seal"],
        &["unseal"],
    ] {
        place.run(command).done();
    }
    fs::remove_file(place.path("data/bootstrap/credentials")).unwrap();
    place.run(&["admin", "key", "create"]).done();
    server.stop();

    // Without a server root would have to write itself.
    fs::remove_file(place.path("data/bootstrap/credentials")).unwrap();
    for command in [
        &["server", "--listen", "127.0.0.1:0"][..],
        &["doctor"],
        &["verify"],
        &["key", "shares", "create"],
        &["admin", "key", "create"],
    ] {
        let refusal = place.run(command);
        assert!(refusal.code == 1 && refusal.stderr.contains("sudo -u '#65534' coffer"), "{refusal:?}");
        assert!(!refusal.stderr.contains("chown"), "{refusal:?}");
    }
    belongs_to_its_owner(&place.path("data"));
    place.server_of(SERVICE).stop();
}
