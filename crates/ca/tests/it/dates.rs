//! Dates at their bounds, from newOrder to the certificate, with a clock that tests move.

use std::{sync::Arc, time::Duration};

use cairn_acme::time::Timestamp;
use cairn_ca::{
    clock::{Clock, SystemClock, TestClock},
    config::{Config, Span},
};
use cairn_testkit::acme::{Client, csr};
use cairn_x509::certificate::Certificate;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};

use crate::{
    steps::{finish, list},
    world::World,
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const LIFE: Duration = Duration::from_secs(90 * 86_400);

async fn world(change: impl FnOnce(&mut Config)) -> (World, Arc<TestClock>) {
    let now = SystemClock::default().wall().as_seconds() + 1;
    let clock = Arc::new(TestClock::at(Timestamp::from_seconds(now)));
    let world = World::with_parts(change, |parts| {
        parts.clock = Arc::<TestClock>::clone(&clock);
    })
    .await;
    (world, clock)
}

/// An order with those dates whose authorization is valid: its URL and the object.
async fn ready(world: &World, client: &Client, name: &str, dates: Value) -> (String, Value) {
    let mut wanted = json!({ "identifiers": [{ "type": "dns", "value": name }] });
    wanted
        .as_object_mut()
        .unwrap()
        .extend(dates.as_object().unwrap().clone());
    let placed = client
        .post(&client.url("newOrder"), &wanted)
        .await
        .expect(201);
    let authorization = list(&placed.json()["authorizations"]).remove(0);
    if let Some(answer) = client.answer(&authorization, &world.web).await {
        answer.expect(200);
    }
    let order = client.poll(&placed.location(), &["pending"]).await;
    assert_eq!(order["status"], "ready", "{name}: {order}");
    (placed.location(), order)
}

async fn leaf(client: &Client, ended: &Value) -> Certificate {
    let chain = client
        .fetch(ended["certificate"].as_str().unwrap())
        .await
        .expect(200);
    Certificate::parse(&CertificateDer::from_pem_slice(&chain.body).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_new_order_takes_is_an_end_that_finalize_gives() {
    // T-CA-48
    // 8555-7.4-2
    let (world, clock) = world(|_| {}).await;
    let client = world.subscriber().await;
    for (name, before) in [("last", 1), ("near", 10), ("at", 61), ("far", 62)] {
        let end = clock.wall().plus(LIFE).minus(before * SECOND);
        let name = format!("{name}.dates.test");
        let order = ready(
            &world,
            &client,
            &name,
            json!({ "notAfter": end.to_string() }),
        )
        .await;
        // Time goes on between the two.
        clock.advance(SECOND);
        let ended = finish(&client, &order, &[&name]).await;
        assert_eq!(ended["status"], "valid", "{name}: {ended}");
        let leaf = leaf(&client, &ended).await;
        assert_eq!(leaf.not_after(), end.as_seconds(), "{name}");
        assert!(leaf.not_before() <= clock.wall().as_seconds(), "{name}");
    }
    let too_late = clock.wall().plus(LIFE).to_string();
    let refused = client
        .post(
            &client.url("newOrder"),
            &json!({
                "identifiers": [{ "type": "dns", "value": "late.dates.test" }],
                "notAfter": too_late,
            }),
        )
        .await
        .expect(400);
    assert_eq!(refused.problem(), "malformed");
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_finalize_gets_no_certificate_that_ended_or_vouches_for_a_distant_past() {
    // T-CA-48
    // T-CA-96
    let (world, clock) = world(|_| {}).await;
    let client = world.subscriber().await;
    let now = clock.wall();
    let end = json!({ "notAfter": now.plus(HOUR).to_string() });
    let start = json!({ "notBefore": now.to_string() });
    let ends_in_time = ready(&world, &client, "a.dates.test", end.clone()).await;
    let ends_late = ready(&world, &client, "b.dates.test", end).await;
    let starts_in_time = ready(&world, &client, "c.dates.test", start.clone()).await;
    let starts_late = ready(&world, &client, "d.dates.test", start).await;
    let refused = async |(url, order): &(String, Value), name: &str| {
        let refused = client.finalize(order, &csr(&[name]).0).await.expect(403);
        assert_eq!(refused.problem(), "orderNotReady", "{name}");
        assert_eq!(client.fetch(url).await.json()["status"], "invalid");
    };
    clock.advance(HOUR - SECOND);
    let ended = finish(&client, &ends_in_time, &["a.dates.test"]).await;
    assert_eq!(ended["status"], "valid", "{ended}");
    clock.advance(SECOND);
    refused(&ends_late, "b.dates.test").await;
    let ended = finish(&client, &starts_in_time, &["c.dates.test"]).await;
    assert_eq!(ended["status"], "valid", "{ended}");
    assert_eq!(leaf(&client, &ended).await.not_before(), now.as_seconds());
    clock.advance(SECOND);
    refused(&starts_late, "d.dates.test").await;
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backdate_that_reaches_behind_the_issuer_gives_way_to_it() {
    // The listener's own certificate is the first that needs it: the start alone shows much.
    let (world, _clock) = world(|config| {
        config.profile.default.backdate = Span::from_secs(2 * 3600);
    })
    .await;
    let client = world.subscriber().await;
    let issuer = world
        .ca()
        .issuance
        .issuers()
        .first()
        .certificate
        .not_before();
    let got = client.obtain(&["a.dates.test"], &world.web).await;
    let leaf =
        Certificate::parse(&CertificateDer::from_pem_slice(got.chain.as_bytes()).unwrap()).unwrap();
    assert_eq!(leaf.not_before(), issuer);
    world.shutdown().await;
}
