//! Time that passes and time that lies: boundaries to the second, dates that are asked for, schedules, a wall clock that
//! steps.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use cairn_acme::time::Timestamp;
use cairn_ca::{
    clock::{Clock, SystemClock, TestClock},
    config::{Config, Span},
    id::{AuthorizationId, IssuerId},
    issuance::CrlPublisher,
    node::{NodeParts, readiness},
    operator::client,
    publication::crl_path,
    store::{FaultPoint, InjectedFault, PutCrl, ReserveCrlNumber, restore},
};
use cairn_testkit::{
    acme::{Client, csr, encode},
    http::{CHALLENGES, Reply},
};
use cairn_x509::{certificate::Certificate, crl::Crl};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    time_provider::TimeProvider,
};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{
    signing::Scripted,
    steps::{challenge, finish, id, list, ready, until},
    world::{FORKS, World},
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// A world whose time stands still, and its clock.
struct Stopped {
    world: World,
    clock: Arc<TestClock>,
    /// Of the listener, valid at all times: the client keeps the machine's time.
    certificate: String,
    /// Where its files are.
    files: Option<tempfile::TempDir>,
}

fn clock() -> Arc<TestClock> {
    let now = SystemClock::default().wall().as_seconds() + 1;
    Arc::new(TestClock::at(Timestamp::from_seconds(now)))
}

/// Short enough to wait for.
fn hasty(parts: &mut NodeParts) {
    parts.timing.crl = Duration::from_millis(20);
    parts.timing.own_certificate = Duration::from_millis(20);
    parts.timing.housekeeping = Duration::from_millis(50);
}

impl Stopped {
    async fn with(change: impl FnOnce(&mut Config), adjust: impl FnOnce(&mut NodeParts)) -> Self {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
        let files = tempfile::tempdir().unwrap();
        let (cert_file, key_file) = (files.path().join("cert.pem"), files.path().join("key.pem"));
        std::fs::write(&cert_file, &certificate).unwrap();
        std::fs::write(&key_file, key).unwrap();
        let clock = clock();
        let world = World::with_parts(
            |config| {
                config.tls.certificate = Some(cert_file);
                config.tls.key = Some(key_file);
                change(config);
            },
            |parts| {
                parts.clock = Arc::<TestClock>::clone(&clock);
                hasty(parts);
                adjust(parts);
            },
        )
        .await;
        Self {
            world,
            clock,
            certificate,
            files: Some(files),
        }
    }

    async fn subscriber(&self) -> Client {
        let directory = format!("{}/directory", self.world.url);
        let mut client = Client::connect(&directory, &self.certificate).await;
        client.new_account().await.expect(201);
        client
    }

    fn now(&self) -> Timestamp {
        self.clock.wall()
    }
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_can_be_finalized_until_the_second_before_it_or_an_authorization_expires() {
    // T-CA-42 8555-7.4-12
    let stopped = Stopped::with(
        |config| {
            config.orders.life = Span::from_secs(10 * 3600);
            config.orders.pending_authorization_life = Span::from_secs(10 * 3600);
        },
        |_| {},
    )
    .await;
    let (world, clock) = (&stopped.world, &stopped.clock);
    let client = stopped.subscriber().await;

    let names = ["pending.clock.test"];
    let pending = client.new_order(&names).await.expect(201);
    let refused = client
        .finalize(&pending.json(), &csr(&names).0)
        .await
        .expect(403);
    assert_eq!(refused.problem(), "orderNotReady");
    let authorization = list(&pending.json()["authorizations"]).remove(0);
    client
        .post(&authorization, &json!({ "status": "deactivated" }))
        .await
        .expect(200);
    let refused = client
        .finalize(&pending.json(), &csr(&names).0)
        .await
        .expect(403);
    assert_eq!(refused.problem(), "orderNotReady", "invalid");

    let (early, late) = (["early.clock.test"], ["late.clock.test"]);
    let first = ready(world, &client, &early).await;
    let second = ready(world, &client, &late).await;
    let expires = time(&first.1["expires"]);
    assert_eq!(expires, time(&second.1["expires"]));
    clock.advance(expires.since(stopped.now()) - SECOND);
    assert_eq!(finish(&client, &first, &early).await["status"], "valid");
    clock.advance(2 * SECOND);
    let refused = client.finalize(&second.1, &csr(&late).0).await.expect(403);
    assert_eq!(refused.problem(), "orderNotReady");
    // F-96
    let says = format!(
        "expired at {}, and now it is {}. Place a new one",
        second.1["expires"].as_str().unwrap(),
        stopped.now()
    );
    assert!(refused.text().contains(&says), "{}", refused.text());
    assert_eq!(
        client.fetch(&second.0).await.expect(200).json()["status"],
        "invalid"
    );

    // The same with authorizations that end before their order.
    let snapshot = world.ca().snapshot.load_full();
    let mut config = snapshot.config.clone();
    config.orders.authorization_life = Span::from_secs(3600);
    world
        .node
        .reload(config, snapshot.blocked.clone())
        .await
        .unwrap();
    let (early, late) = (["early.short.test"], ["late.short.test"]);
    let first = ready(world, &client, &early).await;
    let second = ready(world, &client, &late).await;
    let authorization = list(&second.1["authorizations"]).remove(0);
    let expires = time(&client.fetch(&authorization).await.expect(200).json()["expires"]);
    assert!(expires < time(&second.1["expires"]));
    clock.advance(expires.since(stopped.now()) - SECOND);
    assert_eq!(finish(&client, &first, &early).await["status"], "valid");
    clock.advance(2 * SECOND);
    let refused = client.finalize(&second.1, &csr(&late).0).await.expect(403);
    assert_eq!(refused.problem(), "orderNotReady");
    assert_eq!(
        client.fetch(&authorization).await.expect(200).json()["status"],
        "expired"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authorizations_age_counts_from_its_validation() {
    // T-CA-46
    let stopped = Stopped::with(
        |config| {
            config.orders.life = Span::from_secs(3600);
            config.orders.authorization_life = Span::from_secs(7200);
        },
        |_| {},
    )
    .await;
    let (world, clock) = (&stopped.world, &stopped.clock);
    let client = stopped.subscriber().await;
    let names = ["age.clock.test"];
    let first = ready(world, &client, &names).await;
    finish(&client, &first, &names).await;
    // Used again and again, its end stays where it was.
    for _ in 0..2 {
        clock.advance(HOUR / 2);
        let again = client.new_order(&names).await.expect(201).json();
        assert_eq!(again["status"], "ready");
        assert_eq!(again["authorizations"], first.1["authorizations"]);
        let object = client
            .fetch(&list(&again["authorizations"])[0])
            .await
            .expect(200)
            .json();
        assert_eq!(
            time(&object["expires"]),
            stopped
                .now()
                .plus(2 * HOUR)
                .minus(clock_passed(&stopped, &object))
        );
        let order = (client.new_order(&names).await.location(), again);
        finish(&client, &order, &names).await;
    }
    clock.advance(HOUR + SECOND);
    let anew = client.new_order(&names).await.expect(201).json();
    assert_eq!(anew["status"], "pending");
    assert_ne!(anew["authorizations"], first.1["authorizations"]);
}

/// How long ago the authorization's challenge was validated.
fn clock_passed(stopped: &Stopped, authorization: &Value) -> Duration {
    stopped
        .now()
        .since(time(&authorization["challenges"][0]["validated"]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dates_that_are_asked_for_are_honoured_exactly_or_refused() {
    // T-CA-48 8555-7.4-2
    let stopped = Stopped::with(|_| {}, |_| {}).await;
    let (world, now) = (&stopped.world, stopped.now());
    let client = stopped.subscriber().await;
    let at = |offset: i64| Timestamp::from_seconds(now.as_seconds() + offset).to_string();
    let date = |text: &str| text.trim_end_matches('Z').to_owned();
    let refused = [
        (
            "notBefore in the year 9999",
            json!({ "notBefore": "9999-12-31T23:59:59Z" }),
        ),
        (
            "notAfter in the year 9999",
            json!({ "notAfter": "9999-12-31T23:59:59Z" }),
        ),
        (
            "notBefore an hour and a second ago",
            json!({ "notBefore": at(-3601) }),
        ),
        (
            "notAfter before notBefore",
            json!({ "notBefore": at(7200), "notAfter": at(3600) }),
        ),
        (
            "notAfter is notBefore",
            json!({ "notBefore": at(7200), "notAfter": at(7200) }),
        ),
        ("notAfter has passed", json!({ "notAfter": at(-1) })),
        (
            "longer than the profile",
            json!({ "notBefore": at(0), "notAfter": at(90 * 86_400) }),
        ),
        ("no time zone", json!({ "notAfter": date(&at(3600)) })),
        (
            "a leap second",
            json!({ "notAfter": "2027-06-30T23:59:60Z" }),
        ),
        (
            "parts of a second",
            json!({ "notAfter": format!("{}.5Z", date(&at(3600))) }),
        ),
        ("no date", json!({ "notAfter": "2027-02-30T00:00:00Z" })),
        ("a number", json!({ "notAfter": now.as_seconds() + 3600 })),
    ];
    let mut wrong = Vec::new();
    for (name, dates) in refused {
        let mut wanted = json!({ "identifiers": [{ "type": "dns", "value": "dates.clock.test" }] });
        wanted
            .as_object_mut()
            .unwrap()
            .extend(dates.as_object().unwrap().clone());
        let answer = client.post(&client.url("newOrder"), &wanted).await;
        if (answer.status, answer.problem().as_str()) != (400, "malformed") {
            wrong.push(format!("{name}: {} {}", answer.status, answer.text()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");

    let honoured: [(&str, Option<i64>, Option<i64>); 4] = [
        ("both", Some(86_400), Some(2 * 86_400)),
        ("start", Some(-3600), None),
        ("end", None, Some(3600)),
        ("longest", Some(0), Some(90 * 86_400 - 1)),
    ];
    for (label, start, end) in honoured {
        let name = format!("{label}.clock.test");
        let mut wanted = json!({ "identifiers": [{ "type": "dns", "value": name }] });
        for (member, offset) in [("notBefore", start), ("notAfter", end)] {
            if let Some(offset) = offset {
                wanted[member] = json!(at(offset));
            }
        }
        let placed = client
            .post(&client.url("newOrder"), &wanted)
            .await
            .expect(201);
        for member in ["notBefore", "notAfter"] {
            assert_eq!(placed.json().get(member), wanted.get(member), "{label}");
        }
        let authorization = list(&placed.json()["authorizations"]).remove(0);
        client
            .answer(&authorization, &world.web)
            .await
            .unwrap()
            .expect(200);
        let order = client.poll(&placed.location(), &["pending"]).await;
        let ended = finish(&client, &(placed.location(), order), &[&name]).await;
        let chain = client
            .fetch(ended["certificate"].as_str().unwrap())
            .await
            .expect(200);
        let leaf =
            Certificate::parse(&CertificateDer::from_pem_slice(&chain.body).unwrap()).unwrap();
        // What was not asked for is the profile's: a minute back, ninety days, both ends counted.
        let not_before = start.unwrap_or(-60);
        let not_after = end.unwrap_or(not_before + 90 * 86_400 - 1);
        let found = (
            leaf.not_before() - now.as_seconds(),
            leaf.not_after() - now.as_seconds(),
        );
        assert_eq!(found, (not_before, not_after), "{label}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_signed_while_the_wall_clock_lies_and_everything_after() {
    // T-CA-96 T-CA-46
    let mut signer = None;
    let stopped = Stopped::with(|_| {}, |parts| signer = Some(Scripted::before(parts))).await;
    let (world, clock, signer) = (&stopped.world, &stopped.clock, signer.unwrap());
    signer.watch(world);
    let client = stopped.subscriber().await;
    let before_issuer = world
        .ca()
        .issuance
        .issuers()
        .first()
        .certificate
        .not_before()
        - 3600;
    let lies = [
        ("back", stopped.now().minus(DAY)),
        ("ahead", stopped.now().plus(365 * DAY)),
        ("beforeissuer", Timestamp::from_seconds(before_issuer)),
    ];
    for (n, (label, lie)) in lies.into_iter().enumerate() {
        let names = [format!("{label}.clock.test")];
        let names = [names[0].as_str()];
        let (held, truth) = (ready(world, &client, &names).await, stopped.now());
        clock.step_wall(lie);
        let refused = client.finalize(&held.1, &csr(&names).0).await.expect(503);
        assert_eq!(refused.problem(), "serverInternal", "{label}");
        assert!(refused.header("retry-after").is_some(), "{label}");
        assert_eq!(signer.calls().len(), n, "{label}: signed");
        let faults = readiness(world.ca());
        assert!(
            faults.faults().iter().any(|f| f.part == "clock"),
            "{label}: {faults:?}"
        );
        // The rest goes on, and nothing that it writes is dated by the lie.
        let during = format!("during-{label}.clock.test");
        let placed = ready(world, &client, &[&during]).await;
        let authorization = client
            .fetch(&list(&placed.1["authorizations"])[0])
            .await
            .expect(200)
            .json();
        let most = Duration::from_secs(30 * 86_400);
        for (what, expires) in [
            ("order", &placed.1["expires"]),
            ("authorization", &authorization["expires"]),
        ] {
            let left = time(expires).since(truth);
            assert!(
                left > HOUR && left <= most + HOUR,
                "{label}: {what} ends {expires}"
            );
        }
        assert_eq!(
            client.fetch(&held.0).await.expect(200).json()["status"],
            "ready",
            "{label}"
        );
        client
            .post(
                &client.kid.clone().unwrap(),
                &json!({ "contact": [format!("mailto:{label}@clock.test")] }),
            )
            .await
            .expect(200);

        clock.step_wall(truth);
        assert_eq!(
            finish(&client, &held, &names).await["status"],
            "valid",
            "{label}"
        );
        assert!(readiness(world.ca()).is_ready(), "{label}");
    }

    // Started under a clock that is behind what the store holds.
    let truth = stopped.now();
    let behind = Arc::new(TestClock::at(truth.minus(DAY)));
    let started = Arc::<TestClock>::clone(&behind);
    let Stopped {
        world,
        certificate,
        files,
        ..
    } = stopped;
    let mut signer = None;
    let world = world
        .restarted(|parts| {
            parts.clock = started;
            signer = Some(Scripted::before(parts));
        })
        .await;
    let signer = signer.unwrap();
    signer.watch(&world);
    let names = ["restarted.clock.test"];
    let stopped = Stopped {
        world,
        clock: behind,
        certificate,
        files,
    };
    let client = stopped.subscriber().await;
    let order = ready(&stopped.world, &client, &names).await;
    client.finalize(&order.1, &csr(&names).0).await.expect(503);
    assert_eq!(signer.calls().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validation_that_ends_after_its_authorization_expired_changes_nothing() {
    // T-CA-43
    let stopped = Stopped::with(
        |config| config.orders.pending_authorization_life = Span::from_secs(3600),
        |_| {},
    )
    .await;
    let (world, clock) = (&stopped.world, &stopped.clock);
    let client = stopped.subscriber().await;
    let name = "expired.clock.test";
    let placed = client.new_order(&[name]).await.expect(201);
    let authorization = list(&placed.json()["authorizations"]).remove(0);
    let (url, token) = challenge(&client, &authorization).await;
    let target = format!("{CHALLENGES}{token}");
    let answer = Reply::Body(client.key.authorization(&token).into_bytes());
    world.web.on_host(
        name,
        &target,
        Reply::Delay(Duration::from_secs(3), Box::new(answer)),
    );
    let posted = tokio::spawn({
        let client = client.clone();
        async move { client.post(&url, &json!({})).await }
    });
    until("the responder is asked", async || {
        world.web.log().iter().any(|r| r.target == target)
    })
    .await;
    clock.advance(HOUR + SECOND);
    posted.await.unwrap();
    let running = id::<AuthorizationId>(&authorization);
    until("the validation has ended", async || {
        !world.ca().validation.is_running(running)
    })
    .await;
    assert_eq!(
        client.fetch(&authorization).await.expect(200).json()["status"],
        "expired"
    );
    assert_eq!(
        client.fetch(&placed.location()).await.expect(200).json()["status"],
        "invalid"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_keeps_the_profile_that_it_was_placed_under() {
    // T-CA-99
    let stopped = Stopped::with(|_| {}, |_| {}).await;
    let world = &stopped.world;
    let client = stopped.subscriber().await;
    let before = ready(world, &client, &["before.clock.test"]).await;
    let snapshot = world.ca().snapshot.load_full();
    let mut config = snapshot.config.clone();
    config.profile.default.life = Span::from_days(10);
    config.profile.default.client_auth = true;
    world
        .node
        .reload(config, snapshot.blocked.clone())
        .await
        .unwrap();
    let after = ready(world, &client, &["after.clock.test"]).await;
    for (order, name, days) in [
        (before, "before.clock.test", 90),
        (after, "after.clock.test", 10),
    ] {
        let ended = finish(&client, &order, &[name]).await;
        let chain = client
            .fetch(ended["certificate"].as_str().unwrap())
            .await
            .expect(200);
        let leaf =
            Certificate::parse(&CertificateDer::from_pem_slice(&chain.body).unwrap()).unwrap();
        assert_eq!(
            leaf.not_after() - leaf.not_before() + 1,
            days * 86_400,
            "{name}"
        );
        let row = world
            .ca()
            .store
            .certificate(leaf.cairn_serial().unwrap())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            row.profile_hash == snapshot.profiles.default().hash,
            days == 90,
            "{name}"
        );
    }
}

/// A client's clock that the test moves.
#[derive(Debug)]
struct Moved(Arc<TestClock>);

impl TimeProvider for Moved {
    fn current_time(&self) -> Option<UnixTime> {
        let now = u64::try_from(self.0.wall().as_seconds()).unwrap();
        Some(UnixTime::since_unix_epoch(Duration::from_secs(now)))
    }
}

/// The leaf that the listener shows to a client whose clock is this.
async fn shown(world: &World, clock: &Arc<TestClock>) -> std::io::Result<Vec<u8>> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(world.root().as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_details(provider, Arc::new(Moved(Arc::clone(clock))))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(world.address()).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await?;
    Ok(stream.get_ref().1.peer_certificates().unwrap()[0].to_vec())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_own_certificate_is_renewed_without_a_restart_when_a_third_of_its_life_is_left() {
    let clock = clock();
    let world = World::with_parts(
        |_| {},
        |parts| {
            parts.clock = Arc::<TestClock>::clone(&clock);
            hasty(parts);
        },
    )
    .await;
    let first = shown(&world, &clock).await.unwrap();
    let leaf = Certificate::parse(&first).unwrap();
    let due = leaf.not_after() - (leaf.not_after() - leaf.not_before()) / 3;
    let left = Duration::from_secs(u64::try_from(due - clock.wall().as_seconds()).unwrap());
    clock.advance(left - SECOND);
    // A look by the schedule has passed once the CRL, which is due too, was renewed twice.
    let crl = || world.ca().crls.this_update(&issuer(&world), 0).unwrap();
    until("a CRL of now", async || clock.wall().since(crl()) < HOUR).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(
        shown(&world, &clock).await.unwrap(),
        first,
        "a second before it is due"
    );
    clock.advance(SECOND);
    until("another certificate", async || {
        shown(&world, &clock).await.unwrap() != first
    })
    .await;
    let second = Certificate::parse(&shown(&world, &clock).await.unwrap()).unwrap();
    assert_eq!(second.not_before(), clock.wall().as_seconds() - 60);
    clock.advance(left + DAY);
    until("a third certificate", async || {
        shown(&world, &clock).await.is_ok_and(|der| {
            der != first && Certificate::parse(&der).unwrap().serial() != second.serial()
        })
    })
    .await;
}

fn issuer(world: &World) -> IssuerId {
    world.ca().issuance.issuers().first().id
}

/// The published CRL as a client gets it.
async fn crl(client: &Client, world: &World) -> Crl {
    let url = format!(
        "http://{}{}",
        world.publication(),
        crl_path(issuer(world), 0)
    );
    Crl::parse(&client.plain("GET", &url).await.expect(200).body).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crl_numbers_rise_on_schedule_and_after_a_restore() {
    // T-CA-103 T-CA-94
    let stopped = Stopped::with(|_| {}, |_| {}).await;
    let clock = Arc::clone(&stopped.clock);
    let client = stopped.subscriber().await;
    let Stopped {
        world,
        files: _files,
        ..
    } = stopped;
    let old = ready(&world, &client, &["old.clock.test"]).await;
    finish(&client, &old, &["old.clock.test"]).await;
    let backup = world.dir().join("backup.db");
    world.ca().store.backup(&backup).await.unwrap();
    let mut last = crl(&client, &world).await;
    assert!(last.next_update() > clock.wall().as_seconds());
    for _ in 0..3 {
        clock.advance(DAY);
        let before = last.number();
        until("a new CRL", async || {
            crl(&client, &world).await.number() > before
        })
        .await;
        last = crl(&client, &world).await;
        assert_eq!(last.this_update(), clock.wall().as_seconds() - 60);
    }
    // Two that make one at the same moment: the later number wins, the other is thrown away.
    let store = &world.ca().store;
    let stored = store.crls().await.unwrap().remove(0);
    let reserve = || ReserveCrlNumber {
        issuer: stored.issuer,
        shard: stored.shard,
        now: clock.wall(),
    };
    let (one, two) = (
        store.transact(reserve()).await.unwrap(),
        store.transact(reserve()).await.unwrap(),
    );
    assert!(one > last.number().unwrap() && two > one);
    let mut loser = stored.clone();
    loser.number = one;
    store.transact(PutCrl { crl: loser }).await.unwrap_err();
    assert_eq!(
        store.crls().await.unwrap().remove(0).number,
        last.number().unwrap()
    );

    // The state of days ago, at the same second: numbers and serials go on, not back.
    let epoch = store.epoch();
    let _quiet = FORKS.read().await;
    let site = world.stop().await;
    let report = restore(&backup, &[], &site.dir(), clock.wall(), true, None).unwrap();
    assert_eq!(report.epoch, epoch + 1);
    let again = Arc::<TestClock>::clone(&clock);
    let world = site
        .start(|parts| {
            parts.clock = again;
            hasty(parts);
        })
        .await;
    let mut client = client.clone();
    client.new_account().await.expect(200);
    let number = crl(&client, &world).await.number();
    assert!(
        number > last.number(),
        "{number:?} after {:?}",
        last.number()
    );
    let new = ready(&world, &client, &["new.clock.test"]).await;
    let ended = finish(&client, &new, &["new.clock.test"]).await;
    let chain = client
        .fetch(ended["certificate"].as_str().unwrap())
        .await
        .expect(200);
    let leaf = Certificate::parse(&CertificateDer::from_pem_slice(&chain.body).unwrap()).unwrap();
    assert_eq!(leaf.serial()[0], report.epoch);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_is_not_written_for_a_minute_makes_the_node_unready_long_before_the_old_one_ends()
 {
    // T-CA-104
    let broken = Arc::new(AtomicBool::new(false));
    let hook = Arc::clone(&broken);
    let stopped = Stopped::with(
        |_| {},
        |parts| {
            parts.timing.crl_rest = Duration::ZERO;
            parts.faults = Some(Arc::new(move |point, name| {
                let strikes = name == "put_crl" && point == FaultPoint::BeforeRun;
                (strikes && hook.load(Ordering::SeqCst)).then_some(InjectedFault::Busy)
            }));
        },
    )
    .await;
    let (world, owner) = (&stopped.world, stopped.subscriber().await);
    let (ca, dir) = (world.ca(), world.dir());
    let page = ca.snapshot.load().config.listen.publication[0].to_string();
    let strangers = async || {
        let page = page.clone();
        let read = move || cairn_testkit::ca::get(&page, "/health/ready").unwrap().0;
        tokio::task::spawn_blocking(read).await.unwrap()
    };
    let operator = async || client::get(&dir, "/health/ready").await.unwrap();
    let got = owner.obtain(&["stale.clock.test"], &world.web).await;
    broken.store(true, Ordering::SeqCst);
    let payload = json!({ "certificate": encode(&got.leaf()) });
    owner
        .post(&owner.url("revokeCert"), &payload)
        .await
        .expect(200);
    CrlPublisher::publish_now(ca).await;
    // Within a minute it may pass.
    assert_eq!((operator().await.0, strangers().await), (200, 200));
    stopped.clock.advance(Duration::from_secs(61));
    let (status, text) = operator().await;
    assert_eq!((status, strangers().await), (503, 503), "{text}");
    for words in ["could not be renewed", "the one before stays published"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let old = ca.crls.list();
    let ends = old.iter().filter_map(|(_, file)| file.fresh_until);
    assert!(ends.min().unwrap().since(stopped.now()) > DAY);
    broken.store(false, Ordering::SeqCst);
    until("the node is ready", async || operator().await.0 == 200).await;
    assert_eq!(strangers().await, 200);
}
