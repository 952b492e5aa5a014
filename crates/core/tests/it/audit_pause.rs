//! A log that cannot be written: it refuses at once, tries now and then, leaves nothing behind, and comes back by itself.

use std::time::Duration;

use coffer_core::{Answer, Files, Succession, verify_segment};

use crate::{
    cabinet::FileCall,
    house::{House, admin, count},
    service::{LOOK, script},
};

const PAUSE: Duration = Duration::from_millis(100);
const FIRST: &str = "reads-0000000001.seg";

async fn read(house: &House) -> Option<Answer> {
    house.call(&admin(), &LOOK, script(|cx| count(cx, "a"))).await
}

fn names(house: &House) -> Vec<String> {
    house.files.list().unwrap()
}

#[tokio::test]
async fn a_full_disk_is_asked_once_in_a_while_however_many_requests_there_are() {
    let house = House::seeded(1);
    house.files.fill(true);
    assert!(read(&house).await.is_none());
    assert!(house.core.audit().is_refusing());
    assert!(house.core.audit().refusal().unwrap().contains("no storage space"));
    let tries = house.files.tries();
    for _ in 0..500 {
        assert!(read(&house).await.is_none());
    }
    assert_eq!(house.files.tries(), tries);
    for round in 1..=5 {
        house.clock.advance(PAUSE);
        for _ in 0..20 {
            assert!(read(&house).await.is_none());
        }
        house.core.audit().sync().unwrap();
        assert_eq!(house.files.tries(), tries + round);
    }
    assert_eq!(names(&house), [""; 0]);
}

