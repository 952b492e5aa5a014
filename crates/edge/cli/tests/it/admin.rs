//! `coffer admin key create`: for the day the administrator's key is lost.

use std::fs;

use coffer_model::secretsmanager::{GetRandomPassword, GetRandomPasswordRequest};

use crate::{
    kill::{Ground, Node, QUICK_END, every_event, runtime},
    place::mode,
};

const CREATE: [&str; 3] = ["admin", "key", "create"];
const CREDENTIALS: &str = "data/bootstrap/credentials";

/// The key in `bootstrap/credentials` is accepted. Answers its id.
#[track_caller]
fn accepted(ground: &Ground, node: &Node) -> String {
    let client = ground.client(node);
    let answer = runtime()
        .block_on(async { client.call::<GetRandomPassword>(&GetRandomPasswordRequest::default()).await });
    assert!(answer.is_ok(), "{:?}", answer.err());
    ground.administrator().access_key_id
}

fn events(ground: &Ground, name: &str) -> Vec<serde_json::Value> {
    let mut events = every_event(&ground.path("data"), &ground.path("keys/keyfile"));
    events.retain(|event| event["eventName"] == name);
    events
}

#[test]
fn a_lost_key_is_replaced_while_the_server_runs_and_while_it_does_not() {
    let ground = Ground::new(QUICK_END);
    let node = ground.start();
    let mut ids = vec![accepted(&ground, &node)];

    let (code, said, complaint) = ground.command(&CREATE, "data");
    assert_eq!(code, 1, "the file may be the only copy: {said}");
    assert!(complaint.contains("is there already") && complaint.contains("try: mv "), "{complaint}");

    fs::remove_file(ground.path(CREDENTIALS)).unwrap();
    let (code, said, complaint) = ground.command(&CREATE, "data");
    assert_eq!(code, 0, "{complaint}");
    ids.push(accepted(&ground, &node));
    let secret = ground.administrator().secret_access_key;
    assert!(said.contains(CREDENTIALS) && !said.contains(secret.expose()), "{said}");
    assert_eq!(mode(&ground.path(CREDENTIALS)), 0o600);
    assert!(node.stop().0.success());

    fs::remove_file(ground.path(CREDENTIALS)).unwrap();
    let (code, _, complaint) = ground.command(&CREATE, "data");
    assert_eq!(code, 0, "{complaint}");
    let node = ground.start();
    ids.push(accepted(&ground, &node));
    assert!(node.stop().0.success());

    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3, "each is a key of its own");
    assert_eq!(events(&ground, "CreateAdministrator").len(), 1);
    assert_eq!(events(&ground, "CreateAdministratorKey").len(), 2, "one for each command that did something");
    let recorded = events(&ground, "CreateAccessKey");
    assert_eq!(recorded.len(), 2);
    for event in recorded {
        let text = event.to_string();
        assert!(ids.iter().any(|id| text.contains(id.as_str())), "{text}");
    }
}

#[test]
fn a_sealed_server_makes_no_key() {
    let ground = Ground::new(QUICK_END);
    let _node = ground.start();
    fs::remove_file(ground.path(CREDENTIALS)).unwrap();
    assert_eq!(ground.command(&["seal"], "data").0, 0);
    let (code, _, complaint) = ground.command(&CREATE, "data");
    assert!(code == 1 && complaint.contains("sealed") && complaint.contains("coffer unseal"), "{complaint}");
    assert!(!ground.path(CREDENTIALS).exists());
}

#[test]
fn a_store_that_a_passphrase_opens_asks_for_it() {
    let ground = Ground::new(QUICK_END);
    let passphrase = ground.path("passphrase");
    coffer_server::data_dir::write_new(&passphrase, b"five words are much better\n").unwrap();
    let given = ["--passphrase-file", passphrase.to_str().unwrap()];
    assert_eq!(ground.command(&[&["init"], &given[..]].concat(), "data").0, 0);
    fs::remove_file(ground.path(CREDENTIALS)).unwrap();

    let (code, _, complaint) = ground.command(&CREATE, "data");
    assert!(code == 1 && complaint.contains("coffer admin key create"), "{complaint}");
    assert!(complaint.contains("--passphrase-file <file>"), "{complaint}");
    let (code, _, complaint) = ground.command(&[&CREATE, &given[..]].concat(), "data");
    assert_eq!(code, 0, "{complaint}");
    assert!(ground.path(CREDENTIALS).exists());
}
