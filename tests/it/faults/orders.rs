//! Orders, names, keys and CSRs that the CA refuses, F-72 to F-82.

use cairn_testkit::{
    acme::{Client, csr, csr_for},
    block_on,
    ca::{HOST, RESOLVER, TestCa},
    dns,
    http::Responder,
    test_path,
};
use serde_json::{Value, json};

use super::assert_says;
use crate::openssl::rsa_csr;
use crate::world::inside;

/// An order of one name that is ready.
async fn ready(client: &Client, web: &Responder, name: &str) -> Value {
    let placed = client.new_order(&[name]).await.expect(201);
    let authorization = placed.json()["authorizations"][0]
        .as_str()
        .unwrap()
        .to_owned();
    client
        .answer(&authorization, web)
        .await
        .unwrap()
        .expect(200);
    let order = client.poll(&placed.location(), &["pending"]).await;
    assert_eq!(order["status"], "ready", "{order}");
    order
}

#[test]
fn faults_of_a_csr_are_told_with_what_is_wrong_in_it() {
    // F-72 F-73 F-74
    inside(test_path!(), |world| {
        let web = Responder::start((HOST, 80));
        block_on(async {
            let client = world.ca.subscriber().await;
            let order = ready(&client, &web, "a.test").await;
            let folder = world.folder.path();
            let own = csr_for(&client.key, &["a.test"]);
            let mut broken = csr(&["a.test"]).0;
            *broken.last_mut().unwrap() ^= 1;
            let rows: [(&str, Vec<u8>, &[&str]); 8] = [
                (
                    "F-72 one more",
                    csr(&["a.test", "b.test"]).0,
                    &[
                        "it has b.test beside the order",
                        "exactly the order's names",
                    ],
                ),
                (
                    "F-72 another",
                    csr(&["b.test"]).0,
                    &["it lacks a.test, it has b.test beside the order"],
                ),
                (
                    "F-73",
                    rsa_csr(folder, "a.test", 1024, "-sha256"),
                    &[
                        "its RSA modulus has 1024 bits; from 2048 to 4096 in steps of 8 are accepted; make a new key with current software",
                    ],
                ),
                (
                    "F-73 close primes",
                    include_bytes!("weak/close-primes.csr").to_vec(),
                    &[
                        "its RSA primes are so close together that Fermat's method finds them",
                        "make a new key with current software",
                    ],
                ),
                (
                    "F-73 ROCA",
                    include_bytes!("weak/roca.csr").to_vec(),
                    &[
                        "bears the fingerprint of ROCA, the mark of a flawed library (CVE-2017-15361)",
                        "make a new key with current software",
                    ],
                ),
                (
                    "F-74 the account's key",
                    own,
                    &["the CSR's key is the account's key; a certificate needs a key of its own"],
                ),
                (
                    "F-74 a broken signature",
                    broken,
                    &["its signature does not verify with its own key"],
                ),
                (
                    "F-74 SHA-1",
                    rsa_csr(folder, "a.test", 2048, "-sha1"),
                    &[
                        "it is signed with sha1WithRSAEncryption (1.2.840.113549.1.1.5)",
                        "sign it with ECDSA or RSA PKCS#1 with SHA-256, -384 or -512, or with Ed25519",
                    ],
                ),
            ];
            for (fault, request, says) in rows {
                let refused = client.finalize(&order, &request).await;
                assert_says(fault, &refused.json(), "badCSR", 400, says);
            }
        });
    });
}

#[test]
fn faults_of_an_order_are_told_with_the_name_the_label_and_the_number() {
    // F-76 F-78 F-79 F-80 F-81 F-82
    TestCa::namespace().run(test_path!(), || {
        let dns = dns::Server::start(RESOLVER);
        dns.add_wildcard("test", HOST)
            .add_address("ca.test", [127, 0, 0, 1]);
        let ca = TestCa::builder()
            .set("orders.names_max", "3")
            .tables("[profile.brief]\nlife = \"1h\"")
            .start();
        block_on(async {
            let client = ca.subscriber().await;
            let kind = "rejectedIdentifier";
            let long = format!("{}.test", "a".repeat(64));
            let rows: [(&str, &str, &[&str]); 9] = [
                (
                    "F-76 twice",
                    "*.*.a.test",
                    &["\"*.*.a.test\" is refused", "whole leftmost label, once (label 2 of 4, \"*\")"],
                ),
                (
                    "F-76 inside",
                    "a.*.b.test",
                    &["an asterisk may only be the whole leftmost label, once (label 2 of 4, \"*\")"],
                ),
                (
                    "F-76 a public suffix",
                    "*.com",
                    &["com is a public suffix", "order names below it"],
                ),
                (
                    "F-78 an underscore",
                    "www.my_host.test",
                    &[
                        "\"www.my_host.test\" is refused: a label has letters, digits and hyphens only (label 2 of 3, \
                         \"my_host\")",
                    ],
                ),
                (
                    "F-78 a space",
                    "my host.test",
                    &["(label 1 of 2, \"my host\")"],
                ),
                (
                    "F-78 an empty label",
                    "a..test",
                    &["a label is empty (label 2 of 3, \"\")"],
                ),
                (
                    "F-78 too long",
                    &long,
                    &["a label has at most 63 characters (label 1 of 2"],
                ),
                (
                    "F-78 a hyphen",
                    "a.b-.test",
                    &["neither begins nor ends with a hyphen (label 2 of 3, \"b-\")"],
                ),
                (
                    "F-79",
                    "intranet",
                    &[
                        "intranet: a name of one label belongs to nobody",
                        "use a full domain name, or let the operator add a [[names]] rule",
                    ],
                ),
            ];
            for (fault, name, says) in rows {
                let refused = client.new_order(&[name]).await;
                assert_says(fault, &refused.json(), kind, 400, says);
            }
            let refused = client.new_order_of(&[("ip", "192.168.1.1")]).await;
            let says = [
                "192.168.1.1: it is no global address (private use, RFC 1918)",
                "let the operator add an [[addresses]] rule",
            ];
            assert_says("F-80 private", &refused.json(), kind, 400, &says);

            let order = json!({
                "identifiers": [{ "type": "dns", "value": "a.test" }], "profile": "shortlived",
            });
            let refused = client.post(&client.url("newOrder"), &order).await;
            let says = ["there is no profile \"shortlived\"; this directory offers brief, default"];
            assert_says("F-81", &refused.json(), "invalidProfile", 400, &says);

            let names = ["a.test", "b.test", "c.test", "d.test"];
            let refused = client.new_order(&names).await;
            let says = ["the order names 4 identifiers; one certificate carries 3 at most: split the order"];
            assert_says("F-82", &refused.json(), kind, 400, &says);
        });
        let mut ca = ca;
        ca.terminate();
        ca.set("orders.challenges", "[\"dns-01\"]");
        ca.start();
        block_on(async {
            let client = ca.subscriber().await;
            let refused = client.new_order_of(&[("ip", "198.41.0.4")]).await;
            let says = [
                "198.41.0.4: an address needs http-01 or tls-alpn-01, of which this server offers none",
                "order a dns name",
            ];
            let kind = "rejectedIdentifier";
            assert_says("F-80 by DNS alone", &refused.json(), kind, 400, &says);
        });
    });
}
