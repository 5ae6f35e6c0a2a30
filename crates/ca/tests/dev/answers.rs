//! Faults that a client finds in its answers.

use std::time::{Duration, Instant};

use cairn_acme::{renewal::CertId, time::Timestamp};
use cairn_ca::{
    clock::{Clock, SystemClock},
    dev::WrongChain,
};
use cairn_testkit::acme::{Client, Response};
use cairn_x509::certificate::Certificate;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};

use crate::site::{Site, finalize, first};

async fn directory(site: &Site, client: &Client) -> Response {
    client.plain("GET", site.ca.directory()).await
}

fn order(name: &str) -> Value {
    json!({ "identifiers": [{ "type": "dns", "value": name }] })
}

pub(crate) async fn bad_nonce(site: &Site) {
    let client = site.subscriber().await;
    let fault = site.fault("newOrder:bad-nonce once");
    let url = client.url("newOrder");
    let draft = client.draft(&url, &order("a.nonce.test")).await;
    let refused = client.send(&draft).await.expect(400);
    assert_eq!(refused.problem(), "badNonce");
    assert!(refused.header("replay-nonce").is_some());
    assert!(refused.text().contains("fault"), "{}", refused.text());
    // The nonce is spent, by the server's own word.
    let again = client.send(&draft).await.expect(400);
    assert_eq!(again.problem(), "badNonce");
    assert!(again.text().contains("used before"), "{}", again.text());
    client.new_order(&["a.nonce.test"]).await.expect(201);
    assert_eq!(site.counts(fault), (3, 1));
}

