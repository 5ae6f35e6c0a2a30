//! The clock that a test moves, and what follows it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use cairn_acme::{renewal::CertId, time::Timestamp};
use cairn_ca::{
    clock::{Clock, SteadyClock, SystemClock},
    dev::MovableClock,
    node::readiness,
    publication::Media,
};
use cairn_x509::{certificate::Certificate, crl::Crl};
use serde_json::Value;

use crate::site::{Site, finalize, first};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const PATIENCE: Duration = Duration::from_secs(30);

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

/// The newest list.
fn crl(site: &Site) -> Crl {
    let files = site.node().crls.list();
    let file = files.iter().find(|(_, file)| file.media == Media::Crl);
    Crl::parse(&file.unwrap().1.body).unwrap()
}

#[test]
fn time_that_was_let_pass_is_no_clock_that_steps_at_whatever_moment_it_is_read() {
    let clock = Arc::new(MovableClock::default());
    let steady = SteadyClock::new(Arc::<MovableClock>::clone(&clock));
    let (done, reader) = (AtomicBool::new(false), SystemClock::default());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..2000 {
                clock.advance(DAY);
                std::thread::yield_now();
            }
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            let now = steady.moment();
            assert_eq!(now.claimed, now.wall, "a step is seen");
        }
    });
    assert_eq!(clock.ahead(), 2000 * DAY);
    let ahead = steady.wall().since(reader.wall());
    assert!(ahead > 2000 * DAY - HOUR && ahead < 2000 * DAY + HOUR);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_clock_moves_everything_follows_it_and_signing_goes_on() {
    let site = Site::start().await;
    let client = site.subscriber().await;
    let clock = site.ca.doors().clock();
    let got = client.obtain(&["a.moved.test"], &site.web).await;
    let leaf = Certificate::parse(&got.leaf()).unwrap();
    let issuer = &site.node().issuance.issuer().certificate;
    let name = CertId::new(issuer.key_id(), leaf.serial()).unwrap();
    let ari = format!("{}/{name}", client.url("renewalInfo"));
    let window = client.plain("GET", &ari).await.expect(200).json()["suggestedWindow"].clone();
    assert!(time(&window["start"]) > site.node().clock.wall());
    let (open_url, open) = site.ready(&client, "b.moved.test").await;
    let nonce = client.nonce().await;
    let old = crl(&site);

    clock.advance(31 * DAY);

    // Orders and authorizations end.
    let seen = client.fetch(&open_url).await.expect(200).json();
    assert_eq!(seen["status"], "invalid", "{seen}");
    let seen = client.fetch(&first(&open)).await.expect(200).json();
    assert_eq!(seen["status"], "expired", "{seen}");
    let refused = finalize(&client, &open, "b.moved.test").await.expect(403);
    assert_eq!(refused.problem(), "orderNotReady");
    // Nonces age.
    let mut draft = client
        .draft(&client.url("newOrder"), &serde_json::json!({}))
        .await;
    draft.protected.insert("nonce".to_owned(), nonce.into());
    let refused = client.send(&draft).await.expect(400);
    assert_eq!(refused.problem(), "badNonce");
    assert!(
        refused.text().contains("older than an hour"),
        "{}",
        refused.text()
    );
    // Rows go at their age; the window is where it was, and now is behind it.
    clock.advance(39 * DAY);
    let swept = tokio::time::timeout(PATIENCE, async {
        while client.fetch(&open_url).await.status != 404 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    swept.await.expect("the order is forgotten");
    let same = client.plain("GET", &ari).await.expect(200).json()["suggestedWindow"].clone();
    assert_eq!(same, window);
    assert!(time(&window["end"]) < site.node().clock.wall());
    // Lists are made anew, with higher numbers and today's dates.
    let renewed = tokio::time::timeout(PATIENCE, async {
        while crl(&site).this_update() < old.this_update() + 69 * 86_400 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    renewed.await.expect("a new list");
    assert!(crl(&site).number() > old.number());
    // Certificates are of the new day, and are signed: no clock seems to lie.
    let new = client.obtain(&["b.moved.test"], &site.web).await;
    let new = Certificate::parse(&new.leaf()).unwrap();
    let moved = new.not_before() - leaf.not_before();
    assert!((69 * 86_400..72 * 86_400).contains(&moved), "{moved}");
    assert!(site.node().issuance.clock_fault(site.node()).is_none());
    // The server says that it is well, and its listener's certificate is still of the machine's day.
    let well = tokio::time::timeout(PATIENCE, async {
        while !readiness(site.node()).is_ready() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    well.await.expect("readiness");
    site.subscriber().await;
    site.ca.shutdown().await;
}
