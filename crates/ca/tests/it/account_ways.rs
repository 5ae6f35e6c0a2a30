//! What a client can do beside orders: change its key (RFC 8555 §7.3.5), list its orders (§7.1.2.1), be authorized
//! before any order (§7.4.1), run in a browser (§6.1).

use std::collections::BTreeSet;

use cairn_testkit::acme::{Client, Draft, Key, Response, csr, csr_for};
use serde_json::{Value, json};

use crate::{steps, world::World};

async fn change(client: &Client, inner: &Draft<'_>) -> Response {
    let url = client.url("keyChange");
    let mut outer = client.draft_bytes(&url, inner.body()).await;
    outer.payload = inner.body();
    client.send(&outer).await
}

fn payload(account: &str, old_key: &Key) -> Vec<u8> {
    let old: Value = serde_json::from_str(old_key.jwk()).unwrap();
    json!({ "account": account, "oldKey": old })
        .to_string()
        .into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_changes_only_by_both_signatures_over_the_right_payload() {
    // 8555-7.3.5-2 8555-7.3.5-3 T-CA-37
    let world = World::start().await;
    let client = world.subscriber().await;
    let kid = client.kid.clone().unwrap();
    let url = client.url("keyChange");
    let stranger = Key::es256();
    let new = Key::es256();
    type Flaw<'f> = Box<dyn Fn(&mut Draft<'_>) + 'f>;
    let flaws: [(&str, &str, Flaw<'_>); 9] = [
        (
            "another url",
            "malformed",
            Box::new(|d| {
                d.protect("url", client.url("newAccount"));
            }),
        ),
        (
            "a nonce",
            "malformed",
            Box::new(|d| {
                d.protect("nonce", "AAAA");
            }),
        ),
        (
            "a kid in place of the key",
            "malformed",
            Box::new(|d| {
                d.unprotect("jwk").protect("kid", kid.as_str());
            }),
        ),
        (
            "a MAC",
            "badSignatureAlgorithm",
            Box::new(|d| {
                d.protect("alg", "HS256");
            }),
        ),
        (
            "another's signature",
            "malformed",
            Box::new(|d| {
                d.signature = Some(stranger.sign(b"something else"));
            }),
        ),
        (
            "another account",
            "malformed",
            Box::new(|d| {
                d.payload = payload(&format!("{kid}x"), &client.key);
            }),
        ),
        (
            "another old key",
            "malformed",
            Box::new(|d| {
                d.payload = payload(&kid, &stranger);
            }),
        ),
        (
            "no old key",
            "malformed",
            Box::new(|d| {
                d.payload = json!({ "account": kid }).to_string().into_bytes();
            }),
        ),
        (
            "no payload",
            "malformed",
            Box::new(|d| d.payload = Vec::new()),
        ),
    ];
    let mut wrong = Vec::new();
    for (name, want, flaw) in &flaws {
        let mut draft = client.key_change(&new);
        flaw(&mut draft);
        let answer = change(&client, &draft).await;
        if answer.problem() != *want || answer.status != 400 {
            wrong.push(format!("{name}: {} {}", answer.status, answer.text()));
        }
    }
    let same = change(&client, &client.key_change(&client.key)).await;
    if same.problem() != "malformed" {
        wrong.push(format!("the same key: {}", same.text()));
    }
    let no_jws = client.post(&url, &json!({ "account": kid })).await;
    if no_jws.problem() != "malformed" {
        wrong.push(format!("no JWS: {}", no_jws.text()));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // None of it changed anything.
    client.fetch(&kid).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_key_takes_the_account_and_leaves_its_orders_as_they_are() {
    // 8555-7.3.5-4 8555-7.3.5-5 T-CA-37
    let world = World::start().await;
    let client = world.subscriber().await;
    let kid = client.kid.clone().unwrap();
    let placed = client.new_order(&["moves.account.test"]).await.expect(201);
    let holder = world.subscriber().await.with_key(Key::generate("ES384"));
    let mut holder = holder;
    holder.new_account().await.expect(201);
    let taken = change(&client, &client.key_change(&holder.key)).await;
    assert_eq!((taken.status, taken.problem().as_str()), (409, "malformed"));
    assert_eq!(Some(taken.location()), holder.kid);
    let keys = [Key::generate("EdDSA"), Key::es256()];
    let (first, second) = (client.key_change(&keys[0]), client.key_change(&keys[1]));
    // Two at once: one wins.
    let answers = tokio::join!(change(&client, &first), change(&client, &second));
    let won: Vec<usize> = [answers.0.status, answers.1.status]
        .iter()
        .enumerate()
        .filter(|(_, status)| **status == 200)
        .map(|(index, _)| index)
        .collect();
    assert_eq!(won.len(), 1, "{} {}", answers.0.text(), answers.1.text());
    let old = client.fetch(&kid).await;
    assert_eq!(old.status, 400, "the old key still signs: {}", old.text());
    let [ed25519, es256] = keys;
    let mut changed = client.with_key(if won == [0] { ed25519 } else { es256 });
    changed.kid = Some(kid.clone());
    changed.fetch(&kid).await.expect(200);
    assert_eq!(changed.new_account().await.expect(200).location(), kid);
    let order = changed.fetch(&placed.location()).await.expect(200).json();
    assert_eq!(order["status"], "pending");
    changed
        .answer(order["authorizations"][0].as_str().unwrap(), &world.web)
        .await
        .unwrap()
        .expect(200);
    let order = changed.poll(&placed.location(), &["pending"]).await;
    changed
        .finalize(&order, &csr(&["moves.account.test"]).0)
        .await
        .expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_orders_of_an_account_are_listed_page_by_page_to_it_alone() {
    // 8555-7.1.2-1 8555-7.1.2.1-1 T-CA-115
    let world = World::start().await;
    let client = world.subscriber().await;
    let kid = client.kid.clone().unwrap();
    let got = client.obtain(&["first.account.test"], &world.web).await;
    let mut placed = BTreeSet::from([got.order]);
    for number in 0..60 {
        let name = format!("n{number}.account.test");
        placed.insert(client.new_order(&[&name]).await.expect(201).location());
    }
    let invalid = client.new_order(&["ends.account.test"]).await.expect(201);
    let authorization = invalid.json()["authorizations"][0]
        .as_str()
        .unwrap()
        .to_owned();
    client
        .post(&authorization, &json!({ "status": "deactivated" }))
        .await
        .expect(200);
    let account = client.fetch(&kid).await.expect(200).json();
    let mut next = Some(account["orders"].as_str().unwrap().to_owned());
    let mut listed = BTreeSet::new();
    let mut pages = 0;
    while let Some(url) = next {
        let page = client.fetch(&url).await.expect(200);
        pages += 1;
        for order in page.json()["orders"].as_array().unwrap() {
            assert!(
                listed.insert(order.as_str().unwrap().to_owned()),
                "{order} is listed twice"
            );
        }
        next = page.headers.get_all("link").iter().find_map(|link| {
            let link = link.to_str().unwrap();
            let url = link.strip_suffix(">;rel=\"next\"")?;
            Some(url.strip_prefix('<').unwrap().to_owned())
        });
        assert!(pages < 10, "the list has no end");
    }
    assert_eq!((listed, pages), (placed, 2));
    let mut other = world.subscriber().await.with_key(Key::es256());
    other.new_account().await.expect(201);
    for url in [
        account["orders"].as_str().unwrap().to_owned(),
        format!("{kid}/orders/AAAAAAAAAAAAAAAAAAAAAA"),
        format!("{kid}/orders/x"),
    ] {
        let answer = other.fetch(&url).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (403, "unauthorized"),
            "{url}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authorization_may_come_before_its_order() {
    // 8555-7.4.1-1
    let world = World::start().await;
    let client = world.subscriber().await;
    let ask = async |kind: &str, value: &str| {
        client
            .post(
                &client.url("newAuthz"),
                &json!({ "identifier": { "type": kind, "value": value } }),
            )
            .await
    };
    let made = ask("dns", "early.account.test").await.expect(201);
    assert_eq!(made.json()["status"], "pending");
    let again = ask("dns", "early.account.test").await.expect(201);
    assert_ne!(made.location(), again.location());
    client
        .answer(&made.location(), &world.web)
        .await
        .unwrap()
        .expect(200);
    let valid = client.poll(&made.location(), &["pending"]).await;
    assert_eq!(valid["status"], "valid");
    let order = client.new_order(&["early.account.test"]).await.expect(201);
    assert_eq!(order.json()["status"], "ready");
    assert_eq!(
        order.json()["authorizations"][0].as_str(),
        Some(made.location().as_str())
    );
    // One that fails ends no order, for it has none.
    let failing = ask("dns", "fails.account.test").await.expect(201);
    let challenge = failing.json()["challenges"][0]["url"]
        .as_str()
        .unwrap()
        .to_owned();
    // Nobody put the token anywhere.
    client.post(&challenge, &json!({})).await.expect(200);
    let failed = client.poll(&failing.location(), &["pending"]).await;
    assert_eq!(failed["status"], "invalid");
    let rows = [
        ("dns", "*.early.account.test", 403, "rejectedIdentifier"),
        (
            "email",
            "a@early.account.test",
            403,
            "unsupportedIdentifier",
        ),
        ("dns", "no name", 403, "rejectedIdentifier"),
    ];
    let mut wrong = Vec::new();
    for (kind, value, status, problem) in rows {
        let answer = ask(kind, value).await;
        if (answer.status, answer.problem().as_str()) != (status, problem) {
            wrong.push(format!("{value}: {} {}", answer.status, answer.text()));
        }
    }
    let empty = client.post(&client.url("newAuthz"), &json!({})).await;
    if empty.problem() != "malformed" {
        wrong.push(format!("no identifier: {}", empty.text()));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_of_any_origin_may_ask_and_read_the_headers_that_they_need() {
    // 8555-6.1-4
    let world = World::start().await;
    let client = world.subscriber().await;
    let origin = [("origin".to_owned(), "https://page.test".to_owned())];
    let answer = client
        .plain_with("GET", &client.url("newNonce"), &origin)
        .await
        .unwrap();
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let exposed = answer.header("access-control-expose-headers").unwrap();
    for header in ["Link", "Location", "Replay-Nonce", "Retry-After"] {
        assert!(exposed.contains(header), "{header} is hidden: {exposed}");
    }
    let preflight = client
        .plain_with("OPTIONS", &client.url("newOrder"), &origin)
        .await
        .unwrap()
        .expect(204);
    assert_eq!(
        preflight.header("access-control-allow-methods"),
        Some("POST")
    );
    assert_eq!(
        preflight.header("access-control-allow-headers"),
        Some("Content-Type")
    );
    // Whoever is no browser is not bothered; credentials are never asked for.
    let plain = client.plain("GET", &client.url("newNonce")).await;
    assert_eq!(plain.header("access-control-allow-origin"), None);
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    let refused = client
        .plain_with("GET", &client.url("newOrder"), &origin)
        .await
        .unwrap()
        .expect(405);
    assert_eq!(refused.header("access-control-allow-origin"), Some("*"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_account_changes_to_the_key_of_a_live_certificate() {
    // 8555-7.3.5-4 T-CA-39
    let world = World::start().await;
    let client = world.subscriber().await;
    let names = ["certified.test"];
    let key = Key::es256();
    let csr = csr_for(&key, &names);
    steps::obtain(&world, &client, &steps::wanted(&names), &csr).await;
    let refused = change(&client, &client.key_change(&key)).await.expect(400);
    assert_eq!(refused.problem(), "badPublicKey");
    let text = refused.text();
    assert!(
        text.contains("is that of an unexpired certificate"),
        "{text}"
    );
    // It changed nothing; a key that is nobody's is taken.
    client
        .fetch(client.kid.as_deref().unwrap())
        .await
        .expect(200);
    let new = Key::es256();
    change(&client, &client.key_change(&new)).await.expect(200);
    world.shutdown().await;
}
