//! openssl's verdict on what the CA shows of itself: chains, CRLs, name constraints, each kind of key.

use std::{io::Write, path::Path};

use cairn_testkit::{
    block_on,
    ca::{self, HOST, PASSPHRASE, PUBLICATION, SUBSCRIBERS, TestCa},
    http::Responder,
    peers, test_path,
};
use serde_json::json;

use crate::world::inside;

/// openssl's verdict: whether it succeeded, and all it said.
pub(crate) fn openssl(words: &[&str], input: &[u8]) -> (bool, String) {
    let mut command = peers::system("openssl");
    command.args(words).stdin(std::process::Stdio::piped());
    command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).ok();
    let output = child.wait_with_output().unwrap();
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.success(), said.concat())
}

/// A CSR of openssl's, with a new RSA key of so many bits and this digest.
pub(crate) fn rsa_csr(folder: &Path, name: &str, bits: u16, digest: &str) -> Vec<u8> {
    let mut openssl = peers::system("openssl");
    openssl.args(["req", "-new", "-nodes", "-outform", "DER", "-subj", "/"]);
    openssl.args(["-newkey", &format!("rsa:{bits}"), digest, "-keyout"]);
    openssl.arg(folder.join("rsa.key"));
    openssl.args(["-addext", &format!("subjectAltName=DNS:{name}")]);
    let output = openssl.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    output.stdout
}

#[test]
fn openssl_accepts_the_cas_own_chain_and_its_crl() {
    // 5280-5.2.5-1
    // 5280-4.2.1.13-1
    inside(test_path!(), |world| {
        let web = Responder::start((HOST, 80));
        let root = world.ca.root_path();
        let root = root.to_str().unwrap();
        let (done, said) = openssl(
            &[
                "s_client",
                "-connect",
                SUBSCRIBERS,
                "-servername",
                "ca.test",
                "-verify_hostname",
                "ca.test",
                "-CAfile",
                root,
                "-verify_return_error",
                "-x509_strict",
            ],
            b"",
        );
        assert!(done && said.contains("Verify return code: 0"), "{said}");
        assert!(
            said.contains("Test Issuing") && said.contains("TLSv1.3"),
            "{said}"
        );
        for old in ["-tls1", "-tls1_1"] {
            assert!(
                !openssl(&["s_client", "-connect", SUBSCRIBERS, old], b"").0,
                "{old}"
            );
        }
        let got = block_on(async {
            world
                .ca
                .subscriber()
                .await
                .obtain(&["crl.test"], &web)
                .await
        });
        let leaf = world.folder.path().join("chain.pem");
        std::fs::write(&leaf, &got.chain).unwrap();
        let leaf = leaf.to_str().unwrap();
        let (_, text) = openssl(&["x509", "-in", leaf, "-noout", "-text"], b"");
        let url = |after: &str| {
            let rest = text
                .split_once(after)
                .unwrap_or_else(|| panic!("{after}: {text}"))
                .1;
            rest.split_whitespace().next().unwrap().to_owned()
        };
        let crl_url = url("Full Name:\n                  URI:");
        let path = crl_url.strip_prefix("http://ca.test").unwrap();
        let (status, crl) = ca::get(PUBLICATION, path).unwrap();
        assert_eq!(status, 200);
        let file = world.folder.path().join("crl.der");
        std::fs::write(&file, &crl).unwrap();
        let (_, shown) = openssl(
            &[
                "crl",
                "-inform",
                "DER",
                "-in",
                file.to_str().unwrap(),
                "-noout",
                "-text",
            ],
            b"",
        );
        let idp = shown
            .split_once("Issuing Distribution Point: critical")
            .unwrap_or_else(|| panic!("{shown}"))
            .1;
        assert!(
            idp.contains(&crl_url) && idp.contains("Only User Certificates"),
            "{shown}"
        );
        assert!(shown.contains("X509v3 CRL Number"), "{shown}");
        let issuer_path = url("CA Issuers - URI:");
        let (status, issuer) = ca::get(
            PUBLICATION,
            issuer_path.strip_prefix("http://ca.test").unwrap(),
        )
        .unwrap();
        assert_eq!(status, 200);
        // What the certificate names as its issuer is the issuer, in DER.
        let (done, as_pem) = openssl(&["x509", "-inform", "DER"], &issuer);
        let issuing = world.ca.dir().join("issuing.pem");
        assert!(done && std::fs::read_to_string(&issuing).unwrap().trim() == as_pem.trim());
        let pem = world.folder.path().join("crl.pem");
        openssl(
            &[
                "crl",
                "-inform",
                "DER",
                "-in",
                file.to_str().unwrap(),
                "-out",
                pem.to_str().unwrap(),
            ],
            b"",
        );
        let signed = openssl(
            &[
                "crl",
                "-in",
                pem.to_str().unwrap(),
                "-noout",
                "-CAfile",
                issuing.to_str().unwrap(),
            ],
            b"",
        );
        assert!(signed.0 && signed.1.contains("verify OK"), "{}", signed.1);
        let (done, said) = openssl(
            &[
                "verify",
                "-x509_strict",
                "-extended_crl",
                "-crl_check",
                "-CRLfile",
                pem.to_str().unwrap(),
                "-CAfile",
                root,
                "-untrusted",
                leaf,
                leaf,
            ],
            b"",
        );
        assert!(done, "{said}");
    });
}

