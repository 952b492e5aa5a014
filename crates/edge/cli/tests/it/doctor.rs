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

#[test]
#[expect(clippy::disallowed_methods, reason = "tasks run in the server's own time")]
fn each_task_says_when_it_ran_and_when_it_runs_next() {
    let place = Place::new();
    let server = place.server();
    let tasks = || {
        let found = place.run(&["doctor"]).done();
        found.lines().filter(|line| line.contains(" task ")).map(str::to_owned).collect::<Vec<_>>()
    };
    for _ in 0..100 {
        if tasks().len() >= 4 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let lines = tasks();
    for name in ["audit-retirement", "deletion-reaper", "replica-messenger", "replicator"] {
        let line = lines.iter().find(|line| line.contains(&format!("task {name} ")));
        let line = line.unwrap_or_else(|| panic!("{name}: {lines:?}"));
        assert!(
            line.starts_with("ok ") && line.contains("last ran at 20") && line.contains(", next "),
            "{line}"
        );
    }
    server.stop();
}

/// The directory of the log is gone, which stands for a disk that takes nothing more.
#[test]
#[expect(clippy::disallowed_methods, reason = "the server moves events in its own time")]
fn a_log_that_cannot_be_written_keeps_nobody_from_looking_or_sealing() {
    let place = Place::new();
    let audit = place.path("data/audit");
    let server = place.server();
    // Until the events of the first start are out of the store, the server may begin a segment at any time.
    for _ in 0..100 {
        if std::fs::read_dir(&audit).unwrap().count() > 0 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    server.stop();
    let server = place.server();
    std::fs::rename(&audit, place.path("data/elsewhere")).unwrap();
    let found = place.run(&["doctor"]);
    let said = format!("{}{}", found.stdout, found.stderr);
    assert!(said.contains("audit log") && said.contains("No such file"), "{found:?}");
    let refused = place.run(&["key", "shares", "create"]);
    assert!(refused.stderr.contains("No such file"), "the true cause: {refused:?}");
    place.run(&["seal"]).done();
    std::fs::rename(place.path("data/elsewhere"), &audit).unwrap();
    server.stop();
}
