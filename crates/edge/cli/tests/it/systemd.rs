//! Under systemd: the key comes as a credential, and the unit that we ship is about this program.

use std::{fs, os::unix::fs::PermissionsExt};

use coffer_server::config::CREDENTIAL;

use crate::place::Place;

const UNIT: &str = include_str!("../../../../../deploy/coffer.service");

fn setting(name: &str) -> &'static str {
    UNIT.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap()
}

#[test]
fn the_unit_starts_this_program_with_flags_that_it_knows_and_a_credential_that_it_looks_for() {
    let mut words: Vec<_> = setting("ExecStart").split_whitespace().collect();
    assert!(words.remove(0).ends_with("/coffer"));
    words.push("--help");
    let said = Place::new().run_bare(&words).done();
    assert!(said.contains("--data-dir"), "{said}");
    let (name, _) = setting("LoadCredential").split_once(':').unwrap();
    assert_eq!(name, CREDENTIAL);
    // What Coffer demands of its data directory, and where the unit makes it.
    assert_eq!((setting("StateDirectory"), setting("StateDirectoryMode")), ("coffer", "0700"));
    assert!(setting("ExecStart").contains("--data-dir /var/lib/coffer"));
}

#[test]
fn a_store_is_made_for_the_credential_and_opens_with_nothing_else() {
    let place = Place::new();
    let credential = format!("credentials/{CREDENTIAL}");
    place.write(&credential, &[0xa5; 32]);
    // systemd gives access through an access list, which shows as group permission.
    fs::set_permissions(place.path(&credential), fs::Permissions::from_mode(0o440)).unwrap();
    let directory = place.path("credentials");
    let credentials = Some(("CREDENTIALS_DIRECTORY", directory.as_path()));

    for _ in 0..2 {
        let server = place.start_with(&["server"], credentials);
        assert_eq!(server.get("/health/ready").0, 200);
        let findings: Vec<serde_json::Value> =
            serde_json::from_str(&place.run(&["doctor", "--json"]).done()).unwrap();
        let found = |about: &str| findings.iter().find(|finding| finding["about"] == about);
        assert_eq!(found("credential").unwrap()["grade"], "good", "the server has it");
        assert!(found("keyfile").is_none(), "{findings:?}");
        let printed = server.stop();
        assert!(printed.contains(&format!("the systemd credential {CREDENTIAL}")), "{printed}");
    }
    assert!(!place.path("keys").exists(), "no keyfile is made beside it");

    // The server knows what it has; a command that is typed does not have it and does not ask itself.
    let server = place.start_with(&["server"], credentials);
    place.run(&["seal"]).done();
    let opened = place.run(&["unseal"]);
    assert!(!opened.stderr.contains("missing"), "{opened:?}");
    opened.done();
    server.stop();

    place.run_with(&["verify"], credentials).done();
    let without = place.run(&["verify"]);
    assert!(without.code == 1 && without.stderr.contains("systemd credential"), "{without:?}");
    let doctor = place.run(&["doctor"]).done();
    assert!(doctor.contains("LoadCredential=coffer.keyfile"), "{doctor}");
}
