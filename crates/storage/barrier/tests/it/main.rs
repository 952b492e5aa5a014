//! The barrier from outside: what it promises, what an attacker on the disk can do, and the bytes it has always written.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at what it did not expect")]

mod keyring;
mod records;
mod vectors;

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use coffer_types::Entropy;

/// 00 01 02 .. ff 00 ..: random enough to tell fields apart, and the same in every run.
#[derive(Default)]
struct Counting(AtomicU8);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn system() -> Arc<dyn Entropy> {
    Arc::new(coffer_crypto::SystemEntropy)
}
