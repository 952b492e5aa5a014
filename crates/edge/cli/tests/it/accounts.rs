//! `coffer account ..`, and what one account has to do with another: nothing.

use std::fs;

use coffer_client::{Client, ClientError};
use coffer_model::secretsmanager::{
    CreateSecret, CreateSecretRequest, GetSecretValue, GetSecretValueRequest, ListSecrets, ListSecretsRequest,
};
use coffer_types::Secret;
use serde_json::Value;

use crate::{
    kill::{Ground, Node, QUICK_END, every_event, runtime},
    place::mode,
};

/// Sorts before every id that is drawn, and so before the first account.
const LOW: &str = "100000000000";

fn key_file(account: &str) -> String {
    format!("data/bootstrap/credentials-{account}")
}

fn client_of(ground: &Ground, node: &Node, account: &str) -> Client {
    ground.client(node).with_credentials(ground.credentials(&key_file(account)))
}

#[track_caller]
fn create(client: &Client, name: &str, value: &str) -> String {
    let request = CreateSecretRequest {
        name: name.to_owned(),
        secret_string: Some(Secret::new(value.to_owned())),
        client_request_token: Some(String::from("00000000-0000-4000-8000-000000000001")),
        ..CreateSecretRequest::default()
    };
    let made = runtime().block_on(client.call::<CreateSecret>(&request));
    made.unwrap().arn.unwrap()
}

fn get(client: &Client, secret_id: &str) -> Result<String, ClientError> {
    let request =
        GetSecretValueRequest { secret_id: secret_id.to_owned(), ..GetSecretValueRequest::default() };
    let got = runtime().block_on(client.call::<GetSecretValue>(&request))?;
    Ok(got.secret_string.unwrap().expose().clone())
}

fn names(client: &Client) -> Vec<String> {
    let listed = runtime().block_on(client.call::<ListSecrets>(&ListSecretsRequest::default())).unwrap();
    listed.secret_list.unwrap().into_iter().map(|secret| secret.name.unwrap()).collect()
}

fn accounts(ground: &Ground) -> Vec<Value> {
    let (code, said, complaint) = ground.command(&["account", "list", "--json"], "data");
    assert_eq!(code, 0, "{complaint}");
    serde_json::from_str(&said).unwrap()
}

