//! Two at once: nothing is lost, nothing is decided on what was not true.

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};

use coffer_core::{Cx, Record, Walk, is_damage};
use coffer_shape::ApiError;
use coffer_store::testing::{Call, Fault};

use crate::{
    house::{House, admin, count, number, save},
    service::{CHANGE, LOOK, script},
};

fn add_one(cx: &mut Cx<'_>) -> Result<i64, ApiError> {
    let next = count(cx, "a")? + 1;
    save(cx, "a", next)
}

/// Lets another caller change the store in the middle of a handler, once.
fn meanwhile(house: &Arc<House>, name: &'static str, value: i64) -> impl Fn() + Send + Sync + 'static {
    let (house, done) = (Arc::clone(house), AtomicBool::new(false));
    move || {
        if !done.swap(true, Ordering::SeqCst) {
            let house = Arc::clone(&house);
            let other = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(house.set(name, value));
            });
            other.join().unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_who_count_at_once_lose_no_step() {
    let house = Arc::new(House::seeded(1));
    house.set("a", 0).await;
    let step = script(add_one);
    let tasks: Vec<_> = (0..40)
        .map(|_| {
            let house = Arc::clone(&house);
            tokio::spawn(async move {
                let mut answers = Vec::new();
                for _ in 0..25 {
                    answers.push(number(house.call(&admin(), &CHANGE, step).await.unwrap()).unwrap());
                }
                answers
            })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.extend(task.await.unwrap());
    }
    answers.sort_unstable();
    assert_eq!(answers, (1..=1000).collect::<Vec<_>>());
    assert_eq!(house.get("a").await.unwrap(), 1000);
    // A handler that ran five times was still one call.
    assert_eq!(house.rows().iter().filter(|event| event["eventName"] == "Change").count(), 1001);
}

#[tokio::test]
async fn what_was_read_must_still_be_true_when_something_else_is_written() {
    let house = Arc::new(House::seeded(2));
    house.set("a", 1).await;
    let change = meanwhile(&house, "a", 2);
    let copied = house
        .change(move |cx| {
            let read = count(cx, "a")?;
            change();
            save(cx, "b", read)
        })
        .await;
    assert_eq!((copied.unwrap(), house.get("b").await.unwrap()), (2, 2));
}

#[tokio::test]
async fn what_was_missing_must_still_be_missing() {
    let house = Arc::new(House::seeded(3));
    let change = meanwhile(&house, "a", 5);
    let made = house
        .change(move |cx| {
            let read = count(cx, "a")?;
            change();
            if read == -1 { save(cx, "a", 0) } else { Ok(read) }
        })
        .await;
    assert_eq!((made.unwrap(), house.get("a").await.unwrap()), (5, 5));
}

#[tokio::test]
async fn a_second_look_at_a_record_does_not_hide_that_the_first_one_is_out_of_date() {
    let house = Arc::new(House::seeded(4));
    house.set("a", 1).await;
    let change = meanwhile(&house, "a", 10);
    let added = house
        .change(move |cx| {
            let read = count(cx, "a")?;
            change();
            // Another part of the handler, or another service, looks at the same record.
            count(cx, "a")?;
            save(cx, "a", read + 1)
        })
        .await;
    assert_eq!((added.unwrap(), house.get("a").await.unwrap()), (11, 11));
}

#[tokio::test]
async fn a_reader_of_two_records_sees_both_of_one_instant() {
    let house = Arc::new(House::seeded(5));
    house.set("a", 1).await;
    house.set("b", 1).await;
    let change = {
        let (first, second) = (meanwhile(&house, "a", 2), meanwhile(&house, "b", 2));
        move || {
            first();
            second();
        }
    };
    let sum = house
        .look(move |cx| {
            let read = count(cx, "a")?;
            change();
            Ok(read * 10 + count(cx, "b")?)
        })
        .await;
    assert_eq!(sum.unwrap(), 22);
    assert_eq!(house.logged().len(), 1);
}

#[tokio::test]
async fn an_error_is_not_told_from_two_different_instants() {
    let house = Arc::new(House::seeded(6));
    house.set("a", 1).await;
    let change = meanwhile(&house, "a", 2);
    let outcome = house
        .look(move |cx| {
            let read = count(cx, "a")?;
            change();
            count(cx, "b")?;
            if read == 1 { Err(cx.internal("what it points to is gone")) } else { Ok(read) }
        })
        .await;
    assert_eq!(outcome.unwrap(), 2);
}

#[tokio::test]
async fn a_handler_that_always_loses_gives_up_with_its_event() {
    let house = Arc::new(House::seeded(7));
    house.set("a", 0).await;
    let other = Arc::clone(&house);
    let runs = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&runs);
    let error = house
        .change(move |cx| {
            counted.fetch_add(1, Ordering::Relaxed);
            let read = count(cx, "a")?;
            meanwhile(&other, "a", read + 1)();
            save(cx, "a", 1_000_000)
        })
        .await
        .unwrap_err();
    assert_eq!(error.code(), "InternalServiceError");
    let runs = i64::try_from(runs.load(Ordering::Relaxed)).unwrap();
    assert_eq!(house.get("a").await.unwrap(), runs);
    let events = house.logged();
    assert_eq!(events[0]["errorCode"], "InternalServiceError");
    assert_eq!(events[0]["requestParameters"]["name"], "asked");
}

/// The client goes away while its change is being synced: the change stands, everybody sees it, nothing is left behind.
#[tokio::test]
async fn a_caller_who_leaves_in_the_middle_of_a_commit_leaves_nothing_behind() {
    for loses in [false, true] {
        let house = Arc::new(House::seeded(8));
        house.set("a", 1).await;
        let (open, opened) = mpsc::channel::<()>();
        let (enter, entered) = mpsc::channel::<()>();
        let (opened, enter) = (std::sync::Mutex::new(opened), std::sync::Mutex::new(enter));
        let first = AtomicBool::new(true);
        house.engine.before_commit(Box::new(move |_| {
            if first.swap(false, Ordering::SeqCst) {
                enter.lock().unwrap().send(()).unwrap();
                let _ = opened.lock().unwrap().recv();
            }
        }));
        let caller = admin();
        {
            let run = script(add_one);
            let mut call = Box::pin(house.call(&caller, &CHANGE, run));
            // One poll hands the change to the committer, and then the client is gone.
            let waited = tokio::time::timeout(Duration::from_millis(1), &mut call).await;
            assert!(waited.is_err());
            entered.recv().unwrap();
        }
        if loses {
            // Somebody was faster, behind the back of this process.
            house.engine.fail(Call::Commit, 1, Fault::Before(coffer_store::EngineError::unavailable("test")));
        }
        drop(open);
        house.change(|cx| save(cx, "b", 9)).await.unwrap();
        assert_eq!(house.get("a").await.unwrap(), if loses { 1 } else { 2 });
        assert_eq!(house.core.db().metrics().unconfirmed, 0, "loses: {loses}");
    }
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_asked_for_again_and_counted_once() {
    let house = House::seeded(9);
    house.set("a", 1).await;
    let list = |cx: &mut Cx<'_>| {
        let permit = cx.ask_all(crate::service::COUNT)?;
        let mut sum = 0;
        cx.walk::<crate::service::Counter>(permit, Walk::default(), &mut |counter| {
            sum += counter.count;
            ControlFlow::Continue(())
        })?;
        Ok(sum)
    };
    assert_eq!(house.look(list).await.unwrap(), 1);
    house.engine.fail(Call::Commit, 1, Fault::After);
    assert_eq!(house.change(add_one).await.unwrap(), 2);
    assert_eq!((house.get("a").await.unwrap(), house.look(list).await.unwrap()), (2, 2));
    assert_eq!(house.rows().len(), 2);

    // Lost twice: the caller is told that it is not known. What is in memory is not trusted any more.
    house.engine.fail(Call::Commit, 1, Fault::After);
    house.engine.fail(Call::Commit, 2, Fault::After);
    assert_eq!(house.change(add_one).await.unwrap_err().status(), 503);
    assert_eq!((house.get("a").await.unwrap(), house.look(list).await.unwrap()), (3, 3));
    assert_eq!(house.change(add_one).await.unwrap(), 4);
    assert_eq!(house.core.db().metrics().unconfirmed, 0);
}

#[tokio::test]
async fn a_look_does_not_wait_for_writers() {
    let house = House::seeded(10);
    house.set("a", 1).await;
    house.engine.fail(Call::Commit, 1, Fault::ForEver(coffer_store::EngineError::unavailable("gone")));
    assert_eq!(house.change(add_one).await.unwrap_err().status(), 503);
    let look = script(|cx| count(cx, "a"));
    assert_eq!(number(house.call(&admin(), &LOOK, look).await.unwrap()).unwrap(), 1);
}

#[tokio::test]
async fn a_record_that_does_not_open_is_told_from_a_store_that_does_not_answer() {
    let house = House::seeded(11);
    house.set("a", 1).await;
    let house = house.restarted();
    let fault = coffer_store::EngineError::unavailable("for a moment");
    house.engine.fail(Call::Get, 1, Fault::Before(fault));
    let look = |cx: &mut Cx<'_>| {
        cx.needs_no_permission("this test is about something else");
        let found = cx.find::<crate::service::Counter>(&["a"]);
        Ok(i64::from(found.is_err_and(|error| is_damage(&error))))
    };
    assert_eq!(house.look(look).await.unwrap(), 0);
    let row = house.stored(crate::service::Counter::TABLE.id).remove(0);
    house.tamper(vec![coffer_store::Write::Put { key: row.key, value: vec![0, 1, 2, 3].into() }]);
    let house = house.restarted();
    assert_eq!(house.look(look).await.unwrap(), 1);
}
