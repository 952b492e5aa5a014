//! What is worked out from several records stays until one of them may have changed, and not a moment longer.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use coffer_core::{Db, LoadError, Partition};

use crate::{
    house::{House, here},
    service::Counter,
};

/// The sum of two counters, and how often it was worked out.
struct Sum(AtomicU64);

impl Sum {
    fn of(&self, db: &Db, place: &Partition) -> i64 {
        let worked_out = db.derived(place, &["sum"], || {
            self.0.fetch_add(1, Ordering::SeqCst);
            let count =
                |name| Ok::<_, LoadError>(db.read::<Counter>(place, &[name])?.map_or(0, |it| it.count));
            Ok(count("one")? + count("two")?)
        });
        *worked_out.unwrap()
    }

    fn times(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn it_is_worked_out_once_for_each_change_of_its_partition() {
    let (house, sum) = (House::seeded(31), Sum(AtomicU64::new(0)));
    let db = house.core.db();
    assert_eq!((sum.of(db, &here()), sum.of(db, &here()), sum.times()), (0, 0, 1));
    house.set("one", 5).await;
    assert_eq!((sum.of(db, &here()), sum.of(db, &here()), sum.times()), (5, 5, 2));
    house.set("two", 7).await;
    house.set("one", 1).await;
    assert_eq!((sum.of(db, &here()), sum.of(db, &here()), sum.times()), (8, 8, 3));
    // Somewhere else is something else, under the same name.
    let elsewhere = Partition::new(here().account, "ap-south-1".parse().unwrap());
    assert_eq!((sum.of(db, &elsewhere), sum.of(db, &here()), sum.times()), (0, 8, 4));
    // A name is its parts, and not their letters.
    let kept = |name: &[&str], value: i64| *db.derived(&here(), name, || Ok(value)).unwrap();
    assert_eq!((kept(&["a", "b"], 1), kept(&["ab"], 2), kept(&["a", "b"], 3)), (1, 2, 1));
}

#[tokio::test]
async fn what_fails_is_not_kept() {
    let house = House::seeded(32);
    let unreadable = || LoadError::Unreadable { table: "counter", reason: String::from("a test") };
    let broken = house.core.db().derived::<i64>(&here(), &["x"], || Err(unreadable()));
    assert!(broken.is_err());
    assert_eq!(*house.core.db().derived(&here(), &["x"], || Ok(3)).unwrap(), 3);
}

/// Whoever has heard that his change is done is never shown a sum from before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_writer_is_shown_what_was_before_his_change() {
    let house = Arc::new(House::seeded(33));
    let stop = Arc::new(AtomicBool::new(false));
    let reader = {
        let (house, stop) = (Arc::clone(&house), Arc::clone(&stop));
        std::thread::spawn(move || {
            let sum = Sum(AtomicU64::new(0));
            while !stop.load(Ordering::SeqCst) {
                sum.of(house.core.db(), &here());
            }
        })
    };
    let sum = Sum(AtomicU64::new(0));
    for count in 1..300 {
        house.set("one", count).await;
        assert_eq!(sum.of(house.core.db(), &here()), count);
    }
    stop.store(true, Ordering::SeqCst);
    reader.join().unwrap();
}
