//! Several issuers side by side, and several chains of one.

use std::{path::Path, sync::Arc, time::Duration};

use cairn_acme::{renewal::CertId, time::Timestamp};
use cairn_ca::{
    clock::{Clock, SystemClock},
    config::{Config, LeafKey, ProfileSettings},
    issuance::{CrlPublisher, Issuer, Signing},
    node::NodeParts,
    operator::{self, IssueQuery, Query},
    publication::Media,
    setup::{self, CrossRequest, InitRequest, IssuerRequest},
};
use cairn_testkit::{
    acme::{Client, csr, encode},
    issued,
};
use cairn_x509::{
    certificate::{Certificate, Serial},
    crl::Crl,
    csr::build_csr,
    key::{KeyKind, PrivateKey},
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::json;

use crate::{
    steps::{self, id, until},
    world::World,
};

fn now() -> Timestamp {
    SystemClock::default().wall()
}

fn unasked(_: &str) -> std::io::Result<setup::Passphrase> {
    panic!("the passphrase lies in a file")
}

/// An RSA issuer beside the first, with the name "rsa".
pub(crate) fn add_rsa(dir: &Path) -> String {
    let request = IssuerRequest {
        dir: dir.to_owned(),
        name: "rsa".to_owned(),
        key_kind: KeyKind::Rsa2048,
        root_key: None,
        now: now(),
    };
    setup::add_issuer(&request, &mut unasked).unwrap().table
}

/// Another CA's root, whose key signs a certificate for the first issuer's key into `cross.pem`: the root.
fn cross_sign(dir: &Path) -> String {
    let other = dir.parent().unwrap().join("other");
    let request = InitRequest {
        dir: other.clone(),
        name: "Other".to_owned(),
        url: "https://other.test".parse().unwrap(),
        permit_dns: Vec::new(),
        permit_ip: Vec::new(),
        key_kind: KeyKind::P384,
        unlock: cairn_ca::config::Unlock::File,
        crl_shards: 1,
        ports: (None, None),
        settings: Vec::new(),
        now: now(),
    };
    // It has a runtime of its own for the store.
    std::thread::spawn(move || setup::init(&request, &mut || unreachable!()).unwrap())
        .join()
        .unwrap();
    let request = CrossRequest {
        dir: dir.to_owned(),
        issuer: None,
        root: other.join("root.pem"),
        root_key: other.join("keys/root.key.pem"),
        file: dir.join("cross.pem"),
        now: now(),
    };
    let passphrase = std::fs::read(other.join("keys/passphrase")).unwrap();
    let mut ask = |_: &str| Ok(setup::Passphrase::from_line(&passphrase).unwrap());
    setup::cross_sign(&request, &mut ask).unwrap();
    std::fs::read_to_string(other.join("root.pem")).unwrap()
}

/// Puts what the directory's `cairn.toml` says of issuers, changed first, into the parts.
pub(crate) fn take(parts: &mut NodeParts, change: impl FnOnce(String) -> String) {
    let path = parts.dir.join("cairn.toml");
    let text = change(std::fs::read_to_string(&path).unwrap());
    std::fs::write(&path, text).unwrap();
    let loaded = setup::load(&parts.dir, &mut unasked).unwrap();
    parts.config.issuer = loaded.config.issuer;
    parts.config.keys = loaded.config.keys;
    parts.issuer = loaded.issuer.start().unwrap();
    parts.issuers = loaded
        .issuers
        .into_iter()
        .map(|issuer| issuer.start().unwrap())
        .collect();
}

/// A world with an RSA issuer for RSA keys beside the first.
async fn two(change: impl FnOnce(&mut Config)) -> World {
    let world = World::with_parts(change, |parts| {
        parts.timing.crl = Duration::from_millis(50);
        parts.timing.crl_rest = Duration::ZERO;
        let table = add_rsa(&parts.dir);
        take(parts, |text| format!("{text}\n{table}\n"));
    })
    .await;
    issued::keep_issuing(&std::fs::read_to_string(world.dir().join("rsa.pem")).unwrap());
    world
}

fn issuer<'a>(world: &'a World, name: &str) -> &'a Signing {
    let mut issuers = world.ca().issuance.issuers().iter();
    issuers.find(|s| s.issuer.name == name).unwrap()
}

fn certificates(chain: &str) -> Vec<Certificate> {
    CertificateDer::pem_slice_iter(chain.as_bytes())
        .map(|der| Certificate::parse(&der.unwrap()).unwrap())
        .collect()
}

