//! A URL that can be called: read by the WHATWG rules, so that every spelling of an address is that address.

use std::net::IpAddr;

use url::{Host, Url};

use super::{Failure, Policy, Reach, Zone};

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    url: Url,
}

/// The longest URL that is taken, in bytes: the links of Microsoft's listings carry their state.
const URL_BYTES_MAX: usize = 8_192;

impl Target {
    /// Reads a URL. Says nothing yet of whether it may be called: see [`Target::check`].
    ///
    /// # Errors
    /// [`Failure::BadUrl`] in words for whoever wrote it: no URL, neither http nor https, no host, a name or password in it, too long.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let bad = |reason: &str| Failure::BadUrl(reason.to_owned());
        if text.len() > URL_BYTES_MAX {
            return Err(Failure::BadUrl(format!("it is longer than {URL_BYTES_MAX} bytes")));
        }
        // A slash by the rules of WHATWG, and part of a name by others: whoever checks and whoever calls must read the same.
        if text.contains('\\') {
            return Err(bad("it holds a backslash; write a slash, or %5C"));
        }
        let mut url = Url::parse(text).map_err(|error| Failure::BadUrl(format!("it is no URL ({error})")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Failure::BadUrl(format!(
                "it begins with {}:, and only https: (or http:) can be called",
                url.scheme()
            )));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("it holds a name or password; leave that out"));
        }
        if url.host().is_none() {
            return Err(bad("it names no host"));
        }
        url.set_fragment(None);
        Ok(Self { url })
    }

    /// Whether it may be called at all: scheme, port, and the address if the host is one. A name's addresses are looked at when it is called.
    ///
    /// # Errors
    /// [`Failure::BadUrl`] or [`Failure::Blocked`].
    pub fn check(&self, policy: &Policy, reach: Reach) -> Result<(), Failure> {
        if reach == Reach::Public {
            if policy.https_only && !self.is_https() {
                return Err(Failure::BadUrl("it begins with http:, and only https: is allowed".to_owned()));
            }
            if !policy.ports.contain(self.port()) {
                let allowed = match &policy.ports {
                    super::Ports::Any => String::new(),
                    super::Ports::Only(ports) => ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", "),
                };
                return Err(Failure::BadUrl(format!(
                    "it names the port {}, and only {allowed} is allowed",
                    self.port()
                )));
            }
            if let Some(Host::Domain(name)) = self.url.host()
                && is_private_name(name)
            {
                return Err(Failure::BadUrl(format!("{name} is a name of one machine or of a private network")));
            }
        }
        self.address().map_or(Ok(()), |address| self.allow(address, reach))
    }

    /// Whether this address of its host may be talked to.
    pub(super) fn allow(&self, address: IpAddr, reach: Reach) -> Result<(), Failure> {
        let what = match Zone::of(address) {
            Zone::Public => return Ok(()),
            Zone::Private(_) if reach == Reach::Private => return Ok(()),
            Zone::Private(what) | Zone::Never(what) => what,
        };
        Err(Failure::Blocked { host: self.host().to_owned(), address, what })
    }

    /// Whether it is `https:`.
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The host: a name in ASCII, or an address (IPv6 in brackets).
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// The port, said or implied.
    pub fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(0)
    }

    /// The address, if the host is one.
    pub fn address(&self) -> Option<IpAddr> {
        match self.url.host()? {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(IpAddr::V4(address)),
            Host::Ipv6(address) => Some(IpAddr::V6(address)),
        }
    }

    /// The URL as it was understood.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// Scheme and authority, without path and query: for logs, since those may hold tokens.
    pub fn origin(&self) -> String {
        format!("{}://{}", self.url.scheme(), self.authority())
    }

    /// What `Host` says (RFC 9110 §7.2).
    pub fn authority(&self) -> String {
        match self.url.port() {
            Some(port) => format!("{}:{port}", self.host()),
            None => self.host().to_owned(),
        }
    }

    /// What the request line says (RFC 9112 §3.2.1).
    pub fn path_and_query(&self) -> String {
        match self.url.query() {
            Some(query) => format!("{}?{query}", self.url.path()),
            None => self.url.path().to_owned(),
        }
    }

    /// The target that `reference` leads to from here, as in a link of an answer. Nobody follows it by itself.
    ///
    /// # Errors
    /// As [`Target::parse`].
    pub fn join(&self, reference: &str) -> Result<Self, Failure> {
        let joined = self.url.join(reference).map_err(|error| Failure::BadUrl(format!("it is no URL ({error})")))?;
        Self::parse(joined.as_str())
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.url.as_str())
    }
}

