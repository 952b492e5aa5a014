//! Random bytes from the crypto library.
//!
//! Asking the library's generator costs over half a microsecond however few bytes are wanted, and sealing a record asks
//! twice. So short requests (salts, nonces, identifiers) are cut from a block drawn in advance, one block per thread, at
//! less than half the price. Requests of 32 bytes and more are keys: they come straight from the library and have never
//! stood in any buffer of ours.
//!
//! Bytes handed out are wiped from the block at once. Nothing here forks without running another program, so no child ever
//! repeats its parent; asking for the process id at every draw to prove it cost more than the draw. A clone of a running
//! virtual machine does repeat what is left of a block (at most [`BLOCK_LEN`] bytes); it also holds a copy of all keys, so
//! it must not be run beside its original anyway.

use std::cell::RefCell;

use aws_lc_rs::rand;
use coffer_types::{Entropy, zeroize::Zeroize};

use crate::certain;

/// Sixty-four salts of 24 bytes.
const BLOCK_LEN: usize = 64 * 24;

/// Requests this long are keys and never come from a block.
const KEY_LEN: usize = 32;

/// The random generator of the crypto library. If it fails, the process ends.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        if bytes.len() >= KEY_LEN {
            return certain(rand::fill(bytes));
        }
        // While a thread is being torn down its block is gone; then the library answers directly.
        if BLOCK.try_with(|block| block.borrow_mut().draw(bytes)).is_err() {
            certain(rand::fill(bytes));
        }
    }
}

thread_local! {
    static BLOCK: RefCell<Block> = const { RefCell::new(Block { bytes: [0; BLOCK_LEN], left: 0 }) };
}

struct Block {
    bytes: [u8; BLOCK_LEN],
    /// The unused bytes are `bytes[..left]`; they are handed out from the end.
    left: usize,
}

impl Block {
    fn draw(&mut self, out: &mut [u8]) {
        if self.left < out.len() {
            certain(rand::fill(&mut self.bytes));
            self.left = BLOCK_LEN;
        }
        // INVARIANT: out is shorter than a key and the block is longer, so the range always exists.
        let from = self.left.saturating_sub(out.len());
        if let Some(unused) = self.bytes.get_mut(from..self.left) {
            out.copy_from_slice(unused);
            unused.zeroize();
        }
        self.left = from;
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn short_and_long_draws_never_repeat() {
        let mut seen = HashSet::new();
        for len in [12, 16, 24, 31, 32, 33, 64] {
            for _ in 0..500 {
                let mut bytes = vec![0; len];
                SystemEntropy.fill(&mut bytes);
                assert!(seen.insert(bytes), "{len} bytes came twice");
            }
        }
    }

    #[test]
    fn threads_do_not_share_a_block() {
        let draw = || {
            let mut bytes = [0; 24];
            SystemEntropy.fill(&mut bytes);
            bytes
        };
        let other = std::thread::spawn(draw).join().unwrap();
        assert_ne!(draw(), other);
    }

    #[test]
    fn what_was_handed_out_is_gone_from_the_block() {
        let mut block = Block { bytes: [0; BLOCK_LEN], left: 0 };
        let mut out = [0; 24];
        block.draw(&mut out);
        assert_ne!(out, [0; 24]);
        assert_eq!(block.bytes[BLOCK_LEN - 24..], [0; 24]);
        assert_eq!(block.left, BLOCK_LEN - 24);
    }
}
