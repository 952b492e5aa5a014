//! The ways out of a function's own network: which address of it stands for which endpoint.
//!
//! An endpoint keeps the name that it has, so that certificates hold and secrets need not be changed. A name gets an address of its own
//! in 127.0.0.0/8, to which the function's `/etc/hosts` leads; what is an address already is an address of its loopback interface too.
//!
//! Endpoints come out of secrets, and whoever writes those writes what he likes. One that cannot be is left out, and is then as
//! unreachable as everything else.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Each is a listener of the function's network.
const WAYS_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 253;

pub(crate) struct Way {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// By the operator, who may lead wherever he likes.
    pub(crate) listed: bool,
    inside: IpAddr,
}

#[derive(Default)]
pub(crate) struct Ways(Vec<Way>);

impl Ways {
    /// Of host, port and whether the operator has listed them. What is `taken` is something else already.
    pub(crate) fn new(endpoints: &[(String, u16, bool)], taken: &[SocketAddr]) -> Self {
        let literals: Vec<IpAddr> = endpoints.iter().filter_map(|(host, ..)| literal(host)).collect();
        let mut free = (2..=254).map(|last| IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)));
        let mut ways: Vec<Way> = Vec::new();
        for (host, port, listed) in endpoints.iter().filter(|(_, port, _)| *port != 0) {
            let known = ways.iter().find(|way| way.host.eq_ignore_ascii_case(host)).map(|way| way.inside);
            let inside = match literal(host) {
                Some(address) => can_be_had(address).then_some(address),
                None if !is_name(host) => None,
                None => known.or_else(|| free.find(|address| !literals.contains(address))),
            };
            let is_taken = |inside: IpAddr| {
                let place = SocketAddr::new(inside, *port);
                taken.contains(&place) || ways.iter().any(|way| (way.inside, way.port) == (inside, *port))
            };
            let inside = inside.filter(|inside| !is_taken(*inside) && ways.len() < WAYS_MAX);
            if let Some(inside) = inside {
                ways.push(Way { host: host.clone(), port: *port, listed: *listed, inside });
            }
        }
        Self(ways)
    }

    pub(crate) fn listeners(&self) -> impl Iterator<Item = SocketAddr> {
        self.0.iter().map(|way| SocketAddr::new(way.inside, way.port))
    }

    /// Names and addresses, each name once.
    pub(crate) fn names(&self) -> Vec<(String, String)> {
        let mut names: Vec<(String, String)> = Vec::new();
        for way in self.0.iter().filter(|way| literal(&way.host).is_none()) {
            if !names.iter().any(|(name, _)| name.eq_ignore_ascii_case(&way.host)) {
                names.push((way.host.clone(), way.inside.to_string()));
            }
        }
        names
    }

    /// In the order of the listeners.
    pub(crate) fn into_iter(self) -> impl Iterator<Item = Way> {
        self.0.into_iter()
    }
}

/// The address that a host is, if it is not a name.
fn literal(host: &str) -> Option<IpAddr> {
    match host.parse::<IpAddr>() {
        Ok(address) => Some(address.to_canonical()),
        Err(_) if host.eq_ignore_ascii_case("localhost") => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        Err(_) => None,
    }
}

/// Whether an interface may have this address. Those of one link say nothing without the name of an interface.
fn can_be_had(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => {
            let [first, ..] = four.octets();
            (1..224).contains(&first)
        }
        IpAddr::V6(six) => !(six.is_unspecified() || six.is_multicast() || six.is_unicast_link_local()),
    }
}

/// Whether it can be a line of `/etc/hosts`, and be only that.
fn is_name(host: &str) -> bool {
    let is_plain =
        |c: char| !(c.is_whitespace() || c.is_control() || matches!(c, '#' | ':' | '/' | '[' | ']'));
    (1..=NAME_BYTES_MAX).contains(&host.len()) && host.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(endpoints: &[(&str, u16)], inside: &[&str], names: &[(&str, &str)]) {
        let endpoints: Vec<(String, u16, bool)> =
            endpoints.iter().map(|(host, port)| ((*host).to_owned(), *port, true)).collect();
        let ways = Ways::new(&endpoints, &["127.0.0.1:9001".parse().unwrap()]);
        let listeners: Vec<String> = ways.listeners().map(|place| place.to_string()).collect();
        assert_eq!(listeners, inside, "{endpoints:?}");
        let names: Vec<(String, String)> =
            names.iter().map(|(name, address)| ((*name).to_owned(), (*address).to_owned())).collect();
        assert_eq!(ways.names(), names, "{endpoints:?}");
    }

    #[test]
    fn a_name_has_one_address_and_an_address_is_itself() {
        check(
            &[("db", 5432), ("db", 5433), ("DB", 5432), ("DB", 1), ("other.example.com", 5432)],
            &["127.0.0.2:5432", "127.0.0.2:5433", "127.0.0.2:1", "127.0.0.3:5432"],
            &[("db", "127.0.0.2"), ("other.example.com", "127.0.0.3")],
        );
        check(
            &[("10.0.0.5", 5432), ("fd00::5", 5432), ("::ffff:10.0.0.6", 1), ("localhost", 2), ("::1", 3)],
            &["10.0.0.5:5432", "[fd00::5]:5432", "10.0.0.6:1", "127.0.0.1:2", "[::1]:3"],
            &[],
        );
        // A name never stands where an address is meant.
        check(&[("db", 1), ("127.0.0.2", 1)], &["127.0.0.3:1", "127.0.0.2:1"], &[("db", "127.0.0.3")]);
    }

    #[test]
    fn what_cannot_be_is_left_out() {
        let hosts =
            ["", "a b", "a\nb", "#", "0.0.0.0", "0.1.2.3", "240.0.0.1", "224.0.0.1", "255.255.255.255"];
        for host in hosts.into_iter().chain(["::", "ff02::1", "fe80::1", "[::1]", "a/b", "::ffff:0.0.0.0"]) {
            check(&[(host, 5432)], &[], &[]);
        }
        check(&[("db", 0), ("127.0.0.1", 9001), ("LOCALHOST", 9001)], &[], &[]);
        check(&[(&"a".repeat(254), 1)], &[], &[]);
    }

    #[test]
    fn there_are_so_many_and_no_more() {
        let many: Vec<(String, u16, bool)> =
            (0..100).map(|number| (format!("db{number}"), 1, false)).collect();
        assert_eq!(Ways::new(&many, &[]).names().len(), WAYS_MAX);
    }
}