pub(crate) async fn refuse(site: &Site) {
    let client = site.subscriber().await;
    let rows = [
        ("503", 503, "serverInternal", None),
        ("429/rateLimited/30", 429, "rateLimited", Some("30")),
        ("refuse=503//soon", 503, "serverInternal", Some("soon")),
        ("403/userActionRequired", 403, "userActionRequired", None),
        (
            "refuse=\"429//Fri, 31 Dec 1999 23:59:59 GMT\"",
            429,
            "rateLimited",
            Some("Fri, 31 Dec 1999 23:59:59 GMT"),
        ),
    ];
    let mut wrong = Vec::new();
    for (text, status, kind, wait) in rows {
        site.fault(&format!("newOrder:{text} once"));
        let answer = client.new_order(&["a.refuse.test"]).await;
        let nonce = answer.header("replay-nonce").is_some();
        let saw = (
            answer.status,
            answer.problem(),
            answer.header("retry-after"),
        );
        if saw != (status, kind.to_owned(), wait) || !nonce {
            wrong.push((text, answer));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Nothing was done.
    let orders = format!("{}/orders", client.kid.clone().unwrap());
    let orders = client.fetch(&orders).await.expect(200).json();
    assert_eq!(orders["orders"], json!([]));
    // No step is out of reach.
    site.fault("directory:500 once");
    directory(site, &client).await.expect(500);
    site.fault("newNonce:500 once");
    let refused = client.plain("HEAD", &client.url("newNonce")).await;
    refused.expect(500);
}

pub(crate) async fn delay(site: &Site) {
    let client = site.stranger().await;
    site.fault("directory:delay=300ms once");
    let start = Instant::now();
    directory(site, &client).await.expect(200);
    assert!(start.elapsed() >= Duration::from_millis(300));
}

pub(crate) async fn advance(site: &Site) {
    let client = site.subscriber().await;
    let (days, machine) = (Duration::from_secs(30 * 86_400), SystemClock::default());
    let ahead = site.ca.doors().clock().ahead();
    site.fault("newOrder:advance=30d once");
    let placed = client.new_order(&["a.advance.test"]).await.expect(201);
    assert_eq!(site.ca.doors().clock().ahead(), ahead + days);
    let expires: Timestamp = placed.json()["expires"].as_str().unwrap().parse().unwrap();
    assert!(expires > machine.wall().plus(ahead + days));
}

pub(crate) async fn end_authorization(site: &Site) {
    let client = site.subscriber().await;
    for (n, fate) in ["revoked", "expired", "deactivated"].iter().enumerate() {
        let name = format!("a{n}.fate.test");
        let placed = client.new_order(&[&name]).await.expect(201);
        site.fault(&format!("authorization:end-authorization={fate} once"));
        let seen = client.fetch(&first(&placed.json())).await.expect(200);
        assert_eq!(seen.json()["status"], *fate);
        let after = client.fetch(&placed.location()).await.expect(200).json();
        assert_eq!(after["status"], "invalid", "{fate}: {after}");
    }
    // In the moment of finalize, when the client has seen it valid.
    let (url, order) = site.ready(&client, "b.fate.test").await;
    site.fault("finalize:end-authorization=revoked once");
    let refused = finalize(&client, &order, "b.fate.test").await.expect(403);
    assert_eq!(refused.problem(), "orderNotReady");
    let after = client.fetch(&url).await.expect(200).json();
    assert_eq!(after["status"], "invalid", "{after}");
    // Nobody's but the asker's: a stranger's request ends nothing.
    let placed = client.new_order(&["c.fate.test"]).await.expect(201);
    site.fault("authorization:end-authorization=revoked once");
    let other = site.subscriber().await;
    other.fetch(&first(&placed.json())).await.expect(404);
    let seen = client.fetch(&first(&placed.json())).await.expect(200);
    assert_eq!(seen.json()["status"], "pending");
}

pub(crate) async fn end_order(site: &Site) {
    let client = site.subscriber().await;
    let (url, order) = site.ready(&client, "a.end.test").await;
    site.fault("order:end-order once");
    let seen = client.fetch(&url).await.expect(200).json();
    assert_eq!(seen["status"], "invalid");
    assert!(
        seen["error"]["detail"]
            .as_str()
            .unwrap()
            .contains("told to")
    );
    let refused = finalize(&client, &order, "a.end.test").await.expect(403);
    assert_eq!(refused.problem(), "orderNotReady");
}

pub(crate) async fn status(site: &Site) {
    let client = site.subscriber().await;
    site.fault("newOrder:status=500 once");
    let answer = client.new_order(&["a.status.test"]).await.expect(500);
    // What was done is done.
    let order = client.fetch(&answer.location()).await.expect(200).json();
    assert_eq!(order["status"], "pending");
}

pub(crate) async fn header(site: &Site) {
    let client = site.stranger().await;
    site.fault("directory:header=\"Retry-After: soon\" once");
    site.fault("directory:header=content-type:text/html once");
    let answer = directory(site, &client).await.expect(200);
    assert_eq!(answer.header("retry-after"), Some("soon"));
    assert_eq!(answer.header("content-type"), Some("text/html"));
    assert_eq!(answer.headers.get_all("content-type").iter().count(), 1);
}

pub(crate) async fn no_header(site: &Site) {
    let client = site.subscriber().await;
    site.fault("newOrder:no-header=Location once");
    site.fault("newOrder:no-header=replay-nonce once");
    let answer = client.new_order(&["a.header.test"]).await.expect(201);
    assert_eq!(
        (answer.header("location"), answer.header("replay-nonce")),
        (None, None)
    );
}

pub(crate) async fn json(site: &Site) {
    let client = site.subscriber().await;
    let placed = client.new_order(&["a.json.test"]).await.expect(201);
    let rows = [
        ("/status=\"odd\"", "/status", json!("odd")),
        (
            "/identifiers/0/value=\"victim.test\"",
            "/identifiers/0/value",
            json!("victim.test"),
        ),
        (
            "/identifiers/-={\"type\":\"dns\",\"value\":\"b\"}",
            "/identifiers/1/value",
            json!("b"),
        ),
        ("/new=[1,2]", "/new/1", json!(2)),
        ("/a~1b=null", "/a~1b", Value::Null),
    ];
    let mut wrong = Vec::new();
    for (text, pointer, want) in rows {
        site.fault(&format!("order:json={text} once"));
        let seen = client.fetch(&placed.location()).await.expect(200).json();
        if seen.pointer(pointer) != Some(&want) {
            wrong.push((text, seen));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

pub(crate) async fn no_json(site: &Site) {
    let client = site.subscriber().await;
    let placed = client.new_order(&["a.nojson.test"]).await.expect(201);
    site.fault("order:no-json=/finalize once");
    site.fault("order:no-json=/authorizations/0 once");
    let seen = client.fetch(&placed.location()).await.expect(200).json();
    assert_eq!(seen.get("finalize"), None);
    assert_eq!(seen["authorizations"], json!([]));
    assert_eq!(seen["status"], "pending");
}

pub(crate) async fn body(site: &Site) {
    let client = site.stranger().await;
    site.fault("directory:body=\"<html>be\\u001b[31m busy</html>\" once");
    let answer = directory(site, &client).await.expect(200);
    assert_eq!(answer.text(), "<html>be\u{1b}[31m busy</html>");
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

pub(crate) async fn pad(site: &Site) {
    let client = site.stranger().await;
    let plain = directory(site, &client).await.expect(200);
    site.fault("directory:pad=1000000 once");
    let padded = directory(site, &client).await.expect(200);
    assert_eq!(padded.body.len(), plain.body.len() + 1_000_000);
    assert_eq!(padded.json(), plain.json());
}

pub(crate) async fn processing(site: &Site) {
    let client = site.subscriber().await;
    let (url, order) = site.ready(&client, "a.look.test").await;
    site.fault("processing=2");
    let hidden = |answer: &Response| {
        let object = answer.json();
        assert_eq!(object["status"], "processing", "{object}");
        assert_eq!(object.get("certificate"), None);
        assert!(answer.header("retry-after").is_some());
    };
    let answer = finalize(&client, &order, "a.look.test").await.expect(200);
    hidden(&answer);
    for _ in 0..2 {
        hidden(&client.fetch(&url).await.expect(200));
    }
    let shown = client.fetch(&url).await.expect(200).json();
    assert_eq!(shown["status"], "valid", "{shown}");
    assert!(shown["certificate"].is_string());
    // The same for an authorization and its challenge.
    let placed = client.new_order(&["b.look.test"]).await.expect(201);
    let authorization = first(&placed.json());
    let answered = client.answer(&authorization, &site.web).await.unwrap();
    assert_eq!(answered.expect(200).json()["status"], "processing");
    for _ in 0..2 {
        let object = client.fetch(&authorization).await.expect(200).json();
        assert_eq!(object["status"], "pending", "{object}");
        assert_eq!(object["challenges"][0]["status"], "processing");
    }
    let shown = client.fetch(&authorization).await.expect(200).json();
    assert_eq!(shown["status"], "valid", "{shown}");
    // Some clients look at the challenge instead.
    let challenge = shown["challenges"][0]["url"].as_str().unwrap().to_owned();
    for status in ["processing", "processing", "valid"] {
        let object = client.fetch(&challenge).await.expect(200).json();
        assert_eq!(object["status"], status, "{object}");
    }
}

/// The certificates of a chain, in its order.
fn parsed(chain: &str) -> Vec<Certificate> {
    CertificateDer::pem_slice_iter(chain.as_bytes())
        .map(|der| Certificate::parse(&der.unwrap()).unwrap())
        .collect()
}

pub(crate) async fn chain(site: &Site) {
    let client = site.subscriber().await;
    let got = client.obtain(&["a.chain.test"], &site.web).await;
    let [right, issuer] = &parsed(&got.chain)[..] else {
        panic!("{}", got.chain)
    };
    let root = parsed(site.ca.root_pem()).remove(0);
    let now = site.node().clock.wall().as_seconds();
    let mut wrong = Vec::new();
    for (kind, word) in WrongChain::WORDS {
        site.fault(&format!("chain={word} once"));
        let answer = client.fetch(&got.certificate).await.expect(200).text();
        let all = parsed(&answer);
        // Whether the chain checks up to the root, whatever the leaf is for.
        let checks = all.len() == 2
            && all[0].verify_issued_by(&all[1]).is_ok()
            && all[1].verify_issued_by(&root).is_ok();
        let same_key = all
            .first()
            .is_some_and(|leaf| leaf.spki_der() == right.spki_der());
        let same_name = all
            .first()
            .is_some_and(|leaf| leaf.dns_names() == right.dns_names());
        let lives = all.first().is_some_and(|leaf| leaf.not_after() > now);
        let good = match kind {
            WrongChain::NoIntermediate => all.len() == 1 && same_key,
            WrongChain::OtherIssuer => {
                all.len() == 2 && same_key && !checks && all[1].verify_issued_by(&root).is_ok()
            }
            WrongChain::Reversed => all[0].is_ca() && all[1].spki_der() == right.spki_der(),
            WrongChain::Empty => answer.is_empty(),
            WrongChain::OtherKey => checks && !same_key && same_name && lives,
            WrongChain::OtherName => checks && same_key && !same_name && lives,
            WrongChain::Expired => checks && same_key && same_name && !lives,
            WrongChain::WithKey => checks && same_key && answer.contains("PRIVATE KEY"),
            WrongChain::LeafTwice => {
                all.len() == 3 && all[0].serial() == all[1].serial() && same_key
            }
        };
        if !good {
            wrong.push((word, answer));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // None of it touched what is kept.
    let again = parsed(&client.fetch(&got.certificate).await.expect(200).text());
    again[0].verify_issued_by(issuer).unwrap();
    assert_eq!(again[0].serial(), right.serial());
}

pub(crate) async fn window(site: &Site) {
    let client = site.subscriber().await;
    let got = client.obtain(&["a.window.test"], &site.web).await;
    let leaf = Certificate::parse(&got.leaf()).unwrap();
    let issuer = &site.node().issuance.issuer().certificate;
    let name = CertId::new(issuer.key_id(), leaf.serial()).unwrap();
    let url = format!("{}/{name}", client.url("renewalInfo"));
    for ends in [
        ["2030-01-01T00:00:00Z", "2030-01-02T00:00:00Z"],
        ["9999-12-31T23:59:59Z", "2000-01-01T00:00:00Z"],
        ["", "soon"],
    ] {
        site.fault(&format!("window={}/{} once", ends[0], ends[1]));
        let told = client.plain("GET", &url).await.expect(200);
        assert!(told.header("retry-after").is_some());
        let window = told.json()["suggestedWindow"].clone();
        assert_eq!(window, json!({ "start": ends[0], "end": ends[1] }));
    }
    let honest = client.plain("GET", &url).await.expect(200).json();
    assert!(
        honest["suggestedWindow"]["start"]
            .as_str()
            .unwrap()
            .starts_with("20")
    );
}
