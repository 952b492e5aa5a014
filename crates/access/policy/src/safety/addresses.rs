//! Whether addresses that a condition lists are some or all there are.
//!
//! A list is judged as a whole, because the internet can be written in pieces of any size: its blocks are sorted, laid side by side,
//! and what they leave out decides. Either half of the internet is everybody: all of IPv4, also when it is written inside IPv6, and
//! what is routed of IPv6. Addresses that nobody can call from over the internet are no reason to take a list for a short one.
//!
//! What this does not know: which addresses belong to whom. A list that leaves out a single address of the internet is taken for a list.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::address::Block;

/// Those of IPv4, as they stand in IPv6: from behind "this network" to before multicast.
const IPV4: (u128, u128) = (
    Ipv4Addr::new(1, 0, 0, 0).to_ipv6_mapped().to_bits(),
    Ipv4Addr::new(223, 255, 255, 255).to_ipv6_mapped().to_bits(),
);
/// Global unicast: 2000::/3.
const IPV6: (u128, u128) = (
    Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0).to_bits(),
    Ipv6Addr::new(0x3fff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff).to_bits(),
);

/// Whether each value is an address or a block of some, and all of them together are not everybody.
pub(super) fn are_fixed(values: &[String]) -> bool {
    let blocks: Option<Vec<_>> = values.iter().map(|value| Block::parse(value)).collect();
    let Some(mut blocks) = blocks else { return false };
    blocks.sort_unstable();
    !covers(&blocks, IPV4) && !covers(&blocks, IPV6)
}

/// Whether sorted blocks leave nothing out of a range.
fn covers(blocks: &[Block], (first, last): (u128, u128)) -> bool {
    // The first address that is not known to be covered.
    let mut open = first;
    for block in blocks {
        if block.first > open || open > last {
            break;
        }
        let Some(next) = block.last.checked_add(1) else { return true };
        open = open.max(next);
    }
    open > last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_fixed_while_it_leaves_somebody_out() {
        let pieces: Vec<String> = (0..=255).map(|first| format!("{first}.0.0.0/8")).collect();
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        for (fixed, values) in [
            (true, ["192.0.2.0/24", "2001:db8::1"].as_slice()),
            (true, &["0.0.0.0/1"]),
            (true, &["0.0.0.0/1", "0.0.0.0/2", "128.0.0.0/2"]),
            (true, &["8000::/1"]),
            (true, &["2000::/4", "fd00::/8"]),
            (true, &["0.0.0.0"]),
            (true, pieces.get(2..).unwrap()),
            (false, pieces.get(1..224).unwrap()),
            (false, &["2000::/4", "3000::/4"]),
            (false, &["2000::/3"]),
            (false, &["::/1"]),
            (false, &pieces),
            (false, &["0.0.0.0/0"]),
            (false, &["::/0"]),
            (false, &["0.0.0.0/1", "128.0.0.0/1"]),
            (false, &["128.0.0.0/1", "192.0.2.1", "0.0.0.0/1", "::1"]),
            (false, &["203.0.113.7/1", "10.0.0.1/1"]),
            (false, &["0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"]),
            (false, &["::/1", "8000::/1"]),
            (false, &["2001:db8::/32", "0.0.0.0/2", "64.0.0.0/2", "128.0.0.0/1"]),
            (false, &["::ffff:0.0.0.0/96"]),
            (false, &["192.0.2.0/24", "*"]),
            (false, &["192.0.2.*"]),
            (false, &["192.0.2.0/33"]),
            (false, &["192.0.2.0/-1"]),
            (false, &["${aws:SourceIp}"]),
            (false, &[""]),
        ] {
            let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
            assert_eq!(are_fixed(&values), fixed, "{values:?}");
        }
    }
}
