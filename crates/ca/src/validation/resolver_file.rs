//! The system's resolver file (`resolv.conf`), read again when it changes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// Follows the file; asks the disk at most once a second.
#[derive(Debug)]
pub(super) struct ResolverFile {
    path: PathBuf,
    seen: Option<Stamp>,
    checked: Option<Instant>,
}

/// What tells one state of the file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
}

impl ResolverFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            seen: None,
            checked: None,
        }
    }

    /// Gives the servers if the file was not read yet or has changed since.
    pub(super) fn changed(&mut self, now: Instant) -> Option<Vec<SocketAddr>> {
        if self
            .checked
            .is_some_and(|checked| now.duration_since(checked) < CHECK)
        {
            return None;
        }
        self.checked = Some(now);
        let stamp = stamp(&self.path);
        if self.seen == Some(stamp) {
            return None;
        }
        self.seen = Some(stamp);
        let text = std::fs::read(&self.path).unwrap_or_default();
        Some(parse(&String::from_utf8_lossy(&text)))
    }
}

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok();
    Stamp {
        modified: metadata.as_ref().and_then(|m| m.modified().ok()),
        length: metadata.as_ref().map_or(0, std::fs::Metadata::len),
    }
}

/// Reads the `nameserver` lines; like the C library, three at most, and this host if there is
/// none. Everything else in the file (search lists, options) is not for absolute names.
pub(super) fn parse(text: &str) -> Vec<SocketAddr> {
    let mut servers: Vec<SocketAddr> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some("nameserver"))
                .then(|| words.next())??
                .parse::<IpAddr>()
                .ok()
        })
        .take(3)
        .map(|ip| SocketAddr::new(ip, 53))
        .collect();
    if servers.is_empty() {
        servers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53));
    }
    servers
}

const CHECK: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nameserver_lines_are_read_as_the_c_library_does() {
        let cases: [(&str, &str, &[&str]); 5] = [
            (
                "two",
                "nameserver 192.0.2.1\nnameserver\t2001:db8::1\n",
                &["192.0.2.1:53", "[2001:db8::1]:53"],
            ),
            (
                "comments",
                "# nameserver 1.1.1.1\n;x\nsearch a b\nnameserver 192.0.2.1 # main\n",
                &["192.0.2.1:53"],
            ),
            (
                "three at most",
                "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4",
                &["192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"],
            ),
            ("empty", "", &["127.0.0.1:53"]),
            (
                "nonsense",
                "nameserver\nnameserver host\n\0\u{fffd}",
                &["127.0.0.1:53"],
            ),
        ];
        let mut wrong = Vec::new();
        for (name, text, want) in cases {
            let got: Vec<String> = parse(text).iter().map(ToString::to_string).collect();
            if got != want {
                wrong.push(format!("{name}: {got:?}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn a_changed_file_is_read_again_and_an_unchanged_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("resolv.conf");
        std::fs::write(&path, "nameserver 192.0.2.1\n").unwrap();
        let mut file = ResolverFile::new(path.clone());
        let start = Instant::now();
        assert_eq!(
            file.changed(start).unwrap(),
            ["192.0.2.1:53".parse().unwrap()]
        );
        assert_eq!(file.changed(start + CHECK), None);
        std::fs::write(&path, "nameserver 192.0.2.22\n").unwrap();
        assert_eq!(
            file.changed(start + CHECK),
            None,
            "not within the same second"
        );
        assert_eq!(
            file.changed(start + CHECK * 2).unwrap(),
            ["192.0.2.22:53".parse().unwrap()]
        );
    }
}
