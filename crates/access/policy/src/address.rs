//! Addresses and blocks of them, as `aws:SourceIp` is compared.
//!
//! An address of IPv4 that is written inside IPv6 is one of IPv4, and neither family lies in a block of the other: `::/0` is
//! everybody on IPv6 and nobody else. Bits behind the length of a block do not count.

use std::net::{IpAddr, Ipv6Addr};

/// IPv4, as it stands in IPv6.
const MAPPED_BITS: u32 = 96;

/// From the first address to the last, both in the notation of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Block {
    pub(crate) first: u128,
    pub(crate) last: u128,
    is_ipv4: bool,
}

impl Block {
    /// An address alone is a block of one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let (address, longest) = match address.parse().ok()? {
            IpAddr::V4(address) => (address.to_ipv6_mapped(), 32),
            IpAddr::V6(address) => (address, 128),
        };
        let bits = bits.map_or(Some(longest), |bits| length(bits).filter(|bits| *bits <= longest))?;
        let bits = bits + (128 - longest);
        let free = u128::MAX.checked_shr(bits).unwrap_or(0);
        let is_ipv4 = address.to_ipv4_mapped().is_some() && bits >= MAPPED_BITS;
        Some(Self { first: address.to_bits() & !free, last: address.to_bits() | free, is_ipv4 })
    }

    pub(crate) fn contains(&self, address: Ipv6Addr) -> bool {
        self.is_ipv4 == address.to_ipv4_mapped().is_some()
            && (self.first..=self.last).contains(&address.to_bits())
    }
}

/// An address in the notation of IPv6.
pub(crate) fn address(text: &str) -> Option<Ipv6Addr> {
    Some(match text.parse().ok()? {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    })
}

fn length(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks() {
        for (block, inside, outside) in [
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.77/24", "192.0.2.1", "192.0.1.255"),
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("192.0.2.0/24", "::ffff:192.0.2.9", "2001:db8::1"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
            ("::ffff:192.0.2.0/120", "192.0.2.9", "192.0.3.1"),
            ("2001:db8::/32", "2001:0DB8:0:0::1", "2001:db9::1"),
            ("2001:db8::1", "2001:db8:0::1", "2001:db8::2"),
        ] {
            let block = Block::parse(block).unwrap();
            assert!(block.contains(address(inside).unwrap()), "{inside}");
            assert!(!block.contains(address(outside).unwrap()), "{outside}");
        }
        for text in
            ["", "*", "192.0.2", "192.0.2.0/33", "192.0.2.0/", "192.0.2.0/+8", "::/129", "10.0.0.1/8/8"]
        {
            assert_eq!(Block::parse(text), None, "{text}");
        }
    }
}
