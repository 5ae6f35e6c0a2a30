//! A test in its own network, mount and process namespace: real ports, its own resolver file,
//! and nothing left behind, because the namespace takes its processes with it.
//!
//! The outer test starts this same test program again inside, for this one test; there the
//! closure runs. Needs root or unprivileged user namespaces.

use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use crate::soak;

/// Set to the test's path in the inner run.
const INSIDE: &str = "CAIRN_TEST_NAMESPACE";

/// Seconds that a test's long form may take.
const SOAK: u32 = 12 * 3600;

/// What the namespace looks like.
#[derive(Debug, Clone)]
pub struct Namespace {
    addresses: Vec<IpAddr>,
    hosts: Vec<(IpAddr, String)>,
    nameserver: IpAddr,
    seconds: u32,
    part: &'static str,
}

impl Default for Namespace {
    fn default() -> Self {
        let nameserver = IpAddr::from([127, 0, 0, 1]);
        Self {
            addresses: Vec::new(),
            hosts: Vec::new(),
            nameserver,
            seconds: if soak() { SOAK } else { 300 },
            part: "",
        }
    }
}

impl Namespace {
    /// Starts with loopback (127.0.0.0/8 and ::1) and a resolver file that names 127.0.0.1.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an address to loopback, such as a global one that a validator may dial.
    #[must_use]
    pub fn address(mut self, address: impl Into<IpAddr>) -> Self {
        self.addresses.push(address.into());
        self
    }

    /// Adds a line to `/etc/hosts`.
    #[must_use]
    pub fn host(mut self, address: impl Into<IpAddr>, name: &str) -> Self {
        self.hosts.push((address.into(), name.to_owned()));
        self
    }

    /// Names another server in `/etc/resolv.conf`.
    #[must_use]
    pub fn nameserver(mut self, address: impl Into<IpAddr>) -> Self {
        self.nameserver = address.into();
        self
    }

    /// Kills the test after so many seconds; 300 else. Long forms have half a day whatever is said.
    #[must_use]
    pub fn seconds(mut self, seconds: u32) -> Self {
        self.seconds = if soak() { SOAK } else { seconds };
        self
    }

    /// Names this namespace as one of several, in which a test has parts of it run one after the other.
    #[must_use]
    pub fn part(mut self, name: &'static str) -> Self {
        self.part = name;
        self
    }

    /// Runs `body` inside. `path` is the test's own path within its test program, as
    /// [`test_path!`](crate::test_path) gives it.
    ///
    /// # Panics
    /// If the inner run fails; its output is printed.
    pub fn run(&self, path: &str, body: impl FnOnce()) {
        let here = format!("{path} {}", self.part);
        if let Ok(inside) = std::env::var(INSIDE)
            && inside.starts_with(&format!("{path} "))
        {
            // Another part of the same test has nothing to do here.
            if inside == here {
                self.furnish();
                body();
            }
            return;
        }
        let program = std::env::current_exe().expect("the test program's own path");
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", &self.seconds.to_string()]);
        command.args([
            "unshare",
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
        ]);
        command.arg("--mount-proc");
        if !rustix::process::geteuid().is_root() {
            command.arg("--map-root-user");
        }
        command
            .arg(program)
            .args(["--exact", path, "--nocapture", "--test-threads=1"]);
        // An `#[ignore]`d test that was asked for must run inside as well.
        command.arg("--include-ignored").env(INSIDE, here);
        let output = command
            .output()
            .expect("timeout and unshare: run `make peers`");
        let out = String::from_utf8_lossy(&output.stdout);
        let err = String::from_utf8_lossy(&output.stderr);
        println!("{out}{err}");
        assert!(
            output.status.success(),
            "{path} failed in its namespace: {}",
            output.status
        );
        assert!(
            out.contains("1 passed"),
            "{path} is no test of this program: nothing ran inside"
        );
    }

