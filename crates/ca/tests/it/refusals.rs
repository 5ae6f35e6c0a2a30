//! Refusals and evidence as the operator reads them later.

use cairn_ca::{
    id::{AccountId, OrderId},
    store::AuditSubject,
};
use cairn_testkit::acme::csr;
use serde_json::Value;

use crate::{
    steps::{id, ready},
    world::World,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_written_down_and_a_flood_of_them_is_not() {
    // T-CA-115
    let world = World::start().await;
    let mut client = world.stranger().await;
    let account: AccountId = id(&client.new_account().await.expect(201).location());
    let names = ["a.refusals.test"];
    let (url, order) = ready(&world, &client, &names).await;
    let other = csr(&["b.refusals.test"]).0;
    client.finalize(&order, &other).await.expect(400);
    client.finalize(&order, b"no CSR").await.expect(400);
    client.new_order(&["-.refusals.test"]).await.expect(400);
    let store = &world.ca().store;
    let events = async |subject| -> Vec<String> {
        let rows = store.audit(subject, 1000).await.unwrap();
        rows.into_iter()
            .filter(|r| r.event.ends_with("-refused"))
            .map(|r| format!("{} {}", r.event, r.detail))
            .collect()
    };
    let of_order = events(AuditSubject::Order(id::<OrderId>(&url))).await;
    assert_eq!(of_order.len(), 2, "{of_order:?}");
    assert!(of_order[0].contains("b.refusals.test"), "{of_order:?}");
    let of_account = events(AuditSubject::Account(account)).await;
    assert_eq!(of_account.len(), 1, "{of_account:?}");
    assert!(of_account[0].starts_with("order-refused"), "{of_account:?}");

    for _ in 0..60 {
        client.new_order(&["-.refusals.test"]).await.expect(400);
    }
    let of_account = events(AuditSubject::Account(account)).await;
    assert!((10..30).contains(&of_account.len()), "{}", of_account.len());
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificates_evidence_names_the_account_and_its_key() {
    let world = World::start().await;
    let mut client = world.stranger().await;
    let account = client.new_account().await.expect(201).location();
    let got = client.obtain(&["a.evidence.test"], &world.web).await;
    let serial = id(&got.certificate);
    let certificate = world.ca().store.certificate(serial).await.unwrap().unwrap();
    let evidence: Value = serde_json::from_str(&certificate.evidence).unwrap();
    assert_eq!(evidence["account"], account.as_str(), "{evidence}");
    let stored = world.ca().store.account(certificate.account).await.unwrap();
    let thumbprint = stored.unwrap().thumbprint.to_string();
    assert_eq!(
        evidence["key_thumbprint"],
        thumbprint.as_str(),
        "{evidence}"
    );
    assert_eq!(evidence["names"][0]["name"], "a.evidence.test");
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_csr_with_a_name_more_than_an_order_can_have_is_refused_and_the_order_stays() {
    // T-CA-57 8555-7.4-11
    let world = World::start().await;
    let client = world.subscriber().await;
    let names: Vec<String> = (0..101).map(|n| format!("n{n}.count.test")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let (url, order) = ready(&world, &client, &all[..100]).await;
    let refused = client.finalize(&order, &csr(&all).0).await;
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (400, "badCSR")
    );
    assert!(
        refused.text().contains("n100.count.test"),
        "{}",
        refused.text()
    );
    let order = client.fetch(&url).await.expect(200).json();
    assert_eq!(order["status"], "ready", "{order}");
    client
        .finalize(&order, &csr(&all[..100]).0)
        .await
        .expect(200);
}