#[test]
fn a_constrained_ca_signs_inside_and_refuses_outside() {
    // 5280-4.2.1.10-1
    // 8555-6.7.1-1
    TestCa::namespace()
        .address([10, 9, 8, 7])
        .run(test_path!(), || {
            let dns = cairn_testkit::dns::Server::start(ca::RESOLVER);
            dns.add_wildcard("widgets.internal", [10, 9, 8, 7])
                .add_address("widgets.internal", [10, 9, 8, 7])
                .add_address("ca.test", [127, 0, 0, 1]);
            let world = TestCa::builder()
                .argument("--permit-dns")
                .argument("widgets.internal")
                .start();
            let web = Responder::start(([10, 9, 8, 7], 80));
            let folder = tempfile::tempdir().unwrap();
            let got = block_on(async {
                let client = world.subscriber().await;
                for outside in [
                    "widgets.example",
                    "evilwidgets.internal",
                    "internal",
                    "widgets.internal.evil.example",
                ] {
                    let refused = client
                        .new_order(&["a.widgets.internal", outside])
                        .await
                        .expect(400);
                    assert_eq!(
                        refused.problem(),
                        "rejectedIdentifier",
                        "{}",
                        refused.text()
                    );
                    assert!(refused.text().contains(outside), "{}", refused.text());
                    assert!(
                        !refused.json()["subproblems"]
                            .to_string()
                            .contains("a.widgets"),
                        "{}",
                        refused.text()
                    );
                }
                let address = json!({ "identifiers": [{ "type": "ip", "value": "10.9.8.7" }] });
                let refused = client
                    .post(&client.url("newOrder"), &address)
                    .await
                    .expect(400);
                assert!(
                    ["rejectedIdentifier", "unsupportedIdentifier"]
                        .contains(&refused.problem().as_str()),
                    "{}",
                    refused.text()
                );
                client
                    .obtain(&["a.widgets.internal", "widgets.internal"], &web)
                    .await
            });
            let chain = folder.path().join("chain.pem");
            std::fs::write(&chain, &got.chain).unwrap();
            let names = ["a.widgets.internal", "widgets.internal"].map(str::to_owned);
            crate::world::assert_good(&chain, &world.root_path(), &names);
            let issuing = world.dir().join("issuing.pem");
            let (_, text) = openssl(
                &["x509", "-in", issuing.to_str().unwrap(), "-noout", "-text"],
                b"",
            );
            let constraints = text
                .split_once("X509v3 Name Constraints: critical")
                .unwrap_or_else(|| panic!("{text}"))
                .1;
            assert!(constraints.contains("DNS:widgets.internal"), "{text}");
            assert!(
                constraints.contains("IP:0.0.0.0/0.0.0.0"),
                "addresses are excluded: {text}"
            );
            // Even the CA's own key could not sign outside: a chain for an address is refused by openssl.
            assert_refused_for_an_address(&world, folder.path());
        });
}

/// A certificate for an address under this issuer is good for nobody: made here by openssl with the CA's key.
fn assert_refused_for_an_address(ca: &TestCa, folder: &Path) {
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let inside = |name: &str| ca.dir().join(name).to_str().unwrap().to_owned();
    let passphrase = format!("file:{}", inside("keys/passphrase"));
    for (name, san, good) in [
        ("inside", "DNS:b.widgets.internal", true),
        ("address", "IP:10.9.8.7", false),
        ("outside", "DNS:b.example", false),
    ] {
        let (key, csr, leaf, extensions) = (at("k"), at("csr"), at("leaf"), at("ext"));
        std::fs::write(
            &extensions,
            format!("subjectAltName={san}\nbasicConstraints=CA:FALSE\n"),
        )
        .unwrap();
        let (done, said) = openssl(
            &[
                "req",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-keyout",
                &key,
                "-subj",
                "/O=x",
                "-out",
                &csr,
            ],
            b"",
        );
        assert!(done, "{said}");
        let (done, said) = openssl(
            &[
                "x509",
                "-req",
                "-in",
                &csr,
                "-CA",
                &inside("issuing.pem"),
                "-CAkey",
                &inside("keys/issuing.key.pem"),
                "-passin",
                &passphrase,
                "-extfile",
                &extensions,
                "-days",
                "1",
                "-out",
                &leaf,
            ],
            b"",
        );
        assert!(done, "{said}");
        let (verified, said) = openssl(
            &[
                "verify",
                "-CAfile",
                &inside("root.pem"),
                "-untrusted",
                &inside("issuing.pem"),
                &leaf,
            ],
            b"",
        );
        assert_eq!(verified, good, "{name}: {said}");
    }
}

#[test]
fn every_kind_of_key_issues_and_a_passphrase_may_come_from_a_pipe() {
    inside(test_path!(), |mut world| {
        let web = Responder::start((HOST, 80));
        world.ca.terminate();
        for kind in ["p256", "p384", "rsa2048"] {
            let mut ca = TestCa::builder()
                .argument("--key-type")
                .argument(kind)
                .prompts()
                .init();
            assert!(!ca.dir().join("keys/passphrase").exists());
            if kind == "p256" {
                let status = ca
                    .try_start_with(b"a wrong passphrase\n")
                    .expect_err("it starts");
                assert_eq!(status.code(), Some(1));
                assert!(ca.log().join("\n").contains("passphrase"), "{:?}", ca.log());
                ca.try_start_with(b"").expect_err("without a passphrase");
            }
            ca.start();
            assert!(!ca.log().join("\n").contains(PASSPHRASE));
            let name = format!("{kind}.kind.test");
            let got = block_on(async { ca.subscriber().await.obtain(&[&name], &web).await });
            let chain = world.folder.path().join(kind);
            std::fs::write(&chain, &got.chain).unwrap();
            crate::world::assert_good(&chain, &ca.root_path(), &[name]);
            ca.terminate();
        }
    });
}
