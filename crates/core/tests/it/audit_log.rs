//! The segment files: whatever is done to one is found, and no event of a change is ever lost on the way into them.

use std::time::Duration;

use coffer_core::{Files, SegmentReport, verify_segment};
use coffer_store::{
    Engine, EngineError, Write,
    testing::{Call, Fault},
};
use serde_json::Value;

use crate::{
    cabinet::FileCall,
    house::{House, count},
};

const HEADER_LEN: usize = 64;
/// How long the log leaves a disk alone that has refused.
const PAUSE: Duration = Duration::from_millis(100);

/// A house in which this many reads were made, so that one segment holds this many events.
async fn read_often(seed: u64, reads: usize) -> House {
    let house = House::seeded(seed);
    for _ in 0..reads {
        house.get("a").await.unwrap();
    }
    house
}

fn first(house: &House) -> (String, Vec<u8>) {
    let name = house.files.list().unwrap().remove(0);
    let bytes = house.files.bytes(&name);
    (name, bytes)
}

fn verify(house: &House, bytes: &[u8]) -> (SegmentReport, Vec<String>) {
    let mut events = Vec::new();
    let report = verify_segment(&house.barrier, bytes, &mut |event| events.push(event.to_owned()));
    (report, events)
}

/// Where each frame begins, and the end.
fn frames(bytes: &[u8]) -> Vec<usize> {
    let mut starts = vec![HEADER_LEN];
    while let Some(head) = bytes.get(starts[starts.len() - 1]..).filter(|rest| rest.len() >= 4) {
        let length = u32::from_be_bytes(head[..4].try_into().unwrap()) as usize;
        starts.push(starts[starts.len() - 1] + 8 + length);
    }
    starts
}

#[tokio::test]
async fn a_good_segment_is_good() {
    let house = read_often(1, 5).await;
    let (report, events) = verify(&house, &first(&house).1);
    assert_eq!((report.events, report.torn_bytes, &report.problem, events.len()), (5, 0, &None, 5));
}

#[tokio::test]
async fn any_changed_byte_is_found() {
    let house = read_often(2, 3).await;
    let (_, good) = first(&house);
    let (_, told) = verify(&house, &good);
    for at in 0..good.len() {
        for flip in [0x01, 0x80] {
            let mut bad = good.clone();
            bad[at] ^= flip;
            let (report, events) = verify(&house, &bad);
            assert!(report.problem.is_some() || report.torn_bytes > 0, "byte {at}");
            // What comes before the damage is told, and nothing that was never written.
            assert!(events.len() < told.len() && told.starts_with(&events), "byte {at}");
        }
    }
}

/// As a power cut leaves a file for which room was made before its bytes were written.
#[tokio::test]
async fn a_tail_of_zeros_is_torn_and_not_damaged() {
    let house = read_often(9, 3).await;
    let (_, good) = first(&house);
    let last = frames(&good)[2];
    for cut in last..good.len() {
        for zeros in [16, 4096] {
            let mut bad = good[..cut].to_vec();
            bad.resize(good.len() + zeros, 0);
            let (report, _) = verify(&house, &bad);
            let events = if bad.starts_with(&good) { 3 } else { 2 };
            assert_eq!((report.events, &report.problem), (events, &None), "{cut} {zeros}");
            assert!(report.torn_bytes >= zeros as u64, "{cut} {zeros}");
        }
    }
    // Zeros in front of a frame are nothing that a power cut leaves.
    let mut bad = good.clone();
    bad[frames(&good)[1]..last].fill(0);
    assert!(verify(&house, &bad).0.problem.is_some());
}

#[tokio::test]
async fn a_cut_is_told_as_a_torn_tail_or_as_fewer_events() {
    let house = read_often(3, 3).await;
    let (_, good) = first(&house);
    let starts = frames(&good);
    for cut in 0..good.len() {
        let (report, events) = verify(&house, &good[..cut]);
        let whole = starts.iter().filter(|start| **start <= cut).count().saturating_sub(1);
        assert_eq!(
            (report.events as usize, events.len(), &report.problem),
            (whole, whole, &None),
            "cut at {cut}"
        );
        let rest = if cut < HEADER_LEN { cut } else { cut - starts[whole] };
        assert_eq!(report.torn_bytes as usize, rest, "cut at {cut}");
    }
}

