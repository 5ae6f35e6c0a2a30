//! What an operator does through the socket: revokes, has lists signed, issues on his word.

use std::time::Duration;

use cairn_ca::{
    issuance::CrlPublisher,
    operator::{self, IssueQuery, Query, RevokeQuery},
    store::Filter,
};
use cairn_testkit::{
    acme::{Key, csr, csr_for, encode},
    issued,
};
use serde_json::json;

use crate::{
    revocation::{leaf, listed, serial, world},
    steps::until,
    world::World,
};

fn revoke(serials: &[&str], reason: i64) -> Query {
    Query::Revoke(RevokeQuery {
        serials: serials.iter().map(|s| (*s).to_owned()).collect(),
        reason: Some(reason),
    })
}

fn issue(der: &[u8]) -> Query {
    Query::Issue(IssueQuery {
        csr: encode(der),
        profile: None,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_shares_lists_and_an_operator_need_not_wait() {
    // T-CA-107
    let world = World::with_parts(
        |_| {},
        |parts| {
            parts.timing.crl = Duration::from_millis(50);
            parts.timing.crl_rest = Duration::from_secs(3600);
        },
    )
    .await;
    let owner = world.subscriber().await;
    let got = owner.obtain(&["rest.test"], &world.web).await;
    let serial = serial(&got);
    let ask = async |query| operator::ask(&world.dir(), query).await.unwrap();
    let unknown = "01".repeat(19);
    let answer = ask(revoke(&[&serial, &unknown, "no serial"], 9)).await;
    assert_eq!(answer["revoked"].as_array().unwrap().len(), 1, "{answer}");
    assert_eq!(answer["failed"].as_array().unwrap().len(), 2, "{answer}");
    let again = ask(revoke(&[&serial], 9)).await;
    assert_eq!(again["failed"][0]["problem"], "alreadyRevoked", "{again}");
    assert_eq!(listed(&world, &serial), None, "the list rests");
    let lists = ask(Query::PublishCrls).await;
    let number = lists["crls"][0]["number"].as_u64().unwrap();
    assert_eq!(listed(&world, &serial), Some(Some(9)));
    // Nothing new, nothing signed.
    assert_eq!(ask(Query::PublishCrls).await["crls"], json!([]));
    let shown = ask(Query::Show(serial.clone())).await;
    for (member, want) in [
        ("state", json!("revoked")),
        ("reason", json!("privilegeWithdrawn")),
        ("revoked_by", json!("operator")),
        ("first_crl", json!(number)),
    ] {
        assert_eq!(shown[member], want, "{member}");
    }
    let of_state = async |state: &str| {
        let filter = Filter {
            state: Some(state.to_owned()),
            limit: 100,
            ..Filter::default()
        };
        let page = ask(Query::ListCertificates(filter)).await;
        page["certificates"].to_string().contains(&serial)
    };
    assert!(of_state("revoked").await && !of_state("issued").await);
    let status = ask(Query::Status).await;
    assert_eq!(status["rows"]["certificates_revoked"], 1, "{status}");
    let metrics = world.ca().metrics.text();
    assert!(metrics.contains("cairn_revocations_total 1"), "{metrics}");
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_issues_from_a_csr_through_the_one_door() {
    // T-CA-121
    let world = world().await;
    let ask = async |query| operator::ask(&world.dir(), query).await;
    let names = ["b.granted.test", "a.granted.test"];
    let answer = ask(issue(&csr(&names).0)).await.unwrap();
    assert_eq!(answer["names"], json!(["a.granted.test", "b.granted.test"]));
    let chain = answer["chain"].as_str().unwrap();
    issued::keep_chain(chain);
    let parsed = cairn_x509::certificate::Certificate::parse(&leaf(chain)).unwrap();
    parsed
        .verify_issued_by(&world.ca().issuance.issuers().first().certificate)
        .unwrap();
    // Its evidence and its audit rows say on whose word.
    let serial = answer["serial"].as_str().unwrap().to_owned();
    let shown = ask(Query::Show(serial.clone())).await.unwrap();
    let evidence = shown["evidence"].to_string();
    assert!(evidence.contains("operator-grant"), "{shown}");
    let order = shown["order"].as_str().unwrap().to_owned();
    let order = ask(Query::Show(order)).await.unwrap();
    let events = order["audit"].to_string();
    assert!(
        events.contains("granted-order-created") && events.contains("\"issued\""),
        "{events}"
    );
    // And it is revoked like any other.
    ask(revoke(&[&serial], 0)).await.unwrap();
    ask(Query::PublishCrls).await.unwrap();
    until("the CRL shows it", async || {
        listed(&world, &serial) == Some(None)
    })
    .await;
    // Without a server nobody has the key.
    let site = world.stop().await;
    let refused = operator::ask(&site.dir(), issue(&csr(&["late.test"]).0)).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("cairn ca serve"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rules_for_names_and_keys_hold_for_operators_too() {
    // T-CA-121 T-CA-38
    let world = world().await;
    let ask = async |query| operator::ask(&world.dir(), query).await;
    let count = async || {
        let all = Query::ListCertificates(Filter {
            limit: 1000,
            ..Filter::default()
        });
        let page = ask(all).await.unwrap();
        page["certificates"].as_array().unwrap().len()
    };
    let subscriber = world.subscriber().await;
    let revoked = subscriber.with_key(Key::es256());
    let before = count().await;
    let mut broken = csr(&["x.test"]).0;
    *broken.last_mut().unwrap() ^= 1;
    let other_profile = Query::Issue(IssueQuery {
        csr: encode(&csr(&["p.test"]).0),
        profile: Some("nowhere".to_owned()),
    });
    for (label, query, says) in [
        ("a single label", issue(&csr(&["intranet"]).0), "label"),
        ("a broken signature", issue(&broken), "CSR"),
        ("no CSR", issue(b"0"), "CSR"),
        (
            "an account's key",
            issue(&csr_for(&subscriber.key, &["k.test"])),
            "account",
        ),
        ("another profile", other_profile, "profile"),
    ] {
        let refused = ask(query).await.unwrap_err().to_string();
        assert!(refused.contains(says), "{label}: {refused}");
    }
    assert_eq!(count().await, before);
    // A key that an operator's own revocation blocked.
    let good = csr_for(&revoked.key, &["key.test"]);
    let answer = ask(issue(&good)).await.unwrap();
    let serial = answer["serial"].as_str().unwrap();
    ask(revoke(&[serial], 1)).await.unwrap();
    let refused = ask(issue(&good)).await.unwrap_err().to_string();
    assert!(refused.contains("others have the key"), "{refused}");
    // A stop of issuance stops operators.
    let now = world.ca().clock.wall();
    let store = &world.ca().store;
    store
        .stop_issuance(None, None, "an incident", now)
        .await
        .unwrap();
    let refused = ask(issue(&csr(&["stop.test"]).0)).await.unwrap_err();
    assert!(refused.to_string().contains("an incident"), "{refused}");
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_revoked_while_no_server_runs_is_listed_by_the_next() {
    // T-CA-107 5280-5-1
    let world = world().await;
    let owner = world.subscriber().await;
    let got = owner.obtain(&["offline.test"], &world.web).await;
    let serial = serial(&got);
    let before = world.ca().store.crls().await.unwrap().remove(0).number;
    let site = world.stop().await;
    let answer = operator::ask(&site.dir(), revoke(&[&serial], 5))
        .await
        .unwrap();
    assert_eq!(answer["changed"], true, "{answer}");
    let lists = operator::ask(&site.dir(), Query::PublishCrls)
        .await
        .unwrap();
    assert_eq!(lists["running"], false);
    let world = site.start(|_| {}).await;
    CrlPublisher::publish_now(world.ca()).await;
    assert_eq!(listed(&world, &serial), Some(Some(5)));
    let after = world.ca().store.crls().await.unwrap().remove(0).number;
    assert!(after > before);
    world.shutdown().await;
}
