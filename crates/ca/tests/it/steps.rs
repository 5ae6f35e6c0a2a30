//! Steps that many tests take, and waiting for a condition instead of for a time.

use std::{str::FromStr, time::Duration};

use cairn_testkit::acme::{Client, csr};
use serde_json::Value;

use crate::world::World;

/// How long a condition may take on a crowded machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until it holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "still not: {what}");
}

/// An order whose authorizations are all valid: its URL and the object.
pub(crate) async fn ready(world: &World, client: &Client, names: &[&str]) -> (String, Value) {
    let placed = client.new_order(names).await.expect(201);
    for authorization in list(&placed.json()["authorizations"]) {
        if let Some(answer) = client.answer(&authorization, &world.web).await {
            answer.expect(200);
        }
    }
    let order = client.poll(&placed.location(), &["pending"]).await;
    assert_eq!(order["status"], "ready", "{order}");
    (placed.location(), order)
}

/// Finalizes with a new key and follows the order to its end.
pub(crate) async fn finish(
    client: &Client,
    (url, order): &(String, Value),
    names: &[&str],
) -> Value {
    client.finalize(order, &csr(names).0).await.expect(200);
    client.poll(url, &["processing"]).await
}

/// An order as `wanted` asks for it, on its whole way: the object at its end and the chain, kept for the judges.
pub(crate) async fn obtain(
    world: &World,
    client: &Client,
    wanted: &Value,
    csr: &[u8],
) -> (Value, String) {
    let placed = client
        .post(&client.url("newOrder"), wanted)
        .await
        .expect(201);
    let url = placed.location();
    for authorization in list(&placed.json()["authorizations"]) {
        if let Some(answer) = client.answer(&authorization, &world.web).await {
            answer.expect(200);
        }
    }
    let order = client.poll(&url, &["pending"]).await;
    client.finalize(&order, csr).await.expect(200);
    let order = client.poll(&url, &["processing"]).await;
    assert_eq!(order["status"], "valid", "{order}");
    let certificate = order["certificate"].as_str().unwrap();
    let chain = client.fetch(certificate).await.expect(200).text();
    cairn_testkit::issued::keep_chain(&chain);
    (order, chain)
}

/// newOrder's payload for these names.
pub(crate) fn wanted(names: &[&str]) -> Value {
    let dns = |name: &&str| serde_json::json!({ "type": "dns", "value": name });
    serde_json::json!({ "identifiers": names.iter().map(dns).collect::<Vec<_>>() })
}

/// A JSON list of strings.
pub(crate) fn list(value: &Value) -> Vec<String> {
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    value.as_array().unwrap().iter().map(text).collect()
}

/// The id that a URL ends with.
pub(crate) fn id<T: FromStr<Err: std::fmt::Debug>>(url: &str) -> T {
    url.rsplit('/').next().unwrap().parse().unwrap()
}

/// The first challenge of an authorization, http-01 unless settings say otherwise: its URL and token.
pub(crate) async fn challenge(client: &Client, authorization: &str) -> (String, String) {
    let object = client.fetch(authorization).await.expect(200).json();
    let challenge = &object["challenges"][0];
    let text = |member: &str| challenge[member].as_str().unwrap().to_owned();
    (text("url"), text("token"))
}
