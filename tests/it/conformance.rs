//! RFC 8555 at the real server, by the raw client: what clients rely on beyond the happy path.

use std::collections::BTreeSet;

use cairn_testkit::{
    acme::{Client, Key, Response, csr, encode},
    block_on,
    ca::HOST,
    http::Responder,
    test_path,
};
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use serde_json::{Value, json};

use crate::openssl::rsa_csr;
use crate::world::{World, inside};

/// An order of the client's for these names with all its authorizations valid.
async fn ready(client: &Client, web: &Responder, names: &[&str]) -> (String, Value) {
    let placed = client.new_order(names).await.expect(201);
    let (url, order) = (placed.location(), placed.json());
    for authorization in order["authorizations"].as_array().unwrap() {
        if let Some(answer) = client.answer(authorization.as_str().unwrap(), web).await {
            answer.expect(200);
        }
    }
    let order = client.poll(&url, &["pending"]).await;
    assert_eq!(order["status"], "ready", "{order}");
    (url, order)
}

/// A CSR that `change` has had its way with.
fn changed_csr(
    names: &[&str],
    key: &KeyPair,
    change: impl FnOnce(&mut CertificateParams),
) -> Vec<u8> {
    let mut parameters =
        CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    change(&mut parameters);
    parameters.serialize_request(key).unwrap().der().to_vec()
}

fn leaf(chain: &str) -> String {
    let end = "-----END CERTIFICATE-----\n";
    let at = chain.find(end).unwrap() + end.len();
    chain[..at].to_owned()
}

/// `openssl x509 -text` of the leaf.
fn text_of(world: &World, chain: &str) -> String {
    let file = world.folder.path().join("leaf.pem");
    std::fs::write(&file, leaf(chain)).unwrap();
    let mut openssl = cairn_testkit::peers::system("openssl");
    let output = openssl
        .args(["x509", "-noout", "-text", "-in"])
        .arg(&file)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn assert_problem(answer: &Response, status: u16, problem: &str, row: &str) {
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (status, problem),
        "{row}: {}",
        answer.text()
    );
    assert!(
        answer.json()["detail"]
            .as_str()
            .is_some_and(|d| d.len() > 10),
        "{row} says nothing"
    );
}

#[test]
fn a_csr_that_is_not_the_orders_is_refused_and_the_order_stays_ready() {
    // 8555-7.4-11
    // 8555-7.4-14
    // 8555-11.1-1
    // T-CA-47
    // T-CA-38
    inside(test_path!(), |world| {
        let web = Responder::start((HOST, 80));
        block_on(async {
            let client = world.ca.subscriber().await;
            let (url, order) = ready(&client, &web, &["a.csr.test", "b.csr.test"]).await;
            let key = KeyPair::generate().unwrap();
            let names = ["a.csr.test", "b.csr.test"];
            let mut broken = changed_csr(&names, &key, |_| {});
            let last = broken.len() - 1;
            broken[last] ^= 1;
            let rows: Vec<(&str, Vec<u8>)> = vec![
                (
                    "one name missing",
                    changed_csr(&["a.csr.test"], &key, |_| {}),
                ),
                (
                    "one name more",
                    changed_csr(&["a.csr.test", "b.csr.test", "c.csr.test"], &key, |_| {}),
                ),
                (
                    "a wildcard for a name",
                    changed_csr(&["a.csr.test", "*.csr.test"], &key, |_| {}),
                ),
                (
                    "a foreign common name",
                    changed_csr(&names, &key, |p| {
                        p.distinguished_name.push(DnType::CommonName, "other.test");
                    }),
                ),
                (
                    "an e-mail address",
                    changed_csr(&names, &key, |p| {
                        p.subject_alt_names
                            .push(SanType::Rfc822Name("a@csr.test".try_into().unwrap()));
                    }),
                ),
                (
                    "an address",
                    changed_csr(&names, &key, |p| {
                        p.subject_alt_names
                            .push(SanType::IpAddress([127, 0, 0, 1].into()));
                    }),
                ),
                (
                    "a URI",
                    changed_csr(&names, &key, |p| {
                        p.subject_alt_names
                            .push(SanType::URI("http://a.csr.test/".try_into().unwrap()));
                    }),
                ),
                ("a signature that does not verify", broken),
                ("no DER", b"not DER".to_vec()),
                ("nothing", Vec::new()),
                (
                    "bytes behind it",
                    [changed_csr(&names, &key, |_| {}), vec![0]].concat(),
                ),
                (
                    "the account's own key",
                    changed_csr(&names, &client.key.for_a_csr(), |_| {}),
                ),
            ];
            for (row, der) in rows {
                let answer = client.finalize(&order, &der).await;
                assert_problem(&answer, 400, "badCSR", row);
                assert_eq!(client.fetch(&url).await.json()["status"], "ready", "{row}");
            }
            let padded =
                json!({ "csr": format!("{}=", encode(&changed_csr(&names, &key, |_| {}))) });
            let answer = client
                .post(order["finalize"].as_str().unwrap(), &padded)
                .await;
            assert_problem(&answer, 400, "malformed", "padding");
            // The key of another account is no certificate key either.
            let mut other = client.with_key(cairn_testkit::acme::Key::es256());
            other.new_account().await.expect(201);
            let theirs = changed_csr(&names, &other.key.for_a_csr(), |_| {});
            assert_problem(
                &client.finalize(&order, &theirs).await,
                400,
                "badCSR",
                "another account's key",
            );
            // Upper case in the CSR is the same name.
            let good = changed_csr(&["A.csr.TEST", "b.csr.test"], &key, |_| {});
            client.finalize(&order, &good).await.expect(200);
            let order = client.poll(&url, &["ready", "processing"]).await;
            assert_eq!(order["status"], "valid", "{order}");
        });
    });
}

