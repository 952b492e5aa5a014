//! IpAddress: whether an address lies in a range. Families never match each other, but `::ffff:a.b.c.d` counts as IPv4.

use std::net::IpAddr;

use crate::number::all_digits;

/// Whether the request's address is in the range of the policy; a bare address is a range of one.
pub(crate) fn is_in(address: &str, range: &str) -> bool {
    let (Some(address), Some((network, prefix))) = (read(address), read_range(range)) else { return false };
    match (bits(address), bits(network)) {
        ((width, address), (other, network)) if width == other => {
            // Host bits of the range are masked.
            let dropped = width - prefix;
            address.checked_shr(dropped).unwrap_or(0) == network.checked_shr(dropped).unwrap_or(0)
        }
        _ => false,
    }
}

fn read(text: &str) -> Option<IpAddr> {
    Some(text.parse::<IpAddr>().ok()?.to_canonical())
}

/// A network and the length of its prefix.
fn read_range(text: &str) -> Option<(IpAddr, u32)> {
    let Some((network, prefix)) = text.split_once('/') else {
        let network = read(text)?;
        return Some((network, bits(network).0));
    };
    if !all_digits(prefix) {
        return None;
    }
    let (written, prefix) = (network.parse::<IpAddr>().ok()?, prefix.parse::<u32>().ok()?);
    let network = written.to_canonical();
    // A range of mapped addresses is the range of the addresses in it; one that reaches beyond them is none of IPv4.
    let beyond = bits(written).0 - bits(network).0;
    if beyond > 0 && prefix < beyond {
        return (prefix <= 128).then_some((written, prefix));
    }
    let prefix = prefix - beyond;
    (prefix <= bits(network).0).then_some((network, prefix))
}

/// The width of the family, and the address as a number.
fn bits(address: IpAddr) -> (u32, u128) {
    match address {
        IpAddr::V4(address) => (32, u128::from(address.to_bits())),
        IpAddr::V6(address) => (128, address.to_bits()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_a_range_of_its_own_family() {
        let cases = [
            ("203.0.113.9", "203.0.113.0/24", true),
            ("203.0.114.9", "203.0.113.0/24", false),
            ("203.0.113.9", "203.0.113.5/24", true),
            ("203.0.113.9", "203.0.113.9", true),
            ("203.0.113.9", "0.0.0.0/0", true),
            ("2001:db8::1", "0.0.0.0/0", false),
            ("2001:db8::1", "::/0", true),
            ("203.0.113.9", "::/0", false),
            ("::ffff:203.0.113.9", "203.0.113.0/24", true),
            ("203.0.113.9", "::ffff:203.0.113.9", true),
            ("203.0.113.9", "203.0.113.0/33", false),
            ("203.0.113.9/32", "203.0.113.0/24", false),
            ("203.0.113", "203.0.113.0/24", false),
        ];
        for (address, range, expected) in cases {
            assert_eq!(is_in(address, range), expected, "{address} in {range}");
        }
    }
}
