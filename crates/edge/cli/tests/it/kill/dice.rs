//! Chance from one seed, so that a run which failed can be had again.
//!
//! A kill falls where the machine happens to be, so a seed repeats what was asked and when the kill was due, not the
//! interleaving; a failure that depends on it shows again after a few tries.

use coffer_crypto::SystemEntropy;
use coffer_types::Entropy;

/// What the environment asks for.
#[expect(clippy::disallowed_methods, reason = "a campaign is chosen by whoever starts the tests")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

pub(crate) fn is_long_campaign() -> bool {
    variable("COFFER_CAMPAIGN").is_some_and(|campaign| campaign == "long")
}

/// SplitMix64: small, fast, and good enough to choose requests.
#[derive(Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The seed of this run: `COFFER_SEED`, or a new one. It is printed before anything happens.
    pub(crate) fn of_this_run() -> (Self, u64) {
        let seed = variable("COFFER_SEED").map(|seed| seed.parse().expect("COFFER_SEED is a number"));
        let seed = seed.unwrap_or_else(|| {
            let mut bytes = [0; 8];
            SystemEntropy.fill(&mut bytes);
            u64::from_le_bytes(bytes) >> 20
        });
        eprintln!("COFFER_SEED={seed}");
        (Self(seed), seed)
    }

    /// Chance that belongs to a thing and is the same in every run.
    pub(crate) const fn of(seed: u64) -> Self {
        Self(seed)
    }

    #[must_use]
    pub(crate) fn stirred(self, with: u8) -> Self {
        let mut stirred = Self(self.0 ^ u64::from(with));
        stirred.next();
        Self(stirred.next())
    }

    /// Chance of its own for one part of a run.
    pub(crate) fn split(&mut self) -> Self {
        Self(self.next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    pub(crate) fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub(crate) fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.below(among.len())]
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        for piece in bytes.chunks_mut(8) {
            piece.copy_from_slice(&self.next().to_le_bytes()[..piece.len()]);
        }
        bytes
    }
}
