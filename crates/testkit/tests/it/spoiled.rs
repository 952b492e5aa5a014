//! What somebody can do who may write on the disk, or hands in ciphertexts of his own making: nothing comes out that was not put there.
//!
//! Bits are turned, ends cut off and put on, halves joined that do not belong together, records exchanged, taken from another account, or
//! replaced by what stood in their place before. Of all that, the last alone opens: an older state of the same record in its own place
//! cannot be told from the newer one without something that is kept outside the store, so it is counted apart, and what it shows must
//! still be a value that this secret once had.

use std::collections::{BTreeMap, BTreeSet};

use coffer_client::Client;
use coffer_model::{kms, secretsmanager};
use coffer_shape::ServiceSpec;
use coffer_store::{Entry, Key, Partition};
use coffer_testkit::{Engine, SimEntropy, TestServer};
use coffer_types::encoding::BASE64;
use serde_json::{Value, json};

use crate::{
    campaign,
    stage::{Reply, unobserved},
};

const SECRETS: usize = 6;
/// Spoiled at the same time, each in another place.
const AT_ONCE: usize = 4;
const ELSEWHERE: &str = "222233334444";

async fn ask(client: &Client, service: &'static ServiceSpec, operation: &str, input: &Value) -> Reply {
    let answer = client.call_raw(service, operation, input.to_string().as_bytes()).await.unwrap();
    let body = serde_json::from_slice(answer.body.expose()).unwrap_or_default();
    Reply { status: answer.status, body }
}

async fn get(client: &Client, service: &'static ServiceSpec, operation: &str, input: Value) -> Value {
    let reply = ask(client, service, operation, &input).await;
    assert_eq!(reply.status, 200, "{operation} {input}: {}", reply.body);
    reply.body
}

