//! Rotation of epochs: everything is sealed again while others read and write, and the key of the old epoch goes when nothing needs it.

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use coffer_barrier::Header;
use coffer_core::{Cx, Next, Walk};
use coffer_shape::ApiError;
use coffer_store::{Engine, MemoryEngine, SqliteEngine, SqliteOptions, Write};

use crate::{
    house::{Epochs, Hands, House, Seeded, admin, count, number, save},
    service::{CHANGE, COUNT, Counter, Note, script},
};

const NAMES: [&str; 6] = ["n0", "n1", "n2", "n3", "n4", "n5"];

fn epochs_on_the_disk(house: &House) -> Vec<u32> {
    let mut found: Vec<u32> =
        house.stored(0x7001).iter().map(|entry| Header::of(&entry.value[2..]).unwrap().epoch).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn sum_of_list(cx: &Cx<'_>) -> Result<i64, ApiError> {
    let permit = cx.ask_all(COUNT)?;
    let mut sum = 0;
    cx.walk::<Counter>(permit, Walk::default(), &mut |counter| {
        sum += counter.count;
        ControlFlow::Continue(())
    })?;
    Ok(sum)
}

/// Lets the sweep do what it has to, however long it rests in between.
async fn sweep(house: &House) {
    for step in 0.. {
        if house.core.sweep_progress().older_epochs.is_empty() {
            return;
        }
        assert!(step < 20_000, "it does not come to an end: {:?}", house.core.sweep_progress());
        house.clock.advance(Duration::from_secs(2));
        house.core.run_due_tasks().await.unwrap();
        // Somebody who began to write before may have lost the processor in the middle of it.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_are_sealed_again_and_the_old_key_goes() {
    let (house, epochs) = House::with_epochs(1, Box::new(MemoryEngine::new()));
    for name in NAMES {
        house.set(name, 7).await;
    }
    assert_eq!(house.core.run_due_tasks().await.unwrap(), Next::Idle, "nothing to do");
    let by_list = house.look(|cx| sum_of_list(cx)).await.unwrap();

    assert_eq!(epochs.rotate(), 2);
    house.core.sweep_epochs();
    house.set("n0", 8).await;
    assert_eq!(epochs_on_the_disk(&house), [1, 2]);
    sweep(&house).await;
    assert_eq!(epochs_on_the_disk(&house), [2]);
    let progress = house.core.sweep_progress();
    assert_eq!((progress.active_epoch, progress.older_epochs, progress.damaged), (2, vec![], 0));
    assert!(progress.records_sealed_again >= 5, "{}", progress.records_sealed_again);
    let destroyed = |events: Vec<serde_json::Value>| {
        let named = events.into_iter().filter(|event| event["eventName"] == "EpochKeysDestroyed");
        named.map(|event| event["additionalEventData"]["epochs"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(destroyed(house.events()), ["1"]);

    // Who had read a record before writes it without having to read it again from the engine.
    house
        .change(|cx| {
            let next = count(cx, "n1")? + 1;
            save(cx, "n1", next)
        })
        .await
        .unwrap();
    assert_eq!(house.look(|cx| sum_of_list(cx)).await.unwrap(), by_list + 2);
    assert_eq!(house.restarted().get("n1").await.unwrap(), 8);
}

/// More at once than a transaction holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_records_are_sealed_again_too() {
    let (house, epochs) = House::with_epochs(3, Box::new(MemoryEngine::new()));
    for number in 0..40 {
        let text = "x".repeat(60_000 + number);
        house
            .change(move |cx| {
                cx.needs_no_permission("this test is about something else");
                cx.save(Note { name: format!("note {number}"), text: text.clone() })?;
                Ok(0)
            })
            .await
            .unwrap();
    }
    epochs.rotate();
    house.core.sweep_epochs();
    sweep(&house).await;
    let under = |entry: &coffer_store::Entry| Header::of(&entry.value[2..]).unwrap().epoch;
    let notes = house.stored(0x7002);
    assert!(notes.len() == 40 && notes.iter().all(|entry| under(entry) == 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_does_not_open_keeps_the_key_of_its_epoch() {
    let (house, epochs) = House::with_epochs(2, Box::new(MemoryEngine::new()));
    house.set("good", 1).await;
    house.set("bad", 1).await;
    let bad = house.stored(0x7001).remove(0);
    let mut spoiled = bad.value.to_vec();
    *spoiled.last_mut().unwrap() ^= 1;
    house.tamper(vec![Write::Put { key: bad.key.clone(), value: spoiled.into() }]);
    epochs.rotate();
    for _ in 0..10 {
        house.clock.advance(Duration::from_secs(7200));
        house.core.run_due_tasks().await.unwrap();
    }
    let progress = house.core.sweep_progress();
    assert_eq!((progress.older_epochs, progress.damaged), (vec![1], 1));
    house.tamper(vec![Write::Put { key: bad.key, value: bad.value }]);
    house.clock.advance(Duration::from_secs(7200));
    sweep(&house).await;
    assert_eq!(epochs_on_the_disk(&house), [2]);
}

/// Writers count up, each in its own transaction, while epochs come and go. No count is lost and no call fails.
async fn stress(seed: u64, engine: Box<dyn Engine>, rotations: u32) {
    let (house, epochs): (House, Arc<Epochs>) = House::with_epochs(seed, engine);
    let house = Arc::new(house);
    for name in NAMES {
        house.set(name, 0).await;
    }
    let over = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for writer in 0..4_u64 {
        let (house, over) = (Arc::clone(&house), Arc::clone(&over));
        let dice = Seeded::new(seed * 1000 + writer);
        writers.push(tokio::spawn(async move {
            let mut written = 0;
            while !over.load(Ordering::Relaxed) {
                let name = NAMES[dice.below(6) as usize];
                let step = script(move |cx| {
                    let next = count(cx, name)? + 1;
                    save(cx, name, next)
                });
                number(house.call(&admin(), &CHANGE, step).await.unwrap()).unwrap();
                written += 1;
                if dice.below(4) == 0 {
                    assert!(house.look(|cx| sum_of_list(cx)).await.unwrap() >= written);
                }
                tokio::task::yield_now().await;
            }
            written
        }));
    }
    for _ in 0..rotations {
        epochs.rotate();
        house.core.sweep_epochs();
        sweep(&house).await;
    }
    over.store(true, Ordering::Relaxed);
    let mut written = 0;
    for writer in writers {
        written += writer.await.unwrap();
    }
    assert!(written > 0);
    assert_eq!(house.look(|cx| sum_of_list(cx)).await.unwrap(), written, "seed {seed}");
    assert_eq!(epochs_on_the_disk(&house), [rotations + 1]);
    let restarted = house.restarted();
    assert_eq!(restarted.look(|cx| sum_of_list(cx)).await.unwrap(), written, "seed {seed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_in_memory() {
    for seed in 1..4 {
        stress(seed, Box::new(MemoryEngine::new()), 12).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_on_the_disk() {
    let place = tempfile::tempdir().unwrap();
    let options = SqliteOptions::new("test", Arc::new(Hands::default()), Arc::new(|_| Ok(u64::MAX)));
    let engine = SqliteEngine::open(&place.path().join("store"), options, &Seeded::new(5)).unwrap();
    stress(5, Box::new(engine), 8).await;
}
