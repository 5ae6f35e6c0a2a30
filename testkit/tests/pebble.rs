//! The raw client against a server that is not ours, so that a fault of the client is seen as one.

use cairn_testkit::acme::{Client, Key};
use cairn_testkit::dns;
use cairn_testkit::http::Responder;
use cairn_testkit::netns::Namespace;
use cairn_testkit::pebble::{self, Pebble};
use cairn_testkit::{block_on, test_path};

#[test]
fn the_raw_client_obtains_a_certificate_from_pebble() {
    let namespace = Namespace::new().host([127, 0, 0, 1], pebble::NAME);
    namespace.run(test_path!(), || {
        let folder = tempfile::tempdir().unwrap();
        let dns = dns::Server::start(([127, 0, 0, 1], 53));
        dns.add_wildcard("test", [127, 0, 0, 2]);
        let web = Responder::start(([127, 0, 0, 2], 80));
        let pebble = Pebble::start(folder.path(), 30);
        let root = std::fs::read_to_string(pebble.root_path()).unwrap();
        block_on(async {
            let client = Client::connect(&pebble.directory(), &root).await.unjudged();
            for algorithm in ["ES256", "ES384", "RS256"] {
                let mut client = client.with_key(Key::generate(algorithm));
                client.new_account().await.expect(201);
                let got = client.obtain(&["a.test", "b.test"], &web).await;
                assert!(
                    got.chain.starts_with("-----BEGIN CERTIFICATE-----"),
                    "{}",
                    got.chain
                );
            }
        });
        assert!(!web.log().is_empty() && !dns.log().is_empty() && !pebble.log().is_empty());
    });
}
