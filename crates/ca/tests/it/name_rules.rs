//! Which identifiers newOrder refuses, each named; the table of rules itself is the policy's.

use cairn_acme::challenge::ChallengeType;
use cairn_ca::config::{AddressRule, NameRule};
use cairn_testkit::acme::csr;
use serde_json::{Value, json};

use crate::world::World;

fn rule(suffix: &str, exact: bool, allow: Option<bool>) -> NameRule {
    NameRule {
        suffix: suffix.to_owned(),
        exact,
        allow,
        ..NameRule::default()
    }
}

fn range(range: &str, allow: Option<bool>) -> AddressRule {
    AddressRule {
        range: range.parse().unwrap(),
        allow,
        http_port: None,
        tls_port: None,
    }
}

/// The refused identifiers of a problem, each with its type.
fn refused(problem: &Value) -> Vec<(String, String)> {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let named = problem["subproblems"].as_array().into_iter().flatten();
    named
        .map(|s| {
            let kind = text(&s["type"]);
            let kind = kind.rsplit(':').next().unwrap_or_default().to_owned();
            (text(&s["identifier"]["value"]), kind)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_names_each_identifier_that_a_rule_refuses_and_has_no_effect() {
    // 8555-7.4-3
    // 8555-7.4-4
    // 8555-6.7.1-1
    // 8738-9-1
    // T-CA-58
    // T-CA-60
    // T-CA-61
    // T-CA-62
    // T-CA-63
    let world = World::with(|config| {
        config.names[0].allow = None;
        config.names.push(rule("denied.test", false, Some(false)));
        config.names.push(rule("only.test", true, Some(false)));
        config.forbidden_names = vec![".bank.test".to_owned()];
        config.addresses = vec![range("10.0.0.0/8", None), range("10.9.0.0/16", Some(false))];
    })
    .await;
    let client = world.subscriber().await;
    let bad = [
        ("dns", "denied.test"),
        ("dns", "a.denied.test"),
        ("dns", "*.denied.test"),
        ("dns", "only.test"),
        ("dns", "bank.test"),
        ("dns", "www.bank.test"),
        ("dns", "*.test"),
        ("dns", "*.co.uk"),
        ("dns", "co.uk"),
        ("ip", "10.9.1.1"),
        ("ip", "127.0.0.1"),
        ("ip", "192.168.1.1"),
        ("ip", "::ffff:10.0.0.1"),
        ("ip", "fe80::1"),
    ];
    let good = [
        ("dns", "notdenied.test"),
        ("dns", "a.only.test"),
        ("dns", "*.only.test"),
        ("dns", "mybank.test"),
        ("ip", "10.8.1.1"),
        ("ip", "8.8.8.8"),
    ];
    let all: Vec<(&str, &str)> = bad.iter().chain(&good).copied().collect();
    let problem = client.new_order_of(&all).await.expect(400);
    assert_eq!(
        problem.problem(),
        "rejectedIdentifier",
        "{}",
        problem.text()
    );
    let mut named = refused(&problem.json());
    named.sort();
    let mut wanted: Vec<_> = bad
        .iter()
        .map(|(_, value)| ((*value).to_owned(), "rejectedIdentifier".to_owned()))
        .collect();
    wanted.sort();
    assert_eq!(named, wanted, "{}", problem.text());
    for text in [
        "denies denied.test and below",
        "never issues for bank.test and below",
        "co.uk is a public suffix",
    ] {
        assert!(problem.text().contains(text), "{text}: {}", problem.text());
    }
    client.new_order_of(&good).await.expect(201);
    // What is no identifier at all is named too, as it came.
    let odd = [
        ("dns", "bad_name.test"),
        ("dns", "192.0.2.1"),
        ("dns", "1.2.0.192.in-addr.arpa"),
        ("dns", "a.*.test"),
        ("email", "a@b.test"),
        ("dns", "good.test"),
    ];
    let problem = client.new_order_of(&odd).await.expect(400);
    let named = refused(&problem.json());
    let wanted: Vec<&str> = odd[..5].iter().map(|(_, value)| *value).collect();
    assert_eq!(
        named.iter().map(|(v, _)| v.as_str()).collect::<Vec<_>>(),
        wanted
    );
    assert_eq!(named[4].1, "unsupportedIdentifier");
    // An address has one text.
    for text in [
        "010.8.1.1",
        "10.8.1",
        "10.8.1.1/32",
        "2606:4700:0::1",
        "2606:4700::AB",
        "[2606:4700::1]",
        "fe80::1%eth0",
        "0x0a.8.1.1",
    ] {
        let problem = client.new_order_of(&[("ip", text)]).await.expect(400);
        assert_eq!(problem.problem(), "malformed", "{text}: {}", problem.text());
    }
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_a_rule_allows_something_all_else_is_refused() {
    // T-CA-62
    let world = World::with(|config| {
        config.orders.challenges = ChallengeType::ALL.to_vec();
        config.names[0].allow = Some(true);
        config.addresses = vec![range("10.0.0.0/8", Some(true))];
    })
    .await;
    let client = world.subscriber().await;
    client
        .new_order_of(&[("dns", "a.test"), ("dns", "*.a.test"), ("ip", "10.0.0.1")])
        .await
        .expect(201);
    let problem = client
        .new_order_of(&[
            ("dns", "shop.example.org"),
            ("dns", "a.test"),
            ("ip", "8.8.8.8"),
        ])
        .await
        .expect(400);
    assert_eq!(refused(&problem.json()).len(), 2, "{}", problem.text());
    for text in [
        "no rule of this CA allows it; it issues for test and below",
        "it issues for 10.0.0.0/8",
    ] {
        assert!(problem.text().contains(text), "{}", problem.text());
    }
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rules_in_force_at_finalize_and_at_the_challenge_are_the_ones_that_count() {
    // T-CA-62
    let world = World::start().await;
    let client = world.subscriber().await;
    let order = async |name: &str| {
        let placed = client.new_order(&[name]).await.expect(201);
        (placed.location(), placed.json())
    };
    let (waiting, object) = order("later.rules.test").await;
    let authorization = object["authorizations"][0].as_str().unwrap();
    client.answer(authorization, &world.web).await;
    let ready = client.poll(&waiting, &["pending"]).await;
    assert_eq!(ready["status"], "ready");
    let (unproven, pending) = order("unproven.rules.test").await;
    let pending = pending["authorizations"][0].as_str().unwrap();
    let challenge = client.challenge(pending, "http-01").await;

    let snapshot = world.ca().snapshot.load_full();
    let mut config = snapshot.config.clone();
    config.forbidden_names = vec!["later.rules.test".to_owned()];
    config.orders.challenges = vec![ChallengeType::Dns01];
    let blocked = snapshot.blocked.clone();
    world.node.reload(config, blocked).await.unwrap();

    let (der, _) = csr(&["later.rules.test"]);
    let refused = client.finalize(&ready, &der).await;
    assert_eq!(
        refused.problem(),
        "rejectedIdentifier",
        "{}",
        refused.text()
    );
    assert!(refused.text().contains("later.rules.test"));
    let after = client.fetch(&waiting).await.expect(200).json();
    assert!(after["certificate"].is_null(), "{after}");
    // What was offered when the order was placed proves nothing now.
    let refused = client.post(&challenge.url, &json!({})).await.expect(400);
    assert_eq!(refused.problem(), "malformed");
    assert!(refused.text().contains("no longer validates by http-01"));
    let object = client.fetch(pending).await.expect(200).json();
    assert_eq!(object["status"], "pending");
    // The new order that it speaks of is another one, which can be answered.
    let (again, object) = order("unproven.rules.test").await;
    assert_ne!(again, unproven);
    let authorization = object["authorizations"][0].as_str().unwrap();
    let object = client.fetch(authorization).await.expect(200).json();
    let offered = object["challenges"].as_array().unwrap().iter();
    let offered: Vec<_> = offered.map(|challenge| &challenge["type"]).collect();
    assert_eq!(offered, ["dns-01"]);
}
