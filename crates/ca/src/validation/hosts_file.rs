//! Names that a test CA finds without the DNS, as Go's resolver does for Pebble: those of the hosts file, then `localhost`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// The addresses of a name, IPv6 first, and where they are from. The file is read each time: a test may change it.
pub(super) fn find(file: &Path, name: &str) -> Option<(Vec<IpAddr>, String)> {
    let text = std::fs::read(file).unwrap_or_default();
    let found = parse(&String::from_utf8_lossy(&text), name);
    if !found.is_empty() {
        return Some((found, format!("{} has it", file.display())));
    }
    let is_localhost = name == "localhost" || name.ends_with(".localhost");
    is_localhost.then(|| {
        let loopback = vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()];
        (loopback, "localhost is this host (RFC 6761)".to_owned())
    })
}

/// hosts(5): an address, then its names; `#` begins a comment.
fn parse(text: &str, name: &str) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split('#').next()?.split_whitespace();
            let address = words.next()?.parse().ok()?;
            let named = words.any(|word| word.trim_end_matches('.').eq_ignore_ascii_case(name));
            named.then_some(address)
        })
        .collect();
    found.sort_by_key(IpAddr::is_ipv4);
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_file_comes_before_localhost_and_knows_no_other_names() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("hosts");
        let text = "127.0.0.1 localhost\n192.0.2.7\tA.test a # b.test\n::1 a.test\nodd c.test\n\
                    192.0.2.8 x.localhost\n#192.0.2.9 d.test\n192.0.2.7 a.test\n";
        std::fs::write(&file, text).unwrap();
        let of = |name: &str| -> Option<String> {
            let (found, _) = find(&file, name)?;
            let all: Vec<_> = found.iter().map(ToString::to_string).collect();
            Some(all.join(" "))
        };
        let mut wrong = Vec::new();
        for (name, want) in [
            ("a.test", Some("::1 192.0.2.7")),
            ("a", Some("192.0.2.7")),
            ("b.test", None),
            ("c.test", None),
            ("d.test", None),
            ("localhost", Some("127.0.0.1")),
            ("x.localhost", Some("192.0.2.8")),
            ("y.localhost", Some("::1 127.0.0.1")),
            ("notlocalhost", None),
        ] {
            if of(name).as_deref() != want {
                wrong.push((name, of(name)));
            }
        }
        assert!(wrong.is_empty(), "{wrong:?}");
        std::fs::remove_file(&file).unwrap();
        assert_eq!(of("a.test"), None);
        assert_eq!(of("localhost").unwrap(), "::1 127.0.0.1");
    }
}
