//! `coffer doctor`: what is found on the day that nothing starts.

use std::fs;

use crate::place::{Outcome, Place};

#[test]
fn doctor_sees_a_store_that_is_missing_or_broken() {
    let place = Place::new();
    let server = place.server();
    let store = |outcome: &Outcome| {
        let findings: Vec<serde_json::Value> = serde_json::from_str(&outcome.stdout).unwrap();
        findings.into_iter().find(|finding| finding["about"] == "store").unwrap()
    };
    assert_eq!(store(&place.run(&["doctor", "--json"]))["grade"], "good");
    fs::rename(place.path("data/store.db"), place.path("moved")).unwrap();
    let taken_away = place.run(&["doctor", "--json"]);
    assert_eq!((taken_away.code, &store(&taken_away)["grade"]), (1, &"bad".into()), "{taken_away:?}");
    fs::rename(place.path("moved"), place.path("data/store.db")).unwrap();
    server.stop();

    assert_eq!(store(&place.run(&["doctor", "--json"]))["grade"], "good");
    let mut bytes = place.read("data/store.db");
    bytes[..100].fill(0);
    place.write("data/store.db", &bytes);
    let broken = place.run(&["doctor", "--json"]);
    assert_eq!(broken.code, 1);
    let finding = store(&broken);
    assert!(finding["says"].as_str().unwrap().contains("damaged"), "{finding}");
    assert!(finding["next"].as_str().unwrap().contains("coffer verify"), "{finding}");
}
