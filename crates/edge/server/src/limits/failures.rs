//! Who failed to prove himself too often of late.
//!
//! Every failed verification is charged to the network that it came from, for nothing else of such a request can be believed: a
//! charge to the key or the account that it names would let anybody spend what is another's. A network whose debt is as large as it
//! may be is barred: refused before any work, until the debt has been paid off by time.
//!
//! A network is often more than one machine. A key that proved itself from there of late ([`super::known`]) is heard all the same. Whoever
//! has learnt the name of such a key has, under that name, as many failures once more.
//!
//! Those who have many addresses are bound together: while all failures are more than ten networks may have, whoever fails is not heard
//! again for two seconds. When there are more of them than can be remembered, the others are charged to the block that they are in, and
//! then who is unknown in there shares their lot.
//!
//! What this does not know: the clock, what a verification is, and what is told to those who are refused.

use std::{
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use super::{
    debts::{BURST, Debts},
    known::Known,
    seats::network,
};

/// Networks in debt that are remembered, below 1 MiB.
const NETWORKS_MAX: usize = 16_384;
/// Blocks: all of the older addresses, and more of the newer ones than anybody has been given.
const BLOCKS_MAX: usize = 16_384;
/// Keys that are heard from barred networks and fail all the same.
const KEYS_MAX: usize = 16_384;
/// So many times what one network may have is what all may have together. A failure costs about 50 µs, so at the default of 200 a
/// second that is a tenth of a processor.
const NETWORKS_AT_FULL_RATE: u32 = 10;

#[derive(Debug)]
pub(crate) struct Failures {
    /// What one failure costs; zero if nothing is charged.
    price: Duration,
    of_networks: Debts<IpAddr>,
    of_blocks: Debts<IpAddr>,
    of_keys: Debts<u64>,
    of_all: Debts<()>,
    known: Known,
    hasher: RandomState,
}

impl Failures {
    /// Allows so many failures a second and network; 0 allows any number.
    pub(crate) fn new(per_second: u32) -> Self {
        Self {
            price: Duration::from_secs(1).checked_div(per_second).unwrap_or_default(),
            of_networks: Debts::new(NETWORKS_MAX),
            of_blocks: Debts::new(BLOCKS_MAX),
            of_keys: Debts::new(KEYS_MAX),
            of_all: Debts::new(1),
            known: Known::new(),
            hasher: RandomState::new(),
        }
    }

    /// Charges a failure, also to the key that it was heard for if the address is barred.
    pub(crate) fn charge(&self, address: IpAddr, heard_for: Option<u64>, now: Duration) {
        let within = self.of_all.spend((), self.price / NETWORKS_AT_FULL_RATE, now);
        let price = if within || self.price.is_zero() { self.price } else { 2 * BURST };
        if !self.of_networks.charge(network(address), price, now) {
            self.of_blocks.charge(block(address), price, now);
        }
        if let Some(key) = heard_for {
            self.of_keys.charge(self.pair(address, key), price, now);
        }
    }

    /// Whether one more failure is more than this network may owe.
    pub(crate) fn bar(&self, address: IpAddr, now: Duration) -> bool {
        self.of_networks.bars(&network(address), self.price, now)
            || self.of_blocks.bars(&block(address), self.price, now)
    }

    /// Whether somebody who names this key is heard although strangers have used up what his address may have.
    pub(crate) fn hears(&self, address: IpAddr, key: u64, now: Duration) -> bool {
        let who = self.pair(address, key);
        self.known.knows(who, now) && !self.of_keys.bars(&who, self.price, now)
    }

    /// Somebody proved that he has this key.
    pub(crate) fn remember(&self, address: IpAddr, key: u64, now: Duration) {
        self.known.remember(self.pair(address, key), now);
    }

    fn pair(&self, address: IpAddr, key: u64) -> u64 {
        self.hasher.hash_one((network(address), key))
    }
}

/// What is given to one provider, more or less.
fn block(address: IpAddr) -> IpAddr {
    const PROVIDER: u128 = u128::MAX << 96;
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [first, ..] = address.octets();
            Ipv4Addr::new(first, 0, 0, 0).into()
        }
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & PROVIDER).into(),
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
                failures.charge(from, None, now);
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
                        failures.charge(from, None, now);
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

    #[test]
    fn a_key_that_is_known_pair_is_heard_until_it_fails_itself() {
        let failures = Failures::new(10);
        let (here, there) = (address(1), address(2));
        failures.remember(here, 7, ms(0));
        for barred in [here, there] {
            fail_at(&failures, barred, ms(0));
        }
        assert!(failures.hears(here, 7, ms(0)));
        assert!(!failures.hears(here, 8, ms(0)) && !failures.hears(there, 7, ms(0)));
        // Who knows its name has the failures of one more network, and then waits.
        let under_its_name = (0..1_000).take_while(|_| {
            let is_heard = failures.hears(here, 7, ms(0));
            failures.charge(here, Some(7), ms(0));
            is_heard
        });
        assert_eq!(under_its_name.count(), 20);
        assert!(failures.hears(here, 7, ms(2_000)));
    }

    #[test]
    fn when_there_are_too_many_to_be_remembered_their_block_pays() {
        let failures = Failures::new(10);
        let many = (NETWORKS_MAX * 3).try_into().unwrap();
        for number in 0..many {
            let from = address((1 << 24) | number);
            assert!(fail_at(&failures, from, ms(0)) <= 20 && failures.bar(from, ms(0)), "{number}");
        }
        assert!(failures.bar(address(0x01ff_ffff), ms(0)), "who has not failed shares their lot");
        assert!(!failures.bar(address(0x0200_0001), ms(0)), "and nobody elsewhere does");
    }

    #[test]
    fn blocks_are_as_wide_as_a_provider() {
        for (address, expected) in
            [("192.0.2.7", "192.0.0.0"), ("::ffff:192.0.2.7", "192.0.0.0"), ("2001:db8:1:2::3", "2001:db8::")]
        {
            assert_eq!(block(address.parse().unwrap()).to_string(), expected);
        }
    }
}
