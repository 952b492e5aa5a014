//! Work nobody waits for: it is done when it is due, a hint is not lost, and a failure is visible and tried again.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};

use coffer_core::{Cx, Next, Task};
use coffer_shape::ApiError;
use coffer_types::Clock;

use crate::{
    house::{House, admin, count, here, number, save},
    service::{CHANGE, script},
};

type Step = dyn Fn(&mut Cx<'_>, u64) -> Result<Next, ApiError> + Send + Sync;

/// A task that does what the test says; the number counts its steps.
struct Chore {
    step: Box<Step>,
    steps: Arc<AtomicU64>,
}

impl Task for Chore {
    const NAME: &'static str = "chore";

    fn step(&self, cx: &mut Cx<'_>) -> Result<Next, ApiError> {
        (self.step)(cx, self.steps.fetch_add(1, Ordering::SeqCst) + 1)
    }
}

async fn house(
    seed: u64,
    step: impl Fn(&mut Cx<'_>, u64) -> Result<Next, ApiError> + Send + Sync + 'static,
) -> (Arc<House>, Arc<AtomicU64>) {
    let steps = Arc::new(AtomicU64::new(0));
    let chore = Chore { step: Box::new(step), steps: Arc::clone(&steps) };
    let house = House::with(seed, |registry| registry.task(chore));
    // A partition exists from its first change on.
    house.set("a", 0).await;
    (Arc::new(house), steps)
}

fn hint() -> i64 {
    script(|cx| {
        cx.activate("chore");
        save(cx, "a", 1)
    })
}

#[tokio::test]
async fn a_task_runs_while_there_is_more_and_then_when_it_is_due() {
    let (house, steps) = house(1, |cx, step| match step {
        1 | 2 => Ok(Next::Now),
        3 => Ok(Next::At(cx.now().plus(Duration::from_secs(60)))),
        _ => Ok(Next::Idle),
    })
    .await;
    let due = house.core.run_due_tasks().await.unwrap();
    assert_eq!(steps.load(Ordering::SeqCst), 3);
    assert!(matches!(due, Next::At(at) if at.to_iso_seconds() == "2026-01-02T03:05:05Z"), "{due:?}");
    house.clock.advance(Duration::from_secs(59));
    assert_eq!(house.core.run_due_tasks().await.unwrap(), due);
    assert_eq!(steps.load(Ordering::SeqCst), 3);
    house.clock.advance(Duration::from_secs(1));
    assert_eq!(house.core.run_due_tasks().await.unwrap(), Next::Idle);
    house.clock.advance(Duration::from_secs(1_000_000));
    assert_eq!(house.core.run_due_tasks().await.unwrap(), Next::Idle);
    assert_eq!(steps.load(Ordering::SeqCst), 4);
    // Only somebody who knows of work wakes it now.
    house.call(&admin(), &CHANGE, hint()).await.unwrap();
    house.core.task_hint().await;
    house.core.run_due_tasks().await.unwrap();
    assert_eq!(steps.load(Ordering::SeqCst), 5);
    assert_eq!(house.core.task_states()[0].steps, 5);
}

#[tokio::test]
async fn a_hint_during_a_run_is_not_lost_under_its_result() {
    let kept: Arc<Mutex<Option<Arc<House>>>> = Arc::default();
    let inside = Arc::clone(&kept);
    let (house, steps) = house(2, move |_, step| {
        if step == 1 {
            let house = inside.lock().unwrap().clone().unwrap();
            let other = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                number(runtime.block_on(house.call(&admin(), &CHANGE, hint())).unwrap()).unwrap();
            });
            other.join().unwrap();
        }
        Ok(Next::Idle)
    })
    .await;
    *kept.lock().unwrap() = Some(Arc::clone(&house));
    assert_eq!(house.core.run_due_tasks().await.unwrap(), Next::Now);
    assert_eq!(house.core.run_due_tasks().await.unwrap(), Next::Idle);
    assert_eq!(steps.load(Ordering::SeqCst), 2);
    kept.lock().unwrap().take();
}

