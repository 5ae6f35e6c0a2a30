//! Keys of external accounts as their operator has them: until when they open accounts, where their secrets lie.

use std::time::Duration;

use cairn_acme::jws::MacKey;
use cairn_ca::{
    config::External,
    id::{DirectoryId, ExternalKeyId},
    model::ExternalKey,
    operator::{self, ExternalKeyQuery, Query},
    store::{AddExternalKey, Filter},
};
use cairn_testkit::acme::{Key, secret};
use serde_json::json;

use crate::external::{SOURCE, give, once, state, world};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_over_or_taken_back_opens_nothing_and_its_accounts_go_on() {
    // T-CA-35 8555-7.3.4-4
    let world = world(External::Required).await;
    let mut client = world.stranger().await;
    let ca = world.ca();
    let now = ca.clock.wall();
    let hmac_key = MacKey::new(vec![3; MacKey::OCTETS].into());
    let id = ExternalKeyId::new(now, [9; 10]);
    let expired = ExternalKey {
        id,
        directory: DirectoryId::FIRST,
        owner: None,
        allowed: Vec::new(),
        many: true,
        expires: Some(now.minus(Duration::from_secs(1))),
        sealed: ca.ring.seal_external(id, &hmac_key).unwrap(),
        created_at: now.minus(Duration::from_secs(60)),
        revoked_at: None,
        uses: 0,
        last_use: None,
    };
    ca.store.transact(AddExternalKey(expired)).await.unwrap();
    let refused = client
        .new_bound_account(&id.to_string(), &hmac_key.to_text())
        .await
        .expect(403);
    assert_eq!(refused.problem(), "unauthorized");
    let text = refused.text();
    assert!(
        text.contains("expired at") && text.contains(SOURCE),
        "{text}"
    );

    let many = ExternalKeyQuery {
        many: true,
        ..ExternalKeyQuery::default()
    };
    let given = give(&world, many).await;
    let mut owner = client.with_key(Key::es256());
    owner
        .new_bound_account(&given.id, &given.hmac_key)
        .await
        .expect(201);
    let revoke = async || {
        let query = Query::RevokeExternalKey(given.id.clone());
        operator::ask(&world.dir(), query).await.unwrap()
    };
    assert_eq!(revoke().await["changed"], true);
    assert_eq!(revoke().await["changed"], false);
    let refused = client
        .new_bound_account(&given.id, &given.hmac_key)
        .await
        .expect(403);
    assert!(
        refused.text().contains("was revoked at"),
        "{}",
        refused.text()
    );
    owner.new_order(&["goes.on.test"]).await.expect(201);
    // Lists say which is which; a key is found by the account that it opened.
    let list = async |filter: Filter| {
        let page = operator::ask(&world.dir(), Query::ListExternalKeys(filter)).await;
        let keys = page.unwrap()["keys"].as_array().unwrap().clone();
        keys.iter()
            .map(|key| key["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let by = |state: Option<&str>, kid: Option<&str>| Filter {
        state: state.map(str::to_owned),
        account: kid.map(|kid| kid.rsplit('/').next().unwrap().parse().unwrap()),
        limit: 10,
        ..Filter::default()
    };
    assert_eq!(
        list(by(None, None)).await,
        [given.id.clone(), id.to_string()]
    );
    assert_eq!(list(by(Some("expired"), None)).await, [id.to_string()]);
    assert_eq!(list(by(Some("revoked"), None)).await, [given.id.clone()]);
    assert!(list(by(Some("open"), None)).await.is_empty());
    let account = owner.kid.clone().unwrap();
    assert_eq!(list(by(None, Some(&account))).await, [given.id.clone()]);
    let unknown = Query::RevokeExternalKey("AZqAAAAAAAAAAAAAAAAAAA".to_owned());
    let refused = operator::ask(&world.dir(), unknown).await.unwrap_err();
    assert!(refused.to_string().contains("eab list"), "{refused}");
    world.shutdown().await;
}

/// Every octet of the store's files.
fn dump(dir: &std::path::Path) -> Vec<u8> {
    let files = std::fs::read_dir(dir).unwrap().flatten();
    let stored = files.filter(|f| f.file_name().to_string_lossy().starts_with("cairn.db"));
    stored
        .flat_map(|f| std::fs::read(f.path()).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_lie_sealed_in_the_store_and_are_shown_once() {
    // T-CA-36
    let world = world(External::Required).await;
    let given = give(
        &world,
        ExternalKeyQuery {
            owner: Some("canary-owner".to_owned()),
            ..ExternalKeyQuery::default()
        },
    )
    .await;
    let octets = secret(&given.hmac_key);
    assert_eq!(octets.len(), 64);
    let holds = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|w| w == part);
    let stored = dump(&world.dir());
    assert!(holds(&stored, b"canary-owner"), "the rows are there");
    // Not whole, and no part that would help to guess it; in no writing.
    let hex = data_encoding::HEXLOWER.encode(&octets);
    for text in [given.hmac_key.as_bytes(), hex.as_bytes(), &octets] {
        assert!(
            text.windows(16)
                .step_by(8)
                .all(|part| !holds(&stored, part))
        );
    }
    let list = Query::ListExternalKeys(Filter {
        limit: 10,
        ..Filter::default()
    });
    for query in [
        list,
        Query::Show(given.id.clone()),
        Query::RevokeExternalKey(given.id.clone()),
    ] {
        let shown = operator::ask(&world.dir(), query).await.unwrap();
        assert!(!shown.to_string().contains(&given.hmac_key), "{shown}");
    }
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_outlive_a_restart_and_open_nothing_under_another_ring() {
    // T-CA-35 T-CA-36
    let world = world(External::Required).await;
    let (used, open) = (once(&world).await, once(&world).await);
    let mut client = world.stranger().await;
    client
        .new_bound_account(&used.id, &used.hmac_key)
        .await
        .expect(201);
    let world = world.restarted(|_| {}).await;
    let mut client = world.stranger().await;
    let again = client.new_bound_account(&used.id, &used.hmac_key).await;
    assert!(again.text().contains("was used at"), "{}", again.text());
    client
        .new_bound_account(&open.id, &open.hmac_key)
        .await
        .expect(201);
    let lost = once(&world).await;
    let site = world.stop().await;
    // Without a server there is no ring; the rest is the store's to answer.
    let add = Query::AddExternalKey(ExternalKeyQuery::default());
    let refused = operator::ask(&site.dir(), add).await.unwrap_err();
    assert!(refused.to_string().contains("cairn ca serve"), "{refused}");
    let shown = operator::ask(&site.dir(), Query::Show(lost.id.clone())).await;
    assert_eq!(shown.unwrap()["state"], "open");
    std::fs::remove_file(site.dir().join("keys/ring.key.pem")).unwrap();
    let world = site.start(|_| {}).await;
    let mut client = world.stranger().await.with_key(Key::es256());
    let refused = client
        .new_bound_account(&lost.id, &lost.hmac_key)
        .await
        .expect(403);
    assert_eq!(refused.problem(), "unauthorized");
    assert_eq!(state(&world, &lost).await["state"], "open");
    let fresh = once(&world).await;
    client
        .new_bound_account(&fresh.id, &fresh.hmac_key)
        .await
        .expect(201);
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operators_key_is_judged_before_it_is_made() {
    let world = world(External::Required).await;
    let cases = [
        ("an empty owner", json!({ "owner": " " }), "owner"),
        ("a long owner", json!({ "owner": "x".repeat(101) }), "owner"),
        ("no name", json!({ "allowed": ["a b"] }), "no NAME"),
        ("a wildcard", json!({ "allowed": ["*.a.test"] }), "no NAME"),
        (
            "many names",
            json!({ "allowed": vec!["a.test"; 101] }),
            "100",
        ),
        ("over", json!({ "expires": "0s" }), "expired"),
        ("no such member", json!({ "many": true, "x": 1 }), "x"),
    ];
    let mut wrong = Vec::new();
    for (name, query, says) in cases {
        match serde_json::from_value::<ExternalKeyQuery>(query) {
            Ok(query) => match operator::ask(&world.dir(), Query::AddExternalKey(query)).await {
                Err(refused) if refused.to_string().contains(says) => {}
                got => wrong.push(format!("{name}: {got:?}")),
            },
            Err(_) if name == "no such member" => {}
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    world.shutdown().await;
}
