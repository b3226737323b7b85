//! Whose visit it was: only a public IP address may be sent as a visitor's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The address in `text` if it is a public one; IPv6 with or without brackets and zone, either with or without a port.
///
/// `None` for `AWS Internal`, names of services, private addresses, and anything else.
#[must_use]
pub fn public(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let address = parse(text).or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))?.to_canonical();
    let public = match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    };
    public.then_some(address)
}

fn parse(text: &str) -> Option<IpAddr> {
    let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let (address, _zone) = text.split_once('%').unwrap_or((text, ""));
    address.parse().ok()
}

/// Ranges for documentation count as public: nobody is there, so nobody is harmed, and examples work.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    let shared = first == 100 && (64..128).contains(&second);
    let benchmarks = first == 198 && (18..20).contains(&second);
    let protocols = address.octets().starts_with(&[192, 0, 0]);
    !(first == 0
        || first >= 224
        || shared
        || benchmarks
        || protocols
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let first = address.segments().first().copied().unwrap_or_default();
    let site_local = first & 0xffc0 == 0xfec0;
    !(site_local
        || address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || address.is_unique_local()
        || address.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_are_found_however_they_are_written() {
        for (text, address) in [
            ("203.0.113.7", "203.0.113.7"),
            (" 8.8.8.8 ", "8.8.8.8"),
            ("8.8.8.8:443", "8.8.8.8"),
            ("[2a00:1450::8]", "2a00:1450::8"),
            ("[2a00:1450::8%eth0]", "2a00:1450::8"),
            ("2a00:1450::8%3", "2a00:1450::8"),
            ("[2a00:1450::8]:9000", "2a00:1450::8"),
            ("::ffff:8.8.8.8", "8.8.8.8"),
        ] {
            assert_eq!(public(text), Some(address.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn all_else_is_nobody() {
        for text in [
            "",
            "AWS Internal",
            "athena.amazonaws.com",
            "10.0.0.1",
            "172.16.3.4",
            "192.168.1.1",
            "127.0.0.1",
            "169.254.1.1",
            "100.64.0.1",
            "198.18.0.1",
            "192.0.0.8",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "[::1]",
            "::",
            "fe80::1%eth0",
            "fd00::1",
            "fec0::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "8.8.8",
            "8.8.8.8, 9.9.9.9",
            "8.8.8.08",
            "[",
            "]",
            "%",
        ] {
            assert_eq!(public(text), None, "{text}");
        }
    }
}