#[tokio::test]
async fn whatever_fails_first_no_file_is_left_without_an_event() {
    for (what, fault, others) in [
        ("the name", FileCall::Create, 0),
        ("the header", FileCall::Append, 0),
        ("the first event", FileCall::Append, 1),
    ] {
        let house = House::seeded(2);
        house.files.fail_after(others, fault);
        assert!(read(&house).await.is_none(), "{what}");
        assert_eq!(names(&house), [""; 0], "{what}");
        house.clock.advance(PAUSE);
        assert!(read(&house).await.is_some(), "{what}");
        assert!(!house.core.audit().is_refusing(), "{what}");
        assert_eq!((names(&house), house.logged().len()), (vec![FIRST.to_owned()], 1), "{what}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_deleted_either_does_not_block_the_log() {
    let house = House::seeded(3);
    house.files.fail_after(0, FileCall::Append);
    house.files.fail_after(0, FileCall::Remove);
    assert!(read(&house).await.is_none());
    assert_eq!(names(&house), [FIRST]);
    house.clock.advance(PAUSE);
    assert!(read(&house).await.is_some());
    // Its number is not used twice.
    assert_eq!(names(&house), [FIRST, "reads-0000000002.seg"]);
    assert_eq!(house.logged().len(), 1);
}

#[tokio::test]
async fn events_that_were_answered_for_are_never_deleted() {
    let house = House::seeded(4);
    read(&house).await.unwrap();
    house.files.fill(true);
    assert!(read(&house).await.is_none());
    house.clock.advance(PAUSE);
    assert!(read(&house).await.is_none());
    assert_eq!((names(&house), house.logged().len()), (vec![FIRST.to_owned()], 1));
}

/// Nobody may be asking: a node that says it is not ready gets no requests.
#[tokio::test]
async fn the_log_comes_back_by_itself_when_there_is_room() {
    let house = House::seeded(5);
    read(&house).await.unwrap();
    house.files.fill(true);
    assert!(read(&house).await.is_none());
    house.files.fill(false);
    house.core.audit().sync().unwrap();
    assert!(house.core.audit().is_refusing(), "the pause is not over");
    house.clock.advance(PAUSE);
    house.core.audit().sync().unwrap();
    assert!(!house.core.audit().is_refusing());
    read(&house).await.unwrap();
    assert_eq!(house.logged().len(), 2);
    for name in names(&house) {
        assert_eq!(verify_segment(&house.barrier, &house.files.bytes(&name), &mut |_| ()).problem, None);
    }
}

/// A request that was given up leaves its event behind. That it cannot be written is no failed sync, which would end the process.
#[tokio::test]
async fn an_abandoned_event_on_a_full_disk_does_not_end_the_process() {
    let house = House::seeded(6);
    house.files.fill(true);
    {
        let caller = admin();
        let mut call = Box::pin(house.call(&caller, &LOOK, script(|cx| count(cx, "a"))));
        let waker = std::task::Waker::noop();
        assert!(call.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending());
    }
    house.core.audit().sync().unwrap();
    assert!(house.core.audit().is_refusing());
    house.files.fill(false);
    house.clock.advance(PAUSE);
    read(&house).await.unwrap();
    assert_eq!(house.logged().len(), 1);
}

/// A change has its event in its own commit, so it needs no segment.
#[tokio::test]
async fn changes_go_on_and_their_events_wait_in_the_store() {
    let house = House::seeded(7);
    house.files.fill(true);
    assert!(read(&house).await.is_none());
    house.set("a", 1).await;
    assert!(house.core.move_audit_rows().is_err());
    house.files.fill(false);
    house.clock.advance(PAUSE);
    assert_eq!(house.core.move_audit_rows().unwrap(), 1);
    assert_eq!(house.rows().len(), 0);
}

/// What verification says is not what it was.
fn strangers(house: &House) -> Vec<String> {
    let mut succession = Succession::default();
    for name in names(house) {
        let report = verify_segment(&house.barrier, &house.files.bytes(&name), &mut |_| ());
        assert_eq!(report.problem, None, "{name}");
        succession.note_segment(&name, &report);
    }
    succession.strangers().iter().map(|(name, says)| format!("{name}: {says}")).collect()
}

/// Three segments, the second one with a torn end that the third one tells of.
async fn with_a_torn_one(seed: u64) -> House {
    let house = House::seeded(seed);
    for round in 0..2 {
        read(&house).await.unwrap();
        house.files.fail_after(0, FileCall::Append);
        assert!(read(&house).await.is_none(), "{round}");
        house.clock.advance(PAUSE);
        read(&house).await.unwrap();
    }
    assert_eq!(names(&house).len(), 3);
    house
}

#[tokio::test]
async fn a_segment_that_a_failure_left_torn_is_no_stranger() {
    let house = with_a_torn_one(7).await;
    assert_eq!(strangers(&house), [""; 0]);
}

#[tokio::test]
async fn segments_that_a_crash_left_unfinished_are_no_strangers() {
    for cut in [0, 10, 64, 80] {
        let house = House::seeded(8);
        read(&house).await.unwrap();
        let bytes = house.files.bytes(FIRST);
        house.files.put(FIRST, bytes[..cut].to_vec());
        // One more that died before its first event.
        house.files.put("reads-0000000002.seg", Vec::new());
        assert_eq!(strangers(&house).len(), 1, "{cut}: nobody has told of the first one yet");
        read(&house.restarted()).await.unwrap();
        assert_eq!((names(&house).len(), strangers(&house)), (3, vec![]), "{cut}");
    }
}

#[tokio::test]
async fn a_segment_that_was_replaced_swapped_or_emptied_is_a_stranger() {
    let [one, two, three] = [1, 2, 3].map(|number| format!("reads-{number:010}.seg"));
    for (what, expected) in [
        (
            "replaced",
            vec![format!("{one}: its header is the one of {three}"), format!("{three}: it has the same")],
        ),
        (
            "swapped",
            vec![
                format!("{one}: its header is the one of {three}"),
                format!("{three}: its header is the one of {one}"),
            ],
        ),
        ("emptied", vec![format!("{one}: it does not end as it did")]),
        ("its frames taken", vec![format!("{one}: it does not end as it did")]),
        ("torn", vec![format!("{one}: it does not end as it did")]),
    ] {
        let house = House::seeded(9).with_segments_of(1);
        for _ in 0..3 {
            read(&house).await.unwrap();
        }
        let [first, last] = [&one, &three].map(|name| house.files.bytes(name));
        assert!(names(&house).contains(&two));
        match what {
            "replaced" => house.files.put(&one, last),
            "swapped" => {
                house.files.put(&one, last);
                house.files.put(&three, first);
            }
            "emptied" => house.files.put(&one, Vec::new()),
            "its frames taken" => house.files.put(&one, first[..64].to_vec()),
            _ => house.files.put(&one, first[..first.len() - 1].to_vec()),
        }
        let found = strangers(&house);
        for expected in expected {
            assert!(found.iter().any(|found| found.starts_with(&expected)), "{what}: {found:?}");
        }
    }
}
