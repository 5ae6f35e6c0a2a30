//! Several issuers and several chains over the real binary: `cairn ca key`, certbot's choice of a chain, openssl's verdict on
//! each, and kills among the lists of two issuers.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use cairn_testkit::{
    acme::{Client, encode},
    block_on,
    ca::{self, HOST, PUBLICATION, RESOLVER, TestCa},
    dns,
    http::Responder,
    issued, peers, test_path, wait_for,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    openssl::{openssl, rsa_csr},
    operation::asked,
    other_root::cross_sign,
    world::{World, assert_good, inside},
};

/// An RSA issuer for RSA keys, as `cairn ca key add` says.
fn add_rsa(ca: &TestCa) {
    let (status, said, err) = ca.command(&["key", "add", "rsa", "--key-type", "rsa2048"]);
    assert!(status.success(), "{said}{err}");
    let at = err.find("[issuer.rsa]").unwrap_or_else(|| panic!("{err}"));
    let table = &err[at..];
    ca.edit(|toml| format!("{toml}\n{table}\n"));
    let issuing = std::fs::read_to_string(ca.dir().join("rsa.pem"));
    issued::keep_issuing(&issuing.unwrap());
}

fn in_world(path: &str, prepare: impl FnOnce(&mut TestCa, &Path), body: impl FnOnce(World)) {
    TestCa::namespace().seconds(300).run(path, || {
        let dns = dns::Server::start(RESOLVER);
        dns.add_wildcard("test", HOST)
            .add_address("ca.test", [127, 0, 0, 1]);
        let folder = TempDir::new().unwrap();
        let mut ca = TestCa::builder().init();
        prepare(&mut ca, folder.path());
        ca.start();
        body(World { ca, dns, folder });
    });
}

/// certbot obtains for one name; its lineage's folder.
fn certbot(world: &World, directory: &str, name: &str, further: &[&str]) -> PathBuf {
    let mut command = peers::command("certbot");
    command.args([
        "certonly",
        "--agree-tos",
        "--register-unsafely-without-email",
        "--non-interactive",
        "--standalone",
        "--http-01-address",
        "127.0.0.2",
    ]);
    command
        .args(further)
        .args(["-d", name, "--server", directory]);
    for folder in ["config", "work", "logs"] {
        let at = world.folder.path().join(folder);
        command.arg(format!("--{folder}-dir")).arg(at);
    }
    peers::trust(&mut command, &world.ca.root_path());
    assert!(
        peers::run(&mut command).status.success(),
        "{name} at {directory}"
    );
    let lineage = world.folder.path().join("config/live").join(name);
    issued::keep_folder(&lineage);
    lineage
}

#[test]
fn certbot_gets_the_chain_that_it_prefers_and_openssl_verifies_each_to_its_root() {
    // 8555-7.4.2-2
    let path = test_path!();
    in_world(
        path,
        |ca, folder| {
            cross_sign(ca, folder);
            add_rsa(ca);
        },
        |world| {
            let root = world.ca.root_path();
            let other = world.folder.path().join("other/root.pem");
            for (name, key, preferred, good, bad) in [
                ("usual.test", "ecdsa", "Test Root R1", &root, &other),
                ("other.test", "ecdsa", "Other Root R1", &other, &root),
                ("rsa.test", "rsa", "Other Root R1", &root, &other),
            ] {
                let further = ["--key-type", key, "--preferred-chain", preferred];
                let lineage = certbot(&world, &world.ca.directory(), name, &further);
                let chain = lineage.join("fullchain.pem");
                assert_good(&chain, good, &[name.to_owned()]);
                let at = |path: &Path| path.to_str().unwrap().to_owned();
                let words = [
                    "verify",
                    "-CAfile",
                    &at(bad),
                    "-untrusted",
                    &at(&chain),
                    &at(&chain),
                ];
                assert!(
                    !openssl(&words, b"").0,
                    "{name} has the chain of both roots"
                );
                let (_, shown) = openssl(&["x509", "-in", &at(&chain), "-noout", "-issuer"], b"");
                let issuer = if key == "rsa" {
                    "Issuing rsa"
                } else {
                    "Issuing I1"
                };
                assert!(shown.contains(issuer), "{name}: {shown}");
            }
        },
    );
}

/// A certificate for a new RSA key, or for one on a curve.
async fn obtain(client: &Client, web: &Responder, name: &str, rsa: bool) -> String {
    let placed = client.new_order(&[name]).await.expect(201);
    for authorization in placed.json()["authorizations"].as_array().unwrap() {
        client.answer(authorization.as_str().unwrap(), web).await;
    }
    let order = client.poll(&placed.location(), &["pending"]).await;
    let csr = if rsa {
        let folder = TempDir::new().unwrap();
        rsa_csr(folder.path(), name, 2048, "-sha256")
    } else {
        cairn_testkit::acme::csr(&[name]).0
    };
    client.finalize(&order, &csr).await.expect(200);
    let order = client.poll(&placed.location(), &["processing"]).await;
    assert_eq!(order["status"], "valid", "{order}");
    let url = order["certificate"].as_str().unwrap();
    let chain = client.fetch(url).await.expect(200).text();
    issued::keep_chain(&chain);
    chain
}