/// The word after "account".
fn account_in(said: &str) -> String {
    said.split_once("account ").unwrap().1.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn what_one_account_keeps_another_neither_sees_nor_disturbs() {
    let ground = Ground::new(QUICK_END);
    let node = ground.start();
    let (code, said, complaint) = ground.command(&["account", "create", "--name", "team b"], "data");
    assert_eq!(code, 0, "{complaint}");
    let id = account_in(&said);
    assert!(said.contains(&key_file(&id)) && said.contains("(team b)"), "{said}");
    assert!(!said.contains(ground.credentials(&key_file(&id)).secret_access_key.expose()), "{said}");
    assert_eq!(mode(&ground.path(&key_file(&id))), 0o600);

    let (first, second) = (ground.client(&node), client_of(&ground, &node, &id));
    let ours = create(&first, "db/password", "ours");
    let theirs = create(&second, "db/password", "theirs");
    create(&second, "only/theirs", "x");
    assert!(theirs.contains(&format!(":{id}:")) && !ours.contains(&id), "{ours} {theirs}");
    assert_eq!(
        (get(&first, "db/password").unwrap(), get(&second, "db/password").unwrap()),
        (String::from("ours"), String::from("theirs"))
    );
    assert_eq!((names(&first).len(), names(&second).len()), (1, 2));
    // An ARN leads nobody into another account, administrator or not.
    assert!(get(&first, &theirs).is_err() && get(&second, &ours).is_err());
    assert_eq!(get(&second, &theirs).unwrap(), "theirs");

    let listed = accounts(&ground);
    assert_eq!(listed.len(), 2);
    assert_eq!((&listed[0]["first"], &listed[0]["name"]), (&true.into(), &Value::Null));
    assert_eq!((&listed[1]["id"], &listed[1]["name"]), (&id.as_str().into(), &"team b".into()));
    assert!(node.stop().0.success());

    let (code, report, complaint) = ground.command(&["verify"], "data");
    assert_eq!(code, 0, "{report} {complaint}");
    let events = every_event(&ground.path("data"), &ground.path("keys/keyfile"));
    let made: Vec<_> = events.iter().filter(|event| event["eventName"] == "CreateAccount").collect();
    assert_eq!(made.len(), 1);
    assert_eq!(made[0]["additionalEventData"]["account"], id.as_str());
    assert!(made[0]["additionalEventData"]["uid"].is_string(), "{}", made[0]);
    let of_second = |event: &&Value| event["recipientAccountId"] == id.as_str();
    let calls: Vec<_> = events.iter().filter(of_second).map(|event| event["eventName"].clone()).collect();
    assert!(
        calls.contains(&"CreateAdministrator".into()) && calls.contains(&"ListSecrets".into()),
        "{calls:?}"
    );
}

#[test]
fn accounts_are_made_while_no_server_runs_and_the_first_stays_the_first() {
    let ground = Ground::new(QUICK_END);
    let node = ground.start();
    let first = accounts(&ground)[0]["id"].clone();
    assert!(node.stop().0.success());
    let (code, said, complaint) = ground.command(&["account", "create", "--id", LOW], "data");
    assert_eq!((code, account_in(&said).as_str()), (0, LOW), "{complaint}");

    let (code, said, _) = ground.command(&["account", "list"], "data");
    let rows: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(code, 0);
    assert_eq!((rows[0][0], rows[0][1]), (first.as_str().unwrap(), "(first)"), "{said}");
    assert_eq!((rows[1][0], rows[1][1]), (LOW, "-"), "{said}");
    assert!(rows[1][3].ends_with(&key_file(LOW)), "{said}");

    for _ in 0..2 {
        let node = ground.start();
        assert!(names(&client_of(&ground, &node, LOW)).is_empty());
        assert_eq!(accounts(&ground)[0]["id"], first);
        let (_, said, _) = ground.command(&["doctor"], "data");
        assert!(!said.contains("another account"), "{said}");
        let (status, printed) = node.stop();
        assert!(status.success() && printed.contains(first.as_str().unwrap()), "{printed}");
    }
    // Two stores would be mixed up: the configured account is that of the first start.
    #[allow(clippy::disallowed_methods, reason = "no test has to survive a loss of power")]
    fs::write(ground.path("coffer.toml"), format!("account = '{LOW}'\n{QUICK_END}")).unwrap();
    let (code, _, complaint) = ground.command(&["account", "list"], "data");
    assert!(code == 1 && complaint.contains("is not of account"), "{complaint}");
}

#[test]
fn bad_ids_and_names_change_nothing() {
    let ground = Ground::new(QUICK_END);
    let node = ground.start();
    let first = accounts(&ground)[0]["id"].as_str().unwrap().to_owned();
    for (words, expected, says) in [
        (vec!["account", "create", "--id", "1234"], 64, "12 digits"),
        (vec!["account", "create", "--id", "1111-2222-3333"], 64, "12 digits"),
        (vec!["account", "create", "--id", "team-b"], 64, "12 digits"),
        (vec!["account", "create", "--id", &first], 1, "already"),
        (vec!["account", "create", "--name", ""], 1, "cannot have this name"),
        (vec!["account", "create", "--name", "a\nb"], 1, "cannot have this name"),
        (vec!["admin", "key", "create", "--account", LOW], 1, "there is no account"),
        (vec!["admin", "reset", "--account", LOW], 1, "there is no account"),
        (vec!["admin", "key", "create", "--account", "x"], 64, "12 digits"),
    ] {
        let (code, said, complaint) = ground.command(&words, "data");
        assert_eq!(code, expected, "{words:?}: {said}{complaint}");
        assert!(complaint.contains(says), "{words:?}: {complaint}");
    }
    assert_eq!(accounts(&ground).len(), 1);
    assert_eq!(ground.command(&["account", "create", "--id", LOW], "data").0, 0);
    let (code, _, complaint) = ground.command(&["account", "create", "--id", LOW], "data");
    assert!(code == 1 && complaint.contains("already"), "{complaint}");
    assert_eq!(ground.command(&["seal"], "data").0, 0);
    for words in [["account", "create"], ["account", "list"], ["admin", "reset"]] {
        let (code, _, complaint) = ground.command(&words, "data");
        assert!(code == 1 && complaint.contains("coffer unseal"), "{complaint}");
    }
    drop(node);
}

#[test]
fn the_administrator_of_an_account_is_given_another_key_and_a_profile() {
    let ground = Ground::new(QUICK_END);
    let node = ground.start();
    assert_eq!(ground.command(&["account", "create", "--id", LOW], "data").0, 0);
    let before = ground.credentials(&key_file(LOW));
    let another = ["admin", "key", "create", "--account", LOW];
    let (code, _, complaint) = ground.command(&another, "data");
    assert!(code == 1 && complaint.contains("is there already"), "{complaint}");
    fs::remove_file(ground.path(&key_file(LOW))).unwrap();
    let (code, said, complaint) = ground.command(&another, "data");
    assert_eq!(code, 0, "{complaint}");
    assert!(said.contains(&key_file(LOW)) && said.contains(&format!("--account {LOW}")), "{said}");
    assert_ne!(ground.credentials(&key_file(LOW)).access_key_id, before.access_key_id);
    assert!(names(&client_of(&ground, &node, LOW)).is_empty());
    assert!(names(&ground.client(&node).with_credentials(before)).is_empty(), "the first stays good");

    let profile = ["profile", "install", "--account", LOW, "--name", "b"];
    let (code, _, complaint) = ground.command(&profile, "data");
    assert_eq!(code, 0, "{complaint}");
    let written = fs::read_to_string(ground.path("home/.aws/credentials")).unwrap();
    let id = ground.credentials(&key_file(LOW)).access_key_id;
    assert!(written.contains("[b]") && written.contains(&id), "{written}");
    let first = accounts(&ground)[0]["id"].as_str().unwrap().to_owned();
    let (code, _, complaint) = ground.command(&["profile", "install", "--account", &first], "data");
    assert_eq!(code, 0, "the first may be named too: {complaint}");
    let (code, _, complaint) = ground.command(&["profile", "install", "--account", "111122223333"], "data");
    assert!(code == 1 && complaint.contains("coffer admin key create"), "{complaint}");
}
