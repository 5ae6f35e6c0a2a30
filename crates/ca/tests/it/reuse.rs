//! What an order may share with an earlier one: everything the same and a quarter of its life left, or nothing; and which
//! authorizations prove a name again.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use cairn_acme::{
    challenge::{ChallengeType, Token},
    identifier::Identifier,
    status::AuthorizationStatus,
    time::Timestamp,
};
use cairn_ca::{
    authority::authorizations,
    clock::{Clock, SystemClock, TestClock},
    config::Span,
    id::{AccountId, AuthorizationId, DirectoryId, OrderId},
    model::Requester,
    store::{CreateOrder, OrderPolicy, Seed},
};
use cairn_testkit::acme::{Client, Key, csr};
use serde_json::{Value, json};

use crate::{
    steps::{finish, id, list, ready},
    world::World,
};

const DAY: Duration = Duration::from_secs(86_400);

async fn place(client: &Client, wanted: &Value) -> (String, Value) {
    let placed = client
        .post(&client.url("newOrder"), wanted)
        .await
        .expect(201);
    (placed.location(), placed.json())
}

fn names(names: &[&str]) -> Value {
    let dns = |name: &&str| json!({ "type": "dns", "value": name });
    json!({ "identifiers": names.iter().map(dns).collect::<Vec<_>>() })
}

