//! Addresses to listen at as Go's `net.Listen` reads them: `:5002` is every address of both families, `127.0.0.1:5002`,
//! `[::1]:5002`, `localhost:5002`.

use std::{
    io,
    net::{Ipv6Addr, SocketAddr, ToSocketAddrs},
};

/// What is no address to listen at.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadAddress {
    /// Nothing behind a colon.
    #[error("missing port in address")]
    NoPort,
    /// An IPv6 address without brackets.
    #[error("too many colons in address")]
    Colons,
    /// No number of 16 bits.
    #[error("invalid port")]
    Port,
    /// A name that leads nowhere.
    #[error("its host is not found")]
    Host(#[source] Option<io::Error>),
}

/// Reads one.
///
/// # Errors
/// What is wrong with it.
pub(super) fn listen(text: &str) -> Result<SocketAddr, BadAddress> {
    let (host, port) = text.rsplit_once(':').ok_or(BadAddress::NoPort)?;
    let host = match host.strip_prefix('[').map(|h| h.strip_suffix(']')) {
        Some(inner) => inner.ok_or(BadAddress::NoPort)?,
        None if host.contains(':') => return Err(BadAddress::Colons),
        None => host,
    };
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    let port: u16 = match (port, digits) {
        // Go takes no port for any port.
        ("", _) => 0,
        (port, true) => port.parse().map_err(|_| BadAddress::Port)?,
        (_, false) => return Err(BadAddress::Port),
    };
    if host.is_empty() {
        return Ok((Ipv6Addr::UNSPECIFIED, port).into());
    }
    let found = (host, port).to_socket_addrs();
    let found: Vec<_> = found.map_err(|e| BadAddress::Host(Some(e)))?.collect();
    // Of a name with both, the IPv4 address.
    let first = found.iter().find(|a| a.is_ipv4()).or(found.first());
    first.copied().ok_or(BadAddress::Host(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_go_reads_them() {
        let rows = [
            (":5002", "[::]:5002"),
            ("0.0.0.0:5002", "0.0.0.0:5002"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("[::1]:80", "[::1]:80"),
            ("[::]:80", "[::]:80"),
            ("127.0.0.1:", "127.0.0.1:0"),
        ];
        for (text, address) in rows {
            assert_eq!(listen(text).unwrap().to_string(), address, "{text}");
        }
        let rows = [
            ("", "missing port in address"),
            ("xx", "missing port in address"),
            ("[::1]", "missing port in address"),
            ("[::1:80", "missing port in address"),
            ("::1:80", "too many colons in address"),
            ("127.0.0.1:x", "invalid port"),
            ("127.0.0.1:65536", "invalid port"),
            ("127.0.0.1:+1", "invalid port"),
        ];
        for (text, reason) in rows {
            assert_eq!(listen(text).unwrap_err().to_string(), reason, "{text}");
        }
    }
}
