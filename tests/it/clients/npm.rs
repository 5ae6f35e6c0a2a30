//! npm's acme-client, driven by `peers/acme_client.js`. Its `auto` orders an address as a name, so the program takes the
//! library's single steps for addresses.

use std::process::Command;

use cairn_testkit::seen::What;
use cairn_testkit::{places, test_path};
use serde_json::Value;

use super::stand::{Client, Stand, Tried, beside_cairn, beside_pebble};
use super::steps::Program;

fn text(file: &str) -> String {
    let place = places::peers().join("node_modules/acme-client").join(file);
    std::fs::read_to_string(&place).unwrap_or_else(|e| panic!("{file}: {e}: run `make peers`"))
}

fn client(stand: &Stand) -> Client<'_> {
    let package: Value = serde_json::from_str(&text("package.json")).unwrap();
    stand.client("acme-client (npm)", package["version"].as_str().unwrap())
}

fn command(stand: &Stand) -> Command {
    let mut node = stand.system("node");
    node.env("NODE_PATH", places::peers().join("node_modules"));
    node.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/peers/acme_client.js"));
    node
}

/// One order, whatever becomes of it.
pub(crate) fn tries(stand: &Stand) -> Tried<'_> {
    let (client, command) = (client(stand), || command(stand));
    let good = Program::new(&client, &command).tries();
    (client, good)
}

#[test]
fn npms_library_obtains_by_every_challenge_with_every_key_and_lives_on() {
    beside_cairn(test_path!(), |stand| {
        let (client, command) = (client(stand), || command(stand));
        let program = Program::new(&client, &command);
        program.obtains_by_every_challenge();
        program.goes_beyond_pebble();
        program.lives_on(false);
        client.lacks(What::RenewalInfo, &text("src/client.js"), "renewalInfo");
        // Its one way to revoke takes the certificate and the request's data, no key.
        let types = text("types/index.d.ts");
        client.lacks(
            What::RevocationByKey,
            &types,
            "CertificateRevocationRequest,",
        );
    });
}

#[test]
fn npms_library_obtains_by_every_challenge_and_lives_on_at_pebble() {
    beside_pebble(test_path!(), |stand| {
        let (client, command) = (client(stand), || command(stand));
        let program = Program::new(&client, &command);
        program.obtains_by_every_challenge();
        program.lives_on(false);
    });
}
