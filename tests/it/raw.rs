//! The raw client: what no good client does, and what is counted.

use cairn_testkit::acme::Key;
use cairn_testkit::ca::HOST;
use cairn_testkit::http::Responder;
use cairn_testkit::{block_on, test_path};

use crate::world::inside;

#[test]
fn every_account_key_algorithm_obtains_a_certificate() {
    inside(test_path!(), |world| {
        let web = Responder::start((HOST, 80));
        block_on(async {
            let client = world.ca.client().await;
            for algorithm in Key::ALGORITHMS {
                let mut client = client.with_key(Key::generate(algorithm));
                client.new_account().await.expect(201);
                client.obtain(&["a.raw.test", "b.raw.test"], &web).await;
            }
        });
    });
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    inside(test_path!(), |mut world| {
        let web = Responder::start((HOST, 80));
        let (client, got) = block_on(async {
            let client = world.ca.subscriber().await;
            let got = client.obtain(&["kill.raw.test"], &web).await;
            (client, got)
        });
        world.ca.crash();
        let root = world.ca.root();
        let chain = block_on(async { client.apart(&root).fetch(&got.certificate).await });
        assert_eq!(chain.expect(200).text(), got.chain);
    });
}
