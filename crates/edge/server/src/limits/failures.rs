//! Who failed to prove himself too often of late.
//!
//! Every failed verification is charged to the network that it came from, for nothing else of such a request can be believed: a
//! charge to the key or the account that it names would let anybody spend what is another's. A network whose debt is as large as it
//! may be is refused before any work, until the debt has been paid off by time.
//!
//! What this does not know: the clock, what a verification is, and what is told to those who are refused.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::seats::network;

/// What may come at once: as much as in this time. Clients whose credentials ran out fail in bursts.
const BURST: Duration = Duration::from_secs(2);
/// Networks in debt that are remembered, below 1 MiB. One that finds no place goes uncharged: its requests are still bound by the seats
/// of strangers, and forgetting another in its stead would let whoever has many addresses clear the debt of one.
const NETWORKS_MAX: usize = 16_384;
/// How often those without a debt are forgotten. One failure is paid off within milliseconds.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Failures {
    /// What one failure costs; zero if nothing is charged.
    price: Duration,
    /// How many are remembered: mostly none, and then nobody takes the lock.
    remembered: AtomicUsize,
    debts: Mutex<Debts>,
}

/// A debt is the moment at which it will have been paid off.
#[derive(Debug, Default)]
struct Debts {
    paid_off_at: HashMap<IpAddr, Duration>,
    swept_at: Duration,
}

impl Failures {
    /// Allows so many failures a second and network; 0 allows any number.
    pub(crate) fn new(per_second: u32) -> Self {
        let price = Duration::from_secs(1).checked_div(per_second).unwrap_or_default();
        Self { price, remembered: AtomicUsize::new(0), debts: Mutex::default() }
    }

    pub(crate) fn charge(&self, address: IpAddr, now: Duration) {
        if self.price.is_zero() {
            return;
        }
        let network = network(address);
        let mut debts = self.lock();
        debts.sweep(now);
        if debts.paid_off_at.len() < NETWORKS_MAX || debts.paid_off_at.contains_key(&network) {
            let paid_off_at = debts.paid_off_at.entry(network).or_insert(now);
            // Requests that were let in together may all fail; the debt does not grow beyond what bars the next.
            *paid_off_at = (*paid_off_at).max(now).saturating_add(self.price).min(now.saturating_add(BURST));
        }
        self.remembered.store(debts.paid_off_at.len(), Ordering::Relaxed);
    }

    /// Whether one more failure is more than this network may owe.
    pub(crate) fn bar(&self, address: IpAddr, now: Duration) -> bool {
        if self.remembered.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let mut debts = self.lock();
        debts.sweep(now);
        self.remembered.store(debts.paid_off_at.len(), Ordering::Relaxed);
        let paid_off_at = debts.paid_off_at.get(&network(address));
        paid_off_at.is_some_and(|at| at.saturating_sub(now).saturating_add(self.price) > BURST)
    }

    fn lock(&self) -> MutexGuard<'_, Debts> {
        self.debts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Debts {
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

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Fails until it is barred.
    fn fail_at(failures: &Failures, now: Duration) -> usize {
        let let_in = (0..10_000).take_while(|_| {
            let is_in = !failures.bar(HERE, now);
            if is_in {
                failures.charge(HERE, now);
            }
            is_in
        });
        let_in.count()
    }

    #[test]
    fn two_seconds_worth_may_come_at_once_and_then_what_time_pays_off() {
        for per_second in [1, 10, 200] {
            let failures = Failures::new(per_second);
            let rate = usize::try_from(per_second).unwrap();
            for (at, let_in) in
                [(5_000, 2 * rate), (5_000, 0), (6_000, rate), (6_999, rate - 1), (60_000, 2 * rate)]
            {
                assert_eq!(fail_at(&failures, ms(at)), let_in, "{per_second} a second, at {at} ms");
            }
        }
    }

    #[test]
    fn nobody_pays_for_another() {
        let failures = Failures::new(10);
        fail_at(&failures, ms(0));
        assert!(failures.bar(HERE, ms(0)) && !failures.bar(THERE, ms(0)));
    }

    #[test]
    fn a_debt_does_not_grow_while_it_bars() {
        let failures = Failures::new(10);
        for _ in 0..1_000 {
            failures.charge(HERE, ms(0));
        }
        assert!(failures.bar(HERE, ms(99)));
        assert!(!failures.bar(HERE, ms(100)));
    }

    #[test]
    fn zero_bars_nobody() {
        let failures = Failures::new(0);
        assert_eq!(fail_at(&failures, ms(0)), 10_000);
    }

    #[test]
    fn so_many_are_remembered_and_all_forgotten_when_they_have_paid() {
        let failures = Failures::new(10);
        fail_at(&failures, ms(0));
        for number in 0..2 * u32::try_from(NETWORKS_MAX).unwrap() {
            failures.charge(IpAddr::V4(number.into()), ms(0));
        }
        assert_eq!(failures.lock().paid_off_at.len(), NETWORKS_MAX);
        assert!(failures.bar(HERE, ms(0)), "whoever owes is not forgotten for others");
        assert!(!failures.bar(HERE, ms(5_000)));
        assert_eq!(failures.remembered.load(Ordering::Relaxed), 0);
    }
}
