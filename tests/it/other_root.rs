//! A second root above the same issuing key, by which every certificate has an alternate chain (RFC 8555 section 7.4.2).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cairn_testkit::ca::TestCa;
use cairn_testkit::{issued, places};

/// What its certificates are called.
pub(crate) const NAME: &str = "Other Root R1";

/// `cairn ca …` with something on its standard input.
fn cairn(words: &[&str], input: &[u8]) -> String {
    let mut command = Command::new(places::cairn());
    command.arg("ca").args(words).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input).ok();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {said}{err}");
    said + &err
}

/// Where the other root's certificate lies.
pub(crate) fn path(folder: &Path) -> PathBuf {
    folder.join("other/root.pem")
}

/// Another CA, whose root signs a certificate for this one's issuing key , so that its certificates have chains to
/// both; it takes effect at the next start.
pub(crate) fn cross_sign(ca: &TestCa, folder: &Path) {
    let root = path(folder);
    let other = root.parent().unwrap();
    let at = |path: &Path| path.to_str().unwrap().to_owned();
    let place = at(other);
    let url = ["--url", "https://other.test", "--unlock", "file"];
    let init = [&["init", place.as_str(), "--name", "Other"], &url[..]].concat();
    cairn(&init, b"");
    let passphrase = std::fs::read(other.join("keys/passphrase")).unwrap();
    let dir = ca.dir();
    let said = cairn(
        &[
            "key",
            "cross-sign",
            "--dir",
            &at(&dir),
            "--root",
            &at(&root),
            "--root-key",
            &at(&other.join("keys/root.key.pem")),
            &at(&dir.join("cross.pem")),
        ],
        &passphrase,
    );
    assert!(said.contains("alternates = [\"cross.pem\"]"), "{said}");
    ca.set("keys.alternates", "[\"cross.pem\"]");
    issued::keep_root(&std::fs::read_to_string(&root).unwrap());
}
