//! Who has used up what he may use in a second, whatever it is and whoever he is.
//!
//! Everything has a price in time: where ten a second are allowed, one costs a tenth of a second. Who is charged owes that long, time pays
//! it off, and nobody may owe more than the burst. That is a bucket of tokens that needs no filling: one number for each debtor, and
//! none for those who owe nothing.
//!
//! What this does not know: the clock, what is charged for, and what is told to those who owe too much.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// What may come at once: as much as in this time. Clients come in bursts.
pub(crate) const BURST: Duration = Duration::from_secs(2);
/// How often those without a debt are forgotten. Most are paid off within milliseconds.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Locks are held for a look into a map; so many of them rarely meet.
const SHARDS: usize = 16;

#[derive(Debug)]
pub(crate) struct Debts<K> {
    /// Of each shard. A debtor who finds no place goes uncharged, and whoever charges him is told: forgetting another in his stead would
    /// let whoever comes with many names clear the debt of one.
    each_max: usize,
    hasher: RandomState,
    /// How many are remembered: where it is none, nobody takes a lock.
    remembered: AtomicUsize,
    shards: [Mutex<Shard<K>>; SHARDS],
}

/// A debt is the moment at which it will have been paid off.
#[derive(Debug)]
struct Shard<K> {
    paid_off_at: HashMap<K, Duration>,
    swept_at: Duration,
}

impl<K> Default for Shard<K> {
    fn default() -> Self {
        Self { paid_off_at: HashMap::new(), swept_at: Duration::ZERO }
    }
}

