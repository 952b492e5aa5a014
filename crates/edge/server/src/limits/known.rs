//! Who proved of late that he is who he says, and from where.
//!
//! People without a key and people with one may have the same address, be it a proxy, a company or a machine. When the address is
//! barred because of the former, or all its places are theirs, the latter are known here and go on being heard. It is a help and no right: a key that is not
//! remembered waits like any stranger, so forgetting costs nobody anything while his address is not barred.
//!
//! There are two sets. What is remembered goes into the newer one; when that is full or old, it becomes the older one, and what that
//! held is forgotten. So nothing is ever searched for what could go.
//!
//! What this does not know: the clock, and what an address is barred for.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How long a set is the newer one. Clients that keep their secrets in memory ask again after an hour at most, most after minutes.
const SET_FOR: Duration = Duration::from_secs(60 * 60);
/// Of both sets together, below 1 MiB.
const KNOWN_MAX: usize = 32_768;
/// Every request that holds looks in here.
const SHARDS: usize = 16;

#[derive(Debug)]
pub(super) struct Known {
    shards: [Mutex<Sets>; SHARDS],
}

#[derive(Debug, Default)]
struct Sets {
    newer: HashSet<u64>,
    older: HashSet<u64>,
    begun: Duration,
}

impl Known {
    pub(super) fn new() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()) }
    }

    /// Takes hashes that nobody outside can choose.
    pub(super) fn remember(&self, who: u64, now: Duration) {
        let mut sets = self.sets(who);
        sets.turn(now);
        sets.newer.insert(who);
    }

    pub(super) fn knows(&self, who: u64, now: Duration) -> bool {
        let mut sets = self.sets(who);
        sets.turn(now);
        sets.newer.contains(&who) || sets.older.contains(&who)
    }

    fn sets(&self, who: u64) -> MutexGuard<'_, Sets> {
        let [first, ..] = &self.shards;
        let shard = usize::try_from(who % SHARDS as u64).ok().and_then(|index| self.shards.get(index));
        shard.unwrap_or(first).lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sets {
    const EACH_MAX: usize = KNOWN_MAX / SHARDS / 2;

    fn turn(&mut self, now: Duration) {
        let age = now.saturating_sub(self.begun);
        if age >= SET_FOR || self.newer.len() >= Self::EACH_MAX {
            let newer = std::mem::take(&mut self.newer);
            self.older = if age < 2 * SET_FOR { newer } else { HashSet::new() };
            self.begun = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_seen_is_known_for_an_hour_and_forgotten_after_two() {
        let known = Known::new();
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        known.remember(1, minutes(30));
        for (at, expected) in [(30, true), (89, true), (119, true), (181, false)] {
            assert_eq!(known.knows(1, minutes(at)), expected, "{at}");
        }
        assert!(!known.knows(2, minutes(30)));
        known.remember(1, minutes(200));
        assert!(!known.knows(1, minutes(400)), "nobody asked meanwhile");
    }

    #[test]
    fn so_many_are_known_and_those_who_come_are_not_forgotten() {
        let known = Known::new();
        for who in 0..200_000 {
            known.remember(who, Duration::ZERO);
            known.remember(7, Duration::ZERO);
        }
        let sizes = known.shards.iter().map(|shard| {
            let sets = shard.lock().unwrap();
            sets.newer.len() + sets.older.len()
        });
        assert!(sizes.sum::<usize>() <= KNOWN_MAX);
        assert!(known.knows(7, Duration::ZERO) && known.knows(199_999, Duration::ZERO));
        assert!(!known.knows(0, Duration::ZERO));
    }
}
