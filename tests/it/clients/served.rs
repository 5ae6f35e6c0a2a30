//! Servers that get their certificates by themselves. What counts is what a TLS client of theirs sees: a chain for the name
//! that it asked for, good under the CA's root.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use cairn_testkit::issued;
use cairn_testkit::seen::What;
use serde_json::Value;

use super::stand::{ADDRESS, Client, Stand, serial};
use crate::operation::asked;

/// Certificates of this profile are renewed while a test waits; the CA then wants to be asked every six seconds.
pub(crate) const MINUTE: &str = "[profile.minute]\nlife = \"1m\"";

/// For one certificate, with retries, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(120);
/// Each look is a process.
const PAUSE: Duration = Duration::from_millis(200);

/// Waits until the server shows a good chain for this name that also fits; the chain's file.
pub(crate) fn serves(stand: &Stand, name: &str, fits: impl Fn(&str) -> bool) -> PathBuf {
    serves_under(stand, &issuers_root(stand), name, fits)
}

/// The same with a chain that ends at this root.
pub(crate) fn serves_under(
    stand: &Stand,
    root: &Path,
    name: &str,
    fits: impl Fn(&str) -> bool,
) -> PathBuf {
    let look = || {
        let chain = shown(stand, name, root).filter(|chain| fits(chain));
        if chain.is_none() {
            std::thread::sleep(PAUSE);
        }
        chain
    };
    let chain = cairn_testkit::wait_for(PATIENCE, look);
    let chain = chain.unwrap_or_else(|| panic!("no good chain for {name}"));
    let file = stand.folder().join(format!("{name}.chain.pem"));
    fs::write(&file, chain).unwrap();
    file
}

/// Waits until the server shows a good chain for this name, or has given up; whether it shows one.
pub(crate) fn shows(stand: &Stand, name: &str, has_given_up: impl Fn() -> bool) -> bool {
    let root = issuers_root(stand);
    let look = || {
        let good = shown(stand, name, &root).is_some();
        if good || has_given_up() {
            return Some(good);
        }
        std::thread::sleep(PAUSE);
        None
    };
    cairn_testkit::wait_for(PATIENCE, look).unwrap_or_default()
}

/// Waits until it shows another certificate for the name than this one; the server was told to renew, or does so by itself.
pub(crate) fn renews(client: &Client<'_>, name: &str, old: &Path) -> PathBuf {
    let old = serial(old);
    let chain = serves(client.stand, name, |chain| {
        issued::serial(chain).is_some_and(|new| new != old)
    });
    client.does(What::Renewal);
    chain
}

/// The CA is told to have this certificate replaced; the server, which asks it when to renew, does so. Its order says what
/// it replaces (RFC 9773 section 5), or not.
pub(crate) fn renews_when_told(client: &Client<'_>, name: &str, old: &Path, says: bool) -> PathBuf {
    let ca = client.stand.cairn();
    // A certificate of a minute may have been replaced already.
    asked(ca, &["ari", "move", &serial(old), "--json"]);
    let chain = renews(client, name, old);
    let shown = asked(ca, &["show", &serial(&chain), "--json"]);
    let order = asked(ca, &["show", shown["order"].as_str().unwrap(), "--json"]);
    assert_eq!(order["replaces"].is_string(), says, "{order}");
    client.does(What::RenewalInfo);
    chain
}

/// What the CA knows of the account that a chain was issued to.
pub(crate) fn account(stand: &Stand, chain: &Path) -> Value {
    let ca = stand.cairn();
    let shown = asked(ca, &["show", &serial(chain), "--json"]);
    asked(ca, &["show", shown["account"].as_str().unwrap(), "--json"])
}

/// The root of what the CA issues; Pebble shows its own elsewhere.
fn issuers_root(stand: &Stand) -> PathBuf {
    if !stand.is_pebble() {
        return stand.root();
    }
    let file = stand.folder().join("issuer.pem");
    fs::write(&file, stand.of_pebble("roots/0")).unwrap();
    file
}

/// What a handshake shows: the chain, if it is good for the name.
fn shown(stand: &Stand, name: &str, root: &Path) -> Option<String> {
    let mut openssl = stand.system("openssl");
    openssl.args(["s_client", "-connect", &format!("{ADDRESS}:443")]);
    openssl.args(["-showcerts", "-verify_return_error", "-CAfile"]);
    openssl.arg(root);
    match name.parse::<IpAddr>() {
        Ok(_) => openssl.args(["-noservername", "-verify_ip", name]),
        Err(_) => openssl.args(["-servername", name, "-verify_hostname", name]),
    };
    let output = openssl.stdin(Stdio::null()).output().expect("openssl");
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return None;
    }
    let mut inside = false;
    let lines = text.lines().filter(|line| {
        inside |= line.starts_with("-----BEGIN CERTIFICATE");
        let keep = inside;
        inside &= !line.starts_with("-----END CERTIFICATE");
        keep
    });
    Some(lines.map(|line| format!("{line}\n")).collect())
}
