//! `coffer audit`: the log is read beside a running server and without one, and whatever somebody did to it shows.

use serde_json::Value;

use crate::place::{Outcome, Place};

fn report(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("{outcome:?}"))
}

fn verify(place: &Place) -> Outcome {
    place.run(&["audit", "verify", "--json"])
}

fn segments(place: &Place) -> Vec<String> {
    let names = std::fs::read_dir(place.path("data/audit")).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Three segments with a few local commands each.
fn written() -> Place {
    let place = Place::new();
    for _ in 0..3 {
        let server = place.server();
        for _ in 0..3 {
            place.run(&["doctor"]).done();
        }
        server.stop();
    }
    assert_eq!(segments(&place).len(), 3);
    place
}

#[test]
fn a_whole_log_is_clean_with_and_without_a_server() {
    let place = written();
    let resting = report(&verify(&place));
    assert_eq!((&resting["problem_count"], &resting["segments"]), (&0.into(), &3.into()), "{resting}");
    assert_eq!(resting["end_known_by"], "store", "{resting}");
    let server = place.server();
    let running = report(&verify(&place));
    assert_eq!(
        (&running["problem_count"], &running["end_known_by"]),
        (&0.into(), &"server".into()),
        "{running}"
    );
    assert!(running["events"].as_u64() > resting["events"].as_u64(), "{running}");
    let table = place.run(&["audit", "verify"]).done();
    assert!(table.contains("problems              0") && table.contains("the running server"), "{table}");
    server.stop();
}

#[test]
fn a_sealed_server_leaves_the_log_to_be_read() {
    let place = written();
    let server = place.server();
    place.run(&["seal"]).done();
    let sealed = report(&verify(&place));
    assert_eq!(
        (&sealed["problem_count"], &sealed["end_known_by"]),
        (&0.into(), &"nobody".into()),
        "{sealed}"
    );
    let table = place.run(&["audit", "verify"]).done();
    assert!(table.contains("would not be seen"), "{table}");
    server.stop();
}

/// A server that starts writes a segment of its own, which must not heal what was done before.
#[test]
fn what_somebody_did_to_the_log_is_named_with_its_file_also_after_a_server_has_started() {
    for (what, at, after_start) in [
        ("is damaged", 0, "is damaged"),
        ("is damaged", 2, "is damaged"),
        ("does not end as it did", 1, "does not end as it did"),
        ("which ends before that", 2, "found less in"),
        ("its header is the one of", 1, "its header is the one of"),
    ] {
        let place = written();
        let names = segments(&place);
        let name = format!("data/audit/{}", names[at]);
        let mut bytes = place.read(&name);
        match what {
            "is damaged" => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            }
            "its header is the one of" => bytes = place.read(&format!("data/audit/{}", names[0])),
            _ => bytes.truncate(bytes.len() - 7),
        }
        place.write(&name, &bytes);
        for (server, says) in [(false, what), (true, after_start)] {
            let running = server.then(|| place.server());
            let outcome = verify(&place);
            assert_eq!(outcome.code, 2, "{says}: {outcome:?}");
            if let Some(running) = running {
                running.stop();
                assert_eq!(verify(&place).code, 2, "{says}");
            }
            let found = report(&if server { verify(&place) } else { outcome });
            let named = found["problems"].as_array().unwrap().iter().any(|problem| {
                let text = problem["says"].as_str().unwrap();
                text.contains(says) && (problem["place"] == *names[at] || text.contains(&names[at]))
            });
            assert!(named, "{says}: {found}");
        }
    }
    let place = written();
    std::fs::remove_file(place.path("data/audit").join(&segments(&place)[1])).unwrap();
    assert!(verify(&place).stdout.contains("segments 2 to 2 are missing"));
}

/// Events after the last server stopped; the place of the server is kept by the caller.
fn search(place: &Place, filter: &[&str]) -> Vec<Value> {
    let outcome = place.run(&[&["audit", "search", "--json"], filter].concat());
    let lines = outcome.done();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn events_are_found_by_what_they_say() {
    let place = written();
    let all = search(&place, &[]);
    assert!(all.len() >= 10, "{}", all.len());
    assert!(all.is_sorted_by_key(|event| event["eventTime"].as_str().unwrap().to_owned()) || all.len() > 1);
    let one = all.iter().find(|event| event["eventName"] == "Examine").unwrap();
    let id = one["eventID"].as_str().unwrap();
    assert_eq!(search(&place, &["--event-id", id]), std::slice::from_ref(one));
    let examined = search(&place, &["--event-name", "Examine"]);
    assert_eq!(examined.len(), 9);
    assert!(examined.iter().all(|event| event["eventType"] == "CofferLocalCommand"));
    for (filter, expected) in [
        (&["--event-name", "Examine", "--from", "1h"][..], 9),
        (&["--event-name", "Examine", "--to", "1h"], 0),
        (&["--event-name", "Examine", "--from", "2099-01-01"], 0),
        (&["--event-name", "Exam"], 0),
        (&["--event-name", "Examine", "--user", "local"], 0),
        (&["--event-name", "Examine", "--error-code", "AccessDenied"], 0),
        (&["--access-key-id", "AKIAIOSFODNN7EXAMPLE"], 0),
        (&["--resource", "db/password"], 0),
    ] {
        assert_eq!(search(&place, filter).len(), expected, "{filter:?}");
    }
    let table = place.run(&["audit", "search", "--event-name", "Examine"]).done();
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 10, "{table}");
    assert!(lines[0].starts_with("time ") && lines[1].contains("  Examine "), "{table}");
    let bad = place.run(&["audit", "search", "--from", "yesterday"]);
    assert_eq!(bad.code, 1);
    assert!(bad.stderr.contains("yesterday is no time"), "{bad:?}");
}

#[test]
fn a_search_beside_a_server_sees_what_was_just_done_and_is_on_record() {
    let place = Place::new();
    let server = place.server();
    std::fs::rename(place.path("data/bootstrap/credentials"), place.path("kept")).unwrap();
    place.run(&["admin", "key", "create"]).done();
    let made = search(&place, &["--from", "5m"]);
    assert!(made.iter().any(|event| event["additionalEventData"]["uid"].is_string()), "{made:?}");
    let searched = search(&place, &["--event-name", "SearchAuditTrail"]);
    assert_eq!(searched.len(), 2, "the one before and this one");
    server.stop();
}

#[test]
fn a_search_goes_on_after_damage_and_says_so() {
    let place = written();
    let names = segments(&place);
    let name = format!("data/audit/{}", names[1]);
    let mut bytes = place.read(&name);
    bytes[64 + 20] ^= 1;
    place.write(&name, &bytes);
    let outcome = place.run(&["audit", "search", "--json"]);
    assert_eq!(outcome.code, 2, "{outcome:?}");
    assert!(
        outcome.stderr.contains(&names[1]) && outcome.stderr.contains("coffer audit verify"),
        "{outcome:?}"
    );
    assert!(outcome.stdout.lines().count() >= 6, "{outcome:?}");
}