#[test]
fn only_key_and_names_of_a_csr_reach_the_certificate() {
    // 8555-7.4-13
    // 8555-7.4-2
    // T-CA-53
    // T-CA-108
    inside(test_path!(), |world| {
        let web = Responder::start((HOST, 80));
        let chain = block_on(async {
            let client = world.ca.subscriber().await;
            let (url, order) = ready(&client, &web, &["copy.test"]).await;
            let key = KeyPair::generate().unwrap();
            let der = changed_csr(&["copy.test"], &key, |p| {
                p.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
                p.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
                p.extended_key_usages = vec![
                    ExtendedKeyUsagePurpose::Any,
                    ExtendedKeyUsagePurpose::CodeSigning,
                ];
                p.distinguished_name
                    .push(DnType::OrganizationName, "Evil Corporation");
                p.distinguished_name.push(DnType::CommonName, "copy.test");
            });
            client.finalize(&order, &der).await.expect(200);
            let order = client.poll(&url, &["ready", "processing"]).await;
            client
                .fetch(order["certificate"].as_str().unwrap())
                .await
                .expect(200)
                .text()
        });
        let text = text_of(&world, &chain);
        for wanted in [
            "DNS:copy.test",
            "Digital Signature",
            "TLS Web Server Authentication",
            "CA Issuers - URI:http://ca.test/",
        ] {
            assert!(text.contains(wanted), "{wanted} is not in\n{text}");
        }
        for foreign in [
            "Evil",
            "CA:TRUE",
            "Certificate Sign",
            "Code Signing",
            "Any Extended",
            "OCSP",
        ] {
            assert!(!text.contains(foreign), "{foreign} was copied into\n{text}");
        }
    });
}

