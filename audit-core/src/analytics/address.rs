//! Whose visit it was: only a public IP address may be sent as a visitor's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The address in `text` if it is a public one; IPv6 with or without brackets and zone, either with or without a port.
///
/// Of a list as proxies forward it, the first is the client's: `RustFS` writes all of `X-Forwarded-For` in the client's place.
///
/// `None` for `AWS Internal`, names of services, private addresses, and anything else.
#[must_use]
pub fn public(text: &str) -> Option<IpAddr> {
    let (first, _proxies) = text.split_once(',').unwrap_or((text, ""));
    let text = first.trim();
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

/// By IANA's registry of special addresses: what is not reachable from everywhere is nobody's on the internet. Ranges for documentation count as
/// public: nobody is there, so nobody is harmed, and examples work.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    let shared = first == 100 && (64..128).contains(&second);
    let benchmarks = first == 198 && (18..20).contains(&second);
    let protocols = address.octets().starts_with(&[192, 0, 0]);
    let relays = address.octets().starts_with(&[192, 88, 99]);
    // From 224 on: multicast, then what was never given out.
    !(first == 0
        || first >= 224
        || shared
        || benchmarks
        || protocols
        || relays
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local())
}

/// Of all of IPv6, `2000::/3` alone is given out: loopback, private, link-local, translated and multicast addresses lie elsewhere.
fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // 6to4: as public as the address within.
        [0x2002, high, low, ..] => is_public_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))),
        // Protocols: tunnels, benchmarks, identifiers that no packet carries.
        [0x2001, second, ..] if second < 0x200 => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
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
            ("::FFFF:808:808", "8.8.8.8"),
            ("2002:808:808::1", "2002:808:808::1"),
            ("2001:4860:4860::8888", "2001:4860:4860::8888"),
            ("2001:db8::1", "2001:db8::1"),
            ("203.0.113.255", "203.0.113.255"),
            ("203.0.113.7,10.0.0.1", "203.0.113.7"),
            ("203.0.113.7, 10.0.0.1", "203.0.113.7"),
            (" 203.0.113.7 , 10.0.0.1, 8.8.8.8", "203.0.113.7"),
            ("[2a00:1450::8]:9000,10.0.0.1", "2a00:1450::8"),
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
            "::10.0.0.1",
            "::8.8.8.8",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2002:a00:1::1",
            "4000::1",
            "[::1]:443",
            "100.127.255.255",
            "192.88.99.1",
            "240.0.0.1",
            "unknown",
            "_hidden",
            "0x08080808",
            "134744072",
            "8.8.8",
            "unknown, 8.8.8.8",
            "10.0.0.1,8.8.8.8",
            ",8.8.8.8",
            "8.8.8.08",
            "[",
            "]",
            "%",
        ] {
            assert_eq!(public(text), None, "{text}");
        }
    }
}