/// The CRLs that this CA has in force, by issuer: number and octets.
fn lists(world: &World) -> BTreeMap<String, (u64, Vec<u8>)> {
    let (status, said, err) = world.ca.command(&["status", "--json"]);
    assert!(status.success(), "{err}");
    let answer: Value = serde_json::from_str(&said).unwrap();
    let crls = answer["crls"].as_array().unwrap().iter();
    crls.map(|crl| {
        let issuer = crl["issuer"].as_str().unwrap().to_owned();
        let path = format!("/crl/{issuer}/0.crl");
        let (status, der) = ca::get(PUBLICATION, &path).unwrap();
        assert_eq!(status, 200);
        issued::keep_crl(&der);
        (issuer, (number_of(&der), der))
    })
    .collect()
}

/// The number inside the list, as openssl reads it.
fn number_of(der: &[u8]) -> u64 {
    let (done, said) = openssl(&["crl", "-inform", "DER", "-noout", "-crlnumber"], der);
    assert!(done, "{said}");
    let hex = said.trim().rsplit('=').next().unwrap();
    u64::from_str_radix(hex.trim_start_matches("0x"), 16).unwrap()
}

#[test]
fn kills_among_two_issuers_lists_repeat_no_number_and_lose_no_revocation() {
    // T-CA-50 T-CA-103
    const ROUNDS: usize = 3;
    in_world(
        test_path!(),
        |ca, _| add_rsa(ca),
        |mut world| {
            let web = Responder::start((HOST, 80));
            let client = block_on(world.ca.subscriber());
            // (issuer, number) → the only list that ever had it.
            let mut seen: BTreeMap<(String, u64), Vec<u8>> = BTreeMap::new();
            let mut note = |world: &World| {
                for (issuer, (number, der)) in lists(world) {
                    let only = seen.entry((issuer, number)).or_insert(der.clone());
                    assert_eq!(*only, der, "two lists with the number {number}");
                }
            };
            let mut revoked = Vec::new();
            for round in 0..ROUNDS {
                let client = client.apart(&world.ca.root());
                for rsa in [false, true] {
                    let name = format!("r{round}{rsa}.test");
                    let chain = block_on(obtain(&client, &web, &name, rsa));
                    let leaf = issued::leaf(&chain);
                    let payload = json!({ "certificate": encode(&leaf) });
                    let url = client.url("revokeCert");
                    block_on(client.post(&url, &payload)).expect(200);
                    revoked.push(issued::serial(&chain).unwrap());
                }
                note(&world);
                // Whatever the publisher is at now.
                world.ca.crash();
                note(&world);
            }
            let all = wait_for(std::time::Duration::from_secs(90), || {
                note(&world);
                let shown: Vec<String> = lists(&world)
                    .into_values()
                    .map(|(_, der)| {
                        let words = ["crl", "-inform", "DER", "-noout", "-text"];
                        openssl(&words, &der).1.to_lowercase()
                    })
                    .collect();
                let found = |serial: &String| {
                    shown
                        .iter()
                        .filter(|text| text.contains(serial.as_str()))
                        .count()
                        == 1
                };
                (shown.len() == 2 && revoked.iter().all(found)).then_some(())
            });
            assert!(all.is_some(), "a revocation is on no list, or on both");
        },
    );
}

#[test]
fn another_directory_serves_certbot_beside_the_first() {
    let tables = "[[directory]]\nname = \"team\"\nterms = \"https://ca.test/terms\"\n";
    inside(test_path!(), |mut world| {
        world.ca.terminate();
        world.ca.edit(|toml| format!("{toml}\n{tables}"));
        world.ca.start();
        for (n, directory) in ["directory", "acme/team/directory"].into_iter().enumerate() {
            let name = format!("d{n}.test");
            let lineage = certbot(&world, &format!("https://ca.test/{directory}"), &name, &[]);
            let chain = lineage.join("fullchain.pem");
            assert_good(&chain, &world.ca.root_path(), &[name]);
        }
    });
}

#[test]
fn a_key_for_another_directory_opens_an_account_there_and_nowhere_else() {
    // T-CA-35
    let tables = "[[directory]]\nname = \"team\"\nexternal = \"required\"\n";
    inside(test_path!(), |mut world| {
        world.ca.terminate();
        world.ca.edit(|toml| format!("{toml}\n{tables}"));
        world.ca.set("accounts.external", "\"optional\"");
        world.ca.start();
        let words = ["eab", "add", "--directory", "team", "--json"];
        let made = asked(&world.ca, &words);
        let text = |member: &str| made[member].as_str().unwrap();
        let root = world.ca.root();
        block_on(async {
            let open = async |directory: &str| {
                let url = format!("https://ca.test/{directory}");
                let mut client = Client::connect(&url, &root).await;
                client.new_bound_account(text("id"), text("hmac_key")).await
            };
            let refused = open("directory").await;
            assert_eq!(
                (refused.status, refused.problem().as_str()),
                (403, "unauthorized"),
                "{}",
                refused.text()
            );
            assert!(
                refused.text().contains("is here that made this MAC"),
                "{}",
                refused.text()
            );
            // Which used nothing up.
            let opened = open("acme/team/directory").await.expect(201);
            assert!(
                opened.location().contains("/acme/team/"),
                "{}",
                opened.location()
            );
        });
        let listed = asked(&world.ca, &["eab", "list", "--state", "used", "--json"]);
        assert_eq!(listed["keys"][0]["id"], made["id"], "{listed}");
    });
}