#[tokio::test]
async fn a_frame_that_is_dropped_doubled_moved_or_carried_over_is_found() {
    let house = read_often(4, 4).await;
    let (_, good) = first(&house);
    let restarted = house.restarted();
    for _ in 0..4 {
        restarted.get("a").await.unwrap();
    }
    let names = restarted.files.list().unwrap();
    assert_eq!(names.len(), 2);
    let other = restarted.files.bytes(&names[1]);
    let starts = frames(&good);
    let frame = |bytes: &[u8], at: usize| {
        let starts = frames(bytes);
        bytes[starts[at]..starts[at + 1]].to_vec()
    };
    let build = |parts: &[Vec<u8>]| [&good[..HEADER_LEN], &parts.concat()[..]].concat();
    let own: Vec<_> = (0..4).map(|at| frame(&good, at)).collect();
    let of_other: Vec<_> = (0..4).map(|at| frame(&other, at)).collect();
    assert_eq!(starts.len(), 5);
    for (what, bad, before) in [
        ("the first dropped", build(&own[1..]), 0),
        ("one dropped", build(&[own[0].clone(), own[2].clone(), own[3].clone()]), 1),
        ("one doubled", build(&[own[0].clone(), own[0].clone(), own[1].clone()]), 1),
        ("two swapped", build(&[own[0].clone(), own[2].clone(), own[1].clone(), own[3].clone()]), 1),
        ("one from another segment", build(&[own[0].clone(), of_other[1].clone()]), 1),
        ("all from another segment", build(&of_other), 0),
        ("another header", [&other[..HEADER_LEN], &good[HEADER_LEN..]].concat(), 0),
        ("an empty frame", build(&[own[0].clone(), vec![0; 8], own[1].clone()]), 1),
    ] {
        let (report, events) = verify(&restarted, &bad);
        assert!(report.problem.is_some(), "{what}");
        assert_eq!(events.len(), before, "{what}");
    }
    let stranger = House::seeded(99);
    assert!(verify(&stranger, &good).0.problem.is_some(), "the key of another store");
}

#[tokio::test]
async fn damaged_bytes_of_any_kind_never_panic() {
    let house = read_often(5, 3).await;
    let (_, good) = first(&house);
    for _ in 0..5000 {
        let mut bad = good.clone();
        for _ in 0..=house.entropy.below(4) {
            let at = house.entropy.below(bad.len() as u64) as usize;
            bad[at] = house.entropy.next().to_be_bytes()[0];
        }
        bad.truncate(house.entropy.below(bad.len() as u64 + 1) as usize);
        verify(&house, &bad);
    }
}

#[tokio::test]
async fn a_new_process_begins_a_new_segment() {
    let house = read_often(6, 2).await;
    let before = first(&house);
    let again = house.restarted();
    again.get("a").await.unwrap();
    assert_eq!(first(&again), before);
    assert_eq!(again.files.list().unwrap(), ["reads-0000000001.seg", "reads-0000000002.seg"]);
    // Names that are not ours are no reason to stumble, however large their number.
    for stray in ["reads-18446744073709551615.seg.old", "reads-x.seg", "lost+found"] {
        again.files.put(stray, b"?".to_vec());
    }
    let third = again.restarted();
    third.get("a").await.unwrap();
    assert!(third.files.list().unwrap().contains(&"reads-0000000003.seg".to_owned()));
}

#[tokio::test]
async fn a_number_that_cannot_be_counted_further_is_an_error_and_no_panic() {
    let house = House::seeded(7);
    house.files.put("reads-18446744073709551615.seg", Vec::new());
    let again = house.restarted();
    let look = crate::service::script(|cx| count(cx, "a"));
    assert!(again.call(&crate::house::admin(), &crate::service::LOOK, look).await.is_none());
}

#[tokio::test]
async fn nothing_follows_a_write_that_failed_and_what_came_before_is_synced() {
    let house = read_often(8, 2).await;
    let (name, bytes) = first(&house);
    house.files.fail_after(0, FileCall::Append);
    let look = crate::service::script(|cx| count(cx, "a"));
    assert!(house.call(&crate::house::admin(), &crate::service::LOOK, look).await.is_none());
    house.clock.advance(PAUSE);
    house.get("a").await.unwrap();
    let (report, _) = verify(&house, &house.files.bytes(&name));
    assert_eq!((report.events, &report.problem), (2, &None));
    assert!(report.torn_bytes > 0);
    // Two answers rest on this file, and nobody will sync it later.
    assert!(house.files.synced(&name) >= bytes.len());
    assert_eq!(house.logged().len(), 3);
}

