//! Profiles (draft-ietf-acme-profiles): what each makes of a certificate, who may have it, and what becomes of an order
//! whose profile is changed or taken away.

use std::{sync::Arc, time::Duration};

use cairn_acme::time::Timestamp;
use cairn_ca::{
    clock::{Clock, SystemClock, TestClock},
    config::{Config, IdentifierType, ProfileSettings, Span},
};
use cairn_testkit::acme::{Client, csr};
use cairn_x509::{
    certificate::Certificate,
    csr::build_csr,
    key::{KeyKind, PrivateKey},
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};

use crate::{
    steps::{finish, obtain, ready, until, wanted},
    world::World,
};

/// id-kp-clientAuth and keyUsage's digitalSignature with keyEncipherment, as DER has them.
const CLIENT_AUTH: &[u8] = &[6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 2];
const SERVER_AUTH: &[u8] = &[6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1];
const BOTH_USAGES: &[u8] = &[3, 2, 5, 0xa0];
const POLICY: &[u8] = &[6, 3, 0x2a, 3, 4];

fn others(config: &mut Config) {
    let mut add = |name: &str, settings| {
        config.profile.others.insert(name.to_owned(), settings);
    };
    let plain = ProfileSettings::default;
    add(
        "minute",
        ProfileSettings {
            description: Some("for tests of renewal".to_owned()),
            life: Span::from_secs(60),
            ..plain()
        },
    );
    add(
        "client",
        ProfileSettings {
            life: Span::from_days(398),
            server_auth: false,
            client_auth: true,
            common_name: true,
            policies: vec!["1.2.3.4".to_owned()],
            ..plain()
        },
    );
    add(
        "rsa",
        ProfileSettings {
            key_encipherment: true,
            client_auth: true,
            life: Span::from_days(3 * 365),
            ..plain()
        },
    );
    add(
        "addresses",
        ProfileSettings {
            identifiers: vec![IdentifierType::Ip],
            ..plain()
        },
    );
    add(
        "reserved",
        ProfileSettings {
            accounts: vec!["AAAAAAAAAAAAAAAAAAAAAA".to_owned()],
            ..plain()
        },
    );
}

fn leaf(chain: &str) -> (Vec<u8>, Certificate) {
    let der = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
    (der.to_vec(), Certificate::parse(&der).unwrap())
}

fn has(der: &[u8], octets: &[u8]) -> bool {
    der.windows(octets.len()).any(|window| window == octets)
}

