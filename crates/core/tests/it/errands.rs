//! Work that is done outside: several pieces at once, each of them once at a time, and begun again when its end was not noted.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use coffer_core::{Cx, Errand, Inside, Next, Picked, World};
use coffer_shape::{ApiError, ServiceSpec};
use tokio::sync::Semaphore;

use crate::{
    house::{House, count, save},
    service::TILL,
};

/// What is to be done lies in these counters: the number of times that each has still to be done.
const PARCELS: [&str; 3] = ["one", "two", "three"];

/// A world outside in which work ends when a test says so.
#[derive(Debug)]
struct Street {
    begun: Mutex<Vec<&'static str>>,
    ends: Semaphore,
    settle_fails: Mutex<bool>,
}

impl Default for Street {
    fn default() -> Self {
        Self { begun: Mutex::default(), ends: Semaphore::new(0), settle_fails: Mutex::default() }
    }
}

impl Street {
    fn begun(&self) -> Vec<&'static str> {
        self.begun.lock().unwrap().clone()
    }
}

struct Runner(Arc<Street>);

impl Errand for Runner {
    const NAME: &'static str = "runner";
    const SERVICE: &'static ServiceSpec = &TILL;
    type Key = &'static str;
    type Load = &'static str;
    type Outcome = usize;

    fn at_once_max(&self, _: &World) -> usize {
        2
    }

    fn pick(&self, here: &mut Cx<'_>, under_way: &BTreeSet<&'static str>) -> Result<Picked<Self>, ApiError> {
        for name in PARCELS.into_iter().filter(|name| !under_way.contains(name)) {
            if count(here, name)? > 0 {
                return Ok(Picked::Load { key: name, load: name });
            }
        }
        Ok(Picked::Nothing(Next::Idle))
    }

    async fn run(self: Arc<Self>, load: &'static str, _: Inside) -> usize {
        self.0.begun.lock().unwrap().push(load);
        self.0.ends.acquire().await.unwrap().forget();
        load.len()
    }

    fn settle(&self, here: &mut Cx<'_>, key: &&'static str, outcome: &usize) -> Result<(), ApiError> {
        if std::mem::take(&mut *self.0.settle_fails.lock().unwrap()) {
            return Err(here.internal("the lights went out"));
        }
        assert_eq!(*outcome, key.len());
        let left = count(here, key)?;
        save(here, key, left - 1).map(drop)
    }
}

async fn house(seed: u64, parcels: &[(&'static str, i64)]) -> (House, Arc<Street>) {
    let street = Arc::new(Street::default());
    let runner = Runner(Arc::clone(&street));
    let house = House::with(seed, |registry| registry.errand(runner));
    for (name, times) in parcels {
        house.set(name, *times).await;
    }
    (house, street)
}

/// Lets one piece of work come to its end, and waits until that is noted.
async fn end_one(house: &House, street: &Street) {
    street.ends.add_permits(1);
    house.core.task_hint().await;
}

#[tokio::test]
async fn pieces_are_run_side_by_side_each_once_at_a_time_and_no_more_than_so_many() {
    let (house, street) = house(1, &[("one", 2), ("two", 1), ("three", 1)]).await;
    assert_eq!(house.core.run_due_tasks().await.unwrap(), Next::Idle);
    tokio::task::yield_now().await;
    assert_eq!(street.begun(), ["one", "two"], "two at once, and not the same twice");
    end_one(&house, &street).await;
    assert_eq!(house.get("one").await.unwrap(), 1);
    house.core.run_due_tasks().await.unwrap();
    tokio::task::yield_now().await;
    assert_eq!(street.begun(), ["one", "two", "one"]);
    for _ in 0..3 {
        end_one(&house, &street).await;
        house.core.run_due_tasks().await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(street.begun(), ["one", "two", "one", "three"]);
    for name in PARCELS {
        assert_eq!(house.get(name).await.unwrap(), 0, "{name}");
    }
}

#[tokio::test]
async fn what_was_run_and_not_settled_is_run_again() {
    let (house, street) = house(2, &[("one", 1)]).await;
    *street.settle_fails.lock().unwrap() = true;
    house.core.run_due_tasks().await.unwrap();
    end_one(&house, &street).await;
    assert_eq!(house.get("one").await.unwrap(), 1);
    house.clock.advance(Duration::from_secs(1));
    house.core.run_due_tasks().await.unwrap();
    end_one(&house, &street).await;
    assert_eq!((house.get("one").await.unwrap(), street.begun()), (0, vec!["one", "one"]));
}

/// A process that ends takes what is under way with it; the next one knows nothing of it and begins.
#[tokio::test]
async fn a_restart_begins_what_was_under_way_again() {
    let (house, street) = house(3, &[("one", 1)]).await;
    house.core.run_due_tasks().await.unwrap();
    tokio::task::yield_now().await;
    assert_eq!(street.begun(), ["one"]);
    let runner = Runner(Arc::clone(&street));
    let again = house.restarted_with(|registry| registry.errand(runner));
    again.core.run_due_tasks().await.unwrap();
    tokio::task::yield_now().await;
    assert_eq!(street.begun(), ["one", "one"]);
}