#[test]
fn orders_and_certificates_keep_their_form() {
    // 8555-7.1.3-2
    // 8555-7.1.3-3
    // 8555-7.1.3-4
    // 8555-7.1.4-3
    // 8555-7.1.6-4
    // 8555-7.4-6
    // 8555-7.4.2-4
    // 8555-7.4.2-6
    inside(test_path!(), |world| {
        let web = Responder::start((HOST, 80));
        block_on(async {
            let client = world.ca.subscriber().await;
            let placed = client
                .new_order(&["B.form.test", "a.form.test", "b.form.TEST"])
                .await
                .expect(201);
            let (url, first) = (placed.location(), placed.json());
            let values: BTreeSet<&str> = first["identifiers"]
                .as_array()
                .unwrap()
                .iter()
                .map(|i| i["value"].as_str().unwrap())
                .collect();
            assert_eq!(values, BTreeSet::from(["a.form.test", "b.form.test"]));
            assert_eq!(
                first["identifiers"].as_array().unwrap().len(),
                2,
                "duplicates fold"
            );
            // The equal order is found again, not made twice.
            let again = client.new_order(&["a.form.test", "b.form.test"]).await;
            assert_eq!(again.location(), url);
            for authorization in first["authorizations"].as_array().unwrap() {
                let object = client
                    .fetch(authorization.as_str().unwrap())
                    .await
                    .expect(200)
                    .json();
                assert!(object.get("wildcard").is_none(), "{object}");
                client
                    .answer(authorization.as_str().unwrap(), &web)
                    .await
                    .unwrap()
                    .expect(200);
            }
            let order = client.poll(&url, &["pending"]).await;
            let (der, _) = csr(&["a.form.test", "b.form.test"]);
            client.finalize(&order, &der).await.expect(200);
            let order = client.poll(&url, &["ready", "processing"]).await;
            for fixed in ["identifiers", "authorizations", "finalize"] {
                assert_eq!(order[fixed], first[fixed], "{fixed} changed");
            }
            let certificate = order["certificate"].as_str().unwrap();
            let answer = client.fetch(certificate).await.expect(200);
            assert_eq!(
                answer.header("content-type"),
                Some("application/pem-certificate-chain")
            );
            let chain = answer.text();
            assert_eq!(
                client.fetch(certificate).await.text(),
                chain,
                "the same for ever"
            );
            let blocks: Vec<&str> = chain.split("\n\n").collect();
            assert_eq!(blocks.len(), 2, "leaf, an empty line, issuer");
            for line in chain.lines().filter(|l| !l.is_empty()) {
                assert!(
                    line.len() <= 64 && line.is_ascii() && !line.contains('\r'),
                    "{line}"
                );
                assert!(
                    !line.contains(' ') || line.starts_with("-----"),
                    "no explanatory text: {line}"
                );
            }
            assert!(!chain.contains("PRIVATE"));
            // Valid authorizations carry over: an order of the same names is born ready.
            let second = client
                .new_order(&["a.form.test", "b.form.test"])
                .await
                .expect(201);
            assert_ne!(second.location(), url);
            assert_eq!(second.json()["status"], "ready", "{}", second.json());
        });
    });
}

#[test]
fn a_challenge_starts_by_a_json_object_and_decides_its_authorization() {
    // 8555-7.5.1-1
    // 8555-7.5.1-4
    // 8555-7.5.1-5
    // 8555-7.5.1-7
    // 8555-11.3-1
    inside(test_path!(), |world| {
        let web = Responder::start((HOST, 80));
        block_on(async {
            let client = world.ca.subscriber().await;
            let order = client
                .new_order(&["challenge.test"])
                .await
                .expect(201)
                .json();
            let authorization = order["authorizations"][0].as_str().unwrap();
            let object = client.fetch(authorization).await.expect(200).json();
            let challenge = &object["challenges"][0];
            let (url, token) = (
                challenge["url"].as_str().unwrap(),
                challenge["token"].as_str().unwrap(),
            );
            assert!(
                token.len() >= 22
                    && token
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            );
            assert_eq!(
                client.fetch(url).await.expect(200).json()["status"],
                "pending",
                "POST-as-GET starts nothing"
            );
            for (row, payload) in [
                ("a list", json!([])),
                ("a text", json!("x")),
                ("a number", json!(1)),
                ("null", json!(null)),
            ] {
                assert_problem(&client.post(url, &payload).await, 400, "malformed", row);
                assert_eq!(client.fetch(url).await.json()["status"], "pending", "{row}");
            }
            assert!(web.log().is_empty(), "nobody was asked yet");
            web.token(token, &client.key.authorization(token));
            let answer = client
                .post(url, &json!({ "unknown": true }))
                .await
                .expect(200);
            assert!(
                answer
                    .links()
                    .iter()
                    .any(|l| l.contains("rel=\"up\"") && l.contains(authorization)),
                "{:?}",
                answer.links()
            );
            let object = client.poll(authorization, &["pending"]).await;
            assert_eq!(object["status"], "valid");
            assert!(object["expires"].is_string());
            let challenges = object["challenges"].as_array().unwrap();
            assert_eq!(challenges.len(), 1);
            assert!(challenges[0]["validated"].is_string());
            // A response to a decided challenge shows it.
            assert_eq!(
                client.post(url, &json!({})).await.expect(200).json()["status"],
                "valid"
            );
        });
    });
}

