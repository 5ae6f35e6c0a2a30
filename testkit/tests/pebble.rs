//! The raw client against a server that is not ours, so that a fault of the client is seen as one.

use std::process::Command;
use std::time::Duration;

use cairn_testkit::acme::{Client, Key};
use cairn_testkit::dns;
use cairn_testkit::http::Responder;
use cairn_testkit::netns::Namespace;
use cairn_testkit::process::Process;
use cairn_testkit::{block_on, test_path};

#[test]
fn the_raw_client_obtains_a_certificate_from_pebble() {
    let namespace = Namespace::new().host([127, 0, 0, 1], "pebble.test");
    namespace.run(test_path!(), || {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["pebble.test".to_owned()]).unwrap();
        let (root, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("cert.pem"), &root).unwrap();
        std::fs::write(path("key.pem"), key).unwrap();
        let config = serde_json::json!({ "pebble": {
            "listenAddress": "127.0.0.1:14000",
            "managementListenAddress": "127.0.0.1:15000",
            "certificate": path("cert.pem"),
            "privateKey": path("key.pem"),
            "httpPort": 80,
            "tlsPort": 443,
        }});
        std::fs::write(path("config.json"), config.to_string()).unwrap();
        let mut command = Command::new("pebble");
        command
            .args(["-strict", "-dnsserver", "127.0.0.1:53", "-config"])
            .arg(path("config.json"));
        command.envs([("PEBBLE_VA_NOSLEEP", "1"), ("PEBBLE_WFE_NONCEREJECT", "30")]);
        let pebble = Process::start("pebble", &mut command);
        let up = || std::net::TcpStream::connect("127.0.0.1:14000").ok();
        cairn_testkit::wait_for(Duration::from_secs(10), up).expect("pebble listens");

        let dns = dns::Server::start(([127, 0, 0, 1], 53));
        dns.add_wildcard("test", [127, 0, 0, 2]);
        let web = Responder::start(([127, 0, 0, 2], 80));
        block_on(async {
            let client = Client::connect("https://pebble.test:14000/dir", &root)
                .await
                .unjudged();
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
        assert!(!web.log().is_empty() && !dns.log().is_empty() && !pebble.lines().is_empty());
    });
}