fn is_of(chain: &str, issuer: &Issuer) -> bool {
    certificates(chain)[0]
        .verify_issued_by(&issuer.certificate)
        .is_ok()
}

fn rsa_csr(names: &[&str]) -> Vec<u8> {
    let key = PrivateKey::generate(KeyKind::Rsa2048).unwrap();
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    build_csr(&key, &names).unwrap()
}

async fn obtain(world: &World, client: &Client, name: &str, csr: &[u8]) -> (String, String) {
    let (order, chain) = steps::obtain(world, client, &steps::wanted(&[name]), csr).await;
    (order["certificate"].as_str().unwrap().to_owned(), chain)
}

/// The serials on the published CRL of that issuer.
fn revoked(world: &World, issuer: &Issuer) -> Vec<Vec<u8>> {
    let path = format!("/crl/{}/0.crl", issuer.id);
    let file = world.ca().crls.at(&path).unwrap();
    issued::keep_crl(&file.body);
    let crl = Crl::parse(&file.body).unwrap();
    crl.verify_issued_by(&issuer.certificate).unwrap();
    crl.entries().iter().map(|e| e.serial.clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_comes_from_the_issuer_for_its_kind_of_key_or_from_the_one_its_profile_names()
{
    // T-CA-98 T-CA-100
    let world = two(|config| {
        let named = |issuer: &str| ProfileSettings {
            issuer: Some(issuer.to_owned()),
            ..ProfileSettings::default()
        };
        config.profile.others.insert("old".to_owned(), named("rsa"));
        config
            .profile
            .others
            .insert("new".to_owned(), named("default"));
    })
    .await;
    let client = world.subscriber().await;
    let mut wrong = Vec::new();
    for (n, profile, rsa_key, expected) in [
        (0, None, false, "default"),
        (1, None, true, "rsa"),
        (2, Some("old"), false, "rsa"),
        (3, Some("old"), true, "rsa"),
        (4, Some("new"), true, "default"),
    ] {
        let name = format!("n{n}.kinds.test");
        let mut wanted = steps::wanted(&[&name]);
        if let Some(profile) = profile {
            wanted["profile"] = profile.into();
        }
        let csr = match rsa_key {
            true => rsa_csr(&[&name]),
            false => csr(&[&name]).0,
        };
        let (_, chain) = steps::obtain(&world, &client, &wanted, &csr).await;
        if !is_of(&chain, &issuer(&world, expected).issuer) || certificates(&chain).len() != 2 {
            wrong.push((profile, rsa_key, expected));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    // The listener's own key is on a curve.
    let own = std::fs::read_to_string(world.dir().join("keys/listener.pem")).unwrap();
    let own = own.split("-----BEGIN PRIVATE KEY").next().unwrap();
    assert!(is_of(own, &issuer(&world, "default").issuer));
    // Without ACME the same rule holds.
    let issue = Query::Issue(IssueQuery {
        csr: encode(&rsa_csr(&["operator.kinds.test"])),
        profile: None,
    });
    let answer = operator::ask(&world.dir(), issue).await.unwrap();
    let chain = answer["chain"].as_str().unwrap();
    issued::keep_chain(chain);
    assert!(is_of(chain, &issuer(&world, "rsa").issuer), "{answer}");
    // Both are published, each at its own URL.
    for name in ["default", "rsa"] {
        let issuer = &issuer(&world, name).issuer;
        let file = world.ca().crls.at(&format!("/issuer/{}.crt", issuer.id));
        assert_eq!(file.unwrap().body, issuer.der, "{name}");
    }
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_issuer_has_its_lists_and_its_renewal_information() {
    // T-CA-103 5280-5-1 9773-4.1-3
    let world = two(|_| {}).await;
    let client = world.subscriber().await;
    let (first, second) = (
        Arc::clone(&issuer(&world, "default").issuer),
        Arc::clone(&issuer(&world, "rsa").issuer),
    );
    let ec = obtain(&world, &client, "ec.lists.test", &csr(&["ec.lists.test"]).0).await;
    let rsa = obtain(
        &world,
        &client,
        "rsa.lists.test",
        &rsa_csr(&["rsa.lists.test"]),
    )
    .await;
    let crls: Vec<_> = world
        .ca()
        .crls
        .list()
        .into_iter()
        .filter(|(_, file)| file.media == Media::Crl)
        .collect();
    assert_eq!(crls.len(), 2, "one for each issuer");
    for ((url, _), of, other) in [(&ec, &first, &second), (&rsa, &second, &first)] {
        let serial: Serial = id(url);
        let named = |issuer: &Issuer| {
            let key = issuer.certificate.key_id();
            CertId::new(key, serial.as_bytes()).unwrap().to_string()
        };
        let told = async |issuer: &Issuer| {
            let url = format!("{}/{}", client.url("renewalInfo"), named(issuer));
            client.plain("GET", &url).await
        };
        told(of).await.expect(200);
        // The serial under the other's key is no certificate.
        told(other).await.expect(404);
    }
    let revoke = async |chain: &str| {
        let leaf = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
        let payload = json!({ "certificate": encode(&leaf) });
        client
            .post(&client.url("revokeCert"), &payload)
            .await
            .expect(200);
    };
    revoke(&rsa.1).await;
    let serial: Serial = id(&rsa.0);
    until("the RSA issuer's list has it", async || {
        revoked(&world, &second).contains(&serial.as_bytes().to_vec())
    })
    .await;
    assert!(revoked(&world, &first).is_empty());
    // An operator's serial finds whichever issuer has it.
    let ec_serial: Serial = id(&ec.0);
    let query = Query::Revoke(operator::RevokeQuery {
        serials: vec![ec_serial.to_string()],
        reason: None,
    });
    let answer = operator::ask(&world.dir(), query).await.unwrap();
    assert_eq!(answer["revoked"].as_array().unwrap().len(), 1, "{answer}");
    let published = CrlPublisher::publish_now(world.ca()).await;
    assert!(published.iter().all(|p| p.number.is_ok()), "{published:?}");
    until("the first issuer's list has it", async || {
        revoked(&world, &first).contains(&ec_serial.as_bytes().to_vec())
    })
    .await;
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retired_issuer_goes_on_with_its_lists_and_signs_nothing_else() {
    // T-CA-103
    let world = two(|_| {}).await;
    let client = world.subscriber().await;
    let names = ["retired.issuers.test"];
    let (url, chain) = obtain(&world, &client, names[0], &rsa_csr(&names)).await;
    let world = world
        .restarted(|parts| {
            parts.timing.crl = Duration::from_millis(50);
            parts.timing.crl_rest = Duration::ZERO;
            take(parts, |text| text.replace("for = [\"rsa\"]", "for = []"));
        })
        .await;
    let rsa = Arc::clone(&issuer(&world, "rsa").issuer);
    assert!(issuer(&world, "rsa").is_retired(&world.ca().snapshot.load()));
    let client = client.apart(&world.root());
    let again = obtain(&world, &client, names[0], &rsa_csr(&names)).await;
    assert!(is_of(&again.1, &issuer(&world, "default").issuer));
    // What it signed is still delivered and can still be revoked.
    assert_eq!(client.fetch(&url).await.expect(200).text(), chain);
    let leaf = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
    let payload = json!({ "certificate": encode(&leaf) });
    client
        .post(&client.url("revokeCert"), &payload)
        .await
        .expect(200);
    let serial: Serial = id(&url);
    until("its list has it", async || {
        revoked(&world, &rsa).contains(&serial.as_bytes().to_vec())
    })
    .await;
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_told_of_a_revocation_that_no_list_would_tell() {
    // T-CA-103
    let world = two(|_| {}).await;
    let client = world.subscriber().await;
    let names = ["left.issuers.test"];
    let (url, chain) = obtain(&world, &client, names[0], &rsa_csr(&names)).await;
    let world = world
        .restarted(|parts| {
            take(parts, |text| {
                text[..text.rfind("\n[issuer.rsa]").unwrap()].to_owned()
            });
        })
        .await;
    let client = client.apart(&world.root());
    let leaf = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
    let payload = json!({ "certificate": encode(&leaf) });
    let refused = client.post(&client.url("revokeCert"), &payload).await;
    let refused = refused.expect(500);
    assert!(
        refused.text().contains("configured no more"),
        "{}",
        refused.text()
    );
    let serial: Serial = id(&url);
    let query = Query::Revoke(operator::RevokeQuery {
        serials: vec![serial.to_string()],
        reason: None,
    });
    let answer = operator::ask(&world.dir(), query).await.unwrap();
    let failed = &answer["failed"][0]["detail"];
    assert!(
        failed.to_string().contains("configured no more"),
        "{answer}"
    );
    assert_eq!(answer["changed"], false);
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn further_chains_of_a_certificate_are_linked_and_each_ends_in_its_root() {
    // 8555-7.4.2-2 8555-7.4.2-6
    let mut other_root = String::new();
    let world = World::with_parts(
        |_| {},
        |parts| {
            other_root = cross_sign(&parts.dir);
            take(parts, |text| {
                text.replace("\nalternates = []", "\nalternates = [\"cross.pem\"]")
            });
        },
    )
    .await;
    issued::keep_root(&other_root);
    let client = world.subscriber().await;
    let names = ["chains.test"];
    let (url, _) = obtain(&world, &client, names[0], &csr(&names).0).await;
    let other_url = format!("{url}/1");
    let (usual, other) = (client.fetch(&url).await, client.fetch(&other_url).await);
    let (usual, other) = (usual.expect(200), other.expect(200));
    let alternates = |answer: &cairn_testkit::acme::Response| -> Vec<String> {
        answer
            .links()
            .iter()
            .filter(|link| link.ends_with(";rel=\"alternate\""))
            .map(|link| (*link).to_owned())
            .collect()
    };
    assert_eq!(
        alternates(&usual),
        [format!("<{other_url}>;rel=\"alternate\"")]
    );
    assert_eq!(alternates(&other), [format!("<{url}>;rel=\"alternate\"")]);
    assert_eq!(
        other.header("content-type"),
        Some("application/pem-certificate-chain")
    );
    let (usual, other) = (usual.text(), other.text());
    issued::keep_chain(&other);
    let form = |text: &str| {
        text.matches("-----END CERTIFICATE-----\n\n-----BEGIN")
            .count()
            == 1
            && text.ends_with("-----END CERTIFICATE-----\n")
            && !text.contains('\r')
    };
    assert!(form(&usual) && form(&other), "{usual}\n{other}");
    let root = |pem: &str| certificates(pem).remove(0);
    for (chain, root) in [(&usual, root(&world.root())), (&other, root(&other_root))] {
        let certificates = certificates(chain);
        let [leaf, issuing] = certificates.as_slice() else {
            panic!("{chain}")
        };
        leaf.verify_issued_by(issuing).unwrap();
        issuing.verify_issued_by(&root).unwrap();
    }
    assert_eq!(
        certificates(&usual)[0].tbs_der(),
        certificates(&other)[0].tbs_der()
    );
    // There are no others, and nobody else's are shown.
    for number in ["0", "2", "255", "256", "01"] {
        let answer = client.fetch(&format!("{url}/{number}")).await.expect(404);
        assert_eq!(answer.problem(), "malformed", "{number}");
    }
    let stranger = world.subscriber().await;
    stranger.fetch(&other_url).await.expect(404);
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_that_has_ended_is_not_offered_and_the_others_keep_their_numbers() {
    // 8555-7.4.2-2
    let world = World::with_parts(
        |_| {},
        |parts| {
            let usual = parts.issuer.chains.remove(0);
            let mut ended = usual.clone();
            ended.not_after = now().minus(Duration::from_secs(1));
            parts.issuer.chains = vec![usual.clone(), ended, usual];
        },
    )
    .await;
    let client = world.subscriber().await;
    let names = ["ended.chains.test"];
    let (url, _) = obtain(&world, &client, names[0], &csr(&names).0).await;
    client.fetch(&format!("{url}/1")).await.expect(404);
    client.fetch(&format!("{url}/2")).await.expect(200);
    let answer = client.fetch(&url).await;
    let links = answer.links();
    let alternates: Vec<_> = links.iter().filter(|l| l.contains("alternate")).collect();
    assert_eq!(alternates.len(), 1, "{links:?}");
    assert!(alternates[0].contains("/2>"));
    world.shutdown().await;
}

#[test]
fn every_kind_of_key_has_a_kind_of_issuer() {
    for (kind, expected) in [
        (KeyKind::P256, LeafKey::Ecdsa),
        (KeyKind::P384, LeafKey::Ecdsa),
        (KeyKind::Rsa2048, LeafKey::Rsa),
    ] {
        let key = PrivateKey::generate(kind).unwrap();
        let key = cairn_x509::key::PublicKey::from_spki_der(key.spki_der()).unwrap();
        assert_eq!(LeafKey::of(&key), expected, "{kind:?}");
    }
}
