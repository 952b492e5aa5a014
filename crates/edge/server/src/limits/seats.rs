//! Places of which there are so many in all, and so many for whoever comes from one address.
//!
//! The listener counts connections with them, and the exchange counts requests that have not proven yet who sends them. A place is
//! given back when it is dropped, so that no way out of a function can forget it.
//!
//! What this does not know: what a place is for, and what is told to those who find none.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

#[derive(Debug)]
pub(crate) struct Seats {
    total: usize,
    each: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// One place, given back when dropped.
#[must_use = "a place that is dropped is free again"]
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    network: IpAddr,
}

impl Seats {
    pub(crate) fn new(total: usize, each: usize) -> Arc<Self> {
        Arc::new(Self { total, each, taken: Mutex::default() })
    }

    /// A place, or which of the limits left none.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> Result<Seat, &'static str> {
        let network = network(address);
        let mut taken = self.lock();
        if taken.total >= self.total {
            return Err("total");
        }
        if taken.by_network.get(&network).is_some_and(|here| *here >= self.each) {
            return Err("address");
        }
        *taken.by_network.entry(network).or_default() += 1;
        taken.total += 1;
        Ok(Seat { seats: Arc::clone(self), network })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        taken.total = taken.total.saturating_sub(1);
        let Some(here) = taken.by_network.get_mut(&self.network) else { return };
        *here = here.saturating_sub(1);
        if *here == 0 {
            taken.by_network.remove(&self.network);
        }
    }
}

/// Whose places are counted together. One customer has a whole /64 of the newer addresses.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    const NETWORK: u128 = u128::MAX << 64;
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_in_one_network_share_their_seats() {
        for (address, counted_as) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("::1", "::"),
        ] {
            assert_eq!(network(address.parse().unwrap()).to_string(), counted_as);
        }
    }

    #[test]
    fn whoever_finds_none_learns_which_limit_it_was_and_what_is_dropped_is_free_again() {
        let [one, two, three] = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|text| text.parse().unwrap());
        let seats = Seats::new(3, 2);
        let held = [seats.take(one).unwrap(), seats.take(one).unwrap()];
        assert_eq!(seats.take(one).unwrap_err(), "address");
        let last = seats.take(two).unwrap();
        assert_eq!(seats.take(three).unwrap_err(), "total");
        drop(last);
        assert!(seats.take(three).is_ok());
        drop(held);
        assert!(seats.lock().by_network.is_empty(), "nobody is remembered for having been here");
    }
}
