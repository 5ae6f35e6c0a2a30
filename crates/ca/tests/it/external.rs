//! External accounts (RFC 8555 §7.3.4): which bindings open accounts, every way in which one does not, and what the accounts
//! may order. The keys themselves are in `external_keys`.

use cairn_ca::{
    config::External,
    operator::{self, ExternalKeyQuery, Query},
    store::AuditSubject,
};
use cairn_testkit::acme::{Client, Draft, Key, Response, secret};
use serde_json::{Value, json};

use crate::{steps, world::World};

pub(crate) const SOURCE: &str = "write to keys@widgets.test";

/// A CA whose accounts need a key.
pub(crate) async fn world(external: External) -> World {
    World::with(|config| {
        config.accounts.external = external;
        config.accounts.external_source = SOURCE.to_owned();
    })
    .await
}

/// A key that its operator gave out: its id and its secret.
pub(crate) struct Given {
    pub(crate) id: String,
    pub(crate) hmac_key: String,
}

pub(crate) async fn give(world: &World, wanted: ExternalKeyQuery) -> Given {
    let answer = operator::ask(&world.dir(), Query::AddExternalKey(wanted)).await;
    let answer = answer.unwrap();
    let text = |name: &str| answer[name].as_str().unwrap().to_owned();
    Given {
        id: text("id"),
        hmac_key: text("hmac_key"),
    }
}

pub(crate) async fn once(world: &World) -> Given {
    give(world, ExternalKeyQuery::default()).await
}

/// The key as the operator sees it.
pub(crate) async fn state(world: &World, key: &Given) -> Value {
    operator::ask(&world.dir(), Query::Show(key.id.clone()))
        .await
        .unwrap()
}