impl<K: Hash + Eq> Debts<K> {
    /// Remembers so many debtors.
    pub(crate) fn new(debtors_max: usize) -> Self {
        Self {
            each_max: debtors_max.div_ceil(SHARDS),
            hasher: RandomState::new(),
            remembered: AtomicUsize::new(0),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Whether he owes so much that the price would be more than he may owe.
    pub(crate) fn bars(&self, debtor: &K, price: Duration, now: Duration) -> bool {
        if price.is_zero() || self.remembered.load(Ordering::Relaxed) == 0 {
            return false;
        }
        self.with(debtor, now, |shard| shard.bars(debtor, price, now))
    }

    /// Charges him, who owes no more than the burst afterwards, and answers whether there was a place for his debt.
    pub(crate) fn charge(&self, debtor: K, price: Duration, now: Duration) -> bool {
        if price.is_zero() {
            return true;
        }
        let each_max = self.each_max;
        let shard = self.shard(&debtor);
        self.with_shard(shard, now, |shard| shard.charge(debtor, price, now, each_max))
    }

    /// Charges him if he may owe that much, and answers whether he did.
    pub(crate) fn spend(&self, debtor: K, price: Duration, now: Duration) -> bool {
        if price.is_zero() {
            return true;
        }
        let each_max = self.each_max;
        let shard = self.shard(&debtor);
        self.with_shard(shard, now, |shard| {
            let may = !shard.bars(&debtor, price, now);
            if may {
                shard.charge(debtor, price, now, each_max);
            }
            may
        })
    }

    fn with<T>(&self, debtor: &K, now: Duration, look: impl FnOnce(&mut Shard<K>) -> T) -> T {
        self.with_shard(self.shard(debtor), now, look)
    }

    fn with_shard<T>(
        &self,
        shard: &Mutex<Shard<K>>,
        now: Duration,
        look: impl FnOnce(&mut Shard<K>) -> T,
    ) -> T {
        let mut shard: MutexGuard<'_, Shard<K>> = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let before = shard.paid_off_at.len();
        shard.sweep(now);
        let outcome = look(&mut shard);
        let after = shard.paid_off_at.len();
        if after > before {
            self.remembered.fetch_add(after - before, Ordering::Relaxed);
        } else if after < before {
            self.remembered.fetch_sub(before - after, Ordering::Relaxed);
        }
        outcome
    }

    fn shard(&self, debtor: &K) -> &Mutex<Shard<K>> {
        let index = self.hasher.hash_one(debtor) % SHARDS as u64;
        let [first, ..] = &self.shards;
        usize::try_from(index).ok().and_then(|index| self.shards.get(index)).unwrap_or(first)
    }

    #[cfg(test)]
    pub(crate) fn remembered(&self) -> usize {
        self.remembered.load(Ordering::Relaxed)
    }
}

impl<K: Hash + Eq> Shard<K> {
    fn bars(&self, debtor: &K, price: Duration, now: Duration) -> bool {
        // What costs more than the burst can be had once the debt is gone.
        let most = BURST.max(price);
        self.paid_off_at.get(debtor).is_some_and(|at| at.saturating_sub(now).saturating_add(price) > most)
    }

    fn charge(&mut self, debtor: K, price: Duration, now: Duration, each_max: usize) -> bool {
        let has_place = self.paid_off_at.len() < each_max || self.paid_off_at.contains_key(&debtor);
        if has_place {
            let paid_off_at = self.paid_off_at.entry(debtor).or_insert(now);
            // What was let in together may all be charged; the debt does not grow beyond what bars the next.
            let most = now.saturating_add(BURST.max(price));
            *paid_off_at = (*paid_off_at).max(now).saturating_add(price).min(most);
        }
        has_place
    }

    fn sweep(&mut self, now: Duration) {
        if now.saturating_sub(self.swept_at) >= SWEEP_EVERY {
            self.paid_off_at.retain(|_, at| *at > now);
            self.swept_at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn two_seconds_worth_may_come_at_once_and_then_what_time_pays_off() {
        for per_second in [1, 10, 200] {
            let (debts, price) = (Debts::new(100), Duration::from_secs(1) / per_second);
            let rate = usize::try_from(per_second).unwrap();
            for (at, expected) in
                [(5_000, 2 * rate), (5_000, 0), (6_000, rate), (6_999, rate - 1), (60_000, 2 * rate)]
            {
                let spent = (0..10_000).take_while(|_| debts.spend("ann", price, ms(at))).count();
                assert_eq!(spent, expected, "{per_second} a second, at {at} ms");
            }
        }
    }

    #[test]
    fn what_is_dearer_than_the_burst_can_be_had_one_at_a_time() {
        let (debts, price) = (Debts::new(100), ms(10_000));
        let spent: Vec<_> = [0, 1, 9_999, 10_000, 10_001].map(|at| debts.spend(1, price, ms(at))).into();
        assert_eq!(spent, [true, false, false, true, false]);
    }

    #[test]
    fn a_debt_does_not_grow_while_it_bars_and_nobody_pays_for_another() {
        let (debts, price) = (Debts::new(100), ms(100));
        for _ in 0..1_000 {
            debts.charge(1, price, ms(0));
        }
        assert!(debts.bars(&1, price, ms(99)) && !debts.bars(&2, price, ms(99)));
        assert!(!debts.bars(&1, price, ms(100)));
    }

    #[test]
    fn what_costs_nothing_is_never_charged() {
        let debts = Debts::new(100);
        assert!((0..10_000).all(|_| debts.spend(1, Duration::ZERO, ms(0))));
        assert_eq!(debts.remembered(), 0);
    }

    #[test]
    fn so_many_are_remembered_and_all_forgotten_when_they_have_paid() {
        let (debts, price) = (Debts::new(1_000), ms(100));
        while debts.spend(0, price, ms(0)) {}
        let placed = (1..10_000).filter(|debtor| debts.charge(*debtor, price, ms(0))).count();
        assert_eq!(placed + 1, debts.remembered(), "who finds no place is told of");
        assert!(debts.remembered() <= 1_000 + SHARDS, "{}", debts.remembered());
        assert!(debts.bars(&0, price, ms(0)), "whoever owes is not forgotten for others");
        for debtor in 0..10_000 {
            assert!(!debts.bars(&debtor, price, ms(5_000)));
        }
        assert_eq!(debts.remembered(), 0);
    }
}