impl std::str::FromStr for Target {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        Self::parse(text)
    }
}

/// Names that mean another machine to everybody who asks (RFC 6761 §6.3, RFC 6762 §3, RFC 8375, and `internal`, which ICANN keeps for
/// private use): the clouds' metadata services have some of them.
fn is_private_name(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    ["localhost", "local", "internal", "home.arpa"]
        .iter()
        .any(|suffix| name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::Ports;

    fn target(text: &str) -> Target {
        Target::parse(text).unwrap_or_else(|failure| panic!("{text}: {failure}"))
    }

    #[test]
    fn odd_spellings_of_an_address_are_that_address() {
        for text in [
            "https://127.0.0.1/",
            "https://0x7f.1/",
            "https://0x7f000001/",
            "https://2130706433/",
            "https://017700000001/",
            "https://127.1/",
            "https://0177.0.0.1/",
            "https://127.0.0.1./",
            "https://%31%32%37.0.0.1/",
            "https://\u{ff11}27.0.0.1/",
            "https://127\u{3002}0\u{3002}0\u{3002}1/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[0:0:0:0:0:ffff:7f00:1]/",
            "https:127.0.0.1",
            " https://127.0.0.1/ ",
            "https://127.0.0.1:443/",
            "hTTps://127.0.0.1/",
            "https://0/",
            "https://0.0.0.0/",
            "https://169.254.169.254/latest/meta-data/",
            "https://2852039166/",
            "https://0xa9fea9fe/",
            "https://[fe80::1]/",
            "https://10.1/",
            "https://192.168.257/",
            "https://[64:ff9b::7f00:1]/",
            "https://[2002:7f00:1::]/",
        ] {
            let failure = target(text).check(&Policy::default(), Reach::Public);
            assert!(matches!(failure, Err(Failure::Blocked { .. })), "{text}: {failure:?}");
        }
    }

    #[test]
    fn urls_that_are_none_or_hold_more_than_a_place_are_refused() {
        for text in [
            "",
            "example.org",
            "ftp://example.org/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "https://",
            "https:///",
            "https://user@example.org/",
            "https://user:word@example.org/",
            "https://:word@example.org/",
            "https://exa mple.org/",
            "https:\\\\example.org/",
            "https://[::1/",
            "https://1.2.3.4.5/",
            "https://256.1.1.1/",
            "https://example.org:99999/",
            "https://[fe80::1%25eth0]/",
            "https://a%00b/",
            "gopher://127.0.0.1:25/",
        ] {
            assert!(matches!(Target::parse(text), Err(Failure::BadUrl(_))), "{text}");
        }
        let long = format!("https://example.org/{}", "a".repeat(9_000));
        assert!(matches!(Target::parse(&long), Err(Failure::BadUrl(_))));
    }

    #[test]
    fn scheme_and_port_follow_the_policy_and_ones_own_network_its_own_rules() {
        let policy = Policy { ports: Ports::Only(vec![443, 8443]), ..Policy::default() };
        let verdict = |text: &str, reach| target(text).check(&policy, reach).is_ok();
        assert!(verdict("https://example.org/hook", Reach::Public));
        assert!(verdict("https://example.org:8443/hook", Reach::Public));
        assert!(!verdict("https://example.org:25/hook", Reach::Public));
        assert!(!verdict("http://example.org:443/hook", Reach::Public));
        assert!(verdict("http://127.0.0.1:9000/hook", Reach::Private));
        assert!(!verdict("http://169.254.169.254/", Reach::Private), "metadata services are nobody's own network");
    }

    #[test]
    fn the_parts_are_those_of_the_request() {
        let target = target("https://Example.org:8443/a b?x=1#part");
        assert_eq!((target.host(), target.port(), target.is_https()), ("example.org", 8443, true));
        assert_eq!((target.authority(), target.path_and_query()), ("example.org:8443".into(), "/a%20b?x=1".into()));
        assert_eq!(target.origin(), "https://example.org:8443");
        assert_eq!(
            Target::parse("https://bücher.example/").map(|t| t.host().to_owned()).ok().as_deref(),
            Some("xn--bcher-kva.example")
        );
    }
}
