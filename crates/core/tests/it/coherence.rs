//! Readers, writers and walkers of lists at the same time, compared with what the engine says.
//!
//! Each counter only ever goes up, so a reader who sees a smaller number than before has been shown the past. (A list may be a
//! moment behind a read by key while a commit is applied, so each of the two is compared with its own.) Two of the counters are always written together, so a reader who sees them differ has been shown two instants at once.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use coffer_core::{Cx, Walk, open_record};
use coffer_shape::ApiError;
use coffer_store::{Engine, MemoryEngine, SqliteEngine, SqliteOptions};

use crate::{
    house::{Hands, House, Seeded, admin, count, here, number, save},
    service::{CHANGE, COUNT, Counter, LOOK, script},
};

const NAMES: [&str; 8] = ["n0", "n1", "n2", "n3", "n4", "n5", "twin-a", "twin-b"];
const WRITERS: u64 = 6;
const STEPS: u64 = 120;

fn listed(cx: &Cx<'_>) -> Result<BTreeMap<String, i64>, ApiError> {
    let permit = cx.ask_all(COUNT)?;
    let mut all = BTreeMap::new();
    cx.walk::<Counter>(permit, Walk::default(), &mut |counter| {
        all.insert(counter.name.clone(), counter.count);
        ControlFlow::Continue(())
    })?;
    Ok(all)
}

fn true_counts(house: &House) -> BTreeMap<String, i64> {
    let open = |entry: coffer_store::Entry| {
        let opened =
            open_record(&house.barrier, &here(), 0x7001, entry.key.as_bytes(), &entry.value).unwrap();
        let counter: Counter = coffer_shape::stored::from_bytes(opened.2.expose()).unwrap();
        (counter.name, counter.count)
    };
    house.stored(0x7001).into_iter().map(open).collect()
}

async fn remembered_is_true(house: &House) {
    let truth = true_counts(house);
    let expected = truth.clone();
    house
        .look(move |cx| {
            assert_eq!(listed(cx)?, expected);
            for name in NAMES {
                assert_eq!(count(cx, name)?, expected.get(name).copied().unwrap_or(-1), "{name}");
            }
            Ok(0)
        })
        .await
        .unwrap();
}

async fn stress(seed: u64, engine: Box<dyn Engine>) {
    let house = Arc::new(House::over(seed, engine, |_| ()));
    for name in NAMES {
        house.set(name, 0).await;
    }
    let over = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let (house, dice) = (Arc::clone(&house), Seeded::new(seed * 1000 + writer));
        writers.push(tokio::spawn(async move {
            for _ in 0..STEPS {
                let name = NAMES[dice.below(7) as usize];
                let step = script(move |cx| {
                    let next = count(cx, name)? + 1;
                    if name == "twin-a" {
                        save(cx, "twin-b", next)?;
                    }
                    save(cx, name, next)
                });
                number(house.call(&admin(), &CHANGE, step).await.unwrap()).unwrap();
            }
        }));
    }
    let mut readers = Vec::new();
    for reader in 0..4_u64 {
        let (house, dice) = (Arc::clone(&house), Seeded::new(seed * 7000 + reader));
        let over = Arc::clone(&over);
        readers.push(tokio::spawn(async move {
            let twins = script(|cx| {
                let (a, b) = (count(cx, "twin-a")?, count(cx, "twin-b")?);
                Ok(if a == b { a } else { -7 })
            });
            let mut newest = BTreeMap::new();
            let mut see = |name: (&'static str, bool), seen: i64| {
                let before = newest.insert(name, seen).unwrap_or(0);
                assert!(seen >= before, "{name:?} went from {before} back to {seen}");
            };
            while !over.load(Ordering::Relaxed) {
                let name = NAMES[dice.below(7) as usize];
                let by_list = name != "twin-a" && dice.below(3) == 0;
                let seen = if name == "twin-a" {
                    number(house.call(&admin(), &LOOK, twins).await.unwrap())
                } else if by_list {
                    house.look(move |cx| Ok(listed(cx)?[name])).await
                } else {
                    house.get(name).await
                };
                see((name, by_list), seen.unwrap());
                tokio::task::yield_now().await;
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
    let truth = true_counts(&house);
    let steps: i64 = NAMES.iter().filter(|name| **name != "twin-b").map(|name| truth[*name]).sum();
    assert_eq!(steps as u64, WRITERS * STEPS);
    assert_eq!(truth["twin-a"], truth["twin-b"]);
    remembered_is_true(&house).await;
    assert_eq!(house.core.db().metrics().unconfirmed, 0);
}

fn sqlite(place: &std::path::Path, seed: u64) -> Box<dyn Engine> {
    let options = SqliteOptions::new("test", Arc::new(Hands::default()), Arc::new(|_| Ok(u64::MAX)));
    Box::new(SqliteEngine::open(place, options, &Seeded::new(seed)).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_is_shown_the_past_over_an_engine_in_memory() {
    for seed in 1..=5 {
        stress(seed, Box::new(MemoryEngine::new())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_is_shown_the_past_over_sqlite() {
    let place = tempfile::tempdir().unwrap();
    stress(6, sqlite(&place.path().join("store"), 6)).await;
}

/// A list that is asked for the first time while its table is changing has everything in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_list_that_is_loaded_under_way_misses_nothing() {
    let place = tempfile::tempdir().unwrap();
    for seed in 1..=12_u64 {
        let engine: Box<dyn Engine> = if seed % 3 == 0 {
            sqlite(&place.path().join(seed.to_string()), seed)
        } else {
            Box::new(MemoryEngine::new())
        };
        let house = Arc::new(House::over(seed, engine, |_| ()));
        // Each writer makes and erases counters of its own; the walker knows what must be there by what was answered.
        let writers: Vec<_> = (0..4_u64)
            .map(|writer| {
                let (house, dice) = (Arc::clone(&house), Seeded::new(seed * 100 + writer));
                tokio::spawn(async move {
                    for _ in 0..40 {
                        let name = format!("w{writer}-{}", dice.below(12));
                        let erase = dice.below(3) == 0;
                        let step = script(move |cx| {
                            if erase {
                                cx.needs_no_permission("this test is about something else");
                                return cx.erase::<Counter>(&[&name]).map(|()| 0);
                            }
                            let next = count(cx, &name)? + 1;
                            save(cx, &name, next)
                        });
                        number(house.call(&admin(), &CHANGE, step).await.unwrap()).unwrap();
                    }
                })
            })
            .collect();
        for _ in 0..house.entropy.below(20) {
            tokio::task::yield_now().await;
        }
        house.look(|cx| listed(cx).map(|all| all.len() as i64)).await.unwrap();
        for writer in writers {
            writer.await.unwrap();
        }
        let truth = true_counts(&house);
        let seen = house.look(move |cx| Ok(i64::from(listed(cx)? == truth))).await.unwrap();
        assert_eq!(seen, 1, "seed {seed}");
    }
}

#[tokio::test]
async fn asking_for_lists_where_nothing_ever_was_costs_no_memory() {
    let house = House::seeded(20);
    house.set("a", 1).await;
    let list = script(|cx| listed(cx).map(|all| all.len() as i64));
    for number_of_region in 0..200 {
        let mut there = admin();
        there.region = format!("nowhere-{number_of_region}").parse().unwrap();
        assert_eq!(number(house.call(&there, &LOOK, list).await.unwrap()).unwrap(), 0);
    }
    assert_eq!(number(house.call(&admin(), &LOOK, list).await.unwrap()).unwrap(), 1);
    assert_eq!(house.core.db().metrics().directories, 1);
}
