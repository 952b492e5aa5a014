//! Which addresses a host that somebody names may stand for.

use std::net::{IpAddr, Ipv4Addr};

/// A database is often in a private network. It is never where clouds keep the credentials of their machines, and on this machine only if
/// the operator has listed it.
pub fn may_be_reached(address: IpAddr, listed: bool) -> bool {
    if listed {
        return true;
    }
    let plain = match address {
        IpAddr::V6(six) => six.to_ipv4_mapped().map_or(address, IpAddr::V4),
        four @ IpAddr::V4(_) => four,
    };
    match plain {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_listed_is_neither_this_machine_nor_its_cloud() {
        let check = |address: &str, expected| {
            assert_eq!(may_be_reached(address.parse().unwrap(), false), expected, "{address}");
        };
        check("10.0.0.5", true);
        check("203.0.113.9", true);
        check("127.0.0.1", false);
        check("::1", false);
        check("::ffff:127.0.0.1", false);
        check("169.254.169.254", false);
        check("fd00:ec2::254", false);
        check("fe80::1", false);
        check("0.0.0.0", false);
        check("224.0.0.1", false);
        assert!(may_be_reached("127.0.0.1".parse().unwrap(), true));
    }
}
