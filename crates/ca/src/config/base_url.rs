//! The CA's own URLs, from which every other is made for ever.

use std::{fmt, net::Ipv6Addr, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// `https://HOST[:PORT]`, nothing after it. URLs of accounts, CRLs and issuers are made from it and never from a
/// request's Host header (T-CA-132).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct BaseUrl {
    host: String,
    port: u16,
}

/// Why a text cannot be the CA's URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the CA's URL is https://HOST or https://HOST:PORT, {0}")]
pub struct BadBaseUrl(&'static str);

impl BaseUrl {
    /// The host, lower-cased; an IPv6 address stands in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, 443 unless written.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether the host is a name (an address has no name constraint of its own).
    #[must_use]
    pub fn is_named(&self) -> bool {
        !self.host.starts_with('[') && self.host.parse::<std::net::IpAddr>().is_err()
    }

    /// Whether the host is `localhost` or below it, so that only this machine can mean it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.host == "localhost" || self.host.ends_with(".localhost")
    }
}

/// Letters, digits and inner hyphens, 63 octets a label and 253 in all.
pub(super) fn is_host_name(text: &str) -> bool {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// Host and port of what stands behind the scheme.
fn host_and_port(rest: &str, default: u16) -> Result<(String, u16), &'static str> {
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#', '@']) {
        return Err("without user, path, query or fragment");
    }
    let (host, port) = match rest
        .rfind(':')
        .filter(|at| !rest.get(*at..).is_some_and(|r| r.contains(']')))
    {
        Some(at) => {
            let (host, port) = rest.split_at(at);
            let digits = port.get(1..).unwrap_or_default();
            let port: Option<u16> = digits
                .bytes()
                .all(|b| b.is_ascii_digit())
                .then(|| digits.parse().ok())
                .flatten();
            let port = port.filter(|p| *p != 0);
            (host, port.ok_or("with a port from 1 to 65535")?)
        }
        None => (rest, default),
    };
    let host = host.to_ascii_lowercase();
    let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let good = match bracketed {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => is_host_name(&host),
    };
    if good {
        Ok((host, port))
    } else {
        Err("with a host name or an address (IPv6 in brackets)")
    }
}

impl FromStr for BaseUrl {
    type Err = BadBaseUrl;

    fn from_str(text: &str) -> Result<Self, BadBaseUrl> {
        let rest = text
            .strip_prefix("https://")
            .ok_or(BadBaseUrl("with https"))?;
        let (host, port) = host_and_port(rest, 443).map_err(BadBaseUrl)?;
        Ok(Self { host, port })
    }
}

/// `http://HOST[:PORT]`, nothing after it: where certificates say that CRLs and issuers are. Not where they are served:
/// a proxy may stand before the listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicationUrl {
    host: String,
    port: u16,
}

/// Why a text cannot be the publication's URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the publication's URL is http://HOST or http://HOST:PORT, {0}")]
pub struct BadPublicationUrl(&'static str);

impl PublicationUrl {
    /// On the CA's own host.
    #[must_use]
    pub fn beside(base: &BaseUrl, port: u16) -> Self {
        Self {
            host: base.host.clone(),
            port,
        }
    }

    /// The host, lower-cased; an IPv6 address stands in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl FromStr for PublicationUrl {
    type Err = BadPublicationUrl;

    fn from_str(text: &str) -> Result<Self, BadPublicationUrl> {
        let rest = text
            .strip_prefix("http://")
            .ok_or(BadPublicationUrl("with plain http"))?;
        let (host, port) = host_and_port(rest, 80).map_err(BadPublicationUrl)?;
        Ok(Self { host, port })
    }
}

impl fmt::Display for PublicationUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            80 => write!(f, "http://{}", self.host),
            port => write!(f, "http://{}:{port}", self.host),
        }
    }
}

impl Serialize for PublicationUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicationUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            443 => write!(f, "https://{}", self.host),
            port => write!(f, "https://{}:{port}", self.host),
        }
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for BaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BaseUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_has_one_spelling() {
        for (text, spelling, host, port) in [
            (
                "https://CA.example.org",
                "https://ca.example.org",
                "ca.example.org",
                443,
            ),
            (
                "https://ca.example.org:443/",
                "https://ca.example.org",
                "ca.example.org",
                443,
            ),
            (
                "https://localhost:14443",
                "https://localhost:14443",
                "localhost",
                14443,
            ),
            ("https://[::1]:9", "https://[::1]:9", "[::1]", 9),
            ("https://[::1]", "https://[::1]", "[::1]", 443),
            ("https://192.0.2.1", "https://192.0.2.1", "192.0.2.1", 443),
        ] {
            let url: BaseUrl = text.parse().unwrap();
            assert_eq!(
                (url.to_string().as_str(), url.host(), url.port()),
                (spelling, host, port)
            );
        }
    }

    #[test]
    fn what_is_no_base_url_is_refused() {
        for text in [
            "",
            "http://ca",
            "https://",
            "https://ca/x",
            "https://ca?x",
            "https://u@ca",
            "https://ca:0",
            "https://ca:+1",
            "https://ca:",
            "https://ca:99999",
            "https://c a",
            "https://ca..x",
            "https://-ca",
            "https://[::1",
            "https://::1",
            "https://ca\n",
            "https://ca_x",
        ] {
            assert!(text.parse::<BaseUrl>().is_err(), "{text:?}");
        }
    }
}
