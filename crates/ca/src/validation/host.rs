//! Where validation connects to: a name that is looked up, or an address as it is (RFC 8738 §4).

use std::fmt;
use std::net::IpAddr;

use cairn_acme::identifier::{DnsName, Identifier};

use super::rules::covers;

/// A host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// By name.
    Name(DnsName),
    /// By address; it is never looked up.
    Address(IpAddr),
}

impl Host {
    /// The host that an identifier is validated at; none for a wildcard, which is no host.
    pub fn of(identifier: &Identifier) -> Option<Self> {
        match identifier {
            Identifier::Dns(name) => Some(Self::Name(name.clone())),
            Identifier::Ip(address) => Some(Self::Address(*address)),
            Identifier::WildcardDns(_) => None,
        }
    }

    /// Tells whether control of this host speaks for another: the same address, or a name at or below it.
    pub(super) fn speaks_for(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(own), Self::Name(other)) => covers(own.as_str(), other.as_str()),
            (own, other) => own == other,
        }
    }

    /// Writes it as URLs and the Host header have it: IPv6 in brackets (RFC 3986 section 3.2.2).
    pub(super) fn in_url(&self) -> String {
        match self {
            Self::Address(IpAddr::V6(address)) => format!("[{address}]"),
            other => other.to_string(),
        }
    }

    /// The name that stands for it in TLS's server name indication: an address has its name of the
    /// reverse tree (RFC 8738 section 6).
    pub(super) fn server_name(&self) -> String {
        match self {
            Self::Name(name) => name.to_string(),
            Self::Address(address) => reverse_name(*address),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// An address's name of the reverse tree, without the last dot (RFC 1034 section 5.2.1, RFC 3596 section 2.5).
fn reverse_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => {
            let mut name = String::with_capacity(72);
            for octet in address.octets().iter().rev() {
                name.push_str(&format!("{:x}.{:x}.", octet & 0x0f, octet >> 4));
            }
            name.push_str("ip6.arpa");
            name
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Host {
        Host::Address(text.parse().unwrap())
    }

    #[test]
    fn an_address_has_its_name_of_the_reverse_tree_for_tls() {
        // T-CA-76
        // 8738-6-1
        let cases = [
            ("192.0.2.1", "1.2.0.192.in-addr.arpa"),
            ("10.0.0.255", "255.0.0.10.in-addr.arpa"),
            (
                "2001:db8::1",
                "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
            ),
            (
                "2001:503:ba3e::2:30",
                "0.3.0.0.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.e.3.a.b.3.0.5.0.1.0.0.2.ip6.arpa",
            ),
        ];
        let wrong: Vec<_> = cases
            .iter()
            .filter(|(text, want)| address(text).server_name() != *want)
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn only_ipv6_stands_in_brackets() {
        // 8738-5-1
        assert_eq!(address("2001:db8::1").in_url(), "[2001:db8::1]");
        assert_eq!(address("192.0.2.1").in_url(), "192.0.2.1");
        assert_eq!(address("2001:db8::1").to_string(), "2001:db8::1");
    }

    #[test]
    fn a_host_speaks_for_itself_and_names_below_it() {
        let name = |text| Host::Name(DnsName::parse(text).unwrap());
        assert!(name("a.example").speaks_for(&name("b.a.example")));
        assert!(!name("a.example").speaks_for(&name("example")));
        assert!(!name("a.example").speaks_for(&name("ba.example")));
        assert!(address("192.0.2.1").speaks_for(&address("192.0.2.1")));
        assert!(!address("192.0.2.1").speaks_for(&address("192.0.2.2")));
        assert!(!address("192.0.2.1").speaks_for(&name("a.example")));
    }
}
