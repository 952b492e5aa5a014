//! The store from outside: the contract on both engines, a model that disagrees with neither, death at any moment,
//! and how fast it is.

#![expect(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "all of this is a test, also the functions that the tests share"
)]

mod contract;
mod crash;
mod model;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use coffer_store::{EngineError, SqliteEngine, SqliteOptions};
use coffer_types::{Clock, Entropy, Timestamp};

/// Time stands still; nothing tested here waits for it.
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::EPOCH
    }
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

/// A stream of numbers that a seed determines (SplitMix64).
struct Seeded(AtomicU64);

impl Seeded {
    const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    fn next(&self) -> u64 {
        let mut z =
            self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&self, end: u64) -> u64 {
        self.next() % end
    }
}

impl Entropy for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_be_bytes()[..chunk.len()]);
        }
    }
}

fn options() -> SqliteOptions {
    SqliteOptions::new("test", Arc::new(Still), Arc::new(|_| Ok(u64::MAX)))
}

fn open(path: &Path) -> SqliteEngine {
    try_open(path).unwrap()
}

fn try_open(path: &Path) -> Result<SqliteEngine, EngineError> {
    SqliteEngine::open(path, options(), &Seeded::new(u64::from(std::process::id())))
}
