//! Damage in a store, where a program that is surprised might say what it was looking at.
//!
//! The rows of secrets and of versions are found in the file by their form: the key of a row begins with its table and stands right
//! before its value, which begins with two versions. A byte is flipped in every second one, in turns in each part of it.

use serde_json::json;

use super::load::Keeper;
use crate::kill::Ground;

const SECRET: u16 = 0x30;
const VERSION: u16 = 0x31;
/// Table and keyed hash.
const KEY_LEN: usize = 34;
/// Version 1 of a record; version and suite of the envelope; the first epoch; the beginning of a revision.
const BEGINNING: [u8; 12] = [0, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0];
/// The record's version, the envelope's, the epoch, the revision, the commitment or the text behind it.
const PLACES: [usize; 5] = [1, 2, 7, 15, 100];

/// Flips a byte in every second row of the two tables; answers how many there were of each.
#[allow(clippy::disallowed_methods, reason = "no test has to survive a loss of power")]
pub(super) fn damage(ground: &Ground) -> (usize, usize) {
    let path = ground.path("data/store.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let begins = |at: &usize| bytes[*at..].starts_with(&BEGINNING);
    let rows: Vec<usize> = (KEY_LEN..bytes.len() - 200).filter(begins).collect();
    let mut damaged = (0, 0);
    for row in rows {
        let count = match u16::from_be_bytes([bytes[row - KEY_LEN], bytes[row - KEY_LEN + 1]]) {
            SECRET => &mut damaged.0,
            VERSION => &mut damaged.1,
            _ => continue,
        };
        *count += 1;
        if *count % 2 == 0 {
            bytes[row + PLACES[*count / 2 % PLACES.len()]] ^= 0x40;
        }
    }
    std::fs::write(&path, bytes).unwrap();
    damaged
}

/// A secret of two versions, as it is going to be asked for.
#[derive(Debug)]
pub(super) struct Victim {
    name: String,
    first: String,
}

/// How often a request met damage, and how often it did not.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) broken: usize,
    pub(super) whole: usize,
}

impl Keeper {
    pub(super) async fn victim(&mut self) -> Victim {
        let (name, first, second) = (self.text("name"), self.text("token"), self.text("token"));
        let value = self.value("value that may be damaged");
        let tag = json!([{"Key": self.text("tag key"), "Value": self.text("tag value")}]);
        let description = self.text("description");
        self.done("CreateSecret", &json!({
            "Name": name, "ClientRequestToken": first, "SecretString": value, "Tags": tag, "Description": description,
        })).await;
        let value = self.value("value that may be damaged");
        let put = json!({"SecretId": name, "ClientRequestToken": second, "SecretString": value});
        self.done("PutSecretValue", &put).await;
        Victim { name, first }
    }

    /// Everything that touches the rows of a secret, from looking to removing.
    pub(super) async fn torment(&mut self, victim: &Victim, tally: &mut Tally) {
        let Victim { name, first } = victim;
        let value = self.value("value for a damaged secret");
        let token = self.text("token for a damaged secret");
        for (operation, body) in [
            ("DescribeSecret", json!({"SecretId": name})),
            ("GetSecretValue", json!({"SecretId": name})),
            ("GetSecretValue", json!({"SecretId": name, "VersionId": first})),
            ("ListSecretVersionIds", json!({"SecretId": name, "IncludeDeprecated": true})),
            ("ListSecrets", json!({"Filters": [{"Key": "name", "Values": [name]}]})),
            ("PutSecretValue", json!({"SecretId": name, "ClientRequestToken": first, "SecretString": value})),
            ("PutSecretValue", json!({"SecretId": name, "ClientRequestToken": token, "SecretString": value})),
            ("CreateSecret", json!({"Name": name, "ClientRequestToken": first, "SecretString": value})),
            ("TagResource", json!({"SecretId": name, "Tags": []})),
            ("DeleteSecret", json!({"SecretId": name, "ForceDeleteWithoutRecovery": true})),
        ] {
            let answer = self.raw(operation, body.to_string().as_bytes()).await;
            if answer.status < 500 {
                tally.whole += 1;
            } else {
                tally.broken += 1;
                let text = String::from_utf8_lossy(answer.body.expose());
                assert!(text.contains("InternalServiceError"), "{operation}: {text}");
                self.aviary.refusals.lock().unwrap().push(answer.body.expose().clone());
            }
        }
    }
}
