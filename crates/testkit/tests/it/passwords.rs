//! What generated passwords are made of.

use std::collections::HashSet;

use coffer_testkit::{Engine, TestServer};
use serde_json::{Value, json};

use crate::stage::Stage;

const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &str = "0123456789";
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_hold_the_kinds_that_were_asked_for_and_no_others() {
    let server = TestServer::start(Engine::Memory, 1).await;
    let stage = Stage::new(&server, 0);
    let cases: &[(Value, usize, &[&str], bool)] = &[
        (json!({}), 32, &[LOWER, UPPER, DIGITS, PUNCTUATION], true),
        (json!({"PasswordLength": 4}), 4, &[LOWER, UPPER, DIGITS, PUNCTUATION], true),
        (
            json!({"PasswordLength": 5, "IncludeSpace": true}),
            5,
            &[LOWER, UPPER, DIGITS, PUNCTUATION, " "],
            true,
        ),
        (
            json!({"PasswordLength": 2, "ExcludePunctuation": true, "ExcludeNumbers": true}),
            2,
            &[LOWER, UPPER],
            true,
        ),
        (
            json!({"PasswordLength": 1, "RequireEachIncludedType": false}),
            1,
            &[LOWER, UPPER, DIGITS, PUNCTUATION],
            false,
        ),
        (
            json!({"ExcludeLowercase": true, "ExcludeUppercase": true, "ExcludePunctuation": true}),
            32,
            &[DIGITS],
            true,
        ),
        // A kind that loses all its letters is not required.
        (json!({"PasswordLength": 3, "ExcludeCharacters": DIGITS}), 3, &[LOWER, UPPER, PUNCTUATION], true),
        (json!({"PasswordLength": 4096}), 4096, &[LOWER, UPPER, DIGITS, PUNCTUATION], true),
    ];
    for (input, length, kinds, each) in cases {
        let mut seen = HashSet::new();
        for _ in 0..60 {
            let answer = stage.get("GetRandomPassword", input.clone()).await;
            let password = answer["RandomPassword"].as_str().unwrap().to_owned();
            assert_eq!(password.chars().count(), *length, "{input}");
            assert!(
                password.chars().all(|letter| kinds.iter().any(|kind| kind.contains(letter))),
                "{input} {password}"
            );
            let holds = |kind: &&&str| password.contains(|letter| kind.contains(letter));
            assert!(!each || kinds.iter().all(|kind| holds(&kind)), "{input} {password}");
            seen.insert(password);
        }
        assert!(seen.len() > 10, "{input}: {} different passwords", seen.len());
    }
    server.stop().await;
}
