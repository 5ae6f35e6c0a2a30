//! renewalInfo (RFC 9773 §4) and the operator's way to move a window.

use std::time::Duration;

use cairn_acme::renewal::CertId;
use cairn_ca::operator::{self, Query};
use cairn_testkit::acme::{Client, Response, encode};
use cairn_x509::certificate::Serial;
use serde_json::Value;

use crate::{steps::id, world::World};

/// The certificate's name, from its URL and the issuer's key.
pub(crate) fn named(world: &World, certificate: &str) -> String {
    let serial: Serial = id(certificate);
    let issuer = world.ca().issuance.issuers().first();
    CertId::new(issuer.certificate.key_id(), serial.as_bytes())
        .unwrap()
        .to_string()
}

async fn told(client: &Client, name: &str) -> Response {
    let url = format!("{}/{name}", client.url("renewalInfo"));
    client.plain("GET", &url).await
}

fn seconds(value: &Value) -> i64 {
    let time: cairn_acme::time::Timestamp = value.as_str().unwrap().parse().unwrap();
    time.as_seconds()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewal_information_is_a_plain_get_that_anybody_may_keep_for_a_while() {
    // 9773-3-1 9773-4.1-3 9773-4.2-1 9773-4.3-2 9773-6-1
    let world = World::start().await;
    let client = world.subscriber().await;
    let got = client.obtain(&["a.ari.test"], &world.web).await;
    let base = client.url("renewalInfo");
    assert!(
        base.starts_with(&world.url) && !base.ends_with('/'),
        "{base}"
    );

    let name = named(&world, &got.certificate);
    let stranger = world.stranger().await;
    let answer = told(&stranger, &name).await.expect(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("public, max-age=600"));
    assert_eq!(answer.header("replay-nonce"), None);
    let again: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((17_280..=25_920).contains(&again), "{again}");
    let info = answer.json();
    let window = &info["suggestedWindow"];
    let (start, end) = (seconds(&window["start"]), seconds(&window["end"]));
    let now = world.ca().clock.wall().as_seconds();
    assert!(start < end && end < now + 90 * 86_400, "{info}");
    assert!(start > now + 59 * 86_400, "{info}");
    assert_eq!(info.get("explanationURL"), None);
    assert_eq!(
        told(&stranger, &name).await.json(),
        info,
        "the same at any time"
    );

    let url = format!("{base}/{name}");
    let head = stranger.head_quietly(&url).await.unwrap();
    assert_eq!((head.status, head.text().as_str()), (200, ""));
    for method in ["POST", "PUT", "DELETE"] {
        let refused = stranger.plain(method, &url).await.expect(405);
        assert_eq!(refused.header("allow"), Some("GET, HEAD"), "{method}");
    }
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_names_no_certificate_is_told_apart_from_what_names_none_of_ours() {
    // 9773-4.1-2 T-CA-131
    let world = World::start().await;
    let client = world.subscriber().await;
    let got = client.obtain(&["a.ari.test"], &world.web).await;
    let name = named(&world, &got.certificate);
    let (key_id, serial) = name.split_once('.').unwrap();
    let other = encode(&[1; 19]);
    let rows = [
        ("nothing", String::new(), 400),
        ("no dot", name.replace('.', ""), 400),
        ("two dots", format!("{name}.AQ"), 400),
        ("padding", format!("{name}="), 400),
        ("the other alphabet", format!("{key_id}.+{serial}"), 400),
        ("a query", format!("{name}?a"), 400),
        ("an escape", name.replace('.', "%2e"), 400),
        (
            "an oversized serial",
            format!("{key_id}.{}", encode(&[1; 22])),
            400,
        ),
        (
            "zeros in front",
            format!("{key_id}.{}", encode(&[0, 0, 1])),
            400,
        ),
        (
            "a negative serial",
            format!("{key_id}.{}", encode(&[0xff; 19])),
            404,
        ),
        ("a short serial", format!("{key_id}.AQ"), 404),
        ("another serial", format!("{key_id}.{other}"), 404),
        ("the same once more", format!("{key_id}.{other}"), 404),
        (
            "another issuer",
            format!("{}.{serial}", encode(&[7; 20])),
            404,
        ),
        ("a further part of the path", format!("{name}/x"), 404),
    ];
    let mut wrong = Vec::new();
    for (what, text, status) in rows {
        let answer = told(&client, &text).await;
        let problem = answer.json();
        let malformed = problem["type"] == "urn:ietf:params:acme:error:malformed";
        if answer.status != status || !malformed {
            wrong.push(format!("{what}: {} {problem}", answer.status));
        }
    }
    let bare = client.plain("GET", &client.url("renewalInfo")).await;
    if bare.status != 400 {
        wrong.push(format!("the base alone: {}", bare.status));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_certificate_costs_one_look_at_the_tables_until_a_commit_touches_it() {
    // T-CA-131
    let world = World::with_parts(
        |_| {},
        |parts| {
            // What runs by schedule looks at the tables too.
            let never = Duration::from_secs(86_400);
            parts.timing.crl = never;
            parts.timing.housekeeping = never;
            parts.timing.own_certificate = never;
        },
    )
    .await;
    let client = world.subscriber().await;
    let got = [
        client.obtain(&["a.ari.test"], &world.web).await,
        client.obtain(&["b.ari.test"], &world.web).await,
    ];
    let mut names: Vec<String> = got.iter().map(|g| named(&world, &g.certificate)).collect();
    let (key_id, _) = names[0].split_once('.').unwrap();
    // One that was never issued is remembered as well.
    names.push(format!("{key_id}.{}", encode(&[1; 19])));
    let reads = || world.ca().store.stats().reads;
    let ask_all = async || {
        let before = reads();
        for name in &names {
            told(&client, name).await;
        }
        reads() - before
    };
    assert_eq!(ask_all().await, 3);
    assert_eq!(ask_all().await + ask_all().await, 0);

    let serials = vec![id::<Serial>(&got[0].certificate).to_string()];
    let moved = Query::SetAside {
        serials,
        explanation: None,
    };
    operator::ask(&world.dir(), moved).await.unwrap();
    assert_eq!(ask_all().await, 1);
    assert_eq!(ask_all().await, 0);
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_set_aside_has_its_window_in_the_past_at_once() {
    // 9773-4.2-5 T-CA-131
    let world = World::start().await;
    let client = world.subscriber().await;
    let got = client.obtain(&["a.ari.test"], &world.web).await;
    let other = client.obtain(&["b.ari.test"], &world.web).await;
    let (name, untouched) = (
        named(&world, &got.certificate),
        named(&world, &other.certificate),
    );
    let before = told(&client, &untouched).await.json();
    told(&client, &name).await.expect(200);
    let serial = |url: &str| id::<Serial>(url).to_string();
    let aside = |serials: Vec<String>, why: Option<&str>| {
        let question = Query::SetAside {
            serials,
            explanation: why.map(str::to_owned),
        };
        let dir = world.dir();
        async move { operator::ask(&dir, question).await }
    };
    // One that is not there, and nothing is moved; a page that is none, the same.
    let absent = "01".repeat(19);
    for (serials, why) in [
        (vec![serial(&got.certificate), absent], None),
        (vec![serial(&got.certificate)], Some("javascript:x")),
        (vec![serial(&got.certificate)], Some("https://x/\"\n")),
    ] {
        assert!(aside(serials, why).await.is_err(), "{why:?}");
    }
    let now = world.ca().clock.wall().as_seconds();
    let window = &told(&client, &name).await.json()["suggestedWindow"];
    assert!(seconds(&window["start"]) > now);

    let why = "https://ca.test/incident?n=1";
    let answer = aside(vec![serial(&got.certificate)], Some(why))
        .await
        .unwrap();
    assert_eq!(answer["changed"], true, "{answer}");
    let info = told(&client, &name).await.expect(200).json();
    let window = &info["suggestedWindow"];
    let (start, end) = (seconds(&window["start"]), seconds(&window["end"]));
    assert!(
        start < end && end <= world.ca().clock.wall().as_seconds(),
        "{info}"
    );
    assert_eq!(info["explanationURL"], why);
    assert_eq!(told(&client, &untouched).await.json(), before);

    // Again says so, and the window stays.
    let again = aside(vec![serial(&got.certificate)], None).await.unwrap();
    assert_eq!(
        (&again["changed"], &again["moved"]),
        (&false.into(), &serde_json::json!([]))
    );
    assert_eq!(told(&client, &name).await.json(), info);
    let shown = operator::ask(&world.dir(), Query::Show(serial(&got.certificate)))
        .await
        .unwrap();
    assert_eq!(shown["renewal"]["explanation"], why, "{shown}");
    let order = got.order.rsplit('/').next().unwrap().to_owned();
    let shown = operator::ask(&world.dir(), Query::Show(order))
        .await
        .unwrap();
    let audit = shown["audit"].to_string();
    assert_eq!(audit.matches("\"set-aside\"").count(), 1, "{audit}");
    world.shutdown().await;
}
