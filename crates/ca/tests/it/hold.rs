//! Held answers: who waits for what, and what a client that hangs up leaves behind.

use std::time::{Duration, Instant};

use cairn_ca::config::Span;
use cairn_testkit::{acme::Client, http::Reply};
use serde_json::{Value, json};

use crate::{steps::until, world::World};

/// Places an order and makes its first challenge answerable; returns the order and the challenges' URLs.
async fn order(world: &World, client: &Client, names: &[&str]) -> (String, Vec<String>) {
    let placed = client.new_order(names).await.expect(201);
    let mut challenges = Vec::new();
    for authorization in placed.json()["authorizations"].as_array().unwrap() {
        let object = client
            .fetch(authorization.as_str().unwrap())
            .await
            .expect(200)
            .json();
        let challenge = &object["challenges"][0];
        let token = challenge["token"].as_str().unwrap();
        world.web.token(token, &client.key.authorization(token));
        challenges.push(challenge["url"].as_str().unwrap().to_owned());
    }
    (placed.location(), challenges)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_last_challenge_of_an_order_is_held() {
    let world = World::with(|config| config.limits.hold = Span::from_secs(30)).await;
    let client = world.subscriber().await;
    let (_, challenges) = order(&world, &client, &["a.hold.test", "b.hold.test"]).await;
    world.web.otherwise(Reply::Status(404, String::new()));
    let first = client
        .post(&challenges[0], &json!({}))
        .await
        .expect(200)
        .json();
    assert!(
        first["status"] == "processing" || first["status"] == "valid",
        "durable before it is shown: {first}"
    );
    let last = client
        .post(&challenges[1], &json!({}))
        .await
        .expect(200)
        .json();
    assert_eq!(last["status"], "valid", "{last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pending_authorization_is_never_held() {
    let world = World::with(|config| config.limits.hold = Span::from_secs(60)).await;
    let client = world.subscriber().await;
    let placed = client
        .new_order(&["never.hold.test"])
        .await
        .expect(201)
        .json();
    let began = Instant::now();
    let object = client
        .fetch(placed["authorizations"][0].as_str().unwrap())
        .await
        .expect(200)
        .json();
    assert_eq!(object["status"], "pending");
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_ends_in_time_with_processing_and_retry_after() {
    // 8555-8.2-2 (Retry-After while processing) 8555-7.5.1-3
    let world = World::with(|config| config.limits.hold = Span::from_millis(400)).await;
    let client = world.subscriber().await;
    let (url, challenges) = order(&world, &client, &["slow.hold.test"]).await;
    world.web.on_host(
        "slow.hold.test",
        &path_of(&client, &challenges[0]).await,
        Reply::Hang,
    );
    let began = Instant::now();
    let answer = client.post(&challenges[0], &json!({})).await.expect(200);
    assert_eq!(answer.json()["status"], "processing");
    assert!(answer.header("retry-after").is_some());
    // Its authorization is validated meanwhile: a poll of that is answered, and told when to come again.
    let placed = client.fetch(&url).await.expect(200).json();
    let authorization = placed["authorizations"][0].as_str().unwrap();
    let polled = client.fetch(authorization).await.expect(200);
    let object = polled.json();
    assert_eq!(object["status"], "pending", "{object}");
    assert_eq!(object["challenges"][0]["status"], "processing", "{object}");
    let wait: u64 = polled.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert!(
        began.elapsed() >= Duration::from_millis(350),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(world.ca().limits.held(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_hang_up_free_their_holds() {
    let world = World::with(|config| config.limits.hold = Span::from_secs(60)).await;
    let client = world.subscriber().await;
    let (_, challenges) = order(&world, &client, &["gone.hold.test"]).await;
    world.web.on_host(
        "gone.hold.test",
        &path_of(&client, &challenges[0]).await,
        Reply::Hang,
    );
    let challenge = challenges[0].clone();
    let held = tokio::spawn(async move { client.post(&challenge, &json!({})).await });
    until("it is held", async || world.ca().limits.held() == 1).await;
    // The request goes, and its connection with it.
    held.abort();
    assert!(held.await.unwrap_err().is_cancelled());
    until("the hold is gone", async || world.ca().limits.held() == 0).await;
}

async fn path_of(client: &Client, challenge: &str) -> String {
    let object: Value = client.fetch(challenge).await.expect(200).json();
    format!(
        "/.well-known/acme-challenge/{}",
        object["token"].as_str().unwrap()
    )
}
