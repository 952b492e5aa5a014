//! How far a run goes, and from which seed, as whoever starts the tests wants it.
//!
//! `COFFER_SEED` is the seed; `./check` draws one, so that each of its runs looks elsewhere, and says which it was. Without it a test
//! plays what it always plays. `COFFER_CAMPAIGN=long` goes on from there, seed after seed.

use coffer_crypto::SystemEntropy;
use coffer_types::Entropy;

#[expect(clippy::disallowed_methods, reason = "a campaign is chosen by whoever starts the tests")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

pub(crate) fn is_long() -> bool {
    variable("COFFER_CAMPAIGN").is_some_and(|campaign| campaign == "long")
}

/// The seed of this run: the one that is asked for, a new one for a long campaign, or the usual one. It is printed before anything
/// happens.
pub(crate) fn seed(usual: u64) -> u64 {
    let asked = variable("COFFER_SEED").map(|seed| seed.parse().expect("COFFER_SEED is a number"));
    let seed = asked.unwrap_or_else(|| {
        if !is_long() {
            return usual;
        }
        let mut bytes = [0; 8];
        SystemEntropy.fill(&mut bytes);
        u64::from_le_bytes(bytes) >> 20
    });
    eprintln!("COFFER_SEED={seed}");
    seed
}

/// How many walks or rounds: so many usually, and so many in a long campaign.
pub(crate) fn rounds(usual: u64, long: u64) -> u64 {
    if is_long() { long } else { usual }
}
