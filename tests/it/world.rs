//! What every test here has: a CA, a DNS server that knows all names below `test`, a folder.

use std::path::Path;

use cairn_testkit::ca::{HOST, RESOLVER, TestCa};
use cairn_testkit::{dns, peers};
use tempfile::TempDir;

/// One test's world, inside its namespace.
pub(crate) struct World {
    pub(crate) ca: TestCa,
    pub(crate) dns: dns::Server,
    pub(crate) folder: TempDir,
}

/// Runs a test in a world whose CA is as [`TestCa::builder`] makes it.
pub(crate) fn inside(path: &str, body: impl FnOnce(World)) {
    inside_within(300, path, body);
}

/// The same for a test that may take so many seconds.
pub(crate) fn inside_within(seconds: u32, path: &str, body: impl FnOnce(World)) {
    TestCa::namespace().seconds(seconds).run(path, || {
        let dns = dns::Server::start(RESOLVER);
        dns.add_wildcard("test", HOST)
            .add_address("ca.test", [127, 0, 0, 1]);
        let ca = TestCa::builder().start();
        body(World {
            ca,
            dns,
            folder: tempfile::tempdir().unwrap(),
        });
    });
}

/// `n000.PREFIX.test` and so on.
pub(crate) fn names(count: usize, prefix: &str) -> Vec<String> {
    (0..count)
        .map(|number| format!("n{number:03}.{prefix}.test"))
        .collect()
}

/// Checks a peer's chain with openssl as a TLS client would, for each name.
pub(crate) fn assert_good(fullchain: &Path, root: &Path, names: &[String]) {
    for name in names {
        let mut openssl = peers::system("openssl");
        openssl.args([
            "verify",
            "-x509_strict",
            "-purpose",
            "sslserver",
            "-verify_hostname",
            name,
        ]);
        openssl
            .arg("-CAfile")
            .arg(root)
            .arg("-untrusted")
            .arg(fullchain)
            .arg(fullchain);
        let output = openssl.output().expect("openssl");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {said}");
    }
}
