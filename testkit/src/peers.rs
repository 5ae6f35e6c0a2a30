//! Real peers: the programs that `make peers` installed. A missing one fails the test.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};

use crate::places;

/// A command of the peers' Python environment, such as `certbot` or `lint_pkix_cert`.
///
/// # Panics
/// If it is not installed.
pub fn command(program: &str) -> Command {
    let path = places::peers().join("bin").join(program);
    assert!(path.exists(), "{program} is missing: run `make peers`");
    without_proxies(Command::new(path))
}

/// One of Debian's programs, such as `openssl`.
pub fn system(program: &str) -> Command {
    without_proxies(Command::new(program))
}

/// The upstream version of one of Debian's packages, for programs that don't say theirs.
///
/// # Panics
/// If it is not installed.
pub fn debian_version(package: &str) -> String {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${Version}", package]);
    let output = query.output().expect("dpkg-query");
    assert!(
        output.status.success(),
        "{package} is missing: run `make peers`"
    );
    let version = String::from_utf8_lossy(&output.stdout).into_owned();
    let upstream = version.split_once(':').map_or(&*version, |(_, rest)| rest);
    let upstream = upstream.rsplit_once('-').map_or(upstream, |(rest, _)| rest);
    upstream.to_owned()
}

/// No proxy of this machine reaches a peer.
fn without_proxies(mut command: Command) -> Command {
    for name in [
        "http_proxy",
        "https_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ] {
        command.env_remove(name);
    }
    command
}

/// Makes Python's and OpenSSL's clients trust this root alone.
pub fn trust<'a>(command: &'a mut Command, root: &Path) -> &'a mut Command {
    command
        .env("REQUESTS_CA_BUNDLE", root)
        .env("SSL_CERT_FILE", root)
}

/// Runs to the end and prints what was said; the output for the test to judge.
///
/// # Panics
/// If it can't be started.
pub fn run(command: &mut Command) -> Output {
    let name = Path::new(command.get_program())
        .file_name()
        .unwrap_or(OsStr::new("?"))
        .to_owned();
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{name:?}: {error}: run `make peers`"));
    println!("-- {name:?}: {}", output.status);
    println!("{}", String::from_utf8_lossy(&output.stdout));
    println!("{}", String::from_utf8_lossy(&output.stderr));
    output
}
