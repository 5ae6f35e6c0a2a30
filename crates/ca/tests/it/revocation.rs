//! Revocation as clients have it: who may, what the answers are, and when the published CRL shows it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use cairn_ca::{
    id::OrderId,
    issuance::CrlPublisher,
    publication::Readiness,
    store::{AuditSubject, FaultPoint, InjectedFault},
};
use cairn_testkit::{
    acme::{Client, Key, Obtained, csr_for, encode},
    issued,
};
use cairn_x509::{certificate::Serial, crl::Crl};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};

use crate::{
    steps::{finish, id, ready, until},
    world::World,
};

/// The leaf of a chain.
pub(crate) fn leaf(chain: &str) -> Vec<u8> {
    CertificateDer::from_pem_slice(chain.as_bytes())
        .unwrap()
        .to_vec()
}

pub(crate) fn serial(got: &Obtained) -> String {
    got.certificate.rsplit('/').next().unwrap().to_owned()
}

fn payload(der: &[u8], reason: Option<i64>) -> Value {
    let mut payload = json!({ "certificate": encode(der) });
    if let Some(reason) = reason {
        payload["reason"] = reason.into();
    }
    payload
}

/// What revokeCert answers: `200`, or the status and problem.
async fn revoke(client: &Client, der: &[u8], reason: Option<i64>) -> String {
    let answer = client
        .post(&client.url("revokeCert"), &payload(der, reason))
        .await;
    match answer.status {
        200 => {
            assert!(answer.body.is_empty(), "{}", answer.text());
            "200".to_owned()
        }
        status => format!("{status} {}", answer.problem()),
    }
}

/// A world whose CRLs rest for no time.
pub(crate) async fn world() -> World {
    World::with_parts(
        |_| {},
        |parts| {
            parts.timing.crl = Duration::from_millis(50);
            parts.timing.crl_rest = Duration::ZERO;
        },
    )
    .await
}

/// The reason of the serial's entry on the published CRL; none if it is not there.
pub(crate) fn listed(world: &World, serial: &str) -> Option<Option<u8>> {
    let ca = world.ca();
    let files = ca.crls.list();
    let (_, file) = files
        .iter()
        .find(|(path, _)| path.ends_with("/0.crl"))
        .unwrap();
    issued::keep_crl(&file.body);
    let crl = Crl::parse(&file.body).unwrap();
    crl.verify_issued_by(&ca.issuance.issuers().first().certificate)
        .unwrap();
    let serial: Serial = serial.parse().unwrap();
    let mut entries = crl.entries().iter();
    let entry = entries.find(|e| e.serial == serial.as_bytes())?;
    assert!(entry.revoked_at <= crl.this_update());
    Some(entry.reason)
}

pub(crate) async fn until_listed(world: &World, serial: &str, reason: Option<u8>) {
    until("the CRL shows it", async || {
        listed(world, serial) == Some(reason)
    })
    .await;
}

