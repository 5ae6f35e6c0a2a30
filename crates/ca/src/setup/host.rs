//! What this machine is called, for the default URL.

/// This host's full name, lower-cased: the kernel's if it has a domain, else the canonical name that `/etc/hosts`
/// gives it, else the kernel's alone.
#[must_use]
pub fn full_name() -> String {
    let uname = rustix::system::uname();
    let node = uname.nodename().to_string_lossy().to_ascii_lowercase();
    if node.contains('.') {
        return node;
    }
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    canonical(&hosts, &node).unwrap_or(node)
}

/// The first name with a domain on a line of `/etc/hosts` that has `node` among its names.
fn canonical(hosts: &str, node: &str) -> Option<String> {
    hosts
        .lines()
        .filter_map(|line| line.split('#').next())
        .map(|line| {
            line.split_whitespace()
                .skip(1)
                .map(str::to_ascii_lowercase)
                .collect::<Vec<_>>()
        })
        .filter(|names| {
            names
                .iter()
                .any(|name| name == node || name.split('.').next() == Some(node))
        })
        .find_map(|names| {
            names
                .into_iter()
                .find(|name| name.contains('.') && !name.starts_with("localhost"))
        })
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn the_full_name_comes_from_the_hosts_file() {
        let hosts = "127.0.0.1 localhost\n127.0.1.1 Ca1.Widgets.Internal ca1 # me\n::1 localhost.localdomain ip6-localhost\n";
        assert_eq!(
            canonical(hosts, "ca1").as_deref(),
            Some("ca1.widgets.internal")
        );
        assert_eq!(canonical("10.0.0.1 web.example\n", "ca1"), None);
        assert_eq!(canonical("#10.0.0.1 ca1.example ca1\n", "ca1"), None);
    }
}
