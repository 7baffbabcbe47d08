//! Who is at the other end: the peer's address, or what a trusted proxy says of the client behind it.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use http::HeaderMap;

/// A network of addresses: `10.0.0.0/8`, `2001:db8::/32`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Reads `address` or `address/prefix`.
    ///
    /// # Errors
    /// What would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no network: write an address or address/prefix, as in \"10.0.0.0/8\"");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u8>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let address = plain(address.parse().map_err(|_| wrong())?);
        let longest = bits(address);
        let prefix = prefix.unwrap_or(longest);
        if prefix > longest { Err(wrong()) } else { Ok(Self { address, prefix }) }
    }

    /// Whether `address` lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = plain(address);
        let (longest, shift) = (bits(self.address), u32::from(bits(self.address) - self.prefix));
        longest == bits(address)
            && number(self.address).checked_shr(shift).unwrap_or(0) == number(address).checked_shr(shift).unwrap_or(0)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix == bits(self.address) {
            self.address.fmt(f)
        } else {
            write!(f, "{}/{}", self.address, self.prefix)
        }
    }
}

/// IPv4 written as IPv6 is IPv4.
fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The client of a request, as far as it can be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// Its address.
    pub address: IpAddr,
    /// Whether nobody on the way can read along: TLS, the same machine, or a proxy that vouches for it.
    pub private: bool,
    /// Whether the client itself speaks HTTPS, to us or to the proxy.
    pub https: bool,
    /// Whether a trusted proxy stands between.
    pub proxied: bool,
}

impl Client {
    /// The client behind a connection from `peer`. Forwarded headers count only if `peer` is a trusted proxy: then the
    /// address is the last in X-Forwarded-For that is no trusted proxy itself.
    pub fn of(peer: IpAddr, tls: bool, headers: &HeaderMap, trusted: &[Network]) -> Self {
        let peer = plain(peer);
        if !trusted.iter().any(|network| network.contains(peer)) {
            return Self { address: peer, private: tls || peer.is_loopback(), https: tls, proxied: false };
        }
        let scheme = headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok()).map(str::trim);
        let plain_outside = scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("http"));
        let https = tls || scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
        let address = forwarded_for(headers, trusted).unwrap_or(peer);
        Self { address, private: !plain_outside || address.is_loopback(), https, proxied: true }
    }

    /// What failed logins are counted by: an IPv4 address, or an IPv6 network of 64 bits, which is what one
    /// customer has.
    pub fn throttle_address(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(_) => self.address,
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        }
    }
}

fn forwarded_for(headers: &HeaderMap, trusted: &[Network]) -> Option<IpAddr> {
    let mut hops = Vec::new();
    for value in headers.get_all("x-forwarded-for") {
        hops.extend(value.to_str().ok()?.split(',').map(|hop| hop.trim().parse::<IpAddr>().ok().map(plain)));
    }
    let mut nearest = None;
    for hop in hops.into_iter().rev() {
        // What stands left of an entry that cannot be read may be made up by the client.
        let hop = hop?;
        nearest = Some(hop);
        if !trusted.iter().any(|network| network.contains(hop)) {
            break;
        }
    }
    nearest
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn networks_hold_what_they_say() {
        let cases = [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
        ];
        for (network, address, inside) in cases {
            assert_eq!(
                Network::parse(network).expect("a network").contains(ip(address)),
                inside,
                "{network} {address}"
            );
        }
        for wrong in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "host"] {
            assert!(Network::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn forwarded_headers_count_from_trusted_proxies_only() {
        let trusted = [Network::parse("10.0.0.0/8").expect("a network")];
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("198.51.100.1, 203.0.113.5, 10.0.0.2"));
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        let client = Client::of(ip("10.0.0.1"), false, &headers, &trusted);
        assert_eq!(client, Client { address: ip("203.0.113.5"), private: true, https: true, proxied: true });
        let liar = Client::of(ip("203.0.113.99"), false, &headers, &trusted);
        assert_eq!(liar, Client { address: ip("203.0.113.99"), private: false, https: false, proxied: false });
        headers.insert("x-forwarded-proto", HeaderValue::from_static("http"));
        assert!(!Client::of(ip("10.0.0.1"), false, &headers, &trusted).private);
        assert!(Client::of(ip("127.0.0.1"), false, &HeaderMap::new(), &trusted).private);
        assert!(Client::of(ip("203.0.113.99"), true, &HeaderMap::new(), &[]).private);
    }
}