/// Obtains a certificate for the key of `holder`, which can then sign by it.
async fn obtain_for(client: &Client, names: &[&str], world: &World, holder: &Client) -> Vec<u8> {
    let (url, order) = ready(world, client, names).await;
    let csr = csr_for(&holder.key, names);
    client.finalize(&order, &csr).await.expect(200);
    let order = client.poll(&url, &["processing"]).await;
    assert_eq!(order["status"], "valid", "{order}");
    let url = order["certificate"].as_str().unwrap();
    let chain = client.fetch(url).await.expect(200).text();
    issued::keep_chain(&chain);
    leaf(&chain)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_account_revokes_for_each_reason_that_an_account_may_give() {
    // 8555-7.6-1 8555-7.6-3 8555-7.6-4 T-CA-107 5280-5-1
    let world = world().await;
    let owner = world.subscriber().await;
    assert_eq!(
        owner.url("revokeCert"),
        format!("{}/acme/revoke-cert", world.url)
    );
    for (reason, entry) in [
        (None, None),
        (Some(0), None),
        (Some(1), Some(1)),
        (Some(3), Some(3)),
        (Some(4), Some(4)),
        (Some(5), Some(5)),
    ] {
        let name = format!("r{}.test", reason.unwrap_or(9));
        let got = owner.obtain(&[&name], &world.web).await;
        let der = leaf(&got.chain);
        for refused in [2, 6, 7, 8, 9, 10, -1] {
            assert_eq!(
                revoke(&owner, &der, Some(refused)).await,
                "400 badRevocationReason",
                "{refused}"
            );
        }
        assert_eq!(listed(&world, &serial(&got)), None);
        assert_eq!(revoke(&owner, &der, reason).await, "200");
        assert_eq!(revoke(&owner, &der, reason).await, "400 alreadyRevoked");
        until_listed(&world, &serial(&got), entry).await;
    }
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_revokes_without_the_account_the_key_or_all_the_names() {
    // 8555-7.6-2 8555-7.6-3 8555-6.2-5 T-CA-04 T-CA-106 T-CA-31 T-CA-115
    let world = world().await;
    let owner = world.subscriber().await;
    let mut stranger = owner.with_key(Key::es256());
    stranger.new_account().await.expect(201);
    let got = owner
        .obtain(&["kept.test", "www.kept.test"], &world.web)
        .await;
    let der = leaf(&got.chain);
    assert_eq!(revoke(&stranger, &der, None).await, "403 unauthorized");
    // With one of the two names it is still a stranger's.
    stranger.obtain(&["kept.test"], &world.web).await;
    let refused = stranger
        .post(&stranger.url("revokeCert"), &payload(&der, None))
        .await
        .expect(403);
    assert_eq!(refused.problem(), "unauthorized");
    assert!(
        refused.text().contains("www.kept.test"),
        "{}",
        refused.text()
    );
    // A key that is nobody's; the account's own key without its account.
    let nobody = owner.with_key(Key::es256());
    assert_eq!(revoke(&nobody, &der, Some(1)).await, "403 unauthorized");
    let mut as_jwk = owner.clone();
    as_jwk.kid = None;
    assert_eq!(revoke(&as_jwk, &der, None).await, "403 unauthorized");
    let stored = world
        .ca()
        .store
        .certificate(serial(&got).parse().unwrap())
        .await;
    assert_eq!(stored.unwrap().unwrap().revocation, None);
    // Nor did their tries become events of the owner's order or account: strangers could fill that history.
    let order = AuditSubject::Order(id::<OrderId>(&got.order));
    let rows = world.ca().store.audit(order, 1000).await;
    let rows = rows.unwrap();
    assert!(!rows.is_empty());
    assert!(
        rows.iter().all(|row| !row.event.contains("revo")),
        "{rows:?}"
    );
    // However many there are, few are written down.
    let mut refused = 0;
    for _ in 0..30 {
        let nobody = owner.with_key(Key::es256());
        refused += usize::from(revoke(&nobody, &der, None).await == "403 unauthorized");
    }
    assert_eq!(refused, 30);
    let rows = world.ca().store.audit(AuditSubject::Latest, 1000).await;
    let told = rows.unwrap().into_iter();
    let told = told.filter(|row| row.event == "revocation-refused" && row.account.is_none());
    assert!((1..=20).contains(&told.count()), "not within the bound");
    // With both names it may, and what it says of the key is no proof.
    stranger.obtain(&["www.kept.test"], &world.web).await;
    assert_eq!(revoke(&stranger, &der, Some(1)).await, "200");
    until_listed(&world, &serial(&got), Some(5)).await;
    // A deactivated account may not; the key of its certificate still may.
    let holder = owner.with_key(Key::es256());
    let held = obtain_for(&stranger, &["held.test"], &world, &holder).await;
    let kid = stranger.kid.clone().unwrap();
    let deactivation = json!({ "status": "deactivated" });
    stranger.post(&kid, &deactivation).await.expect(200);
    assert_eq!(revoke(&stranger, &held, None).await, "401 unauthorized");
    assert_eq!(revoke(&holder, &held, None).await, "200");
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_shown_compromised_is_blocked_for_certificates_and_accounts() {
    // 8555-7.6-3 8555-7.6-6 T-CA-39 T-CA-106
    let world = world().await;
    let owner = world.subscriber().await;
    let mut holder = owner.with_key(Key::es256());
    let first = obtain_for(&owner, &["one.test"], &world, &holder).await;
    let second = obtain_for(&owner, &["two.test"], &world, &holder).await;
    // The account's word revokes, and does not block: the key is good for another certificate.
    assert_eq!(revoke(&owner, &first, Some(1)).await, "200");
    obtain_for(&owner, &["three.test"], &world, &holder).await;
    // The key's own word does, also for one that was revoked for another reason before.
    assert_eq!(revoke(&owner, &second, Some(4)).await, "200");
    assert_eq!(
        revoke(&holder, &second, Some(4)).await,
        "400 alreadyRevoked"
    );
    assert_eq!(revoke(&holder, &second, Some(1)).await, "200");
    assert_eq!(
        revoke(&holder, &second, Some(1)).await,
        "400 alreadyRevoked"
    );
    let parsed = cairn_x509::certificate::Certificate::parse(&second).unwrap();
    let number = parsed.cairn_serial().unwrap().to_string();
    until_listed(&world, &number, Some(1)).await;
    let placed = ready(&world, &owner, &["four.test"]).await;
    let csr = csr_for(&holder.key, &["four.test"]);
    let refused = owner.finalize(&placed.1, &csr).await.expect(400);
    assert_eq!(refused.problem(), "badCSR");
    let refused = holder.new_account().await.expect(400);
    assert_eq!(refused.problem(), "badPublicKey");
    // The order stays ready for another key.
    let ended = finish(&owner, &placed, &["four.test"]).await;
    assert_eq!(ended["status"], "valid");
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_not_ours_to_the_octet_is_not_found() {
    // 8555-7.6-5 8555-6.3-4 T-CA-106
    let (world, other) = (world().await, world().await);
    let owner = world.subscriber().await;
    let got = owner.obtain(&["octet.test"], &world.web).await;
    let ours = leaf(&got.chain);
    let stranger = other.subscriber().await;
    let theirs = leaf(&stranger.obtain(&["octet.test"], &other.web).await.chain);
    let mut other_signature = ours.clone();
    *other_signature.last_mut().unwrap() ^= 1;
    let issuing = world.ca().issuance.issuers().first().der.clone();
    let url = owner.url("revokeCert");
    let mut wrong = Vec::new();
    for (label, der, want) in [
        ("another CA's", theirs, "404 malformed"),
        ("another signature", other_signature, "404 malformed"),
        ("the issuing certificate", issuing, "404 malformed"),
        ("no certificate", b"x".to_vec(), "400 malformed"),
        ("cut off", ours[..ours.len() - 1].to_vec(), "400 malformed"),
        ("an octet more", [&ours[..], &[0]].concat(), "400 malformed"),
    ] {
        let got = revoke(&owner, &der, None).await;
        if got != want {
            wrong.push(format!("{label}: {got}"));
        }
    }
    let encoded = encode(&ours);
    for (label, payload) in [
        ("PEM", json!({ "certificate": got.chain })),
        ("padded", json!({ "certificate": format!("{encoded}=") })),
        ("no certificate", json!({ "reason": 1 })),
        (
            "a text as reason",
            json!({ "certificate": encoded, "reason": "1" }),
        ),
        (
            "half a reason",
            json!({ "certificate": encoded, "reason": 1.5 }),
        ),
        (
            "a huge reason",
            json!({ "certificate": encoded, "reason": 1e300 }),
        ),
    ] {
        let answer = owner.post(&url, &payload).await;
        if (answer.status, answer.problem().as_str()) != (400, "malformed") {
            wrong.push(format!("{label}: {} {}", answer.status, answer.text()));
        }
    }
    let empty = owner.fetch(&url).await;
    if (empty.status, empty.problem().as_str()) != (400, "malformed") {
        wrong.push(format!("POST-as-GET: {}", empty.text()));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(revoke(&owner, &ours, None).await, "200");
    world.shutdown().await;
    other.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_revocations_of_one_certificate_are_one_entry() {
    // T-CA-106 8555-7.6-3
    let world = world().await;
    let owner = world.subscriber().await;
    let got = owner.obtain(&["race.test"], &world.web).await;
    let der = leaf(&got.chain);
    let asked: Vec<_> = (0..50)
        .map(|_| {
            let (owner, der) = (owner.clone(), der.clone());
            tokio::spawn(async move { revoke(&owner, &der, Some(4)).await })
        })
        .collect();
    let mut answers = Vec::new();
    for asked in asked {
        answers.push(asked.await.unwrap());
    }
    let count = |want: &str| answers.iter().filter(|a| *a == want).count();
    assert_eq!(
        (count("200"), count("400 alreadyRevoked")),
        (1, 49),
        "{answers:?}"
    );
    until_listed(&world, &serial(&got), Some(4)).await;
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_cannot_be_written_keeps_the_old_and_says_so() {
    // T-CA-104 T-CA-103 T-CA-107
    let broken = Arc::new(AtomicBool::new(false));
    let hook = Arc::clone(&broken);
    let world = World::with_parts(
        |_| {},
        |parts| {
            parts.timing.crl = Duration::from_millis(50);
            parts.timing.crl_rest = Duration::ZERO;
            parts.faults = Some(Arc::new(move |point, name| {
                let strikes = name == "put_crl" && point == FaultPoint::BeforeRun;
                (strikes && hook.load(Ordering::SeqCst)).then_some(InjectedFault::Busy)
            }));
        },
    )
    .await;
    let owner = world.subscriber().await;
    let got = owner.obtain(&["stale.test"], &world.web).await;
    let ca = world.ca();
    let before = ca.store.crls().await.unwrap().remove(0);
    broken.store(true, Ordering::SeqCst);
    assert_eq!(revoke(&owner, &leaf(&got.chain), None).await, "200");
    let published = CrlPublisher::publish_now(ca).await;
    assert!(published.iter().any(|p| p.number.is_err()), "{published:?}");
    assert_eq!(listed(&world, &serial(&got)), None, "the old one stays");
    let after = ca.store.crls().await.unwrap().remove(0);
    assert_eq!(after.number, before.number);
    let failures = "cairn_crl_failures_total 0\n";
    assert!(!ca.metrics.text().contains(failures));
    // Within a minute it may pass; then the node says so, days before the old one ends.
    let in_a_minute = ca.clock.monotonic() + Duration::from_secs(61);
    let overdue = ca.publisher.overdue(in_a_minute);
    assert_eq!(overdue.len(), 1, "{overdue:?}");
    broken.store(false, Ordering::SeqCst);
    until_listed(&world, &serial(&got), None).await;
    let later = ca.clock.monotonic() + Duration::from_secs(3600);
    until("nothing is overdue", async || {
        ca.publisher.overdue(later).is_empty()
    })
    .await;
    assert!(Readiness::of(ca, ca.clock.wall()).is_ready());
    let now = ca.store.crls().await.unwrap().remove(0);
    assert!(now.number > before.number);
    world.shutdown().await;
}
