//! The checks of clients over the wire: what right clients are told, and what wrong ones are. Each check by itself is shown in
//! `dev/check/tests`.

use std::{sync::Arc, time::Duration};

use cairn_testkit::acme::{Client, Draft, Key, csr};
use instant_acme::{ChallengeType, Identifier, NewOrder, OrderStatus, RetryPolicy};
use serde_json::{Value, json};

use crate::{
    clients,
    site::{Site, finalize, first},
};

fn names(site: &Site) -> Vec<String> {
    let found = site.transcript().findings();
    let all = found.iter();
    all.map(|f| format!("{}: {} {:?}", f.check().name, f.evidence, f.exchanges))
        .collect()
}

/// The raw client of the tests sends no User-Agent, and is right in everything else that is a MUST.
fn musts_beside_the_agent(site: &Site) -> Vec<String> {
    let mut found = site.musts();
    found.retain(|finding| finding.check().name != "user-agent");
    found.into_iter().map(|finding| finding.evidence).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instant_acme_breaks_no_must_with_faults_and_without() {
    let site = Site::start().await;
    let account = clients::account(&site).await;
    let patient = RetryPolicy::default().timeout(Duration::from_secs(60));
    for (n, fault) in ["", "bad-nonce=30%", "processing=2", "delay=50ms"]
        .iter()
        .enumerate()
    {
        if !fault.is_empty() {
            site.fault(fault);
        }
        let name = format!("a{n}.checked.test");
        let ids = [Identifier::Dns(name.clone())];
        let mut order = account.new_order(&NewOrder::new(&ids)).await.unwrap();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.unwrap();
            let mut challenge = authorization.challenge(ChallengeType::Http01).unwrap();
            challenge.set_ready().await.unwrap();
        }
        assert_eq!(
            order.poll_ready(&patient).await.unwrap(),
            OrderStatus::Ready
        );
        order.finalize_csr(&csr(&[&name]).0).await.unwrap();
        order.poll_certificate(&patient).await.unwrap();
        site.ca.doors().clear();
    }
    assert!(site.musts().is_empty(), "{:#?}", names(&site));
    // It was looked at: not only was there nothing to say.
    let report: Value =
        serde_json::from_str(&site.transcript().report(cairn_ca::dev::Format::Json, true)).unwrap();
    assert!(report["checks"].as_array().unwrap().len() > 20, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_at_once_are_not_taken_for_one_another() {
    let site = Arc::new(Site::start().await);
    for fault in ["bad-nonce=20%", "finalize:processing=1"] {
        site.fault(fault);
    }
    let one = site.subscriber().await;
    let mut running = Vec::new();
    for n in 0..8 {
        // Half of them are processes that share an account, each with connections and nonces of its own.
        let mut client = Client::connect(site.ca.directory(), site.ca.root_pem())
            .await
            .unjudged();
        if n % 2 == 0 {
            client.key = one.key.clone();
        }
        client.new_account().await;
        let site = Arc::clone(&site);
        running.push(tokio::spawn(async move {
            for _ in 0..2 {
                client
                    .obtain(&[&format!("n{n}.many.test")], &site.web)
                    .await;
            }
        }));
    }
    for task in running {
        task.await.unwrap();
    }
    assert!(
        musts_beside_the_agent(&site).is_empty(),
        "{:#?}",
        names(&site)
    );
    for check in [
        "bad-nonce-retry",
        "finalize-ended",
        "challenge-ended",
        "nonce-twice",
    ] {
        assert_eq!(site.broken(check), 0, "{:#?}", names(&site));
    }
}

/// Sends a POST-as-GET of the order that was altered.
async fn altered(client: &Client, url: &str, alter: impl FnOnce(&mut Draft<'_>)) {
    let mut draft = client.draft_bytes(url, Vec::new()).await;
    alter(&mut draft);
    client.send(&draft).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_wrong_client_does_is_found_with_its_exchange() {
    let site = Site::start().await;
    let client = site.subscriber().await;
    let placed = client.new_order(&["a.wrong.test"]).await.expect(201);
    let (url, order) = (placed.location(), placed.json());
    assert!(
        musts_beside_the_agent(&site).is_empty(),
        "{:#?}",
        names(&site)
    );

    altered(&client, &url, |draft| {
        draft.protect("url", format!("{url}/"));
    })
    .await;
    altered(&client, &url, |draft| draft.payload = b"{}".to_vec()).await;
    altered(&client, &url, |draft| {
        draft.header("content-type", Some("application/json"));
    })
    .await;
    altered(&client, &url, |draft| {
        draft.header("replay-nonce", Some("abc"));
    })
    .await;
    altered(&client, &url, |draft| {
        draft.protect("nonce", "made-up");
    })
    .await;
    altered(&client, &url, |draft| draft.raw_body = Some(b"{}".to_vec())).await;
    altered(&client, &url, |draft| {
        let mut envelope = draft.envelope();
        envelope["signature"] = "AA==".into();
        draft.raw_body = Some(Value::Object(envelope).to_string().into_bytes());
    })
    .await;
    altered(&client, &url, |draft| {
        draft.unprotect("kid");
        let jwk: Value = serde_json::from_str(client.key.jwk()).unwrap();
        draft.protect("jwk", jwk);
    })
    .await;
    altered(&client, &url, |draft| {
        draft.protect("kid", format!("{}/", client.kid.clone().unwrap()));
    })
    .await;
    let twice = client.draft_bytes(&url, Vec::new()).await;
    client.send(&twice).await.expect(200);
    client.send(&twice).await.expect(400);
    client.plain("GET", &url).await.expect(405);
    let built = url.replace("/order/", "/authorization/");
    client.fetch(&built).await.expect(404);
    finalize(&client, &order, "a.wrong.test").await.expect(403);
    let challenge = client.challenge(&first(&order), "http-01").await;
    client.post(&challenge.url, &json!([])).await;
    let contact = json!({ "contact": ["mailto:a@example.org,b@example.org"] });
    client
        .with_key(Key::es256())
        .new_account_with(contact)
        .await;
    site.fault("newOrder:429/rateLimited/30 once");
    client.new_order(&["b.wrong.test"]).await.expect(429);
    client.new_order(&["b.wrong.test"]).await.expect(201);
    let (_, order) = site.ready(&client, "c.wrong.test").await;
    let other = csr(&["d.wrong.test"]).0;
    client.finalize(&order, &other).await.expect(400);

    let wanted = [
        "signed-url",
        "post-as-get-payload",
        "content-type",
        "nonce-header",
        "nonce-unknown",
        "jws-form",
        "base64url",
        "jwk-for-kid",
        "kid-altered",
        "nonce-twice",
        "plain-get",
        "url-built",
        "finalize-early",
        "challenge-payload",
        "contact",
        "retry-after",
        "csr-names",
        "user-agent",
        "accept-language",
    ];
    let missed: Vec<_> = wanted
        .iter()
        .filter(|name| site.broken(name) == 0)
        .collect();
    assert!(missed.is_empty(), "{missed:?} of {:#?}", names(&site));
    // And nothing that it did not do.
    let mut others = site.musts();
    others.retain(|finding| !wanted.contains(&finding.check().name));
    assert!(others.is_empty(), "{others:#?}");
    // Each names the exchange in which it was done, and the exchange has it.
    for finding in site.transcript().findings() {
        let number = *finding.exchanges.last().unwrap();
        let kept = site.transcript().since(number);
        assert_eq!(kept.first().unwrap().number, number);
        assert!(
            kept.first().unwrap().findings.contains(&finding),
            "{finding:?}"
        );
    }
    let pace = site.transcript().findings();
    let pace = pace
        .iter()
        .find(|f| f.check().name == "retry-after")
        .unwrap();
    assert!(
        pace.evidence.contains("Retry-After of the 429 said 30 s"),
        "{}",
        pace.evidence
    );
    assert_eq!(pace.exchanges.len(), 2);
}
