//! An overloaded server says so early, and still gives what costs nothing.

use serde_json::json;

use crate::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overloaded_server_refuses_signed_requests_and_still_gives_nonces() {
    // 8555-6.7-3b
    let world = World::start().await;
    let client = world.subscriber().await;
    let snapshot = world.ca().snapshot.load_full();
    let mut config = snapshot.config.clone();
    config.limits.requests_in_flight = 0;
    world
        .node
        .reload(config, snapshot.blocked.clone())
        .await
        .unwrap();
    let refused = client
        .post(
            &client.url("newOrder"),
            &json!({ "identifiers": [{ "type": "dns", "value": "a.test" }] }),
        )
        .await
        .expect(503);
    assert_eq!(refused.problem(), "serverInternal");
    assert!(refused.header("retry-after").is_some() && refused.header("replay-nonce").is_some());
    client
        .plain("GET", &format!("{}/directory", world.url))
        .await
        .expect(200);
    client
        .plain("HEAD", &client.url("newNonce"))
        .await
        .expect(200);
    let health = client
        .plain(
            "GET",
            &format!("http://{}/health/live", world.publication()),
        )
        .await;
    health.expect(200);

    world
        .node
        .reload(snapshot.config.clone(), snapshot.blocked.clone())
        .await
        .unwrap();
    client.new_order(&["a.test"]).await.expect(201);
}