/// A world whose time moves only by hand.
async fn stopped() -> (World, Arc<TestClock>) {
    let now = SystemClock::default().wall().as_seconds() + 1;
    let clock = Arc::new(TestClock::at(Timestamp::from_seconds(now)));
    let given = Arc::<TestClock>::clone(&clock);
    let world = World::with_parts(
        |config| config.orders.life = Span::from_days(4),
        |parts| parts.clock = given,
    )
    .await;
    (world, clock)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_shared_only_by_requests_for_the_same_with_a_quarter_of_its_life_left() {
    // 8555-7.4-6
    let (world, clock) = stopped().await;
    let client = world.subscriber().await;
    let mut other = client.with_key(Key::es256());
    other.new_account().await.expect(201);
    let later = |days: u64| {
        clock
            .wall()
            .plus(DAY * u32::try_from(days).unwrap())
            .to_string()
    };
    let base = names(&["a.reuse.test", "b.reuse.test"]);
    let with = |member: &str, days: u64| {
        let mut wanted = base.clone();
        wanted[member] = json!(later(days));
        wanted
    };
    let first = place(&client, &base).await;
    let mut wrong = Vec::new();
    let rows = [
        ("the same", &client, base.clone(), true),
        (
            "another order, case and a duplicate",
            &client,
            names(&["B.reuse.TEST", "a.reuse.test", "b.reuse.test"]),
            true,
        ),
        (
            "unknown members",
            &client,
            {
                let mut w = base.clone();
                w["unknown"] = json!(1);
                w
            },
            true,
        ),
        ("fewer names", &client, names(&["a.reuse.test"]), false),
        (
            "more names",
            &client,
            names(&["a.reuse.test", "b.reuse.test", "c.reuse.test"]),
            false,
        ),
        ("notBefore", &client, with("notBefore", 1), false),
        ("notAfter", &client, with("notAfter", 2), false),
        ("another account", &other, base.clone(), false),
    ];
    for (what, client, wanted, same) in rows {
        let found = place(client, &wanted).await;
        if (found.0 == first.0) != same {
            wrong.push(format!("{what}: {} and {}", found.0, first.0));
        }
        if !same
            && list(&found.1["authorizations"])
                .iter()
                .any(|a| list(&first.1["authorizations"]).contains(a))
        {
            wrong.push(format!("{what}: a pending authorization is shared"));
        }
        // An order with dates is found again by the same dates.
        if place(client, &wanted).await.0 != found.0 {
            wrong.push(format!("{what}: not found again"));
        }
    }

    // A quarter of four days is one.
    clock.advance(3 * DAY);
    if place(&client, &base).await.0 != first.0 {
        wrong.push("with a quarter of its life left".to_owned());
    }
    clock.advance(Duration::from_secs(1));
    let second = place(&client, &base).await;
    if second.0 == first.0 {
        wrong.push("with less than a quarter left".to_owned());
    }

    // Another profile in force.
    let snapshot = world.ca().snapshot.load_full();
    let mut config = snapshot.config.clone();
    config.profile.default.life = Span::from_days(30);
    world
        .node
        .reload(config, snapshot.blocked.clone())
        .await
        .unwrap();
    let third = place(&client, &base).await;
    if third.0 == second.0 {
        wrong.push("under another profile".to_owned());
    }

    // A ready order is found, one that has ended is not.
    let own = ["own.reuse.test"];
    let order = ready(&world, &client, &own).await;
    if place(&client, &names(&own)).await.0 != order.0 {
        wrong.push("ready".to_owned());
    }
    finish(&client, &order, &own).await;
    if place(&client, &names(&own)).await.0 == order.0 {
        wrong.push("valid".to_owned());
    }
    let authorization = list(&third.1["authorizations"]).remove(0);
    client
        .post(&authorization, &json!({ "status": "deactivated" }))
        .await
        .expect(200);
    if place(&client, &base).await.0 == third.0 {
        wrong.push("invalid".to_owned());
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_valid_authorization_proves_its_own_name_for_its_own_account_alone() {
    // T-CA-45 R-18 8555-7.1.6-4 8555-7.4-6
    let world = World::start().await;
    let client = world.subscriber().await;
    let mut other = client.with_key(Key::es256());
    other.new_account().await.expect(201);
    let first = ready(&world, &client, &["a.reuse.test"]).await;
    finish(&client, &first, &["a.reuse.test"]).await;
    let proven = list(&first.1["authorizations"]).remove(0);

    let again = place(&client, &names(&["a.reuse.test"])).await;
    assert_eq!(again.1["status"], "ready", "born ready");
    assert_eq!(
        list(&again.1["authorizations"]),
        std::slice::from_ref(&proven)
    );
    assert_eq!(
        finish(&client, &again, &["a.reuse.test"]).await["status"],
        "valid"
    );

    let mut wrong = Vec::new();
    for (what, client, name) in [
        ("parent", &client, "reuse.test"),
        ("child", &client, "x.a.reuse.test"),
        ("longer label", &client, "aa.reuse.test"),
        ("sibling", &client, "b.reuse.test"),
        ("another account", &other, "a.reuse.test"),
    ] {
        let placed = place(client, &names(&[name])).await;
        if placed.1["status"] != "pending" || list(&placed.1["authorizations"]).contains(&proven) {
            wrong.push(format!("{what}: {}", placed.1));
        }
        let refused = client.finalize(&placed.1, &csr(&[name]).0).await;
        if refused.problem() != "orderNotReady" {
            wrong.push(format!("{what}: {}", refused.text()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");

    // Beside a new name it stays; the new name is pending, and by itself.
    let both = place(&client, &names(&["a.reuse.test", "new.reuse.test"])).await;
    assert_eq!(both.1["status"], "pending");
    let of_both = list(&both.1["authorizations"]);
    assert_eq!(of_both.iter().filter(|a| **a == proven).count(), 1);
    let alone = place(&client, &names(&["new.reuse.test"])).await;
    assert!(
        !of_both.contains(&list(&alone.1["authorizations"])[0]),
        "a pending authorization is shared"
    );

    // Deactivated, it proves nothing any more.
    client
        .post(&proven, &json!({ "status": "deactivated" }))
        .await
        .expect(200);
    let anew = place(&client, &names(&["a.reuse.test"])).await;
    assert_eq!(anew.1["status"], "pending");
    assert!(!list(&anew.1["authorizations"]).contains(&proven));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wildcard_and_another_method_are_not_proven_by_http_01() {
    // T-CA-45
    let world = World::start().await;
    let client = world.subscriber().await;
    let order = ready(&world, &client, &["a.reuse.test"]).await;
    let store = &world.ca().store;
    let account = id::<AccountId>(client.kid.as_ref().unwrap());
    let proven = id::<AuthorizationId>(&list(&order.1["authorizations"])[0]);
    let now = world.ca().clock.wall();
    // newOrder refuses a wildcard where http-01 alone is offered; the rule below it holds too.
    let wildcard = |name: &str, n: u8| CreateOrder {
        id: OrderId::new(now, [n; 10]),
        account,
        directory: DirectoryId::FIRST,
        identifiers: vec![Identifier::parse("dns", name).unwrap()],
        not_before: None,
        not_after: None,
        profile: None,
        profile_hash: world.ca().snapshot.load().profiles.default().hash,
        replaces: None,
        authorization_seeds: vec![Seed {
            id: AuthorizationId::new(now, [n; 10]),
            token: Token::from_random(&[n; 32]).unwrap(),
        }],
        policy: OrderPolicy {
            order_life: DAY,
            pending_authorization_life: DAY,
            challenges: vec![ChallengeType::Http01],
        },
        requester: Requester { address: None },
        now,
    };
    let placed = store.transact(wildcard("*.a.reuse.test", 1)).await.unwrap();
    let made = &placed.authorizations[0];
    assert_ne!(made.id, proven);
    assert_eq!(
        (made.status, made.wildcard),
        (AuthorizationStatus::Pending, true)
    );
    assert!(
        made.challenges.is_empty(),
        "http-01 shows control of one host only"
    );
    assert_eq!(made.identifier.to_string(), "a.reuse.test");
    let placed = store.transact(wildcard("a.reuse.test", 2)).await.unwrap();
    assert_eq!(placed.authorizations[0].id, proven);

    let valid = store.authorization(account, proven).await.unwrap().unwrap();
    let still = |offered: &[ChallengeType]| authorizations::reusable(&valid, offered, now, now);
    assert!(still(&[ChallengeType::Http01]));
    assert!(
        !still(&[ChallengeType::Dns01]),
        "by a method that is no longer offered"
    );
    assert!(!authorizations::reusable(
        &valid,
        &[ChallengeType::Http01],
        valid.expires.plus(Duration::from_secs(1)),
        now
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_new_for_each_challenge() {
    // T-CA-45 8555-8.3-1
    let world = World::start().await;
    let client = world.subscriber().await;
    let mut tokens = BTreeSet::new();
    for round in 0..3 {
        let wanted: Vec<String> = (0..50)
            .map(|n| format!("n{n}.r{round}.reuse.test"))
            .collect();
        let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
        let placed = place(&client, &names(&wanted)).await;
        for authorization in list(&placed.1["authorizations"]) {
            let object = client.fetch(&authorization).await.expect(200).json();
            let token = object["challenges"][0]["token"]
                .as_str()
                .unwrap()
                .to_owned();
            // 128 bits are 22 characters of base64url.
            assert!(
                token.len() >= 22
                    && token
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            );
            tokens.insert(token);
        }
    }
    assert_eq!(tokens.len(), 150);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contacts_domain_is_proven_by_nothing_that_the_account_says() {
    //
    let world = World::start().await;
    let mut client = world.stranger().await;
    // The server's own certificate has one.
    let authorizations = async || {
        let now = world.ca().clock.wall();
        let sizes = world.ca().store.sizes(now).await;
        sizes.unwrap().authorizations
    };
    let before = authorizations().await;
    let contact = json!({
        "termsOfServiceAgreed": true, "contact": ["mailto:admin@approver.test", "mailto:a@b.approver.test"],
    });
    client.new_account_with(contact).await.expect(201);
    assert_eq!(authorizations().await, before, "a contact made one");
    let (_, order) = place(&client, &names(&["approver.test", "b.approver.test"])).await;
    assert_eq!(order["status"], "pending");
    for authorization in list(&order["authorizations"]) {
        let object = client.fetch(&authorization).await.expect(200).json();
        assert_eq!(object["status"], "pending", "{object}");
    }
    world.shutdown().await;
}
