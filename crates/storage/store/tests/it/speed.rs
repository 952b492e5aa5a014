//! How fast it is, on demand: `cargo nextest run -p coffer-store --run-ignored only --no-capture`.

use std::time::{Duration, Instant};

use bytes::Bytes;
use coffer_store::{
    Engine, Key, Read, Rev, Txn, Write,
    testing::{partition, token},
};

use crate::{Seeded, open};

fn kilobyte(chance: &Seeded, number: u64) -> Txn {
    let mut txn = Txn::new(partition(1), token(number));
    let key = Key::new(chance.next().to_be_bytes().to_vec());
    txn.writes.push(Write::Put { key, value: Bytes::from(vec![7; 1024]) });
    txn.audit.push(Bytes::from(vec![1; 600]));
    txn
}

#[test]
#[ignore = "a measurement, not a judgement"]
#[expect(clippy::disallowed_methods, reason = "it measures real time")]
fn durable_transactions_and_reads_per_second() {
    let parent = tempfile::tempdir().unwrap();
    let engine = open(&parent.path().join("store"));
    let chance = Seeded::new(3);
    let mut number = 0;
    for size in [1, 32, 256] {
        let begun = Instant::now();
        let first = number;
        while begun.elapsed() < Duration::from_secs(4) {
            let group = (0..size).map(|_| {
                number += 1;
                kilobyte(&chance, number)
            });
            engine.commit(&group.collect::<Vec<_>>()).unwrap();
        }
        let rate = (number - first) as f64 / begun.elapsed().as_secs_f64();
        println!("groups of {size}: {rate:.0} transactions/s");
    }

    let replay = Seeded::new(3);
    let keys = (0..number).map(|_| Key::new(replay.next().to_be_bytes().to_vec())).collect::<Vec<_>>();
    let mut spans = (0..50_000)
        .map(|_| {
            let key = &keys[chance.below(number) as usize];
            let begun = Instant::now();
            let (rev, found) = engine.get(&partition(1), std::slice::from_ref(key), Read::Latest).unwrap();
            assert!(rev == Rev(number) && found[0].is_some());
            begun.elapsed()
        })
        .collect::<Vec<_>>();
    spans.sort();
    let at = |percent: usize| spans[spans.len() * percent / 100];
    println!("get over {number} rows: p50 {:?}, p90 {:?}, p99 {:?}", at(50), at(90), at(99));
}
