//! Where Pebble listens and whom it asks: `:14000` is every address, `0.0.0.0:14000` too, `localhost:14000` is looked up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use crate::in_place_of::go_address::{self, BadAddress};

/// Where to listen. Go listens at every address of both families where IPv4's or no address is left open.
pub(super) fn listen(text: &str) -> Result<Vec<SocketAddr>, BadAddress> {
    let address = go_address::listen(text)?;
    if !address.ip().is_unspecified() {
        return Ok(vec![address]);
    }
    let any = [
        IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    ];
    let families = any.into_iter().filter(|any| any.is_ipv4() || has_ipv6());
    Ok(families
        .map(|any| SocketAddr::new(any, address.port()))
        .collect())
}

/// Whom to ask; no host is this one.
pub(super) fn connect(text: &str) -> Result<SocketAddr, BadAddress> {
    let address = go_address::listen(text)?;
    Ok(match text.starts_with(':') {
        true => SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())),
        false => address,
    })
}

fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_addresses_are_every_address_and_no_host_is_this_one() {
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
            assert!(listen(wrong).is_err(), "{wrong}");
        }
    }
}
