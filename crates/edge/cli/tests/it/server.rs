//! `coffer server` and `coffer dev`: starts, refusals, ends.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

use crate::place::{Place, mode};

const FILES: [&str; 4] = ["data/keyring", "data/store.db", "data/bootstrap/credentials", "keys/keyfile"];

#[test]
fn the_first_start_makes_private_files_and_tells_no_secret() {
    let place = Place::new();
    let server = place.server();
    assert!(server.first_line.starts_with("Coffer is ready on http://127.0.0.1:"), "{}", server.first_line);
    assert_eq!(server.get("/health/ready").0, 200);
    assert_eq!(server.get("/health/live").0, 200);
    assert!(server.get("/metrics").1.contains("coffer_requests"));
    for name in FILES {
        assert_eq!(mode(&place.path(name)), 0o600, "{name}");
    }
    for name in ["data", "data/audit", "data/bootstrap"] {
        assert_eq!(mode(&place.path(name)), 0o700, "{name}");
    }
    let credentials = place.text("data/bootstrap/credentials");
    let value = |key: &str| credentials.lines().find_map(|line| line.strip_prefix(key)).unwrap().to_owned();
    assert!(
        credentials.contains("\n[default]\n") && credentials.contains("# region = us-east-1"),
        "{credentials}"
    );
    assert!(server.first_line.contains(&value("# account = ")));

    let printed = server.stop();
    assert!(
        printed.contains("bootstrap/credentials") && printed.contains("coffer profile install"),
        "{printed}"
    );
    assert!(!printed.contains(&value("aws_secret_access_key = ")), "{printed}");
    assert!(!printed.contains(place.text("keys/keyfile").trim()), "{printed}");
}

#[test]
fn later_starts_create_nothing() {
    let place = Place::new();
    place.server().stop();
    let kept = |place: &Place| {
        (place.read("data/keyring"), place.read("data/bootstrap/credentials"), place.read("keys/keyfile"))
    };
    let before = kept(&place);
    place.server().stop();
    assert_eq!(kept(&place), before);
    fs::remove_file(place.path("data/bootstrap/credentials")).unwrap();
    let printed = place.server().stop();
    assert!(!place.path("data/bootstrap/credentials").exists());
    assert!(!printed.contains("administrator"), "{printed}");
}

#[test]
fn a_server_that_was_killed_starts_again() {
    let place = Place::new();
    let mut server = place.server();
    server.signal("KILL");
    assert!(!server.wait().0.success());
    assert!(place.path("data/control.sock").exists());
    place.server().stop();
    assert!(!place.path("data/control.sock").exists());
}

#[test]
fn a_second_server_on_the_same_directory_is_refused() {
    let place = Place::new();
    let first = place.server();
    let refusal = place.refused(&[]);
    assert!(refusal.contains("is in use"), "{refusal}");
    assert_eq!(first.get("/health/ready").0, 200);
}

#[test]
fn a_taken_port_is_named() {
    let place = Place::new();
    let first = place.server();
    let address = first.endpoint.strip_prefix("http://").unwrap();
    let other = Place::new();
    let outcome = other.run(&["server", "--listen", address]);
    assert_eq!(outcome.code, 1);
    assert!(outcome.stderr.contains(&format!("cannot listen on {address}")), "{outcome:?}");
    assert!(!other.path("data").exists() && !other.path("keys").exists(), "nothing was made");
    let same = place.run(&["server", "--listen", address]);
    assert!(same.stderr.contains("is in use"), "{same:?}");
}

