//! Which addresses a host that somebody names may stand for.

use std::net::{IpAddr, Ipv4Addr};

/// A database is often in a private network. It is never where clouds keep the credentials of their machines, and on this machine only if
/// the operator has listed it.
pub fn may_be_reached(address: IpAddr, listed: bool) -> bool {
    if listed {
        return true;
    }
    match plain(address) {
        IpAddr::V4(four) => {
            !(four.is_loopback()
                || four.is_link_local()
                || four.is_multicast()
                || four.is_broadcast()
                || four.octets().starts_with(&[0])
                // Alibaba's.
                || four == Ipv4Addr::new(100, 100, 100, 200))
        }
        IpAddr::V6(six) => {
            !(six.is_loopback()
                || six.is_unspecified()
                || six.is_multicast()
                || six.is_unicast_link_local()
                || six.segments().starts_with(&[0xfd00, 0xec2]))
        }
    }
}

/// The same for a server of somebody who is at home anywhere: then a private network is as much the operator's as this machine.
pub fn may_be_reached_from_afar(address: IpAddr, listed: bool) -> bool {
    listed || (may_be_reached(address, false) && !is_private(plain(address)))
}

fn is_private(address: IpAddr) -> bool {
    match address {
        // Beside those that are called private, those that carriers share out.
        IpAddr::V4(four) => {
            four.is_private() || matches!(four.octets(), [100, second, ..] if second & 0xc0 == 64)
        }
        IpAddr::V6(six) => six.is_unique_local(),
    }
}

/// An address of IPv4 can be written as one of IPv6: mapped, or as a gateway translates it.
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else { return address };
    let translated = match six.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => six.octets().last_chunk::<4>().copied(),
        _ => None,
    };
    six.to_ipv4_mapped().or(translated.map(Ipv4Addr::from)).map_or(address, IpAddr::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_listed_is_neither_this_machine_nor_its_cloud_nor_for_strangers_its_network() {
        for (address, database, stranger) in [
            ("203.0.113.9", true, true),
            ("2001:db8::1", true, true),
            ("172.15.255.255", true, true),
            ("172.32.0.0", true, true),
            ("100.63.255.255", true, true),
            ("100.128.0.0", true, true),
            ("64:ff9b::cb00:7109", true, true),
            ("10.0.0.5", true, false),
            ("172.16.0.1", true, false),
            ("172.31.255.255", true, false),
            ("192.168.1.1", true, false),
            ("100.64.0.1", true, false),
            ("100.127.255.255", true, false),
            ("fc00::1", true, false),
            ("fd12:3456::1", true, false),
            ("::ffff:10.0.0.5", true, false),
            ("64:ff9b::a00:5", true, false),
            ("100.100.100.200", false, false),
            ("127.0.0.1", false, false),
            ("::1", false, false),
            ("::ffff:127.0.0.1", false, false),
            ("169.254.169.254", false, false),
            ("64:ff9b::a9fe:a9fe", false, false),
            ("fd00:ec2::254", false, false),
            ("fe80::1", false, false),
            ("0.0.0.0", false, false),
            ("224.0.0.1", false, false),
        ] {
            let parsed = address.parse().unwrap();
            assert_eq!(may_be_reached(parsed, false), database, "{address}");
            assert_eq!(may_be_reached_from_afar(parsed, false), stranger, "{address}");
            assert!(may_be_reached(parsed, true) && may_be_reached_from_afar(parsed, true), "{address}");
        }
    }
}