/// The reaper would sleep for ever on a deletion whose client did not wait for the answer.
#[tokio::test]
async fn the_hint_of_a_caller_who_left_is_not_lost() {
    let (house, steps) = house(3, |_, _| Ok(Next::Idle)).await;
    house.core.run_due_tasks().await.unwrap();
    let (open, opened) = mpsc::channel::<()>();
    let opened = Mutex::new(opened);
    house.engine.before_commit(Box::new(move |_| {
        let _ = opened.lock().unwrap().recv();
    }));
    let caller = admin();
    {
        let mut call = Box::pin(house.call(&caller, &CHANGE, hint()));
        assert!(tokio::time::timeout(Duration::from_millis(1), &mut call).await.is_err());
    }
    drop(open);
    house.core.task_hint().await;
    house.core.run_due_tasks().await.unwrap();
    assert_eq!(steps.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_hint_without_a_change_is_a_hint_too() {
    let (house, steps) = house(4, |_, _| Ok(Next::Idle)).await;
    house.core.run_due_tasks().await.unwrap();
    house
        .look(|cx| {
            cx.needs_no_permission("this test is about something else");
            cx.activate("chore");
            Ok(0)
        })
        .await
        .unwrap();
    house.core.run_due_tasks().await.unwrap();
    assert_eq!(steps.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_task_that_fails_says_so_and_is_tried_again_later() {
    let (house, steps) = house(5, |cx, step| {
        save(cx, "half", 1)?;
        if step <= 2 { Err(cx.internal("the moon is wrong")) } else { Ok(Next::Idle) }
    })
    .await;
    // Another partition, in which nothing fails, must not hide that this one does.
    let mut there = admin();
    there.region = "us-east-1".parse().unwrap();
    house.call(&there, &CHANGE, script(|cx| save(cx, "a", 0))).await.unwrap();

    house.core.run_due_tasks().await.unwrap();
    assert_eq!(steps.load(Ordering::SeqCst), 2);
    assert_eq!(house.get("half").await.unwrap(), -1);
    house.clock.advance(Duration::from_secs(29));
    house.core.run_due_tasks().await.unwrap();
    assert_eq!(steps.load(Ordering::SeqCst), 2);
    house.clock.advance(Duration::from_secs(1));
    house.core.run_due_tasks().await.unwrap();
    assert_eq!(steps.load(Ordering::SeqCst), 4);
    assert_eq!(house.get("half").await.unwrap(), 1);
    let state = &house.core.task_states()[0];
    assert_eq!((state.last_error.as_ref(), state.failed.as_ref()), (None, None));
    assert_eq!(state.last_run_at, house.clock.now());
}

/// Two pieces of work. Somebody changes the first one whenever it is about to be done.
struct Pile {
    house: Arc<Mutex<Option<Arc<House>>>>,
}

impl Task for Pile {
    const NAME: &'static str = "pile";

    fn step(&self, cx: &mut Cx<'_>) -> Result<Next, ApiError> {
        let first = count(cx, "first")?;
        if first % 2 == 0 {
            let house = self.house.lock().unwrap().clone().unwrap();
            let other = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(house.set("first", first + 2));
            });
            other.join().unwrap();
            save(cx, "done", 1)?;
            return Ok(Next::Now);
        }
        if count(cx, "second")? == 0 {
            save(cx, "second", 1)?;
            return Ok(Next::Now);
        }
        Ok(Next::Idle)
    }

    fn put_off(&self, cx: &mut Cx<'_>) -> Result<bool, ApiError> {
        let first = count(cx, "first")?;
        save(cx, "first", first + 1)?;
        Ok(true)
    }
}

#[tokio::test]
async fn a_piece_that_never_comes_to_be_does_not_hold_up_the_next() {
    let kept: Arc<Mutex<Option<Arc<House>>>> = Arc::default();
    let pile = Pile { house: Arc::clone(&kept) };
    let house = Arc::new(House::with(7, |registry| registry.task(pile)));
    *kept.lock().unwrap() = Some(Arc::clone(&house));
    house.set("first", 0).await;
    house.set("second", 0).await;
    house.core.run_due_tasks().await.unwrap();
    assert_eq!((house.get("second").await.unwrap(), house.get("done").await.unwrap()), (1, -1));
    assert_eq!(house.get("first").await.unwrap() % 2, 1);
    let state = &house.core.task_states()[0];
    assert!(state.last_error.is_some(), "{state:?}");
    kept.lock().unwrap().take();
}

#[tokio::test]
async fn a_failure_in_one_place_stays_visible_when_the_next_place_succeeds() {
    let (house, _) = house(6, |cx, _| {
        if *cx.region() == here().region { Err(cx.internal("the moon is wrong")) } else { Ok(Next::Idle) }
    })
    .await;
    let mut there = admin();
    there.region = "us-east-1".parse().unwrap();
    house.call(&there, &CHANGE, script(|cx| save(cx, "a", 0))).await.unwrap();
    let next = house.core.run_due_tasks().await.unwrap();
    let states = house.core.task_states();
    assert_eq!((states.len(), states[0].name, states[0].steps), (1, "chore", 2));
    assert!(states[0].last_error.as_ref().is_some_and(|error| error.contains("InternalFailure")));
    let failed = states[0].failed.as_ref().map(|(at, place)| (*at, &place.region));
    assert_eq!(failed, Some((states[0].last_run_at, &here().region)));
    assert_eq!(states[0].next, next);
    assert!(matches!(next, Next::At(_)));
}

#[tokio::test]
async fn a_task_that_never_rests_lets_the_others_have_a_turn() {
    let (house, steps) = house(7, |_, _| Ok(Next::Now)).await;
    assert_eq!(house.core.run_due_tasks().await.unwrap(), Next::Now);
    assert!((2..1000).contains(&steps.load(Ordering::SeqCst)));
}
