//! How the log stays small: whole segments go, the oldest first, and the log says so itself.

use std::time::Duration;

use coffer_core::{Files, Next, Retention, Succession, verify_segment};
use coffer_types::encoding::HEXLOWER;
use serde_json::Value;

use crate::{
    cabinet::FileCall,
    house::{House, here},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const SEGMENT_BYTES: u64 = 4096;
const BY_AGE: Retention = Retention { age_max: Duration::from_secs(400 * 24 * 60 * 60), bytes_max: u64::MAX };

/// A house whose log has some segments of one day, then some of a day a hundred days later, and so on.
async fn lived_in(seed: u64, periods: usize, retention: Retention) -> House {
    let house = House::seeded(seed).with_retention(SEGMENT_BYTES, retention);
    // A partition exists from its first change on, and tasks with it.
    house.set("a", 1).await;
    house.core.move_audit_rows().unwrap();
    for period in 0..periods {
        if period > 0 {
            house.clock.advance(100 * DAY);
        }
        for _ in 0..20 {
            house.get("a").await.unwrap();
        }
    }
    house
}

fn names(house: &House) -> Vec<String> {
    house.files.list().unwrap()
}

fn bytes(house: &House) -> u64 {
    names(house).iter().map(|name| house.files.length(name).unwrap()).sum()
}

fn retired(house: &House) -> Vec<Value> {
    house.logged().into_iter().filter(|event| event["eventName"] == "AuditSegmentRetired").collect()
}

/// What verification finds missing.
fn gaps(house: &House) -> Vec<(u64, u64)> {
    let mut succession = Succession::default();
    for name in names(house) {
        let bytes = house.files.bytes(&name);
        let report = verify_segment(&house.barrier, &bytes, &mut |event| {
            succession.note_event(event);
        });
        succession.note_segment(&name, &report);
        assert_eq!(report.problem, None, "{name}");
    }
    assert_eq!(succession.strangers(), []);
    succession.gaps()
}

/// The last link of a segment, by the definition of the chain and not by our code.
fn last_link(house: &House, name: &str) -> String {
    let bytes = house.files.bytes(name);
    let mut chain = coffer_crypto::sha256(&bytes[..64]);
    verify_segment(&house.barrier, &bytes, &mut |event| {
        let link = [&[1][..], &chain, event.as_bytes()].concat();
        chain = coffer_crypto::sha256(&link);
    });
    HEXLOWER.encode(&chain)
}

#[tokio::test]
async fn segments_whose_events_are_all_too_old_go_and_the_log_says_which() {
    let house = lived_in(1, 5, BY_AGE).await;
    let before = names(&house);
    let links: Vec<_> = before.iter().map(|name| last_link(&house, name)).collect();
    house.core.run_due_tasks().await.unwrap();
    assert_eq!((names(&house), retired(&house).len()), (before.clone(), 0), "400 days are not over");

    house.clock.advance(DAY);
    house.core.run_due_tasks().await.unwrap();
    let after = names(&house);
    let gone = before.len() - after.iter().filter(|name| before.contains(name)).count();
    // The first of five periods went, but for the segment that the second began to write into.
    assert!((2..before.len() / 4).contains(&gone), "{gone} of {before:?}");
    assert_eq!(after[0], before[gone]);
    let events = retired(&house);
    assert_eq!(events.len(), gone);
    for (at, event) in events.iter().enumerate() {
        let said = &event["additionalEventData"];
        assert_eq!((&said["segment"], &said["reason"]), (&before[at].clone().into(), &"age".into()));
        assert_eq!(said["chain"], links[at].clone());
        assert_eq!(said["until"], "2026-01-02T03:04:05Z");
        assert!(said["problem"].is_null() && said["events"].as_str().unwrap().parse::<u64>().unwrap() > 2);
        assert_eq!(event["recipientAccountId"], here().account.as_str());
    }
    assert_eq!(gaps(&house), []);
    // It is in the list of tasks, and looks again by itself.
    let state = house.core.task_states().into_iter().find(|state| state.name == "audit-retirement").unwrap();
    assert!(matches!(state.next, Next::At(_)) && state.last_error.is_none());
    house.clock.advance(200 * DAY);
    house.core.run_due_tasks().await.unwrap();
    assert!(names(&house).len() < after.len());
}

#[tokio::test]
async fn a_log_that_is_too_large_loses_its_oldest_segments_and_never_the_newest() {
    let house = lived_in(2, 3, Retention { bytes_max: 16_000, ..BY_AGE }).await;
    let before = names(&house);
    assert!(bytes(&house) > 40_000);
    house.core.run_due_tasks().await.unwrap();
    assert!(bytes(&house) <= 16_000 && bytes(&house) > 8_000, "{}", bytes(&house));
    assert!(retired(&house).iter().all(|event| event["additionalEventData"]["reason"] == "size"));
    assert!(before.last() <= names(&house).last());
    assert_eq!(gaps(&house), []);

    // However little may be kept, the segment that is written stays, and the log goes on.
    let house = house.with_retention(SEGMENT_BYTES, Retention { bytes_max: 0, ..BY_AGE });
    house.core.run_due_tasks().await.unwrap();
    assert_eq!(names(&house).len(), 1);
    house.get("a").await.unwrap();
    let again = house.restarted();
    again.get("a").await.unwrap();
    assert_eq!(names(&again).len(), 2);
    assert_eq!(gaps(&again), []);
}

#[tokio::test]
async fn a_segment_that_somebody_took_away_is_missed() {
    let house = lived_in(3, 3, Retention { bytes_max: 30_000, ..BY_AGE }).await;
    house.core.run_due_tasks().await.unwrap();
    let names = names(&house);
    let number = |name: &str| name[6..16].parse::<u64>().unwrap();
    assert_eq!(gaps(&house), []);
    for at in [0, 2] {
        let bytes = house.files.bytes(&names[at]);
        house.files.remove(&names[at]).unwrap();
        assert_eq!(gaps(&house), [(number(&names[at]), number(&names[at]))]);
        house.files.put(&names[at], bytes);
    }
}

/// Whatever fails, and wherever the process ends: nothing is gone that the log does not say is gone.
#[tokio::test]
async fn a_retirement_that_fails_halfway_is_finished_later() {
    let small = Retention { bytes_max: 16_000, ..BY_AGE };
    for (what, fault, others) in [
        ("the event cannot be written", FileCall::Append, 0),
        ("the file stays", FileCall::Remove, 0),
        ("the third file stays", FileCall::Remove, 2),
    ] {
        let house = lived_in(4, 3, small).await;
        house.files.fail_after(others, fault);
        house.core.run_due_tasks().await.unwrap();
        let state =
            house.core.task_states().into_iter().find(|state| state.name == "audit-retirement").unwrap();
        assert!(state.last_error.is_some(), "{what}");
        assert_eq!(gaps(&house), [], "{what}");
        assert!(bytes(&house) > 16_000, "{what}");

        let again = house.with_retention(SEGMENT_BYTES, small);
        again.core.run_due_tasks().await.unwrap();
        assert!(bytes(&again) <= 16_000, "{what}");
        assert_eq!(gaps(&again), [], "{what}");
    }
}

#[tokio::test]
async fn damage_in_a_segment_is_told_when_it_goes() {
    let house = lived_in(5, 3, Retention { bytes_max: 16_000, ..BY_AGE }).await;
    let names = names(&house);
    for (name, at) in [(&names[0], 0), (&names[1], 1000)] {
        let mut bytes = house.files.bytes(name);
        bytes[at] ^= 1;
        house.files.put(name, bytes);
    }
    house.files.put(&names[2], vec![7; 10]);
    house.core.run_due_tasks().await.unwrap();
    let problems: Vec<_> =
        retired(&house).iter().take(3).map(|event| event["additionalEventData"]["problem"].clone()).collect();
    assert_eq!(problems[0], "not an audit segment");
    assert!(problems[1].as_str().unwrap().contains("frame"), "{problems:?}");
    // A crash leaves less than a header, which is no damage.
    assert_eq!(problems[2], Value::Null);
}

/// A store with many accounts has one log.
#[tokio::test]
async fn the_log_is_looked_at_once_and_not_in_every_partition() {
    let house = lived_in(6, 1, BY_AGE).await;
    for region in ["eu-central-1", "us-east-1"] {
        let mut there = crate::house::admin();
        there.region = region.parse().unwrap();
        house
            .call(
                &there,
                &crate::service::CHANGE,
                crate::service::script(|cx| crate::house::save(cx, "a", 1)),
            )
            .await
            .unwrap();
    }
    house.core.run_due_tasks().await.unwrap();
    let state = house.core.task_states().into_iter().find(|state| state.name == "audit-retirement").unwrap();
    assert_eq!(state.steps, 1);
}