#[test]
fn a_wrong_or_missing_keyfile_is_refused_and_nothing_changes() {
    let place = Place::new();
    place.server().stop();
    let kept = |place: &Place| (place.read("data/keyring"), place.read("data/bootstrap/credentials"));
    let before = kept(&place);
    fs::remove_file(place.path("keys/keyfile")).unwrap();
    assert!(place.refused(&[]).contains("keyfile"));
    assert!(!place.path("keys/keyfile").exists(), "a new keyfile would hide that the old one is missing");

    place.write("keys/keyfile", "42".repeat(32).as_bytes());
    fs::set_permissions(place.path("keys/keyfile"), fs::Permissions::from_mode(0o600)).unwrap();
    let refusal = place.refused(&[]);
    assert!(refusal.contains("does not open this store"), "{refusal}");
    assert_eq!(kept(&place), before);

    fs::set_permissions(place.path("keys/keyfile"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(place.refused(&[]).contains("lets others read it"));
}

#[test]
fn a_directory_that_others_may_enter_is_refused() {
    let place = Place::new();
    place.server().stop();
    for wide in [0o750, 0o701] {
        fs::set_permissions(place.path("data"), fs::Permissions::from_mode(wide)).unwrap();
        assert!(place.refused(&[]).contains("open to others"));
    }
    fs::rename(place.path("data"), place.path("moved")).unwrap();
    symlink(place.path("moved"), place.path("data")).unwrap();
    assert!(place.refused(&[]).contains("not a directory"));
}

#[test]
fn other_addresses_are_refused_without_tls() {
    let place = Place::new();
    let outcome = place.run(&["server", "--listen", "0.0.0.0:0"]);
    assert_eq!(outcome.code, 1);
    assert!(outcome.stderr.contains("needs TLS") && outcome.stderr.contains("try: "), "{outcome:?}");
    assert!(!place.path("data").exists(), "nothing was made");
}

#[test]
fn a_lost_keyring_is_not_replaced() {
    let place = Place::new();
    place.server().stop();
    fs::remove_file(place.path("data/keyring")).unwrap();
    assert!(place.refused(&[]).contains("no keyring"));
    assert!(!place.path("data/keyring").exists());
}

#[test]
fn no_new_store_is_made_beside_what_is_left_of_an_old_one() {
    let place = Place::new();
    let server = place.server();
    // Commands are on record: so there is a segment.
    place.run(&["doctor"]).done();
    server.stop();
    let refused = |left: &str, missing: &str| {
        let outcome = place.run(&["server", "--listen", "127.0.0.1:0"]);
        assert_eq!(outcome.code, 2, "{outcome:?}");
        assert!(outcome.stderr.contains(&format!("there is {left}, but not {missing}")), "{outcome:?}");
        assert!(!place.path("data/store.db").exists() && !place.path("data/bootstrap").exists());
    };
    for name in ["store.db", "store.db-wal", "lock"] {
        fs::remove_file(place.path(&format!("data/{name}"))).unwrap();
    }
    fs::remove_dir_all(place.path("data/bootstrap")).unwrap();
    refused("the keyring, a segment of the audit log", "store.db");
    fs::remove_file(place.path("data/keyring")).unwrap();
    refused("a segment of the audit log", "store.db and the keyring");
    fs::remove_dir_all(place.path("data/audit")).unwrap();
    let printed = place.server().stop();
    assert!(printed.contains("administrator"), "{printed}");
}

#[test]
fn the_way_back_is_named_at_each_start_until_there_is_one() {
    let place = Place::new();
    for _ in 0..2 {
        let printed = place.server().stop();
        assert!(printed.contains("coffer key shares create") && printed.contains("keep a copy"), "{printed}");
    }
    place.run(&["key", "shares", "create"]).done();
    let printed = place.server().stop();
    assert!(!printed.contains("coffer key shares create") && !printed.contains("keep a copy"), "{printed}");
}

#[test]
fn a_keyfile_that_was_not_written_to_its_end_is_made_anew() {
    let place = Place::new();
    place.write("keys/keyfile.tmp", b"");
    place.server().stop();
    assert_eq!(place.text("keys/keyfile").len(), 65);
    assert!(!place.path("keys/keyfile.tmp").exists());
}

#[test]
fn mistakes_in_the_configuration_are_named() {
    let place = Place::new();
    place.write("coffer.toml", b"liston = '127.0.0.1:1'");
    let config = place.path("coffer.toml");
    let outcome = place.run(&["server", "--config", config.to_str().unwrap()]);
    assert_eq!(outcome.code, 1);
    assert!(outcome.stderr.contains("unknown field `liston`"), "{outcome:?}");
    let usage = place.run(&["server", "--liston", "127.0.0.1:1"]);
    assert_eq!(usage.code, 64, "{usage:?}");
}

#[test]
fn a_full_disk_is_refused_and_the_first_start_can_be_made_later() {
    let place = Place::new();
    place.write("coffer.toml", b"[store]\nfree_space = '9999999 GiB'");
    let config = place.path("coffer.toml");
    let refusal = place.refused(&["--config", config.to_str().unwrap()]);
    assert!(refusal.contains("full") && refusal.contains("room"), "{refusal}");
    assert!(!place.path("data/bootstrap/credentials").exists());
    let printed = place.server().stop();
    assert!(printed.contains("administrator"), "{printed}");
}

#[test]
fn an_automatic_certificate_comes_with_its_authority() {
    let place = Place::new();
    place.write("coffer.toml", b"[tls]\nautomatic = true");
    let config = place.path("coffer.toml");
    let server = place.start(&["server", "--config", config.to_str().unwrap()]);
    assert!(server.endpoint.starts_with("https://127.0.0.1:"), "{}", server.endpoint);
    place.run(&["profile", "install"]).done();
    let authority = place.path("data/tls/ca.pem");
    assert!(place.text("home/.aws/config").contains(&format!("ca_bundle = {}\n", authority.display())));
    assert!(place.text("data/tls/ca.pem").starts_with("-----BEGIN CERTIFICATE-----"));
    let printed = server.stop();
    assert!(printed.contains(authority.to_str().unwrap()), "{printed}");
}

#[test]
fn both_signals_end_it_well() {
    for name in ["TERM", "INT"] {
        let place = Place::new();
        let mut server = place.server();
        server.signal(name);
        let (status, printed) = server.wait();
        assert_eq!(status.code(), Some(0), "{name}: {printed}");
    }
}

#[test]
fn dev_accepts_anybody_keeps_nothing_and_is_emptied_on_request() {
    let place = Place::new();
    let dev = place.start(&["dev"]);
    assert!(dev.first_line.starts_with("Coffer dev is ready on http://127.0.0.1:"), "{}", dev.first_line);
    let (status, answer) = dev.call(
        "CreateSecret",
        r#"{"Name": "a", "SecretString": "b", "ClientRequestToken": "00000000-0000-4000-8000-000000000001"}"#,
    );
    assert_eq!(status, 200, "{answer}");
    assert!(dev.call("ListSecrets", "{}").1.contains("\"Name\":\"a\""));
    assert_eq!(dev.post("/_coffer/reset").0, 200);
    let (status, answer) = dev.call("ListSecrets", "{}");
    assert_eq!((status, answer.contains("\"Name\"")), (200, false), "{answer}");
    dev.stop();
    assert_eq!(fs::read_dir(place.path("")).unwrap().count(), 0, "nothing is written");
    assert_eq!(place.run(&["dev", "--listen", "0.0.0.0:0"]).code, 1);
}

#[test]
fn a_server_cannot_be_emptied() {
    let place = Place::new();
    let server = place.server();
    assert_ne!(server.post("/_coffer/reset").0, 200);
}