    /// Brings loopback up and puts the files of this namespace in their places.
    fn furnish(&self) {
        ip(&["link", "set", "lo", "up"]);
        for address in &self.addresses {
            let width = if address.is_ipv4() { 32 } else { 128 };
            let address = format!("{address}/{width}");
            let mut words = vec!["address", "add", &address, "dev", "lo"];
            if width == 128 {
                words.push("nodad");
            }
            ip(&words);
        }
        let mut hosts = String::from("127.0.0.1 localhost\n::1 localhost\n");
        for (address, name) in &self.hosts {
            hosts += &format!("{address} {name}\n");
        }
        let resolv = format!(
            "nameserver {}\noptions timeout:2 attempts:2\n",
            self.nameserver
        );
        replace("/etc/hosts", &hosts);
        replace("/etc/resolv.conf", &resolv);
    }
}

/// Makes every program trust this root alone, those too that read no variable; only inside a namespace, which takes it along.
///
/// # Panics
/// If the machine's list of roots can't be covered.
pub fn trust(root: &Path) {
    let root = std::fs::read_to_string(root).expect("a root certificate");
    replace("/etc/ssl/certs/ca-certificates.crt", &root);
}

/// Mounts an empty disk of so many bytes at a folder that is there; only inside a namespace, which takes it along.
///
/// # Panics
/// If it can't be mounted.
pub fn small_disk(folder: &Path, bytes: u64) {
    let size = format!("size={bytes},mode=700");
    let mut mount = Command::new("mount");
    mount
        .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
        .arg(folder);
    assert!(
        mount.status().expect("mount").success(),
        "cannot mount a disk"
    );
}

/// Lets this process and its children have as many open files as the system allows.
///
/// # Panics
/// If the system refuses.
pub fn many_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    let raised = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    );
    raised.expect("more descriptors");
}

/// Runs `body` in a namespace as [`Namespace::new`] makes it.
pub fn inside(path: &str, body: impl FnOnce()) {
    Namespace::new().run(path, body);
}

/// The path of the test function around it, without the crate: what libtest calls it.
#[macro_export]
macro_rules! test_path {
    () => {{
        fn here() {}
        $crate::netns::path_of(std::any::type_name_of_val(&here))
    }};
}

/// Cuts crate and inner items off `it::module::test::here`; for [`test_path!`](crate::test_path).
pub fn path_of(inner: &'static str) -> &'static str {
    let inner = inner
        .trim_end_matches("::here")
        .trim_end_matches("::{{closure}}");
    inner.split_once("::").map_or(inner, |(_, path)| path)
}

fn ip(words: &[&str]) {
    let status = Command::new("ip")
        .args(words)
        .status()
        .expect("ip: run `make peers`");
    assert!(status.success(), "ip {words:?}: {status}");
}

/// Covers a file of the machine with one of ours, for this mount namespace alone.
fn replace(path: &str, content: &str) {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().expect("a temporary folder"));
    let file = folder.path().join(path.replace('/', "_"));
    std::fs::write(&file, content).expect("a file for the namespace");
    let status = Command::new("mount")
        .arg("--bind")
        .arg(&file)
        .arg(path)
        .status();
    assert!(status.expect("mount").success(), "cannot cover {path}");
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, ToSocketAddrs};

    use super::*;

    #[test]
    fn a_namespace_has_real_ports_names_and_addresses_of_its_own() {
        let namespace = Namespace::new()
            .address([203, 0, 113, 7])
            .host([203, 0, 113, 7], "ca.test");
        namespace.run(crate::test_path!(), || {
            let here = TcpListener::bind("203.0.113.7:80").unwrap();
            TcpListener::bind("[::1]:443").unwrap();
            let found = ("ca.test", 80).to_socket_addrs().unwrap().next().unwrap();
            assert_eq!(found, here.local_addr().unwrap());
            assert!(
                std::net::TcpStream::connect("192.0.2.1:80").is_err(),
                "no way out"
            );
        });
    }

    #[test]
    fn a_failure_inside_is_a_failure_outside() {
        let path = crate::test_path!();
        let ran = std::panic::catch_unwind(|| inside(path, || panic!("as it should")));
        match (ran, std::env::var_os(INSIDE)) {
            (Err(panic), Some(_)) => std::panic::resume_unwind(panic),
            (ran, None) => assert!(ran.is_err()),
            (Ok(()), Some(_)) => {}
        }
    }

    #[test]
    #[should_panic(expected = "nothing ran inside")]
    fn a_path_that_names_no_test_is_a_failure() {
        inside("netns::tests::absent", || {});
    }
}