#[test]
fn accounts_and_directory_say_only_what_is_registered() {
    // 8555-7.1.1-2
    // 8555-9.7-1
    // 8555-7.3-7
    // 8555-10.5-3
    inside(test_path!(), |world| {
        block_on(async {
            let client = world.ca.client().await;
            let known = [
                "newNonce",
                "newAccount",
                "newOrder",
                "newAuthz",
                "revokeCert",
                "keyChange",
                "renewalInfo",
                "meta",
            ];
            for member in client.directory.as_object().unwrap().keys() {
                assert!(known.contains(&member.as_str()), "{member}");
            }
            // Two at once with one key make one account.
            let (mut one, mut two) = (client.clone(), client.clone());
            let (first, second) = tokio::join!(one.new_account(), two.new_account());
            assert_eq!(first.location(), second.location());
            assert_eq!(
                BTreeSet::from([first.status, second.status]),
                BTreeSet::from([200, 201])
            );
            let payload = json!({ "termsOfServiceAgreed": true, "contact": ["mailto:a@example.test"], "evil": 1, "onlyReturnExisting": false });
            let mut third = client.with_key(cairn_testkit::acme::Key::es256());
            let made = third.new_account_with(payload).await.expect(201).json();
            for member in made.as_object().unwrap().keys() {
                assert!(
                    ["status", "contact", "termsOfServiceAgreed", "orders"]
                        .contains(&member.as_str()),
                    "{member}"
                );
            }
            // Nothing in a URL tells a name or a count.
            let order = third.new_order(&["secret-name.test"]).await.expect(201);
            // Members of RFC 8555 §9.7 alone and the profile, in an order at its start and at its end.
            let web = Responder::start((HOST, 80));
            let ended = third.obtain(&["members.test"], &web).await.order;
            let ended = third.fetch(&ended).await.expect(200).json();
            for order in [&order.json(), &ended] {
                let registered = [
                    "status",
                    "expires",
                    "identifiers",
                    "notBefore",
                    "notAfter",
                    "error",
                    "authorizations",
                    "finalize",
                    "certificate",
                    "profile",
                ];
                assert_members(order, &registered);
                let url = order["authorizations"][0].as_str().unwrap();
                let authorization = third.fetch(url).await.expect(200).json();
                let registered = ["identifier", "status", "expires", "challenges", "wildcard"];
                assert_members(&authorization, &registered);
                for challenge in authorization["challenges"].as_array().unwrap() {
                    let registered = ["type", "url", "status", "validated", "error", "token"];
                    assert_members(challenge, &registered);
                }
            }
            let all = format!("{}{}", order.location(), order.json()["authorizations"]);
            assert!(!all.contains("secret"), "{all}");
            let next = third
                .new_order(&["next-name.test"])
                .await
                .expect(201)
                .location();
            let tail = |url: &str| url.rsplit('/').next().unwrap()[10..].to_owned();
            assert_ne!(tail(&order.location()), tail(&next));
        });
    });
}

fn assert_members(object: &Value, registered: &[&str]) {
    for member in object.as_object().unwrap().keys() {
        assert!(registered.contains(&member.as_str()), "{member}: {object}");
    }
}