#[tokio::test]
async fn a_full_segment_is_synced_and_the_next_one_begins() {
    let house = House::seeded(15).with_segments_of(4096);
    for _ in 0..40 {
        house.get("a").await.unwrap();
    }
    let names = house.files.list().unwrap();
    assert!((5..40).contains(&names.len()), "{names:?}");
    for name in &names[..names.len() - 1] {
        let bytes = house.files.bytes(name);
        assert_eq!(house.files.synced(name), bytes.len());
        assert!((4096..8192).contains(&bytes.len()));
        assert_eq!(verify(&house, &bytes).0.problem, None);
    }
    assert_eq!(house.logged().len(), 40);
}

#[tokio::test]
async fn a_failed_sync_is_not_forgotten() {
    let house = read_often(9, 2).await;
    house.files.fail_after(0, FileCall::Sync);
    assert!(house.core.audit().sync().is_err());
    // A second attempt would succeed and mean nothing: the kernel has dropped the pages.
    assert!(house.core.audit().sync().is_err());
    let look = crate::service::script(|cx| count(cx, "a"));
    assert!(house.call(&crate::house::admin(), &crate::service::LOOK, look).await.is_none());
    house.set("a", 1).await;
    assert!(house.core.move_audit_rows().is_err());
    assert_eq!(house.rows().len(), 1);
    let again = house.restarted();
    assert_eq!(again.core.move_audit_rows().unwrap(), 1);
}

fn ids(events: &[Value]) -> Vec<String> {
    let mut ids: Vec<_> = events.iter().map(|event| event["eventID"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn events_of_changes_move_into_the_files_and_are_synced_there() {
    let house = House::seeded(10);
    for value in 0..30 {
        house.set("a", value).await;
    }
    let mut there = crate::house::admin();
    there.region = "us-east-1".parse().unwrap();
    let save = crate::service::script(|cx| crate::house::save(cx, "a", 0));
    house.call(&there, &crate::service::CHANGE, save).await.unwrap();
    let before = house.rows();
    assert_eq!(before.len(), 31);
    assert_eq!(house.core.move_audit_rows().unwrap(), 31);
    assert_eq!((house.rows().len(), ids(&house.logged())), (0, ids(&before)));
    let (name, bytes) = first(&house);
    assert_eq!(house.files.synced(&name), bytes.len());
    assert_eq!(house.core.move_audit_rows().unwrap(), 0);
}

#[tokio::test]
async fn an_end_in_the_middle_of_a_move_doubles_events_and_loses_none() {
    let unavailable = || EngineError::unavailable("test");
    for (what, call, fault, doubled) in [
        ("rows cannot be read", 1, Fault::Before(unavailable()), false),
        ("rows cannot be dropped", 2, Fault::Before(unavailable()), true),
        ("rows were dropped and nobody heard", 2, Fault::After, false),
    ] {
        let house = House::seeded(11);
        for value in 0..5 {
            house.set("a", value).await;
        }
        let before = ids(&house.rows());
        house.engine.fail(Call::Audit, call, fault);
        assert!(house.core.move_audit_rows().is_err(), "{what}");
        let again = house.restarted();
        again.core.move_audit_rows().unwrap();
        let mut after = ids(&again.logged());
        assert_eq!(after.len(), if doubled { 10 } else { 5 }, "{what}");
        after.dedup();
        assert_eq!(after, before, "{what}");
        assert_eq!(again.rows().len(), 0, "{what}");
    }
    for fault in [FileCall::Create, FileCall::Append, FileCall::Sync] {
        let house = House::seeded(12);
        house.set("a", 1).await;
        house.files.fail_after(0, fault);
        assert!(house.core.move_audit_rows().is_err(), "{fault:?}");
        assert_eq!(house.rows().len(), 1, "{fault:?}");
    }
}

/// Bytes that somebody put in the place of an event must not make the event vanish without a word.
#[tokio::test]
async fn a_row_that_does_not_open_leaves_a_mark_in_the_log() {
    let house = House::seeded(13);
    house.set("a", 1).await;
    let mut token = [0; 16];
    coffer_types::Entropy::fill(&*house.entropy, &mut token);
    let mut forged = coffer_store::Txn::new(crate::house::here(), coffer_store::TxnToken(token));
    forged.audit = vec![vec![7; 200].into(), vec![7; 3].into()];
    forged.writes = vec![Write::Delete { key: coffer_store::Key::from(&b"none"[..]) }];
    house.engine.commit(&[forged]).unwrap();
    house.set("a", 2).await;
    assert_eq!(house.core.move_audit_rows().unwrap(), 4);
    let names: Vec<_> = house.logged().iter().map(|event| event["eventName"].clone()).collect();
    assert_eq!(names, ["Change", "AuditRowDamaged", "AuditRowDamaged", "Change"]);
}
