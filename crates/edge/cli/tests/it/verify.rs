//! `coffer verify`: what is damaged is found, what is whole is not complained about.

mod look;

use crate::place::Place;

/// Version 1 of a record, then envelope version and suite, epoch 1, revision 1.
const SEALED: [u8; 16] = [0, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
/// From there into the ciphertext.
const INTO_TEXT: usize = 100;

fn stopped() -> Place {
    let place = Place::new();
    place.server().stop();
    place
}

fn segment(place: &Place) -> String {
    let name = std::fs::read_dir(place.path("data/audit")).unwrap().next().unwrap().unwrap().file_name();
    format!("data/audit/{}", name.into_string().unwrap())
}

#[test]
fn a_whole_store_is_clean() {
    let place = stopped();
    let report: serde_json::Value = serde_json::from_str(&place.run(&["verify", "--json"]).done()).unwrap();
    assert_eq!((&report["records"], &report["problem_count"]), (&4.into(), &0.into()), "{report}");
    assert!(
        report["segment_events"].as_u64().unwrap() + report["audit_rows"].as_u64().unwrap() >= 1,
        "{report}"
    );
}

#[test]
fn a_flipped_byte_in_a_record_is_found() {
    let place = stopped();
    let mut bytes = place.read("data/store.db");
    let at = bytes.windows(SEALED.len()).position(|window| window == SEALED).unwrap() + INTO_TEXT;
    bytes[at] ^= 1;
    place.write("data/store.db", &bytes);
    let outcome = place.run(&["verify"]);
    assert_eq!(outcome.code, 2, "{outcome:?}");
    assert!(outcome.stdout.contains("DAMAGED") && outcome.stdout.contains("does not open"), "{outcome:?}");
}

#[test]
fn a_flipped_byte_in_the_audit_log_is_found() {
    let place = Place::new();
    let server = place.server();
    // Commands are on record: so there is a segment with something in it.
    place.run(&["doctor"]).done();
    server.stop();
    let name = segment(&place);
    let mut bytes = place.read(&name);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    place.write(&name, &bytes);
    let outcome = place.run(&["verify"]);
    assert_eq!(outcome.code, 2, "{outcome:?}");
    assert!(outcome.stdout.contains("frame"), "{outcome:?}");
}

/// Every process begins a segment, and every command is on record.
fn with_segments(count: usize) -> Place {
    let place = Place::new();
    for _ in 0..count {
        let server = place.server();
        place.run(&["doctor"]).done();
        server.stop();
    }
    assert!(segments(&place).len() >= count);
    place
}

fn segments(place: &Place) -> Vec<String> {
    let names = std::fs::read_dir(place.path("data/audit")).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn an_audit_segment_that_was_taken_away_is_missed() {
    for at in [0, 1] {
        let place = with_segments(3);
        std::fs::remove_file(place.path("data/audit").join(&segments(&place)[at])).unwrap();
        let outcome = place.run(&["verify"]);
        assert_eq!(outcome.code, 2, "{outcome:?}");
        assert!(outcome.stdout.contains("are missing"), "{outcome:?}");
    }
}

#[test]
fn an_audit_segment_that_was_replaced_or_emptied_is_noticed() {
    let place = with_segments(3);
    let names = segments(&place);
    let [first, second] = [&names[0], &names[1]].map(|name| format!("data/audit/{name}"));
    let whole = place.read(&first);
    for (bytes, says) in
        [(place.read(&second), "its header is the one of"), (Vec::new(), "it does not end as it did")]
    {
        place.write(&first, &bytes);
        let outcome = place.run(&["verify"]);
        assert_eq!(outcome.code, 2, "{outcome:?}");
        assert!(outcome.stdout.contains(says), "{outcome:?}");
    }
    place.write(&first, &whole);
    place.run(&["verify"]).done();
}

/// Nothing follows the newest segment that could say how it ended, but the store remembers.
#[test]
fn a_newest_audit_segment_that_was_cut_or_taken_away_is_noticed() {
    let place = with_segments(2);
    let newest = format!("data/audit/{}", segments(&place)[1]);
    let whole = place.read(&newest);
    for (cut, says) in [(whole.len() - 1, "which ends before that"), (64, "which ends before that")] {
        place.write(&newest, &whole[..cut]);
        let outcome = place.run(&["verify"]);
        assert_eq!(outcome.code, 2, "{outcome:?}");
        assert!(outcome.stdout.contains(says), "{cut} {outcome:?}");
    }
    std::fs::remove_file(place.path(&newest)).unwrap();
    let outcome = place.run(&["verify"]);
    assert_eq!(outcome.code, 2, "{outcome:?}");
    assert!(outcome.stdout.contains("it is gone"), "{outcome:?}");
    place.write(&newest, &whole);
    place.run(&["verify"]).done();
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the server retires segments in its own time")]
fn an_audit_segment_that_was_retired_is_not_missed() {
    let place = with_segments(3);
    place.write("small.toml", b"[audit]\nkeep_size = \"1 KiB\"");
    let before = segments(&place);
    let config = place.path("small.toml");
    let server = place.start(&["server", "--config", config.to_str().unwrap()]);
    for _ in 0..100 {
        if segments(&place).len() == 1 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let after = segments(&place);
    assert!(after.len() == 1 && after.last() > before.last(), "{before:?} {after:?}");
    let found = place.run(&["doctor"]).done();
    assert!(found.contains("task audit-retirement"), "{found}");
    server.stop();
    let report: serde_json::Value = serde_json::from_str(&place.run(&["verify", "--json"]).done()).unwrap();
    assert_eq!((&report["segments"], &report["problem_count"]), (&1.into(), &0.into()), "{report}");
}

#[test]
fn a_flipped_byte_in_the_keyring_is_damage_and_not_a_wrong_key() {
    let place = stopped();
    let mut bytes = place.read("data/keyring");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    place.write("data/keyring", &bytes);
    let outcome = place.run(&["verify"]);
    assert_eq!(outcome.code, 2, "{outcome:?}");
    assert!(outcome.stderr.contains("is damaged"), "{outcome:?}");
}

#[test]
fn a_store_in_use_is_not_verified() {
    let place = Place::new();
    let _server = place.server();
    let outcome = place.run(&["verify"]);
    assert!(outcome.code == 1 && outcome.stderr.contains("is in use"), "{outcome:?}");
}