#[test]
fn weak_and_listed_keys_open_no_account_and_get_no_certificate() {
    // 8555-10.5-1 8555-11.1-1
    // T-CA-38
    inside(test_path!(), |mut world| {
        let web = Responder::start((HOST, 80));
        let key = KeyPair::generate().unwrap();
        let account_key = Key::es256();
        let hash = |key: &KeyPair| {
            let listed = world.folder.path().join("spki.der");
            std::fs::write(&listed, rcgen::PublicKeyData::subject_public_key_info(key)).unwrap();
            let mut openssl = cairn_testkit::peers::system("openssl");
            openssl.args(["dgst", "-sha256", "-r"]).arg(&listed);
            String::from_utf8(openssl.output().unwrap().stdout).unwrap()[..64].to_owned()
        };
        let list = format!(
            "# a test's\n{}\n{}\n",
            hash(&key),
            hash(&account_key.for_a_csr())
        );
        std::fs::write(world.ca.dir().join("blocked.txt"), list).unwrap();
        world.ca.terminate();
        world.ca.set("keys.blocked_keys", "\"blocked.txt\"");
        world.ca.start();
        block_on(async {
            let client = world.ca.subscriber().await;
            let (url, order) = ready(&client, &web, &["listed.test"]).await;
            let answer = client
                .finalize(&order, &changed_csr(&["listed.test"], &key, |_| {}))
                .await;
            // F-73: as Debian's keys are, once the operator lists them.
            assert_problem(&answer, 400, "badCSR", "a listed key");
            assert!(
                answer.json()["detail"].as_str().unwrap().contains("list"),
                "{}",
                answer.text()
            );
            let request = rsa_csr(world.folder.path(), "listed.test", 1024, "-sha256");
            let weak = client.finalize(&order, &request).await;
            assert_problem(&weak, 400, "badCSR", "RSA of 1024 bits");
            assert_eq!(client.fetch(&url).await.json()["status"], "ready");

            let refused = client.with_key(account_key).new_account().await;
            assert_problem(&refused, 400, "badPublicKey", "a listed account key");
            // The key of a live certificate opens no account either.
            let live = Key::es256();
            let (url, order) = ready(&client, &web, &["live.test"]).await;
            let request = changed_csr(&["live.test"], &live.for_a_csr(), |_| {});
            client.finalize(&order, &request).await.expect(200);
            let order = client.poll(&url, &["ready", "processing"]).await;
            assert_eq!(order["status"], "valid", "{order}");
            let refused = client.with_key(live).new_account().await;
            assert_problem(&refused, 400, "badPublicKey", "a certificate's key");
        });
    });
}

#[test]
fn the_listener_speaks_modern_tls_and_asks_for_no_client_certificate() {
    // 8555-6.1-1
    // 8555-6.1-6
    inside(test_path!(), |world| {
        let root = world.ca.root_path();
        // Answered and closed by the server: whatever tickets it gives are read before.
        let request = world.folder.path().join("request");
        let text = "GET /directory HTTP/1.1\r\nhost: ca.test\r\nconnection: close\r\n\r\n";
        std::fs::write(&request, text).unwrap();
        let connect = |arguments: &[&str]| {
            let mut openssl = cairn_testkit::peers::system("openssl");
            openssl.args([
                "s_client",
                "-connect",
                "127.0.0.1:443",
                "-servername",
                "ca.test",
                "-verify_hostname",
                "ca.test",
                "-verify_return_error",
                "-CAfile",
            ]);
            openssl
                .arg(&root)
                .args(arguments)
                .arg("-ign_eof")
                .stdin(std::fs::File::open(&request).unwrap());
            let output = openssl.output().unwrap();
            (
                output.status.success(),
                String::from_utf8_lossy(&output.stdout).into_owned(),
            )
        };
        for version in ["-tls1_2", "-tls1_3"] {
            let (good, said) = connect(&[version]);
            assert!(
                good && said.contains("Verify return code: 0"),
                "{version}: {said}"
            );
            assert!(said.contains("newNonce"), "{said}");
            // What openssl prints of a request for a certificate, also of one that names no CAs.
            for asks in [
                "Acceptable client certificate CA names",
                "Requested Signature Algorithms",
                "Client Certificate Types",
            ] {
                assert!(!said.contains(asks), "{version}: {asks}: {said}");
            }
            let early: Vec<&str> = said
                .lines()
                .filter_map(|line| line.trim().strip_prefix("Max Early Data: "))
                .collect();
            assert!(early.iter().all(|octets| *octets == "0"), "{said}");
            assert_eq!(early.is_empty(), version == "-tls1_2", "{said}");
        }
        for version in ["-tls1", "-tls1_1"] {
            let (good, said) = connect(&[version, "-cipher", "DEFAULT@SECLEVEL=0"]);
            assert!(!good, "{version} was accepted: {said}");
        }
        // Plain HTTP has no ACME at all.
        let answer = cairn_testkit::ca::get("127.0.0.1:80", "/directory").unwrap();
        assert_eq!(answer.0, 404);
    });
}
