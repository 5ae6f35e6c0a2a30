//! Profiles and renewal information of the real binary: configured in `cairn.toml`, moved by `cairn ca ari move`.

use cairn_testkit::{
    acme::{csr, encode},
    block_on,
    ca::{HOST, RESOLVER, TestCa},
    dns,
    http::Responder,
    issued, peers, test_path,
};
use serde_json::{Value, json};

use crate::operation::asked;

/// The certificate's name as RFC 9773 §4.1 makes it, from what openssl prints of the leaf.
pub(crate) fn named(chain: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chain.pem");
    std::fs::write(&file, chain).unwrap();
    let mut openssl = peers::system("openssl");
    openssl.args([
        "x509",
        "-noout",
        "-serial",
        "-ext",
        "authorityKeyIdentifier",
    ]);
    let output = openssl.arg("-in").arg(&file).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let octets = |text: &str| -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pair =
            |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(pair).collect()
    };
    let serial = said
        .lines()
        .find_map(|line| line.strip_prefix("serial="))
        .unwrap();
    let key_id = said
        .lines()
        .map(str::trim)
        .find(|line| line.len() == 59 && line.bytes().all(|b| b.is_ascii_hexdigit() || b == b':'));
    format!(
        "{}.{}",
        encode(&octets(key_id.unwrap())),
        encode(&octets(serial))
    )
}

#[test]
fn an_operator_moves_a_window_and_the_client_replaces_the_certificate() {
    // 9773-4.1-1 9773-4.2-5 9773-5-3 PROF-4-3
    TestCa::namespace().run(test_path!(), || {
        let dns = dns::Server::start(RESOLVER);
        dns.add_wildcard("test", HOST)
            .add_address("ca.test", [127, 0, 0, 1]);
        let mut ca = TestCa::builder()
            .tables("[profile.minute]\nlife = \"1m\"\ndescription = \"short\"\n")
            .start();
        let web = Responder::start((HOST, 80));
        let (client, got) = block_on(async {
            let client = ca.subscriber().await;
            let got = client.obtain(&["a.ari.test"], &web).await;
            (client, got)
        });
        let name = named(&got.chain);
        let url = format!("{}/{name}", client.url("renewalInfo"));
        let start = |info: &Value| {
            info["suggestedWindow"]["start"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        let told = || block_on(async { client.plain("GET", &url).await.expect(200).json() });
        let planned = told();

        let serial = got.certificate.rsplit('/').next().unwrap();
        let absent = format!("01{}", "ab".repeat(18));
        let (status, out, err) = ca.command(&["ari", "move", serial, &absent]);
        assert_eq!((status.code(), out.as_str()), (Some(1), ""), "{err}");
        assert!(err.contains(&absent), "{err}");
        assert_eq!(told(), planned, "nothing was moved");

        // As openssl prints serials.
        let pairs: Vec<&[u8]> = serial.as_bytes().chunks(2).collect();
        let printed = pairs
            .iter()
            .map(|pair| String::from_utf8(pair.to_ascii_uppercase()).unwrap())
            .collect::<Vec<_>>()
            .join(":");
        let page = "https://ca.test/why";
        let words = ["ari", "move", &printed, "--reason", page, "--json"];
        let answer = asked(&ca, &words);
        assert_eq!(
            answer,
            json!({ "moved": [serial], "unchanged": [], "changed": true })
        );
        let moved = told();
        assert_eq!(moved["explanationURL"], page);
        assert!(start(&moved) < start(&planned), "{moved} {planned}");
        assert_eq!(asked(&ca, &words)["changed"], false);

        // The move outlives the server.
        ca.terminate();
        ca.start();
        assert_eq!(told(), moved);

        block_on(async {
            let identifier = json!([{ "type": "dns", "value": "a.ari.test" }]);
            let order = json!({ "identifiers": identifier, "profile": "minute", "replaces": name });
            let placed = client
                .post(&client.url("newOrder"), &order)
                .await
                .expect(201);
            let order = placed.json();
            assert_eq!(
                (&order["status"], &order["profile"]),
                (&json!("ready"), &json!("minute"))
            );
            client
                .finalize(&order, &csr(&["a.ari.test"]).0)
                .await
                .expect(200);
            let order = client.poll(&placed.location(), &["processing"]).await;
            assert_eq!(
                (&order["status"], &order["replaces"]),
                (&json!("valid"), &json!(name))
            );
            let chain = client.fetch(order["certificate"].as_str().unwrap()).await;
            let chain = chain.expect(200).text();
            issued::keep_chain(&chain);
            let url = format!("{}/{}", client.url("renewalInfo"), named(&chain));
            let short = client.plain("GET", &url).await.expect(200);
            assert_eq!(
                short.header("retry-after"),
                Some("6"),
                "a tenth of the life"
            );
        });
    });
}