/// newAccount with that binding.
async fn bound(client: &mut Client, binding: Value) -> Response {
    let payload = json!({ "termsOfServiceAgreed": true, "externalAccountBinding": binding });
    client.new_account_with(payload).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_opened_with_a_key_and_repeats_its_binding() {
    // 8555-7.3.4-2 8555-7.3.4-3 8555-7.3.4-4 8555-7.1.1-2 8555-7.3.1-1
    let world = world(External::Required).await;
    let mut client = world.stranger().await;
    assert_eq!(client.directory["meta"]["externalAccountRequired"], true);
    let refused = client.new_account().await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert_eq!(refused.problem(), "externalAccountRequired");
    assert!(refused.text().contains(SOURCE), "{}", refused.text());
    let asked = json!({ "onlyReturnExisting": true });
    let none = client.new_account_with(asked.clone()).await;
    assert_eq!(none.problem(), "accountDoesNotExist", "{}", none.text());
    for algorithm in ["HS256", "HS384", "HS512"] {
        let given = once(&world).await;
        let mut client = client.with_key(Key::es256());
        let mut draft = client.binding(&given.id);
        draft.protect("alg", algorithm);
        let binding = draft.mac(&secret(&given.hmac_key));
        let made = bound(&mut client, binding.clone()).await.expect(201);
        assert_eq!(made.json()["externalAccountBinding"], binding);
        // Unchanged to the letter, also when it is read again.
        let shown = client.fetch(&made.location()).await.expect(200);
        assert!(shown.text().contains(&binding.to_string()), "{binding}");
        // Whoever has an account needs no key to find it, and what is shown besides is not judged.
        let found = client.new_account().await.expect(200);
        assert_eq!(found.json()["externalAccountBinding"], binding);
        client.new_account_with(asked.clone()).await.expect(200);
        let again = bound(&mut client, json!({ "x": 1 })).await.expect(200);
        assert_eq!(again.json()["externalAccountBinding"], binding);
        let key = state(&world, &given).await;
        assert_eq!(key["state"], "used", "{key}");
        let account = made.location();
        assert_eq!(key["account"], account.rsplit('/').next().unwrap());
    }
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_binding_that_does_not_verify_is_refused_and_uses_nothing() {
    // 8555-7.3.4-2 8555-6.2-4 T-CA-02 T-CA-35
    let world = world(External::Required).await;
    let client = world.stranger().await;
    let given = once(&world).await;
    let octets = secret(&given.hmac_key);
    let stranger = client.with_key(Key::es256());
    type Flaw<'f> = Box<dyn Fn(&mut Draft<'_>) -> Vec<u8> + 'f>;
    let header = |name: &'static str, value: Value| -> Flaw<'_> {
        let octets = octets.clone();
        Box::new(move |draft| {
            draft.protect(name, value.clone());
            octets.clone()
        })
    };
    let other_url = client.url("newOrder");
    let jwk: Value = serde_json::from_str(client.key.jwk()).unwrap();
    let cases: Vec<(&str, u16, &str, &str, Flaw<'_>)> = vec![
        (
            "alg ES256",
            400,
            "malformed",
            "HS256",
            header("alg", json!("ES256")),
        ),
        (
            "alg RS256",
            400,
            "malformed",
            "HS256",
            header("alg", json!("RS256")),
        ),
        (
            "alg none",
            400,
            "malformed",
            "HS256",
            header("alg", json!("none")),
        ),
        (
            "a nonce",
            400,
            "malformed",
            "nonce",
            header("nonce", json!("AAAA")),
        ),
        ("a jwk too", 400, "malformed", "both", header("jwk", jwk)),
        (
            "crit",
            400,
            "malformed",
            "critical",
            header("crit", json!(["x"])),
        ),
        (
            "another url",
            403,
            "unauthorized",
            "another CA",
            header("url", json!(other_url)),
        ),
        (
            "another account's key",
            403,
            "unauthorized",
            "one account key",
            Box::new(|draft| {
                draft.payload = stranger.key.jwk().as_bytes().to_vec();
                octets.clone()
            }),
        ),
        (
            "no key in the payload",
            400,
            "malformed",
            "payload",
            Box::new(|draft| {
                draft.payload = b"{}".to_vec();
                octets.clone()
            }),
        ),
        (
            "an unknown key id",
            403,
            "unauthorized",
            SOURCE,
            header("kid", json!("AZqAAAAAAAAAAAAAAAAAAA")),
        ),
        (
            "no key id of this CA",
            403,
            "unauthorized",
            "no key \\\"keyid-1\\\"",
            header("kid", json!("keyid-1")),
        ),
        (
            "another's secret",
            403,
            "unauthorized",
            SOURCE,
            Box::new(|_| vec![7; 64]),
        ),
        (
            "the account key as secret",
            403,
            "unauthorized",
            SOURCE,
            Box::new(|_| client.key.jwk().as_bytes().to_vec()),
        ),
        (
            "a part of the secret",
            403,
            "unauthorized",
            "86 characters",
            Box::new(|_| octets[..63].to_vec()),
        ),
        (
            "the secret undecoded",
            403,
            "unauthorized",
            "64 octets once decoded",
            Box::new(|_| given.hmac_key.as_bytes().to_vec()),
        ),
    ];
    let mut wrong = Vec::new();
    for (name, status, problem, says, flaw) in &cases {
        let mut draft = client.binding(&given.id);
        let secret = flaw(&mut draft);
        let answer = bound(&mut client.clone(), draft.mac(&secret)).await;
        if (answer.status, answer.problem().as_str()) != (*status, *problem)
            || !answer.text().contains(says)
        {
            wrong.push(format!("{name}: {} {}", answer.status, answer.text()));
        }
    }
    // A captured binding in a request that another key signs.
    let captured = client.binding(&given.id).mac(&octets);
    let replayed = bound(&mut client.with_key(Key::es256()), captured.clone()).await;
    if replayed.problem() != "unauthorized" || replayed.status != 403 {
        wrong.push(format!("a replay: {}", replayed.text()));
    }
    for (name, binding) in [("a text", json!("x")), ("empty", json!({}))] {
        let answer = bound(&mut client.clone(), binding).await;
        if answer.problem() != "malformed" {
            wrong.push(format!("{name}: {}", answer.text()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // None of it made an account or used the key.
    let only = json!({ "onlyReturnExisting": true });
    client.clone().new_account_with(only).await.expect(400);
    assert_eq!(state(&world, &given).await["state"], "open");
    bound(&mut client.clone(), captured).await.expect(201);
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_key_and_a_wrong_secret_are_told_the_same() {
    // T-CA-36
    let world = world(External::Optional).await;
    let mut client = world.stranger().await;
    let given = once(&world).await;
    let unknown = "AZqAAAAAAAAAAAAAAAAAAA";
    let mut told = Vec::new();
    for id in [given.id.as_str(), unknown] {
        let binding = client.binding(id).mac(&[7; 64]);
        let answer = bound(&mut client, binding).await;
        told.push((answer.status, answer.text().replace(id, "KID")));
    }
    assert_eq!(told[0], told[1]);
    // Each of them is a bad signature of its address: guessing is bounded.
    let (_, addresses) = world.ca().limits.tracked();
    assert_eq!(addresses, 1);
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_at_once_with_one_key_open_one_account() {
    // T-CA-35
    let world = world(External::Required).await;
    let client = world.stranger().await;
    let given = once(&world).await;
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let mut client = client.with_key(Key::es256());
        let (id, hmac_key) = (given.id.clone(), given.hmac_key.clone());
        asked.spawn(async move { client.new_bound_account(&id, &hmac_key).await });
    }
    let answers = asked.join_all().await;
    let made: Vec<&Response> = answers.iter().filter(|a| a.status == 201).collect();
    assert_eq!(made.len(), 1);
    for answer in answers.iter().filter(|a| a.status != 201) {
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (403, "unauthorized")
        );
        let text = answer.text();
        assert!(
            text.contains("was used at") && text.contains(SOURCE),
            "{text}"
        );
    }
    let key = state(&world, &given).await;
    let account = made[0].location();
    let account = account.rsplit('/').next().unwrap();
    assert_eq!(
        (&key["account"], &key["accounts"]),
        (&json!(account), &json!(1))
    );
    let opened = key["accounts_opened"].as_array().unwrap();
    assert_eq!(opened.len(), 1, "{key}");
    // One for many opens them all.
    let many = ExternalKeyQuery {
        many: true,
        ..ExternalKeyQuery::default()
    };
    let many = give(&world, many).await;
    for _ in 0..3 {
        let mut client = client.with_key(Key::es256());
        client
            .new_bound_account(&many.id, &many.hmac_key)
            .await
            .expect(201);
    }
    let key = state(&world, &many).await;
    assert_eq!(
        (&key["accounts"], &key["state"]),
        (&json!(3), &json!("open"))
    );
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_orders_only_what_its_key_allows() {
    // T-CA-62 8555-6.7.1-1
    let world = world(External::Required).await;
    let mut client = world.stranger().await;
    let given = give(
        &world,
        ExternalKeyQuery {
            owner: Some("web team".to_owned()),
            allowed: vec![".team.test".to_owned(), "www.test".to_owned()],
            ..ExternalKeyQuery::default()
        },
    )
    .await;
    client
        .new_bound_account(&given.id, &given.hmac_key)
        .await
        .expect(201);
    let names = ["a.team.test", "www.test"];
    let (_, order) = steps::ready(&world, &client, &names).await;
    let csr = cairn_testkit::acme::csr(&names).0;
    client.finalize(&order, &csr).await.expect(200);
    let refused = client
        .new_order(&["b.team.test", "notteam.test", "a.www.test"])
        .await
        .expect(400);
    assert_eq!(refused.problem(), "rejectedIdentifier");
    let problem = refused.json();
    let named: Vec<&str> = problem["subproblems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["identifier"]["value"].as_str().unwrap())
        .collect();
    assert_eq!(named, ["a.www.test", "notteam.test"]);
    for part in [
        given.id.as_str(),
        "web team",
        "only .team.test, www.test",
        "ask the operator",
    ] {
        assert!(refused.text().contains(part), "{part}: {}", refused.text());
    }
    let wanted = json!({ "identifier": { "type": "dns", "value": "notteam.test" } });
    let url = client.url("newAuthz");
    let refused = client.post(&url, &wanted).await.expect(403);
    assert_eq!(refused.problem(), "rejectedIdentifier");
    assert!(refused.text().contains(&given.id), "{}", refused.text());
    // The account keeps it when its key changes hands, and says so to its operator.
    let account = client.kid.clone().unwrap();
    let shown = operator::ask(&world.dir(), Query::Show(account)).await;
    let shown = shown.unwrap();
    assert_eq!(shown["external_key"], given.id);
    assert_eq!(shown["owner"], "web team");
    assert_eq!(shown["allowed"], json!([".team.test", "www.test"]));
    assert!(shown["audit"].to_string().contains(&given.id), "{shown}");
    // The CA's own rules hold as well.
    let wide = give(
        &world,
        ExternalKeyQuery {
            allowed: vec![".co.uk".to_owned()],
            ..ExternalKeyQuery::default()
        },
    )
    .await;
    let mut other = client.with_key(Key::es256());
    other
        .new_bound_account(&wide.id, &wide.hmac_key)
        .await
        .expect(201);
    let refused = other.new_order(&["co.uk"]).await.expect(400);
    assert!(
        refused.text().contains("public suffix"),
        "{}",
        refused.text()
    );
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bindings_are_ignored_judged_or_needed_as_the_configuration_says() {
    // 8555-7.3.4-3
    let off = world(External::Off).await;
    let mut client = off.stranger().await;
    assert!(client.directory["meta"]["externalAccountRequired"].is_null());
    let given = once(&off).await;
    let made = client
        .new_bound_account(&given.id, &given.hmac_key)
        .await
        .expect(201);
    assert!(made.json()["externalAccountBinding"].is_null());
    assert_eq!(state(&off, &given).await["state"], "open", "not used");
    off.shutdown().await;
    let optional = world(External::Optional).await;
    let mut client = optional.stranger().await;
    assert!(client.directory["meta"]["externalAccountRequired"].is_null());
    let made = client.new_account().await.expect(201);
    assert!(made.json()["externalAccountBinding"].is_null());
    let mut client = client.with_key(Key::es256());
    let null = json!({ "externalAccountBinding": null });
    client.new_account_with(null).await.expect(201);
    let mut client = client.with_key(Key::es256());
    let given = once(&optional).await;
    let binding = client.binding(&given.id).mac(&[0; 64]);
    bound(&mut client, binding).await.expect(403);
    client
        .new_bound_account(&given.id, &given.hmac_key)
        .await
        .expect(201);
    optional.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_refused_accounts_leaves_few_rows() {
    // T-CA-115
    let world = world(External::Required).await;
    let client = world.stranger().await;
    for _ in 0..60 {
        let mut client = client.with_key(Key::es256());
        client.new_account().await.expect(403);
    }
    let store = &world.ca().store;
    let events = store.audit(AuditSubject::Latest, 1000).await.unwrap();
    let refused = events.iter().filter(|e| e.event == "account-refused");
    let refused: Vec<_> = refused.collect();
    assert_eq!(refused.len(), 20);
    let detail = &refused[0].detail;
    assert!(
        detail.contains("externalAccountRequired") && detail.contains("127.0.0.1"),
        "{detail}"
    );
    world.shutdown().await;
}
