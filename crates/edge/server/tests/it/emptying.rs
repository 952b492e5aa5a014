//! Emptying a node in memory while others use it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use crate::house::House;

const CALLERS: usize = 8;
const RESETS: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_during_a_reset_is_answered_from_the_old_store_or_the_new() {
    let house = Arc::new(House::dev().await);
    let (is_over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (house, is_over, answered) =
                (Arc::clone(&house), Arc::clone(&is_over), Arc::clone(&answered));
            tokio::spawn(async move {
                for nth in 0.. {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    // The write holds a store for longer, so it is the one that meets a reset.
                    let body = format!(
                        "{{\"Name\":\"{caller}-{nth}\",\"SecretString\":\"x\",\
                         \"ClientRequestToken\":\"00000000-0000-4000-8000-000000000001\"}}"
                    );
                    let answer = house.ask(&house.json("CreateSecret", &body)).await;
                    assert_eq!(answer.status, 200, "{}", answer.body);
                    let answer = house.ask(&house.json("ListSecrets", "{}")).await;
                    assert_eq!(answer.status, 200, "{}", answer.body);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for _ in 0..RESETS {
        // Somebody has written since the last one.
        let before = answered.load(Ordering::Relaxed);
        while answered.load(Ordering::Relaxed) < before + 2
            && callers.iter().all(|caller| !caller.is_finished())
        {
            tokio::task::yield_now().await;
        }
        assert!(house.node.reset().await);
    }
    is_over.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(house.node.reset().await);
    let empty = house.ask(&house.json("ListSecrets", "{}")).await;
    assert!(!empty.body.contains("\"Name\""), "{}", empty.body);
}
