//! Go's golang.org/x/crypto/acme (Debian), driven by `peers/acme_client.go`. Its answers to an address over tls-alpn-01 are
//! not tried: it makes their certificates for names.

use std::path::Path;
use std::process::Command;

use cairn_testkit::seen::What;
use cairn_testkit::{peers, places, test_path};

use super::stand::{Client, Stand, Tried, beside_cairn, beside_pebble, said};
use super::steps::Program;

/// Where Debian puts Go's libraries.
const LIBRARIES: &str = "/usr/share/gocode";

/// Builds one of the programs in `peers/`, which takes no network; the compiler keeps what it made beside the peers.
pub(crate) fn build(mut go: Command, source: &str, program: &Path) {
    go.args(["build", "-o"]).arg(program);
    go.arg(format!("{}/peers/{source}", env!("CARGO_MANIFEST_DIR")));
    go.envs([
        ("GO111MODULE", "off"),
        ("GOPATH", LIBRARIES),
        ("GOFLAGS", ""),
    ]);
    go.env("GOCACHE", places::peers().join("go-cache"));
    said(&mut go).expect_good("go build");
}

fn inside(stand: &Stand, body: impl FnOnce(&Client<'_>, &dyn Fn() -> Command)) {
    let program = stand.folder().join("acme_client");
    build(stand.system("go"), "acme_client.go", &program);
    body(&client(stand), &|| stand.system(program.to_str().unwrap()));
}

fn client(stand: &Stand) -> Client<'_> {
    let version = peers::debian_version("golang-golang-x-crypto-dev");
    stand.client("x/crypto/acme (Go)", &version)
}

/// One order, whatever becomes of it.
pub(crate) fn tries(stand: &Stand) -> Tried<'_> {
    let mut good = false;
    inside(stand, |client, command| {
        good = Program::new(client, command).tries();
    });
    (client(stand), good)
}

#[test]
fn gos_library_obtains_by_every_challenge_with_every_key_and_lives_on() {
    beside_cairn(test_path!(), |stand| {
        inside(stand, |client, command| {
            let program = Program::new(client, command);
            program.obtains_by_every_challenge();
            program.goes_beyond_pebble();
            program.lives_on(true);
            let folder = format!("{LIBRARIES}/src/golang.org/x/crypto/acme");
            let source = |name| std::fs::read_to_string(format!("{folder}/{name}.go")).unwrap();
            let library = ["acme", "rfc8555", "types"].map(source).concat();
            client.lacks(What::RenewalInfo, &library, "renewalInfo");
        });
    });
}

#[test]
fn gos_library_obtains_by_every_challenge_and_lives_on_at_pebble() {
    beside_pebble(test_path!(), |stand| {
        inside(stand, |client, command| {
            let program = Program::new(client, command);
            program.obtains_by_every_challenge();
            program.lives_on(true);
        });
    });
}
