//! Addresses as Go's `net` package has them: `:14000` is every address, `0.0.0.0:14000` too, `localhost:14000` is looked up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

/// What is no address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadAddress {
    /// Not HOST:PORT.
    #[error("{0:?} is no HOST:PORT")]
    Form(String),
    /// A host that nobody knows.
    #[error("nobody knows the host of {0:?}")]
    Host(String),
}

/// Where to listen. Go listens at every address of both families where IPv4's or no address is left open.
pub(super) fn listen(text: &str) -> Result<Vec<SocketAddr>, BadAddress> {
    let (host, port) = split(text)?;
    let any = [
        IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    ];
    let is_open = match host.parse::<IpAddr>() {
        Ok(address) => address.is_unspecified(),
        Err(_) => host.is_empty(),
    };
    if !is_open {
        return Ok(vec![first(text, host, port)?]);
    }
    let families = any.into_iter().filter(|any| any.is_ipv4() || has_ipv6());
    Ok(families.map(|any| SocketAddr::new(any, port)).collect())
}

/// Whom to ask; no host is this one.
pub(super) fn connect(text: &str) -> Result<SocketAddr, BadAddress> {
    match split(text)? {
        ("", port) => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        (host, port) => first(text, host, port),
    }
}

fn split(text: &str) -> Result<(&str, u16), BadAddress> {
    let form = || BadAddress::Form(text.to_owned());
    let (host, port) = text.rsplit_once(':').ok_or_else(form)?;
    let port = port.parse().map_err(|_| form())?;
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match bare {
        Some(host) => Ok((host, port)),
        None if host.contains(':') => Err(form()),
        None => Ok((host, port)),
    }
}

/// The first address of a host, of IPv4 if it has one, as Go chooses.
fn first(text: &str, host: &str, port: u16) -> Result<SocketAddr, BadAddress> {
    let unknown = || BadAddress::Host(text.to_owned());
    let found = (host, port).to_socket_addrs().map_err(|_| unknown())?;
    let found: Vec<SocketAddr> = found.collect();
    let v4 = found.iter().find(|address| address.is_ipv4());
    v4.or(found.first()).copied().ok_or_else(unknown)
}

fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_go_reads_them() {
        let v4 = |text: &str| {
            let all = listen(text).unwrap();
            all.into_iter().find(SocketAddr::is_ipv4).unwrap()
        };
        assert_eq!(v4(":14000").to_string(), "0.0.0.0:14000");
        assert_eq!(v4("0.0.0.0:14000").to_string(), "0.0.0.0:14000");
        assert_eq!(v4("[::]:14000").to_string(), "0.0.0.0:14000");
        assert_eq!(v4("localhost:7").to_string(), "127.0.0.1:7");
        assert_eq!(listen("127.0.0.1:7").unwrap().len(), 1);
        assert_eq!(listen("[::1]:7").unwrap()[0].to_string(), "[::1]:7");
        assert_eq!(connect(":8053").unwrap().to_string(), "127.0.0.1:8053");
        assert_eq!(connect("[::1]:53").unwrap().to_string(), "[::1]:53");
        for wrong in ["", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", "::1:53"] {
            assert_eq!(listen(wrong), Err(BadAddress::Form(wrong.to_owned())));
        }
    }
}