fn with(names: &[&str], profile: &str) -> Value {
    let mut order = wanted(names);
    order["profile"] = json!(profile);
    order
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_profile_makes_its_own_certificate_and_the_order_says_which() {
    // PROF-3-1 PROF-4-3 PROF-5-1
    let world = World::with(others).await;
    let client = world.subscriber().await;
    let told = &client.directory["meta"]["profiles"];
    assert_eq!(told["minute"], "for tests of renewal");
    assert_eq!(told["default"], "valid 90d, for TLS servers");
    assert_eq!(told["client"], "valid 398d, for TLS clients");
    assert_eq!(told.as_object().unwrap().len(), 6, "{told}");

    let day = 86_400;
    let rsa = PrivateKey::generate(KeyKind::Rsa2048).unwrap();
    let mut wrong = Vec::new();
    // (asked, given, life, there, not there)
    type Row<'a> = (
        Option<&'a str>,
        &'a str,
        i64,
        &'a [&'a [u8]],
        &'a [&'a [u8]],
    );
    let rows: &[Row<'_>] = &[
        (
            None,
            "default",
            90 * day,
            &[SERVER_AUTH],
            &[CLIENT_AUTH, BOTH_USAGES, POLICY],
        ),
        (
            Some("default"),
            "default",
            90 * day,
            &[SERVER_AUTH],
            &[CLIENT_AUTH],
        ),
        (Some("minute"), "minute", 60, &[SERVER_AUTH], &[CLIENT_AUTH]),
        (
            Some("client"),
            "client",
            398 * day,
            &[CLIENT_AUTH, POLICY],
            &[SERVER_AUTH, BOTH_USAGES],
        ),
        (
            Some("rsa"),
            "rsa",
            3 * 365 * day,
            &[SERVER_AUTH, CLIENT_AUTH, BOTH_USAGES],
            &[POLICY],
        ),
    ];
    for (n, (asked, given, life, there, not_there)) in rows.iter().enumerate() {
        let name = format!("n{n}.profiles.test");
        let order = match asked {
            Some(profile) => with(&[&name], profile),
            None => wanted(&[&name]),
        };
        let csr = match *given {
            "rsa" => build_csr(&rsa, std::slice::from_ref(&name)).unwrap(),
            _ => csr(&[&name]).0,
        };
        let (order, chain) = obtain(&world, &client, &order, &csr).await;
        let (der, parsed) = leaf(&chain);
        let told = (
            order["profile"].as_str().unwrap_or_default(),
            parsed.not_after() - parsed.not_before() + 1,
        );
        let fits = there.iter().all(|octets| has(&der, octets))
            && !not_there.iter().any(|octets| has(&der, octets));
        if told != (given, *life) || !fits {
            wrong.push(format!("{asked:?}: {told:?}, extensions fit: {fits}"));
        }
        // The name as common name is a second time in the bytes.
        let named = der.windows(name.len()).filter(|w| *w == name.as_bytes());
        if (named.count() == 2) != (*given == "client") {
            wrong.push(format!("{asked:?}: common name"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    world.shutdown().await;
}

async fn refused(client: &Client, order: &Value) -> (u16, String, String) {
    let answer = client.post(&client.url("newOrder"), order).await;
    let (status, problem) = (answer.status, answer.json());
    let text = |member: &str| problem[member].as_str().unwrap_or_default().to_owned();
    let kind = text("type")
        .rsplit(':')
        .next()
        .unwrap_or_default()
        .to_owned();
    (status, kind, text("detail"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_that_is_not_offered_or_does_not_fit_is_refused() {
    // PROF-4-2 T-CA-99
    let world = World::with(others).await;
    let client = world.subscriber().await;
    let names = ["a.profiles.test", "b.profiles.test"];
    let dated = |profile: Option<&str>| {
        let mut order = wanted(&names);
        let end = world.ca().clock.wall().as_seconds() + 3600;
        order["notAfter"] = json!(Timestamp::from_seconds(end).to_string());
        if let Some(profile) = profile {
            order["profile"] = json!(profile);
        }
        order
    };
    let long = {
        let mut order = wanted(&names);
        let end = world.ca().clock.wall().as_seconds() + 100 * 86_400;
        order["notAfter"] = json!(Timestamp::from_seconds(end).to_string());
        order
    };
    let rows = [
        (
            "unknown",
            with(&names, "nope"),
            "invalidProfile",
            "default, ",
        ),
        (
            "empty",
            with(&names, ""),
            "invalidProfile",
            "there is no profile",
        ),
        (
            "other case",
            with(&names, "Minute"),
            "invalidProfile",
            "\"Minute\"",
        ),
        (
            "a control character",
            with(&names, "mi\nnute"),
            "invalidProfile",
            "mi\\u{a}nute",
        ),
        (
            "names under a profile for addresses",
            with(&names, "addresses"),
            "invalidProfile",
            "does not fit 2 identifiers",
        ),
        (
            "another account's",
            with(&names, "reserved"),
            "invalidProfile",
            "not for this account",
        ),
        (
            "a validity beyond the chosen profile's life",
            dated(Some("minute")),
            "invalidProfile",
            "longer than this profile's 60 s",
        ),
        (
            "a validity beyond the default's, which nobody chose",
            long,
            "malformed",
            "longer than this profile's",
        ),
    ];
    let mut wrong = Vec::new();
    for (what, order, kind, part) in rows {
        let told = refused(&client, &order).await;
        if (told.0, told.1.as_str()) != (400, kind) || !told.2.contains(part) {
            wrong.push(format!("{what}: {told:?}"));
        }
    }
    let both = client
        .post(&client.url("newOrder"), &with(&names, "addresses"))
        .await
        .json();
    let named = both["subproblems"].as_array().map_or(0, Vec::len);
    if named != 2 {
        wrong.push(format!("each identifier is named: {both}"));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // The same dates fit the longer default.
    client
        .post(&client.url("newOrder"), &dated(None))
        .await
        .expect(201);
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_keeps_the_version_it_was_placed_under_and_dies_with_the_name() {
    // PROF-4-4 T-CA-99
    let world = World::with(others).await;
    let client = world.subscriber().await;
    let names = ["kept.profiles.test"];
    let kept = ready(&world, &client, &names).await;
    let placed = client
        .post(&client.url("newOrder"), &with(&names, "minute"))
        .await
        .expect(201);
    let gone = (placed.location(), placed.json());
    assert_eq!(gone.1["status"], "ready", "the authorization is reused");

    let before = world.ca().snapshot.load_full();
    let mut config = before.config.clone();
    config.profile.default.life = Span::from_days(10);
    config.profile.default.client_auth = true;
    config.profile.others.remove("minute");
    world
        .node
        .reload(config, before.blocked.clone())
        .await
        .unwrap();

    let refused = client.finalize(&gone.1, &csr(&names).0).await;
    let (status, problem) = (refused.status, refused.json());
    assert_eq!(
        (status, problem["type"].as_str().unwrap()),
        (400, "urn:ietf:params:acme:error:invalidProfile"),
        "{problem}"
    );
    assert!(problem["detail"].as_str().unwrap().contains("\"minute\""));
    assert_eq!(client.poll(&gone.0, &[]).await["status"], "ready");

    let ended = finish(&client, &kept, &names).await;
    let chain = client
        .fetch(ended["certificate"].as_str().unwrap())
        .await
        .expect(200)
        .text();
    let (der, parsed) = leaf(&chain);
    let life = parsed.not_after() - parsed.not_before() + 1;
    assert_eq!(life, 90 * 86_400, "the version of newOrder");
    assert!(!has(&der, CLIENT_AUTH));

    // Back again, though changed: the order still has its own.
    let mut config = world.ca().snapshot.load().config.clone();
    let changed = ProfileSettings {
        life: Span::from_days(1),
        ..ProfileSettings::default()
    };
    config.profile.others.insert("minute".to_owned(), changed);
    world
        .node
        .reload(config, before.blocked.clone())
        .await
        .unwrap();
    let ended = finish(&client, &gone, &names).await;
    let chain = client
        .fetch(ended["certificate"].as_str().unwrap())
        .await
        .expect(200)
        .text();
    let parsed = leaf(&chain).1;
    assert_eq!(parsed.not_after() - parsed.not_before() + 1, 60);
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_default_life_of_one_minute_serves_and_renews_the_listener_too() {
    // T-CA-95
    let real = SystemClock::default();
    // Behind, so that a client of the real time can come at the end; by less than what stops signing.
    let behind = real.wall().minus(Duration::from_secs(50));
    let clock = Arc::new(TestClock::at(Timestamp::from_seconds(behind.as_seconds())));
    let given = Arc::<TestClock>::clone(&clock);
    let world = World::with_parts(
        |config| config.profile.default.life = Span::from_secs(60),
        |parts| {
            parts.clock = given;
            parts.timing.own_certificate = Duration::from_millis(20);
        },
    )
    .await;
    let own = || std::fs::read_to_string(world.dir().join("keys/listener.pem")).unwrap();
    let mut before = own();
    let mut renewed = async |by: Duration| {
        clock.advance(by);
        until("the listener's certificate is renewed", async || {
            own() != before
        })
        .await;
        before = own();
        let left = leaf(&before).1.not_after() - clock.wall().as_seconds();
        assert!((50..60).contains(&left), "{left} s");
    };
    // A third of the minute is left.
    renewed(Duration::from_secs(40)).await;
    let client = world.subscriber().await;
    let got = client.obtain(&["a.minute.test"], &world.web).await;
    let parsed = leaf(&got.chain).1;
    assert_eq!(parsed.not_after() - parsed.not_before() + 1, 60);
    assert!(cairn_ca::node::readiness(world.ca()).is_ready());
    world.shutdown().await;
}