async fn make_key(client: &Client) -> String {
    let made = get(client, &kms::SERVICE, "CreateKey", json!({})).await;
    made["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
}

/// Bytes, changed in one of the ways there are. `others` are what they may be mixed with.
fn spoil(bytes: &[u8], others: &[&[u8]], chance: &SimEntropy) -> (&'static str, Vec<u8>) {
    let mut spoiled = bytes.to_vec();
    let other = others[chance.below(others.len())];
    let kind = match chance.below(6) {
        0 => {
            spoiled[chance.below(bytes.len())] ^= 1 << chance.below(8);
            "flip"
        }
        1 => {
            spoiled.truncate(chance.below(bytes.len()));
            "truncate"
        }
        2 => {
            spoiled.push(u8::try_from(chance.below(256)).unwrap());
            "extend"
        }
        3 => {
            let at = chance.below(bytes.len());
            spoiled.truncate(at);
            spoiled.extend_from_slice(other.get(at..).unwrap_or_default());
            "splice"
        }
        4 => {
            let (from, length) = (chance.below(bytes.len()), 1 + chance.below(16));
            for (place, byte) in spoiled.iter_mut().zip(other).skip(from).take(length) {
                *place = *byte;
            }
            "graft"
        }
        _ => {
            spoiled = other.to_vec();
            "swap"
        }
    };
    (kind, spoiled)
}

/// A ciphertext, and what belongs to it.
struct Closed {
    key: String,
    context: Value,
    blob: Vec<u8>,
    plaintext: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spoiled_ciphertext_opens_to_nothing() {
    let seed = campaign::seed(20_260_501);
    let server = TestServer::start(Engine::Memory, seed).await;
    let chance = SimEntropy::seeded(seed);
    let here = server.client().clone();
    let elsewhere = server.administrator_of(ELSEWHERE.parse().unwrap()).await;

    let mut closed = Vec::new();
    for client in [&here, &elsewhere] {
        for _ in 0..2 {
            let key = make_key(client).await;
            for context in [json!({}), json!({"app": "web"}), json!({"app": "web", "a": "x".repeat(500)})] {
                for version in 0..2 {
                    let plaintext = BASE64.encode(format!("{}/{version}", closed.len()).as_bytes());
                    let asked = json!({"KeyId": key, "EncryptionContext": context, "Plaintext": plaintext});
                    let answer = get(client, &kms::SERVICE, "Encrypt", asked).await;
                    let blob = BASE64.decode(answer["CiphertextBlob"].as_str().unwrap().as_bytes()).unwrap();
                    closed.push(Closed { key: key.clone(), context: context.clone(), blob, plaintext });
                    // The second one of each pair is under the next generation of the key.
                    if version == 0 {
                        get(client, &kms::SERVICE, "RotateKeyOnDemand", json!({"KeyId": key})).await;
                    }
                }
            }
        }
    }
    let own = closed.len() / 2;
    for one in closed.iter().take(own) {
        let blob = BASE64.encode(&one.blob);
        let asked = json!({"CiphertextBlob": blob, "EncryptionContext": one.context});
        assert_eq!(get(&here, &kms::SERVICE, "Decrypt", asked).await["Plaintext"], one.plaintext.as_str());
    }

    let blobs: Vec<&[u8]> = closed.iter().map(|one| one.blob.as_slice()).collect();
    let mut seen: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for round in 0..2_500 * campaign::rounds(1, 10) {
        let one = &closed[chance.below(own)];
        let (kind, spoiled) = spoil(&one.blob, &blobs, &chance);
        let mut asked = json!({"CiphertextBlob": BASE64.encode(&spoiled), "EncryptionContext": one.context});
        if chance.below(2) == 0 {
            asked["KeyId"] = json!(one.key);
        }
        // One that is whole, of the same context and of this account, is no forgery.
        let is_whole = closed.iter().take(own).find(|known| known.blob == spoiled);
        let reply = ask(&here, &kms::SERVICE, "Decrypt", &asked).await;
        let what = format!("COFFER_SEED={seed}, round {round}, {kind}: {}", reply.body);
        match is_whole.filter(|known| known.context == one.context && reply.status == 200) {
            Some(known) => assert_eq!(reply.body["Plaintext"], known.plaintext.as_str(), "{what}"),
            None => {
                let codes = [
                    "InvalidCiphertextException",
                    "IncorrectKeyException",
                    "AccessDeniedException",
                    "NotFoundException",
                    "ValidationException",
                ];
                assert!(reply.status == 400 && codes.contains(&reply.code()), "{what}");
                *seen.entry((kind, reply.code().to_owned())).or_default() += 1;
            }
        }
    }
    for kind in ["flip", "truncate", "extend", "splice", "graft", "swap"] {
        assert!(seen.keys().any(|(known, _)| *known == kind), "COFFER_SEED={seed}: {seen:?}");
    }
    server.stop().await;
}

/// What came of reading everything.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Read {
    values: usize,
    refused: usize,
    /// Of the values, those that the secret had before.
    older: usize,
}

const ALL: Read = Read { values: 4 * SECRETS, refused: 0, older: 0 };

/// What a store holds, and everything that its secrets were ever set to.
struct Shop {
    here: Client,
    elsewhere: Client,
    values: BTreeMap<String, Vec<String>>,
    blob: String,
}

impl Shop {
    async fn open(server: &TestServer) -> Self {
        let here = unobserved(server, server.client());
        let elsewhere = unobserved(server, &server.administrator_of(ELSEWHERE.parse().unwrap()).await);
        let key = make_key(&here).await;
        let mut values = BTreeMap::new();
        for (client, account) in [(&here, "here"), (&elsewhere, "elsewhere")] {
            for number in 0..SECRETS {
                let (name, value) = (format!("{account}/{number}"), format!("first of {account}/{number}"));
                let mut asked = json!({"Name": name, "SecretString": value, "ClientRequestToken": token(1)});
                if account == "here" && number % 2 == 0 {
                    asked["KmsKeyId"] = json!(key);
                }
                get(client, &secretsmanager::SERVICE, "CreateSecret", asked).await;
                values.insert(name, vec![value]);
            }
        }
        let asked = json!({"KeyId": key, "Plaintext": BASE64.encode(b"closed")});
        let blob = get(&here, &kms::SERVICE, "Encrypt", asked).await["CiphertextBlob"].clone();
        Self { here, elsewhere, values, blob: blob.as_str().unwrap().to_owned() }
    }

    fn clerk(&self, name: &str) -> &Client {
        if name.starts_with("here") { &self.here } else { &self.elsewhere }
    }

    /// Everything gets another value, and another policy, and another description.
    async fn go_on(&mut self) {
        for (name, values) in self.values.clone() {
            let (client, value) = (self.clerk(&name), format!("second of {name}"));
            let asked = json!({"SecretId": name, "SecretString": value, "ClientRequestToken": token(2)});
            get(client, &secretsmanager::SERVICE, "PutSecretValue", asked).await;
            let asked = json!({"SecretId": name, "Description": "again", "ClientRequestToken": token(3)});
            get(client, &secretsmanager::SERVICE, "UpdateSecret", asked).await;
            self.values.insert(name, [values, vec![value]].concat());
        }
    }

    /// Reads everything that can be read.
    async fn read(&self, what: &str) -> Read {
        let mut read = Read::default();
        for (name, values) in &self.values {
            let client = self.clerk(name);
            for input in [json!({"SecretId": name}), json!({"SecretId": name, "VersionId": token(1)})] {
                let reply = ask(client, &secretsmanager::SERVICE, "GetSecretValue", &input).await;
                if reply.status != 200 {
                    read.refused += 1;
                    continue;
                }
                read.values += 1;
                let value = reply.body["SecretString"].as_str().unwrap_or_default();
                let place = values.iter().position(|known| known == value);
                let Some(place) = place else { panic!("{what}: {name} is {value:?}") };
                if input["VersionId"].is_string() {
                    assert_eq!(place, 0, "{what}: a version of {name} has the value of another one");
                } else {
                    read.older += usize::from(place + 1 < values.len());
                }
            }
        }
        let reply = ask(&self.here, &kms::SERVICE, "Decrypt", &json!({"CiphertextBlob": self.blob})).await;
        if reply.status == 200 {
            assert_eq!(reply.body["Plaintext"], BASE64.encode(b"closed").as_str(), "{what}");
        }
        read
    }
}

fn token(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spoiled_record_is_found_and_shows_no_wrong_value() {
    let seed = campaign::seed(20_260_502);
    let server = TestServer::start(Engine::Memory, seed).await;
    let chance = SimEntropy::seeded(seed);
    let mut shop = Shop::open(&server).await;
    let before: BTreeMap<(Partition, Key), Entry> = by_place(server.stored());
    shop.go_on().await;
    server.pass(std::time::Duration::ZERO).await;
    assert_eq!(shop.read("before anything is spoiled").await, ALL);
    let good = by_place(server.stored());
    let values: Vec<&[u8]> = good.values().map(|entry| &entry.value[..]).collect();
    let places: Vec<&(Partition, Key)> = good.keys().collect();
    // An audit log that ends before the store says so is another test's.
    assert_eq!(server.examine(), [], "what nobody spoiled");

    let (mut replayed, mut sum) = (0, Read::default());
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for round in 0..625 * campaign::rounds(1, 10) {
        let mut spoiled = BTreeMap::new();
        while spoiled.len() < AT_ONCE {
            let place = places[chance.below(places.len())];
            let (kind, bytes) = match before.get(place).filter(|_| chance.below(8) == 0) {
                Some(older) => ("replay", older.value.to_vec()),
                None => spoil(&good[place].value, &values, &chance),
            };
            if bytes == good[place].value {
                continue;
            }
            *seen.entry(kind).or_default() += 1;
            spoiled.insert(place, (kind, bytes));
        }
        for (place, (_, bytes)) in &spoiled {
            server.overwrite(&place.0, &place.1, bytes);
        }
        let what = format!("COFFER_SEED={seed}, round {round}, {:?}", kinds(&spoiled));
        let found: BTreeSet<_> = server.examine().into_iter().collect();
        for (place, (kind, _)) in &spoiled {
            assert!(*kind == "replay" || found.contains(*place), "{what}: {kind} of {place:?} is not found");
        }
        server.restart().await;
        let read = shop.read(&what).await;
        sum.values += read.values;
        sum.refused += read.refused;
        sum.older += read.older;
        replayed += spoiled.values().filter(|(kind, _)| *kind == "replay").count();

        for place in spoiled.keys() {
            server.overwrite(&place.0, &place.1, &good[*place].value);
        }
        server.restart().await;
    }
    assert_eq!(shop.read("when all is as it was").await, ALL);
    eprintln!("{seen:?}, {replayed} replayed; {sum:?}");
    assert!(sum.values > sum.refused && sum.refused > 0, "COFFER_SEED={seed}: {sum:?}");
    assert!(seen.len() == 7, "COFFER_SEED={seed}: {seen:?}");
    server.stop().await;
}

fn by_place(stored: Vec<(Partition, Entry)>) -> BTreeMap<(Partition, Key), Entry> {
    stored.into_iter().map(|(partition, entry)| ((partition, entry.key.clone()), entry)).collect()
}

fn kinds<'a>(spoiled: &BTreeMap<&(Partition, Key), (&'a str, Vec<u8>)>) -> Vec<&'a str> {
    spoiled.values().map(|(kind, _)| *kind).collect()
}
