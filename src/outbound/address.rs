//! Which addresses may be talked to: the IANA special-purpose registries (RFC 6890), read for a client that obeys strangers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of place an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// A host of the public internet.
    Public,
    /// This machine or one's own network: loopback, RFC 1918, RFC 4193, and the shared space of RFC 6598.
    Private(&'static str),
    /// Nothing that a URL may ever lead to: link-local addresses (the clouds' metadata services), multicast, and whatever is reserved,
    /// for documentation, or a tunnel to another address.
    Never(&'static str),
}

impl Zone {
    /// The zone of an address. An IPv4 address in IPv6 clothes is that IPv4 address.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => address.to_ipv4_mapped().map_or_else(|| of_v6(address), of_v4),
        }
    }
}

fn of_v4(address: Ipv4Addr) -> Zone {
    match address.octets() {
        [127, ..] => Zone::Private("loopback"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Zone::Private("a private network"),
        [100, 64..=127, ..] => Zone::Private("the shared space of a carrier"),
        [0, ..] => Zone::Never("\"this network\""),
        [169, 254, ..] => Zone::Never("link-local"),
        [192, 0, 0, _] => Zone::Never("reserved for protocols"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Zone::Never("for documentation"),
        [192, 88, 99, _] => Zone::Never("a 6to4 relay"),
        [198, 18..=19, ..] => Zone::Never("for benchmarks"),
        [224..=239, ..] => Zone::Never("multicast"),
        [240..=255, ..] => Zone::Never("reserved or broadcast"),
        _ => Zone::Public,
    }
}

fn of_v6(address: Ipv6Addr) -> Zone {
    if address == Ipv6Addr::LOCALHOST {
        return Zone::Private("loopback");
    }
    if address == Ipv6Addr::UNSPECIFIED {
        return Zone::Never("unspecified");
    }
    match address.segments() {
        [0xfc00..=0xfdff, ..] => Zone::Private("a private network"),
        [0xfe80..=0xfeff, ..] => Zone::Never("link-local or site-local"),
        [0xff00..=0xffff, ..] => Zone::Never("multicast"),
        [0x2001, 0x0db8, ..] | [0x3fff, 0x0000..=0x0fff, ..] => Zone::Never("for documentation"),
        [0x2001, 0x0000..=0x01ff, ..] => Zone::Never("reserved for protocols (Teredo and others)"),
        [0x2002, ..] => Zone::Never("6to4"),
        [0x0064, 0xff9b, ..] => Zone::Never("a translated IPv4 address"),
        [0x5f00, ..] => Zone::Never("segment routing"),
        // What is not assigned to anybody is nobody's public host: this takes in ::/8 with the old IPv4-compatible
        // addresses, and the discard prefix 100::/64.
        [0x2000..=0x3fff, ..] => Zone::Public,
        _ => Zone::Never("not assigned"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(text: &str) -> Zone {
        Zone::of(text.parse().expect("an address"))
    }

    #[test]
    fn public_addresses_are_public() {
        for text in [
            "1.1.1.1",
            "9.9.9.9",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "198.17.0.1",
            "198.20.0.1",
            "192.0.1.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "2001:4860:4860::8888",
            "::ffff:1.1.1.1",
        ] {
            assert_eq!(zone(text), Zone::Public, "{text}");
        }
    }

    #[test]
    fn ones_own_network_is_private() {
        for text in [
            "127.0.0.1",
            "127.255.255.254",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "::1",
            "fc00::1",
            "fd12:3456::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:7f00:1",
        ] {
            assert!(matches!(zone(text), Zone::Private(_)), "{text}");
        }
    }

    #[test]
    fn the_rest_is_never_allowed() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "169.254.0.1",
            "192.0.0.1",
            "192.0.0.170",
            "192.0.2.1",
            "198.51.100.7",
            "203.0.113.9",
            "192.88.99.1",
            "198.18.0.1",
            "198.19.255.255",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::2",
            "::127.0.0.1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "3fff::1",
            "2001::1",
            "2001:10::1",
            "2002:7f00:1::",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "5f00::1",
            "4000::1",
            "::ffff:169.254.169.254",
            "::ffff:0.0.0.0",
        ] {
            assert!(matches!(zone(text), Zone::Never(_)), "{text}");
        }
    }
}
