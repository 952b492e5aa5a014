//! Who failed to prove himself too often of late.
//!
//! Every failed verification is charged to the network that it came from, for nothing else of such a request can be believed: a
//! charge to the key or the account that it names would let anybody spend what is another's. A network whose debt is as large as it
//! may be is refused before any work, until the debt has been paid off by time.
//!
//! Those who have many addresses are bound together: while all failures are more than ten networks may have, whoever fails is not heard
//! again for two seconds.
//!
//! What this does not know: the clock, what a verification is, and what is told to those who are refused.

use std::{net::IpAddr, time::Duration};

use super::{
    debts::{BURST, Debts},
    seats::network,
};

/// Networks in debt that are remembered, below 1 MiB. The requests of one that finds no place are still bound by the seats of strangers.
const NETWORKS_MAX: usize = 16_384;
/// So many times what one network may have is what all may have together. A failure costs about 50 µs, so at the default of 200 a
/// second that is a tenth of a processor.
const NETWORKS_AT_FULL_RATE: u32 = 10;

#[derive(Debug)]
pub(crate) struct Failures {
    /// What one failure costs; zero if nothing is charged.
    price: Duration,
    of_networks: Debts<IpAddr>,
    of_all: Debts<()>,
}

impl Failures {
    /// Allows so many failures a second and network; 0 allows any number.
    pub(crate) fn new(per_second: u32) -> Self {
        let price = Duration::from_secs(1).checked_div(per_second).unwrap_or_default();
        Self { price, of_networks: Debts::new(NETWORKS_MAX), of_all: Debts::new(1) }
    }

    pub(crate) fn charge(&self, address: IpAddr, now: Duration) {
        let within = self.of_all.spend((), self.price / NETWORKS_AT_FULL_RATE, now);
        let price = if within || self.price.is_zero() { self.price } else { 2 * BURST };
        self.of_networks.charge(network(address), price, now);
    }

    /// Whether one more failure is more than this network may owe.
    pub(crate) fn bar(&self, address: IpAddr, now: Duration) -> bool {
        self.of_networks.bars(&network(address), self.price, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    /// Fails until it is barred.
    fn fail_at(failures: &Failures, from: IpAddr, now: Duration) -> usize {
        let let_in = (0..10_000).take_while(|_| {
            let is_in = !failures.bar(from, now);
            if is_in {
                failures.charge(from, now);
            }
            is_in
        });
        let_in.count()
    }

    #[test]
    fn a_network_may_fail_so_often_and_no_other_pays_for_it() {
        let failures = Failures::new(10);
        let (here, there) = (address(1), address(2));
        assert_eq!(fail_at(&failures, here, ms(0)), 20);
        assert!(failures.bar(here, ms(99)) && !failures.bar(there, ms(99)));
        assert!(!failures.bar(here, ms(100)));
        let neighbours: Vec<IpAddr> =
            ["2001:db8::1", "2001:db8::2"].iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(fail_at(&failures, neighbours[0], ms(0)), 20);
        assert!(failures.bar(neighbours[1], ms(0)), "a /64 is one customer");
    }

    #[test]
    fn zero_bars_nobody() {
        let failures = Failures::new(0);
        assert_eq!(fail_at(&failures, address(1), ms(0)), 10_000);
    }

    #[test]
    fn ten_thousand_addresses_fail_no_more_often_than_ten() {
        let failures = Failures::new(10);
        let fail_for = |seconds: u64| {
            let moments = (0..seconds * 100).map(|tick| ms(1_000 + tick * 10));
            let failed = moments.flat_map(|now| (0..1_000).map(move |from| (now, address(from)))).filter(
                |&(now, from)| {
                    let is_in = !failures.bar(from, now);
                    if is_in {
                        failures.charge(from, now);
                    }
                    is_in
                },
            );
            failed.count()
        };
        // Each fails when he is first seen, and then once for each time that he is let in again.
        let first = fail_for(1);
        assert!(first <= 1_000 + 400, "{first}");
        assert!(!failures.bar(address(5_000), ms(2_000)), "who has not failed is let in");
    }
}
